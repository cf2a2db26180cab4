"""A worker may be killed, stopped or cut off from the database at any moment: the job is done by whoever goes on."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from opentelemetry.sdk.trace import TracerProvider
from queue_cast import AT_ONCE, LEASE, Seen, put, until, working
from structlog.testing import capture_logs

from asoe import tracing
from asoe.queue import failed
from asoe.queue.worker import Worker
from asoe.store.embedded import close_embedded, open_embedded
from asoe.store.migrate import migrate

POLL = timedelta(seconds=0.1)

VICTIM = """
import asyncio, sys
from datetime import timedelta
from asoe.queue.worker import Worker

async def handler(ids):
    print("began", flush=True)
    await asyncio.Event().wait()

asyncio.run(Worker(sys.argv[1], {"advance": handler}, lease=timedelta(seconds=1)).run(asyncio.Event()))
"""


async def kill_a_worker_at_work(dsn: str) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", VICTIM, dsn, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    async with asyncio.timeout(30):
        assert await process.stdout.readline() == b"began\n"
        process.send_signal(signal.SIGKILL)
        await process.wait()


async def test_the_job_of_a_killed_worker_is_taken_over_and_stays_in_its_trace(dsns):
    traces = []

    async def handler(ids: dict[str, Any]) -> None:
        traces.append(tracing.trace_id())
        await seen(ids)

    tracing.listen(TracerProvider(shutdown_on_exit=False).get_tracer("asoe"))
    try:
        with tracing.span("door"):
            begun, tickets, seen = tracing.trace_id(), await put(dsns.app), Seen()
        await kill_a_worker_at_work(dsns.app)
        async with working(Worker(dsns.app, {"advance": handler}, lease=LEASE)):
            await seen.wait_for(tickets)
    finally:
        tracing.listen(None)
    await until(dsns.app, "select count(*) from queue.pgqueuer", 0)
    assert traces == [begun]


async def test_a_job_that_kills_its_workers_ends_as_failed(dsns):
    await put(dsns.app)
    for _ in range(2):
        await kill_a_worker_at_work(dsns.app)
        await until(dsns.app, "select heartbeat < now() - interval '1 second' from queue.pgqueuer", True)
    seen = Seen()
    connection = await asyncpg.connect(dsns.app)
    await connection.execute("update queue.pgqueuer set attempts = attempts + 1")  # as if killed once more
    with capture_logs():
        async with working(Worker(dsns.app, {"advance": seen}, lease=LEASE, retries=AT_ONCE)):
            await until(dsns.app, "select count(*) from queue.pgqueuer where status = 'failed'", 1)
    (letter,) = await failed(connection)
    await connection.close()
    assert letter.error == "WorkerDied"
    assert not seen.tickets


async def test_a_stopped_worker_finishes_what_runs_and_gives_back_the_rest(dsns):
    began, release, seen = asyncio.Event(), asyncio.Event(), Seen()

    async def handler(ids: dict[str, Any]) -> None:
        began.set()
        await release.wait()
        await seen(ids)

    await put(dsns.app, 5)
    async with working(Worker(dsns.app, {"advance": handler}, concurrency=1, batch=5)) as stop:
        await began.wait()
        stop.set()
        await until(dsns.app, "select count(*) from queue.pgqueuer where status = 'queued' and attempts = 0", 4)
        release.set()
    assert seen.tickets.total() == 1
    await until(dsns.app, "select count(*) from queue.pgqueuer", 4)


async def test_a_job_that_will_not_end_is_given_back_after_the_drain(dsns):
    began = asyncio.Event()

    async def handler(_: dict[str, Any]) -> None:
        began.set()
        await asyncio.Event().wait()

    tickets = await put(dsns.app)
    async with working(Worker(dsns.app, {"advance": handler}, drain=timedelta(seconds=0.1))):
        await began.wait()
    await until(dsns.app, "select status::text || attempts from queue.pgqueuer", "queued0")
    seen = Seen()
    async with working(Worker(dsns.app, {"advance": seen})):
        await seen.wait_for(tickets)


async def test_a_cut_connection_loses_no_job_and_no_running_handler(dsns):
    began, release, seen = asyncio.Event(), asyncio.Event(), Seen()

    async def handler(ids: dict[str, Any]) -> None:
        began.set()
        await release.wait()
        await seen(ids)

    other = await asyncpg.connect(dsns.app)
    first = await put(dsns.app, 3)
    with capture_logs() as logs:
        async with working(Worker(dsns.app, {"advance": handler}, poll=POLL)):
            await began.wait()
            await other.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where usename = 'asoe_app' and datname = current_database() and pid <> pg_backend_pid()"
            )
            release.set()
            await seen.wait_for(first | await put(dsns.app, 3))
            await until(dsns.app, "select count(*) from queue.pgqueuer", 0)
    await other.close()
    assert "queue.connection_lost" in [entry["event"] for entry in logs]
    assert seen.tickets.total() == 6


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
async def test_a_restart_of_the_database_loses_no_job(kill):
    folder = Path(tempfile.mkdtemp(prefix="asoe-queue-"))
    server = await open_embedded(folder)
    seen = Seen()
    try:
        await migrate(server.owner_dsn)
        before = await put(server.app_dsn, 20)
        with capture_logs():
            async with working(Worker(server.app_dsn, {"advance": seen}, poll=POLL, lease=LEASE)):
                await seen.wait_for(before)
                waiting = await put(server.app_dsn, 20)
                signal_postmaster(folder, kill)
                again = await open_embedded(folder)
                await seen.wait_for(waiting | await put(again.app_dsn, 20))
                await until(again.app_dsn, "select count(*) from queue.pgqueuer", 0)
                await close_embedded(again)
    finally:
        await close_embedded(server)
        shutil.rmtree(folder, ignore_errors=True)


def signal_postmaster(folder: Path, kill: signal.Signals) -> None:
    (pid_file,) = folder.rglob("postmaster.pid")
    os.kill(int(pid_file.read_text().splitlines()[0]), kill)
