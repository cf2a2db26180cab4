"""Expected volume by hour of the week, and when there is more than that: a sequential test that works at low counts.

A class of tickets has a rate for each hour of the week and a dispersion, both learned; an hour is drawn towards the profile of its day and
time of day as far as what was seen of it may be chance (empirical Bayes). Each step of five minutes adds the log-likelihood ratio of several
larger rates against the expected one (negative binomial; Page's CUSUM, never below zero, forgetting within hours). The threshold is the one
that traffic drawn from what was learned, its uncertainty included, passes as seldom as is wanted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, log
from typing import Final

import numpy as np

HOURS: Final = 168
STEPS: Final = 12
"""Steps of an hour."""
FACTORS: Final = (2.0, 4.0, 10.0, 30.0, 100.0)
"""How many times as much a spike may be."""
LEAST_WEEKS: Final = 2
_STRAYS: Final = 1e-3
"""Hours stray from what others like them say by at least this share, squared."""
_LEVEL: Final = 0.15
"""How far the level of a coming week strays from what was learned, as a standard deviation of its logarithm."""
_OF_A_STEP: Final = 0.3
"""How much of an hour's dispersion its steps have of their own: they mostly share it. Chosen on other seeds than those reported."""
_KEPT: Final = 0.97
"""What a step leaves of what earlier ones said: bursts that last for hours would add up to an alarm. Chosen on other seeds, too."""
_DRAWN: Final = 256
_FLOOR: Final = 1e-4
_HOUR: Final = np.arange(HOURS)
_APART: Final = np.abs(_HOUR[:, None] - _HOUR)
_ALIKE: Final = tuple(
    each.astype(float)
    for each in (
        _HOUR[:, None] // 24 == _HOUR // 24,
        _HOUR[:, None] % 24 == _HOUR % 24,
        np.minimum(_APART, HOURS - _APART) <= 2,
        _APART == 0,
    )
)
"""Which hours of the week say something of which: those of the day, of the time of day, two before and after, the hour itself."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """`rates`: tickets an hour by hour of the week (Monday 00 UTC first); `spread`: 1/k of the negative binomial, 0 for Poisson."""

    rates: tuple[float, ...]
    spread: float
    weeks: float
    threshold: float = float("inf")

    def rate_at(self, hour: int) -> float:
        return self.rates[hour % HOURS]


def learn(counts: Sequence[int] | np.ndarray, first_hour: int) -> Expectation:
    """Learn from counts by hour, oldest first; `first_hour`: which hour of the week the first one is."""
    seen = np.asarray(counts, float)
    hours = (first_hour + np.arange(seen.size)) % HOURS
    weeks = seen.size / HOURS
    sums, squares = np.bincount(hours, seen, HOURS), np.bincount(hours, seen**2, HOURS)
    times = np.bincount(hours, minlength=HOURS)
    own = _own_spread(sums, squares, times)
    rates = np.full(HOURS, max(seen.mean(), _FLOOR))
    for alike in _ALIKE:
        rates = _drawn_towards_seen(rates, sums, times, own, alike)
    rates = np.maximum(rates * _recent(seen, rates[hours]), _FLOOR)
    expected = rates[hours]
    excess = ((seen - expected) ** 2 - expected).sum() / max((expected**2).sum(), _FLOOR)
    return Expectation(tuple(rates.tolist()), float(np.clip(excess, 0.0, 4.0)), weeks)


def calibrate(expectation: Expectation, *, alarms_a_week: float, dice: np.random.Generator) -> Expectation:
    """The same with the threshold that quiet traffic passes `alarms_a_week` times in the mean.

    Drawn is not only the traffic but the learning as well: each quiet week is watched with what would have been learned from other weeks
    of the same traffic, so that a profile learned from little is trusted little.
    """
    rates, weeks = np.asarray(expectation.rates), max(LEAST_WEEKS, round(expectation.weeks))
    past = _traffic(np.tile(rates, (_DRAWN, weeks)), expectation.spread, dice)
    relearned = [learn(row, 0) for row in past]
    seen_rates = np.array([each.rates for each in relearned])
    spreads = np.array([each.spread for each in relearned])
    level = np.exp(dice.normal(0.0, _LEVEL, (_DRAWN, 1)))
    hourly = rates[None] * level
    if expectation.spread > 0:
        shape = 1 / expectation.spread
        hourly *= dice.gamma(shape, 1 / shape, hourly.shape)
    drawn = dice.poisson(np.repeat(hourly, STEPS, axis=1) / STEPS)
    state, highest = np.zeros((_DRAWN, len(FACTORS))), np.zeros(_DRAWN)
    for step in range(HOURS * STEPS):
        state = advance(state, drawn[:, step], seen_rates[:, step // STEPS], spreads)
        highest = np.maximum(highest, state.max(1))
    threshold = float(np.quantile(highest, exp(-alarms_a_week)))
    return replace(expectation, threshold=max(threshold, log(2)))


def begin() -> tuple[float, ...]:
    """The state of a watch that has seen nothing."""
    return (0.0,) * len(FACTORS)


def move(state: Sequence[float], count: int, expectation: Expectation, hour: int) -> tuple[float, ...]:
    """The state after one more step of five minutes in that hour of the week, with `count` tickets in it."""
    rate, spread = np.array([expectation.rate_at(hour)]), np.array([expectation.spread])
    return tuple(advance(np.asarray(state)[None], np.array([count]), rate, spread)[0].tolist())


def is_alarm(state: Sequence[float], expectation: Expectation) -> bool:
    return max(state) > expectation.threshold


def advance(state: np.ndarray, counts: np.ndarray, rates: np.ndarray, spreads: np.ndarray) -> np.ndarray:
    """`move` of many watches at once: state (watches by factors); counts, rates an hour and spreads by watch."""
    expected = rates[:, None] / STEPS
    larger = expected * np.asarray(FACTORS)
    k = 1 / (np.maximum(_OF_A_STEP * spreads, _FLOOR)[:, None] * STEPS)
    per_ticket = np.log(larger / (k + larger)) - np.log(expected / (k + expected))
    ratio = counts[:, None] * per_ticket + k * (np.log1p(expected / k) - np.log1p(larger / k))
    moved: np.ndarray = np.maximum(0.0, _KEPT * state + ratio)
    return moved


def _traffic(rates: np.ndarray, spread: float, dice: np.random.Generator) -> np.ndarray:
    """Counts by hour with these rates."""
    shape = 1 / max(spread, _FLOOR)
    return dice.poisson(rates * dice.gamma(shape, 1 / shape, rates.shape))


def _own_spread(sums: np.ndarray, squares: np.ndarray, times: np.ndarray) -> float:
    """1/k of the counts of one hour of the week, from how they differ from week to week."""
    often = np.maximum(times, 1)
    varies = np.maximum(squares - sums**2 / often, 0) / np.maximum(times - 1, 1)
    excess, level = (varies - sums / often).sum(), ((sums / often) ** 2 - varies / often).sum()
    return max(0.0, float(excess / max(level, _FLOOR)))


def _drawn_towards_seen(
    prior: np.ndarray, sums: np.ndarray, times: np.ndarray, spread: float, alike: np.ndarray
) -> np.ndarray:
    """Rates between the prior and what was seen in hours that are alike (empirical Bayes by moments).

    The less chance there is in what was seen, and the more all of it strays from the prior, the nearer to it.
    """
    expected = np.maximum(alike @ (prior * times), _FLOOR)
    ratio = (alike @ sums) / expected
    chance = (alike @ (times * (prior + spread * prior**2))) / expected**2
    strays = max(_STRAYS, float((expected**2 * ((ratio - 1) ** 2 - chance)).sum() / (expected**2).sum()))
    found: np.ndarray = np.maximum(prior * (1 + (ratio - 1) * strays / (strays + chance)), _FLOOR)
    return found


def _recent(seen: np.ndarray, expected: np.ndarray) -> float:
    """How the last two weeks compare with what was expected of them, shrunk and bounded."""
    last = min(seen.size, 2 * HOURS)
    ratio = (seen[-last:].sum() + 20.0) / (expected[-last:].sum() + 20.0)
    return float(np.clip(ratio, 0.5, 2.0))
