"""Routes for operators and readers: health, readiness, metrics, the OpenAPI document and a page that shows it."""

from __future__ import annotations

import asyncio
import hmac
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from asoe.api import answers
from asoe.api.document import as_page
from asoe.api.door import Door, gate_of
from asoe.api.encoding import reply
from asoe.domain.errors import Denied, Unavailable
from asoe.queue import depth
from asoe.store import installation

router = APIRouter(route_class=Door, tags=["operations"])
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})
_READY_SECONDS: Final = 2.0


@router.get("/healthz", response_model=answers.HealthOut)
async def healthz() -> Response:
    """The process answers."""
    return reply({"status": "ok"})


@router.get("/readyz", response_model=answers.HealthOut)
async def readyz(request: Request) -> Response:
    """The database answers too."""
    desk = gate_of(request).desk
    try:
        async with asyncio.timeout(_READY_SECONDS), desk.database.app.acquire() as connection:
            await connection.fetchval("select 1")
    except TimeoutError:
        raise Unavailable(
            "The database did not answer in time.", code="database_unreachable", retry_after=_READY_SECONDS
        ) from None
    return reply({"status": "ok"})


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """For Prometheus: with the token of ASOE_METRICS_TOKEN, or from this machine when none is set."""
    gate = gate_of(request)
    token = gate.settings.metrics_token
    if token is not None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if not hmac.compare_digest(given.encode(), token.encode()):
            raise Denied("Give the token of ASOE_METRICS_TOKEN as Bearer.", code="bad_metrics_token", unproven=True)
    elif request.client is None or request.client.host not in _LOOPBACK:
        raise Denied(
            "Metrics are for this machine only; set ASOE_METRICS_TOKEN to read them from elsewhere.",
            code="metrics_from_elsewhere",
        )
    try:
        async with asyncio.timeout(_READY_SECONDS), gate.desk.database.app.acquire() as connection:
            for state, count in (await depth(connection)).items():
                gate.metrics.jobs.labels(state).set(count)
            gate.metrics.sum_up(await installation.totals(gate.desk.database))
    except Exception:
        gate.metrics.forget()  # the counters of this process are worth having when the database is away
    return Response(gate.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> Response:
    return reply(request.app.openapi(), headers={"Cache-Control": "no-cache"})


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """The document as a page without a script."""
    return HTMLResponse(
        as_page(request.app.openapi()),
        headers={
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
            "Cache-Control": "no-cache",
        },
    )
