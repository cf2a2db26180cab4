"""Configured connectors: one row each. Sealed secrets are read by `read_sealed` alone, and only to be opened in memory."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from asoe.domain.connector import ConnectorRecord, Trouble
from asoe.domain.errors import Conflict
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class ConnectorsSql(NamedQueries):
    add: str
    read: str
    read_sealed: str
    list_all: str
    change: str
    set_disabled: str
    remove: str
    note_trouble: str
    end_trouble: str
    troubles: str


async def add(
    connection: Connection,
    org_id: UUID,
    *,
    name: str,
    kind: str,
    config: Mapping[str, Any],
    sealed: bytes | None,
    allow_private: bool,
    created_by: UUID,
) -> ConnectorRecord:
    """Raises `Conflict(connector_exists)` when the name is taken."""
    try:
        row = await connection.fetchrow(
            ConnectorsSql.add, org_id, name, kind, config, sealed, allow_private, created_by
        )
    except asyncpg.UniqueViolationError:
        raise Conflict(
            f"There is a connector {name!r} already. Change that one, or choose another name.", code="connector_exists"
        ) from None
    return ConnectorRecord(**row)


async def read(connection: Connection, org_id: UUID, name: str) -> ConnectorRecord | None:
    row = await connection.fetchrow(ConnectorsSql.read, org_id, name)
    return None if row is None else ConnectorRecord(**row)


async def read_sealed(connection: Connection, org_id: UUID, name: str) -> bytes | None:
    """The sealed secrets, None when there are none."""
    found: bytes | None = await connection.fetchval(ConnectorsSql.read_sealed, org_id, name)
    return found


async def list_all(connection: Connection, org_id: UUID) -> list[ConnectorRecord]:
    """By name, the disabled ones too."""
    return [ConnectorRecord(**row) for row in await connection.fetch(ConnectorsSql.list_all, org_id)]


async def change(
    connection: Connection,
    org_id: UUID,
    name: str,
    *,
    config: Mapping[str, Any],
    sealed: bytes | None,
    allow_private: bool,
    known: datetime,
) -> ConnectorRecord | None:
    """Write a whole configuration over the one last changed at `known`; None when somebody changed it since."""
    row = await connection.fetchrow(ConnectorsSql.change, org_id, name, config, sealed, allow_private, known)
    return None if row is None else ConnectorRecord(**row)


async def set_disabled(connection: Connection, org_id: UUID, name: str, *, why: str | None) -> ConnectorRecord | None:
    """Shut with a reason, or let in again with None; None when there is no such connector."""
    row = await connection.fetchrow(ConnectorsSql.set_disabled, org_id, name, why)
    return None if row is None else ConnectorRecord(**row)


async def remove(connection: Connection, org_id: UUID, name: str) -> UUID | None:
    """Delete it with its secrets; returns the id it had."""
    found: UUID | None = await connection.fetchval(ConnectorsSql.remove, org_id, name)
    return found


async def note_trouble(
    connection: Connection, org_id: UUID, connector_id: UUID, *, detail: str, pause: timedelta | None
) -> None:
    """Write down the latest trouble; a pause that was noted before stays unless a new one begins."""
    await connection.execute(ConnectorsSql.note_trouble, org_id, connector_id, detail, pause)


async def end_trouble(connection: Connection, org_id: UUID, connector_id: UUID) -> None:
    await connection.execute(ConnectorsSql.end_trouble, org_id, connector_id)


async def troubles(connection: Connection, org_id: UUID) -> dict[UUID, Trouble]:
    """The latest trouble of each connector that ever had one, by the connector's id."""
    return {row["connector_id"]: Trouble(**row) for row in await connection.fetch(ConnectorsSql.troubles, org_id)}
