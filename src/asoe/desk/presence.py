"""Presence: who of the team is on a ticket just now, and which side is writing. It binds nobody; it keeps two from doing the same.

A client tells of itself in the chat (`chat.py`); to the client it is only ever "the team".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from asoe.desk.context import Desk
from asoe.domain.errors import Denied, FieldProblem, Invalid
from asoe.domain.organization import Principal
from asoe.store import presences, tickets
from asoe.store.presences import Present

STATES: Final = ("viewing", "noting", "writing", "left")


@dataclass(frozen=True, slots=True)
class Company:
    """Who else is on a ticket. `collides`: somebody else writes to the client while this person does."""

    others: tuple[Present, ...]
    collides: bool
    client_writes: bool = False


async def be_present(desk: Desk, principal: Principal, ticket_id: UUID, state: str) -> Company:
    """Say that this person looks at the ticket, writes a note or a reply, or has left, and hear who else is there."""
    if principal.is_client or principal.is_engine:
        raise Denied("Only the support team is present on a ticket.", code="staff_only")
    if state not in STATES:
        problem = f"must be one of {', '.join(STATES)}"
        raise Invalid(f"state: {problem}.", code="unknown_presence", fields=(FieldProblem("state", problem),))
    async with desk.database.org_transaction(principal) as connection:
        await tickets.find(connection, principal.org_id, ticket_id)
        if state == "left":
            await presences.leave(connection, principal.org_id, ticket_id, principal.user_id)
        else:
            await presences.tell(connection, principal.org_id, ticket_id, principal.user_id, state)
        others = await presences.others(connection, principal.org_id, ticket_id, principal.user_id)
        writers = await presences.writers(connection, principal.org_id, ticket_id)
    writes = any(each.state == "writing" for each in others)
    return Company(tuple(others), collides=state == "writing" and writes, client_writes=writers.client)
