"""Every YAML block of docs/runbooks.md is read, linted, and where it is a case, played."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from asoe.desk.runbook.expressions import BUILT_IN
from asoe.desk.runbook.functions import FUNCTIONS
from asoe.desk.runbook.language import read_runbook, schema
from asoe.desk.runbook.lint import check
from asoe.desk.runbook.recorded import play, read_cases

TEXT = (Path(__file__).parents[2] / "docs" / "runbooks.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
WHOLE = [block for block in BLOCKS if block.startswith("runbook:")]
CASES = [block for block in BLOCKS if block.startswith("cases:")]
STEPS = [block for block in BLOCKS if block.startswith("- ")]

FRAME = """\
runbook: frame
title: A frame around the steps of a paragraph
resolution_type: auto_fix
match: {phrases: [x]}
connectors: {estate: estate}
slots: [{name: refuel, type: consent, required: false, question: {en: May we?}}]
goal: {reads: [{call: estate.state, into: state}], met: =state.is_fine}
procedures:
  line-active:
    parameters: [line]
    goal: {reads: [{call: estate.line, with: {id: =line}, into: seen}], met: =seen.active}
    steps: [{wait: 1m}]
steps:
- {lookup: customer, call: estate.find_customer, with: {consent: =slots.refuel.status}}
"""


def test_every_block_is_of_a_kind_that_is_tested():
    assert (len(WHOLE), len(CASES)) == (1, 1)
    assert len(STEPS) >= 5
    assert len(WHOLE) + len(CASES) + len(STEPS) == len(BLOCKS)


def test_the_worked_example_is_clean_and_its_cases_pass():
    assert check(WHOLE[0]) == ()
    for case in read_cases(CASES[0]):
        assert play(read_runbook(WHOLE[0]), case).differences == ()


@pytest.mark.parametrize("steps", STEPS, ids=lambda steps: steps.splitlines()[0])
def test_the_steps_of_each_paragraph_are_right(steps):
    assert [finding for finding in check(FRAME + steps) if finding.is_error] == []


def test_every_key_and_function_is_explained():
    keys = (
        set(schema()["properties"])
        | set(schema()["$defs"]["act"]["properties"])
        | set(schema()["$defs"]["slot"]["properties"])
    )
    assert [key for key in sorted(keys) if f"`{key}`" not in TEXT] == []
    assert [name for name in FUNCTIONS if not re.search(rf"\b{name}\b", TEXT)] == []
    assert [name for name in ("has", "size", "timestamp") if name not in BUILT_IN] == []


def test_every_kind_of_step_is_explained():
    kinds = [name.removesuffix("_step") for name in schema()["$defs"] if name.endswith("_step")]
    assert [kind for kind in kinds if f"**{kind}**" not in TEXT] == []
