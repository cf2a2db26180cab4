"""Recommendations as rows, and the rows of others from which they are made. What is worth saying is the domain's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from asoe.domain.errors import Missing
from asoe.domain.recommendation import Gain, Outcome, Recommendation, Seen, gain_of
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries

MOST_ROWS: Final = 2000


class RecommendationsSql(NamedQueries):
    hold: str
    looked_at: str
    has_any: str
    set_looked: str
    all_known: str
    listed: str
    held: str
    add: str
    save: str
    forget: str
    ticket_lines: str
    words_of_people: str
    settled_by_people: str
    agreed: str
    alone: str
    in_use: str
    unanswered_runs: str
    uneasy: str
    helped_by_answers: str
    verified_runs: str


@dataclass(frozen=True, slots=True)
class Settled:
    """A ticket that people resolved: their last words to the client, and the facts they left, in order."""

    id: UUID
    at: datetime
    intent: str
    category: str
    client: str
    words: str
    steps: Sequence[str]


@dataclass(frozen=True, slots=True)
class InUse:
    """A runbook in use; `risk`: the gravest of what it did, None when it did nothing."""

    id: UUID
    name: str
    title: str
    risk: str | None


@dataclass(frozen=True, slots=True)
class OfRunbook:
    """Something of a runbook's run, at a time."""

    runbook_id: UUID
    at: datetime
    ticket_id: UUID | None
    is_wrong: bool = False


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A run that ended because a connector did not answer as it should."""

    connector: str
    at: datetime
    ticket_id: UUID | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Uneasy:
    """A ticket after which its client may leave, and why."""

    client: UUID
    ticket_id: UUID
    at: datetime
    came_back: bool
    was_reopened: bool
    did_not_help: bool
    was_angry: bool


@dataclass(frozen=True, slots=True)
class TicketLine:
    id: UUID
    number: int
    subject: str


async def hold(connection: Connection, org_id: UUID) -> None:
    """Let nobody else change the organization's recommendations until the transaction ends."""
    await connection.execute(RecommendationsSql.hold, str(org_id))


async def looked_at(connection: Connection, org_id: UUID) -> datetime | None:
    found: datetime | None = await connection.fetchval(RecommendationsSql.looked_at, org_id)
    return found


async def has_any(connection: Connection, org_id: UUID) -> bool:
    return bool(await connection.fetchval(RecommendationsSql.has_any, org_id))


async def set_looked(connection: Connection, org_id: UUID, at: datetime) -> None:
    await connection.execute(RecommendationsSql.set_looked, org_id, at)


async def all_known(connection: Connection, org_id: UUID) -> list[Recommendation]:
    return [_read(row) for row in await connection.fetch(RecommendationsSql.all_known, org_id)]


async def listed(
    connection: Connection, org_id: UUID, statuses: Sequence[str], *, limit: int = 200
) -> list[Recommendation]:
    """Those with the greatest expected gain first."""
    rows = await connection.fetch(RecommendationsSql.listed, org_id, list(statuses), limit)
    return [_read(row) for row in rows]


async def held(connection: Connection, org_id: UUID, number: int) -> Recommendation:
    """Locked until the transaction ends; raises `Missing(no_recommendation)`."""
    row = await connection.fetchrow(RecommendationsSql.held, org_id, number)
    if row is None:
        raise Missing(f"There is no recommendation {number} here.", code="no_recommendation")
    return _read(row)


async def add(connection: Connection, org_id: UUID, seen: Seen, *, tickets: Sequence[UUID], at: datetime) -> None:
    await connection.execute(
        RecommendationsSql.add,
        org_id,
        seen.kind,
        seen.key,
        seen.weight,
        seen.clients,
        dict(seen.detail),
        asdict(gain_of(seen)),
        list(tickets),
        seen.vector,
        at,
    )


async def save(connection: Connection, org_id: UUID, it: Recommendation) -> None:
    await connection.execute(
        RecommendationsSql.save,
        org_id,
        it.id,
        it.status,
        it.weight,
        it.clients,
        dict(it.detail),
        None if it.gain is None else asdict(it.gain),
        list(it.tickets),
        it.vector,
        it.seen_at,
        it.decided_at,
        it.decided_by,
        it.decided_weight,
        it.reason,
        None if it.outcome is None else asdict(it.outcome),
    )


async def forget(connection: Connection, org_id: UUID, *, before: datetime) -> None:
    await connection.execute(RecommendationsSql.forget, org_id, before)


async def ticket_lines(connection: Connection, org_id: UUID, ids: Sequence[UUID]) -> dict[UUID, TicketLine]:
    """Those of the tickets that are still there, newest first."""
    rows = await connection.fetch(RecommendationsSql.ticket_lines, org_id, list(ids)) if ids else []
    return {row["id"]: TicketLine(**dict(row)) for row in rows}


async def words_of_people(connection: Connection, org_id: UUID, ids: Sequence[UUID]) -> list[tuple[UUID, str, bool]]:
    """(ticket, words, whether it was a note) as people wrote them."""
    rows = await connection.fetch(RecommendationsSql.words_of_people, org_id, list(ids)) if ids else []
    return [(row["ticket_id"], row["content"], row["is_internal"]) for row in rows]


async def settled_by_people(
    connection: Connection, org_id: UUID, *, since: datetime, steps: Sequence[str], limit: int
) -> list[Settled]:
    """Newest first; `steps` are the kinds of facts that count as one."""
    rows = await connection.fetch(RecommendationsSql.settled_by_people, org_id, since, list(steps), limit, MOST_ROWS)
    return [Settled(**dict(row)) for row in rows]


async def agreed(connection: Connection, org_id: UUID, *, since: datetime) -> list[OfRunbook]:
    rows = await connection.fetch(RecommendationsSql.agreed, org_id, since, MOST_ROWS)
    return [OfRunbook(**dict(row)) for row in rows]


async def alone(connection: Connection, org_id: UUID, *, since: datetime) -> list[OfRunbook]:
    rows = await connection.fetch(RecommendationsSql.alone, org_id, since, MOST_ROWS)
    return [OfRunbook(**dict(row)) for row in rows]


async def in_use(connection: Connection, org_id: UUID, *, since: datetime) -> list[InUse]:
    return [InUse(**dict(row)) for row in await connection.fetch(RecommendationsSql.in_use, org_id, since)]


async def unanswered_runs(connection: Connection, org_id: UUID, *, since: datetime) -> list[Unanswered]:
    rows = await connection.fetch(RecommendationsSql.unanswered_runs, org_id, since, MOST_ROWS)
    return [Unanswered(**dict(row)) for row in rows]


async def uneasy(connection: Connection, org_id: UUID, *, since: datetime) -> list[Uneasy]:
    rows = await connection.fetch(RecommendationsSql.uneasy, org_id, since.date(), since, MOST_ROWS)
    return [Uneasy(**dict(row)) for row in rows]


async def helped_by_answers(connection: Connection, org_id: UUID, *, since: datetime) -> tuple[int, int]:
    """(those that needed nobody, all) of the tickets that the engine answered."""
    row = await connection.fetchrow(RecommendationsSql.helped_by_answers, org_id, since.date(), MOST_ROWS)
    return int(row["hits"]), int(row["total"])


async def verified_runs(connection: Connection, org_id: UUID, *, since: datetime) -> tuple[int, int]:
    """(verified, all) of the live runs that ended."""
    row = await connection.fetchrow(RecommendationsSql.verified_runs, org_id, since)
    return int(row["hits"]), int(row["total"])


def _read(row: Any) -> Recommendation:
    values: dict[str, Any] = dict(row)
    gain, outcome = values.pop("gain"), values.pop("outcome")
    return Recommendation(
        **values,
        gain=None if gain is None else Gain(**gain),
        outcome=None if outcome is None else Outcome(**outcome),
    )
