"""The mailbox of an organization: the address it writes from, and the servers it sends and fetches through."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class MailboxesSql(NamedQueries):
    read: str
    is_there: str
    write: str
    remove: str
    fetched: str


@dataclass(frozen=True, slots=True)
class Mailbox:
    """`config` holds `smtp` and `imap`, each {host, port, tls, user}; `sealed` their passwords."""

    id: UUID
    address: str
    name: str
    config: dict[str, Any]
    sealed: bytes | None = field(repr=False)
    allow_private: bool
    updated_by: UUID | None
    created_at: datetime
    updated_at: datetime
    fetched_validity: int | None = None
    fetched_uid: int = 0
    fetched_at: datetime | None = None
    fetch_trouble: str | None = None
    fetch_tries: int = 0

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


async def read(connection: Connection, org_id: UUID) -> Mailbox | None:
    row = await connection.fetchrow(MailboxesSql.read, org_id)
    return None if row is None else Mailbox(**dict(row))


async def is_there(connection: Connection, org_id: UUID) -> bool:
    return bool(await connection.fetchval(MailboxesSql.is_there, org_id))


async def write(
    connection: Connection,
    org_id: UUID,
    *,
    address: str,
    name: str,
    config: dict[str, Any],
    sealed: bytes | None,
    allow_private: bool,
    by: UUID,
) -> Mailbox:
    row = await connection.fetchrow(MailboxesSql.write, org_id, address, name, config, sealed, allow_private, by)
    return Mailbox(**dict(row))


async def remove(connection: Connection, org_id: UUID) -> bool:
    return await connection.fetchval(MailboxesSql.remove, org_id) is not None


async def fetched(
    connection: Connection,
    org_id: UUID,
    *,
    validity: int | None,
    uid: int,
    tries: int,
    at: datetime,
    trouble: str | None = None,
) -> None:
    """Note how far the mailbox was fetched, and what went wrong."""
    await connection.execute(MailboxesSql.fetched, org_id, validity, uid, tries, at, trouble)
