"""Wishes through the HTTP door: staff count, name, merge and ship them; clients and strangers see none."""

from __future__ import annotations

from uuid import UUID

import httpx
from flow_cast import Connect, open_ticket, problem
from pydantic import TypeAdapter

from asoe.api import wishes as shapes
from asoe.app import App
from cast import make_wish

WISHES = "/api/wishes"


async def test_wishes_are_counted_named_merged_and_shipped(
    app: App, acme: object, agent: httpx.AsyncClient, client: httpx.AsyncClient, connect: Connect, globex: object
) -> None:
    engine = acme.engine  # type: ignore[attr-defined]
    for number, email in enumerate(("ana@client.example", "kim@client.example"), 1):
        made = await open_ticket(agent, contact={"email": email})
        assert await make_wish(app.database, engine, UUID(made["id"]), f"Wish {number}") == number
    page = TypeAdapter(shapes.WishPage).validate_json((await agent.get(WISHES)).content)
    assert [each.clients for each in page.items] == [1, 1]
    changed = await agent.patch(f"{WISHES}/1", json={"title": "Dark theme", "status": "planned"})
    assert (changed.json()["title"], changed.json()["status"]) == ("Dark theme", "planned")
    assert (await agent.post(f"{WISHES}/2/merge", json={"into": 1})).json()["clients"] == 2
    problem(await agent.post(f"{WISHES}/2/merge", json={"into": 2}), 422, "invalid_wish")
    problem(await agent.post(f"{WISHES}/2/ship", json={}), 409, "wish_settled")
    shipped = await agent.post(f"{WISHES}/1/ship", json={"note": "Settings"})
    assert (shipped.json()["status"], shipped.json()["note"]) == ("shipped", "Settings")
    one = TypeAdapter(shapes.WishWithSupportersOut).validate_json((await agent.get(f"{WISHES}/1")).content)
    assert [each.came_with for each in one.supporters] == [None, 2]
    problem(await client.get(WISHES), 403, "role_not_permitted")
    stranger = await connect(globex.owner)  # type: ignore[attr-defined]
    problem(await stranger.get(f"{WISHES}/1"), 404, "wish_missing")
    problem(await agent.get(f"{WISHES}/0"), 422, "invalid_request")
