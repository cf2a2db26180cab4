"""The live hub: every change is told once and in order, a full line becomes one resync, and it stops with its last viewer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
import pytest
from flow_cast import open_ticket

from asoe.api import live
from asoe.api.live import Hub, read_cursor, write_cursor
from asoe.app import App
from asoe.desk import session
from asoe.domain.errors import Unavailable
from asoe.store import facts

if TYPE_CHECKING:
    from tests.conftest import Org


async def test_concurrent_changes_are_each_told_once_and_in_order(
    agent: httpx.AsyncClient, app: App, acme: Org
) -> None:
    made = await open_ticket(agent)
    hub = Hub(app.desk, poll_seconds=0.01)
    found, _ = await session.read_session(app.desk, acme.agent, UUID(made["session_id"]))
    path = f"/api/support/message/{made['session_id']}"

    async def say(number: int) -> None:
        answer = await agent.post(path, json={"role": "user", "content": f"{number}"})
        assert answer.status_code == 201

    async with hub.viewing(acme.agent, found) as viewer:
        await asyncio.gather(*(say(number) for number in range(20)))
        told = []
        while len(told) < 20:
            change = await asyncio.wait_for(viewer.waiting.get(), 60)
            assert change is not None
            if change.kind == "message.added":
                told.append(change)
        assert sorted(change.seq or 0 for change in told) == list(range(2, 22))
        cursors = [change.cursor for change in told]
        assert cursors == sorted(set(cursors))
        half = told[9]
    async with hub.viewing(acme.agent, found, after=half.cursor) as again:
        missed = []
        while not missed or missed[-1] != told[-1].cursor:
            change = await asyncio.wait_for(again.waiting.get(), 60)
            assert change is not None
            missed.append(change.cursor)
        assert [cursor for cursor in missed if cursor in cursors] == cursors[10:]
    await hub.close()


async def test_who_looks_at_the_whole_organization_catches_up_change_by_change(
    agent: httpx.AsyncClient, app: App, acme: Org, globex: Org
) -> None:
    hub = Hub(app.desk, poll_seconds=0.01)
    async with hub.viewing(acme.agent) as viewer:
        before = read_cursor(write_cursor(viewer.start))
    async with hub.viewing(acme.agent, after=before) as viewer:
        assert viewer.waiting.empty(), "nothing happened: there is nothing to read anew"
    async with app.database.org_reading(acme.agent) as connection:
        horizon = await facts.newest_cursor(connection)
    async with hub.viewing(acme.agent, after=(horizon + 1000, 1)) as viewer:
        told = viewer.waiting.get_nowait()
        assert told is not None
        assert told.kind == "resync", "a cursor of a cluster that was further on"
    made = await open_ticket(agent)
    async with hub.viewing(acme.agent, after=before) as viewer:
        kinds: dict[str, UUID | None] = {}
        while "ticket.opened" not in kinds:
            change = await asyncio.wait_for(viewer.waiting.get(), 10)
            assert change is not None
            kinds[change.kind] = change.ticket_id
        assert "resync" not in kinds
        assert str(kinds["ticket.opened"]) == made["id"]
        resumed = change.cursor
    async with hub.viewing(acme.agent, after=resumed) as viewer:
        assert resumed == viewer.start
    async with hub.viewing(globex.agent, after=before) as viewer:
        assert viewer.waiting.empty(), "what happened elsewhere is nothing to it"
    await hub.close()


async def test_what_is_told_while_it_catches_up_hides_nothing_before_it(
    agent: httpx.AsyncClient, app: App, acme: Org, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await open_ticket(agent)
    hub = Hub(app.desk, poll_seconds=0.01)
    found, _ = await session.read_session(app.desk, acme.agent, UUID(made["session_id"]))
    path = f"/api/support/message/{made['session_id']}"
    timeline, catching_up, late = facts.timeline, asyncio.Event(), asyncio.Event()

    async def slow(*given: Any, **more: Any) -> Any:
        read = await timeline(*given, **more)
        catching_up.set()
        await late.wait()
        return read

    async with hub.viewing(acme.agent, found) as first:
        start = first.start
        await agent.post(path, json={"role": "user", "content": "missed"})
        missed = await asyncio.wait_for(first.waiting.get(), 10)
        monkeypatch.setattr(live.facts, "timeline", slow)
        coming = hub.viewing(acme.agent, found, after=start)
        entering = asyncio.create_task(coming.__aenter__())
        await catching_up.wait()
        await agent.post(path, json={"role": "user", "content": "told at once"})
        told = await asyncio.wait_for(first.waiting.get(), 10)
        late.set()
        viewer = await entering
        heard = [await asyncio.wait_for(viewer.waiting.get(), 10) for _ in range(2)]
        await coming.__aexit__(None, None, None)
    assert heard == [missed, told]
    await hub.close()


async def test_a_viewer_too_far_behind_is_told_to_read_anew(
    agent: httpx.AsyncClient, app: App, acme: Org, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_MAX_WAITING", 3)
    made = await open_ticket(agent)
    for _ in range(5):
        await agent.post(f"/api/support/ticket/{made['id']}/notes", json={"content": "x"})
    hub = Hub(app.desk, poll_seconds=0.01)
    found, _ = await session.read_session(app.desk, acme.agent, UUID(made["session_id"]))
    async with hub.viewing(acme.agent, found, after=(0, 0)) as viewer:
        change = await asyncio.wait_for(viewer.waiting.get(), 60)
        assert change is not None
        assert change.kind == "resync"
        resumed = read_cursor(change.id)
    async with hub.viewing(acme.agent, found, after=resumed) as viewer:
        assert viewer.waiting.empty()
    await hub.close()


async def test_streams_are_bounded_and_the_poll_ends_with_the_last(
    agent: httpx.AsyncClient, app: App, acme: Org, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MAX_VIEWERS_OF_ONE", 1)
    made = await open_ticket(agent)
    hub = Hub(app.desk, poll_seconds=0.01)
    found, _ = await session.read_session(app.desk, acme.agent, UUID(made["session_id"]))
    async with hub.viewing(acme.agent, found):
        with pytest.raises(Unavailable, match="Too many open event streams"):
            async with hub.viewing(acme.agent, found):
                pass
        async with hub.viewing(acme.admin, found):
            assert len(hub) == 2
        polling = list(hub._tasks.values())
    await asyncio.wait_for(asyncio.gather(*polling), 60)
    assert (len(hub), hub._tasks) == (0, {})


def test_only_ids_of_ours_resume() -> None:
    assert read_cursor("12-34") == (12, 34)
    for wrong in (None, "", "x", "1-", "-1", "1-2-3", "٣-٤", "1e5-2"):
        assert read_cursor(wrong) is None
