"""A certified threshold errs more often than promised in at most the stated share of cases; figures are exact."""

import numpy as np
import pytest

from asoe.ai.calibration import certify, expected_calibration_error, upper_limit, wilson_interval


def test_limits_are_the_exact_binomial_ones() -> None:
    assert upper_limit(0, 59) == pytest.approx(0.0495, abs=1e-4)
    assert upper_limit(0, 149) == pytest.approx(0.0199, abs=1e-4)
    assert upper_limit(3, 3) == 1.0
    low, high = wilson_interval(95, 100)
    assert (low, high) == (pytest.approx(0.888, abs=1e-3), pytest.approx(0.978, abs=1e-3))


def test_too_little_evidence_certifies_nothing() -> None:
    assert certify(np.linspace(0.5, 1, 50), np.zeros(50, bool), level=0.02) is None
    assert certify(np.linspace(0.5, 1, 2000), np.ones(2000, bool), level=0.02) is None


def test_the_promise_holds_in_enough_repetitions() -> None:
    rng = np.random.default_rng(13)
    broken = 0
    for _ in range(200):
        sure = rng.uniform(0.5, 1.0, 1500)
        wrong = rng.uniform(size=1500) > sure**0.25
        threshold = certify(sure, wrong, level=0.05)
        if threshold is not None:
            # the true selective error above t is the mean of 1 - s^.25 over [t, 1]
            grid = np.linspace(threshold, 1, 2000)
            broken += float((1 - grid**0.25).mean()) > 0.05
    assert broken <= 16  # 5 % of 200, and three standard deviations


def test_a_perfect_forecast_has_no_calibration_error() -> None:
    right = np.array([True] * 70 + [False] * 30)
    assert expected_calibration_error(np.full(100, 0.7), np.random.default_rng(1).permutation(right), bins=1) < 1e-9
