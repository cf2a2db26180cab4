"""The first page in figures: what became of recent tickets, what is open, what the engine did today and did not dare."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from asoe.desk.context import Desk
from asoe.domain.errors import Denied
from asoe.domain.escalation import REQUIRED_DOSSIER_FIELDS
from asoe.domain.facts import Fact
from asoe.domain.organization import Principal
from asoe.store import directory, overview
from asoe.store.overview import Report

PERIODS: Final = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=30)}
MOST_TICKETS: Final = 2000
MOST_OPEN: Final = 20_000
MOST_FACTS: Final = 20_000

DEFINITIONS: Final = {
    "handled": "Of the tickets that rest: answered, asked back, ended, or handed to a person with every required field of "
    "the dossier filled. Whether it was the right person is not measured here.",
    "contained": "Of the tickets that rest: no person touched them. They were not handed over, taken over, assigned or moved "
    "by anybody. Silence after an answer counts as contained.",
    "verified": "Of the tickets that rest: a check in the system of record passed, or the client confirmed. Silence never "
    "counts as verified.",
}


@dataclass(frozen=True, slots=True)
class Overview:
    """`did` and `dared_not` count facts and reasons since midnight UTC; `open_by_age` counts by (severity, age)."""

    report: Report
    open_by_age: dict[tuple[str, int], int]
    activity: list[Fact]
    did: dict[str, int]
    dared_not: dict[str, int]
    names: dict[UUID, str]
    tickets: dict[UUID, tuple[int, str]]
    runbooks: dict[str, str]
    since: datetime


async def read_overview(desk: Desk, principal: Principal, *, period: str = "week") -> Overview:
    """Staff only. At most MOST_TICKETS tickets and MOST_FACTS facts are looked at, the newest."""
    if principal.is_client:
        raise Denied("Clients see their own tickets, not the organization's figures.", code="staff_only")
    now = desk.clock()
    engine = await desk.engine_of(principal.org_id)
    org_id = principal.org_id
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    async with desk.database.org_reading(principal) as connection:
        report = await overview.report(
            connection, org_id, since=now - PERIODS[period], limit=MOST_TICKETS, required=REQUIRED_DOSSIER_FIELDS
        )
        waiting = await overview.open_by_age(connection, org_id, now=now, limit=MOST_OPEN)
        activity = await overview.newest_facts(connection, org_id, limit=14)
        did, dared_not = await overview.engine_since(
            connection, org_id, engine=engine.user_id, since=midnight, limit=MOST_FACTS
        )
        names = await directory.names(connection, org_id, (fact.actor for fact in activity))
        tickets = await overview.ticket_names(connection, org_id, (fact.ticket_id for fact in activity))
        runbooks = await directory.runbooks(connection, org_id, activity)
    return Overview(report, waiting, activity, did, dared_not, names, tickets, runbooks, now - PERIODS[period])
