"""Canned replies of an organization, by name."""

from __future__ import annotations

from uuid import UUID

from asoe.domain.canned_reply import CannedReply
from asoe.domain.errors import Missing
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class CannedRepliesSql(NamedQueries):
    put: str
    find: str
    list_all: str
    remove: str


async def put(
    connection: Connection,
    org_id: UUID,
    *,
    name: str,
    title: str,
    body: str,
    language: str | None,
    by: UUID,
) -> CannedReply:
    """Add it, or replace the one of this name."""
    row = await connection.fetchrow(CannedRepliesSql.put, org_id, name, title, body, language, by)
    return CannedReply(**dict(row))


async def find(connection: Connection, org_id: UUID, name: str) -> CannedReply:
    """Raises `Missing(no_canned_reply)`."""
    row = await connection.fetchrow(CannedRepliesSql.find, org_id, name)
    if row is None:
        raise Missing(f"There is no canned reply {name!r} here.", code="no_canned_reply")
    return CannedReply(**dict(row))


async def list_all(connection: Connection, org_id: UUID, *, language: str | None = None) -> list[CannedReply]:
    """By title; with a language only those for it and for every language."""
    return [CannedReply(**dict(row)) for row in await connection.fetch(CannedRepliesSql.list_all, org_id, language)]


async def remove(connection: Connection, org_id: UUID, name: str) -> bool:
    return str(await connection.execute(CannedRepliesSql.remove, org_id, name)) == "DELETE 1"
