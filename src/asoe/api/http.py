"""Builds the HTTP application of one process: routes, gate, edge. It refuses to start when a route lacks its permission."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from asoe.api import (
    agent_runs,
    alerts,
    articles,
    attachments,
    certificates,
    chat,
    composing,
    connectors,
    incidents,
    insights,
    intents,
    learning,
    mailbox,
    notifications,
    operations,
    people,
    permissions,
    recommendations,
    routing,
    runbooks,
    runs,
    service_levels,
    sessions,
    tickets,
    topics,
    webhooks,
    widget,
    wishes,
)
from asoe.api import credits as credit_ledger
from asoe.api.a2a import door as a2a
from asoe.api.auth import Authenticator
from asoe.api.document import document
from asoe.api.door import Gate, refuse
from asoe.api.edge import Edge
from asoe.api.live import Hub
from asoe.api.mcp import door as mcp
from asoe.api.metrics import Metrics
from asoe.api.throttle import Throttle
from asoe.api.widget_door import Fronts, WidgetOrigins
from asoe.app import App

_ROUTERS = (
    tickets.router,
    sessions.router,
    attachments.router,
    articles.router,
    people.router,
    operations.router,
    connectors.router,
    runbooks.router,
    runs.router,
    agent_runs.router,
    credit_ledger.router,
    chat.router,
    widget.router,
    mcp.router,
    a2a.router,
    service_levels.router,
    routing.router,
    incidents.router,
    alerts.router,
    composing.router,
    notifications.router,
    webhooks.router,
    mailbox.router,
    insights.router,
    recommendations.router,
    certificates.router,
    topics.router,
    wishes.router,
    intents.router,
    learning.router,
)


def create_app(app: App) -> FastAPI:
    """The ASGI application over an open `App`; whoever opened that one closes it."""
    settings = app.settings
    gate = Gate(
        desk=app.desk,
        settings=settings,
        authenticator=Authenticator(app.desk.database, settings, app.desk.clock),
        hub=Hub(app.desk),
        metrics=Metrics(),
        callers=Throttle(settings.rate_limit, setting="ASOE_RATE_LIMIT"),
        strangers=Throttle(settings.rate_limit_anonymous, setting="ASOE_RATE_LIMIT_ANONYMOUS"),
        fronts=Fronts(app.desk, rate=settings.rate_limit_widget, public_url=settings.public_url),
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await gate.hub.close()

    api = FastAPI(
        title="ASOE", version=version("asoe"), lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None
    )
    api.router.redirect_slashes = False
    for router in _ROUTERS:
        api.router.routes.extend(router.routes)  # flat: an included router costs each request a second matching
    permissions.check((method, route.path) for route in api_routes(api) for method in route.methods or ())
    api.state.gate = gate
    api.openapi = lambda: document(api)  # type: ignore[method-assign]
    api.add_exception_handler(HTTPException, _refuse)
    api.add_exception_handler(RequestValidationError, _refuse)
    origins = [origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()]
    if origins:
        api.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST", "PATCH", "DELETE"],
            allow_headers=[
                "Authorization",
                "Content-Type",
                "Idempotency-Key",
                "Last-Event-ID",
                "Mcp-Method",
                "Mcp-Name",
                "Mcp-Protocol-Version",
                "X-Organization-Id",
            ],
            expose_headers=[
                "Idempotency-Replayed",
                "RateLimit-Remaining",
                "RateLimit-Reset",
                "Retry-After",
                "X-Request-Id",
            ],
            max_age=600,
        )
    api.add_middleware(WidgetOrigins, fronts=gate.fronts)
    api.add_middleware(Edge, settings=settings, metrics=gate.metrics)
    return api


def api_routes(api: FastAPI) -> list[APIRoute]:
    """Every route that is served."""
    return [route for route in api.router.routes if isinstance(route, APIRoute)]


async def _refuse(request: Request, error: Exception) -> Response:
    return refuse(error, request.scope)
