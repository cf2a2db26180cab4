"""Facts: recorded in the transaction that made them true, read in commit-safe order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from asoe.domain.facts import FACTS, Fact
from asoe.domain.organization import Principal
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class FactsSql(NamedQueries):
    record: str
    record_all: str
    timeline: str
    read_after: str
    traces_of_tickets: str
    traces_of_runs: str
    newest_cursor: str


@dataclass(frozen=True, slots=True)
class NewFact:
    """What `record_all` takes: a kind of `FACTS`, and ids and classes."""

    kind: str
    ticket_id: UUID | None = None
    session_id: UUID | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


async def record(
    connection: Connection,
    principal: Principal,
    kind: str,
    /,
    *,
    ticket_id: UUID | None = None,
    session_id: UUID | None = None,
    **data: Any,
) -> None:
    """Record that `kind` happened; `data` holds ids and classes, never client text."""
    _known(kind)
    await connection.execute(FactsSql.record, principal.org_id, kind, ticket_id, session_id, principal.user_id, data)


async def record_all(connection: Connection, principal: Principal, news: Sequence[NewFact]) -> None:
    """`record` for what one step made true, in one round trip."""
    for fact in news:
        _known(fact.kind)
    if news:
        listed = [
            {
                "kind": fact.kind,
                "ticket_id": fact.ticket_id,
                "session_id": fact.session_id,
                "data": dict(fact.data),
            }
            for fact in news
        ]
        await connection.execute(FactsSql.record_all, principal.org_id, listed, principal.user_id)


async def timeline(
    connection: Connection, org_id: UUID, ticket_id: UUID, *, after: int = 0, limit: int = 200
) -> list[Fact]:
    """One ticket's facts with id above `after`, oldest first."""
    return [_fact(row) for row in await connection.fetch(FactsSql.timeline, org_id, ticket_id, after, limit)]


async def read_after(
    connection: Connection, org_id: UUID, *, xid: int = 0, fact_id: int = 0, limit: int = 500
) -> list[Fact]:
    """Facts behind the cursor `(xid, fact_id)`; a transaction still in flight holds back all later ones."""
    return [_fact(row) for row in await connection.fetch(FactsSql.read_after, org_id, str(xid), fact_id, limit)]


async def traces_of_tickets(connection: Connection, org_id: UUID, ids: Sequence[UUID]) -> dict[UUID, str]:
    """The traceparent in which something happened last to each of these tickets, where it is known."""
    return {row["id"]: row["trace"] for row in await connection.fetch(FactsSql.traces_of_tickets, org_id, list(ids))}


async def traces_of_runs(connection: Connection, org_id: UUID, ids: Sequence[UUID]) -> dict[UUID, str]:
    """The same of the tickets that these runs treat."""
    return {row["id"]: row["trace"] for row in await connection.fetch(FactsSql.traces_of_runs, org_id, list(ids))}


async def newest_cursor(connection: Connection) -> int:
    """The `xid` from which a reader that wants only new facts starts."""
    return int(await connection.fetchval(FactsSql.newest_cursor))


def _known(kind: str) -> None:
    if kind not in FACTS:
        raise ValueError(f"{kind!r} is not a fact; name it in asoe.domain.facts.FACTS first")


def _fact(row: Any) -> Fact:
    return Fact(
        id=row["id"],
        kind=row["kind"],
        at=row["at"],
        ticket_id=row["ticket_id"],
        session_id=row["session_id"],
        actor=row["actor"],
        data=row["data"],
        xid=row["xid"],
    )
