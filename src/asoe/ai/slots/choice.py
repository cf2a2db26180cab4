"""Reads which of a slot's values a client means: the nearest example phrasing decides, if no other value is nearly as near.

Words that belong to one value alone count beside the sentence vectors; what is over or yet to come counts less.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from asoe.ai.encoder import Encoder, Vectors
from asoe.ai.slots.clauses import COUNTRY, Fragment, likened, plain_words
from asoe.ai.slots.topic import terms_of
from asoe.domain.runbook import Slot, SlotReading

NEAR_ENOUGH: Final = 0.5
NEAR_ENOUGH_ELSEWHERE: Final = 0.62
UNASKED: Final = 0.05
"""So much surer a value must be that nobody asks for: what is read wrong there is never put right."""
MARGIN: Final = 0.06
_SAID, _WORDS_SAID, _COUNTRY_NAMED = 0.85, 0.7, 0.6
_LABELED_NO: Final = re.compile(r" (?:no|none|false|nein|non) $")
_OUTSIDE: Final = re.compile(r" (?:outside|out of|away from|beyond|left|leaving|ausserhalb|fuera|hors|foreign) ")
_TO_A_COUNTRY: Final = re.compile(
    rf"\b(?:in|to|through|around|across|visiting|touring|nach|en|au|aux|por)\s+(?:the\s+)?{COUNTRY}\b", re.IGNORECASE
)
_NOT_NOW: Final = re.compile(
    r" (?:tomorrow|next|soon|last (?:week|month|year|summer|winter)|yesterday|ago|used to|usually|normally|came back|come back|returned|returning|before|will|once|had|was|were|live|lives|reside|resides|based"
    r"|morgen|gestern|letzte\w*|manana|ayer|demain|hier) "
)
_NOW: Final = re.compile(
    r" (?:now|currently|right now|at the moment|at present|presently|still|today|actually|momentan|derzeit|gerade|jetzt|ahora|actualmente|en este momento|maintenant|actuellement|en ce moment) "
)
_NOT: Final = re.compile(r" (?:not|never|isn t|aren t|haven t|hasn t|nicht|ne|pas|nunca|don t|doesn t) ")


@dataclass(frozen=True, slots=True)
class Values:
    """A choice's values with the vectors and the words of their examples."""

    names: tuple[str, ...]
    of_row: np.ndarray
    vectors: Vectors
    words: tuple[str, ...]
    phrases: tuple[frozenset[str], ...]
    negated: np.ndarray
    departing: np.ndarray
    has_departing: tuple[bool, ...]
    with_country: int | None
    common: frozenset[str]


def read_choice(
    slot: Slot, passages: Sequence[tuple[str, Sequence[Fragment], np.ndarray]], encoder: Encoder, language: str = "en"
) -> SlotReading:
    """`passages`: source, fragments and their vectors, oldest first; a later message that names a value wins."""
    values = _values(
        tuple((value, tuple(slot.examples.get(value, ())) or (value,)) for value in slot.choices or slot.examples),
        _Held(encoder),
    )
    near = NEAR_ENOUGH if language == "en" else NEAR_ENOUGH_ELSEWHERE
    near += 0.0 if slot.is_required else UNASKED
    best: SlotReading | None = None
    for source, fragments, vectors in passages:
        found = _read_one(slot.name, values, source, fragments, vectors, near=near)
        if found is not None and (found.status == "read" or best is None):
            best = found
    return best or SlotReading(slot.name, "absent", confidence=0.8)


def _read_one(
    name: str, values: Values, source: str, fragments: Sequence[Fragment], vectors: np.ndarray, *, near: float
) -> SlotReading | None:
    scores = np.zeros(len(values.names))
    evidence = [""] * len(values.names)
    for fragment, vector in zip(fragments, vectors, strict=True):
        if fragment.is_question:
            continue
        for value, score in enumerate(_scores(values, fragment, vector)):
            if score > scores[value]:
                scores[value], evidence[value] = score, fragment.text
    if not len(scores) or scores.max() < near:
        return None
    order = np.argsort(-scores)
    margin = float(scores[order[0]] - (scores[order[1]] if len(order) > 1 else 0.0))
    winner = int(order[0])
    if margin < MARGIN:
        return SlotReading(name, "unsure", None, source, evidence[winner], 0.5)
    confidence = float(min(0.98, 0.7 + margin))
    return SlotReading(name, "read", values.names[winner], source, evidence[winner], confidence)


def _scores(values: Values, fragment: Fragment, vector: np.ndarray) -> np.ndarray:
    """For each value, how near its nearest example is; a negation points at the other one of two."""
    alike = values.vectors @ vector
    own, said = terms_of(fragment.words), _within(fragment.words)
    for row, phrase in enumerate(values.phrases):
        if values.words[row] in said:
            alike[row] = max(alike[row], _SAID)
        elif phrase <= own and phrase - values.common:
            alike[row] = max(alike[row], _WORDS_SAID)
    if values.with_country is not None and _TO_A_COUNTRY.search(likened(fragment.text)):
        first = int(np.flatnonzero(values.of_row == values.with_country)[0])
        alike[first] = max(alike[first], _COUNTRY_NAMED)
    result = np.zeros(len(values.names))
    for row, target in enumerate(_targets(values, fragment.words, own)):
        if target is not None:
            turned = 0.03 if target != values.of_row[row] else 0.0
            result[target] = max(result[target], alike[row] - turned)
    if _NOT_NOW.search(fragment.words) and not _NOW.search(fragment.words):
        result *= 0.8
    elif _NOW.search(fragment.words):
        result *= 1.08
    return result


def _targets(values: Values, words: str, own: frozenset[str]) -> list[int | None]:
    """Which value each example speaks for, seen from the fragment: a "not" or an "outside" in one of them turns it.

    Of two values the example then speaks for the other one, of more for none.
    """
    denies, departs = _is_odd(_NOT, words) != bool(_LABELED_NO.search(words)), bool(_OUTSIDE.search(words))
    targets: list[int | None] = []
    for row, value in enumerate(values.of_row):
        turns = bool(values.negated[row]) != denies
        is_other = departs != bool(values.departing[row]) and not (departs and values.has_departing[value])
        if is_other and not values.negated[row]:
            if departs or values.phrases[row] & own:
                turns = not turns
            if not values.phrases[row] & own:
                targets.append(None if departs else int(value))
                continue
        if not turns:
            targets.append(int(value))
        else:
            targets.append(1 - int(value) if len(values.names) == 2 else None)
    return targets


def _within(words: str) -> str:
    return words.replace(" within ", " in ").replace(" inside ", " in ")


def _is_odd(pattern: re.Pattern[str], words: str) -> bool:
    return len(pattern.findall(words)) % 2 == 1


@dataclass(frozen=True)
class _Held:
    encoder: Encoder

    def __hash__(self) -> int:
        return id(self.encoder)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held) and other.encoder is self.encoder


@lru_cache(maxsize=1_000)
def _values(examples: tuple[tuple[str, tuple[str, ...]], ...], held: _Held) -> Values:
    texts = [text for _, phrases in examples for text in phrases]
    of_row = np.array([index for index, (_, phrases) in enumerate(examples) for _ in phrases])
    plain = [plain_words(text) for text in texts]
    phrases = tuple(terms_of(words) for words in plain)
    negated = np.array([_is_odd(_NOT, words) for words in plain])
    departing = np.array([bool(_OUTSIDE.search(words)) for words in plain])
    abroad = [
        value
        for value in range(len(examples))
        if any(_TO_A_COUNTRY.search(likened(texts[row])) for row in range(len(texts)) if of_row[row] == value)
    ]
    by_value = [
        frozenset().union(
            *(phrases[row] for row in range(len(texts)) if of_row[row] == value and not negated[row]), frozenset()
        )
        for value in range(len(examples))
    ]
    common = frozenset(word for word in frozenset().union(*by_value) if sum(word in words for words in by_value) > 1)
    return Values(
        tuple(value for value, _ in examples),
        of_row,
        held.encoder.embed([likened(text) for text in texts]),
        tuple(map(_within, plain)),
        phrases,
        negated,
        departing,
        tuple(bool(departing[of_row == value].any()) for value in range(len(examples))),
        abroad[0] if len(abroad) == 1 else None,
        common,
    )
