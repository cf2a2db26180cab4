"""Alarms: words of a client that speak for a person at once, whatever else the engine knows (`alarms.txt`).

Unlike the cues of triage nothing is learned here: a phrase holds or it does not. What an alarm weighs is the organization's to say.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from asoe.ai.client_intent import read_reply
from asoe.ai.cues import CueList, read_cues
from asoe.ai.features import words_of

ALARMS: Final = ("safety", "threat", "legal", "security", "anger", "incident")
_FILE: Final = Path(__file__).with_name("alarms.txt")


def alarms_in(text: str) -> frozenset[str]:
    """Which of `ALARMS` the text raises; `client_asked` too, when it asks for a person."""
    found = set(_alarms().find(words_of(text)))
    if text.strip() and read_reply(text) == "wants_person":
        found.add("client_asked")
    return frozenset(found)


@cache
def _alarms() -> CueList:
    return read_cues(_FILE.read_text(encoding="utf-8"))
