"""One act in three beats: (a) a transaction writes the intent, (b) the act, holding none, (c) a transaction writes the outcome.

    perform ─┬─ recorded ───────────────► told again
             ├─ rehearsal ──────────────► simulated
             ├─ intent in doubt ─► probe ─┬─► outcome
             │                            └─► act again, same key ─► …
             └─ (a) gate, caps, autonomy, intent ─► (b) act ─┬─► (c) outcome
                                                             └─► in doubt: probed, repeated where that is safe, or left

What is in doubt is asked about at the connector and never blindly repeated. A ledger in our own database does all three
beats in one transaction.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias
from uuid import UUID

from asoe import tracing
from asoe.connectors.contract import Action, ConnectorError, Json, Probe
from asoe.desk import approval, autonomy
from asoe.desk.autonomy import NeedsApproval, No
from asoe.desk.runbook.caps import Over, over_cap, with_amount
from asoe.desk.runbook.passing import Halt, Hand, Hold, Lost, Pass, Stop, cancelled, overdue
from asoe.domain.errors import AsoeError
from asoe.domain.runbook import Perform, Performed
from asoe.store import approvals, runs
from asoe.store.db import Connection
from asoe.store.runs import ActionRow, Gate, Intent
from asoe.tracing import measures

_SHORTLY: Final = timedelta(seconds=5)
_MOST_SHOWN: Final = 10
_AT_ONCE: Final = 1.0
_AT_A_GLANCE: Final = timedelta(milliseconds=20)
_NOT_AGREED: Final = {
    "refused": ("approval_refused", "A person refused this act."),
    "expired": ("approval_expired", "Nobody decided on this act in time."),
}

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


@dataclass(frozen=True, slots=True)
class _Taken:
    """The path or the business key has a row already."""


async def perform(passing: Pass, wanted: Perform) -> Outcome:
    """Do it once, or tell again what became of it."""
    row = passing.actions.get(wanted.path)
    if row is not None:
        if not _is_same(passing, row, wanted):
            return Stop(
                "escalated", "stage_failed", f"{wanted.path}: a replay wants another act than the recorded one."
            )
        if row.status != "intended":
            return _told(row)
    with tracing.span(
        "act",
        of=wanted.path,
        step=wanted.path,
        connector=passing.connector(wanted.call.connector),
        action=wanted.call.action,
        is_undo=wanted.is_undo,
    ) as span:
        outcome = await _performed(passing, wanted, row)
        _note(span, outcome)
    return outcome


def _note(span: tracing.Span, outcome: Outcome) -> None:
    match outcome:
        case Performed():
            span.note(status=outcome.status, reason=outcome.reason)
            if outcome.status in {"failed", "unknown"}:
                span.failed(outcome.reason or outcome.status)
        case Hold():
            span.note(waiting_for=outcome.waiting_for)
        case Stop():
            span.note(status=outcome.verdict, reason=outcome.reason)
        case Lost():
            span.note(outcome="lost")


async def _performed(passing: Pass, wanted: Perform, row: ActionRow | None) -> Outcome:
    resolved = await _resolve(passing, wanted)
    if isinstance(resolved, Stop):
        return resolved if row is None else await _unreachable(passing, row, resolved)
    hand, action = resolved
    tracing.here().note(risk=action.risk)
    understated = None
    if row is None and not wanted.is_undo:
        wanted, understated = with_amount(wanted, action)
    if not passing.is_live:
        return _simulate(passing, wanted, action) if understated is None else _declined(understated)
    if row is not None:
        return await _recover(passing, wanted, row, hand, action)
    while True:
        begun = await _intend(passing, wanted, hand, action, understated)
        passing.unsettled = None
        if not isinstance(begun, _Taken):
            break
    return await _act(passing, begun) if isinstance(begun, Doing) else begun


def key_of(org_id: UUID, run_id: UUID, path: str) -> str:
    """The idempotency key of one intended act: the same in every process and on every try."""
    return "asoe-" + hashlib.sha256(f"{org_id}:{run_id}:{path}".encode()).hexdigest()[:40]


# (a) the intent


async def _intend(
    passing: Pass, wanted: Perform, hand: Hand, action: Action, understated: Over | None
) -> Doing | Outcome | _Taken:
    """Beat (a): everything that must hold is looked at in the transaction that writes the intent."""
    within = getattr(hand, "act_within", None)
    fresh = time.monotonic()
    async with passing.desk.database.org_step(passing.engine) as connection:
        if not await write_last(connection, passing):
            return Lost()
        gate = await _gate(connection, passing)
        halt = _halted(passing, gate, is_undo=wanted.is_undo)
        if halt is not None:
            return halt
        over = understated or (None if wanted.is_undo else await over_cap(connection, passing, wanted))
        if over is not None:
            return await _decline(connection, passing, wanted, action, over)
        allowed = await _allow(connection, passing, wanted, action, gate)
        if not isinstance(allowed, UUID | None):
            return allowed
        intent = replace(_intent(passing, wanted, action), approval_id=allowed, claim=passing.pace.claim)
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
        within_told = None if within is None else await _act_within(connection, passing, doing, within)
    passing.forget_kept()
    return doing if within_told is None else within_told


async def _gate(connection: Connection, passing: Pass) -> Gate:
    gate = await runs.gate(connection, passing.run, by=passing.id, needed=passing.pace.claim)
    if gate.is_held and gate.is_short:
        await runs.renew(connection, passing.org_id, passing.run.id, by=passing.id, lease=passing.pace.lease)
        passing.leased = time.monotonic()
    return gate


def _halted(passing: Pass, gate: Gate, *, is_undo: bool) -> Halt | None:
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
    asked = _intent(passing, wanted, action)
    declined = replace(asked, status="declined", business_key=None, reason=why.reason, error=why.note)
    await runs.intend(connection, passing.org_id, passing.run.id, declined, passing.kept)
    return _declined(why)


def _declined(why: Over | No) -> Performed:
    return Performed("declined", reason=why.reason, note=why.note)


async def _conflict(
    connection: Connection, passing: Pass, wanted: Perform, action: Action, intent: Intent
) -> Outcome | _Taken:
    """The business key is taken: done already, in doubt, or under way in another run. Or the path is: the run is lost."""
    holder = None
    if intent.business_key is not None and not intent.is_undo:
        holder = await runs.holder(connection, passing.org_id, intent)
        if holder is None:
            return _Taken()  # whoever had it has failed meanwhile
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


def _intent(passing: Pass, wanted: Perform, action: Action) -> Intent:
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


# (b) the act, and (c) its outcome


async def _act(passing: Pass, doing: Doing, *, in_doubt: bool = False) -> Outcome:
    """Act until there is an outcome. `in_doubt`: an earlier try may have taken effect, so that no failure is a sure one."""
    tries = 0
    while True:
        if time.monotonic() - doing.fresh > passing.pace.margin.total_seconds():
            return Lost()  # this process stood still: the claim could run out under the act
        tries += 1
        try:
            value = await _call(passing, doing)
        except ConnectorError as error:
            problem = error
        else:
            return await _done(passing, doing, Performed("done", value))
        in_doubt = in_doubt or problem.effect == "unknown"
        is_last = tries >= passing.pace.tries or problem.permanent
        if in_doubt:
            found = await _probe(passing, doing)
            if found.status == "done":
                return await _settle(passing, doing, Performed("done", found.value))
            if doing.action.repeats == "never" and doing.action.has_probe:
                return _later(passing, doing)  # what is on its way may still arrive: asked again when the claim is over
            is_last = is_last or doing.action.repeats == "never"
            if is_last:
                return await _give_up(passing, doing, problem)
        elif is_last:
            reason = "act_failed" if problem.permanent else "connector_down"
            return await _settle(passing, doing, Performed("failed", reason=reason, note=problem.message))
        await passing.pace.breathe(tries, problem.retry_after)
        again = await _again(passing, doing, in_doubt=in_doubt)
        if not isinstance(again, Doing):
            return again
        doing = again


async def _call(passing: Pass, doing: Doing) -> Json:
    """Beat (b). Whatever it raises, it raises `ConnectorError`; what is not known to be without effect is unknown."""
    seconds = passing.pace.act.total_seconds()
    try:
        async with asyncio.timeout(seconds + passing.pace.margin.total_seconds() / 2):  # should the hand not keep to it
            return await doing.hand.act(doing.action.name, doing.arguments, key=doing.key, timeout=seconds)
    except ConnectorError:
        raise
    except TimeoutError as error:
        raise ConnectorError(f"No answer within {seconds:g} s.", permanent=False, effect="unknown") from error
    except Exception as error:
        raise ConnectorError(
            f"The connector failed ({type(error).__name__}).", permanent=False, effect="unknown"
        ) from error


async def _done(passing: Pass, doing: Doing, told: Performed) -> Outcome:
    """Beat (c), or left for a moment: it is written with the next intent or the run's end, whichever comes at once.

    Not so where a lost outcome could be neither asked for nor made good by doing it again.
    """
    if doing.action.repeats == "never" and not doing.action.has_probe:
        return await _settle(passing, doing, told)
    passing.unsettled, passing.unsettled_since, passing.has_acted = (doing, told), time.monotonic(), True
    return told


def is_fresh(passing: Pass) -> bool:
    """Whether the outcome that was left may wait for the read after the act."""
    return passing.unsettled is None or time.monotonic() - passing.unsettled_since < _AT_ONCE


async def write_last(connection: Connection, passing: Pass) -> bool:
    """Write the outcome that was left, in the caller's transaction; False when another pass has the run."""
    return passing.unsettled is None or await _write_outcome(connection, passing, *passing.unsettled)


async def settle_last(passing: Pass) -> Lost | None:
    """Write the outcome that was left: what comes next may take its time."""
    if passing.unsettled is None:
        return None
    outcome = await _settle(passing, *passing.unsettled)
    passing.unsettled = None
    return outcome if isinstance(outcome, Lost) else None


async def _settle(passing: Pass, doing: Doing, told: Performed) -> Outcome:
    """Beat (c): the outcome, once."""
    async with passing.desk.database.org_step(passing.engine) as connection:
        if not await _write_outcome(connection, passing, doing, told):
            return Lost()
    passing.has_acted = passing.has_acted or told.status in {"done", "unknown"}
    return told


async def _write_outcome(connection: Connection, passing: Pass, doing: Doing, told: Performed) -> bool:
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


async def _act_within(connection: Connection, passing: Pass, doing: Doing, within: Any) -> Outcome:
    """All three beats in the intent's transaction: the ledger is in our own database."""
    try:
        async with runs.savepoint(connection):
            value = await within(connection, doing.action.name, doing.arguments, key=doing.key, org_id=passing.org_id)
        told = Performed("done", value)
    except ConnectorError as error:
        told = Performed("failed", reason="act_failed" if error.permanent else "connector_down", note=error.message)
    if not await _write_outcome(connection, passing, doing, told):
        return Lost()
    passing.has_acted = passing.has_acted or told.status == "done"
    return told


# In doubt


async def _recover(passing: Pass, wanted: Perform, row: ActionRow, hand: Hand, action: Action) -> Outcome:
    """An intent without outcome: whoever wrote it is gone. Ask what became of it before anything else."""
    now = passing.now()
    if row.claimed_until is not None and row.claimed_until > now:
        return Hold("timer", row.claimed_until)
    doing = Doing(
        perform=wanted,
        hand=hand,
        action=action,
        connector=row.connector,
        row_id=row.id,
        key=row.idempotency_key,
        claimed_until=row.claimed_until or now,
        intended_at=row.intended_at,
        fresh=time.monotonic(),
    )
    found = await _probe(passing, doing)
    if found.status == "done":
        return await _settle(passing, doing, Performed("done", found.value))
    is_without_effect = found.status == "not_done"
    if not is_without_effect and action.repeats == "never":
        note = "Nobody can tell whether this took effect: it was begun, and its outcome is not known."
        return await _give_up(passing, doing, ConnectorError(note, permanent=False, effect="unknown"))
    again = await _again(passing, doing, in_doubt=not is_without_effect)
    return await _act(passing, again, in_doubt=not is_without_effect) if isinstance(again, Doing) else again


async def _again(passing: Pass, doing: Doing, *, in_doubt: bool) -> Doing | Outcome:
    """Before a further try under the same key: everything that stops acts is looked at anew, and the try is counted."""
    fresh = time.monotonic()
    async with passing.desk.database.org_step(passing.engine) as connection:
        gate = await _gate(connection, passing)
        halt = _halted(passing, gate, is_undo=doing.perform.is_undo)
        if halt is None:
            claimed_until = await runs.act_again(
                connection, passing.org_id, passing.run.id, doing.row_id, claim=passing.pace.claim
            )
            if claimed_until is None:
                return Lost()
            return replace(doing, claimed_until=claimed_until, fresh=fresh)
    if isinstance(halt, Stop):
        if in_doubt:
            note = f"{halt.note} An act had been begun, and nobody knows whether it took effect."
            await _settle(passing, doing, Performed("unknown", reason="effect_unknown", note=note))
            return Stop("escalated", "effect_unknown", note, is_undoing=halt.is_undoing)
        await _settle(passing, doing, Performed("failed", reason=halt.reason, note=halt.note))
    return halt


async def _probe(passing: Pass, doing: Doing) -> Probe:
    """What the system knows of the act; `unknown` when it cannot be asked."""
    if not doing.action.has_probe:
        return Probe("unknown")
    seconds = passing.pace.read.total_seconds()
    for tries in range(1, passing.pace.tries + 1):
        try:
            async with asyncio.timeout(seconds):
                return await doing.hand.probe(doing.action.name, doing.arguments, key=doing.key, timeout=seconds)
        except ConnectorError as error:
            if error.permanent:
                break
        except Exception:  # noqa: S110 - a connector that breaks its contract knows nothing either
            pass
        if tries < passing.pace.tries:
            await passing.pace.breathe(tries)
    return Probe("unknown")


async def _give_up(passing: Pass, doing: Doing, problem: ConnectorError) -> Outcome:
    """Nobody knows: asked again for a while where asking may help, then a person must look."""
    may_learn = doing.action.has_probe or (doing.action.repeats != "never" and not problem.permanent)
    if may_learn and passing.now() < doing.intended_at + passing.pace.doubt:
        return _later(passing, doing)
    return await _settle(passing, doing, Performed("unknown", reason="effect_unknown", note=problem.message))


async def _unreachable(passing: Pass, row: ActionRow, stop: Stop) -> Outcome:
    """The system of an act in doubt cannot be opened: it is tried again for a while, then nobody knows."""
    if passing.now() < row.intended_at + passing.pace.doubt:
        return Hold("timer", passing.now() + passing.pace.again)
    return Stop("escalated", "effect_unknown", f"{stop.note} Nobody knows whether an act begun there took effect.")


def _later(passing: Pass, doing: Doing) -> Hold:
    return Hold("timer", max(doing.claimed_until, passing.now() + passing.pace.again))


# What is known


async def why_never(passing: Pass, wanted: Perform) -> Stop | None:
    """Why the act could not be done now, whatever anybody says: nobody knows it, or its system is not there."""
    resolved = await _resolve(passing, wanted)
    return resolved if isinstance(resolved, Stop) else None


async def _resolve(passing: Pass, wanted: Perform) -> tuple[Hand, Action] | Stop:
    name = f"{passing.connector(wanted.call.connector)}.{wanted.call.action}"
    tries = 0
    while True:
        tries += 1
        try:
            hand, action = await passing.action(wanted.call)
        except (ConnectorError, AsoeError) as error:
            is_last = tries >= passing.pace.tries or getattr(error, "permanent", True)
            if is_last:
                return Stop("escalated", "connector_down", f"{wanted.path}: {name}: {error.message}")
            await passing.pace.breathe(tries)
            continue
        if action is None or action.risk == "read":
            what = "has no such action" if action is None else "only reads"
            return Stop("escalated", "stage_failed", f"{wanted.path}: {name} {what}.")
        return hand, action


def _simulate(passing: Pass, wanted: Perform, action: Action) -> Performed:
    """A rehearsal: what would be done is kept, and nothing is."""
    passing.rehearsed.append(replace(_intent(passing, wanted, action), status="simulated", business_key=None))
    return Performed("simulated")


def _told(row: ActionRow) -> Performed:
    """What an act's row says to the interpreter; one that was undone later was done then."""
    match row.status:
        case "done" | "undone":
            return Performed("done", row.value)
        case "failed":
            return Performed("failed", reason=row.reason or "", note=row.error or "")
        case "declined":
            return Performed("declined", reason=row.reason or "", note=row.error or "")
        case "simulated":
            return Performed("simulated")
        case _:
            return Performed("unknown", reason="effect_unknown", note=row.error or "")


def _is_same(passing: Pass, row: ActionRow, wanted: Perform) -> bool:
    return (row.connector, row.action) == (passing.connector(wanted.call.connector), wanted.call.action)
