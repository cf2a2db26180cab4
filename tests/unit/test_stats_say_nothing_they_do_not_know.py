from __future__ import annotations

import pytest

from asoe.desk.insight import Stats, summarize
from asoe.domain.ticket import STATUSES
from asoe.store.tickets import Tally


def tally(status: str, tickets: int = 1, *, timed: int = 0, seconds: float = 0, category: str = "billing") -> Tally:
    return Tally(category=category, status=status, tickets=tickets, resolved_timed=timed, resolved_seconds=seconds)


def test_without_tickets_rate_and_time_are_unknown_not_zero():
    assert summarize([]) == Stats(
        total_tickets=0, open_tickets=0, resolved_rate=None, avg_resolution_time=None, by_category={}
    )


@pytest.mark.parametrize(
    ("ended", "total", "percent"),
    [(0, 3, 0), (1, 3, 33), (2, 3, 67), (1, 8, 13), (3, 8, 38), (1, 200, 1), (1, 201, 0), (199, 200, 100), (5, 5, 100)],
)
def test_the_rate_is_a_whole_percent_rounded_half_up(ended, total, percent):
    rows = [tally("resolved", ended), tally("escalated", total - ended)]
    assert summarize(rows).resolved_rate == percent


def test_resolved_and_closed_count_as_ended_and_escalated_as_neither_open_nor_ended():
    stats = summarize([tally(status) for status in STATUSES])
    assert (stats.total_tickets, stats.open_tickets, stats.resolved_rate) == (6, 3, 33)


def test_the_average_is_in_hours_over_those_that_were_resolved():
    rows = [
        tally("closed", 3, timed=2, seconds=3 * 3600),
        tally("open", 5),
        tally("resolved", 1, timed=1, seconds=1800),
    ]
    assert summarize(rows).avg_resolution_time == round(3.5 / 3, 4)


def test_categories_are_summed_over_statuses():
    rows = [tally("open", 2), tally("closed", 3), tally("open", 1, category="account")]
    assert summarize(rows).by_category == {"account": 1, "billing": 5}
