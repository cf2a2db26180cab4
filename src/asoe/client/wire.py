"""The protocol without a socket: what a failed request means, whether it may be sent again, and how events are read.

Sent again is only what cannot take effect twice: reads, requests with an Idempotency-Key, and what was never taken up.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import httpx

from asoe.client.shapes import Change
from asoe.domain.errors import AsoeError, Conflict, Denied, FieldProblem, Invalid, Missing, Unavailable

KEY_HEADER: Final = "Idempotency-Key"
LISTEN_SECONDS: Final = 60.0
"""Silence after which a stream is taken for dead; the server says something every 15 s."""
_PROBLEM: Final = "application/problem+json"
_LONGEST_WAIT: Final = 120.0
_GATEWAY: Final = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a request is sent at most, and how long is waited in between (seconds; doubled each time, with jitter)."""

    attempts: int = 5
    first_wait: float = 0.25
    longest_wait: float = 8.0

    def wait(self, attempt: int, error: AsoeError) -> float:
        """Seconds before the attempt after `attempt` (0 is the first); never less than the server asked for."""
        jitter = random.uniform(0, min(self.longest_wait, self.first_wait * 2**attempt))
        asked = error.retry_after if isinstance(error, Unavailable) and error.retry_after else 0.0
        return min(_LONGEST_WAIT, asked) + jitter


def may_repeat(method: str, *, has_key: bool, error: AsoeError) -> bool:
    """Whether the same request may be sent again after `error` without a second effect."""
    if isinstance(error, Conflict):
        return has_key and error.code == "idempotency_in_progress"
    if not isinstance(error, Unavailable) or error.permanent:
        return False
    return error.throttled or error.code == "api_unreachable" or has_key or method == "GET"


def lost(error: httpx.TransportError) -> Unavailable:
    """A request without a response; `api_unreachable` when it was surely never sent."""
    if isinstance(error, httpx.UnsupportedProtocol):
        return Unavailable(
            "The address of the API has to begin with https:// or http://.", code="bad_api_address", permanent=True
        )
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        return Unavailable(f"The API is not reachable ({type(error).__name__}).", code="api_unreachable")
    return Unavailable(f"The connection broke before the answer ({type(error).__name__}).", code="connection_lost")


def error_of(status: int, headers: Mapping[str, str], body: bytes) -> AsoeError:
    """The error that a response stands for, with the code of its problem document."""
    problem = _problem(headers, body)
    code = str(problem.get("code") or "request_failed")
    message = str(problem.get("detail") or f"The request failed with HTTP {status}.")
    wrong = tuple(
        FieldProblem(str(one.get("field", "")), str(one.get("problem", "")))
        for one in problem.get("errors") or ()
        if isinstance(one, Mapping)
    )
    if status == 401:
        return Denied(message, code=code, unproven=True)
    if status == 403:
        return Denied(message, code=code)
    if status == 404:
        return Missing(message, code=code)
    if status == 409:
        return Conflict(message, code=code)
    wait = _seconds(headers.get("retry-after"))
    if status == 429:
        return Unavailable(message, code=code, retry_after=1.0 if wait is None else wait, throttled=True)
    if status in _GATEWAY:
        # the API says by Retry-After that waiting may help; what stands before it says nothing
        return Unavailable(message, code=code, retry_after=wait, permanent=bool(problem) and wait is None)
    if status >= 500:
        return Unavailable(message, code=code, permanent=True)
    return Invalid(message, code=code, fields=wrong, unreadable=status == 400)


def json_of(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        raise Unavailable(
            "The answer is not JSON. Is the address that of an ASOE API?", code="unreadable_answer", permanent=True
        ) from None


def encode(value: Any) -> bytes:
    return json.dumps(value, default=_text, ensure_ascii=False, allow_nan=False).encode()


def query(params: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What goes behind the question mark; a list is a field given several times."""
    if params is None:
        return None
    return {
        name: [_text(one) for one in value] if isinstance(value, list | tuple) else _text(value)
        for name, value in params.items()
    }


def given(**arguments: Any) -> dict[str, Any]:
    """The arguments that were given, for a body or a query."""
    return {name: value for name, value in arguments.items() if value is not None}


@dataclass(slots=True)
class EventReader:
    """Server-sent events, line by line (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

    last_id: str | None = None
    is_closed: bool = False
    _event: str = ""
    _data: list[str] = field(default_factory=list)

    def take(self, line: str) -> Change | None:
        """The change that ends with `line`; sets `is_closed` when the server says that there will be no more."""
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "id" and "\0" not in value:
                self.last_id = value
            elif name == "event":
                self._event = value
            elif name == "data":
                self._data.append(value)
            return None
        event, data = self._event, "\n".join(self._data)
        self._event, self._data = "", []
        if event == "closed":
            self.is_closed = True
        if event != "changed":
            return None
        told = json_of(data.encode())
        if not isinstance(told, Mapping):
            return None
        return Change(self.last_id or "", str(told.get("kind", "")), told.get("seq"))


def _text(value: Any) -> Any:
    """Ids and times as text; the rest as it is, for whoever encodes it to refuse."""
    match value:
        case datetime():
            return value.isoformat()
        case UUID():
            return str(value)
        case str() | int() | float():
            return value
        case _:
            raise TypeError(f"{type(value).__name__} cannot be sent as JSON")


def _problem(headers: Mapping[str, str], body: bytes) -> Mapping[str, Any]:
    if not headers.get("content-type", "").startswith(_PROBLEM):
        return {}
    try:
        problem = json.loads(body)
    except ValueError:
        return {}
    return problem if isinstance(problem, Mapping) else {}


def _seconds(value: str | None) -> float | None:
    return float(value) if value is not None and value.isascii() and value.isdigit() else None
