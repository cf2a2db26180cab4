"""Outcomes: what a step of the journey writes. One `Step` value says it all; `write` puts it into the transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from asoe.desk.context import Desk
from asoe.desk.escalation import build_dossier, team_of
from asoe.desk.resolution import HandOver
from asoe.desk.wording import say, team_name
from asoe.domain.answer import Answer
from asoe.domain.escalation import Dossier
from asoe.domain.organization import Principal
from asoe.domain.policy import Policy
from asoe.domain.resolution import Resolution, select_resolution_type
from asoe.domain.session import Message, Session
from asoe.domain.ticket import Ticket, check_move
from asoe.domain.triage import Triage
from asoe.store import escalations, facts, journeys, sessions, tickets
from asoe.store.db import Connection
from asoe.store.journeys import Journey


@dataclass(frozen=True, slots=True)
class Step:
    """A decided step. `path` lists the statuses it goes through; only legal moves are written."""

    name: str
    journey: Journey
    path: tuple[str, ...]
    fact: str
    waiting_for: str | None = None
    reply: str | None = None
    reply_data: dict[str, Any] = field(default_factory=dict)
    resolution: Resolution | None = None
    dossier: Dossier | None = None
    team: str | None = None
    triage: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    resolves_session: bool = False
    reopens: bool = False

    def seen(self, seq: int) -> Step:
        """The same step, having taken every message up to `seq` into account."""
        return replace(self, journey=replace(self.journey, seen_seq=seq))


def answered(now: datetime, journey: Journey, ticket: Ticket, answer: Answer, *, policy: Policy) -> Step:
    """A cited answer goes out and the client is waited for; silence later ends it as contained, never as verified."""
    slugs = tuple(dict.fromkeys(citation.slug for citation in answer.citations))
    lead = f"{say('next_attempt', ticket.language)}\n\n" if journey.attempts else ""
    kind = select_resolution_type(ticket.category, ticket.intent)
    return Step(
        name="answered",
        journey=replace(
            journey,
            stage="await_client",
            attempts=journey.attempts + 1,
            failures=0,
            due_at=now + timedelta(hours=policy.silence_hours),
            data={**journey.data, "cited": [*journey.data.get("cited", ()), *slugs]},
        ),
        path=_to_progress(ticket.status),
        fact="ticket.answered",
        waiting_for="client",
        reply=f"{lead}{answer.text}\n\n{say('did_it_help', ticket.language)}",
        reply_data={"citations": [citation.to_json() for citation in answer.citations], "steps": list(answer.steps)},
        resolution=Resolution(
            type=kind if kind == "feature_recommendation" else "guided_resolution",
            verdict="answered",
            summary=f"Answered from {', '.join(slugs)}.",
            decided_at=now,
            citations=answer.citations,
            evidence={"support": round(answer.confidence, 4)},
        ),
        data={"articles": list(slugs), "support": round(answer.confidence, 4)},
    )


def asked(now: datetime, journey: Journey, ticket: Ticket, *, policy: Policy) -> Step:
    """The client is asked once for what is missing."""
    return Step(
        name="asked",
        journey=replace(
            journey,
            stage="await_client",
            failures=0,
            due_at=now + timedelta(hours=policy.silence_hours),
            data={**journey.data, "has_asked": True},
        ),
        path=_to_progress(ticket.status),
        fact="ticket.asked",
        waiting_for="client",
        reply=say("ask_back", ticket.language),
    )


def noted(now: datetime, journey: Journey, ticket: Ticket, *, policy: Policy) -> Step:
    """Thanks and texts that want nothing are acknowledged and end, unverified."""
    return Step(
        name="noted",
        journey=replace(journey, stage="ended", failures=0, due_at=now + timedelta(days=policy.reopen_window_days)),
        path=(*_to_triaging(ticket.status), "resolved"),
        fact="ticket.resolved",
        reply=say("noted", ticket.language),
        resolution=Resolution(
            type="guided_resolution",
            verdict="answered",
            summary="Nothing was asked for; acknowledged.",
            decided_at=now,
        ),
        data={"verdict": "answered"},
        resolves_session=True,
    )


def confirmed(now: datetime, journey: Journey, ticket: Ticket, *, policy: Policy) -> Step:
    """The client's own word: the system of record of an answer."""
    return Step(
        name="confirmed",
        journey=replace(journey, stage="ended", failures=0, due_at=now + timedelta(days=policy.reopen_window_days)),
        path=("resolved",) if ticket.status != "resolved" else (),
        fact="ticket.resolved",
        reply=say("glad", ticket.language) if ticket.status != "resolved" else None,
        resolution=_with_verdict(ticket, "verified", "The client confirmed that it helped.", now),
        data={"verdict": "verified"},
        resolves_session=True,
    )


def silent(now: datetime, journey: Journey, ticket: Ticket, *, policy: Policy) -> Step:
    """Nobody came back: contained and unverified. A client who was only asked back gets no verdict of success either."""
    summary = (
        "The client did not come back after the answer."
        if journey.data.get("cited")
        else ("The client did not answer the question asked back.")
    )
    return Step(
        name="silent",
        journey=replace(journey, stage="ended", due_at=now + timedelta(days=policy.reopen_window_days)),
        path=("resolved",),
        fact="ticket.resolved",
        resolution=_with_verdict(ticket, "unverified", summary, now),
        data={"verdict": "unverified"},
        resolves_session=True,
    )


def closed(journey: Journey, ticket: Ticket) -> Step:
    """The reopen window has passed."""
    return Step(
        name="closed",
        journey=replace(journey, stage="ended", due_at=None),
        path=("closed",),
        fact="ticket.closed",
        data={"from": ticket.status},
    )


def handed_over(
    journey: Journey,
    ticket: Ticket,
    judged: Triage | None,
    plan: HandOver,
    *,
    policy: Policy,
    messages: Sequence[Message],
    earlier: Sequence[Ticket],
) -> Step:
    """A person gets it with the dossier, and the client is told at once."""
    team = team_of(ticket, policy, plan.reasons)
    dossier = build_dossier(
        ticket,
        judged,
        reasons=plan.reasons,
        team=team,
        messages=messages,
        earlier=earlier,
        tried=plan.tried,
        not_done=plan.not_done,
    )
    language = ticket.language if ticket.language in policy.languages else policy.default_language
    return Step(
        name="handed_over",
        journey=replace(journey, stage="with_person", due_at=None),
        path=(*_to_progress(ticket.status), "escalated")
        if ticket.status not in {"resolved", "closed"}
        else ("open", "triaging", "escalated"),
        fact="ticket.escalated",
        waiting_for="person",
        reply=say("handed_over", language, team=team_name(team, language), number=ticket.number),
        resolution=Resolution(
            type=select_resolution_type(ticket.category, ticket.intent),
            verdict="handed_over",
            summary=f"Handed to team {team}: {', '.join(plan.reasons)}.",
            decided_at=ticket.updated_at,
        ),
        dossier=dossier,
        team=team,
        data={"reasons": list(plan.reasons), "team": team},
    )


async def write(
    desk: Desk, connection: Connection, engine: Principal, ticket: Ticket, session: Session | None, step: Step
) -> Ticket:
    """Write the step: ticket, reply, escalation, facts and position, all in the caller's transaction."""
    now = desk.clock()
    columns = _columns(ticket, step, now)
    if step.triage:
        await facts.record(
            connection,
            engine,
            "ticket.triaged",
            ticket_id=ticket.id,
            category=step.triage["category"],
            severity=step.triage["severity"],
            intent=step.triage["intent"],
        )
    changed = await tickets.update(connection, ticket, columns)
    if session is not None and step.reply is not None:
        await sessions.add(
            connection,
            engine.org_id,
            session,
            role="assistant",
            content=step.reply,
            author=engine.user_id,
            data=step.reply_data,
        )
    if session is not None and step.resolves_session:
        await sessions.set_resolved(connection, session.id, resolved=True)
    if step.dossier is not None:
        await escalations.open_escalation(
            connection,
            engine.org_id,
            ticket.id,
            reasons=step.dossier.reasons,
            team=step.dossier.team,
            dossier=step.dossier.to_json(),
        )
    if step.reopens:
        await facts.record(connection, engine, "ticket.reopened", ticket_id=ticket.id)
    await facts.record(
        connection, engine, step.fact, ticket_id=ticket.id, session_id=session.id if session else None, **step.data
    )
    await journeys.save(connection, engine.org_id, ticket.id, step.journey)
    return changed


def _columns(ticket: Ticket, step: Step, now: datetime) -> dict[str, Any]:
    columns: dict[str, Any] = {**step.triage, "waiting_for": step.waiting_for}
    at = ticket.status
    for status in step.path:
        check_move(at, status)
        at = status
    if at != ticket.status:
        columns["status"] = at
    if step.resolution is not None:
        columns["resolution"] = replace(step.resolution, decided_at=now).to_json()
    if step.team is not None:
        columns["team"] = step.team
    if step.reply is not None and ticket.first_response_at is None:
        columns["first_response_at"] = now
    if at == "resolved" and ticket.status != "resolved":
        columns["resolved_at"] = now
    elif at in {"escalated", "in_progress"} and ticket.resolved_at is not None:
        columns["resolved_at"] = None
        columns["closed_at"] = None
    if at == "closed":
        columns["closed_at"] = now
    if step.reopens:
        columns["reopened"] = ticket.reopened + 1
    return columns


def _to_triaging(status: str) -> tuple[str, ...]:
    return () if status == "triaging" else ("triaging",)


def _to_progress(status: str) -> tuple[str, ...]:
    """From wherever an engine's ticket stands to in_progress, over legal moves only."""
    return {"open": ("triaging", "in_progress"), "triaging": ("in_progress",), "in_progress": ()}.get(status, ())


def _with_verdict(ticket: Ticket, verdict: str, summary: str, now: datetime) -> Resolution:
    stored = ticket.resolution
    return Resolution(
        type=str(stored.get("type") or select_resolution_type(ticket.category, ticket.intent)),
        verdict=verdict,
        summary=summary,
        decided_at=now,
        evidence={"citations": stored["citations"]} if "citations" in stored else None,
    )
