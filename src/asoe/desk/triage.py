"""Triage: what the models say about a ticket, settled with what the caller said."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final
from uuid import UUID

from asoe.desk.champion import judge_text
from asoe.desk.context import Desk
from asoe.domain.errors import Invalid
from asoe.domain.organization import Principal
from asoe.domain.ticket import SEVERITY_RANK, Ticket
from asoe.domain.triage import Triage
from asoe.store import facts, tickets

SURE: Final = 0.6
"""Calibrated confidence from which the model may overrule the category a caller gave."""


async def judge(desk: Desk, ticket: Ticket) -> Triage | None:
    """Judge a ticket's text; None when it has none."""
    if not ticket.text:
        return None
    if ticket.subject or ticket.body:
        return await judge_text(desk, ticket.org_id, ticket.subject, ticket.body)
    return await judge_text(desk, ticket.org_id, "", ticket.text)


def settle_category(given: str | None, triage: Triage | None) -> str:
    """The caller's category stands unless the model is sure of another one; both stay readable in `triage`."""
    if triage is None:
        return given or "general"
    if given is None or triage.category.confidence >= SURE:
        return triage.category.value
    return given


def settle_severity(given: str | None, triage: Triage | None) -> str:
    """Triage may raise what the caller said, never lower it: a person may know what the text does not say."""
    if triage is None:
        return given or "medium"
    if given is None:
        return triage.severity.value
    return max(given, triage.severity.value, key=SEVERITY_RANK.__getitem__)


def stored(ticket: Ticket) -> Triage | None:
    """The triage a ticket carries, or None when it has not been judged yet."""
    return Triage.from_json(ticket.triage) if "model_version" in ticket.triage else None


def readable(ticket: Ticket) -> Triage | None:
    """`stored`, or None where it cannot be read: whoever decides on it judges anew."""
    try:
        return stored(ticket)
    except Invalid:
        return None


def changes(ticket: Ticket, triage: Triage, *, corrected: Collection[str] = ()) -> dict[str, Any]:
    """The columns that a new judgement sets on an existing ticket; what people `corrected` is left as it is."""
    kept: dict[str, Any] = {name: ticket.triage[name] for name in ("given", "given_by") if name in ticket.triage}
    given: dict[str, str] = kept.get("given", {})
    severity = None if kept.get("given_by") == "client" else given.get("severity")
    columns = {
        "category": settle_category(given.get("category"), triage),
        "severity": settle_severity(severity, triage),
        "intent": triage.intent.value,
        "language": triage.language,
        "triage": {**triage.to_json(), **kept},
    }
    return {name: value for name, value in columns.items() if name not in corrected}


async def retriage(desk: Desk, engine: Principal, ticket_id: UUID) -> Ticket:
    """Judge a ticket again and store it; fields that people corrected are left as they are."""
    async with desk.database.org_reading(engine) as connection:
        ticket = await tickets.find(connection, engine.org_id, ticket_id)
    judged = await judge(desk, ticket)
    if judged is None:
        return ticket
    async with desk.database.org_transaction(engine) as connection:
        held = await tickets.find_for_update(connection, engine.org_id, ticket_id)
        corrected = await tickets.corrected_fields(connection, engine.org_id, ticket_id)
        columns = changes(held, judged, corrected=corrected)
        if held.status == "triaging":
            columns["status"] = "open"
        changed = await tickets.update(connection, held, columns)
        await facts.record(
            connection,
            engine,
            "ticket.triaged",
            ticket_id=ticket_id,
            category=changed.category,
            severity=changed.severity,
            intent=changed.intent,
        )
        return changed
