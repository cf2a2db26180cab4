"""The page behind a signed link to an approval. Looking changes nothing; deciding is a form of ours, like every other."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from starlette.responses import RedirectResponse, Response

from asoe.desk import approval_link
from asoe.domain.errors import Conflict
from asoe.store import overview
from asoe.web.door import ANYBODY, Pages, Visit

pages = Pages()
_PATH: Final = approval_link.PATH + "/{link}"


@pages.get(_PATH, roles=ANYBODY)
async def show(visit: Visit) -> Response:
    return await _page(visit)


@pages.post(_PATH, roles=ANYBODY)
async def decide(visit: Visit) -> Response:
    """One vote, as the person the link is for."""
    token = visit.request.path_params["link"]
    vote, reason = visit.text("vote", most=20), visit.text("reason", most=2000)
    try:
        await approval_link.decide(visit.desk, token, vote, reason, signed_in=_signed_in(visit))
    except Conflict as refused:
        return await _page(visit, problem=refused.message)
    return RedirectResponse(f"{approval_link.PATH}/{token}", 303)


async def _page(visit: Visit, *, problem: str = "") -> Response:
    opened = await approval_link.open_link(visit.desk, visit.request.path_params["link"], signed_in=_signed_in(visit))
    found, person = opened.found, opened.person
    async with visit.desk.database.org_reading(person) as connection:
        tickets = await overview.ticket_names(connection, person.org_id, [found.ticket_id] if found.ticket_id else [])
    return visit.page(
        "approval_link.html",
        409 if problem else 200,
        each=found,
        person=person,
        tickets=tickets,
        has_voted=opened.has_voted,
        must_sign_in=opened.is_costly and visit.sign_in is None,
        problem=problem,
    )


def _signed_in(visit: Visit) -> UUID | None:
    return None if visit.sign_in is None else visit.sign_in.user_id
