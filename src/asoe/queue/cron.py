"""Runs what is due every so often, once across all workers: a row of pgqueuer's schedules is claimed by guarded update.

What runs outlives a lost connection; a dead worker's claim is taken over after 30 seconds (pgqueuer's own figure).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain.models import CronExpressionEntrypoint, Schedule
from pgqueuer.domain.types import CronEntrypoint, CronExpression, ScheduleId

from asoe.queue.failures import kind_of, place_of

_log = structlog.get_logger(__name__)

_SHORTEST: Final = timedelta(seconds=1)
_LONGEST_TICK: Final = 5.0


@dataclass(frozen=True, slots=True)
class Cron:
    """`run` is called every so often (a second or longer), never twice at once; a failure is logged and the next turn comes."""

    name: str
    every: timedelta
    run: Callable[[], Awaitable[None]]


class Clock:
    """The crons of one worker and those of them that run right now."""

    def __init__(self, crons: Iterable[Cron]) -> None:
        self._crons: dict[CronExpressionEntrypoint, Cron] = {}
        for cron in crons:
            if cron.every < _SHORTEST:
                raise ValueError(f"cron {cron.name!r}: every {cron.every} is shorter than a second")
            self._crons[_key(cron)] = cron
        if len({cron.name for cron in self._crons.values()}) != len(self._crons):
            raise ValueError("two crons have one name")
        self._every = {key: cron.every for key, cron in self._crons.items()}
        self._tick = min([_LONGEST_TICK, *(cron.every.total_seconds() for cron in self._crons.values())])
        self._running: dict[ScheduleId, asyncio.Task[None]] = {}
        self._ended: set[ScheduleId] = set()
        self._wake = asyncio.Event()

    async def keep(self, queries: Queries, stop: asyncio.Event) -> None:
        """Start what is due until `stop`, then wait for what runs. Raises what the connection raises."""
        if not self._crons:
            return
        await queries.insert_schedule(self._every)
        while True:
            self._wake.clear()
            if ended := set(self._ended):
                await queries.set_schedule_queued(ended)
                self._ended -= ended
            if not stop.is_set():
                for schedule in await queries.fetch_schedule(self._every):
                    self._start(schedule)
            elif not self._running:
                return
            if self._running:
                await queries.update_schedule_heartbeat(set(self._running))
            await self._rest(stop)

    def cancel(self) -> None:
        """End what still runs."""
        for task in self._running.values():
            task.cancel()

    def hurry(self) -> None:
        """Look again now."""
        self._wake.set()

    def _start(self, schedule: Schedule) -> None:
        if schedule.id in self._running:  # our own claim, after a late heartbeat
            return
        cron = self._crons[CronExpressionEntrypoint(schedule.entrypoint, schedule.expression)]
        task = asyncio.create_task(self._run(cron), name=f"cron {cron.name}")
        self._running[schedule.id] = task
        task.add_done_callback(lambda _: self._end(schedule.id))

    def _end(self, schedule_id: ScheduleId) -> None:
        del self._running[schedule_id]
        self._ended.add(schedule_id)
        self._wake.set()

    async def _run(self, cron: Cron) -> None:
        try:
            await cron.run()
        except Exception as error:
            _log.error("cron.failed", cron=cron.name, error=kind_of(error), where=place_of(error))

    async def _rest(self, stop: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(_LONGEST_TICK if stop.is_set() else self._tick):
                await self._wake.wait()
        except TimeoutError:
            return


def _key(cron: Cron) -> CronExpressionEntrypoint:
    return CronExpressionEntrypoint(
        CronEntrypoint(cron.name), CronExpression(f"every {cron.every.total_seconds():g} seconds")
    )
