"""Reads by meaning why a person must come: a wish for one, anger, threats, law, security, danger, an outage.

Beside the lists of phrases, never against them: it may only add a reason. Each reason has a calibrated probability and a
threshold that few unlike texts pass; `reason_training` fits both. What a reason weighs is the organization's to say.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from asoe.ai.classifier import TextClassifier
from asoe.ai.encoder import Encoder
from asoe.ai.redaction import redact
from asoe.domain.errors import Unavailable

FORMAT: Final = 1
REASONS: Final = ("client_asked", "anger", "threat", "legal", "security", "safety", "incident")
PRESENT, ABSENT = "yes", "no"
MOST_PIECES: Final = 20
_SENTENCE: Final = re.compile(r"(?<=[.!?…])\s+|\n+")
_WHOLE_WORDS: Final = 40
"""A text of so many words is read as one; of a longer one each part is read as well, since a reason may stand in any."""
_PART_WORDS: Final = 25
_FEWEST_WORDS: Final = 2


@dataclass(frozen=True, slots=True)
class ReasonReader:
    """A classifier with one head (yes, no) for each reason, and the probability from which each counts."""

    classifier: TextClassifier
    thresholds: Mapping[str, float]
    manifest: Mapping[str, Any]

    def read(self, texts: Sequence[str], encoder: Encoder) -> list[dict[str, float]]:
        """For each text the reasons it holds, with their probabilities; texts are redacted first."""
        pieces = [pieces_of(redact(text).text) for text in texts]
        flat = [piece for parts in pieces for piece in parts]
        if not flat:
            return [{} for _ in texts]
        found = self.shares(flat, encoder)
        ends = np.cumsum([len(parts) for parts in pieces])
        return [self._held(found, range(end - len(parts), end)) for parts, end in zip(pieces, ends, strict=True)]

    def shares(self, texts: Sequence[str], encoder: Encoder) -> dict[str, np.ndarray]:
        """By reason, the probability that each of the already redacted texts holds it."""
        judged = self.classifier.judge(texts, encoder.embed(texts))
        return {name: judged[name][:, self.classifier.heads[name].labels.index(PRESENT)] for name in self.thresholds}

    def _held(self, shares: Mapping[str, np.ndarray], rows: range) -> dict[str, float]:
        most = {name: float(own[rows.start : rows.stop].max(initial=0.0)) for name, own in shares.items()}
        return {name: round(share, 3) for name, share in most.items() if share >= self.thresholds[name]}

    def save(self, folder: Path) -> None:
        """Write `model.npz` and `manifest.json`, the manifest last."""
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(folder / "model.npz", allow_pickle=False, **self.classifier.to_arrays())
        manifest = {**self.manifest, "format": FORMAT, "thresholds": dict(self.thresholds)}
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "ReasonReader":
        """Raises `Unavailable(ai_not_built)` when there is no reader of this format in `folder`."""
        try:
            manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
            with np.load(folder / "model.npz", allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
        except (OSError, ValueError) as problem:
            raise _not_built(folder, str(problem)) from problem
        if manifest.get("format") != FORMAT:
            raise _not_built(folder, f"format {manifest.get('format')}, this version reads {FORMAT}")
        return cls(TextClassifier.from_arrays(arrays), manifest["thresholds"], manifest)


def pieces_of(text: str) -> list[str]:
    """The whole text, and of a long one its parts of a sentence or some short ones."""
    if len(set(text.split())) < _FEWEST_WORDS:
        return []
    parts: list[str] = []
    if len(text.split()) > _WHOLE_WORDS:
        for sentence in _SENTENCE.split(text):
            if parts and len(f"{parts[-1]} {sentence}".split()) <= _PART_WORDS:
                parts[-1] = f"{parts[-1]} {sentence}"
            elif len(set(sentence.split())) >= _FEWEST_WORDS:
                parts.append(sentence.strip())
    return [text, *parts[: MOST_PIECES // 2], *parts[max(MOST_PIECES // 2, len(parts) - MOST_PIECES // 2) :]]


def _not_built(folder: Path, why: str) -> Unavailable:
    return Unavailable(
        f"There is no reader of reasons in {folder} ({why}). Run `make setup` or `python -m asoe.ai.build`.",
        code="ai_not_built",
        permanent=True,
    )
