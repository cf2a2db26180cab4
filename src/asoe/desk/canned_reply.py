"""Canned replies: agents use them, owners and admins write them; filling one in sends nothing."""

from __future__ import annotations

from dataclasses import asdict
from uuid import UUID

from asoe.desk.context import Desk
from asoe.desk.wording import team_name
from asoe.domain import canned_reply as rules
from asoe.domain.canned_reply import CannedReply
from asoe.domain.errors import Denied
from asoe.domain.facts import before_and_after
from asoe.domain.organization import Principal
from asoe.domain.ticket import Ticket
from asoe.store import canned_replies, contacts, directory, facts, organizations, tickets
from asoe.store.db import Connection


async def list_replies(desk: Desk, principal: Principal, *, language: str | None = None) -> list[CannedReply]:
    """By title; with a language only those for it and for every language."""
    _staff_only(principal)
    async with desk.database.org_reading(principal) as connection:
        return await canned_replies.list_all(connection, principal.org_id, language=language)


async def put_reply(
    desk: Desk, principal: Principal, name: str, *, title: str, body: str, language: str | None = None
) -> CannedReply:
    """Add a reply, or replace the one of this name; raises `Invalid(bad_canned_reply)` naming each wrong field."""
    _admin_only(principal)
    rules.check(name=name, title=title, body=body, language=language)
    async with desk.database.org_transaction(principal) as connection:
        known = {each.name: asdict(each) for each in await canned_replies.list_all(connection, principal.org_id)}
        found = await canned_replies.put(
            connection,
            principal.org_id,
            name=name,
            title=title.strip(),
            body=body.strip(),
            language=language,
            by=principal.user_id,
        )
        await facts.record(
            connection,
            principal,
            "canned_reply.changed",
            canned_reply_id=found.id,
            name=name,
            values=before_and_after(known.get(name, {}), asdict(found), ("title", "body", "language")),
        )
        return found


async def remove_reply(desk: Desk, principal: Principal, name: str) -> CannedReply:
    """The one that is gone; raises `Missing(no_canned_reply)`."""
    _admin_only(principal)
    async with desk.database.org_transaction(principal) as connection:
        found = await canned_replies.find(connection, principal.org_id, name)
        await canned_replies.remove(connection, principal.org_id, name)
        await facts.record(connection, principal, "canned_reply.removed", canned_reply_id=found.id, name=name)
    return found


async def fill_in(desk: Desk, principal: Principal, ticket_id: UUID, name: str) -> str:
    """The text for this ticket and this person; raises `Invalid(missing_variable)`, `Missing(no_canned_reply)`."""
    _staff_only(principal)
    async with desk.database.org_reading(principal) as connection:
        ticket = await tickets.find(connection, principal.org_id, ticket_id)
        found = await canned_replies.find(connection, principal.org_id, name)
        return rules.fill(found.body, await _values(connection, principal, ticket))


async def _values(connection: Connection, principal: Principal, ticket: Ticket) -> dict[str, str | None]:
    contact = await contacts.find(connection, ticket.org_id, ticket.contact_id) if ticket.contact_id else None
    names = await directory.names(connection, ticket.org_id, [principal.user_id, ticket.user_id])
    account = await _member(connection, ticket)
    organization = await organizations.read_organization(connection, ticket.org_id)
    own_name = names.get(ticket.user_id) if ticket.user_id else None
    return {
        "client.name": (contact.name if contact else None) or own_name,
        "client.email": (contact.email if contact else None) or account,
        "ticket.number": str(ticket.number),
        "ticket.subject": ticket.subject,
        "agent.name": names.get(principal.user_id),
        "team.name": team_name(ticket.team, ticket.language) if ticket.team else None,
        "organization.name": organization.name,
    }


async def _member(connection: Connection, ticket: Ticket) -> str | None:
    if ticket.user_id is None:
        return None
    found = await organizations.find_member(connection, ticket.org_id, ticket.user_id)
    return None if found is None else found.email


def _staff_only(principal: Principal) -> None:
    if principal.is_client:
        raise Denied("Canned replies are for the support team.", code="staff_only")


def _admin_only(principal: Principal) -> None:
    if principal.role not in {"owner", "admin"}:
        raise Denied("Only an owner or admin writes canned replies.", code="admin_only")
