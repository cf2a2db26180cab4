"""Open time equals a count minute by minute with the zone's own wall clock, over zones, holidays and clock changes."""

from __future__ import annotations

import os
import random
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asoe.domain.calendar import ALWAYS, WEEKDAYS, Calendar, is_zone, read_calendar, write_calendar

CASES = 10_000 if os.environ.get("ASOE_EVIDENCE") == "full" else 250
ZONES = """UTC Europe/Berlin Europe/London Europe/Lisbon America/New_York America/St_Johns America/Sao_Paulo America/Santiago
    Australia/Lord_Howe Australia/Adelaide Asia/Kathmandu Asia/Kolkata Asia/Tokyo Africa/Casablanca Africa/Cairo Pacific/Apia
    Pacific/Chatham Pacific/Kiritimati America/Havana Asia/Beirut Antarctica/Troll America/Nuuk""".split()
MINUTE = timedelta(minutes=1)


def wall_clock_is_open(calendar: Calendar, tz: ZoneInfo, at: datetime) -> bool:
    """The other calculation: look at the clock on the wall, one minute at a time."""
    local = at.astimezone(tz)
    minute = local.hour * 60 + local.minute
    return local.date() not in calendar.holidays and any(
        start <= minute < end for start, end in calendar.week[local.weekday()]
    )


def some_calendar(chance: random.Random, around: date) -> Calendar:
    week = []
    for _ in range(7):
        marks = sorted(chance.sample(range(0, 1441, 5), 2 * chance.choice((0, 1, 1, 1, 2, 3))))
        if chance.random() < 0.15:
            marks = [0, 1440]
        week.append(tuple(zip(marks[::2], marks[1::2], strict=True)))
    holidays = frozenset(around + timedelta(days=chance.randrange(-2, 9)) for _ in range(chance.choice((0, 0, 1, 3))))
    return Calendar(chance.choice(ZONES), tuple(week), holidays)


def some_day(chance: random.Random, zone: ZoneInfo) -> date:
    """Half of them within two days of a change of that zone's clocks."""
    day = date(chance.randrange(2005, 2037), 1, 1) + timedelta(days=chance.randrange(365))
    if chance.random() < 0.5:
        for step in range(365):
            at = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=step)
            if at.astimezone(zone).utcoffset() != (at + timedelta(days=1)).astimezone(zone).utcoffset():
                return (at - timedelta(days=chance.randrange(2))).date()
    return day


@pytest.mark.evidence
def test_open_time_equals_a_count_minute_by_minute() -> None:
    chance = random.Random(130)
    differences = []
    for case in range(CASES):
        calendar = some_calendar(chance, date(2020, 1, 1))
        tz = ZoneInfo(calendar.zone)
        day = some_day(chance, tz)
        calendar = Calendar(
            calendar.zone, calendar.week, frozenset(day + (each - date(2020, 1, 1)) for each in calendar.holidays)
        )
        start = datetime(day.year, day.month, day.day, tzinfo=UTC) + MINUTE * chance.randrange(1440)
        length = chance.choice((90, 1440, 3 * 1440, 7 * 1440))
        wanted = chance.randrange(1, 60 * 24)
        counted, due = 0, None
        for step in range(length):
            counted += wall_clock_is_open(calendar, tz, start + MINUTE * step)
            if counted == wanted and due is None:
                due = start + MINUTE * (step + 1)
        if calendar.between(start, start + MINUTE * length) != MINUTE * counted:
            differences.append((case, "between", calendar, start, length))
        found = calendar.after(start, MINUTE * wanted)
        if due is not None and found != due:
            differences.append((case, "after", calendar, start, wanted))
        if due is None and found is not None and found <= start + MINUTE * length:
            differences.append((case, "after too early", calendar, start, wanted))
    assert not differences


moments = st.datetimes(datetime(2024, 1, 1), datetime(2027, 12, 31)).map(lambda at: at.replace(tzinfo=UTC))
amounts = st.timedeltas(timedelta(0), timedelta(days=9))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), moments, amounts, amounts)
def test_open_time_adds_up_to_the_microsecond(seed: int, start: datetime, first: timedelta, second: timedelta) -> None:
    calendar = some_calendar(random.Random(seed), start.date())
    middle, end = start + first, start + first + second
    assert calendar.between(start, end) == calendar.between(start, middle) + calendar.between(middle, end)
    due = calendar.after(start, first)
    if due is not None:
        assert calendar.between(start, due) == first
        assert first == timedelta(0) or calendar.between(start, due - timedelta(microseconds=1)) < first


def test_the_hour_that_comes_twice_counts_twice_and_the_lost_one_not() -> None:
    night = Calendar("Europe/Berlin", (((60, 240),),) * 7)
    autumn, spring = datetime(2026, 10, 24, 12, tzinfo=UTC), datetime(2026, 3, 28, 12, tzinfo=UTC)
    assert night.between(autumn, autumn + timedelta(days=1)) == timedelta(hours=4)
    assert night.between(spring, spring + timedelta(days=1)) == timedelta(hours=2)
    assert ALWAYS.between(autumn, autumn + timedelta(days=1)) == timedelta(days=1)


def test_a_holiday_and_a_weekend_are_skipped() -> None:
    office = read("Europe/Berlin", {day: ["09:00-17:00"] for day in WEEKDAYS[:5]}, ["2026-12-25"])
    eve = datetime(2026, 12, 24, 15, 0, tzinfo=UTC)  # 16:00 in Berlin, an hour before closing, Thursday
    assert office.after(eve, timedelta(hours=1)) == datetime(2026, 12, 24, 16, tzinfo=UTC)
    assert office.after(eve, timedelta(hours=4)) == datetime(2026, 12, 28, 11, tzinfo=UTC)
    assert office.next_open(datetime(2026, 12, 25, 10, tzinfo=UTC)) == datetime(2026, 12, 28, 8, tzinfo=UTC)


def test_what_is_never_open_is_never_due() -> None:
    shut = Calendar("UTC", ((),) * 7)
    assert shut.after(datetime(2026, 1, 1, tzinfo=UTC), timedelta(minutes=1)) is None
    assert shut.next_open(datetime(2026, 1, 1, tzinfo=UTC)) is None


def test_a_calendar_is_read_as_it_was_written() -> None:
    office = read("America/St_Johns", {"mon": ["08:30-12:00", "13:00-24:00"], "sun": ["00:00-24:00"]}, ["2027-01-01"])
    assert read_calendar(write_calendar(office), "x", []) == office


@pytest.mark.parametrize(
    "name", ["../etc/passwd", "Europe", "Nope/Nowhere", "", "zone.tab", "/etc/localtime", "A" * 99]
)
def test_what_is_no_zone_is_refused(name: str) -> None:
    assert not is_zone(name)


@pytest.mark.parametrize(
    ("stored", "field"),
    [
        ({"zone": "Mars/Base", "week": {"mon": ["09:00-17:00"]}}, "x.zone"),
        ({"week": {"mon": ["17:00-09:00"]}}, "x.week.mon"),
        ({"week": {"mon": ["09:00-25:00"]}}, "x.week.mon"),
        ({"week": {"mon": ["09:60-10:00"]}}, "x.week.mon"),
        ({"week": {"mon": ["09:00-12:00", "11:00-13:00"]}}, "x.week.mon"),
        ({"week": {"monday": ["09:00-12:00"]}}, "x.week.monday"),
        ({"week": {}}, "x.week"),
        ({"week": {"mon": "09:00-12:00"}}, "x.week.mon"),
        ({"week": {"mon": ["09:00-12:00"]}, "holidays": ["25.12.2026"]}, "x.holidays"),
        ({"week": {"mon": ["09:00-12:00"]}, "lunch": True}, "x.lunch"),
        ("always", "x"),
    ],
)
def test_what_is_wrong_is_named(stored: object, field: str) -> None:
    problems: list = []
    read_calendar(stored, "x", problems)
    assert field in {problem.field for problem in problems}


def read(zone: str, week: dict, holidays: list) -> Calendar:
    problems: list = []
    found = read_calendar({"zone": zone, "week": week, "holidays": holidays}, "x", problems)
    assert not problems
    return found
