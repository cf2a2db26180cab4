"""A client's matter as one paragraph, out of its own words: what it is about, what is asked, what was said last.

Nothing is worded anew, so nothing can be said wrongly; the whole words stand beside it in the dossier.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from asoe.domain.session import Message
from asoe.domain.ticket import Ticket
from asoe.domain.triage import Triage

LONGEST: Final = 320
"""Characters of the client's words at the beginning; half of it of what was said last."""
_SENTENCE: Final = re.compile(r"[^.!?…。！？]+(?:[.!?…。！？]+|$)")
_CHANNELS: Final = {
    "email": "by e-mail",
    "api": "over the API",
    "web": "on the web",
    "widget": "in the chat",
    "import": "in another system",
}
_LANGUAGES: Final = {"en": "English", "de": "German", "es": "Spanish", "fr": "French"}


def in_short(ticket: Ticket, triage: Triage | None, messages: Sequence[Message]) -> str:
    """One paragraph without line breaks, of a bounded length whatever was written."""
    said = [message.content for message in messages if message.role == "user"] or [ticket.text]
    about = [_plain(ticket.category)]
    if ticket.intent:
        share = f" ({triage.intent.confidence:.0%})" if triage and triage.intent.value == ticket.intent else ""
        about.append(f"{_plain(ticket.intent)}{share}")
    if triage is not None and len(triage.requests) > 1:
        about.append("also " + ", ".join(map(_plain, triage.requests[1:4])))
    written = f" in {_LANGUAGES[ticket.language]}" if ticket.language in _LANGUAGES else ""
    head = f"About {', '.join(about)}; written{written} {_CHANNELS.get(ticket.channel, f'by {_plain(ticket.channel)}')}"
    begin, last = _gist(said[0], LONGEST), _gist(said[-1], LONGEST // 2) if len(said) > 1 else ""
    subject = _gist(ticket.subject, 120)
    named = f"{subject}: " if subject and not begin.startswith(subject) else ""
    parts = [f"{head}: “{named}{begin or '(no words)'}”"]
    if last and last != begin:
        parts.append(f"Last, after {len(said)} messages: “{last}”")
    return " ".join(parts)


def _gist(text: str, most: int) -> str:
    """The first sentence and those that ask something, in their order, as many as there is room for."""
    whole = " ".join(text[: most * 20].split())
    if len(whole) <= most:
        return whole
    sentences = list(dict.fromkeys(each.strip() for each in _SENTENCE.findall(whole) if each.strip()))
    asking = [at for at, each in enumerate(sentences) if each.endswith(("?", "？"))]
    kept: list[int] = []
    for at in dict.fromkeys((0, *asking, *range(len(sentences)))):
        if sum(len(sentences[each]) + 1 for each in (*kept, at)) <= most:
            kept.append(at)
    if 0 not in kept:
        return whole[: most - 1].rstrip() + "…"
    return " ".join(sentences[at] for at in sorted(kept))


def _plain(value: str) -> str:
    return value.replace("_", " ")
