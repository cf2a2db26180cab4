"""Routes on learning: corrections, models trained from them, training and roll-back, and gaps in the articles."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from asoe.api import encoding
from asoe.api.answers import Answer, ArticleOut
from asoe.api.door import Door, call_of
from asoe.api.encoding import reply
from asoe.api.schemas import Body, Moment
from asoe.desk import gap, learning, ticket
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


class GapTicketOut(Answer):
    id: UUID
    number: int
    title: str
    at: datetime
    is_answered: bool


class GapOut(Answer):
    """`is_answered`: a person has answered that ticket, so that a draft can be made of it."""

    title: str
    clients: int
    tickets: int
    newest_at: datetime
    examples: list[GapTicketOut]


class GapPage(Answer):
    items: list[GapOut]


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


@router.get("/api/learning/gaps", response_model=GapPage)
async def list_gaps(request: Request, days: Annotated[int, Query(ge=1, le=365)] = 30) -> Response:
    """Questions of these days that no article answered, grouped; those of most clients first."""
    call = call_of(request)
    return reply({"items": [asdict(each) for each in await gap.find_gaps(call.desk, call.principal, days=days)]})


@router.post("/api/support/ticket/{ticket_id}/draft-article", status_code=201, response_model=ArticleOut)
async def draft_article(request: Request, ticket_id: UUID) -> Response:
    """A draft of an article out of what people answered on the ticket; a person reads it before it is published."""
    call = call_of(request)
    return reply(encoding.article(await gap.draft_article(call.acting, call.principal, ticket_id)), 201)


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
