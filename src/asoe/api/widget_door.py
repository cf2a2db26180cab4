"""The widget's own way in: which organization, from whose pages, and which client. What clients may do is `desk.chat`'s.

A browser page of another origin than ours gets an answer only where the organization allows that origin; the chat itself
runs in our own frame, and `frame-ancestors` says which pages may hold it.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit
from uuid import UUID

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asoe.api.throttle import Allowance, Throttle
from asoe.desk import client_identity
from asoe.desk.context import Desk
from asoe.domain.errors import Denied, Invalid, Missing, Unavailable
from asoe.domain.organization import Principal
from asoe.domain.widget import Client, Widget, clean_origins
from asoe.store import organizations, widgets

OPENS_PER_ADDRESS: Final = "30/10minutes"
"""Conversations that visitors open from one address."""
_FRESH_SECONDS: Final = 2.0
_MOST_KEPT: Final = 10_000
_NOTED_SECONDS: Final = 3600.0
_LONGEST_ORIGIN: Final = 200
_PATH: Final = re.compile(r"^/api/widget/([^/]+)/")
_ALLOWED: Final = {
    "access-control-allow-methods": "GET, POST",
    "access-control-allow-headers": "Authorization, Content-Type, Idempotency-Key, Last-Event-ID",
    "access-control-max-age": "600",
}
_EXPOSED: Final = b"Idempotency-Replayed, Retry-After, X-Request-Id"
_log = structlog.get_logger("asoe.widget")


@dataclass(frozen=True, slots=True)
class Front:
    """An organization as its widget shows it."""

    engine: Principal
    name: str
    slug: str
    language: str
    widget: Widget


class Fronts:
    """One per process: how widgets are set, as read at most two seconds ago, and how often clients call."""

    def __init__(self, desk: Desk, *, rate: str, public_url: str | None) -> None:
        self._desk = desk
        self._public = urlsplit(public_url or "").netloc.lower()
        self._kept: dict[str, tuple[float, Front]] = {}
        self._strangers: dict[tuple[UUID, str], float] = {}
        self.clients = Throttle(rate, setting="ASOE_RATE_LIMIT_WIDGET")
        self.addresses = Throttle(rate, setting="ASOE_RATE_LIMIT_WIDGET")
        self.opens = Throttle(OPENS_PER_ADDRESS, setting="OPENS_PER_ADDRESS")

    async def find(self, org: str) -> Front:
        """Raises `Missing(widget_missing)` where there is none, or it is off."""
        now = time.monotonic()
        kept = self._kept.get(org)
        if kept is None or now - kept[0] > _FRESH_SECONDS:
            kept = (now, await self._read(org))
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[org] = kept
        return kept[1]

    async def shown(self, org: str) -> Front:
        """`find`, of a widget that is on."""
        front = await self.find(org)
        if not front.widget.is_on:
            raise _no_widget(org)
        return front

    def forget(self, org_id: UUID) -> None:
        """After a change, so that whoever made it sees it at once."""
        self._kept = {org: kept for org, kept in self._kept.items() if kept[1].engine.org_id != org_id}

    async def admit(self, request: Request) -> tuple[Front, Client, Allowance]:
        """Prove which client calls; raises `Denied` or `Unavailable(throttled)`."""
        scheme, _, token = request.headers.get("authorization", "").strip().partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Denied(
                "Say who you are: `Authorization: Bearer <client token>`.", code="no_credentials", unproven=True
            )
        client = client_identity.read_token(self._desk, token.strip())
        front = await self.shown(request.path_params["org"])
        if client.org_id != front.engine.org_id:
            raise client_identity.bad_token()
        if client.visitor is not None and not front.widget.takes_anonymous:
            raise Denied("This support chat is for signed-in clients.", code="identity_wanted", unproven=True)
        allowance = self.clients.hit(client.id)
        if allowance.is_spent:
            raise too_often(allowance)
        return front, client, allowance

    def is_ours(self, origin: str, host: str) -> bool:
        return urlsplit(origin).netloc.lower() in {host.lower(), self._public} - {""}

    def note_stranger(self, front: Front, origin: str) -> None:
        """Say in the log which origin wanted the widget and is not listed, once an hour, and what to do about it."""
        try:
            found = clean_origins([origin[:_LONGEST_ORIGIN]])
        except Invalid:
            return  # no origin of a page: nothing that one could list
        now = time.monotonic()
        key = (front.engine.org_id, "".join(found))
        if not found or now - self._strangers.get(key, -_NOTED_SECONDS) < _NOTED_SECONDS:
            return
        if len(self._strangers) >= _MOST_KEPT:
            self._strangers.clear()
        self._strangers[key] = now
        _log.warning(
            "widget.origin_not_listed",
            org=front.slug,
            origin=found[0],
            what_to_do="if the page is yours, add its origin to the list under Settings > Widget",
        )

    async def _read(self, org: str) -> Front:
        try:
            engine = await self._desk.engine_of(_named(org))
        except Missing:
            raise _no_widget(org) from None
        async with self._desk.database.org_reading(engine) as connection:
            found = await organizations.read_organization(connection, engine.org_id)
            widget = await widgets.find(connection, engine.org_id)
        language = found.settings.get("default_language")
        return Front(engine, found.name, found.slug, language if isinstance(language, str) else "en", widget)


class WidgetOrigins:
    """Answers pages of other origins only where the organization allows them; the rest of the API is not its business."""

    def __init__(self, app: ASGIApp, *, fronts: Fronts) -> None:
        self._app = app
        self._fronts = fronts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        matched = _PATH.match(scope["path"]) if scope["type"] == "http" else None
        request = Request(scope) if matched else None
        origin = request.headers.get("origin") if request else None
        if request is None or matched is None or origin is None:
            await self._app(scope, receive, send)
            return
        if self._fronts.is_ours(origin, request.headers.get("host", "")):
            await self._app(scope, receive, send)
            return
        is_asking = scope["method"] == "OPTIONS"
        if not await self._allows(unquote(matched[1]), origin):
            await _refuse(scope)(scope, receive, send)
            return
        if is_asking:
            headers = {**_ALLOWED, "access-control-allow-origin": origin, "vary": "Origin"}
            await Response(status_code=204, headers=headers)(scope, receive, send)
            return

        async def opened(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"access-control-allow-origin", origin.encode("latin-1")),
                    (b"access-control-expose-headers", _EXPOSED),
                    (b"cross-origin-resource-policy", b"cross-origin"),
                    (b"vary", b"Origin"),
                ]
            await send(message)

        await self._app(scope, receive, opened)

    async def _allows(self, org: str, origin: str) -> bool:
        try:
            front = await self._fronts.shown(org)
        except Missing:
            return False
        is_listed = front.widget.allows(origin.lower())
        if not is_listed:
            self._fronts.note_stranger(front, origin)
        return is_listed


def too_often(allowance: Allowance) -> Unavailable:
    return Unavailable(
        f"Too many requests: {allowance.limit} are allowed. Wait {allowance.retry_after} s.",
        code="rate_limited",
        retry_after=allowance.retry_after,
        throttled=True,
    )


def _refuse(scope: Scope) -> Response:
    from asoe.api.door import refuse

    said = "Pages of this origin may not use this widget: an owner or admin adds it under Settings › Widget."
    return refuse(Denied(said, code="origin_not_allowed"), scope)


def _named(org: str) -> UUID | str:
    try:
        return UUID(org)
    except ValueError:
        return org


def _no_widget(org: str) -> Missing:
    return Missing(f"There is no widget of {org[:80]!r} here, or it is off.", code="widget_missing")
