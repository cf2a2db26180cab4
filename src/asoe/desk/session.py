"""One live turn: messages, taking over, handing back. The engine is quiet from the moment a person speaks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from asoe.desk import certificate, ending
from asoe.desk.context import Desk, plain, policy_of, unstorable
from asoe.desk.moves import path_to, walk
from asoe.desk.outcome import with_verdict
from asoe.domain.errors import Conflict, Denied, FieldProblem, Invalid
from asoe.domain.mention import Colleague, mentioned
from asoe.domain.organization import Principal
from asoe.domain.session import (
    ASSISTANT_TYPES,
    MAX_MESSAGE_BYTES,
    MESSAGE_ROLES,
    NOTED_BY_STAFF,
    ROLES_OF_ENGINE,
    Message,
    Session,
)
from asoe.domain.ticket import Ticket
from asoe.store import directory, escalations, facts, journeys, sessions, tickets
from asoe.store.db import Connection

MAX_UNREAD: Final = 500
Remember = Callable[[Connection, Message], Awaitable[None]]


async def start_session(desk: Desk, principal: Principal, ticket_id: UUID, assistant_type: str = "ai") -> Session:
    """Start a further session on a ticket; only staff may start one that keeps the engine quiet, which takes it over."""
    if assistant_type not in ASSISTANT_TYPES:
        raise Invalid(
            f"assistant_type: {assistant_type!r} is not one of {', '.join(ASSISTANT_TYPES)}.",
            code="invalid_session",
            fields=(FieldProblem("assistant_type", f"not one of {', '.join(ASSISTANT_TYPES)}"),),
        )
    if principal.is_client and assistant_type != "ai":
        raise Denied(
            "assistant_type: a client's session starts with the engine; ask for a person in it.", code="staff_only"
        )
    async with desk.database.org_transaction(principal) as connection:
        is_taken = assistant_type != "ai"
        find = tickets.find_for_update if is_taken else tickets.find
        ticket = await find(connection, principal.org_id, ticket_id)
        session = sessions.new_session(ticket.id, assistant_type=assistant_type, at=desk.clock())
        await sessions.insert(connection, session)
        if is_taken:
            await _to_person(connection, principal, ticket, waiting_for="person")
        await facts.record(
            connection,
            principal,
            "session.started",
            ticket_id=ticket_id,
            session_id=session.id,
            assistant_type=assistant_type,
        )
        return session


async def read_session(
    desk: Desk, principal: Principal, session_id: UUID, *, after_seq: int = 0
) -> tuple[Session, list[Message]]:
    """The session and what was said behind `after_seq`; a client sees no internal notes."""
    async with desk.database.org_reading(principal) as connection:
        session = await sessions.find(connection, principal.org_id, session_id)
        return session, await sessions.messages(
            connection, principal.org_id, session_id, after_seq=after_seq, limit=MAX_UNREAD
        )


async def add_message(
    desk: Desk,
    principal: Principal,
    session_id: UUID,
    role: str,
    content: str,
    *,
    is_internal: bool = False,
    said: str | None = None,
    seen_seq: int | None = None,
    is_relayed: bool = False,
    remember: Remember | None = None,
) -> Message:
    """Append a message; concurrent ones are all kept, in order. `remember` runs in the same transaction, last.

    A client's message wakes the journey; an agent's makes the session hybrid, so that the engine is quiet. `said` is what
    the client meant by it, where a button told: nothing is read out of the words then. `seen_seq` is the last the writer has
    seen: when more was said since, nothing is added, and `Conflict(conversation_moved)` says so. `is_relayed`: staff vouches
    that these are the client's own words; only then does a yes in them count.
    """
    _check(principal, role, content, is_internal=is_internal)
    async with desk.database.org_transaction(principal) as connection:
        session = await sessions.find(connection, principal.org_id, session_id)
        is_persons = role == "agent" and not is_internal
        # a ticket is held before its session, by everybody: the other order would be a deadlock
        find = tickets.find_for_update if is_persons else tickets.find
        ticket = await find(connection, principal.org_id, session.ticket_id)
        await _refuse_ended(desk, connection, principal, ticket, role=role)
        is_noted = role == "user" and principal.is_staff_for(ticket.user_id)
        marks = {"said": said} if said else {}
        message = await sessions.add(
            connection,
            principal.org_id,
            session,
            role=role,
            content=content,
            author=None if principal.is_engine and role == "user" else principal.user_id,
            is_internal=is_internal,
            data=marks | ({NOTED_BY_STAFF: True} if is_noted and not is_relayed else {}) or None,
        )
        if seen_seq is not None:
            await _refuse_unseen(connection, principal, message, seen_seq)
        mentions = await _mentioned(connection, principal, content) if is_internal else ()
        await facts.record(
            connection,
            principal,
            "note.added" if is_internal else "message.added",
            ticket_id=ticket.id,
            session_id=session.id,
            role=role,
            seq=message.seq,
            **({"relayed": True} if is_noted and is_relayed else {}),
        )
        for user_id in mentions:
            await facts.record(
                connection, principal, "member.mentioned", ticket_id=ticket.id, session_id=session.id, user_id=user_id
            )
        if role == "user" and not is_internal:
            await desk.queue.advance(connection, principal.org_id, ticket.id)
        elif is_persons:
            await _person_speaks(desk, connection, principal, session, ticket)
            if _is_person(principal):
                await certificate.compare_reply(connection, principal, ticket.id, content)
        if remember is not None:
            await remember(connection, message)
        return message


async def add_note(desk: Desk, principal: Principal, ticket_id: UUID, content: str) -> Message:
    """An internal note on the ticket's newest session; clients never see it."""
    if principal.is_client:
        raise Denied("Clients write messages, not internal notes.", code="staff_only")
    async with desk.database.org_reading(principal) as connection:
        await tickets.find(connection, principal.org_id, ticket_id)
        found = await sessions.of_ticket(connection, principal.org_id, ticket_id)
    session = found[-1] if found else await start_session(desk, principal, ticket_id, "hybrid")
    return await add_message(desk, principal, session.id, "agent", content, is_internal=True)


async def take_over(desk: Desk, principal: Principal, session_id: UUID) -> Session:
    """A person takes the session: the engine is quiet, the ticket is theirs, whoever had it before."""
    _staff_only(principal)
    async with desk.database.org_transaction(principal) as connection:
        session = await sessions.find(connection, principal.org_id, session_id)
        ticket = await tickets.find_for_update(connection, principal.org_id, session.ticket_id)
        await sessions.set_assistant(connection, session.id, "hybrid")
        mine = {"assignee": principal.user_id} if _is_person(principal) else {}
        changed = await _to_person(connection, principal, ticket, waiting_for="person", more=mine)
        if changed.assignee != ticket.assignee:
            await facts.record(
                connection,
                principal,
                "ticket.assigned",
                ticket_id=ticket.id,
                assignee=plain(changed.assignee),
                team=changed.team,
            )
        await _tell(connection, principal, "session.taken_over", session)
        return replace(session, assistant_type="hybrid")


async def hand_back(desk: Desk, principal: Principal, session_id: UUID) -> Session:
    """A person gives the session back: the engine looks at the ticket anew, and speaks in all of its sessions.

    Nothing happens where the engine has the ticket and is about to look at it.
    """
    _staff_only(principal)
    async with desk.database.org_transaction(principal) as connection:
        session = await sessions.find(connection, principal.org_id, session_id)
        ticket = await tickets.find_for_update(connection, principal.org_id, session.ticket_id)
        if session.assistant_type == "ai" and ticket.status == "triaging" and ticket.waiting_for is None:
            return session
        await sessions.set_assistant_of_ticket(connection, ticket.id, "ai")
        if ticket.status not in {"resolved", "closed"}:
            path = path_to(ticket.status, "triaging")
            await walk(connection, ticket, path, {"waiting_for": None})
            await escalations.end(connection, principal.org_id, ticket.id)
            await journeys.place(connection, principal.org_id, ticket.id, "resolve", knows_all=True)
            await desk.queue.advance(connection, principal.org_id, ticket.id)
        await _tell(connection, principal, "session.handed_back", session)
        return replace(session, assistant_type="ai")


async def resolve_session(desk: Desk, principal: Principal, session_id: UUID) -> Session:
    """Mark the session as resolved, and its ticket with it.

    By the client this is a confirmation (verified by the client's word); by staff it is unverified.
    """
    async with desk.database.org_reading(principal) as connection:
        session = await sessions.find(connection, principal.org_id, session_id)
    # clients change no row themselves: the engine acts on the word of the one who was just seen to own the session
    actor = await desk.engine_of(principal.org_id) if principal.is_client else principal
    async with desk.database.org_transaction(actor) as connection:
        ticket = await tickets.find_for_update(connection, principal.org_id, session.ticket_id)
        await sessions.set_resolved(connection, session.id, resolved=True)
        by = "client" if principal.is_client else "staff"
        await facts.record(connection, actor, "session.resolved", ticket_id=ticket.id, session_id=session.id, by=by)
        if ticket.status not in {"resolved", "closed"}:
            await ending.resolve(desk, connection, actor, ticket, by_client=principal.is_client)
        elif principal.is_client and ticket.resolution.get("verdict") in {"answered", "unverified"}:
            proven = with_verdict(ticket, "verified", "The client marked it as resolved.", desk.clock())
            await tickets.update(connection, ticket, {"resolution": proven.to_json()})
            await facts.record(
                connection, actor, "ticket.resolved", ticket_id=ticket.id, verdict="verified", by="client"
            )
        return replace(session, resolved=True)


async def _tell(connection: Connection, principal: Principal, kind: str, session: Session) -> None:
    await facts.record(
        connection, principal, kind, ticket_id=session.ticket_id, session_id=session.id, before=session.assistant_type
    )


def _check(principal: Principal, role: str, content: str, *, is_internal: bool) -> None:
    problems = []
    if role not in MESSAGE_ROLES:
        problems.append(FieldProblem("role", f"{role!r} is not one of {', '.join(MESSAGE_ROLES)}"))
    if not content.strip():
        problems.append(FieldProblem("content", "is empty"))
    if len(content.encode(errors="replace")) > MAX_MESSAGE_BYTES:
        problems.append(
            FieldProblem("content", f"longer than {MAX_MESSAGE_BYTES // 1024} KiB; attach the rest as a file")
        )
    problems += unstorable(content, "content")
    if problems:
        listed = "; ".join(f"{problem.field}: {problem.problem}" for problem in problems)
        raise Invalid(f"The message was not added: {listed}.", code="invalid_message", fields=tuple(problems))
    if role in ROLES_OF_ENGINE and not principal.is_engine:
        raise Denied(f"role: only the engine itself writes as {role!r}.", code="role_of_engine")
    if principal.is_client and (role != "user" or is_internal):
        raise Denied("role: a client writes as 'user', visibly.", code="staff_only")


async def _refuse_ended(desk: Desk, connection: Connection, principal: Principal, ticket: Ticket, *, role: str) -> None:
    if ticket.merged_into is not None:
        raise Conflict(
            f"Ticket {ticket.number} was merged into {ticket.merged_into}; write there.", code="ticket_merged"
        )
    if role == "user" and ticket.status == "closed" and ticket.closed_at is not None:
        days = (await policy_of(connection, principal.org_id)).reopen_window_days
        if desk.clock() - ticket.closed_at > timedelta(days=days):
            raise Conflict(
                f"Ticket {ticket.number} was closed more than {days:g} days ago. Open a new ticket.",
                code="reopen_window_passed",
            )


async def _refuse_unseen(connection: Connection, principal: Principal, message: Message, seen_seq: int) -> None:
    """Between what the writer saw and the new message only notes may stand; its seq was given under the session's lock."""
    between = await sessions.messages(connection, principal.org_id, message.session_id, after_seq=seen_seq, limit=50)
    news = [
        each for each in between if each.id != message.id and not each.is_internal and each.author != message.author
    ]
    if news:
        who = {"user": "The client", "agent": "A colleague"}.get(news[-1].role, "The engine")
        raise Conflict(
            f"{who} wrote meanwhile. Read it, then send your words again if they still fit.", code="conversation_moved"
        )


async def _mentioned(connection: Connection, principal: Principal, content: str) -> tuple[UUID, ...]:
    if "@" not in content:
        return ()
    staff = await directory.staff(connection, principal.org_id)
    named = mentioned(content, (Colleague(each.user_id, each.name, each.email) for each in staff))
    return tuple(each for each in named if each != principal.user_id)


async def _person_speaks(
    desk: Desk, connection: Connection, principal: Principal, session: Session, ticket: Ticket
) -> None:
    if session.assistant_type == "ai":
        await sessions.set_assistant(connection, session.id, "hybrid")
        await _tell(connection, principal, "session.taken_over", session)
    first = {"first_response_at": desk.clock()} if ticket.first_response_at is None else {}
    await _to_person(connection, principal, ticket, waiting_for="client", more=first)


async def _to_person(
    connection: Connection,
    principal: Principal,
    ticket: Ticket,
    *,
    waiting_for: str,
    more: dict[str, Any] | None = None,
) -> Ticket:
    """The ticket is a person's: in progress, assigned to who acts unless somebody has it, its escalation taken.

    One that has ended stays ended.
    """
    columns: dict[str, Any] = dict(more or {})
    if ticket.assignee is None and _is_person(principal):
        columns["assignee"] = principal.user_id
    if ticket.status in {"resolved", "closed"}:
        return await tickets.update(connection, ticket, columns)
    columns["waiting_for"] = waiting_for
    changed = await walk(connection, ticket, path_to(ticket.status, "in_progress"), columns)
    await escalations.take(connection, principal.org_id, ticket.id, by=principal.user_id)
    await journeys.place(connection, principal.org_id, ticket.id, "with_person", knows_all=waiting_for == "client")
    return changed


def _is_person(principal: Principal) -> bool:
    return principal.key_id is None and not principal.is_engine


def _staff_only(principal: Principal) -> None:
    if principal.is_client:
        raise Denied("Only staff takes over or hands back a session.", code="staff_only")
