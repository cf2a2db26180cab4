"""Finds cues: what words of English, German, Spanish and French have in common ("invoice", "Rechnung", "factura").

The list is `cues.txt`, written by people; what a cue speaks for is learned by the classifier, never decided here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from asoe.domain.errors import Invalid

CUES_FILE = Path(__file__).with_name("cues.txt")
_SHORTEST_STEM = 3
_MOST_MET = 20_000


@dataclass(frozen=True, slots=True)
class _Phrase:
    cue: str
    rest: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CueList:
    """Phrases by their first word: `exact` words and `stems` (prefixes)."""

    exact: dict[str, tuple[_Phrase, ...]]
    stems: dict[str, tuple[_Phrase, ...]]
    _met: dict[str, tuple[_Phrase, ...]] = field(default_factory=dict, repr=False, compare=False)

    def find(self, words: Sequence[str]) -> Iterator[str]:
        """The cue of every phrase found in `words` (as `features.words_of` splits them), in order of place."""
        for place, word in enumerate(words):
            for phrase in self._starting_with(word):
                if _continues(words, place + 1, phrase.rest):
                    yield phrase.cue

    def _starting_with(self, word: str) -> tuple[_Phrase, ...]:
        known = self._met.get(word)
        if known is None:
            found = list(self.exact.get(word, ()))
            for length in range(_SHORTEST_STEM, len(word) + 1):
                found += self.stems.get(word[:length], ())
            if len(self._met) >= _MOST_MET:
                self._met.clear()
            known = self._met[word] = tuple(found)
        return known


@cache
def cue_list() -> CueList:
    """The shipped list."""
    return read_cues(CUES_FILE.read_text(encoding="utf-8"))


def read_cues(text: str) -> CueList:
    """Parse lines of `cue: phrase, phrase`; raises `Invalid(bad_cue)` naming the line."""
    exact: dict[str, dict[_Phrase, None]] = {}
    stems: dict[str, dict[_Phrase, None]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        cue, colon, phrases = line.partition(":")
        if not colon:
            raise Invalid(f"cues.txt line {number}: expected `cue: phrase, phrase`, found {line!r}.", code="bad_cue")
        for phrase in phrases.split(","):
            first, *rest = phrase.split() or [""]
            target, stem = (stems, first[:-1]) if first.endswith("*") else (exact, first)
            if not stem or (target is stems and len(stem) < _SHORTEST_STEM):
                raise Invalid(f"cues.txt line {number}: {phrase!r} is empty or its stem too short.", code="bad_cue")
            target.setdefault(stem, {})[_Phrase(cue.strip(), tuple(rest))] = None
    return CueList(
        {word: tuple(phrases) for word, phrases in exact.items()},
        {stem: tuple(phrases) for stem, phrases in stems.items()},
    )


def _continues(words: Sequence[str], place: int, rest: Sequence[str]) -> bool:
    if not rest:
        return True
    if place + len(rest) > len(words):
        return False
    return all(
        words[place + offset].startswith(wanted[:-1]) if wanted.endswith("*") else words[place + offset] == wanted
        for offset, wanted in enumerate(rest)
    )
