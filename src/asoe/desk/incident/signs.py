"""What a ticket's failed run says of a cause that others may share; enough clients with one sign make an incident.

A check that the runbook itself calls shared opens one; calls of one system that fail, or runs that only ended alike, make a suspicion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID, uuid4

from asoe.desk.context import Desk
from asoe.desk.runbook.treatment import Report
from asoe.domain.incident import (
    SHARED_REASONS,
    Incident,
    IncidentRules,
    Sign,
    alike_key,
    check_key,
    connector_key,
    intent_key,
    read_incident_rules,
)
from asoe.domain.organization import Principal
from asoe.domain.ticket import Ticket
from asoe.store import facts, incidents, organizations, runs
from asoe.store.db import Connection
from asoe.store.runs import StepRow

_TITLE: Final = 200


def client_key(ticket: Ticket) -> str:
    """Whom a notice is for: all tickets of one client are told as one."""
    return str(ticket.contact_id or ticket.user_id or f"ticket:{ticket.id}")


async def read(desk: Desk, engine: Principal, report: Report) -> tuple[Sign, ...]:
    """The signs of a run that has ended; none when its end is the ticket's own affair."""
    run = report.run
    is_failed = run.status in {"escalated", "failed"} and run.reason in SHARED_REASONS
    if not is_failed or run.mode != "live" or run.ticket_id is None:
        return ()
    async with desk.database.org_reading(engine) as connection:
        steps = await runs.steps(connection, engine.org_id, run.id)
    at = run.ended_at_step or ""
    last = next((step for step in reversed(steps) if step.kind == "observe" and _is_at(step, at)), None)
    if last is not None and run.reason == "incident":
        place = {"connector": last.connector, "action": last.action, "arguments": last.arguments or {}}
        return (Sign(check_key(str(last.connector), str(last.action), last.arguments), place, run.note or ""),)
    if last is not None and _is_unanswered(last):
        return (Sign(connector_key(str(last.connector)), note=f"{last.connector} does not answer as it should."),)
    return (Sign(alike_key(run.runbook_id, str(run.reason), at), note=f"{report.runbook.title}: runs end alike."),)


async def keep(
    desk: Desk, connection: Connection, engine: Principal, ticket: Ticket, *, signs: Sequence[Sign], run_id: UUID | None
) -> None:
    """Keep the signs of a ticket, in the transaction that tells what came of its run; the one too many opens an incident."""
    now = desk.clock()
    rules = read_incident_rules(await organizations.settings(connection, engine.org_id))
    for sign in signs:
        await incidents.sign(
            connection, engine.org_id, ticket.id, sign.key, client_key=client_key(ticket), run_id=run_id, at=now
        )
        needed = rules.clients if sign.is_check else rules.alike
        seen = await incidents.count_signs(connection, engine.org_id, sign.key, since=now - rules.within)
        if seen >= needed:
            await _open(desk, connection, engine, ticket, sign=sign, rules=rules)


async def _open(
    desk: Desk, connection: Connection, engine: Principal, ticket: Ticket, *, sign: Sign, rules: IncidentRules
) -> None:
    """One incident for one cause: an open one stands, a suspicion that a check bears out is confirmed."""
    await incidents.hold_all(connection, engine.org_id)
    now = desk.clock()
    going = await incidents.going(connection, engine.org_id)
    mine = next((each for each in going if sign.key in each.keys), None)
    if mine is None and sign.is_check:
        suspected = (each for each in going if each.status == "suspected")
        mine = next((each for each in suspected if intent_key(ticket.intent or "") in each.keys), None)
    if mine is None:
        made = new(
            engine,
            title=sign.note or "Many tickets have one cause",
            source="checks",
            status="open" if sign.is_check else "suspected",
            keys=(sign.key,),
            place=sign.place,
            opened_at=now,
            since=now - rules.within,
        )
        await add(connection, engine, made)
    elif mine.status == "suspected" and sign.is_check:
        mine = await incidents.find_for_update(connection, engine.org_id, mine.id)
        keys = tuple(dict.fromkeys((*mine.keys, sign.key)))
        confirmed = replace(mine, status="open", keys=keys, place=mine.place or sign.place, confirmed_at=now)
        await incidents.change(connection, confirmed)
        await facts.record(connection, engine, "incident.confirmed", incident_id=str(mine.id), by="checks")


def new(principal: Principal, *, title: str, source: str, status: str, keys: Sequence[str], **more: Any) -> Incident:
    """An incident that is not stored yet."""
    opened_at = more.pop("opened_at")
    return Incident(
        id=uuid4(),
        org_id=principal.org_id,
        number=0,
        title=" ".join(title.split())[:_TITLE],
        source=source,
        status=status,
        keys=tuple(keys),
        place=more.pop("place", {}),
        known=more.pop("known", ""),
        fix=more.pop("fix", ""),
        slots=more.pop("slots", {}),
        run_id=None,
        trouble="",
        opened_by=principal.user_id,
        opened_at=opened_at,
        since=more.pop("since", opened_at),
        confirmed_at=None if status == "suspected" else opened_at,
    )


async def add(connection: Connection, principal: Principal, incident: Incident) -> Incident:
    """Store it with its fact; the caller holds `hold_all`."""
    stored = await incidents.insert(connection, incident)
    about: dict[str, Any] = {
        "incident_id": str(stored.id),
        "number": stored.number,
        "source": stored.source,
        "status": stored.status,
    }
    await facts.record(connection, principal, "incident.opened", **about)
    return stored


def _is_at(step: StepRow, at: str) -> bool:
    return step.path == at or step.path.startswith((f"{at}/", f"{at}~"))


def _is_unanswered(step: StepRow) -> bool:
    told = step.told if isinstance(step.told, dict) else {}
    return bool(told.get("error")) and not told.get("is_missing")
