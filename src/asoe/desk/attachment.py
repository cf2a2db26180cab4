"""Files on tickets: what may be attached, by whom, and reading them back. They are kept, never looked into."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID, uuid4

from asoe.desk.context import Desk
from asoe.domain.errors import Denied, FieldProblem, Invalid
from asoe.domain.organization import Principal
from asoe.store import attachments, facts, tickets
from asoe.store.attachments import Attachment
from asoe.store.db import Connection

MAX_BYTES: Final = 25 * 1024 * 1024
_MAX_NAME: Final = 200
_UNSAFE: Final = re.compile(r"[^\w .,+@()\[\]-]")
_MEDIA_TYPE: Final = re.compile(r"^[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,63}$", re.ASCII)
Remember = Callable[[Connection, Attachment], Awaitable[None]]


async def attach(
    desk: Desk,
    principal: Principal,
    ticket_id: UUID,
    *,
    name: str,
    media_type: str,
    content: bytes,
    is_internal: bool = False,
    remember: Remember | None = None,
) -> Attachment:
    """Attach a file to a ticket the principal may see; raises `Invalid(empty_file | file_too_large)`."""
    if is_internal and principal.is_client:
        raise Denied("is_internal: a client's files are visible to the client.", code="staff_only")
    if not content:
        raise _wrong("The file is empty.", code="empty_file")
    if len(content) > MAX_BYTES:
        raise _wrong(f"The file is larger than {MAX_BYTES // 1024 // 1024} MB.", code="file_too_large")
    attachment = Attachment(
        id=uuid4(),
        ticket_id=ticket_id,
        name=safe_name(name),
        media_type=media_type.lower() if _MEDIA_TYPE.match(media_type.lower()) else "application/octet-stream",
        size=len(content),
        sha256=hashlib.sha256(content).digest(),
        is_internal=is_internal,
        created_by=principal.user_id,
        created_at=desk.clock(),
    )
    async with desk.database.org_transaction(principal) as connection:
        await tickets.find(connection, principal.org_id, ticket_id)
        await attachments.insert(connection, principal.org_id, attachment, content=content)
        await facts.record(
            connection,
            principal,
            "attachment.added",
            ticket_id=ticket_id,
            attachment_id=str(attachment.id),
            size=attachment.size,
            is_internal=is_internal,
        )
        if remember is not None:
            await remember(connection, attachment)
    return attachment


async def list_attachments(desk: Desk, principal: Principal, ticket_id: UUID) -> list[Attachment]:
    async with desk.database.org_reading(principal) as connection:
        await tickets.find(connection, principal.org_id, ticket_id)
        return await attachments.of_ticket(connection, principal.org_id, ticket_id)


async def read_attachment(desk: Desk, principal: Principal, attachment_id: UUID) -> tuple[Attachment, bytes]:
    async with desk.database.org_reading(principal) as connection:
        return await attachments.find(connection, principal.org_id, attachment_id)


def safe_name(name: str) -> str:
    """The last part of a path, without what a file system or a header could take for more than a name."""
    last = re.split(r"[/\\]", name)[-1]
    cleaned = _UNSAFE.sub("_", last).strip(" .")
    return cleaned[-_MAX_NAME:].lstrip(" .") or "file"


def _wrong(problem: str, *, code: str) -> Invalid:
    return Invalid(problem, code=code, fields=(FieldProblem("file", problem),))
