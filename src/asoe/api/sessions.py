"""Routes on sessions: start, read, write, resolve, take over, hand back, and follow live."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Header, Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from asoe.api import answers, encoding
from asoe.api.door import Call, Door, call_of
from asoe.api.encoding import reply
from asoe.api.live import Change, read_cursor
from asoe.api.schemas import MessageIn, SessionIn
from asoe.api.stream import event_stream
from asoe.desk import session
from asoe.domain.errors import AsoeError

router = APIRouter(route_class=Door, tags=["sessions"])
_ONE: Final = "/api/support/session/{session_id}"
_MAX_SEQ: Final = 2**31 - 1


@router.post("/api/support/message/{session_id}", status_code=201, response_model=answers.MessageOut)
async def add_message(request: Request, session_id: UUID, body: MessageIn) -> Response:
    """Clients, and keys for contacts, write as user; staff as agent; only the engine as assistant and system."""
    call = call_of(request)
    added = await session.add_message(
        call.desk,
        call.principal,
        session_id,
        body.role,
        body.content,
        seen_seq=body.seen_seq,
        is_relayed=body.relayed,
        remember=call.remember(encoding.message),
    )
    return reply(encoding.message(added), 201)


@router.post("/api/support/session/{ticket_id}", status_code=201, response_model=answers.SessionOut)
async def start_session(request: Request, ticket_id: UUID, body: SessionIn | None = None) -> Response:
    """A further session on a ticket; each ticket has one from the start."""
    call = call_of(request)
    kind = body.assistant_type if body else "ai"
    return reply(encoding.session(await session.start_session(call.acting, call.principal, ticket_id, kind)), 201)


@router.get(_ONE, response_model=answers.SessionWithMessages)
async def get_session(
    request: Request, session_id: UUID, after_seq: Annotated[int, Query(ge=0, le=_MAX_SEQ)] = 0
) -> Response:
    """The session with its messages behind `after_seq`, at most 500."""
    call = call_of(request)
    found, said = await session.read_session(call.desk, call.principal, session_id, after_seq=after_seq)
    messages = [encoding.message_in_session(message, call.principal) for message in said]
    return reply({**encoding.session(found), "messages": messages})


@router.post(_ONE + "/resolve", response_model=answers.SessionOut)
async def resolve_session(request: Request, session_id: UUID) -> Response:
    """By the client: a confirmation. By staff: resolved, unverified."""
    call = call_of(request)
    return reply(encoding.session(await session.resolve_session(call.acting, call.principal, session_id)))


@router.post(_ONE + "/take-over", response_model=answers.SessionOut)
async def take_over(request: Request, session_id: UUID) -> Response:
    """The engine is quiet from now on."""
    call = call_of(request)
    return reply(encoding.session(await session.take_over(call.acting, call.principal, session_id)))


@router.post(_ONE + "/hand-back", response_model=answers.SessionOut)
async def hand_back(request: Request, session_id: UUID) -> Response:
    """The engine looks at the ticket anew."""
    call = call_of(request)
    return reply(encoding.session(await session.hand_back(call.acting, call.principal, session_id)))


@router.get(
    _ONE + "/events",
    response_class=StreamingResponse,
    responses={
        200: {"description": "Server-sent events", "content": {"text/event-stream": {"schema": {"type": "string"}}}}
    },
)
async def follow_session(
    request: Request, session_id: UUID, last_event_id: Annotated[str | None, Header(max_length=64)] = None
) -> Response:
    """Events `changed` with `{kind, seq?}`: read the session again. `Last-Event-ID` resumes; a comment every 15 s.

    Staff also hears `presence`: somebody came to the ticket, went, or began to write.
    """
    call = call_of(request)
    found, _ = await session.read_session(call.desk, call.principal, session_id, after_seq=_MAX_SEQ)

    def told(change: Change) -> dict[str, object]:
        return {"kind": change.kind} if change.seq is None else {"kind": change.kind, "seq": change.seq}

    viewing = call.gate.hub.viewing(call.principal, found, after=read_cursor(last_event_id))
    may_still = partial(_may_still, request, call, found.id)
    return await event_stream(viewing, gauge=call.gate.metrics.viewers, data=told, may_still=may_still)


async def _may_still(request: Request, call: Call, session_id: UUID) -> bool:
    try:
        principal = await call.gate.authenticator.authenticate(request.headers)
        await session.read_session(call.desk, principal, session_id, after_seq=_MAX_SEQ)
    except AsoeError:
        return False
    return principal.role == call.principal.role
