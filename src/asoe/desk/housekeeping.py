"""Housekeeping: due timers, forgotten journeys, tallies, partitions, retention. Each organization in its own transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

import structlog

from asoe.desk.context import Desk
from asoe.domain.organization import Principal
from asoe.store import facts, journeys, organizations, retention, tickets

FORGOTTEN_AFTER: Final = 120.0
"""Seconds without a change after which an open ticket that waits for nothing is enqueued again."""

_log = structlog.get_logger(__name__)


async def wake_due(desk: Desk) -> None:
    """Enqueue every ticket whose timer has run out; advancing it twice does no harm."""
    async with desk.database.system_transaction("due_timers") as connection:
        due = await journeys.due(connection)
    for org_id, ticket_id in due:
        engine = await desk.engine_of(org_id)
        async with desk.database.org_transaction(engine) as connection:
            await desk.queue.enqueue(
                connection,
                "advance",
                {"org_id": org_id, "ticket_id": ticket_id},
                dedupe_key=f"timer:{ticket_id}",
            )


async def wake_forgotten(desk: Desk) -> None:
    """Enqueue open tickets whose job was lost."""
    async for engine in _engines(desk):
        async with desk.database.org_transaction(engine) as connection:
            for ticket_id in await journeys.forgotten(connection, engine.org_id, idle_seconds=FORGOTTEN_AFTER):
                await desk.queue.enqueue(
                    connection,
                    "advance",
                    {"org_id": engine.org_id, "ticket_id": ticket_id},
                    dedupe_key=f"forgotten:{ticket_id}",
                )


async def fold_tallies(desk: Desk) -> None:
    async for engine in _engines(desk):
        async with desk.database.org_transaction(engine) as connection:
            await tickets.fold_tally(connection)


async def prepare_partitions(desk: Desk) -> None:
    """Make the partitions of the coming months."""
    async with desk.database.app.acquire() as connection:
        await connection.execute("select asoe.ensure_partitions()")


async def apply_retention(desk: Desk) -> None:
    """Remove what is past the organization's retention, table by table."""
    now = desk.clock()
    async for engine in _engines(desk):
        async with desk.database.org_transaction(engine) as connection:
            settings = (await organizations.read_organization(connection, engine.org_id)).settings
            limits = retention.limits(settings.get("retention_days") or {})
            removed = {
                noun: count
                for noun, days in limits.items()
                if (count := await retention.remove_older(connection, engine.org_id, noun, now - timedelta(days=days)))
            }
            if removed:
                await facts.record(connection, engine, "retention.applied", removed=removed)


async def _engines(desk: Desk) -> AsyncIterator[Principal]:
    """The engine account of every organization; one that fails does not keep the others waiting."""
    for organization in await organizations.list_organizations(desk.database):
        yield organization.engine
