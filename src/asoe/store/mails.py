"""Mails that came in: each once, what it was taken for, and which ticket it belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid5

from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class MailsSql(NamedQueries):
    find: str
    add: str
    keep_files: str
    count_of_sender: str
    ids_of_ticket: str
    ticket_of: str
    owed: str
    message: str


@dataclass(frozen=True, slots=True)
class MailRow:
    id: UUID
    message_id: str
    kind: str
    reason: str | None
    ticket_id: UUID | None
    is_verified: bool
    files_kept: bool
    received_at: datetime
    words_hash: bytes | None


@dataclass(frozen=True, slots=True)
class Owed:
    """A message a client has to be sent."""

    message_id: UUID
    ticket_id: UUID
    session_id: UUID
    created_at: datetime
    contact_id: UUID


@dataclass(frozen=True, slots=True)
class ToClient:
    """One message as a mail needs it."""

    content: str
    number: int
    subject: str
    language: str
    email: str
    name: str


async def find(connection: Connection, org_id: UUID, message_id: str) -> MailRow | None:
    row = await connection.fetchrow(MailsSql.find, org_id, _id(org_id, message_id))
    return None if row is None else MailRow(**dict(row))


async def add(
    connection: Connection,
    org_id: UUID,
    message_id: str,
    *,
    sender_hash: bytes,
    words_hash: bytes,
    kind: str,
    at: datetime,
    reason: str | None = None,
    ticket_id: UUID | None = None,
    is_verified: bool = False,
    authentication: Mapping[str, str] | None = None,
    files_kept: bool = True,
) -> bool:
    """False when it is there already."""
    known = None if authentication is None else dict(authentication)
    row = await connection.fetchrow(
        MailsSql.add,
        org_id,
        _id(org_id, message_id),
        message_id,
        sender_hash,
        kind,
        reason,
        ticket_id,
        is_verified,
        known,
        files_kept,
        at,
        words_hash,
    )
    return row is not None


async def keep_files(connection: Connection, org_id: UUID, message_id: str) -> None:
    await connection.execute(MailsSql.keep_files, org_id, _id(org_id, message_id))


async def count_of_sender(connection: Connection, org_id: UUID, sender_hash: bytes, *, since: datetime) -> int:
    return int(await connection.fetchval(MailsSql.count_of_sender, org_id, sender_hash, since))


async def ids_of_ticket(connection: Connection, org_id: UUID, ticket_id: UUID) -> list[str]:
    """What the client wrote on a ticket, oldest first."""
    rows = await connection.fetch(MailsSql.ids_of_ticket, org_id, ticket_id)
    return [row["message_id"] for row in reversed(rows)]


async def ticket_of(connection: Connection, org_id: UUID, message_ids: Sequence[str]) -> UUID | None:
    found: UUID | None = await connection.fetchval(
        MailsSql.ticket_of, org_id, [_id(org_id, each) for each in message_ids]
    )
    return found


async def owed(connection: Connection, org_id: UUID, ticket_ids: Sequence[UUID]) -> list[Owed]:
    """What clients of these tickets have to be sent and is not on its way yet, in order."""
    return [Owed(**dict(row)) for row in await connection.fetch(MailsSql.owed, org_id, list(ticket_ids))]


async def message(
    connection: Connection, org_id: UUID, ticket_id: UUID, message_id: UUID, contact_id: UUID
) -> ToClient | None:
    row = await connection.fetchrow(MailsSql.message, org_id, ticket_id, message_id, contact_id)
    return None if row is None or not row["email"] else ToClient(**dict(row))


def _id(org_id: UUID, message_id: str) -> UUID:
    """The same for the same mail, however often it comes."""
    return uuid5(org_id, message_id)
