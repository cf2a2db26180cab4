"""Nothing acts alone on a hope: certificates are exact, loans end, the brake falls when runs go wrong."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from asoe.domain.autonomy import (
    BRAKE_AT,
    Evidence,
    Loan,
    Standing,
    cases_needed,
    check_window,
    is_open,
    must_brake,
    upper_limit,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@given(cases=st.integers(1, 400), share=st.floats(0, 1))
def test_the_limit_is_that_of_clopper_and_pearson(cases, share):
    errors = min(int(share * cases), cases)
    expected = 1.0 if errors == cases else beta.ppf(0.95, errors + 1, cases - errors)
    assert upper_limit(errors, cases) == pytest.approx(expected, abs=1e-9)


def test_a_certificate_takes_59_and_149_cases_without_an_error():
    assert (cases_needed(0.05), cases_needed(0.02)) == (59, 149)
    for cases, risk, may in (
        (58, "reversible", False),
        (59, "reversible", True),
        (148, "costly", False),
        (149, "costly", True),
    ):
        assert Standing("auto", Evidence(cases, 0)).may_act_alone(risk, NOW) is may


def test_one_error_takes_the_certificate_away():
    assert Standing("auto", Evidence(59, 0)).may_act_alone("reversible", NOW)
    assert not Standing("auto", Evidence(60, 1)).may_act_alone("reversible", NOW)


@pytest.mark.parametrize("level", ["off", "shadow", "suggest", "approve"])
def test_below_auto_nothing_acts_alone(level):
    standing = Standing(level, Evidence(10_000, 0), Loan("Cleo", "a test", NOW, NOW + timedelta(days=1)))
    assert not any(standing.may_act_alone(risk, NOW) for risk in ("reversible", "costly", "irreversible"))


def test_what_cannot_be_undone_never_acts_alone():
    loan = Loan("Cleo", "a test", NOW, NOW + timedelta(days=1))
    assert not Standing("auto", Evidence(10_000, 0), loan).may_act_alone("irreversible", NOW)


def test_a_loan_ends_by_itself():
    standing = Standing("auto", Evidence(0, 0), Loan("Cleo", "a test", NOW, NOW + timedelta(days=1)))
    assert standing.may_act_alone("costly", NOW)
    assert not standing.may_act_alone("costly", NOW + timedelta(days=1))
    assert not standing.may_act_alone("costly", NOW - timedelta(seconds=1))


def test_a_brake_outweighs_loan_and_certificate():
    loan = Loan("Cleo", "a test", NOW, NOW + timedelta(days=1))
    assert not Standing("auto", Evidence(10_000, 0), loan, braked_at=NOW).may_act_alone("reversible", NOW)


def test_the_brake_falls_soon_when_runs_go_wrong_and_seldom_when_they_do_not():
    def runs_until_it_falls(rate: float, seed: int) -> int:
        chance = random.Random(seed)
        outcomes: list[bool] = []
        while len(outcomes) < 3000 and not must_brake(outcomes[-400:], 0.05):
            outcomes.append(chance.random() < rate)
        return len(outcomes)

    assert must_brake([True] * 4, 0.05)
    assert not must_brake([True], 0.05), "one bad run is not yet a pattern"
    bad = sorted(runs_until_it_falls(0.5, seed) for seed in range(30))
    assert bad[15] < 20
    good = [runs_until_it_falls(0.04, seed) for seed in range(5)]
    assert sum(good) / len(good) >= BRAKE_AT


@pytest.mark.parametrize(
    ("window", "at", "expected"),
    [
        ("mon-fri 08:00-18:00 Europe/Berlin", "2026-11-23T07:00:00Z", True),
        ("mon-fri 08:00-18:00 Europe/Berlin", "2026-11-23T06:59:59Z", False),
        ("mon-fri 08:00-18:00 Europe/Berlin", "2026-06-22T06:00:00Z", True),
        ("mon-fri 08:00-18:00", "2026-11-22T12:00:00Z", False),
        ("sat 22:00-02:00 UTC", "2026-11-22T01:00:00Z", True),
        ("sat 22:00-02:00 UTC", "2026-11-22T02:00:00Z", False),
        ("fri-mon 00:00-24:00 UTC", "2026-11-22T23:59:00Z", True),
    ],
)
def test_windows_are_those_of_their_own_zone(window, at, expected):
    assert is_open([window], datetime.fromisoformat(at)) is expected


def test_a_window_that_says_nothing_is_named():
    assert check_window("mon-fri 08:00-18:00 Europe/Berlin") is None
    assert check_window("weekdays") is not None
    assert check_window("mon 25:00-26:00") is not None
    assert check_window("mon 08:00-18:00 Europe/Nowhere") is not None
