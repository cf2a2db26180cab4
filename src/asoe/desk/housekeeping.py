"""Housekeeping: due timers, forgotten journeys, tallies, partitions, retention. Each organization in its own transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog

from asoe import tracing
from asoe.desk import approval, audit, certificate, counting, knowledge, recommendation, service_level, topic
from asoe.desk.context import Desk
from asoe.desk.incident import keeping, spiking
from asoe.desk.runbook import execution
from asoe.domain.errors import Missing
from asoe.domain.organization import Principal
from asoe.queue.failures import kind_of, place_of
from asoe.store import (
    assignments,
    facts,
    incidents,
    insights,
    journeys,
    organizations,
    presences,
    retention,
    runs,
    service_levels,
    sessions,
    tickets,
)
from asoe.store.db import Connection

FORGOTTEN_AFTER: Final = 120.0
"""Seconds without a change after which an open ticket that waits for nothing is enqueued again."""

MOST_ROUNDS: Final = 25
"""Batches of facts that one turn counts for one organization; the next turn goes on."""

SIGNS_KEPT: Final = timedelta(days=7)
"""Longer than any window in which signs are counted."""

_log = structlog.get_logger(__name__)


async def wake_due(desk: Desk) -> None:
    """Enqueue every ticket whose timer has run out; advancing it twice does no harm."""
    async with desk.database.system_transaction("due_timers") as connection:
        due = await journeys.due(connection)
    for org_id, ticket_ids in _by_org(due).items():
        with _apart("wake_due", org_id):
            async with desk.database.org_transaction(await desk.engine_of(org_id)) as connection:
                await _wake(desk, connection, org_id, ticket_ids, why="timer")


async def wake_forgotten(desk: Desk) -> None:
    """Enqueue open tickets and published articles whose job was lost, or that came past the service as bare rows."""
    for engine in await _engines(desk):
        with _apart("wake_forgotten", engine.org_id):
            async with desk.database.org_transaction(engine) as connection:
                found = await journeys.forgotten(connection, engine.org_id, idle_seconds=FORGOTTEN_AFTER)
                for ticket_id in found:
                    await _complete(desk, connection, engine, ticket_id)
                await _wake(desk, connection, engine.org_id, found, why="forgotten")
            await _give_forgotten(desk, engine)
            await knowledge.enqueue_unindexed(desk, engine.org_id, idle_seconds=FORGOTTEN_AFTER)


async def wake_runs(desk: Desk) -> None:
    """Enqueue runs whose time has come, or whose worker is gone."""
    async with desk.database.system_transaction("due_timers") as connection:
        due = await runs.due(connection)
    for org_id, run_ids in _by_org(due).items():
        with _apart("wake_runs", org_id):
            engine = await desk.engine_of(org_id)
            async with desk.database.org_transaction(engine) as connection:
                await execution.wake(desk, connection, engine, run_ids)


async def expire_approvals(desk: Desk) -> None:
    """Let runs go on whose approval nobody decided in time."""
    for engine in await _engines(desk):
        with _apart("expire_approvals", engine.org_id):
            await approval.expire(desk, engine)


async def keep_service_levels(desk: Desk) -> None:
    """Count the clocks of tickets that something happened to, or whose time has come."""
    async with desk.database.system_transaction("due_timers") as connection:
        work = await service_levels.work(connection, now=desk.clock())
    for org_id in dict.fromkeys(org_id for org_id, ticket_id in work if ticket_id is None):
        with _apart("keep_service_levels", org_id):
            engine = await desk.engine_of(org_id)
            for _ in range(MOST_ROUNDS):
                if not await service_level.catch_up(desk, engine):
                    break
    for org_id, ticket_id in work:
        if ticket_id is not None:
            with _apart("keep_service_levels", org_id):
                await service_level.look(desk, await desk.engine_of(org_id), ticket_id)


async def keep_counters(desk: Desk) -> None:
    """Count for the reports what happened since the last turn."""
    async with desk.database.system_transaction("due_timers") as connection:
        found = await insights.work(connection, now=desk.clock())
    for org_id in found:
        with _apart("keep_counters", org_id):
            engine = await desk.engine_of(org_id)
            for _ in range(MOST_ROUNDS):
                if not await counting.catch_up(desk, engine):
                    break


async def keep_advice(desk: Desk) -> None:
    """Look for recommendations where nobody has looked for a day, and follow the accepted ones."""
    for engine in await _engines(desk):
        with _apart("keep_advice", engine.org_id):
            await recommendation.look_at_all(desk, engine)


async def keep_certificates(desk: Desk) -> None:
    """Void certificates of answers where traffic has changed, and make them anew where the evidence has grown."""
    for engine in await _engines(desk):
        with _apart("keep_certificates", engine.org_id):
            await certificate.keep(desk, engine)


async def seal_facts(desk: Desk) -> None:
    """Seal what happened since the last turn into the audit trail."""
    for engine in await _engines(desk):
        with _apart("seal_facts", engine.org_id):
            for _ in range(MOST_ROUNDS):
                if not await audit.seal(desk, engine):
                    break


async def keep_incidents(desk: Desk) -> None:
    """Take tickets into the incidents that go on, tell their clients, and see to the mend and what comes after it."""
    async with desk.database.system_transaction("due_timers") as connection:
        found = await incidents.work(connection)
    for org_id in found:
        with _apart("keep_incidents", org_id):
            engine = await desk.engine_of(org_id)
            for _ in range(MOST_ROUNDS):
                if not await keeping.keep(desk, engine):
                    break


async def watch_spikes(desk: Desk) -> None:
    """Look whether more clients write than the hour of the week explains."""
    for engine in await _engines(desk):
        with _apart("watch_spikes", engine.org_id):
            await spiking.watch(desk, engine)


async def find_topics(desk: Desk) -> None:
    """Find what tickets are about, where that was done a day ago."""
    for engine in await _engines(desk):
        with _apart("find_topics", engine.org_id):
            await topic.keep(desk, engine)


async def fold_tallies(desk: Desk) -> None:
    """Sum up what was counted, and forget who was where an hour ago."""
    for engine in await _engines(desk):
        with _apart("fold_tallies", engine.org_id):
            async with desk.database.org_transaction(engine) as connection:
                await tickets.fold_tally(connection)
                await presences.forget(connection, engine.org_id)


async def prepare_partitions(desk: Desk) -> None:
    """Make the partitions of the coming months."""
    async with desk.database.app.acquire() as connection:
        await connection.execute("select asoe.ensure_partitions()")


async def apply_retention(desk: Desk) -> None:
    """Remove what is past the organization's retention, table by table."""
    now = desk.clock()
    for engine in await _engines(desk):
        with _apart("apply_retention", engine.org_id):
            async with desk.database.org_transaction(engine) as connection:
                settings = (await organizations.read_organization(connection, engine.org_id)).settings
                limits = retention.limits(settings.get("retention_days") or {})
                removed = {}
                for noun, days in limits.items():
                    before = now - timedelta(days=days)
                    if count := await retention.remove_older(connection, engine.org_id, noun, before):
                        removed[noun] = count
                await incidents.forget_signs(connection, engine.org_id, before=now - SIGNS_KEPT)
                if removed:
                    await facts.record(connection, engine, "retention.applied", removed=removed)


async def _give_forgotten(desk: Desk, engine: Principal) -> None:
    async with desk.database.org_reading(engine) as connection:
        found = await assignments.forgotten(connection, engine.org_id, idle_seconds=FORGOTTEN_AFTER)
    for ticket_id in found:
        with _apart("give_forgotten", engine.org_id):
            await service_level.look(desk, engine, ticket_id)


async def _complete(desk: Desk, connection: Connection, engine: Principal, ticket_id: UUID) -> None:
    """A ticket inserted in plain SQL gets what intake would have given it: a session that begins with its words."""
    if await sessions.of_ticket(connection, engine.org_id, ticket_id):
        return
    ticket = await tickets.find(connection, engine.org_id, ticket_id)
    session = sessions.new_session(ticket_id, assistant_type="ai", at=desk.clock())
    if not ticket.text:
        await sessions.insert(connection, session)
        return
    await sessions.begin(connection, engine.org_id, session, role="user", content=ticket.text, author=ticket.user_id)
    await facts.record(
        connection,
        engine,
        "ticket.opened",
        ticket_id=ticket_id,
        session_id=session.id,
        channel=ticket.channel,
        category=ticket.category,
        severity=ticket.severity,
    )


async def _wake(desk: Desk, connection: Connection, org_id: UUID, ticket_ids: list[UUID], *, why: str) -> None:
    traces = await facts.traces_of_tickets(connection, org_id, ticket_ids) if tracing.is_on() else {}
    for ticket_id in ticket_ids:
        ids = {"org_id": org_id, "ticket_id": ticket_id}
        with tracing.continuing(traces.get(ticket_id), is_link=why == "timer"):  # what was lost goes on as it was
            await desk.queue.enqueue(connection, "advance", ids, dedupe_key=f"{why}:{ticket_id}")


def _by_org(due: list[tuple[UUID, UUID]]) -> dict[UUID, list[UUID]]:
    found: dict[UUID, list[UUID]] = {}
    for org_id, what in due:
        found.setdefault(org_id, []).append(what)
    return found


async def _engines(desk: Desk) -> list[Principal]:
    return [organization.engine for organization in await organizations.list_organizations(desk.database)]


@contextmanager
def _apart(job: str, org_id: UUID) -> Iterator[None]:
    """One organization that fails does not keep the others waiting."""
    try:
        yield
    except Missing:
        return  # suspended: what is due waits until it is not
    except Exception as error:
        _log.error("housekeeping.failed", job=job, org_id=str(org_id), error=kind_of(error), where=place_of(error))
