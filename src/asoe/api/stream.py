"""Server-sent events out of a live view: what a viewer is told, heartbeats, and the look whether it may still be told.

Who may see what is `live`'s and the caller's; an event says that something changed, never what.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from prometheus_client import Gauge
from pydantic_core import to_json
from starlette.responses import StreamingResponse

from asoe.api.live import PRESENCE, Change, Viewer, write_cursor

HEARTBEAT_SECONDS: Final = 15.0


async def event_stream(
    viewing: AbstractAsyncContextManager[Viewer],
    *,
    gauge: Gauge,
    data: Callable[[Change], Mapping[str, Any]],
    may_still: Callable[[], Awaitable[bool]],
    greeting: bytes = b"retry: 2000\n: following\n\n",
    farewell: bytes = b"event: closed\ndata: {}\n\n",
) -> StreamingResponse:
    """Follow until the hub closes, the client goes, or `may_still` says no (asked every heartbeat); what `viewing` raises is raised here."""
    events = _events(viewing, gauge=gauge, data=data, may_still=may_still, greeting=greeting, farewell=farewell)
    first = await anext(events)  # a refusal is an answer, not a broken stream
    return StreamingResponse(
        _after(first, events),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"},
    )


async def _after(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


async def _events(
    viewing: AbstractAsyncContextManager[Viewer],
    *,
    gauge: Gauge,
    data: Callable[[Change], Mapping[str, Any]],
    may_still: Callable[[], Awaitable[bool]],
    greeting: bytes,
    farewell: bytes,
) -> AsyncIterator[bytes]:
    async with viewing as viewer:
        gauge.inc()
        try:
            yield b"id: %s\n%s" % (write_cursor(viewer.start).encode(), greeting)  # who is cut off resumes from here
            checked = time.monotonic()
            while True:
                try:
                    async with asyncio.timeout(HEARTBEAT_SECONDS):
                        change = await viewer.waiting.get()
                except TimeoutError:
                    yield b": ping\n\n"
                else:
                    if change is None:
                        return
                    name = b"presence" if change.kind == PRESENCE else b"changed"
                    yield b"id: %s\nevent: %s\ndata: %s\n\n" % (change.id.encode(), name, to_json(data(change)))
                if time.monotonic() - checked >= HEARTBEAT_SECONDS:
                    if not await may_still():
                        yield farewell
                        return
                    checked = time.monotonic()
        finally:
            gauge.dec()
