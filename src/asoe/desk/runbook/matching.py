"""Which published runbook a ticket is for: what its text asks, by meaning and clause by clause; or none, when unsure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Final
from uuid import UUID

import numpy as np

from asoe.ai.slots.clauses import fragments_of
from asoe.desk.context import Desk
from asoe.desk.runbook.expressions import ExpressionError, decide
from asoe.desk.runbook.shelf import Shelved
from asoe.domain.runbook import Match
from asoe.domain.ticket import Ticket
from asoe.domain.triage import Estimate, Triage
from asoe.store.runs import Client

LEAST: Final = 0.55
MARGIN: Final = 0.03
MOST_CLAUSES: Final = 16
MOST_PIECES: Final = 24
SURE: Final = 0.6
_INTENT, _CATEGORY, _INFORMATION = 0.15, 0.05, 0.15
_IDENTIFIER = re.compile(r"\S*@\S+|\S*\d[\d-]{4,}\S*")
_CLAUSE_END = re.compile(r"(?<=[.!?;])\s+|\n+")


@dataclass(frozen=True, slots=True)
class Matched:
    """The runbook, and how well it fits (about 0..1)."""

    runbook_id: UUID
    score: float


async def best(
    desk: Desk,
    shelved: Sequence[Shelved],
    *,
    ticket: Ticket,
    triage: Triage | None,
    question: str,
    client: Client,
) -> Matched | None:
    """The one runbook that fits; None when none fits well enough, or two fit alike."""
    names = {"ticket": names_of_ticket(ticket), "contact": names_of_client(client)}
    open_to_it = [each for each in shelved if _applies(each.runbook.match, names)]
    if not open_to_it:
        return None
    clauses = _clauses(question)
    phrases = list(
        dict.fromkeys(text for each in open_to_it for text in (*each.runbook.match.phrases, *each.runbook.match.unlike))
    )
    likeness = await _likeness(desk, phrases, clauses)
    scored = sorted(
        ((_score(each.runbook.match, likeness, triage), each) for each in open_to_it), key=lambda pair: -pair[0]
    )
    top, chosen = scored[0]
    if top < LEAST or (len(scored) > 1 and top - scored[1][0] < MARGIN):
        return None
    return Matched(chosen.runbook_id, top)


def _score(match: Match, likeness: Mapping[str, float], triage: Triage | None) -> float:
    score = max((likeness[phrase] for phrase in match.phrases), default=0.0)
    if match.unlike and max(likeness[phrase] for phrase in match.unlike) >= score:
        return 0.0
    if triage is None:
        return score
    if triage.intent.value in match.intents:
        score = max(score, 0.45) + _INTENT * triage.intent.confidence
    if match.categories:
        agrees = triage.category.value in match.categories
        if agrees or triage.category.confidence >= SURE:
            score += _CATEGORY if agrees else -_CATEGORY
    return score - _INFORMATION * max(0.0, _share(triage.need, "information") - 0.5)


def _applies(match: Match, names: Mapping[str, Any]) -> bool:
    if match.when is None:
        return True
    try:
        return decide(match.when, dict(names))
    except ExpressionError:
        return False


async def _likeness(desk: Desk, phrases: Sequence[str], clauses: Sequence[str]) -> dict[str, float]:
    """Each phrase's likeness (cosine) to the clause that is most like it."""
    if not phrases or not clauses:
        return dict.fromkeys(phrases, 0.0)
    vectors = await desk.ai.embed([*phrases, *clauses])
    likeness = np.asarray(vectors[: len(phrases)]) @ np.asarray(vectors[len(phrases) :]).T
    return {phrase: float(row.max()) for phrase, row in zip(phrases, likeness, strict=True)}


def _clauses(question: str) -> list[str]:
    """Sentences, neighbors together (a symptom often takes two), and what stands between commas: notes name many things.

    Numbers and addresses are left out: who it is says nothing of what is wrong.
    """
    parts = [part.strip() for part in _CLAUSE_END.split(question) if len(part.split()) > 1][:MOST_CLAUSES]
    pairs = [f"{first} {second}" for first, second in pairwise(parts)]
    pieces = [piece.text for piece in fragments_of(question)[:MOST_PIECES]]
    bare = dict.fromkeys(_bare(text) for text in (*parts, *pairs, *pieces))
    return [text for text in bare if len(text.split()) > 1] or [question.strip()]


def _bare(text: str) -> str:
    return _IDENTIFIER.sub(" ", text).strip(" ,;:.-–—/")


def _share(estimate: Estimate, value: str) -> float:
    if estimate.value == value:
        return estimate.confidence
    return next((share for other, share in estimate.alternatives if other == value), 0.0)


def names_of_ticket(ticket: Ticket) -> dict[str, Any]:
    """What expressions see as `ticket`."""
    return {
        "number": ticket.number,
        "subject": ticket.subject,
        "body": ticket.body or ticket.text,
        "category": ticket.category,
        "severity": ticket.severity,
        "intent": ticket.intent or "",
        "language": ticket.language,
        "channel": ticket.channel,
        "metadata": ticket.metadata,
    }


def names_of_client(client: Client) -> dict[str, str]:
    """What expressions see as `contact`."""
    return {name: value or "" for name, value in asdict(client).items() if name != "key"}
