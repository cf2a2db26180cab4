"""Plots are the report's days in a box: every ticket is in one bar, a share lies inside its interval, and nothing counted draws nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from asoe.domain.report import Counts, Report, Slice, Trend
from asoe.web import plots

SINCE = date(2026, 10, 1)


def report(days: list[Trend], *, length: int) -> Report:
    until = SINCE + timedelta(days=length)
    now = datetime(2026, 11, 1, tzinfo=UTC)
    return Report(Slice(SINCE, until), now, "counters", 0, Counts(), {}, days, {})


def day(number: int, **counts: int) -> Trend:
    return Trend(SINCE + timedelta(days=number), **counts)


@pytest.mark.parametrize("length", [7, 92, 93, 365])
def test_each_ticket_is_in_one_bar(length: int) -> None:
    found = report([day(n, tickets=n % 5, resting=n % 3, contained=n % 2) for n in range(length)], length=length)
    plot = plots.arrivals(found)
    assert plot is not None
    assert plot.step == ("day" if length <= 92 else "week")
    assert sum(bar["counts"][0] for bar in plot.shapes) == sum(each.tickets for each in found.days)
    assert max(bar["heights"][0] for bar in plot.shapes) == 40
    assert all(bar["x"] + bar["width"] <= 100 for bar in plot.shapes)


def test_a_share_lies_in_its_interval_and_a_day_at_which_nothing_rests_has_none() -> None:
    found = report([day(0, tickets=9, resting=8, contained=6), day(2, tickets=5)], length=7)
    plot = plots.deflection(found)
    assert plot is not None
    [point] = plot.shapes
    assert (point["hits"], point["total"], point["share"]) == (6, 8, 0.75)
    assert point["low"] < 0.75 < point["high"]
    assert point["y"] <= point["point"] <= point["y"] + point["height"]


def test_minutes_are_those_for_each_ticket_that_came_in() -> None:
    free = day(1, tickets=3)
    dear = Trend(SINCE, tickets=4, worked_seconds=1200, model_cost=Decimal("0.25"))
    plot = plots.cost(report([dear, free], length=2))
    assert plot is not None
    assert [(bar["minutes"], bar["height"]) for bar in plot.shapes] == [(5.0, 40.0), (0.0, 0.0)]
    assert plot.shapes[0]["model_cost"] == Decimal("0.25")


@pytest.mark.parametrize("plot", [plots.arrivals, plots.deflection, plots.cost])
def test_nothing_counted_is_no_plot(plot: object) -> None:
    assert plot(report([], length=30)) is None  # type: ignore[operator]
