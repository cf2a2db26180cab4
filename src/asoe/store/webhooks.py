"""Webhooks: where an organization's facts are sent. Address and secrets are sealed; what they say is the desk's to know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class WebhooksSql(NamedQueries):
    add: str
    list_all: str
    find: str
    read_sealed: str
    change: str
    set_disabled: str
    remove: str


@dataclass(frozen=True, slots=True)
class Webhook:
    """`place` is its address as people may see it; `kind` is signed or slack."""

    id: UUID
    kind: str
    name: str
    place: str
    events: Sequence[str]
    allow_private: bool
    disabled_at: datetime | None
    disabled_why: str | None
    created_by: UUID | None
    created_at: datetime
    updated_at: datetime


async def add(
    connection: Connection,
    org_id: UUID,
    webhook_id: UUID,
    *,
    kind: str,
    name: str,
    place: str,
    sealed: bytes,
    events: Sequence[str],
    allow_private: bool,
    created_by: UUID,
) -> Webhook | None:
    """None when the name is taken."""
    row = await connection.fetchrow(
        WebhooksSql.add, org_id, webhook_id, kind, name, place, sealed, list(events), allow_private, created_by
    )
    return None if row is None else Webhook(**dict(row))


async def list_all(connection: Connection, org_id: UUID) -> list[Webhook]:
    """By name, the disabled ones too."""
    return [Webhook(**dict(row)) for row in await connection.fetch(WebhooksSql.list_all, org_id)]


async def find(connection: Connection, org_id: UUID, webhook_id: UUID) -> Webhook | None:
    row = await connection.fetchrow(WebhooksSql.find, org_id, webhook_id)
    return None if row is None else Webhook(**dict(row))


async def read_sealed(connection: Connection, org_id: UUID, webhook_id: UUID) -> bytes | None:
    sealed: bytes | None = await connection.fetchval(WebhooksSql.read_sealed, org_id, webhook_id)
    return sealed


async def change(
    connection: Connection,
    org_id: UUID,
    webhook_id: UUID,
    *,
    events: Sequence[str] | None = None,
    place: str | None = None,
    sealed: bytes | None = None,
    allow_private: bool | None = None,
) -> Webhook | None:
    """What is not given stays as it was."""
    wanted = None if events is None else list(events)
    row = await connection.fetchrow(WebhooksSql.change, org_id, webhook_id, wanted, place, sealed, allow_private)
    return None if row is None else Webhook(**dict(row))


async def set_disabled(connection: Connection, org_id: UUID, webhook_id: UUID, *, why: str | None) -> Webhook | None:
    """With a reason it is disabled, without one it is enabled."""
    row = await connection.fetchrow(WebhooksSql.set_disabled, org_id, webhook_id, why)
    return None if row is None else Webhook(**dict(row))


async def remove(connection: Connection, org_id: UUID, webhook_id: UUID) -> bool:
    return await connection.fetchval(WebhooksSql.remove, org_id, webhook_id) is not None
