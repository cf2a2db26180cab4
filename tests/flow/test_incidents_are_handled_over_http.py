"""Incidents over HTTP: opened, shown with their figures, told, ended; refused where they make none."""

from __future__ import annotations

from uuid import UUID

import httpx
from flow_cast import open_ticket, problem

from asoe.app import App
from asoe.desk import housekeeping, journey

INCIDENTS = "/api/support/incidents"


async def test_an_incident_is_opened_told_and_ended(agent: httpx.AsyncClient, app: App) -> None:
    made = await open_ticket(agent, contact={"email": "ana@client.example"})
    await journey.advance(app.desk, UUID(made["org_id"]), UUID(made["id"]))
    opened = await agent.post(
        INCIDENTS, json={"title": "Down", "ticket_ids": [made["id"]], "known": "We know.", "is_suspected": True}
    )
    assert opened.status_code == 201, opened.text
    one = f"{INCIDENTS}/{opened.json()['id']}"
    refused = await agent.post(f"{one}/updates", json={"content": "soon"})
    problem(refused, 409, "incident_not_open")
    assert (await agent.post(f"{one}/confirm")).json()["status"] == "open"
    await housekeeping.keep_incidents(app.desk)
    (linked,) = (await agent.get(f"{one}/tickets")).json()["items"]
    assert (linked["ticket_id"], linked["because"], linked["outcome"]) == (made["id"], "named", None)
    assert linked["told_at"]
    assert (await agent.post(f"{one}/updates", json={"content": "At noon."})).json() == {"number": 1}
    problem(await agent.post(f"{one}/fix", json={"runbook": "none"}), 409, "fix_not_started")
    assert (await agent.post(f"{one}/dismiss")).json()["status"] == "dismissed"
    whole = (await agent.get(one)).json()
    assert [each["content"] for each in whole["updates"]] == ["At noon."]
    kinds = [fact["kind"].partition(".")[2] for fact in whole["timeline"]]
    assert kinds == ["opened", "confirmed", "updated", "dismissed"], "a refused start leaves nothing"
    assert whole["counts"]["told"] == 1
    (part,) = (await agent.get(f"/api/support/ticket/{made['id']}/incidents")).json()["items"]
    assert part["id"] == whole["id"]


async def test_what_makes_no_incident_is_refused(agent: httpx.AsyncClient) -> None:
    refused = problem(await agent.post(INCIDENTS, json={"title": "Down"}), 422, "bad_incident")
    assert refused["errors"][0]["field"] == "intent"
    listed = await agent.get(INCIDENTS, params={"status": "nothing"})
    assert listed.status_code == 422
    assert (await agent.get(INCIDENTS, params={"status": ["open", "fixing"]})).json() == {
        "items": [],
        "next_cursor": None,
    }
