"""Carries runs out: claims one, replays what is recorded, goes on, and leaves it ended or waiting (docs/runbooks.md).

A run is rows: any worker may die at any moment, and any other goes on. What the runbook does next is the interpreter's; how
an act is done once is `acts/`; whether it may be done is autonomy's and approval's.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID, uuid4

import structlog

from asoe import tracing
from asoe.connectors.contract import ConnectorError
from asoe.desk import autonomy
from asoe.desk.context import Desk
from asoe.desk.runbook import acts, asking, shelf
from asoe.desk.runbook.interpreter import interpret
from asoe.desk.runbook.passing import (
    Connectors,
    Halt,
    Hold,
    Lost,
    Pace,
    Pass,
    Stop,
    cancelled,
    overdue,
    told_from_json,
    told_to_json,
)
from asoe.domain.errors import AsoeError, Conflict, Denied
from asoe.domain.organization import Principal
from asoe.domain.runbook import (
    Consent,
    Effect,
    Ending,
    Inquire,
    Observe,
    Observed,
    Passed,
    Pause,
    Perform,
    Runbook,
    SlotReading,
    Told,
)
from asoe.domain.ticket import Ticket
from asoe.queue.failures import kind_of, place_of
from asoe.store import approvals, facts, runs, slot_readings
from asoe.store.db import Connection
from asoe.store.runs import Beginning, Claimed, Client, Run, StepRow
from asoe.store.transient import is_transient
from asoe.tracing import measures

RunAdvance: TypeAlias = Literal["ended", "waiting", "busy"]
Interpreter: TypeAlias = Callable[..., Generator[Effect, Told, Ending]]

_log = structlog.get_logger(__name__)

_PACE: Final = Pace()
_BOOKS: Final[dict[tuple[UUID, UUID, int], Runbook]] = {}


async def start(
    desk: Desk,
    connection: Connection,
    engine: Principal,
    *,
    runbook_id: UUID,
    version: int,
    ticket: Ticket | None,
    slots: Mapping[str, SlotReading] | None = None,
    mode: Literal["live", "shadow", "dry_run"] = "live",
    initiator: UUID | None = None,
) -> UUID:
    """Write a pending run and wake a worker, in the caller's transaction.

    What the runbook may see of the ticket is kept as it is now, so that every replay takes the same way. Raises
    `Conflict(run_under_way)` when a live run of this ticket goes on, `Missing(runbook_version_missing)`.
    """
    client = Client() if ticket is None else await runs.client_of(connection, engine.org_id, ticket.id)
    given = dict(slots or {})
    runbook = await _book(connection, engine.org_id, runbook_id, version)
    environment = {
        "ticket": _ticket(ticket),
        "contact": {name: getattr(client, name) or "" for name in ("email", "phone", "external_id", "name")},
        "slots": {name: slot_readings.to_json(reading) for name, reading in given.items()},
        "assignee": None if ticket is None or ticket.assignee is None else str(ticket.assignee),
        "library": await shelf.pins(connection, engine.org_id, runbook),
    }
    run_id = await runs.start(
        connection,
        engine,
        Beginning(
            runbook_id=runbook_id,
            version=version,
            ticket_id=None if ticket is None else ticket.id,
            client_key=client.key,
            mode=mode,
            slots=given,
            environment=environment,
            initiator=initiator,
        ),
    )
    if run_id is None:
        raise Conflict("A run goes on for this ticket: let it end, or cancel it.", code="run_under_way")
    await desk.queue.enqueue(connection, "advance_run", {"org_id": engine.org_id, "run_id": run_id})
    return run_id


async def advance_run(
    desk: Desk,
    engine: Principal,
    run_id: UUID,
    *,
    connectors: Connectors | None = None,
    pace: Pace = _PACE,
    interpreter: Interpreter = interpret,
) -> RunAdvance:
    """Bring one run as far as it goes now. `busy`: another pass has it. Safe to call at any time, any number of times."""
    with tracing.span("run", org_id=engine.org_id, run_id=run_id) as span:
        done = await _advanced(desk, engine, run_id, connectors=connectors, pace=pace, interpreter=interpreter)
        span.note(outcome=done)
    return done


async def _advanced(
    desk: Desk,
    engine: Principal,
    run_id: UUID,
    *,
    connectors: Connectors | None,
    pace: Pace,
    interpreter: Interpreter,
) -> RunAdvance:
    passing = await _claim(desk, engine, run_id, connectors or desk.connectors, pace)
    if isinstance(passing, str):
        return passing
    here = tracing.here()
    here.rename("run", of=passing.runbook.name)
    here.note(runbook=passing.runbook.name, mode=passing.run.mode, ticket_id=passing.run.ticket_id)
    try:
        return await _carry_on(passing, interpreter)
    except Exception as error:
        if is_transient(error):
            await _let_go(passing)
            raise
        return await _fail(passing, error)


async def cancel(desk: Desk, principal: Principal, run_id: UUID) -> Run:
    """Ask a run to stop before its next act; what it has done stays done. Raises `Conflict(run_ended)`, `Missing`."""
    if principal.is_client:
        raise Denied("Clients may not cancel runs.", code="staff_only")
    async with desk.database.org_transaction(principal) as connection:
        run = await runs.ask_to_cancel(connection, principal.org_id, run_id)
        if run is None:
            found = await runs.find(connection, principal.org_id, run_id)
            raise Conflict(f"Run {run_id} has ended ({found.status}): nothing is left to cancel.", code="run_ended")
        await facts.record(connection, principal, "run.cancelled", ticket_id=run.ticket_id, run_id=run_id)
        await desk.queue.enqueue(connection, "advance_run", {"org_id": principal.org_id, "run_id": run_id})
        return run


async def answer(
    desk: Desk, connection: Connection, engine: Principal, run_id: UUID, readings: Mapping[str, SlotReading]
) -> bool:
    """Hand a waiting run what was read from the client's words, in the caller's transaction; False when it has ended."""
    if not await runs.answer(connection, engine.org_id, run_id, readings):
        return False
    await desk.queue.enqueue(connection, "advance_run", {"org_id": engine.org_id, "run_id": run_id})
    return True


async def wake(desk: Desk, connection: Connection, engine: Principal, run_ids: Sequence[UUID]) -> None:
    """Enqueue runs whose time has come or whose worker is gone; advancing one twice does no harm."""
    traces = await facts.traces_of_runs(connection, engine.org_id, run_ids) if tracing.is_on() else {}
    for run_id in run_ids:
        ids = {"org_id": engine.org_id, "run_id": run_id}
        with tracing.continuing(traces.get(run_id)):
            await desk.queue.enqueue(connection, "advance_run", ids, dedupe_key=f"run:{run_id}")


# One pass


async def _claim(desk: Desk, engine: Principal, run_id: UUID, connectors: Connectors, pace: Pace) -> Pass | RunAdvance:
    """Take the run with all that is recorded of it."""
    pass_id, begun = uuid4(), time.monotonic()
    async with desk.database.org_lease(engine) as connection:  # a claim that is lost is no claim: the gate asks for it
        claimed = await runs.claim(connection, engine.org_id, run_id, by=pass_id, lease=pace.lease)
        if not isinstance(claimed, Claimed):
            return claimed
        run = claimed.run
        runbook = await _book(connection, engine.org_id, run.runbook_id, run.version)
        pins = run.environment.get("library") or {}
        library = {
            name: await _book(connection, engine.org_id, UUID(runbook_id), version)
            for name, (runbook_id, version) in pins.items()
        }
        is_first = claimed.was == "pending"
        steps = [] if is_first else await runs.steps(connection, engine.org_id, run_id)
        actions = [] if is_first else await runs.actions(connection, engine.org_id, run_id)
    return Pass(
        desk=desk,
        engine=engine,
        connectors=connectors,
        runbook=runbook,
        pace=pace,
        id=pass_id,
        claimed=claimed,
        library=library,
        steps={step.path: step for step in steps},
        actions={action.path: action for action in actions},
        began=begun,
        leased=begun,
    )


async def _carry_on(passing: Pass, interpreter: Interpreter) -> RunAdvance:
    """Drive the generator until the run ends or waits; nothing is replayed but what was recorded before this pass."""
    if not passing.undecided:  # what is in doubt is cleared up first, also for a run that is to stop
        if passing.run.cancel_requested_at is not None:
            return await _end(passing, cancelled())
        if passing.is_overdue(passing.claimed.age):
            return await _end(passing, overdue(passing))
    generator = interpreter(passing.runbook, environment=_environment(passing.run), library=passing.library)
    told: Told | None = None
    try:
        while True:
            effect = next(generator) if told is None else generator.send(told)
            answered = await _answer(passing, effect)
            if isinstance(answered, Stop):
                return await _end(passing, answered)
            if isinstance(answered, Hold):
                return await _wait(passing, answered)
            if isinstance(answered, Lost):
                return "busy"
            told = answered
    except StopIteration as stop:
        return await _end(passing, stop.value)


async def _answer(passing: Pass, effect: Effect) -> Told | Halt:
    if isinstance(effect, Perform):
        return await acts.perform(passing, effect)
    if not (isinstance(effect, Observe) and acts.is_fresh(passing)):
        lost = await acts.settle_last(passing)
        if lost is not None:
            return lost
    step = passing.steps.get(effect.path)
    if step is not None and step.told is not None:
        told = told_from_json(step.kind, step.told)
        if isinstance(effect, Observe) and isinstance(told, Observed):
            passing.seen[effect.path] = told.value
        return told
    halt = await passing.keep_lease()
    if halt is not None:
        return halt
    if isinstance(effect, Observe):
        with tracing.span(
            "verify" if _is_proof(passing, effect) else "check",
            of=effect.path,
            step=effect.path,
            connector=passing.connector(effect.call.connector),
            action=effect.call.action,
        ) as span:
            observed = await _observe(passing, effect)
            span.note(outcome="missing" if observed.is_missing else "unread" if observed.error else "read")
            return observed
    return await (_inquire(passing, effect, step) if isinstance(effect, Inquire) else _pause(passing, effect, step))


def _is_proof(passing: Pass, effect: Observe) -> bool:
    """Whether it looks at what the acts came to."""
    return "/verify/" in effect.path or (passing.has_acted and effect.path.startswith("goal/"))


async def _observe(passing: Pass, effect: Observe) -> Observed:
    """Read the outside, without a transaction; what passes by itself is tried again."""
    call, tries = effect.call, 0
    seconds = passing.pace.read.total_seconds()
    while True:
        tries += 1
        try:
            hand = await passing.hand(call.connector)
            async with asyncio.timeout(seconds):
                observed = Observed(_storable(await hand.read(call.action, call.arguments, timeout=seconds)))
            break
        except ConnectorError as error:
            observed = Observed(error=error.message, is_missing=error.is_missing)
            is_last, retry_after = error.permanent or error.is_missing, error.retry_after
            passing.let_go(call.connector)
        except AsoeError as error:
            observed = Observed(error=error.message)
            is_last, retry_after = getattr(error, "permanent", True), None
        except TimeoutError:
            observed = Observed(error=f"{call.connector}.{call.action}: no answer within {seconds:g} s.")
            is_last, retry_after = False, None
        if is_last or tries >= passing.pace.tries:
            break
        await passing.pace.breathe(tries, retry_after)
    passing.seen[effect.path] = observed.value
    passing.keep(
        StepRow(
            seq=passing.next_seq(),
            path=effect.path,
            kind="observe",
            connector=passing.connector(call.connector),
            action=call.action,
            arguments=call.arguments,
            told=told_to_json(observed),
            is_final=effect.is_final,
        )
    )
    return observed


async def _inquire(passing: Pass, effect: Inquire, step: StepRow | None) -> Told | Halt:
    """The client's answer, once it can be read; silence is an answer, too. Whoever talks to the client asks again."""
    name = effect.slot.name
    stored = _answered(passing, effect)
    if stored is not None:
        told = stored
    elif not passing.is_live or (
        step is not None and step.at is not None and passing.now() >= step.at + effect.patience
    ):
        told = SlotReading(name, "absent")  # silence; in a rehearsal nobody is asked
    else:
        why_not = await asking.why_not(passing, effect) if step is None else None
        if isinstance(why_not, Stop):
            return why_not
        if why_not is None:
            since = passing.now() if step is None or step.at is None else step.at
            if step is None:
                asked = {"slot": name, "is_asked": True, "needs_amount": effect.needs_amount}
                passing.keep(StepRow(passing.next_seq(), effect.path, "inquire", arguments=asked))
            return Hold("client", since + effect.patience, is_new=step is None)
        told = SlotReading(name, "absent", source=asking.NOT_ASKED, evidence=why_not)
    seq = passing.next_seq() if step is None else step.seq
    passing.keep(StepRow(seq, effect.path, "inquire", arguments={"slot": name}, told=told_to_json(told)))
    return told


def _answered(passing: Pass, effect: Inquire) -> SlotReading | None:
    """What the client has said to it, if it is an answer, or that none is to be had."""
    stored = passing.run.slots.get(effect.slot.name)
    if stored is None or (stored.get("status") != "read" and stored.get("source") != asking.IN_VAIN):
        return None
    told = slot_readings.from_json(stored)
    is_bare = isinstance(told.value, Consent) and told.value.status == "given" and told.value.amount is None
    return None if is_bare and effect.needs_amount else told


async def _pause(passing: Pass, effect: Pause, step: StepRow | None) -> Told | Halt:
    """A short pause is sat out, a long one is a row."""
    seq = passing.next_seq() if step is None else step.seq
    over = StepRow(seq, effect.path, "pause", told={})
    if step is not None and step.at is not None:
        if passing.now() < step.at + effect.duration:
            return Hold("timer", step.at + effect.duration)
    elif effect.duration <= passing.pace.at_hand:
        await passing.pace.sleep(effect.duration.total_seconds())
    elif passing.is_live:
        passing.keep(StepRow(seq, effect.path, "pause"))
        return Hold("timer", passing.now() + effect.duration)
    passing.keep(over)
    return Passed()


async def _wait(passing: Pass, hold: Hold) -> RunAdvance:
    """Let go of the run until it is woken."""
    tracing.here().note(waiting_for=hold.waiting_for)
    if not hold.is_written:
        await acts.settle_last(passing)
        async with passing.desk.database.org_step(passing.engine) as connection:
            if not await passing.write_hold(connection, hold):
                return "busy"
            await passing.write_kept(connection)
    return "waiting"


async def _end(passing: Pass, ending: Ending | Stop) -> RunAdvance:
    """Write how it ended, and wake the ticket's journey."""
    run = passing.run
    tracing.here().note(status=ending.verdict, reason=ending.reason)
    if isinstance(ending, Stop):
        await acts.settle_last(passing)
        ending = await _cut_short(passing, ending)
        passing.has_asked = passing.has_asked or passing.claimed.was_waiting_for == "approval"
    async with passing.desk.database.org_step(passing.engine) as connection:
        if not await acts.write_last(connection, passing):
            return "busy"
        doubtful = await runs.end(
            connection,
            passing.engine,
            run.id,
            by=passing.id,
            verdict=ending.verdict,
            reason=ending.reason,
            note=ending.note,
            step=ending.step,
            evidence={**ending.evidence, "undone": list(ending.undone)},
            kept=passing.kept,
        )
        if doubtful is None:
            return "busy"
        for rehearsed in passing.rehearsed:
            await runs.intend(connection, passing.org_id, run.id, rehearsed)
        if passing.has_asked:
            await approvals.kill(connection, passing.org_id, run.id)
        if passing.is_live and (doubtful or passing.has_acted) and ending.verdict != "verified":
            await autonomy.watch(connection, passing.engine, run.runbook_id, passing.now())
        if passing.is_live and run.ticket_id is not None:
            await passing.desk.queue.advance(connection, passing.org_id, run.ticket_id)
    measures.count("asoe_runs_ended", run.mode, ending.verdict)
    return "ended"


async def _cut_short(passing: Pass, stop: Stop) -> Ending:
    """An ending the runbook knows nothing of: what was done, what of it was taken back, and what stands."""
    if not passing.has_acted:
        return Ending(stop.verdict, stop.reason, note=stop.note)
    async with passing.desk.database.org_reading(passing.engine) as connection:
        rows = [row for row in await runs.actions(connection, passing.org_id, passing.run.id) if not row.is_undo]
    kept = [{"path": row.path, "call": f"{row.connector}.{row.action}", "status": row.status} for row in rows]
    undone = [row.path for row in rows if row.status == "undone"]
    stands = [row.path for row in rows if row.status in {"intended", "done", "unknown"}]
    note = stop.note
    if stop.is_undoing:
        note += f" The run was taking back what it had done. Taken back: {_listed(undone)}. Not taken back: {_listed(stands)}."
    return Ending(stop.verdict, stop.reason, note=note, evidence={"acts": kept}, undone=tuple(undone))


def _listed(paths: Sequence[str]) -> str:
    return ", ".join(paths) or "nothing"


async def _let_go(passing: Pass) -> None:
    """The database was not there for a moment: whoever tries next need not wait for the lease to end."""
    with contextlib.suppress(Exception):
        await acts.settle_last(passing)
        async with passing.desk.database.org_step(passing.engine) as connection:
            await runs.let_go(connection, passing.org_id, passing.run.id, by=passing.id)


async def _fail(passing: Pass, error: Exception) -> RunAdvance:
    """Something nobody foresaw: the run goes to a person, and an act under way counts as in doubt."""
    passing.forget_kept()  # it may be what could not be written
    note = f"The engine failed while carrying it out ({type(error).__name__})."
    _log.error("run.failed", run_id=str(passing.run.id), error=kind_of(error), where=place_of(error))
    return await _end(passing, Stop("escalated", "stage_failed", note))


# What a run sees


async def _book(connection: Connection, org_id: UUID, runbook_id: UUID, version: int) -> Runbook:
    """One version, remembered: versions never change."""
    key = org_id, runbook_id, version
    found = _BOOKS.get(key)
    if found is None:
        found = await shelf.load(connection, org_id, runbook_id, version)
        if len(_BOOKS) >= shelf.MOST_READ:
            _BOOKS.clear()
        _BOOKS[key] = found
    return found


def _environment(run: Run) -> dict[str, Any]:
    seen = run.environment
    slots = {name: slot_readings.from_json(stored) for name, stored in (seen.get("slots") or {}).items()}
    return {
        "ticket": seen.get("ticket") or {},
        "contact": seen.get("contact") or {},
        "slots": slots,
        "now": run.started_at,
    }


def _ticket(ticket: Ticket | None) -> dict[str, Any]:
    if ticket is None:
        return {}
    return {
        "number": ticket.number,
        "subject": ticket.subject,
        "body": ticket.body or ticket.text,
        "category": ticket.category,
        "severity": ticket.severity,
        "intent": ticket.intent or "",
        "language": ticket.language,
        "channel": ticket.channel,
        "metadata": ticket.metadata,
    }


def _storable(value: Any) -> Any:
    """What a system gave, as the database keeps it: what a replay hears must be what was heard."""
    match value:
        case str():
            return value.replace("\x00", "").encode("utf-8", "replace").decode() if not value.isprintable() else value
        case Mapping():
            return {str(_storable(key)): _storable(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_storable(inner) for inner in value]
        case float() if not math.isfinite(value):
            return None
        case _:
            return value
