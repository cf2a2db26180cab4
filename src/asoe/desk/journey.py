"""A ticket's life, in order. The conductor: it alone knows which stage follows which.

    triage ─► resolve ─┬─► await_client ─┬─► resolve (new words, or the answer did not help)
                       │                 └─► ended (the client confirmed, or stayed silent)
                       ├─► with_person (the engine is quiet until handed back)
                       └─► ended ─► with_person (the client came back)

One advance reads, thinks without holding a transaction, then writes under the ticket's lock if nothing has changed since
it read. So a job may come twice, late, or be lost: the next one finds the same rows and goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

from asoe.desk import outcome, resolution, triage
from asoe.desk.context import Desk
from asoe.desk.outcome import Step
from asoe.desk.resolution import Case, HandOver
from asoe.desk.trail import Trail
from asoe.domain.errors import Invalid, Missing
from asoe.domain.organization import Principal
from asoe.domain.policy import Policy, read_policy
from asoe.domain.session import Message, Session
from asoe.domain.ticket import SEVERITY_RANK, Ticket
from asoe.domain.triage import Triage
from asoe.store import facts, journeys, sessions, tickets
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
    if ticket.is_spam or ticket.merged_into is not None:
        return None
    if standing.is_ended:
        return await _after_resolution(desk, standing, trail)
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
    desk: Desk, engine: Principal, standing: Standing, trail: Trail, *, after_a_miss: bool = False
) -> Step:
    standing, judged, changed = await _judge(desk, engine, standing, trail)
    ticket = standing.ticket
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
        step = _hand_over(standing, plan, trail)
    return replace(step, triage=changed).seen(standing.positions)


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
