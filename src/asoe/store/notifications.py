"""Notifications: up to which fact they were made, what people chose, and what each was told in the dashboard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from asoe.domain.notification import About, Delivery, Person, Preferences
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries

_OF_PREFERENCES = ("choices", "quiet_from", "quiet_until", "zone", "is_urgent_always", "digests", "briefing")


class NotificationsSql(NamedQueries):
    with_news: str
    open_cursor: str
    hold_cursor: str
    move_cursor: str
    staff: str
    about: str
    preferences: str
    set_preferences: str
    wants_briefings: str
    inbox: str
    unread: str
    mark_read: str


@dataclass(frozen=True, slots=True)
class Told:
    """One line of a person's inbox; number and subject are the ticket's."""

    delivery: Delivery
    number: int | None
    subject: str | None


async def with_news(connection: Connection, *, limit: int = 1000) -> list[UUID]:
    """Organizations with facts nobody was told of yet; asoe_system."""
    return [row["org_id"] for row in await connection.fetch(NotificationsSql.with_news, limit)]


async def hold_cursor(connection: Connection, org_id: UUID) -> tuple[int, int] | None:
    """Up to which fact notifications were made, held until the transaction ends; None while another process holds it."""
    row = await connection.fetchrow(NotificationsSql.hold_cursor, org_id)
    if row is None:
        await connection.execute(NotificationsSql.open_cursor, org_id)
        row = await connection.fetchrow(NotificationsSql.hold_cursor, org_id)
    return None if row is None else (row["xid"], row["fact_id"])


async def move_cursor(connection: Connection, org_id: UUID, *, xid: int, fact_id: int) -> None:
    await connection.execute(NotificationsSql.move_cursor, org_id, str(xid), fact_id)


async def staff(connection: Connection, org_id: UUID) -> list[Person]:
    """Every person of the staff who may come in, with what they chose."""
    return [
        Person(row["user_id"], row["role"], row["has_email"], _preferences(row), row["briefing_since"], row["email"])
        for row in await connection.fetch(NotificationsSql.staff, org_id)
    ]


async def about(connection: Connection, org_id: UUID, ticket_ids: Sequence[UUID]) -> dict[UUID, About]:
    """What of these tickets decides who is told; tickets that are gone are not in it."""
    rows = await connection.fetch(NotificationsSql.about, org_id, list(ticket_ids))
    return {row["id"]: About(row["assignee"], row["severity"], row["team"]) for row in rows}


async def preferences(connection: Connection, org_id: UUID, user_id: UUID) -> Preferences:
    row = await connection.fetchrow(NotificationsSql.preferences, org_id, user_id)
    return Preferences() if row is None else _preferences(row)


async def set_preferences(
    connection: Connection, org_id: UUID, user_id: UUID, wanted: Preferences, *, at: datetime
) -> None:
    """`at` is remembered when how often briefings come is another than before."""
    await connection.execute(
        NotificationsSql.set_preferences, org_id, user_id, *(getattr(wanted, name) for name in _OF_PREFERENCES), at
    )


async def wants_briefings(connection: Connection, org_id: UUID) -> bool:
    """Whether anybody wants any, and there is a mailbox to send them from."""
    return bool(await connection.fetchval(NotificationsSql.wants_briefings, org_id))


async def inbox(
    connection: Connection, org_id: UUID, user_id: UUID, *, before: datetime | None = None, limit: int = 50
) -> list[Told]:
    """What a person was told in the dashboard, newest first."""
    rows = await connection.fetch(NotificationsSql.inbox, org_id, f"person:{user_id}", before, limit)
    found = []
    for row in rows:
        values: dict[str, Any] = dict(row)
        number, subject = values.pop("number"), values.pop("subject")
        found.append(Told(Delivery(**values), number, subject))
    return found


async def unread(connection: Connection, org_id: UUID, user_id: UUID) -> int:
    """How many of them were not read, up to 100."""
    return int(await connection.fetchval(NotificationsSql.unread, org_id, f"person:{user_id}"))


async def mark_read(connection: Connection, org_id: UUID, user_id: UUID, ids: Sequence[UUID] | None = None) -> int:
    """Mark these, or all, as read; returns how many were not before."""
    wanted = None if ids is None else list(ids)
    status = await connection.execute(NotificationsSql.mark_read, org_id, f"person:{user_id}", wanted)
    return int(status.rpartition(" ")[2])


def _preferences(row: Any) -> Preferences:
    if row["choices"] is None:  # nothing was chosen yet
        return Preferences()
    return Preferences(**{name: row[name] for name in _OF_PREFERENCES})
