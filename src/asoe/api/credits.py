"""Routes on the credit ledger: what a product reports, and what staff look at."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BeforeValidator, Field
from starlette.requests import Request
from starlette.responses import Response

from asoe.api.answers import Answer
from asoe.api.door import Door, call_of
from asoe.api.encoding import page, reply
from asoe.api.run_shapes import plain
from asoe.api.schemas import Body, JsonObject
from asoe.connectors.credits import EXACT_BELOW
from asoe.desk import ledger
from asoe.store.credits import NewPosting

router = APIRouter(route_class=Door, tags=["credits"])
Client = Annotated[str, Field(min_length=1, max_length=200)]


def _exact(value: Any) -> Any:
    """A JSON number keeps fifteen digits at most: six decimals are safe below a thousand million, above that only in a text."""
    if isinstance(value, float) and abs(value) >= EXACT_BELOW:
        raise ValueError(f'must be a text such as "{value:.2f}" from {EXACT_BELOW:,} on, so that no digit is lost')
    return value


class PostingIn(Body):
    """`key` makes it one posting however often it is sent; `of_posting`: a capture's or release's hold, a refund's charge.

    `amount` is best sent as a text: no digit of a text is lost on the way.
    """

    kind: Literal["grant", "hold", "capture", "release", "charge", "refund"]
    key: Annotated[str, Field(min_length=1, max_length=200)]
    client: Client
    amount: Annotated[Decimal, BeforeValidator(_exact), Field(gt=0, max_digits=20, decimal_places=6)]
    work: Annotated[str, Field(max_length=200)] | None = None
    of_posting: UUID | None = None
    memo: Annotated[str, Field(max_length=500)] = ""


class WorkIn(Body):
    """How the work that was charged for ended; the first word stays."""

    work: Annotated[str, Field(min_length=1, max_length=200)]
    outcome: Literal["succeeded", "failed"]
    evidence: JsonObject = Field(default_factory=dict)


class PostingOut(Answer):
    id: UUID
    kind: str
    key: str
    client: str
    amount: str
    work: str | None
    of_posting: UUID | None
    memo: str
    posted_at: datetime


class BalanceOut(Answer):
    client: str
    available: str
    held: str


class ChargeOut(Answer):
    """`outcome` null: nobody has reported how the work ended."""

    id: UUID
    client: str
    amount: str
    work: str | None
    memo: str
    posted_at: datetime
    outcome: str | None
    evidence: dict[str, Any] | None
    refunded: str


class ChargePage(Answer):
    items: list[ChargeOut]
    next_cursor: str | None


class LedgerAuditOut(Answer):
    """A recount: zero, zero and zero in a ledger that is in order."""

    unbalanced: int
    drifted: int
    total: str
    postings: int


class WorkOut(Answer):
    work: str
    is_new: bool


@router.post("/api/credits/postings", status_code=201, response_model=PostingOut)
async def post(request: Request, body: PostingIn) -> Response:
    """Grant, hold, capture, release, charge or refund. 201, also when the same key was posted before."""
    call = call_of(request)
    new = NewPosting(body.kind, body.key, body.client, body.amount, body.work, body.of_posting, body.memo)
    posting, _ = await ledger.post(call.acting, call.principal, new)
    return reply(plain(asdict(posting)), 201)


@router.post("/api/credits/works", response_model=WorkOut)
async def report_work(request: Request, body: WorkIn) -> Response:
    """Say how work ended: refunds of its charges stand on this."""
    call = call_of(request)
    is_new = await ledger.report_work(call.acting, call.principal, body.work, body.outcome, body.evidence)
    return reply({"work": body.work, "is_new": is_new})


@router.get("/api/credits/audit", response_model=LedgerAuditOut)
async def get_audit(request: Request) -> Response:
    """Recount the whole ledger."""
    call = call_of(request)
    return reply(plain(asdict(await ledger.audit(call.desk, call.principal))))


@router.get("/api/credits/balance", response_model=BalanceOut)
async def get_balance(request: Request, client: Annotated[str, Query(min_length=1, max_length=200)]) -> Response:
    """What a client can spend, and what is held."""
    call = call_of(request)
    return reply({"client": client, **plain(asdict(await ledger.read_balance(call.desk, call.principal, client)))})


@router.get("/api/credits/charges", response_model=ChargePage)
async def list_charges(
    request: Request,
    client: Annotated[str, Query(min_length=1, max_length=200)],
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
) -> Response:
    """A client's charges, newest first, with the outcome of their work."""
    call = call_of(request)
    found = await ledger.list_charges(call.desk, call.principal, client, limit=limit)
    return reply(page([plain(asdict(each)) for each in found], None))
