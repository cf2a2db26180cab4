"""Routes on service levels: what the organization promises, when each ticket is due, what presses, and what was kept."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from asoe.api.answers import Answer, ContactOut
from asoe.api.door import Door, call_of
from asoe.api.encoding import reply
from asoe.api.people import contact
from asoe.api.schemas import Body, JsonObject
from asoe.desk import service_level
from asoe.domain.service_level import Clock, write_duration

router = APIRouter(route_class=Door, tags=["service levels"])
_Target = Literal["first_response", "next_response", "resolution"]


class ServiceLevelsIn(Body):
    """What is given replaces what was there; docs/service-levels.md shows both."""

    business_hours: JsonObject | None = Field(None, description="Named hours: `{zone, week, holidays}` each.")
    service_levels: JsonObject | None = Field(None, description="`{targets, hours?, team_hours?, warn_at?}`.")


class ServiceLevelsOut(Answer):
    business_hours: dict[str, Any]
    service_levels: dict[str, Any]


class PlanIn(Body):
    plan: Annotated[str, StringConstraints(min_length=1, max_length=64, strip_whitespace=True)] | None = Field(
        ..., description="Null: on no plan."
    )


class ClockOut(Answer):
    """`used` and `target` are open time such as 1h30m; `due_at` is null while the clock stands still."""

    target: _Target
    status: Literal["running", "paused", "met"]
    promised: str
    used_seconds: float
    started_at: datetime
    warn_at: datetime | None
    due_at: datetime | None
    met_at: datetime | None
    breached_at: datetime | None
    is_at_risk: bool


class ClockPage(Answer):
    items: list[ClockOut]


class PressingOne(Answer):
    ticket_id: UUID
    number: int
    subject: str
    clock: ClockOut


class PressingOut(Answer):
    """`warned` and `breached` count tickets."""

    warned: int
    breached: int
    items: list[PressingOne]


class KeptOne(Answer):
    target: _Target
    due: int
    kept: int


class KeptOut(Answer):
    days: int
    items: list[KeptOne]


@router.get("/api/service-levels", response_model=ServiceLevelsOut)
async def read_service_levels(request: Request) -> Response:
    """Business hours and targets as they are set."""
    call = call_of(request)
    return _levels(*await service_level.read_levels(call.desk, call.principal))


@router.patch("/api/service-levels", response_model=ServiceLevelsOut)
async def change_service_levels(request: Request, body: ServiceLevelsIn) -> Response:
    """Replace hours, targets or both. Clocks that run count by the new ones from then on; what was met stays as it was judged."""
    call = call_of(request)
    changed = await service_level.change_levels(
        call.desk, call.principal, business_hours=body.business_hours, levels=body.service_levels
    )
    return _levels(*changed)


@router.get("/api/service-levels/pressing", response_model=PressingOut)
async def read_pressing(request: Request, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> Response:
    """Clocks that are missed or past their warning, the first due first."""
    call = call_of(request)
    found = await service_level.pressing(call.desk, call.principal, limit=limit)
    now = call.desk.clock()
    items = [
        {"ticket_id": each.ticket_id, "number": each.number, "subject": each.subject, "clock": clock(each.clock, now)}
        for each in found.clocks
    ]
    return reply({"warned": found.warned, "breached": found.breached, "items": items})


@router.get("/api/service-levels/kept", response_model=KeptOut)
async def read_kept(request: Request, days: Annotated[int, Query(ge=1, le=366)] = 30) -> Response:
    """How many promises that were met or missed in the last days were kept."""
    call = call_of(request)
    found = await service_level.kept(call.desk, call.principal, days=days)
    return reply({"days": days, "items": [{"target": each.kind, "due": each.due, "kept": each.kept} for each in found]})


@router.get("/api/support/ticket/{ticket_id}/service-levels", response_model=ClockPage)
async def read_clocks(request: Request, ticket_id: UUID) -> Response:
    """The ticket's clocks, those of earlier rounds included."""
    call = call_of(request)
    found = await service_level.read_clocks(call.desk, call.principal, ticket_id)
    return reply({"items": [clock(each, call.desk.clock()) for each in found]})


@router.post("/api/contacts/{contact_id}/plan", tags=["contacts"], response_model=ContactOut)
async def set_plan(request: Request, contact_id: UUID, body: PlanIn) -> Response:
    """Which plan a client is on, which decides what it is owed."""
    call = call_of(request)
    return reply(contact(await service_level.set_plan(call.acting, call.principal, contact_id, body.plan)))


def clock(value: Clock, now: datetime) -> dict[str, Any]:
    return {
        "target": value.kind,
        "status": value.status,
        "promised": write_duration(value.target),
        "used_seconds": value.used.total_seconds(),
        "started_at": value.started_at,
        "warn_at": value.warn_at,
        "due_at": value.due_at,
        "met_at": value.met_at,
        "breached_at": value.breached_at,
        "is_at_risk": value.is_at_risk(now),
    }


def _levels(business_hours: dict[str, Any], levels: dict[str, Any]) -> Response:
    return reply({"business_hours": business_hours, "service_levels": levels})
