"""Routes on routing: teams, people and rules of an organization, and to whom a ticket was given and why."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from asoe.api.answers import Answer
from asoe.api.door import Door, call_of
from asoe.api.encoding import reply
from asoe.api.schemas import Body, JsonObject
from asoe.desk import routing
from asoe.store.assignments import Assignment

router = APIRouter(route_class=Door, tags=["routing"])


class RoutingIn(Body):
    """What is given replaces what was there; docs/escalation.md shows each."""

    teams: JsonObject | None = Field(None, description="Teams by name: `{levels, hours?, spread?, when_closed?}` each.")
    people: JsonObject | None = Field(
        None, description="By address: `{skills?, languages?, capacity?, hours?, away?}`."
    )
    escalation: JsonObject | None = Field(None, description="`{weights?, threshold?, repeat_after?, teams?, rules?}`.")


class RoutingOut(Answer):
    teams: dict[str, Any]
    people: dict[str, Any]
    escalation: dict[str, Any]


class PassedOver(Answer):
    user_id: UUID | None
    why: str


class AssignmentOut(Answer):
    """`user_id` null: everybody who may have it works later, from `due_at` on."""

    team: str
    level: int
    is_last: bool
    user_id: UUID | None
    because: list[str]
    others: list[PassedOver]
    given_at: datetime
    due_at: datetime | None
    ended_at: datetime | None
    ending: Literal["taken", "passed", "over", "changed"] | None


class AssignmentPage(Answer):
    items: list[AssignmentOut]


@router.get("/api/routing", response_model=RoutingOut)
async def read_routing(request: Request) -> Response:
    """Teams, people and rules of escalation as they are set."""
    call = call_of(request)
    return reply(await routing.read_teams(call.desk, call.principal))


@router.patch("/api/routing", response_model=RoutingOut)
async def change_routing(request: Request, body: RoutingIn) -> Response:
    """Replace teams, people or rules. Tickets that lie with somebody stay there until their time is up."""
    call = call_of(request)
    given = {"teams": body.teams, "people": body.people, "escalation": body.escalation}
    return reply(await routing.change_teams(call.desk, call.principal, **given))


@router.get("/api/support/ticket/{ticket_id}/assignments", response_model=AssignmentPage)
async def read_assignments(request: Request, ticket_id: UUID) -> Response:
    """To whom routing gave the ticket, level by level, and why; oldest first."""
    call = call_of(request)
    found = await routing.history(call.desk, call.principal, ticket_id)
    return reply({"items": [_shown(each) for each in found]})


def _shown(value: Assignment) -> dict[str, Any]:
    return {
        "team": value.team,
        "level": value.level,
        "is_last": value.is_last,
        "user_id": value.user_id,
        "because": value.because,
        "others": [{"user_id": who or None, "why": why} for who, why in value.others],
        "given_at": value.given_at,
        "due_at": value.due_at,
        "ended_at": value.ended_at,
        "ending": value.ending,
    }
