"""Between intents that the classifier finds as likely as one another, the model may choose; it makes none surer.

Nothing that protects a client is ever given away by it: a tie with an alarm in it, or with the wish for a person, stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from asoe.ai.language_model import Data
from asoe.ai.language_model.shapes import ChosenIntent, choice_of
from asoe.desk.consulting import Question, Rejected, consult
from asoe.desk.context import Desk
from asoe.desk.escalation import SECURITY, SURE_INTENT
from asoe.desk.trail import Trail
from asoe.domain.language_model import ModelRules
from asoe.domain.organization import Principal
from asoe.domain.ticket import Ticket
from asoe.domain.triage import INTENTS, Estimate, Triage

NEAR: Final = 0.15
"""How far behind the first an intent is still as likely."""
_STANDS: Final = SECURITY | {"wants_a_person", "privacy_or_security", "outage"}
_TASK: Final = (
    "A support desk sorts a client's message by what it is about. Choose the one intent out of this list that fits best, and return "
    "its name as it stands here: {intents}."
)


def tied_in(ticket: Ticket, triage: Triage) -> tuple[str, ...]:
    """The intents that are as likely as one another, the likeliest first; none where the judgement stands."""
    intent = triage.intent
    if intent.confidence >= SURE_INTENT or ticket.intent != intent.value:
        return ()
    tied = (intent.value, *(name for name, share in intent.alternatives if share >= intent.confidence - NEAR))
    return () if len(tied) < 2 or set(tied) & _STANDS else tied


async def break_tie(
    desk: Desk,
    engine: Principal,
    ticket: Ticket,
    triage: Triage,
    tied: Sequence[str],
    *,
    text: str,
    rules: ModelRules,
    trail: Trail,
) -> Triage:
    """The same judgement with another intent first, each with the share it had; or as it is."""

    def checked(reply: ChosenIntent, _: object) -> str:
        if reply.intent not in tied:
            raise Rejected("unknown_intent")
        return reply.intent

    listed = ", ".join(f"{name} ({INTENTS.get(name, 'own')})" for name in tied)
    asked: Question[ChosenIntent, str] = Question(
        use="ties",
        agent="triage",
        task=_TASK.format(intents=listed),
        data=[Data("message", text)],
        shape=choice_of(tied),
        check=checked,
    )
    chosen = await consult(desk, engine, asked, rules=rules, ticket_id=ticket.id, trail=trail)
    if chosen is None or chosen == triage.intent.value:
        return triage
    shares = {triage.intent.value: triage.intent.confidence, **dict(triage.intent.alternatives)}
    others = tuple((name, share) for name, share in shares.items() if name != chosen)
    return replace(triage, intent=Estimate(chosen, shares[chosen], others))
