"""Wishes and who supports them, as rows. Which wishes are equal, and who is told what, is the desk's to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from asoe.domain.errors import Missing
from asoe.domain.wish import NewWish, Supporter, Wish
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries

MAX_SUPPORTERS: Final = 1000
MAX_COMPARED: Final = 5000
_COLUMNS: Final = (
    "w.id, w.number, w.title, w.words, w.language, w.status, m.number as merged_into, w.note, w.created_at, w.shipped_at, "
    "coalesce(c.clients, 0) as clients, coalesce(c.tickets, 0) as tickets, coalesce(c.told, 0) as told, "
    "coalesce(c.plans, '{}') as plans"
)


class WishesSql(NamedQueries):
    hold: str
    wanted: str
    insert: str
    support: str
    of_ticket: str
    page: str
    find_for_update: str
    supporters: str
    rename: str
    set_status: str
    move_all: str
    move_back: str
    move_tickets: str
    untold: str
    set_told: str
    erase: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """The wish a ticket speaks for, as it is stored now."""

    id: UUID
    number: int
    status: str
    clients: int


@dataclass(frozen=True, slots=True)
class Held:
    """A wish whose row is locked until the transaction ends."""

    id: UUID
    number: int
    title: str
    status: str
    merged_into: UUID | None


@dataclass(frozen=True, slots=True)
class Untold:
    """One client to tell of a shipped wish, and where."""

    id: UUID
    client: str
    wish_id: UUID
    ticket_id: UUID
    number: int
    note: str
    title: str
    language: str
    session_id: UUID
    assistant_type: str


async def hold(connection: Connection, org_id: UUID) -> None:
    """Let nobody else write the organization's wishes until the transaction ends."""
    await connection.execute(WishesSql.hold, str(org_id))


async def wanted(connection: Connection, org_id: UUID) -> list[tuple[UUID, bytes]]:
    """Ids and vectors of the wishes that are wanted, newest first."""
    rows = await connection.fetch(WishesSql.wanted, org_id, MAX_COMPARED)
    return [(row["id"], row["embedding"]) for row in rows]


async def insert(connection: Connection, org_id: UUID, wish: NewWish, *, ticket_id: UUID, at: datetime) -> UUID:
    """A new wish in the words of a ticket, under the next number; the caller holds the organization's wishes."""
    found: UUID = await connection.fetchval(
        WishesSql.insert, org_id, wish.title, wish.words, ticket_id, wish.language, wish.embedding, at
    )
    return found


async def support(
    connection: Connection, org_id: UUID, wish_id: UUID, ticket_id: UUID, *, likeness: float | None, at: datetime
) -> bool:
    """Let a ticket speak for the wish; False when it speaks for one already."""
    done: str = await connection.execute(WishesSql.support, org_id, wish_id, ticket_id, likeness, at)
    return done.endswith(" 1")


async def of_ticket(connection: Connection, org_id: UUID, ticket_id: UUID) -> Spoken | None:
    row = await connection.fetchrow(WishesSql.of_ticket, org_id, ticket_id)
    return None if row is None else Spoken(**dict(row))


async def page(
    connection: Connection,
    org_id: UUID,
    *,
    status: str | None = None,
    number: int | None = None,
    after: tuple[int, int] | None = None,
    limit: int = 200,
) -> list[Wish]:
    """Those that most clients want first, behind `after`: how many clients, and the number."""
    sql = WishesSql.page.replace("{columns}", _COLUMNS)
    clients, last = after or (None, None)
    return [Wish(**dict(row)) for row in await connection.fetch(sql, org_id, status, number, clients, last, limit)]


async def find(connection: Connection, org_id: UUID, number: int) -> Wish:
    """Raises `Missing(wish_missing)`."""
    found = await page(connection, org_id, number=number, limit=1)
    if not found:
        raise _missing(number)
    return found[0]


async def find_for_update(connection: Connection, org_id: UUID, number: int) -> Held:
    """Raises `Missing(wish_missing)`."""
    row = await connection.fetchrow(WishesSql.find_for_update, org_id, number)
    if row is None:
        raise _missing(number)
    return Held(**dict(row))


async def supporters(connection: Connection, org_id: UUID, wish_id: UUID) -> list[Supporter]:
    """Oldest first."""
    rows = await connection.fetch(WishesSql.supporters, org_id, wish_id, MAX_SUPPORTERS)
    return [Supporter(**dict(row)) for row in rows]


async def rename(connection: Connection, org_id: UUID, wish_id: UUID, title: str, *, by: UUID) -> None:
    await connection.execute(WishesSql.rename, org_id, wish_id, title, by)


async def set_status(
    connection: Connection,
    org_id: UUID,
    wish_id: UUID,
    status: str,
    *,
    merged_into: UUID | None = None,
    note: str | None = None,
    shipped_at: datetime | None = None,
) -> None:
    await connection.execute(WishesSql.set_status, org_id, wish_id, status, merged_into, note, shipped_at)


async def move_all(connection: Connection, org_id: UUID, wish_id: UUID, *, into: UUID) -> int:
    return _count(await connection.execute(WishesSql.move_all, org_id, wish_id, into))


async def move_back(connection: Connection, org_id: UUID, wish_id: UUID) -> int:
    """To the wish they were recorded with."""
    return _count(await connection.execute(WishesSql.move_back, org_id, wish_id))


async def move_tickets(
    connection: Connection, org_id: UUID, wish_id: UUID, ticket_ids: Sequence[UUID], *, into: UUID
) -> int:
    return _count(await connection.execute(WishesSql.move_tickets, org_id, wish_id, list(ticket_ids), into))


async def untold(connection: Connection, org_id: UUID) -> Untold | None:
    """A client of a shipped wish that was not told yet; the caller holds the organization's wishes."""
    row = await connection.fetchrow(WishesSql.untold, org_id)
    return None if row is None else Untold(**dict(row))


async def set_told(connection: Connection, org_id: UUID, told: Untold, *, at: datetime) -> None:
    await connection.execute(WishesSql.set_told, org_id, told.wish_id, told.client, at)


async def erase(connection: Connection, org_id: UUID, ticket_ids: Sequence[UUID]) -> None:
    """Take the words of these tickets' clients out of the wishes they wished first."""
    await connection.execute(WishesSql.erase, org_id, list(ticket_ids))


def _missing(number: int) -> Missing:
    return Missing(f"There is no wish {number} here.", code="wish_missing")


def _count(status: str) -> int:
    return int(status.rpartition(" ")[2])
