"""Ending a ticket by a person's or client's word, and opening it again: what that does to everything beside it.

Which role may do so is its callers' question. Sessions, escalation and journey always say the same as the ticket.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from asoe.desk.context import Desk, policy_of
from asoe.desk.moves import path_to, walk
from asoe.desk.outcome import with_verdict
from asoe.domain.errors import Conflict
from asoe.domain.organization import Principal
from asoe.domain.ticket import Ticket
from asoe.store import escalations, facts, journeys, sessions
from asoe.store.db import Connection


async def resolve(
    desk: Desk, connection: Connection, actor: Principal, ticket: Ticket, *, by_client: bool = False
) -> Ticket:
    """Resolve by somebody's word: verified by the client's, unverified by staff's. Closed after the reopen window."""
    now = desk.clock()
    resolution = with_verdict(
        ticket,
        "verified" if by_client else "unverified",
        "The client marked it as resolved." if by_client else "Resolved by a person.",
        now,
        evidence={"by": "client" if by_client else str(actor.user_id)},
    )
    columns = {"waiting_for": None, "resolution": resolution.to_json(), "resolved_at": now}
    changed = await walk(connection, ticket, path_to(ticket.status, "resolved"), columns)
    window = timedelta(days=(await policy_of(connection, actor.org_id)).reopen_window_days)
    await _rest(connection, changed, due_after=window, desk=desk)
    await facts.record(
        connection,
        actor,
        "ticket.resolved",
        ticket_id=ticket.id,
        verdict=resolution.verdict,
        by="client" if by_client else "person",
        before=ticket.status,
    )
    return changed


async def close(
    desk: Desk, connection: Connection, actor: Principal, ticket: Ticket, columns: Mapping[str, Any] | None = None
) -> Ticket:
    """Close from anywhere, over resolved; `columns` say what is different about this ending."""
    written = {"waiting_for": None, "closed_at": desk.clock(), **(columns or {})}
    changed = await walk(connection, ticket, path_to(ticket.status, "closed"), written)
    await _rest(connection, changed, due_after=None, desk=desk)
    if ticket.status != "closed":
        await facts.record(connection, actor, "ticket.closed", ticket_id=ticket.id, before=ticket.status)
    return changed


async def reopen(desk: Desk, connection: Connection, principal: Principal, ticket: Ticket) -> Ticket:
    """Open an ended ticket within the organization's window; raises `Conflict`.

    Whoever reopened it has seen how the engine left it: it waits for a person, until one hands it back.
    """
    if ticket.merged_into is not None:
        raise Conflict(
            f"Ticket {ticket.number} was merged into {ticket.merged_into}; reopen that one.", code="ticket_merged"
        )
    if ticket.is_spam:
        raise Conflict(
            f"Ticket {ticket.number} is marked as spam; take the mark away, which opens it.", code="ticket_is_spam"
        )
    policy = await policy_of(connection, principal.org_id)
    if ticket.closed_at is not None and desk.clock() - ticket.closed_at > timedelta(days=policy.reopen_window_days):
        raise Conflict(
            f"Ticket {ticket.number} was closed more than {policy.reopen_window_days:g} days ago. Open a new ticket and "
            "link the two.",
            code="reopen_window_passed",
        )
    changed = await begin_again(desk, connection, ticket, {"reopened": ticket.reopened + 1}, for_person=True)
    await facts.record(connection, principal, "ticket.reopened", ticket_id=ticket.id, before=ticket.status)
    return changed


async def begin_again(
    desk: Desk,
    connection: Connection,
    ticket: Ticket,
    columns: Mapping[str, Any] | None = None,
    *,
    for_person: bool = False,
) -> Ticket:
    """Put an ended ticket back to open, with nothing left of how it ended.

    The engine looks at it, unless it is opened `for_person` or a person has the conversation.
    """
    found = await sessions.of_ticket(connection, ticket.org_id, ticket.id)
    is_quiet = for_person or any(session.is_ai_quiet for session in found)
    changed = await walk(
        connection,
        ticket,
        path_to(ticket.status, "open"),
        {
            "resolved_at": None,
            "closed_at": None,
            "resolution": {},
            "waiting_for": "person" if is_quiet else None,
            **(columns or {}),
        },
    )
    await sessions.set_resolved_of_ticket(connection, ticket.id, resolved=False)
    stage = "with_person" if is_quiet else "resolve"
    await journeys.place(connection, ticket.org_id, ticket.id, stage, knows_all=True)
    if not is_quiet:
        await desk.queue.advance(connection, ticket.org_id, ticket.id)
    return changed


async def _rest(connection: Connection, ticket: Ticket, *, due_after: timedelta | None, desk: Desk) -> None:
    await sessions.set_resolved_of_ticket(connection, ticket.id, resolved=True)
    await escalations.end(connection, ticket.org_id, ticket.id)
    due_at = desk.clock() + due_after if due_after is not None else None
    await journeys.place(connection, ticket.org_id, ticket.id, "ended", due_at=due_at, knows_all=True)
