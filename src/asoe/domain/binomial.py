"""How likely so many of so many are, when each is one with the same probability; exact for any number of cases."""

from __future__ import annotations

import math
from typing import Final

_NOTHING: Final = 1e-15


def at_most(hits: int, cases: int, share: float) -> float:
    """The probability of at most `hits` of `cases`; summed over the smaller tail, from its largest term until the rest adds nothing."""
    if hits < 0:
        return 0.0
    if hits >= cases or share <= 0:
        return 1.0
    if share >= 1:
        return 0.0
    if hits > cases * share:
        return 1.0 - at_most(cases - hits - 1, cases, 1 - share)
    term = math.exp(
        math.lgamma(cases + 1)
        - math.lgamma(hits + 1)
        - math.lgamma(cases - hits + 1)
        + hits * math.log(share)
        + (cases - hits) * math.log1p(-share)
    )
    total, odds = 0.0, (1 - share) / share
    for each in range(hits, -1, -1):
        total += term
        if term < total * _NOTHING:
            break
        term *= odds * each / (cases - each + 1)
    return min(1.0, total)


def at_least(hits: int, cases: int, share: float) -> float:
    """The probability of `hits` of `cases` or more."""
    return 1.0 if hits <= 0 else at_most(cases - hits, cases, 1 - share)
