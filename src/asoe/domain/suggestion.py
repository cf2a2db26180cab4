"""Whether a person who answers a client sends the answer that was suggested, rewrites it, or says something else for now."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Final

KEPT: Final = 0.9
"""The share of the suggestion's words, in their order, from which it was sent as it was."""
ADDED: Final = 25
"""Words of a person's own, such as a greeting and a name, that still leave it as it was."""
TOUCHED: Final = 0.25
"""The share from which a reply is made of the suggestion at all."""
MOST_WORDS: Final = 2000
_WORD: Final = re.compile(r"\w+")
_MARK: Final = re.compile(r"\[\d+\]")
"""Marks of sources, which people take out."""


def was_sent(suggested: str, reply: str) -> bool | None:
    """True: sent as it was, or nearly. False: rewritten, or another answer of some length in its place. None: says nothing of it."""
    wanted, said = _words(suggested), _words(reply)
    if not wanted:
        return None
    blocks = SequenceMatcher(None, wanted, said, autojunk=False).get_matching_blocks()
    kept = sum(block.size for block in blocks)
    if kept >= KEPT * len(wanted) and len(said) - kept <= max(ADDED, len(wanted) // 4):
        return True
    if kept >= TOUCHED * len(wanted) or 2 * len(said) >= len(wanted) > ADDED:
        return False
    return None


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(_MARK.sub(" ", text))][:MOST_WORDS]
