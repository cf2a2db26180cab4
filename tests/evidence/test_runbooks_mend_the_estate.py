"""A sample of the estate's cases through the whole product: what is said to be fixed is, and nothing else was touched."""

import asyncio

from evals.estate.play import play
from evals.estate.score import report

ONE_OF_A_KIND = (
    "3-0000",
    "3-0001",
    "3-0002",
    "3-0003",
    "3-0005",
    "3-0006",
    "3-0007",
    "3-0010",
    "3-0012",
    "3-0014",
    "3-0015",
    "3-0018",
)


def test_a_sample_is_mended_and_nothing_wrong_is_done() -> None:
    game = asyncio.run(play(seed=3, n=20, part="dev", only=ONE_OF_A_KIND))
    found = report(game.scores, stray=game.stray)
    assert len(game.scores) == len(ONE_OF_A_KIND)
    assert (found["wrong_effects"], found["repeated_effects"], found["says_fixed_but_is_not"]) == (0, 0, [])
    assert found["mendable_verified_fixed"]["hits"] >= found["mendable_verified_fixed"]["of"] - 1, found["misses"]
    assert found["others_ended_right"]["hits"] == found["others_ended_right"]["of"], found["misses"]
    assert {one.seen for one in game.lent} == {0}, "nobody has judged these runs, and nobody says so"
