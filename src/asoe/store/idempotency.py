"""Idempotency keys: which request of an account had which response. A row commits with the effect it stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from asoe.domain.errors import Conflict
from asoe.domain.organization import Principal
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries

CLAIMED: Final = 0


class IdempotencySql(NamedQueries):
    remember: str
    find: str
    drop_claim: str
    expire: str
    forget: str


class KeyTaken(Conflict):
    """Another request with this key is there already; whoever catches this looks what it was."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """A request that took effect; `status` is `CLAIMED` while its response is not stored."""

    request: bytes
    status: int
    response: str
    created_at: datetime

    @property
    def is_claim(self) -> bool:
        return self.status == CLAIMED


async def remember(
    connection: Connection, principal: Principal, key: str, *, request: bytes, status: int, response: str
) -> None:
    """Store a response in the caller's transaction; waits for an equal key in flight, then raises `KeyTaken`."""
    try:
        await connection.execute(
            IdempotencySql.remember, principal.org_id, principal.user_id, key, request, status, response
        )
    except asyncpg.UniqueViolationError:
        raise KeyTaken(
            "The Idempotency-Key is taken; send the request again to get its response.", code="idempotency_key_taken"
        ) from None


async def claim(connection: Connection, principal: Principal, key: str, *, request: bytes) -> None:
    """Store that the caller's transaction is the one effect of this key, before its response is known."""
    await remember(connection, principal, key, request=request, status=CLAIMED, response="")


async def settle(
    connection: Connection, principal: Principal, key: str, *, request: bytes, status: int, response: str
) -> None:
    """Put the response in the place of the claim."""
    await connection.execute(IdempotencySql.drop_claim, principal.org_id, principal.user_id, key)
    await remember(connection, principal, key, request=request, status=status, response=response)


async def withdraw(connection: Connection, principal: Principal, key: str) -> None:
    """Take a claim back when the request failed after it."""
    await connection.execute(IdempotencySql.drop_claim, principal.org_id, principal.user_id, key)


async def find(connection: Connection, principal: Principal, key: str) -> Remembered | None:
    row = await connection.fetchrow(IdempotencySql.find, principal.org_id, principal.user_id, key)
    return None if row is None else Remembered(**dict(row))


async def expire(connection: Connection, org_id: UUID, *, before: datetime) -> int:
    """Drop keys older than `before`, as the engine; returns how many."""
    status: str = await connection.execute(IdempotencySql.expire, org_id, before)
    return int(status.rpartition(" ")[2])


async def forget(connection: Connection, org_id: UUID, ids: Sequence[UUID]) -> int:
    """Drop the stored responses that name any of these ids, as the engine; returns how many."""
    status: str = await connection.execute(IdempotencySql.forget, org_id, [str(each) for each in ids])
    return int(status.rpartition(" ")[2])
