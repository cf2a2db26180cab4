"""What every route goes through, in this order: who calls, may they, how often, what do they say, was it said before.

Routes hold none of it. Every error of a route becomes a problem document here.
"""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog
from fastapi import params
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from asoe.api import problems
from asoe.api.auth import Authenticator
from asoe.api.decoding import is_json, read_json
from asoe.api.live import Hub
from asoe.api.metrics import Metrics
from asoe.api.once import HEADER, Once, hash_request, key_of_client, read_key
from asoe.api.permissions import Rule, authorize, rule_of
from asoe.api.throttle import Allowance, Throttle
from asoe.api.widget_door import Front, Fronts
from asoe.config import Settings
from asoe.desk.context import Desk
from asoe.domain.errors import AsoeError, Denied, Unavailable
from asoe.domain.organization import Principal
from asoe.domain.widget import Client
from asoe.store.db import Connection

_log = structlog.get_logger("asoe.api")
RAW: Final = {"/api/mail": "message/rfc822"}
"""Routes whose body is neither JSON nor a form."""
_CALL: Final = "asoe.call"
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Gate:
    """What the door needs of the process; one per application."""

    desk: Desk
    settings: Settings
    authenticator: Authenticator
    hub: Hub
    metrics: Metrics
    callers: Throttle
    strangers: Throttle
    fronts: Fronts

    async def admit_client(self, request: Request) -> tuple[Front, Client, Allowance]:
        """The same for a client of the widget, by its token."""
        try:
            return await self.fronts.admit(request)
        except Denied as denied:
            if denied.unproven:
                self.count_stranger(request)
            raise

    async def admit(self, request: Request, rule: Rule) -> tuple[Principal, Allowance]:
        """Prove who calls, check the permission table and the rate; raises `Denied` or `Unavailable(throttled)`."""
        try:
            principal = await self.authenticator.authenticate(request.headers)
        except Denied as denied:
            if denied.unproven:
                self.count_stranger(request)
            raise
        allowance = self.callers.hit(principal.user_id)
        if allowance.is_spent:
            raise _too_many(allowance, "requests of this account", code="rate_limited")
        authorize(principal, rule)
        return principal, allowance

    def count_stranger(self, request: Request) -> None:
        """Count a call without proof against its address."""
        allowance = self.strangers.hit(request.client.host if request.client else "")
        if allowance.is_spent:
            raise _too_many(allowance, "calls from this address without a valid key", code="too_many_failures")


@dataclass(frozen=True, slots=True)
class Call:
    """One admitted call, as its route sees it."""

    gate: Gate
    principal: Principal
    once: Once | None
    client_here: tuple[Front, Client] | None = None

    @property
    def visitor(self) -> tuple[Front, Client]:
        """Which client of the widget calls, and where; the principal is the organization's engine then."""
        if self.client_here is None:
            raise RuntimeError("this route is not for clients of the widget")
        return self.client_here

    @property
    def desk(self) -> Desk:
        return self.gate.desk

    @property
    def acting(self) -> Desk:
        """The desk for an effect whose desk function takes no `remember`."""
        return self.gate.desk if self.once is None else self.once.desk(self.gate.desk)

    def remember(
        self, show: Callable[[_Value], Any], status: int = 201
    ) -> Callable[[Connection, _Value], Awaitable[None]] | None:
        """For desk functions that keep the response in the transaction of their effect."""
        return None if self.once is None else self.once.remember(show, status)


def call_of(request: Request) -> Call:
    """The admitted call; routes that are public have none."""
    call: Call = request.scope[_CALL]
    return call


def gate_of(request: Request) -> Gate:
    gate: Gate = request.app.state.gate
    return gate


class Door(APIRoute):
    """A route of the API."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()
        (method,) = self.methods or {""}
        rule = rule_of(method, self.path)
        takes_form = self.body_field is not None and isinstance(self.body_field.field_info, params.Form)

        raw = RAW.get(self.path)

        async def handle(request: Request) -> Response:
            gate = gate_of(request)
            once: Once | None = None
            allowance: Allowance | None = None
            try:
                key = read_key(request.headers.get(HEADER)) if method == "POST" and not rule.is_public else None
                if rule.is_for_contacts:
                    front, client, allowance = await gate.admit_client(request)
                    if key is not None:
                        once = Once(front.engine, key_of_client(client.id, key), b"")
                    request.scope[_CALL] = Call(gate, front.engine, once, (front, client))
                elif not rule.is_public:
                    principal, allowance = await gate.admit(request, rule)
                    if key is not None:
                        once = Once(principal, key, b"")
                    request.scope[_CALL] = Call(gate, principal, once)
                if takes_form:
                    _require_form(request)
                elif raw is not None:
                    await _read_raw(request, raw)
                elif method != "GET":
                    body = await _read_body(request)
                    if once is not None:
                        once.request = hash_request(method, _target(request), body)
                response = await answer(request)
                if once is not None and once.is_claimed:
                    await _settle(gate, once, response)
            except Exception as error:
                response = await _after(error, request, gate, once)
            if allowance is not None:
                _note_allowance(response, allowance)
            return response

        return handle


def _require_form(request: Request) -> None:
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise problems.WrongMediaType


async def _read_raw(request: Request, media_type: str) -> None:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != media_type:
        raise problems.WrongMediaType
    await request.body()


async def _read_body(request: Request) -> bytes:
    """The whole body, decoded for FastAPI, which then only validates it."""
    body = await request.body()
    if body:
        if not is_json(request.headers.get("content-type", "")):
            raise problems.WrongMediaType
        request._json = read_json(body)  # noqa: SLF001  # what Request.json() returns once it was called
    return body


def _target(request: Request) -> str:
    query: bytes = request.scope["query_string"]
    return f"{request.scope['path']}?{query.decode('latin-1')}" if query else request.scope["path"]


async def _settle(gate: Gate, once: Once, response: Response) -> None:
    """Keep the response; when that fails the claim stays, and the effect is never repeated."""
    try:
        await once.settle(gate.desk.database, response.status_code, bytes(response.body))
    except Exception as error:
        _log.warning("idempotency.response_lost", org_id=str(once.principal.org_id), error=type(error).__name__)


async def _after(error: Exception, request: Request, gate: Gate, once: Once | None) -> Response:
    """The response of a call that failed: the first response, when the same call succeeded before."""
    if once is not None and once.request:
        try:
            if not once.is_claimed:
                first = await once.first_response(gate.desk.database, gate.desk.clock())
                if first is not None:
                    return first
            elif isinstance(error, AsoeError):
                await once.withdraw(gate.desk.database)  # a refusal; after any other error the effect may be there
        except Exception as other:
            error = other
    return refuse(error, request.scope)


def refuse(error: Exception, scope: Any) -> Response:
    """The problem document of an error; one that nobody foresaw is logged with the request's id."""
    request_id = str(scope.get("asoe.request_id", ""))
    problem = problems.problem_of(error)
    if problem is None or problem.status >= 500:
        _log.error(
            "request.failed",
            request_id=request_id,
            error=type(error).__name__,
            code=problem.code if problem else "internal_error",
            where=_places(error),
        )
    if problem is None:
        problem = problems.unexpected(request_id)
    scope["asoe.code"] = problem.code
    return problems.respond(problem, instance=request_id)


def _places(error: Exception) -> list[str]:
    """Where in the code it happened, innermost last; never the message, which may quote a client."""
    return [f"{Path(at.filename).name}:{at.lineno} {at.name}" for at in traceback.extract_tb(error.__traceback__)[-6:]]


def _note_allowance(response: Response, allowance: Allowance) -> None:
    response.raw_headers += [
        (b"ratelimit-limit", b"%d" % allowance.limit),
        (b"ratelimit-remaining", b"%d" % allowance.remaining),
        (b"ratelimit-reset", b"%d" % allowance.reset),
    ]


def _too_many(allowance: Allowance, what: str, *, code: str) -> Unavailable:
    return Unavailable(
        f"Too many {what}: {allowance.limit} are allowed. Wait {allowance.retry_after} s.",
        code=code,
        retry_after=allowance.retry_after,
        throttled=True,
    )
