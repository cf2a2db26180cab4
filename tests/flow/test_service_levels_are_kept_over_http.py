"""Service levels through the HTTP door: an admin promises, staff see what presses, clients see nothing."""

from __future__ import annotations

import httpx
from flow_cast import Connect, problem
from pydantic import TypeAdapter

from asoe.api import answers
from asoe.api import service_levels as shapes

LEVELS = "/api/service-levels"
PROMISE = {
    "business_hours": {
        "office": {"zone": "Europe/Berlin", "week": {"mon": ["09:00-17:00"]}, "holidays": ["2026-12-25"]}
    },
    "service_levels": {"hours": "office", "targets": [{"severity": "medium", "first_response": "4h"}]},
}


async def test_a_promise_is_set_read_and_refused_by_field(owner: httpx.AsyncClient, agent: httpx.AsyncClient) -> None:
    changed = await owner.patch(LEVELS, json=PROMISE)
    assert TypeAdapter(shapes.ServiceLevelsOut).validate_json(changed.content).model_dump() == PROMISE
    assert (await agent.get(LEVELS)).json() == PROMISE
    only_hours = await owner.patch(LEVELS, json={"business_hours": {"office": {"week": {"tue": ["09:00-10:00"]}}}})
    assert only_hours.json()["service_levels"] == PROMISE["service_levels"]
    problem(await owner.patch(LEVELS, json={"business_hours": {}}), 422, "bad_service_levels")
    wrong = {
        "service_levels": {"targets": [{"severity": ["low"], "first_response": 5}, 7, {"severity": "low", "plan": {}}]}
    }
    found = problem(await owner.patch(LEVELS, json=wrong), 422, "bad_service_levels")
    assert {each["field"] for each in found["errors"]} >= {
        "service_levels.targets.0.severity", "service_levels.targets.1", "service_levels.targets.2.plan"
    }  # fmt: skip
    settings = {"settings": {"service_levels": "soon"}}
    problem(await owner.patch("/api/organization", json=settings), 422, "bad_service_levels")


async def test_a_tickets_clocks_and_a_clients_plan_are_seen_by_staff_only(
    owner: httpx.AsyncClient, agent: httpx.AsyncClient, client: httpx.AsyncClient, connect: Connect, globex: object
) -> None:
    opened = await agent.post(
        "/api/support/ticket", json={"body": "Export fails", "contact": {"email": "kim@example.org"}}
    )
    ticket = opened.json()
    clocks = f"/api/support/ticket/{ticket['id']}/service-levels"
    TypeAdapter(shapes.ClockPage).validate_json((await agent.get(clocks)).content)
    TypeAdapter(shapes.PressingOut).validate_json((await agent.get(f"{LEVELS}/pressing")).content)
    TypeAdapter(shapes.KeptOut).validate_json((await agent.get(f"{LEVELS}/kept")).content)
    plan = f"/api/contacts/{ticket['contact_id']}/plan"
    set_to = await agent.post(plan, json={"plan": "gold"})
    assert TypeAdapter(answers.ContactOut).validate_json(set_to.content).plan == "gold"
    assert (await agent.post(plan, json={"plan": None})).json()["plan"] is None
    for path in (clocks, LEVELS, f"{LEVELS}/pressing", f"{LEVELS}/kept"):
        problem(await client.get(path), 403, "role_not_permitted")
    problem(await client.post(plan, json={"plan": "gold"}), 403, "role_not_permitted")
    problem(await agent.patch(LEVELS, json=PROMISE), 403, "role_not_permitted")
    stranger = await connect(globex.owner)  # type: ignore[attr-defined]
    problem(await stranger.get(clocks), 404, "ticket_missing")
    problem(await stranger.post(plan, json={"plan": "gold"}), 404, "no_contact")
    assert (await stranger.get(LEVELS)).json() == {"business_hours": {}, "service_levels": {}}
