"""Insights: the report of a slice as figures and plots, each of which answers a question and says what it means."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from asoe.api.insights import as_csv
from asoe.desk import report as desk_report
from asoe.domain.escalation import REASONS
from asoe.domain.report import DEFINITIONS, FILTERS, Counts, Report, times
from asoe.web import plots
from asoe.web.door import STAFF, Pages, Visit

pages = Pages()
PERIODS: Final = {"7": "7 days", "30": "30 days", "90": "90 days", "365": "a year"}
KEPT_SECONDS: Final = 10.0
_LEFT_OUT: Final = frozenset({"first_response_kept", "next_response_kept", "resolution_kept"})
_SPANS: Final = (
    (60, "under a minute"), (600, "under 10 min"), (3600, "under an hour"), (4 * 3600, "under 4 h"), (86_400, "under a day"),
    (3 * 86_400, "under 3 days"), (7 * 86_400, "under a week"), (None, "longer"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a plot of times: how many tickets, and their share of the longest bar."""

    name: str
    tickets: int
    width: float


@pages.get("/insights", roles=STAFF)
async def show(visit: Visit) -> Response:
    given = {name: visit.text(name, most=250) or None for name in ("month", "since", "until", "days", *FILTERS)}
    of = desk_report.read_slice(given, visit.desk.clock().date())
    me = visit.principal
    key = (me.org_id, "insights", of.since, of.until, tuple(sorted(of.filters.items())))
    found: Report = await visit.site.keep.get(
        key, KEPT_SECONDS, lambda: desk_report.read_report(visit.desk, me, of, with_clients=True)
    )
    asked = {name: value for name, value in given.items() if value}
    if visit.text("format", most=10) == "csv":
        name = f"insights-{of.since}-to-{of.until - timedelta(days=1)}.csv"
        return Response(
            as_csv(desk_report.to_rows(found)),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )
    return visit.page(
        "insights.html",
        found=found,
        last=of.until - timedelta(days=1),
        periods=PERIODS,
        days=given["days"] or ("" if asked.keys() & {"month", "since", "until"} else "30"),
        definitions=DEFINITIONS,
        promises=[name for name in _LEFT_OUT if found.total.rate(name).total],
        groups={name: groups for name, groups in found.groups.items() if any(each.value for each in groups)},
        reasons=REASONS,
        plot=plots.arrivals(found),
        deflection=plots.deflection(found),
        cost=plots.cost(found),
        first_response=_spread(found.total, "answered_times"),
        resolution=_spread(found.total, "resolved_times"),
        link=lambda **more: "/insights?" + urlencode({**asked, **more}),
        without=lambda name: "/insights?" + urlencode({each: value for each, value in asked.items() if each != name}),
        over=lambda days: "/insights?" + urlencode({**of.filters, "days": days}),
    )


def _spread(counts: Counts, name: str) -> dict[str, Any]:
    """Median, p90 and eight bars people can read; a step that lies across two of them counts where it begins."""
    found = times(getattr(counts, name))
    numbers = [0] * len(_SPANS)
    for low, _, tickets in found.steps:
        place = next(index for index, (end, _) in enumerate(_SPANS) if end is None or low < end)
        numbers[place] += tickets
    most = max(numbers) or 1
    bars = [Bar(label, tickets, 100 * tickets / most) for (_, label), tickets in zip(_SPANS, numbers, strict=True)]
    return {"times": found, "bars": bars}
