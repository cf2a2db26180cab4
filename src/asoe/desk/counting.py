"""Keeps the counters of reports: a reader of the facts looks again at each ticket they touch, and sums up the days anew.

Nothing else of the desk knows of it, but for what leaves no fact (clocks, erasures), which marks its ticket. A crash loses nothing: rows,
counters and cursor are one transaction. What a figure means is `domain.report`'s, reading them is `report.py`'s.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from asoe.desk.context import Desk
from asoe.domain.errors import Denied
from asoe.domain.escalation import REQUIRED_DOSSIER_FIELDS
from asoe.domain.organization import Principal
from asoe.store import insights
from asoe.store.insights import Difference

AT_ONCE: Final = 500
"""Facts that one transaction counts."""


async def catch_up(desk: Desk, engine: Principal) -> bool:
    """Count what the next facts touch, and what is due without one; True when there may be more."""
    now = desk.clock()
    async with desk.database.org_transaction(engine) as connection:
        touched, is_more = await insights.read_on(connection, engine.org_id, now=now, limit=AT_ONCE)
        await insights.count(connection, engine.org_id, touched, now=now, required=REQUIRED_DOSSIER_FIELDS)
    return is_more


async def verify(desk: Desk, principal: Principal, *, repair: bool = False) -> AsyncIterator[Difference | None]:
    """Recount day by day: for each day its first difference, or None. With `repair` a day that differs is counted anew.

    What has not been counted yet is counted first; what happens while a day is compared is left out of it. Staff only.
    """
    if principal.is_client:
        raise Denied("Reports are for the organization's staff.", code="staff_only")
    engine = await desk.engine_of(principal.org_id)
    while await catch_up(desk, engine):
        pass
    async with desk.database.org_reading(engine) as connection:
        days = await insights.all_days(connection, engine.org_id)
    for day in days:
        now = desk.clock()
        async with desk.database.org_transaction(engine) as connection:
            await insights.hold(connection, engine.org_id)
            found = await insights.compare(connection, engine.org_id, day, now=now, required=REQUIRED_DOSSIER_FIELDS)
            if found is not None and repair:
                ids = await insights.tickets_of_day(connection, engine.org_id, day)
                await insights.count(connection, engine.org_id, ids, now=now, required=REQUIRED_DOSSIER_FIELDS)
                await insights.sum_up(connection, engine.org_id, [day])
        yield found
