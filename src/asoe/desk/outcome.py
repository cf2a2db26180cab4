"""Outcomes: what a step of the journey writes. One `Step` value says it all; `write` puts it into the transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from asoe.desk.context import Desk
from asoe.desk.escalation import build_dossier, team_of
from asoe.desk.moves import path_to, walk
from asoe.desk.resolution import HandOver, answer_language
from asoe.desk.runbook.treatment import Report, Treatment, say_fixed
from asoe.desk.wording import say, spoken, team_name
from asoe.domain.answer import Answer
from asoe.domain.certificate import Given
from asoe.domain.escalation import Dossier
from asoe.domain.incident import Sign
from asoe.domain.organization import Principal
from asoe.domain.policy import Policy
from asoe.domain.resolution import Citation, Resolution, select_resolution_type
from asoe.domain.session import Message, Session
from asoe.domain.ticket import Ticket
from asoe.domain.triage import Triage
from asoe.domain.wish import NewWish
from asoe.store import answers, corrections, escalations, facts, journeys, sessions
from asoe.store.db import Connection
from asoe.store.facts import NewFact
from asoe.store.journeys import Journey
from asoe.store.runs import Run
from asoe.store.wishes import Spoken


@dataclass(frozen=True, slots=True)
class Step:
    """A decided step. `path` lists the statuses it goes through; only legal moves are written. `fact` None: nothing new.

    `treatment`: a runbook to start. `wish`: one to record. `complaint`: what the client says the engine did wrongly is about.
    `doubted`: runs that were verified, and whose client came back all the same. `signs`: what the run `signed_by` found that
    others may share. `incident`: one to join, `settled`: what came of the part in one. `given`: the answer sent or
    suggested, as evidence; `was_right`: what the client says of the one before.
    """

    name: str
    journey: Journey
    path: tuple[str, ...] = ()
    fact: str | None = None
    waiting_for: str | None = None
    reply: str | None = None
    reply_data: dict[str, Any] = field(default_factory=dict)
    resolution: Resolution | None = None
    dossier: Dossier | None = None
    team: str | None = None
    triage: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    resolves: bool = False
    reopens: bool = False
    is_notice: bool = False
    treatment: Treatment | None = None
    wish: NewWish | None = None
    complaint: Mapping[str, Any] | None = None
    note: str | None = None
    doubted: tuple[UUID, ...] = ()
    signs: tuple[Sign, ...] = ()
    signed_by: UUID | None = None
    incident: Part | None = None
    settled: Settled | None = None
    given: Given | None = None
    was_right: bool | None = None

    def seen(self, positions: Mapping[str, int]) -> Step:
        """The same step, having taken every message up to these (the last seq by session) into account."""
        data = {**self.journey.data, "seen": dict(positions)}
        return replace(self, journey=replace(self.journey, seen_seq=sum(positions.values()), data=data))


@dataclass(frozen=True, slots=True)
class Part:
    """That a ticket joins an incident: by which key, and the run that showed it (its runbook checks the ticket at the end)."""

    incident_id: UUID
    because: str
    report: Report | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """How a ticket's part in an incident ended."""

    incident_id: UUID
    outcome: str
    reason: str = ""
    run_id: UUID | None = None


def answered(
    now: datetime,
    journey: Journey,
    ticket: Ticket,
    answer: Answer,
    *,
    policy: Policy,
    given: Given,
    after_a_miss: bool = False,
) -> Step:
    """A cited answer goes out and the client is waited for; silence later ends it as contained, never as verified."""
    slugs = tuple(dict.fromkeys(citation.slug for citation in answer.citations))
    language = answer_language(ticket, policy)
    lead = f"{say('next_attempt', language)}\n\n" if after_a_miss else ""
    kind = select_resolution_type(ticket.category, ticket.intent)
    return Step(
        name="answered",
        journey=replace(
            journey,
            stage="await_client",
            attempts=journey.attempts + 1,
            failures=0,
            due_at=now + timedelta(hours=policy.silence_hours),
            data={
                **journey.data,
                "cited": [*journey.data.get("cited", ()), *slugs],
                "titles": {**journey.data.get("titles", {}), **{each.slug: each.title for each in answer.citations}},
            },
        ),
        path=path_to(ticket.status, "in_progress"),
        fact="ticket.answered",
        waiting_for="client",
        reply=f"{lead}{answer.text}\n\n{say('did_it_help', language)}",
        reply_data={"citations": [citation.to_json() for citation in answer.citations], "steps": list(answer.steps)},
        resolution=Resolution(
            type=kind if kind == "feature_recommendation" else "guided_resolution",
            verdict="answered",
            summary=f"Answered from {', '.join(slugs)}.",
            decided_at=now,
            citations=answer.citations,
            evidence={"support": round(answer.confidence, 4), "chance": round(given.chance, 4), "trust": given.trust},
        ),
        data={"articles": list(slugs), "support": round(answer.confidence, 4), "trust": given.trust},
        given=given,
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
        path=path_to(ticket.status, "in_progress"),
        fact="ticket.asked",
        waiting_for="client",
        reply=say("ask_back", answer_language(ticket, policy)),
    )


def noted(now: datetime, journey: Journey, ticket: Ticket, *, policy: Policy) -> Step:
    """Thanks and texts that want nothing are acknowledged and end, unverified."""
    return Step(
        name="noted",
        journey=replace(journey, stage="ended", failures=0, due_at=now + timedelta(days=policy.reopen_window_days)),
        path=path_to(ticket.status, "resolved"),
        fact="ticket.resolved",
        reply=say("noted", answer_language(ticket, policy)),
        resolution=Resolution(
            type="guided_resolution",
            verdict="answered",
            summary="Nothing was asked for; acknowledged.",
            decided_at=now,
        ),
        data={"verdict": "answered"},
        resolves=True,
    )


def wished(journey: Journey, ticket: Ticket, wish: NewWish) -> Step:
    """A wish is written down; the client hears of it once it was read again."""
    return Step(
        name="wished",
        journey=replace(journey, stage="resolve", failures=0, due_at=None),
        path=path_to(ticket.status, "in_progress"),
        wish=wish,
    )


def wish_recorded(now: datetime, journey: Journey, ticket: Ticket, found: Spoken, *, policy: Policy) -> Step:
    """The wish stands where it was written: that it was recorded is verified, and nothing more is said of it."""
    others = found.clients - 1
    language = answer_language(ticket, policy)
    return Step(
        name="wish_recorded",
        journey=replace(
            journey,
            stage="ended",
            failures=0,
            due_at=now + timedelta(days=policy.reopen_window_days),
            data={**journey.data, "wish": "told"},
        ),
        path=path_to(ticket.status, "resolved"),
        fact="ticket.resolved",
        reply=say("wish_supported" if others else "wish_recorded", language, number=found.number, others=others),
        resolution=Resolution(
            type="feature_recommendation",
            verdict="verified",
            summary=f"Recorded as wish {found.number}, with {others} others; read again after it was written.",
            decided_at=now,
            evidence={
                "wish": found.number,
                "wish_id": str(found.id),
                "clients": found.clients,
                "read_at": now.isoformat(),
            },
        ),
        data={"verdict": "verified", "wish_id": str(found.id)},
        resolves=True,
    )


def confirmed(now: datetime, journey: Journey, ticket: Ticket, *, policy: Policy) -> Step:
    """The client's own word: the system of record of an answer. Said after the end, it only betters the verdict."""
    is_ended = ticket.status in {"resolved", "closed"}
    due_at = journey.due_at if is_ended else now + timedelta(days=policy.reopen_window_days)
    return Step(
        name="confirmed",
        journey=replace(journey, stage="ended", failures=0, due_at=due_at),
        path=() if is_ended else path_to(ticket.status, "resolved"),
        fact="ticket.resolved",
        reply=None if is_ended else say("glad", answer_language(ticket, policy)),
        resolution=with_verdict(ticket, "verified", "The client confirmed that it helped.", now),
        data={"verdict": "verified"},
        resolves=True,
    )


def silent(now: datetime, journey: Journey, ticket: Ticket, *, policy: Policy) -> Step:
    """Nobody came back: contained and unverified. A client who was only asked back gets no verdict of success either."""
    summary = (
        "The client did not come back after the answer."
        if journey.data.get("cited")
        else "The client did not answer the question asked back."
    )
    return Step(
        name="silent",
        journey=replace(journey, stage="ended", failures=0, due_at=now + timedelta(days=policy.reopen_window_days)),
        path=path_to(ticket.status, "resolved"),
        fact="ticket.resolved",
        resolution=with_verdict(ticket, "unverified", summary, now),
        data={"verdict": "unverified"},
        resolves=True,
    )


def heard(journey: Journey, ticket: Ticket) -> Step:
    """Words that change nothing, such as thanks after the end."""
    return Step(name="heard", journey=replace(journey, failures=0), waiting_for=ticket.waiting_for)


def passed_on(journey: Journey) -> Step:
    """The client answered the person who has the ticket: the engine says nothing, the ticket waits for that person."""
    return Step(name="passed_on", journey=replace(journey, failures=0, due_at=None), waiting_for="person")


def closed(journey: Journey, ticket: Ticket) -> Step:
    """The reopen window has passed."""
    return Step(
        name="closed",
        journey=replace(journey, stage="ended", failures=0, due_at=None),
        path=path_to(ticket.status, "closed"),
        fact="ticket.closed",
        data={"before": ticket.status},
    )


def treated(journey: Journey, ticket: Ticket) -> Step:
    """A runbook begins; what it does is told once it is done. A critical ticket stays with its person meanwhile."""
    if ticket.status == "escalated":
        return Step(name="treated", journey=replace(journey, failures=0), waiting_for=ticket.waiting_for)
    return Step(
        name="treated",
        journey=replace(journey, stage="run", failures=0, due_at=None),
        path=path_to(ticket.status, "in_progress"),
        waiting_for=None,
    )


def held(
    journey: Journey,
    ticket: Ticket,
    run: Run,
    *,
    reply: str | None,
    key: str,
    repeated: int = 0,
    asks: Mapping[str, Any] | None = None,
) -> Step:
    """A run waits for the client, an approval or a timer; `key` names what was said about it, and `repeated` how often again.

    `asks`: what the reply asks for (`slot`) and the words that would do (`answers`), for whoever shows it.
    """
    return Step(
        name=f"waits_for_{run.waiting_for}",
        journey=replace(
            journey, failures=0, due_at=run.due_at, data={**journey.data, "held": key, "repeated": repeated}
        ),
        path=() if ticket.status == "escalated" else path_to(ticket.status, "in_progress"),
        fact="ticket.asked" if run.waiting_for == "client" else None,
        waiting_for="person" if ticket.status == "escalated" else run.waiting_for,
        reply=reply,
        reply_data={"asks": dict(asks)} if reply and asks else {},
    )


def fixed(
    now: datetime, journey: Journey, ticket: Ticket, mended: Sequence[Mapping[str, Any]], *, policy: Policy
) -> Step:
    """All that was complained of was verified in the system of record: that, and only that, resolves by itself.

    `mended`: the ticket's verified runs in order, each with `run`, `kind`, `reply`, `effects` and `evidence`.
    """
    last = mended[-1]
    effects = [effect for one in mended for effect in one["effects"]]
    evidence = last["evidence"] if len(mended) == 1 else {"runs": {one["run"]: one["evidence"] for one in mended}}
    return Step(
        name="fixed",
        journey=replace(journey, stage="ended", failures=0, due_at=now + timedelta(days=policy.reopen_window_days)),
        path=path_to(ticket.status, "resolved"),
        fact="ticket.resolved",
        reply="\n\n".join(dict.fromkeys(one["reply"] for one in mended)),
        resolution=Resolution(
            type=last["kind"],
            verdict="verified",
            summary=f"Fixed by a runbook: {', '.join(effects)}."
            if effects
            else "In order when it was checked again; nothing was changed.",
            decided_at=now,
            run_id=last["run"],
            evidence=evidence or None,
        ),
        data={"verdict": "verified", "run_id": last["run"]},
        resolves=True,
    )


def mended(report: Report, language: str, *, incident: int | None = None) -> dict[str, Any]:
    """A run that ended well, as `fixed` tells of it; `incident`: the one whose mend it checked, having nothing to mend itself."""
    is_over = incident is not None
    return {
        "run": str(report.run.id),
        "runbook": str(report.run.runbook_id),
        "reply": say("incident_over", language) if is_over else say_fixed(report, language),
        "effects": [] if is_over else list(report.effects),
        "evidence": {**report.run.evidence, "incident": incident} if is_over else report.run.evidence,
        "tried": list(report.tried),
        "kind": report.runbook.resolution_type,
    }


def joined(journey: Journey, ticket: Ticket, *, reply: str | None, note: str | None, is_persons: bool) -> Step:
    """The ticket is part of an incident: it waits for the cause to be mended, unless a person has it meanwhile."""
    if is_persons:
        return Step(
            name="joined_incident",
            journey=replace(journey, failures=0),
            waiting_for=ticket.waiting_for,
            reply=reply,
            note=note,
        )
    return Step(
        name="joined_incident",
        journey=replace(journey, stage="await_incident", failures=0, due_at=None),
        path=path_to(ticket.status, "in_progress"),
        waiting_for="incident",
        reply=reply,
        note=note,
    )


def dropped(journey: Journey, ticket: Ticket, note: str) -> Step:
    """A run ended while a person has the ticket: they get its report as a note, the client hears from them."""
    left = replace(journey, failures=0, data=_untold(journey))
    return Step(name="run_reported", journey=left, waiting_for=ticket.waiting_for, note=note)


def _untold(journey: Journey) -> dict[str, Any]:
    """What a person has been told was mended is theirs to tell: no later stage says it to the client."""
    return {name: value for name, value in journey.data.items() if name != "mended"}


def handed_over(
    journey: Journey,
    ticket: Ticket,
    judged: Triage | None,
    plan: HandOver,
    *,
    policy: Policy,
    messages: Sequence[Message],
    earlier: Sequence[Ticket],
    also: Sequence[str] = (),
) -> Step:
    """A person gets it with the dossier, and the client is told at once; from an ended ticket this opens it again.

    also: reasons that would not have called a person by themselves, and that whoever gets it should know of.
    """
    said = [message.content for message in messages if message.role == "user"]
    team = team_of(ticket, policy, reasons=plan.reasons, triage=judged, said=said)
    language = spoken(ticket.language, default=policy.default_language)
    dossier = build_dossier(
        ticket,
        judged,
        reasons=(*plan.reasons, *also),
        team=team,
        messages=messages,
        earlier=earlier,
        tried=plan.tried,
        not_done=plan.not_done,
        links=plan.links,
        language=language,
        meant=plan.meant,
    )
    if plan.next_step is not None:
        dossier = replace(dossier, next_step=plan.next_step)
    if plan.answer is not None:
        dossier = replace(dossier, suggested_reply=plan.answer.text)
    return Step(
        name="handed_over",
        journey=replace(journey, stage="with_person", failures=0, due_at=None, data=_untold(journey)),
        path=path_to(ticket.status, "escalated"),
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
        reopens=ticket.status in {"resolved", "closed"},
        complaint={"tickets": [str(other.id) for other in earlier]} if "engine_complaint" in plan.reasons else None,
        data={
            "reasons": list(dossier.reasons),
            "team": team,
            **({"read_by_meaning": dict(plan.meant)} if plan.meant else {}),
        },
        given=plan.given,
    )


async def write(
    desk: Desk, connection: Connection, actor: Principal, ticket: Ticket, step: Step, *, session: Session | None
) -> Ticket:
    """Write the step: ticket, reply in that session, escalation, facts and position, all in the caller's transaction."""
    now = desk.clock()
    changed = ticket
    columns = _columns(ticket, step, now)
    if step.path or any(getattr(ticket, name) != value for name, value in columns.items()):
        changed = await walk(connection, ticket, step.path, columns)
    if step.was_right is not None:
        await answers.judge_last(connection, actor.org_id, ticket.id, is_right=step.was_right, source="client")
    said = None
    if step.reply is not None:
        if session is None:  # a ticket that came in as a bare row
            session = sessions.new_session(ticket.id, assistant_type="ai", at=now)
            await sessions.insert(connection, session)
        said = await sessions.add(
            connection,
            actor.org_id,
            session,
            role="system" if step.is_notice else "assistant",
            content=step.reply,
            author=actor.user_id,
            data=step.reply_data,
        )
    if step.note is not None and session is not None:
        await sessions.add(
            connection,
            actor.org_id,
            session,
            role="system",
            content=step.note,
            author=actor.user_id,
            is_internal=True,
        )
    if step.given is not None:
        sent = said.id if said is not None and step.given.trust != "suggested" else None
        await answers.record(connection, changed, step.given, message_id=sent, at=now)
    if step.resolves or step.reopens:
        await sessions.set_resolved_of_ticket(connection, ticket.id, resolved=step.resolves)
    if step.resolves and ticket.status == "escalated":
        await escalations.end(connection, actor.org_id, ticket.id)
    if step.complaint is not None:
        version = ticket.triage.get("model_version")
        await corrections.complain(connection, actor.org_id, ticket.id, step.complaint, model_version=version)
    if step.dossier is not None:
        looked_at = await escalations.looked_at(connection, actor.org_id, ticket.id)
        dossier = replace(step.dossier, links=tuple(dict.fromkeys((*step.dossier.links, *looked_at))))
        await escalations.open_escalation(
            connection,
            actor.org_id,
            ticket.id,
            reasons=dossier.reasons,
            team=dossier.team,
            dossier=dossier.to_json(),
        )
    await facts.record_all(connection, actor, _facts(changed, session, step))
    await journeys.save(connection, actor.org_id, ticket.id, step.journey)
    return changed


def _facts(ticket: Ticket, session: Session | None, step: Step) -> list[NewFact]:
    found = []
    if step.triage:
        classes = {"category": ticket.category, "severity": ticket.severity, "intent": ticket.intent}
        found.append(NewFact("ticket.triaged", ticket.id, data=classes))
    if step.reopens:
        found.append(NewFact("ticket.reopened", ticket.id))
    if step.fact is not None:
        found.append(NewFact(step.fact, ticket.id, session.id if session else None, step.data))
    return found


def _columns(ticket: Ticket, step: Step, now: datetime) -> dict[str, Any]:
    columns: dict[str, Any] = {**step.triage, "waiting_for": step.waiting_for}
    if step.resolution is not None:
        columns["resolution"] = replace(step.resolution, decided_at=now).to_json()
    if step.team is not None:
        columns["team"] = step.team
    if step.reply is not None and not step.is_notice and ticket.first_response_at is None:
        columns["first_response_at"] = now
    if step.path and step.path[-1] == "resolved":
        columns["resolved_at"] = now
    if step.path and step.path[-1] == "closed":
        columns["closed_at"] = now
    if step.reopens:
        columns |= {"resolved_at": None, "closed_at": None, "reopened": ticket.reopened + 1}
    return columns


def with_verdict(
    ticket: Ticket, verdict: str, summary: str, now: datetime, *, evidence: Mapping[str, Any] | None = None
) -> Resolution:
    """A resolution that keeps the type and the citations which the ticket has already."""
    stored = ticket.resolution
    return Resolution(
        type=str(stored.get("type") or select_resolution_type(ticket.category, ticket.intent)),
        verdict=verdict,
        summary=summary,
        decided_at=now,
        citations=tuple(Citation(**cited) for cited in stored.get("citations", ())),
        evidence=dict(evidence) if evidence else None,
    )
