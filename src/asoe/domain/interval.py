"""How sure a share is: its two-sided 95 % interval. Which of the two is used where is `interval`'s to say."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

from asoe.domain.autonomy import upper_limit

FEW: Final = 30
"""Under so many cases an interval is exact, since Wilson's covers less than it says there."""
_Z: Final = 1.959963984540054


def interval(hits: int, total: int) -> tuple[float, float] | None:
    """The 95 % interval of a share: exact under `FEW` cases, Wilson's from there on; None without cases."""
    if not total:
        return None
    return exact(hits, total) if total < FEW else wilson(hits, total)


def wilson(hits: int, total: int) -> tuple[float, float] | None:
    """Wilson's score interval (1927): 95 % on average over all shares, sometimes less for one; None without cases."""
    if not total:
        return None
    share = hits / total
    middle = (share + _Z * _Z / (2 * total)) / (1 + _Z * _Z / total)
    half = _Z * math.sqrt(share * (1 - share) / total + _Z * _Z / (4 * total * total)) / (1 + _Z * _Z / total)
    return max(0.0, middle - half), min(1.0, middle + half)


@lru_cache(maxsize=4096)
def exact(hits: int, total: int) -> tuple[float, float] | None:
    """Clopper and Pearson's interval (1934): never under 95 %, whatever the share; None without cases."""
    if not total:
        return None
    return 1.0 - upper_limit(total - hits, total, 0.975), upper_limit(hits, total, 0.975)
