"""Chances of so many of so many equal counting, for few cases and for a busy organization's many."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import pytest
from scipy.stats import binom

from asoe.domain.autonomy import upper_limit
from asoe.domain.binomial import at_least, at_most


@pytest.mark.parametrize("cases", [1, 2, 7, 59])
def test_few_cases_equal_counting_them_out(cases: int) -> None:
    for share in (Fraction(1, 100), Fraction(1, 20), Fraction(1, 2), Fraction(9, 10)):
        for hits in range(cases + 1):
            chance = sum(comb(cases, k) * share**k * (1 - share) ** (cases - k) for k in range(hits + 1))
            assert at_most(hits, cases, float(share)) == pytest.approx(float(chance), rel=1e-11)
            least = 1 - chance + comb(cases, hits) * share**hits * (1 - share) ** (cases - hits)
            assert at_least(hits, cases, float(share)) == pytest.approx(float(least), rel=1e-11)


@pytest.mark.parametrize(
    ("hits", "cases"), [(600, 2_000), (400, 3_000), (15_000, 20_000), (3, 20_000), (9_999, 20_000)]
)
def test_many_cases_are_counted_as_well(hits: int, cases: int) -> None:
    for share in (0.0001, 0.05, 0.5, 0.76, 0.999):
        assert at_most(hits, cases, share) == pytest.approx(binom.cdf(hits, cases, share), rel=1e-8, abs=1e-300)
        assert at_least(hits, cases, share) == pytest.approx(binom.sf(hits - 1, cases, share), rel=1e-8, abs=1e-300)
    limit = upper_limit(hits, cases)
    assert binom.cdf(hits, cases, limit) == pytest.approx(0.05, rel=1e-6)


def test_the_ends_are_certain() -> None:
    assert (at_most(-1, 5, 0.5), at_most(5, 5, 0.5), at_most(2, 5, 0.0), at_most(2, 5, 1.0)) == (0.0, 1.0, 1.0, 0.0)
    assert (at_least(0, 5, 0.5), at_least(6, 5, 0.5), at_least(1, 5, 0.0)) == (1.0, 0.0, 0.0)
