"""What a pass went by, as it is kept with its record: ids, classes, counts and positions in the conversation, never words.

From it and the rows that never change, `again` makes the same standing once more; `replay` judges that. Tags are words that
somebody chose, and are erased with the client's: a replay goes by those the ticket has now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from asoe.desk.journey.standing import Standing
from asoe.domain.errors import Missing
from asoe.domain.organization import Principal
from asoe.domain.policy import Policy
from asoe.domain.ticket import Ticket
from asoe.store import journeys, sessions, tickets
from asoe.store.db import Connection
from asoe.store.journeys import Journey

KEPT: Final = ("cited", "has_asked", "has_settled", "treated", "looked", "wish", "run")
"""What of a journey's own notes is ids, flags and titles of runbooks."""
_CLASSES: Final = ("status", "waiting_for", "category", "severity", "intent", "language", "team")
_MOST_MESSAGES: Final = 5000
_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


def of(standing: Standing, now: datetime, *, has_replied: bool) -> dict[str, Any]:
    """`now`: when the pass began; `has_replied`: whether it wrote to the client, just after these positions."""
    ticket, journey = standing.ticket, standing.journey
    stored = ticket.resolution
    return {
        "stage": journey.stage,
        "attempts": journey.attempts,
        "is_due": journey.due_at is not None and journey.due_at <= now,
        "journey": {name: journey.data[name] for name in KEPT if name in journey.data},
        "incident": (standing.incident or {}).get("id"),
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
) -> Standing:
    """The standing that a pass had read, not judged yet. `at`: when it was recorded, by the database's clock."""
    org_id = engine.org_id
    ticket, _, _, _, _ = await journeys.standing(connection, org_id, ticket_id)
    positions: Mapping[str, int] = kept["positions"]
    said = await sessions.messages_of_ticket(connection, org_id, ticket_id, limit=_MOST_MESSAGES)
    found = await sessions.of_ticket(connection, org_id, ticket_id)
    resolution = {name: value for name in ("verdict", "type") if (value := kept["resolution"].get(name))}
    if kept["resolution"].get("by"):
        resolution["evidence"] = {"by": "person"}
    given: dict[str, Any] = {name: ticket.triage[name] for name in ("given", "given_by") if name in ticket.triage}
    return Standing(
        ticket=replace(ticket, **kept["ticket"], is_spam=False, merged_into=None, triage=given, resolution=resolution),
        journey=Journey(
            stage=kept["stage"],
            attempts=kept["attempts"],
            due_at=_EVER if kept["is_due"] else None,
            data={**kept["journey"], "seen": dict(kept["seen"])},
        ),
        sessions=tuple(
            replace(session, assistant_type="hybrid" if str(session.id) in kept["quiet"] else "ai") for session in found
        ),
        messages=tuple(each for each in said if each.seq <= positions.get(str(each.session_id), 0)),
        earlier=tuple(await _earlier(connection, org_id, kept["earlier"])),
        policy=policy,
        is_late=kept["is_late"],
        has_incidents=kept["has_incidents"],
        corrected=await tickets.corrected_fields(connection, org_id, ticket_id, before=at),
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
