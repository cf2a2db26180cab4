from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest

from asoe.domain.errors import Conflict, Missing
from asoe.store import facts, sessions, tickets
from asoe.store.tickets import NewRow, TicketFilter


async def open_one(database, principal, **more):
    now = datetime.now(UTC)
    row = NewRow(
        id=uuid4(), org_id=principal.org_id, category="billing", severity="low", status="open", created_at=now, **more
    )
    session = sessions.new_session(row.id, assistant_type="ai", at=now)
    async with database.org_transaction(principal) as connection:
        ticket = await tickets.insert(connection, row, session_id=session.id)
        await sessions.begin(
            connection, principal.org_id, session, role="user", content=row.body, author=principal.user_id
        )
        await facts.record(connection, principal, "ticket.opened", ticket_id=ticket.id)
    return ticket, session


async def test_a_ticket_is_read_back_whole_and_numbered_per_organization(database, acme, globex):
    first, _ = await open_one(database, acme.agent, subject="Hello", body="World")
    second, _ = await open_one(database, acme.agent)
    other, _ = await open_one(database, globex.agent)
    assert (first.number, second.number, other.number) == (1, 2, 1)
    async with database.org_reading(acme.agent) as connection:
        assert await tickets.find(connection, acme.org_id, first.id) == first
        with pytest.raises(Missing):
            await tickets.find(connection, acme.org_id, other.id)


async def test_a_client_sees_and_writes_only_its_own(database, acme):
    mine, session = await open_one(database, acme.client, user_id=acme.client.user_id, body="mine")
    others, other_session = await open_one(database, acme.agent, body="not Ana's")
    async with database.org_transaction(acme.agent) as connection:
        await sessions.add(
            connection, acme.org_id, session, role="agent", content="secret", author=None, is_internal=True
        )
    async with database.org_transaction(acme.client) as connection:
        page = await tickets.page(connection, acme.org_id, TicketFilter())
        assert [ticket.id for ticket in page.items] == [mine.id]
        message = await sessions.add(
            connection, acme.org_id, session, role="user", content="more", author=acme.client.user_id
        )
        assert message.seq == 3
        seen = await sessions.messages(connection, acme.org_id, session.id)
        assert [m.content for m in seen] == ["mine", "more"]
        with pytest.raises(Conflict):
            await tickets.update(connection, mine, {"severity": "critical"})
    for role, target in (("assistant", session), ("user", other_session)):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with database.org_transaction(acme.client) as connection:
                await sessions.add(
                    connection, acme.org_id, target, role=role, content="forged", author=acme.client.user_id
                )
    assert others.id != mine.id


async def test_concurrent_messages_are_all_kept_in_order_and_mirrored(database, acme, owner_dsn):
    _, session = await open_one(database, acme.agent, body="first")

    async def say(number: int) -> int:
        async with database.org_transaction(acme.agent) as connection:
            message = await sessions.add(
                connection, acme.org_id, session, role="agent", content=str(number), author=acme.agent.user_id
            )
            return message.seq

    seqs = await asyncio.gather(*(say(number) for number in range(20)))
    assert sorted(seqs) == list(range(2, 22))
    async with database.org_reading(acme.agent) as connection:
        assert await sessions.mirror_differs(connection) == []
        mirrored = await connection.fetchval("select messages from public.support_sessions where id = $1", session.id)
    assert [item["seq"] for item in mirrored] == list(range(1, 22))


async def test_the_mirror_refuses_a_direct_write_with_advice(database, acme):
    _, session = await open_one(database, acme.agent)
    with pytest.raises(asyncpg.RestrictViolationError) as caught:
        async with database.org_transaction(acme.agent) as connection:
            await connection.execute(
                "update public.support_sessions set messages = '[]'::jsonb || '[1]'::jsonb where id = $1", session.id
            )
    assert "/api/support/message/" in str(caught.value.hint)


async def test_an_update_on_a_stale_reading_is_refused(database, acme):
    ticket, _ = await open_one(database, acme.agent)
    async with database.org_transaction(acme.agent) as connection:
        changed = await tickets.update(connection, ticket, {"severity": "high"})
        assert changed.version == ticket.version + 1
        with pytest.raises(Conflict, match="changed by somebody else"):
            await tickets.update(connection, ticket, {"severity": "low"})


async def test_the_tally_always_equals_a_recount_also_when_folded(database, acme):
    for _ in range(3):
        ticket, _ = await open_one(database, acme.agent)
    async with database.org_transaction(acme.agent) as connection:
        moved = await tickets.update(connection, ticket, {"status": "triaging"})
        await tickets.update(connection, moved, {"status": "resolved", "resolved_at": datetime.now(UTC)})

    async def both():
        async with database.org_reading(acme.agent) as connection:
            counted = await tickets.recount(connection, acme.org_id)
            summed = await tickets.tallies(connection, acme.org_id)
        rounded = [
            {(t.category, t.status): (t.tickets, t.resolved_timed, round(t.resolved_seconds, 3)) for t in rows}
            for rows in (counted, summed)
        ]
        assert rounded[0] == rounded[1]
        return rounded[0]

    before = await both()
    async with database.org_transaction(acme.engine) as connection:
        assert await tickets.fold_tally(connection) > 0
    assert await both() == before


async def test_pages_cover_everything_once_and_search_finds_words(database, acme):
    opened = {(await open_one(database, acme.agent, subject=f"printer {n}"))[0].id for n in range(5)}
    seen, cursor = [], None
    async with database.org_reading(acme.agent) as connection:
        while True:
            page = await tickets.page(connection, acme.org_id, TicketFilter(q="printer"), cursor=cursor, limit=2)
            seen += [ticket.id for ticket in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
    assert len(seen) == 5
    assert set(seen) == opened


async def test_a_fact_committed_late_is_not_skipped(database, acme, dsns):
    late = await asyncpg.connect(dsns.app)
    claims = f'{{"sub": "{acme.agent.user_id}", "org_id": "{acme.org_id}"}}'
    await late.execute(f"begin; select set_config('request.jwt.claims', '{claims}', true)")
    await late.execute("insert into asoe.facts (org_id, kind) values ($1, 'ticket.opened')", acme.org_id)
    await open_one(database, acme.agent)
    async with database.org_reading(acme.agent) as connection:
        assert await facts.read_after(connection, acme.org_id) == []
    await late.execute("commit")
    await late.close()
    async with database.org_reading(acme.agent) as connection:
        assert len(await facts.read_after(connection, acme.org_id)) == 2
