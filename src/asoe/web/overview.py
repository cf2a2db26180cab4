"""The first page: is all well, what waits, what did the engine do and what did it leave to people."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from asoe.desk import autonomy, service_level
from asoe.desk import overview as desk_overview
from asoe.desk.incident import handling
from asoe.desk.incident.handling import Seen
from asoe.desk.insight import Stats, get_stats
from asoe.desk.overview import Overview
from asoe.desk.service_level import Pressing
from asoe.domain.errors import Missing
from asoe.domain.escalation import REASONS
from asoe.domain.interval import interval
from asoe.domain.ticket import SEVERITY_RANK
from asoe.store.runbooks import RunbookRow
from asoe.web.door import MEMBERS, Pages, Visit
from asoe.web.live import newest

pages = Pages()
AGES = ("under 4 h", "under 1 day", "under 3 days", "older")
KEPT_SECONDS = 3.0
INCIDENTS_SHOWN = 8
PERIODS = {"day": "24 hours", "week": "7 days", "month": "30 days"}


@dataclass(frozen=True, slots=True)
class Rate:
    """A share with its interval, and what it means in words."""

    name: str
    hits: int
    total: int
    definition: str

    @property
    def share(self) -> float | None:
        return self.hits / self.total if self.total else None

    @property
    def interval(self) -> tuple[float, float] | None:
        return interval(self.hits, self.total)


@dataclass(frozen=True, slots=True)
class Sight:
    """What the page was made from; its stream begins at `since`."""

    since: str
    found: Overview
    stats: Stats
    pressing: Pressing
    incidents: list[Seen]
    runbooks: list[tuple[RunbookRow, str]]
    stopped: str | None


@pages.get("/", roles=MEMBERS)
async def show(visit: Visit) -> Response:
    if visit.principal.is_client:
        return visit.page("client.html")
    period = visit.text("period", "week", most=10)
    if period not in PERIODS:
        raise Missing(f"There is no period {period!r}.", code="missing")
    me = visit.principal  # whoever asks first: all of the team see the same
    seen = await visit.site.keep.get(
        (me.org_id, me.role, "overview", period), KEPT_SECONDS, lambda: _read(visit, period)
    )
    report = seen.found.report
    rates = [
        Rate(name, getattr(report, name), report.resting, definition)
        for name, definition in desk_overview.DEFINITIONS.items()
    ]
    return visit.page(
        "overview.html",
        seen=seen,
        found=seen.found,
        rates=rates,
        shown=INCIDENTS_SHOWN,
        period=period,
        periods=PERIODS,
        severities=sorted(SEVERITY_RANK, key=SEVERITY_RANK.__getitem__, reverse=True),
        ages=AGES,
        reasons=REASONS,
        is_capped=report.tickets >= desk_overview.MOST_TICKETS,
        most=desk_overview.MOST_TICKETS,
    )


async def _read(visit: Visit, period: str) -> Sight:
    desk, me = visit.desk, visit.principal
    return Sight(
        since=await newest(visit),
        found=await desk_overview.read_overview(desk, me, period=period),
        stats=await get_stats(desk, me),
        pressing=await service_level.pressing(desk, me, limit=8),
        incidents=await handling.going(desk, me),
        runbooks=await autonomy.read_standings(desk, me),
        stopped=await autonomy.stop_reason(desk, me),
    )
