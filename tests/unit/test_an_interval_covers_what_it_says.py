"""Intervals of shares: the exact one never covers less than it says, Wilson's does on average; and medians are read off a distribution."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, binom

from asoe.domain.interval import FEW, exact, interval, wilson
from asoe.domain.report import STEPS, step_bounds, times

NOMINAL = 0.95
SHARES = np.arange(0.05, 0.951, 0.005)
RUNS = 20_000


def limits(of, n: int) -> tuple[np.ndarray, np.ndarray]:
    found = np.array([of(hits, n) for hits in range(n + 1)])
    return found[:, 0], found[:, 1]


def covered(of, n: int, shares: np.ndarray) -> np.ndarray:
    """The probability, for each share, that the interval of what is drawn holds it."""
    low, high = limits(of, n)
    drawn = binom.pmf(np.arange(n + 1)[:, None], n, shares[None, :])
    holds = (low[:, None] <= shares) & (shares <= high[:, None])
    return (drawn * holds).sum(axis=0)


@pytest.mark.parametrize("n", [1, 2, 5, 10, 20, 29, 50, 100])
def test_the_exact_interval_never_covers_less_than_it_says(n: int) -> None:
    shares = np.unique(np.concatenate([SHARES, [0.0, 1e-4, 0.001, 0.01, 0.99, 0.999, 1.0]]))
    assert covered(exact, n, shares).min() >= NOMINAL - 1e-9


@pytest.mark.parametrize("n", [30, 40, 60, 100, 200, 500, 2000])
def test_wilsons_interval_covers_what_it_says_on_average(n: int) -> None:
    assert abs(covered(wilson, n, SHARES).mean() - NOMINAL) <= 0.01


@pytest.mark.parametrize("n", [30, 60])
def test_a_simulation_finds_the_same(n: int) -> None:
    dice = np.random.default_rng(20261123)
    hits = dice.binomial(n, SHARES[:, None], size=(len(SHARES), RUNS))
    for of in (exact, wilson):
        low, high = limits(of, n)
        found = ((low[hits] <= SHARES[:, None]) & (SHARES[:, None] <= high[hits])).mean(axis=1)
        assert np.abs(found - covered(of, n, SHARES)).max() < 5 * np.sqrt(0.25 / RUNS)


def test_the_exact_interval_is_clopper_and_pearsons() -> None:
    for hits, n in ((0, 7), (3, 7), (7, 7), (5, 29), (60, 100)):
        low, high = exact(hits, n)
        assert low == pytest.approx(beta.ppf(0.025, hits, n - hits + 1) if hits else 0.0, abs=1e-9)
        assert high == pytest.approx(beta.ppf(0.975, hits + 1, n - hits) if hits < n else 1.0, abs=1e-9)


def test_few_cases_get_the_exact_interval_and_none_get_none() -> None:
    assert interval(0, 0) is None
    assert interval(3, FEW - 1) == exact(3, FEW - 1)
    assert interval(3, FEW) == wilson(3, FEW)


def test_median_and_p90_are_right_to_within_one_step() -> None:
    dice = np.random.default_rng(7)
    seconds = np.exp(dice.normal(8, 2, size=5000))
    counted = [0] * STEPS
    for each in seconds:
        counted[min(STEPS - 1, max(0, int(2 * np.log2(max(each, 1)))))] += 1
    found = times(counted)
    assert found.tickets == 5000
    for value, share in ((found.median, 0.5), (found.p90, 0.9)):
        assert 2**-0.5 < value / np.quantile(seconds, share) < 2**0.5
    assert times(()).median is None
    assert (step_bounds(0)[0], step_bounds(STEPS - 1)[1]) == (0.0, None)
