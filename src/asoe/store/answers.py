"""Answers of the engine as evidence: which chance each was given, and whether it was right. Ids and classes.

Who may judge, and what follows, is `desk/certificate.py`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from asoe.domain.certificate import Case, Given
from asoe.domain.errors import Missing
from asoe.domain.ticket import Ticket
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class AnswersSql(NamedQueries):
    record: str
    last: str
    judge: str
    evidence: str
    model: str
    suggested: str
    to_audit: str
    in_sample: str


@dataclass(frozen=True, slots=True)
class AnswerToAudit:
    """An answer of the random sample, as it is shown to who judges it: without its chance, its trust or any verdict."""

    id: UUID
    subject: str
    question: str
    answer: str
    articles: Sequence[str]
    at: datetime


async def record(
    connection: Connection, ticket: Ticket, given: Given, *, message_id: UUID | None, at: datetime
) -> None:
    """`message_id` None: it was suggested to a person."""
    await connection.execute(
        AnswersSql.record,
        ticket.org_id,
        ticket.id,
        message_id,
        given.trust,
        given.chance,
        ticket.category,
        ticket.intent,
        given.model,
        list(given.articles),
        ticket.reopened,
        at,
        given.words,
    )


async def last(connection: Connection, org_id: UUID, ticket_id: UUID) -> tuple[UUID, tuple[str, ...]] | None:
    """The newest answer on a ticket with the articles it cites, or None."""
    row = await connection.fetchrow(AnswersSql.last, org_id, ticket_id)
    return None if row is None else (row["id"], tuple(row["articles"]))


async def suggested(connection: Connection, org_id: UUID, ticket_id: UUID) -> tuple[UUID, str] | None:
    """The newest answer on a ticket with its words, if it was suggested and no reply has been compared with it."""
    row = await connection.fetchrow(AnswersSql.suggested, org_id, ticket_id)
    return None if row is None else (row["id"], row["words"])


async def judge(
    connection: Connection, org_id: UUID, answer_id: UUID, *, is_right: bool, source: str, by: UUID | None = None
) -> bool:
    """The last word of each source counts, of an audit the first. False when nothing was written."""
    done = await connection.execute(AnswersSql.judge, org_id, answer_id, source, is_right, by)
    return bool(done.endswith(" 1"))


async def judge_last(
    connection: Connection, org_id: UUID, ticket_id: UUID, *, is_right: bool, source: str, by: UUID | None = None
) -> None:
    """Judge the newest answer on a ticket, if there is one."""
    found = await last(connection, org_id, ticket_id)
    if found is not None:
        await judge(connection, org_id, found[0], is_right=is_right, source=source, by=by)


async def evidence(connection: Connection, org_id: UUID, *, model: str, since: datetime, limit: int) -> list[Case]:
    """Judged answers, newest first."""
    rows = await connection.fetch(AnswersSql.evidence, org_id, since, model, limit)
    return [Case(row["category"], row["chance"], row["is_right"], row["is_audited"]) for row in rows]


async def model(connection: Connection, org_id: UUID) -> str | None:
    """The model that judged the ticket of the newest answer."""
    found: str | None = await connection.fetchval(AnswersSql.model, org_id)
    return found


async def to_audit(connection: Connection, org_id: UUID, *, share: float, limit: int = 50) -> list[AnswerToAudit]:
    """Answers of the random share (0..1) that wait for a blind look."""
    rows = await connection.fetch(AnswersSql.to_audit, org_id, share, limit)
    return [AnswerToAudit(**dict(row)) for row in rows]


async def in_sample(connection: Connection, org_id: UUID, answer_id: UUID, *, share: float) -> tuple[bool, bool]:
    """(is it of the sample, was it audited); raises `Missing(answer_missing)`."""
    row = await connection.fetchrow(AnswersSql.in_sample, org_id, answer_id, share)
    if row is None:
        raise Missing(f"There is no answer {answer_id} here, or it is not yours to see.", code="answer_missing")
    return row["is_in"], row["is_audited"]
