"""Beat (b), the act itself; and what is done about one whose outcome nobody knows: asked, repeated where safe, or left."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from asoe.connectors.contract import Action, ConnectorError, Json, Probe
from asoe.desk.runbook.acts.gate import halted, read_gate
from asoe.desk.runbook.acts.outcome import Doing, Outcome, done, settle
from asoe.desk.runbook.passing import Hand, Hold, Lost, Pass, Stop
from asoe.domain.runbook import Perform, Performed
from asoe.store import runs
from asoe.store.runs import ActionRow


async def act(passing: Pass, doing: Doing, *, in_doubt: bool = False) -> Outcome:
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
            return await done(passing, doing, Performed("done", value))
        in_doubt = in_doubt or problem.effect == "unknown"
        is_last = tries >= passing.pace.tries or problem.permanent
        if in_doubt:
            found = await _probe(passing, doing)
            if found.status == "done":
                return await settle(passing, doing, Performed("done", found.value))
            if doing.action.repeats == "never" and doing.action.has_probe:
                return _later(passing, doing)  # what is on its way may still arrive: asked again when the claim is over
            is_last = is_last or doing.action.repeats == "never"
            if is_last:
                return await _give_up(passing, doing, problem)
        elif is_last:
            reason = "act_failed" if problem.permanent else "connector_down"
            return await settle(passing, doing, Performed("failed", reason=reason, note=problem.message))
        await passing.pace.breathe(tries, problem.retry_after)
        again = await _again(passing, doing, in_doubt=in_doubt)
        if not isinstance(again, Doing):
            return again
        doing = again


async def recover(passing: Pass, wanted: Perform, row: ActionRow, hand: Hand, action: Action) -> Outcome:
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
        return await settle(passing, doing, Performed("done", found.value))
    is_without_effect = found.status == "not_done"
    if not is_without_effect and action.repeats == "never":
        note = "Nobody can tell whether this took effect: it was begun, and its outcome is not known."
        return await _give_up(passing, doing, ConnectorError(note, permanent=False, effect="unknown"))
    again = await _again(passing, doing, in_doubt=not is_without_effect)
    return await act(passing, again, in_doubt=not is_without_effect) if isinstance(again, Doing) else again


async def unreachable(passing: Pass, row: ActionRow, stop: Stop) -> Outcome:
    """The system of an act in doubt cannot be opened: it is tried again for a while, then nobody knows."""
    if passing.now() < row.intended_at + passing.pace.doubt:
        return Hold("timer", passing.now() + passing.pace.again)
    return Stop("escalated", "effect_unknown", f"{stop.note} Nobody knows whether an act begun there took effect.")


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


async def _again(passing: Pass, doing: Doing, *, in_doubt: bool) -> Doing | Outcome:
    """Before a further try under the same key: everything that stops acts is looked at anew, and the try is counted."""
    fresh = time.monotonic()
    async with passing.desk.database.org_step(passing.engine) as connection:
        gate = await read_gate(connection, passing)
        halt = halted(passing, gate, is_undo=doing.perform.is_undo)
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
            await settle(passing, doing, Performed("unknown", reason="effect_unknown", note=note))
            return Stop("escalated", "effect_unknown", note, is_undoing=halt.is_undoing)
        await settle(passing, doing, Performed("failed", reason=halt.reason, note=halt.note))
    return halt


async def _give_up(passing: Pass, doing: Doing, problem: ConnectorError) -> Outcome:
    """Nobody knows: asked again for a while where asking may help, then a person must look."""
    may_learn = doing.action.has_probe or (doing.action.repeats != "never" and not problem.permanent)
    if may_learn and passing.now() < doing.intended_at + passing.pace.doubt:
        return _later(passing, doing)
    return await settle(passing, doing, Performed("unknown", reason="effect_unknown", note=problem.message))


def _later(passing: Pass, doing: Doing) -> Hold:
    return Hold("timer", max(doing.claimed_until, passing.now() + passing.pace.again))
