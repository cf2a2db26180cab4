"""Binds pgqueuer to schema `queue` and to one connection of a worker. Nothing here reads the environment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain.settings import DBSettings, Durability
from pgqueuer.domain.types import Channel

# Every name is given: DBSettings would read each one left out from variables as common as FUNCTION or TRIGGER.
SETTINGS: Final = DBSettings(
    prefix="",
    db_schema="queue",
    channel=Channel("ch_pgqueuer"),
    function="fn_pgqueuer_changed",
    trigger="tg_pgqueuer_changed",
    queue_table="pgqueuer",
    queue_table_log="pgqueuer_log",
    schedules_table="pgqueuer_schedules",
    statistics_table="pgqueuer_statistics",
    queue_status_type="pgqueuer_status",
    durability=Durability.durable,
    widen_id=True,
)

CHANNEL: Final = "asoe_queue"
"""What migration 117's trigger notifies when jobs were added."""


class WorkerConnection(AsyncpgDriver):
    """pgqueuer's driver over one connection, whose commits do not wait for the disk.

    Losing the last claims or results in a crash of the server only means that jobs are done again, which they bear anyway.
    """

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self.connection = connection

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        async with self._lock, self._transaction():
            return [dict(row) for row in await self.connection.fetch(query, *args)]

    async def execute(self, query: str, *args: object) -> str:
        async with self._lock, self._transaction():
            status: str = await self.connection.execute(query, *args)
            return status

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        await self.connection.execute("begin; set local synchronous_commit = off")
        try:
            yield
        except BaseException:
            if not self.connection.is_closed():
                await self.connection.execute("rollback")
            raise
        await self.connection.execute("commit")


def queries_over(driver: AsyncpgDriver) -> Queries:
    """Pgqueuer's statements for schema `queue`."""
    return Queries(
        driver,
        qbe=QueryBuilderEnvironment(SETTINGS),
        qbq=QueryQueueBuilder(SETTINGS),
        qbs=QuerySchedulerBuilder(SETTINGS),
    )
