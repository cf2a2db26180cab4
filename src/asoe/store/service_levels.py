"""Clocks of service levels as rows, what they are counted from, and how far an organization's facts are counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from asoe.domain.facts import Fact
from asoe.domain.service_level import Clock
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class ServiceLevelsSql(NamedQueries):
    work: str
    watch: str
    cursor: str
    move: str
    read_on: str
    standing: str
    moments: str
    clocks: str
    save: str
    drop: str
    nearest: str
    at_risk: str
    count_at_risk: str
    kept: str
    recount: str


@dataclass(frozen=True, slots=True)
class StoredClock:
    """A clock with what was said of it: `warned_at` and `told_at` are when its facts were written."""

    clock: Clock
    warned_at: datetime | None = None
    told_at: datetime | None = None

    @property
    def next_at(self) -> datetime | None:
        """When there is something to say."""
        clock = self.clock
        if clock.breached_at is not None or clock.status != "running":
            return clock.breached_at if self.told_at is None else None
        return clock.due_at if self.warned_at is not None or clock.warn_at is None else clock.warn_at


@dataclass(frozen=True, slots=True)
class Standing:
    """What a ticket's clocks are counted from, beside its facts."""

    created_at: datetime
    severity: str
    team: str | None
    assignee: UUID | None
    plan: str | None
    is_counted: bool
    settings: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kept:
    """How many promises of one kind were due in a time, and how many of these were kept."""

    kind: str
    due: int
    kept: int


async def work(connection: Connection, *, now: datetime, limit: int = 500) -> list[tuple[UUID, UUID | None]]:
    """(org_id, ticket_id) of timers that have run out, and (org_id, None) with new facts; needs a system transaction."""
    return [(row["org_id"], row["ticket_id"]) for row in await connection.fetch(ServiceLevelsSql.work, now, limit)]


@dataclass(frozen=True, slots=True)
class News:
    """The tickets that the next facts are about, how many facts these are, and the cursor behind them."""

    tickets: Sequence[UUID]
    facts: int
    cursor: tuple[int, int] | None


async def read_on(connection: Connection, org_id: UUID, kinds: Iterable[str], *, limit: int) -> News:
    """The next facts of an organization, which is watched from now on if it was not."""
    await watch(connection, org_id)
    at = await connection.fetchrow(ServiceLevelsSql.cursor, org_id)
    row = await connection.fetchrow(ServiceLevelsSql.read_on, org_id, str(at["xid"]), at["fact_id"], list(kinds), limit)
    cursor = None if row["xid"] is None else (row["xid"], row["fact_id"])
    return News(sorted(row["tickets"] or ()), row["facts"], cursor)


async def move_on(connection: Connection, org_id: UUID, cursor: tuple[int, int]) -> None:
    """All facts up to the cursor are looked at."""
    await connection.execute(ServiceLevelsSql.move, org_id, *cursor)


async def standing(connection: Connection, org_id: UUID, ticket_id: UUID) -> Standing | None:
    """The ticket, held against another count of it until the transaction ends; None when it is gone."""
    row = await connection.fetchrow(ServiceLevelsSql.standing, org_id, ticket_id)
    return None if row is None else Standing(**dict(row))


async def moments(connection: Connection, org_id: UUID, ticket_id: UUID, kinds: Iterable[str]) -> list[Fact]:
    """The ticket's facts of these kinds, oldest first."""
    rows = await connection.fetch(ServiceLevelsSql.moments, org_id, ticket_id, list(kinds))
    return [Fact(**dict(row)) for row in rows]


async def clocks(connection: Connection, org_id: UUID, ticket_id: UUID) -> list[StoredClock]:
    """All clocks of the ticket, in order of their start."""
    return [_stored(row) for row in await connection.fetch(ServiceLevelsSql.clocks, org_id, ticket_id)]


async def save(connection: Connection, org_id: UUID, ticket_id: UUID, found: Sequence[StoredClock]) -> None:
    for each in found:
        clock = each.clock
        await connection.execute(
            ServiceLevelsSql.save,
            org_id,
            ticket_id,
            clock.kind,
            clock.started_at,
            clock.target,
            clock.used,
            clock.since,
            clock.due_at,
            clock.warn_at,
            clock.met_at,
            clock.breached_at,
            each.warned_at,
            each.told_at,
            each.next_at,
        )


async def drop(connection: Connection, org_id: UUID, ticket_id: UUID, gone: Sequence[Clock]) -> None:
    for clock in gone:
        await connection.execute(ServiceLevelsSql.drop, org_id, ticket_id, clock.kind, clock.started_at)


async def nearest(connection: Connection, org_id: UUID, ticket_ids: Iterable[UUID]) -> dict[UUID, Clock]:
    """Of each ticket the clock that presses most: a missed one, else the one that is due first, else a paused one."""
    rows = await connection.fetch(ServiceLevelsSql.nearest, org_id, list(ticket_ids))
    return {row["ticket_id"]: _stored(row).clock for row in rows}


async def at_risk(connection: Connection, org_id: UUID, *, now: datetime, limit: int) -> list[tuple[UUID, Clock]]:
    """Clocks that are missed or past their warning and not met, the first due first."""
    rows = await connection.fetch(ServiceLevelsSql.at_risk, org_id, now, limit)
    return [(row["ticket_id"], _stored(row).clock) for row in rows]


async def count_at_risk(connection: Connection, org_id: UUID, *, now: datetime, limit: int) -> tuple[int, int]:
    """How many tickets are past a warning, and how many have missed something; at most `limit` clocks are looked at."""
    row = await connection.fetchrow(ServiceLevelsSql.count_at_risk, org_id, now, limit)
    return row["warned"], row["breached"]


async def kept(connection: Connection, org_id: UUID, *, since: datetime) -> list[Kept]:
    """What became of the promises that were met or missed since then."""
    return [Kept(**dict(row)) for row in await connection.fetch(ServiceLevelsSql.kept, org_id, since)]


async def watch(connection: Connection, org_id: UUID) -> None:
    """Watch the organization's facts from now on, unless they are watched already."""
    await connection.execute(ServiceLevelsSql.watch, org_id)


async def recount(connection: Connection, org_id: UUID, *, now: datetime) -> None:
    """Have every clock that still counts counted anew: the promise has changed."""
    await connection.execute(ServiceLevelsSql.recount, org_id, now)


def _stored(row: Any) -> StoredClock:
    values = {name: value for name, value in dict(row).items() if name not in {"ticket_id", "warned_at", "told_at"}}
    return StoredClock(Clock(**values), row["warned_at"], row["told_at"])
