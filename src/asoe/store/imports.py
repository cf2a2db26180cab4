"""What came from other systems: which of their tickets are here already, and messages with the time they were said at."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class ImportsSql(NamedQueries):
    known: str
    remember: str
    add_message: str


async def known(connection: Connection, org_id: UUID, source: str, external_ids: Sequence[str]) -> frozenset[str]:
    """Those of `external_ids` that were imported before."""
    rows = await connection.fetch(ImportsSql.known, org_id, source, list(external_ids))
    return frozenset(row["external_id"] for row in rows)


async def remember(connection: Connection, org_id: UUID, source: str, external_id: str, ticket_id: UUID) -> bool:
    """Note that `external_id` is `ticket_id` here; False when another import was faster."""
    return await connection.fetchval(ImportsSql.remember, org_id, source, external_id, ticket_id) is not None


async def add_message(
    connection: Connection,
    org_id: UUID,
    *,
    session_id: UUID,
    ticket_id: UUID,
    seq: int,
    role: str,
    content: str,
    is_internal: bool,
    at: datetime,
) -> None:
    await connection.execute(ImportsSql.add_message, org_id, session_id, ticket_id, seq, role, content, is_internal, at)
