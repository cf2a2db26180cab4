"""Live pages: a stream that says which ticket changed, never what. The page then asks for its parts again.

A page names what it was made from (`after`), so that nothing is lost between its making and its stream.
"""

from __future__ import annotations

from uuid import UUID

from starlette.responses import Response

from asoe.api.live import read_cursor, write_cursor
from asoe.api.stream import event_stream
from asoe.desk import ticket as desk_ticket
from asoe.store import facts
from asoe.web.door import Pages, Visit

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


async def newest(visit: Visit) -> str:
    """What a page names as `after`, when it is asked for before anything that the page shows."""
    async with visit.desk.database.org_reading(visit.principal) as connection:
        return write_cursor((await facts.newest_cursor(connection), 0))


async def _stream(visit: Visit, ticket_id: UUID | None) -> Response:
    after = read_cursor(visit.request.headers.get("last-event-id") or visit.text("after", most=64))

    async def is_signed_in() -> bool:
        now = await visit.site.sign_ins.ask(visit.token)
        return now is not None and now.principal == visit.principal

    return await event_stream(
        visit.site.gate.hub.viewing(visit.principal, ticket_id=ticket_id, after=after),
        gauge=visit.site.gate.metrics.viewers,
        data=lambda change: {"kind": change.kind, "ticket": change.ticket_id},
        may_still=is_signed_in,
        greeting=b"event: following\ndata: {}\n\n",
        farewell=b"event: signed-out\ndata: {}\n\n",
    )
