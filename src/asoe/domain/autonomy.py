"""May this act alone? The ladder, lent trust, and the certificate: an exact upper limit of the error rate."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any, Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

from asoe.domain.binomial import at_most

LEVELS: Final = ("off", "shadow", "suggest", "approve", "auto")
CONFIDENCE: Final = 0.95
DEFAULT_LIMITS: Final = {"reversible": 0.05, "costly": 0.02}
LONGEST_LOAN: Final = timedelta(days=90)
BRAKE_BET: Final = 5.0
BRAKE_AT: Final = 500.0
"""The brake falls without cause at most once in so many runs, on average."""
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WINDOW: Final = re.compile(
    rf"(?P<first>{'|'.join(_DAYS)})(-(?P<last>{'|'.join(_DAYS)}))? (?P<start>\d\d:\d\d)-(?P<end>\d\d:\d\d)( \S+)?"
)
Level: TypeAlias = Literal["off", "shadow", "suggest", "approve", "auto"]


@dataclass(frozen=True, slots=True)
class Loan:
    """Trust an owner lent: `auto` without a certificate until `until`."""

    by: str
    reason: str
    since: datetime
    until: datetime
    caps: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Judged cases of one runbook since its certificate was last voided."""

    cases: int
    errors: int

    @property
    def upper_limit(self) -> float:
        """The exact upper 95 % limit of the error rate (Clopper-Pearson, one-sided); 1.0 without any case."""
        return upper_limit(self.errors, self.cases)


@dataclass(frozen=True, slots=True)
class Standing:
    """A runbook's autonomy in an organization."""

    level: Level
    evidence: Evidence
    loan: Loan | None = None
    braked_at: datetime | None = None
    braked_why: str | None = None

    def lent(self, now: datetime) -> Loan | None:
        """The loan that is valid now."""
        return self.loan if self.loan is not None and self.loan.since <= now < self.loan.until else None

    def may_act_alone(self, risk: str, now: datetime, *, limits: Mapping[str, float] | None = None) -> bool:
        """Reads always; irreversible acts never; others at `auto` with a valid loan or a certificate."""
        if risk == "read":
            return True
        if risk == "irreversible" or self.level != "auto" or self.braked_at is not None:
            return False
        if self.lent(now) is not None:
            return True
        limit = (limits or DEFAULT_LIMITS).get(risk, 0.0)
        return self.evidence.upper_limit < limit


def upper_limit(errors: int, cases: int, confidence: float = CONFIDENCE) -> float:
    """The largest error rate under which so few errors still happen with probability 1 - confidence."""
    if cases <= 0 or errors >= cases:
        return 1.0
    if errors == 0:
        return 1.0 - float((1.0 - confidence) ** (1.0 / cases))
    low, high = errors / cases, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if at_most(errors, cases, middle) > 1.0 - confidence:
            low = middle
        else:
            high = middle
    return high


def cases_needed(limit: float, confidence: float = CONFIDENCE) -> int:
    """How many cases without an error a certificate for `limit` needs (59 for 5 %, 149 for 2 %)."""
    cases = 1
    while upper_limit(0, cases, confidence) >= limit:
        cases += 1
    return cases


def must_brake(outcomes: Iterable[bool], limit: float) -> bool:
    """Whether runs that acted alone (True: went wrong, oldest first) speak against an error rate of at most `limit`.

    A sequential test that may be looked at after every run: a bet against the limit, begun anew whenever it has lost
    (an e-detector; Shin, Ramdas, Rinaldo 2022). While the rate is at most `limit`, the mean number of runs to a false
    alarm is at least `BRAKE_AT`.
    """
    wealth = 1.0
    bet = min(BRAKE_BET, 0.5 / limit)
    for is_wrong in outcomes:
        wealth = max(wealth, 1.0) * (1.0 + bet * ((1.0 if is_wrong else 0.0) - limit))
        if wealth >= BRAKE_AT:
            return True
    return False


def is_open(hours: Sequence[str], now: datetime) -> bool:
    """Whether `now` (with a zone) lies in one of the windows (`mon-fri 08:00-18:00 Europe/Berlin`); no window: always."""
    return not hours or any(_in_window(window, now) for window in hours)


def check_window(window: str) -> str | None:
    """What is wrong with a window, or None."""
    match = _WINDOW.fullmatch(window.strip().lower())
    if match is None:
        return "write it like `mon-fri 08:00-18:00 Europe/Berlin`"
    try:
        _zone(window)
        time.fromisoformat(match["start"])
        if match["end"] != "24:00":
            time.fromisoformat(match["end"])
    except (ValueError, KeyError) as error:
        return f"has no such time or zone ({error})"
    return None


def _in_window(window: str, now: datetime) -> bool:
    match = _WINDOW.fullmatch(window.strip().lower())
    if match is None:
        return False
    there = now.astimezone(_zone(window))
    first = _DAYS.index(match["first"])
    last = _DAYS.index(match["last"] or match["first"])
    start = time.fromisoformat(match["start"])
    end = time.max if match["end"] == "24:00" else time.fromisoformat(match["end"])
    day, clock = there.weekday(), there.time()
    if start <= end:
        return _is_day(day, first, last) and start <= clock < end
    # past midnight: the evening of its day, or the morning after
    return (_is_day(day, first, last) and clock >= start) or (_is_day((day - 1) % 7, first, last) and clock < end)


def _is_day(day: int, first: int, last: int) -> bool:
    return first <= day <= last if first <= last else day >= first or day <= last


def _zone(window: str) -> ZoneInfo:
    named = window.split()
    return ZoneInfo(named[2] if len(named) > 2 else "UTC")
