"""Live pages: a stream that says which ticket changed, never what. The page then asks for its parts again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final
from uuid import UUID

from pydantic_core import to_json
from starlette.responses import Response, StreamingResponse

from asoe.api.live import PRESENCE, Cursor, read_cursor
from asoe.desk import sign_in as desk_sign_in
from asoe.desk import ticket as desk_ticket
from asoe.web.door import Pages, Visit

HEARTBEAT_SECONDS: Final = 15.0
pages = Pages()


@pages.get("/live")
async def follow_all(visit: Visit) -> Response:
    """Every change in the organization."""
    return await _stream(visit, None)


@pages.get("/live/{ticket_id}")
async def follow_ticket(visit: Visit) -> Response:
    """Every change of one ticket."""
    ticket_id = visit.id("ticket_id", "ticket")
    await desk_ticket.read_ticket(visit.desk, visit.principal, ticket_id)
    return await _stream(visit, ticket_id)


async def _stream(visit: Visit, ticket_id: UUID | None) -> Response:
    events = _events(visit, ticket_id, read_cursor(visit.request.headers.get("last-event-id")))
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


async def _events(visit: Visit, ticket_id: UUID | None, after: Cursor | None) -> AsyncIterator[bytes]:
    gauge = visit.site.gate.metrics.viewers
    principal = visit.principal
    async with visit.site.gate.hub.viewing(principal, ticket_id=ticket_id, after=after) as viewer:
        gauge.inc()
        try:
            yield b"event: following\ndata: {}\n\n"
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
                    data = {"kind": change.kind, "ticket": change.ticket_id}
                    name = b"presence" if change.kind == PRESENCE else b"changed"
                    yield b"id: %s\nevent: %s\ndata: %s\n\n" % (change.id.encode(), name, to_json(data))
                if time.monotonic() - checked >= HEARTBEAT_SECONDS:
                    now = await desk_sign_in.find(visit.desk, visit.token)
                    if now is None or now.principal != principal:
                        yield b"event: signed-out\ndata: {}\n\n"
                        return
                    checked = time.monotonic()
        finally:
            gauge.dec()
