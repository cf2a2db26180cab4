"""Where each ticket stands in its journey, and the lock that gives a ticket one hand at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from asoe.domain.ticket import Ticket
from asoe.store import tickets
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class JourneysSql(NamedQueries):
    lock: str
    find: str
    standing: str
    hold: str
    hold_sessions: str
    recheck: str
    save: str
    place: str
    rest: str
    forgotten: str
    due: str


@dataclass(frozen=True, slots=True)
class Journey:
    """Where a ticket stands. `due_at` wakes it without a message.

    `data["seen"]` holds the last seq per session that was taken into account; `seen_seq` is their sum at the last step.
    """

    stage: str = "triage"
    attempts: int = 0
    failures: int = 0
    seen_seq: int = 0
    due_at: datetime | None = None
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def seen(self) -> dict[str, int]:
        """The last seq taken into account, by session id."""
        return dict(self.data.get("seen", {}))


async def lock(connection: Connection, org_id: UUID, ticket_id: UUID) -> bool:
    """Take the ticket's advisory lock until the transaction ends; False when another hand has it."""
    return bool(await connection.fetchval(JourneysSql.lock, str(org_id), str(ticket_id)))


async def find(connection: Connection, org_id: UUID, ticket_id: UUID) -> Journey:
    """The stored journey, or a new one that has not begun."""
    row = await connection.fetchrow(JourneysSql.find, org_id, ticket_id)
    return Journey() if row is None else Journey(**dict(row))


async def standing(
    connection: Connection, org_id: UUID, ticket_id: UUID
) -> tuple[Ticket, Journey, dict[str, Any], bool, bool]:
    """The ticket, its journey, the organization's settings, whether a service level of it is missed or at risk, and whether an
    incident of the organization goes on.

    Raises `Missing(ticket_missing)`.
    """
    row = await connection.fetchrow(tickets.with_columns(JourneysSql.standing), org_id, ticket_id)
    values = dict(row) if row is not None else {}
    settings = values.pop("settings", None)
    is_late = bool(values.pop("is_late", False))
    has_incidents = bool(values.pop("has_incidents", False))
    own = {name.removeprefix("journey_"): values.pop(name) for name in list(values) if name.startswith("journey_")}
    ticket = tickets.from_row(values or None, ticket_id)
    return ticket, Journey() if own["stage"] is None else Journey(**own), settings or {}, is_late, has_incidents


async def hold(connection: Connection, org_id: UUID, ticket_id: UUID) -> int | None:
    """Hold the ticket until the transaction ends and return its version; None when another hand has it, or it is gone."""
    row = await connection.fetchrow(JourneysSql.hold, str(org_id), str(ticket_id))
    return row["version"] if row is not None and row["is_mine"] else None


async def recheck(
    connection: Connection, org_id: UUID, ticket_id: UUID, read: Mapping[str, int]
) -> tuple[Journey, bool]:
    """The journey of a held ticket, and whether the client or the team said what is behind `read`, the last seq of each session.

    Nobody says anything more until the transaction ends.
    """
    await connection.execute(JourneysSql.hold_sessions, ticket_id)
    values = dict(await connection.fetchrow(JourneysSql.recheck, org_id, ticket_id, dict(read)))
    is_said = bool(values.pop("is_said"))
    return Journey() if values["stage"] is None else Journey(**values), is_said


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


async def place(
    connection: Connection,
    org_id: UUID,
    ticket_id: UUID,
    stage: str,
    *,
    due_at: datetime | None = None,
    knows_all: bool = False,
) -> None:
    """Put the journey at a stage by a person's act; `knows_all`: what was said so far is no news any more."""
    await connection.execute(JourneysSql.place, org_id, ticket_id, stage, due_at, knows_all)


async def rest(connection: Connection, org_id: UUID, ticket_id: UUID, due_at: datetime) -> None:
    """Take away a timer that woke the journey in vain, unless it was set anew."""
    await connection.execute(JourneysSql.rest, org_id, ticket_id, due_at)


async def forgotten(connection: Connection, org_id: UUID, *, idle_seconds: float, limit: int = 200) -> list[UUID]:
    """Tickets whose job was lost; the sweeper enqueues them again."""
    return [row["id"] for row in await connection.fetch(JourneysSql.forgotten, org_id, idle_seconds, limit)]


async def due(connection: Connection, *, limit: int = 500) -> list[tuple[UUID, UUID]]:
    """(org_id, ticket_id) of timers that have run out; needs a system transaction."""
    return [(row["org_id"], row["ticket_id"]) for row in await connection.fetch(JourneysSql.due, limit)]
