"""What is read by meaning calls a person like a phrase does, says how sure it is, and weighs what the organization says."""

from __future__ import annotations

import json
from typing import Any

import pytest


async def test_a_wish_that_no_phrase_says_reaches_a_person_with_its_probability(world: Any) -> None:
    made = await world.open("My eyes are bad, I hear better than I read. #meant:client_asked")
    await world.advance(made)
    found = await world.now(made)
    assert (found.status, found.waiting_for) == ("escalated", "person")
    [escalation] = await world.escalations(made)
    assert escalation["reasons"] == ["client_asked"]
    assert "client asked was read by meaning (90%), no phrase says it" in escalation["dossier"]["likely"]
    told = await world.one(
        "select data::text from asoe.facts where ticket_id = $1 and kind = 'ticket.escalated'", made.id
    )
    assert json.loads(told)["read_by_meaning"] == {"client_asked": 0.9}


async def test_what_a_phrase_says_is_not_said_to_be_read_by_meaning(world: Any) -> None:
    made = await world.open("I want to speak to a human. #meant:client_asked")
    await world.advance(made)
    [escalation] = await world.escalations(made)
    assert "client_asked" in escalation["reasons"]
    assert "read by meaning" not in json.dumps(escalation["dossier"])


@pytest.mark.parametrize(
    ("weights", "is_handed_over"), [({}, False), ({"anger": 1}, True), ({"client_asked": 0}, False)]
)
async def test_it_weighs_what_the_organization_says(
    world: Any, weights: dict[str, float], is_handed_over: bool
) -> None:
    await world.set_settings(escalation={"weights": weights})
    reason = "client_asked" if "client_asked" in weights else "anger"
    made = await world.open(f"How do I export? #meant:{reason}")
    await world.advance(made)
    assert ((await world.now(made)).status == "escalated") is is_handed_over
