"""Looking without touching: which runbook a ticket is for and what it finds now, and whether a run's goal still holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from asoe.desk import triage
from asoe.desk.context import Desk, policy_of
from asoe.desk.runbook import matching, shelf, treatment
from asoe.desk.runbook.backtest import rehearse
from asoe.domain.errors import Denied
from asoe.domain.organization import Principal
from asoe.domain.runbook import SlotReading
from asoe.store import runs, sessions, slot_readings, tickets


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A runbook that fits, what it read, and the acts it would do next; `verdict` and `reason` are the rehearsal's."""

    runbook: str
    score: float
    slots: Mapping[str, SlotReading]
    would: tuple[str, ...]
    reason: str
    note: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether the goal of a run's runbook holds when it is read now."""

    is_met: bool
    reason: str
    evidence: Mapping[str, Any]


async def diagnose(desk: Desk, principal: Principal, ticket_id: UUID) -> Diagnosis | None:
    """Find the runbook for a ticket and rehearse it on live reads; None when none fits. Nothing is stored, nothing is done.

    Raises `Denied(staff_only)`: what it reads of the systems of record is the engine's to see, not the client's.
    """
    if principal.is_client:
        raise Denied("Clients may not look into the systems of record.", code="staff_only")
    engine = await desk.engine_of(principal.org_id)
    async with desk.database.org_reading(principal) as connection:
        ticket = await tickets.find(connection, principal.org_id, ticket_id)
        said = await sessions.messages_of_ticket(connection, principal.org_id, ticket_id)
        client = await runs.client_of(connection, principal.org_id, ticket_id)
        policy = await policy_of(connection, principal.org_id)
        library = await shelf.library(connection, principal.org_id)
    found = await treatment.find(
        desk,
        engine,
        ticket,
        triage=triage.readable(ticket),
        question="\n".join(part for part in (ticket.subject, ticket.body or ticket.text) if part),
        messages=said,
        policy=policy,
    )
    if found is None:
        return None
    environment = {
        "ticket": matching.names_of_ticket(ticket),
        "contact": matching.names_of_client(client),
        "slots": found.slots,
        "now": desk.clock(),
    }
    ending, acts = await rehearse(desk, engine, found.runbook, environment=environment, library=library, recorded={})
    would = tuple(f"{act.call.connector}.{act.call.action}" for act in acts)
    return Diagnosis(found.runbook.name, found.score, found.slots, would, ending.reason, ending.note, ending.evidence)


async def verify(desk: Desk, principal: Principal, run_id: UUID) -> Verification:
    """Read the goal of a run's runbook anew, as things are now; raises `Missing(run_missing)`."""
    engine = await desk.engine_of(principal.org_id)
    async with desk.database.org_reading(principal) as connection:
        run = await runs.find(connection, principal.org_id, run_id)
        runbook = await shelf.load(connection, principal.org_id, run.runbook_id, run.version)
    only_its_goal = replace(runbook, slots=(), routine=replace(runbook.routine, steps=()))
    slots = {name: slot_readings.from_json(stored) for name, stored in run.slots.items()}
    environment = {
        "ticket": run.environment.get("ticket") or {},
        "contact": run.environment.get("contact") or {},
        "slots": slots,
        "now": desk.clock(),
    }
    ending, _ = await rehearse(desk, engine, only_its_goal, environment=environment, library={}, recorded={})
    return Verification(ending.reason == "already_met", ending.reason, ending.evidence)
