"""The stage `run`: a runbook treats the ticket. What it waits for is said once, what came of it goes where it belongs.

Carrying a run out is `runbook/execution.py`'s; which runbook fits is `runbook/treatment.py`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Final, Literal
from uuid import UUID

from asoe.desk import outcome, resolution
from asoe.desk.context import Desk
from asoe.desk.escalation import SEE_TO_THE_REST
from asoe.desk.incident import signs as incident_signs
from asoe.desk.journey import affected, cause
from asoe.desk.journey.resolving import NOTHING_FITS, find_treatment, hand_over, judge, read_replies, resolve
from asoe.desk.journey.standing import Standing, is_over, looked_in, question_of, read
from asoe.desk.outcome import Step
from asoe.desk.resolution import HandOver
from asoe.desk.runbook import execution, shelf, treatment
from asoe.desk.runbook.asking import in_vain
from asoe.desk.runbook.treatment import Report
from asoe.desk.trail import Trail
from asoe.domain.errors import Conflict, Unavailable
from asoe.domain.organization import Principal
from asoe.domain.runbook import RECOVERED, Consent, SlotReading
from asoe.domain.ticket import Ticket
from asoe.store import autonomy, delegations, journeys, runs, sessions, slot_readings, tickets
from asoe.store.db import Connection

MOST_REPEATS: Final = 2
"""How often the same question is asked again before a person gets the ticket."""


async def begin_run(
    desk: Desk,
    principal: Principal,
    ticket_id: UUID,
    name: str,
    *,
    mode: Literal["live", "shadow", "dry_run"] = "live",
    at_most_per_day: int | None = None,
) -> UUID:
    """Start a published runbook for a ticket by a person's hand; raises `Conflict(run_under_way | ticket_ended)`, `Missing`.

    at_most_per_day: live runs that this account may start in 24 hours; one more raises `Unavailable(agent_run_limit)`.
    """
    engine = await desk.engine_of(principal.org_id)
    async with desk.database.org_reading(principal) as connection:
        standing = await read(connection, principal, ticket_id)
        runbook_id, version = await shelf.find_published(connection, principal.org_id, name)
        runbook = await shelf.load(connection, principal.org_id, runbook_id, version)
        client = await treatment.client_of(connection, principal.org_id, ticket_id)
        library = await shelf.library(connection, principal.org_id)
    slots = await treatment.read_slots(
        desk,
        runbook,
        standing.ticket,
        messages=standing.messages,
        client=client,
        policy=standing.policy,
        beside=library.values(),
    )
    async with desk.database.org_transaction(principal) as connection:
        ticket = await tickets.find_for_update(connection, principal.org_id, ticket_id)  # an advance waits, or is over
        now = await journeys.find(connection, principal.org_id, ticket_id)
        if mode == "live" and is_over(ticket):
            raise Conflict(f"Ticket {ticket.number} has ended: reopen it first.", code="ticket_ended")
        if mode == "live" and now.data.get("run"):
            raise Conflict(
                f"A run goes on for ticket {ticket.number}, or has just ended and is not told yet: let it end, or cancel it.",
                code="run_under_way",
            )
        if at_most_per_day is not None:
            started = await delegations.live_runs_since(connection, principal, desk.clock() - timedelta(days=1))
            if started >= at_most_per_day:
                raise Unavailable(
                    f"You may start {at_most_per_day} runs in 24 hours here (outside_agents.live_runs_per_day).",
                    code="agent_run_limit",
                    retry_after=3600,
                    throttled=True,
                )
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
            await journeys.save(
                connection, principal.org_id, ticket_id, replace(now, data={**now.data, "run": str(run_id)})
            )
        return run_id


async def begin(desk: Desk, connection: Connection, engine: Principal, ticket: Ticket, step: Step) -> Step:
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


async def suggest(desk: Desk, engine: Principal, run_id: UUID) -> None:
    """Tell staff in a note what a runbook at `suggest` would have done; once, however often its job comes."""
    async with desk.database.org_reading(engine) as connection:
        report = await treatment.report(connection, engine.org_id, run_id)
        level = (await autonomy.standing(connection, engine.org_id, report.run.runbook_id)).level
    if level != "suggest" or report.run.ticket_id is None or not report.not_done:
        return
    lines = "\n".join(f"- {line}" for line in report.not_done)
    async with desk.database.org_transaction(engine) as connection:
        await tickets.find_for_update(connection, engine.org_id, report.run.ticket_id)
        found = await sessions.of_ticket(connection, engine.org_id, report.run.ticket_id)
        said = await sessions.messages_of_ticket(connection, engine.org_id, report.run.ticket_id)
        if not found or any(message.data.get("suggested_by") == str(run_id) for message in said):
            return
        await sessions.add(
            connection,
            engine.org_id,
            found[-1],
            role="system",
            content=f"Runbook {report.runbook.name} suggests:\n{lines}",
            author=engine.user_id,
            is_internal=True,
            data={"suggested_by": str(run_id)},
        )


async def carry_run(desk: Desk, engine: Principal, standing: Standing, run_id: UUID, trail: Trail) -> Step | None:
    """Bring the ticket's run as far as it goes now, and tell what came of it."""
    objection = ""
    if standing.news:
        if await read_replies(desk, standing, trail) == "wants_person":
            objection = "client_asked"
        elif await _hear(desk, engine, standing, run_id, trail):
            objection = "needs_consent"
    report = await _bring_on(desk, engine, standing, run_id, trail=trail, is_stopped=bool(objection))
    if report is None:
        return None
    if _is_asked_in_vain(standing, report):
        found = await stop_run(desk, engine, standing, run_id, trail, unanswered=report.slot)
        if found is None:
            return None  # whoever has the run wakes the ticket when it has ended
        report, objection = found, found.run.reason or "no_answer"
    if report.run.ended_at is None:
        return _while_it_runs(standing, report)
    standing = without_run(standing)
    if affected.is_checked(standing):
        return (await _after_check(desk, engine, standing, report, trail, objection=objection)).seen(standing.positions)
    signs = () if objection else await incident_signs.read(desk, engine, report)
    if not standing.is_persons:
        joining = await cause.after_run(desk, engine, standing, report, signs, trail=trail)
        if joining is not None:
            return joining
    step = await _after_run(desk, engine, standing, report, trail, objection=objection)
    return replace(step, signs=signs, signed_by=run_id if signs else None).seen(standing.positions)


async def stop_run(
    desk: Desk, engine: Principal, standing: Standing, run_id: UUID, trail: Trail, *, unanswered: str = ""
) -> Report | None:
    """End the run of a ticket that is over, or of one whose client cannot answer the question about this slot.

    None while another pass still has it.
    """
    report = await _bring_on(desk, engine, standing, run_id, trail=trail, is_stopped=True, unanswered=unanswered)
    return None if report is None or report.run.ended_at is None else report


async def _bring_on(
    desk: Desk,
    engine: Principal,
    standing: Standing,
    run_id: UUID,
    *,
    trail: Trail,
    is_stopped: bool = False,
    unanswered: str = "",
) -> Report | None:
    """What the run came to: it is brought on as far as it goes now, or ended; of a pass of the past, what it had come to.

    None: nobody knows, since it was ended then, and would have gone on.
    """
    then = standing.then
    if then is not None and not is_stopped and then.run is None and then.stopped is not None:
        return None
    with trail.agent("ops-fixer", run_id=str(run_id)) as noted:
        report = None if then is None else (then.stopped if is_stopped else then.run)
        if report is None:
            if unanswered:  # the run itself knows what that means for it
                async with desk.database.org_transaction(engine) as connection:
                    await treatment.keep_slots(connection, engine.org_id, run_id, {unanswered: in_vain(unanswered)})
            elif is_stopped:
                with suppress(Conflict):  # it has ended already
                    await execution.cancel(desk, engine, run_id)
            await execution.advance_run(desk, engine, run_id)
            async with desk.database.org_reading(engine) as connection:
                report = await treatment.report(connection, engine.org_id, run_id)
        run = report.run
        noted(status=run.status, waiting_for=run.waiting_for, reason=run.reason)
        trail.read["stopped" if is_stopped else "run"] = {
            "id": str(run_id),
            "status": run.status,
            "waiting_for": run.waiting_for,
            "reason": run.reason,
            "at": report.pending,
        }
    return report


def without_run(standing: Standing) -> Standing:
    """The same, with no run under way."""
    data = {name: value for name, value in standing.journey.data.items() if name not in {"run", "held", "repeated"}}
    return replace(standing, journey=replace(standing.journey, data=data))


def in_lines(report: Report) -> str:
    """What was done and what was not, as a note."""
    return "\n".join((*report.tried, *report.not_done))


async def _hear(desk: Desk, engine: Principal, standing: Standing, run_id: UUID, trail: Trail) -> bool:
    """Read the slots again, with the client's new words; whether a consent that the run stands on was taken back."""
    async with desk.database.org_reading(engine) as connection:
        run = await runs.find(connection, engine.org_id, run_id)
        runbook = await treatment.runbook_of(connection, engine.org_id, run_id)
        client = await treatment.client_of(connection, engine.org_id, standing.ticket.id)
        library = await shelf.library(connection, engine.org_id)
    read = partial(
        treatment.read_slots,
        desk,
        runbook,
        standing.ticket,
        client=client,
        policy=standing.policy,
        beside=library.values(),
    )
    if standing.then is None:
        before = {name: slot_readings.from_json(stored) for name, stored in run.slots.items()}
    else:  # the run knows more by now
        before = await read(messages=[each for each in standing.messages if each not in standing.news])
    slots = await read(messages=standing.messages, engine=engine, trail=trail, known=before)
    asked = str(standing.journey.data.get("held", "")).rpartition("/ask/")[2].partition("~")[0]
    if any(_takes_back(before.get(name), reading, is_asked=name == asked) for name, reading in slots.items()):
        return True  # not kept: whoever reads it again finds the same
    if standing.then is not None:
        return False
    async with desk.database.org_transaction(engine) as connection:
        await treatment.keep_slots(connection, engine.org_id, run_id, slots)
    return False


def _takes_back(before: SlotReading | None, now: SlotReading, *, is_asked: bool = False) -> bool:
    """Whether a consent was given, and is refused, in doubt or for less now; who names the amount that was asked for takes nothing back."""
    given, stands = _given(before), _given(now)
    if given is None or (is_asked and given.amount is None and stands is not None):
        return False
    return stands is None or (stands.amount is not None and (given.amount is None or stands.amount < given.amount))


def _given(reading: SlotReading | None) -> Consent | None:
    if reading is None or reading.status != "read" or not isinstance(reading.value, Consent):
        return None
    return reading.value if reading.value.status == "given" else None


def _is_asked_in_vain(standing: Standing, report: Report) -> bool:
    """Whether the client has answered the same question once more than it is repeated, and still nobody can tell what."""
    run, data = report.run, standing.journey.data
    is_answered = bool(standing.news) and data.get("held") == _held_at(report)
    return is_answered and run.waiting_for == "client" and data.get("repeated", 0) >= MOST_REPEATS


def _held_at(report: Report) -> str:
    return f"{report.run.waiting_for}:{report.pending}"


def _while_it_runs(standing: Standing, report: Report) -> Step | None:
    """What the run waits for, said to the client once; a question again when the answer could not be read."""
    run, journey, key = report.run, standing.journey, _held_at(report)
    is_said = journey.data.get("held") == key
    if run.waiting_for is None or (is_said and not standing.news):
        return None
    language = resolution.answer_language(standing.ticket, standing.policy)
    is_quiet = any(session.is_ai_quiet for session in standing.sessions)
    is_again = is_said and run.waiting_for == "client" and not is_quiet
    reply = None if is_said and not is_again else treatment.say_waiting(report, language, is_again=is_again)
    repeated = journey.data.get("repeated", 0) + 1 if is_again else 0
    asks = {"slot": report.slot, "answers": list(report.answers)} if run.waiting_for == "client" else None
    step = outcome.held(journey, standing.ticket, run, reply=reply, key=key, repeated=repeated, asks=asks)
    if is_quiet:  # whoever has the ticket speaks to the client
        note = f"Runbook {report.runbook.name} waits ({run.waiting_for}). It would say: {reply}" if reply else None
        step = replace(step, path=(), fact=None, reply=None, note=note, waiting_for=standing.ticket.waiting_for)
    return step.seen(standing.positions)


async def _after_run(
    desk: Desk, engine: Principal, standing: Standing, report: Report, trail: Trail, *, objection: str
) -> Step:
    """`objection`: why the client's own words end it here, with a person, whatever the run came to."""
    run, ticket = report.run, standing.ticket
    is_quiet = any(session.is_ai_quiet for session in standing.sessions)
    if run.status == "verified" and not is_quiet and not objection:
        standing = _with_mended(standing, report)
        return await _next_treatment(desk, engine, standing, trail) or await _fixed(desk, engine, standing, trail)
    if is_quiet:
        return _dropped(standing, report)
    if run.reason == "already_met" and not objection:
        standing = _with_looked(standing, report)
        step = await _next_treatment(desk, engine, standing, trail)
        if step is not None:
            return step
        if standing.journey.data.get("mended"):
            return await _fixed(desk, engine, standing, trail)
        step = await _next_treatment(desk, engine, standing, trail, is_last=True)
        if step is not None:
            return step
    if ticket.status == "escalated":
        return _reported(standing, report, trail)
    if run.reason == "already_met" and not objection:
        step = await resolve(desk, engine, standing, trail)
        # what was looked into is not vague: an answer or an end stands, a question back does not
        if step.resolution and not step.dossier:
            return step
        plan, own = _given_up(standing, report), step.dossier.reasons if step.dossier else ()
        reasons = (*(each for each in own if each not in NOTHING_FITS), *plan.reasons)
        unseen = await _not_looked(desk, engine, standing)
        return hand_over(standing, replace(plan, reasons=reasons, not_done=(*plan.not_done, *unseen)), trail)
    if run.reason == "not_found" and not objection and not report.effects and not standing.journey.data.get("mended"):
        return await resolve(desk, engine, standing, trail, looked=_given_up(standing, report))
    reasons = (objection or run.reason or "stage_failed",)
    return hand_over(standing, replace(_given_up(standing, report), reasons=reasons), trail)


async def _after_check(
    desk: Desk, engine: Principal, standing: Standing, report: Report, trail: Trail, *, objection: str
) -> Step:
    """What the ticket's own check found after the cause of its incident was mended."""
    run = report.run
    is_quiet = any(session.is_ai_quiet for session in standing.sessions)
    if objection or is_quiet or not (run.status == "verified" or run.reason == "already_met"):
        return affected.still_broken(standing, report, trail, reasons=(objection or run.reason or "stage_failed",))
    if run.status == "verified" and run.reason != RECOVERED:
        standing = _with_mended(standing, report)
    standing, settled = affected.in_order(standing, report)
    step = await _fixed(desk, engine, standing, trail, is_checked=True)
    return replace(step, settled=settled)


def _dropped(standing: Standing, report: Report) -> Step:
    note = "\n".join((*_mended_lines(standing), in_lines(report)))
    return outcome.dropped(standing.journey, standing.ticket, note)


def _reported(standing: Standing, report: Report, trail: Trail) -> Step:
    """Whoever has a critical ticket learns what its runs came to, and why they ended: it is theirs to go on."""
    found = _dropped(standing, report)
    if standing.ticket.severity != "critical" or standing.is_taken or not report.run.reason:
        return found
    plan = replace(_given_up(standing, report), reasons=("critical_severity", report.run.reason))
    again = hand_over(standing, plan, trail)
    return replace(found, dossier=again.dossier, team=again.team)


async def _next_treatment(
    desk: Desk,
    engine: Principal,
    standing: Standing,
    trail: Trail,
    *,
    is_last: bool = False,
    besides: Sequence[str] = (),
) -> Step | None:
    """A ticket may complain of several things: the next runbook that fits it and may act, unless a person has it by now.

    `is_last`: something is complained of that no runbook explains so far, so that the less likely ones are looked at, too;
    with `besides` (what mended something) only those that may explain it as well.
    """
    if standing.is_taken:
        return None
    standing, judged, changed = await judge(desk, engine, standing, trail)
    found = await find_treatment(desk, engine, standing, judged, trail, is_last=is_last, besides=besides)
    if found is None or not found.is_live:
        return None
    return replace(outcome.treated(standing.journey, standing.ticket), triage=changed, treatment=found)


def _with_mended(standing: Standing, report: Report) -> Standing:
    """Keep what a run has mended: the client is told of all of it at the end, a person finds it in the dossier."""
    mended = outcome.mended(report, resolution.answer_language(standing.ticket, standing.policy))
    data = standing.journey.data
    return replace(
        standing, journey=replace(standing.journey, data={**data, "mended": [*data.get("mended", ()), mended]})
    )


def _with_looked(standing: Standing, report: Report) -> Standing:
    """Keep that a runbook looked and found nothing to mend: so many may, and a person reads which did."""
    looked = {"runbook": str(report.run.runbook_id), "title": report.runbook.title or report.runbook.name}
    data = {**standing.journey.data, "looked": [*looked_in(standing), looked]}
    return replace(standing, journey=replace(standing.journey, data=data))


async def _fixed(desk: Desk, engine: Principal, standing: Standing, trail: Trail, *, is_checked: bool = False) -> Step:
    """All is fixed that was complained of, and nothing else is broken that it may have meant, too.

    With something left over it goes to a person, and the client hears of both. `is_checked`: the ticket's own check after an
    incident found all in order, so that nothing further is looked for.
    """
    data = dict(standing.journey.data)
    did = [str(one.get("runbook")) for one in data["mended"]]
    looked = [one["runbook"] for one in looked_in(standing)]
    left = await treatment.left_over(desk, engine, question=question_of(standing), mended=did, in_order=looked)
    if left or not is_checked:
        step = await _next_treatment(desk, engine, standing, trail, is_last=True, besides=() if left else did)
        if step is not None:
            return step
    if left:
        lines = tuple(f"Nothing was done about: “{sentence}”" for sentence in left)
        unseen = await _not_looked(desk, engine, standing)
        plan = HandOver(
            ("needs_action",), tried=tuple(_done_lines(standing)), not_done=(*lines, *unseen), next_step=SEE_TO_THE_REST
        )
        return hand_over(standing, plan, trail)
    mended = data.pop("mended")
    return outcome.fixed(
        desk.clock(), replace(standing.journey, data=data), standing.ticket, mended, policy=standing.policy
    )


def _given_up(standing: Standing, report: Report) -> HandOver:
    run = report.run
    is_told = run.reason == "already_met" and any(one["runbook"] == str(run.runbook_id) for one in looked_in(standing))
    tried = (*_done_lines(standing), *(() if is_told else report.tried))
    return HandOver((report.run.reason or "stage_failed",), tried=tried, not_done=report.not_done)


def _done_lines(standing: Standing) -> list[str]:
    """What was mended on the way, and which runbooks found nothing to mend."""
    titles = "; ".join(f"“{one['title']}”" for one in looked_in(standing))
    return [*_mended_lines(standing), *([f"Looked, and found nothing to mend: {titles}."] if titles else [])]


async def _not_looked(desk: Desk, engine: Principal, standing: Standing) -> list[str]:
    line = await treatment.not_looked(
        desk,
        engine,
        question=question_of(standing),
        tried=standing.journey.data.get("treated", ()),
        in_order=[one["runbook"] for one in looked_in(standing)],
        looks=standing.policy.looks,
    )
    return [line] if line else []


def _mended_lines(standing: Standing) -> list[str]:
    return [line for mended in standing.journey.data.get("mended", ()) for line in mended["tried"]]
