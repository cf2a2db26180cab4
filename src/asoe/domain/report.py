"""What a report says and what each figure means: rates with their intervals, times with median and p90, costs as they were measured.

Which tickets are counted, and that the counters are right, is the store's and the desk's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from asoe.domain.interval import interval

MEASURES: Final = (
    "resting", "handled", "contained", "verified", "ripe", "durable", "reopened", "repeated", "by_people", "replies",
    "first_due", "first_kept", "next_due", "next_kept", "resolution_due", "resolution_kept", "ratable", "rated", "helped", "tokens",
    "worked", "worked_seconds",
)  # fmt: skip
"""What is counted of each ticket and summed up by day and class, beside its times, its cost and the money moved."""
DIMENSIONS: Final = ("category", "intent", "resolution", "runbook", "channel")
"""Classes a ticket has one of; it may have several reasons, and one client."""
FILTERS: Final = (*DIMENSIONS, "reason", "client")
STEPS: Final = 46
LONGEST_DAYS: Final = 3 * 366

RATES: Final = {
    "handled": ("handled", "resting"),
    "contained": ("contained", "resting"),
    "verified": ("verified", "resting"),
    "durable": ("durable", "ripe"),
    "reopened": ("reopened", "tickets"),
    "repeat_contact": ("repeated", "tickets"),
    "first_response_kept": ("first_kept", "first_due"),
    "next_response_kept": ("next_kept", "next_due"),
    "resolution_kept": ("resolution_kept", "resolution_due"),
    "satisfied": ("helped", "rated"),
    "rated": ("rated", "ratable"),
}
"""Each rate: what is counted, of what."""
DEFINITIONS: Final = {
    "tickets": "Tickets that came in during the time, by the day (UTC) they came. Spam, merged and imported ones are left out.",
    "handled": "Of the tickets that rest: answered, asked back, ended, or handed to a person with every required field of "
    "the dossier filled. Whether it was the right person is not measured here.",
    "contained": "Of the tickets that rest: no person touched them. They were not handed over, taken over, assigned or moved "
    "by anybody. Silence after an answer counts as contained.",
    "deflection": "What share of the tickets that rest no person touched: what is called contained here, step by step. The bar is "
    "the 95 % interval: where few tickets rest it is long, and says little.",
    "classes": "Tickets by the class they have now. Contained and verified are shares of those of the class that rest.",
    "verified": "Of the tickets that rest: a check in the system of record passed, or the client confirmed. Silence never "
    "counts as verified.",
    "durable": "Of the tickets that rest and were ended (or, where they were not ended, answered, or else came in) at least 7 days "
    "ago: verified, and not reopened within 7 days of being resolved. Younger ones are not counted yet.",
    "reopened": "Of all tickets: opened again at least once.",
    "repeat_contact": "Of all tickets: the same client had opened another one within the 7 days before, on whatever subject.",
    "first_response": "From opening to the first answer by the engine or a person, around the clock, of the tickets that have one.",
    "resolution_time": "From opening to the last resolution, around the clock, of the tickets that have one.",
    "first_response_kept": "Of the promises of a first response that were met or missed: met in time, in business hours.",
    "next_response_kept": "Of the promises of a next response that were met or missed: met in time, in business hours.",
    "resolution_kept": "Of the promises of a resolution that were met or missed: met in time, in business hours.",
    "satisfied": "Of the clients who pressed a button under an answer in the widget: their last word was that it helped.",
    "rated": "Of the tickets from the widget that got an answer from the engine: the client pressed one of the buttons.",
    "replies": "Messages that people wrote to clients.",
    "people_minutes": "An estimate out of what people did on the tickets: from one act of a person to the next one on the same ticket, "
    "when at most 15 minutes lie between them; every other act counts one minute. Reading before the first act, and work elsewhere "
    "that takes longer, is not in it.",
    "spared_minutes": "An estimate, as that of spared replies: for each category, tickets verified (at most as many as contained), times the "
    "mean minutes people spent on a ticket they worked on in that category and time.",
    "spared_replies": "An estimate: verified and contained work at the price of the same organization's own. For each category, "
    "tickets verified (at most as many as contained), times the mean number of replies people wrote on a ticket they replied to "
    "in that category and time. Categories in which no person replied add nothing.",
    "model_cost": "Tokens and price of language models as the invocations on these tickets recorded them. The local models cost none.",
    "moved": "What the acts of these tickets' runs moved, in each unit: done, and not undone.",
    "escalation_reasons": "Why tickets were given to a person. A ticket can have several reasons.",
    "interval": "95 %: exact (Clopper-Pearson) under 30 cases, Wilson's from 30 on.",
    "times": "Median and p90 are read off the distribution, whose steps are a factor of 1.41: right to within one step.",
}


@dataclass(frozen=True, slots=True)
class Counts:
    """Sums over tickets; the times are numbers of tickets in each of `STEPS` steps, empty when there are none."""

    tickets: int = 0
    resting: int = 0
    handled: int = 0
    contained: int = 0
    verified: int = 0
    ripe: int = 0
    durable: int = 0
    reopened: int = 0
    repeated: int = 0
    by_people: int = 0
    replies: int = 0
    first_due: int = 0
    first_kept: int = 0
    next_due: int = 0
    next_kept: int = 0
    resolution_due: int = 0
    resolution_kept: int = 0
    ratable: int = 0
    rated: int = 0
    helped: int = 0
    tokens: int = 0
    worked: int = 0
    worked_seconds: int = 0
    model_cost: Decimal = Decimal(0)
    moved: Decimal = Decimal(0)
    answered_times: tuple[int, ...] = ()
    resolved_times: tuple[int, ...] = ()

    @property
    def people_minutes(self) -> float:
        return self.worked_seconds / 60

    def rate(self, name: str) -> Rate:
        hits, total = RATES[name]
        return Rate(getattr(self, hits), getattr(self, total))

    @property
    def rates(self) -> dict[str, Rate]:
        return {name: self.rate(name) for name in RATES}


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of what was counted."""

    hits: int
    total: int

    @property
    def share(self) -> float | None:
        return self.hits / self.total if self.total else None

    @property
    def interval(self) -> tuple[float, float] | None:
        return interval(self.hits, self.total)


@dataclass(frozen=True, slots=True)
class Group:
    """The counts of one class."""

    dimension: str
    value: str
    counts: Counts


@dataclass(frozen=True, slots=True)
class Times:
    """`steps` are (from second, to second, tickets), those with tickets; the last one is open."""

    tickets: int
    median: float | None
    p90: float | None
    steps: tuple[tuple[float, float | None, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Slice:
    """Which tickets a report is about: those that came in from `since` to before `until`, of the classes named."""

    since: date
    until: date
    filters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trend:
    """One day of a report, or some days added up: the first of them."""

    day: date
    tickets: int = 0
    resting: int = 0
    handled: int = 0
    contained: int = 0
    verified: int = 0
    replies: int = 0
    worked_seconds: int = 0
    model_cost: Decimal = Decimal(0)

    @property
    def people_minutes(self) -> float:
        return self.worked_seconds / 60

    def __add__(self, other: Trend) -> Trend:
        sums = {name: getattr(self, name) + getattr(other, name) for name in self.__slots__ if name != "day"}
        return Trend(min(self.day, other.day), **sums)


@dataclass(frozen=True, slots=True)
class Report:
    """`uncounted` facts had not been counted when it was read; `source` is counters or tickets."""

    of: Slice
    made_at: datetime
    source: str
    uncounted: int
    total: Counts
    groups: dict[str, list[Group]]
    days: Sequence[Trend]
    moved: dict[str, Decimal]
    names: dict[str, str] = field(default_factory=dict)

    @property
    def spared_replies(self) -> float | None:
        """None when no person replied to anything, since then nobody knows what an answer takes."""
        parts = [
            min(each.counts.verified, each.counts.contained) * each.counts.replies / each.counts.by_people
            for each in self.groups.get("category", ())
            if each.counts.by_people
        ]
        return sum(parts) if parts else None

    @property
    def spared_minutes(self) -> float | None:
        """None when no person worked on anything."""
        parts = [
            min(each.counts.verified, each.counts.contained) * each.counts.people_minutes / each.counts.worked
            for each in self.groups.get("category", ())
            if each.counts.worked
        ]
        return sum(parts) if parts else None


def times(counted: Sequence[int]) -> Times:
    """Median and p90 of a distribution, each read off inside its step."""
    total = sum(counted)
    if not total:
        return Times(0, None, None)
    steps = tuple((*step_bounds(step), found) for step, found in enumerate(counted) if found)
    return Times(total, _quantile(counted, total, 0.5), _quantile(counted, total, 0.9), steps)


def step_bounds(step: int) -> tuple[float, float | None]:
    """Seconds from which and to before which a step counts."""
    low = 0.0 if step == 0 else round(2 ** (step / 2), 1)
    return low, None if step == STEPS - 1 else round(2 ** ((step + 1) / 2), 1)


def _quantile(counted: Sequence[int], total: int, share: float) -> float:
    wanted, before = share * total, 0
    for step, found in enumerate(counted):
        if found and before + found >= wanted:
            inside = (wanted - before) / found
            return float(2 ** ((step + inside) / 2)) if step else inside * 2**0.5
        before += found
    raise ValueError("the counts of a distribution do not add up")
