"""Privacy: everything an organization holds of one client, handed out or erased. Counts and ids stay."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from uuid import UUID

from asoe.desk.context import Desk
from asoe.domain.errors import Denied, Missing
from asoe.domain.organization import Principal
from asoe.domain.people import Contact
from asoe.store import audit, contacts, facts, idempotency, retention, sessions
from asoe.store.db import Connection


async def export_contact(desk: Desk, principal: Principal, contact_id: UUID) -> dict[str, Any]:
    """The contact, its tickets and every visible message, as plain values; admins only."""
    _admin_only(principal)
    async with desk.database.org_transaction(principal) as connection:
        contact = await _contact(connection, principal, contact_id)
        ids = await retention.tickets_of_contact(connection, principal.org_id, contact_id)
        found = await retention.read_tickets(connection, principal.org_id, ids)
        said: dict[UUID, list[dict[str, Any]]] = {}
        for message in await sessions.messages_of_tickets(connection, principal.org_id, ids):
            if not message.is_internal:
                shown = {"at": message.created_at, "role": message.role, "content": message.content}
                said.setdefault(message.ticket_id, []).append(shown)
        files = await retention.attachments_of(connection, principal.org_id, ids)
        await facts.record(connection, principal, "ticket.exported", contact_id=str(contact_id), tickets=len(ids))
    return {
        "contact": asdict(contact),
        "tickets": [{**ticket, "messages": said.get(ticket["id"], [])} for ticket in found],
        "attachments": files,
    }


async def erase_contact(desk: Desk, principal: Principal, contact_id: UUID) -> int:
    """Erase a contact's text, names and files for good; returns the number of its tickets. Admins only."""
    _admin_only(principal)
    async with desk.database.org_transaction(principal) as connection:
        await audit.hold_seal(connection, principal.org_id)
        await _contact(connection, principal, contact_id)
        erased = await retention.erase_contact(connection, principal.org_id, contact_id)
        await audit.destroy_salt(connection, principal.org_id, contact_id)
        said = await retention.messages_of(connection, principal.org_id, erased)
        await facts.record(connection, principal, "contact.erased", contact_id=str(contact_id), tickets=len(erased))
    # remembered responses hold the text too, and only the engine sees those of every account
    async with desk.database.org_transaction(await desk.engine_of(principal.org_id)) as connection:
        await idempotency.forget(connection, principal.org_id, [contact_id, *erased, *said])
    return len(erased)


async def _contact(connection: Connection, principal: Principal, contact_id: UUID) -> Contact:
    found = await contacts.find(connection, principal.org_id, contact_id)
    if found is None:
        raise Missing(f"There is no contact {contact_id} here.", code="contact_missing")
    return found


def _admin_only(principal: Principal) -> None:
    if principal.role not in {"owner", "admin"}:
        raise Denied("Only an owner or admin exports or erases a client's data.", code="admin_only")
