"""Routes on the organization's own intents: the team sees them, owners and admins keep them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from asoe.api.answers import Answer
from asoe.api.door import Door, call_of
from asoe.api.encoding import reply
from asoe.api.schemas import Body
from asoe.desk import intent
from asoe.domain.intent import MOST_DESCRIPTION, MOST_EXAMPLE, MOST_EXAMPLES, MOST_TITLE, OwnIntent
from asoe.domain.triage import CATEGORY_INTENTS

router = APIRouter(route_class=Door, tags=["intents"])
_ALL = "/api/intents"
Title = Annotated[str, Field(min_length=1, max_length=MOST_TITLE)]
Description = Annotated[str, Field(max_length=MOST_DESCRIPTION)]
Examples = Annotated[list[Annotated[str, Field(max_length=MOST_EXAMPLE)]], Field(max_length=MOST_EXAMPLES)]


class IntentIn(Body):
    """`title`, `description` and `examples` are what triage goes by before anybody has corrected a ticket."""

    name: Annotated[str, Field(min_length=2, max_length=63)]
    category: Annotated[str, Field(max_length=50)]
    title: Title
    description: Description = ""
    examples: Examples = Field(default_factory=list)


class IntentChange(Body):
    """What is left out stays; `is_retired` true: triage finds it no more, false: again."""

    title: Title | None = None
    description: Description | None = None
    examples: Examples | None = None
    is_retired: bool | None = None


class IntentOut(Answer):
    """`retired_at` null: in use."""

    name: str
    category: str
    title: str
    description: str
    examples: list[str]
    created_at: datetime
    updated_at: datetime
    retired_at: datetime | None


class IntentPage(Answer):
    """`items` are the organization's own; `shared` are everybody's, by category."""

    items: list[IntentOut]
    shared: dict[str, list[str]]


@router.get(_ALL, response_model=IntentPage)
async def list_intents(
    request: Request, *, with_retired: Annotated[bool, Query(description="Those retired, too.")] = False
) -> Response:
    """By category and name, retired ones last."""
    call = call_of(request)
    found = await intent.list_intents(call.desk, call.principal, with_retired=with_retired)
    shared = {category: list(names) for category, names in CATEGORY_INTENTS.items()}
    return reply({"items": [_shown(each) for each in found], "shared": shared})


@router.post(_ALL, response_model=IntentOut, status_code=201)
async def add_intent(request: Request, body: IntentIn) -> Response:
    """Triage finds tickets of it from now on; name and category stay for good."""
    call = call_of(request)
    made = await intent.add_intent(
        call.acting,
        call.principal,
        body.name,
        category=body.category,
        title=body.title,
        description=body.description,
        examples=body.examples,
    )
    return reply(_shown(made), 201)


@router.patch(_ALL + "/{name}", response_model=IntentOut)
async def change_intent(request: Request, name: str, body: IntentChange) -> Response:
    """Change its words, retire it, or put it to use again."""
    call = call_of(request)
    made = await intent.edit_intent(
        call.acting,
        call.principal,
        name,
        title=body.title,
        description=body.description,
        examples=body.examples,
    )
    if body.is_retired is not None:
        made = await intent.retire_intent(call.acting, call.principal, name, is_retired=body.is_retired)
    return reply(_shown(made))


def _shown(found: OwnIntent) -> dict[str, object]:
    return {name: value for name, value in asdict(found).items() if name != "id"}
