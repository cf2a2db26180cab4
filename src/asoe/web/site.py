"""Builds the whole HTTP application: the API, and the dashboard's pages beside it. A new page is a module in `PAGES`.

A module has `pages` (its routes); to be in the navigation it needs a line in `NAVIGATION`.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send

from asoe.api.http import create_app
from asoe.api.throttle import Throttle
from asoe.app import App
from asoe.desk import sign_in as desk_sign_in
from asoe.web import (
    agent_runs,
    alerts,
    approval_link,
    approvals,
    audit,
    briefing,
    canned_replies,
    connectors,
    help_page,
    incidents,
    insights,
    intents,
    knowledge,
    learning,
    live,
    notifications,
    overview,
    password_reset,
    profile,
    queue,
    recommendations,
    runbooks,
    service_levels,
    settings,
    sign_in,
    sign_in_openid,
    teams,
    ticket,
    topics,
    undo,
    widget,
    wishes,
)
from asoe.web.assets import load_assets
from asoe.web.door import ANYBODY, Page, Site, Visit, endpoint
from asoe.web.openid import open_provider
from asoe.web.render import Renderer
from asoe.web.together import Batch

NAVIGATION: Final = [
    ("Overview", "/", "overview", "o"),
    ("Queue", "/queue", "queue", "q"),
    ("Approvals", "/approvals", "approve", "p"),
    ("Incidents", "/incidents", "incident", "x"),
    ("Runbooks", "/runbooks", "runbook", "r"),
    ("Knowledge", "/knowledge", "knowledge", "k"),
    ("Wishes", "/wishes", "wish", "w"),
    ("Insights", "/insights", "insights", "i"),
    ("Settings", "/settings", "settings", "s"),
    ("Audit", "/audit", "audit", "a"),
]
"""Label, path, icon and key, in order; "g" and then the key go there."""

PAGES: Final = (
    overview,
    queue,
    undo,
    ticket,
    agent_runs,
    approvals,
    approval_link,
    incidents,
    alerts,
    runbooks,
    knowledge,
    wishes,
    insights,
    recommendations,
    topics,
    briefing,
    settings,
    connectors,
    service_levels,
    teams,
    canned_replies,
    intents,
    learning,
    audit,
    notifications,
    profile,
    sign_in,
    sign_in_openid,
    password_reset,
    live,
    widget,
    help_page,
)
SIGN_INS_PER_ADDRESS: Final = "30/15minutes"
SIGN_INS_PER_ACCOUNT: Final = "10/15minutes"


def create_site(app: App) -> FastAPI:
    """The ASGI application with everything at its address: `/api` for programs, the rest for people."""
    api = create_app(app)
    assets = load_assets()
    site = Site(
        gate=api.state.gate,
        assets=assets,
        renderer=Renderer(assets, NAVIGATION),
        addresses=Throttle(SIGN_INS_PER_ADDRESS, setting="SIGN_INS_PER_ADDRESS"),
        accounts=Throttle(SIGN_INS_PER_ACCOUNT, setting="SIGN_INS_PER_ACCOUNT"),
        sign_ins=Batch(partial(desk_sign_in.find_all, app.desk)),
        oidc=open_provider(app.settings, app.desk.clock),
    )
    api.state.site = site
    api.router.routes.insert(0, _PageRoutes(site))
    api.router.routes.extend(
        [
            Route("/assets/{name}", _asset, methods=["GET"]),
            Route("/favicon.ico", _favicon, methods=["GET"]),
            Route(widget.SCRIPT, _widget_script, methods=["GET"]),
            Route("/api/{path:path}", _no_such_route, methods=["GET"]),
            Route("/{path:path}", endpoint(site, Page("GET", "/{path:path}", ANYBODY, _nothing_here)), methods=["GET"]),
        ]
    )
    return api


def routes() -> list[Page]:
    """Every page and form there is."""
    return [page for module in PAGES for page in module.pages.routes]


class _PageRoutes(BaseRoute):
    """The pages, found by the first part of their path: nobody waits while two hundred other routes are tried."""

    def __init__(self, site: Site) -> None:
        self._by_part: dict[str, list[Route]] = {}
        for page in routes():
            route = Route(page.path, endpoint(site, page), methods=[page.method])
            self._by_part.setdefault(_first_part(page.path), []).append(route)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        best: tuple[Match, Scope] = Match.NONE, {}
        if scope["type"] != "http":
            return best
        for route in self._by_part.get(_first_part(scope["path"]), ()):
            match, found = route.matches(scope)
            if match == Match.FULL:
                return match, {**found, "asoe.page": route}
            if match == Match.PARTIAL and best[0] == Match.NONE:
                best = match, {**found, "asoe.page": route}
        return best

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await scope["asoe.page"].handle(scope, receive, send)


def _first_part(path: str) -> str:
    return path[1:].partition("/")[0]


async def _asset(request: Request) -> Response:
    site: Site = request.app.state.site
    found = site.assets.respond(request, request.path_params["name"])
    if found is None:
        raise HTTPException(404)
    return found


async def _widget_script(request: Request) -> Response:
    return widget.script(request.app.state.site.assets, request)


async def _favicon(request: Request) -> Response:
    site: Site = request.app.state.site
    found = site.assets.respond(request, site.assets.paths["favicon.svg"].rpartition("/")[2])
    return found or Response(status_code=404)


async def _no_such_route(_request: Request) -> Response:
    raise HTTPException(404)  # programs get a problem document


async def _nothing_here(visit: Visit) -> Response:
    return visit.page("missing.html", 404)
