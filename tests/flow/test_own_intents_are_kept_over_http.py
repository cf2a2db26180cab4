"""Own intents through the HTTP door: admins keep them, the team sees them, clients and other organizations see nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
from flow_cast import Connect, open_ticket, problem
from pydantic import TypeAdapter

from asoe.api import intents as shapes

if TYPE_CHECKING:
    from tests.conftest import Org

INTENTS = "/api/intents"
WATER = {
    "name": "sprinkler_closed",
    "category": "technical",
    "title": "Sprinkler does not open",
    "examples": ["No water comes out of the sprinkler in the greenhouse"],
}


async def test_own_intents_are_added_found_changed_and_retired(
    owner: httpx.AsyncClient, agent: httpx.AsyncClient, client: httpx.AsyncClient, connect: Connect, globex: Org
) -> None:
    made = await owner.post(INTENTS, json=WATER)
    assert made.status_code == 201, made.text
    assert TypeAdapter(shapes.IntentOut).validate_json(made.content).category == "technical"
    problem(await owner.post(INTENTS, json=WATER), 409, "intent_exists")
    problem(await owner.post(INTENTS, json={**WATER, "name": "refund_request"}), 422, "bad_intent")
    problem(await agent.post(INTENTS, json={**WATER, "name": "other_one"}), 403, "role_not_permitted")
    problem(await client.get(INTENTS), 403, "role_not_permitted")
    page = TypeAdapter(shapes.IntentPage).validate_json((await agent.get(INTENTS)).content)
    assert ([each.name for each in page.items], "refund_request" in page.shared["billing"]) == (
        ["sprinkler_closed"],
        True,
    )

    ticket = await open_ticket(agent, contact={"email": "ana@client.example"})
    path = f"/api/support/ticket/{ticket['id']}"
    changed = (await agent.patch(path, json={"intent": "sprinkler_closed"})).json()
    assert (changed["intent"], changed["category"]) == ("sprinkler_closed", "technical")
    listed = (await agent.get("/api/support/tickets", params={"intent": "sprinkler_closed"})).json()
    assert [each["id"] for each in listed["items"]] == [ticket["id"]]

    stranger = await connect(globex.owner)
    assert (await stranger.get(INTENTS)).json()["items"] == []
    problem(await stranger.patch(f"{INTENTS}/sprinkler_closed", json={"title": "Mine"}), 404, "no_intent")
    problem(await agent.patch(f"{INTENTS}/sprinkler_closed", json={"is_retired": True}), 403, "role_not_permitted")
    retired = (await owner.patch(f"{INTENTS}/sprinkler_closed", json={"title": "Dry", "is_retired": True})).json()
    assert (retired["title"], retired["retired_at"] is not None) == ("Dry", True)
    assert (await agent.get(INTENTS)).json()["items"] == []
    assert len((await agent.get(INTENTS, params={"with_retired": True})).json()["items"]) == 1
