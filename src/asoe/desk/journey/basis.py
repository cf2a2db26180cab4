"""What a pass went by, as it is kept with its record: ids, classes, counts and positions in the conversation, never words.

From it and the rows that never change, `again` makes the same standing once more; `replay` judges that. Tags are words that
somebody chose, and are erased with the client's: a replay goes by those the ticket has now. What runs had found is told again
from their own rows; what nobody kept is as it is now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from asoe.desk import outcome
from asoe.desk.journey.standing import Standing, Then
from asoe.desk.resolution import answer_language
from asoe.desk.runbook import treatment
from asoe.desk.runbook.treatment import Report
from asoe.domain.errors import Missing
from asoe.domain.organization import Principal
from asoe.domain.policy import Policy
from asoe.domain.runbook import ENDED_RUNS
from asoe.domain.session import Message
from asoe.domain.ticket import Ticket
from asoe.store import journeys, sessions, tickets
from asoe.store.db import Connection
from asoe.store.journeys import Journey

KEPT: Final = ("cited", "has_asked", "has_settled", "treated", "looked", "wish", "run", "held", "repeated")
"""What of a journey's own notes is ids, flags, places in runbooks and their titles."""
_OF_INCIDENT: Final = ("id", "number", "run", "runbook", "reason", "checked")
_CLASSES: Final = ("status", "waiting_for", "category", "severity", "intent", "language", "team")
_MOST_MESSAGES: Final = 5000
_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


def of(standing: Standing, now: datetime, *, has_replied: bool) -> dict[str, Any]:
    """`now`: when the pass began; `has_replied`: whether it wrote to the client, just after these positions."""
    ticket, journey, about = standing.ticket, standing.journey, standing.incident or {}
    stored = ticket.resolution
    return {
        "stage": journey.stage,
        "attempts": journey.attempts,
        "is_due": journey.due_at is not None and journey.due_at <= now,
        "journey": {name: journey.data[name] for name in KEPT if name in journey.data},
        "mended": [
            {"run": one["run"], "incident": one["evidence"].get("incident")} for one in journey.data.get("mended", ())
        ],
        "incident": {name: about[name] for name in _OF_INCIDENT if name in about},
        "seen": journey.seen,
        "positions": dict(standing.positions),
        "quiet": [str(session.id) for session in standing.sessions if session.is_ai_quiet],
        "ticket": {name: getattr(ticket, name) for name in _CLASSES},
        "resolution": {
            "verdict": stored.get("verdict"),
            "type": stored.get("type"),
            "by": bool((stored.get("evidence") or {}).get("by")),
        },
        "earlier": {str(other.id): other.status for other in standing.earlier},
        "is_late": standing.is_late,
        "has_incidents": standing.has_incidents,
        "has_replied": has_replied,
    }


async def again(
    connection: Connection, engine: Principal, ticket_id: UUID, kept: Mapping[str, Any], *, at: datetime, policy: Policy
) -> tuple[Standing, Message | None]:
    """The standing that a pass had read, not judged yet, and what it said to the client. `at`: when it was recorded, by the
    database's clock.
    """
    org_id = engine.org_id
    ticket, _, _, _, _ = await journeys.standing(connection, org_id, ticket_id)
    positions: Mapping[str, int] = kept["positions"]
    said = await sessions.messages_of_ticket(connection, org_id, ticket_id, limit=_MOST_MESSAGES)
    found = await sessions.of_ticket(connection, org_id, ticket_id)
    language = answer_language(ticket, policy)
    resolution = {name: value for name in ("verdict", "type") if (value := kept["resolution"].get(name))}
    if kept["resolution"].get("by"):
        resolution["evidence"] = {"by": "person"}
    given: dict[str, Any] = {name: ticket.triage[name] for name in ("given", "given_by") if name in ticket.triage}
    standing = Standing(
        ticket=replace(ticket, **kept["ticket"], is_spam=False, merged_into=None, triage=given, resolution=resolution),
        journey=Journey(
            stage=kept["stage"],
            attempts=kept["attempts"],
            due_at=_EVER if kept["is_due"] else None,
            data={**kept["journey"], **await _told(connection, org_id, kept, language), "seen": dict(kept["seen"])},
        ),
        sessions=tuple(
            replace(session, assistant_type="hybrid" if str(session.id) in kept["quiet"] else "ai") for session in found
        ),
        messages=tuple(each for each in said if each.seq <= positions.get(str(each.session_id), 0)),
        earlier=tuple(await _earlier(connection, org_id, kept["earlier"])),
        policy=policy,
        is_late=kept["is_late"],
        has_incidents=kept["has_incidents"],
        then=await _then(
            connection, org_id, kept, await tickets.corrected_fields(connection, org_id, ticket_id, before=at)
        ),
    )
    return standing, _reply(said, positions) if kept["has_replied"] else None


async def _told(connection: Connection, org_id: UUID, kept: Mapping[str, Any], language: str) -> dict[str, Any]:
    """The words of a journey's own notes, made again from the runs that they were made from."""
    notes: dict[str, Any] = {}
    if about := dict(kept["incident"] or {}):
        shown = [await treatment.report(connection, org_id, UUID(about["run"]))] if "run" in about else []
        notes["incident"] = {**about, "tried": [line for report in shown for line in report.tried]}
    mended = [
        outcome.mended(await treatment.report(connection, org_id, UUID(one["run"])), language, incident=one["incident"])
        for one in kept.get("mended", ())
    ]
    return {**notes, "mended": mended} if mended else notes


async def _then(connection: Connection, org_id: UUID, kept: Mapping[str, Any], corrected: frozenset[str]) -> Then:
    read: Mapping[str, Any] = kept.get("read", {})
    run = stopped = None
    if (run_id := kept["journey"].get("run")) is not None:
        found = {name: await _run_then(connection, org_id, read[name]) for name in ("run", "stopped") if name in read}
        if not found:  # it failed before it had read any
            found = {"run": await treatment.report(connection, org_id, UUID(run_id))}
        run = found.get("run")
        stopped = found.get("stopped") or (None if run is None else _ended(run))
    joinable: list[str] | None = read.get("joinable")
    part: Mapping[str, Any] = read.get("part", {})
    return Then(
        corrected=corrected,
        run=run,
        stopped=stopped,
        incident=part.get("status"),
        is_part=part.get("is_part", True),
        joinable=None if joinable is None else tuple(map(UUID, joinable)),
    )


async def _run_then(connection: Connection, org_id: UUID, kept: Mapping[str, Any]) -> Report:
    """What a run had come to: one that had ended is as it was."""
    if kept["status"] in ENDED_RUNS:
        return await treatment.report(connection, org_id, UUID(kept["id"]))
    found = await treatment.report(connection, org_id, UUID(kept["id"]), was_at=kept["at"])
    stood = {name: kept[name] for name in ("status", "waiting_for", "reason")}
    return replace(found, run=replace(found.run, **stood, note=None, ended_at=None))


def _ended(report: Report) -> Report:
    """The same, stopped by who wants no more of it."""
    run = report.run
    if run.ended_at is not None:
        return report
    ended = replace(run, status="cancelled", waiting_for=None, reason="run_cancelled", ended_at=run.created_at)
    return replace(report, run=ended)


def _reply(said: Sequence[Message], positions: Mapping[str, int]) -> Message | None:
    """What the engine said next after these positions."""
    return next(
        (
            each
            for each in said
            if each.role in {"assistant", "system"}
            and not each.is_internal
            and each.seq == positions.get(str(each.session_id), 0) + 1
        ),
        None,
    )


async def _earlier(connection: Connection, org_id: UUID, kept: Mapping[str, str]) -> list[Ticket]:
    """Newest first, as they were read; those that are gone since are left out."""
    found = []
    for ticket_id, status in kept.items():
        try:
            found.append(replace(await tickets.find(connection, org_id, UUID(ticket_id)), status=status))
        except Missing:
            continue
    return sorted(found, key=lambda other: other.created_at, reverse=True)
