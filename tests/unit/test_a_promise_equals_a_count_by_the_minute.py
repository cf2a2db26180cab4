"""Whole histories of tickets (answers, waits, changes, ends, reopenings) owe what a count minute by minute on the wall's clock says."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from test_open_time_is_counted_exactly import MINUTE, some_calendar, some_day, wall_clock_is_open

from asoe.domain.calendar import ALWAYS, Calendar
from asoe.domain.service_level import Clock, Moment, ServiceLevels, Target, run_clocks

IS_FULL = os.environ.get("ASOE_EVIDENCE") == "full"
PARTS = 10 if IS_FULL else 1
CASES = 1000 if IS_FULL else 40
"""Of each part."""
KINDS = ("first_response", "next_response", "resolution")
LATER = 3 * 1440
"""Minutes after the last one in which something that is due must be seen to be."""


@dataclass
class Counter:
    """One clock of the other calculation: minutes that were open while it ran."""

    kind: str
    start: int
    target: int | None
    used: int = 0
    runs: bool = True
    met: int | None = None
    missed: int | None = None
    warned: int | None = None


class Wall:
    """Goes through a ticket's life a minute at a time, and looks at the clock on the wall in each."""

    def __init__(self, levels: ServiceLevels, opened: datetime, plan: str | None, severity: str, team: str) -> None:
        self.levels, self.opened, self.plan, self.severity, self.team = levels, opened, plan, severity, team
        self.is_open: dict[tuple[str, int], bool] = {}
        self.said: int | None = None
        self.ended = False
        self.counters = [Counter(kind, 0, self.owed(kind)) for kind in ("first_response", "resolution")]

    def row(self) -> Target | None:
        mine = {row.plan: row for row in self.levels.targets if row.severity == self.severity}
        return mine.get(self.plan) or mine.get(None)

    def owed(self, kind: str) -> int | None:
        row = self.row()
        span = getattr(row, kind) if row else None
        return None if span is None else int(span / MINUTE)

    def works(self, minute: int) -> bool:
        row = self.row()
        name = (row.hours if row else None) or self.levels.team_hours.get(self.team) or self.levels.hours
        if (name, minute) not in self.is_open:
            calendar = self.levels.calendars[name]
            at = self.opened + MINUTE * minute
            self.is_open[name, minute] = wall_clock_is_open(calendar, ZoneInfo(calendar.zone), at)
        return self.is_open[name, minute]

    def pass_minute(self, minute: int, counter: Counter) -> None:
        """It is missed, or warned of, from the minute in which it still runs with all of its time used."""
        if counter.target is not None:
            if counter.used >= counter.target and counter.missed is None:
                counter.missed = minute
            if counter.used >= counter.target * self.levels.warn_at and counter.warned is None:
                counter.warned = minute
        counter.used += self.works(minute)

    def take(self, minute: int, moment: Moment) -> None:
        waiting = [each for each in self.counters if each.met is None]
        if moment.severity or moment.team:
            self.severity, self.team = moment.severity or self.severity, moment.team or self.team
            self.owe_anew(waiting)
        if moment.what == "client":
            self.said = minute if self.said is None else self.said
            if not self.ended:
                self.hear(minute, waiting)
        elif moment.what == "reply":
            self.said = None
            for each in waiting:
                each.runs = False if not self.ended else each.runs
                if each.kind != "resolution":
                    each.met = minute
        elif moment.what == "ours" and not self.ended:
            for each in waiting:
                each.runs = True
        elif moment.what == "ended" and not self.ended:
            self.ended, self.said = True, None
            for each in waiting:
                each.met = minute
        elif moment.what == "reopened" and self.ended:
            self.ended = False
            again = [each for each in self.counters if each.kind == "resolution"]
            for each in again:
                each.met, each.runs = None, True
            self.owe_anew(again)
            if self.said is not None:
                self.hear(self.said, again)
                late = self.counters[-1]
                for before in range(self.said, minute):
                    self.pass_minute(before, late)

    def hear(self, minute: int, waiting: list[Counter]) -> None:
        for each in waiting:
            each.runs = True
        if not any(each.kind != "resolution" for each in waiting):
            self.counters.append(Counter("next_response", minute, self.owed("next_response")))

    def owe_anew(self, counters: list[Counter]) -> None:
        for each in counters:
            if each.target != self.owed(each.kind):
                each.target, each.warned = self.owed(each.kind), None


def some_levels(chance: random.Random, day: date) -> ServiceLevels:
    calendars = {"always": ALWAYS}
    for name in ("office", "late"):
        made = some_calendar(chance, day)
        calendars[name] = Calendar(made.zone, made.week, made.holidays)

    def span() -> timedelta | None:
        return chance.choice((None, *(MINUTE * 4 * chance.randrange(1, 200) for _ in range(5))))

    targets = tuple(
        Target(severity, plan, chance.choice((None, None, *calendars)), span(), span(), span())
        for severity in ("low", "medium", "critical")
        for plan in (None, "gold")
        if chance.random() < 0.8
    )
    return ServiceLevels(
        targets, calendars, chance.choice(("office", "always")), {"late": "late", "on_call": "always"}, 0.75
    )


def some_life(chance: random.Random, opened: datetime, length: int) -> list[Moment]:
    """Anything in any order, several in one minute too: a desk's real moments are some of these."""
    kinds = ("client", "client", "reply", "reply", "ours", "ended", "reopened", "reopened", "changed")
    found = []
    for minute in sorted(chance.randrange(length) for _ in range(chance.randrange(12))):
        what = chance.choice(kinds)
        changes = what == "changed"
        severity = chance.choice((None, "low", "medium", "critical")) if changes else None
        team = chance.choice((None, "late", "on_call", "other")) if changes else None
        found.append(Moment(opened + MINUTE * minute, what, severity, team))  # type: ignore[arg-type]
    return found


def said(clock: Clock | Counter, opened: datetime) -> tuple[object, ...]:
    """What both calculations say of a clock up to now."""
    if isinstance(clock, Clock):
        status = clock.status
        times = (clock.started_at, clock.met_at, clock.breached_at)
        minutes = [None if each is None else (each - opened) / MINUTE for each in times]
        return (clock.kind, status, clock.used / MINUTE, clock.target / MINUTE, *minutes)
    status = "met" if clock.met is not None else "running" if clock.runs else "paused"
    return (clock.kind, status, clock.used, clock.target, clock.start, clock.met, clock.missed)


@pytest.mark.evidence
@pytest.mark.parametrize("part", range(PARTS))
def test_a_promise_equals_a_count_by_the_minute(part: int) -> None:
    chance = random.Random(int(os.environ.get("ASOE_EVIDENCE_SEED", "5")) * 100 + part)
    seen = {"missed": 0, "warned": 0, "paused": 0, "due": 0, "again": 0}
    for case in range(CASES):
        zone = ZoneInfo(some_calendar(chance, date(2020, 1, 1)).zone)
        day = some_day(chance, zone)
        opened = datetime(day.year, day.month, day.day, tzinfo=UTC) + MINUTE * chance.randrange(1440)
        levels = some_levels(chance, day)
        length = chance.choice((600, 1440, 3 * 1440))
        life = some_life(chance, opened, length)
        plan = chance.choice((None, "gold"))
        wall = Wall(levels, opened, plan, "medium", "other")
        for minute in range(length):
            for moment in life:
                if moment.at == opened + MINUTE * minute:
                    wall.take(minute, moment)
            for counter in wall.counters:
                if counter.met is None and counter.runs:
                    wall.pass_minute(minute, counter)
        found = run_clocks(
            levels, opened_at=opened, severity="medium", team="other", plan=plan, moments=life,
            now=opened + MINUTE * length,
        )  # fmt: skip
        expected = [each for each in wall.counters if each.target is not None]
        wanted = sorted((said(each, opened) for each in expected), key=str)
        assert sorted((said(each, opened) for each in found), key=str) == [
            (*each[:2], float(each[2]), float(each[3]), *(None if one is None else float(one) for one in each[4:]))
            for each in wanted
        ], (case, life)
        seen["missed"] += sum(each.missed is not None for each in expected)
        seen["paused"] += sum(each.met is None and not each.runs for each in expected)
        seen["again"] += sum(moment.what == "reopened" for moment in life)
        _look_ahead(wall, found, opened, length, seen, case)
    assert all(seen.values()), seen


def _look_ahead(
    wall: Wall, found: tuple[Clock, ...], opened: datetime, length: int, seen: dict[str, int], case: int
) -> None:
    """What runs is due, and warned of, when the count gets there with nothing else happening."""
    running = {(each.kind, each.start): each for each in wall.counters if each.met is None and each.runs}
    for clock in found:
        counter = running.get((clock.kind, (clock.started_at - opened) // MINUTE))
        if counter is None or counter.target is None or clock.breached_at is not None:
            continue
        assert clock.due_at is None or clock.due_at >= opened + MINUTE * length
        for minute in range(length, length + LATER):
            if counter.missed is not None:
                break
            wall.pass_minute(minute, counter)
        for kind, at, counted in (("due", clock.due_at, counter.missed), ("warned", clock.warn_at, counter.warned)):
            is_within = at is not None and at < opened + MINUTE * (length + LATER)
            assert is_within == (counted is not None), (case, kind, clock, counter)
            assert not is_within or at == opened + MINUTE * (counted or 0), (case, kind, clock, counter)
            seen[kind] += is_within
