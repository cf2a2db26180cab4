"""The drift monitor raises no more false alarms than stated, and sees a shifted share before a thousand tickets have passed."""

from itertools import pairwise

import numpy as np
import pytest
from evals.certificates import Said, measure_drift, measure_splits
from scipy.stats import hypergeom

from asoe.ai.drift import BLOCK, OTHER, OUT_OF_SCOPE, _chance, count_traffic, find_drift

LABELS = tuple("abcdefgh")
USUAL = [0.3, 0.2, 0.15, 0.1, 0.1, 0.08, 0.05, 0.02]


def _stream(rng: np.random.Generator, tickets: int, *, out: float = 0.05, shares: list[float] = USUAL) -> list:
    return list(zip(rng.choice(LABELS, tickets, p=shares).tolist(), rng.uniform(size=tickets) < out, strict=True))


def test_the_test_is_fishers_exact_one() -> None:
    found, known = np.array([0, 3, 20, 50]), np.array([5, 3, 100, 800])
    exact = [
        min(1.0, 2 * min(drawn.cdf(count), drawn.sf(count - 1)))
        for count, before in zip(found, known, strict=True)
        for drawn in [hypergeom(850, before + count, 50)]
    ]
    assert _chance(found, 50, known, 800) == pytest.approx(exact, rel=1e-6)


def test_unchanged_traffic_raises_no_more_alarms_than_stated() -> None:
    rng = np.random.default_rng(3)
    alarms = [
        find_drift(count_traffic(_stream(rng, 150)), _stream(rng, 600), labels=LABELS, false_alarms=0.2)
        for _ in range(60)
    ]
    assert sum(alarm is not None for alarm in alarms) <= 12


@pytest.mark.parametrize("late", [0, 1000])
def test_more_out_of_scope_is_noticed_within_a_thousand_tickets(late: int) -> None:
    rng = np.random.default_rng(5)
    reference = count_traffic(_stream(rng, 800))
    drift = find_drift(reference, [*_stream(rng, late), *_stream(rng, 1000, out=0.2)], labels=LABELS)
    assert drift is not None
    assert drift.what == OUT_OF_SCOPE
    assert drift.after > drift.before
    assert late < drift.at <= late + 1000


def test_a_shifted_intent_and_an_unheard_of_one_are_named() -> None:
    rng = np.random.default_rng(9)
    reference = count_traffic(_stream(rng, 800))
    moved = find_drift(
        reference, _stream(rng, 1000, shares=[0.2, 0.2, 0.15, 0.1, 0.1, 0.08, 0.05, 0.12]), labels=LABELS
    )
    assert moved is not None
    assert moved.what in {"a", "h"}
    new = [("never seen", False) if place % 4 == 0 else each for place, each in enumerate(_stream(rng, 400))]
    unheard = find_drift(reference, new, labels=LABELS)
    assert unheard is not None
    assert (unheard.what, unheard.before) == (OTHER, 0)


def test_nothing_is_said_of_too_little_or_without_a_reference() -> None:
    rng = np.random.default_rng(1)
    assert find_drift(count_traffic([]), _stream(rng, 500), labels=LABELS) is None
    assert find_drift(count_traffic(_stream(rng, 100)), [("h", True)] * (BLOCK - 1), labels=LABELS) is None


def test_the_evaluation_keeps_its_promises_on_made_up_predictions() -> None:
    rng = np.random.default_rng(17)
    rows = 6000
    truth = np.where(rng.uniform(size=rows) < 0.2, "oos", "known")
    sure = np.where(truth == "oos", rng.uniform(0.2, 0.7, rows), rng.uniform(0.4, 1.0, rows))
    guessed = np.where((truth == "known") & (rng.uniform(size=rows) < sure**0.02), "known", "wrong")
    said = Said(("known", "wrong"), guessed, truth, sure, np.ones(rows), dev=3000)
    split = measure_splits(said, splits=25)
    assert split["broken_share"] <= 0.08
    assert split["mean_coverage"] > 0.2
    drift = measure_drift(said, usual=0.03, shifted=(0.1, 0.25), streams=12)
    assert drift["unshifted"]["voided"] <= 1
    assert drift["25%"]["voided"] == 12
    orders = [drift[name]["voided"] for name in ("unshifted", "10%", "25%")]
    assert all(less <= more for less, more in pairwise(orders))
