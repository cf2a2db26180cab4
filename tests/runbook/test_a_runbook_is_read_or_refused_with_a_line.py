"""Text becomes the runbook it says, or is refused with the line, what is wrong, and what to do."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runbook_text import WHOLE

from asoe.desk.runbook.language import parse, read_runbook, schema
from asoe.desk.runbook.source import read_source
from asoe.domain.errors import Invalid
from asoe.domain.resolution import RESOLUTION_TYPES
from asoe.domain.runbook import SLOT_TYPES, Act, ApprovalRule, Call, Condition, End, Guard, Limit, Patience, Read
from asoe.domain.triage import CATEGORIES


def problems(text: str) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as caught:
        read_runbook(text)
    assert caught.value.code == "bad_runbook"
    assert caught.value.fields[0].field in caught.value.message
    return [(one.field, one.problem) for one in caught.value.fields]


def test_everything_that_is_written_is_in_the_runbook():
    book = read_runbook(WHOLE)
    assert (book.name, book.title, book.resolution_type) == ("unlock-account", "Unlock an account", "auto_fix")
    assert (book.timeout, book.most_acts) == (timedelta(minutes=20), 5)
    assert book.connectors == {"estate": "estate-eu"}
    assert book.match.when == 'ticket.language != ""'
    assert (book.match.categories, book.match.unlike) == (("account",), ("I forgot my address",))
    assert book.limits == (Limit("client", timedelta(hours=24), 3),)
    assert book.slot("refuel").examples == {"given": ("yes", "go ahead"), "refused": ("no", "better not")}
    assert (book.slot("refuel").is_required, book.slot("phone").is_required) == (False, True)
    assert book.routine.goal.patience == Patience(timedelta(seconds=30), timedelta(seconds=5))
    assert [step.id for step in book.routine.steps] == [
        "customer", "let", "unlock", "mobile-data", "each-job", "when", "ask-color", "escalate",
    ]  # fmt: skip
    lookup, let, fix, do, each, when, ask, end = book.routine.steps
    assert lookup.read == Read(
        Call("estate", "find_customer", {"phone": "=slots.phone", "deep": [{"x": "=ticket.number"}, 3]}),
        "customer",
        "result.items[0]",
    )
    assert lookup.expect == Guard('customer.id != ""', "not_found", "refuse", "Nobody.")
    assert let.values == {"over": "customer.used - customer.limit", "fixed": "3", "word": '"plain"', "list": "[1, 2]"}
    account = Read(Call("estate", "get_account", {"id": "=customer.id"}), "account")
    assert (fix.check, fix.when, fix.still_broken) == ((account,), 'account.status == "locked"', "next")
    assert fix.verify == Condition((account,), 'account.status == "active"')
    fraud = Guard("account.fraud == false", "fraud")
    assert fix.acts == (
        Act(
            call=Call("estate", "unlock_account", {"id": "=customer.id"}),
            guards=(fraud, Guard('slots.refuel.status == "given" && over > 1.0', "needs_consent")),
            limits=(Limit("organization", timedelta(days=7), total=Decimal(50), reason="too_much"),),
            once_per="customer.id",
            amount="2.5",
            unit="USD",
            undo=Call("estate", "lock_account", {"id": "=customer.id", "was": "=unlocked.was"}),
            approval=ApprovalRule(2, "admin", timedelta(hours=1), "amount > 20"),
            into="unlocked",
        ),
        Act(Call("estate", "note", {"text": "=unlocked.was"}), (fraud,)),
    )
    assert (do.name, do.values, do.when) == ("mobile-data", {"line": "=contact.phone"}, "has(customer.line)")
    assert (each.name, each.where, each.most, each.steps[0].duration) == (
        "job",
        'job.state == "stuck"',
        20,
        timedelta(seconds=90),
    )
    assert (when.then[0].patience, when.otherwise[0].verdict) == (timedelta(days=1), "refused")
    assert (ask.slot, ask.patience) == ("color", timedelta(hours=48))
    assert end == End("escalate", "escalated", "out_of_ideas", 'slots.color == "red"', "Try another color.")
    assert book.procedures["mobile-data"].parameters == ("line",)
    assert book.procedures["mobile-data"].steps[0].verify is None
    assert book.replies == {"verified": {"en": "Done: {{account.status}}."}}


def test_equal_steps_have_ids_of_their_own():
    text = WHOLE.replace("  - ask: color\n", "  - wait: 1m\n  - wait: 2m\n  - ask: color\n")
    assert [step.id for step in read_runbook(text).routine.steps if step.id.startswith("wait")] == ["wait", "wait-2"]


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("title: Unlock an account\n", "", "the document", "'title' is missing"),
        ("timeout: 20m", "timeout: 20", ": timeout", "is not a text"),
        ("timeout: 20m", "timeout: 20 minutes", ": timeout", "`10m`"),
        ("still_broken: next", "still_borken: next", "steps.2.still_borken", "did you mean 'still_broken'?"),
        ("still_broken: next", "still_broken: never", "steps.2.still_broken", "choose one of next, escalate, fail"),
        ("call: estate.find_customer", "call: find_customer", "steps.0.call", "`estate.get_account`"),
        ("met: =account.status", "met: account.status", "goal.met", "an expression starts with ="),
        ("  - ask: color", "  - aks: color", "steps.6", "this is no step"),
        ("question: {en: Which number?}", "question: {de: Welche?}", "slots.1.question", "'en' is missing"),
        ("reason: fraud", "reason: Fraud!", "steps.2.guards.0.reason", "`not_found`"),
        ("most_acts: 5", "most_acts: 0", "most_acts", "at least 1"),
        ("resolution_type: auto_fix", "resolution_type: guided_resolution", "resolution_type", "auto_fix"),
        ("window: 24h, count: 3", "window: 24h", "limits.0", "'count' or 'total'"),
        ("runbook: unlock-account", "runbook: Unlock", ": runbook", "`unlock-account`"),
        ("most: 20", "most: many", "steps.4.most", "a whole number"),
        ("runbook: unlock-account", "runbook: &x unlock-account", "line 1", "anchors"),
        ("title: Unlock an account", "title: *x", "line 2", "anchors"),
        ("title: Unlock an account", "title: !!python/object:os.system x", "line 2", "tags"),
        ("title: Unlock an account", "title: a\ntitle: b", "line 3: title", "stands here twice"),
        ("title: Unlock an account", "title: a: b", "line 2", "single quotes"),
        ("select: '=result.items[0]'", "select: =a ? b : c", "line 33", "single quotes"),
        ("title: Unlock an account", "title: 'x", "line", "close every quote"),
        ("  categories: [account]", "\tcategories: [account]", "line 6", "indent with spaces"),
        ("title: Unlock an account", "? [a]\n: 1", "line 2", "a key must be a word"),
        ("{within: 30s, every: 5s}", "{within: 30s, every: 5s, x > 1)}", "goal.patience.x > 1)", "single quotes"),
        (
            "{id: =customer.id}, into: account}]",
            "{id: =l.map(x, x)}, into: account}]",
            "steps.2.check.0.with",
            "single quotes",
        ),
        ("runbook: unlock-account", "--- a\n--- b", "line 2", "one runbook"),
    ],
)
def test_what_is_wrong_is_named_with_line_and_remedy(old, new, place, words):
    assert old in WHOLE
    text = WHOLE.replace(old, new, 1)
    found = problems(text)
    assert any(place in field and words in problem for field, problem in found), found
    assert all(re.match(r"line \d+: ", field) for field, _ in found)
    assert all("; " in problem for _, problem in found), "each says what to do"


def test_lines_are_those_of_the_text():
    line = WHOLE.splitlines().index("    still_broken: next") + 1
    assert (
        problems(WHOLE.replace("still_broken: next", "still_broken: no"))[0][0] == f"line {line}: steps.2.still_broken"
    )


def test_several_mistakes_are_named_at_once_in_the_order_of_the_text():
    text = WHOLE.replace("timeout: 20m", "timeout: x").replace("title: ", "titel: ").replace("most: 20", "most: -1")
    fields = [field for field, _ in problems(text)]
    assert len(fields) == 4
    lines = [int(re.match(r"line (\d+)", field)[1]) for field in fields]
    assert lines == sorted(lines)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("# only a comment", "is empty"),
        ("just words", "a mapping"),
        ("[1, 2]", "a mapping"),
        ("a: \x00", "control characters"),
        ("[" * 100, "deep"),
        ("a: " + "{b: " * 60 + "1" + "}" * 60, "deep"),
        ("a: [" + "1," * 25_000 + "]", "values"),
        ("a: " + "x" * 300_000, "larger than 256 KiB"),
    ],
)
def test_senseless_and_oversized_texts_are_refused(text, words):
    assert words in problems(text)[0][1]


def test_words_stay_words():
    source = read_source(
        "{a: yes, b: no, c: on, d: 2026-01-01, e: 1:30, f: 0o7, g: '5', h: 5, i: 1.5, j: null, k: true, no: x}"
    )
    assert source.data == {
        "a": "yes", "b": "no", "c": "on", "d": "2026-01-01", "e": "1:30", "f": "0o7", "g": "5", "h": 5, "i": 1.5, "j": None,
        "k": True, "no": "x",
    }  # fmt: skip


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_no_text_is_answered_with_anything_but_a_refusal(text):
    with pytest.raises(Invalid):
        parse(text)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.text(st.characters(codec="utf-8", exclude_categories=("C",)), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.from_regex(r"\A[a-z]{1,8}\Z"), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.from_regex(r"\A[a-z]{1,8}\Z"), JSON, min_size=1, max_size=5))
def test_json_is_yaml(value):
    assert read_source(json.dumps(value, ensure_ascii=False)).data == value


def test_the_schema_speaks_of_what_the_domain_knows():
    definitions = schema()["$defs"]
    assert tuple(definitions["slot"]["properties"]["type"]["enum"]) == SLOT_TYPES
    assert tuple(definitions["match"]["properties"]["categories"]["items"]["enum"]) == CATEGORIES
    assert set(schema()["properties"]["resolution_type"]["enum"]) < set(RESOLUTION_TYPES)
