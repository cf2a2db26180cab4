"""Who is looking at a ticket, or writing on it, just now. Rows grow old by themselves: only the last seconds are read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from asoe.store.db import Connection
from asoe.store.queries import NamedQueries

SECONDS: Final = 20.0
"""For so long somebody is there who does not say so again."""


class PresencesSql(NamedQueries):
    tell: str
    leave: str
    others: str
    writers: str
    changed: str
    now: str
    forget: str


@dataclass(frozen=True, slots=True)
class Writers:
    """Which side writes to the other just now; notes among colleagues are none of it."""

    client: bool = False
    team: bool = False


@dataclass(frozen=True, slots=True)
class Present:
    """Somebody of the team on a ticket; `since` is when the present state began."""

    user_id: UUID
    name: str
    state: str
    since: datetime


async def tell(connection: Connection, org_id: UUID, ticket_id: UUID, user_id: UUID, state: str) -> None:
    await connection.execute(PresencesSql.tell, org_id, ticket_id, user_id, state, SECONDS)


async def leave(connection: Connection, org_id: UUID, ticket_id: UUID, user_id: UUID) -> None:
    await connection.execute(PresencesSql.leave, org_id, ticket_id, user_id)


async def writers(connection: Connection, org_id: UUID, ticket_id: UUID) -> Writers:
    row = await connection.fetchrow(PresencesSql.writers, org_id, ticket_id, SECONDS)
    return Writers(row["client"], row["team"])


async def others(connection: Connection, org_id: UUID, ticket_id: UUID, user_id: UUID) -> list[Present]:
    """Who else is there, writers first."""
    rows = await connection.fetch(PresencesSql.others, org_id, ticket_id, user_id, SECONDS)
    return [Present(**dict(row)) for row in rows]


async def changed(connection: Connection, org_id: UUID, since: datetime) -> tuple[datetime, dict[UUID, bool]]:
    """The moment up to which was looked; the tickets on which somebody came or changed since the one before, and whether the team writes."""
    rows = await connection.fetch(PresencesSql.changed, org_id, since, SECONDS)
    return max([since, *(row["changed_at"] for row in rows)]), {row["ticket_id"]: row["team_writes"] for row in rows}


async def now(connection: Connection) -> datetime:
    moment: datetime = await connection.fetchval(PresencesSql.now)
    return moment


async def forget(connection: Connection, org_id: UUID) -> None:
    """Remove what nobody reads any more; only the engine may."""
    await connection.execute(PresencesSql.forget, org_id)
