"""Routes on recommendations: what is worth doing and why, what people decided, and what came of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from asoe.api.answers import Answer
from asoe.api.door import Door, call_of
from asoe.api.encoding import reply
from asoe.api.schemas import Body
from asoe.desk import recommendation
from asoe.domain.recommendation import MAX_REASON_CHARS

router = APIRouter(route_class=Door, tags=["insights"])
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
Status = Literal["open", "accepted", "dismissed", "gone"]


class DecisionIn(Body):
    """A dismissal needs a reason; it is shown again only when what it rests on has doubled."""

    decision: Literal["accept", "dismiss"]
    reason: Annotated[str, Field(max_length=MAX_REASON_CHARS)] = ""


class GainOut(Answer):
    """A month, with its 95 % limits; `expected` is null where only the upper limit is known."""

    expected: float | None
    low: float
    high: float
    method: str


class OutcomeOut(Answer):
    """Cases before and after it was accepted; `ratio` of their rates with its 95 % limits."""

    says: str
    before: int
    before_days: float
    after: int
    after_days: float
    ratio: float | None
    low: float
    high: float | None
    is_final: bool


class RecommendationOut(Answer):
    """`evidence` holds the number of cases, what is counted, in how many days, and the tickets."""

    number: int
    kind: Literal["article", "runbook", "promote", "brake", "connector", "client"]
    says: str
    about: str
    status: Status
    evidence: dict[str, Any]
    gain: GainOut | None
    is_again: bool
    first_seen_at: datetime
    seen_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    reason: str
    outcome: OutcomeOut | None


class AdvicePage(Answer):
    """`looked_at`: when it was last looked for, which happens once a day; null: not yet."""

    items: list[RecommendationOut]
    looked_at: datetime | None


class AskedOut(Answer):
    status: Literal["asked"]


@router.get("/api/support/recommendations", response_model=AdvicePage)
async def list_recommendations(
    request: Request, status: Annotated[Status, Query(description="One of the four.")] = "open"
) -> Response:
    """Those with the greatest expected gain first."""
    call = call_of(request)
    found = await recommendation.read_advice(call.desk, call.principal, statuses=(status,))
    return reply({"items": [recommendation.to_json(each) for each in found.items], "looked_at": found.looked_at})


@router.post("/api/support/recommendations/look", response_model=AskedOut)
async def look_again(request: Request) -> Response:
    """Have the worker look now and not when the day is over."""
    call = call_of(request)
    await recommendation.ask(call.acting, call.principal)
    return reply({"status": "asked"})


@router.post("/api/support/recommendations/{recommendation_number}/decide", response_model=RecommendationOut)
async def decide(request: Request, recommendation_number: Number, body: DecisionIn) -> Response:
    """Accept or dismiss; the last decision counts."""
    call = call_of(request)
    decided = await recommendation.decide(
        call.acting, call.principal, recommendation_number, body.decision, body.reason
    )
    return reply(recommendation.to_json(decided))
