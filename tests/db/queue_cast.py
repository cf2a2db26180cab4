"""Who takes part in the tests of the queue: a worker that works while a block runs, and jobs counted as they are done."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from asoe.queue import Queue
from asoe.queue.worker import Retries, Worker

ORG = UUID(int=10)
AT_ONCE = Retries(tries=3, first=timedelta(0))
LEASE = timedelta(seconds=1)


class Seen:
    """Counts the tickets that a handler saw and waits for them."""

    def __init__(self) -> None:
        self.tickets: Counter[UUID] = Counter()
        self._changed = asyncio.Condition()

    async def __call__(self, ids: dict[str, UUID]) -> None:
        async with self._changed:
            self.tickets[ids["ticket_id"]] += 1
            self._changed.notify_all()

    async def wait_for(self, tickets: set[UUID], *, times: int = 1) -> None:
        async with asyncio.timeout(30), self._changed:
            await self._changed.wait_for(lambda: all(self.tickets[ticket] >= times for ticket in tickets))


@asynccontextmanager
async def working(worker: Worker) -> AsyncIterator[asyncio.Event]:
    """The worker runs inside the block and has ended after it."""
    stop = asyncio.Event()
    task = asyncio.create_task(worker.run(stop))
    try:
        yield stop
    finally:
        stop.set()
        async with asyncio.timeout(30):
            await task


async def put(dsn: str, count: int = 1, **options: Any) -> set[UUID]:
    """Commit `count` jobs "advance", each of its own ticket."""
    tickets = [uuid4() for _ in range(count)]
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            for ticket in tickets:
                await Queue().advance(connection, ORG, ticket, **options)
    finally:
        await connection.close()
    return set(tickets)


async def until(dsn: str, query: str, wanted: Any) -> None:
    """Ask the database again until it says `wanted`."""
    connection = await asyncpg.connect(dsn)
    try:
        async with asyncio.timeout(30):
            while await connection.fetchval(query) != wanted:
                await connection.execute("select pg_sleep(0.02)")
    finally:
        await connection.close()
