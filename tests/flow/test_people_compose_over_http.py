"""Canned replies, drafts, presence and crossing replies through the HTTP door."""

from __future__ import annotations

from typing import Any

import httpx
from flow_cast import Connect, open_ticket, problem
from pydantic import TypeAdapter

from asoe.api import composing as shapes

REPLIES = "/api/support/canned-replies"


async def test_canned_replies_are_kept_by_admins_and_used_by_the_team(
    owner: httpx.AsyncClient, agent: httpx.AsyncClient, client: httpx.AsyncClient, connect: Connect, globex: Any
) -> None:
    text = {"name": "thanks", "title": "Thanks", "body": "Your ticket is #{{ticket.number}}.", "language": "en"}
    made = TypeAdapter(shapes.CannedReplyOut).validate_json((await owner.post(REPLIES, json=text)).content)
    listed = TypeAdapter(shapes.CannedReplyPage).validate_json((await agent.get(REPLIES)).content)
    assert listed.items == [made]
    ticket = await open_ticket(agent)
    used = f"/api/support/ticket/{ticket['id']}/canned-replies"
    assert (await agent.get(f"{used}/thanks")).json() == {"content": f"Your ticket is #{ticket['number']}."}
    found = problem(
        await owner.post(REPLIES, json={"name": "x", "title": "X", "body": "{{a.b}}"}), 422, "bad_canned_reply"
    )
    assert [each["field"] for each in found["errors"]] == ["body"]
    await owner.post(REPLIES, json={"name": "team", "title": "Team", "body": "{{client.name}} {{team.name}}"})
    missing = problem(await agent.get(f"{used}/team"), 422, "missing_variable")
    assert "team.name" in {each["field"] for each in missing["errors"]}
    problem(await agent.post(REPLIES, json=text), 403, "role_not_permitted")
    problem(await client.get(REPLIES), 403, "role_not_permitted")
    stranger = await connect(globex.owner)
    assert (await stranger.get(REPLIES)).json() == {"items": []}
    problem(await stranger.get(f"{used}/thanks"), 404, "ticket_missing")
    problem(await stranger.delete(f"{REPLIES}/thanks"), 404, "no_canned_reply")
    assert (await owner.delete(f"{REPLIES}/thanks")).status_code == 204
    problem(await agent.get(f"{used}/thanks"), 404, "no_canned_reply")


async def test_two_people_hear_of_each_other_and_do_not_cross(
    owner: httpx.AsyncClient, agent: httpx.AsyncClient, client: httpx.AsyncClient, connect: Connect, globex: Any
) -> None:
    ticket = await open_ticket(agent)
    here = f"/api/support/ticket/{ticket['id']}/presence"
    assert (await agent.post(here, json={"state": "writing"})).json() == {
        "others": [],
        "collides": False,
        "client_writes": False,
    }
    both = TypeAdapter(shapes.CompanyOut).validate_json((await owner.post(here, json={"state": "writing"})).content)
    assert [each.state for each in both.others] == ["writing"]
    assert both.collides
    problem(await owner.post(here, json={"state": "gone"}), 422, "invalid_request")
    problem(await client.post(here, json={"state": "viewing"}), 403, "role_not_permitted")
    problem(await (await connect(globex.owner)).post(here, json={"state": "viewing"}), 404, "ticket_missing")
    said = f"/api/support/message/{ticket['session_id']}"
    words = {"role": "agent", "content": "We look at it.", "seen_seq": 1}
    assert (await agent.post(said, json=words)).status_code == 201
    problem(await owner.post(said, json=words), 409, "conversation_moved")
    problem(await agent.post(f"/api/support/ticket/{ticket['id']}/draft"), 404, "no_draft")
