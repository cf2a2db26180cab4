"""What briefings are made of beside the report: one person's queue and promises, where runbooks stand, what waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class BriefingsSql(NamedQueries):
    known: str
    mine: str
    resolved: str
    promises: str
    books: str
    running: str


@dataclass(frozen=True, slots=True)
class Severity:
    """One person's open tickets of a severity; `reopened` of them were resolved before."""

    severity: str
    tickets: int
    oldest_at: datetime
    reopened: int


@dataclass(frozen=True, slots=True)
class Promise:
    """Something owed on a ticket."""

    ticket_id: UUID
    number: int
    subject: str
    kind: str
    due_at: datetime
    breached_at: datetime | None


@dataclass(frozen=True, slots=True)
class Book:
    """A runbook in use and where it stands; `lent_until` is its loan's end, past ones too."""

    name: str
    level: str
    lent_until: datetime | None
    braked_at: datetime | None
    braked_why: str | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Approvals that wait; and of the time asked for: those nobody decided on, acts over a cap, mails and hooks given up."""

    approvals: int
    expired: int
    over_cap: int
    dead: int


async def known(connection: Connection, org_id: UUID, ids: Sequence[UUID]) -> set[UUID]:
    """Those that are made already."""
    return {row["id"] for row in await connection.fetch(BriefingsSql.known, org_id, list(ids))}


async def mine(connection: Connection, org_id: UUID, user_id: UUID) -> list[Severity]:
    return [Severity(**dict(row)) for row in await connection.fetch(BriefingsSql.mine, org_id, user_id)]


async def resolved(connection: Connection, org_id: UUID, user_id: UUID, *, since: datetime, until: datetime) -> int:
    return int(await connection.fetchval(BriefingsSql.resolved, org_id, user_id, since, until))


async def promises(
    connection: Connection, org_id: UUID, user_id: UUID, *, before: datetime, limit: int
) -> list[Promise]:
    rows = await connection.fetch(BriefingsSql.promises, org_id, user_id, before, limit)
    return [Promise(**dict(row)) for row in rows]


async def books(connection: Connection, org_id: UUID) -> list[Book]:
    found = []
    for row in await connection.fetch(BriefingsSql.books, org_id):
        values: dict[str, Any] = dict(row)
        until = values.pop("lent_until")
        found.append(Book(**values, lent_until=None if until is None else datetime.fromisoformat(until)))
    return found


async def running(connection: Connection, org_id: UUID, *, since: datetime, until: datetime) -> Waiting:
    return Waiting(**dict(await connection.fetchrow(BriefingsSql.running, org_id, since, until)))
