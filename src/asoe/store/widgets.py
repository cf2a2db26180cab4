"""The widget of an organization, and what the clients in front of it have said and heard."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from asoe.domain.people import Contact
from asoe.domain.widget import Widget
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class WidgetsSql(NamedQueries):
    find: str
    save: str
    set_salt: str
    salts: str
    find_contact: str
    conversations: str


@dataclass(frozen=True, slots=True)
class Glance:
    """One conversation of a client, as a list shows it; `last` is the beginning of what was said last."""

    id: UUID
    number: int
    subject: str
    opening: str
    status: str
    waiting_for: str | None
    created_at: datetime
    updated_at: datetime
    role: str | None
    last: str | None
    said_at: datetime | None


async def find(connection: Connection, org_id: UUID) -> Widget:
    """As it is set; an organization that never set it has it off."""
    row = await connection.fetchrow(WidgetsSql.find, org_id)
    return Widget() if row is None else Widget(**{**dict(row), "origins": tuple(row["origins"])})


async def save(connection: Connection, org_id: UUID, widget: Widget, *, at: datetime) -> None:
    await connection.execute(
        WidgetsSql.save,
        org_id,
        widget.is_on,
        widget.takes_anonymous,
        widget.shows_help,
        list(widget.origins),
        widget.theme,
        widget.accent,
        dict(widget.greetings),
        at,
    )


async def set_salt(connection: Connection, org_id: UUID, salt: bytes, *, at: datetime, earlier_until: datetime) -> None:
    """What the next secret is made with; the one before is good until `earlier_until`."""
    await connection.execute(WidgetsSql.set_salt, org_id, salt, at, earlier_until)


async def salts(connection: Connection, org_id: UUID, at: datetime) -> list[bytes]:
    """Those whose secrets are good now, newest first."""
    row = await connection.fetchrow(WidgetsSql.salts, org_id, at)
    return [] if row is None else [salt for salt in (row["salt"], row["earlier"]) if salt is not None]


async def find_contact(
    connection: Connection, org_id: UUID, *, contact_id: UUID | None = None, external_id: str | None = None
) -> Contact | None:
    """Nobody for one who was erased."""
    row = await connection.fetchrow(WidgetsSql.find_contact, org_id, contact_id, external_id)
    return None if row is None else Contact(**dict(row))


async def conversations(connection: Connection, org_id: UUID, contact_id: UUID, *, limit: int) -> list[Glance]:
    rows = await connection.fetch(WidgetsSql.conversations, org_id, contact_id, limit)
    return [Glance(**dict(row)) for row in rows]
