"""Approvals: one row for exactly one intent, and the votes on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from asoe.domain.errors import Missing
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class ApprovalsSql(NamedQueries):
    usable: str
    newest: str
    kill: str
    kill_run: str
    request: str
    use: str
    hold: str
    find: str
    list: str
    vote: str
    has_voted: str
    settle: str
    expire: str


@dataclass(frozen=True, slots=True)
class Approval:
    """`digest` binds it to the exact act; `card` is what the person is shown; `approvals` votes of `people` are there."""

    id: UUID
    run_id: UUID
    ticket_id: UUID | None
    path: str
    connector: str
    action: str
    risk: str
    arguments: dict[str, Any]
    digest: str
    card: dict[str, Any]
    people: int
    role: str
    status: str
    requested_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    approvals: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """What stands at one place of a run."""

    id: UUID
    digest: str
    status: str


async def usable(connection: Connection, org_id: UUID, run_id: UUID, path: str) -> Found | None:
    """The pending or approved one at this place that has not expired, held until the transaction ends."""
    row = await connection.fetchrow(ApprovalsSql.usable, org_id, run_id, path)
    return None if row is None else Found(**dict(row))


async def newest(connection: Connection, org_id: UUID, run_id: UUID, path: str) -> Found | None:
    """The last one at this place, whatever became of it."""
    row = await connection.fetchrow(ApprovalsSql.newest, org_id, run_id, path)
    return None if row is None else Found(**dict(row))


async def kill(connection: Connection, org_id: UUID, run_id: UUID, path: str | None = None) -> None:
    """Make what waits at a place, or in the whole run, void."""
    if path is None:
        await connection.execute(ApprovalsSql.kill_run, org_id, run_id)
    else:
        await connection.execute(ApprovalsSql.kill, org_id, run_id, path)


async def request(
    connection: Connection,
    org_id: UUID,
    *,
    run_id: UUID,
    ticket_id: UUID | None,
    path: str,
    connector: str,
    action: str,
    risk: str,
    arguments: Mapping[str, Any],
    digest: str,
    card: Mapping[str, Any],
    people: int,
    role: str,
    expires_after: timedelta,
) -> UUID:
    found: UUID = await connection.fetchval(
        ApprovalsSql.request,
        org_id,
        run_id,
        ticket_id,
        path,
        connector,
        action,
        risk,
        dict(arguments),
        digest,
        dict(card),
        people,
        role,
        expires_after,
    )
    return found


async def use(connection: Connection, org_id: UUID, approval_id: UUID) -> bool:
    """Spend an approval, once; False when it is spent, expired or was never given."""
    return bool((await connection.execute(ApprovalsSql.use, org_id, approval_id)).endswith(" 1"))


async def hold(connection: Connection, org_id: UUID, approval_id: UUID) -> Approval:
    """Read it and keep others from deciding until the transaction ends; raises `Missing(approval_missing)`."""
    return _approval(await connection.fetchrow(ApprovalsSql.hold, org_id, approval_id), approval_id)


async def find(connection: Connection, org_id: UUID, approval_id: UUID) -> Approval:
    """Raises `Missing(approval_missing)`."""
    return _approval(await connection.fetchrow(ApprovalsSql.find, org_id, approval_id), approval_id)


async def list_approvals(
    connection: Connection,
    org_id: UUID,
    *,
    status: str | None = "pending",
    ticket_id: UUID | None = None,
    after: UUID | None = None,
    limit: int = 100,
) -> list[Approval]:
    """Newest first, behind the one `after`."""
    rows = await connection.fetch(ApprovalsSql.list, org_id, status, ticket_id, after, limit)
    return [Approval(**dict(row)) for row in rows]


async def vote(connection: Connection, org_id: UUID, approval_id: UUID, *, by: UUID, vote: str, reason: str) -> bool:
    """False when this person has voted before."""
    return bool((await connection.execute(ApprovalsSql.vote, org_id, approval_id, by, vote, reason)).endswith(" 1"))


async def has_voted(connection: Connection, org_id: UUID, approval_id: UUID, user_id: UUID) -> bool:
    return bool(await connection.fetchval(ApprovalsSql.has_voted, org_id, approval_id, user_id))


async def settle(connection: Connection, org_id: UUID, approval_id: UUID, status: str) -> None:
    await connection.execute(ApprovalsSql.settle, org_id, approval_id, status)


async def expire(connection: Connection, org_id: UUID) -> list[tuple[UUID, UUID | None]]:
    """Mark what nobody decided in time; returns (run_id, ticket_id) of each."""
    return [(row["run_id"], row["ticket_id"]) for row in await connection.fetch(ApprovalsSql.expire, org_id)]


def _approval(row: Any, approval_id: UUID) -> Approval:
    if row is None:
        raise Missing(f"There is no approval {approval_id} here, or it is not yours to see.", code="approval_missing")
    return Approval(**dict(row))
