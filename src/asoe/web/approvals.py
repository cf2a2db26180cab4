"""Approvals: each act that waits for a person's word, with its exact arguments, its evidence and its undo, on one card."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from starlette.responses import Response

from asoe.desk import approval
from asoe.store import overview
from asoe.web.door import Pages, Visit, safe_next
from asoe.web.live import newest

pages = Pages()
PAGE_SIZE: Final = 50
STATUSES: Final = ("pending", "approved", "refused", "expired", "used", "dead")


@pages.get("/approvals")
async def show_all(visit: Visit) -> Response:
    status = visit.text("status", "pending", most=20)
    since, after = await newest(visit), visit.text("after", most=40)
    found = await approval.list_approvals(
        visit.desk,
        visit.principal,
        status=status if status in STATUSES else None,
        after=visit.uuid(after, "approval") if after else None,
        limit=PAGE_SIZE + 1,
    )
    shown = found[:PAGE_SIZE]
    async with visit.desk.database.org_reading(visit.principal) as connection:
        tickets = await overview.ticket_names(
            connection, visit.principal.org_id, (each.ticket_id for each in shown if each.ticket_id)
        )
    return visit.page(
        "approvals.html",
        since=since,
        found=shown,
        status=status,
        statuses=STATUSES,
        tickets=tickets,
        here=_address(status, after),
        newest=_address(status) if after else "",
        older=_address(status, shown[-1].id) if len(found) > PAGE_SIZE else "",
    )


@pages.get("/approvals/{approval_id}")
async def show(visit: Visit) -> Response:
    found = await approval.read_approval(visit.desk, visit.principal, visit.id("approval_id", "approval"))
    async with visit.desk.database.org_reading(visit.principal) as connection:
        tickets = await overview.ticket_names(
            connection, visit.principal.org_id, [found.ticket_id] if found.ticket_id else []
        )
    return visit.page("approval.html", each=found, tickets=tickets)


@pages.post("/approvals/{approval_id}/decide")
async def decide(visit: Visit) -> Response:
    """One vote; enough of them let the run go on."""
    approval_id = visit.id("approval_id", "approval")
    decided = await approval.decide(
        visit.desk, visit.principal, approval_id, visit.text("vote", most=20), visit.text("reason", most=2000)
    )
    said = {
        "approved": "Agreed: the run goes on.",
        "refused": "Refused: the ticket goes to a person.",
    }.get(decided.status, f"Noted: {decided.approvals} of {decided.people} have agreed.")
    return visit.back(safe_next(visit.text("back", "/approvals", most=500)), said)


def _address(status: str, after: UUID | str = "") -> str:
    asked = {"status": status if status != "pending" else "", "after": str(after)}
    return "/approvals?" + urlencode({name: value for name, value in asked.items() if value})
