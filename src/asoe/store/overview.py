"""Counts for the first page. Each reads a bounded number of rows, however many tickets there are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from asoe.domain.facts import Fact
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class OverviewSql(NamedQueries):
    report: str
    open_by_age: str
    newest: str
    numbers: str
    engine_since: str


@dataclass(frozen=True, slots=True)
class Report:
    """What became of tickets; all but `tickets` are of the `resting` ones."""

    tickets: int
    resting: int
    handled: int
    contained: int
    verified: int


async def report(
    connection: Connection, org_id: UUID, *, since: datetime, limit: int, required: tuple[str, ...]
) -> Report:
    row = await connection.fetchrow(OverviewSql.report, org_id, since, limit, list(required))
    return Report(**dict(row))


async def open_by_age(connection: Connection, org_id: UUID, *, now: datetime, limit: int) -> dict[tuple[str, int], int]:
    """Counts by (severity, age): age 0 is under 4 hours, 1 under a day, 2 under three days, 3 older."""
    rows = await connection.fetch(OverviewSql.open_by_age, org_id, now, limit)
    return {(row["severity"], row["age"]): row["tickets"] for row in rows}


async def newest_facts(connection: Connection, org_id: UUID, *, limit: int) -> list[Fact]:
    """The latest facts, newest first."""
    return [Fact(**dict(row)) for row in await connection.fetch(OverviewSql.newest, org_id, limit)]


async def ticket_names(
    connection: Connection, org_id: UUID, ticket_ids: Iterable[UUID | None]
) -> dict[UUID, tuple[int, str]]:
    """Number and subject of tickets."""
    wanted = list({each for each in ticket_ids if each is not None})
    rows = await connection.fetch(OverviewSql.numbers, org_id, wanted) if wanted else []
    return {row["id"]: (row["number"], row["subject"]) for row in rows}


async def engine_since(
    connection: Connection, org_id: UUID, *, engine: UUID, since: datetime, limit: int
) -> tuple[dict[str, int], dict[str, int]]:
    """How often each kind of fact came from the engine, and each reason for giving a ticket away; most first."""
    rows = await connection.fetch(OverviewSql.engine_since, org_id, since, engine, limit)
    did = {row["kind"]: row["times"] for row in rows if row["kind"] != "reason"}
    return did, {row["reason"]: row["times"] for row in rows if row["kind"] == "reason"}
