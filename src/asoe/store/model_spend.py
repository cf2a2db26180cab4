"""What language models cost an organization by day: reserved before a call, settled after it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from asoe.domain.language_model import ModelUsage
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class ModelSpendSql(NamedQueries):
    reserve: str
    settle: str
    spent: str


@dataclass(frozen=True, slots=True)
class Spent:
    """One day (UTC); what calls under way have reserved counts as spent."""

    day: date
    tokens: int
    cost_usd: Decimal
    calls: int
    failures: int


async def reserve(
    connection: Connection,
    org_id: UUID,
    day: date,
    most: ModelUsage,
    *,
    tokens_per_day: int | None,
    usd_per_day: Decimal | None,
) -> bool:
    """Take what a call may cost at most out of the day's budget; False when that is not left."""
    found = await connection.fetchval(
        ModelSpendSql.reserve, org_id, day, most.tokens, most.cost_usd or 0, tokens_per_day, usd_per_day
    )
    return found is not None


async def settle(
    connection: Connection, org_id: UUID, day: date, *, reserved: ModelUsage, used: ModelUsage, failed: bool = False
) -> None:
    """Put what the call did cost in the place of what it reserved."""
    await connection.execute(
        ModelSpendSql.settle,
        org_id,
        day,
        reserved.tokens,
        reserved.cost_usd or 0,
        used.tokens,
        used.cost_usd or 0,
        int(failed),
    )


async def spent(connection: Connection, org_id: UUID, until: date, *, days: int = 1) -> list[Spent]:
    """The last `days` that had calls, oldest first."""
    return [Spent(**row) for row in await connection.fetch(ModelSpendSql.spent, org_id, until, days)]
