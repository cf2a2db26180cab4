"""Beat (a): whether the act may be done, alone or by an approval, and the intent that says so before it is."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from asoe.connectors.contract import Action
from asoe.desk import approval, autonomy
from asoe.desk.autonomy import NeedsApproval, No
from asoe.desk.runbook.acts.gate import halted, read_gate
from asoe.desk.runbook.acts.outcome import Doing, Outcome, act_within, write_last
from asoe.desk.runbook.caps import Over, over_cap
from asoe.desk.runbook.passing import Hand, Hold, Lost, Pass, Stop
from asoe.domain.runbook import Perform, Performed
from asoe.store import approvals, runs
from asoe.store.db import Connection
from asoe.store.runs import Gate, Intent
from asoe.tracing import measures

_SHORTLY: Final = timedelta(seconds=5)
_MOST_SHOWN: Final = 10
_AT_A_GLANCE: Final = timedelta(milliseconds=20)
_NOT_AGREED: Final = {
    "refused": ("approval_refused", "A person refused this act."),
    "expired": ("approval_expired", "Nobody decided on this act in time."),
}


@dataclass(frozen=True, slots=True)
class Taken:
    """The path or the business key has a row already."""


async def intend(
    passing: Pass, wanted: Perform, hand: Hand, action: Action, understated: Over | None
) -> Doing | Outcome | Taken:
    """Beat (a): everything that must hold is looked at in the transaction that writes the intent."""
    within = getattr(hand, "act_within", None)
    fresh = time.monotonic()
    async with passing.desk.database.org_step(passing.engine) as connection:
        if not await write_last(connection, passing):
            return Lost()
        gate = await read_gate(connection, passing)
        halt = halted(passing, gate, is_undo=wanted.is_undo)
        if halt is not None:
            return halt
        over = understated or (None if wanted.is_undo else await over_cap(connection, passing, wanted))
        if over is not None:
            return await _decline(connection, passing, wanted, action, over)
        allowed = await _allow(connection, passing, wanted, action, gate)
        if not isinstance(allowed, UUID | None):
            return allowed
        intent = replace(intent_of(passing, wanted, action), approval_id=allowed, claim=passing.pace.claim)
        written = await runs.intend(connection, passing.org_id, passing.run.id, intent, passing.kept)
        if written is None:
            return await _conflict(connection, passing, wanted, action, intent)
        doing = Doing(
            perform=wanted,
            hand=hand,
            action=action,
            connector=intent.connector,
            row_id=written.id,
            key=intent.key,
            claimed_until=written.claimed_until,
            intended_at=gate.now,
            fresh=fresh,
        )
        within_told = None if within is None else await act_within(connection, passing, doing, within)
    passing.forget_kept()
    return doing if within_told is None else within_told


async def _allow(
    connection: Connection, passing: Pass, wanted: Perform, action: Action, gate: Gate
) -> UUID | Outcome | None:
    """None: alone. An id: by this approval. Otherwise what becomes of it instead."""
    # who had to wait, for the ticket or for other acts under a cap, reads anew: all may have been stopped meanwhile
    has_waited = bool(passing.runbook.limits or wanted.act.limits) or gate.took > _AT_A_GLANCE
    decision = await autonomy.decide(
        connection,
        passing.engine,
        passing.run,
        wanted,
        action,
        now=gate.now,
        hours=passing.runbook.hours,
        found=None if has_waited else gate.deciding,
    )
    if isinstance(decision, No):
        if decision.reason == "emergency_stop":
            return Stop("escalated", decision.reason, decision.note)
        return await _decline(connection, passing, wanted, action, decision)
    if isinstance(decision, NeedsApproval):
        return await _approved(connection, passing, wanted, action, decision)
    return None


async def _approved(
    connection: Connection, passing: Pass, wanted: Perform, action: Action, needs: NeedsApproval
) -> UUID | Outcome:
    """An approval for exactly this act is spent; a refused or expired one ends the matter; without one, people are asked."""
    run, digest = passing.run, approval.digest_of(wanted, action)
    usable = await approval.find_usable(connection, passing.org_id, run.id, wanted.path, digest)
    if usable is not None and await approval.use(connection, passing.engine, usable):
        return usable
    newest = await approvals.newest(connection, passing.org_id, run.id, wanted.path)
    found = None
    if newest is not None and newest.digest == digest:
        found = await approvals.find(connection, passing.org_id, newest.id)
        if found.status in _NOT_AGREED:
            return await _decline(connection, passing, wanted, action, Over(*_NOT_AGREED[found.status]))
    if found is not None and found.status == "pending":
        due_at, is_new = found.expires_at, False
    else:
        card = _card(passing, wanted, needs)
        await approval.request(
            connection, passing.engine, run, perform=wanted, action=action, rule=needs.rule, card=card
        )
        due_at, is_new = passing.now() + needs.rule.expires_after, True
    passing.has_asked = True
    await passing.write_kept(connection)
    hold = Hold("approval", due_at, is_new=is_new, is_written=True)
    await passing.write_hold(connection, hold)
    return hold


def _card(passing: Pass, wanted: Perform, needs: NeedsApproval) -> dict[str, Any]:
    """What the person sees: why, on what evidence, what will happen, and how it is taken back."""
    undo = wanted.undo
    return {
        "runbook": passing.runbook.title,
        "step": wanted.path,
        "why": needs.why,
        "does": f"{passing.connector(wanted.call.connector)}.{wanted.call.action}",
        "amount": None if wanted.amount is None else str(wanted.amount),
        "unit": wanted.act.unit,
        "once_per": wanted.business_key,
        "undo": None if undo is None else {"action": undo.action, "arguments": dict(undo.arguments)},
        "evidence": dict(list(passing.seen.items())[-_MOST_SHOWN:]),
    }


async def _decline(connection: Connection, passing: Pass, wanted: Perform, action: Action, why: Over | No) -> Performed:
    """Keep that it was not done, and why: a replay hears the same."""
    measures.count("asoe_acts", action.risk, "declined")
    asked = intent_of(passing, wanted, action)
    declined = replace(asked, status="declined", business_key=None, reason=why.reason, error=why.note)
    await runs.intend(connection, passing.org_id, passing.run.id, declined, passing.kept)
    return not_done(why)


def not_done(why: Over | No) -> Performed:
    return Performed("declined", reason=why.reason, note=why.note)


async def _conflict(
    connection: Connection, passing: Pass, wanted: Perform, action: Action, intent: Intent
) -> Outcome | Taken:
    """The business key is taken: done already, in doubt, or under way in another run. Or the path is: the run is lost."""
    holder = None
    if intent.business_key is not None and not intent.is_undo:
        holder = await runs.holder(connection, passing.org_id, intent)
        if holder is None:
            return Taken()  # whoever had it has failed meanwhile
    if holder is None or (holder.run_id == passing.run.id and holder.path == wanted.path):
        return Lost()
    by = f"Run {holder.run_id} has {intent.connector}.{intent.action} for {intent.business_key!r}"
    if holder.status == "intended":
        free = max(holder.claimed_until or holder.now, holder.now + _SHORTLY)
        return Hold("timer", min(free, holder.now + passing.pace.again))
    if holder.status == "unknown":
        note = f"{by}, and nobody knows whether it took effect."
        return await _decline(connection, passing, wanted, action, Over("effect_unknown", note))
    return await _decline(connection, passing, wanted, action, Over("already_done", f"{by} done already."))


def intent_of(passing: Pass, wanted: Perform, action: Action) -> Intent:
    return Intent(
        seq=passing.next_seq(),
        path=wanted.path,
        connector=passing.connector(wanted.call.connector),
        action=wanted.call.action,
        risk=action.risk,
        arguments=wanted.call.arguments,
        key=key_of(passing.org_id, passing.run.id, wanted.path),
        business_key=wanted.business_key,
        amount=wanted.amount,
        unit=wanted.act.unit,
        client_key=passing.run.client_key,
        is_undo=wanted.is_undo,
    )


def key_of(org_id: UUID, run_id: UUID, path: str) -> str:
    """The idempotency key of one intended act: the same in every process and on every try."""
    return "asoe-" + hashlib.sha256(f"{org_id}:{run_id}:{path}".encode()).hexdigest()[:40]
