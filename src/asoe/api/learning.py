"""Routes on learning: corrections with where they came from, models trained from them, training and roll-back."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from asoe.api.answers import Answer
from asoe.api.door import Door, call_of
from asoe.api.encoding import reply
from asoe.api.schemas import Body, Moment
from asoe.desk import learning, ticket
from asoe.domain.learning import REASONS
from asoe.store.models import Model

router = APIRouter(route_class=Door, tags=["learning"])
Field = Literal["category", "severity", "intent", "team", "resolution", "answer"]
Version = Annotated[int, Path(ge=1, le=2**31 - 1)]


class AnswerJudgement(Body):
    is_useful: bool


class CorrectionOut(Answer):
    """`judged` is what the model had said, `before` what stood there."""

    id: UUID
    ticket_id: UUID
    ticket_number: int
    field: Field
    judged: str | None
    before: str | None
    corrected: str
    model_version: str | None
    corrected_by: UUID | None
    corrected_by_name: str | None
    created_at: datetime


class CorrectionPage(Answer):
    items: list[CorrectionOut]


class ModelOut(Answer):
    """`reason` says why it judges or was kept out, `says` in words; `comparison` holds the counts it rests on."""

    id: UUID
    version: int
    state: Literal["training", "kept_out", "champion", "retired", "failed"]
    base_version: str
    fingerprint: str
    lessons: int
    metrics: dict[str, Any]
    comparison: dict[str, Any]
    reason: str
    says: str
    progress: float
    started_by: UUID | None
    started_by_name: str | None
    started_at: datetime
    ended_at: datetime | None
    promoted_at: datetime | None
    retired_at: datetime | None


class ModelPage(Answer):
    items: list[ModelOut]


class RolledBack(Answer):
    """`champion` null: the shared model judges alone again."""

    champion: ModelOut | None


@router.get("/api/learning/corrections", response_model=CorrectionPage)
async def list_corrections(
    request: Request,
    *,
    field: Field | None = None,
    before: Moment | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Response:
    """Who corrected what, newest first."""
    call = call_of(request)
    found = await learning.list_corrections(call.desk, call.principal, field=field, before=before, limit=limit)
    return reply({"items": [asdict(each) for each in found]})


@router.get("/api/learning/models", response_model=ModelPage)
async def list_models(request: Request, limit: Annotated[int, Query(ge=1, le=500)] = 50) -> Response:
    """Every model that was trained, newest first, with what it was compared with and what came of it."""
    call = call_of(request)
    return reply(
        {"items": [_shown(each) for each in await learning.list_models(call.desk, call.principal, limit=limit)]}
    )


@router.get("/api/learning/models/{model_version}", response_model=ModelOut)
async def get_model(request: Request, model_version: Version) -> Response:
    """One model; a training shows its progress."""
    call = call_of(request)
    return reply(_shown(await learning.read_model(call.desk, call.principal, model_version)))


@router.post("/api/learning/train", status_code=202, response_model=ModelOut)
async def start_training(request: Request) -> Response:
    """Have the worker train a challenger from the corrections; one at a time."""
    call = call_of(request)
    return reply(_shown(await learning.start_training(call.acting, call.principal)), 202)


@router.post("/api/learning/roll-back", response_model=RolledBack)
async def roll_back(request: Request) -> Response:
    """Let the model before judge again."""
    call = call_of(request)
    found = await learning.roll_back(call.acting, call.principal)
    return reply({"champion": None if found is None else _shown(found)})


@router.post("/api/support/ticket/{ticket_id}/answer-judgement", status_code=204)
async def judge_answer(request: Request, ticket_id: UUID, body: AnswerJudgement) -> Response:
    """Say whether the engine's answer was useful; the last word of all counts."""
    call = call_of(request)
    await ticket.judge_answer(call.acting, call.principal, ticket_id, is_useful=body.is_useful)
    return Response(status_code=204)


def _shown(model: Model) -> dict[str, Any]:
    return {**asdict(model), "says": REASONS.get(model.reason, model.reason)}
