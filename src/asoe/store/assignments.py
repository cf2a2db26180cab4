"""Assignments by routing as rows, and the people it may choose from with what they have to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from asoe.domain.routing import Choice, Somebody
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class AssignmentsSql(NamedQueries):
    hold: str
    people: str
    current: str
    history: str
    forgotten: str
    give: str
    put_off: str
    end: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """`user_id` None: it waits until somebody works; `ending` says what became of it."""

    id: UUID
    ticket_id: UUID
    team: str
    level: int
    is_last: bool
    user_id: UUID | None
    because: tuple[str, ...]
    others: tuple[tuple[str, str], ...]
    given_at: datetime
    due_at: datetime | None
    ended_at: datetime | None = None
    ending: str | None = None


async def hold(connection: Connection, org_id: UUID) -> None:
    """One assignment of an organization at a time until the transaction ends: each sees what the one before has given."""
    await connection.execute(AssignmentsSql.hold, str(org_id))


async def people(connection: Connection, org_id: UUID) -> list[Somebody]:
    """Active people of the support team, with their open tickets and when they were last given one."""
    return [Somebody(**dict(row)) for row in await connection.fetch(AssignmentsSql.people, org_id)]


async def current(connection: Connection, org_id: UUID, ticket_id: UUID) -> Assignment | None:
    row = await connection.fetchrow(AssignmentsSql.current, org_id, ticket_id)
    return None if row is None else _assignment(row)


async def history(connection: Connection, org_id: UUID, ticket_id: UUID) -> list[Assignment]:
    """All of a ticket, oldest first."""
    return [_assignment(row) for row in await connection.fetch(AssignmentsSql.history, org_id, ticket_id)]


async def forgotten(connection: Connection, org_id: UUID, *, idle_seconds: float) -> list[UUID]:
    """Tickets that wait for a person and lie with nobody for that long."""
    return [row["ticket_id"] for row in await connection.fetch(AssignmentsSql.forgotten, org_id, idle_seconds)]


async def give(
    connection: Connection, org_id: UUID, ticket_id: UUID, choice: Choice, *, team: str, at: datetime
) -> None:
    await connection.execute(
        AssignmentsSql.give,
        org_id,
        ticket_id,
        team,
        choice.level,
        choice.is_last,
        choice.user_id,
        list(choice.because),
        [list(each) for each in choice.others],
        at,
        choice.due_at,
    )


async def put_off(connection: Connection, org_id: UUID, assignment_id: UUID, due_at: datetime | None) -> None:
    await connection.execute(AssignmentsSql.put_off, org_id, assignment_id, due_at)


async def end(connection: Connection, org_id: UUID, assignment_id: UUID, ending: str, *, at: datetime) -> None:
    await connection.execute(AssignmentsSql.end, org_id, assignment_id, ending, at)


def _assignment(row: object) -> Assignment:
    values = dict(row)  # type: ignore[call-overload]  # an asyncpg record
    values["because"] = tuple(values["because"])
    values["others"] = tuple((who, why) for who, why in values["others"])
    return Assignment(**values)
