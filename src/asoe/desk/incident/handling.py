"""What people do with incidents: open, confirm, dismiss, say something to all clients, start the mend, call it mended. For staff.

Telling clients and checking tickets is the round's (`keeping.py`): it does so whoever opened the incident.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from asoe.desk.context import Desk, unstorable
from asoe.desk.incident import keeping
from asoe.desk.incident.signs import add, client_key, new
from asoe.domain.errors import Conflict, Denied, FieldProblem, Invalid
from asoe.domain.facts import Fact, as_class
from asoe.domain.incident import STATUSES, TELLING, Incident, intent_key, named_key, read_incident_rules, runbook_key
from asoe.domain.organization import Principal
from asoe.domain.triage import INTENTS
from asoe.store import alerts, facts, incidents, org_intents, organizations, runbooks, tickets
from asoe.store.alerts import Told
from asoe.store.db import Connection
from asoe.store.incidents import Counts, Linked, Part, Update

MOST_NAMED: Final = 500
MOST_TEXT: Final = 4000
_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person says of an incident; tickets belong to it by `intent`, `runbook` or by being named."""

    title: str
    intent: str = ""
    runbook: str = ""
    ticket_ids: tuple[UUID, ...] = ()
    known: str = ""
    fix: str = ""
    slots: Mapping[str, str] | None = None
    is_suspected: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """An incident with its figures."""

    incident: Incident
    counts: Counts


@dataclass(frozen=True, slots=True)
class Page:
    """One incident with all that its page shows."""

    incident: Incident
    counts: Counts
    updates: Sequence[Update]
    timeline: Sequence[Fact]
    alerts: Sequence[Told] = ()


async def list_incidents(
    desk: Desk,
    principal: Principal,
    *,
    statuses: Sequence[str] | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Seen]:
    """Newest first, behind the number `before`; raises `Invalid(bad_incident)`."""
    _staff_only(principal)
    wrong = [status for status in statuses or () if status not in STATUSES]
    if wrong:
        problem = f"{wrong[0]!r} is not one of {', '.join(STATUSES)}"
        raise Invalid(f"status: {problem}.", code="bad_incident", fields=(FieldProblem("status", problem),))
    async with desk.database.org_reading(principal) as connection:
        found = await incidents.list_newest(
            connection, principal.org_id, statuses=statuses, before=before, limit=min(limit, _PAGE)
        )
        counts = await incidents.counts(connection, principal.org_id, [each.id for each in found])
    return [Seen(each, counts.get(each.id, Counts())) for each in found]


async def going(desk: Desk, principal: Principal) -> list[Seen]:
    """Those that have not ended."""
    _staff_only(principal)
    async with desk.database.org_reading(principal) as connection:
        found = await incidents.going(connection, principal.org_id)
        counts = await incidents.counts(connection, principal.org_id, [each.id for each in found])
    return [Seen(each, counts.get(each.id, Counts())) for each in found]


async def read_incident(desk: Desk, principal: Principal, incident: UUID | int) -> Page:
    """By id or number; raises `Missing(incident_missing)`."""
    _staff_only(principal)
    async with desk.database.org_reading(principal) as connection:
        found = await _find(connection, principal, incident)
        counts = await incidents.counts(connection, principal.org_id, [found.id])
        return Page(
            found,
            counts.get(found.id, Counts()),
            await incidents.updates(connection, principal.org_id, found.id),
            await incidents.timeline(connection, principal.org_id, found.id),
            await alerts.of_incident(connection, principal.org_id, found.id),
        )


async def list_tickets(
    desk: Desk, principal: Principal, incident: UUID | int, *, after: UUID | None = None, limit: int = _PAGE
) -> list[Linked]:
    """The tickets of an incident, newest first, behind the ticket `after`."""
    _staff_only(principal)
    async with desk.database.org_reading(principal) as connection:
        found = await _find(connection, principal, incident)
        return await incidents.tickets_of(connection, principal.org_id, found.id, after=after, limit=min(limit, _PAGE))


async def of_ticket(desk: Desk, principal: Principal, ticket_id: UUID) -> list[Part]:
    """The incidents that a ticket is or was part of; raises `Missing(ticket_missing)`."""
    _staff_only(principal)
    async with desk.database.org_reading(principal) as connection:
        await tickets.find(connection, principal.org_id, ticket_id)
        return await incidents.of_ticket(connection, principal.org_id, ticket_id)


async def open_incident(desk: Desk, principal: Principal, wanted: Wanted) -> Incident:
    """Raises `Invalid(bad_incident)`, `Missing(runbook_missing | ticket_missing)`, `Conflict(incident_exists)`."""
    _staff_only(principal)
    async with desk.database.org_reading(principal) as connection:
        own = await org_intents.names(connection, principal.org_id)
    _check(wanted, {*INTENTS, *own})
    now = desk.clock()
    async with desk.database.org_transaction(principal) as connection:
        keys = [intent_key(wanted.intent)] if wanted.intent else []
        if wanted.runbook:
            keys.append(runbook_key((await runbooks.find(connection, principal.org_id, wanted.runbook)).id))
        if wanted.fix:
            await runbooks.find(connection, principal.org_id, wanted.fix)
        await incidents.hold_all(connection, principal.org_id)
        same = next(
            (each for each in await incidents.going(connection, principal.org_id) if set(keys) & set(each.keys)), None
        )
        if same is not None:
            raise Conflict(
                f"Incident {same.number} ({same.title}) has these tickets already: confirm it, or name tickets for it.",
                code="incident_exists",
            )
        rules = read_incident_rules(await organizations.settings(connection, principal.org_id))
        made = new(
            principal,
            title=wanted.title,
            source="person",
            status="suspected" if wanted.is_suspected else "open",
            keys=keys,
            known=wanted.known.strip(),
            fix=wanted.fix,
            slots=dict(wanted.slots or {}),
            opened_at=now,
            since=now - rules.within,
        )
        stored = await add(connection, principal, made)
        return await _name(desk, connection, principal, stored, wanted.ticket_ids)


async def name_tickets(desk: Desk, principal: Principal, incident: UUID | int, ticket_ids: Sequence[UUID]) -> Incident:
    """Have these tickets taken in; the round does so when each is free. Raises `Conflict(incident_ended)`, `Missing`."""
    _staff_only(principal)
    if len(ticket_ids) > MOST_NAMED:
        raise _refused("ticket_ids", f"holds more than {MOST_NAMED}")
    async with desk.database.org_transaction(principal) as connection:
        held = await _held(connection, principal, incident)
        given = [str(each) for each in ticket_ids]
        await facts.record(
            connection, principal, "incident.changed", incident_id=str(held.id), names=["tickets"], tickets=given
        )
        return await _name(desk, connection, principal, held, ticket_ids)


async def change_incident(
    desk: Desk,
    principal: Principal,
    incident: UUID | int,
    *,
    title: str | None = None,
    known: str | None = None,
) -> Incident:
    """Give it another title, or other words for clients who have not been told yet."""
    _staff_only(principal)
    given = {name: value.strip() for name, value in (("title", title), ("known", known)) if value is not None}
    words = Wanted(title=given.get("title", "as it was"), known=given.get("known", ""), ticket_ids=(UUID(int=0),))
    _check(words, ())
    async with desk.database.org_transaction(principal) as connection:
        held = await _held(connection, principal, incident)
        changed = replace(held, title=given.get("title", held.title), known=given.get("known", held.known))
        values = {name: [as_class(getattr(each, name)) for each in (held, changed)] for name in sorted(given)}
        await facts.record(
            connection, principal, "incident.changed", incident_id=str(held.id), names=sorted(given), values=values
        )
        return await incidents.change(connection, changed)


async def confirm(desk: Desk, principal: Principal, incident: UUID | int) -> Incident:
    """A suspicion is an incident from now on: clients are told."""
    _staff_only(principal)
    async with desk.database.org_transaction(principal) as connection:
        held = await _held(connection, principal, incident)
        if held.status != "suspected":
            raise Conflict(f"Incident {held.number} is {held.status}, no suspicion.", code="incident_not_suspected")
        await facts.record(connection, principal, "incident.confirmed", incident_id=str(held.id), by="person")
        return await incidents.change(connection, replace(held, status="open", confirmed_at=desk.clock()))


async def dismiss(desk: Desk, principal: Principal, incident: UUID | int) -> Incident:
    """It was none: tickets that waited for it go to people with what their own runs found."""
    _staff_only(principal)
    async with desk.database.org_transaction(principal) as connection:
        held = await _held(connection, principal, incident)
        if held.status not in {"suspected", "open"}:
            raise Conflict(
                f"Incident {held.number} is {held.status}; only a suspected or open one can be dismissed.",
                code="incident_not_open",
            )
        await facts.record(connection, principal, "incident.dismissed", incident_id=str(held.id), before=held.status)
        return await incidents.change(connection, replace(held, status="dismissed", trouble=""))


async def mended(desk: Desk, principal: Principal, incident: UUID | int) -> Incident:
    """A person says that the cause is mended: no ticket ends by that, each is checked on its own."""
    _staff_only(principal)
    async with desk.database.org_transaction(principal) as connection:
        held = await _held(connection, principal, incident)
        if held.status != "open":
            raise Conflict(
                f"Incident {held.number} is {held.status}; only an open one, without a runbook under way, can be called mended.",
                code="incident_not_open",
            )
        await facts.record(connection, principal, "incident.mended", incident_id=str(held.id), by="person")
        return await incidents.change(connection, replace(held, status="mended", mended_at=desk.clock(), trouble=""))


async def start_fix(
    desk: Desk, principal: Principal, incident: UUID | int, *, runbook: str, slots: Mapping[str, str] | None = None
) -> Incident:
    """Start a runbook on the cause; it acts as its autonomy allows. Raises `Conflict(incident_not_open | fix_not_started)`."""
    _staff_only(principal)
    if problems := unstorable(dict(slots or {}), "slots"):
        raise Invalid(f"{problems[0].field} {problems[0].problem}.", code="bad_incident", fields=tuple(problems))
    engine = await desk.engine_of(principal.org_id)
    async with desk.database.org_transaction(principal) as connection:
        held = await _held(connection, principal, incident)
        if held.status != "open":
            raise Conflict(
                f"Incident {held.number} is {held.status}; a runbook is started on an open one.",
                code="incident_not_open",
            )
        started = await keeping.start_fix(
            desk,
            connection,
            engine,
            held,
            name=runbook,
            given=dict(slots if slots is not None else held.slots),
            initiator=principal.user_id,
        )
        if started.status != "fixing":
            raise Conflict(started.trouble, code="fix_not_started")
        return started


async def tell_all(desk: Desk, principal: Principal, incident: UUID | int, content: str) -> int:
    """Have every client of the incident told this once; returns the update's number."""
    _staff_only(principal)
    text = content.strip()
    if not text or len(text) > MOST_TEXT or unstorable(text, "content"):
        raise _refused("content", f"must be 1 to {MOST_TEXT} characters that can be stored")
    async with desk.database.org_transaction(principal) as connection:
        held = await _held(connection, principal, incident)
        if held.status not in TELLING:
            raise Conflict(
                f"Incident {held.number} is {held.status}: its clients have not been told of it.",
                code="incident_not_open",
            )
        number = await incidents.add_update(connection, held, text, author=principal.user_id, at=desk.clock())
        await facts.record(connection, principal, "incident.updated", incident_id=str(held.id), update=number)
        return number


async def _name(
    desk: Desk, connection: Connection, principal: Principal, incident: Incident, ticket_ids: Sequence[UUID]
) -> Incident:
    key = named_key(incident.id)
    for ticket_id in dict.fromkeys(ticket_ids):
        ticket = await tickets.find(connection, principal.org_id, ticket_id)
        await incidents.sign(
            connection, principal.org_id, ticket.id, key, client_key=client_key(ticket), run_id=None, at=desk.clock()
        )
    if not ticket_ids or key in incident.keys:
        return incident
    return await incidents.change(connection, replace(incident, keys=(*incident.keys, key)))


async def _find(connection: Connection, principal: Principal, incident: UUID | int) -> Incident:
    if isinstance(incident, int):
        return await incidents.find_by_number(connection, principal.org_id, incident)
    return await incidents.find(connection, principal.org_id, incident)


async def _held(connection: Connection, principal: Principal, incident: UUID | int) -> Incident:
    found = await _find(connection, principal, incident)
    held = await incidents.find_for_update(connection, principal.org_id, found.id)
    if held.ended_at is not None or held.status == "dismissed":
        raise Conflict(f"Incident {held.number} has ended ({held.status}); open a new one.", code="incident_ended")
    return held


def _check(wanted: Wanted, intents: Collection[str]) -> None:
    problems = []
    for name, most in (("title", 200), ("known", MOST_TEXT)):
        value = getattr(wanted, name)
        problems += unstorable(value, name)
        if len(value) > most:
            problems.append(FieldProblem(name, f"is longer than {most} characters"))
    if not wanted.title.strip():
        problems.append(FieldProblem("title", "must say what is wrong"))
    if wanted.intent and wanted.intent not in intents:
        problems.append(FieldProblem("intent", "is not one of the intents that triage knows (asoe triage shows one)"))
    if not wanted.intent and not wanted.runbook and not wanted.ticket_ids:
        problems.append(FieldProblem("intent", "say which tickets belong to it: an intent, a runbook or tickets"))
    if len(wanted.ticket_ids) > MOST_NAMED:
        problems.append(FieldProblem("ticket_ids", f"holds more than {MOST_NAMED}"))
    problems += unstorable(dict(wanted.slots or {}), "slots")
    if problems:
        listed = "; ".join(f"{problem.field}: {problem.problem}" for problem in problems)
        raise Invalid(f"This makes no incident: {listed}.", code="bad_incident", fields=tuple(problems))


def _refused(name: str, problem: str) -> Invalid:
    return Invalid(f"{name} {problem}.", code="bad_incident", fields=(FieldProblem(name, problem),))


def _staff_only(principal: Principal) -> None:
    if principal.is_client:
        raise Denied("Incidents are for the organization's staff.", code="staff_only")


def describe(incident: Incident) -> Mapping[str, Any]:
    """What its tickets have in common, in words people read."""
    place = incident.place
    shown = [key.partition(":")[2] for key in incident.keys if key.startswith("intent:")]
    check = f"{place['connector']}.{place['action']}" if place else ""
    arguments = ", ".join(f"{name}={value}" for name, value in (place.get("arguments") or {}).items()) if place else ""
    return {"intents": shown, "check": check, "arguments": arguments}
