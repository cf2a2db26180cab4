"""Settings of the organization's own intents: what its tickets are about in its own words. For owners and admins."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from asoe.desk import intent
from asoe.domain.errors import Conflict, Invalid
from asoe.domain.triage import CATEGORIES
from asoe.web.door import ADMINS, Pages, Visit
from asoe.web.settings import TABS

pages = Pages()
_PATH: Final = "/settings/intents"
_MOST: Final = 12_000
"""Characters of all examples together, one on each line."""


@pages.get(_PATH, roles=ADMINS)
async def show(visit: Visit) -> Response:
    return await _page(visit)


@pages.post(_PATH, roles=ADMINS)
async def add(visit: Visit) -> Response:
    given = _given(visit)
    name, category = visit.text("name", most=100), visit.text("category", most=50)
    try:
        await intent.add_intent(visit.desk, visit.principal, name, category=category, **given)
    except (Invalid, Conflict) as error:
        typed = {**given, "name": name, "category": category}
        return await _page(visit, given=typed, problem=error.message)
    return visit.back(_PATH, "Added. Triage finds tickets of it from now on.")


@pages.post(_PATH + "/edit", roles=ADMINS)
async def edit(visit: Visit) -> Response:
    try:
        await intent.edit_intent(visit.desk, visit.principal, visit.text("name", most=100), **_given(visit))
    except (Invalid, Conflict) as error:
        return await _page(visit, problem=error.message)
    return visit.back(_PATH, "Saved.")


@pages.post(_PATH + "/retire", roles=ADMINS)
async def retire(visit: Visit) -> Response:
    is_retired = visit.text("retired", most=3) != "no"
    name = visit.text("name", most=100)
    try:
        await intent.retire_intent(visit.desk, visit.principal, name, is_retired=is_retired)
    except Conflict as error:
        return await _page(visit, problem=error.message)
    undo = {"path": _PATH + "/retire", "fields": [["name", name], ["retired", "no" if is_retired else "yes"]]}
    return visit.back(_PATH, "Retired: old tickets keep it." if is_retired else "In use again.", undo=undo)


def _given(visit: Visit) -> dict[str, Any]:
    lines = visit.text("examples", most=_MOST).splitlines()
    return {
        "title": visit.text("title", most=500),
        "description": visit.text("description", most=2000),
        "examples": [line.strip() for line in lines if line.strip()],
    }


async def _page(visit: Visit, *, given: dict[str, Any] | None = None, problem: str = "") -> Response:
    return visit.page(
        "intents.html",
        422 if problem else 200,
        tabs=TABS,
        intents=await intent.list_intents(visit.desk, visit.principal, with_retired=True),
        categories=CATEGORIES,
        given=given or {},
        problem=problem,
    )
