"""What a client does in the widget, and what it sees there: its own conversations, and of those what is meant for it.

The engine's account acts for the client; every function first asks whether the ticket is the client's. The rest is the
desk's: intake, session, attachment, and the journey that answers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from asoe.desk import attachment, intake, session
from asoe.desk.client_identity import blocked
from asoe.desk.context import Desk
from asoe.desk.intake import NewContact, NewTicket
from asoe.desk.wording import say
from asoe.domain.errors import Conflict, Missing
from asoe.domain.organization import Principal
from asoe.domain.people import Contact
from asoe.domain.session import Message
from asoe.domain.ticket import Ticket
from asoe.domain.widget import Client
from asoe.store import attachments, presences, sessions, tickets, widgets
from asoe.store.attachments import Attachment
from asoe.store.db import Connection
from asoe.store.widgets import Glance

MAX_CONVERSATIONS: Final = 30
MAX_MESSAGES: Final = 500
ANSWERS: Final = ("yes", "no")
State = Literal["thinking", "yours", "with_person", "waiting", "ended"]
RememberMessage = Callable[[Connection, Message], Awaitable[None]]
RememberFile = Callable[[Connection, Attachment], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A ticket as its client sees it. `may_rate`: the last that was said is an answer nobody has judged yet; `may_answer`: or a
    question that one of these words answers.

    `team_writes`: somebody of the team is writing to the client just now.
    """

    id: UUID
    number: int
    session_id: UUID
    state: State
    language: str
    may_rate: bool
    may_answer: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    messages: tuple[Message, ...]
    files: tuple[Attachment, ...]
    engine_id: UUID
    team_writes: bool


def state_of(ticket: Ticket | Glance, *, is_persons: bool = False) -> State:
    """Whose turn it is."""
    if ticket.status in {"resolved", "closed"}:
        return "ended"
    if ticket.status == "escalated" or ticket.waiting_for == "person" or is_persons:
        return "with_person"
    if ticket.waiting_for == "client":
        return "yours"
    return "waiting" if ticket.waiting_for else "thinking"


async def conversations(desk: Desk, engine: Principal, client: Client) -> list[Glance]:
    """The client's own, newest first."""
    async with desk.database.org_reading(engine) as connection:
        contact = await _contact(connection, client)
        if contact is None:
            return []
        return await widgets.conversations(connection, client.org_id, contact.id, limit=MAX_CONVERSATIONS)


async def open_conversation(
    desk: Desk, engine: Principal, client: Client, text: str, *, page: str = "", wants_person: bool = False
) -> Conversation:
    """Open a ticket with the client's words. The same words within ten minutes are the same conversation."""
    async with desk.database.org_reading(engine) as connection:
        contact = await _contact(connection, client)
    if contact is None and client.visitor is None:
        raise _gone()
    who = NewContact(external_id=client.external_id) if contact is None else _named(contact)
    new = NewTicket(
        body=text,
        channel="widget",
        contact=who,
        metadata={"page": page} if page else {},
        said="wants_person" if wants_person else None,
    )
    opened = await intake.open_ticket(desk, engine, new)
    return await read_conversation(desk, engine, client, opened.id)


async def read_conversation(desk: Desk, engine: Principal, client: Client, ticket_id: UUID) -> Conversation:
    """Raises `Missing(conversation_missing)` for what is not the client's own."""
    async with desk.database.org_reading(engine) as connection:
        ticket = await _own(connection, client, ticket_id)
        parts = await sessions.of_ticket(connection, client.org_id, ticket_id)
        said = await sessions.messages_of_ticket(connection, client.org_id, ticket_id, limit=MAX_MESSAGES)
        files = await attachments.of_ticket(connection, client.org_id, ticket_id)
        writers = await presences.writers(connection, client.org_id, ticket_id)
    seen = tuple(message for message in said if not message.is_internal)
    is_persons = any(part.is_ai_quiet for part in parts)
    return Conversation(
        id=ticket.id,
        number=ticket.number,
        session_id=ticket.session_id or parts[0].id,
        state=state_of(ticket, is_persons=is_persons),
        language=ticket.language,
        may_rate=_may_rate(ticket, seen, is_persons=is_persons),
        may_answer=_may_answer(ticket, seen, is_persons=is_persons),
        created_at=ticket.created_at,
        updated_at=ticket.updated_at,
        messages=seen,
        files=tuple(file for file in files if not file.is_internal),
        engine_id=engine.user_id,
        team_writes=writers.team,
    )


async def tell_writing(desk: Desk, engine: Principal, client: Client, ticket_id: UUID, *, is_writing: bool) -> None:
    """The client begins, goes on (said again every ten seconds) or stops writing; never what."""
    async with desk.database.org_transaction(engine) as connection:
        await _own(connection, client, ticket_id)
        if is_writing:
            await presences.tell(connection, client.org_id, ticket_id, engine.user_id, "writing")
        else:
            await presences.leave(connection, client.org_id, ticket_id, engine.user_id)


async def add_message(
    desk: Desk,
    engine: Principal,
    client: Client,
    ticket_id: UUID,
    text: str,
    *,
    remember: RememberMessage | None = None,
) -> Message:
    """The client writes; what has ended begins again, as its journey sees fit."""
    ticket = await _read_own(desk, engine, client, ticket_id)
    return await session.add_message(desk, engine, _session_of(ticket), "user", text, remember=remember)


async def rate(
    desk: Desk,
    engine: Principal,
    client: Client,
    ticket_id: UUID,
    *,
    helped: bool,
    language: str,
    remember: RememberMessage | None = None,
) -> Message:
    """Did the answer help? The journey hears it as the client's own words. Raises `Conflict(nothing_to_rate)`."""
    found = await read_conversation(desk, engine, client, ticket_id)
    if not found.may_rate:
        raise Conflict("There is no answer that waits for your word; write what you need.", code="nothing_to_rate")
    meaning = "helped" if helped else "did_not_help"
    text = say(f"client_{meaning}", language)
    return await session.add_message(desk, engine, found.session_id, "user", text, said=meaning, remember=remember)


async def ask_for_person(
    desk: Desk,
    engine: Principal,
    client: Client,
    ticket_id: UUID,
    *,
    language: str,
    remember: RememberMessage | None = None,
) -> Message:
    """A person gets the conversation, whatever the engine thinks of it."""
    ticket = await _read_own(desk, engine, client, ticket_id)
    text = say("client_wants_person", language)
    return await session.add_message(
        desk, engine, _session_of(ticket), "user", text, said="wants_person", remember=remember
    )


async def attach(
    desk: Desk,
    engine: Principal,
    client: Client,
    ticket_id: UUID,
    *,
    name: str,
    media_type: str,
    content: bytes,
    remember: RememberFile | None = None,
) -> Attachment:
    await _read_own(desk, engine, client, ticket_id)
    return await attachment.attach(
        desk, engine, ticket_id, name=name, media_type=media_type, content=content, remember=remember
    )


async def read_file(
    desk: Desk, engine: Principal, client: Client, ticket_id: UUID, file_id: UUID
) -> tuple[Attachment, bytes]:
    """Raises `Missing(attachment_missing)` also for files of other conversations, and for internal ones."""
    await _read_own(desk, engine, client, ticket_id)
    found, content = await attachment.read_attachment(desk, engine, file_id)
    if found.ticket_id != ticket_id or found.is_internal:
        raise Missing(f"There is no attachment {file_id} here, or it is not yours to see.", code="attachment_missing")
    return found, content


async def _read_own(desk: Desk, engine: Principal, client: Client, ticket_id: UUID) -> Ticket:
    async with desk.database.org_reading(engine) as connection:
        return await _own(connection, client, ticket_id)


async def _own(connection: Connection, client: Client, ticket_id: UUID) -> Ticket:
    contact = await _contact(connection, client)
    try:
        ticket = await tickets.find(connection, client.org_id, ticket_id)
    except Missing:
        raise _missing(ticket_id) from None
    if contact is None or ticket.contact_id != contact.id or ticket.is_spam:
        raise _missing(ticket_id)
    return ticket


async def _contact(connection: Connection, client: Client) -> Contact | None:
    """The client's contact; None for a visitor who has said nothing yet, and for one who was erased."""
    found = await widgets.find_contact(
        connection, client.org_id, contact_id=client.contact_id, external_id=client.external_id
    )
    if found is not None and found.blocked_at is not None:
        raise blocked()
    return found


def _named(contact: Contact) -> NewContact:
    """So that intake finds this contact, and makes no other."""
    if contact.external_id:
        return NewContact(external_id=contact.external_id)
    return NewContact(email=contact.email, phone=None if contact.email else contact.phone)


def _session_of(ticket: Ticket) -> UUID:
    if ticket.session_id is None:
        raise _missing(ticket.id)
    return ticket.session_id


def _may_rate(ticket: Ticket, said: tuple[Message, ...], *, is_persons: bool) -> bool:
    if not said or said[-1].role != "assistant" or not said[-1].data.get("citations"):
        return False
    stored: dict[str, Any] = ticket.resolution
    return not is_persons and ticket.waiting_for in {"client", None} and stored.get("verdict") == "answered"


def _may_answer(ticket: Ticket, said: tuple[Message, ...], *, is_persons: bool) -> tuple[str, ...]:
    if not said or said[-1].role != "assistant" or is_persons or ticket.waiting_for != "client":
        return ()
    answers = (said[-1].data.get("asks") or {}).get("answers", ())
    return tuple(word for word in answers if word in ANSWERS)


def _missing(ticket_id: UUID) -> Missing:
    return Missing(f"There is no conversation {ticket_id} of yours here.", code="conversation_missing")


def _gone() -> Missing:
    return Missing("What was known of you was erased. Start anew.", code="contact_missing")
