"""Removing what may not be kept: by age per organization and table, and a contact's text on request."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from asoe.domain.errors import FieldProblem, Invalid
from asoe.store import topics, wishes
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class RetentionSql(NamedQueries):
    closed_tickets: str
    attachments: str
    idempotency_keys: str
    erase_tickets: str
    erase_messages: str
    erase_mails: str
    erase_attachments: str
    erase_escalations: str
    erase_answers: str
    erase_advice: str
    erase_contact: str
    tickets_of_contact: str
    read_tickets: str
    messages_of: str
    attachments_of: str


NOUNS: Final = ("closed_tickets", "attachments", "idempotency_keys")
DEFAULT_DAYS: Final = {"idempotency_keys": 2.0}


def limits(stored: Mapping[str, Any]) -> dict[str, float]:
    """Days to keep per noun: the organization's, over the defaults; raises `Invalid(bad_retention)`."""
    for noun, days in stored.items():
        is_number = isinstance(days, int | float) and not isinstance(days, bool)
        if noun not in NOUNS or not is_number or not 1 <= days <= 36500:
            problem = f"{noun}: name one of {', '.join(NOUNS)} with 1 to 36500 days"
            raise Invalid(
                f"settings.retention_days.{problem}.",
                code="bad_retention",
                fields=(FieldProblem(f"retention_days.{noun}", problem),),
            )
    return {**DEFAULT_DAYS, **{noun: float(days) for noun, days in stored.items()}}


async def remove_older(connection: Connection, org_id: UUID, noun: str, before: datetime) -> int:
    """Delete the organization's rows of `noun` older than `before`; returns how many."""
    return _count(await connection.execute(getattr(RetentionSql, noun), org_id, before))


async def erase_contact(connection: Connection, org_id: UUID, contact_id: UUID) -> list[UUID]:
    """Replace a contact's text and names everywhere; returns its tickets."""
    found = await tickets_of_contact(connection, org_id, contact_id)
    await connection.execute(RetentionSql.erase_tickets, org_id, found)
    await connection.execute(RetentionSql.erase_messages, org_id, found)
    await connection.execute(RetentionSql.erase_mails, org_id, found)
    await connection.execute(RetentionSql.erase_attachments, org_id, found)
    await connection.execute(RetentionSql.erase_escalations, org_id, found)
    await connection.execute(RetentionSql.erase_answers, org_id, found)
    await wishes.erase(connection, org_id, found)
    await connection.execute(RetentionSql.erase_advice, org_id, found)
    await topics.forget(connection, org_id, found)
    await connection.execute(RetentionSql.erase_contact, org_id, contact_id)
    return found


async def tickets_of_contact(connection: Connection, org_id: UUID, contact_id: UUID) -> list[UUID]:
    return [row["id"] for row in await connection.fetch(RetentionSql.tickets_of_contact, org_id, contact_id)]


async def read_tickets(connection: Connection, org_id: UUID, ticket_ids: list[UUID]) -> list[dict[str, Any]]:
    """What the client itself has told or could see of these tickets, oldest first."""
    return [dict(row) for row in await connection.fetch(RetentionSql.read_tickets, org_id, ticket_ids)]


async def messages_of(connection: Connection, org_id: UUID, ticket_ids: list[UUID]) -> list[UUID]:
    """The ids of everything said on these tickets."""
    return [row["id"] for row in await connection.fetch(RetentionSql.messages_of, org_id, ticket_ids)]


async def attachments_of(connection: Connection, org_id: UUID, ticket_ids: list[UUID]) -> list[dict[str, Any]]:
    """What was attached to these tickets, without the bytes."""
    return [dict(row) for row in await connection.fetch(RetentionSql.attachments_of, org_id, ticket_ids)]


def _count(status: str) -> int:
    return int(status.rpartition(" ")[2])
