"""Takes jobs out of the queue and runs their handlers: at least once, in batches, over one connection.

    claim ──> ready ──> running ──> outcome ──> settled
      a job is *held* from its claim until its outcome is written; held jobs have heartbeats

A claim is a lease: when heartbeats stop, another worker takes the job. Handlers and what is held outlive a lost
connection. What a job means is its handler's business, which must bear to be called twice.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID, uuid4

import asyncpg
import structlog
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain.models import Job, TracebackRecord
from pgqueuer.domain.types import JobId, QueueEntrypoint, QueueManagerId
from pgqueuer.ports.repository import EntrypointExecutionParameter

from asoe import tracing
from asoe.domain.errors import Unavailable
from asoe.queue.cron import Clock, Cron
from asoe.queue.failures import Retries, first_of, kind_of, place_of, record_of
from asoe.queue.jobs import decode_ids
from asoe.queue.schema import CHANNEL, WorkerConnection, queries_over
from asoe.tracing import measures

__all__ = ["Cron", "Handler", "Retries", "Worker"]

Handler: TypeAlias = Callable[[dict[str, UUID]], Awaitable[None]]

_log = structlog.get_logger(__name__)

_SHORTEST_PAUSE: Final = 0.02
_LINGER: Final = 0.05
"""How long an outcome may wait for others to be written with it."""
_QUICK: Final = 0.1
"""Handlers faster than this get jobs claimed ahead, so that a claim brings many."""
_GRACE: Final = 5.0
"""What writing the last outcomes may take after the drain."""
_LONG_SESSION: Final = 10.0
"""A connection that held this long was a good one: the next trouble is a new one."""
_SETUP_ERRORS: Final = (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError, asyncpg.InsufficientPrivilegeError)

_RELEASE: Final = """
update queue.pgqueuer set status = 'queued', queue_manager_id = null, updated = now()
where id = any ($1::bigint[]) and queue_manager_id = $2 and status = 'picked'
"""
_TIDY: Final = "delete from queue.pgqueuer_log where created < now() - interval '30 days'"


@dataclass(frozen=True, slots=True)
class _Outcome:
    job: Job
    kind: Literal["done", "again", "failed", "released"]
    pause: timedelta = timedelta(0)
    record: TracebackRecord | None = None


class Worker:
    """One process's worker.

    dsn: a direct connection as asoe_app (through PgBouncer in transaction mode `listen` must be False or is in vain; the
    worker then looks every `poll`). concurrency: jobs that run at once. batch: jobs per claim, at most. lease: how long
    after its last heartbeat a job is taken from a dead worker. drain: what running jobs get to end after `stop`.
    """

    def __init__(
        self,
        dsn: str,
        handlers: Mapping[str, Handler],
        cron: Sequence[Cron] = (),
        *,
        concurrency: int = 8,
        batch: int = 32,
        lease: timedelta = timedelta(seconds=20),
        poll: timedelta = timedelta(seconds=1),
        drain: timedelta = timedelta(seconds=20),
        retries: Retries | None = None,
        listen: bool = True,
        statement_cache: int = 100,
    ) -> None:
        self._dsn = dsn
        self._handlers = dict(handlers)
        self._entrypoints = {QueueEntrypoint(name): EntrypointExecutionParameter(0) for name in handlers}
        self._concurrency = concurrency
        self._batch = batch
        self._lease = lease
        self._poll = poll.total_seconds()
        self._drain = drain.total_seconds()
        self._retries = retries or Retries()
        self._listen = listen
        self._statement_cache = statement_cache
        self._id = QueueManagerId(uuid4())
        self._clock = Clock([*cron, Cron("queue.tidy", timedelta(hours=1), self._tidy)])
        self._held: dict[JobId, Job] = {}
        self._ready: deque[Job] = deque()
        self._running: dict[JobId, asyncio.Task[None]] = {}
        self._outcomes: list[_Outcome] = []
        self._wake = asyncio.Event()
        self._pause = _SHORTEST_PAUSE
        self._pace = 0.0
        self._deadline: float | None = None
        self._is_cut = False
        self._queries: Queries | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`, then drain. Raises `Unavailable(queue_not_ready)` when the database is not migrated."""
        watch = asyncio.create_task(self._watch(stop), name="queue stop")
        trouble = 0
        try:
            while not self._is_over():
                began = time.monotonic()
                try:
                    async with self._connected() as queries:
                        await self._serve(queries, stop)
                except Exception as error:
                    _refuse_setup(error)
                    trouble = 1 if time.monotonic() - began > _LONG_SESSION else trouble + 1
                    _log.warning("queue.connection_lost", error=kind_of(error), where=place_of(error), trouble=trouble)
                    self._wake.clear()
                    await self._rest(min(5.0, 0.1 * 2 ** min(trouble, 6)) * random.uniform(0.5, 1.0))
        finally:
            watch.cancel()
            await self._abandon()

    # -- one connection -------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Queries]:
        connection = await asyncpg.connect(
            self._dsn,
            timeout=10,
            # a server that vanished without a word must not hold us beyond our leases
            command_timeout=max(5.0, self._lease.total_seconds() / 2),
            statement_cache_size=self._statement_cache,
        )
        try:
            if self._listen:
                await self._add_listener(connection)
            self._queries = queries_over(WorkerConnection(connection))
            yield self._queries
        finally:
            self._queries = None
            await _close(connection)

    async def _add_listener(self, connection: asyncpg.Connection) -> None:
        try:
            await connection.add_listener(CHANNEL, lambda *_: self._hurry())
        except asyncpg.PostgresError as error:
            _log.warning("queue.listen_refused", error=kind_of(error), poll_seconds=self._poll)

    async def _serve(self, queries: Queries, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            beat = group.create_task(self._beat(queries), name="queue heartbeat")
            clock = group.create_task(self._clock.keep(queries, stop), name="queue clock")
            await self._work(queries)
            await asyncio.wait({clock}, timeout=max(0.0, (self._deadline or 0.0) - time.monotonic()))
            if not clock.done():
                self._clock.cancel()
                await asyncio.wait({clock}, timeout=_GRACE)
            clock.cancel()
            beat.cancel()

    async def _beat(self, queries: Queries) -> None:
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 4)
            if self._held:
                await queries.update_heartbeat(list(self._held))

    async def _work(self, queries: Queries) -> None:
        """Settle, claim, rest; returns when stopped and nothing is held."""
        while True:
            self._wake.clear()
            await self._settle(queries)
            if self._deadline is not None:
                self._wind_down()
                if self._is_over():
                    return
                if not self._outcomes:
                    await self._rest(max(_LINGER, self._deadline - time.monotonic()))
                continue
            claimed = await self._claim(queries)
            if claimed:
                self._pause = _SHORTEST_PAUSE  # others may be about to commit without a word (migration 117, wake)
            if claimed == self._batch:
                continue
            await self._rest(_LINGER if self._outcomes else self._pause)
            self._pause = min(self._poll, self._pause * 2)

    # -- jobs -----------------------------------------------------------------------------------------------------

    async def _claim(self, queries: Queries) -> int:
        ahead = self._concurrency if self._pace < _QUICK else 0
        room = min(self._batch, self._concurrency + ahead - len(self._held))
        if room < 1:
            return 0
        jobs = await queries.dequeue(
            batch_size=room,
            entrypoints=self._entrypoints,
            queue_manager_id=self._id,
            global_concurrency_limit=None,
            heartbeat_timeout=self._lease,
        )
        for job in jobs:
            if job.id in self._held:  # our own, after a late heartbeat
                continue
            self._held[job.id] = job
            if job.attempts >= self._retries.tries:
                self._end(self._failure(job, kind="WorkerDied", place="", tries=job.attempts))
            else:
                self._ready.append(job)
        self._start()
        return len(jobs)

    def _start(self) -> None:
        while self._ready and len(self._running) < self._concurrency and self._deadline is None:
            job = self._ready.popleft()
            self._running[job.id] = asyncio.create_task(self._run_job(job), name=f"job {job.entrypoint} {job.id}")

    async def _run_job(self, job: Job) -> None:
        began = time.monotonic()
        outcome = _Outcome(job, "released")
        try:
            with _span_of(job):
                await self._handlers[job.entrypoint](decode_ids(job.payload))
            outcome = _Outcome(job, "done")
        except asyncio.CancelledError as error:
            if self._deadline is None:  # not ours: something inside the handler was cancelled
                outcome = self._judge(job, error)
        except Exception as error:
            outcome = self._judge(job, error)
        finally:
            seconds = time.monotonic() - began
            self._pace += 0.1 * (seconds - self._pace)
            measures.took("asoe_job_seconds", seconds, job.entrypoint)
            measures.count("asoe_jobs", job.entrypoint, outcome.kind)
            del self._running[job.id]
            self._end(outcome)
            self._start()

    def _judge(self, job: Job, error: BaseException) -> _Outcome:
        failures = job.attempts + 1
        kind, place = kind_of(error), place_of(error)
        pause = self._retries.pause_after(error, failures=failures)
        if pause is None:
            return self._failure(job, kind=kind, place=place, tries=failures)
        _log.warning(
            "job.again",
            job=job.entrypoint,
            **_words(job),
            error=kind,
            where=place,
            tries=failures,
            pause=pause.total_seconds(),
        )
        return _Outcome(job, "again", pause, record_of(job, kind=kind, place=place, tries=failures))

    def _failure(self, job: Job, *, kind: str, place: str, tries: int) -> _Outcome:
        _log.error("job.failed", job=job.entrypoint, **_words(job), error=kind, where=place, tries=tries)
        return _Outcome(job, "failed", record=record_of(job, kind=kind, place=place, tries=tries))

    def _end(self, outcome: _Outcome) -> None:
        self._outcomes.append(outcome)
        if len(self._ready) <= self._concurrency // 2 or len(self._outcomes) >= self._batch:
            self._wake.set()

    async def _settle(self, queries: Queries) -> None:
        """Write the outcomes; what is not written stays held, for the next connection."""
        outcomes = self._outcomes[:]
        if not outcomes:
            return
        if ended := [o for o in outcomes if o.kind in ("done", "failed")]:
            await queries.log_jobs([(o.job, "successful" if o.kind == "done" else "failed", o.record) for o in ended])
        for outcome in outcomes:
            if outcome.kind == "again":
                await queries.retry_job(outcome.job, outcome.pause, outcome.record)
        if released := [o.job.id for o in outcomes if o.kind == "released"]:
            await queries.driver.execute(_RELEASE, released, self._id)
        del self._outcomes[: len(outcomes)]
        for outcome in outcomes:
            self._held.pop(outcome.job.id, None)

    async def _tidy(self) -> None:
        if self._queries is not None:
            await self._queries.driver.execute(_TIDY)

    # -- waking and stopping --------------------------------------------------------------------------------------

    async def _watch(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._deadline = time.monotonic() + self._drain
        self._wake.set()
        self._clock.hurry()

    def _wind_down(self) -> None:
        """Give back what has not begun; past the deadline, stop what runs."""
        self._outcomes += [_Outcome(job, "released") for job in self._ready]
        self._ready.clear()
        if not self._is_cut and self._deadline is not None and time.monotonic() >= self._deadline:
            self._is_cut = True
            for task in self._running.values():
                task.cancel()

    def _is_over(self) -> bool:
        if self._deadline is None:
            return False
        return not self._held or time.monotonic() > self._deadline + _GRACE

    async def _abandon(self) -> None:
        """Only reached with running jobs when the database or a handler would not end in time: their leases run out."""
        self._clock.cancel()
        running = list(self._running.values())
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=_GRACE)

    def _hurry(self) -> None:
        self._pause = _SHORTEST_PAUSE
        if not self._ready and len(self._running) < self._concurrency:
            self._wake.set()

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return


def _refuse_setup(error: Exception) -> None:
    if isinstance(cause := first_of(error), _SETUP_ERRORS):
        raise Unavailable(
            f"The queue's tables cannot be used ({kind_of(cause)}). Run `asoe migrate`, and connect as asoe_app.",
            code="queue_not_ready",
            permanent=True,
        ) from error


async def _close(connection: asyncpg.Connection) -> None:
    try:
        await connection.close(timeout=2)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection.terminate()


def _span_of(job: Job) -> tracing.Span:
    """Part of the trace in which it was enqueued, at every try and in every process; a job of a timer begins one."""
    if not tracing.is_on():
        return tracing.NOBODYS
    carried = {name: str(value) for name, value in (job.otel_headers() or {}).items()}
    ids: dict[str, Any] = dict(decode_ids(job.payload))
    return tracing.span(
        "job",
        of=job.entrypoint,
        kind="consumer",
        parent=carried.get("traceparent"),
        link=carried.get("link"),
        job=job.entrypoint,
        tries=job.attempts + 1,
        **ids,
    )


def _words(job: Job) -> dict[str, str]:
    return {key: str(value) for key, value in decode_ids(job.payload).items()}
