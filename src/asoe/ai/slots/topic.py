"""What a consent is about, learned from its examples: which words name its matter, and which fragments speak of it.

Words first (an example's content words, all of them, or an amount of its unit), meaning second (sentence vectors).
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from asoe.ai.encoder import Encoder, Vectors
from asoe.ai.language import _FUNCTION_WORDS
from asoe.ai.slots.amounts import NUMBER_WORDS, quantities, units_of
from asoe.ai.slots.clauses import Fragment, likened, plain_words
from asoe.ai.slots.permission import cue_of
from asoe.domain.runbook import Slot

_AMOUNT: Final = "#"
ALIKE: Final = 0.62
"""Cosine from which a fragment without any of the words is taken to be about the matter."""
_SOMEWHAT_ALIKE: Final = 0.5
_QUITE_ALIKE: Final = 0.58
_SENTENCE_ALIKE: Final = 0.55
_SENTENCE_ALIKE_UNNAMED: Final = 0.58
_SENTENCE_ORDERED_ALIKE: Final = 0.61
_A_WORD_MORE: Final = 0.03
_BEST_FEW: Final = 4
_MOST_SHARED: Final = 3
_TELLING: Final = 4
"""So many words in a row are no accident."""
_ENDINGS: Final = (
    "ations",
    "ation",
    "ments",
    "ment",
    "ings",
    "ing",
    "ungen",
    "ung",
    "ied",
    "ies",
    "ed",
    "es",
    "en",
    "er",
    "s",
    "e",
)
_EMPTY: Final = frozenset(
    """yes no not ok okay fine sure agree agrees agreed accept accepts accepted consent consents given give gives refuse refuses refused decline declines declined
    allow allowed allows permit permitted permission approve approved approves authorise authorised authorize authorized want wants wish wishes happy willing open may might can could would
    will shall must need needs needed necessary required if then up to max most least maximum limit only also too more than as it is are be been being have has had i me my we our us you your he
    his him she her they them their the a an this that these those any some all no nobody none nothing never neither nor without do does did don t doesn t didn t isn t won wouldn s d ll re m ve
    please just go ahead feel free mind object objection problem permission customer client caller user person account holder subscriber agent support case either still again when in on for of by with from at into and
    or but so like likes would rather keep keeps leave stay remain current same existing ready good let us about put get gets one two three couple both against opposed under circumstances
    ja nein nicht kein keine keinen bitte gerne darf durfen konnen sie ich mir wir einverstanden mochte will zu bis bei lehnt ab erlaubt
    si acepto autorizo pueden puede quiero por favor oui non pas d accord veux souhaite vous pouvez autorise refuse""".split()
) | frozenset(NUMBER_WORDS)
COSTLY: Final = re.compile(
    r"\b(?:costs?|charg\w*|pay|pays|paid|paying|payments?|spend\w*|fees?|money|buy|buying|purchas\w*|bill(?:ed|ing)?|kosten|kostet|gebuhr\w*|bezahl\w*|zahl\w*|kauf\w*|coste|costo|gasto\w*|cobr\w*|pagar|comprar"
    r"|compra|frais|payer|acheter|achat|cout\w*)\b"
)

_PRICED: Final = re.compile(
    r"\b(?:credits?|expenses?|deduct\w*|invoic\w*|budgets?|tab|surcharge|price|rates?|rechnung|facture|factura|creditos?|depens\w*|order|sell|sold|tokens?)\b"
)
_GIVEN_BACK: Final = re.compile(
    r"\b(?:return\w*|refund\w*|reimburs\w*|(?:give|gave|given|want|get|pay|paid) (?:\w+ ){0,3}?back)\b"
)
_ORDERED: Final = re.compile(
    r"\b(?:more|extra|additional|another|further|order\w*|buy|buying|purchas\w*|sell|add|adding|book|put|raise|increase|extend|enlarge|gimme|give|charge|invoice|weitere\w*|zusatzlich\w*|buchen|mas|plus|ajoutez|anadan|top|refill|refuel\w*)\b"
)


@dataclass(frozen=True, slots=True)
class Relevance:
    """By words (0, or 0.8 and more; `matched` are the telling ones) and by meaning (a cosine)."""

    words: float
    alike: float
    matched: frozenset[str]
    has_amount: bool


@dataclass(frozen=True, slots=True)
class Topic:
    """Of one consent slot: the content words of each example, and the vectors of examples and question."""

    slot: Slot
    matters: frozenset[frozenset[str]]
    givable: frozenset[frozenset[str]]
    vectors: Vectors
    is_costly: bool
    orders: frozenset[str]
    is_wished: bool
    """Whether an example says that wanting it is agreeing to it."""
    spoken: tuple[str, ...]
    """The examples of giving it, in plain words."""
    heart: frozenset[str]
    """The telling words that several examples share: without one of them a whole sentence is about something else."""

    def relevance(self, fragment: Fragment, vector: np.ndarray, *, gives: bool = False) -> Relevance:
        """How surely the fragment is about this matter. A permission must cover what a permission was shown to be like."""
        own = terms_of(fragment.words, self.slot.unit)
        has_amount = bool(self.slot.unit and quantities(fragment.text, self.slot.unit))
        if has_amount or _names_unit(fragment.words, self.slot.unit):
            own |= {_AMOUNT}
        alike = float((self.vectors @ vector).max()) if len(self.vectors) else 0.0
        known = self.givable if gives else self.matters
        covered = max((matter for matter in known if matter <= own), key=len, default=frozenset[str]())
        shared = max((matter & own for matter in known), key=len, default=frozenset[str]())
        words, matched = 0.0, frozenset[str]()
        if covered:
            words, matched = 0.8 + 0.2 * min(len(covered), 3), covered
        elif len(shared - {_AMOUNT}) >= 2 and alike >= _SOMEWHAT_ALIKE:
            words, matched = 1.0, shared
        elif gives and alike >= (_SOMEWHAT_ALIKE if any(matter <= own for matter in self.matters) else _QUITE_ALIKE):
            # the act is named as in a refusal, or by one word of it, and the sense is near
            matched = max((matter & own for matter in self.matters), key=len, default=frozenset[str]()) - {_AMOUNT}
            words = 0.8 if matched else 0.0
        if has_amount:
            words += 0.2 if words else 0.8
        return Relevance(words, alike, matched, has_amount)

    def fit(self, words: str, vectors: np.ndarray, *, is_plain: bool, is_english: bool) -> float:
        """How surely a whole sentence is about it (0: not at all), by the parts it was cut into, `vectors` a row each."""
        own = terms_of(words, self.slot.unit)
        named = self.heart if is_english else frozenset[str]().union(*self.givable)
        shared = len(own & named) + (1 if _names_unit(words, self.slot.unit) else 0)
        alike = float((self.vectors @ vectors.T).max()) if len(self.vectors) and len(vectors) else 0.0
        if self._is_out(words) or (not shared and not is_english):
            return 0.0  # the vectors are of English: of other languages they know words, not sense
        least = _SENTENCE_ALIKE - _A_WORD_MORE * min(shared - 1, 2) if shared else _SENTENCE_ALIKE_UNNAMED
        return alike if alike >= (least if is_plain else _SENTENCE_ORDERED_ALIKE) else 0.0

    def nearness(self, words: str, vectors: np.ndarray, *, is_english: bool) -> tuple[float, ...]:
        """What tells whether a whole sentence is about it, for `leaning.matter`; empty when it cannot be, or costs.

        Likeness of the best part to one example, to the best few of them, of the whole to one; words shared with several examples, with any.
        """
        if self.is_costly or self._is_out(words) or not is_english or not len(self.vectors) or not len(vectors):
            return ()
        alike = self.vectors @ vectors.T
        nearest = np.sort(alike.max(axis=1))[::-1][:_BEST_FEW]
        own = terms_of(words, self.slot.unit)
        known = frozenset[str]().union(*self.givable)
        hearty, named = min(len(own & self.heart), _MOST_SHARED), min(len(own & known), _MOST_SHARED)
        return float(alike.max()), float(nearest.mean()), float(alike[:, -1].max()), hearty, named

    def _is_out(self, words: str) -> bool:
        if self.is_costly and (not (COSTLY.search(words) or _PRICED.search(words)) or _GIVEN_BACK.search(words)):
            return True  # "start it again" says nothing of who pays
        return bool(self.slot.unit and not _ORDERED.search(words))  # "we pay for 12 seats" tells what is

    def is_named(self, words: str) -> bool:
        """Whether the words begin with the matter, or hold an amount of it: what a wish must have for its object."""
        if self.slot.unit and quantities(words, self.slot.unit):
            return True
        named = frozenset[str]().union(*self.givable)
        told = words.split()
        place = next((place for place, word in enumerate(told) if terms_of(word, self.slot.unit)), len(told))
        does_else = [word for word in told[place + 1 : place + 2] if word.endswith("ing")]  # "resume sending"
        return all(terms_of(word) & named for word in (*told[place : place + 1], *does_else)) and place < len(told)

    def is_word_for_word(self, words: str) -> bool:
        """Whether an example of giving it is said in its own words, or a good part of one is all that is said."""
        count = len(words.split())
        return any(
            (len(said.split()) >= _TELLING and said in words) or (count > _TELLING and words in said)
            for said in self.spoken
        )

    def is_ordered_by(self, fragment: Fragment) -> bool:
        """Whether the fragment begins like an order to do it ("add 1 GB")."""
        words = plain_words(fragment.text.rpartition(":")[2]).split()
        asks = bool(self.slot.unit and quantities(fragment.text, self.slot.unit))
        if not words or not (words[0] in self.orders or (asks and words[0] in _ORDERS)):
            return False
        told = next(iter(terms_of(" ".join(words[1:2]), self.slot.unit)), None)  # "resume sending" is another order
        return told is None or any(told in matter for matter in self.matters)


def topic_of(slot: Slot, encoder: Encoder) -> Topic:
    """Cached by the slot's texts: a runbook's slots are the same for all its tickets."""
    texts = tuple(text for value in sorted(slot.examples) for text in slot.examples[value])
    return _topic(slot.unit, texts, _asked(slot), _Held(slot, encoder))


def _asked(slot: Slot) -> tuple[str, ...]:
    """What the question asks, without what it explains beside it, such as that it costs nothing."""
    question = slot.question.get("en") or next(iter(slot.question.values()), "")
    sentences = [sentence for sentence in _SENTENCE.split(question) if sentence.endswith("?")]
    return (" ".join(sentences) or question,) if question else ()


def _names_unit(words: str, unit: str | None) -> bool:
    return unit is not None and not units_of(unit).keys().isdisjoint(words.split())


def terms_of(words: str, unit: str | None = None) -> frozenset[str]:
    """Stems of the words that carry meaning; an amount's unit is not one of them."""
    spellings = units_of(unit) if unit else {}
    return frozenset(
        stem(word) for word in words.split() if word not in spellings and not word[0].isdigit() and not _is_empty(word)
    )


@lru_cache(maxsize=20_000)
def _is_empty(word: str) -> bool:
    """Words of grammar and of permission itself say nothing of the matter."""
    return word in _IGNORED or cue_of(f" {word} ").polarity != "none"


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """A crude stem, good enough to make "refuelling" and "refuel" one."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            bare = word[: -len(ending)]
            return (
                bare[:-1] if len(bare) > 3 and bare[-1] == bare[-2] and ending in ("ed", "ing", "ings", "er") else bare
            )
    return word


_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+")
_ORDERS: Final = frozenset("add put buy purchase get book charge load refill refuel give spend".split())
_IGNORED: Final = _EMPTY | frozenset(word for words in _FUNCTION_WORDS.values() for word in words.split())


class _Held:
    """Carries what is not hashable past the cache; equal for the same slot's texts."""

    def __init__(self, slot: Slot, encoder: Encoder) -> None:
        self.slot, self.encoder = slot, encoder

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held) and other.encoder is self.encoder

    def __hash__(self) -> int:
        return id(self.encoder)


@lru_cache(maxsize=1_000)
def _topic(unit: str | None, examples: Sequence[str], questions: Sequence[str], held: _Held) -> Topic:
    texts = [*examples, *questions]
    matters = _matters(examples, unit)
    givable = _matters(held.slot.examples.get("given", ()), unit)
    vectors = held.encoder.embed([likened(text) for text in texts]) if texts else np.zeros((0, 384), np.float32)
    is_costly = any(COSTLY.search(plain_words(text)) for text in texts) or unit in ("USD", "EUR", "GBP")
    given = [plain_words(text) for text in held.slot.examples.get("given", ())]
    orders = frozenset(
        bare.split()[0]
        for words in given
        if (bare := words.strip().removeprefix("please ").removesuffix(" please"))
        and cue_of(f" {bare} ").polarity == "none"
    )
    is_wished = any(cue_of(words).is_wish for words in given)
    told = Counter(term for words in given for term in terms_of(words, unit))
    heart = frozenset(term for term, times in told.items() if times > 1)
    return Topic(held.slot, matters, givable, vectors, is_costly, orders - _IGNORED, is_wished, tuple(given), heart)


def _matters(examples: Sequence[str], unit: str | None) -> frozenset[frozenset[str]]:
    found = set()
    for text in examples:
        terms = terms_of(plain_words(text), unit)
        if unit and terms and (quantities(text, unit) or _names_unit(plain_words(text), unit)):
            terms |= {_AMOUNT}  # "add 1 GB" is not like "add it to my case"
        found.add(terms)
    return frozenset(found - {frozenset()})
