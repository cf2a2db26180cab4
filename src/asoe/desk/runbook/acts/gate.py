"""The gate before an act: why nothing may be done now, whatever the runbook wants."""

from __future__ import annotations

import time

from asoe.desk.runbook.passing import Halt, Lost, Pass, Stop, cancelled, overdue
from asoe.store import runs
from asoe.store.db import Connection
from asoe.store.runs import Gate


async def read_gate(connection: Connection, passing: Pass) -> Gate:
    gate = await runs.gate(connection, passing.run, by=passing.id, needed=passing.pace.claim)
    if gate.is_held and gate.is_short:
        await runs.renew(connection, passing.org_id, passing.run.id, by=passing.id, lease=passing.pace.lease)
        passing.leased = time.monotonic()
    return gate


def halted(passing: Pass, gate: Gate, *, is_undo: bool) -> Halt | None:
    """Why no act may be done now. What was begun to be taken back is taken back, unless all acts are stopped."""
    if not gate.is_held:
        return Lost()
    if gate.stopped is not None:
        return Stop("escalated", "emergency_stop", f"All acts are stopped: {gate.stopped}", is_undoing=is_undo)
    taken = _taken_over(passing, gate)
    if taken is not None:
        return Stop("cancelled", *taken, is_undoing=is_undo)
    if is_undo:
        return None
    if gate.is_cancelled:
        return cancelled()
    return overdue(passing) if passing.is_overdue(gate.age) else None


def _taken_over(passing: Pass, gate: Gate) -> tuple[str, str] | None:
    """Whether a person has the ticket now. A critical one that is escalated may still be mended (design §3.4)."""
    run = passing.run
    if run.ticket_id is None:
        return None
    if gate.status in {None, "resolved", "closed"} or gate.is_spam or gate.is_merged:
        return "ticket_ended", "The ticket has ended meanwhile."
    if run.initiator is not None and run.initiator != passing.engine.user_id:
        return None  # a person started it: who does not want it any more cancels it
    assignee = None if gate.assignee is None else str(gate.assignee)
    is_persons = (
        gate.is_ai_quiet
        or (assignee is not None and assignee != run.environment.get("assignee"))
        or (gate.status == "escalated" and gate.severity != "critical")
        or (gate.status == "in_progress" and gate.waiting_for == "person")
    )
    return ("taken_over", "A person has taken the ticket.") if is_persons else None
