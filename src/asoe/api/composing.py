"""Routes for people who write to clients: canned replies, drafts, and who else is on a ticket just now."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from asoe.api.answers import Answer
from asoe.api.door import Door, call_of
from asoe.api.encoding import reply
from asoe.api.schemas import Body
from asoe.desk import canned_reply, draft, presence
from asoe.domain.canned_reply import LONGEST

router = APIRouter(route_class=Door, tags=["composing"])
_TICKET = "/api/support/ticket/{ticket_id}"
_REPLIES = "/api/support/canned-replies"


class CannedReplyIn(Body):
    name: Annotated[str, Field(min_length=1, max_length=63)]
    title: Annotated[str, Field(min_length=1, max_length=200)]
    body: Annotated[str, Field(min_length=1, max_length=LONGEST)]
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")] | None = None


class CannedReplyOut(Answer):
    """`language` null: for every ticket."""

    id: UUID
    name: str
    title: str
    body: str
    language: str | None
    created_at: datetime
    updated_at: datetime


class CannedReplyPage(Answer):
    items: list[CannedReplyOut]


class FilledOut(Answer):
    content: str


class DraftCitation(Answer):
    article_id: str
    slug: str
    title: str
    heading: str
    quote: str


class DraftOut(Answer):
    """`confidence` is how well the sources support it, 0 to 1."""

    content: str
    language: str
    citations: list[DraftCitation]
    confidence: float


class PresenceIn(Body):
    state: Literal["viewing", "noting", "writing", "left"] = Field(description="Clients learn of `writing` only.")


class PresentOut(Answer):
    user_id: UUID
    name: str
    state: Literal["viewing", "noting", "writing"]
    since: datetime


class CompanyOut(Answer):
    """`collides`: somebody else writes to the client while you do. `client_writes`: the client is writing in the chat."""

    others: list[PresentOut]
    collides: bool
    client_writes: bool


@router.get(_REPLIES, response_model=CannedReplyPage)
async def list_canned_replies(
    request: Request, language: Annotated[str | None, Query(pattern=r"^[a-z]{2,3}$")] = None
) -> Response:
    """By title; with a language only those for it and for every language."""
    call = call_of(request)
    found = await canned_reply.list_replies(call.desk, call.principal, language=language)
    return reply({"items": [asdict(each) for each in found]})


@router.post(_REPLIES, response_model=CannedReplyOut)
async def put_canned_reply(request: Request, body: CannedReplyIn) -> Response:
    """Add it, or replace the one of this name. Variables stand in `{{ }}`; docs/hybrid.md lists them."""
    call = call_of(request)
    made = await canned_reply.put_reply(
        call.acting, call.principal, body.name, title=body.title, body=body.body, language=body.language
    )
    return reply(asdict(made))


@router.delete(_REPLIES + "/{name}", status_code=204, response_class=Response)
async def remove_canned_reply(request: Request, name: str) -> Response:
    call = call_of(request)
    await canned_reply.remove_reply(call.desk, call.principal, name)
    return Response(status_code=204)


@router.get(_TICKET + "/canned-replies/{name}", response_model=FilledOut)
async def fill_canned_reply(request: Request, ticket_id: UUID, name: str) -> Response:
    """The text with this ticket's and caller's values; nothing is sent."""
    call = call_of(request)
    return reply({"content": await canned_reply.fill_in(call.desk, call.principal, ticket_id, name)})


@router.post(_TICKET + "/draft", response_model=DraftOut)
async def draft_reply(request: Request, ticket_id: UUID) -> Response:
    """What the engine would answer, with its sources, also while it is quiet. Nothing is sent or kept."""
    call = call_of(request)
    return reply(asdict(await draft.draft_reply(call.acting, call.principal, ticket_id)))


@router.post(_TICKET + "/presence", response_model=CompanyOut)
async def be_present(request: Request, ticket_id: UUID, body: PresenceIn) -> Response:
    """Say every ten seconds that you look or write, and hear who else does."""
    call = call_of(request)
    return reply(asdict(await presence.be_present(call.acting, call.principal, ticket_id, body.state)))
