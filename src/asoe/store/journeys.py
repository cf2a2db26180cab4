"""Where each ticket stands in its journey, and the lock that gives a ticket one hand at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class JourneysSql(NamedQueries):
    lock: str
    find: str
    save: str
    forgotten: str
    due: str


@dataclass(frozen=True, slots=True)
class Journey:
    """`seen_seq` is the last message the engine has taken into account; `due_at` wakes it without a message."""

    stage: str = "triage"
    attempts: int = 0
    failures: int = 0
    seen_seq: int = 0
    due_at: datetime | None = None
    data: dict[str, Any] = field(default_factory=dict)


async def lock(connection: Connection, org_id: UUID, ticket_id: UUID) -> bool:
    """Take the ticket's advisory lock until the transaction ends; False when another hand has it."""
    return bool(await connection.fetchval(JourneysSql.lock, str(org_id), str(ticket_id)))


async def find(connection: Connection, org_id: UUID, ticket_id: UUID) -> Journey:
    """The stored journey, or a new one that has not begun."""
    row = await connection.fetchrow(JourneysSql.find, org_id, ticket_id)
    return Journey() if row is None else Journey(**dict(row))


async def save(connection: Connection, org_id: UUID, ticket_id: UUID, journey: Journey) -> None:
    await connection.execute(
        JourneysSql.save,
        org_id,
        ticket_id,
        journey.stage,
        journey.attempts,
        journey.failures,
        journey.seen_seq,
        journey.due_at,
        journey.data,
    )


async def forgotten(connection: Connection, org_id: UUID, *, idle_seconds: float, limit: int = 200) -> list[UUID]:
    """Tickets whose job was lost; the sweeper enqueues them again."""
    return [row["id"] for row in await connection.fetch(JourneysSql.forgotten, org_id, idle_seconds, limit)]


async def due(connection: Connection, *, limit: int = 500) -> list[tuple[UUID, UUID]]:
    """(org_id, ticket_id) of timers that have run out; needs a system transaction."""
    return [(row["org_id"], row["ticket_id"]) for row in await connection.fetch(JourneysSql.due, limit)]
