"""Routes on incidents: many tickets with one cause, what clients were told, what mends it and what became of each ticket."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from asoe.api.answers import Answer
from asoe.api.door import Door, call_of
from asoe.api.encoding import page, reply
from asoe.api.schemas import Body
from asoe.desk.incident import handling
from asoe.desk.incident.handling import Seen, Wanted
from asoe.domain.facts import Fact
from asoe.domain.incident import Incident
from asoe.store.incidents import Counts, Linked, Part

router = APIRouter(route_class=Door, tags=["incidents"])
_Status = Literal["suspected", "open", "fixing", "mended", "closed", "dismissed"]
_Outcome = Literal["mended", "broken", "left"]
_Title = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
_Text = Annotated[str, StringConstraints(max_length=handling.MOST_TEXT)]
_Name = Annotated[str, StringConstraints(max_length=100)]
_Slots = Annotated[dict[_Name, Annotated[str, StringConstraints(max_length=500)]], Field(max_length=50)]


class IncidentIn(Body):
    """Tickets belong to it by `intent`, by `runbook` (whose runs fail), or by being named."""

    title: _Title
    intent: _Name = ""
    runbook: _Name = ""
    ticket_ids: Annotated[list[UUID], Field(max_length=handling.MOST_NAMED, default_factory=list)]
    known: _Text = Field("", description="What clients are told; empty: the engine's own words in their language.")
    is_suspected: bool = Field(False, description="Nobody is told before it is confirmed.")


class IncidentChange(Body):
    title: _Title | None = None
    known: _Text | None = None


class NamedIn(Body):
    ticket_ids: Annotated[list[UUID], Field(min_length=1, max_length=handling.MOST_NAMED)]


class FixIn(Body):
    runbook: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    slots: _Slots | None = Field(None, description="Without it: the values the incident holds.")


class UpdateIn(Body):
    content: Annotated[str, StringConstraints(min_length=1, max_length=handling.MOST_TEXT)]


class IncidentCounts(Answer):
    """`told`: clients who heard what is known, once each; `gone`: tickets that ended in another way."""

    tickets: int
    clients: int
    mended: int
    broken: int
    gone: int
    waiting: int
    told: int


class IncidentOut(Answer):
    """`trouble`: why it does not go on by itself; `check` and `arguments`: the failed check that names the place."""

    id: UUID
    number: int
    title: str
    source: Literal["person", "checks", "alert", "spike"]
    status: _Status
    intents: list[str]
    check: str
    arguments: str
    known: str
    fix: str
    slots: dict[str, Any]
    run_id: UUID | None
    trouble: str
    opened_by: UUID | None
    opened_at: datetime
    confirmed_at: datetime | None
    mended_at: datetime | None
    ended_at: datetime | None
    counts: IncidentCounts


class IncidentPage(Answer):
    items: list[IncidentOut]
    next_cursor: str | None


class UpdateOut(Answer):
    number: int
    content: str
    author: UUID | None
    at: datetime


class IncidentFact(Answer):
    id: int
    kind: str
    at: datetime
    actor: UUID | None
    data: dict[str, Any]


class AlertOut(Answer):
    fingerprint: str
    is_firing: bool
    starts_at: datetime
    ends_at: datetime | None
    title: str
    labels: dict[str, str]


class WholeIncident(IncidentOut):
    updates: list[UpdateOut]
    timeline: list[IncidentFact]
    alerts: list[AlertOut]


class IncidentTicket(Answer):
    """`outcome` null: not settled; `reason`: why it is broken, or how it left."""

    ticket_id: UUID
    number: int
    subject: str
    status: str
    because: str
    linked_at: datetime
    told_at: datetime | None
    outcome: _Outcome | None
    reason: str
    run_id: UUID | None
    settled_at: datetime | None


class IncidentTickets(Answer):
    items: list[IncidentTicket]
    next_cursor: str | None


class PartOut(Answer):
    id: UUID
    number: int
    title: str
    status: _Status
    outcome: _Outcome | None
    reason: str
    linked_at: datetime


class PartPage(Answer):
    items: list[PartOut]


class UpdateMade(Answer):
    number: int


_ONE = "/api/support/incidents/{incident_id}"


@router.get("/api/support/incidents", response_model=IncidentPage)
async def list_incidents(
    request: Request,
    status: Annotated[list[_Status] | None, Query()] = None,
    cursor: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> Response:
    """Incidents, newest first."""
    call = call_of(request)
    found = await handling.list_incidents(call.desk, call.principal, statuses=status, before=cursor, limit=limit)
    following = str(found[-1].incident.number) if len(found) == limit else None
    return reply(page([shown(each) for each in found], following))


@router.post("/api/support/incidents", response_model=IncidentOut, status_code=201)
async def open_incident(request: Request, body: IncidentIn) -> Response:
    """Open one. Clients of its tickets are told what is known, once each, unless it is only suspected."""
    call = call_of(request)
    wanted = Wanted(**{**body.model_dump(), "ticket_ids": tuple(body.ticket_ids)})
    return reply(_alone(await handling.open_incident(call.acting, call.principal, wanted)), 201)


@router.get(_ONE, response_model=WholeIncident)
async def read_incident(request: Request, incident_id: UUID) -> Response:
    """One incident with what was said to its clients and what happened to it."""
    call = call_of(request)
    found = await handling.read_incident(call.desk, call.principal, incident_id)
    whole = shown(Seen(found.incident, found.counts))
    whole |= {"updates": found.updates, "timeline": [_fact(fact) for fact in found.timeline], "alerts": found.alerts}
    return reply(whole)


@router.patch(_ONE, response_model=IncidentOut)
async def change_incident(request: Request, incident_id: UUID, body: IncidentChange) -> Response:
    """Another title, or other words for clients who have not been told yet."""
    call = call_of(request)
    changed = await handling.change_incident(
        call.acting, call.principal, incident_id, title=body.title, known=body.known
    )
    return reply(_alone(changed))


@router.get(_ONE + "/tickets", response_model=IncidentTickets)
async def list_tickets(
    request: Request,
    incident_id: UUID,
    cursor: UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 100,
) -> Response:
    """Its tickets, newest first, with what became of each."""
    call = call_of(request)
    found = await handling.list_tickets(call.desk, call.principal, incident_id, after=cursor, limit=limit)
    return reply(page([_linked(each) for each in found], found[-1].ticket_id if len(found) == limit else None))


@router.post(_ONE + "/tickets", response_model=IncidentOut)
async def name_tickets(request: Request, incident_id: UUID, body: NamedIn) -> Response:
    """Have these tickets taken in, each as soon as nobody else is at it."""
    call = call_of(request)
    return reply(_alone(await handling.name_tickets(call.acting, call.principal, incident_id, body.ticket_ids)))


@router.post(_ONE + "/confirm", response_model=IncidentOut)
async def confirm(request: Request, incident_id: UUID) -> Response:
    """A suspected one is an incident: clients are told from now on."""
    call = call_of(request)
    return reply(_alone(await handling.confirm(call.acting, call.principal, incident_id)))


@router.post(_ONE + "/dismiss", response_model=IncidentOut)
async def dismiss(request: Request, incident_id: UUID) -> Response:
    """It was none: tickets that waited for it go to people."""
    call = call_of(request)
    return reply(_alone(await handling.dismiss(call.acting, call.principal, incident_id)))


@router.post(_ONE + "/fix", response_model=IncidentOut)
async def start_fix(request: Request, incident_id: UUID, body: FixIn) -> Response:
    """Start a runbook on the cause; it acts, asks for approval or stops as its autonomy says."""
    call = call_of(request)
    started = await handling.start_fix(call.acting, call.principal, incident_id, runbook=body.runbook, slots=body.slots)
    return reply(_alone(started))


@router.post(_ONE + "/mended", response_model=IncidentOut)
async def mended(request: Request, incident_id: UUID) -> Response:
    """Say that the cause is mended: each ticket is then checked on its own, none ends by your word."""
    call = call_of(request)
    return reply(_alone(await handling.mended(call.acting, call.principal, incident_id)))


@router.post(_ONE + "/updates", response_model=UpdateMade, status_code=201)
async def tell_all(request: Request, incident_id: UUID, body: UpdateIn) -> Response:
    """Have every client of the incident told this, once each."""
    call = call_of(request)
    number = await handling.tell_all(call.acting, call.principal, incident_id, body.content)
    return reply({"number": number}, 201)


@router.get("/api/support/ticket/{ticket_id}/incidents", response_model=PartPage)
async def incidents_of_ticket(request: Request, ticket_id: UUID) -> Response:
    """The incidents that a ticket is or was part of, newest first."""
    call = call_of(request)
    found = await handling.of_ticket(call.desk, call.principal, ticket_id)
    return reply({"items": [_part(each) for each in found]})


def shown(seen: Seen) -> dict[str, Any]:
    """An incident as the API and the command line show it."""
    value = seen.incident
    return {
        "id": value.id,
        "number": value.number,
        "title": value.title,
        "source": value.source,
        "status": value.status,
        **handling.describe(value),
        "known": value.known,
        "fix": value.fix,
        "slots": dict(value.slots),
        "run_id": value.run_id,
        "trouble": value.trouble,
        "opened_by": value.opened_by,
        "opened_at": value.opened_at,
        "confirmed_at": value.confirmed_at,
        "mended_at": value.mended_at,
        "ended_at": value.ended_at,
        "counts": _counts(seen.counts),
    }


def _alone(value: Incident) -> dict[str, Any]:
    return shown(Seen(value, Counts()))


def _counts(value: Counts) -> dict[str, int]:
    return {name: getattr(value, name) for name in Counts.__slots__}


def _linked(value: Linked) -> dict[str, Any]:
    names = (name for name in Linked.__slots__ if name not in {"client_key", "because"})
    return {**{name: getattr(value, name) for name in names}, "because": value.because.partition(":")[0]}


def _part(value: Part) -> dict[str, Any]:
    return {name: getattr(value, name) for name in Part.__slots__}


def _fact(fact: Fact) -> dict[str, Any]:
    return {"id": fact.id, "kind": fact.kind, "at": fact.at, "actor": fact.actor, "data": fact.data}
