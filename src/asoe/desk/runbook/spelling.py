"""Mends typing errors in what a client wrote, towards the words that published runbooks use for the same things.

Only long words that none of them uses, one slip away from exactly one that they do; endings are left as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final

SHORTEST: Final = 6
LONGEST: Final = 30
_ENDING: Final = 2
_TWO: Final = 2
_WORD: Final = re.compile(r"[^\W\d_]+")


def well_spelled(text: str, phrases: tuple[str, ...]) -> str:
    """The text with its typing errors mended."""
    known, slips = _vocabulary(phrases)
    return _WORD.sub(lambda found: _mended(found.group(), known, slips), text)


def _mended(word: str, known: frozenset[str], slips: Mapping[str, frozenset[str]]) -> str:
    lower = word.lower()
    if not SHORTEST <= len(word) <= LONGEST or lower in known:
        return word
    near = {one for slip in (lower, *_dropped(lower)) for one in slips.get(slip, ()) if _is_slip(lower, one)}
    return near.pop() if len(near) == 1 else word


def _is_slip(word: str, meant: str) -> bool:
    """Two neighbors changed places; or one letter too many, too few or wrong, but for the ending, where words are inflected."""
    if len(word) == len(meant) and sorted(word) == sorted(meant):
        differ = [place for place, (one, other) in enumerate(zip(word, meant, strict=True)) if one != other]
        return len(differ) == _TWO and differ[1] == differ[0] + 1
    if word[-_ENDING:] != meant[-_ENDING:] or word[0] != meant[0]:
        return False
    if len(word) == len(meant):
        return sum(one != other for one, other in zip(word, meant, strict=True)) == 1
    longer, shorter = sorted((word, meant), key=len, reverse=True)
    return shorter in _dropped(longer)


def _dropped(word: str) -> Iterator[str]:
    return (word[:place] + word[place + 1 :] for place in range(len(word)))


@lru_cache(maxsize=64)
def _vocabulary(phrases: tuple[str, ...]) -> tuple[frozenset[str], Mapping[str, frozenset[str]]]:
    """The words, singulars included, and for each with one letter dropped which words it may come from."""
    known = frozenset(_with_singulars(word for phrase in phrases for word in _WORD.findall(phrase.lower())))
    slips: dict[str, set[str]] = {}
    for word in known:
        if len(word) >= SHORTEST:
            for slip in (word, *_dropped(word)):
                slips.setdefault(slip, set()).add(word)
    return known, {slip: frozenset(words) for slip, words in slips.items()}


def _with_singulars(words: Iterable[str]) -> Iterator[str]:
    for word in words:
        yield word
        if len(word) > SHORTEST and word.endswith("s"):
            yield word[:-1]
