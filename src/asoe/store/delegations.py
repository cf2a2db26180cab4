"""What an account that acts for an outside agent has started, counted under a lock of its own, and the tickets it opened."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from asoe.domain.organization import Principal
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class DelegationsSql(NamedQueries):
    hold: str
    live_runs_since: str
    live_runs_before: str
    count_own: str


async def live_runs_since(connection: Connection, principal: Principal, since: datetime) -> int:
    """Live runs this account started since then; nobody else starts one for it before the transaction ends."""
    await connection.execute(DelegationsSql.hold, principal.org_id, principal.user_id)
    return int(await connection.fetchval(DelegationsSql.live_runs_since, principal.org_id, principal.user_id, since))


async def live_runs_before(
    connection: Connection, org_id: UUID, user_id: UUID, *, within: timedelta, at: datetime, besides: UUID | None
) -> int:
    """Live runs the account had started by then, within that time, without that one."""
    return int(await connection.fetchval(DelegationsSql.live_runs_before, org_id, user_id, within, at, besides))


async def count_own(connection: Connection, principal: Principal, statuses: Sequence[str] | None) -> int:
    """Tickets whose requester is this account."""
    found = None if statuses is None else list(statuses)
    return int(await connection.fetchval(DelegationsSql.count_own, principal.org_id, principal.user_id, found))
