"""Reads German, Spanish and French word by word into English, for readers that know little else: encoder and full text.

The list is `glossary.txt`, written by people. The outcome is no translation and is never shown to anybody; what it
speaks for is learned or measured by whoever reads it.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from asoe.domain.errors import Invalid

GLOSSARY_FILE: Final = Path(__file__).with_name("glossary.txt")
LANGUAGES: Final = ("de", "es", "fr")
_TOKEN = re.compile(r"\w+")
_ELISION = re.compile(r"(\w)['’](?=\w)")
_SHORTEST_STEM: Final = 2
_LONGEST_WORD: Final = 60
_LONGEST_ENDING: Final = 3
"""What may follow a stem inside a German compound."""
_MOST_MET: Final = 30_000
_SHORT_TEXT: Final = 3
_KNOWN_OF_SHORT: Final = 0.6


@dataclass(frozen=True, slots=True)
class _Phrase:
    rest: tuple[str, ...]
    english: str


@dataclass(frozen=True, slots=True)
class _Words:
    """One language's words, stems (prefixes) and phrases by their first word, each with its English."""

    exact: dict[str, str] = field(default_factory=dict)
    stems: dict[str, str] = field(default_factory=dict)
    phrases: dict[str, list[_Phrase]] = field(default_factory=dict)

    def add(self, phrase: str, english: str) -> None:
        """Note a phrase; the first English of a phrase stays."""
        first, *rest = (_plain(word) for word in phrase.split())
        if rest:
            self.phrases.setdefault(first, []).append(_Phrase(tuple(rest), english))
        elif first.endswith("*"):
            self.stems.setdefault(first[:-1], english)
        else:
            self.exact.setdefault(first, english)


class Glossary:
    """Words of three languages with their English; immutable once made, safe to share between threads."""

    def __init__(
        self, english: frozenset[str], words: Mapping[str, _Words], small: Mapping[str, frozenset[str]]
    ) -> None:
        self._english = english
        self._words = words
        self._small = small
        self._readings = lru_cache(maxsize=_MOST_MET)(self._read_word)

    def read(self, text: str) -> str:
        """The text with what is known put into English; the same text when it seems to be in no known language."""
        tokens = list(_TOKEN.finditer(text))
        words = [_plain(token.group()) for token in tokens]
        readings = [self._readings(word) for word in words]
        language = self._language(words, readings)
        if language is None:
            return text
        phrases, place = self._words[language].phrases, LANGUAGES.index(language)
        parts: list[str] = []
        at = end = 0
        while at < len(tokens):
            parts.append(text[end : tokens[at].start()])
            found = next((one for one in phrases.get(words[at], ()) if _continues(words, at + 1, one.rest)), None)
            reading = found.english if found else readings[at][place]
            parts.append(tokens[at].group() if reading is None else reading)
            at += len(found.rest) + 1 if found else 1
            end = tokens[at - 1].end()
        parts.append(text[end:])
        return _ELISION.sub(r"\1 ", "".join(parts))

    def _language(self, words: Sequence[str], readings: Sequence[tuple[str | None, ...]]) -> str | None:
        """The language most words are known in, if a small word of it shows or the text is short, and English knows fewer."""
        known = [sum(reading[place] is not None for reading in readings) for place in range(len(LANGUAGES))]
        best = max(range(len(LANGUAGES)), key=known.__getitem__)
        if known[best] <= sum(word in self._english for word in words):
            return None
        if len(words) <= _SHORT_TEXT:
            return LANGUAGES[best] if known[best] > _KNOWN_OF_SHORT * len(words) else None
        return LANGUAGES[best] if not self._small[LANGUAGES[best]].isdisjoint(words) else None

    def _read_word(self, word: str) -> tuple[str | None, ...]:
        return tuple(self._reading(language, word) for language in LANGUAGES)

    def _reading(self, language: str, word: str) -> str | None:
        if len(word) > _LONGEST_WORD:
            return None
        words = self._words[language]
        if word in words.exact:
            return words.exact[word]
        for length in range(len(word), _SHORTEST_STEM - 1, -1):
            found = words.stems.get(word[:length])
            if found is not None:
                tail = self._tail(word[length:]) if language == "de" else None
                return f"{found} {tail}" if tail else found
        if language == "de":
            for start in range(3, len(word) - 3):
                last = self._last_part(word[start:], shortest=4)
                if last is not None:
                    return f"{word[:start]} {last}"
        return None

    def _tail(self, rest: str) -> str | None:
        """The English of a German compound's further part, behind up to three linking letters."""
        if len(rest) < 4:
            return None
        parts = (self._last_part(rest[start:], shortest=3) for start in range(_LONGEST_ENDING + 1))
        return next((part for part in parts if part is not None), None)

    def _last_part(self, part: str, *, shortest: int) -> str | None:
        words = self._words["de"]
        if len(part) > 3 and part in words.exact:
            return words.exact[part]
        ends = range(len(part), max(shortest, len(part) - _LONGEST_ENDING) - 1, -1)
        return next((words.stems[part[:end]] for end in ends if part[:end] in words.stems), None)


def in_english(text: str) -> str:
    """`Glossary.read` with the shipped list."""
    return glossary().read(text)


def with_english(text: str) -> str:
    """The text and, where it is not English, what it reads like in English on lines of its own."""
    reading = in_english(text)
    return text if reading == text else f"{text}\n{reading}"


@cache
def glossary() -> Glossary:
    """The shipped list."""
    return read_glossary(GLOSSARY_FILE.read_text(encoding="utf-8"))


def read_glossary(text: str) -> Glossary:
    """Parse lines of `english: German, German; Spanish; French`; raises `Invalid(bad_glossary)` naming the line."""
    from asoe.ai.language import function_words

    english = set(function_words("en"))
    words = {language: _Words() for language in LANGUAGES}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, rest = line.partition(":")
        parts = rest.split(";")
        if not colon or not name.strip() or len(parts) != len(LANGUAGES):
            raise Invalid(
                f"glossary.txt line {number}: expected `english: German; Spanish; French`, found {line!r}.",
                code="bad_glossary",
            )
        english.update(name.split())
        for language, part in zip(LANGUAGES, parts, strict=True):
            for phrase in part.split(","):
                if phrase.strip():
                    words[language].add(phrase, name.strip())
    for known in words.values():
        for phrases in known.phrases.values():
            phrases.sort(key=lambda phrase: -len(phrase.rest))
    small = {language: function_words(language) - function_words("en") for language in LANGUAGES}
    return Glossary(frozenset(english), words, small)


def _plain(word: str) -> str:
    folded = word.casefold()
    if folded.isascii():
        return folded
    return "".join(char for char in unicodedata.normalize("NFKD", folded) if not unicodedata.combining(char))


def _continues(words: Sequence[str], place: int, rest: Sequence[str]) -> bool:
    if place + len(rest) > len(words):
        return False
    return all(
        words[place + offset].startswith(wanted[:-1]) if wanted.endswith("*") else words[place + offset] == wanted
        for offset, wanted in enumerate(rest)
    )
