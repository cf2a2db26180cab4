"""The plots of a report as shapes in a box of 100 by 40: how many came in, what share needed nobody, and what they took.

What is counted, and what each figure means, is the report's (`domain.report`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from asoe.domain.interval import interval
from asoe.domain.report import Report, Trend

_MOST_DAYS: Final = 92
"""Of more than these days a plot shows the weeks."""
_HEIGHT: Final = 40


@dataclass(frozen=True, slots=True)
class Plot:
    """`shapes` hold what the template draws and says of each step; `most` is the highest value."""

    step: str
    most: float
    shapes: list[dict[str, Any]]


def arrivals(found: Report) -> Plot | None:
    """Bars: came in, and of these contained and verified."""
    step, steps = _steps(found)
    most = max((each.tickets for each in steps), default=0)
    if not most:
        return None
    shapes = [
        {
            **_place(index, len(steps)),
            "day": each.day,
            "counts": (each.tickets, each.contained, each.verified),
            "heights": [_scaled(n, most) for n in (each.tickets, each.contained, each.verified)],
        }
        for index, each in enumerate(steps)
    ]
    return Plot(step, most, shapes)


def deflection(found: Report) -> Plot | None:
    """Points with their 95 % interval: what share of the tickets that rest no person touched."""
    step, steps = _steps(found)
    shapes = []
    for index, each in enumerate(steps):
        bounds = interval(each.contained, each.resting)
        if bounds is None:
            continue
        low, high = bounds
        share = each.contained / each.resting
        shapes.append(
            {
                **_place(index, len(steps)),
                "day": each.day,
                "hits": each.contained,
                "total": each.resting,
                "share": share,
                "low": low,
                "high": high,
                "y": round(_HEIGHT - _scaled(high, 1), 3),
                "height": _scaled(high - low, 1),
                "point": round(min(_HEIGHT - _scaled(share, 1), _HEIGHT - 0.8), 3),
            }
        )
    return Plot(step, 1, shapes) if shapes else None


def cost(found: Report) -> Plot | None:
    """Bars: the minutes that people spent on each ticket that came in, beside what the models cost."""
    step, steps = _steps(found)
    minutes = [each.people_minutes / each.tickets if each.tickets else 0.0 for each in steps]
    most = max(minutes, default=0.0)
    if not most and not any(each.model_cost for each in steps):
        return None
    shapes = [
        {
            **_place(index, len(steps)),
            "day": each.day,
            "tickets": each.tickets,
            "minutes": minutes[index],
            "model_cost": each.model_cost,
            "height": _scaled(minutes[index], most or 1),
        }
        for index, each in enumerate(steps)
        if each.tickets
    ]
    return Plot(step, most, shapes)


def _steps(found: Report) -> tuple[str, list[Trend]]:
    """The days of the report, or its weeks when there are many, each there though nothing came in."""
    length = (found.of.until - found.of.since).days
    size = 1 if length <= _MOST_DAYS else 7
    starts = [found.of.since + timedelta(days=at) for at in range(0, length, size)]
    sums: dict[date, Trend] = {start: Trend(start) for start in starts}
    for each in found.days:
        start = starts[(each.day - found.of.since).days // size]
        sums[start] = sums[start] + each
    return "day" if size == 1 else "week", list(sums.values())


def _place(index: int, of: int) -> dict[str, float]:
    return {"x": round(100 * index / of, 3), "width": round(80 / of, 3)}


def _scaled(value: float, most: float) -> float:
    return round(_HEIGHT * value / most, 3)
