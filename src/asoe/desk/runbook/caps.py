"""Caps declared in a runbook: how many acts, and how much in all, per run, client or organization within a window.

Acts under one cap are counted one after the other, so that two runs cannot both take the last of it. What is under way or
in doubt counts; what cannot be counted is over the cap.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from asoe.connectors.contract import Action
from asoe.domain.runbook import Limit, Perform
from asoe.store import runs
from asoe.store.db import Connection
from asoe.store.runs import Scope

if TYPE_CHECKING:
    from asoe.desk.runbook.passing import Pass


@dataclass(frozen=True, slots=True)
class Over:
    """A cap that the act would pass."""

    reason: str
    note: str


def with_amount(perform: Perform, action: Action) -> tuple[Perform, Over | None]:
    """The act with the amount it moves, where its connector says which argument that is; and why it may not be done.

    A runbook that names less than the act moves would pass every cap and consent with it. One that names nothing has what
    the argument says counted.
    """
    if action.amount is None:
        return perform, None
    given, declared = perform.call.arguments.get(action.amount), perform.amount
    if given is None:
        if declared is None:
            return perform, None
        return perform, Over("wrong_amount", f"{perform.path}: nothing says how much is moved: give `{action.amount}`.")
    try:
        moved = None if isinstance(given, bool) else Decimal(str(given))
    except InvalidOperation:
        moved = None
    if moved is None or not moved.is_finite() or moved < 0:
        return perform, Over("wrong_amount", f"{perform.path}: `{action.amount}` is no amount.")
    if declared is None:
        return replace(perform, amount=moved), None
    if declared < moved:
        return perform, Over(
            "wrong_amount", f"{perform.path}: {moved} would be moved, and the runbook names {declared}."
        )
    return perform, None


async def over_cap(connection: Connection, passing: Pass, perform: Perform) -> Over | None:
    """The first cap this act would pass; those it is under stay counted until the transaction ends."""
    org_id, runbook_id = passing.org_id, passing.run.runbook_id
    connector, action = passing.connector(perform.call.connector), perform.call.action
    # every act takes the runbook's lock before the action's: no two wait for each other
    if passing.runbook.limits:
        await runs.hold_caps(connection, f"{org_id}:{runbook_id}")
        for limit in passing.runbook.limits:
            over = await _over(connection, passing, perform, limit, Scope(of=runbook_id))
            if over is not None:
                return over
    if perform.act.limits:
        await runs.hold_caps(connection, f"{org_id}:{connector}:{action}")
        for limit in perform.act.limits:
            over = await _over(connection, passing, perform, limit, Scope(of=(connector, action)))
            if over is not None:
                return over
    return None


async def _over(connection: Connection, passing: Pass, perform: Perform, limit: Limit, acts: Scope) -> Over | None:
    amount = perform.amount
    if limit.total is not None and (amount is None or not amount.is_finite() or amount < 0):
        return Over(limit.reason, f"The act names no amount, and a cap of {limit.total} in all holds for it.")
    scope = Scope(
        of=acts.of,
        run_id=passing.run.id if limit.per == "run" else None,
        by_client=limit.per == "client",
        client_key=passing.run.client_key,
        window=limit.window,
        unit=perform.act.unit,
    )
    counted = await runs.acted(connection, passing.org_id, scope)
    within = "" if limit.window is None else f" within {limit.window}"
    if limit.count is not None and counted.acts + 1 > limit.count:
        return Over(limit.reason, f"{counted.acts} acts per {limit.per}{within} are done; the cap is {limit.count}.")
    total = counted.total + (amount or Decimal(0))
    if limit.total is not None and total > limit.total:
        unit = f" {perform.act.unit}" if perform.act.unit else ""
        return Over(
            limit.reason, f"With this act {total}{unit} per {limit.per}{within}; the cap is {limit.total}{unit}."
        )
    return None
