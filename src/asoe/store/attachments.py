"""Files on tickets, kept in PostgreSQL up to 25 MB each; who sees which is the policies' decision."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from asoe.domain.errors import Missing
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class AttachmentsSql(NamedQueries):
    insert: str
    of_ticket: str
    find: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file without its content; `size` in bytes. `is_internal` ones no client ever sees."""

    id: UUID
    ticket_id: UUID
    name: str
    media_type: str
    size: int
    sha256: bytes
    is_internal: bool
    created_by: UUID | None
    created_at: datetime


async def insert(connection: Connection, org_id: UUID, attachment: Attachment, *, content: bytes) -> None:
    await connection.execute(
        AttachmentsSql.insert,
        org_id,
        attachment.id,
        attachment.ticket_id,
        attachment.name,
        attachment.media_type,
        attachment.size,
        attachment.sha256,
        content,
        attachment.is_internal,
        attachment.created_by,
        attachment.created_at,
    )


async def of_ticket(connection: Connection, org_id: UUID, ticket_id: UUID, *, limit: int = 500) -> list[Attachment]:
    """The ticket's files, oldest first."""
    return [
        Attachment(**dict(row)) for row in await connection.fetch(AttachmentsSql.of_ticket, org_id, ticket_id, limit)
    ]


async def find(connection: Connection, org_id: UUID, attachment_id: UUID) -> tuple[Attachment, bytes]:
    """The file with its content, or `Missing(attachment_missing)` when there is none or it is not the caller's to see."""
    row = await connection.fetchrow(AttachmentsSql.find, org_id, attachment_id)
    if row is None:
        raise Missing(
            f"There is no attachment {attachment_id} here, or it is not yours to see.", code="attachment_missing"
        )
    values: dict[str, Any] = dict(row)
    content: bytes = values.pop("content")
    return Attachment(**values), content
