"""Routing of escalated tickets: gives each to a person, and to the next level when nobody takes it, exactly once.

`settle` looks at a ticket as it is and does what is missing, so it may be called for any reason and as often as wanted. Who is chosen is
`domain.routing`'s. What a person has assigned by hand stays theirs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from asoe.desk import people as desk_people
from asoe.desk.context import Desk, plain
from asoe.domain.errors import Denied
from asoe.domain.organization import Principal
from asoe.domain.policy import read_policy
from asoe.domain.routing import Choice, Need, Routing, choose, read_routing
from asoe.domain.ticket import Ticket
from asoe.store import assignments, escalations, facts, organizations, tickets
from asoe.store.assignments import Assignment
from asoe.store.db import Connection
from asoe.store.escalations import Escalation
from asoe.store.facts import NewFact

WAKES: Final = frozenset(
    {
        "ticket.escalated",
        "ticket.assigned",
        "ticket.moved",
        "ticket.resolved",
        "ticket.closed",
        "ticket.spam",
        "ticket.merged",
        "session.taken_over",
        "session.handed_back",
        "message.added",
    }
)
"""Facts after which a ticket may lie with somebody else, or with nobody any more."""


async def settle(desk: Desk, connection: Connection, engine: Principal, ticket_id: UUID) -> None:
    """Give the ticket to whom it belongs now, in the caller's transaction; raises `Conflict(ticket_changed)`."""
    lies = await assignments.current(connection, engine.org_id, ticket_id)
    stored = await organizations.settings(connection, engine.org_id)
    if lies is None and not stored.get("teams"):
        return
    await assignments.hold(connection, engine.org_id)
    ticket = await tickets.find_for_update(connection, engine.org_id, ticket_id)
    lies = await assignments.current(connection, engine.org_id, ticket_id)
    now = desk.clock()
    ending = await _ending(connection, ticket, lies)
    if lies is not None and ending is not None:
        await assignments.end(connection, engine.org_id, lies.id, ending, at=now)
        lies = None
    escalation = await _waits(connection, ticket)
    if ending in {"taken", "over"} or escalation is None:
        return
    is_due = lies is not None and lies.due_at is not None and lies.due_at <= now
    if is_due or (lies is None and ticket.assignee is None):
        await _give(desk, connection, engine, ticket, escalation=escalation, routing=read_routing(stored), before=lies)


async def history(desk: Desk, principal: Principal, ticket_id: UUID) -> list[Assignment]:
    """To whom the ticket was given, level by level, and why; staff only."""
    _staff_only(principal)
    async with desk.database.org_reading(principal) as connection:
        await tickets.find(connection, principal.org_id, ticket_id)
        return await assignments.history(connection, principal.org_id, ticket_id)


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom a level of a team asks now; of a rota also who is on call from when on afterwards."""

    team: str
    level: int
    now: tuple[str, ...]
    following: tuple[tuple[str | None, datetime], ...] = ()


async def who_is_asked(desk: Desk, principal: Principal) -> list[Asked]:
    """Level by level of each team, by address; staff only. That somebody is away or asleep is seen when a ticket is given."""
    _staff_only(principal)
    async with desk.database.org_reading(principal) as connection:
        found = read_routing(await organizations.settings(connection, principal.org_id))
    now = desk.clock()
    return [
        Asked(name, number, level.asked(now), tuple(level.rota.turns(now)[1:]) if level.rota else ())
        for name, team in found.teams.items()
        for number, level in enumerate(team.levels, 1)
    ]


async def read_teams(desk: Desk, principal: Principal) -> dict[str, Any]:
    """`teams`, `people` and `escalation` of the organization's settings as stored; staff only."""
    _staff_only(principal)
    async with desk.database.org_reading(principal) as connection:
        stored = await organizations.settings(connection, principal.org_id)
    return {name: dict(stored.get(name) or {}) for name in ("teams", "people", "escalation")}


async def change_teams(desk: Desk, principal: Principal, **given: dict[str, Any] | None) -> dict[str, Any]:
    """Replace what is given of `teams`, `people` and `escalation`; raises `Invalid(bad_routing | bad_policy)`."""
    wanted = {name: value for name, value in given.items() if value is not None}
    stored = (await desk_people.change_organization(desk, principal, settings=wanted)).settings
    return {name: dict(stored.get(name) or {}) for name in ("teams", "people", "escalation")}


async def teams_without_people(desk: Desk, principal: Principal) -> tuple[str, ...]:
    """Teams that tickets may be sent to and nobody is in: owners and admins get what is. None where no team is set at all."""
    _staff_only(principal)
    async with desk.database.org_reading(principal) as connection:
        stored = await organizations.settings(connection, principal.org_id)
    routing = read_routing(stored)
    sent_to = read_policy(stored).teams if routing.teams else ()
    return tuple(sorted(team for team in sent_to if not routing.has_people(team)))


async def _waits(connection: Connection, ticket: Ticket) -> Escalation | None:
    """The escalation that waits for a person who has not taken it yet."""
    if ticket.status != "escalated" or ticket.is_spam or ticket.merged_into is not None:
        return None
    found = await escalations.newest(connection, ticket.org_id, ticket.id)
    return found if found is not None and found.ended_at is None and found.taken_at is None else None


async def _ending(connection: Connection, ticket: Ticket, lies: Assignment | None) -> str | None:
    """Why the assignment does not stand any more; None while it does."""
    if lies is None:
        return None
    if await _waits(connection, ticket) is None:
        escalation = await escalations.newest(connection, ticket.org_id, ticket.id)
        is_taken = escalation is not None and escalation.taken_at is not None
        return "taken" if is_taken and ticket.status not in {"resolved", "closed"} else "over"
    return "changed" if ticket.assignee != lies.user_id or ticket.team != lies.team else None


async def _give(
    desk: Desk,
    connection: Connection,
    engine: Principal,
    ticket: Ticket,
    *,
    escalation: Escalation,
    routing: Routing,
    before: Assignment | None,
) -> None:
    now = desk.clock()
    team = ticket.team or ""
    past = [each for each in await assignments.history(connection, engine.org_id, ticket.id) if each.ending == "passed"]
    had_it = {each.user_id for each in past if each.user_id is not None}
    if before is not None and before.user_id is not None:
        had_it.add(before.user_id)
    people = await assignments.people(connection, engine.org_id)
    # a person who had it does not make the load of being asked again
    people = [replace(each, load=each.load - (each.user_id == ticket.assignee)) for each in people]
    need = Need(
        team=team,
        severity=ticket.severity,
        language=ticket.language,
        wants=frozenset({ticket.category, ticket.intent or "", *ticket.tags, *escalation.reasons} - {""}),
    )
    level = 1 if before is None else before.level + (before.user_id is not None)
    choice = choose(routing, need, people, now=now, level=level, passed=frozenset(had_it))
    if before is not None:
        if choice.user_id is None and before.user_id is None:
            await assignments.put_off(connection, engine.org_id, before.id, choice.due_at)
            return
        await assignments.end(connection, engine.org_id, before.id, "passed", at=now)
    await assignments.give(connection, engine.org_id, ticket.id, choice, team=team, at=now)
    await facts.record_all(connection, engine, _news(ticket, choice, team, before))
    if choice.user_id != ticket.assignee:
        await tickets.update(connection, ticket, {"assignee": choice.user_id})


def _news(ticket: Ticket, choice: Choice, team: str, before: Assignment | None) -> list[NewFact]:
    data = {
        "assignee": plain(choice.user_id),
        "team": team,
        "level": choice.level,
        "is_last": choice.is_last,
        "because": list(choice.because),
        "due_at": plain(choice.due_at),
    }
    found = []
    if before is not None and before.user_id is not None:
        raised = {"before": plain(before.user_id), "level_before": before.level}
        found.append(NewFact("ticket.raised", ticket.id, data={**data, **raised}))
    found.append(NewFact("ticket.assigned", ticket.id, data=data))
    return found


def _staff_only(principal: Principal) -> None:
    if principal.is_client:
        raise Denied("Who has a ticket is for the organization's staff.", code="staff_only")
