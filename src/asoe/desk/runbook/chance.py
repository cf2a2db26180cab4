"""How likely each runbook is to find what a ticket complains of, by how like its clauses are to the runbook's phrases.

A clause means one of the runbooks' matters or none of them; one that has looked and found all in order is out, and the others
grow likelier. The constants are those under which what was broken is likeliest (`python -m evals.estate.looking --fit`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

SHARP: Final = 15.0
NOTHING: Final = 0.62
"""The likeness at which a clause may as well mean nothing that a runbook mends."""


def of_each(
    likeness: np.ndarray, in_order: Sequence[bool] = (), *, sharp: float = SHARP, nothing: float = NOTHING
) -> np.ndarray:
    """The chance of each runbook (a row of likenesses, 0..1, to every clause), 0 for those that found all `in_order`."""
    if not likeness.size:
        return np.zeros(len(likeness))
    near = np.clip(likeness, 0.0, 1.0)
    weights = np.exp(sharp * (near - nothing)) * (near > 0)
    if len(in_order):
        weights[np.asarray(in_order, dtype=bool)] = 0.0
    shares = weights / (1.0 + weights.sum(axis=0))
    found: np.ndarray = shares.max(axis=1)
    return found
