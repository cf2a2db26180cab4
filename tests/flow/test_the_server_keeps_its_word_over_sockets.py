"""Behind granian, over real connections: live events that resume, bodies cut off at their limit, peers that leave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest
from flow_cast import open_ticket, problem

from asoe.api import stream as api_stream
from asoe.app import App
from asoe.desk import people

if TYPE_CHECKING:
    from tests.conftest import Org


@pytest.fixture
async def tokens(app: App, acme: Org) -> dict[str, str]:
    """A token of each role in Acme."""
    made = {
        role: await people.create_key(app.desk, acme.owner, name=role, role=role)
        for role in ("owner", "agent", "client")
    }
    return {role: key.token for role, key in made.items()}


@asynccontextmanager
async def caller(url: str, token: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as made:
        yield made


async def events(by: httpx.AsyncClient, session_id: str, last: str | None = None) -> AsyncIterator[dict[str, Any]]:
    """What the stream says, as it says it; comments are left out, the first is `following`."""
    headers = {"Last-Event-ID": last} if last else {}
    async with by.stream("GET", f"/api/support/session/{session_id}/events", headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        event: dict[str, Any] = {}
        async for line in response.aiter_lines():
            if line == ": following":
                yield {"following": True}
            elif not line and "data" in event:
                yield event
                event = {}
            elif line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                event[name] = json.loads(value) if name == "data" else value


async def test_a_viewer_learns_that_something_changed_and_resumes_where_it_was(
    served: str, tokens: dict[str, str]
) -> None:
    async with caller(served, tokens["agent"]) as agent, caller(served, tokens["client"]) as client:
        own = await open_ticket(client)
        session_id = own["session_id"]
        stream = events(client, session_id)
        assert await anext(stream) == {"following": True}
        await agent.post(f"/api/support/message/{session_id}", json={"role": "agent", "content": "Secret words."})
        told: list[dict[str, Any]] = []
        while not told or told[-1]["data"].get("seq") != 2:
            told.append(await asyncio.wait_for(anext(stream), 60))
        assert {event["event"] for event in told} == {"changed"}
        assert "Secret" not in json.dumps(told)
        await stream.aclose()

        await agent.post(f"/api/support/ticket/{own['id']}/notes", json={"content": "Not for clients."})
        await client.post(f"/api/support/message/{session_id}", json={"role": "user", "content": "While away."})
        resumed = events(client, session_id, told[-1]["id"])
        missed = []
        while not missed or missed[-1].get("data", {}).get("kind") != "message.added":
            missed.append(await asyncio.wait_for(anext(resumed), 60))
        await resumed.aclose()
        kinds = [event["data"]["kind"] for event in missed[1:]]
        assert "note.added" not in kinds
        assert missed[-1]["data"]["seq"] == 4


async def test_a_stream_ends_when_the_right_to_see_does(
    served: str, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_stream, "HEARTBEAT_SECONDS", 0.2)
    async with caller(served, tokens["owner"]) as owner, caller(served, tokens["agent"]) as agent:
        made = await open_ticket(agent)
        stream = events(agent, made["session_id"])
        await anext(stream)
        key_id = (await agent.get("/api/whoami")).json()["key_id"]
        await owner.delete(f"/api/keys/{key_id}")
        assert (await asyncio.wait_for(anext(stream), 60))["event"] == "closed"
        await stream.aclose()


async def test_a_foreign_session_is_not_followed(served: str, tokens: dict[str, str]) -> None:
    async with caller(served, tokens["agent"]) as agent, caller(served, tokens["client"]) as client:
        made = await open_ticket(agent)
        problem(await client.get(f"/api/support/session/{made['session_id']}/events"), 404, "session_missing")


async def test_a_body_past_the_limit_is_cut_off(served: str, tokens: dict[str, str]) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b" " * 65536

    async with caller(served, tokens["agent"]) as agent:
        headers = {"Content-Type": "application/json"}
        problem(await agent.post("/api/support/ticket", content=b" " * 10_000_000, headers=headers), 413, "too_large")
        problem(await agent.post("/api/support/ticket", content=endless(), headers=headers), 413, "too_large")
        assert (await agent.get("/api/whoami")).status_code == 200


async def test_a_peer_that_leaves_half_way_leaves_nothing_behind(served: str, tokens: dict[str, str]) -> None:
    where = urlsplit(served)
    head = (
        f"POST /api/support/ticket HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {tokens['agent']}\r\n"
        "Content-Type: application/json\r\nContent-Length: 500\r\n\r\n"
    )
    _, writer = await asyncio.open_connection(where.hostname, where.port)
    writer.write(head.encode() + b'{"subject": "half')
    await writer.drain()
    writer.close()
    async with caller(served, tokens["agent"]) as agent:
        assert (await agent.get("/api/support/stats")).json()["total_tickets"] == 0


async def test_many_at_once_all_get_their_number(served: str, tokens: dict[str, str]) -> None:
    async with caller(served, tokens["agent"]) as agent:
        made = await asyncio.gather(*(open_ticket(agent, subject=f"crash {n}", body=f"{n}") for n in range(60)))
    assert sorted(ticket["number"] for ticket in made) == list(range(1, 61))
