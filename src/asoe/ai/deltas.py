"""Reads what tuning left (`training/encoder_delta.safetensors`): deltas on the encoder's upper layers, and heads over them.

Written by `scripts/tune_encoder.py`, laid over the published weights when the encoder is built. With the heads comes what
they said of each training text while its file was left out, so that whoever counts on them knows how far.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from asoe.ai.classifier import Floats
from asoe.ai.training import Tuned
from asoe.domain.errors import Invalid

DELTA_FILE: Final = "encoder_delta.safetensors"
SCORE_STEP: Final = 1 / 12
"""Scores are kept as whole numbers of this size."""
SCALE: Final = 20.0
"""Heads were fitted on unit vectors times this."""

Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Deltas:
    """`layers`: by weight name; `heads`: by label set (weights, bias, labels); `scores`: by label set and mark of a text; `mark`: the file's."""

    layers: Weights
    heads: Mapping[str, tuple[Floats, Floats, tuple[str, ...]]]
    scores: Mapping[str, Mapping[str, Floats]]
    mark: str = ""

    def tuned_weights(self, published: Weights) -> dict[str, NDArray[np.float32]]:
        """The whole weights of the tuned layers, under their published names."""
        found: dict[str, NDArray[np.float32]] = {}
        places = {name.split(".")[2] for name in self.layers}
        for name, value in published.items():
            if name.startswith("encoder.layer.") and name.split(".")[2] in places:
                found[name] = np.asarray(value, np.float32)
        for down in (name for name in self.layers if name.endswith(".down")):
            name = down.removesuffix(".down")
            found[f"{name}.weight"] = found[f"{name}.weight"] + (self.layers[down] @ self.layers[f"{name}.up"]).T
            found[f"{name}.bias"] = found[f"{name}.bias"] + self.layers[f"{name}.shift"]
        return found

    def tuned(self, head: str, texts: Sequence[str]) -> Tuned | None:
        """The third member of a head, with its scores of those texts that were left out once."""
        if head not in self.heads:
            return None
        weights, bias, labels = self.heads[head]
        known = self.scores.get(head, {})
        nothing = np.full(len(labels), np.nan, np.float32)
        rows = [known.get(mark_of(text), nothing) for text in texts]
        return Tuned(labels, weights * SCALE, bias, np.stack(rows) if rows else np.zeros((0, len(labels)), np.float32))


def mark_of(*texts: str) -> str:
    """What a text is known by in the file."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


def read_deltas(folder: Path) -> Deltas | None:
    """Those of a training folder; None where there are none. Raises `Invalid(bad_training_text)`."""
    from safetensors import SafetensorError, safe_open

    file = folder / DELTA_FILE
    if not file.exists():
        return None
    try:
        with safe_open(str(file), "np") as stored:
            arrays: dict[str, NDArray[Any]] = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
            about = stored.metadata() or {}
    except (SafetensorError, OSError) as problem:
        raise Invalid(f"{file}: {problem}. Run scripts/tune_encoder.py.", code="bad_training_text") from problem
    layers = {name: value.astype(np.float32) for name, value in arrays.items() if name.startswith("encoder.")}
    heads, scores = {}, {}
    for name in (key.split(".")[1] for key in arrays if key.startswith("head.") and key.endswith(".weight")):
        weights, bias = (arrays[f"head.{name}.{part}"].astype(np.float32) for part in ("weight", "bias"))
        heads[name] = (weights, bias, tuple(about[f"labels.{name}"].split(",")))
        if f"scores.{name}" in arrays:
            marks = arrays[f"marks.{name}"]
            rows = arrays[f"scores.{name}"].astype(np.float32) * np.float32(SCORE_STEP)
            scores[name] = {bytes(mark).hex(): row for mark, row in zip(marks, rows, strict=True)}
    return Deltas(layers, heads, scores, hashlib.sha256(file.read_bytes()).hexdigest()[:12])
