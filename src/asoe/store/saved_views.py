"""Saved views of the queue, as row-level security shows them: one's own, and those that are shared."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from asoe.domain.saved_view import SavedView
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class SavedViewsSql(NamedQueries):
    put: str
    count_own: str
    list_visible: str
    remove: str


async def put(
    connection: Connection, org_id: UUID, user_id: UUID, *, name: str, filters: Mapping[str, str], is_shared: bool
) -> SavedView:
    """Keep it, or replace what this person keeps under the same name."""
    row = await connection.fetchrow(SavedViewsSql.put, org_id, user_id, name, filters, is_shared)
    return SavedView(**dict(row))


async def count_own(connection: Connection, org_id: UUID, user_id: UUID) -> int:
    return int(await connection.fetchval(SavedViewsSql.count_own, org_id, user_id))


async def list_visible(connection: Connection, org_id: UUID) -> list[SavedView]:
    """One's own first, then the shared ones, by name."""
    return [SavedView(**dict(row)) for row in await connection.fetch(SavedViewsSql.list_visible, org_id)]


async def remove(connection: Connection, org_id: UUID, view_id: UUID) -> SavedView | None:
    """None when there is none that the caller may take away."""
    row = await connection.fetchrow(SavedViewsSql.remove, org_id, view_id)
    return None if row is None else SavedView(**dict(row))
