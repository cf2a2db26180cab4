"""Topics: what tickets are about, how much, whether it grows, and what it takes, with tickets to look at."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from asoe.desk import topic
from asoe.desk.topic import DAYS, PERIOD, Topics
from asoe.domain.report import DEFINITIONS, times
from asoe.web.door import STAFF, Pages, Visit

pages = Pages()
KEPT_SECONDS: Final = 10.0
SHOWN: Final = 50


@pages.get("/insights/topics", roles=STAFF)
async def show(visit: Visit) -> Response:
    me = visit.principal
    found: Topics = await visit.site.keep.get(
        (me.org_id, me.role, "topics"), KEPT_SECONDS, lambda: topic.read_topics(visit.desk, me)
    )
    return visit.page(
        "topics.html",
        found=found,
        items=found.items[:SHOWN],
        most=max((week for each in found.items[:SHOWN] for week in each.weeks), default=0) or 1,
        days=DAYS,
        period=PERIOD.days,
        definitions=DEFINITIONS,
        times=times,
    )
