"""Business hours: when an organization is open, and how much open time lies between two moments.

Open is every moment at which a clock on the wall in the calendar's zone shows an opening hour of a day that is no holiday. So the hour that a
clock change repeats counts twice, and the one it leaves out does not count. How long something may take is `service_level`'s.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo

from asoe.domain.errors import FieldProblem

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MOST_HOLIDAYS: Final = 1000
MOST_SPANS: Final = 12
FURTHEST: Final = 366 * 5
"""Days that are searched for open time before a moment counts as never reached."""

_DAY: Final = timedelta(days=1)
_MINUTES_A_DAY: Final = 24 * 60
_SPAN = re.compile(r"^(\d\d):(\d\d)-(\d\d):(\d\d)$", re.ASCII)
_ZONE = re.compile(r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$", re.ASCII)

Span = tuple[int, int]
"""Opening and closing as minutes of the day; 1440 is midnight at its end."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """`week` holds the spans of Monday to Sunday, each sorted and without overlap."""

    zone: str = "UTC"
    week: tuple[tuple[Span, ...], ...] = ((((0, _MINUTES_A_DAY)),),) * 7
    holidays: frozenset[date] = field(default_factory=frozenset)

    def is_open(self, at: datetime) -> bool:
        return any(start <= at < end for start, end in _open_of(self, at.astimezone(UTC).date()))

    def between(self, start: datetime, end: datetime) -> timedelta:
        """Open time from `start` to `end`; zero when `end` is not later."""
        total = timedelta(0)
        day = start.astimezone(UTC).date()
        while datetime.combine(day, time(), UTC) < end:
            for opens, closes in _open_of(self, day):
                first, last = max(start, opens), min(end, closes)
                if first < last:
                    total += last - first
            day += _DAY
        return total

    def after(self, start: datetime, open_time: timedelta) -> datetime | None:
        """The earliest moment by which `open_time` has passed since `start`; None when that is years away."""
        if open_time <= timedelta(0):
            return start
        left, day = open_time, start.astimezone(UTC).date()
        for _ in range(FURTHEST):
            for opens, closes in _open_of(self, day):
                first = max(start, opens)
                if first >= closes:
                    continue
                if closes - first >= left:
                    return first + left
                left -= closes - first
            day += _DAY
        return None

    def next_open(self, at: datetime) -> datetime | None:
        """`at` when it is open then, else the next opening; None when that is years away."""
        day = at.astimezone(UTC).date()
        for _ in range(FURTHEST):
            for opens, closes in _open_of(self, day):
                if closes > at:
                    return max(at, opens)
            day += _DAY
        return None


ALWAYS: Final = Calendar()


@lru_cache(maxsize=8192)
def _open_of(calendar: Calendar, day: date) -> tuple[tuple[datetime, datetime], ...]:
    """The open stretches of one day of UTC, in order."""
    found: list[tuple[datetime, datetime]] = []
    for start, end, offset in _offsets(calendar.zone, day):
        local = (start + offset).date()
        while datetime.combine(local, time(), UTC) < end + offset:
            if local not in calendar.holidays:
                midnight = datetime.combine(local, time(), UTC) - offset
                for opens, closes in calendar.week[local.weekday()]:
                    first = max(start, midnight + timedelta(minutes=opens))
                    last = min(end, midnight + timedelta(minutes=closes))
                    if first < last:
                        found.append((first, last))
            local += _DAY
    return tuple(found)


@lru_cache(maxsize=8192)
def _offsets(zone: str, day: date) -> tuple[tuple[datetime, datetime, timedelta], ...]:
    """One day of UTC in stretches of one distance between the zone's clocks and UTC."""
    tz = ZoneInfo(zone)
    start = datetime.combine(day, time(), UTC)
    marks = [start + timedelta(hours=hour) for hour in range(25)]
    pieces: list[tuple[datetime, datetime, timedelta]] = []
    begins = start
    for before, after in pairwise(marks):
        if _offset(tz, before) != _offset(tz, after):
            change = _change(tz, before, after)
            pieces.append((begins, change, _offset(tz, before)))
            begins = change
    pieces.append((begins, marks[-1], _offset(tz, begins)))
    return tuple(piece for piece in pieces if piece[0] < piece[1])


def _offset(tz: ZoneInfo, at: datetime) -> timedelta:
    return at.astimezone(tz).utcoffset() or timedelta(0)


def _change(tz: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The second between the two at which the clocks were changed."""
    low, high = 0, int((after - before).total_seconds())
    first = _offset(tz, before)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(tz, before + timedelta(seconds=middle)) == first:
            low = middle
        else:
            high = middle
    return before + timedelta(seconds=high)


def is_zone(name: str) -> bool:
    """Whether this is a time zone such as Europe/Berlin."""
    if not _ZONE.match(name) or len(name) > 64:
        return False
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # no such zone, a folder of them, or a file that is none
        return False
    return True


def read_calendar(stored: Any, path: str, problems: list[FieldProblem]) -> Calendar:
    """Read `{zone, week: {mon: ["09:00-17:00"], …}, holidays: ["2026-12-25"]}`; appends what is wrong."""
    if not isinstance(stored, Mapping):
        problems.append(FieldProblem(path, "must be an object with zone, week and holidays"))
        return ALWAYS
    before = len(problems)
    problems.extend(
        FieldProblem(f"{path}.{name}", "is not known; zone, week and holidays are")
        for name in stored
        if name not in {"zone", "week", "holidays"}
    )
    zone = stored.get("zone", "UTC")
    if not isinstance(zone, str) or not is_zone(zone):
        problems.append(FieldProblem(f"{path}.zone", f"{zone!r} is no time zone such as Europe/Berlin"))
        zone = "UTC"
    week = _read_week(stored.get("week"), f"{path}.week", problems)
    holidays = _read_holidays(stored.get("holidays") or (), f"{path}.holidays", problems)
    if len(problems) == before and not any(week):
        problems.append(FieldProblem(f"{path}.week", "is never open: give at least one day its hours"))
    return Calendar(zone, week, holidays)


def write_calendar(calendar: Calendar) -> dict[str, Any]:
    """The same as it is stored."""
    return {
        "zone": calendar.zone,
        "week": {
            day: [f"{_clock(start)}-{_clock(end)}" for start, end in spans]
            for day, spans in zip(WEEKDAYS, calendar.week, strict=True)
            if spans
        },
        "holidays": [day.isoformat() for day in sorted(calendar.holidays)],
    }


def _read_week(stored: Any, path: str, problems: list[FieldProblem]) -> tuple[tuple[Span, ...], ...]:
    if not isinstance(stored, Mapping):
        problems.append(FieldProblem(path, 'must give days their hours, as in {"mon": ["09:00-17:00"]}'))
        return ((),) * 7
    problems.extend(
        FieldProblem(f"{path}.{day}", f"is no day; days are {', '.join(WEEKDAYS)}")
        for day in stored
        if day not in WEEKDAYS
    )
    return tuple(_read_day(stored.get(day) or (), f"{path}.{day}", problems) for day in WEEKDAYS)


def _read_day(stored: Any, path: str, problems: list[FieldProblem]) -> tuple[Span, ...]:
    if isinstance(stored, str) or not isinstance(stored, Sequence) or len(stored) > MOST_SPANS:
        problems.append(FieldProblem(path, f'must be a list of at most {MOST_SPANS} hours such as "09:00-17:00"'))
        return ()
    spans: list[Span] = []
    for each in stored:
        found = _SPAN.match(each) if isinstance(each, str) else None
        numbers = tuple(int(part) for part in found.groups()) if found else (0, 0, 0, 0)
        start, end = numbers[0] * 60 + numbers[1], numbers[2] * 60 + numbers[3]
        if found is None or max(numbers[1], numbers[3]) > 59 or not start < end <= _MINUTES_A_DAY:
            problems.append(
                FieldProblem(path, f"{each!r} is no span such as 09:00-17:00 (24:00 is the end of the day)")
            )
        else:
            spans.append((start, end))
    spans.sort()
    if any(second[0] < first[1] for first, second in pairwise(spans)):
        problems.append(FieldProblem(path, "has hours that overlap"))
    return tuple(spans)


def _read_holidays(stored: Any, path: str, problems: list[FieldProblem]) -> frozenset[date]:
    if isinstance(stored, str) or not isinstance(stored, Sequence) or len(stored) > MOST_HOLIDAYS:
        problems.append(FieldProblem(path, f"must be a list of at most {MOST_HOLIDAYS} days such as 2026-12-25"))
        return frozenset()
    found = set()
    for each in stored:
        try:
            found.add(date.fromisoformat(each))
        except (TypeError, ValueError):
            problems.append(FieldProblem(path, f"{each!r} is no day such as 2026-12-25"))
    return frozenset(found)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
