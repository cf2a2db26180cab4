"""The door of a worker for Prometheus: `/metrics` with this process's figures, under the rules of the API's."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from asoe.config import Settings
from asoe.domain.errors import Conflict
from asoe.tracing import measures

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})
_PATIENCE: Final = 5.0
_LONGEST: Final = 8 * 1024


@asynccontextmanager
async def metrics_door(settings: Settings) -> AsyncIterator[int | None]:
    """Answer while the block lasts, where ASOE_METRICS_PORT is set; yields the port. Raises `Conflict(port_in_use)`."""
    if settings.metrics_port is None:
        yield None
        return

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_PATIENCE):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                status, body = _said(head, settings.metrics_token, str(writer.get_extra_info("peername")[0]))
                kind = "text/plain; version=0.0.4; charset=utf-8"
                lines = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
                writer.write(lines.encode() + body)
                await writer.drain()
        writer.close()

    try:
        server = await asyncio.start_server(answer, settings.host, settings.metrics_port, limit=_LONGEST)
    except OSError:
        raise Conflict(
            f"ASOE_METRICS_PORT: {settings.host}:{settings.metrics_port} cannot be listened on. Give each worker of a machine a "
            "port of its own, or none.",
            code="port_in_use",
        ) from None
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def _said(head: str, token: str | None, peer: str) -> tuple[str, bytes]:
    first, *lines = head.split("\r\n")
    method, _, rest = first.partition(" ")
    if method != "GET" or rest.partition(" ")[0].partition("?")[0] != "/metrics":
        return "404 Not Found", b"Only GET /metrics is answered here.\n"
    if token is None:
        if peer not in _LOOPBACK:
            return (
                "403 Forbidden",
                b"Metrics are for this machine only; set ASOE_METRICS_TOKEN to read them from elsewhere.\n",
            )
        return "200 OK", measures.text()
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    given = headers.get("authorization", "").removeprefix("Bearer ").strip()
    if not hmac.compare_digest(given.encode(), token.encode()):
        return "401 Unauthorized", b"Give the token of ASOE_METRICS_TOKEN as Bearer.\n"
    return "200 OK", measures.text()
