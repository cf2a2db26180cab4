"""Contacts: clients known only by address. Who they are is decided by the identifiers they come with, surest first."""

from __future__ import annotations

from uuid import UUID

from asoe.domain.errors import FieldProblem, Invalid, Unavailable
from asoe.domain.people import Contact, clean_email, clean_phone
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries

_TRIES = 3


class ContactsSql(NamedQueries):
    find_or_create: str
    find: str
    set_blocked: str
    list_contacts: str
    set_plan: str


async def find_or_create(
    connection: Connection,
    org_id: UUID,
    *,
    email: str | None = None,
    phone: str | None = None,
    external_id: str | None = None,
    name: str | None = None,
    language: str | None = None,
) -> Contact:
    """The contact with one of these identifiers, or a new one; raises `Invalid` when there is none to go by.

    One statement; repeated only when another transaction made the same contact in the meantime.
    """
    email = clean_email(email) if email else None
    phone = clean_phone(phone) if phone else None
    external_id = (external_id or "").strip() or None
    if email is None and phone is None and external_id is None:
        problem = "A contact needs one of email, phone and external_id."
        raise Invalid(problem, code="contact_without_address", fields=(FieldProblem("contact", problem),))
    for _ in range(_TRIES):
        row = await connection.fetchrow(
            ContactsSql.find_or_create, org_id, email, phone, external_id, (name or "").strip()[:200], language
        )
        if row is not None:
            return Contact(**row)
    raise Unavailable("The contact is being changed elsewhere. Try again.", code="contact_busy", retry_after=1)


async def find(connection: Connection, org_id: UUID, contact_id: UUID) -> Contact | None:
    row = await connection.fetchrow(ContactsSql.find, org_id, contact_id)
    return None if row is None else Contact(**row)


async def set_blocked(connection: Connection, org_id: UUID, contact_id: UUID, *, blocked: bool) -> Contact | None:
    """None when there is no such contact."""
    row = await connection.fetchrow(ContactsSql.set_blocked, org_id, contact_id, blocked)
    return None if row is None else Contact(**row)


async def set_plan(connection: Connection, org_id: UUID, contact_id: UUID, plan: str | None) -> Contact | None:
    """None when there is no such contact."""
    row = await connection.fetchrow(ContactsSql.set_plan, org_id, contact_id, plan)
    return None if row is None else Contact(**row)


async def list_contacts(
    connection: Connection,
    org_id: UUID,
    *,
    blocked: bool | None = None,
    email: str | None = None,
    after: UUID | None = None,
    limit: int = 100,
) -> list[Contact]:
    """A page in order of id; the next begins after the last `id`."""
    wanted = clean_email(email) if email else None
    rows = await connection.fetch(ContactsSql.list_contacts, org_id, blocked, wanted, after, limit)
    return [Contact(**row) for row in rows]
