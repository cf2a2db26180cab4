"""The throttle: never more than the rule in any window it counts, and whoever waits as told gets in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asoe.api.throttle import Throttle
from asoe.domain.errors import Invalid


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_rule_that_is_no_rate_is_refused_by_the_name_of_its_setting() -> None:
    with pytest.raises(Invalid, match="ASOE_RATE_LIMIT: 'often' is no rate"):
        Throttle("often", setting="ASOE_RATE_LIMIT")


def test_callers_are_counted_apart() -> None:
    throttle = Throttle("1/minute", setting="X", clock=Time())
    assert not throttle.hit("ana").is_spent
    assert throttle.hit("ana").is_spent
    assert not throttle.hit("ben").is_spent


@given(st.lists(st.floats(min_value=0, max_value=25), min_size=1, max_size=200), st.integers(1, 8))
def test_no_ten_seconds_hold_twice_the_rule_and_waiting_helps(pauses: list[float], amount: int) -> None:
    time = Time()
    throttle = Throttle(f"{amount}/10 seconds", setting="X", clock=time)
    passed: list[float] = []
    for pause in pauses:
        time.now += pause
        allowance = throttle.hit("ana")
        if allowance.is_spent:
            assert allowance.remaining == 0
            assert 1 <= allowance.retry_after <= 20
            time.now += allowance.retry_after
            assert not throttle.hit("ana").is_spent
        else:
            assert 0 <= allowance.remaining < amount
        passed.append(time.now)
    for start in passed:
        # a sliding window estimated from two fixed ones errs by less than one rule
        assert sum(1 for at in passed if start <= at < start + 10) < 2 * amount + 1


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asoe.api.throttle._MAX_CALLERS", 100)
    time = Time()
    throttle = Throttle("5/minute", setting="X", clock=time)
    for caller in range(1000):
        throttle.hit(caller)
        time.now += 1
    assert len(throttle._windows) <= 100
