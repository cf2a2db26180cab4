"""Wishes: what clients want and no article offers, by how many want it and on which plan; and what becomes of it."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from starlette.responses import Response

from asoe.desk import wish
from asoe.domain.errors import AsoeError, Missing
from asoe.domain.wish import WANTED, WISH_STATUSES
from asoe.web.door import Pages, Visit

pages = Pages()
_ONE: Final = "/wishes/{wish_number}"
PAGE_SIZE: Final = 100


@pages.get("/wishes")
async def show_all(visit: Visit) -> Response:
    status = visit.text("status", "open", most=20)
    after = _after(visit.text("after", most=30))
    found = await wish.list_wishes(
        visit.desk,
        visit.principal,
        status=status if status in WISH_STATUSES else None,
        after=after,
        limit=PAGE_SIZE + 1,
    )
    shown = found[:PAGE_SIZE]
    newest = "/wishes?" + urlencode({"status": status})
    return visit.page(
        "wishes.html",
        found=shown,
        status=status,
        statuses=WISH_STATUSES,
        newest=newest if after else "",
        older=f"{newest}&after={shown[-1].clients}-{shown[-1].number}" if len(found) > PAGE_SIZE else "",
    )


@pages.get(_ONE)
async def show(visit: Visit) -> Response:
    return await _page(visit)


@pages.post(_ONE + "/change")
async def change(visit: Visit) -> Response:
    number, status = _number(visit), visit.text("status", most=20)
    title = visit.text("title", most=1000)
    try:
        found = await wish.change_wish(visit.desk, visit.principal, number, title=title or None, status=status or None)
    except AsoeError as error:
        return await _page(visit, problem=error)
    return visit.back(f"/wishes/{number}", f"Saved: wish {number} is {found.status}.")


@pages.post(_ONE + "/merge")
async def merge(visit: Visit) -> Response:
    number, into = _number(visit), visit.number("into", 0, low=1)
    try:
        await wish.merge_wishes(visit.desk, visit.principal, number, into=into)
    except AsoeError as error:
        return await _page(visit, problem=error)
    undo = {"path": f"/wishes/{number}/split", "fields": []}
    return visit.back(f"/wishes/{into}", f"Wish {number} counts with this one.", undo=undo)


@pages.post(_ONE + "/split")
async def split(visit: Visit) -> Response:
    """The whole wish out of the one it was merged into, or one ticket out of this wish."""
    number = _number(visit)
    try:
        ticket_ids = [UUID(each) for each in visit.texts("ticket")]
    except ValueError:
        raise Missing("There is no such ticket here.", code="missing") from None
    try:
        found = await wish.split_wish(visit.desk, visit.principal, number, ticket_ids=ticket_ids)
    except AsoeError as error:
        return await _page(visit, problem=error)
    return visit.back(f"/wishes/{found.number}", "It stands by itself now.")


@pages.post(_ONE + "/ship")
async def ship(visit: Visit) -> Response:
    number = _number(visit)
    try:
        found = await wish.ship_wish(visit.desk, visit.principal, number, note=visit.text("note", most=70_000))
    except AsoeError as error:
        return await _page(visit, problem=error)
    return visit.back(f"/wishes/{number}", f"Shipped: {found.clients} clients are told on their tickets.")


async def _page(visit: Visit, *, problem: AsoeError | None = None) -> Response:
    found = await wish.read_wish(visit.desk, visit.principal, _number(visit))
    others = []
    if found.wish.status in {*WANTED, "declined"}:
        listed = await wish.list_wishes(visit.desk, visit.principal)
        others = [each for each in listed if each.status in {*WANTED, "shipped"} and each.number != found.wish.number]
    return visit.page(
        "wish.html",
        422 if problem else 200,
        wish=found.wish,
        supporters=found.supporters,
        others=others,
        problem=problem,
    )


def _number(visit: Visit) -> int:
    given = visit.request.path_params["wish_number"]
    if not given.isascii() or not given.isdigit() or not 1 <= int(given) < 2**31:
        raise Missing("There is no such wish here.", code="missing")
    return int(given)


def _after(text: str) -> tuple[int, int] | None:
    """Behind which wish a page begins: how many clients, and the number."""
    clients, _, number = text.partition("-")
    if not text:
        return None
    if not all(part.isascii() and part.isdigit() and int(part) < 2**31 for part in (clients, number)):
        raise Missing("There is no such wish here.", code="missing")
    return int(clients), int(number)
