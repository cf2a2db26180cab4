"""The mirror of messages and the tally of tickets: after any changes, in any order, they equal a recount from the rows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import attempt, claims_of, new_database, open_ticket

from asoe.domain.ticket import STATUSES
from asoe.domain.triage import CATEGORIES
from asoe.store.tickets import TicketsSql
from cast import Org, make_org

NOW = datetime(2026, 11, 1, tzinfo=UTC)
BOUNDED = settings(max_examples=25, deadline=None)

INSERT = (
    "insert into asoe.session_messages (org_id, session_id, ticket_id, seq, role, content, is_internal)"
    " select org_id, $1, id, $3, 'user', $4, $5 from public.support_tickets where id = $2"
)

RECOUNT = """
select s.messages, coalesce(jsonb_agg(jsonb_build_object('id', m.id, 'seq', m.seq, 'role', m.role, 'content', m.content,
  'timestamp', m.created_at) order by m.seq, m.id) filter (where m.id is not null), '[]') as recounted
from public.support_sessions s left join asoe.session_messages m on m.session_id = s.id and not m.is_internal
where s.ticket_id = $1 group by s.id
"""

said = st.tuples(
    st.just("say"),
    st.booleans(),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8),
)
placed = st.tuples(st.just("place"), st.booleans(), st.integers(1, 12))
edited = st.tuples(st.just("edit"), st.integers(0, 20), st.sampled_from(["", "[erased]", "Ω"]))
turned = st.tuples(st.just("turn"), st.integers(0, 20), st.booleans())
dropped = st.tuples(st.just("drop"), st.integers(0, 20), st.none())
moved = st.tuples(st.just("move"), st.integers(0, 20), st.none())
zone = st.tuples(st.just("zone"), st.sampled_from(["Asia/Kolkata", "America/St_Johns", "UTC"]), st.none())

a_time = st.one_of(st.none(), st.integers(0, 10**7))
opened = st.tuples(st.just("open"), st.sampled_from(CATEGORIES), st.sampled_from(STATUSES), a_time)
changed = st.tuples(st.just("change"), st.integers(0, 20), st.sampled_from(STATUSES), a_time)
filed = st.tuples(st.just("file"), st.integers(0, 20), st.sampled_from(CATEGORIES), st.none())
dated = st.tuples(st.just("date"), st.integers(0, 20), st.none(), a_time)
deleted = st.tuples(st.just("delete"), st.integers(0, 20), st.none(), st.none())
folded = st.tuples(st.just("fold"), st.none(), st.none(), st.none())


@pytest.fixture(scope="module")
async def desk(server) -> AsyncIterator[tuple[Any, Any, Org]]:
    """Connections of owner and app, and an organization."""
    async with new_database(server) as dsns:
        org = await make_org(dsns.owner, "acme")
        owner, app = await asyncpg.connect(dsns.owner), await asyncpg.connect(dsns.app)
        yield owner, app, org
        await app.close()
        await owner.close()


@BOUNDED
@given(steps=st.lists(st.one_of(said, placed, edited, turned, dropped, moved, zone), max_size=12))
async def test_the_mirror_equals_a_recount(desk, steps):
    owner, _, org = desk
    async with attempt(owner):
        ticket = await open_ticket(owner, org, org.client.user_id, "first")
        session = await owner.fetchval("select id from public.support_sessions where ticket_id = $1", ticket)
        other = await owner.fetchval("insert into public.support_sessions (ticket_id) values ($1) returning id", ticket)
        for step, first, second in steps:
            ids = await owner.fetch(
                "select id from asoe.session_messages where ticket_id = $1 order by seq, id", ticket
            )
            chosen = ids[first % len(ids)]["id"] if ids and isinstance(first, int) else None
            if step == "say":
                seq = await owner.fetchval(
                    "select coalesce(max(seq), 0) + 1 from asoe.session_messages where session_id = $1", session
                )
                await owner.execute(INSERT, session, ticket, seq, second, first)
            elif step == "place":  # an import writes in any order
                await owner.execute(INSERT, session, ticket, second, "placed", first)
            elif step == "zone":
                await owner.execute(f"set local timezone = '{first}'")
            elif chosen is None:
                continue
            elif step == "edit":
                await owner.execute("update asoe.session_messages set content = $2 where id = $1", chosen, second)
            elif step == "turn":
                await owner.execute("update asoe.session_messages set is_internal = $2 where id = $1", chosen, second)
            elif step == "move":
                await owner.execute("update asoe.session_messages set session_id = $2 where id = $1", chosen, other)
            else:
                await owner.execute("delete from asoe.session_messages where id = $1", chosen)
        await owner.execute("set local timezone = 'UTC'")
        for row in await owner.fetch(RECOUNT, ticket):
            assert row["messages"] == row["recounted"]


@BOUNDED
@given(steps=st.lists(st.one_of(opened, changed, filed, dated, deleted, folded), max_size=16))
async def test_the_tally_equals_a_recount(desk, steps):
    _, app, org = desk
    async with attempt(app):
        claims = claims_of(org.agent)
        await app.execute("select set_config('request.jwt.claims', $1, true)", str(claims).replace("'", '"'))
        for step, first, second, at in steps:
            moment = None if at is None else NOW + timedelta(seconds=at)
            if step == "open":
                await app.execute(
                    "insert into public.support_tickets (org_id, category, status, resolved_at, created_at) values ($1, $2, $3, $4, $5)",
                    org.org_id, first, second, moment, NOW,
                )  # fmt: skip
                continue
            if step == "fold":
                await app.execute(TicketsSql.fold_tally)
                continue
            ids = await app.fetch("select id from public.support_tickets order by number")
            if not ids:
                continue
            chosen = ids[first % len(ids)]["id"]
            if step == "change":
                await app.execute(
                    "update public.support_tickets set status = $2, resolved_at = $3 where id = $1",
                    chosen,
                    second,
                    moment,
                )
            elif step == "file":
                await app.execute("update public.support_tickets set category = $2 where id = $1", chosen, second)
            elif step == "date":
                await app.execute("update public.support_tickets set created_at = $2 where id = $1", chosen, moment)
            else:
                await app.execute("delete from public.support_tickets where id = $1", chosen)
        assert await counted(app, TicketsSql.stats, org) == await counted(app, TicketsSql.recount, org)
        folded_rows = await app.fetchval("select count(*) from asoe.ticket_tally")
        assert await app.fetchval(TicketsSql.fold_tally) == folded_rows
        assert await counted(app, TicketsSql.stats, org) == await counted(app, TicketsSql.recount, org)


async def counted(connection: Any, sql: str, org: Org) -> dict[tuple[str, str], tuple[int, int, float]]:
    rows = await connection.fetch(sql, org.org_id)
    return {
        (row["category"], row["status"]): (row["tickets"], row["resolved_timed"], round(row["resolved_seconds"], 3))
        for row in rows
        if row["tickets"]
    }
