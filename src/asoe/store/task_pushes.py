"""Where outside agents are told how their tasks go. Address and proofs are sealed; whose a task is, the desk checks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class TaskPushesSql(NamedQueries):
    put: str
    id_of: str
    of_ticket: str
    find: str
    ids_of_tickets: str
    remove: str


@dataclass(frozen=True, slots=True)
class TaskPush:
    """`name` is the id that its owner gave it; `place` is its address as people may see it."""

    id: UUID
    ticket_id: UUID
    user_id: UUID
    name: str
    place: str
    sealed: bytes = field(repr=False)
    allow_private: bool
    created_at: datetime


async def put(
    connection: Connection,
    org_id: UUID,
    push_id: UUID,
    *,
    ticket_id: UUID,
    user_id: UUID,
    name: str,
    place: str,
    sealed: bytes,
    allow_private: bool,
) -> TaskPush | None:
    """Keep it, or what stands under the same name anew; None when that is another account's."""
    row = await connection.fetchrow(
        TaskPushesSql.put, org_id, push_id, ticket_id, user_id, name, place, sealed, allow_private
    )
    return None if row is None else TaskPush(**dict(row))


async def id_of(connection: Connection, org_id: UUID, ticket_id: UUID, name: str) -> UUID | None:
    found: UUID | None = await connection.fetchval(TaskPushesSql.id_of, org_id, ticket_id, name)
    return found


async def of_ticket(connection: Connection, org_id: UUID, ticket_id: UUID, user_id: UUID) -> list[TaskPush]:
    """Oldest first."""
    rows = await connection.fetch(TaskPushesSql.of_ticket, org_id, ticket_id, user_id)
    return [TaskPush(**dict(row)) for row in rows]


async def find(connection: Connection, org_id: UUID, push_id: UUID) -> TaskPush | None:
    """None when it is gone, or its owner may not act any more."""
    row = await connection.fetchrow(TaskPushesSql.find, org_id, push_id)
    return None if row is None else TaskPush(**dict(row))


async def ids_of_tickets(connection: Connection, org_id: UUID, ticket_ids: Iterable[UUID]) -> list[tuple[UUID, UUID]]:
    """(ticket, push)"""
    rows = await connection.fetch(TaskPushesSql.ids_of_tickets, org_id, list(ticket_ids))
    return [(row["ticket_id"], row["id"]) for row in rows]


async def remove(connection: Connection, org_id: UUID, push_id: UUID) -> bool:
    return await connection.fetchval(TaskPushesSql.remove, org_id, push_id) is not None
