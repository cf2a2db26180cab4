"""What a person's page of one ticket shows, in as few statements as it can be had: what there is, what stands beside it, what may be chosen.

The conversation, the runs and the other histories are read by their own nouns, and only when there are any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from asoe.domain.errors import Missing
from asoe.domain.ticket import Ticket
from asoe.store import tickets
from asoe.store.db import Connection
from asoe.store.directory import Colleague
from asoe.store.queries import NamedQueries


class TicketPageSql(NamedQueries):
    sight: str
    related: str
    surroundings: str


@dataclass(frozen=True, slots=True)
class Sight:
    """The ticket; `beside` names what else there is of it: escalation, assignments, clocks, runs, incidents, files."""

    ticket: Ticket
    since: int
    corrected: frozenset[str]
    beside: frozenset[str]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the organization offers: `replies` are names and titles, `intents` its own ones with their categories."""

    settings: Mapping[str, Any]
    staff: Sequence[Colleague]
    replies: Sequence[Mapping[str, str]]
    intents: Mapping[str, str]


async def sight(connection: Connection, org_id: UUID, ticket_id: UUID) -> Sight:
    """Raises `Missing(ticket_missing)`, as `tickets.find` does."""
    row = await connection.fetchrow(tickets.with_columns(TicketPageSql.sight), org_id, ticket_id)
    values: dict[str, Any] = dict(row) if row is not None else {}
    since, corrected, beside = (values.pop(name, ()) for name in ("since", "corrected", "beside"))
    ticket = tickets.from_row(values or None, ticket_id)
    return Sight(ticket, int(since), frozenset(corrected), frozenset(beside))


async def related(connection: Connection, ticket: Ticket, *, limit: int = 5) -> dict[str, list[Ticket]]:
    """Linked tickets (`linked`), the client's other ones (`earlier`), and those that wanted the same and ended (`alike`), newest first."""
    sql = tickets.with_columns(TicketPageSql.related)
    rows = await connection.fetch(
        sql, ticket.org_id, ticket.id, ticket.contact_id, ticket.user_id, ticket.intent, limit
    )
    found: dict[str, list[Ticket]] = {"linked": [], "earlier": [], "alike": []}
    for row in rows:
        values = dict(row)
        found[values.pop("relation")].append(tickets.from_row(values, ticket.id))
    return found


async def surroundings(connection: Connection, org_id: UUID, *, language: str | None) -> Surroundings:
    """Raises `Missing(no_organization)`."""
    row = await connection.fetchrow(TicketPageSql.surroundings, org_id, language)
    if row is None:
        raise Missing("This organization does not exist here, or it is not yours.", code="no_organization")
    staff = [Colleague(**{**each, "user_id": UUID(each["user_id"])}) for each in row["staff"]]
    return Surroundings(row["settings"], staff, row["replies"], row["intents"])
