"""Recommendations: what is worth doing, on which evidence, what it may gain, and whether it did gain that once accepted.

Pure. What was seen is handed in as `Seen`; looking is the desk's (`desk/recommendation`), and so is the clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from asoe.domain.autonomy import upper_limit

WINDOW: Final = timedelta(days=30)
"""What is looked at, and for how long an accepted one is followed."""
MONTH: Final = timedelta(days=30)
STATUSES: Final = ("open", "accepted", "dismissed", "gone")
MAX_REASON_CHARS: Final = 500
AGAIN_FROM: Final = 2
"""A dismissed one is shown again from so many times the cases it rested on when it was dismissed."""
MOST_TICKETS: Final = 20
STEPS: Final[dict[str, str]] = {
    "session.taken_over": "took over",
    "message.added": "replied to the client",
    "note.added": "wrote a note",
    "ticket.corrected": "corrected the triage",
    "ticket.changed": "changed fields",
    "ticket.assigned": "assigned it",
    "ticket.linked": "linked another ticket",
    "ticket.moved": "moved its status",
    "attachment.added": "attached a file",
    "run.started": "started a runbook",
    "credits.posted": "posted credits",
    "session.handed_back": "handed it back",
}
"""Facts by people that are steps of a fix, in words."""
_MANY: Final = 100
_Z: Final = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of advice. `least`: cases in `WINDOW` from which on it is given; `clients`: of so many clients at least.

    `is_shared`: the remedy helps a share of the cases only, which is taken from what helped before.
    """

    says: str
    counted: str
    least: int
    gain: str
    clients: int = 1
    is_shared: bool = False


RULES: Final[dict[str, Rule]] = {
    "article": Rule(
        "Write an article",
        "tickets that went to a person because no article answered them",
        least=3,
        clients=2,
        is_shared=True,
        gain="tickets a month that would need no person: the cases a month (95 % limits of a Poisson count), times the share of the "
        "tickets the engine answered in the same time that needed nobody (95 % limits); without one answered, only the upper limit",
    ),
    "runbook": Rule(
        "Write a runbook",
        "tickets that people resolved with like words, without a run",
        least=5,
        clients=2,
        is_shared=True,
        gain="tickets a month that would need no person: the cases a month (95 % limits of a Poisson count), times the share of this "
        "organization's live runs in the same time that ended verified (95 % limits); without one run, only the upper limit",
    ),
    "promote": Rule(
        "Let a runbook act alone",
        "acts of it that people agreed to",
        least=1,
        gain="approvals a month that nobody would be asked for: those agreed to in the window (95 % limits of a Poisson count)",
    ),
    "brake": Rule(
        "Have a runbook ask again",
        "runs that acted alone and went wrong",
        least=2,
        gain="wrong runs a month that a person would see first: those of the window (95 % limits of a Poisson count)",
    ),
    "connector": Rule(
        "See to a connector",
        "runs that ended because it did not answer, and acts of unknown effect",
        least=3,
        gain="failures a month that would not happen: those of the window (95 % limits of a Poisson count)",
    ),
    "client": Rule(
        "Speak with a client",
        "tickets of the client that came back, were reopened, did not help, or were angry",
        least=3,
        gain="tickets a month that a settled matter would spare: those of the window (95 % limits of a Poisson count)",
    ),
}


@dataclass(frozen=True, slots=True)
class Gain:
    """What it may bring a month; `expected` is None where nothing is known but the upper limit. The method is the rule's."""

    expected: float | None
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """Cases before and after acceptance, over `before_days` and `after_days`; `low` and `high` limit the ratio of the rates (95 %)."""

    before: int
    before_days: float
    after: int
    after_days: float
    ratio: float | None
    low: float
    high: float | None
    is_final: bool

    @property
    def says(self) -> str:
        if self.high is not None and self.high < 1:
            return "fewer"
        return "more" if self.low > 1 else "not known yet" if not self.is_final else "no difference shown"


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen in the window. `times`: when each case was, newest first; `share`: of how many such cases an equal remedy helped.

    `is_due`: what its kind asks for beside the number of cases holds. `detail` holds classes and counts, never a client's text.
    """

    kind: str
    key: str
    times: tuple[datetime, ...]
    tickets: tuple[UUID, ...] = ()
    clients: int = 0
    detail: Mapping[str, Any] = field(default_factory=dict)
    share: tuple[int, int] | None = None
    is_due: bool = True
    vector: bytes | None = None

    @property
    def weight(self) -> int:
        return len(self.times)

    @property
    def is_worth_saying(self) -> bool:
        rule = RULES[self.kind]
        return self.is_due and self.weight >= rule.least and self.clients >= rule.clients


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One piece of advice as it stands. `weight` cases in the window; `decided_weight` when a person decided."""

    id: UUID
    number: int
    kind: str
    key: str
    status: str
    weight: int
    clients: int
    detail: Mapping[str, Any]
    gain: Gain | None
    tickets: Sequence[UUID]
    first_seen_at: datetime
    seen_at: datetime
    vector: bytes | None = None
    decided_at: datetime | None = None
    decided_by: UUID | None = None
    decided_weight: int = 0
    reason: str = ""
    outcome: Outcome | None = None

    @property
    def is_again(self) -> bool:
        """It was dismissed, and what it rests on has doubled since."""
        return self.status == "open" and self.decided_at is not None


def advise(
    known: Sequence[Recommendation],
    seen: Sequence[Seen],
    *,
    like: Callable[[Seen, Sequence[Recommendation]], Recommendation | None],
    now: datetime,
) -> tuple[list[Recommendation], list[Seen]]:
    """(those known as they stand now, what is worth saying and not known); `like` finds the one that is about the same."""
    left = list(known)
    changed: list[Recommendation] = []
    new: list[Seen] = []
    for each in sorted(seen, key=lambda one: -one.weight):
        same = like(each, [one for one in left if one.kind == each.kind])
        if same is not None:
            left.remove(same)
            changed.append(after(same, each, now))
        elif each.is_worth_saying:
            new.append(each)
    changed += [after(one, None, now) for one in left]
    return changed, new


def after(known: Recommendation, seen: Seen | None, now: datetime) -> Recommendation:
    """How a known one stands after another look; None: nothing of it was seen."""
    if known.status == "accepted":
        return _followed(known, seen, now)
    is_worth = seen is not None and seen.is_worth_saying
    if known.status == "dismissed":
        if seen is None or not is_worth or seen.weight < AGAIN_FROM * max(known.decided_weight, 1):
            return known
        return _renewed(known, seen, now)
    if seen is None or not is_worth:
        return replace(known, status="gone")
    return _renewed(known, seen, now)


def gain_of(seen: Seen) -> Gain:
    """What acting on it may bring a month, by its rule's method."""
    months = WINDOW / MONTH
    low, high = count_limits(seen.weight)
    low, high, expected = low / months, high / months, seen.weight / months
    if not RULES[seen.kind].is_shared:
        return Gain(round(expected, 1), round(low, 1), round(high, 1))
    hits, total = seen.share or (0, 0)
    if not total:
        return Gain(None, 0.0, round(high, 1))
    least, most = 1.0 - upper_limit(total - hits, total, 0.975), upper_limit(hits, total, 0.975)
    return Gain(round(expected * hits / total, 1), round(low * least, 1), round(high * most, 1))


def count_limits(count: int) -> tuple[float, float]:
    """The exact 95 % limits of the mean of a Poisson count (Garwood 1936); from 100 on by Wilson and Hilferty's cube."""
    if count < _MANY:
        low = 0.0 if count == 0 else _mean_where(count - 1, 0.975)
        return low, _mean_where(count, 0.025)
    return count * _cube(count, -_Z), (count + 1) * _cube(count + 1, _Z)


def compare(before: int, before_days: float, later: int, after_days: float, *, is_final: bool) -> Outcome:
    """Two Poisson rates: the exact limits of their ratio, of which `later` given the sum is binomial (Przyborowski, Wilenski 1940)."""
    total = before + later
    if not total or after_days <= 0:
        return Outcome(before, before_days, later, after_days, None, 0.0, None, is_final)
    scale = before_days / after_days
    low = 1.0 - upper_limit(before, total, 0.975)
    high = upper_limit(later, total, 0.975)
    return Outcome(
        before,
        before_days,
        later,
        after_days,
        None if not before else round(later / before * scale, 3),
        round(_odds(low) * scale, 3),
        None if high >= 1.0 else round(_odds(high) * scale, 3),
        is_final,
    )


def usual_steps(walks: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], int]:
    """The walk most tickets went, repeats taken together, and how many did."""
    taken: dict[tuple[str, ...], int] = {}
    for walk in walks:
        steps = tuple(step for place, step in enumerate(walk) if place == 0 or walk[place - 1] != step)
        taken[steps] = taken.get(steps, 0) + 1
    best = max(taken, key=lambda steps: (taken[steps], -len(steps), steps), default=())
    return best, taken.get(best, 0)


def _mean_where(count: int, share: float) -> float:
    """The mean at which a Poisson number is at most `count` with probability `share`."""
    low, high = 0.0, 4.0 * count + 12.0
    for _ in range(60):
        middle = (low + high) / 2
        at_most = sum(math.exp(k * math.log(middle) - middle - math.lgamma(k + 1)) for k in range(count + 1))
        low, high = (middle, high) if at_most > share else (low, middle)
    return high


def _cube(count: int, z: float) -> float:
    return float((1 - 1 / (9 * count) + z / (3 * math.sqrt(count))) ** 3)


def _odds(share: float) -> float:
    return share / (1.0 - share)


def _renewed(known: Recommendation, seen: Seen, now: datetime) -> Recommendation:
    return replace(
        known,
        status="open",
        weight=seen.weight,
        clients=seen.clients,
        detail=seen.detail,
        gain=gain_of(seen),
        tickets=seen.tickets[:MOST_TICKETS],
        vector=seen.vector if known.vector is None else known.vector,
        seen_at=now,
    )


def _followed(known: Recommendation, seen: Seen | None, now: datetime) -> Recommendation:
    """Cases since the acceptance beside those of the window before it, until as much time has passed."""
    if known.decided_at is None or (known.outcome is not None and known.outcome.is_final):
        return known
    passed = min(now - known.decided_at, WINDOW)
    until = known.decided_at + passed
    later = sum(1 for at in (seen.times if seen is not None else ()) if known.decided_at < at <= until)
    day = timedelta(days=1)
    outcome = compare(known.decided_weight, WINDOW / day, later, passed / day, is_final=passed >= WINDOW)
    return replace(known, outcome=outcome, seen_at=now if seen is not None else known.seen_at)
