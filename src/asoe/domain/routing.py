"""Routing: who of a team is given a ticket, level by level, and why it is that person and not another.

The last level is always the organization's owners and admins, so that nothing is given to nobody. Whether a person is needed at all is
`escalation`'s; how long each level may take is counted in `calendar`'s open time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from asoe.domain.calendar import ALWAYS, Calendar, is_zone
from asoe.domain.errors import FieldProblem, Invalid
from asoe.domain.service_level import ALWAYS_OPEN, read_duration, read_hours

SPREADS: Final = ("least_loaded", "round_robin")
WHEN_CLOSED: Final = ("wait", "raise")
CAPACITY: Final = 20
_HOURS_FIRST: Final = " (business hours are set with the service levels, and first)"
MOST_TEAMS: Final = 200
MOST_PEOPLE: Final = 2000
MOST_LEVELS: Final = 9
TAKE_WITHIN: Final = timedelta(minutes=30)

NOT_CHOSEN: Final[dict[str, str]] = {
    "absent": "is no active member of the team",
    "passed": "had it before and did not take it",
    "away": "is away",
    "full": "has as many tickets as agreed",
    "closed": "does not work at this time",
    "language": "does not speak the client's language",
    "skills": "knows less of this",
    "load": "has more to do",
    "turn": "was given one more recently",
}


@dataclass(frozen=True, slots=True)
class Rota:
    """Whose turn it is: `members` in order, each for `days` from the same hour on the wall; `overrides` come first."""

    members: tuple[str, ...]
    start: datetime
    days: int = 7
    zone: str = "UTC"
    overrides: tuple[tuple[str, datetime, datetime], ...] = ()

    def on_call(self, at: datetime) -> str | None:
        """The address of who is on call; None before the rota begins. `start` is wall time without a zone."""
        for who, begins, ends in reversed(self.overrides):
            if begins <= at < ends:
                return who
        wall = at.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None)
        if wall < self.start or not self.members:
            return None
        return self.members[(wall - self.start).days // self.days % len(self.members)]

    def turns(self, at: datetime, most: int = 3) -> list[tuple[str | None, datetime]]:
        """Who is on call at a time, and who from when on afterwards; `most` in all."""
        zone = ZoneInfo(self.zone)
        passed = max(0, (at.astimezone(zone).replace(tzinfo=None) - self.start).days // self.days)
        borders = []
        for turn in range(passed, passed + most + 2):
            with suppress(OverflowError):  # behind the last day there is
                borders.append((self.start + timedelta(days=self.days * turn)).replace(tzinfo=zone))
        borders += [time for _, *times in self.overrides for time in times if time < max(borders, default=at)]
        found = [(self.on_call(at), at)]
        for border in sorted(time for time in borders if time > at):
            who = self.on_call(border)
            if who != found[-1][0]:
                found.append((who, border))
        return found[:most]


@dataclass(frozen=True, slots=True)
class Level:
    """Who is asked at this level, and how long before the next one is."""

    members: tuple[str, ...] = ()
    rota: Rota | None = None
    take_within: timedelta = TAKE_WITHIN

    def asked(self, at: datetime) -> tuple[str, ...]:
        if self.rota is None:
            return self.members
        now = self.rota.on_call(at)
        return () if now is None else (now,)


@dataclass(frozen=True, slots=True)
class Team:
    levels: tuple[Level, ...] = ()
    hours: str = ALWAYS_OPEN
    spread: str = "least_loaded"
    when_closed: str = "wait"


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of a person: `skills` are categories, intents or own words; no languages means any."""

    skills: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    capacity: int = CAPACITY
    hours: str | None = None
    away: tuple[tuple[datetime, datetime], ...] = ()


@dataclass(frozen=True, slots=True)
class Routing:
    """An organization's teams and people by address; without teams nobody is assigned by itself."""

    teams: Mapping[str, Team] = field(default_factory=dict)
    people: Mapping[str, Profile] = field(default_factory=dict)
    calendars: Mapping[str, Calendar] = field(default_factory=dict)

    def has_people(self, team: str) -> bool:
        return any(level.members or level.rota is not None for level in self.teams.get(team, Team()).levels)

    def asked(self, team: str, at: datetime) -> frozenset[str]:
        """Whom a team's levels would ask at a time; nobody where it is not set."""
        return frozenset(who for level in self.teams.get(team, Team()).levels for who in level.asked(at))

    def calendar(self, name: str | None) -> Calendar:
        return self.calendars.get(name or ALWAYS_OPEN, ALWAYS)


@dataclass(frozen=True, slots=True)
class Somebody:
    """An active person of the support team: `load` counts open tickets, `given_at` is when one was last given."""

    user_id: UUID
    email: str
    role: str
    load: int = 0
    given_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Need:
    """What the ticket asks of a person; `wants` are its category, intent, tags and the reasons for a person."""

    team: str
    severity: str
    language: str = "und"
    wants: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Choice:
    """Whom it is given to, at which level (1 first), until when it may lie there, and why.

    `user_id` None: everybody who may have it works later, from `due_at` on. `because` names what decided, `others` who else was looked at.
    """

    user_id: UUID | None
    level: int
    due_at: datetime | None
    is_last: bool
    because: tuple[str, ...]
    others: tuple[tuple[str, str], ...] = ()


def choose(
    routing: Routing,
    need: Need,
    people: Sequence[Somebody],
    *,
    now: datetime,
    level: int = 1,
    passed: frozenset[UUID] = frozenset(),
) -> Choice:
    """The person at this level or the first one above it that has somebody; `passed` have let it lie before."""
    team = routing.teams.get(need.team, Team())
    known = {each.email.casefold(): each for each in people}
    others: list[tuple[str, str]] = []
    for number, asked in enumerate(team.levels, 1):
        if number < level:
            continue
        able, later = _able(routing, team, asked, known, others, now=now, passed=passed)
        if able:
            best, because = _best(routing, team, need, able, others)
            hours = ALWAYS if asked.rota is not None or need.severity == "critical" else routing.calendar(team.hours)
            because = ("on_call", *because) if asked.rota is not None else because
            due = hours.after(now, asked.take_within)
            return Choice(best.user_id, number, due, is_last=False, because=because, others=tuple(others))
        if later is not None and team.when_closed == "wait" and need.severity != "critical":
            return Choice(None, number, later, is_last=False, because=("closed",), others=tuple(others))
    return _last(routing, need, people, len(team.levels) + 1, others, now=now, passed=passed)


def _able(
    routing: Routing,
    team: Team,
    level: Level,
    known: Mapping[str, Somebody],
    others: list[tuple[str, str]],
    *,
    now: datetime,
    passed: frozenset[UUID],
) -> tuple[list[Somebody], datetime | None]:
    """Who of the level may have it now, and when the first of those who only do not work now does."""
    able: list[Somebody] = []
    opens: list[datetime] = []
    for address in level.asked(now):
        person = known.get(address.casefold())
        profile = routing.people.get(address, Profile())
        why = _hindered(person, profile, now, passed)
        if person is None or why is not None:
            others.append((str(person.user_id) if person else "", why or "absent"))
            continue
        # who is on call is so at any hour, unless their own say otherwise
        hours = profile.hours or (ALWAYS_OPEN if level.rota is not None else team.hours)
        if not routing.calendar(hours).is_open(now):
            others.append((str(person.user_id), "closed"))
            opening = routing.calendar(hours).next_open(now)
            opens += [opening] if opening is not None else []
            continue
        able.append(person)
    return able, min(opens, default=None)


def _hindered(person: Somebody | None, profile: Profile, now: datetime, passed: frozenset[UUID]) -> str | None:
    if person is None:
        return "absent"
    if person.user_id in passed:
        return "passed"
    if any(begins <= now < ends for begins, ends in profile.away):
        return "away"
    return "full" if person.load >= profile.capacity else None


def _best(
    routing: Routing, team: Team, need: Need, able: Sequence[Somebody], others: list[tuple[str, str]]
) -> tuple[Somebody, tuple[str, ...]]:
    """Language first, then skills, then whoever has least to do or waits longest; each step says what it decided."""
    because: list[str] = []
    left = list(able)
    for name in ("language", "skills"):
        worth = {each.user_id: _worth(routing, each, need, name) for each in left}
        most = max(worth.values())
        if most > min(worth.values()):
            others += [(str(each.user_id), name) for each in left if worth[each.user_id] < most]
            left = [each for each in left if worth[each.user_id] == most]
            because.append(name)
    is_round = team.spread == "round_robin"
    best = min(left, key=lambda each: (0 if is_round else each.load / _profile(routing, each).capacity, *_waited(each)))
    if len(left) > 1:
        others += [(str(each.user_id), "turn" if is_round else "load") for each in left if each is not best]
        because.append(team.spread)
    return best, tuple(because) or ("only_one",)


def _worth(routing: Routing, person: Somebody, need: Need, name: str) -> int:
    if name == "language":
        return int(_speaks(routing, person, need.language))
    return len(_profile(routing, person).skills & need.wants)


def _waited(person: Somebody) -> tuple[datetime, str]:
    return person.given_at or _LONG_AGO, person.email


def _last(
    routing: Routing,
    need: Need,
    people: Sequence[Somebody],
    level: int,
    others: list[tuple[str, str]],
    *,
    now: datetime,
    passed: frozenset[UUID],
) -> Choice:
    """Owners and admins: somebody gets it, whatever the hour; those who are there and have not passed it come first."""
    heads = [each for each in people if each.role in {"owner", "admin"}]
    if not heads:
        return Choice(None, level, None, is_last=True, because=("last_level",), others=tuple(others))

    def rank(each: Somebody) -> tuple[Any, ...]:
        profile = _profile(routing, each)
        is_away = any(begins <= now < ends for begins, ends in profile.away)
        is_closed = not routing.calendar(profile.hours).is_open(now)
        speaks = _speaks(routing, each, need.language)
        return (
            each.user_id in passed,
            is_away,
            is_closed,
            not speaks,
            each.load,
            each.given_at or _LONG_AGO,
            each.email,
        )

    best = min(heads, key=rank)
    return Choice(best.user_id, level, None, is_last=True, because=("last_level",), others=tuple(others))


def _profile(routing: Routing, person: Somebody) -> Profile:
    return routing.people.get(person.email.casefold(), Profile())


def _speaks(routing: Routing, person: Somebody, language: str) -> bool:
    languages = _profile(routing, person).languages
    return language == "und" or not languages or language in languages


_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


def read_routing(stored: Mapping[str, Any]) -> Routing:
    """Read `teams` and `people` of an organization's settings; raises `Invalid(bad_routing)` naming each wrong field."""
    problems: list[FieldProblem] = []
    calendars = read_hours(stored, problems)
    teams: dict[str, Team] = {}
    for name, given in _object(stored.get("teams"), "teams", problems, most=MOST_TEAMS).items():
        teams[str(name)] = _read_team(given, f"teams.{name}", calendars, problems)
    people: dict[str, Profile] = {}
    for address, given in _object(stored.get("people"), "people", problems, most=MOST_PEOPLE).items():
        people[str(address).casefold()] = _read_profile(given, f"people.{address}", calendars, problems)
    if problems:
        listed = "; ".join(f"{problem.field}: {problem.problem}" for problem in problems)
        raise Invalid(f"Teams or people are wrong: {listed}.", code="bad_routing", fields=tuple(problems))
    return Routing(teams, people, calendars)


def _read_team(stored: Any, path: str, calendars: Mapping[str, Calendar], problems: list[FieldProblem]) -> Team:
    row = _object(stored, path, problems, known=("levels", "hours", "spread", "when_closed"))
    levels = _list(row.get("levels"), f"{path}.levels", problems, most=MOST_LEVELS)
    return Team(
        tuple(_read_level(each, f"{path}.levels.{index}", problems) for index, each in enumerate(levels)),
        _one_of(row.get("hours", ALWAYS_OPEN), tuple(calendars), f"{path}.hours", problems, hint=_HOURS_FIRST),
        _one_of(row.get("spread", SPREADS[0]), SPREADS, f"{path}.spread", problems),
        _one_of(row.get("when_closed", WHEN_CLOSED[0]), WHEN_CLOSED, f"{path}.when_closed", problems),
    )


def _read_level(stored: Any, path: str, problems: list[FieldProblem]) -> Level:
    row = _object(stored, path, problems, known=("members", "rota", "take_within"))
    take_within = read_duration(row.get("take_within", "30m"))
    if take_within is None:
        problems.append(FieldProblem(f"{path}.take_within", "must be a time such as 30m, 4h or 1h30m"))
    if ("members" in row) == ("rota" in row):
        problems.append(FieldProblem(path, "needs either members or a rota"))
    members = _addresses(row.get("members"), f"{path}.members", problems)
    rota = _read_rota(row["rota"], f"{path}.rota", problems) if "rota" in row else None
    return Level(members, rota, take_within or TAKE_WITHIN)


def _read_rota(stored: Any, path: str, problems: list[FieldProblem]) -> Rota:
    row = _object(stored, path, problems, known=("members", "from", "days", "zone", "overrides"))
    members = _addresses(row.get("members"), f"{path}.members", problems)
    if not members:
        problems.append(FieldProblem(f"{path}.members", "needs at least one address"))
    start = _moment(row.get("from"), f"{path}.from", problems).replace(tzinfo=None)
    days = row.get("days", 7)
    if not isinstance(days, int) or isinstance(days, bool) or not 1 <= days <= 366:
        problems.append(FieldProblem(f"{path}.days", "must be a whole number from 1 to 366"))
        days = 7
    zone = row.get("zone", "UTC")
    if not isinstance(zone, str) or not is_zone(zone):
        problems.append(FieldProblem(f"{path}.zone", f"{zone!r} is no time zone such as Europe/Berlin"))
        zone = "UTC"
    overrides = []
    for index, each in enumerate(_list(row.get("overrides"), f"{path}.overrides", problems, most=500)):
        at = f"{path}.overrides.{index}"
        one = _object(each, at, problems, known=("who", "from", "to"))
        begins, ends = _span(one, at, problems, zone=zone)
        who = _addresses([one.get("who")], f"{at}.who", problems)
        overrides += [(who[0], begins, ends)] if who else []
    return Rota(members, start, days, zone, tuple(overrides))


def _read_profile(stored: Any, path: str, calendars: Mapping[str, Calendar], problems: list[FieldProblem]) -> Profile:
    row = _object(stored, path, problems, known=("skills", "languages", "capacity", "hours", "away"))
    capacity = row.get("capacity", CAPACITY)
    if not isinstance(capacity, int) or isinstance(capacity, bool) or not 1 <= capacity <= 10_000:
        problems.append(FieldProblem(f"{path}.capacity", "must be a whole number from 1 to 10000"))
        capacity = CAPACITY
    hours = row.get("hours")
    if hours is not None:
        hours = _one_of(hours, tuple(calendars), f"{path}.hours", problems, hint=_HOURS_FIRST)
    zone = calendars[hours].zone if hours is not None else "UTC"
    away = []
    for index, each in enumerate(_list(row.get("away"), f"{path}.away", problems, most=200)):
        one = _object(each, f"{path}.away.{index}", problems, known=("from", "to"))
        away.append(_span(one, f"{path}.away.{index}", problems, zone=zone))
    return Profile(
        _words(row.get("skills"), f"{path}.skills", problems),
        _words(row.get("languages"), f"{path}.languages", problems),
        capacity,
        hours,
        tuple(away),
    )


def _span(row: Mapping[str, Any], path: str, problems: list[FieldProblem], *, zone: str) -> tuple[datetime, datetime]:
    """From and to, on the wall in the zone where neither says otherwise."""
    begins = _in_zone(_moment(row.get("from"), f"{path}.from", problems), zone)
    ends = _in_zone(_moment(row.get("to"), f"{path}.to", problems), zone)
    if begins > ends:
        problems.append(FieldProblem(path, "ends before it begins"))
    return begins, ends


def _moment(given: Any, path: str, problems: list[FieldProblem]) -> datetime:
    """A time as it is written; a day is its beginning."""
    try:
        return datetime.fromisoformat(given)
    except (TypeError, ValueError):
        problems.append(FieldProblem(path, f"{given!r} is no time such as 2026-11-02T09:00"))
        return _LONG_AGO


def _in_zone(moment: datetime, zone: str) -> datetime:
    wall = moment if moment.tzinfo is not None else moment.replace(tzinfo=ZoneInfo(zone))
    try:
        return wall.astimezone(UTC)
    except OverflowError:  # the first or the last day there is
        return moment.replace(tzinfo=UTC)


def _addresses(given: Any, path: str, problems: list[FieldProblem]) -> tuple[str, ...]:
    listed = _list(given, path, problems, most=500)
    if not all(isinstance(each, str) and "@" in each for each in listed):
        problems.append(FieldProblem(path, "must hold e-mail addresses of members"))
        return ()
    return tuple(dict.fromkeys(each.casefold() for each in listed))


def _words(given: Any, path: str, problems: list[FieldProblem]) -> frozenset[str]:
    listed = _list(given, path, problems, most=200)
    if not all(isinstance(each, str) for each in listed):
        problems.append(FieldProblem(path, "must be a list of words"))
        return frozenset()
    return frozenset(listed)


def _list(given: Any, path: str, problems: list[FieldProblem], *, most: int) -> Sequence[Any]:
    if given is None:
        return ()
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) > most:
        problems.append(FieldProblem(path, f"must be a list of at most {most}"))
        return ()
    return given


def _object(
    given: Any, path: str, problems: list[FieldProblem], *, known: Sequence[str] = (), most: int = 100
) -> Mapping[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping) or len(given) > most:
        problems.append(FieldProblem(path, f"must be an object of at most {most} entries"))
        return {}
    problems.extend(
        FieldProblem(f"{path}.{name}", f"is not known; {', '.join(known)} are")
        for name in given
        if known and name not in known
    )
    return given


def _one_of(given: Any, allowed: Sequence[str], path: str, problems: list[FieldProblem], *, hint: str = "") -> str:
    if not isinstance(given, str) or given not in allowed:
        problems.append(FieldProblem(path, f"{given!r} is not one of {', '.join(allowed)}{hint}"))
        return allowed[0]
    return given
