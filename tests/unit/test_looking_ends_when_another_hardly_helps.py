from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from asoe.desk.runbook import chance

ROWS = st.integers(1, 6).flatmap(
    lambda width: st.lists(st.lists(st.floats(0, 1), min_size=width, max_size=width), min_size=1, max_size=8)
)


def test_what_is_most_like_a_clause_is_likeliest_and_what_is_like_nothing_hardly_helps():
    likeness = np.array([[0.8, 0.1], [0.6, 0.2], [0.1, 0.15]])
    first, second, third = chance.of_each(likeness)
    assert first > 0.8 > second > third
    assert third < 0.01


def test_when_the_likeliest_found_all_in_order_the_next_is_what_was_meant():
    likeness = np.array([[0.8], [0.78], [0.2]])
    before = chance.of_each(likeness)
    after = chance.of_each(likeness, [True, False, False])
    assert after[0] == 0
    assert after[1] > 0.85 > before[1]
    assert chance.of_each(likeness, [True, True, False]).max() < 0.01


def test_of_no_clause_nothing_is_likely():
    assert chance.of_each(np.zeros((3, 0))).tolist() == [0, 0, 0]


@given(ROWS, st.data())
def test_a_chance_is_a_share_and_never_falls_when_another_is_out(rows, data):
    likeness = np.array(rows)
    out = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    before, after = chance.of_each(likeness), chance.of_each(likeness, out)
    assert ((before >= 0) & (before < 1)).all()
    for place, is_out in enumerate(out):
        assert after[place] == 0 if is_out else after[place] >= before[place] - 1e-12
