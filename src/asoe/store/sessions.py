"""Sessions and their messages. A message gets its seq under the session's lock."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from asoe.domain.errors import Missing
from asoe.domain.session import Message, Session
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class SessionsSql(NamedQueries):
    insert: str
    find: str
    of_ticket: str
    add: str
    begin: str
    messages: str
    messages_of_ticket: str
    messages_of_tickets: str
    set_assistant: str
    set_assistant_of_ticket: str
    set_resolved: str
    set_resolved_of_ticket: str
    mirror_differs: str


async def insert(connection: Connection, session: Session) -> None:
    await connection.execute(
        SessionsSql.insert, session.id, session.ticket_id, session.assistant_type, session.created_at
    )


async def find(connection: Connection, org_id: UUID, session_id: UUID) -> Session:
    """The session, or `Missing(session_missing)` when it does not exist or is not the caller's to see."""
    row = await connection.fetchrow(SessionsSql.find, org_id, session_id)
    if row is None:
        raise Missing(f"There is no session {session_id} here, or it is not yours to see.", code="session_missing")
    return Session(**dict(row))


async def of_ticket(connection: Connection, org_id: UUID, ticket_id: UUID) -> list[Session]:
    """The ticket's sessions, oldest first."""
    return [Session(**dict(row)) for row in await connection.fetch(SessionsSql.of_ticket, org_id, ticket_id)]


async def add(
    connection: Connection,
    org_id: UUID,
    session: Session,
    *,
    role: str,
    content: str,
    author: UUID | None,
    is_internal: bool = False,
    data: dict[str, Any] | None = None,
) -> Message:
    """Append a message; concurrent ones wait for the session's lock and all get their own seq."""
    message_id = uuid4()
    row = await connection.fetchrow(
        SessionsSql.add,
        org_id,
        message_id,
        session.id,
        session.ticket_id,
        role,
        content,
        author,
        is_internal,
        data or {},
    )
    return Message(
        id=message_id,
        session_id=session.id,
        ticket_id=session.ticket_id,
        seq=row["seq"],
        role=role,
        content=content,
        created_at=row["created_at"],
        author=author,
        is_internal=is_internal,
        data=data or {},
    )


async def begin(
    connection: Connection,
    org_id: UUID,
    session: Session,
    *,
    role: str,
    content: str,
    author: UUID | None,
    data: dict[str, Any] | None = None,
) -> None:
    """Insert a session with its first message, in one round trip."""
    await connection.execute(
        SessionsSql.begin,
        org_id,
        uuid4(),
        session.id,
        session.ticket_id,
        role,
        content,
        author,
        session.assistant_type,
        session.created_at,
        data or {},
    )


async def messages(
    connection: Connection, org_id: UUID, session_id: UUID, *, after_seq: int = 0, limit: int = 500
) -> list[Message]:
    """Messages behind `after_seq`, in order; what the caller may not see is not there."""
    rows = await connection.fetch(SessionsSql.messages, org_id, session_id, after_seq, limit)
    return [Message(**dict(row)) for row in rows]


async def messages_of_ticket(
    connection: Connection, org_id: UUID, ticket_id: UUID, *, limit: int = 500
) -> list[Message]:
    """The newest messages of a ticket over its sessions, in order of time."""
    rows = await connection.fetch(SessionsSql.messages_of_ticket, org_id, ticket_id, limit)
    return [Message(**dict(row)) for row in reversed(rows)]


async def messages_of_tickets(connection: Connection, org_id: UUID, ticket_ids: list[UUID]) -> list[Message]:
    """Every message of these tickets, in order of time."""
    rows = await connection.fetch(SessionsSql.messages_of_tickets, org_id, ticket_ids)
    return [Message(**dict(row)) for row in rows]


async def set_assistant(connection: Connection, session_id: UUID, assistant_type: str) -> None:
    await connection.execute(SessionsSql.set_assistant, session_id, assistant_type)


async def set_assistant_of_ticket(connection: Connection, ticket_id: UUID, assistant_type: str) -> None:
    """The same for every session of the ticket."""
    await connection.execute(SessionsSql.set_assistant_of_ticket, ticket_id, assistant_type)


async def set_resolved(connection: Connection, session_id: UUID, *, resolved: bool) -> None:
    await connection.execute(SessionsSql.set_resolved, session_id, resolved)


async def set_resolved_of_ticket(connection: Connection, ticket_id: UUID, *, resolved: bool) -> None:
    """The same for every session of the ticket."""
    await connection.execute(SessionsSql.set_resolved_of_ticket, ticket_id, resolved)


async def mirror_differs(connection: Connection) -> list[UUID]:
    """Sessions whose `messages` column is not what the rows say: always none (a law test asks)."""
    return [row["id"] for row in await connection.fetch(SessionsSql.mirror_differs)]


def new_session(ticket_id: UUID, *, assistant_type: str, at: datetime) -> Session:
    """A session value that is not stored yet."""
    return Session(id=uuid4(), ticket_id=ticket_id, assistant_type=assistant_type, resolved=False, created_at=at)
