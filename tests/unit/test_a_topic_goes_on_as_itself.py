"""Topics: groups are found without being told how many, are named by nobody's own words, go on under their number, and grow only if they do."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from asoe.ai import topics
from asoe.domain.topic import Change, carry_on, judge_changes


def texts_about(sizes: list[int], *, seed: int = 1, noise: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around one direction a subject, all leaning to one side as one organization's do; and their subjects."""
    dice = np.random.default_rng(seed)
    subjects = dice.normal(size=(len(sizes), 384)) / np.sqrt(384) + 0.05
    true = np.repeat(np.arange(len(sizes)), sizes)
    made = subjects[true] + noise * dice.normal(size=(len(true), 384)) / np.sqrt(384)
    order = dice.permutation(len(true))
    made = made[order] / np.linalg.norm(made[order], axis=1, keepdims=True)
    return made.astype(np.float32), true[order]


@pytest.mark.parametrize("sizes", [[20, 20, 20], [200, 40, 12, 8, 6], [30] * 25], ids=str)
def test_groups_are_found_whatever_their_number_and_size(sizes: list[int]) -> None:
    vectors, true = texts_about(sizes)
    found = topics.find_groups(vectors)
    assert sorted(np.bincount(found[found >= 0]).tolist(), reverse=True) == sorted(sizes, reverse=True)
    assert {(a, b) for a, b in zip(found.tolist(), true.tolist(), strict=True)}.__len__() == len(sizes)
    assert (topics.find_groups(vectors) == found).all(), "the same texts always make the same groups"


def test_what_was_one_stays_one_unless_it_is_clear() -> None:
    vectors, true = texts_about([30] * 12, noise=1.1)
    first = topics.find_groups(vectors)
    other, _ = texts_about([30] * 12, seed=1, noise=1.1)
    dice = np.random.default_rng(2)
    new = dice.permutation(len(vectors))[:10]
    other[new] = vectors[dice.permutation(new)]  # some leave, some come
    known = first.copy()
    known[new] = -1
    again = topics.find_groups(other, known)
    stayed = np.setdiff1d(np.arange(len(other)), new)
    pairs = {(a, b) for a, b in zip(first[stayed].tolist(), again[stayed].tolist(), strict=True)}
    assert len(pairs) == len(set(first.tolist())), "each group is the same as before"

    one = np.where(true < 2, 0, true).astype(np.int32)  # two subjects that were one group, clearly apart
    assert len(set(topics.find_groups(vectors, one)[true < 2].tolist())) == 2
    two = np.where((true == 0) & (np.arange(len(true)) % 2 == 0), 12, true).astype(
        np.int32
    )  # one that was cut at random
    assert len(set(topics.find_groups(vectors, two)[true == 0].tolist())) == 1


def test_few_texts_are_no_topic() -> None:
    for few in range(topics.LEAST):
        assert topics.find_groups(np.ones((few, 384), np.float32)).tolist() == [-1] * few
    same = topics.find_groups(np.ones((40, 384), np.float32) / np.sqrt(384).astype(np.float32))
    assert len(same) == 40, "texts that are all alike are no trouble"


def test_a_name_is_made_of_words_that_several_clients_wrote() -> None:
    told = [
        "Export läuft nie zu Ende, sagt Gretel",
        "Der Export läuft seit Stunden nicht",
        "export: läuft wieder nicht!",
    ]
    other = ["Cannot reset password for 4711", "Password reset mail never comes", "reset the password please"]
    names = topics.name_groups([*told, *other], list("abcdef"), [0, 0, 0, 1, 1, 1], groups=2)
    assert names[0][0] == "export läuft"
    assert {"reset", "password"} <= set(" ".join(names[1]).split())
    said = " ".join(word for name in names for word in name)
    assert not {"gretel", "4711", "stunden"} & set(said.split()), "one client's own words"
    (alone,) = topics.name_groups(told, ["a", "a", "a"], [0, 0, 0], groups=1)
    assert alone == ()


def test_a_topic_goes_on_splits_merges_ends_and_comes_back() -> None:
    # topics: A goes on, B splits, C and D become one, E ends, F had ended and comes back
    likeness = np.full((6, 6), 0.1)
    shared = np.zeros((6, 6), int)
    likeness[0, 0], shared[0, 0] = 0.9, 40
    likeness[1, 1], shared[1, 1] = 0.8, 30
    likeness[2, 1], shared[2, 1] = 0.7, 20  # the lesser half of B
    likeness[3, 2], shared[3, 2] = 0.8, 25
    likeness[3, 3], shared[3, 3] = 0.7, 15
    likeness[4, 5] = 0.9
    found = carry_on(likeness.tolist(), shared.tolist(), [False] * 5 + [True])
    assert found.goes_on == (0, 1, None, 2, 5, None)
    assert found.split_from == (None, None, 1, None, None, None)
    assert found.merged_into == {3: 3}, "E is in neither: it has ended"
    # its tickets say who it is, however its center has moved
    assert carry_on([[0.2, 0.9]], [[30, 4]], [False, False]).goes_on == (0,)
    assert carry_on([], [], [False]).merged_into == {}


def test_the_test_of_a_change_is_exact() -> None:
    for now, before in [(0, 0), (1, 0), (9, 3), (3, 9), (40, 38), (120, 60), (5000, 4700)]:
        change = Change(now, 10_000, before, 8_000)
        if now + before:
            low = binom.cdf(now, now + before, 10 / 18)
            high = binom.sf(now - 1, now + before, 10 / 18)
            assert change.p_value == pytest.approx(min(1, 2 * min(low, high)), rel=1e-6)
            # twice the smaller tail is never less than what scipy gives for as improbable or less
            assert change.p_value >= binomtest(now, now + before, 10 / 18).pvalue * 0.999
        else:
            assert change.p_value == 1.0
    assert Change(5, 10, 0, 10).ratio is None
    assert Change(20, 100, 10, 100).ratio == pytest.approx(2.0)
    low, high = Change(40, 100, 20, 100).interval or (0, None)
    assert low < 2.0 < (high or 0)


def test_only_what_changes_is_called_so() -> None:
    dice = np.random.default_rng(3)
    rates = np.r_[np.full(30, 12.0), np.full(10, 60.0)]
    false, said, missed = 0, 0, 0
    for _ in range(60):
        before, now = dice.poisson(rates), dice.poisson(rates * 1.3)  # more clients in all, no topic more than others
        now[0], now[1] = dice.poisson(45 * 1.3), dice.poisson(1.3)  # but for the first two
        changes = [Change(int(a), int(now.sum()), int(b), int(before.sum())) for a, b in zip(now, before, strict=True)]
        told = judge_changes(changes)
        false += sum(each != "steady" for each in told[2:])
        said += sum(each != "steady" for each in told)
        missed += (told[0] != "growing") + (told[1] != "shrinking")
        assert told[0] != "shrinking"
        assert told[1] != "growing"
    assert false / said < 0.08
    assert missed < 0.25 * 120
