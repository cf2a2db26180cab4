"""Audit: every fact of the organization, newest first, and whether they are proved to be what was sealed.

Facts hold ids and classes; what clients wrote is not in them.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from starlette.responses import Response

from asoe.desk import audit as desk_audit
from asoe.desk import ticket as desk_ticket
from asoe.domain.errors import Invalid
from asoe.domain.facts import FACTS
from asoe.store import audit, directory, overview
from asoe.web.door import ADMINS, Pages, Visit

pages = Pages()
NEWEST: Final = 50
"""Blocks that are proved when somebody asks here; `asoe audit verify` proves all."""


@pages.get("/audit", roles=ADMINS)
async def show(visit: Visit) -> Response:
    kind, actor = visit.text("kind", most=50), visit.text("actor", most=40)
    number = visit.text("ticket", most=20).strip().removeprefix("#")
    if kind and kind not in FACTS:
        raise Invalid(f"kind: {kind!r} is no kind of fact.", code="invalid_request")
    ticket_id = None
    if number:
        if not number.isascii() or not number.isdigit() or len(number) > 18:
            raise Invalid("ticket: a number of a ticket is wanted.", code="invalid_request")
        ticket_id = (await desk_ticket.read_by_number(visit.desk, visit.principal, int(number))).id
    org_id = visit.principal.org_id
    async with visit.desk.database.org_reading(visit.principal) as connection:
        found = await audit.page(
            connection,
            org_id,
            before=visit.number("before", 0, high=2**63 - 1) or None,
            kind=kind or None,
            actor=_actor(actor),
            ticket_id=ticket_id,
        )
        names = await directory.names(connection, org_id, (fact.actor for fact in found.facts))
        tickets = await overview.ticket_names(connection, org_id, (fact.ticket_id for fact in found.facts))
        books = await directory.runbooks(connection, org_id, found.facts)
        colleagues = await directory.staff(connection, org_id)
    asked = {name: value for name, value in {"kind": kind, "actor": actor, "ticket": number}.items() if value}
    engine = await visit.desk.engine_of(org_id)
    proof = None
    if visit.text("prove", most=5):
        proof = await desk_audit.prove_trail(visit.desk, visit.principal, newest=NEWEST)
    return visit.page(
        "audit.html",
        found=found,
        standing=await desk_audit.read_standing(visit.desk, visit.principal),
        proof=proof,
        newest_blocks=NEWEST,
        kinds=FACTS,
        kind=kind,
        actor=actor,
        number=number,
        names=names,
        tickets=tickets,
        books=books,
        colleagues=colleagues,
        engine=engine.user_id,
        older=f"/audit?{urlencode({**asked, 'before': found.next_before})}" if found.next_before else "",
        newest=f"/audit?{urlencode(asked)}",
        is_first=not visit.text("before", most=20),
    )


def _actor(text: str) -> UUID | None:
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError:
        raise Invalid("actor: this is no id of a member.", code="invalid_request") from None
