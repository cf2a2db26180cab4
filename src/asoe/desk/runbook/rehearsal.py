"""Backtests that go on while nobody waits: begun by an owner or admin, carried out by a worker, cancelled at any time.

What a backtest finds is `backtest.py`'s. A job that comes twice begins again: nothing is done in it but reading.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

import structlog

from asoe.desk.context import Desk
from asoe.desk.runbook.backtest import backtest
from asoe.domain.errors import AsoeError, Conflict, Denied, FieldProblem, Invalid
from asoe.domain.organization import Principal
from asoe.store import backtests, facts, runbooks
from asoe.store.backtests import BacktestRow

JOB: Final = "backtest"
MOST: Final = 1000
_EVERY: Final = 10
_log = structlog.get_logger(__name__)


async def begin(desk: Desk, principal: Principal, name: str, *, most: int, version: int | None = None) -> UUID:
    """Have a runbook rehearsed over the `most` newest tickets.

    Raises `Missing(runbook_missing | runbook_version_missing)`, `Invalid(bad_backtest)`, `Conflict(backtest_going_on)`.
    """
    _require_admin(principal)
    if not 1 <= most <= MOST:
        problem = f"must be 1 to {MOST}; the command line takes more"
        raise Invalid(f"most {problem}.", code="bad_backtest", fields=(FieldProblem("most", problem),))
    async with desk.database.org_transaction(principal) as connection:
        row = await runbooks.find(connection, principal.org_id, name)
        number = version or row.published_version or row.newest_version or 0
        await runbooks.version(connection, principal.org_id, row.id, number)
        if await backtests.is_going_on(connection, principal.org_id, row.id):
            raise Conflict("A backtest of this runbook goes on. Wait for it, or cancel it.", code="backtest_going_on")
        made = await backtests.begin(
            connection, principal.org_id, row.id, version=number, most=most, by=principal.user_id
        )
        ids = {"org_id": principal.org_id, "run_id": made}
        await desk.queue.enqueue(connection, JOB, ids, dedupe_key=f"{JOB}:{made}")
        await facts.record(connection, principal, "backtest.begun", backtest_id=made, runbook_id=row.id, version=number)
        return made


async def read(desk: Desk, principal: Principal, backtest_id: UUID) -> BacktestRow:
    """Raises `Missing(no_backtest)`."""
    async with desk.database.org_reading(principal) as connection:
        return await backtests.find(connection, principal.org_id, backtest_id)


async def list_newest(desk: Desk, principal: Principal, runbook_id: UUID) -> list[BacktestRow]:
    async with desk.database.org_reading(principal) as connection:
        return await backtests.newest(connection, principal.org_id, runbook_id)


async def cancel(desk: Desk, principal: Principal, backtest_id: UUID) -> BacktestRow:
    """One that has ended stays as it is."""
    _require_admin(principal)
    async with desk.database.org_transaction(principal) as connection:
        await backtests.find(connection, principal.org_id, backtest_id)
        if await backtests.settle(connection, principal.org_id, backtest_id, status="cancelled"):
            await facts.record(connection, principal, "backtest.cancelled", backtest_id=backtest_id)
        return await backtests.find(connection, principal.org_id, backtest_id)


async def carry_out(desk: Desk, org_id: UUID, backtest_id: UUID) -> None:
    """The worker's part."""
    engine = await desk.engine_of(org_id)

    async def goes_on(done: int) -> bool:
        if done % _EVERY:
            return True
        async with desk.database.org_transaction(engine) as connection:
            return await backtests.go_on(connection, org_id, backtest_id, done=done)

    async with desk.database.org_reading(engine) as connection:
        row = await backtests.find(connection, org_id, backtest_id)
    if not await goes_on(0):
        return
    try:
        found = await backtest(desk, engine, str(row.runbook_id), version=row.version, most=row.most, goes_on=goes_on)
    except AsoeError as error:
        status, report, trouble = "failed", None, error.message
    except Exception as error:
        _log.exception("backtest.failed", backtest_id=str(backtest_id), error=type(error).__name__)
        status, report, trouble = "failed", None, f"The backtest itself failed ({type(error).__name__})."
    else:
        status, report, trouble = "done", found.to_json(), ""
    async with desk.database.org_transaction(engine) as connection:
        if await backtests.settle(connection, org_id, backtest_id, status=status, report=report, trouble=trouble):
            await facts.record(connection, engine, "backtest.ended", backtest_id=backtest_id, status=status)


def _require_admin(principal: Principal) -> None:
    if principal.role not in {"owner", "admin"}:
        raise Denied("Backtests are begun by owners and admins.", code="admin_only")
