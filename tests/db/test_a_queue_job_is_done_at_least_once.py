"""A committed job is run until it succeeds or has failed for good, by one worker at a time, in any order of events."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from queue_cast import AT_ONCE, LEASE, ORG, Seen, put, until, working
from structlog.testing import capture_logs

from asoe.domain.errors import Unavailable
from asoe.queue import depth, failed, requeue
from asoe.queue.worker import Cron, Worker

LEFT = "select count(*) from queue.pgqueuer"


async def test_jobs_are_done_and_leave_nothing_behind(dsns):
    seen = Seen()
    before = await put(dsns.app, 100)
    async with working(Worker(dsns.app, {"advance": seen})):
        await seen.wait_for(before)
        after = await put(dsns.app, 100)
        await seen.wait_for(after)
    assert seen.tickets.total() == 200
    await until(dsns.app, LEFT, 0)
    await until(dsns.app, "select count(*) from queue.pgqueuer_log", 0)


async def test_two_jobs_of_one_ticket_are_two_calls(dsns):
    seen = Seen()
    (ticket,) = await put(dsns.app)
    connection = await asyncpg.connect(dsns.app)
    await connection.execute(
        "insert into queue.pgqueuer (priority, entrypoint, payload, status) select priority, entrypoint, payload, status "
        "from queue.pgqueuer"
    )
    await connection.close()
    async with working(Worker(dsns.app, {"advance": seen})):
        await seen.wait_for({ticket}, times=2)


async def test_a_delayed_job_waits(dsns):
    seen = Seen()
    later = await put(dsns.app, delay=timedelta(hours=1))
    now = await put(dsns.app)
    async with working(Worker(dsns.app, {"advance": seen}, poll=timedelta(seconds=0.1))):
        await seen.wait_for(now)
        await until(dsns.app, LEFT, 1)
        assert seen.tickets.keys() == now
        connection = await asyncpg.connect(dsns.app)
        await connection.execute("update queue.pgqueuer set execute_after = now()")
        await connection.close()
        await seen.wait_for(later)


async def test_it_works_without_listen(dsns):
    seen = Seen()
    async with working(Worker(dsns.app, {"advance": seen}, listen=False)):
        for _ in range(3):
            await seen.wait_for(await put(dsns.app, 5))


async def test_a_notice_wakes_a_worker_that_looks_seldom(dsns):
    seen = Seen()
    async with working(Worker(dsns.app, {"advance": seen}, poll=timedelta(minutes=10))):
        await seen.wait_for(await put(dsns.app))
        await seen.wait_for(await put(dsns.app))


async def test_two_workers_never_run_one_job_at_once(dsns):
    seen, running, twice = Seen(), set[Any](), list[Any]()

    async def handler(ids: dict[str, Any]) -> None:
        ticket = ids["ticket_id"]
        if ticket in running:
            twice.append(ticket)
        running.add(ticket)
        await asyncio.sleep(0)
        running.discard(ticket)
        await seen(ids)

    tickets = await put(dsns.app, 300)
    one, two = (Worker(dsns.app, {"advance": handler}, concurrency=4, batch=5) for _ in range(2))
    async with working(one), working(two):
        await seen.wait_for(tickets)
    assert not twice
    assert seen.tickets.total() == 300


async def test_a_job_longer_than_its_lease_keeps_it(dsns):
    seen, release = Seen(), asyncio.Event()

    async def handler(ids: dict[str, Any]) -> None:
        await seen(ids)
        await release.wait()

    tickets = await put(dsns.app)
    poll = timedelta(seconds=0.05)
    one, two = (Worker(dsns.app, {"advance": handler}, lease=LEASE, poll=poll) for _ in range(2))
    async with working(one), working(two):
        await seen.wait_for(tickets)
        await until(dsns.app, "select now() - created > interval '2.5 seconds' from queue.pgqueuer", True)
        release.set()
        await until(dsns.app, LEFT, 0)
    assert seen.tickets.total() == 1


async def test_a_failed_try_is_followed_by_another(dsns):
    seen = Seen()

    async def handler(ids: dict[str, Any]) -> None:
        await seen(ids)
        if seen.tickets[ids["ticket_id"]] < 3:
            raise RuntimeError

    tickets = await put(dsns.app, 20)
    async with working(Worker(dsns.app, {"advance": handler}, retries=AT_ONCE, poll=timedelta(seconds=0.1))):
        await seen.wait_for(tickets, times=3)
    await until(dsns.app, LEFT, 0)


async def test_a_job_that_fails_for_good_is_kept_and_can_be_given_again(dsns):
    seen, broken = Seen(), True

    async def handler(ids: dict[str, Any]) -> None:
        if broken:
            raise ValueError("Ana wrote: my card 4111 1111 1111 1111 was charged twice")
        await seen(ids)

    tickets = await put(dsns.app)
    with capture_logs() as logs:
        async with working(Worker(dsns.app, {"advance": handler}, retries=AT_ONCE, poll=timedelta(seconds=0.1))):
            await until(dsns.app, "select count(*) from queue.pgqueuer where status = 'failed'", 1)
            connection = await asyncpg.connect(dsns.app)
            (letter,) = await failed(connection)
            assert (letter.job, letter.ids["org_id"], letter.tries, letter.error) == ("advance", ORG, 3, "ValueError")
            assert "test_a_queue_job_is_done_at_least_once.py" in letter.where
            assert (await depth(connection))["failed"] == 1
            kept = await connection.fetch("select traceback::text from queue.pgqueuer_log")
            broken = False
            assert await requeue(connection, [letter.id]) == 1
            assert await requeue(connection, [letter.id]) == 0
            await connection.close()
            await seen.wait_for(tickets)
    assert [entry["event"] for entry in logs] == ["job.again", "job.again", "job.failed"]
    assert "4111" not in json.dumps(logs) + "".join(row["traceback"] for row in kept)


async def test_what_waiting_will_not_help_is_not_tried_again(dsns):
    async def handler(_: dict[str, Any]) -> None:
        raise Unavailable("no such connector", permanent=True, code="connector_gone")

    await put(dsns.app)
    async with working(Worker(dsns.app, {"advance": handler})):
        await until(dsns.app, "select count(*) from queue.pgqueuer where status = 'failed'", 1)
        connection = await asyncpg.connect(dsns.app)
        (letter,) = await failed(connection)
        await connection.close()
    assert (letter.tries, letter.error) == (1, "Unavailable(connector_gone)")


async def test_a_job_nobody_here_can_do_stays(dsns):
    seen = Seen()
    await put(dsns.app)
    connection = await asyncpg.connect(dsns.app)
    await connection.execute("update queue.pgqueuer set entrypoint = 'export'")
    tickets = await put(dsns.app)
    async with working(Worker(dsns.app, {"advance": seen})):
        await seen.wait_for(tickets)
    assert (await depth(connection))["queued"] == 1
    await connection.close()


async def test_a_cron_runs_once_across_workers_and_again_after_a_failure(dsns):
    calls, three = [0], asyncio.Event()

    async def tick() -> None:
        calls[0] += 1
        if calls[0] == 3:
            three.set()
        raise RuntimeError

    def worker() -> Worker:
        return Worker(dsns.app, {"advance": Seen()}, [Cron("sweep", timedelta(seconds=1), tick)])

    connection = await asyncpg.connect(dsns.app)
    began = await connection.fetchval("select clock_timestamp()")
    with capture_logs():
        async with working(worker()), working(worker()), working(worker()):
            async with asyncio.timeout(30):
                await three.wait()
            took = await connection.fetchval("select clock_timestamp() - $1", began)
    await connection.close()
    assert took > timedelta(seconds=1.5)  # three workers with a turn each would have been there in one second
    assert calls[0] <= took.total_seconds() + 2


async def test_a_worker_before_the_migrations_says_what_to_do(server):
    with pytest.raises(Unavailable, match="asoe migrate") as raised:
        await Worker(server.app_dsn.replace("/asoe?", "/postgres?"), {"advance": Seen()}).run(asyncio.Event())
    assert raised.value.code == "queue_not_ready"
