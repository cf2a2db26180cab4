"""Learning: what people corrected as lessons, how two models are compared on them, and when the new one is promoted.

Pure arithmetic over lessons and verdicts; texts, vectors and rows are the desk's.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import comb
from typing import Any, Final
from uuid import UUID

HEADS: Final = ("category", "severity", "intent")
HELD_BACK: Final = 0.3
"""The share of lessons nothing is fitted on."""
SURE: Final = 0.05
"""How likely a challenger that is no better may at most be to look like this."""
FEWEST: Final = 20
"""Corrected tickets from which a training is worth the while."""
MOST_LESSONS: Final = 3000
MOST_CHANGED: Final = 0.3
"""The share of recent tickets nobody has sorted that a challenger may at most sort otherwise than the champion."""
FEW_RECENT: Final = 10

REASONS: Final = {
    "better": "It is better on what was held back, with confidence, and no worse on recent tickets.",
    "too_little": f"Fewer than {FEWEST} tickets were corrected, or none of them was held back.",
    "one_voice": "All corrections come from one person, though several work here: another one's must agree.",
    "not_better": "It is not better with confidence on what was held back.",
    "worse_for_others": "What it gains comes from one person's corrections; on everybody else's it is worse.",
    "worse_on_replay": "On recent tickets whose right place is known it is worse.",
    "lowers_critical": "It takes a critical ticket for a lesser one that the champion does not.",
    "changes_too_much": f"It sorts more than {MOST_CHANGED:.0%} of the recent tickets that nobody has sorted otherwise.",
    "champion_changed": "Another model became champion while this one was compared.",
    "cancelled": "A person ended its training; nothing was kept of it.",
}


@dataclass(frozen=True, slots=True)
class Lesson:
    """A ticket people have sorted: right labels by head, None where nobody said. `by` None: confirmed, not corrected."""

    ticket_id: UUID
    text: str
    labels: Mapping[str, str | None]
    by: UUID | None = None

    @property
    def is_held_back(self) -> bool:
        """By the ticket alone, so that it is the same in every training."""
        return int.from_bytes(hashlib.sha256(self.ticket_id.bytes).digest()[:4]) / 2**32 < HELD_BACK


@dataclass(frozen=True, slots=True)
class Scored:
    """One lesson judged by both: how many of its labels each got right, and whether critical was missed anew."""

    by: UUID | None
    champion: int
    challenger: int
    labels: int
    lowers_critical: bool = False


@dataclass(frozen=True, slots=True)
class Replay:
    """Recent tickets judged by both: those nobody has sorted, and `known`, whose place is known and nothing was fitted on."""

    tickets: int
    changed: int
    known: Sequence[Scored] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was counted, and what follows: a reason of REASONS. `chance`: of a tie to look like this (sign test, one-sided)."""

    reason: str
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def is_better(self) -> bool:
        return self.reason == "better"


def capped(lessons: Sequence[Lesson]) -> list[Lesson]:
    """No person teaches more than all the others together; who is left out is chosen by the tickets' hashes.

    Where only one person corrects, the tickets that people confirmed stand against them: they count as the others.
    """
    corrected = Counter(lesson.by for lesson in lessons if lesson.by is not None)
    confirmed = sum(lesson.by is None for lesson in lessons)
    total = sum(corrected.values())
    kept = [lesson for lesson in lessons if lesson.by is None]
    for by, count in corrected.items():
        others = total - count if len(corrected) > 1 else confirmed
        own = sorted((each for each in lessons if each.by == by), key=lambda each: each.ticket_id.bytes)
        kept += own[: max(others, FEWEST)]
    return kept


def fingerprint(lessons: Sequence[Lesson]) -> str:
    """SHA-256 over tickets and labels, whatever their order."""
    rows = sorted(f"{each.ticket_id} {each.by} {sorted(each.labels.items(), key=str)}" for each in lessons)
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def compare(held: Sequence[Scored], replay: Replay, *, corrected: int, voices: int, people: int) -> Comparison:
    """Decide by everything in order: enough evidence, better with confidence, no worse for anybody or anywhere.

    corrected: tickets people corrected; voices: people who did; people: those who could.
    """
    figures = {
        "held_back": _figures(held),
        "replay": {**_figures(replay.known), "tickets": replay.tickets, "changed": replay.changed},
    }
    return Comparison(_reason(held, replay, corrected=corrected, voices=voices, people=people), figures)


def sign_test(wins: int, losses: int) -> float:
    """The chance of at least `wins` out of both, were each as likely (exact, one-sided)."""
    total = wins + losses
    return sum(comb(total, count) for count in range(wins, total + 1)) / 2**total if total else 1.0


def _reason(held: Sequence[Scored], replay: Replay, *, corrected: int, voices: int, people: int) -> str:
    if corrected < FEWEST or not held:
        return "too_little"
    if voices < 2 and people > 1:
        return "one_voice"
    if any(each.lowers_critical for each in (*held, *replay.known)):
        return "lowers_critical"
    wins, losses = _count(held)
    if sign_test(wins, losses) > SURE:
        return "not_better"
    for voice in {each.by for each in held if each.by is not None}:
        others = _count([each for each in held if each.by != voice])
        if others[0] < others[1]:
            return "worse_for_others"
    known = _count(replay.known)
    if known[0] < known[1]:
        return "worse_on_replay"
    if replay.changed > MOST_CHANGED * max(FEW_RECENT, replay.tickets):
        return "changes_too_much"
    return "better"


def _count(scored: Sequence[Scored]) -> tuple[int, int]:
    return (
        sum(each.challenger > each.champion for each in scored),
        sum(each.challenger < each.champion for each in scored),
    )


def _figures(scored: Sequence[Scored]) -> dict[str, Any]:
    wins, losses = _count(scored)
    labels = max(1, sum(each.labels for each in scored))
    return {
        "known": len(scored),
        "champion": round(sum(each.champion for each in scored) / labels, 4),
        "challenger": round(sum(each.challenger for each in scored) / labels, 4),
        "wins": wins,
        "losses": losses,
        "chance": round(sign_test(wins, losses), 6),
    }
