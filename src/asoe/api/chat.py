"""Routes of the chat: how a client of the widget begins, and what it does. Its own way in is `widget_door`."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Final
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Depends, File, Header, Path, UploadFile
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from asoe.api import answers, encoding
from asoe.api.attachments import as_download, file_request
from asoe.api.door import Call, Door, call_of, gate_of
from asoe.api.encoding import page, reply
from asoe.api.live import read_cursor
from asoe.api.schemas import MessageOfClient, OpenIn, PersonIn, RatingIn, StartIn, WritingIn
from asoe.api.stream import event_stream
from asoe.api.widget_door import Front, too_often
from asoe.desk import chat, client_identity
from asoe.desk.chat import Conversation
from asoe.desk.client_identity import Admission
from asoe.desk.wording import spoken, without_question
from asoe.domain.errors import AsoeError
from asoe.domain.organization import Principal
from asoe.domain.session import Message, Session
from asoe.store.attachments import Attachment
from asoe.store.widgets import Glance


def _of(org: Annotated[str, Path(max_length=100, description="Slug or id of the organization.")]) -> None:
    """Named in the path; the door has read it."""
    del org


router = APIRouter(route_class=Door, tags=["chat"], dependencies=[Depends(_of)])
_ORG: Final = "/api/widget/{org}"
_ALL: Final = _ORG + "/conversations"
_ONE: Final = _ALL + "/{conversation_id}"


@router.post(_ORG + "/start", response_model=answers.StartOut)
async def start(request: Request, body: StartIn | None = None) -> Response:
    """Begin: a client token for an identity signed by the organization, or for a visitor, and how the widget looks."""
    gate = gate_of(request)
    allowance = gate.fronts.addresses.hit(request.client.host if request.client else "")
    if allowance.is_spent:
        raise too_often(allowance)
    front = await gate.fronts.shown(request.path_params["org"])
    given = body or StartIn()
    admitted = await client_identity.admit(
        gate.desk, front.engine, front.widget, identity=given.identity, visitor_key=given.visitor
    )
    return reply(
        {**_admission(admitted), "name": admitted.name, "look": _look(front, gate.settings.max_attachment_bytes)}
    )


@router.post(_ORG + "/renew", response_model=answers.AdmissionOut)
async def renew(request: Request) -> Response:
    """A further token while the client's proof is fresh (12 hours)."""
    call = call_of(request)
    return reply(_admission(client_identity.renew(call.desk, call.visitor[1])))


@router.get(_ALL, response_model=answers.GlancePage)
async def list_conversations(request: Request) -> Response:
    """The client's own, newest first, at most 30."""
    call = call_of(request)
    _, client = call.visitor
    return reply(page([_glance(each) for each in await chat.conversations(call.desk, call.principal, client)], None))


@router.post(_ALL, status_code=201, response_model=answers.ConversationOut)
async def open_conversation(request: Request, body: OpenIn) -> Response:
    """Open a ticket with the client's words."""
    call = call_of(request)
    front, client = call.visitor
    if client.visitor is not None:
        allowance = call.gate.fronts.opens.hit(request.client.host if request.client else "")
        if allowance.is_spent:
            raise too_often(allowance)
    opened = await chat.open_conversation(
        call.acting, call.principal, client, body.text, page=body.page, wants_person=body.wants_person
    )
    return reply(_conversation(opened, front), 201)


@router.get(_ONE, response_model=answers.ConversationOut)
async def get_conversation(request: Request, conversation_id: UUID) -> Response:
    """What was said that is meant for the client, with sources, steps and files."""
    call = call_of(request)
    front, client = call.visitor
    found = await chat.read_conversation(call.desk, call.principal, client, conversation_id)
    return reply(_conversation(found, front))


@router.post(_ONE + "/messages", status_code=201, response_model=answers.ChatMessageOut)
async def write_message(request: Request, conversation_id: UUID, body: MessageOfClient) -> Response:
    call = call_of(request)
    front, client = call.visitor
    added = await chat.add_message(
        call.desk,
        call.principal,
        client,
        conversation_id,
        body.text,
        remember=call.remember(lambda made: _message(made, front)),
    )
    return reply(_message(added, front), 201)


@router.post(_ONE + "/writing", status_code=204, response_class=Response)
async def tell_writing(request: Request, conversation_id: UUID, body: WritingIn) -> Response:
    """Say that the client writes, again every ten seconds, or has stopped; the words stay in the browser until they are sent."""
    call = call_of(request)
    _, client = call.visitor
    await chat.tell_writing(call.desk, call.principal, client, conversation_id, is_writing=body.is_writing)
    return Response(status_code=204)


@router.post(_ONE + "/rating", status_code=201, response_model=answers.ChatMessageOut)
async def rate_answer(request: Request, conversation_id: UUID, body: RatingIn) -> Response:
    """Did the last answer help? Yes ends it as verified by the client's word; no asks for the next, or a person."""
    call = call_of(request)
    front, client = call.visitor
    added = await chat.rate(
        call.desk,
        call.principal,
        client,
        conversation_id,
        helped=body.helped,
        language=_language(front, body.language),
        remember=call.remember(lambda made: _message(made, front)),
    )
    return reply(_message(added, front), 201)


@router.post(_ONE + "/person", status_code=201, response_model=answers.ChatMessageOut)
async def ask_for_person(request: Request, conversation_id: UUID, body: PersonIn | None = None) -> Response:
    """A person gets the conversation."""
    call = call_of(request)
    front, client = call.visitor
    added = await chat.ask_for_person(
        call.desk,
        call.principal,
        client,
        conversation_id,
        language=_language(front, body.language if body else None),
        remember=call.remember(lambda made: _message(made, front)),
    )
    return reply(_message(added, front), 201)


@router.post(
    _ONE + "/files",
    status_code=201,
    response_model=answers.ChatFileOut,
    form_limits={"max_files": 1, "max_fields": 1, "max_part_size": 1024},
)
async def add_file(
    request: Request,
    *,
    conversation_id: UUID,
    file: Annotated[UploadFile, File(description="At most 25 MB.")],
) -> Response:
    """Attach a file (multipart/form-data)."""
    call = call_of(request)
    _, client = call.visitor
    content = await file.read()
    name, media_type = file.filename or "file", file.content_type or "application/octet-stream"
    if call.once is not None:
        call.once.request = file_request(request, name, media_type, content)
    added = await chat.attach(
        call.desk,
        call.principal,
        client,
        conversation_id,
        name=name,
        media_type=media_type,
        content=content,
        remember=call.remember(lambda made: _file(made, call.principal.user_id)),
    )
    return reply(_file(added, call.principal.user_id), 201)


@router.get(
    _ONE + "/files/{file_id}",
    response_class=Response,
    responses={
        200: {
            "description": "The file",
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def get_file(request: Request, conversation_id: UUID, file_id: UUID) -> Response:
    """The file as a download, whatever it claims to be."""
    call = call_of(request)
    _, client = call.visitor
    found, content = await chat.read_file(call.desk, call.principal, client, conversation_id, file_id)
    return as_download(found, content)


@router.get(
    _ONE + "/events",
    response_class=StreamingResponse,
    responses={
        200: {"description": "Server-sent events", "content": {"text/event-stream": {"schema": {"type": "string"}}}}
    },
)
async def follow_conversation(
    request: Request,
    conversation_id: UUID,
    last_event_id: Annotated[str | None, Header(max_length=64)] = None,
) -> Response:
    """Events `changed`, and `presence` when the team begins or ends writing, with `{kind}`: read the conversation again.

    `Last-Event-ID` resumes; a comment every 15 s.
    """
    call = call_of(request)
    _, client = call.visitor
    found = await chat.read_conversation(call.desk, call.principal, client, conversation_id)
    # who views is the client, never a principal of the database: the hub only counts and filters by it
    viewing = Principal(client.id, client.org_id, "client")
    following = Session(found.session_id, found.id, "ai", resolved=False, created_at=found.created_at)
    return await event_stream(
        call.gate.hub.viewing(viewing, following, after=read_cursor(last_event_id), team_writes=found.team_writes),
        gauge=call.gate.metrics.viewers,
        data=lambda change: {"kind": change.kind},
        may_still=partial(_may_still, request, call, found.id),
    )


async def _may_still(request: Request, call: Call, conversation_id: UUID) -> bool:
    try:
        front, client, _ = await call.gate.fronts.admit(request)
        await chat.read_conversation(call.desk, front.engine, client, conversation_id)
    except AsoeError:
        return False
    return True


def _language(front: Front, wanted: str | None) -> str:
    return spoken(wanted or front.language, default="en")


def _admission(admitted: Admission) -> dict[str, Any]:
    return {
        "client": admitted.client.id,
        "token": admitted.token,
        "expires_at": admitted.client.expires_at,
        "visitor": admitted.visitor_key,
    }


def _look(front: Front, max_file_bytes: int) -> dict[str, Any]:
    widget = front.widget
    return {
        "organization": front.name,
        "language": front.language,
        "theme": widget.theme,
        "accent": widget.accent,
        "greetings": dict(widget.greetings),
        "help": f"/help/{quote(front.slug)}" if widget.shows_help else None,
        "max_file_bytes": max_file_bytes,
    }


def _glance(value: Glance) -> dict[str, Any]:
    return {
        "id": value.id,
        "number": value.number,
        "title": value.subject or value.opening,
        "state": chat.state_of(value),
        "last": {"role": value.role, "text": value.last} if value.last is not None else None,
        "created_at": value.created_at,
        "updated_at": value.said_at or value.updated_at,
    }


def _conversation(value: Conversation, front: Front) -> dict[str, Any]:
    return {
        "id": value.id,
        "number": value.number,
        "state": value.state,
        "language": value.language,
        "may_rate": value.may_rate,
        "may_answer": list(value.may_answer),
        "team_writes": value.team_writes,
        "created_at": value.created_at,
        "updated_at": value.updated_at,
        "messages": [_message(each, front) for each in value.messages],
        "files": [_file(each, value.engine_id) for each in value.files],
    }


def _message(value: Message, front: Front) -> dict[str, Any]:
    return {
        **encoding.message(value),
        "content": without_question(value.content) if value.role == "assistant" else value.content,
        "citations": [_citation(each, front) for each in value.data.get("citations", ())],
        "steps": [str(each) for each in value.data.get("steps", ())],
    }


def _citation(stored: dict[str, Any], front: Front) -> dict[str, Any]:
    slug = str(stored.get("slug", ""))
    return {
        "title": str(stored.get("title", "")),
        "heading": str(stored.get("heading", "")),
        "quote": str(stored.get("quote", "")),
        "url": f"/help/{quote(front.slug)}/{quote(slug)}" if front.widget.shows_help and slug else None,
    }


def _file(value: Attachment, engine_id: UUID) -> dict[str, Any]:
    return {
        "id": value.id,
        "name": value.name,
        "size": value.size,
        "is_own": value.created_by == engine_id,
        "created_at": value.created_at,
    }
