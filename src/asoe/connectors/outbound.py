"""The guard around every outbound call: where it may go, how long it may take, how much it may bring back.

Names are resolved once and the connection is made to the very address that was checked; redirects are followed only by
reads and only within their origin; no proxy of the environment, no cookie, no compressed body. It knows no connector and
no action: whoever calls it says what the call is for, and whether it may have an effect.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal

import httpcore
import httpx
import structlog

from asoe import tracing
from asoe.connectors.contract import ConnectorError, Json
from asoe.connectors.places import ForbiddenPlaceError, Pinned, Resolve, Rules, origin_of, resolve, tls_context

_log = structlog.get_logger(__name__)

_MOST_REDIRECTS: Final = 3
_IDLE_SECONDS: Final = 4.0
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_DEEPEST: Final = 64


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response within its limits."""

    status: int
    headers: httpx.Headers
    content: bytes = field(repr=False)

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


class Outbound:
    """The calls of one connector. `name` stands in messages; `secrets` never do, not even when the other side echoes them."""

    def __init__(
        self, rules: Rules, *, name: str, secrets: Collection[str] = (), resolver: Resolve | None = None
    ) -> None:
        self.rules = rules
        self.name = name
        self._secrets = tuple(each for each in secrets if len(each) >= 4)
        self._passing: deque[str] = deque(maxlen=16)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls_context(rules.ca),
            max_connections=32,
            max_keepalive_connections=8,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=Pinned(rules, resolver or resolve),
        )

    def __repr__(self) -> str:
        return f"Outbound({self.name!r}, {self.rules.base_url!r})"

    async def send(self, request: httpx.Request, *, what: str, timeout: float, may_have_effect: bool = False) -> Answer:
        """Send and read the whole response, whatever its status; raises `ConnectorError` when there is none.

        `what` names the call in messages. A GET that may have no effect is sent again once when the connection was
        torn before an answer, and follows redirects within its origin.
        """
        is_read = request.method in {"GET", "HEAD"} and not may_have_effect
        ends = time.monotonic() + timeout
        hops, again = 0, is_read
        while True:
            left = max(0.001, ends - time.monotonic())
            try:
                answer = await self._once(request, what=what, timeout=left, may_have_effect=may_have_effect)
            except _Torn as torn:
                if not again:
                    raise torn.error from None
                again = False
                continue
            if answer.status not in _REDIRECTS:
                return answer
            request = self._followed(request, answer, what=what, may_have_effect=may_have_effect, hops=hops)
            hops += 1

    @asynccontextmanager
    async def stream(
        self, request: httpx.Request, *, what: str, timeout: float | None, may_have_effect: bool = False
    ) -> AsyncIterator[tuple[int, httpx.Headers, AsyncIterator[bytes]]]:
        """Status, headers and the body as it comes, never more than the limit; `timeout` None: the caller keeps the time."""
        progress = _Progress()
        opened: httpcore.Response | None = None
        with _span_of(request, is_current=False) as span:
            try:
                async with asyncio.timeout(timeout):
                    opened = await self._open(request, progress)
                    span.note(http_status=opened.status)
                    headers = httpx.Headers(opened.headers)
                    self._check_head(headers, what, opened.status, may_have_effect=may_have_effect)
                    yield opened.status, headers, self._limited(opened, what, may_have_effect=may_have_effect)
            except (*_FAILURES, TimeoutError, OSError) as error:
                failed = self._failed(error, progress, what, may_have_effect=may_have_effect)
            else:
                return
            finally:
                if opened is not None:
                    await opened.aclose()
            raise failed

    def refusal(
        self,
        answer: Answer,
        *,
        what: str,
        may_have_effect: bool = False,
        missing: Collection[int] = (404, 410),
        in_progress: Collection[int] = (),
        code: str = "",
    ) -> ConnectorError | None:
        """What a status means to a caller; None for a success.

        4xx: refused, surely without effect (`missing`: the thing does not exist; `in_progress`: an earlier call with the
        same key is still going on, so nobody can tell yet). 5xx: nobody can tell. `code`: the other side's own word for it.
        """
        if answer.is_success:
            return None
        status = answer.status
        said = f"{self.name} answered {what} with {status}{f' ({self.scrub(code)})' if code else ''}"
        unknown: Literal["none", "unknown"] = "unknown" if may_have_effect else "none"
        after = retry_after(answer.headers)
        if status in in_progress:
            return ConnectorError(
                f"{said}: the same call is still going on there.",
                permanent=False,
                effect=unknown,
                retry_after=after or 1.0,
            )
        if status in {408, 425, 429}:
            words = "too many calls" if status == 429 else "it was not ready"
            effect: Literal["none", "unknown"] = unknown if status == 408 else "none"
            return ConnectorError(f"{said}: {words}.", permanent=False, effect=effect, retry_after=after or 1.0)
        if status in {401, 403}:
            return ConnectorError(
                f"{said}: our credentials are refused. Check them and what they may do (asoe connector check).",
                permanent=True,
            )
        if status in missing:
            return ConnectorError(f"{said}: there is no such thing.", permanent=True, is_missing=True)
        if 400 <= status < 500:
            return ConnectorError(f"{said}: the call is refused as it is.", permanent=True)
        return ConnectorError(f"{said}: a fault on its side.", permanent=False, effect=unknown, retry_after=after)

    def withhold(self, secret: str) -> None:
        """Keep a secret that comes and goes out of messages, too: an access token."""
        self._passing.append(secret)

    def scrub(self, text: str) -> str:
        """A text of the other side without our secrets, control characters and length, fit for a message."""
        for secret in sorted((*self._secrets, *self._passing), key=len, reverse=True):
            text = text.replace(secret, "…")
        return "".join(letter if letter.isprintable() else " " for letter in text)[:200]

    async def close(self) -> None:
        await self._pool.aclose()

    async def _once(self, request: httpx.Request, *, what: str, timeout: float, may_have_effect: bool) -> Answer:
        progress = _Progress()
        with _span_of(request) as span:
            try:
                async with asyncio.timeout(timeout):
                    opened = await self._open(request, progress)
                    span.note(http_status=opened.status)
                    try:
                        headers = httpx.Headers(opened.headers)
                        self._check_head(headers, what, opened.status, may_have_effect=may_have_effect)
                        parts = [part async for part in self._limited(opened, what, may_have_effect=may_have_effect)]
                    finally:
                        await opened.aclose()
                    return Answer(opened.status, headers, b"".join(parts))
            except (*_FAILURES, TimeoutError, OSError) as error:
                failed = self._failed(error, progress, what, may_have_effect=may_have_effect)
                is_torn = isinstance(error, httpcore.NetworkError | httpcore.RemoteProtocolError) and progress.is_reused
            # raised here, so that no cause with an address or a header of ours hangs on it
            raise _Torn(failed) if is_torn else failed

    async def _open(self, request: httpx.Request, progress: _Progress) -> httpcore.Response:
        if origin_of(str(request.url)) not in self.rules.origins:
            raise ForbiddenPlaceError("that host is not on the connector's list (base_url, hosts)")
        headers = [(name, value) for name, value in request.headers.raw if name.lower() not in _OURS]
        return await self._pool.handle_async_request(
            httpcore.Request(
                request.method,
                httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=[*headers, (b"Accept-Encoding", b"identity"), (b"User-Agent", b"asoe")],
                content=request.content,
                extensions={
                    "timeout": {
                        "connect": self.rules.connect_seconds,
                        "read": self.rules.read_seconds,
                        "write": self.rules.read_seconds,
                        "pool": self.rules.connect_seconds,
                    },
                    "trace": progress.note,
                },
            )
        )

    def _check_head(self, headers: httpx.Headers, what: str, status: int, *, may_have_effect: bool) -> None:
        declared = headers.get("content-length", "")
        if declared.isdigit() and int(declared[:20]) > self.rules.largest:
            raise self._too_large(what, may_have_effect=may_have_effect)
        if headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
            raise ConnectorError(
                f"{self.name} answered {what} with {status} and a compressed body, though none was asked for.",
                permanent=True,
                effect="unknown" if may_have_effect else "none",
            )

    async def _limited(self, opened: httpcore.Response, what: str, *, may_have_effect: bool) -> AsyncIterator[bytes]:
        received = 0
        async for part in opened.aiter_stream():
            received += len(part)
            if received > self.rules.largest:
                raise self._too_large(what, may_have_effect=may_have_effect)
            yield part

    def _too_large(self, what: str, *, may_have_effect: bool) -> ConnectorError:
        return ConnectorError(
            f"{self.name} answered {what} with more than {self.rules.largest} bytes. Ask for less, or raise largest_bytes.",
            permanent=True,
            effect="unknown" if may_have_effect else "none",
        )

    def _followed(
        self, request: httpx.Request, answer: Answer, *, what: str, may_have_effect: bool, hops: int
    ) -> httpx.Request:
        def refuse(why: str) -> ConnectorError:
            # 307 and 308 ask for the whole call again elsewhere; after the others it may have been taken
            is_taken = may_have_effect and answer.status not in {307, 308}
            return ConnectorError(
                f"{self.name} answered {what} with a redirect ({answer.status}) that is not followed: {why}.",
                permanent=True,
                effect="unknown" if is_taken else "none",
            )

        if may_have_effect or request.method not in {"GET", "HEAD"}:
            raise refuse("only GET reads follow redirects. Give the address it leads to")
        if hops >= _MOST_REDIRECTS:
            raise refuse("there were too many of them")
        try:
            target = request.url.join(answer.headers.get("location", ""))
            is_same = origin_of(str(target)) == origin_of(str(request.url))
        except (httpx.InvalidURL, ValueError):
            raise refuse("it leads to no address") from None
        if not is_same:
            raise refuse("it leads to another host")
        headers = [(name, value) for name, value in request.headers.multi_items() if name.lower() != "host"]
        return httpx.Request(request.method, target, headers=headers)

    def _failed(self, error: BaseException, progress: _Progress, what: str, *, may_have_effect: bool) -> ConnectorError:
        effect: Literal["none", "unknown"] = "unknown" if may_have_effect and progress.is_sent else "none"
        match error:
            case ForbiddenPlaceError():
                _log.warning("connector.place_refused", connector=self.name, reason=str(error))
                return ConnectorError(f"{self.name}: {what} is not sent: {error}.", permanent=True)
            case httpcore.LocalProtocolError() | httpcore.UnsupportedProtocol():
                words, permanent = "it cannot be put into a request (a line break in a header?)", True
                effect = "none"
            case httpcore.ConnectError() | ssl.SSLError() if (tls := _tls_error(error)) is not None:
                permanent = isinstance(tls, ssl.SSLCertVerificationError)
                words = "its certificate is not to be trusted" if permanent else "no TLS connection came about"
            case httpcore.ConnectTimeout() | httpcore.PoolTimeout():
                words, permanent = "no connection came about in time", False
            case httpcore.ConnectError() | socket.gaierror():
                words, permanent = "no connection came about", False
            case TimeoutError() | httpcore.TimeoutException():
                words, permanent = "no whole answer came in time", False
            case _:
                words, permanent = "the connection was torn", False
        doubt = " Whether it took effect is not known." if effect == "unknown" else ""
        return ConnectorError(f"{self.name}: {what} failed: {words}.{doubt}", permanent=permanent, effect=effect)


def parse_json(content: bytes) -> Json:
    """JSON as text must be: UTF-8, of bounded depth, numbers finite; raises ValueError."""
    try:
        value = json.loads(content.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError(f"nested deeper than {_DEEPEST}") from None
    return checked_depth(value)


def checked_depth(value: Json) -> Json:
    """The value itself; raises ValueError when it is nested deeper than any real answer."""
    if _is_deeper(value, _DEEPEST):
        raise ValueError(f"nested deeper than {_DEEPEST}")
    return value


def retry_after(headers: httpx.Headers, now: datetime | None = None) -> float | None:
    """Seconds of a Retry-After header, at most a day (RFC 9110, 10.2.3)."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), 86400.0)
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    moment = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(0.0, (moment - (now or datetime.now(UTC))).total_seconds()), 86400.0)


class _Torn(Exception):
    """A kept connection ended before it answered: a read may be sent again."""

    def __init__(self, error: ConnectorError) -> None:
        super().__init__()
        self.error = error


class _Progress:
    """How far a call has come: nothing that failed before its first byte was sent can have an effect."""

    def __init__(self) -> None:
        self.is_sent = False
        self.is_reused = True

    async def note(self, event: str, _: Any) -> None:
        if event == "connection.connect_tcp.started":
            self.is_reused = False
        elif event.endswith("send_request_headers.started"):
            self.is_sent = True


def _span_of(request: httpx.Request, *, is_current: bool = True) -> tracing.Span:
    """One call on the wire: method, host, status. Paths and queries name clients, so that they stay out."""
    if not tracing.is_on():
        return tracing.NOBODYS
    url = request.url
    port = url.port or (443 if url.scheme == "https" else 80)
    method = request.method.upper()
    return tracing.span(method, kind="client", is_current=is_current, http_method=method, host=url.host, port=port)


def _tls_error(error: BaseException) -> ssl.SSLError | None:
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, ssl.SSLError):
        seen = seen.__cause__ or seen.__context__
    return seen


def _is_deeper(value: Json, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inside = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(each, levels - 1) for each in inside)


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


_OURS: Final = frozenset({b"accept-encoding", b"user-agent", b"cookie"})
_FAILURES: Final = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
    ForbiddenPlaceError,
)
