"""Expressions: plain values in, plain values out, numbers that fit together, and errors that name the place."""

from __future__ import annotations

import contextlib
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asoe.desk.runbook.expressions import (
    ExpressionError,
    compile_expression,
    decide,
    evaluate,
    expressions_in,
    fill,
    to_amount,
    to_json,
    to_key,
    unknown_functions,
    unknown_names,
)
from asoe.domain.runbook import Consent

DEEP: list = []
for _ in range(50_000):
    DEEP = [DEEP]
MONSTERS = {"long": list(range(1_001)), "big": "x" * 600_000, "deep": DEEP, "odd": object()}
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("a.used - a.limit", 0.5),
        ("a.limit * 1.5", 22.5),
        ("items[0].price * 1.5", 4.5),
        ("a.limit + 1", 16),
        ("9007199254740993 + 0", 9007199254740993),
        ("a.used > a.limit", True),
        ('number("2.0 GB") + 1', 3.0),
        ('number("1,250.50")', 1250.5),
        ('number("1.250,50 EUR")', 1250.5),
        ('number("-3")', -3),
        ('number("1 250 000 EUR")', 1250000),
        ('"a-b".replace("-", "+") + join(["x", "y"], ", ")', "a+bx, y"),
        ('number("15.1 GB") - number("15 GB") > 0.0', True),
        ("size(items) * 1.5", 3.0),
        ("items.size() + 0.5", 2.5),
        ('int("3") / 2.0', 1.5),
        ("max(1, 2) + 0.5", 2.5),
        ('date("2026-01-31") < now', True),
        ('now - duration("1h")', NOW - timedelta(hours=1)),
        ('lower(" ABC ")', "abc"),
        ("sum(items.map(i, i.price))", 7),
        ("sum([0.1, 0.2])", 0.3),
        ("max(1, 2.5)", 2.5),
        ("min(items.map(i, i.price))", 3),
        ("round(2.456, 2)", 2.46),
        ("text(true) + text(2.0)", "true2"),
        ('"a, b".split(",")', ["a", " b"]),
        ("has(a.nothing) ? 1 : 2", 2),
        ('items.filter(i, i.price > 3).exists(i, i.id == "b")', True),
        ("born.getFullYear()", 2001),
        ("c.status", "given"),
        ("c.amount * 2", 4),
        ("big", "1180591620717411303424"),
        ("price", 9.5),
    ],
)
def test_values_are_plain_and_numbers_fit_together(expression, value):
    names = {
        "a": {"used": 15.5, "limit": 15},
        "items": [{"id": "a", "price": 3}, {"id": "b", "price": 4}],
        "now": NOW,
        "born": date(2001, 2, 3),
        "c": Consent("given", Decimal("2.0"), "GB"),
        "big": 2**70,
        "price": Decimal("9.5"),
    }
    found = evaluate(expression, names)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("1 +", "at character 4: it ends too early"),
        ("a = 3", "equality is =="),
        ("a.b.c", "no such field"),
        ("items[4]", "no such element"),
        ("nobody == 1", "nothing is named 'nobody' here"),
        ("a.none > 1", "null or of another type"),
        ("number(a.word)", "does not name one number"),
        ("date(a.word)", "no date like"),
        ("lower()", "wrong arguments"),
        ("[1].map(x, x)[0] + x", "nothing is named 'x' here"),
        ("1 / 0", "division by zero"),
        ("items.map(i, items.map(j, items.map(k, 1)))", "at most 2 deep"),
        ("x" * 3000, "longer than 2000"),
        ("9223372036854775807 + 1", "overflow"),
        ("long.map(i, long.filter(j, j == i))", "too long for macros in one another"),
        ('big.replace("x", big)', "longer than 1000000"),
        ('big.replace("", big)', "not empty"),
        ("join([big, big])", "longer than 1000000"),
        ("big + big", "longer than 1000000"),
        ("deep", "nested too deeply"),
        ("odd", "object is no value"),
        ('number("12 34")', "does not name one number"),
    ],
)
def test_an_error_names_the_expression_and_the_mistake(expression, words):
    with pytest.raises(ExpressionError) as caught:
        evaluate(expression, {"a": {"b": {}, "none": None, "word": "secret words"}, "items": [1], **MONSTERS})
    assert words in caught.value.message
    assert expression[:20] in caught.value.message
    assert "secret" not in caught.value.message, "values of clients stay out of messages"


def test_a_function_that_fails_prints_nothing(capfd):
    with pytest.raises(ExpressionError):
        evaluate("number(word)", {"word": "secret"})
    out = capfd.readouterr()
    assert out.out + out.err == ""


def test_a_place_is_counted_over_lines():
    with pytest.raises(ExpressionError) as caught:
        compile_expression("a &&\nb c")
    assert caught.value.position == 8


@pytest.mark.parametrize("expression", ["1", '"true"', "null", "[true]"])
def test_a_condition_is_true_or_false(expression):
    with pytest.raises(ExpressionError, match="must be true or false"):
        decide(expression, {})


def test_templates_are_filled_wherever_expressions_stand():
    template = {"id": "=a.id", "deep": [{"when": "=now"}, "plain", 3, None], "sum": "=1 + 1.5", "sign": '="=x"'}
    filled = {"id": 5, "deep": [{"when": "2026-03-01T12:00:00Z"}, "plain", 3, None], "sum": 2.5, "sign": "=x"}
    assert fill(template, {"a": {"id": 5}, "now": NOW}) == filled
    assert expressions_in(template) == ("a.id", "now", "1 + 1.5", '"=x"')


@pytest.mark.parametrize("value", [b"x", float("nan"), float("inf"), object()])
def test_what_is_no_json_is_not_handed_on(value):
    with pytest.raises(ExpressionError):
        to_json({"a": [value]})


@pytest.mark.parametrize("value", [None, True, -1, -0.01, "x", "NaN", "Infinity", [], {}])
def test_an_amount_is_a_number_that_is_not_negative(value):
    with pytest.raises(ExpressionError):
        to_amount("x", value)


def test_equal_numbers_are_equal_keys():
    assert to_key("x", 5) == to_key("x", 5.0) == to_key("x", " 5 ") == "5"
    for empty in (None, "", "  ", True, [], {}):
        with pytest.raises(ExpressionError):
            to_key("x", empty)


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("l.filter(y, y > z).size() > 1 && has(a.b)", {"a", "l", "z"}),
        ("l.map(x, x) == x", {"l", "x"}),
        ("l.all(x, m.exists(y, y == x))", {"l", "m"}),
        ("\"l.map(q, 1)\" + 'r' + a.q", {"a"}),
        ('{"k": v}', {"v"}),
        ("true && null == x", {"x"}),
    ],
)
def test_free_names_are_found(expression, names):
    assert compile_expression(expression).names == names
    assert set(unknown_names(expression, ())) == names
    assert unknown_names(expression, names) == ()


def test_functions_nobody_offers_are_found():
    assert unknown_functions('foo(1) + size(x) + lower(y).matches("a") + x.map(i, bar(i))[0]') == ("bar", "foo")


@given(st.text(max_size=60))
def test_no_text_is_answered_with_anything_but_a_value_or_our_error(text):
    with contextlib.suppress(ExpressionError):
        evaluate(text, {"a": 1})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_passes_through_unchanged(value):
    assert fill("=x", {"x": value}) == value
