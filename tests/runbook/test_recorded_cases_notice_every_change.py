"""A recorded case passes for the run it records, and fails, by name, when anything about it changes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from asoe.desk.runbook import interpreter
from asoe.desk.runbook.language import read_runbook
from asoe.desk.runbook.lint import check
from asoe.desk.runbook.recorded import play, read_cases, record
from asoe.desk.runbook.template import cases_text, runbook_text
from asoe.domain.errors import Invalid
from asoe.domain.runbook import Consent, SlotReading

BOOK = read_runbook(runbook_text("unlock"))
CASES = cases_text("unlock")


def differences(cases: str, book=BOOK, **given) -> list[str]:
    return [difference for case in read_cases(cases) for difference in play(book, case, **given).differences]


def changed(old: str, new: str) -> str:
    assert old in CASES
    return CASES.replace(old, new, 1)


def test_the_template_is_clean_and_its_cases_pass():
    assert check(runbook_text("unlock")) == ()
    assert differences(CASES) == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("verdict: verified", "verdict: escalated", "verdict: expected escalated, was verified"),
        ("reason: fraud", "reason: over_cap", "reason: expected over_cap, was fraud"),
        ("with: {id: c1}}\n      - {call: crm.get_account, after", "with: {id: c2}}\n      - {call: crm.get_account, after", 'unexpected call at steps/unlock/act/0: crm.unlock_account {"id": "c1"} was not recorded'),
        ("acts: [{call: crm.unlock_account, with: {id: c1}}]", "acts: []", "act 1: crm.unlock_account"),
        ("acts: [{call: crm.unlock_account, with: {id: c1}}]", "acts: [{call: crm.unlock_account, with: {id: c2}}]", 'act 1: with: expected {"id": "c2"}, was {"id": "c1"}'),
        ("acts: [{call: crm.unlock_account, with: {id: c1}}]", "acts: [{call: crm.unlock_account, once_per: c1}]", 'act 1: once_per: expected "c1", was null'),
        ("reason: fraud, acts: []", "reason: fraud, acts: [{call: crm.lock_account}]", "act 1: crm.lock_account was not done"),
        ("gives: {status: active", "gives: {status: locked", "verdict: expected verified, was escalated at steps/unlock: verification_failed"),
        ("      - {call: crm.find_customer, with: {email: ana@example.com}, gives: {id: c1}}\n", "", "unexpected call at steps/customer: crm.find_customer"),
        ("      - {call: crm.unlock_account, with: {id: c1}}\n", "      - {call: crm.unlock_account}\n      - {call: crm.other}\n", "nobody asked for the recorded answer of crm.other"),
        ("gives: {id: c1}}\n      - {call: crm.unlock", "missing: true}\n      - {call: crm.unlock", "verdict: expected verified, was escalated at steps/customer: not_found"),
    ],
)  # fmt: skip
def test_a_difference_is_named(old, new, words):
    found = differences(changed(old, new))
    assert any(words in difference for difference in found), found


@pytest.mark.parametrize(
    ("text", "words"),
    [("cases: []", "is empty"), ("cases: [{name: a, calls: [], expect: {}}]", "'verdict' is missing"), (changed("reason: fraud", "reasons: fraud"), "did you mean 'reason'?"), ("cases: [{name: a, calls: [], now: yesterday morning, expect: {verdict: verified}}]", "no time")],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_lines(text, words):
    with pytest.raises(Invalid) as caught:
        read_cases(text)
    assert any(words in one.problem and one.field.startswith("line ") for one in caught.value.fields)


# mutations: each safeguard, taken out of the interpreter, is noticed by a recorded case

MORE = """
  - name: the fix takes and the goal is not met
    contact: {email: ana@example.com}
    calls:
      - {call: crm.get_account, gives: {status: locked, fraud: false}, times: 2}
      - {call: crm.find_customer, gives: {id: c1}}
      - {call: crm.unlock_account}
      - {call: crm.get_account, gives: {status: active, fraud: false}}
      - {call: crm.get_account, gives: {status: suspended, fraud: false}}
    expect: {verdict: escalated, reason: goal_not_met}
  - name: the act does not show
    contact: {email: ana@example.com}
    calls:
      - {call: crm.get_account, gives: {status: locked, fraud: false}}
      - {call: crm.find_customer, gives: {id: c1}}
      - {call: crm.unlock_account}
    expect: {verdict: escalated, reason: verification_failed}
  - name: there is nothing to unlock
    contact: {email: ana@example.com}
    calls:
      - {call: crm.get_account, gives: {status: suspended, fraud: false}}
      - {call: crm.find_customer, gives: {id: c1}}
    expect: {verdict: escalated, reason: goal_not_met, acts: []}
"""
MUTATIONS = {
    "the goal re-check": ("        return (yield from self._is_met(frame, names, patience=frame.goal.patience))\n\n    def _is_broken(", "        return True\n\n    def _is_broken("),
    "the verification": ("if not (yield from self._is_verified(step, path, names, frame)) and", "if False and"),
    "the guard": ("if not decide(guard.that, seen):", "if False:"),
    "the check before the act": ("        if not (yield from self._is_broken(step, path, names, frame)):\n            return False\n        if (yield from self._ask_first", "        if (yield from self._ask_first"),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTATIONS)
def test_taking_out_a_safeguard_is_noticed(name):
    assert differences(CASES + MORE) == []
    assert differences(CASES + MORE, interpreter=mutated(*MUTATIONS[name])) != []


def mutated(old: str, new: str) -> Callable[..., Any]:
    """The interpreter with one piece of its source replaced."""
    source = Path(interpreter.__file__).read_text(encoding="utf-8")
    assert source.count(old) == 1, "the mutation must name one place of the source"
    module = ModuleType("mutated_interpreter")
    sys.modules[module.__name__] = module  # dataclasses look their module up
    try:
        exec(compile(source.replace(old, new), "mutated_interpreter", "exec"), module.__dict__)
    finally:
        del sys.modules[module.__name__]
    return module.interpret


# from a run to a case

ENVIRONMENT = {
    "ticket": {"number": 7},
    "contact": {"email": "ana@example.com"},
    "slots": {"consent": {"name": "consent", "status": "read", "value": {"status": "given", "amount": 2}}, "phone": SlotReading("phone", "absent")},
    "now": datetime(2026, 3, 1, tzinfo=UTC),
}  # fmt: skip


def observed(seq: int, path: str, action: str, value: Any, **more: Any) -> dict[str, Any]:
    arguments = {"email": "ana@example.com"}
    told = {"value": value, "error": None, "is_missing": False, **more}
    return {
        "seq": seq,
        "path": path,
        "kind": "observe",
        "connector": "crm",
        "action": action,
        "arguments": arguments,
        "told": told,
    }


def a_run() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    locked, active = {"status": "locked", "fraud": False}, {"status": "active", "fraud": False}
    steps = [
        observed(1, "goal/0/account", "get_account", locked),
        observed(2, "steps/customer", "find_customer", {"id": "c1"}),
        observed(3, "steps/unlock/check/account", "get_account", locked),
        observed(5, "steps/unlock/verify/0/account", "get_account", locked),
        {"seq": 6, "path": "steps/unlock/verify/0/pause", "kind": "pause", "connector": None, "action": None, "arguments": None, "told": {}},
        observed(7, "steps/unlock/verify/1/account", "get_account", active),
        observed(8, "goal/1/account", "get_account", active),
    ]  # fmt: skip
    act = {"seq": 4, "path": "steps/unlock/act/0", "connector": "crm", "action": "unlock_account", "arguments": {"id": "c1"}, "status": "done", "value": None, "reason": None, "error": None, "business_key": None, "amount": None, "is_undo": False}  # fmt: skip
    return steps, [act]


def recorded(**given: Any) -> dict[str, Any]:
    steps, actions = a_run()
    told = {"steps": steps, "actions": actions, "verdict": "verified", "reason": "goal_met"} | given
    return record("as it was", runbook=BOOK, environment=ENVIRONMENT, **told)


def test_a_run_that_happened_becomes_a_case_that_passes():
    case = recorded()
    assert case["slots"] == {"consent": {"status": "given", "amount": 2}}
    assert case["expect"]["acts"] == [{"call": "crm.unlock_account", "with": {"id": "c1"}}]
    assert differences(json.dumps({"cases": [case]})) == []


def test_leaving_out_the_last_read_of_a_recorded_run_is_noticed():
    old, new = MUTATIONS["the goal re-check"]
    found = differences(json.dumps({"cases": [recorded()]}), interpreter=mutated(old, new))
    assert any("nobody asked for the recorded answer of crm.get_account" in difference for difference in found)


def test_acts_keep_their_identity_and_what_became_of_them():
    steps, [act] = a_run()
    costly = act | {
        "status": "unknown",
        "error": "the line broke",
        "business_key": "c1",
        "amount": Decimal("2.50"),
        "is_undo": True,
    }
    case = recorded(actions=[costly], steps=steps[:3], verdict="escalated", reason="effect_unknown")
    assert case["calls"][-1] == {
        "call": "crm.unlock_account",
        "with": {"id": "c1"},
        "status": "unknown",
        "fails": "the line broke",
    }
    assert case["expect"]["acts"] == [
        {"call": "crm.unlock_account", "with": {"id": "c1"}, "once_per": "c1", "amount": 2.5, "undo": True}
    ]


def test_reads_that_failed_and_answers_of_the_client_are_kept():
    asked = {"seq": 9, "path": "slots/phone", "kind": "inquire", "connector": None, "action": None, "arguments": {"slot": "phone"}, "told": {"status": "read", "value": "+1"}}  # fmt: skip
    failed = [
        observed(1, "a", "x", None, error="down"),
        observed(2, "b", "y", None, error="404", is_missing=True),
        asked,
    ]
    case = recorded(steps=failed, actions=[])
    assert [set(call) - {"call", "with"} for call in case["calls"]] == [{"fails"}, {"missing"}]
    assert (case["answers"], case["expect"]["asked"]) == ({"phone": "+1"}, ["phone"])


def test_a_rehearsal_is_recorded_as_one():
    steps, actions = a_run()
    case = recorded(
        steps=steps[:3],
        actions=[actions[0] | {"status": "simulated"}],
        verdict="unverified",
        reason="rehearsed",
        mode="shadow",
    )
    assert [call["call"] for call in case["calls"]] == ["crm.get_account", "crm.find_customer", "crm.get_account"]
    assert differences(json.dumps({"cases": [case]})) == []


def test_a_consent_is_written_as_an_object():
    from asoe.desk.runbook.recorded import slot_json

    assert slot_json(SlotReading("c", "read", Consent("given", Decimal(2), "GB"))) == {
        "status": "given",
        "amount": 2.0,
        "unit": "GB",
    }
