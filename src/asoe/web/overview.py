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

pages = Pages()
AGES = ("under 4 h", "under 1 day", "under 3 days", "older")
KEPT_SECONDS = 3.0
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


@pages.get("/", roles=MEMBERS)
async def show(visit: Visit) -> Response:
    if visit.principal.is_client:
        return visit.page("client.html")
    period = visit.text("period", "week", most=10)
    if period not in PERIODS:
        raise Missing(f"There is no period {period!r}.", code="missing")
    me = visit.principal  # whoever asks first: all of the team see the same
    found, stats, pressing, incidents, runbooks, stopped = await visit.site.keep.get(
        (me.org_id, me.role, "overview", period), KEPT_SECONDS, lambda: _read(visit, period)
    )
    rates = [
        Rate(name, getattr(found.report, name), found.report.resting, definition)
        for name, definition in desk_overview.DEFINITIONS.items()
    ]
    return visit.page(
        "overview.html",
        found=found,
        stats=stats,
        pressing=pressing,
        incidents=incidents,
        runbooks=runbooks,
        stopped=stopped,
        rates=rates,
        period=period,
        periods=PERIODS,
        severities=sorted(SEVERITY_RANK, key=SEVERITY_RANK.__getitem__, reverse=True),
        ages=AGES,
        reasons=REASONS,
        is_capped=found.report.tickets >= desk_overview.MOST_TICKETS,
        most=desk_overview.MOST_TICKETS,
    )


async def _read(
    visit: Visit, period: str
) -> tuple[Overview, Stats, Pressing, list[Seen], list[tuple[RunbookRow, str]], str | None]:
    return (
        await desk_overview.read_overview(visit.desk, visit.principal, period=period),
        await get_stats(visit.desk, visit.principal),
        await service_level.pressing(visit.desk, visit.principal, limit=8),
        await handling.going(visit.desk, visit.principal),
        await autonomy.read_standings(visit.desk, visit.principal),
        await autonomy.stop_reason(visit.desk, visit.principal),
    )
