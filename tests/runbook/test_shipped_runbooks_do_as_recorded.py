"""The demo's runbooks are clean against what the estate offers, do what was recorded, and use what they ask for only where due."""

from pathlib import Path
from uuid import UUID

import pytest

from asoe.connectors.http_settings import read_settings
from asoe.connectors.kinds import Opening
from asoe.connectors.openapi import check_document
from asoe.demo.back_office import FORBIDDEN, IRREVERSIBLE, RUNBOOKS, estate_config, shipped
from asoe.demo.estate.api import build_api
from asoe.demo.estate.store import open_store
from asoe.desk.runbook.language import read_runbook
from asoe.desk.runbook.lint import check
from asoe.desk.runbook.recorded import Case, play, read_cases

FILES = sorted(shipped())
LIBRARY = {file.stem: read_runbook(file.read_text(encoding="utf-8")) for file in FILES}


def cases() -> list[tuple[str, Case]]:
    return [
        (file.stem, case)
        for file in FILES
        for case in read_cases((RUNBOOKS / f"{file.stem}.cases.yaml").read_text(encoding="utf-8"))
    ]


@pytest.fixture(scope="module")
def actions():
    store = open_store()
    document = check_document(build_api(store, {"token": "operator"}).openapi())
    store.close()
    config = estate_config("http://127.0.0.1:8010", document)
    _, operations = read_settings(Opening(UUID(int=1), "estate", config, {"token": "x"}, True))
    return {name: one.action for name, one in operations.items() if one.risk}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_error_and_no_doubt(file: Path, actions) -> None:
    others = {name: runbook for name, runbook in LIBRARY.items() if name != file.stem}
    found = check(file.read_text(encoding="utf-8"), actions={"estate": actions}, library=others)
    assert [finding for finding in found if finding.severity == "error"] == []


@pytest.mark.parametrize(("name", "case"), cases(), ids=lambda value: getattr(value, "name", value))
def test_a_recorded_case_goes_the_same_way(name: str, case: Case) -> None:
    outcome = play(LIBRARY[name], case, library=LIBRARY)
    assert outcome.differences == ()


def test_every_runbook_has_a_case_that_mends_and_one_that_does_not_or_there_is_nothing_else() -> None:
    verdicts: dict[str, set[str]] = {}
    for name, case in cases():
        verdicts.setdefault(name, set()).add(case.expected.verdict)
    assert set(verdicts) == set(LIBRARY)
    assert all("verified" in ends for ends in verdicts.values())


def test_what_the_policy_forbids_cannot_be_called(actions) -> None:
    assert not FORBIDDEN & set(actions)
    assert {name for name, action in actions.items() if action.risk == "irreversible"} == IRREVERSIBLE
