"""Whether traffic is still like that on which a certificate rests: its intents, and how much of it is out of scope.

A sequential test with a stated rate of false alarms; what follows from an alarm is the caller's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

FALSE_ALARMS: Final = 0.05
"""The chance that traffic which has not changed is ever said to have."""
BLOCK: Final = 50
"""Tickets from one look to the next."""
WINDOWS: Final = (1, 2, 4, 8)
"""Blocks that are compared at a look, the newest last."""
OUT_OF_SCOPE: Final = "out_of_scope"
OTHER: Final = "other"
_SCOPE_PART: Final = 0.5
"""Part of the false alarms spent on the share out of scope; the intents divide the rest."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """How many tickets, how many of them out of scope, and how many of each intent."""

    tickets: int
    out_of_scope: int
    intents: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Drift:
    """What has changed: `what` is an intent, `other` or `out_of_scope`; shares in 0..1 of the reference and of the window.

    `at`: how many tickets had come; `window`: how many of the newest were looked at.
    """

    what: str
    before: float
    after: float
    at: int
    window: int


def count_traffic(seen: Sequence[tuple[str, bool]]) -> Traffic:
    """Of (intent, is it out of scope) for each ticket."""
    names, counts = np.unique([intent for intent, _ in seen] or np.zeros(0, str), return_counts=True)
    found = dict(zip(names.tolist(), counts.tolist(), strict=True))
    return Traffic(len(seen), sum(is_out for _, is_out in seen), found)


def find_drift(
    reference: Traffic, seen: Sequence[tuple[str, bool]], *, labels: Sequence[str], false_alarms: float = FALSE_ALARMS
) -> Drift | None:
    """The first change among the tickets since the reference, oldest first, or None.

    After every BLOCK the newest windows are compared with the reference by Fisher's exact test. Look k may spend
    `false_alarms` / (k (k + 1)), divided among windows, scope and intents: as these sum to `false_alarms`, and each test is
    exact however small the counts, the chance of ever raising a false alarm is at most that. `labels` must be fixed
    beforehand; other intents count together.
    """
    if not reference.tickets or len(seen) < BLOCK:
        return None
    names = (*labels, OTHER, OUT_OF_SCOPE)
    known = _reference(reference, labels)
    so_far = np.vstack([np.zeros((1, len(names)), int), np.cumsum(_marks(seen, labels), axis=0)])
    spent = np.full(len(names), (1 - _SCOPE_PART) / (len(names) - 1))
    spent[-1] = _SCOPE_PART
    for look in range(1, len(seen) // BLOCK + 1):
        at = look * BLOCK
        allowed = false_alarms / (look * (look + 1)) / len(WINDOWS) * spent
        for window in (blocks * BLOCK for blocks in WINDOWS if blocks <= look):
            found = so_far[at] - so_far[at - window]
            chance = _chance(found, window, known, reference.tickets)
            if (chance <= allowed).any():
                worst = int((chance / allowed).argmin())
                before, after = known[worst] / reference.tickets, found[worst] / window
                return Drift(names[worst], float(before), float(after), at, window)
    return None


def _chance(found: NDArray[np.int_], window: int, known: NDArray[np.int_], tickets: int) -> NDArray[np.float64]:
    """Two-sided p-values: so few or so many in the window, were it drawn from the reference and itself together."""
    logs = _log_factorials(window + tickets)
    both, drawn = (known + found)[:, None], np.arange(window + 1)[None, :]
    others = window + tickets - both
    possible = (drawn <= both) & (window - drawn <= others)
    ways = (
        logs[both]
        - logs[drawn]
        - logs[np.maximum(both - drawn, 0)]
        + logs[others]
        - logs[window - drawn]
        - logs[np.maximum(others - window + drawn, 0)]
    )
    all_ways = logs[window + tickets] - logs[window] - logs[tickets]
    likely = np.where(possible, np.exp(np.where(possible, ways - all_ways, 0.0)), 0.0)
    few = np.where(drawn <= found[:, None], likely, 0.0).sum(axis=1)
    many = np.where(drawn >= found[:, None], likely, 0.0).sum(axis=1)
    chance: NDArray[np.float64] = np.minimum(1.0, 2 * np.minimum(few, many))
    return chance


@lru_cache(maxsize=16)
def _log_factorials(most: int) -> NDArray[np.float64]:
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, most + 1)))])


def _reference(reference: Traffic, labels: Sequence[str]) -> NDArray[np.int_]:
    listed = [reference.intents.get(label, 0) for label in labels]
    return np.array([*listed, reference.tickets - sum(listed), reference.out_of_scope])


def _marks(seen: Sequence[tuple[str, bool]], labels: Sequence[str]) -> NDArray[np.int_]:
    places = {label: place for place, label in enumerate(labels)}
    marks = np.zeros((len(seen), len(labels) + 2), int)
    marks[np.arange(len(seen)), [places.get(intent, len(labels)) for intent, _ in seen]] = 1
    marks[:, -1] = [is_out for _, is_out in seen]
    return marks
