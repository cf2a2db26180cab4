"""Service levels: how soon a client is owed a first answer, the next answer and an end, and when each of these is due.

A ticket's clocks follow from its moments alone (`run_clocks`), so they can be counted anew at any time. They stand still while the client is
waited for. What the moments of a ticket are is the desk's question; when doors are open is `calendar`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from asoe.domain.calendar import ALWAYS, Calendar, read_calendar
from asoe.domain.errors import FieldProblem, Invalid
from asoe.domain.ticket import SEVERITY_RANK

TARGETS: Final[dict[str, str]] = {
    "first_response": "the first answer, by the engine or a person; saying that a person will look is none",
    "next_response": "the answer to what the client wrote since the last one",
    "resolution": "the end of the ticket, without the time in which the client was waited for",
}
ALWAYS_OPEN: Final = "always"
"""The hours that every organization has: around the clock."""
MOST_TARGETS: Final = 200
MOST_HOURS: Final = 50
MOST_MINUTES: Final = 60 * 24 * 366
WARN_AT: Final = 0.75

_DURATION = re.compile(r"^(?:(\d{1,6})h)?(?:(\d{1,7})m)?$", re.ASCII)
_NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,62}$", re.ASCII)

Happening = Literal["client", "reply", "ours", "ended", "reopened", "changed"]


@dataclass(frozen=True, slots=True)
class Target:
    """What is owed to tickets of one severity, of one plan or (without one) of any; None: nothing is."""

    severity: str
    plan: str | None = None
    hours: str | None = None
    first_response: timedelta | None = None
    next_response: timedelta | None = None
    resolution: timedelta | None = None


@dataclass(frozen=True, slots=True)
class ServiceLevels:
    """An organization's promise; no targets means that it made none."""

    targets: tuple[Target, ...] = ()
    calendars: Mapping[str, Calendar] = field(default_factory=dict)
    hours: str = ALWAYS_OPEN
    team_hours: Mapping[str, str] = field(default_factory=dict)
    warn_at: float = WARN_AT

    def target_of(self, severity: str, plan: str | None) -> Target:
        """The one for the plan, else the one for any plan, else one that owes nothing."""
        fitting = [each for each in self.targets if each.severity == severity and each.plan in {plan, None}]
        return max(fitting, key=lambda each: each.plan is not None, default=Target(severity))

    def calendar_of(self, target: Target, team: str | None) -> Calendar:
        """The target's own hours outweigh the team's, the team's outweigh the organization's."""
        name = target.hours or self.team_hours.get(team or "") or self.hours
        return self.calendars.get(name, ALWAYS)


@dataclass(frozen=True, slots=True)
class Moment:
    """What happened to a ticket: the client wrote, we answered, it became ours again, ended, reopened, or only changed.

    `severity` and `team` are those from then on; None: as before.
    """

    at: datetime
    what: Happening
    severity: str | None = None
    team: str | None = None


@dataclass(frozen=True, slots=True)
class Clock:
    """One target of one ticket: `used` open time until `since`; a paused or met one has no `since`.

    `due_at` is when it is missed as things stand, `breached_at` when it was.
    """

    kind: str
    started_at: datetime
    target: timedelta
    used: timedelta = timedelta(0)
    since: datetime | None = None
    due_at: datetime | None = None
    warn_at: datetime | None = None
    met_at: datetime | None = None
    breached_at: datetime | None = None

    @property
    def status(self) -> Literal["running", "paused", "met"]:
        if self.met_at is not None:
            return "met"
        return "paused" if self.since is None else "running"

    def is_at_risk(self, now: datetime) -> bool:
        """Whether it is past its warning, and not missed yet."""
        is_running = self.status == "running" and self.breached_at is None
        return is_running and self.warn_at is not None and self.warn_at <= now


def run_clocks(
    levels: ServiceLevels,
    *,
    opened_at: datetime,
    severity: str,
    team: str | None,
    plan: str | None,
    moments: Sequence[Moment],
    now: datetime,
) -> tuple[Clock, ...]:
    """The ticket's clocks as they stand `now`, those of earlier rounds included. `severity` and `team` are the first ones."""
    desk = _Counting(levels, plan, severity, team)
    desk.start("first_response", opened_at)
    desk.start("resolution", opened_at)
    for moment in sorted(moments, key=lambda each: each.at):
        desk.take(moment)
    return desk.read(now)


class _Counting:
    """The clocks while a ticket's moments are gone through."""

    def __init__(self, levels: ServiceLevels, plan: str | None, severity: str, team: str | None) -> None:
        self.levels, self.plan, self.severity, self.team = levels, plan, severity, team
        self.clocks: dict[tuple[str, datetime], Clock] = {}
        self.has_ended = False
        self.said_at: datetime | None = None

    @property
    def calendar(self) -> Calendar:
        return self.levels.calendar_of(self.target, self.team)

    @property
    def target(self) -> Target:
        return self.levels.target_of(self.severity, self.plan)

    def start(self, kind: str, at: datetime) -> None:
        target = getattr(self.target, kind)
        # one that is owed nothing is kept: a change of severity may owe it something
        self.clocks[kind, at] = Clock(kind, at, target if target is not None else _NEVER, since=at)

    def take(self, moment: Moment) -> None:
        at = moment.at
        self._settle(at)
        if moment.severity is not None or moment.team is not None:
            self.severity, self.team = moment.severity or self.severity, moment.team or self.team
            self._owe_anew()
        if moment.what == "client":
            self.said_at = self.said_at or at
            if not self.has_ended:
                self._hear(at)
        elif moment.what == "reply":
            self._meet("first_response", at)
            self._meet("next_response", at)
            self.said_at = None
            if not self.has_ended:
                self._pause()
        elif moment.what == "ours" and not self.has_ended:
            self._resume(at)
        elif moment.what == "ended" and not self.has_ended:
            self.has_ended, self.said_at = True, None
            for kind in TARGETS:
                self._meet(kind, at)
        elif moment.what == "reopened" and self.has_ended:
            self.has_ended = False
            for key, clock in list(self.clocks.items()):
                if clock.kind == "resolution":
                    self.clocks[key] = replace(clock, met_at=None, since=at)
            self._owe_anew()  # what changed while it was ended
            if self.said_at is not None:
                self._hear(self.said_at)

    def read(self, now: datetime) -> tuple[Clock, ...]:
        self._settle(now)
        found = []
        for clock in self.clocks.values():
            if clock.target == _NEVER:
                continue
            if clock.since is None or clock.breached_at is not None:
                found.append(replace(clock, due_at=clock.breached_at))
                continue
            calendar = self.calendar
            due = calendar.after(clock.since, clock.target - clock.used)
            warn = clock.warn_at or calendar.after(clock.since, self._share(clock) - clock.used)
            found.append(replace(clock, due_at=due, warn_at=warn))
        return tuple(sorted(found, key=lambda each: (each.started_at, list(TARGETS).index(each.kind))))

    def _open(self) -> list[tuple[tuple[str, datetime], Clock]]:
        return [(key, clock) for key, clock in self.clocks.items() if clock.met_at is None]

    def _owe_anew(self) -> None:
        for key, clock in self._open():
            owed = getattr(self.target, clock.kind)
            owed = _NEVER if owed is None else owed
            if owed != clock.target:
                self.clocks[key] = replace(clock, target=owed, warn_at=None)

    def _settle(self, at: datetime) -> None:
        """Count the open time since the last moment, by the hours that held then."""
        for key, clock in self._open():
            if clock.since is None or at <= clock.since:
                continue
            spent = self.calendar.between(clock.since, at)
            self.clocks[key] = replace(
                clock,
                used=clock.used + spent,
                since=at,
                breached_at=clock.breached_at or self._passed(clock, clock.target, spent, at),
                warn_at=clock.warn_at or self._passed(clock, self._share(clock), spent, at),
            )

    def _passed(self, clock: Clock, mark: timedelta, spent: timedelta, at: datetime) -> datetime | None:
        """When the clock's time passed the mark, if that was before `at`; what the next spending begins with is past it."""
        if clock.since is None or clock.used + spent < mark:
            return None
        passed = self.calendar.after(clock.since, mark - clock.used)
        return passed if passed is not None and passed < at else None

    def _share(self, clock: Clock) -> timedelta:
        return clock.target * self.levels.warn_at

    def _hear(self, at: datetime) -> None:
        waits = any(clock.kind in {"first_response", "next_response"} for _, clock in self._open())
        if not waits:
            self.start("next_response", at)
        self._resume(at)

    def _meet(self, kind: str, at: datetime) -> None:
        for key, clock in self._open():
            if clock.kind == kind:
                self.clocks[key] = replace(clock, met_at=at, since=None)

    def _pause(self) -> None:
        for key, clock in self._open():
            self.clocks[key] = replace(clock, since=None)

    def _resume(self, at: datetime) -> None:
        for key, clock in self._open():
            if clock.since is None:
                self.clocks[key] = replace(clock, since=at)


_NEVER: Final = timedelta(days=36500)


def read_service_levels(stored: Mapping[str, Any]) -> ServiceLevels:
    """Read `business_hours` and `service_levels` of an organization's settings; raises `Invalid(bad_service_levels)`."""
    problems: list[FieldProblem] = []
    calendars = read_hours(stored, problems)
    levels = _mapping(stored.get("service_levels"), "service_levels", problems)
    known = ("targets", "hours", "team_hours", "warn_at")
    problems.extend(
        FieldProblem(f"service_levels.{name}", f"is not known; {', '.join(known)} are")
        for name in levels
        if name not in known
    )
    warn_at = levels.get("warn_at", WARN_AT)
    if isinstance(warn_at, bool) or not isinstance(warn_at, int | float) or not 0 < warn_at < 1:
        problems.append(FieldProblem("service_levels.warn_at", "must be a share between 0 and 1, such as 0.75"))
        warn_at = WARN_AT
    default = _hours_name(levels.get("hours", ALWAYS_OPEN), calendars, "service_levels.hours", problems)
    by_team = _mapping(levels.get("team_hours"), "service_levels.team_hours", problems)
    team_hours = {
        str(team): _hours_name(name, calendars, f"service_levels.team_hours.{team}", problems)
        for team, name in by_team.items()
    }
    targets = _read_targets(levels.get("targets") or (), calendars, problems)
    if problems:
        listed = "; ".join(f"{problem.field}: {problem.problem}" for problem in problems)
        raise Invalid(f"The service levels are wrong: {listed}.", code="bad_service_levels", fields=tuple(problems))
    return ServiceLevels(targets, calendars, default, team_hours, float(warn_at))


def read_hours(stored: Mapping[str, Any], problems: list[FieldProblem]) -> dict[str, Calendar]:
    """Read `business_hours` of an organization's settings by name, `always` included; appends what is wrong."""
    hours = _mapping(stored.get("business_hours"), "business_hours", problems)
    if len(hours) > MOST_HOURS:
        problems.append(FieldProblem("business_hours", f"holds more than {MOST_HOURS}"))
        hours = {}
    calendars = {ALWAYS_OPEN: ALWAYS}
    for name, given in hours.items():
        if name == ALWAYS_OPEN or not _NAME.match(str(name)):
            problems.append(
                FieldProblem(
                    f"business_hours.{name}", "is no name for hours: small letters, digits, - and _; not always"
                )
            )
        else:
            calendars[str(name)] = read_calendar(given, f"business_hours.{name}", problems)
    return calendars


def read_duration(text: Any) -> timedelta | None:
    """`"90m"`, `"4h"` or `"1h30m"` of open time; None for anything else, zero included."""
    found = _DURATION.match(text) if isinstance(text, str) else None
    if found is None:
        return None
    minutes = int(found[1] or 0) * 60 + int(found[2] or 0)
    return timedelta(minutes=minutes) if 0 < minutes <= MOST_MINUTES else None


def write_duration(value: timedelta) -> str:
    """The reverse of `read_duration`."""
    hours, minutes = divmod(int(value.total_seconds()) // 60, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes or not hours else "")


def _read_targets(stored: Any, calendars: Mapping[str, Calendar], problems: list[FieldProblem]) -> tuple[Target, ...]:
    if isinstance(stored, str) or not isinstance(stored, Sequence) or len(stored) > MOST_TARGETS:
        problems.append(FieldProblem("service_levels.targets", f"must be a list of at most {MOST_TARGETS} targets"))
        return ()
    found: dict[tuple[str, str | None], Target] = {}
    for index, given in enumerate(stored):
        path = f"service_levels.targets.{index}"
        row = _mapping(given, path, problems)
        severity, plan = row.get("severity"), row.get("plan")
        known = ("severity", "plan", "hours", *TARGETS)
        problems.extend(
            FieldProblem(f"{path}.{name}", f"is not known; {', '.join(known)} are") for name in row if name not in known
        )
        if not isinstance(severity, str) or severity not in SEVERITY_RANK:
            problems.append(FieldProblem(f"{path}.severity", f"{severity!r} is not one of {', '.join(SEVERITY_RANK)}"))
            continue
        if plan is not None and not (isinstance(plan, str) and 0 < len(plan) <= 64):
            problems.append(FieldProblem(f"{path}.plan", "must be the name of a plan, at most 64 characters"))
            continue
        if (severity, plan) in found:
            problems.append(FieldProblem(path, f"repeats severity {severity}" + (f" of plan {plan}" if plan else "")))
            continue
        owed: dict[str, timedelta | None] = {}
        for name in TARGETS:
            owed[name] = read_duration(row[name]) if row.get(name) is not None else None
            if row.get(name) is not None and owed[name] is None:
                problems.append(FieldProblem(f"{path}.{name}", f"{row[name]!r} is no time such as 30m, 4h or 1h30m"))
        hours = None
        if row.get("hours") is not None:
            hours = _hours_name(row["hours"], calendars, f"{path}.hours", problems)
        found[severity, plan] = Target(severity, plan, hours, **owed)
    return tuple(found.values())


def _hours_name(name: Any, calendars: Iterable[str], path: str, problems: list[FieldProblem]) -> str:
    if not isinstance(name, str) or name not in calendars:
        problems.append(FieldProblem(path, f"{name!r} is none of the hours: {', '.join(calendars)}"))
        return ALWAYS_OPEN
    return name


def _mapping(stored: Any, path: str, problems: list[FieldProblem]) -> Mapping[str, Any]:
    if stored is None:
        return {}
    if not isinstance(stored, Mapping):
        problems.append(FieldProblem(path, "must be an object"))
        return {}
    return stored
