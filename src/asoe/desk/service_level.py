"""Service levels of tickets: counted from their facts, warned of ahead of time, and told as facts when they are missed.

Nothing else of the desk knows of them: a reader of the facts counts again whatever a fact touched, and a due row is the timer. So no crash
loses a clock, and none is told twice. What is promised is `domain.service_level`'s, what a warning leads to is escalation's and notification's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog

from asoe.desk import people, routing
from asoe.desk.context import Desk, plain
from asoe.domain.errors import Denied, Missing
from asoe.domain.facts import Fact, as_class
from asoe.domain.organization import Principal
from asoe.domain.people import Contact
from asoe.domain.service_level import Clock, Moment, ServiceLevels, read_service_levels, run_clocks
from asoe.store import contacts, facts, insights, organizations, overview, service_levels, tickets
from asoe.store.db import Connection
from asoe.store.facts import NewFact
from asoe.store.service_levels import Kept, Standing, StoredClock
from asoe.store.transient import is_transient

AT_ONCE: Final = 200
"""Facts that are read at once."""

_log = structlog.get_logger(__name__)

_TURNS: Final = {
    "ticket.answered": "reply",
    "ticket.asked": "reply",
    "ticket.escalated": "ours",
    "session.taken_over": "ours",
    "session.handed_back": "ours",
    "ticket.resolved": "ended",
    "ticket.closed": "ended",
    "ticket.reopened": "reopened",
    "ticket.opened": "changed",
    "ticket.triaged": "changed",
    "ticket.changed": "changed",
    "ticket.assigned": "changed",
    "ticket.merged": "changed",
}
_READ: Final = frozenset({*_TURNS, "message.added", "ticket.moved", "ticket.spam"})
_OURS: Final = frozenset({"open", "triaging", "in_progress", "escalated"})


@dataclass(frozen=True, slots=True)
class AtRisk:
    """One clock that is missed or soon will be, of one ticket."""

    ticket_id: UUID
    number: int
    subject: str
    clock: Clock


@dataclass(frozen=True, slots=True)
class Pressing:
    """What presses now: the most urgent clocks, and how many tickets are past a warning or have missed something."""

    clocks: Sequence[AtRisk]
    warned: int
    breached: int


async def catch_up(desk: Desk, engine: Principal) -> bool:
    """Look again at the tickets that the organization's next facts touch, each by itself; True when there may be more.

    A ticket that cannot be looked at keeps no other one waiting. The cursor moves last: after a crash they are looked at twice.
    """
    async with desk.database.org_transaction(engine) as connection:
        news = await service_levels.read_on(connection, engine.org_id, _READ | routing.WAKES, limit=AT_ONCE)
    for ticket_id in news.tickets:
        try:
            await look(desk, engine, ticket_id)
        except Exception as error:
            if is_transient(error):
                raise
            _log.error("service_level.not_looked_at", ticket_id=str(ticket_id), error=type(error).__name__)
    if news.cursor is not None:
        async with desk.database.org_transaction(engine) as connection:
            await service_levels.move_on(connection, engine.org_id, news.cursor)
    return news.facts == AT_ONCE


async def look(desk: Desk, engine: Principal, ticket_id: UUID) -> None:
    """Count one ticket's clocks and settle with whom it lies, as things stand now; what is new is told in facts."""
    async with desk.database.org_transaction(engine) as connection:
        await _count(desk, connection, engine, ticket_id)
        with suppress(Missing):  # deleted meanwhile
            await routing.settle(desk, connection, engine, ticket_id)


async def read_clocks(desk: Desk, principal: Principal, ticket_id: UUID) -> list[Clock]:
    """The ticket's clocks in order of their start, those of earlier rounds included; staff only."""
    _staff_only(principal)
    async with desk.database.org_reading(principal) as connection:
        await tickets.find(connection, principal.org_id, ticket_id)
        return [each.clock for each in await service_levels.clocks(connection, principal.org_id, ticket_id)]


async def pressing(desk: Desk, principal: Principal, *, limit: int = 50) -> Pressing:
    """What is missed or will be soon, the first due first; staff only."""
    _staff_only(principal)
    now = desk.clock()
    async with desk.database.org_reading(principal) as connection:
        found = await service_levels.at_risk(connection, principal.org_id, now=now, limit=limit)
        warned, breached = await service_levels.count_at_risk(connection, principal.org_id, now=now, limit=5000)
        names = await overview.ticket_names(connection, principal.org_id, (ticket_id for ticket_id, _ in found))
    listed = [AtRisk(ticket_id, *names[ticket_id], clock) for ticket_id, clock in found if ticket_id in names]
    return Pressing(listed, warned, breached)


async def kept(desk: Desk, principal: Principal, *, days: int = 30) -> list[Kept]:
    """How many promises of each kind were kept in the last days; staff only."""
    _staff_only(principal)
    async with desk.database.org_reading(principal) as connection:
        return await service_levels.kept(connection, principal.org_id, since=desk.clock() - timedelta(days=days))


async def read_levels(desk: Desk, principal: Principal) -> tuple[dict[str, Any], dict[str, Any]]:
    """The organization's `business_hours` and `service_levels` as stored; staff only."""
    _staff_only(principal)
    async with desk.database.org_reading(principal) as connection:
        stored = await organizations.settings(connection, principal.org_id)
    return dict(stored.get("business_hours") or {}), dict(stored.get("service_levels") or {})


async def change_levels(
    desk: Desk,
    principal: Principal,
    *,
    business_hours: Mapping[str, Any] | None = None,
    levels: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Replace hours, levels or both; clocks that run count by the new ones from then on.

    Raises `Invalid(bad_service_levels)` naming each wrong field.
    """
    given = {"business_hours": business_hours, "service_levels": levels}
    wanted = {name: dict(value) for name, value in given.items() if value is not None}
    stored = (await people.change_organization(desk, principal, settings=wanted)).settings
    return dict(stored.get("business_hours") or {}), dict(stored.get("service_levels") or {})


async def set_plan(desk: Desk, principal: Principal, contact_id: UUID, plan: str | None) -> Contact:
    """Say which plan a contact is on, which decides what it is owed; raises `Missing(no_contact)`."""
    _staff_only(principal)
    async with desk.database.org_transaction(principal) as connection:
        before = await contacts.find(connection, principal.org_id, contact_id)
        contact = await contacts.set_plan(connection, principal.org_id, contact_id, plan)
        if before is None or contact is None:
            raise Missing("There is no such contact.", code="no_contact")
        values = {"plan": [as_class(before.plan), as_class(plan)]}
        await facts.record(
            connection, principal, "contact.changed", contact_id=contact_id, fields=["plan"], values=values
        )
        return contact


async def _count(desk: Desk, connection: Connection, engine: Principal, ticket_id: UUID) -> None:
    standing = await service_levels.standing(connection, engine.org_id, ticket_id)
    if standing is None:
        return
    now = desk.clock()
    stored = await service_levels.clocks(connection, engine.org_id, ticket_id)
    known = {(each.clock.kind, each.clock.started_at): each for each in stored}
    levels = read_service_levels(standing.settings) if standing.is_counted else ServiceLevels()
    counted: Iterable[Clock] = ()
    if levels.targets:
        happened = await service_levels.moments(connection, engine.org_id, ticket_id, _READ)
        counted = _run(levels, standing, happened, now)
    fresh = {(clock.kind, clock.started_at): clock for clock in counted}
    news: list[NewFact] = []
    written = []
    for key, clock in fresh.items():
        before = known.get(key)
        if before is not None and before.clock.met_at is not None and before.clock.met_at == clock.met_at:
            continue  # what was met stays as it was judged then, whatever is promised now
        after, kind = _tell(before or StoredClock(clock), clock, now)
        written.append(after)
        if kind is not None:
            news.append(_news(kind, ticket_id, clock, standing))
    await service_levels.save(connection, engine.org_id, ticket_id, written)
    gone = [each.clock for key, each in known.items() if key not in fresh and each.clock.met_at is None]
    await service_levels.drop(connection, engine.org_id, ticket_id, gone)
    if written or gone:
        await insights.mark(connection, engine.org_id, ticket_id, now=now)
    await facts.record_all(connection, engine, news)


def _tell(before: StoredClock, clock: Clock, now: datetime) -> tuple[StoredClock, str | None]:
    """The clock as it is to be stored, and the kind of fact that has become due."""
    after = replace(before, clock=clock)
    if clock.breached_at is not None and before.told_at is None:
        return replace(after, told_at=now, warned_at=before.warned_at or now), "service_level.breached"
    if clock.is_at_risk(now) and before.warned_at is None:
        return replace(after, warned_at=now), "service_level.warned"
    return after, None


def _news(kind: str, ticket_id: UUID, clock: Clock, standing: Standing) -> NewFact:
    data = {
        "target": clock.kind,
        "due_at": plain(clock.breached_at or clock.due_at),
        "severity": standing.severity,
        "team": standing.team,
        "assignee": plain(standing.assignee),
    }
    return NewFact(kind, ticket_id, data=data)


def _run(levels: ServiceLevels, standing: Standing, happened: Sequence[Fact], now: datetime) -> Sequence[Clock]:
    opened = next((fact.data for fact in happened if fact.kind == "ticket.opened"), {})
    return run_clocks(
        levels,
        opened_at=standing.created_at,
        severity=opened.get("severity") or standing.severity,
        team=None if opened else standing.team,
        plan=standing.plan,
        moments=_moments(happened, standing.created_at),
        now=max(now, standing.created_at),
    )


def _moments(happened: Sequence[Fact], opened_at: datetime) -> list[Moment]:
    # who takes a session over by speaking has replied: the two are one transaction
    replies = {fact.xid for fact in happened if fact.kind == "message.added" and fact.data.get("role") != "user"}
    found = []
    for fact in happened:
        if fact.kind == "session.taken_over" and fact.xid in replies:
            continue
        what = _turn(fact)
        if what is not None:
            severity, team = _classes(fact)
            found.append(Moment(max(fact.at, opened_at), what, severity, team))  # type: ignore[arg-type]  # one of Happening
    return found


def _turn(fact: Fact) -> str | None:
    match fact.kind:
        case "message.added":
            return "client" if fact.data.get("role") == "user" else "reply"
        case "ticket.moved":
            return "ours" if fact.data.get("after") in _OURS else None
        case "ticket.spam":
            return "reopened" if fact.data.get("is_spam") is False else "ended"
    return _TURNS.get(fact.kind)


def _classes(fact: Fact) -> tuple[str | None, str | None]:
    """Severity and team from then on, where the fact says so."""
    if fact.kind == "ticket.changed":
        changed = fact.data.get("fields") or {}
        pair = [(changed.get(name) or {}) for name in ("severity", "team")]
        severity, team = (each.get("to") if isinstance(each, Mapping) else None for each in pair)
        return severity, team
    return fact.data.get("severity"), fact.data.get("team")


def _staff_only(principal: Principal) -> None:
    if principal.is_client:
        raise Denied("Service levels are for the organization's staff.", code="staff_only")
