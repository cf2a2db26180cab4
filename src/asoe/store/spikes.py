"""Watches on the volume of intents as rows, and the counts they rest on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class SpikesSql(NamedQueries):
    hold: str
    oldest: str
    by_hour: str
    by_step: str
    watches: str
    put: str
    move: str


@dataclass(frozen=True, slots=True)
class WatchRow:
    """One intent: what is expected, and how its watch stands after `counted_until`."""

    intent: str
    rates: tuple[float, ...]
    spread: float
    threshold: float
    state: tuple[float, ...]
    counted_until: datetime
    learned_at: datetime
    alarmed_at: datetime | None = None


async def hold(connection: Connection, org_id: UUID) -> bool:
    """Whether nobody else watches the organization until the transaction ends."""
    return bool(await connection.fetchval(SpikesSql.hold, str(org_id)))


async def oldest(connection: Connection, org_id: UUID) -> datetime | None:
    """When the organization's first own ticket came."""
    found: datetime | None = await connection.fetchval(SpikesSql.oldest, org_id)
    return found


async def by_hour(
    connection: Connection, org_id: UUID, *, since: datetime, until: datetime
) -> dict[str, dict[datetime, int]]:
    """Clients with a ticket of an intent, by hour."""
    return _grouped(await connection.fetch(SpikesSql.by_hour, org_id, since, until))


async def by_step(
    connection: Connection, org_id: UUID, *, since: datetime, until: datetime
) -> dict[str, dict[datetime, int]]:
    """The same by steps of five minutes."""
    return _grouped(await connection.fetch(SpikesSql.by_step, org_id, since, until))


async def watches(connection: Connection, org_id: UUID) -> list[WatchRow]:
    rows = await connection.fetch(SpikesSql.watches, org_id)
    return [WatchRow(**{**dict(row), "rates": tuple(row["rates"]), "state": tuple(row["state"])}) for row in rows]


async def put(connection: Connection, org_id: UUID, row: WatchRow) -> None:
    """A new watch, or new expectations of one that goes on as it stands."""
    await connection.execute(
        SpikesSql.put,
        org_id,
        row.intent,
        list(row.rates),
        row.spread,
        row.threshold,
        list(row.state),
        row.counted_until,
        row.learned_at,
    )


async def move(connection: Connection, org_id: UUID, row: WatchRow) -> None:
    await connection.execute(SpikesSql.move, org_id, row.intent, list(row.state), row.counted_until, row.alarmed_at)


def _grouped(rows: list[object]) -> dict[str, dict[datetime, int]]:
    found: dict[str, dict[datetime, int]] = {}
    for row in rows:
        found.setdefault(row["intent"], {})[row["at"]] = row["clients"]  # type: ignore[index]  # an asyncpg record
    return found
