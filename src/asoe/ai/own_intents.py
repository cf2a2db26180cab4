"""How much of a text belongs to an organization's own intents: from their words and examples alone, before anybody corrected anything.

A logistic competition between the own intents and none of them, over cosines to title and description, to the middle of the examples
and to the nearest one, against how near the text is to what the shared model was trained on. Its weights were fitted on the train
and dev parts of public sets (`evals.own_intents`). What people correct afterwards is the adapter's to learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from asoe.ai.classifier import Floats
from asoe.ai.encoder import DIMENSIONS, Vectors


@dataclass(frozen=True, slots=True)
class Weights:
    """`words`, `middle`, `nearest`: what a cosine to title and description, to the examples' middle and to the nearest one counts.

    `start` is what every own intent begins with, `more` what is taken off as examples come, `known` what the cosine to the
    nearest training text of the shared model takes off. With n examples they weigh n / (n + `half`), and the words the rest.
    """

    words: float
    middle: float
    nearest: float
    start: float
    more: float
    known: float
    half: float


WEIGHTS: Final = Weights(words=17.0, middle=16.0, nearest=8.0, start=-2.6, more=5.2, known=10.2, half=1.35)


@dataclass(frozen=True, slots=True, eq=False)
class OwnIntents:
    """The own intents in use of one organization; immutable, safe to share between threads.

    `words` (names, 384) are unit vectors of title and description; `examples` (rows, 384) belong to the name at `owners`, sorted.
    """

    names: tuple[str, ...]
    categories: tuple[str, ...]
    words: Vectors
    middles: Vectors
    examples: Vectors
    owners: tuple[int, ...]

    def cosines(self, vectors: Vectors) -> tuple[Floats, Floats, Floats]:
        """To the words, the examples' middles and the nearest examples, each (texts, names); 0 where there are no examples."""
        nearest = np.zeros((len(vectors), len(self.names)), np.float32)
        if self.owners:
            starts = np.flatnonzero(np.diff(np.array(self.owners), prepend=-1))
            best = np.maximum.reduceat(vectors @ self.examples.T, starts, axis=1)
            nearest[:, np.array(self.owners)[starts]] = best
        return vectors @ self.words.T, vectors @ self.middles.T, nearest

    def shares(self, vectors: Vectors, known: Floats) -> Floats:
        """The chance of each own intent, (texts, names); what is left to 1 is the shared intents'.

        `known`: each text's cosine to the nearest text that the shared model was trained on.
        """
        scores = self.scores(vectors, known)
        with_none = np.concatenate([scores, np.zeros((len(scores), 1), scores.dtype)], axis=1)
        grown = np.exp(with_none - with_none.max(axis=1, keepdims=True))
        return np.asarray((grown / grown.sum(axis=1, keepdims=True))[:, :-1], np.float32)

    def scores(self, vectors: Vectors, known: Floats, weights: Weights = WEIGHTS) -> Floats:
        """Log odds of each own intent against none of them."""
        counts = np.bincount(np.array(self.owners, int), minlength=len(self.names))
        trust = counts / (counts + weights.half)
        words, middle, nearest = self.cosines(vectors)
        scores = weights.start + weights.words * words * (1 - trust)
        scores += trust * (weights.middle * middle + weights.nearest * nearest - weights.more)
        return np.asarray(scores - weights.known * known[:, None], np.float32)

    def likeness(self, vectors: Vectors) -> Floats:
        """How near each text comes to any own intent, (texts,)."""
        words, _, nearest = self.cosines(vectors)
        return np.asarray(np.maximum(words, nearest).max(axis=1), np.float32)


def texts_of(title: str, description: str, examples: Sequence[str]) -> list[str]:
    """What is embedded for an intent, in the order that `own_intents` reads the vectors."""
    return [title, *([f"{title}. {description}"] if description else []), *examples]


def own_intents(known: Sequence[tuple[str, str, int, Vectors]]) -> OwnIntents | None:
    """Of (name, category, number of examples, vectors of `texts_of`) each; None without any."""
    if not known:
        return None
    words: list[Vectors] = []
    middles: list[Vectors] = []
    examples: list[Vectors] = []
    owners: list[int] = []
    for place, (_, _, count, vectors) in enumerate(known):
        mine = vectors[len(vectors) - count :]
        words.append(_unit(vectors[: len(vectors) - count].mean(axis=0)))
        middles.append(_unit(mine.mean(axis=0)) if count else np.zeros(DIMENSIONS, np.float32))
        examples.extend(mine)
        owners.extend([place] * count)
    return OwnIntents(
        names=tuple(name for name, _, _, _ in known),
        categories=tuple(category for _, category, _, _ in known),
        words=np.stack(words),
        middles=np.stack(middles),
        examples=np.stack(examples) if examples else np.zeros((0, DIMENSIONS), np.float32),
        owners=tuple(owners),
    )


def _unit(vector: Vectors) -> Vectors:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9), np.float32)
