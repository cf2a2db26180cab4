"""Routes on what a person is told: the inbox, what was read, and where and when this person wants to hear of what."""

from __future__ import annotations

from datetime import datetime, time
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from asoe.api.answers import Answer
from asoe.api.door import Door, call_of
from asoe.api.encoding import reply
from asoe.api.schemas import Body, Moment, Short
from asoe.desk import notification
from asoe.domain.notification import NOTICES, Preferences
from asoe.store.notifications import Told

router = APIRouter(route_class=Door, tags=["notifications"])


class NotificationOut(Answer):
    """`says`: the line for people; number and subject are the ticket's."""

    id: UUID
    kind: str
    says: str
    happened_at: datetime
    ticket_id: UUID | None
    number: int | None
    subject: str | None
    data: dict[str, Any]
    read_at: datetime | None


class NotificationPage(Answer):
    """`unread` counts all of them, up to 100."""

    items: list[NotificationOut]
    next_cursor: str | None
    unread: int


class ReadIn(Body):
    """Without ids: all of them."""

    ids: list[UUID] | None = Field(None, max_length=500)


class ReadOut(Answer):
    marked: int


class PreferencesIn(Body):
    """`choices` maps facts to channels; an empty list silences one, a fact left out is told as usual. Quiet hours hold back
    mails, by the clock of `zone`; urgent ones (critical tickets, a stop of all acts) only when `urgent_always` is false.
    """

    choices: dict[Short, list[Literal["in_app", "email"]]] = Field(default_factory=dict, max_length=100)
    quiet_from: time | None = None
    quiet_until: time | None = None
    zone: Annotated[str, Field(max_length=64)] = "UTC"
    urgent_always: bool = True
    digests: list[time] = Field(
        default_factory=list, max_length=6, description="Times of `zone` at which mails that can wait go out as one."
    )
    briefing: Literal["off", "daily", "weekly"] = Field("off", description="How often the figures come by mail.")


class NoticeOut(Answer):
    says: str
    channels: list[str]


class PreferencesOut(Answer):
    """`notices`: every fact that is news for people, and where this person hears of it."""

    quiet_from: time | None
    quiet_until: time | None
    zone: str
    urgent_always: bool
    digests: list[time]
    briefing: Literal["off", "daily", "weekly"]
    notices: dict[str, NoticeOut]


@router.get("/api/notifications", response_model=NotificationPage)
async def list_notifications(
    request: Request, cursor: Moment | None = None, limit: Annotated[int, Query(ge=1, le=100)] = 50
) -> Response:
    """What the caller was told, newest first."""
    call = call_of(request)
    told, unread = await notification.read_inbox(call.desk, call.principal, before=cursor, limit=limit)
    following = told[-1].delivery.happened_at.isoformat() if len(told) == limit else None
    return reply({"items": [shown(each) for each in told], "next_cursor": following, "unread": unread})


@router.post("/api/notifications/read", response_model=ReadOut)
async def mark_read(request: Request, body: ReadIn) -> Response:
    call = call_of(request)
    return reply({"marked": await notification.mark_read(call.acting, call.principal, body.ids)})


@router.get("/api/notifications/preferences", response_model=PreferencesOut)
async def get_preferences(request: Request) -> Response:
    call = call_of(request)
    return reply(preferences(await notification.read_preferences(call.desk, call.principal)))


@router.patch("/api/notifications/preferences", response_model=PreferencesOut)
async def change_preferences(request: Request, body: PreferencesIn) -> Response:
    """Replaces them whole."""
    call = call_of(request)
    wanted = Preferences(
        {kind: tuple(dict.fromkeys(channels)) for kind, channels in body.choices.items()},
        _plain(body.quiet_from),
        _plain(body.quiet_until),
        body.zone,
        body.urgent_always,
        tuple(sorted({each.replace(tzinfo=None) for each in body.digests})),
        body.briefing,
    )
    return reply(preferences(await notification.change_preferences(call.desk, call.principal, wanted)))


def shown(told: Told) -> dict[str, Any]:
    """One line of an inbox."""
    about = told.delivery
    return {
        "id": about.id,
        "kind": about.kind,
        "says": NOTICES[about.kind].says if about.kind in NOTICES else about.kind,
        "happened_at": about.happened_at,
        "ticket_id": about.ticket_id,
        "number": told.number,
        "subject": told.subject,
        "data": about.data,
        "read_at": about.read_at,
    }


def preferences(found: Preferences) -> dict[str, Any]:
    return {
        "quiet_from": found.quiet_from,
        "quiet_until": found.quiet_until,
        "zone": found.zone,
        "urgent_always": found.is_urgent_always,
        "digests": list(found.digests),
        "briefing": found.briefing,
        "notices": {
            kind: {"says": notice.says, "channels": list(found.channels(kind))} for kind, notice in NOTICES.items()
        },
    }


def _plain(value: time | None) -> time | None:
    """A local time of day, whatever offset somebody wrote beside it."""
    return None if value is None else value.replace(tzinfo=None)
