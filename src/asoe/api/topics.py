"""The route on topics: what tickets are about, how much of it there is, whether it grows, and what it takes."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from asoe.api.answers import Answer
from asoe.api.door import Door, call_of
from asoe.api.encoding import reply
from asoe.api.insights import FiguresOut, RateOut
from asoe.desk import topic

router = APIRouter(route_class=Door, tags=["insights"])


class ChangeOut(Answer):
    """The share of clients who wrote about it in the last `period_days`, over the share in those before; the interval is 95 %.

    `ratio` and `high` are null where nobody wrote before, or hardly anybody. Of the topics that are called growing or shrinking at most
    5 % are neither, in the mean.
    """

    verdict: Literal["growing", "shrinking", "steady"]
    ratio: float | None
    low: float | None
    high: float | None
    clients: int
    clients_before: int


class ExampleOut(Answer):
    id: UUID
    number: int
    title: str
    at: datetime


class EndedTopicOut(Answer):
    """`merged_into`: the number of the topic it went into."""

    id: UUID
    number: int
    name: str
    split_from: int | None
    merged_into: int | None
    begun_at: datetime
    ended_at: datetime | None


class TopicOut(EndedTopicOut):
    """`share` is of the tickets of the last `period_days`; `weeks` are its tickets by week, oldest first; `figures` are of all its tickets."""

    tickets: int
    share: RateOut
    change: ChangeOut
    weeks: list[int]
    figures: FiguresOut
    moved: dict[str, str]
    examples: list[ExampleOut]


class TopicsOut(Answer):
    """What was found last (`made_at`; null: never yet) in the tickets of `days`; `of_none` are about no topic."""

    made_at: datetime | None
    days: int
    period_days: int
    tickets: int
    of_none: int
    items: list[TopicOut]
    ended: list[EndedTopicOut]


@router.get("/api/support/topics", response_model=TopicsOut)
async def list_topics(request: Request) -> Response:
    """What tickets are about, as their own words say; those that most tickets were about lately first."""
    call = call_of(request)
    return reply(topic.to_json(await topic.read_topics(call.desk, call.principal)))
