"""Routes on tickets: open, list, read, change, move, merge, link, and what staff see beside them."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from asoe.api import answers, encoding
from asoe.api.door import Door, call_of
from asoe.api.encoding import page, reply
from asoe.api.schemas import (
    AssignIn,
    CloseIn,
    LinkIn,
    MergeIn,
    MoveIn,
    NoteIn,
    SpamIn,
    TicketChange,
    TicketIn,
    TicketQuery,
)
from asoe.desk import insight, intake, recorded_trace, session, ticket
from asoe.desk.intake import NewContact, NewTicket
from asoe.domain.errors import Denied
from asoe.store.tickets import TicketFilter

router = APIRouter(route_class=Door, tags=["tickets"])
_ONE: Final = "/api/support/ticket/{ticket_id}"
_FOR_STAFF: Final = frozenset({"team", "assignee", "is_unassigned", "tag", "is_spam"})
_MAX_NUMBER: Final = 2**63 - 1


@router.post("/api/support/ticket", status_code=201, response_model=answers.TicketOut)
async def open_ticket(request: Request, body: TicketIn) -> Response:
    """Accept a request; the answer carries its triage."""
    call = call_of(request)
    contact = body.contact
    new = NewTicket(
        subject=body.subject or "",
        body=body.body or "",
        category=body.category,
        severity=body.severity,
        metadata=body.metadata or {},
        user_id=body.user_id,
        contact=NewContact(contact.email, contact.phone, contact.external_id, contact.name) if contact else None,
        channel=body.channel,
        cc=tuple(body.cc),
        tags=tuple(body.tags),
        custom_fields=body.custom_fields or {},
        is_relayed=body.relayed,
    )
    if call.principal.is_client and (new.tags or new.custom_fields):
        raise Denied("tags, custom_fields: staff sets these; leave them away.", code="staff_only")
    opened = await intake.open_ticket(
        call.desk, call.principal, new, remember=call.remember(lambda made: encoding.ticket(made, call.principal))
    )
    return reply(encoding.ticket(opened, call.principal), 201)


@router.get("/api/support/tickets", response_model=answers.TicketPage)
async def list_tickets(request: Request, query: Annotated[TicketQuery, Query()]) -> Response:
    """Newest first; clients see their own."""
    call = call_of(request)
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in query
        if value is not None and name not in {"cursor", "limit"}
    }
    if call.principal.is_client and (wrong := sorted(_FOR_STAFF & given.keys())):
        raise Denied(f"{', '.join(wrong)}: only staff filters by these.", code="staff_only")
    wanted = TicketFilter(**given)
    found = await ticket.list_tickets(call.desk, call.principal, wanted, cursor=query.cursor, limit=query.limit)
    return reply(page([encoding.ticket(each, call.principal) for each in found.items], found.next_cursor))


@router.get("/api/support/open-tickets", response_model=answers.TicketPage)
async def get_open_tickets(request: Request, limit: Annotated[int, Query(ge=1, le=200)] = 200) -> Response:
    """Open, triaging and in_progress; most severe first by rank, then oldest."""
    call = call_of(request)
    found = await ticket.list_open(call.desk, call.principal, limit=limit)
    return reply(page([encoding.ticket(each, call.principal) for each in found], None))


@router.get("/api/support/stats", response_model=answers.StatsOut)
async def get_stats(request: Request) -> Response:
    """Counts of the organization; the rate in whole percent, the time in hours."""
    call = call_of(request)
    return reply(encoding.stats(await insight.get_stats(call.desk, call.principal)))


@router.get("/api/support/ticket/number/{number}", response_model=answers.TicketOut)
async def get_ticket_by_number(request: Request, number: Annotated[int, Path(ge=1, le=_MAX_NUMBER)]) -> Response:
    call = call_of(request)
    return reply(encoding.ticket(await ticket.read_by_number(call.desk, call.principal, number), call.principal))


@router.get(_ONE, response_model=answers.TicketOut)
async def get_ticket(request: Request, ticket_id: UUID) -> Response:
    call = call_of(request)
    return reply(encoding.ticket(await ticket.read_ticket(call.desk, call.principal, ticket_id), call.principal))


@router.patch(_ONE, response_model=answers.TicketOut)
async def change_ticket(request: Request, ticket_id: UUID, body: TicketChange) -> Response:
    """Change fields; category, severity and intent are kept as corrections that the engine learns from."""
    call = call_of(request)
    changed = await ticket.change_ticket(
        call.desk, call.principal, ticket_id, _given(body), expected_version=body.expected_version
    )
    return reply(encoding.ticket(changed, call.principal))


@router.post(_ONE + "/assign", response_model=answers.TicketOut)
async def assign_ticket(request: Request, ticket_id: UUID, body: AssignIn) -> Response:
    call = call_of(request)
    changed = await ticket.change_ticket(
        call.acting, call.principal, ticket_id, _given(body), expected_version=body.expected_version
    )
    return reply(encoding.ticket(changed, call.principal))


@router.post(_ONE + "/status", response_model=answers.TicketOut)
async def move_ticket(request: Request, ticket_id: UUID, body: MoveIn) -> Response:
    """Only along the legal moves."""
    call = call_of(request)
    moved = await ticket.move_ticket(
        call.acting, call.principal, ticket_id, body.status, expected_version=body.expected_version
    )
    return reply(encoding.ticket(moved, call.principal))


@router.post(_ONE + "/close", response_model=answers.TicketOut)
async def close_ticket(request: Request, ticket_id: UUID, body: CloseIn | None = None) -> Response:
    call = call_of(request)
    closed = await ticket.close_ticket(
        call.acting, call.principal, ticket_id, expected_version=body.expected_version if body else None
    )
    return reply(encoding.ticket(closed, call.principal))


@router.post(_ONE + "/reopen", response_model=answers.TicketOut)
async def reopen_ticket(request: Request, ticket_id: UUID) -> Response:
    call = call_of(request)
    return reply(encoding.ticket(await ticket.reopen_ticket(call.acting, call.principal, ticket_id), call.principal))


@router.post(_ONE + "/merge", response_model=answers.TicketOut)
async def merge_ticket(request: Request, ticket_id: UUID, body: MergeIn) -> Response:
    """Close this ticket as merged into another one."""
    call = call_of(request)
    merged = await ticket.merge_ticket(call.acting, call.principal, ticket_id, into=body.into)
    return reply(encoding.ticket(merged, call.principal))


@router.post(_ONE + "/link", response_model=answers.LinkPage)
async def link_ticket(request: Request, ticket_id: UUID, body: LinkIn) -> Response:
    """Link to another ticket; answers all links of this one."""
    call = call_of(request)
    await ticket.link_ticket(call.acting, call.principal, ticket_id, other_id=body.other_id, kind=body.kind)
    return reply(page(await ticket.links(call.desk, call.principal, ticket_id), None))


@router.post(_ONE + "/spam", response_model=answers.TicketOut)
async def mark_spam(request: Request, ticket_id: UUID, body: SpamIn) -> Response:
    """Mark as spam, or take that back; may block the sender."""
    call = call_of(request)
    marked = await ticket.mark_spam(
        call.acting, call.principal, ticket_id, is_spam=body.is_spam, block_sender=body.block_sender
    )
    return reply(encoding.ticket(marked, call.principal))


@router.get(_ONE + "/timeline", response_model=answers.FactPage)
async def get_timeline(
    request: Request,
    ticket_id: UUID,
    cursor: Annotated[int, Query(ge=0, le=_MAX_NUMBER)] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 200,
) -> Response:
    """The ticket's facts, oldest first."""
    call = call_of(request)
    found = await ticket.timeline(call.desk, call.principal, ticket_id, after=cursor, limit=limit)
    return reply(page([encoding.fact(each) for each in found], str(found[-1].id) if len(found) == limit else None))


@router.get(_ONE + "/runs", response_model=answers.RunPage)
async def get_runs(request: Request, ticket_id: UUID) -> Response:
    """The engine's passes over the ticket with their agent invocations, newest first."""
    call = call_of(request)
    return reply(page(await ticket.runs(call.desk, call.principal, ticket_id), None))


@router.get(_ONE + "/trace", response_model=answers.TraceOut)
async def get_trace(request: Request, ticket_id: UUID) -> Response:
    """All that is recorded of the engine's work on the ticket as spans: the body of an OTLP request, to be sent to a collector."""
    call = call_of(request)
    return reply(await recorded_trace.trace_of_ticket(call.desk, call.principal, ticket_id))


@router.get(_ONE + "/dossier", response_model=answers.EscalationOut)
async def get_dossier(request: Request, ticket_id: UUID) -> Response:
    """The newest hand-over with its dossier."""
    call = call_of(request)
    return reply(encoding.escalation(await ticket.dossier(call.desk, call.principal, ticket_id)))


@router.get(_ONE + "/links", response_model=answers.LinkPage)
async def get_links(request: Request, ticket_id: UUID) -> Response:
    call = call_of(request)
    return reply(page(await ticket.links(call.desk, call.principal, ticket_id), None))


@router.post(_ONE + "/notes", status_code=201, response_model=answers.MessageOut)
async def add_note(request: Request, ticket_id: UUID, body: NoteIn) -> Response:
    """An internal note; clients never see it."""
    call = call_of(request)
    return reply(encoding.message(await session.add_note(call.acting, call.principal, ticket_id, body.content)), 201)


def _given(body: TicketChange | AssignIn) -> dict[str, Any]:
    return {name: getattr(body, name) for name in body.model_fields_set if name != "expected_version"}
