"""A ticket's life, in order. The conductor: it alone knows which stage follows which.

    triage ─► resolve ─┬─► await_client ─┬─► resolve (new words, or the answer did not help)
                       │                 └─► ended (the client confirmed, or stayed silent)
                       ├─► run (a runbook) ─┬─► ended (verified), or resolve (nothing was broken)
                       │                    └─► with_person
                       ├─► with_person (the engine is quiet until handed back)
                       └─► ended ─► with_person (the client came back)

One advance reads, thinks without holding a transaction, then writes under the ticket's lock if nothing has changed since
it read. So a job may come twice, late, or be lost: the next one finds the same rows and goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

from asoe.desk import outcome, resolution, triage
from asoe.desk.context import Desk
from asoe.desk.escalation import reasons_to_escalate
from asoe.desk.outcome import Step
from asoe.desk.resolution import Case, HandOver
from asoe.desk.runbook import execution, shelf, treatment
from asoe.desk.runbook.treatment import Report, Treatment
from asoe.desk.trail import Trail
from asoe.domain.errors import Conflict, Invalid, Missing
from asoe.domain.organization import Principal
from asoe.domain.policy import Policy, read_policy
from asoe.domain.runbook import Consent, SlotReading
from asoe.domain.session import Message, Session
from asoe.domain.ticket import SEVERITY_RANK, Ticket
from asoe.domain.triage import Triage
from asoe.store import autonomy, facts, journeys, runs, sessions, tickets
from asoe.store.db import Connection
from asoe.store.journeys import Journey
from asoe.store.transient import is_transient

MAX_FAILURES: Final = 3
WORDS_OF_QUESTION: Final = 5
"""Of a long conversation, the opening and the client's last messages are what an answer must fit."""
Advance = Literal["ended", "waiting", "busy", "stale"]


@dataclass(frozen=True, slots=True)
class Standing:
    """All that one advance has read."""

    ticket: Ticket
    journey: Journey
    sessions: tuple[Session, ...]
    messages: tuple[Message, ...]
    earlier: tuple[Ticket, ...]
    policy: Policy

    @property
    def news(self) -> tuple[Message, ...]:
        """What the client has said since the engine last looked."""
        seen = self.journey.seen
        return tuple(m for m in self.messages if m.role == "user" and m.seq > seen.get(str(m.session_id), 0))

    @property
    def positions(self) -> Mapping[str, int]:
        """The last seq of each session."""
        return self.journey.seen | {str(message.session_id): message.seq for message in self.messages}

    @property
    def read_until(self) -> datetime | None:
        return self.messages[-1].created_at if self.messages else None

    @property
    def session(self) -> Session | None:
        """Where to speak: the session in which the client spoke last, else the newest."""
        spoken = [message.session_id for message in self.messages if message.role == "user"]
        found = [session for session in self.sessions if spoken and session.id == spoken[-1]]
        return next(iter(found), self.sessions[-1] if self.sessions else None)

    @property
    def is_persons(self) -> bool:
        """Whether a person has the ticket, so that the engine is quiet."""
        return (
            self.ticket.status == "escalated"
            or self.journey.stage == "with_person"
            or any(session.is_ai_quiet for session in self.sessions)
        )

    @property
    def run_id(self) -> UUID | None:
        """The run under way for this ticket."""
        stored = self.journey.data.get("run")
        return None if stored is None else UUID(stored)

    @property
    def is_ended(self) -> bool:
        return self.ticket.status in {"resolved", "closed"}


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
        if run.ended_at is not None:
            return "ended"
        done = await execution.advance_run(desk, engine, run_id)
        if done == "ended" and run.mode == "shadow":
            await _suggest(desk, engine, run_id)
    except Missing:
        return "gone"
    return done


async def begin_run(
    desk: Desk, principal: Principal, ticket_id: UUID, name: str, *, mode: Literal["live", "shadow", "dry_run"] = "live"
) -> UUID:
    """Start a published runbook for a ticket by a person's hand; raises `Conflict(run_under_way | ticket_ended)`, `Missing`."""
    engine = await desk.engine_of(principal.org_id)
    async with desk.database.org_reading(principal) as connection:
        standing = await _read(connection, principal, ticket_id)
        runbook_id, version = await shelf.find_published(connection, principal.org_id, name)
        runbook = await shelf.load(connection, principal.org_id, runbook_id, version)
        client = await treatment.client_of(connection, principal.org_id, ticket_id)
    slots = await treatment.read_slots(
        desk, runbook, standing.ticket, messages=standing.messages, client=client, policy=standing.policy
    )
    async with desk.database.org_transaction(principal) as connection:
        ticket = await tickets.find_for_update(connection, principal.org_id, ticket_id)  # an advance waits, or is over
        if mode == "live" and _is_over(ticket):
            raise Conflict(f"Ticket {ticket.number} has ended: reopen it first.", code="ticket_ended")
        run_id = await execution.start(
            desk,
            connection,
            engine,
            runbook_id=runbook_id,
            version=version,
            ticket=standing.ticket,
            slots=slots,
            mode=mode,
            initiator=principal.user_id,
        )
        if mode == "live":
            now = await journeys.find(connection, principal.org_id, ticket_id)
            await journeys.save(
                connection, principal.org_id, ticket_id, replace(now, data={**now.data, "run": str(run_id)})
            )
        return run_id


async def advance(desk: Desk, org_id: UUID, ticket_id: UUID, *, initiator: str = "worker") -> Advance:
    """Bring one ticket as far as it goes now. `stale`: something changed meanwhile and another advance is enqueued."""
    engine = await desk.engine_of(org_id)
    async with desk.database.org_reading(engine) as connection:
        standing = await _read(connection, engine, ticket_id)
    trail = Trail(desk.clock, initiator=initiator, entrypoint=f"journey.{standing.journey.stage}")
    step = await _think(desk, engine, standing, trail)
    if step is None:
        await _stop_timer(desk, engine, standing)
        return "waiting" if standing.ticket.waiting_for else "ended"
    async with desk.database.org_transaction(engine) as connection:
        version = await journeys.hold(connection, org_id, ticket_id)
        if version is None:
            await desk.queue.advance(connection, org_id, ticket_id, delay=timedelta(seconds=1))
            return "busy"
        stands, is_said = await journeys.recheck(connection, org_id, ticket_id, standing.read_until)
        if version != standing.ticket.version or stands != standing.journey or is_said:
            await desk.queue.advance(connection, org_id, ticket_id)
            return "stale"
        if step.treatment is not None:
            step = await _begin(desk, connection, engine, standing.ticket, step)
        await outcome.write(desk, connection, engine, standing.ticket, step, session=standing.session)
        await trail.save(connection, engine.org_id, ticket_id, step.name)
    return "waiting" if step.waiting_for else "ended"


async def fail(desk: Desk, org_id: UUID, ticket_id: UUID, *, cause: str) -> bool:
    """Note that an advance failed; after three in a row a person gets the ticket. True when it was given away."""
    engine = await desk.engine_of(org_id)
    trail = Trail(desk.clock, initiator="worker", entrypoint="journey.fail")
    async with desk.database.org_transaction(engine) as connection:
        if await journeys.hold(connection, org_id, ticket_id) is None:
            return False
        standing = await _read(connection, engine, ticket_id, is_lenient=True)
        failures = standing.journey.failures + 1
        await facts.record(connection, engine, "journey.failed", ticket_id=ticket_id, cause=cause, failures=failures)
        if failures < MAX_FAILURES or _is_at_rest(standing):
            await journeys.save(connection, org_id, ticket_id, replace(standing.journey, failures=failures))
            return False
        tried = (*_tried(standing), f"The engine failed {failures} times: {cause}.")
        step = _hand_over(standing, HandOver(("stage_failed",), tried=tried), trail)
        await outcome.write(desk, connection, engine, standing.ticket, step, session=standing.session)
        await trail.save(connection, engine.org_id, ticket_id, step.name)
    return True


def _is_at_rest(standing: Standing) -> bool:
    """Whether nobody is owed anything by the engine."""
    ticket = standing.ticket
    if ticket.is_spam or ticket.merged_into is not None:
        return True
    return not standing.news if standing.is_ended else standing.is_persons


async def _think(desk: Desk, engine: Principal, standing: Standing, trail: Trail) -> Step | None:
    """Decide the next step; None when there is nothing to do now."""
    ticket = standing.ticket
    if standing.run_id is not None and _is_over(ticket):
        report = await _stop_run(desk, engine, standing.run_id, trail)
        if report is None:
            return None  # whoever has the run wakes the ticket when it has ended
        standing = _without_run(standing)
        if not standing.is_ended or not standing.news:
            return outcome.dropped(standing.journey, ticket, _in_lines(report))
    if ticket.is_spam or ticket.merged_into is not None:
        return None
    if standing.is_ended:
        return await _after_resolution(desk, standing, trail)
    if standing.run_id is not None:
        return await _carry_run(desk, engine, standing, standing.run_id, trail)
    if standing.is_persons:
        if ticket.waiting_for == "person" or not standing.news:
            return None
        with trail.agent("escalation", reading="reply to a person"):
            return outcome.passed_on(standing.journey).seen(standing.positions)
    if standing.journey.stage == "await_client":
        return await _after_waiting(desk, engine, standing, trail)
    if await _read_replies(desk, standing, trail) == "wants_person":
        # judged all the same: the person gets it sorted
        standing, _, changed = await _judge(desk, engine, standing, trail)
        step = _hand_over(standing, HandOver(("client_asked",), tried=_tried(standing)), trail)
        return replace(step, triage=changed)
    return await _resolve(desk, engine, standing, trail)


async def _resolve(
    desk: Desk,
    engine: Principal,
    standing: Standing,
    trail: Trail,
    *,
    after_a_miss: bool = False,
    looked: HandOver | None = None,
) -> Step:
    """`looked`: what a runbook found that could not say who the client is; no other one is tried then."""
    standing, judged, changed = await _judge(desk, engine, standing, trail)
    ticket = standing.ticket
    found = None if looked else await _find_treatment(desk, engine, standing, judged, trail)
    if found is not None and found.is_live and ticket.severity != "critical":
        step = outcome.treated(standing.journey, ticket)
        return replace(step, triage=changed, treatment=found).seen(standing.positions)
    case = Case(
        ticket=ticket,
        triage=judged,
        policy=standing.policy,
        question=_question(standing),
        earlier=standing.earlier,
        attempts=standing.journey.attempts,
        cited=tuple(standing.journey.data.get("cited", ())),
        has_asked=bool(standing.journey.data.get("has_asked")),
    )
    with trail.agent("resolution", attempt=case.attempts + 1) as noted:
        plan = await resolution.choose(desk, engine, case)
        noted(plan=type(plan).__name__)
    if isinstance(plan, resolution.GiveAnswer):
        step = outcome.answered(
            desk.clock(),
            standing.journey,
            ticket,
            plan.answer,
            policy=standing.policy,
            after_a_miss=after_a_miss,
        )
    elif isinstance(plan, resolution.AskBack):
        step = outcome.asked(desk.clock(), standing.journey, ticket, policy=standing.policy)
    elif isinstance(plan, resolution.NothingWanted):
        step = outcome.noted(desk.clock(), standing.journey, ticket, policy=standing.policy)
    else:
        if looked is not None:
            plan = HandOver(
                (*plan.reasons, *looked.reasons), tried=(*plan.tried, *looked.tried), not_done=looked.not_done
            )
        step = _hand_over(standing, plan, trail)
    return replace(step, triage=changed, treatment=found).seen(standing.positions)


async def _find_treatment(
    desk: Desk, engine: Principal, standing: Standing, judged: Triage | None, trail: Trail
) -> Treatment | None:
    """A runbook for the ticket, unless something speaks for a person first; a critical one may be mended all the same."""
    reasons = reasons_to_escalate(standing.ticket, judged, standing.policy, earlier=standing.earlier)
    if set(reasons) - {"critical_severity"} or standing.journey.data.get("cited"):
        return None
    with trail.agent("ops-fixer", looking_for="runbook") as noted:
        found = await treatment.find(
            desk,
            engine,
            standing.ticket,
            triage=judged,
            question=_question(standing),
            messages=standing.messages,
            policy=standing.policy,
            tried=standing.journey.data.get("treated", ()),
        )
        noted(runbook=found.runbook.name if found else None)
    return found


async def _begin(desk: Desk, connection: Connection, engine: Principal, ticket: Ticket, step: Step) -> Step:
    """Start the step's runbook: as the ticket's one live run, or as a rehearsal beside what happens to the ticket."""
    begun = step.treatment
    assert begun is not None
    run_id = await execution.start(
        desk,
        connection,
        engine,
        runbook_id=begun.runbook_id,
        version=begun.runbook.version,
        ticket=ticket,
        slots=begun.slots,
        mode="live" if begun.is_live else "shadow",
    )
    data = {**step.journey.data, "treated": [*step.journey.data.get("treated", ()), str(begun.runbook_id)]}
    if begun.is_live:
        data["run"] = str(run_id)
    return replace(step, journey=replace(step.journey, data=data))


async def _suggest(desk: Desk, engine: Principal, run_id: UUID) -> None:
    """Tell staff in a note what a runbook at `suggest` would have done."""
    async with desk.database.org_reading(engine) as connection:
        report = await treatment.report(connection, engine.org_id, run_id)
        level = (await autonomy.standing(connection, engine.org_id, report.run.runbook_id)).level
    if level != "suggest" or report.run.ticket_id is None or not report.not_done:
        return
    lines = "\n".join(f"- {line}" for line in report.not_done)
    async with desk.database.org_transaction(engine) as connection:
        found = await sessions.of_ticket(connection, engine.org_id, report.run.ticket_id)
        if found:
            await sessions.add(
                connection,
                engine.org_id,
                found[-1],
                role="system",
                content=f"Runbook {report.runbook.name} suggests:\n{lines}",
                author=engine.user_id,
                is_internal=True,
            )


async def _carry_run(desk: Desk, engine: Principal, standing: Standing, run_id: UUID, trail: Trail) -> Step | None:
    """Bring the ticket's run as far as it goes now, and tell what came of it."""
    objection = ""
    if standing.news:
        if await _read_replies(desk, standing, trail) == "wants_person":
            objection = "client_asked"
        elif await _hear(desk, engine, standing, run_id):
            objection = "needs_consent"
        if objection:
            with suppress(Conflict):  # it has ended meanwhile
                await execution.cancel(desk, engine, run_id)
    with trail.agent("ops-fixer", run_id=str(run_id)) as noted:
        await execution.advance_run(desk, engine, run_id)
        async with desk.database.org_reading(engine) as connection:
            report = await treatment.report(connection, engine.org_id, run_id)
        noted(status=report.run.status, waiting_for=report.run.waiting_for, reason=report.run.reason)
    if report.run.ended_at is None:
        return _while_it_runs(standing, report)
    standing = _without_run(standing)
    step = await _after_run(desk, engine, standing, report, trail, objection=objection)
    return step.seen(standing.positions)


async def _stop_run(desk: Desk, engine: Principal, run_id: UUID, trail: Trail) -> Report | None:
    """End the run of a ticket that is over; None while another pass still has it."""
    with trail.agent("ops-fixer", run_id=str(run_id)) as noted:
        with suppress(Conflict):  # it has ended already
            await execution.cancel(desk, engine, run_id)
        await execution.advance_run(desk, engine, run_id)
        async with desk.database.org_reading(engine) as connection:
            report = await treatment.report(connection, engine.org_id, run_id)
        noted(status=report.run.status, reason=report.run.reason)
    return None if report.run.ended_at is None else report


def _without_run(standing: Standing) -> Standing:
    data = {name: value for name, value in standing.journey.data.items() if name not in {"run", "held"}}
    return replace(standing, journey=replace(standing.journey, data=data))


def _in_lines(report: Report) -> str:
    return "\n".join((*report.tried, *report.not_done))


def _is_over(ticket: Ticket) -> bool:
    return ticket.is_spam or ticket.merged_into is not None or ticket.status in {"resolved", "closed"}


async def _hear(desk: Desk, engine: Principal, standing: Standing, run_id: UUID) -> bool:
    """Read the slots again, with the client's new words; whether a consent that the run stands on was taken back."""
    async with desk.database.org_reading(engine) as connection:
        run = await runs.find(connection, engine.org_id, run_id)
        runbook = await treatment.runbook_of(connection, engine.org_id, run_id)
        client = await treatment.client_of(connection, engine.org_id, standing.ticket.id)
    slots = await treatment.read_slots(
        desk, runbook, standing.ticket, messages=standing.messages, client=client, policy=standing.policy
    )
    before = {name: runs.reading_from_json(stored) for name, stored in run.slots.items()}
    if any(_takes_back(before.get(name), reading) for name, reading in slots.items()):
        return True  # not kept: whoever reads it again finds the same
    async with desk.database.org_transaction(engine) as connection:
        await treatment.keep_slots(connection, engine.org_id, run_id, slots)
    return False


def _takes_back(before: SlotReading | None, now: SlotReading) -> bool:
    """Whether a consent was given, and is refused, in doubt or for less now."""
    given, stands = _given(before), _given(now)
    if given is None:
        return False
    return stands is None or (stands.amount is not None and (given.amount is None or stands.amount < given.amount))


def _given(reading: SlotReading | None) -> Consent | None:
    if reading is None or reading.status != "read" or not isinstance(reading.value, Consent):
        return None
    return reading.value if reading.value.status == "given" else None


def _while_it_runs(standing: Standing, report: Report) -> Step | None:
    """What the run waits for, said to the client once."""
    run, journey = report.run, standing.journey
    key = f"{run.waiting_for}:{report.pending}"
    if run.waiting_for is None or (journey.data.get("held") == key and not standing.news):
        return None
    language = resolution.answer_language(standing.ticket, standing.policy)
    reply = None if journey.data.get("held") == key else treatment.say_waiting(report, language)
    step = outcome.held(journey, standing.ticket, run, reply=reply, key=key).seen(standing.positions)
    if any(session.is_ai_quiet for session in standing.sessions):  # whoever has the ticket speaks to the client
        note = f"Runbook {report.runbook.name} waits ({run.waiting_for}). It would say: {reply}" if reply else None
        return replace(step, path=(), fact=None, reply=None, note=note, waiting_for=standing.ticket.waiting_for)
    return step


async def _after_run(
    desk: Desk, engine: Principal, standing: Standing, report: Report, trail: Trail, *, objection: str
) -> Step:
    """`objection`: why the client's own words end it here, with a person, whatever the run came to."""
    run, ticket = report.run, standing.ticket
    is_quiet = any(session.is_ai_quiet for session in standing.sessions)
    if run.status == "verified" and not is_quiet and not objection:
        standing = _with_mended(standing, report)
        return await _next_treatment(desk, engine, standing, trail) or _fixed(desk, standing)
    if is_quiet or ticket.status == "escalated":
        return outcome.dropped(standing.journey, ticket, _in_lines(report))
    if run.reason == "already_met" and not objection:
        step = await _next_treatment(desk, engine, standing, trail)
        if step is not None:
            return step
        if standing.journey.data.get("mended"):
            return _fixed(desk, standing)
        step = await _resolve(desk, engine, standing, trail)
        return step if step.dossier is None else _hand_over(standing, _given_up(standing, report), trail)
    if run.reason == "not_found" and not objection and not report.effects and not standing.journey.data.get("mended"):
        return await _resolve(desk, engine, standing, trail, looked=_given_up(standing, report))
    reasons = (objection or run.reason or "stage_failed",)
    return _hand_over(standing, replace(_given_up(standing, report), reasons=reasons), trail)


async def _next_treatment(desk: Desk, engine: Principal, standing: Standing, trail: Trail) -> Step | None:
    """A ticket may complain of several things: the next runbook that fits it and may act."""
    standing, judged, changed = await _judge(desk, engine, standing, trail)
    found = await _find_treatment(desk, engine, standing, judged, trail)
    if found is None or not found.is_live:
        return None
    return replace(outcome.treated(standing.journey, standing.ticket), triage=changed, treatment=found)


def _with_mended(standing: Standing, report: Report) -> Standing:
    """Keep what a run has mended: the client is told of all of it at the end, a person finds it in the dossier."""
    language = resolution.answer_language(standing.ticket, standing.policy)
    mended = {
        "run": str(report.run.id),
        "reply": treatment.say_fixed(report, language),
        "effects": list(report.effects),
        "evidence": report.run.evidence,
        "tried": list(report.tried),
        "kind": report.runbook.resolution_type,
    }
    data = standing.journey.data
    return replace(
        standing, journey=replace(standing.journey, data={**data, "mended": [*data.get("mended", ()), mended]})
    )


def _fixed(desk: Desk, standing: Standing) -> Step:
    data = dict(standing.journey.data)
    mended = data.pop("mended")
    return outcome.fixed(
        desk.clock(), replace(standing.journey, data=data), standing.ticket, mended, policy=standing.policy
    )


def _given_up(standing: Standing, report: Report) -> HandOver:
    before = [line for mended in standing.journey.data.get("mended", ()) for line in mended["tried"]]
    return HandOver((report.run.reason or "stage_failed",), tried=(*before, *report.tried), not_done=report.not_done)


async def _judge(
    desk: Desk, engine: Principal, standing: Standing, trail: Trail
) -> tuple[Standing, Triage | None, dict[str, Any]]:
    """The triage, and what it changes: made now if there is none, and made anew on what was asked back for."""
    ticket = standing.ticket
    judged = triage.readable(ticket)
    is_answer = bool(standing.journey.data.get("has_asked")) and not standing.journey.attempts and bool(standing.news)
    with trail.agent("triage", reused=judged is not None and not is_answer) as noted:
        changed: dict[str, Any] = {}
        if is_answer:
            judged = await desk.ai.triage(ticket.subject, "\n".join(_said(standing)))
        elif judged is None:
            judged = await triage.judge(desk, ticket)
        else:
            noted(category=ticket.category, severity=ticket.severity, intent=ticket.intent)
            return standing, judged, {}
        if judged is not None:
            async with desk.database.org_reading(engine) as connection:
                corrected = await tickets.corrected_fields(connection, engine.org_id, ticket.id)
            changed = triage.changes(ticket, judged, corrected=corrected)
            if is_answer and "severity" in changed:  # what was urgent stays urgent
                changed["severity"] = max(ticket.severity, changed["severity"], key=SEVERITY_RANK.__getitem__)
            ticket = replace(ticket, **changed)
        noted(category=ticket.category, severity=ticket.severity, intent=ticket.intent)
    return replace(standing, ticket=ticket), judged, changed


async def _after_waiting(desk: Desk, engine: Principal, standing: Standing, trail: Trail) -> Step | None:
    journey, ticket, policy = standing.journey, standing.ticket, standing.policy
    if not standing.news:
        if ticket.severity == "critical":  # a person has raised it meanwhile
            return _hand_over(standing, HandOver(("critical_severity",), tried=_tried(standing)), trail)
        if journey.due_at is None or journey.due_at > desk.clock():
            return None
        with trail.agent("resolution", reading="silence"):
            return outcome.silent(desk.clock(), journey, ticket, policy=policy)
    reply = await _read_replies(desk, standing, trail)
    if reply == "wants_person":
        return _hand_over(standing, HandOver(("client_asked",), tried=_tried(standing)), trail)
    if reply == "helped" and journey.data.get("cited"):
        return outcome.confirmed(desk.clock(), journey, ticket, policy=policy).seen(standing.positions)
    if journey.attempts >= resolution.MAX_ATTEMPTS:
        return _hand_over(standing, HandOver(("answer_did_not_help",), tried=_tried(standing)), trail)
    return await _resolve(desk, engine, standing, trail, after_a_miss=reply == "did_not_help")


async def _after_resolution(desk: Desk, standing: Standing, trail: Trail) -> Step | None:
    ticket, journey = standing.ticket, standing.journey
    if not standing.news:
        if journey.due_at is None or journey.due_at > desk.clock() or ticket.status == "closed":
            return None
        with trail.agent("resolution", reading="silence"):
            return outcome.closed(journey, ticket)
    reply = await _read_replies(desk, standing, trail)
    if reply == "helped":
        if _is_proof(standing):
            step = outcome.confirmed(desk.clock(), journey, ticket, policy=standing.policy)
        else:
            step = outcome.heard(journey, ticket)
        return step.seen(standing.positions)
    came_back = "answer_did_not_help" if journey.data.get("cited") else "repeat_contact"
    reason = "client_asked" if reply == "wants_person" else came_back
    step = _hand_over(standing, HandOver((reason,), tried=_tried(standing)), trail)
    return replace(step, is_notice=any(session.is_ai_quiet for session in standing.sessions))


def _is_proof(standing: Standing) -> bool:
    """Whether thanks after the end prove something: somebody did help, and it is not proven yet."""
    stored = standing.ticket.resolution
    is_help = standing.journey.data.get("cited") or (stored.get("evidence") or {}).get("by")
    return bool(is_help) and stored.get("verdict") in {"answered", "unverified"}


async def _read_replies(desk: Desk, standing: Standing, trail: Trail) -> str:
    """What the client's new words come to: the last one counts, but who asks for a person anywhere gets one."""
    reply = "other"
    if not standing.news:
        return reply
    with trail.agent("resolution", reading="reply", messages=len(standing.news)) as noted:
        for message in standing.news:
            reply = await desk.ai.read_reply(message.content, standing.ticket.language)
            if reply == "wants_person":
                break
        noted(reply=reply)
    return reply


def _hand_over(standing: Standing, plan: HandOver, trail: Trail) -> Step:
    with trail.agent("escalation", reasons=list(plan.reasons)) as noted:
        step = outcome.handed_over(
            standing.journey,
            standing.ticket,
            triage.readable(standing.ticket),
            plan,
            policy=standing.policy,
            messages=standing.messages,
            earlier=standing.earlier,
        )
        noted(team=step.team)
    return step.seen(standing.positions)


def _question(standing: Standing) -> str:
    """Subject, opening and the client's last words, which is what an answer must fit."""
    ticket = standing.ticket
    parts = [ticket.subject, *(_said(standing) or [ticket.body or ticket.text])]
    return "\n".join(dict.fromkeys(part for part in parts if part)).strip()


def _said(standing: Standing) -> list[str]:
    said = [message.content for message in standing.messages if message.role == "user"]
    return said if len(said) <= WORDS_OF_QUESTION else [said[0], *said[1 - WORDS_OF_QUESTION :]]


def _tried(standing: Standing) -> tuple[str, ...]:
    return tuple(
        f"Answered from article {slug}; it did not settle the matter."
        for slug in standing.journey.data.get("cited", ())
    )


async def _stop_timer(desk: Desk, engine: Principal, standing: Standing) -> None:
    """A timer that has run out for nothing would wake the journey for ever."""
    due_at = standing.journey.due_at
    if due_at is not None and due_at <= desk.clock():
        async with desk.database.org_transaction(engine) as connection:
            await journeys.rest(connection, engine.org_id, standing.ticket.id, due_at)


async def _read(connection: Connection, engine: Principal, ticket_id: UUID, *, is_lenient: bool = False) -> Standing:
    ticket, journey, settings = await journeys.standing(connection, engine.org_id, ticket_id)
    return Standing(
        ticket=ticket,
        journey=journey,
        sessions=tuple(await sessions.of_ticket(connection, engine.org_id, ticket_id)),
        messages=tuple(await sessions.messages_of_ticket(connection, engine.org_id, ticket_id)),
        earlier=tuple(await tickets.earlier_of_requester(connection, ticket)),
        policy=_policy(settings, is_lenient=is_lenient),
    )


def _policy(settings: Mapping[str, Any], *, is_lenient: bool) -> Policy:
    try:
        return read_policy(settings)
    except Invalid:
        if not is_lenient:
            raise
        return Policy()
