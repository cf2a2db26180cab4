"""The log of facts as people read it: newest first, by kind, actor and ticket, a bounded look at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from asoe.domain.facts import Fact
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries

LOOK: Final = 20_000
_FROM_THE_END: Final = 2**63 - 1


class AuditSql(NamedQueries):
    page: str
    looked_until: str


@dataclass(frozen=True, slots=True)
class FactPage:
    """One page; `next_before` is None when nothing is left behind it."""

    facts: list[Fact]
    next_before: int | None


async def page(
    connection: Connection,
    org_id: UUID,
    *,
    before: int | None = None,
    kind: str | None = None,
    actor: UUID | None = None,
    ticket_id: UUID | None = None,
    limit: int = 50,
) -> FactPage:
    """Facts with an id below `before`. A page may be short, even empty, and still have a next one."""
    start = before or _FROM_THE_END
    rows = await connection.fetch(AuditSql.page, org_id, start, kind, actor, ticket_id, limit + 1, LOOK)
    items = [Fact(**dict(row)) for row in rows[:limit]]
    if len(rows) > limit:
        return FactPage(items, items[-1].id)
    looked = await connection.fetchrow(AuditSql.looked_until, org_id, start, LOOK)
    return FactPage(items, looked["oldest"] if looked["looked"] == LOOK else None)
