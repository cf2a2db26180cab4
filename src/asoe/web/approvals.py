"""Approvals: each act that waits for a person's word, with its exact arguments, its evidence and its undo, on one card."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from asoe.desk import approval
from asoe.store import overview
from asoe.web.door import Pages, Visit

pages = Pages()
STATUSES: Final = ("pending", "approved", "refused", "expired", "used", "dead")


@pages.get("/approvals")
async def show_all(visit: Visit) -> Response:
    status = visit.text("status", "pending", most=20)
    found = await approval.list_approvals(
        visit.desk, visit.principal, status=status if status in STATUSES else None, limit=100
    )
    async with visit.desk.database.org_reading(visit.principal) as connection:
        tickets = await overview.ticket_names(
            connection, visit.principal.org_id, (each.ticket_id for each in found if each.ticket_id)
        )
    return visit.page("approvals.html", found=found, status=status, statuses=STATUSES, tickets=tickets)


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
    return visit.back("/approvals", said)
