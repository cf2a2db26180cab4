"""The briefing as a page: the last day or week for whoever is signed in, readable in a minute, with plots."""

from __future__ import annotations

from datetime import timedelta

from starlette.responses import Response

from asoe.desk import briefing
from asoe.domain.briefing import DAYS, NAMES, PARTS
from asoe.web import plots
from asoe.web.door import ADMINS, STAFF, Pages, Visit

pages = Pages()


@pages.get("/briefing", roles=STAFF)
async def show(visit: Visit) -> Response:
    role = visit.principal.role
    every, part = visit.text("every", "daily", most=10), visit.text("part", most=20)
    may = {name: says for name, says in NAMES.items() if name != "running" or role in ADMINS}
    found = await briefing.read_briefing(
        visit.desk, visit.principal, every=every if every in DAYS else "daily", part=part if part in may else None
    )
    return visit.page(
        "briefing.html",
        found=found,
        last=found.until - timedelta(days=1),
        part=part if part in may else "",
        parts=may,
        own=PARTS[role],
        every=found.every,
        periods=tuple(DAYS),
        lines={name: briefing.lines_of(found, name, visit.desk.clock()) for name in found.parts},
        names=NAMES,
        plot=plots.arrivals(found.figures.plotted) if found.figures is not None else None,
    )
