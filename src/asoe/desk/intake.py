"""Intake: a request becomes a ticket in one transaction, triaged when that fits the budget, with its journey enqueued."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import structlog

from asoe import tracing
from asoe.desk.champion import judge_text
from asoe.desk.context import Desk, unstorable
from asoe.desk.outcome import with_verdict
from asoe.desk.triage import settle_category, settle_severity
from asoe.domain.errors import Denied, FieldProblem, Invalid
from asoe.domain.organization import Principal
from asoe.domain.session import NOTED_BY_STAFF
from asoe.domain.ticket import CHANNELS, MAX_BODY_BYTES, MAX_SUBJECT_CHARS, SEVERITY_RANK, Ticket
from asoe.domain.triage import CATEGORIES, Triage
from asoe.store import contacts, facts, fields, organizations, sessions, tickets
from asoe.store.db import Connection
from asoe.store.tickets import NewRow
from asoe.tracing import measures

_log = structlog.get_logger(__name__)

DUPLICATE_WINDOW: Final = timedelta(minutes=10)
Remember = Callable[[Connection, Ticket], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class NewContact:
    """A client without an account: at least one of e-mail, phone, external id."""

    email: str | None = None
    phone: str | None = None
    external_id: str | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class NewTicket:
    """What a door has decoded; category and severity are the caller's opinion and are kept beside triage's."""

    subject: str = ""
    body: str = ""
    category: str | None = None
    severity: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    user_id: UUID | None = None
    contact: NewContact | None = None
    channel: str = "api"
    cc: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    custom_fields: dict[str, Any] = field(default_factory=dict)
    said: str | None = None
    """What the client means by it, where a button told (`session.add_message`)."""
    is_relayed: bool = False
    """Whether whoever opens it vouches that these are the client's own words: only then does a yes in them count."""

    @property
    def text(self) -> tuple[str, str]:
        """Subject and body as triage reads them; without either, what the metadata says."""
        if self.subject or self.body:
            return self.subject, self.body
        said = (self.metadata.get("subject"), self.metadata.get("description"))
        subject, body = (each if isinstance(each, str) else "" for each in said)
        return subject, body


async def open_ticket(desk: Desk, principal: Principal, new: NewTicket, *, remember: Remember | None = None) -> Ticket:
    """Accept a request and return its ticket with triage.

    A client may name neither user_id nor contact. The same words from the same known person within ten minutes return
    the first ticket. `remember` runs in the same transaction, last. Raises `Invalid` naming each wrong field.
    """
    with tracing.span("intake", org_id=principal.org_id, channel=new.channel) as span:
        ticket = await _opened(desk, principal, new, remember=remember)
        span.note(
            ticket_id=ticket.id,
            category=ticket.category,
            severity=ticket.severity,
            intent=ticket.intent,
            status=ticket.status,
        )
    return ticket


async def _opened(desk: Desk, principal: Principal, new: NewTicket, *, remember: Remember | None) -> Ticket:
    check(new, principal)
    await _check_fields(desk, principal, new)
    triage = await _judge_in_time(desk, principal.org_id, new)
    now = desk.clock()
    async with desk.database.org_transaction(principal) as connection:
        requester = await _requester(connection, principal, new)
        is_noted = principal.is_staff_for(requester.user_id)
        fingerprint = _fingerprint(new, requester)
        if fingerprint is not None:
            first = await tickets.find_equal(connection, principal.org_id, fingerprint, since=now - DUPLICATE_WINDOW)
            if first is not None:
                await facts.record(connection, principal, "ticket.duplicate", ticket_id=first.id)
                if remember is not None:
                    await remember(connection, first)
                return first
        row = NewRow(
            id=uuid4(),
            org_id=principal.org_id,
            category=settle_category(new.category, triage),
            severity=settle_severity(None if principal.is_client else new.severity, triage),
            status="closed" if requester.is_blocked else "open" if triage or not any(new.text) else "triaging",
            created_at=now,
            subject=new.subject,
            body=new.body,
            user_id=requester.user_id,
            contact_id=requester.contact_id,
            channel=new.channel,
            language=triage.language if triage else "und",
            intent=triage.intent.value if triage else None,
            triage=_stored_triage(new, triage, by_client=principal.is_client),
            metadata=new.metadata,
            custom_fields=new.custom_fields,
            cc=new.cc,
            tags=new.tags,
            is_spam=requester.is_blocked,
            fingerprint=fingerprint,
        )
        session = sessions.new_session(row.id, assistant_type="ai", at=now)
        ticket = await tickets.insert(connection, row, session_id=session.id)
        text = "\n\n".join(part for part in (new.text[0] if not new.body else "", new.text[1]) if part) or new.subject
        if text:
            await sessions.begin(
                connection,
                principal.org_id,
                session,
                role="user",
                content=text,
                author=requester.user_id,
                data=({"said": new.said} if new.said else {})
                | ({NOTED_BY_STAFF: True} if is_noted and not new.is_relayed else {}),
            )
        else:
            await sessions.insert(connection, session)
        await facts.record(
            connection,
            principal,
            "ticket.spam" if requester.is_blocked else "ticket.opened",
            ticket_id=row.id,
            session_id=session.id,
            channel=new.channel,
            category=row.category,
            severity=row.severity,
            **({"relayed": True} if is_noted and new.is_relayed else {}),
        )
        if requester.is_blocked:
            refused = with_verdict(ticket, "refused", "The sender is blocked.", now)
            ticket = await tickets.update(connection, ticket, {"resolution": refused.to_json()})
            await sessions.set_resolved(connection, session.id, resolved=True)
        else:
            await desk.queue.advance(connection, principal.org_id, row.id)
        if remember is not None:
            await remember(connection, ticket)
    measures.count("asoe_tickets_opened", ticket.channel)
    return ticket


def check(new: NewTicket, principal: Principal) -> None:
    """Raise `Invalid` naming every wrong field, or `Denied` for what a client may not set."""
    problems: list[FieldProblem] = []
    if new.category is not None and new.category not in CATEGORIES:
        problems.append(FieldProblem("category", f"{new.category!r} is not one of {', '.join(CATEGORIES)}"))
    if new.severity is not None and new.severity not in SEVERITY_RANK:
        problems.append(FieldProblem("severity", f"{new.severity!r} is not one of {', '.join(SEVERITY_RANK)}"))
    if new.channel not in CHANNELS:
        problems.append(FieldProblem("channel", f"{new.channel!r} is not one of {', '.join(CHANNELS)}"))
    problems += _says_nothing(new)
    if len(new.text[1].encode(errors="replace")) > MAX_BODY_BYTES:
        problems.append(
            FieldProblem(
                "body" if new.body else "metadata.description",
                f"longer than {MAX_BODY_BYTES // 1024} KiB; attach the rest as a file",
            )
        )
    if len(new.subject) > MAX_SUBJECT_CHARS:
        problems.append(FieldProblem("subject", f"longer than {MAX_SUBJECT_CHARS} characters"))
    if new.contact is not None and not (new.contact.email or new.contact.phone or new.contact.external_id):
        problems.append(FieldProblem("contact", "needs an email, a phone or an external_id"))
    if new.contact is not None and new.user_id is not None:
        problems.append(FieldProblem("contact", "give either user_id or contact, not both"))
    for name in ("subject", "body", "metadata", "custom_fields", "cc", "tags"):
        problems += unstorable(getattr(new, name), name)
    if new.contact is not None:
        problems += unstorable(asdict(new.contact), "contact")
    if problems:
        raise _refusal(problems)
    if principal.is_client and (new.user_id is not None or new.contact is not None):
        raise Denied(
            "user_id, contact: a client opens tickets for itself only; leave both away.", code="client_sets_requester"
        )


def _says_nothing(new: NewTicket) -> list[FieldProblem]:
    """Only white space is a mistake; no words at all are one when nothing else is said either."""
    if any(part.strip() for part in new.text):
        return []
    if any(new.text):
        return [FieldProblem(name, "holds only white space") for name in ("subject", "body") if getattr(new, name)] or [
            FieldProblem("metadata", "subject and description hold only white space")
        ]
    if new.category is None and not new.metadata and not new.custom_fields:
        return [FieldProblem(name, "say in subject or body what the client needs") for name in ("subject", "body")]
    return []


@dataclass(frozen=True, slots=True)
class _Requester:
    user_id: UUID | None = None
    contact_id: UUID | None = None
    is_blocked: bool = False


async def _requester(connection: Connection, principal: Principal, new: NewTicket) -> _Requester:
    if principal.is_client:
        return _Requester(user_id=principal.user_id)
    if new.user_id is not None:
        if await organizations.find_member(connection, principal.org_id, new.user_id) is None:
            raise Invalid(
                f"user_id: {new.user_id} is no member of this organization; give a contact for people without an account.",
                code="invalid_ticket",
                fields=(FieldProblem("user_id", "no member of this organization"),),
            )
        return _Requester(user_id=new.user_id)
    if new.contact is None:
        return _Requester()
    contact = await contacts.find_or_create(
        connection,
        principal.org_id,
        email=new.contact.email,
        phone=new.contact.phone,
        external_id=new.contact.external_id,
        name=new.contact.name,
    )
    return _Requester(contact_id=contact.id, user_id=contact.user_id, is_blocked=contact.blocked_at is not None)


async def _judge_in_time(desk: Desk, org_id: UUID, new: NewTicket) -> Triage | None:
    subject, body = new.text
    if not (subject or body):
        return None
    budget = desk.thresholds.triage_budget
    try:
        if not budget or desk.ai.triage_backlog > budget:
            return None  # waiting in vain would only slow down everybody: the worker judges it
        with tracing.span("invoke_agent", of="triage", agent="triage", spoken="invoke_agent", provider="asoe") as span:
            async with asyncio.timeout(budget.total_seconds()):
                judged = await judge_text(desk, org_id, subject, body)
            span.note(category=judged.category.value, severity=judged.severity.value, language=judged.language)
            return judged
    except TimeoutError:
        return None
    except Exception as error:
        # a request is never refused because a model is down: the journey judges it, or gives it to a person
        _log.warning("intake.not_judged", error=type(error).__name__)
        return None


async def _check_fields(desk: Desk, principal: Principal, new: NewTicket) -> None:
    """Custom fields fit their definitions, which clients may not read; a required one may be filled in later."""
    if not new.custom_fields:
        return
    async with desk.database.org_reading(await desk.engine_of(principal.org_id)) as connection:
        problems = await fields.problems(connection, principal.org_id, new.custom_fields, is_whole=False)
    if problems:
        raise _refusal(problems)


def _refusal(problems: Sequence[FieldProblem]) -> Invalid:
    listed = "; ".join(f"{problem.field}: {problem.problem}" for problem in problems)
    return Invalid(f"The ticket cannot be accepted: {listed}.", code="invalid_ticket", fields=tuple(problems))


def _stored_triage(new: NewTicket, triage: Triage | None, *, by_client: bool) -> dict[str, Any]:
    given = {name: value for name, value in (("category", new.category), ("severity", new.severity)) if value}
    kept = {"given": given, **({"given_by": "client"} if by_client else {})} if given else {}
    return {**(triage.to_json() if triage else {}), **kept}


def _fingerprint(new: NewTicket, requester: _Requester) -> bytes | None:
    """Equal for the same words of the same person; None when nobody knows who that is."""
    who = requester.contact_id or requester.user_id
    words = re.sub(r"\s+", " ", " ".join(new.text)).strip().casefold()
    if who is None or not words:
        return None
    return hashlib.sha256(f"{who}\n{words}".encode()).digest()[:16]
