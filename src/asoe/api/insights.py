"""The report's route: any slice of the tickets' figures, as JSON with definitions or as CSV for a spreadsheet."""

from __future__ import annotations

import csv
import io
from datetime import date, datetime
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
from asoe.desk import report

router = APIRouter(route_class=Door, tags=["insights"])
_Text = Annotated[str, Field(max_length=200)]


class InsightsQuery(Body):
    """Which tickets, by the day (UTC) they came in: a month, or since and until, or the last days. Classes narrow it."""

    month: Annotated[str, Field(max_length=10)] | None = Field(None, description="Such as 2026-11.")
    since: Annotated[str, Field(max_length=10)] | None = Field(None, description="First day, such as 2026-11-01.")
    until: Annotated[str, Field(max_length=10)] | None = Field(None, description="Last day.")
    days: Annotated[str, Field(max_length=10)] | None = Field(
        None, description="The last so many days; 30 when nothing is said."
    )
    category: _Text | None = None
    intent: _Text | None = None
    resolution: _Text | None = Field(None, description="One of the seven types.")
    runbook: _Text | None = None
    channel: _Text | None = None
    reason: _Text | None = Field(None, description="Why it was given to a person.")
    client: UUID | None = Field(None, description="A contact's or member's id.")
    by_client: bool = Field(False, description="Also the clients with most tickets.")
    format: Literal["json", "csv"] = "json"


class RateOut(Answer):
    """`low` and `high` are the 95 % interval; null without cases."""

    hits: int
    of: int
    share: float | None
    low: float | None
    high: float | None


class StepOut(Answer):
    """Tickets that took from so many seconds to before so many; the last step is open."""

    from_: float = Field(alias="from")
    to: float | None
    tickets: int


class SpreadOut(Answer):
    tickets: int
    median_seconds: float | None
    p90_seconds: float | None
    distribution: list[StepOut]


class FiguresOut(Answer):
    tickets: int
    resting: int
    rates: dict[str, RateOut]
    first_response: SpreadOut
    resolution_time: SpreadOut
    replies: int
    people_minutes: float
    tokens: int
    model_cost_usd: str


class GroupOut(FiguresOut):
    value: str
    name: str | None


class DayOut(Answer):
    day: date
    tickets: int
    resting: int
    handled: int
    contained: int
    verified: int
    replies: int
    people_minutes: float
    model_cost_usd: str


class InsightsOut(Answer):
    """`definitions` says what each figure means; `uncounted_facts` (at most 1000) had not been counted yet."""

    since: date
    until: date
    filters: dict[str, str]
    made_at: datetime
    source: Literal["counters", "tickets"]
    uncounted_facts: int
    total: FiguresOut
    spared_replies: float | None
    spared_minutes: float | None
    moved: dict[str, str]
    groups: dict[str, list[GroupOut]]
    days: list[DayOut]
    definitions: dict[str, str]


@router.get(
    "/api/support/insights",
    response_model=InsightsOut,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def read_insights(request: Request, query: Annotated[InsightsQuery, Query()]) -> Response:
    """Rates with their intervals, times, reasons, cost and what was moved, by class and day."""
    call = call_of(request)
    given = {name: None if value is None else str(value) for name, value in query}
    of = report.read_slice(given, call.desk.clock().date())
    found = await report.read_report(call.desk, call.principal, of, with_clients=query.by_client)
    if query.format == "json":
        return reply(report.to_json(found))
    name = f"insights-{of.since}-to-{of.until}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(as_csv(report.to_rows(found)), media_type="text/csv; charset=utf-8", headers=headers)


def as_csv(rows: list[list[str]]) -> str:
    """Rows as RFC 4180 has them."""
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()
