"""Routes on wishes: what clients want and no article offers, who wants it, and what becomes of it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from asoe.api.answers import Answer
from asoe.api.door import Door, call_of
from asoe.api.encoding import reply
from asoe.api.schemas import Body
from asoe.desk import wish
from asoe.domain.wish import MAX_NOTE_CHARS, MAX_TITLE_CHARS

router = APIRouter(route_class=Door, tags=["wishes"])
_ONE: Final = "/api/wishes/{wish_number}"
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
Status = Literal["open", "planned", "shipped", "declined", "merged"]


class WishChange(Body):
    title: Annotated[str, Field(min_length=1, max_length=MAX_TITLE_CHARS)] | None = None
    status: Literal["open", "planned", "declined"] | None = None


class MergeIn(Body):
    into: Annotated[int, Field(ge=1, le=2**31 - 1, description="Number of the wish that stays.")]


class SplitIn(Body):
    ticket_ids: Annotated[list[UUID], Field(max_length=200)] = Field(
        default_factory=list,
        description="Tickets that want something else; none: a merged wish stands by itself again.",
    )


class ShipIn(Body):
    note: Annotated[str, Field(max_length=MAX_NOTE_CHARS)] = Field("", description="What supporters are told with it.")


class WishOut(Answer):
    """`clients` are counted once each, `plans` are clients by plan ("" where it is not known), `told` those who were told."""

    id: UUID
    number: int
    title: str
    words: str
    language: str
    status: Status
    merged_into: int | None
    note: str
    created_at: datetime
    shipped_at: datetime | None
    clients: int
    tickets: int
    told: int
    plans: dict[str, int]


class SupporterOut(Answer):
    """`came_with`: number of the wish it was recorded with, where people merged that one later."""

    ticket_id: UUID | None
    ticket_number: int | None
    plan: str | None
    likeness: float | None
    created_at: datetime
    told_at: datetime | None
    came_with: int | None


class WishPage(Answer):
    items: list[WishOut]


class WishWithSupportersOut(WishOut):
    supporters: list[SupporterOut]


@router.get("/api/wishes", response_model=WishPage)
async def list_wishes(
    request: Request, *, status: Status | None = None, limit: Annotated[int, Query(ge=1, le=1000)] = 200
) -> Response:
    """Those that most clients want first."""
    call = call_of(request)
    found = await wish.list_wishes(call.desk, call.principal, status=status, limit=limit)
    return reply({"items": [asdict(each) for each in found]})


@router.get(_ONE, response_model=WishWithSupportersOut)
async def get_wish(request: Request, wish_number: Number) -> Response:
    """One wish with the tickets that speak for it, oldest first."""
    call = call_of(request)
    return reply(_with_supporters(await wish.read_wish(call.desk, call.principal, wish_number)))


@router.patch(_ONE, response_model=WishOut)
async def change_wish(request: Request, wish_number: Number, body: WishChange) -> Response:
    """Name it in one's own words, or say what becomes of it."""
    call = call_of(request)
    changed = await wish.change_wish(call.desk, call.principal, wish_number, title=body.title, status=body.status)
    return reply(asdict(changed))


@router.post(_ONE + "/merge", response_model=WishOut)
async def merge_wishes(request: Request, wish_number: Number, body: MergeIn) -> Response:
    """Count its supporters with another wish, which is answered."""
    call = call_of(request)
    return reply(asdict(await wish.merge_wishes(call.acting, call.principal, wish_number, into=body.into)))


@router.post(_ONE + "/split", response_model=WishOut)
async def split_wish(request: Request, wish_number: Number, body: SplitIn) -> Response:
    """Take a merge back, or make some of its tickets a wish of their own, which is answered."""
    call = call_of(request)
    return reply(asdict(await wish.split_wish(call.acting, call.principal, wish_number, ticket_ids=body.ticket_ids)))


@router.post(_ONE + "/ship", response_model=WishOut)
async def ship_wish(request: Request, wish_number: Number, body: ShipIn) -> Response:
    """It exists now: every client who wants it is told once, by the worker."""
    call = call_of(request)
    return reply(asdict(await wish.ship_wish(call.acting, call.principal, wish_number, note=body.note)))


def _with_supporters(found: wish.WishWithSupporters) -> dict[str, Any]:
    left_out = ("id", "client")
    shown = [{name: value for name, value in asdict(each).items() if name not in left_out} for each in found.supporters]
    return {**asdict(found.wish), "supporters": shown}
