"""Insight: the counts of an organization's tickets. From the tally, which always equals a recount."""

from __future__ import annotations

from dataclasses import dataclass

from asoe.desk.context import Desk
from asoe.domain.errors import Denied
from asoe.domain.organization import Principal
from asoe.domain.ticket import OPEN_STATUSES
from asoe.store import tickets
from asoe.store.tickets import Tally

_ENDED = frozenset({"resolved", "closed"})


@dataclass(frozen=True, slots=True)
class Stats:
    """`resolved_rate` in whole percent of resolved + closed, `avg_resolution_time` in hours; None when there are none."""

    total_tickets: int
    open_tickets: int
    resolved_rate: int | None
    avg_resolution_time: float | None
    by_category: dict[str, int]


async def get_stats(desk: Desk, principal: Principal) -> Stats:
    """Stats of the principal's organization (design §3.3); staff only."""
    if principal.is_client:
        raise Denied("Clients see their own tickets, not the organization's counts.", code="staff_only")
    async with desk.database.org_reading(principal) as connection:
        return summarize(await tickets.tallies(connection, principal.org_id))


def summarize(tallies: list[Tally]) -> Stats:
    """Sum up tallies; a percentage is rounded half up."""
    total = sum(tally.tickets for tally in tallies)
    ended = sum(tally.tickets for tally in tallies if tally.status in _ENDED)
    timed = sum(tally.resolved_timed for tally in tallies)
    seconds = sum(tally.resolved_seconds for tally in tallies)
    by_category: dict[str, int] = {}
    for tally in tallies:
        by_category[tally.category] = by_category.get(tally.category, 0) + tally.tickets
    return Stats(
        total_tickets=total,
        open_tickets=sum(tally.tickets for tally in tallies if tally.status in OPEN_STATUSES),
        resolved_rate=(200 * ended + total) // (2 * total) if total else None,
        avg_resolution_time=round(seconds / timed / 3600, 4) if timed else None,
        by_category=dict(sorted(by_category.items())),
    )
