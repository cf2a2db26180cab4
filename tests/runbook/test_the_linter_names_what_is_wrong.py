"""Each finding has a line, what is wrong, and a remedy; what would act without proof does not load."""

from __future__ import annotations

import pytest
from runbook_text import WHOLE

from asoe.connectors.contract import Action
from asoe.desk.runbook.language import read_runbook
from asoe.desk.runbook.lint import check
from asoe.domain.errors import Invalid

ID = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"], "additionalProperties": False}
ACTIONS = {
    "estate": {
        "get_account": Action("get_account", "read"),
        "find_customer": Action("find_customer", "read"),
        "line": Action("line", "read", arguments=ID),
        "unlock_account": Action("unlock_account", "costly", arguments=ID),
        "lock_account": Action("lock_account", "reversible"),
        "note": Action("note", "reversible", undo="unnote"),
        "enable": Action("enable", "reversible", arguments=ID, undo="disable"),
    }
}


def findings(text: str, **given) -> list[tuple[str, int, str, str]]:
    found = [(one.severity, one.line, ".".join(map(str, one.path)), one.problem) for one in check(text, **given)]
    assert all(one.remedy for one in check(text, **given))
    return found


def changed(old: str, new: str) -> str:
    assert old in WHOLE
    return WHOLE.replace(old, new, 1)


def test_a_sound_runbook_has_no_findings():
    assert findings(WHOLE) == []


@pytest.mark.parametrize(
    ("old", "new", "path", "words"),
    [
        ("met: =account.status", "met: =acount.status", "goal.met", "nothing is named 'acount' here"),
        ('met: =account.status == "active"', "met: =true", "goal.met", "does not depend on anything it reads"),
        ('met: =account.status == "active"', "met: =account == account", "goal.met", "true whatever is read"),
        ('met: =account.status == "active"', "met: =true || account.x", "goal.met", "true whatever is read"),
        ('verify: {that: =account.status == "active"', "verify: {that: =over > 0", "steps.2.verify.that", "does not depend"),
        ("when: =!state.data", "when: =contact.email == line", "procedures.mobile-data.steps.0.when", "which is the verification as well"),
        ("when: =!state.data", "when: =state != state", "procedures.mobile-data.steps.0.when", "true whatever is read"),
        ("when: =has(customer.line)", "when: =has(customer.line", "steps.3.when", "at character"),
        ("=over > 1 &&", "=upper(over) > 1 &&", "steps.5.when", "no function upper()"),
        ("when: '=ticket.language", "when: '=slots.phone", "match.when", "nothing is named 'slots'"),
        ("phone: =slots.phone", "phone: =slots.fone", "steps.0.with.phone", "no slot 'fone'"),
        ("  - ask: color", "  - ask: colour", "steps.6.ask", "no slot 'colour'"),
        ("as: job\n", "as: ticket\n", "steps.4.as", "'ticket' is taken"),
        ("let: {over:", "let: {result:", "steps.1.let.result", "'result' is taken"),
        ("call: estate.find_customer", "call: state.find_customer", "steps.0.call", "no connector 'state'"),
        ("with: {line: =contact.phone}", "with: {lines: 1}", "steps.3", "needs 'line'"),
        ("with: {line: =contact.phone}", "with: {line: 1, more: 2}", "steps.3.with.more", "takes no 'more'"),
        ("  - do: mobile-data", "  - do: unlock-account", "steps.3.do", "calls itself"),
        ("      - fix: enable\n", "      - {do: mobile-data, with: {line: =line}}\n      - fix: enable\n", "procedures.mobile-data", "calls itself"),
        ("with: {id: =line}, into: state}], met", "with: {id: =customer.id}, into: state}], met", "procedures.mobile-data.goal.reads.0.with.id", "'customer'"),
        ("{{account.status}}", "{{acount.status}}", "replies.verified.en", "'acount'"),
        ("{per: client, window: 24h, count: 3}", "{per: client, count: 3}", "limits.0", "needs a window"),
        ("        amount: 2.5\n", "", "steps.2.act.0.limits.0", "needs the act's amount"),
        ("every: 5s}", "every: 0s}", "goal.patience.every", "no time at all"),
        ("- {wait: 90s}", "- {wait: 0m}", "steps.4.steps.0.wait", "no time at all"),
        ("Europe/Berlin", "Europe/Atlantis", "hours.0", "no such time or zone"),
        ("[yes, go ahead]", str([f"yes {n}" for n in range(21)]), "slots.0.examples.given", "21 phrasings"),
        ("refused: [no", "rejected: [no", "slots.0.examples.rejected", "no value of this slot"),
        ("type: choice, choices: [red, blue]", "type: choice", "slots.2", "has choices exactly when"),
        ("{name: phone, type: phone,", "{name: refuel, type: phone,", "slots.1.name", "declared twice"),
        ("{name: phone, type: phone,", '{name: phone, type: identifier, pattern: "(",', "slots.1.pattern", "no regular expression"),
        ("was: =unlocked.was}}", "was: =locked.was}}", "steps.2.act.0.undo.with.was", "'locked'"),
        ("when: =word == ", "when: =job == ", "steps.6.when", "'job'"),
    ],
)  # fmt: skip
def test_an_error_has_a_line_and_keeps_the_runbook_from_loading(old, new, path, words):
    text = changed(old, new)
    errors = [one for one in findings(text) if one[0] == "error"]
    assert any(where == path and words in problem for _, _, where, problem in errors), errors
    with pytest.raises(Invalid) as caught:
        read_runbook(text)
    assert any(words in one.problem for one in caught.value.fields)


def test_a_name_bound_in_one_branch_is_not_known_afterwards():
    text = changed("then: [{ask: refuel, patience: 1d}]", "then: [{let: {level: 1}}, {ask: refuel}]").replace(
        '=slots.color == "red"', "=level == 1 && slots.color == word"
    )
    assert [problem for _, _, _, problem in findings(text)] == ["nothing is named 'level' here"]
    both = text.replace("else: [{refuse: too_little, note: So little.}]", "else: [{let: {level: 2}}]")
    assert findings(both) == []


@pytest.mark.parametrize(
    ("old", "new", "path", "words"),
    [
        ("  - ask: color", "  - refuse: no\n  - ask: color", "steps.7", "never reached"),
        ('=slots.refuel.status == "given" && over > 1.0', "=over > 1.0", "slots.0", "no guard asks for the consent"),
        ('=slots.refuel.status == "given" && over > 1.0', "=over > 1.0", "steps.2.act.0", "done without one"),
        ("        once_per: =customer.id\n", "", "steps.2.act.0", "keeps it from moving twice"),
        ("connectors: {estate: estate-eu}", "connectors: {estate: estate-eu, other: x}", "connectors.other", "is not used"),
        ("within: 30s, every: 5s", "within: 30m, every: 5s", "goal.patience", "timeout ends before"),
        ("within: 30s, every: 5s", "within: 3s, every: 5s", "goal.patience", "nothing is tried again"),
        ("  - do: mobile-data\n    with: {line: =contact.phone}\n", "  - do: other-runbook\n", "steps.3.do", "no procedure of this file"),
        ("  - do: mobile-data\n    with: {line: =contact.phone}\n    when: =has(customer.line)\n", "", "procedures.mobile-data", "nobody calls"),
        ("type: phone, question", "type: phone, pattern: x, question", "slots.1.pattern", "only an identifier"),
    ],
)  # fmt: skip
def test_a_doubt_is_a_warning_and_the_runbook_loads(old, new, path, words):
    text = changed(old, new)
    found = findings(text)
    assert any(one[0] == "warning" and one[2] == path and words in one[3] for one in found), found
    read_runbook(text)


def test_an_unused_slot_is_named():
    text = WHOLE.replace('  - ask: color\n    when: =word == "plain"\n', "").replace(
        '=slots.color == "red"', '=word == "red"'
    )
    assert findings(text) == [("warning", 20, "slots.2", "the slot 'color' is not used")]


def test_a_runbook_for_no_ticket_is_doubted():
    lines = WHOLE.splitlines(keepends=True)
    text = "".join(lines[:4] + lines[10:])
    assert [one[3] for one in findings(text)] == ["nothing says which tickets this is for"]


# with what the connectors offer


def test_calls_that_fit_are_no_errors():
    assert {one[0] for one in findings(WHOLE, actions=ACTIONS)} == {"warning"}
    undoing = WHOLE.replace(
        "call: estate.enable, with", "undo: {call: estate.note}, call: estate.enable, with"
    ).replace("{call: estate.note, with", "{undo: {call: estate.note}, call: estate.note, with")
    assert findings(undoing, actions=ACTIONS) == []


@pytest.mark.parametrize(
    ("old", "new", "path", "words", "severity"),
    [
        ("call: estate.find_customer", "call: estate.find_costumer", "steps.0.call", "has no action 'find_costumer'", "error"),
        ("call: estate.find_customer", "call: estate.note", "steps.0.call", "changes something", "error"),
        ("call: estate.enable", "call: estate.line", "procedures.mobile-data.steps.0.act.call", "only reads", "error"),
        ("with: {id: =line}, into: state}], met", "into: state}], met", "procedures.mobile-data.goal.reads.0", "needs the argument 'id'", "error"),
        ("with: {id: =line}, into: state}], met", "with: {id: 5}, into: state}], met", "procedures.mobile-data.goal.reads.0.with.id", "does not take this", "error"),
        ("with: {id: =line}, into: state}], met", "with: {id: =line, x: 1}, into: state}], met", "procedures.mobile-data.goal.reads.0.with.x", "takes no 'x'", "error"),
        ("        once_per: =customer.id\n", "", "steps.2.act.0.call", "nothing keeps two runs from doing it twice", "error"),
        ("call: estate.lock_account", "call: estate.lock", "steps.2.act.0.undo.call", "has no action 'lock'", "error"),
        ("met", "met", "steps.2.act.1.call", "can be undone and no undo is declared", "warning"),
    ],
)  # fmt: skip
def test_calls_are_held_against_what_the_connectors_offer(old, new, path, words, severity):
    found = findings(changed(old, new), actions=ACTIONS)
    assert any(one[0] == severity and one[2] == path and words in one[3] for one in found), found


def test_an_irreversible_act_needs_approval():
    offered = {"estate": {**ACTIONS["estate"], "enable": Action("enable", "irreversible", arguments=ID)}}
    found = findings(WHOLE, actions=offered)
    assert {one[3] for one in found if one[0] == "error"} == {
        "'estate.enable' is irreversible and nothing keeps two runs from doing it twice",
        "'estate.enable' is irreversible and is never done without a person's approval",
    }


def test_a_key_of_the_system_makes_a_missing_business_key_a_doubt():
    offered = {"estate": {**ACTIONS["estate"], "unlock_account": Action("unlock_account", "costly", repeats="by_key")}}
    found = findings(WHOLE.replace("        once_per: =customer.id\n", ""), actions=offered)
    assert any(one[0] == "warning" and "doing it twice" in one[3] for one in found)
    assert not any(one[0] == "error" for one in found)


@pytest.mark.parametrize(
    ("given", "declared", "problem"),
    [
        ("cents: 500", "5", "'estate.enable' moves 500 (cents), and the runbook declares 5"),
        ("cents: =250 + 250", "=2 + 3", "'estate.enable' moves 500 (cents), and the runbook declares 5"),
        ("id: x", "500", "an amount is declared, and nothing tells 'estate.enable' how much to move"),
        ("cents: 500", "500", None),
        ("cents: 500", "=size(line)", None),
    ],
)
def test_a_declared_amount_is_held_against_what_the_act_moves(given, declared, problem):
    offered = {"estate": {**ACTIONS["estate"], "enable": Action("enable", "costly", amount="cents")}}
    act = f"{{call: estate.enable, with: {{{given}}}, once_per: =line, amount: {declared}}}"
    found = findings(changed("{call: estate.enable, with: {id: =line}}", act), actions=offered)
    assert [one[3] for one in found if one[0] == "error"] == ([problem] if problem else [])


def test_runbooks_of_the_library_are_known():
    other = read_runbook(WHOLE.replace("runbook: unlock-account", "runbook: other"))
    text = changed("  - do: mobile-data\n    with: {line: =contact.phone}\n", "  - do: other\n")
    assert [one for one in findings(text, library={"other": other}) if "nobody calls" not in one[3]] == []
    phoneless = text.replace("  - {name: phone, type: phone, question: {en: Which number?}}\n", "").replace(
        "=slots.phone", "1"
    )
    needy = [one for one in findings(phoneless, library={"other": other}) if "needs the slot 'phone'" in one[3]]
    assert [one[2] for one in needy] == ["steps.3.do"]
    assert any("neither a procedure nor a runbook" in one[3] for one in findings(text, library={}))
    elsewhere = read_runbook(
        WHOLE.replace("runbook: unlock-account", "runbook: other").replace("estate-eu", "estate-us")
    )
    assert any("uses the connector 'estate-us'" in one[3] for one in findings(text, library={"other": elsewhere}))


def test_a_text_that_cannot_be_read_is_a_finding_too():
    assert check("a: [")[0].is_error
    found = check(WHOLE.replace("timeout: 20m", "timeout: 1"))
    assert (found[0].path, found[0].line) == (("timeout",), WHOLE.splitlines().index("timeout: 20m") + 1)
