"""Routes on runs: start, list, read whole, cancel, judge and replay."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from asoe.api import run_shapes as shapes
from asoe.api.door import Door, call_of
from asoe.api.encoding import page, reply
from asoe.api.schemas import Moment
from asoe.desk import autonomy, journey
from asoe.desk.runbook import execution, record
from asoe.desk.runbook import replay as replaying

router = APIRouter(route_class=Door, tags=["runs"])
_ONE: Final = "/api/support/runs/{run_id}"


@router.get("/api/support/runs", response_model=shapes.RunbookRunPage)
async def list_runs(
    request: Request,
    *,
    ticket_id: UUID | None = None,
    runbook: Annotated[str | None, Query(max_length=64)] = None,
    status: Annotated[str | None, Query(max_length=20)] = None,
    before: Moment | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Newest first; `before` (created_at of the last one seen) pages on."""
    call = call_of(request)
    found = await record.list_runs(
        call.desk, call.principal, ticket_id=ticket_id, runbook=runbook, status=status, before=before, limit=limit
    )
    return reply(page([shapes.run(each) for each in found], None))


@router.post("/api/support/runs", status_code=201, response_model=shapes.RunOut)
async def start_run(request: Request, body: shapes.RunStartIn) -> Response:
    """Start a published runbook for a ticket; it acts under the same autonomy as if the engine had."""
    call = call_of(request)
    run_id = await journey.begin_run(call.acting, call.principal, body.ticket_id, body.runbook, mode=body.mode)
    return reply(shapes.run((await record.read_run(call.desk, call.principal, run_id)).run), 201)


@router.get(_ONE, response_model=shapes.RunRecordOut)
async def get_run(request: Request, run_id: UUID) -> Response:
    """With every read, question, intent and outcome, in order."""
    call = call_of(request)
    return reply(shapes.run_record(await record.read_run(call.desk, call.principal, run_id)))


@router.post(_ONE + "/cancel", response_model=shapes.RunOut)
async def cancel_run(request: Request, run_id: UUID) -> Response:
    """It stops before its next act; what it has done stays done."""
    call = call_of(request)
    return reply(shapes.run(await execution.cancel(call.acting, call.principal, run_id)))


@router.post(_ONE + "/replay", response_model=shapes.RunReplayOut)
async def replay_run(request: Request, run_id: UUID, body: shapes.RunReplayIn) -> Response:
    """Play a run that has ended again, from what it was told; nothing is done, and no language model asked."""
    call = call_of(request)
    desk = replace(call.desk, model=None)
    found = await replaying.replay(
        desk,
        call.principal,
        run_id,
        runbook=body.runbook,
        version=body.version,
        settings=body.settings,
        is_anew=body.anew,
    )
    return reply(found.to_json())


@router.post("/api/support/runs/{run_id}/judge", tags=["runs"], status_code=204)
async def judge_run(request: Request, run_id: UUID, body: shapes.JudgementIn) -> Response:
    """Say whether the run did right; certificates rest on this."""
    call = call_of(request)
    await autonomy.judge(
        call.acting, call.principal, run_id, is_right=body.is_right, source=body.source, note=body.note
    )
    return Response(status_code=204)
