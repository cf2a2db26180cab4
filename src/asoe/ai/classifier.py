"""Judges texts with several label sets at once, from shared n-grams and sentence vectors.

Two members vote in each label set: a linear one over n-grams and vector, and a kernel one over the vector's likeness
to training texts. A third may: what the tuned layers of the encoder make of the text. Their scores are pooled as
log-probabilities with weights fitted on out-of-fold predictions, which is also the calibration. Training is in
`training`; nothing here needs scikit-learn or SciPy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asoe.ai.encoder import Vectors
from asoe.ai.features import Ngrams, Row

Floats = NDArray[np.float32]

KERNEL_SHARPNESS = 1.5
"""The kernel is exp(-sharpness * squared distance) = exp(-2 * sharpness * (1 - cosine))."""


@dataclass(frozen=True, slots=True)
class TunedHead:
    """What tuned vectors speak for: `weights` (384, labels), `bias` (labels,), the three members' pool weights and shift."""

    weights: Floats
    bias: Floats
    pool: tuple[float, float, float]
    shift: float = 0.0

    def scores(self, meanings: Vectors) -> Floats:
        return np.asarray(meanings @ self.weights + self.bias, np.float32)


@dataclass(frozen=True, slots=True)
class Head:
    """One label set: `linear` (n-grams + 384, labels), `bias` (labels,), `kernel` (anchors, labels), pool weights."""

    labels: tuple[str, ...]
    linear: Floats
    bias: Floats
    kernel: Floats
    linear_weight: float
    kernel_weight: float
    alone_weight: float
    """The linear member's weight when it judges without vectors (single sentences)."""
    tuned: TunedHead | None = None
    shift: float = 0.0
    """Added to the second label's score, where that is a rare one of two."""


@dataclass(frozen=True, slots=True)
class TextClassifier:
    """N-grams, anchors (the training vectors the kernel compares with) and one head for each label set."""

    ngrams: Ngrams
    anchors: Vectors
    heads: Mapping[str, Head]

    def judge(
        self,
        texts: Sequence[str],
        vectors: Vectors,
        cosines: Floats | None = None,
        rows: Sequence[Row] | None = None,
        meanings: Vectors | None = None,
    ) -> dict[str, Floats]:
        """Calibrated probabilities for each head, shape (texts, labels).

        `vectors` are `Encoder.embed`'s of the texts; `cosines` (texts, anchors) and `rows` (the texts' n-grams) may be
        given to save their making. `meanings` are the tuned vectors; without them two members vote.
        """
        rows = [self.ngrams.row(text) for text in texts] if rows is None else rows
        likeness = kernel(vectors @ self.anchors.T if cosines is None else cosines)
        judged = {}
        for name, head in self.heads.items():
            tuned = None if meanings is None else head.tuned
            first, second, third = tuned.pool if tuned else (head.linear_weight, head.kernel_weight, 0.0)
            pooled = first * self.linear_scores(head, rows, vectors) + second * (likeness @ head.kernel)
            if tuned is not None and meanings is not None:
                pooled += third * tuned.scores(meanings)
            pooled[:, 1:2] += head.shift if tuned is None else tuned.shift
            judged[name] = softmax(pooled)
        return judged

    @property
    def is_tuned(self) -> bool:
        """Whether a head has the third member, so that tuned vectors are worth their making."""
        return any(head.tuned is not None for head in self.heads.values())

    def judge_by_words(self, name: str, texts: Sequence[str]) -> Floats:
        """Probabilities of one head from the n-grams alone: weaker, and without the cost of a vector."""
        head = self.heads[name]
        rows = [self.ngrams.row(text) for text in texts]
        return softmax(head.alone_weight * self.linear_scores(head, rows, None))

    def linear_scores(self, head: Head, rows: Sequence[Row], vectors: Vectors | None) -> Floats:
        """The linear member's margins, shape (texts, labels)."""
        scores = np.tile(head.bias, (len(rows), 1))
        for index, row in enumerate(rows):
            scores[index] += row.weights @ head.linear[row.ids]
        if vectors is not None:
            scores += vectors @ head.linear[len(self.ngrams) :]
        return scores

    def words_for(self, name: str, label: str, text: str, *, most: int = 6, row: Row | None = None) -> tuple[str, ...]:
        """The words of `text` that spoke most for `label` over its rivals, strongest first; `row` are its n-grams."""
        head = self.heads[name]
        row = self.ngrams.row(text) if row is None else row
        if not len(row.ids):
            return ()
        part = head.linear[row.ids]
        spoken = row.weights * (part[:, head.labels.index(label)] - part.mean(axis=1))
        strength = dict(zip(row.ids.tolist(), spoken.tolist(), strict=True))
        by_word = {
            word: sum(strength.get(place, 0.0) for place in ids) for word, ids in self.ngrams.ids_by_word(text).items()
        }
        ranked = sorted(by_word, key=lambda word: -by_word[word])
        strongest = by_word[ranked[0]] if ranked else 0.0
        return tuple(word for word in ranked[:most] if len(word) > 1 and by_word[word] > 0.15 * max(strongest, 1e-6))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Everything as plain arrays; matrices in half precision, which moves a probability by less than .001."""
        arrays: dict[str, NDArray[Any]] = {"anchors": self.anchors.astype(np.float16), **self.ngrams.to_arrays()}
        for name, head in self.heads.items():
            arrays[f"{name}.labels"] = np.array(head.labels)
            arrays[f"{name}.linear"] = head.linear.astype(np.float16)
            arrays[f"{name}.bias"] = head.bias.astype(np.float32)
            arrays[f"{name}.kernel"] = head.kernel.astype(np.float16)
            weights = [head.linear_weight, head.kernel_weight, head.alone_weight, head.shift]
            arrays[f"{name}.weights"] = np.array(weights)
            if head.tuned is not None:
                arrays[f"{name}.tuned"] = head.tuned.weights.astype(np.float16)
                arrays[f"{name}.tuned_bias"] = head.tuned.bias.astype(np.float32)
                arrays[f"{name}.tuned_pool"] = np.array([*head.tuned.pool, head.tuned.shift])
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "TextClassifier":
        """Read what `to_arrays` wrote."""
        heads = {}
        for name in sorted({key.split(".")[0] for key in arrays if key.endswith(".linear")}):
            linear_weight, kernel_weight, alone_weight, *shift = (float(value) for value in arrays[f"{name}.weights"])
            heads[name] = Head(
                labels=tuple(str(label) for label in arrays[f"{name}.labels"]),
                linear=arrays[f"{name}.linear"].astype(np.float32),
                bias=arrays[f"{name}.bias"],
                kernel=arrays[f"{name}.kernel"].astype(np.float32),
                linear_weight=linear_weight,
                kernel_weight=kernel_weight,
                alone_weight=alone_weight,
                tuned=_tuned(name, arrays),
                shift=shift[0] if shift else 0.0,
            )
        return cls(Ngrams.from_arrays(arrays), arrays["anchors"].astype(np.float32), heads)


def _tuned(name: str, arrays: Mapping[str, NDArray[Any]]) -> TunedHead | None:
    if f"{name}.tuned" not in arrays:
        return None
    first, second, third, shift = (float(value) for value in arrays[f"{name}.tuned_pool"])
    weights = arrays[f"{name}.tuned"].astype(np.float32)
    return TunedHead(weights, arrays[f"{name}.tuned_bias"], (first, second, third), shift)


def kernel(cosines: Floats) -> Floats:
    """The kernel of unit vectors, from their cosines."""
    return np.asarray(np.exp(np.float32(2 * KERNEL_SHARPNESS) * (cosines - 1)), np.float32)


def softmax(scores: Floats) -> Floats:
    """Rows that sum to one."""
    grown = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(grown / grown.sum(axis=1, keepdims=True), np.float32)
