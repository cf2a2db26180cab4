"""A ticket's life, in order. The conductor: it alone knows which stage follows which.

    triage ─► resolve ─┬─► await_client ─┬─► resolve (new words, or the answer did not help)
                       │                 └─► ended (the client confirmed, or stayed silent)
                       ├─► run (a runbook) ─┬─► ended (verified), or resolve (nothing was broken)
                       │                    ├─► await_incident ─► run (its own check, once the cause is mended)
                       │                    └─► with_person
                       ├─► resolve (a wish was written) ─► ended (read again: it stands)
                       ├─► with_person (the engine is quiet until handed back)
                       └─► ended ─► with_person (the client came back)

One advance reads, thinks without holding a transaction, then writes under the ticket's lock if nothing has changed since
it read. So a job may come twice, late, or be lost: the next one finds the same rows and goes on.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final, Literal
from uuid import UUID

from asoe import tracing
from asoe.desk import autonomy, outcome, wish
from asoe.desk.consulting.dossiers import draft
from asoe.desk.context import Desk
from asoe.desk.incident import joining, signs
from asoe.desk.journey import affected, basis
from asoe.desk.journey.resolving import hand_over, judge, read_replies, resolve, tell_of_wish
from asoe.desk.journey.running import begin, begin_run, carry_run, in_lines, stop_run, suggest, without_run
from asoe.desk.journey.standing import Standing, is_at_rest, is_over, read, tried_in
from asoe.desk.journey.waiting import after_resolution, after_waiting
from asoe.desk.outcome import Step
from asoe.desk.resolution import HandOver, answer_language
from asoe.desk.runbook import execution
from asoe.desk.trail import FAILED, Trail
from asoe.domain.errors import Missing
from asoe.domain.escalation import Dossier
from asoe.domain.organization import Principal
from asoe.store import facts, journeys, runs
from asoe.store.transient import is_transient
from asoe.tracing import measures

__all__ = ["Advance", "advance", "begin_run", "carry_on", "carry_on_run", "fail"]

MAX_FAILURES: Final = 3
Advance = Literal["ended", "waiting", "busy", "stale"]


async def carry_on(desk: Desk, org_id: UUID, ticket_id: UUID) -> Advance | Literal["gone", "given_away"]:
    """`advance` as the worker does it: what fails three times goes to a person, what passes by itself is raised."""
    try:
        return await advance(desk, org_id, ticket_id)
    except Missing:
        return "gone"  # deleted since, or its organization is suspended
    except Exception as error:
        if not is_transient(error) and await fail(desk, org_id, ticket_id, cause=type(error).__name__):
            return "given_away"
        raise


async def carry_on_run(desk: Desk, org_id: UUID, run_id: UUID) -> Advance | Literal["gone", "given_away"]:
    """Bring a run on: through its ticket's journey, which tells the client what came of it, or by itself."""
    try:
        engine = await desk.engine_of(org_id)
        async with desk.database.org_reading(engine) as connection:
            run = await runs.find(connection, org_id, run_id)
        if run.ticket_id is not None and run.mode == "live":
            return await carry_on(desk, org_id, run.ticket_id)
        done = "ended" if run.ended_at is not None else await execution.advance_run(desk, engine, run_id)
        if done == "ended" and run.mode == "shadow":
            await suggest(desk, engine, run_id)
    except Missing:
        return "gone"
    return done


async def advance(desk: Desk, org_id: UUID, ticket_id: UUID, *, initiator: str = "worker") -> Advance:
    """Bring one ticket as far as it goes now. `stale`: something changed meanwhile and another advance is enqueued."""
    engine = await desk.engine_of(org_id)
    async with desk.database.org_reading(engine) as connection:
        standing = await read(connection, engine, ticket_id)
    trail = Trail(desk.clock, initiator=initiator, entrypoint=f"journey.{standing.journey.stage}")
    with tracing.span(
        "invoke_workflow",
        of=trail.entrypoint,
        spoken="invoke_workflow",
        workflow=trail.entrypoint,
        orchestrator_run_id=trail.run_id,
        org_id=org_id,
        ticket_id=ticket_id,
        initiator=initiator,
    ) as span:
        done = await _advanced(desk, engine, standing, trail)
        span.note(outcome=done)
    return done


async def _advanced(desk: Desk, engine: Principal, standing: Standing, trail: Trail) -> Advance:
    org_id, ticket_id = engine.org_id, standing.ticket.id
    step = await think(desk, engine, standing, trail)
    if step is None:
        await _stop_timer(desk, engine, standing)
        return "waiting" if standing.ticket.waiting_for else "ended"
    if step.dossier is not None and step.given is None:  # an answer to be sent by a person stays as it is
        step = replace(step, dossier=await drafted(desk, engine, standing, step.dossier, trail))
    async with desk.database.org_transaction(engine) as connection:
        version = await journeys.hold(connection, org_id, ticket_id)
        if version is None:
            await desk.queue.advance(connection, org_id, ticket_id, delay=timedelta(seconds=1))
            return "busy"
        stands, is_said = await journeys.recheck(connection, org_id, ticket_id, standing.positions)
        if version != standing.ticket.version or stands != standing.journey or is_said:
            await desk.queue.advance(connection, org_id, ticket_id)
            return "stale"
        if step.incident is not None:
            joined = await joining.join(desk, connection, engine, standing, step)
            if joined is None:  # it ended meanwhile
                await desk.queue.advance(connection, org_id, ticket_id)
                return "stale"
            step = joined
        if step.treatment is not None:
            step = await begin(desk, connection, engine, standing.ticket, step)
        if step.wish is not None:
            step = await wish.record(desk, connection, engine, standing.ticket, step)
        await outcome.write(desk, connection, engine, standing.ticket, step, session=standing.session)
        for run_id in step.doubted:
            await autonomy.doubt(connection, engine, run_id)
        if step.signs:
            await signs.keep(desk, connection, engine, standing.ticket, signs=step.signs, run_id=step.signed_by)
        if step.settled is not None:
            await joining.settle(desk, connection, engine, standing, step.settled)
        went_by = basis.of(standing, trail.started_at, has_replied=step.reply is not None)
        await trail.save(connection, engine.org_id, ticket_id, step.name, basis=went_by)
    tracing.here().note(plan=step.name, waiting_for=step.waiting_for)
    measures.count("asoe_ticket_steps", step.name)
    return "waiting" if step.waiting_for else "ended"


async def fail(desk: Desk, org_id: UUID, ticket_id: UUID, *, cause: str) -> bool:
    """Note that an advance failed; after three in a row a person gets the ticket. True when it was given away."""
    engine = await desk.engine_of(org_id)
    trail = Trail(desk.clock, initiator="worker", entrypoint="journey.fail")
    async with desk.database.org_transaction(engine) as connection:
        if await journeys.hold(connection, org_id, ticket_id) is None:
            return False
        standing = await read(connection, engine, ticket_id, is_lenient=True)
        went_by = basis.of(standing, trail.started_at, has_replied=False)
        failures = standing.journey.failures + 1
        await facts.record(connection, engine, "journey.failed", ticket_id=ticket_id, cause=cause, failures=failures)
        if failures < MAX_FAILURES or is_at_rest(standing):
            await journeys.save(connection, org_id, ticket_id, replace(standing.journey, failures=failures))
            await trail.save(connection, engine.org_id, ticket_id, FAILED, basis=went_by, error=cause)
            return False
        if standing.run_id is not None and (await runs.find(connection, org_id, standing.run_id)).ended_at is not None:
            standing = without_run(standing)
        tried = (*tried_in(standing), f"The engine failed {failures} times: {cause}.")
        step = hand_over(standing, HandOver(("stage_failed",), tried=tried), trail)
        await outcome.write(desk, connection, engine, standing.ticket, step, session=standing.session)
        went_by["has_replied"] = step.reply is not None
        await trail.save(connection, engine.org_id, ticket_id, step.name, basis=went_by, error=cause)
    return True


async def think(desk: Desk, engine: Principal, standing: Standing, trail: Trail) -> Step | None:
    """Decide the next step; None when there is nothing to do now. Without a run under way it only reads."""
    ticket = standing.ticket
    if standing.run_id is not None and is_over(ticket):
        report = await stop_run(desk, engine, standing, standing.run_id, trail)
        if report is None:
            return None  # whoever has the run wakes the ticket when it has ended
        standing = without_run(standing)
        if not standing.is_ended or not standing.news:
            return outcome.dropped(standing.journey, ticket, in_lines(report))
    if ticket.is_spam or ticket.merged_into is not None:
        return None
    if standing.is_ended:
        return await after_resolution(desk, standing, trail)
    if standing.run_id is not None:
        return await carry_run(desk, engine, standing, standing.run_id, trail)
    if standing.incident is not None:
        step = await affected.think(desk, engine, standing, trail)
        if step != "pass":
            return step
    if standing.is_persons:
        if ticket.waiting_for == "person" or not standing.news:
            return None
        with trail.agent("escalation", reading="reply to a person"):
            return outcome.passed_on(standing.journey).seen(standing.positions)
    if standing.journey.data.get("wish") == "recorded":
        return await tell_of_wish(desk, engine, standing, trail)
    if standing.journey.stage == "await_client":
        return await after_waiting(desk, engine, standing, trail)
    if await read_replies(desk, standing, trail) == "wants_person":
        # judged all the same: the person gets it sorted
        standing, _, changed = await judge(desk, engine, standing, trail)
        step = hand_over(standing, HandOver(("client_asked",), tried=tried_in(standing)), trail)
        return replace(step, triage=changed)
    return await resolve(desk, engine, standing, trail)


async def drafted(desk: Desk, engine: Principal, standing: Standing, dossier: Dossier, trail: Trail) -> Dossier:
    return await draft(
        desk,
        engine,
        standing.ticket,
        dossier,
        messages=standing.messages,
        language=answer_language(standing.ticket, standing.policy),
        rules=standing.policy.language_model,
        trail=trail,
    )


async def _stop_timer(desk: Desk, engine: Principal, standing: Standing) -> None:
    """A timer that has run out for nothing would wake the journey for ever."""
    due_at = standing.journey.due_at
    if due_at is not None and due_at <= desk.clock():
        async with desk.database.org_transaction(engine) as connection:
            await journeys.rest(connection, engine.org_id, standing.ticket.id, due_at)
