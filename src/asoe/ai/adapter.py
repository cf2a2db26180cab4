"""Adapts the shared triage model to one organization: what people there corrected, laid over its probabilities.

A kernel ridge regression on the difference between what people said and what the shared model said, on the sentence vectors
of the corrected texts (Rasmussen & Williams 2006, chapter 2); far from all of them nothing changes. How strongly it is
believed is chosen by its leave-one-out log loss, which ridge regression gives in closed form; not at all is a choice, too.
Corrections never make critical less likely: whoever wants that must change the shared model.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from asoe.ai.classifier import Floats, kernel
from asoe.ai.encoder import Vectors

FORMAT: Final = 1
HEADS: Final = ("category", "severity", "intent")
RIDGES: Final = (0.1, 0.3, 1.0, 3.0)
STRENGTHS: Final = (0.0, 1.0, 2.0, 4.0, 7.0, 12.0)
SHARPNESSES: Final = (2.0, 3.0, 5.0)
"""The kernel is exp(2 * KERNEL_SHARPNESS * (cosine - 1)) to one of these powers: how far a correction reaches."""
_LEAST: Final = 1e-5


@dataclass(frozen=True, slots=True)
class AdapterHead:
    """`weights` (anchors, labels) already hold the strength; `anchors` are rows of the adapter's vectors."""

    labels: tuple[str, ...]
    rows: tuple[int, ...]
    weights: Floats
    sharpness: float


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """Immutable; safe to share between threads. `version` stands behind the shared model's, as in `triage-5d27+3`.

    `base` is that model's: over another one it means nothing and is left out.
    """

    version: int
    base: str
    vectors: Vectors
    heads: Mapping[str, AdapterHead]

    def apply(self, name: str, labels: Sequence[str], shares: Floats, vectors: Vectors) -> Floats:
        """Adapted probabilities of one head, shape (texts, labels)."""
        head = self.heads.get(name)
        if head is None or not head.rows:
            return shares
        moved = nearness(vectors @ self.vectors[list(head.rows)].T, head.sharpness) @ head.weights
        places = {label: place for place, label in enumerate(head.labels)}
        columns = np.zeros_like(shares)
        for column, label in enumerate(labels):  # one that came after the training moves by nothing
            if label in places:
                columns[:, column] = moved[:, places[label]]
        adapted = _softmax(np.log(np.maximum(shares, _LEAST)) + columns)
        return keep_critical(labels, shares, adapted) if name == "severity" else adapted

    def to_bytes(self) -> bytes:
        """Arrays without pickle, and what they mean as JSON."""
        about = {
            "format": FORMAT,
            "version": self.version,
            "base": self.base,
            "heads": {
                name: {"labels": head.labels, "rows": head.rows, "sharpness": head.sharpness}
                for name, head in self.heads.items()
            },
        }
        arrays: dict[str, Any] = {"vectors": self.vectors.astype(np.float16)}
        arrays |= {f"weights.{name}": head.weights.astype(np.float32) for name, head in self.heads.items()}
        arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
        stream = io.BytesIO()
        np.savez_compressed(stream, allow_pickle=False, **arrays)
        return stream.getvalue()

    @classmethod
    def from_bytes(cls, stored: bytes) -> "Adapter":
        """Raises ValueError on anything that `to_bytes` of this format has not written."""
        with np.load(io.BytesIO(stored), allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
        about = json.loads(arrays["about"].tobytes())
        if about["format"] != FORMAT:
            raise ValueError(f"an adapter of format {about['format']}, this version reads {FORMAT}")
        heads = {
            name: AdapterHead(
                tuple(given["labels"]), tuple(given["rows"]), arrays[f"weights.{name}"], float(given["sharpness"])
            )
            for name, given in about["heads"].items()
        }
        return cls(int(about["version"]), str(about["base"]), arrays["vectors"].astype(np.float32), heads)


def fit_adapter(
    vectors: Vectors,
    labels: Mapping[str, Sequence[str | None]],
    shares: Mapping[str, Floats],
    *,
    known: Mapping[str, Sequence[str]],
    version: int,
    base: str,
) -> Adapter:
    """Fit one head for each label set. `shares` are the shared model's for the same texts, columns as `known`."""
    heads = {}
    for name in HEADS:
        rows = [row for row, label in enumerate(labels[name]) if label is not None]
        wanted = np.array([known[name].index(str(labels[name][row])) for row in rows])
        heads[name] = _fit(rows, vectors, wanted, shares[name], tuple(known[name]))
    return Adapter(version, base, vectors, heads)


def nearness(cosines: Floats, sharpness: float) -> Floats:
    """How much a text has to do with a corrected one, in 0..1."""
    return np.asarray(kernel(cosines) ** sharpness, np.float32)


def keep_critical(labels: Sequence[str], before: Floats, after: Floats) -> Floats:
    """The adapted shares, in which critical is at least as likely as it was."""
    place = list(labels).index("critical")
    least = np.maximum(after[:, place], before[:, place])
    others = 1 - after[:, place]
    kept = after * ((1 - least) / np.maximum(others, _LEAST))[:, None]
    kept[:, place] = least
    return np.asarray(kept, np.float32)


def _fit(rows: list[int], vectors: Vectors, wanted: Any, shares: Floats, labels: tuple[str, ...]) -> AdapterHead:
    if not rows:
        return AdapterHead(labels, (), np.zeros((0, len(labels)), np.float32), SHARPNESSES[0])
    base = shares[rows].astype(np.float64)
    residual = np.eye(len(labels))[wanted] - base
    logs = np.log(np.maximum(base, _LEAST))
    cosines = vectors[rows] @ vectors[rows].T
    best = (np.inf, 0.0, 1.0, SHARPNESSES[0])
    for sharpness in SHARPNESSES:
        gram = nearness(cosines, sharpness).astype(np.float64)
        for ridge in RIDGES:
            hat = np.linalg.solve(gram + ridge * np.eye(len(rows)), gram).T
            lever = np.clip(np.diag(hat), 0, 0.999)[:, None]
            left_out = (hat @ residual - lever * residual) / (1 - lever)
            for strength in STRENGTHS:
                shown = _softmax(logs + strength * left_out)
                loss = -float(np.log(np.maximum(shown[np.arange(len(rows)), wanted], _LEAST)).mean())
                best = min(best, (loss, strength, ridge, sharpness))
    _, strength, ridge, sharpness = best
    if not strength:
        return AdapterHead(labels, (), np.zeros((0, len(labels)), np.float32), sharpness)
    gram = nearness(cosines, sharpness).astype(np.float64)
    weights = strength * np.linalg.solve(gram + ridge * np.eye(len(rows)), residual)
    return AdapterHead(labels, tuple(rows), np.asarray(weights, np.float32), sharpness)


def _softmax(scores: Any) -> Any:
    grown = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(grown / grown.sum(axis=1, keepdims=True), scores.dtype)
