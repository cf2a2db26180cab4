"""Backtests asked for in the dashboard: one row each, with how far it is and its report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from asoe.domain.errors import Missing
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class BacktestsSql(NamedQueries):
    begin: str
    going_on: str
    find: str
    newest: str
    go_on: str
    settle: str


@dataclass(frozen=True, slots=True)
class BacktestRow:
    """`done` of `most` tickets were looked at; `report` is there when the status is done."""

    id: UUID
    runbook_id: UUID
    version: int
    status: str
    most: int
    done: int
    report: Mapping[str, Any] | None
    trouble: str
    started_by: UUID | None
    created_at: datetime
    ended_at: datetime | None


async def begin(connection: Connection, org_id: UUID, runbook_id: UUID, *, version: int, most: int, by: UUID) -> UUID:
    found: UUID = await connection.fetchval(BacktestsSql.begin, org_id, runbook_id, version, most, by)
    return found


async def is_going_on(connection: Connection, org_id: UUID, runbook_id: UUID) -> bool:
    """Whether one of this runbook was begun within the hour and has not ended."""
    return bool(await connection.fetchval(BacktestsSql.going_on, org_id, runbook_id))


async def find(connection: Connection, org_id: UUID, backtest_id: UUID) -> BacktestRow:
    """Raises `Missing(no_backtest)`."""
    row = await connection.fetchrow(BacktestsSql.find, org_id, backtest_id)
    if row is None:
        raise Missing("There is no such backtest here.", code="no_backtest")
    return BacktestRow(**dict(row))


async def newest(connection: Connection, org_id: UUID, runbook_id: UUID) -> list[BacktestRow]:
    """The last ten of a runbook, without their reports."""
    return [BacktestRow(**dict(row)) for row in await connection.fetch(BacktestsSql.newest, org_id, runbook_id)]


async def go_on(connection: Connection, org_id: UUID, backtest_id: UUID, *, done: int) -> bool:
    """Write how far it is; False when it has ended, perhaps by a person's hand."""
    return bool(await connection.fetchval(BacktestsSql.go_on, org_id, backtest_id, done))


async def settle(
    connection: Connection,
    org_id: UUID,
    backtest_id: UUID,
    *,
    status: str,
    report: Mapping[str, Any] | None = None,
    trouble: str = "",
) -> bool:
    return bool(await connection.fetchval(BacktestsSql.settle, org_id, backtest_id, status, report, trouble))
