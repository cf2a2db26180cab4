"""A certified threshold errs more often than promised in at most the stated share of cases; figures are exact."""

from datetime import UTC, datetime

import numpy as np
import pytest

from asoe.ai.calibration import (
    certify,
    control_marginal,
    expected_calibration_error,
    upper_limit,
    wilson_interval,
)
from asoe.domain.certificate import Certificate, deciding, may_send


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


def test_equal_confidences_are_accepted_together_or_not_at_all() -> None:
    sure = np.array([0.9] * 200 + [0.5] * 200)
    wrong = np.array([False] * 200 + [True] * 40 + [False] * 160)
    assert certify(sure, wrong, level=0.05) == 0.9
    assert certify(np.full(400, 0.9), wrong, level=0.05) is None


def test_the_marginal_threshold_is_the_one_that_counting_finds() -> None:
    rng = np.random.default_rng(7)
    for cases in (0, 1, 19, 40, 300):
        sure = rng.integers(0, 30, cases) / 30
        wrong = rng.uniform(size=cases) > 0.6 + sure / 3
        for level in (0.01, 0.05, 0.2):
            kept = [bar for bar in set(sure) if (int(wrong[sure >= bar].sum()) + 1) / (cases + 1) <= level]
            assert control_marginal(sure, wrong, level=level) == min(kept, default=None)


def test_the_marginal_error_is_kept_on_average() -> None:
    rng = np.random.default_rng(11)
    errors = []
    for _ in range(300):
        sure = rng.uniform(size=101)
        wrong = rng.uniform(size=101) > sure
        threshold = control_marginal(sure[:100], wrong[:100], level=0.1)
        errors.append(threshold is not None and sure[100] >= threshold and wrong[100])
    assert np.mean(errors) <= 0.1 + 3 * 0.0173  # three standard deviations of a mean of 300


def test_a_perfect_forecast_has_no_calibration_error() -> None:
    right = np.array([True] * 70 + [False] * 30)
    assert expected_calibration_error(np.full(100, 0.7), np.random.default_rng(1).permutation(right), bins=1) < 1e-9


def made(category: str, threshold: float | None, *, errors: int = 0, cases: int = 100) -> Certificate:
    return Certificate(
        category=category,
        model="triage-1",
        threshold=threshold,
        marginal_threshold=None,
        level=0.05,
        delta=0.05,
        cases=cases,
        errors=errors,
        accepted=0,
        accepted_errors=0,
        audited=0,
        reference={},
        made_at=datetime(2026, 11, 23, tzinfo=UTC),
    )


def test_the_whole_stands_in_for_a_category_unless_its_own_evidence_speaks_against_it() -> None:
    whole = made("", 0.7)
    own = made("billing", 0.9)
    assert deciding([own, whole]) == own
    assert deciding([whole]) == whole
    assert deciding([made("billing", None, errors=1, cases=12), whole]) == whole
    assert deciding([made("billing", None, errors=5, cases=20), whole]) is None
    assert deciding([made("billing", None, errors=0, cases=5)]) is None
    assert not may_send(deciding([made("billing", None, errors=5, cases=20), whole]), chance=0.99, model="triage-1")
    assert may_send(deciding([made("billing", None, errors=1, cases=12), whole]), chance=0.99, model="triage-1")
