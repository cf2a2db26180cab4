"""The outermost layer, plain ASGI: request id, body limit, security headers, access log, counters. It knows no route.

The log holds ids, classes and figures: no path, no query, no header's value, no text of a client.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from typing import Any, Final
from uuid import uuid4

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asoe import tracing
from asoe.api import problems
from asoe.api.door import refuse
from asoe.api.metrics import Metrics
from asoe.config import Settings

_log = structlog.get_logger("asoe.access")
_REQUEST_ID: Final = re.compile(rb"^[A-Za-z0-9._-]{8,64}$")
_ATTACHMENTS: Final = re.compile(
    r"^(?:(?:/api/support/ticket|/tickets)/[^/]+/attachments|/api/widget/[^/]+/conversations/[^/]+/files|/api/mail)/?$"
)
_FORM_OVERHEAD: Final = 64 * 1024
_DRAIN_BYTES: Final = 64 * 1024 * 1024
_DRAIN_SECONDS: Final = 10.0
_TOO_LARGE: Final = 413
_OUR_FAULT: Final = 500
_UNTRACED: Final = ("/healthz", "/readyz", "/metrics", "/assets/", "/favicon")
_METHODS: Final = frozenset({"GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS"})
_SECURITY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_MAY_BE_FRAMED: Final = re.compile(rb"frame-ancestors (?!'none')")
_DEFAULTS: Final = {
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cache-control": b"no-store",
}


class Edge:
    """Wraps the whole application."""

    def __init__(self, app: ASGIApp, *, settings: Settings, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics
        self._incoming = settings.trace_incoming
        self._max_json = settings.max_request_bytes
        self._max_form = settings.max_attachment_bytes + _FORM_OVERHEAD
        always = list(_SECURITY)
        if (settings.public_url or "").startswith("https://"):
            always.append((b"strict-transport-security", b"max-age=31536000"))
        self._always = always

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif not tracing.is_on() or scope["path"].startswith(_UNTRACED):
            await self._answer(scope, receive, send, tracing.NOBODYS)
        else:
            with self._span_of(scope) as span:
                await self._answer(scope, receive, send, span)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, span: tracing.Span) -> None:
        started = time.perf_counter()
        request_id, declared, expects = _read_headers(scope)
        scope["asoe.request_id"] = request_id
        limit = self._max_form if _ATTACHMENTS.match(scope["path"]) else self._max_json
        status = 0
        received = 0
        is_open = declared > 0

        async def limited() -> Message:
            nonlocal received, is_open
            message = await receive()
            is_open = bool(message.get("more_body"))
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > limit:
                    raise problems.TooLarge
            return message

        async def dressed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if status == _TOO_LARGE and is_open and not (expects and not received):
                    await _drain(receive)
                message["headers"] = self._dress(message.get("headers", ()), request_id)
            await send(message)

        try:
            if declared > limit:
                await refuse(problems.TooLarge(), scope)(scope, receive, dressed)
            else:
                await self._app(scope, limited, dressed)
        except Exception as error:
            if status:
                raise  # the response is half sent: the server ends the connection
            await refuse(error, scope)(scope, receive, dressed)
        finally:
            self._note(scope, status, time.perf_counter() - started, request_id, span)

    def _span_of(self, scope: Scope) -> tracing.Span:
        """A caller's traceparent is a stranger's word: by default our trace is our own and only points to it."""
        theirs = None
        if self._incoming != "ignore":
            given = (value for name, value in scope["headers"] if name == b"traceparent")
            theirs = next((text for value in given if tracing.is_traceparent(text := value.decode("latin-1"))), None)
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        is_parent = self._incoming == "parent"
        return tracing.span(
            method,
            kind="server",
            parent=theirs if is_parent else None,
            link=None if is_parent else theirs,
            http_method=method,
        )

    def _dress(self, headers: Any, request_id: str) -> list[tuple[bytes, bytes]]:
        there = {name for name, _ in headers}
        if any(name == b"content-security-policy" and _MAY_BE_FRAMED.search(value) for name, value in headers):
            there.add(b"x-frame-options")  # which knows no list; the policy's frame-ancestors says who may
        dressed = [*headers, (b"x-request-id", request_id.encode())]
        dressed += [(name, value) for name, value in self._always if name not in there]
        dressed += [(name, value) for name, value in _DEFAULTS.items() if name not in there]
        return dressed

    def _note(self, scope: Scope, status: int, seconds: float, request_id: str, span: tracing.Span) -> None:
        route = getattr(scope.get("route"), "path", "none")
        self._metrics.count(scope["method"], route, status, seconds)
        call = scope.get("asoe.call")
        if span is not tracing.NOBODYS:
            span.rename(scope["method"] if scope["method"] in _METHODS else "OTHER", of=route)
            span.note(route=route, http_status=status, request_id=request_id)
            if call:
                span.note(org_id=call.principal.org_id, account_id=call.principal.user_id)
            if status >= _OUR_FAULT:
                span.failed(scope.get("asoe.code") or "server_error")
        _log.info(
            "request",
            request_id=request_id,
            method=scope["method"] if scope["method"].isalpha() else "OTHER",
            route=route,
            status=status,
            ms=round(seconds * 1000, 2),
            code=scope.get("asoe.code"),
            org_id=str(call.principal.org_id) if call else None,
            user_id=str(call.principal.user_id) if call else None,
        )


async def _drain(receive: Receive) -> None:
    """Let the peer finish sending, and keep nothing: else it sees a broken connection, not the problem document."""
    drained = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while drained < _DRAIN_BYTES:
                message = await receive()
                drained += len(message.get("body", b""))
                if not message.get("more_body"):
                    return


def _read_headers(scope: Scope) -> tuple[str, int, bool]:
    """The request's id (the caller's, when it is one), its body's declared length, whether it waits to be asked for it."""
    request_id, declared, expects = "", 0, False
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.match(value):
            request_id = value.decode("ascii")
        elif name == b"content-length" and value.isdigit():
            declared = int(value[:20])
        elif name == b"expect":
            expects = True
    return request_id or uuid4().hex, declared, expects
