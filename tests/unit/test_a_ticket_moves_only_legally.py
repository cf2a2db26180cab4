from __future__ import annotations

import pytest

from asoe.domain.errors import Conflict
from asoe.domain.ticket import MOVES, OPEN_STATUSES, STATUSES, check_move

# design 3.4, in words: every other pair is illegal
LEGAL = """
open -> triaging
triaging -> in_progress resolved escalated open
in_progress -> resolved escalated triaging
escalated -> in_progress resolved
resolved -> closed open
closed -> open
"""
PAIRS = {
    (line.split(" -> ")[0], wanted) for line in LEGAL.strip().splitlines() for wanted in line.split(" -> ")[1].split()
}


@pytest.mark.parametrize("wanted", STATUSES)
@pytest.mark.parametrize("current", STATUSES)
def test_only_the_moves_of_the_design_are_made(current, wanted):
    if (current, wanted) in PAIRS:
        check_move(current, wanted)
        return
    with pytest.raises(Conflict) as caught:
        check_move(current, wanted)
    assert caught.value.code == "illegal_move"
    for legal in MOVES[current]:
        assert legal in caught.value.message, "the message says what may be done instead"


def test_every_status_can_be_left_and_reached():
    assert set(MOVES) == set(STATUSES)
    assert {wanted for moves in MOVES.values() for wanted in moves} == set(STATUSES)


def test_what_counts_as_open():
    assert OPEN_STATUSES == ("open", "triaging", "in_progress")
