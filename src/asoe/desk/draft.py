"""Drafts for a person while the engine is quiet: what it would answer, with its sources. Nothing is sent or kept."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from asoe.desk import resolution, triage
from asoe.desk.context import Desk, policy_of
from asoe.desk.resolution import Case, answer_language
from asoe.domain.errors import Denied, Missing
from asoe.domain.organization import Principal
from asoe.domain.resolution import Citation
from asoe.store import facts, sessions, tickets


@dataclass(frozen=True, slots=True)
class Draft:
    """`confidence` is how well the sources support it, 0 to 1."""

    content: str
    language: str
    citations: tuple[Citation, ...]
    confidence: float


async def draft_reply(desk: Desk, principal: Principal, ticket_id: UUID) -> Draft:
    """A grounded answer to the client's words, from articles open to clients; raises `Missing(no_draft)`."""
    if principal.is_client:
        raise Denied("Drafts are for the support team.", code="staff_only")
    engine = await desk.engine_of(principal.org_id)
    async with desk.database.org_reading(principal) as connection:
        ticket = await tickets.find(connection, principal.org_id, ticket_id)
        said = await sessions.messages_of_ticket(connection, principal.org_id, ticket_id)
        policy = await policy_of(connection, principal.org_id)
    words = [each.content for each in said if each.role == "user" and not each.is_internal] or [ticket.text]
    question = "\n\n".join(words).strip()
    case = Case(ticket, triage.readable(ticket), policy, question)
    answer = await resolution.find_answer(desk, engine, case) if question else None
    if answer is None:
        raise Missing("No article answers this: there is nothing to draft from.", code="no_draft")
    async with desk.database.org_transaction(principal) as connection:
        slugs = sorted({each.slug for each in answer.citations})
        await facts.record(connection, principal, "draft.made", ticket_id=ticket_id, articles=slugs)
    return Draft(answer.text, answer_language(ticket, policy), answer.citations, answer.confidence)
