"""The round of an incident: take tickets in, tell their clients, start the one runbook, and after a verified mend have each ticket checked.

Every turn looks at the rows as they are and does what is missing, so it may come twice, late, or after a crash. A ticket is held while it
is written; an incident that is to change is held, too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from asoe.desk import outcome
from asoe.desk.context import Desk
from asoe.desk.incident import alerting, joining
from asoe.desk.journey.standing import is_over, read
from asoe.desk.outcome import Part, Step
from asoe.desk.runbook import execution, shelf, treatment
from asoe.desk.runbook.treatment import ACTS
from asoe.domain.incident import Incident, fix_of, keys_of, read_incident_rules, values_for
from asoe.domain.organization import Principal
from asoe.domain.runbook import Runbook, SlotReading
from asoe.store import facts, incidents, journeys, organizations, runs
from asoe.store.db import Connection

AT_ONCE: Final = 100
"""Tickets that one turn takes in, tells or has checked."""


async def keep(desk: Desk, engine: Principal) -> bool:
    """Do what is to be done now for every incident of an organization; True when there may be more."""
    async with desk.database.org_reading(engine) as connection:
        found = await incidents.going(connection, engine.org_id)
    is_more = False
    for incident in found:
        is_more |= await _keep_one(desk, engine, incident)
    return is_more


async def _keep_one(desk: Desk, engine: Principal, incident: Incident) -> bool:
    is_more = False
    if incident.status in {"suspected", "open"} and any(key.startswith("alert:") for key in incident.keys):
        await _follow_alerts(desk, engine, incident)
    if incident.is_telling:
        is_more |= await _take_in(desk, engine, incident)
        is_more |= await _tell_updates(desk, engine, incident)
    if incident.status == "open" and incident.run_id is None and not incident.trouble:
        await _start_fix(desk, engine, incident)
    elif incident.status == "fixing":
        await _follow_fix(desk, engine, incident)
    elif incident.status in {"mended", "dismissed"}:
        await _have_checked(desk, engine, incident)
        await _close(desk, engine, incident)
    return is_more


async def _take_in(desk: Desk, engine: Principal, incident: Incident) -> bool:
    async with desk.database.org_reading(engine) as connection:
        keys = keys_of(incident.keys)
        intents = [key.removeprefix("intent:") for key in keys if key.startswith("intent:")]
        found = await incidents.candidates(
            connection, incident, keys=keys, intents=intents, since=incident.since, limit=AT_ONCE
        )
    taken = [await _take(desk, engine, incident.id, ticket_id, because) for ticket_id, because in found]
    return any(taken) and len(found) == AT_ONCE


async def _take(desk: Desk, engine: Principal, incident_id: UUID, ticket_id: UUID, because: str) -> bool:
    """Take one ticket in, unless somebody else has it at this moment: the next turn finds it again."""
    async with desk.database.org_transaction(engine) as connection:
        if await journeys.hold(connection, engine.org_id, ticket_id) is None:
            return False
        standing = await read(connection, engine, ticket_id, is_lenient=True)
        if is_over(standing.ticket) or standing.run_id is not None or standing.journey.data.get("incident"):
            return False
        report = await joining_report(connection, engine, standing.ticket.id)
        step = Step("joining", standing.journey, incident=Part(incident_id, because, report))
        joined = await joining.join(desk, connection, engine, standing, step)
        if joined is None:
            return False
        await outcome.write(desk, connection, engine, standing.ticket, joined, session=standing.session)
        return True


async def joining_report(connection: Connection, engine: Principal, ticket_id: UUID) -> treatment.Report | None:
    """What the ticket's last live run came to: its runbook is what checks the ticket at the end."""
    found = await runs.list_runs(connection, engine.org_id, ticket_id=ticket_id, limit=10)
    last = next((run for run in found if run.mode == "live" and run.ended_at is not None), None)
    return None if last is None else await treatment.report(connection, engine.org_id, last.id)


async def _tell_updates(desk: Desk, engine: Principal, incident: Incident) -> bool:
    async with desk.database.org_reading(engine) as connection:
        updates = await incidents.updates(connection, engine.org_id, incident.id)
    is_more = False
    for update in updates:
        kind = f"update:{update.number}"
        async with desk.database.org_reading(engine) as connection:
            left = await incidents.untold(connection, incident, kind, since=update.at, limit=AT_ONCE)
        for ticket_id, _ in left:
            await _tell(desk, engine, incident, ticket_id, kind=kind, text=update.content)
        is_more |= len(left) == AT_ONCE
    return is_more


async def _tell(desk: Desk, engine: Principal, incident: Incident, ticket_id: UUID, *, kind: str, text: str) -> None:
    async with desk.database.org_transaction(engine) as connection:
        if await journeys.hold(connection, engine.org_id, ticket_id) is None:
            return
        standing = await read(connection, engine, ticket_id, is_lenient=True)
        if is_over(standing.ticket):
            return
        reply, note = await joining.tell(desk, connection, engine, standing, incident, kind=kind, text=text)
        if reply is None and note is None:
            return
        step = Step("told", standing.journey, waiting_for=standing.ticket.waiting_for, reply=reply, note=note)
        await outcome.write(desk, connection, engine, standing.ticket, step, session=standing.session)


async def _start_fix(desk: Desk, engine: Principal, incident: Incident) -> None:
    """Start the runbook that a person or the organization's rules name; once, whatever comes of it."""
    async with desk.database.org_transaction(engine) as connection:
        held = await incidents.find_for_update(connection, engine.org_id, incident.id)
        if held.status != "open" or held.run_id is not None or held.trouble:
            return
        name, given = held.fix, dict(held.slots)
        if not name:
            rules = read_incident_rules(await organizations.settings(connection, engine.org_id))
            names = await incidents.signed_by(connection, engine.org_id, held.keys, since=held.since)
            labels = {str(key): str(value) for key, value in given.items()}
            fix = fix_of(rules, held.keys, place=held.place, labels=labels, names=names)
            if fix is None:
                return
            name, given = fix.runbook, values_for(fix, place=held.place, labels=labels)
        await start_fix(desk, connection, engine, held, name=name, given=given, initiator=None)


async def start_fix(
    desk: Desk,
    connection: Connection,
    engine: Principal,
    incident: Incident,
    *,
    name: str,
    given: dict[str, str],
    initiator: UUID | None,
) -> Incident:
    """Start a runbook on the cause of a held incident, or say in it why that cannot be. It acts as its autonomy allows."""
    shelved = {each.runbook.name: each for each in await shelf.published(connection, engine.org_id)}
    found = shelved.get(name)
    slots = {} if found is None else _slots(found.runbook, given)
    if found is None:
        trouble = f"There is no published runbook {name}."
    elif found.level not in ACTS:
        trouble = f"Runbook {name} may not act: it stands at {found.level}."
    elif isinstance(slots, str):
        trouble = slots
    else:
        assert found is not None
        run_id = await execution.start(
            desk,
            connection,
            engine,
            runbook_id=found.runbook_id,
            version=found.runbook.version,
            ticket=None,
            slots=slots,
            initiator=initiator,
        )
        started = replace(incident, status="fixing", fix=name, slots=given, run_id=run_id, trouble="")
        about: dict[str, Any] = {
            "incident_id": str(incident.id),
            "run_id": str(run_id),
            "runbook_id": str(found.runbook_id),
        }
        await facts.record(connection, engine, "incident.fixing", **about)
        return await incidents.change(connection, started)
    await facts.record(connection, engine, "incident.fix_failed", incident_id=str(incident.id), reason="not_started")
    return await incidents.change(connection, replace(incident, fix=name, trouble=trouble))


async def _follow_fix(desk: Desk, engine: Principal, incident: Incident) -> None:
    """Only a check of the runbook that held, or its goal that held already, mends an incident."""
    async with desk.database.org_transaction(engine) as connection:
        held = await incidents.find_for_update(connection, engine.org_id, incident.id)
        if held.status != "fixing" or held.run_id is None:
            return
        run = await runs.find(connection, engine.org_id, held.run_id)
        if run.ended_at is None:
            return
        about: dict[str, Any] = {"incident_id": str(held.id), "run_id": str(run.id)}
        if run.status == "verified" or (run.status == "unverified" and run.reason == "already_met"):
            await incidents.change(connection, replace(held, status="mended", mended_at=desk.clock(), trouble=""))
            await facts.record(connection, engine, "incident.mended", by="run", **about)
        else:
            why = f"Runbook {held.fix} ended {run.status}: {run.reason or 'no reason'}."
            await incidents.change(connection, replace(held, status="open", trouble=why))
            await facts.record(connection, engine, "incident.fix_failed", reason=run.reason or run.status, **about)


async def _follow_alerts(desk: Desk, engine: Principal, incident: Incident) -> None:
    async with desk.database.org_transaction(engine) as connection:
        held = await incidents.find_for_update(connection, engine.org_id, incident.id)
        if held.status in {"suspected", "open"}:
            await alerting.follow(desk, connection, engine, held)


async def _have_checked(desk: Desk, engine: Principal, incident: Incident) -> None:
    """Wake the journey of each ticket that nobody checks yet; it alone decides what becomes of the ticket."""
    async with desk.database.org_transaction(engine) as connection:
        await incidents.settle_gone(connection, incident, at=desk.clock())
        for ticket_id in await incidents.pending(connection, incident, limit=AT_ONCE, only_unchecked=True):
            ids = {"org_id": engine.org_id, "ticket_id": ticket_id}
            await desk.queue.enqueue(connection, "advance", ids, dedupe_key=f"incident:{ticket_id}")


async def _close(desk: Desk, engine: Principal, incident: Incident) -> None:
    async with desk.database.org_transaction(engine) as connection:
        held = await incidents.find_for_update(connection, engine.org_id, incident.id)
        if held.status not in {"mended", "dismissed"} or held.ended_at is not None:
            return
        if await incidents.pending(connection, held, limit=1):
            return
        status = "closed" if held.status == "mended" else "dismissed"
        await incidents.change(connection, replace(held, status=status, ended_at=desk.clock()))
        if status == "closed":
            counts = (await incidents.counts(connection, engine.org_id, [held.id]))[held.id]
            about: dict[str, Any] = {"tickets": counts.tickets, "clients": counts.clients, "told": counts.told}
            about |= {"mended": counts.mended, "broken": counts.broken, "left": counts.gone}
            await facts.record(connection, engine, "incident.closed", incident_id=str(held.id), **about)


def _slots(runbook: Runbook, given: dict[str, str]) -> dict[str, SlotReading] | str:
    """The run's slots, or why it cannot start: nobody can be asked for what is missing."""
    missing = [slot.name for slot in runbook.slots if slot.is_required and not given.get(slot.name)]
    if missing:
        return f"Runbook {runbook.name} needs {', '.join(missing)}, which the incident does not say."
    return {
        slot.name: SlotReading(slot.name, "read", given[slot.name], source="incident", evidence="", confidence=1.0)
        for slot in runbook.slots
        if given.get(slot.name)
    }
