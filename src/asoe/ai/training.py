"""Fits a `TextClassifier` on labelled texts: the same recipe for any label set, nothing tuned per set.

Every head also leaves its out-of-fold probabilities, from which the pool weights, the calibration error and all
later thresholds are taken; so no figure is ever read off a text the model was fitted on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asoe.ai.classifier import Floats, Head, TextClassifier, TunedHead, kernel, softmax
from asoe.ai.encoder import Vectors
from asoe.ai.features import Ngrams, fit_ngrams

SEED = 13
MARGIN_COST, MARGIN_COST_SMALL = 0.3, 0.1
"""The price of a margin error; a small set (below `SMALL_SET`) is fitted more cautiously."""
KERNEL_RIDGE = 0.2
MOST_ANCHORS = 4000
SMALL_SET = 6000
"""Up to here five folds are used, above three: a large set needs them less and pays more."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """The third member of a head, made elsewhere: its labels, weights and bias, and its scores of each text it had not seen.

    `out_of_fold` (texts, labels) is NaN where there are none: such a text does not decide how much the member counts.
    """

    labels: tuple[str, ...]
    weights: Floats
    bias: Floats
    out_of_fold: Floats

    def of(self, labels: Sequence[str], rows: NDArray[np.bool_]) -> "Tuned":
        """The same for some of the texts, its labels in this order."""
        places = [self.labels.index(label) for label in labels]
        return Tuned(tuple(labels), self.weights[:, places], self.bias[places], self.out_of_fold[rows][:, places])


@dataclass(frozen=True, slots=True)
class Fitted:
    """A classifier and, for each head, calibrated out-of-fold probabilities (texts, labels); NaN without a label."""

    classifier: TextClassifier
    out_of_fold: Mapping[str, Floats]


def fit(
    texts: Sequence[str],
    vectors: Vectors,
    labels: Mapping[str, Sequence[str | None]],
    *,
    groups: Sequence[int] | None = None,
    tuned: Mapping[str, Tuned] | None = None,
    is_rare: bool = False,
) -> Fitted:
    """Fit one head for each label set.

    `labels` has one label per text for each head, None where unknown; `groups` (one number per text) keeps texts that
    belong together in one fold. Labels are sorted. `tuned`: by head, the third member. `is_rare`: every head has two
    labels, of which the second is rare: its margins need a shift to be probabilities, and likeness says nothing.
    """
    ngrams = fit_ngrams(texts)
    matrix = _matrix(ngrams, texts, vectors)
    folds = fold_numbers(len(texts), 5 if len(texts) <= SMALL_SET else 3, groups=groups)
    anchors = _anchors(vectors) if not is_rare else np.zeros((1, vectors.shape[1]), np.float32)
    likeness = kernel(vectors @ anchors.T)
    between = kernel(anchors @ anchors.T).astype(np.float64)
    cost = MARGIN_COST_SMALL if len(texts) < SMALL_SET / 2 and not is_rare else MARGIN_COST
    smoothers: dict[bytes, _Smoother] = {}  # heads that label the same texts share theirs
    heads, out_of_fold = {}, {}
    for name, given in labels.items():
        known = tuple(sorted({label for label in given if label is not None}))
        rows = np.array([label is not None for label in given])
        wanted = np.array([known.index(label) for label in given if label is not None])
        if rows.tobytes() not in smoothers:
            smoothers[rows.tobytes()] = _Smoother(likeness[rows], folds[rows], between)
        third = (tuned or {}).get(name)
        problem = _Problem(
            matrix[rows], wanted, folds[rows], known, len(ngrams), cost, third and third.of(known, rows), is_rare
        )
        heads[name], judged = _fit_head(problem, smoothers[rows.tobytes()])
        out_of_fold[name] = np.full((len(texts), len(known)), np.nan, np.float32)
        out_of_fold[name][rows] = judged
    return Fitted(TextClassifier(ngrams, anchors, heads), out_of_fold)


@dataclass(frozen=True, slots=True)
class _Problem:
    """One head to fit: features, label indices and folds, all by row; and the third member, if there is one."""

    matrix: Any
    wanted: NDArray[np.int64]
    folds: NDArray[np.int64]
    labels: tuple[str, ...]
    ngrams: int
    cost: float
    tuned: "Tuned | None" = None
    is_rare: bool = False

    @property
    def targets(self) -> Floats:
        """1 for the right label, -1 for the others."""
        return np.where(self.wanted[:, None] == np.arange(len(self.labels)), 1, -1).astype(np.float32)


class _Smoother:
    """Kernel ridge regression on the anchors (subset of regressors: Rasmussen & Williams 2006, section 8.3.1).

    Factors the system once for all texts and once without each fold; any number of heads is then solved cheaply.
    """

    def __init__(self, likeness: Floats, folds: NDArray[np.int64], between: NDArray[np.float64]) -> None:
        self._likeness = likeness
        self._held = [folds == fold for fold in np.unique(folds)]
        grams = [(part.T @ part).astype(np.float64) for part in (likeness[held] for held in self._held)]
        total = np.sum(grams, axis=0)
        self._whole = _factor(total, between)
        self._without = [_factor(total - gram, between) for gram in grams]

    def weights(self, targets: Floats) -> Floats:
        """Weights (anchors, labels) from all texts."""
        return self._solve(self._whole, self._likeness, targets)

    def out_of_fold(self, targets: Floats) -> Floats:
        """Scores (texts, labels), each text's from the other folds."""
        scores = np.zeros_like(targets)
        for held, factor in zip(self._held, self._without, strict=True):
            scores[held] = self._likeness[held] @ self._solve(factor, self._likeness[~held], targets[~held])
        return scores

    @staticmethod
    def _solve(factor: Any, likeness: Floats, targets: Floats) -> Floats:
        from scipy import linalg

        return np.asarray(linalg.cho_solve(factor, (likeness.T @ targets).astype(np.float64)), np.float32)


def _factor(gram: NDArray[np.float64], between: NDArray[np.float64]) -> Any:
    from scipy import linalg

    system = gram + KERNEL_RIDGE * between
    system[np.diag_indices_from(system)] += 1e-6 * np.trace(system) / len(system)  # equal texts make it singular
    return linalg.cho_factor(system, overwrite_a=True, check_finite=False)


def _fit_head(problem: _Problem, smoother: _Smoother) -> tuple[Head, Floats]:
    linear, words_only = _linear_out_of_fold(problem)
    near = smoother.out_of_fold(problem.targets)
    members = [linear, near, *_shift(problem, len(linear))]
    pool, alone = fit_pool(members, problem.wanted, free=problem.is_rare), fit_pool([words_only], problem.wanted)
    weights, bias = _linear(problem.matrix, problem.wanted, classes=len(problem.labels), cost=problem.cost)
    head = Head(
        labels=problem.labels,
        linear=weights,
        bias=bias,
        kernel=smoother.weights(problem.targets),
        linear_weight=pool[0],
        kernel_weight=pool[1],
        alone_weight=alone[0],
        shift=pool[2] if problem.is_rare else 0.0,
    )
    judged = _pooled(pool, members)
    if problem.tuned is None:
        return head, judged
    return _with_tuned(head, problem, problem.tuned, members, judged)


def _shift(problem: _Problem, size: int) -> list[Floats]:
    """A member that always says the same, of the second label: how much it counts makes up for that label's being rare."""
    return [np.tile(np.array([0, 1], np.float32), (size, 1))] if problem.is_rare else []


def _pooled(pool: Sequence[float], members: Sequence[Floats]) -> Floats:
    weighted = (np.float32(weight) * member for weight, member in zip(pool, members, strict=True))
    return softmax(np.sum([*weighted], axis=0))


def _with_tuned(
    head: Head, problem: _Problem, tuned: Tuned, scores: Sequence[Floats], judged: Floats
) -> tuple[Head, Floats]:
    """The head with its third member, and what is judged with it where it has scores of texts it had not seen."""
    known = ~np.isnan(tuned.out_of_fold).any(axis=1)
    if not known.any():
        return head, judged
    first, second, *shifts = (member[known] for member in scores)
    members = [first, second, tuned.out_of_fold[known], *shifts]
    pool = fit_pool(members, problem.wanted[known], free=problem.is_rare)
    judged = judged.copy()
    judged[known] = _pooled(pool, members)
    shift = pool[3] if problem.is_rare else 0.0
    return replace(head, tuned=TunedHead(tuned.weights, tuned.bias, (pool[0], pool[1], pool[2]), shift)), judged


def fold_numbers(size: int, folds: int, *, groups: Sequence[int] | None = None) -> NDArray[np.int64]:
    """A fold for each text, random but fixed; texts of one group share theirs."""
    members = np.arange(size) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    order = np.random.default_rng(SEED).permutation(int(members.max()) + 1)
    return np.asarray(order[members] % folds)


def fit_pool(scores: Sequence[Floats], wanted: NDArray[np.int64], *, free: bool = False) -> tuple[float, ...]:
    """The weight of each member's scores that makes the pooled softmax most likely (log loss); none is negative.

    free: the last one may be.
    """
    from scipy.optimize import minimize

    rows = np.arange(len(wanted))

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        pooled = np.zeros_like(scores[0], dtype=np.float64)
        for weight, score in zip(weights, scores, strict=True):
            pooled += weight * score
        pooled -= pooled.max(axis=1, keepdims=True)
        logs = pooled - np.log(np.exp(pooled).sum(axis=1, keepdims=True))
        excess = np.exp(logs)
        excess[rows, wanted] -= 1
        return -float(logs[rows, wanted].mean()), np.array(
            [float((excess * score).sum() / len(rows)) for score in scores]
        )

    start = np.full(len(scores), 3.0)
    bounds = [(0.0, 60.0)] * (len(scores) - free) + [(-60.0, 60.0)] * free
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return tuple(float(weight) for weight in found.x)


def _matrix(ngrams: Ngrams, texts: Sequence[str], vectors: Vectors) -> Any:
    from scipy import sparse

    rows = [ngrams.row(text) for text in texts]
    ends = np.cumsum([0] + [len(row.ids) for row in rows])
    data = np.concatenate([row.weights for row in rows])
    ids = np.concatenate([row.ids for row in rows])
    words = sparse.csr_matrix((data, ids, ends), shape=(len(rows), len(ngrams)), dtype=np.float32)
    return sparse.hstack([words, sparse.csr_matrix(vectors)], format="csr")


def _linear(matrix: Any, wanted: NDArray[np.int64], *, classes: int, cost: float) -> tuple[Floats, Floats]:
    """One-against-rest squared-hinge weights (features, classes) and bias; a class absent from `wanted` gets -1."""
    from sklearn.svm import LinearSVC

    weights = np.zeros((matrix.shape[1], classes), np.float32)
    bias = np.full(classes, -1.0, np.float32)
    present = np.unique(wanted)
    if len(present) == 1:
        bias[present] = 1.0
        return weights, bias
    model = LinearSVC(C=cost, random_state=SEED, max_iter=2000).fit(matrix, wanted)
    if len(present) == 2:
        weights[:, present] = np.stack([-model.coef_[0], model.coef_[0]], axis=1)
        bias[present] = -model.intercept_[0], model.intercept_[0]
    else:
        weights[:, present] = model.coef_.T
        bias[present] = model.intercept_
    return weights, bias


def _linear_out_of_fold(problem: _Problem) -> tuple[Floats, Floats]:
    classes, words = len(problem.labels), problem.ngrams
    whole = np.zeros((len(problem.wanted), classes), np.float32)
    words_only = np.zeros_like(whole)
    for fold in np.unique(problem.folds):
        held = problem.folds == fold
        weights, bias = _linear(problem.matrix[~held], problem.wanted[~held], classes=classes, cost=problem.cost)
        part = problem.matrix[held]
        words_only[held] = part[:, :words] @ weights[:words] + bias
        whole[held] = words_only[held] + part[:, words:] @ weights[words:]
    return whole, words_only


def _anchors(vectors: Vectors) -> Vectors:
    return vectors[anchor_rows(len(vectors))]


def anchor_rows(size: int) -> NDArray[np.int64]:
    """Which texts are anchors: all of a small set, else a fixed random choice."""
    if size <= MOST_ANCHORS:
        return np.arange(size)
    return np.sort(np.random.default_rng(SEED).choice(size, MOST_ANCHORS, replace=False))
