"""API keys: each is a hash beside an account of its own, whose role is the key's. The secret itself is never stored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from asoe.domain.organization import Principal
from asoe.domain.people import ApiKey
from asoe.store.db import Connection, Database
from asoe.store.queries import NamedQueries


class KeysSql(NamedQueries):
    add: str
    list_keys: str
    lock: str
    revoke: str
    find: str
    used: str


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A key as the door sees it: whom it speaks for, and everything that could forbid it."""

    principal: Principal
    expires_at: datetime | None
    revoked_at: datetime | None
    disabled_at: datetime | None
    suspended_at: datetime | None


async def add(
    connection: Connection,
    principal: Principal,
    *,
    account: UUID,
    role: str,
    name: str,
    prefix: str,
    key_hash: bytes,
    scopes: frozenset[str],
    expires_at: datetime | None,
) -> ApiKey:
    """Store a key for `account`, which must be a service account made for it."""
    row = await connection.fetchrow(
        KeysSql.add,
        principal.org_id,
        account,
        name,
        prefix,
        key_hash,
        sorted(scopes),
        principal.user_id,
        expires_at,
        role,
    )
    return _key(row)


async def list_keys(
    connection: Connection, org_id: UUID, *, with_revoked: bool = True, after: UUID | None = None, limit: int = 100
) -> list[ApiKey]:
    """Newest first; the next page begins after the last `id`."""
    return [_key(row) for row in await connection.fetch(KeysSql.list_keys, org_id, with_revoked, after, limit)]


async def lock(connection: Connection, org_id: UUID, key_id: UUID) -> ApiKey | None:
    """The key, locked until the transaction ends."""
    row = await connection.fetchrow(KeysSql.lock, org_id, key_id)
    return None if row is None else _key(row)


async def revoke(connection: Connection, org_id: UUID, key: ApiKey) -> ApiKey:
    """End a locked key that was not revoked before."""
    return replace(key, revoked_at=await connection.fetchval(KeysSql.revoke, org_id, key.id))


async def find(database: Database, key_hash: bytes, *, used: bool) -> FoundKey | None:
    """The key with this hash, whatever its state; with `used`, its last use is noted (at most once a minute)."""
    async with database.system_transaction("find_key") as connection:
        row = await connection.fetchrow(KeysSql.find, key_hash)
        if row is None:
            return None
        if used:
            await connection.execute(KeysSql.used, key_hash)
    return FoundKey(
        principal=Principal(
            row["user_id"], row["org_id"], row["role"], row["name"], row["key_id"], frozenset(row["scopes"])
        ),
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        disabled_at=row["disabled_at"],
        suspended_at=row["suspended_at"],
    )


def _key(row: Any) -> ApiKey:
    return ApiKey(**{**row, "scopes": frozenset(row["scopes"])})
