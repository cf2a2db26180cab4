"""One act in three beats: (a) a transaction writes the intent, (b) the act, holding none, (c) a transaction writes the outcome.

    perform ─┬─ recorded ───────────────► told again
             ├─ rehearsal ──────────────► simulated
             ├─ intent in doubt ─► probe ─┬─► outcome
             │                            └─► act again, same key ─► …
             └─ (a) gate, caps, autonomy, intent ─► (b) act ─┬─► (c) outcome
                                                             └─► in doubt: probed, repeated where that is safe, or left

What is in doubt is asked about at the connector and never blindly repeated. A ledger in our own database does all three
beats in one transaction. Here is the order; why nothing may be done now is `gate.py`'s, (a) `intent.py`'s, (b) and what is
in doubt `effect.py`'s, (c) `outcome.py`'s.
"""

from __future__ import annotations

from dataclasses import replace

from asoe import tracing
from asoe.connectors.contract import Action, ConnectorError
from asoe.desk.runbook.acts import effect, intent
from asoe.desk.runbook.acts.intent import Taken
from asoe.desk.runbook.acts.outcome import Doing, Outcome, is_fresh, settle_last, write_last
from asoe.desk.runbook.caps import with_amount
from asoe.desk.runbook.passing import Hand, Hold, Lost, Pass, Stop
from asoe.domain.errors import AsoeError
from asoe.domain.runbook import Perform, Performed
from asoe.store.runs import ActionRow

__all__ = ["is_fresh", "perform", "settle_last", "why_never", "write_last"]


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
        return resolved if row is None else await effect.unreachable(passing, row, resolved)
    hand, action = resolved
    tracing.here().note(risk=action.risk)
    understated = None
    if row is None and not wanted.is_undo:
        wanted, understated = with_amount(wanted, action)
    if not passing.is_live:
        return _simulate(passing, wanted, action) if understated is None else intent.not_done(understated)
    if row is not None:
        return await effect.recover(passing, wanted, row, hand, action)
    while True:
        begun = await intent.intend(passing, wanted, hand, action, understated)
        passing.unsettled = None
        if not isinstance(begun, Taken):
            break
    return await effect.act(passing, begun) if isinstance(begun, Doing) else begun


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
    passing.rehearsed.append(replace(intent.intent_of(passing, wanted, action), status="simulated", business_key=None))
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
