"""Escalations: one open row per ticket that waits for a person, with its reasons and dossier."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from asoe.domain.escalation import Link
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class EscalationsSql(NamedQueries):
    open: str
    newest: str
    take: str
    end: str
    looked_at: str


@dataclass(frozen=True, slots=True)
class Escalation:
    """One hand-over; `taken_by` is the person who took it."""

    id: UUID
    ticket_id: UUID
    reasons: tuple[str, ...]
    team: str
    dossier: dict[str, Any]
    created_at: datetime
    taken_by: UUID | None
    taken_at: datetime | None
    ended_at: datetime | None


async def open_escalation(
    connection: Connection,
    org_id: UUID,
    ticket_id: UUID,
    *,
    reasons: tuple[str, ...],
    team: str,
    dossier: dict[str, Any],
) -> bool:
    """Open one, or add to the open one; True when it is new."""
    row = await connection.fetchrow(EscalationsSql.open, org_id, ticket_id, list(reasons), team, dossier)
    return bool(row["is_new"])


async def newest(connection: Connection, org_id: UUID, ticket_id: UUID) -> Escalation | None:
    row = await connection.fetchrow(EscalationsSql.newest, org_id, ticket_id)
    return None if row is None else Escalation(**{**dict(row), "reasons": tuple(row["reasons"])})


async def take(connection: Connection, org_id: UUID, ticket_id: UUID, *, by: UUID) -> None:
    """Note who took it; the first one stays."""
    await connection.execute(EscalationsSql.take, org_id, ticket_id, by)


async def end(connection: Connection, org_id: UUID, ticket_id: UUID) -> None:
    await connection.execute(EscalationsSql.end, org_id, ticket_id)


async def looked_at(connection: Connection, org_id: UUID, ticket_id: UUID) -> list[Link]:
    """What of the house stands behind the ticket: its runs, its incidents, and the articles it was answered from."""
    rows = await connection.fetch(EscalationsSql.looked_at, org_id, ticket_id)
    return [Link(row["kind"], str(row["id"]), row["name"]) for row in rows]
