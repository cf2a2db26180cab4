"""Canned replies are filled whole or not at all, and mentions name exactly one colleague."""

from __future__ import annotations

from uuid import UUID

import pytest

from asoe.domain import canned_reply
from asoe.domain.errors import Invalid
from asoe.domain.mention import Colleague, mentioned

BEN, EVE, OTHER = (
    Colleague(UUID(int=1), "Ben Carter", "ben@acme.example"),
    Colleague(UUID(int=2), "Eve", "eve@acme.example"),
    Colleague(UUID(int=3), "Ben Moore", "ben@other.example"),
)


def test_values_are_put_in_as_they_are_and_never_read_again() -> None:
    values = {"client.name": "{{agent.name}} <b>\nBcc: x", "agent.name": "Ben"}
    assert canned_reply.fill("Dear {{client.name}}, {{ agent.name }}", values) == "Dear {{agent.name}} <b> Bcc: x, Ben"


@pytest.mark.parametrize("value", [None, "", " \n"])
def test_a_value_that_is_missing_is_named(value: str | None) -> None:
    with pytest.raises(Invalid, match=r"client\.name \(the client's name\)") as caught:
        canned_reply.fill("Dear {{client.name}} of {{team.name}}", {"client.name": value, "team.name": "Billing"})
    assert [each.field for each in caught.value.fields] == ["client.name"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"body": "Dear {{client.salary}}"}, "body"),
        ({"body": "Dear {{client.__class__}}"}, "body"),
        ({"body": "Dear {{ client.name"}, "body"),
        ({"body": " "}, "body"),
        ({"name": "Has Spaces"}, "name"),
        ({"title": ""}, "title"),
        ({"language": "english"}, "language"),
    ],
)
def test_a_wrong_reply_is_refused_by_field(wrong: dict[str, str], field: str) -> None:
    good = {"name": "thanks", "title": "Thanks", "body": "Dear {{client.name}}", "language": None}
    canned_reply.check(**good)  # type: ignore[arg-type]
    with pytest.raises(Invalid) as caught:
        canned_reply.check(**{**good, **wrong})  # type: ignore[arg-type]
    assert caught.value.fields[0].field == field


@pytest.mark.parametrize(
    ("text", "who"),
    [
        ("@eve look", [2]),
        ("Ask @Eve, please.", [2]),
        ("@eve@acme.example.", [2]),
        ("(@ben@acme.example) and @eve and @Eve", [1, 2]),
        ('@"Ben Moore" knows', [3]),
        ('@"ben  carter"', [1]),
        ("write to eve@acme.example", []),
        ("x@eve and @@eve", []),
        ("@nobody @here", []),
        ("", []),
    ],
)
def test_a_mention_names_a_colleague_or_stays_text(text: str, who: list[int]) -> None:
    assert [each.int for each in mentioned(text, (BEN, EVE, OTHER))] == who


def test_a_name_of_two_people_is_refused_with_both_addresses() -> None:
    with pytest.raises(Invalid, match=r"ben@acme\.example, ben@other\.example"):
        mentioned("@ben please", (BEN, EVE, OTHER))
    assert mentioned("@ben please", (BEN, EVE)) == (BEN.user_id,)
