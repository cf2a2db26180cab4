"""Routing through the HTTP door: an admin sets teams, staff see who was given what, clients and strangers nothing."""

from __future__ import annotations

import httpx
from flow_cast import Connect, problem
from pydantic import TypeAdapter

from asoe.api import routing as shapes

ROUTING = "/api/routing"
TEAMS = {"billing": {"levels": [{"members": ["ben.agent@acme.example"], "take_within": "30m"}]}}
RULES = {"rules": [{"name": "press", "words": ["journalist"], "team": "product"}]}


async def test_teams_are_set_read_and_refused_by_field(owner: httpx.AsyncClient, agent: httpx.AsyncClient) -> None:
    changed = await owner.patch(ROUTING, json={"teams": TEAMS, "escalation": RULES})
    assert TypeAdapter(shapes.RoutingOut).validate_json(changed.content).teams == TEAMS
    assert (await agent.get(ROUTING)).json() == {"teams": TEAMS, "people": {}, "escalation": RULES}
    wrong = {"teams": {"billing": {"levels": [{"members": ["ben"]}, 5, {}], "hours": "night"}}, "people": {"x@y": []}}
    found = problem(await owner.patch(ROUTING, json=wrong), 422, "bad_routing")
    assert {each["field"] for each in found["errors"]} >= {
        "teams.billing.levels.0.members", "teams.billing.levels.1", "teams.billing.hours", "people.x@y"
    }  # fmt: skip
    problem(await owner.patch(ROUTING, json={"escalation": {"weights": {"mood": 1}}}), 422, "bad_policy")
    problem(await agent.patch(ROUTING, json={"teams": {}}), 403, "role_not_permitted")


async def test_who_was_given_a_ticket_is_seen_by_staff_only(
    agent: httpx.AsyncClient, client: httpx.AsyncClient, connect: Connect, globex: object
) -> None:
    ticket = (await client.post("/api/support/ticket", json={"body": "I need a person"})).json()
    given = f"/api/support/ticket/{ticket['id']}/assignments"
    assert TypeAdapter(shapes.AssignmentPage).validate_json((await agent.get(given)).content).items == []
    problem(await client.get(given), 403, "role_not_permitted")
    problem(await client.get(ROUTING), 403, "role_not_permitted")
    stranger = await connect(globex.owner)  # type: ignore[attr-defined]
    problem(await stranger.get(given), 404, "ticket_missing")
    assert (await stranger.get(ROUTING)).json() == {"teams": {}, "people": {}, "escalation": {}}
