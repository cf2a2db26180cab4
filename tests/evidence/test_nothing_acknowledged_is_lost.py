"""kill -9 of API, worker and PostgreSQL at random moments under load: what was acknowledged is there, once, and goes on."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from bench.asoe_under_load import free_port, prepare, stop
from crash_cast import VICTIMS, Clients, Follower, Served, Written, until

from asoe.domain.organization import Principal
from asoe.store.embedded import close_embedded, open_embedded

pytestmark = [pytest.mark.evidence, pytest.mark.timeout(3600)]

ARTICLES = Path(__file__).parents[2] / "src" / "asoe" / "demo" / "articles" / "en"
WRITERS = 4

AT_REST = """
select count(*) filter (where t.status in ('open', 'triaging', 'in_progress') and t.waiting_for is null) as under_way,
  count(*) filter (where j.stage is null) as without_journey,
  (select count(*) from queue.pgqueuer where status in ('queued', 'picked') and execute_after <= now()) as jobs,
  (select count(*) from queue.pgqueuer where status = 'failed') as failed,
  count(*) as tickets
from public.support_tickets t left join asoe.journeys j on j.org_id = t.org_id and j.ticket_id = t.id
"""
RESTING = """
select t.id, t.status, t.waiting_for, j.stage
from public.support_tickets t left join asoe.journeys j on j.org_id = t.org_id and j.ticket_id = t.id
where not coalesce(
  j.stage = 'ended' and t.status in ('resolved', 'closed')
  or j.stage = 'with_person' and t.status in ('escalated', 'in_progress')
  or j.stage = 'await_client' and t.waiting_for = 'client', false)
"""
TALLY_DIFFERS = """
select * from (
  select org_id, category, status, sum(tickets) as tickets, sum(resolved_timed) as timed, sum(resolved_seconds) as seconds
  from asoe.ticket_tally group by 1, 2, 3
) tally full join (
  select org_id, category, status, count(*) as tickets, count(resolved_at) as timed,
    coalesce(sum(extract(epoch from resolved_at - created_at)), 0) as seconds
  from public.support_tickets group by 1, 2, 3
) counted using (org_id, category, status)
where coalesce(tally.tickets, 0) <> coalesce(counted.tickets, 0) or coalesce(tally.timed, 0) <> coalesce(counted.timed, 0)
  or abs(coalesce(tally.seconds, 0) - coalesce(counted.seconds, 0)) > 0.01
"""
MIRROR_DIFFERS = """
select s.id from public.support_sessions s
where coalesce(s.messages, '[]'::jsonb) <> coalesce((
  select jsonb_agg(jsonb_build_object('id', m.id, 'seq', m.seq, 'role', m.role, 'content', m.content,
    'timestamp', m.created_at) order by m.seq)
  from asoe.session_messages m where m.session_id = s.id and not m.is_internal), '[]'::jsonb)
"""
ANSWERED_TWICE = """
select session_id, seq, first, second from (
  select session_id, seq, role, content as second, lag(content) over (partition by session_id order by seq) as first,
    lag(role) over (partition by session_id order by seq) as before
  from asoe.session_messages where not is_internal
) said where role = 'assistant' and before = 'assistant'
"""
ESCALATED_TWICE = """
select ticket_id from asoe.escalations group by ticket_id having count(*) > 1
union all
select ticket_id from asoe.facts where kind = 'ticket.escalated' group by ticket_id having count(*) > 1
"""

GAPS = "select session_id from asoe.session_messages group by 1 having max(seq) <> count(*) or min(seq) <> 1"
OPENED_OTHERWISE = """
select t.id from public.support_tickets t left join asoe.facts f on f.ticket_id = t.id and f.kind = 'ticket.opened'
group by t.id having count(f.id) <> 1
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="asoe-evidence-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


async def test_nothing_acknowledged_is_lost(folder: Path, size: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Clients write without pause while processes are killed; afterwards every row is compared with what was promised."""
    begun = time.monotonic()
    dice = size.dice()
    few = folder / "articles"
    few.mkdir()
    for path in sorted(ARTICLES.glob("*.md"))[: size.of(6, 60)]:
        shutil.copy(path, few)
    prepared = await prepare(folder, articles=few)
    port = free_port()
    served = await Served.begin(folder, port, prepared)
    server = await open_embedded(folder)
    try:
        clients = Clients(f"http://127.0.0.1:{port}", prepared.keys["client"], dice)
        reader = Principal(prepared.owner.user_id, prepared.org_id, "owner", "Cleo")
        follower = Follower(server.app_dsn, server.system_dsn, reader)
        following = asyncio.create_task(follower.run())
        writing = asyncio.create_task(clients.run(WRITERS))
        victims = [VICTIMS[number % len(VICTIMS)] for number in range(size.of(3, 50))]
        dice.shuffle(victims)
        for victim in victims:
            await asyncio.sleep(dice.uniform(0.3, size.of(15, 40) / 10))
            assert not writing.done(), writing.exception()
            await served.kill(victim)
        await asyncio.sleep(1)
        clients.stop()
        await writing
        owner = await _until_at_rest(server.owner_dsn, served)
        try:
            await _catch_up(owner, follower, following)
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            assert "500" not in clients.written.trouble, served.unforeseen()[:5]
            await _check_what_was_promised(owner, clients.written)
            await _check_what_is_kept_twice(owner, follower)
            figures = await _figures(owner)
        finally:
            await owner.close()
    finally:
        stop(served.process)
        await close_embedded(server)
    with capsys.disabled():
        print(
            f"\n{sum(served.kills.values())} kills {served.kills}, serve restarted {served.restarts} times; "
            f"{len(clients.written.tickets)} tickets and {len(clients.written.messages)} messages acknowledged, "
            f"{clients.written.repeated} repeats answered alike; meanwhile {clients.written.trouble}; {figures}; "
            f"{time.monotonic() - begun:.0f} s"
        )


async def _until_at_rest(owner_dsn: str, served: Served) -> Any:
    """Every journey ended or waits, and no job is left; an owner's connection for the checks."""
    owner = await asyncpg.connect(owner_dsn)
    until = time.monotonic() + 300
    while True:
        row = await owner.fetchrow(AT_REST)
        if not (row["under_way"] or row["jobs"] or row["without_journey"]):
            assert row["failed"] == 0, "a job was given up"
            return owner
        assert time.monotonic() < until, f"journeys do not come to rest: {dict(row)}\n{served.last_words()}"
        await asyncio.sleep(0.2)


async def _catch_up(owner: Any, follower: Follower, following: asyncio.Task[None]) -> None:
    facts = await owner.fetchval("select count(*) from asoe.facts")
    await until(lambda: following.done() or len(follower.seen) >= facts, seconds=30)
    assert not following.done(), following.exception()


async def _check_what_was_promised(owner: Any, written: Written) -> None:
    assert not written.refused, written.refused[:5]
    assert written.tickets, "no ticket was accepted: the load did not run"
    stored: dict[str, list[Any]] = {}
    for row in await owner.fetch("select id, number, body, metadata ->> 'name' as name from public.support_tickets"):
        stored.setdefault(row["name"], []).append(row)
    for name, ticket in written.tickets.items():
        (row,) = stored[name]
        assert (str(row["id"]), row["number"], row["body"]) == (ticket["id"], ticket["number"], ticket["body"])
    assert all(len(stored.get(name, [])) <= 1 for name in written.sent_tickets), "a retried ticket was opened twice"
    said: dict[str, list[Any]] = {}
    for row in await owner.fetch("select id, session_id, seq, content from asoe.session_messages where role = 'user'"):
        said.setdefault(str(row["content"]).rpartition("(no. ")[2].rstrip(")"), []).append(row)
    for name, message in written.messages.items():
        (row,) = said[name]
        promised = (message["id"], message["session_id"], message["seq"], message["content"])
        assert (str(row["id"]), str(row["session_id"]), row["seq"], row["content"]) == promised
    assert all(len(said.get(name, [])) <= 1 for name in written.sent_messages), "a retried message was added twice"


async def _check_what_is_kept_twice(owner: Any, follower: Follower) -> None:
    await owner.execute("set timezone = 'UTC'")
    facts = {row["id"] for row in await owner.fetch("select id from asoe.facts")}
    seen = [fact_id for _, fact_id in follower.seen]
    assert len(seen) == len(set(seen)), "the reader was given a fact twice"
    assert set(seen) == facts, f"{len(facts - set(seen))} facts were skipped, {len(set(seen) - facts)} were never there"
    for name, query in (
        ("journeys that neither ended nor wait for something", RESTING),
        ("counts that differ from a recount", TALLY_DIFFERS),
        ("mirrors that differ from their messages", MIRROR_DIFFERS),
        ("replies given twice to the same words", ANSWERED_TWICE),
        ("escalations that happened twice", ESCALATED_TWICE),
        ("sessions whose messages have gaps", GAPS),
        ("tickets without exactly one fact of their opening", OPENED_OTHERWISE),
    ):
        wrong = await owner.fetch(query)
        assert not wrong, f"{len(wrong)} {name}: {[dict(row) for row in wrong[:3]]}"


async def _figures(owner: Any) -> str:
    rows = await owner.fetch("select stage, count(*) as n from asoe.journeys group by 1 order by 2 desc")
    with contextlib.suppress(asyncpg.PostgresError):
        facts = await owner.fetchval("select count(*) from asoe.facts")
        return f"{facts} facts, journeys " + ", ".join(f"{row['n']} {row['stage']}" for row in rows)
    return ""
