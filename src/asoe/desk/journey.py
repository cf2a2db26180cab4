"""A ticket's life, in order. The conductor: it alone knows which stage follows which.

    triage ─► resolve ─┬─► await_client ─┬─► resolve (new words, or the answer did not help)
                       │                 └─► ended (the client confirmed, or stayed silent)
                       ├─► with_person (the engine is quiet until handed back)
                       └─► ended

One advance reads, thinks without holding a transaction, then writes under the ticket's lock if nothing has changed since
it read. So a job may come twice, late, or be lost: the next one finds the same rows and goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Literal
from uuid import UUID

from asoe.desk import outcome, resolution, triage
from asoe.desk.context import Desk, policy_of
from asoe.desk.outcome import Step
from asoe.desk.resolution import Case, HandOver
from asoe.desk.trail import Trail
from asoe.domain.organization import Principal
from asoe.domain.policy import Policy
from asoe.domain.session import Message, Session
from asoe.domain.ticket import Ticket
from asoe.store import facts, journeys, sessions, tickets
from asoe.store.journeys import Journey

MAX_FAILURES: Final = 3
Advance = Literal["ended", "waiting", "busy", "stale"]


@dataclass(frozen=True, slots=True)
class Standing:
    """All that one advance has read."""

    ticket: Ticket
    journey: Journey
    session: Session | None
    messages: tuple[Message, ...]
    earlier: tuple[Ticket, ...]
    policy: Policy

    @property
    def news(self) -> tuple[Message, ...]:
        """What the client has said since the engine last looked."""
        return tuple(m for m in self.messages if m.seq > self.journey.seen_seq and m.role == "user")

    @property
    def last_seq(self) -> int:
        return max((message.seq for message in self.messages), default=0)


async def advance(desk: Desk, org_id: UUID, ticket_id: UUID, *, initiator: str = "worker") -> Advance:
    """Bring one ticket as far as it goes now. `stale`: something changed meanwhile and another advance is enqueued."""
    engine = await desk.engine_of(org_id)
    standing = await _read(desk, engine, ticket_id)
    trail = Trail(desk.clock, initiator=initiator, entrypoint=f"journey.{standing.journey.stage}")
    step = await _think(desk, engine, standing, trail)
    if step is None:
        return "waiting" if standing.ticket.waiting_for else "ended"
    async with desk.database.org_transaction(engine) as connection:
        if not await journeys.lock(connection, org_id, ticket_id):
            await desk.queue.advance(connection, org_id, ticket_id, delay=timedelta(seconds=1))
            return "busy"
        ticket = await tickets.find_for_update(connection, org_id, ticket_id)
        journey = await journeys.find(connection, org_id, ticket_id)
        if ticket.version != standing.ticket.version or journey != standing.journey:
            await desk.queue.advance(connection, org_id, ticket_id)
            return "stale"
        await outcome.write(desk, connection, engine, ticket, standing.session, step)
        await trail.save(connection, engine.org_id, ticket_id, step.name)
    return "waiting" if step.waiting_for else "ended"


async def fail(desk: Desk, org_id: UUID, ticket_id: UUID, *, cause: str) -> bool:
    """Note that an advance failed; after three in a row a person gets the ticket. True when it was given away."""
    engine = await desk.engine_of(org_id)
    standing = await _read(desk, engine, ticket_id)
    failures = standing.journey.failures + 1
    async with desk.database.org_transaction(engine) as connection:
        if not await journeys.lock(connection, org_id, ticket_id):
            return False
        ticket = await tickets.find_for_update(connection, org_id, ticket_id)
        await facts.record(connection, engine, "journey.failed", ticket_id=ticket_id, cause=cause, failures=failures)
        if failures < MAX_FAILURES or ticket.status in {"escalated", "resolved", "closed"}:
            await journeys.save(connection, org_id, ticket_id, replace(standing.journey, failures=failures))
            return False
        plan = HandOver(("stage_failed",), tried=(f"The engine failed {failures} times: {cause}.",))
        await outcome.write(desk, connection, engine, ticket, standing.session, _hand_over(standing, plan))
    return True


async def _think(desk: Desk, engine: Principal, standing: Standing, trail: Trail) -> Step | None:
    """Decide the next step; None when there is nothing to do now."""
    ticket, journey = standing.ticket, standing.journey
    if ticket.is_spam or ticket.merged_into is not None:
        return None
    if ticket.status == "escalated" or (standing.session is not None and standing.session.is_ai_quiet):
        return None
    if ticket.status in {"resolved", "closed"}:
        return await _after_resolution(desk, standing, trail)
    if journey.stage == "await_client":
        return await _after_waiting(desk, engine, standing, trail)
    return await _resolve(desk, engine, standing, trail)


async def _resolve(desk: Desk, engine: Principal, standing: Standing, trail: Trail) -> Step:
    ticket = standing.ticket
    judged = triage.stored(ticket)
    changed: dict[str, object] = {}
    if judged is None:
        with trail.agent("triage", words=len(ticket.text.split())) as noted:
            judged = await triage.judge(desk, ticket)
            if judged is not None:
                changed = triage.changes(ticket, judged)
                ticket = replace(ticket, **changed)  # type: ignore[arg-type]  # a dict of the ticket's own fields
                noted(category=ticket.category, severity=ticket.severity, intent=ticket.intent)
    else:
        with trail.agent("triage", reused=True) as noted:
            noted(category=ticket.category, severity=ticket.severity, intent=ticket.intent)
    standing = replace(standing, ticket=ticket)
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
        step = outcome.answered(desk.clock(), standing.journey, ticket, plan.answer, policy=standing.policy)
    elif isinstance(plan, resolution.AskBack):
        step = outcome.asked(desk.clock(), standing.journey, ticket, policy=standing.policy)
    elif isinstance(plan, resolution.NothingWanted):
        step = outcome.noted(desk.clock(), standing.journey, ticket, policy=standing.policy)
    else:
        with trail.agent("escalation", reasons=list(plan.reasons)) as noted:
            step = _hand_over(standing, plan)
            noted(team=step.team)
    return replace(step, triage=changed).seen(standing.last_seq)


async def _after_waiting(desk: Desk, engine: Principal, standing: Standing, trail: Trail) -> Step | None:
    journey = standing.journey
    if not standing.news:
        if journey.due_at is None or journey.due_at > desk.clock():
            return None
        return outcome.silent(desk.clock(), journey, standing.ticket, policy=standing.policy)
    words = standing.news[-1].content
    with trail.agent("resolution", reading="reply") as noted:
        reply = await desk.ai.read_reply(words, standing.ticket.language)
        noted(reply=reply)
    if reply == "wants_person":
        return _hand_over(standing, HandOver(("client_asked",), tried=_tried(standing))).seen(standing.last_seq)
    if reply == "helped" and journey.data.get("cited"):
        step = outcome.confirmed(desk.clock(), journey, standing.ticket, policy=standing.policy)
        return step.seen(standing.last_seq)
    if journey.attempts >= resolution.MAX_ATTEMPTS:
        plan = HandOver(("answer_did_not_help",), tried=_tried(standing))
        return _hand_over(standing, plan).seen(standing.last_seq)
    return await _resolve(desk, engine, standing, trail)


async def _after_resolution(desk: Desk, standing: Standing, trail: Trail) -> Step | None:
    if not standing.news:
        due = standing.journey.due_at
        if due is None or due > desk.clock() or standing.ticket.status == "closed":
            return None
        return outcome.closed(standing.journey, standing.ticket)
    with trail.agent("resolution", reading="reply after resolution") as noted:
        reply = await desk.ai.read_reply(standing.news[-1].content, standing.ticket.language)
        noted(reply=reply)
    if reply == "helped" and standing.ticket.status == "resolved":
        return outcome.confirmed(desk.clock(), standing.journey, standing.ticket, policy=standing.policy).seen(
            standing.last_seq
        )
    plan = HandOver(("client_asked",) if reply == "wants_person" else ("answer_did_not_help",), tried=_tried(standing))
    return replace(_hand_over(standing, plan), reopens=True).seen(standing.last_seq)


def _hand_over(standing: Standing, plan: HandOver) -> Step:
    judged = triage.stored(standing.ticket)
    return outcome.handed_over(
        standing.journey,
        standing.ticket,
        judged,
        plan,
        policy=standing.policy,
        messages=standing.messages,
        earlier=standing.earlier,
    ).seen(standing.last_seq)


def _question(standing: Standing) -> str:
    """Subject and all the client has said, which is what an answer must fit."""
    said = [message.content for message in standing.messages if message.role == "user"]
    ticket = standing.ticket
    parts = [ticket.subject, *(said or [ticket.body or ticket.text])]
    return "\n".join(dict.fromkeys(part for part in parts if part)).strip()


def _tried(standing: Standing) -> tuple[str, ...]:
    return tuple(
        f"Answered from article {slug}; it did not settle the matter."
        for slug in standing.journey.data.get("cited", ())
    )


async def _read(desk: Desk, engine: Principal, ticket_id: UUID) -> Standing:
    async with desk.database.org_reading(engine) as connection:
        ticket = await tickets.find(connection, engine.org_id, ticket_id)
        found = await sessions.of_ticket(connection, engine.org_id, ticket_id)
        return Standing(
            ticket=ticket,
            journey=await journeys.find(connection, engine.org_id, ticket_id),
            session=found[-1] if found else None,
            messages=tuple(await sessions.messages_of_ticket(connection, engine.org_id, ticket_id)),
            earlier=tuple(await tickets.earlier_of_requester(connection, ticket)),
            policy=await policy_of(connection, engine.org_id),
        )
