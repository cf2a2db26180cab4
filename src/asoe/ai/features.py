"""Turns a text into weighted words, character n-grams and cues (TF-IDF), the same way in training and in use.

Decides what counts as a word and how n-grams are weighted; what they speak for is the classifier's.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asoe.ai.cues import cue_list
from asoe.ai.glossary import with_english

MAX_CHARS = 6000
_WORD = re.compile(r"\w+|[!?]{2,}")
_LONG_NUMBER = re.compile(r"\d*\d{4}\w*")
_SPACE = re.compile(r"\s+")
_SHORTEST, _LONGEST = 2, 5


@dataclass(frozen=True, slots=True)
class Row:
    """One text's n-grams: `ids` int32 into the vocabulary, `weights` float32; each block has unit length."""

    ids: NDArray[np.int32]
    weights: NDArray[np.float32]


def words_of(text: str) -> list[str]:
    """Lower-cased words without accents; numbers of four digits and more become one word, since they are only ids."""
    plain = unicodedata.normalize("NFKD", text[:MAX_CHARS].casefold())
    plain = "".join(char for char in plain if not unicodedata.combining(char)) if not plain.isascii() else plain
    return [_LONG_NUMBER.sub("0000", word) for word in _WORD.findall(plain)]


class Ngrams:
    """Word 1-2-grams, within-word character 2-5-grams and cues, with their inverse document frequencies."""

    def __init__(self, terms: Sequence[str], rarity: NDArray[np.float32]) -> None:
        self.terms = tuple(terms)
        self.rarity = rarity
        self._ids = {term: index for index, term in enumerate(terms)}
        self._pieces_of = lru_cache(maxsize=20_000)(self._known_pieces)
        self._own_ids_of = lru_cache(maxsize=20_000)(self._own_ids)

    def __len__(self) -> int:
        return len(self.terms)

    def row(self, text: str) -> Row:
        """The known n-grams of `text` and of what it reads like in English; both arrays are empty when none is known."""
        words = words_of(with_english(text))
        known = self._ids
        whole = Counter(known[term] for term in _word_terms(words) if term in known)
        pieces = Counter(chain.from_iterable(map(self._pieces_of, words)))
        cues = Counter(known[cue] for cue in _cues(words) if cue in known)
        blocks = [self._block(block) for block in (whole, pieces, cues) if block]
        if not blocks:
            return Row(np.empty(0, np.int32), np.empty(0, np.float32))
        ids, weights = zip(*blocks, strict=True)
        return Row(np.concatenate(ids), np.concatenate(weights))

    def ids_by_word(self, text: str) -> dict[str, tuple[int, ...]]:
        """For each distinct word of `text`, the ids of its own n-grams: what evidence is summed over."""
        return {word: self._own_ids_of(word) for word in words_of(text)}

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        return {
            "terms": np.frombuffer("\n".join(self.terms).encode(), np.uint8),
            "rarity": self.rarity.astype(np.float32),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Ngrams":
        return cls(arrays["terms"].tobytes().decode().split("\n"), arrays["rarity"])

    def _block(self, counts: Counter[int]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        ids = np.fromiter(counts.keys(), np.int32, len(counts))
        times = np.fromiter(counts.values(), np.float32, len(counts))
        weights = (1 + np.log(times)) * self.rarity[ids]
        return ids, weights / np.sqrt(weights @ weights)

    def _own_ids(self, word: str) -> tuple[int, ...]:
        ids = [self._ids[term] for term in ("w:" + word, *_cues([word])) if term in self._ids]
        return (*self._pieces_of(word), *ids)

    def _known_pieces(self, word: str) -> tuple[int, ...]:
        known = self._ids
        return tuple(known[piece] for piece in _pieces(word) if piece in known)


def fit_ngrams(texts: Iterable[str], *, most: int = 80_000) -> Ngrams:
    """The words, n-grams and cues found in at least two texts, the commonest `most` of each kind."""
    words: Counter[str] = Counter()
    pieces: Counter[str] = Counter()
    cues: Counter[str] = Counter()
    total = 0
    cached = lru_cache(maxsize=100_000)(_pieces)
    for text in texts:
        total += 1
        found = words_of(with_english(text))
        words.update(set(_word_terms(found)))
        cues.update(set(_cues(found)))
        pieces.update({piece for word in set(found) for piece in cached(word)})
    chosen: list[tuple[str, int]] = []
    for counts in (words, pieces, cues):
        common = sorted(
            ((term, count) for term, count in counts.items() if count > 1), key=lambda pair: (-pair[1], pair[0])
        )
        chosen += common[:most]
    rarity = np.array([1 + np.log((1 + total) / (1 + count)) for _, count in chosen], np.float32)
    return Ngrams([term for term, _ in chosen], rarity)


def _word_terms(words: Sequence[str]) -> list[str]:
    pairs = [f"w:{first} {second}" for first, second in pairwise(words)]
    return ["w:" + word for word in words] + pairs


def _cues(words: Sequence[str]) -> list[str]:
    return ["q:" + cue for cue in cue_list().find(words)]


def _pieces(word: str) -> tuple[str, ...]:
    padded = f" {word[:40]} "
    return tuple(
        "c:" + padded[start : start + size]
        for size in range(_SHORTEST, _LONGEST + 1)
        for start in range(len(padded) - size + 1)
    )
