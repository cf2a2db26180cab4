"""Corrections as rows with where they came from, the tickets they teach by, and complaints about the engine.

A correction is written with the change it belongs to (`store/tickets.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from asoe.domain.ticket import Ticket
from asoe.store import tickets
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class CorrectionsSql(NamedQueries):
    page: str
    count: str
    lessons: str
    recent: str
    people: str
    complain: str
    learn: str
    learned: str


@dataclass(frozen=True, slots=True)
class Correction:
    """`judged` is what the model had said, `before` what stood there; `corrected_by` may be a key's account."""

    id: UUID
    ticket_id: UUID
    ticket_number: int
    field: str
    judged: str | None
    before: str | None
    corrected: str
    model_version: str | None
    corrected_by: UUID | None
    corrected_by_name: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Sorted:
    """A ticket people have sorted: `labels` are what they corrected, by field; `by` None: they left it as it was."""

    ticket: Ticket
    labels: Mapping[str, str]
    by: UUID | None


async def page(
    connection: Connection, org_id: UUID, *, field: str | None = None, before: datetime | None = None, limit: int = 100
) -> list[Correction]:
    """Newest first."""
    rows = await connection.fetch(CorrectionsSql.page, org_id, field, before, limit)
    return [Correction(**dict(row)) for row in rows]


async def count(connection: Connection, org_id: UUID) -> int:
    """Corrections of category, severity and intent."""
    return int(await connection.fetchval(CorrectionsSql.count, org_id))


async def lessons(connection: Connection, org_id: UUID, *, limit: int) -> list[Sorted]:
    found = []
    for row in await connection.fetch(tickets.with_columns(CorrectionsSql.lessons), org_id, limit):
        values = dict(row)
        labels, by = values.pop("corrected_labels"), values.pop("corrected_by")
        found.append(Sorted(tickets.from_row(values, values["id"]), labels or {}, by))
    return found


async def recent(connection: Connection, org_id: UUID, *, limit: int) -> list[Ticket]:
    rows = await connection.fetch(tickets.with_columns(CorrectionsSql.recent), org_id, limit)
    return [tickets.from_row(dict(row), row["id"]) for row in rows]


async def people(connection: Connection, org_id: UUID) -> int:
    """How many could correct."""
    return int(await connection.fetchval(CorrectionsSql.people, org_id))


async def complain(
    connection: Connection, org_id: UUID, ticket_id: UUID, about: Mapping[str, Any], *, model_version: str | None
) -> None:
    """Keep that a client says the engine was wrong; once for each ticket."""
    await connection.execute(CorrectionsSql.complain, org_id, ticket_id, dict(about), model_version)


async def learn(connection: Connection, org_id: UUID, ticket_ids: Sequence[UUID], *, model_id: UUID) -> None:
    """Note in which model the complaints that these tickets answer were learned."""
    await connection.execute(CorrectionsSql.learn, org_id, list(ticket_ids), model_id)


async def learned(connection: Connection, org_id: UUID) -> list[UUID]:
    """Ended tickets of complaints whose correction is in the model that judges now, as the registry says."""
    return [row["ticket_id"] for row in await connection.fetch(CorrectionsSql.learned, org_id)]
