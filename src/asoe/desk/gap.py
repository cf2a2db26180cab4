"""Knowledge gaps: questions that no article answered, grouped; and a draft of an article out of what a person answered.

Nothing is published here: a draft is an article nobody finds until a person has read and published it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import numpy as np

from asoe.ai.redaction import redact
from asoe.desk import knowledge
from asoe.desk.consulting.articles import word_article
from asoe.desk.context import Desk, policy_of
from asoe.desk.trail import Trail
from asoe.desk.wish import content, nearest, packed
from asoe.domain.errors import Conflict, Denied
from asoe.domain.knowledge import MAX_TITLE, Article, ArticleText
from asoe.domain.organization import Principal
from asoe.domain.policy import Policy
from asoe.domain.ticket import Ticket
from asoe.store import gaps, runs, sessions, tickets
from asoe.store import knowledge as knowledge_rows
from asoe.store.db import Connection
from asoe.store.gaps import Unanswered

MOST_TICKETS: Final = 300
TAG: Final = "draft-from-ticket"
ENTRYPOINT: Final = "article.draft"
_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class GapTicket:
    """`is_answered`: a person has answered it, so that a draft can be made."""

    id: UUID
    number: int
    title: str
    at: datetime
    is_answered: bool


@dataclass(frozen=True, slots=True)
class Gap:
    """Tickets that ask alike; `title` is the newest one's, redacted. `clients` are counted once each."""

    title: str
    clients: int
    tickets: int
    newest_at: datetime
    examples: tuple[GapTicket, ...]


@dataclass(frozen=True, slots=True)
class Material:
    """A ticket's draft in people's own words, redacted, with what it was made of; `positions`: the last seq by session."""

    ticket: Ticket
    text: ArticleText
    question: str
    answers: tuple[str, ...]
    positions: Mapping[str, int]


async def find_gaps(desk: Desk, principal: Principal, *, days: int = 30) -> list[Gap]:
    """Groups of the newest unanswered tickets, those that most clients asked first; staff only."""
    _staff_only(principal)
    since = desk.clock() - timedelta(days=days)
    async with desk.database.org_reading(principal) as connection:
        found = await gaps.unanswered(connection, principal.org_id, since=since, limit=MOST_TICKETS)
    asked = [(each, text) for each in found if (text := words_of_ticket(each))]
    alike = await group_alike(desk, [text for _, text in asked])
    groups = [[asked[place][0] for place in places] for _, places in alike]
    made = [_gap(members) for members in groups]
    return sorted(made, key=lambda gap: (-gap.clients, -gap.tickets, -gap.newest_at.timestamp()))


async def group_alike(desk: Desk, texts: Sequence[str]) -> list[tuple[bytes, list[int]]]:
    """Texts that say the same, as wishes are compared: for each group the vector of its first text, and the places of all."""
    parts = [part for text in texts for part in (text, content(text) or text)]
    vectors = await desk.ai.embed(parts) if parts else np.zeros((0, 384), np.float32)
    groups: dict[UUID, list[int]] = {}
    leaders: list[tuple[UUID, bytes]] = []
    for place in range(len(texts)):
        vector = packed(vectors[2 * place] + vectors[2 * place + 1])
        like, _ = nearest(vector, leaders)
        if like is None:
            like = UUID(int=place)
            leaders.append((like, vector))
        groups.setdefault(like, []).append(place)
    return [(vector, groups[leader]) for leader, vector in leaders]


async def draft_article(desk: Desk, principal: Principal, ticket_id: UUID) -> Article:
    """A draft out of what people answered on a ticket, redacted, to be read before anybody publishes it.

    With a language model it is worded as an article, if every sentence of that stands on these answers, and tagged so.

    Raises `Conflict(no_person_answered)`, or `Conflict(article_changed)` when there is a draft of the ticket already.
    """
    _staff_only(principal)
    async with desk.database.org_reading(principal) as connection:
        policy = await policy_of(connection, principal.org_id)
        found = await material(connection, principal, ticket_id, policy)
    text = found.text if desk.model is None else await _worded(desk, found, policy)
    return await knowledge.save_article(desk, principal, text, expected_version=0)


async def material(
    connection: Connection,
    principal: Principal,
    ticket_id: UUID,
    policy: Policy,
    *,
    upto: Mapping[str, int] | None = None,
) -> Material:
    """What a draft is made of; upto: the last seq of each session that counts. Raises `Conflict(no_person_answered)`."""
    ticket = await tickets.find(connection, principal.org_id, ticket_id)
    messages = await sessions.messages_of_ticket(connection, principal.org_id, ticket_id)
    client = await runs.client_of(connection, principal.org_id, ticket_id)
    if upto is not None:
        messages = [each for each in messages if each.seq <= upto.get(str(each.session_id), 0)]
    names = (client.name,) if client.name else ()
    said = [message.content for message in messages if message.role == "agent" and not message.is_internal]
    if not said:
        raise Conflict(
            f"No person has answered ticket {ticket.number}: a draft is made of a person's answer.",
            code="no_person_answered",
        )
    text = ArticleText(
        title=_line(ticket.subject or ticket.text, names)[:MAX_TITLE] or f"Ticket {ticket.number}",
        slug=f"ticket-{ticket.number}",
        language=ticket.language if ticket.language in policy.languages else policy.default_language,
        body="\n\n".join(answers := [redact(each, names).text for each in said]),
        tags=(TAG,),
    )
    positions = {str(message.session_id): message.seq for message in messages}
    return Material(ticket, text, redact(ticket.text, names).text, tuple(answers), positions)


async def worded(desk: Desk, found: Material, policy: Policy, trail: Trail) -> ArticleText:
    """The language model's wording where there is one that holds, or the plain text as it is."""
    engine = await desk.engine_of(found.ticket.org_id)
    return await word_article(
        desk,
        engine,
        found.ticket,
        found.text,
        question=found.question,
        answers=found.answers,
        rules=policy.language_model,
        trail=trail,
    )


async def _worded(desk: Desk, found: Material, policy: Policy) -> ArticleText:
    """The same, with its part in the ticket's record."""
    engine = await desk.engine_of(found.ticket.org_id)
    async with desk.database.org_reading(engine) as connection:
        known = await knowledge_rows.find_by_slug(connection, engine.org_id, found.text.slug, found.text.language)
    if known is not None:
        return found.text  # refused in a moment: nobody is asked for that
    trail = Trail(desk.clock, initiator="person", entrypoint=ENTRYPOINT)
    text = await worded(desk, found, policy, trail)
    if trail.invocations:
        async with desk.database.org_transaction(engine) as connection:
            went_by = {"positions": dict(found.positions)}
            await trail.save(connection, engine.org_id, found.ticket.id, "drafted", basis=went_by)
    return text


def _gap(members: list[Unanswered]) -> Gap:
    shown = tuple(
        GapTicket(each.id, each.number, _line(each.subject or words_of_ticket(each))[:160], each.at, each.is_answered)
        for each in members[:_SHOWN]
    )
    return Gap(
        title=shown[0].title,
        clients=len({each.client for each in members}),
        tickets=len(members),
        newest_at=members[0].at,
        examples=shown,
    )


def words_of_ticket(each: Unanswered) -> str:
    """Subject and body, else what a caller put into the metadata, redacted."""
    said = (
        [each.subject, each.body]
        if each.subject or each.body
        else [each.metadata.get("subject"), each.metadata.get("description")]
    )
    return redact("\n".join(part for part in said if isinstance(part, str))).text.strip()


def _line(text: str, names: Sequence[str] = ()) -> str:
    return " ".join(redact(text, names).text.split())


def _staff_only(principal: Principal) -> None:
    if principal.is_client:
        raise Denied("Knowledge gaps are the team's to close.", code="staff_only")
