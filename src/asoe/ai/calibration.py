"""How far a confidence can be trusted: calibration error, exact binomial limits, certified thresholds.

Decides nothing about autonomy: which error rate is asked for, and what follows from a threshold, is the caller's.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

STEPS: Final = 60
STARTS: Final = ((0.5, 0.6), (0.1, 0.4))
"""Where a walk starts (share of the cases accepted) and its part of delta: most goes to where evidence is plenty."""


def expected_calibration_error(confidences: ArrayLike, right: ArrayLike, *, bins: int = 15) -> float:
    """Mean distance of confidence and accuracy over bins of equal count, weighted by count."""
    sure, truth = np.asarray(confidences, float), np.asarray(right, float)
    parts = np.array_split(np.argsort(sure, kind="stable"), min(bins, len(sure)))
    return float(sum(len(part) * abs(sure[part].mean() - truth[part].mean()) for part in parts) / len(sure))


def upper_limit(errors: int, cases: int, *, delta: float = 0.05) -> float:
    """Clopper and Pearson's one-sided upper limit of an error rate at confidence 1 - delta."""
    from scipy.stats import beta

    return 1.0 if errors >= cases else float(beta.ppf(1 - delta, errors + 1, cases - errors))


def wilson_interval(successes: float, cases: int, *, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a share."""
    if not cases:
        return 0.0, 1.0
    share, square = successes / cases, z * z
    middle = (share + square / (2 * cases)) / (1 + square / cases)
    half = z / (1 + square / cases) * np.sqrt(share * (1 - share) / cases + square / (4 * cases * cases))
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def certify(confidences: ArrayLike, wrong: ArrayLike, *, level: float, delta: float = 0.05) -> float | None:
    """The lowest threshold whose selective error is at most `level` with probability 1 - `delta`, or None.

    Learn-then-Test (Angelopoulos et al. 2021) with the exact binomial tail. Thresholds at fixed shares of the cases
    are tested from strict to lax in two walks, between which delta is divided (`STARTS`); each ends at its first
    failure. The order uses the confidences only, never the outcomes. `wrong` marks the cases that would be errors if
    acted on, out-of-scope ones included.
    """
    sure, errors = np.asarray(confidences, float), np.asarray(wrong, bool)
    order = np.argsort(-sure, kind="stable")
    made = np.cumsum(errors[order])
    most = 0
    ends = np.searchsorted(-sure[order], -sure[order], side="right")  # equal confidences are accepted together
    for share, part in STARTS:
        for step in _counts(len(sure), share, level, delta * part):
            count = int(ends[step - 1])
            if upper_limit(int(made[count - 1]), count, delta=delta * part) > level:
                break
            most = max(most, count)
    return float(sure[order[most - 1]]) if most else None


def control_marginal(confidences: ArrayLike, wrong: ArrayLike, *, level: float) -> float | None:
    """The lowest threshold from which the expected share of errors among all cases stays within `level`, or None.

    Conformal risk control (Angelopoulos et al. 2024) of the loss "acted on, and wrong": one more error than was seen,
    over one more case. It holds on average over calibration sets, not with a stated probability for this one.
    """
    sure, errors = np.asarray(confidences, float), np.asarray(wrong, bool)
    order = np.argsort(-sure, kind="stable")
    made = np.cumsum(errors[order])
    ends = np.searchsorted(-sure[order], -sure[order], side="right")
    allowed = (made[ends - 1] + 1) / (len(sure) + 1) <= level if len(sure) else np.zeros(0, bool)
    return float(sure[order[np.flatnonzero(allowed)[-1]]]) if allowed.any() else None


def certify_any(
    scores: Mapping[str, ArrayLike], wrong: ArrayLike, *, level: float, delta: float = 0.05
) -> tuple[str, float] | None:
    """Certify several scores of the same cases, delta divided among them; the name and threshold that accept most."""
    best: tuple[int, str, float] | None = None
    for name, score in scores.items():
        threshold = certify(score, wrong, level=level, delta=delta / len(scores))
        if threshold is not None:
            found = (int((np.asarray(score) >= threshold).sum()), name, threshold)
            best = max(best, found) if best else found
    return best[1:] if best else None


def _counts(cases: int, share: float, level: float, delta: float) -> Sequence[int]:
    """Accepted counts to test: from `share` of the cases, or the fewest that could pass at all, to all of them."""
    fewest = max(int(np.ceil(np.log(delta) / np.log1p(-level))), int(cases * share))
    if fewest > cases:
        return ()
    steps: NDArray[np.int64] = np.unique(np.linspace(fewest, cases, STEPS).astype(np.int64))
    return tuple(int(step) for step in steps)
