"""Topics: what an organization's tickets are about, found in the tickets. Decides which topic goes on under its number, and what grows.

How texts are grouped and named is `ai.topics`'; which tickets are looked at, and when, is the desk's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from asoe.domain.binomial import at_most
from asoe.domain.interval import interval

Verdict = Literal["growing", "shrinking", "steady"]

SAME_FROM: Final = 0.6
"""Likeness of two centers from which a group is a topic that was there before."""
MOST_OF: Final = 0.5
"""The share of tickets from which a topic came out of another, or went into it."""
FALSE_CHANGES: Final = 0.05
"""Of the topics that are called growing or shrinking, as many in the mean may be neither (Benjamini and Hochberg, 1995)."""


@dataclass(frozen=True, slots=True)
class Topic:
    """`split_from` and `merged_into` are numbers of topics; `center` is the mean vector of its tickets, in halves."""

    id: UUID
    number: int
    name: str
    split_from: int | None
    merged_into: int | None
    begun_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Continuity:
    """What becomes of groups and topics, by their places: `goes_on[group]` is a topic or None, `split_from[group]` likewise.

    `merged_into[topic]` is a group, for topics that do not go on; one that is in neither has ended.
    """

    goes_on: tuple[int | None, ...]
    split_from: tuple[int | None, ...]
    merged_into: dict[int, int]


@dataclass(frozen=True, slots=True)
class Change:
    """Clients who wrote about a topic now and in the time before, of all who wrote; `ratio` compares the shares."""

    now: int
    now_of: int
    before: int
    before_of: int

    @property
    def ratio(self) -> float | None:
        """The share now over the share before; None where nobody wrote before."""
        return self._ratio(self.now / (self.now + self.before)) if self.now + self.before else None

    @property
    def interval(self) -> tuple[float, float | None] | None:
        """Of the ratio, 95 %; its upper end is None where the data set it no limit."""
        found = interval(self.now, self.now + self.before)
        if found is None or not self.now_of or not self.before_of:
            return None
        low, high = found
        return self._ratio(low) or 0.0, self._ratio(high)

    @property
    def p_value(self) -> float:
        """How probable so uneven numbers are when the share has not changed (exact, two-sided)."""
        cases = self.now + self.before
        if not cases or not self.now_of or not self.before_of:
            return 1.0
        expected = self.now_of / (self.now_of + self.before_of)
        return min(1.0, 2 * min(at_most(self.now, cases, expected), at_most(self.before, cases, 1 - expected)))

    def _ratio(self, part: float) -> float | None:
        if part >= 1 or not self.now_of:
            return None
        return part / (1 - part) * self.before_of / self.now_of


def judge_changes(changes: Sequence[Change]) -> list[Verdict]:
    """What is said of each topic: of those called growing or shrinking at most FALSE_CHANGES are neither, in the mean."""
    by_rank = sorted(range(len(changes)), key=lambda place: changes[place].p_value)
    last = 0
    for rank, place in enumerate(by_rank, 1):
        if changes[place].p_value <= FALSE_CHANGES * rank / len(changes):
            last = rank
    told: list[Verdict] = ["steady"] * len(changes)
    for place in by_rank[:last]:
        change = changes[place]
        told[place] = "growing" if change.now * change.before_of > change.before * change.now_of else "shrinking"
    return told


def carry_on(likeness: Sequence[Sequence[float]], shared: Sequence[Sequence[int]], ended: Sequence[bool]) -> Continuity:
    """Match new groups with known topics, one to one: those that hold most of each other's tickets, then the most alike centers.

    `likeness[group][topic]` of their centers, `shared[group][topic]` tickets that were the topic's and are the group's now. Topics that
    have `ended` come last.
    """
    groups, topics = len(likeness), len(ended)
    goes_on: dict[int, int] = {}
    for group in range(groups):
        topic = _most(shared[group], sum(shared[group]))
        if topic is not None and _most([row[topic] for row in shared], sum(row[topic] for row in shared)) == group:
            goes_on[group] = topic
    taken = set(goes_on.values())
    pairs = sorted(
        (ended[topic], -likeness[group][topic], group, topic)
        for group in range(groups)
        for topic in range(topics)
        if likeness[group][topic] >= SAME_FROM
    )
    for _, _, group, topic in pairs:
        if group not in goes_on and topic not in taken:
            goes_on[group] = topic
            taken.add(topic)
    split_from: list[int | None] = [None] * groups
    for group in range(groups):
        if group not in goes_on:
            split_from[group] = _most(shared[group], sum(shared[group]))
    merged_into = {}
    for topic in range(topics):
        if topic not in taken and not ended[topic]:
            of_topic = [shared[group][topic] for group in range(groups)]
            into = _most(of_topic, sum(of_topic))
            if into is not None:
                merged_into[topic] = into
    return Continuity(tuple(goes_on.get(group) for group in range(groups)), tuple(split_from), merged_into)


def _most(parts: Sequence[int], total: int) -> int | None:
    """The place of the part that is more than MOST_OF the total."""
    best = max(range(len(parts)), key=parts.__getitem__, default=None)
    return best if best is not None and parts[best] > MOST_OF * total else None
