"""Alarms: words of a client that speak for a person at once, whatever else the engine knows.

Two ways of hearing them: phrases that hold or do not (`alarms.txt`), and what is read by meaning (`asoe.ai.reasons`), which
only adds to the first. What an alarm weighs is the organization's to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from asoe.ai.client_intent import read_reply
from asoe.ai.cues import CueList, read_cues
from asoe.ai.features import words_of
from asoe.desk.context import Judgement

ALARMS: Final = ("safety", "threat", "legal", "security", "anger", "incident")
_FILE: Final = Path(__file__).with_name("alarms.txt")


def alarms_in(text: str) -> frozenset[str]:
    """Which of `ALARMS` the text raises; `client_asked` too, when it asks for a person."""
    found = set(_alarms().find(words_of(text)))
    if text.strip() and read_reply(text) == "wants_person":
        found.add("client_asked")
    return frozenset(found)


async def read_by_meaning(ai: Judgement, said: Sequence[str]) -> dict[str, float]:
    """The reasons for a person that are read by meaning in what was said and that no phrase says, with their probabilities."""
    texts = [text for text in said if text.strip()]
    found: dict[str, float] = {}
    for reasons in await ai.read_reasons(texts) if texts else ():
        for name, share in reasons.items():
            found[name] = max(share, found.get(name, 0.0))
    said_so = frozenset[str]().union(*map(alarms_in, texts))
    return {name: share for name, share in found.items() if name not in said_so}


@cache
def _alarms() -> CueList:
    return read_cues(_FILE.read_text(encoding="utf-8"))
