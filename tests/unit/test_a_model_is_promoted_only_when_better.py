"""Two models are compared by exact arithmetic: a tie, a worse one and one person's word never win."""

from __future__ import annotations

import os
import random
from uuid import UUID, uuid4

import numpy as np
import pytest

from asoe.ai.adapter import Adapter, fit_adapter
from asoe.domain.learning import (
    FEWEST,
    REASONS,
    Lesson,
    Replay,
    Scored,
    capped,
    compare,
    fingerprint,
    sign_test,
)
from asoe.domain.triage import CATEGORIES, SEVERITIES

ANA, BEN, EVE = (UUID(int=number) for number in (1, 2, 3))
WIN, LOSS, TIE = (1, 2), (2, 1), (2, 2)


def scored(by, *results):
    return [Scored(by, champion, challenger, 3) for champion, challenger in results]


def decided(held, *, known=(), changed=0, corrected=60, voices=2, people=3):
    return compare(held, Replay(100, changed, known), corrected=corrected, voices=voices, people=people).reason


def test_the_sign_test_is_exact():
    assert sign_test(0, 0) == 1.0
    assert sign_test(5, 0) == pytest.approx(1 / 32)
    assert sign_test(8, 2) == pytest.approx(56 / 1024)
    assert sign_test(3, 3) > 0.5


def test_a_better_one_wins_and_says_by_how_much():
    found = compare(
        [*scored(ANA, *[WIN] * 6), *scored(BEN, *[WIN] * 5, LOSS), *scored(None, *[TIE] * 20)],
        Replay(100, 5, scored(None, TIE, TIE)),
        corrected=60,
        voices=2,
        people=3,
    )
    assert (found.reason, found.is_better) == ("better", True)
    assert found.figures["held_back"] == {
        "known": 32, "champion": 0.5521, "challenger": 0.6562, "wins": 11, "losses": 1, "chance": 0.003174,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("held", "more", "reason"),
    [
        ([], {}, "too_little"),
        (scored(ANA, *[WIN] * 20), {"corrected": FEWEST - 1}, "too_little"),
        (scored(ANA, *[WIN] * 20), {"voices": 1}, "one_voice"),
        (scored(None, *[TIE] * 50), {}, "not_better"),
        (scored(ANA, *[WIN] * 4), {}, "not_better"),
        (scored(ANA, *[LOSS] * 20), {}, "not_better"),
        ([*scored(EVE, *[WIN] * 30), *scored(ANA, LOSS), *scored(None, TIE)], {}, "worse_for_others"),
        ([*scored(EVE, *[WIN] * 30), *scored(None, LOSS)], {}, "worse_for_others"),
        ([*scored(ANA, *[WIN] * 20)], {"known": scored(None, LOSS)}, "worse_on_replay"),
        ([*scored(ANA, *[WIN] * 20), Scored(BEN, 3, 2, 3, True)], {}, "lowers_critical"),
        ([*scored(ANA, *[WIN] * 20)], {"changed": 31}, "changes_too_much"),
    ],
)
def test_anything_less_is_kept_out(held, more, reason):
    assert decided(held, **more) == reason
    assert reason in REASONS


def test_one_person_working_alone_may_teach():
    held = [*scored(ANA, *[WIN] * 10), *scored(None, *[TIE] * 5)]
    assert decided(held, voices=1, people=1) == "better"


def lesson(by, label="billing"):
    return Lesson(uuid4(), "x", {"category": label}, by)


def test_nobody_teaches_more_than_all_others_together():
    lessons = [lesson(EVE) for _ in range(500)] + [lesson(ANA) for _ in range(40)] + [lesson(BEN) for _ in range(10)]
    kept = capped(lessons)
    counts = {who: sum(each.by == who for each in kept) for who in (ANA, BEN, EVE)}
    assert counts == {ANA: 40, BEN: 10, EVE: 50}
    alone = capped([lesson(EVE) for _ in range(500)] + [lesson(None) for _ in range(30)])
    assert sum(each.by == EVE for each in alone) == 30
    assert capped(kept) is not kept
    assert {each.ticket_id for each in capped(kept)} == {each.ticket_id for each in kept}


def test_what_is_held_back_is_the_tickets_own_and_a_third_or_so():
    lessons = [lesson(None) for _ in range(3000)]
    held = sum(each.is_held_back for each in lessons)
    assert 800 < held < 1000
    again = Lesson(lessons[0].ticket_id, "other words", {}, EVE)
    assert again.is_held_back == lessons[0].is_held_back
    assert fingerprint(lessons) == fingerprint(random.sample(lessons, len(lessons)))
    assert fingerprint(lessons) != fingerprint(lessons[1:])


def taught(labels, severity=None):
    rows = len(labels)
    vectors = np.zeros((rows, 384), np.float32)
    vectors[np.arange(rows), np.arange(rows) // 5] = 1
    intents = ("how_to", "crash")
    shares = {
        "category": np.full((rows, len(CATEGORIES)), 1 / len(CATEGORIES), np.float32),
        "severity": np.tile(np.array([0.1, 0.1, 0.1, 0.7], np.float32), (rows, 1)),
        "intent": np.full((rows, 2), 0.5, np.float32),
    }
    known = {"category": CATEGORIES, "severity": SEVERITIES, "intent": intents}
    given = {"category": labels, "severity": severity or [None] * rows, "intent": [None] * rows}
    return fit_adapter(vectors, given, shares, known=known, version=3, base="triage-1"), vectors, shares


def test_what_was_corrected_changes_its_neighbors_only():
    adapter, vectors, shares = taught(["account"] * 20)
    near = adapter.apply("category", CATEGORIES, shares["category"], vectors)
    assert CATEGORIES[int(near[0].argmax())] == "account"
    assert near[0].max() > 0.6
    far = np.zeros((1, 384), np.float32)
    far[0, 300] = 1
    unmoved = adapter.apply("category", CATEGORIES, shares["category"][:1], far)
    assert np.allclose(unmoved, shares["category"][:1], atol=0.03)
    assert np.array_equal(adapter.apply("intent", ("how_to", "crash"), shares["intent"], vectors), shares["intent"])


def test_noise_teaches_nothing():
    chance = random.Random(5)
    adapter, vectors, shares = taught([chance.choice(CATEGORIES) for _ in range(200)])
    moved = adapter.apply("category", CATEGORIES, shares["category"], vectors)
    assert float(np.abs(moved - shares["category"]).max()) < 0.15


def test_critical_is_never_made_less_likely():
    adapter, vectors, shares = taught(["account"] * 20, severity=["low"] * 20)
    judged = adapter.apply("severity", SEVERITIES, shares["severity"], vectors)
    assert (judged[:, 3] >= shares["severity"][:, 3] - 1e-6).all()
    assert np.allclose(judged.sum(axis=1), 1, atol=1e-4)


def test_a_stored_model_is_the_same_and_holds_no_pickle():
    adapter, vectors, shares = taught(["account"] * 20)
    stored = adapter.to_bytes()
    again = Adapter.from_bytes(stored)
    assert (again.version, again.base) == (3, "triage-1")
    assert np.allclose(
        again.apply("category", CATEGORIES, shares["category"], vectors),
        adapter.apply("category", CATEGORIES, shares["category"], vectors),
        atol=0.01,
    )
    with pytest.raises((ValueError, OSError, KeyError)):
        Adapter.from_bytes(os.urandom(200))
