"""Mails that come in: each becomes a ticket, a message on one, or is kept out of the conversation with its reason.

Who may speak on a ticket: its contact (or somebody in copy), when the mail answers one of ours by a signed id or address, or
when our own mail server vouches for the sender. Anybody else opens a ticket, and for that one nothing is done without a person.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import structlog

from asoe.connectors import imap
from asoe.connectors.contract import ConnectorError
from asoe.desk import attachment, intake, session, ticket
from asoe.desk.context import Desk
from asoe.desk.delivery import imap_of
from asoe.desk.intake import NewContact, NewTicket
from asoe.desk.reply_address import claims_to_be_ours, signed_ticket
from asoe.domain.errors import AsoeError, Conflict, Invalid, Missing
from asoe.domain.mail import MAX_BYTES, STANDS_APART, Mail, is_unproven, read_mail
from asoe.domain.mail_text import new_words
from asoe.domain.organization import Principal
from asoe.domain.people import clean_email
from asoe.domain.session import MAX_MESSAGE_BYTES
from asoe.domain.ticket import Ticket
from asoe.queue.failures import kind_of, place_of
from asoe.store import attachments, contacts, facts, mailboxes, mails, organizations, tickets
from asoe.store.db import Connection
from asoe.store.mailboxes import Mailbox
from asoe.store.mails import MailRow

MOST_OF_ONE: Final = 20
LOOP_WINDOW: Final = timedelta(minutes=10)
"""More mails than `MOST_OF_ONE` of one sender within it are two machines talking."""
MOST_A_DAY: Final = 100
"""So are more than these within a day: machines that take their time."""
_TRIES: Final = 5
_ANSWERS: Final = re.compile(r"^(\s*(re|aw|wg|fw|fwd|rv|tr|antw|réf)\s*(\[\d+\])?\s*:)+", re.IGNORECASE)
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Received:
    """What became of a mail: opened, added, duplicate, auto_reply, bounce, list, loop or refused."""

    outcome: str
    ticket_id: UUID | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a mail belongs. `signed`: the ticket it answers a mail of ours about; `joins`: the one its sender may speak on."""

    signed: UUID | None = None
    joins: Ticket | None = None
    is_contact: bool = False
    reason: str | None = None


class _TwiceError(Exception):
    """Another process has just taken the same mail."""


async def receive(desk: Desk, org_id: UUID, raw: bytes) -> Received:
    """Take one mail in; the same mail again changes nothing. Raises `Invalid(mail_too_large)`, `Missing(no_mailbox)`."""
    if len(raw) > MAX_BYTES:
        raise Invalid(f"The mail is larger than {MAX_BYTES // 1024 // 1024} MB.", code="mail_too_large")
    engine = await desk.engine_of(org_id)
    async with desk.database.org_reading(engine) as connection:
        box = await mailboxes.read(connection, org_id)
    if box is None:
        raise Missing("The organization has no mailbox. Set one: asoe mailbox set", code="no_mailbox")
    mail = await asyncio.to_thread(read_mail, raw, authority=str(box.config.get("authority", "")))
    async with desk.database.org_reading(engine) as connection:
        mail, known = await _recognized(connection, engine, mail)
        place = await _place(desk, connection, org_id, mail, box)
        aside = await _kept_out(desk, connection, engine, mail, box=box, place=place)
    if known is not None:
        if known.ticket_id is not None and not known.files_kept:
            await _keep_files(desk, engine, known.ticket_id, mail)
        return _twice(engine, known.ticket_id)
    try:
        if aside is not None:
            return await _set_aside(desk, engine, mail, place, aside)
        return await _take(desk, engine, mail, place)
    except _TwiceError:
        return _twice(engine, None)


async def _recognized(connection: Connection, engine: Principal, mail: Mail) -> tuple[Mail, MailRow | None]:
    """The mail, and its row when it was taken in before. One with other words under a known id is a mail of its own.

    Some programs give all their mails one id; to take the second for the first would lose a client's words.
    """
    known = await mails.find(connection, engine.org_id, mail.message_id)
    digest = _digest(engine.org_id, mail)
    if known is None or known.words_hash in {None, digest}:
        return mail, known
    apart = replace(mail, message_id=f"{mail.message_id}#{digest.hex()}")
    return apart, await mails.find(connection, engine.org_id, apart.message_id)


def _twice(engine: Principal, ticket_id: UUID | None) -> Received:
    reason = "a mail with this Message-ID was taken in before"
    _log.info("mail.ignored", org_id=str(engine.org_id), kind="duplicate", reason=reason)
    return Received("duplicate", ticket_id, reason)


async def _place(desk: Desk, connection: Connection, org_id: UUID, mail: Mail, box: Mailbox) -> _Place:
    """The sender must be the ticket's contact or in its copy, and either prove it or be vouched for."""
    signed = await signed_ticket(desk, connection, org_id, ids=mail.references, addresses=mail.recipients)
    found_id = signed or await mails.ticket_of(connection, org_id, mail.references)
    if found_id is None:
        claims = claims_to_be_ours(mail.references, mail.recipients, box.address)
        return _Place(reason="forged_signature" if claims else None)
    try:
        found = await tickets.find(connection, org_id, found_id)
    except Missing:
        return _Place()
    contact = None if found.contact_id is None else await contacts.find(connection, org_id, found.contact_id)
    is_contact = contact is not None and contact.email == mail.sender
    if not is_contact and mail.sender not in found.cc:
        return _Place(signed, reason="another_sender")
    if signed is None and not mail.is_verified:
        return _Place(reason="unproven_reply")
    return _Place(signed, found, is_contact)


async def _kept_out(
    desk: Desk, connection: Connection, engine: Principal, mail: Mail, *, box: Mailbox, place: _Place
) -> tuple[str, str] | None:
    """(kind, reason) of a mail that nobody should answer; None for one that is somebody's words.

    What comes through a list is such words where the list is our own address, or where it answers us with our signature.
    """
    is_ours = mail.kind == "list" and (box.address in mail.of_list or place.joins is not None)
    if mail.kind != "words" and not is_ours:
        return mail.kind, {"auto_reply": "it was sent by a machine", "bounce": "a mail came back"}.get(
            mail.kind, "it was sent to a list"
        )
    try:
        clean_email(mail.sender)
    except Invalid:
        return "refused", "it has no sender"
    if mail.sender == box.address:
        return "loop", "it is from our own address"
    if await signed_ticket(desk, connection, engine.org_id, ids=(mail.message_id,), addresses=()) is not None:
        return "loop", "it is a mail of ours that came back"
    sender, now = _hash(engine.org_id, mail.sender), desk.clock()
    for most, window, words in (
        (MOST_OF_ONE, LOOP_WINDOW, "ten minutes"),
        (MOST_A_DAY, timedelta(days=1), "a day"),
    ):
        if await mails.count_of_sender(connection, engine.org_id, sender, since=now - window) >= most:
            return "loop", f"its sender wrote more than {most} mails within {words}"
    return None


async def _set_aside(desk: Desk, engine: Principal, mail: Mail, place: _Place, aside: tuple[str, str]) -> Received:
    kind, reason = aside
    async with desk.database.org_transaction(engine) as connection:
        await _record(desk, connection, engine, mail, kind=kind, reason=reason, ticket_id=place.signed)
        fact = "mail.bounced" if kind == "bounce" and place.signed else "mail.ignored"
        await facts.record(connection, engine, fact, ticket_id=place.signed, kind=kind, reason=reason)
    _log.info("mail.ignored", org_id=str(engine.org_id), kind=kind, reason=reason)
    return Received(kind, place.signed, reason)


async def _take(desk: Desk, engine: Principal, mail: Mail, place: _Place) -> Received:
    """The words become a message, or a ticket; its files follow, and are not lost when this worker dies before."""
    outcome, ended = "opened", None
    ticket_id: UUID | None = None
    if place.joins is not None:
        try:
            ticket_id = await _add(desk, engine, mail, place.joins, is_contact=place.is_contact)
            outcome = "added"
        except Conflict as error:
            if error.code not in {"ticket_merged", "reopen_window_passed"}:
                raise
            ended = place.joins
    if ticket_id is None:
        ticket_id = await _open(desk, engine, mail, place)
        if ended is not None:
            await ticket.link_ticket(desk, engine, ticket_id, other_id=ended.id, kind="follow_up_of")
    if place.reason == "another_sender" and place.signed is not None:
        await ticket.link_ticket(desk, engine, ticket_id, other_id=place.signed)
    await _keep_files(desk, engine, ticket_id, mail)
    if place.reason is not None:
        _log.warning(
            "mail.not_joined", org_id=str(engine.org_id), ticket_id=str(ticket_id), reason=STANDS_APART[place.reason]
        )
    return Received(outcome, ticket_id, place.reason)


async def _add(desk: Desk, engine: Principal, mail: Mail, joins: Ticket, *, is_contact: bool) -> UUID:
    text = _said(mail, new_words(mail.text, is_answer=True), of=joins)

    async def remember(connection: Connection, _: Any) -> None:
        await _record(desk, connection, engine, mail, kind="added", ticket_id=joins.id)
        await facts.record(connection, engine, "mail.received", ticket_id=joins.id, is_proven=True)

    if is_contact and is_unproven(joins.metadata):
        await _prove(desk, engine, joins.id)
    assert joins.session_id is not None
    await session.add_message(desk, engine, joins.session_id, "user", text, remember=remember)
    return joins.id


async def _open(desk: Desk, engine: Principal, mail: Mail, place: _Place) -> UUID:
    about = {"is_verified": mail.is_verified, "authentication": dict(mail.authentication or {})}
    new = NewTicket(
        subject=mail.subject,
        body=_said(mail, mail.text if not place.reason else new_words(mail.text)),
        contact=NewContact(email=mail.sender, name=mail.sender_name),
        channel="email",
        metadata={"mail": {**about, **({"reason": place.reason} if place.reason else {})}},
    )

    async def remember(connection: Connection, opened: Ticket) -> None:
        await _record(desk, connection, engine, mail, kind="opened", ticket_id=opened.id, reason=place.reason)
        await facts.record(
            connection, engine, "mail.received", ticket_id=opened.id, is_proven=mail.is_verified, reason=place.reason
        )

    return (await intake.open_ticket(desk, engine, new, remember=remember)).id


async def _prove(desk: Desk, engine: Principal, ticket_id: UUID) -> None:
    """The sender has answered what was sent to its address."""
    async with desk.database.org_transaction(engine) as connection:
        found = await tickets.find_for_update(connection, engine.org_id, ticket_id)
        about = {**found.metadata, "mail": {**found.metadata.get("mail", {}), "is_verified": True}}
        await tickets.update(connection, found, {"metadata": about})


async def _record(
    desk: Desk,
    connection: Connection,
    engine: Principal,
    mail: Mail,
    *,
    kind: str,
    ticket_id: UUID | None = None,
    reason: str | None = None,
) -> None:
    is_new = await mails.add(
        connection,
        engine.org_id,
        mail.message_id,
        sender_hash=_hash(engine.org_id, mail.sender),
        words_hash=_digest(engine.org_id, mail),
        kind=kind,
        at=desk.clock(),
        reason=reason,
        ticket_id=ticket_id,
        is_verified=mail.is_verified,
        authentication=mail.authentication,
        files_kept=not mail.files or kind not in {"opened", "added"},
    )
    if not is_new:
        raise _TwiceError


async def _keep_files(desk: Desk, engine: Principal, ticket_id: UUID, mail: Mail) -> None:
    """Those that are not there yet; kinds that run when they are opened are left out, and a note says so."""
    if not mail.files:
        return
    async with desk.database.org_reading(engine) as connection:
        there = {each.sha256 for each in await attachments.of_ticket(connection, engine.org_id, ticket_id)}
    refused = []
    for file in mail.files:
        if file.is_dangerous:
            refused.append(attachment.safe_name(file.name))
        elif hashlib.sha256(file.content).digest() not in there:
            await attachment.attach(
                desk, engine, ticket_id, name=file.name, media_type=file.media_type, content=file.content
            )
    if refused:
        await session.add_note(desk, engine, ticket_id, f"Files that were not kept: {', '.join(refused)}")
    async with desk.database.org_transaction(engine) as connection:
        await mails.keep_files(connection, engine.org_id, mail.message_id)


def _said(mail: Mail, words: str, *, of: Ticket | None = None) -> str:
    """At most what a message may hold; a mail without words says so, unless its subject has some. `of`: the ticket it answers."""
    text = words.encode()[: MAX_MESSAGE_BYTES - 100].decode(errors="ignore").strip()
    subject = _ANSWERS.sub("", mail.subject).strip()
    if text or (
        subject and (of is None or subject.casefold() != _ANSWERS.sub("", of.subject or "").strip().casefold())
    ):
        return text or mail.subject
    count = len(mail.files)
    return f"({count} {'file' if count == 1 else 'files'}, no words)" if count else "(no words)"


def _hash(org_id: UUID, sender: str) -> bytes:
    return hashlib.sha256(org_id.bytes + sender.encode()).digest()[:16]


def _digest(org_id: UUID, mail: Mail) -> bytes:
    """Who wrote what: equal for the same mail on several ways, with whatever lists put below it."""
    words = " ".join(new_words(mail.text).split())
    said = "\n".join((mail.sender, mail.subject, words, *(file.name for file in mail.files)))
    return hashlib.sha256(org_id.bytes + said.encode()).digest()[:16]


# --- fetching ---


async def fetch_all(desk: Desk) -> None:
    """Fetch what is new in every mailbox; one that fails does not keep the others waiting."""
    for organization in await organizations.list_organizations(desk.database):
        engine = organization.engine
        try:
            async with desk.database.org_reading(engine) as connection:
                box = await mailboxes.read(connection, engine.org_id)
            if box is not None and "imap" in box.config:
                await fetch(desk, engine, box)
        except Exception as error:
            _log.error("mail.fetch_failed", org_id=str(engine.org_id), error=kind_of(error), where=place_of(error))


async def fetch(desk: Desk, engine: Principal, box: Mailbox) -> int:
    """Take in what is new, in order, noting how far it came after each; returns how many mails there were.

    A mail that cannot be taken in is tried again at the next times, then passed over with a line in the log.
    """
    server, password = imap_of(desk, engine.org_id, box)
    try:
        inbox = await imap.fetch(
            server, password, validity=box.fetched_validity, after=box.fetched_uid, largest=MAX_BYTES
        )
    except ConnectorError as error:
        await _note(desk, engine, validity=box.fetched_validity, uid=box.fetched_uid, trouble=error.message)
        return 0
    uid = box.fetched_uid if inbox.validity == box.fetched_validity else 0
    tries = box.fetch_tries
    for each in inbox.mails:
        try:
            if each.raw is None:
                _log.warning("mail.too_large", org_id=str(engine.org_id), uid=each.uid)
            else:
                await receive(desk, engine.org_id, each.raw)
        except Exception as error:
            told = error.code if isinstance(error, AsoeError) else kind_of(error)
            _log.error("mail.not_taken", org_id=str(engine.org_id), uid=each.uid, error=told, where=place_of(error))
            if not isinstance(error, Invalid) and tries + 1 < _TRIES:
                await _note(
                    desk,
                    engine,
                    validity=inbox.validity,
                    uid=uid,
                    tries=tries + 1,
                    trouble=f"A mail could not be taken in ({told}).",
                )
                return len(inbox.mails)
        uid, tries = each.uid, 0
        await _note(desk, engine, validity=inbox.validity, uid=uid)
    if not inbox.mails:
        await _note(desk, engine, validity=inbox.validity, uid=uid)
    return len(inbox.mails)


async def _note(
    desk: Desk, engine: Principal, *, validity: int | None, uid: int, tries: int = 0, trouble: str | None = None
) -> None:
    async with desk.database.org_transaction(engine) as connection:
        await mailboxes.fetched(
            connection, engine.org_id, validity=validity, uid=uid, tries=tries, at=desk.clock(), trouble=trouble
        )
