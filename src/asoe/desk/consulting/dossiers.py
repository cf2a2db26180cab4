"""A summary and a draft of a reply for the person who gets a ticket, beside the dossier, which is complete without them.

The draft is shown as one: a person reads, mends and sends it. What the ticket does not hold it may not bring in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from asoe.ai.language_model import Data
from asoe.ai.language_model.grounding import brings_in, links, promises
from asoe.ai.language_model.shapes import Draft
from asoe.desk.consulting import Question, Rejected, Restore, consult
from asoe.desk.consulting.answers import LANGUAGES
from asoe.desk.context import Desk
from asoe.desk.trail import Trail
from asoe.domain.escalation import Dossier
from asoe.domain.language_model import ModelRules
from asoe.domain.organization import Principal
from asoe.domain.session import Message
from asoe.domain.ticket import Ticket

MOST_MESSAGES: Final = 12
CANNOT_WAIT: Final = frozenset({"critical_severity", "security", "safety"})
"""Who gets such a ticket gets it now."""
_ACTIVE: Final = re.compile(r"[<>{}]|\]\(|javascript:|data:", re.IGNORECASE)
"""What might be more than text somewhere, whoever wrote it first."""
_TASK: Final = (
    "A ticket goes to a person of a support desk. Write summary: in English, at most four sentences, what the client wants, what was "
    "tried and what is open. Write reply: a draft in {language} that the person may send after having read it: polite, to the point, "
    "asking for what is missing. Neither says that anybody has done something or will do it, and neither holds figures, links or "
    "names that stand nowhere below. No markup."
)


async def draft(
    desk: Desk,
    engine: Principal,
    ticket: Ticket,
    dossier: Dossier,
    *,
    messages: Sequence[Message],
    language: str,
    rules: ModelRules,
    trail: Trail,
) -> Dossier:
    """The dossier with `draft` (summary, reply where it holds, by) beside it; or as it is."""
    if desk.model is None or ticket.severity == "critical" or set(dossier.reasons) & CANNOT_WAIT:
        return dossier
    said = [message for message in messages if not message.is_internal][-MOST_MESSAGES:]
    done = "\n".join((*dossier.tried, *dossier.not_done, f"Next: {dossier.next_step}"))
    data = [
        Data("client", dossier.wants),
        *(Data("desk", message.content) for message in said if message.role in {"assistant", "agent"}),
        Data("desk's notes", done),
    ]
    by = desk.model.model.name
    asked: Question[Draft, dict[str, str]] = Question(
        use="dossiers",
        agent="escalation",
        task=_TASK.format(language=LANGUAGES.get(language, "English")),
        data=data,
        shape=Draft,
        check=lambda reply, restore: _checked(
            reply,
            restore,
            sources=[piece.text for piece in data],
            own="\n".join(piece.text for piece in data if piece.kind != "client"),
        ),
    )
    written = await consult(desk, engine, asked, rules=rules, ticket_id=ticket.id, trail=trail)
    return dossier if written is None else replace(dossier, extra={**dossier.extra, "draft": {**written, "by": by}})


def _checked(reply: Draft, restore: Restore, *, sources: Sequence[str], own: str) -> dict[str, str]:
    """`own`: what the desk said and did; only from there a link may go to the client."""
    summary, words = restore(reply.summary).strip(), restore(reply.reply).strip()
    reason = "markup" if _ACTIVE.search(summary) else brings_in(summary, sources)
    if reason is not None or not summary:
        raise Rejected(f"unfounded_{reason or 'empty'}")
    is_foul = _ACTIVE.search(words) or brings_in(words, sources) is not None or promises(words)
    if not words or is_foul or any(link not in own for link in links(words)):
        return {"summary": summary}
    return {"summary": summary, "reply": words}
