"""Briefings: when a person's daily or weekly figures are due, which days they are about, and what a role reads first.

Pure. What is in them is the desk's to read (`desk/briefing.py`).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

EVERY: Final = ("off", "daily", "weekly")
AT: Final = time(7)
"""By the clock of whoever reads it; weekly ones on Mondays."""
DAYS: Final = {"daily": 1, "weekly": 7}
PLOTTED: Final = {"daily": 14, "weekly": 56}
LATEST: Final = {"daily": timedelta(hours=20), "weekly": timedelta(days=3)}
"""A briefing that could not be sent for so long is left out: the next one is near."""
PARTS: Final = {"agent": ("mine",), "admin": ("running", "figures"), "owner": ("figures", "running")}
"""What each role is told, the first thing first: own work; the figures and what to do; how the engine runs."""
NAMES: Final = {"mine": "My work", "figures": "Figures and what to do", "running": "How the engine runs"}


def last_moment(every: str, zone: str, now: datetime) -> datetime:
    """The last time at which a briefing was due: 07:00 there, of weekly ones the last Monday's. `every`: daily or weekly."""
    there = ZoneInfo(zone)
    day = now.astimezone(there).date()
    if every == "weekly":
        day -= timedelta(days=day.weekday())
    moment = _at(day, there)
    return moment if moment <= now else _at(day - timedelta(days=DAYS[every]), there)


def due(every: str, zone: str, since: datetime | None, now: datetime) -> datetime | None:
    """The moment of the briefing that has to be made by now, of whoever chose it at `since`; None when there is none."""
    if every not in DAYS:
        return None
    moment = last_moment(every, zone, now)
    is_chosen = since is None or since < moment
    return moment if is_chosen and now - moment <= LATEST[every] else None


def days_of(every: str, moment: datetime) -> tuple[date, date]:
    """The days (UTC, as in every report) it is about: those that were over at its moment, from the first to before the second."""
    until = moment.astimezone(UTC).date()
    return until - timedelta(days=DAYS[every]), until


def briefing_id(org_id: UUID, user_id: UUID, every: str, moment: datetime, zone: str) -> UUID:
    """One a period and person, whoever makes it and however often: named by the day it is read on."""
    return uuid5(org_id, f"briefing:{user_id}:{every}:{moment.astimezone(ZoneInfo(zone)).date().isoformat()}")


def _at(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, AT, zone).astimezone(UTC)
