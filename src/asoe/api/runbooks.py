"""Routes on runbooks: write, publish, retire; their autonomy; approvals; and the emergency stop."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from asoe.api import run_shapes as shapes
from asoe.api.door import Door, call_of
from asoe.api.encoding import page, reply
from asoe.desk import approval, autonomy, certificate
from asoe.desk.runbook import shelf

router = APIRouter(route_class=Door, tags=["runbooks"])
_ONE: Final = "/api/support/runbooks/{name}"
_Limit = Annotated[int, Query(ge=1, le=200)]


@router.get("/api/support/runbooks", response_model=shapes.RunbookPage)
async def list_runbooks(request: Request, *, with_retired: bool = False) -> Response:
    """By name."""
    call = call_of(request)
    found = await shelf.list_runbooks(call.desk, call.principal, with_retired=with_retired)
    return reply(page([shapes.runbook(row) for row in found], None))


@router.post("/api/support/runbooks", status_code=201, response_model=shapes.RunbookTextOut)
async def save_runbook(request: Request, body: shapes.SourceIn) -> Response:
    """Check and store a version; the same text again is the same version. It is in use once published."""
    call = call_of(request)
    return reply(shapes.runbook_text(*await shelf.save(call.acting, call.principal, body.source)), 201)


@router.get(_ONE, response_model=shapes.RunbookTextOut)
async def get_runbook(
    request: Request, name: str, version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None
) -> Response:
    """With the text of the version asked for, else of the published, else of the newest."""
    call = call_of(request)
    return reply(shapes.runbook_text(*await shelf.read_version(call.desk, call.principal, name, version)))


@router.get(_ONE + "/versions", response_model=shapes.RunbookVersionPage)
async def list_versions(request: Request, name: str) -> Response:
    """Newest first, without their text."""
    call = call_of(request)
    found = await shelf.list_versions(call.desk, call.principal, name)
    return reply(page([shapes.runbook_version(row) for row in found], None))


@router.post(_ONE + "/publish", response_model=shapes.RunbookOut)
async def publish_runbook(request: Request, name: str, body: shapes.PublishIn) -> Response:
    """Put a version into use, when its connectors are there; a changed text begins without evidence."""
    call = call_of(request)
    row = await shelf.publish(call.acting, call.principal, name, body.version, needs_connectors=True)
    return reply(shapes.runbook(row))


@router.post(_ONE + "/retire", response_model=shapes.RunbookOut)
async def retire_runbook(request: Request, name: str) -> Response:
    """Take it out of use; runs under way go on with their version."""
    call = call_of(request)
    return reply(shapes.runbook(await shelf.retire(call.acting, call.principal, name)))


@router.get(_ONE + "/autonomy", response_model=shapes.AutonomyOut)
async def get_autonomy(request: Request, name: str) -> Response:
    """Level, certificate, lent trust and brake."""
    call = call_of(request)
    _, standing, limits = await autonomy.read_standing(call.desk, call.principal, name)
    return reply(shapes.autonomy(standing, limits, call.desk.clock()))


@router.patch(_ONE + "/autonomy", response_model=shapes.AutonomyOut)
async def set_level(request: Request, name: str, body: shapes.LevelIn) -> Response:
    """At `auto` it acts alone once its certificate allows; until then acts ask for approval."""
    call = call_of(request)
    await autonomy.set_level(call.desk, call.principal, name, body.level)
    return await get_autonomy(request, name)


@router.post(_ONE + "/lend", response_model=shapes.AutonomyOut)
async def lend(request: Request, name: str, body: shapes.LoanIn) -> Response:
    """Owners only: `auto` without a certificate, for a reason, at most 90 days."""
    call = call_of(request)
    await autonomy.lend(call.acting, call.principal, name, reason=body.reason, until=body.until, caps=body.caps)
    return await get_autonomy(request, name)


@router.post(_ONE + "/end-loan", response_model=shapes.AutonomyOut)
async def end_loan(request: Request, name: str) -> Response:
    """Take lent trust back."""
    call = call_of(request)
    await autonomy.end_loan(call.acting, call.principal, name)
    return await get_autonomy(request, name)


# --- approvals ---


@router.get("/api/support/approvals", tags=["approvals"], response_model=shapes.ApprovalPage)
async def list_approvals(
    request: Request,
    *,
    status: shapes.ApprovalStatus | None = "pending",
    ticket_id: UUID | None = None,
    limit: _Limit = 100,
) -> Response:
    """Newest first; what waits for people unless another status is asked for."""
    call = call_of(request)
    found = await approval.list_approvals(call.desk, call.principal, status=status, ticket_id=ticket_id, limit=limit)
    return reply(page([shapes.approval(each) for each in found], None))


@router.get("/api/support/approvals/{approval_id}", tags=["approvals"], response_model=shapes.ApprovalOut)
async def get_approval(request: Request, approval_id: UUID) -> Response:
    """One intent with its exact arguments, evidence, expected effect and undo."""
    call = call_of(request)
    return reply(shapes.approval(await approval.read_approval(call.desk, call.principal, approval_id)))


@router.post("/api/support/approvals/{approval_id}/decide", tags=["approvals"], response_model=shapes.ApprovalOut)
async def decide(request: Request, approval_id: UUID, body: shapes.VoteIn) -> Response:
    """Vote; a key may only with the scope `approvals:decide`."""
    call = call_of(request)
    decided = await approval.decide(call.acting, call.principal, approval_id, body.vote, body.reason)
    return reply(shapes.approval(decided))


# --- emergency stop and audit ---


@router.get("/api/support/emergency-stop", tags=["autonomy"], response_model=shapes.StopOut)
async def get_stop(request: Request) -> Response:
    call = call_of(request)
    why = await autonomy.stop_reason(call.desk, call.principal)
    return reply({"is_stopped": why is not None, "reason": why})


@router.post("/api/support/emergency-stop", tags=["autonomy"], response_model=shapes.StopOut)
async def stop_acts(request: Request, body: shapes.StopIn) -> Response:
    """No further act of this organization, at once."""
    call = call_of(request)
    await autonomy.stop_acts(call.acting, call.principal, body.reason)
    return await get_stop(request)


@router.post("/api/support/emergency-stop/release", tags=["autonomy"], response_model=shapes.StopOut)
async def release_acts(request: Request) -> Response:
    """Let acts be done again."""
    call = call_of(request)
    await autonomy.release_acts(call.acting, call.principal)
    return await get_stop(request)


@router.get("/api/support/audit-sample", tags=["autonomy"], response_model=shapes.AuditPage)
async def list_audit_sample(request: Request, *, limit: _Limit = 50) -> Response:
    """Runs that acted alone, and answers, that wait for a blind look.

    Judge runs with `POST /api/support/runs/{id}/judge`, answers with `POST /api/support/answers/{id}/audit`.
    """
    call = call_of(request)
    found = await autonomy.to_audit(call.desk, call.principal, limit=limit)
    unseen = await certificate.to_audit(call.desk, call.principal, limit=limit)
    return reply(
        {**page([shapes.to_audit(each) for each in found], None), "answers": [asdict(each) for each in unseen]}
    )
