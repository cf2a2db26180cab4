"""Beat (c): what became of an act, written once; at once, or with what is written next where that is soon."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias
from uuid import UUID

from asoe.connectors.contract import Action, ConnectorError, Json
from asoe.desk.runbook.passing import Halt, Hand, Lost, Pass
from asoe.domain.runbook import Perform, Performed
from asoe.store import runs
from asoe.store.db import Connection
from asoe.tracing import measures

_AT_ONCE: Final = 1.0

Outcome: TypeAlias = Performed | Halt


@dataclass(frozen=True, slots=True)
class Doing:
    """An intent under way: what is done, with which hand, and since when it may be (`fresh`, monotonic)."""

    perform: Perform
    hand: Hand
    action: Action
    connector: str
    row_id: UUID
    key: str
    claimed_until: datetime
    intended_at: datetime
    fresh: float

    @property
    def arguments(self) -> Mapping[str, Json]:
        return self.perform.call.arguments


async def act_within(connection: Connection, passing: Pass, doing: Doing, within: Any) -> Outcome:
    """All three beats in the intent's transaction: the ledger is in our own database."""
    try:
        async with runs.savepoint(connection):
            value = await within(connection, doing.action.name, doing.arguments, key=doing.key, org_id=passing.org_id)
        told = Performed("done", value)
    except ConnectorError as error:
        told = Performed("failed", reason="act_failed" if error.permanent else "connector_down", note=error.message)
    if not await write(connection, passing, doing, told):
        return Lost()
    passing.has_acted = passing.has_acted or told.status == "done"
    return told


async def done(passing: Pass, doing: Doing, told: Performed) -> Outcome:
    """Beat (c), or left for a moment: it is written with the next intent or the run's end, whichever comes at once.

    Not so where a lost outcome could be neither asked for nor made good by doing it again.
    """
    if doing.action.repeats == "never" and not doing.action.has_probe:
        return await settle(passing, doing, told)
    passing.unsettled, passing.unsettled_since, passing.has_acted = (doing, told), time.monotonic(), True
    return told


async def settle(passing: Pass, doing: Doing, told: Performed) -> Outcome:
    """Beat (c): the outcome, once."""
    async with passing.desk.database.org_step(passing.engine) as connection:
        if not await write(connection, passing, doing, told):
            return Lost()
    passing.has_acted = passing.has_acted or told.status in {"done", "unknown"}
    return told


def is_fresh(passing: Pass) -> bool:
    """Whether the outcome that was left may wait for the read after the act."""
    return passing.unsettled is None or time.monotonic() - passing.unsettled_since < _AT_ONCE


async def write_last(connection: Connection, passing: Pass) -> bool:
    """Write the outcome that was left, in the caller's transaction; False when another pass has the run."""
    return passing.unsettled is None or await write(connection, passing, *passing.unsettled)


async def settle_last(passing: Pass) -> Lost | None:
    """Write the outcome that was left: what comes next may take its time."""
    if passing.unsettled is None:
        return None
    outcome = await settle(passing, *passing.unsettled)
    passing.unsettled = None
    return outcome if isinstance(outcome, Lost) else None


async def write(connection: Connection, passing: Pass, doing: Doing, told: Performed) -> bool:
    wanted = doing.perform
    measures.count("asoe_acts", doing.action.risk, told.status)
    return await runs.settle(
        connection,
        passing.engine,
        passing.run,
        doing.row_id,
        status=told.status,
        value=told.value,
        reason=told.reason or None,
        error=told.note or None,
        undoes=wanted.path.removeprefix("undo/") if wanted.is_undo else None,
        fact={
            "run_id": str(passing.run.id),
            "connector": doing.connector,
            "action": doing.action.name,
            "risk": doing.action.risk,
            "status": told.status,
            "is_undo": wanted.is_undo,
        },
    )
