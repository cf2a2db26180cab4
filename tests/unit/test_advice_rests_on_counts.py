"""Recommendations: said from enough cases, silent once dismissed until these double, and followed with exact limits."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from asoe.domain.recommendation import (
    RULES,
    WINDOW,
    Recommendation,
    Seen,
    advise,
    after,
    compare,
    count_limits,
    gain_of,
    usual_steps,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def seen(cases: int, *, kind: str = "article", at: datetime = NOW, **more: object) -> Seen:
    times = tuple(at - timedelta(hours=each) for each in range(cases))
    return Seen(**{"kind": kind, "key": "k", "times": times, "clients": 2, "share": (3, 4), **more})  # type: ignore[arg-type]


def known(status: str, cases: int, **more: object) -> Recommendation:
    at = {} if status == "open" else {"decided_at": NOW, "decided_by": uuid4(), "decided_weight": cases}
    return Recommendation(
        uuid4(),
        1,
        "article",
        "k",
        status,
        cases,
        2,
        {},
        None,
        (),
        NOW,
        NOW,
        **{**at, **more},  # type: ignore[arg-type]
    )


def same(each: Seen, others: list[Recommendation]) -> Recommendation | None:
    return next((one for one in others if one.key == each.key), None)


def test_only_enough_cases_of_enough_clients_are_worth_saying() -> None:
    assert seen(3).is_worth_saying
    assert not seen(2).is_worth_saying
    assert not seen(9, clients=1).is_worth_saying
    assert not seen(9, is_due=False).is_worth_saying
    _, new = advise([], [seen(2), seen(4)], like=same, now=NOW)
    assert [each.weight for each in new] == [4]


def test_what_is_not_seen_any_more_goes_and_what_is_seen_again_comes_back() -> None:
    one = known("open", 5)
    ((gone,), new) = advise([one], [], like=same, now=NOW)
    assert (gone.status, new) == ("gone", [])
    ((back,), _) = advise([gone], [seen(6)], like=same, now=NOW)
    assert (back.status, back.weight, back.id) == ("open", 6, one.id)


def test_a_dismissed_one_is_silent_until_its_cases_double() -> None:
    dismissed = known("dismissed", 5, reason="Not ours")
    assert after(dismissed, seen(9), NOW) == dismissed
    assert after(dismissed, None, NOW) == dismissed
    again = after(dismissed, seen(10), NOW)
    assert (again.status, again.is_again, again.reason) == ("open", True, "Not ours")
    assert after(again, seen(2), NOW).status == "gone"


def test_an_accepted_one_is_followed_for_as_long_as_the_window_and_then_settled() -> None:
    accepted = known("accepted", 12)
    later = NOW + timedelta(days=15)
    half = after(accepted, seen(3, at=later), later)
    assert half.outcome is not None
    assert (half.outcome.before, half.outcome.after, half.outcome.is_final) == (12, 3, False)
    assert half.outcome.ratio == 0.5
    before_it = seen(3, at=NOW - timedelta(hours=1))
    assert after(accepted, before_it, later).outcome.after == 0  # type: ignore[union-attr]
    done = after(accepted, None, NOW + WINDOW)
    assert done.outcome is not None
    assert (done.outcome.says, done.outcome.is_final) == ("fewer", True)
    assert after(done, seen(40, at=NOW + WINDOW), NOW + 2 * WINDOW) == done


def test_gain_says_how_sure_it_is_and_nothing_it_does_not_know() -> None:
    gain = gain_of(seen(10))
    assert gain.expected == 7.5
    assert gain.low < 7.5 < gain.high <= count_limits(10)[1]
    blind = gain_of(seen(10, share=(0, 0)))
    assert (blind.expected, blind.low) == (None, 0.0)
    assert gain_of(seen(10, kind="connector")).expected == 10.0
    assert all(rule.least >= 1 and rule.says and rule.counted and rule.gain for rule in RULES.values())


@pytest.mark.parametrize(
    ("count", "low", "high"), [(0, 0, 3.689), (1, 0.0253, 5.572), (10, 4.795, 18.390), (200, 173.2, 229.7)]
)
def test_limits_of_a_count_are_garwoods(count: int, low: float, high: float) -> None:
    assert count_limits(count) == pytest.approx((low, high), rel=2e-3, abs=1e-6)


def test_limits_of_a_ratio_cover_what_they_say() -> None:
    draw = random.Random(7)

    def poisson(mean: float) -> int:
        limit, product, count = math.exp(-mean), draw.random(), 0
        while product > limit:
            product *= draw.random()
            count += 1
        return count

    missed = 0
    for _ in range(600):
        found = compare(poisson(12), 30, poisson(3), 15, is_final=True)  # half the rate
        if found.high is not None and not found.low <= 0.5 <= found.high:
            missed += 1
    assert missed <= 0.05 * 600 + 3 * math.sqrt(600 * 0.05 * 0.95)
    assert compare(0, 30, 0, 30, is_final=True).ratio is None


def test_a_busy_organization_gets_its_gain_too() -> None:
    gain = gain_of(replace(seen(6), share=(600, 2000)))
    assert gain.expected == pytest.approx(6 * 0.3, abs=0.1)
    assert gain.low < gain.expected < gain.high


def test_the_usual_way_of_people_is_the_commonest_with_repeats_taken_together() -> None:
    walks = [("message.added", "message.added", "ticket.moved"), ("message.added", "ticket.moved"), ("note.added",)]
    assert usual_steps(walks) == (("message.added", "ticket.moved"), 2)
    assert usual_steps([]) == ((), 0)


def test_two_groups_never_become_one() -> None:
    one = replace(known("open", 5), id=UUID(int=1))
    changed, new = advise([one], [seen(6), seen(4)], like=same, now=NOW)
    assert [each.weight for each in changed] == [6]
    assert [each.weight for each in new] == [4]
