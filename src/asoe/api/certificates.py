"""Routes on certificates of answers: what stands, making them anew, and the judgement of the blind sample."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from asoe.api.answers import Answer
from asoe.api.door import Door, call_of
from asoe.api.encoding import reply
from asoe.api.schemas import Body
from asoe.desk import certificate
from asoe.desk.certificate import Certificates
from asoe.domain.certificate import Certificate

router = APIRouter(route_class=Door, tags=["autonomy"])


class AuditJudgement(Body):
    is_right: bool


class CertificateOut(Answer):
    """`category` empty: the whole organization. `threshold` null: not enough evidence yet. `drift`: why it was voided."""

    category: str
    state: Literal["certified", "not_enough_evidence", "voided", "renewed"]
    model: str
    threshold: float | None
    marginal_threshold: float | None
    level: float
    delta: float
    cases: int
    errors: int
    accepted: int
    accepted_errors: int
    audited: int
    reference: dict[str, Any]
    made_at: datetime
    made_by: UUID | None
    ended_at: datetime | None
    ended_why: str | None
    drift: dict[str, Any] | None


class CertificatePage(Answer):
    """`alone`: by which rule answers are sent; `lent_from`: the fixed threshold that stands in for a certificate at `lent`."""

    alone: Literal["lent", "certified", "never"]
    level: float
    audit_share: float
    lent_from: float
    items: list[CertificateOut]
    voided: list[CertificateOut]


@router.get("/api/support/certificates", response_model=CertificatePage)
async def list_certificates(request: Request) -> Response:
    """From which chance answers may be sent alone, by category, on how many judged answers that rests, and what was voided."""
    call = call_of(request)
    return reply(_shown(await certificate.list_certificates(call.desk, call.principal)))


@router.post("/api/support/certificates/renew", response_model=CertificatePage)
async def renew_certificates(request: Request) -> Response:
    """Make certificates anew from the evidence there is."""
    call = call_of(request)
    return reply(_shown(await certificate.renew(call.acting, call.principal)))


@router.post("/api/support/answers/{answer_id}/audit", status_code=204)
async def audit_answer(request: Request, answer_id: UUID, body: AuditJudgement) -> Response:
    """Say blind whether an answer of the audit sample was right; the first judgement stays."""
    call = call_of(request)
    await certificate.judge(call.acting, call.principal, answer_id, is_right=body.is_right)
    return Response(status_code=204)


def _shown(found: Certificates) -> dict[str, Any]:
    return {
        "alone": found.alone,
        "level": found.level,
        "audit_share": found.audit_share,
        "lent_from": found.lent_from,
        "items": [_one(each) for each in found.standing],
        "voided": [_one(each) for each in found.voided],
    }


def _one(made: Certificate) -> dict[str, Any]:
    return {**asdict(made), "state": made.state}
