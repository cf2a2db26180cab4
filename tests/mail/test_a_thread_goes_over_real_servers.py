"""A client's mail program and the desk talk over a real SMTP and a real IMAP server, each with nothing but its own mailbox."""

from __future__ import annotations

import asyncio
import imaplib
import os
import smtplib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import TYPE_CHECKING, Any

import pytest
from aiosmtpd.smtp import SMTP
from dovecot import PASSWORD, Imap
from mail_cast import tell, use_post

from asoe.desk import mail_intake, mailbox, session, ticket
from asoe.desk.context import Desk
from asoe.domain.ticket import Ticket
from asoe.store import sessions

if TYPE_CHECKING:
    from tests.conftest import Org

ANA, GONE, SUPPORT = "ana@client.example", "gone@client.example", "support@acme.example"


@dataclass
class Carrier:
    """The SMTP server of both: puts what it takes into the mailboxes of its recipients, and returns what has none."""

    imap: Imap
    users: dict[str, str]
    port: int = 0
    returned: list[bytes] = field(default_factory=list)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        for address in envelope.rcpt_tos:
            local, _, domain = address.partition("@")
            user = self.users.get(f"{local.partition('+')[0]}@{domain}")
            if user is not None:
                self._put(user, envelope.mail_from, envelope.content)
            elif envelope.mail_from:
                self._put(self.users[envelope.mail_from], "", bounce_of(envelope.content, address, envelope.mail_from))
        return "250 taken"

    def _put(self, user: str, sender: str, raw: bytes) -> None:
        self.imap.put(user, f"Return-Path: <{sender}>\r\n".encode() + raw)


def bounce_of(raw: bytes, address: str, sender: str) -> bytes:
    """As mail servers write it (RFC 3464), with the mail that could not be delivered."""
    lines = (
        "From: Mail Delivery System <MAILER-DAEMON@client.example>",
        f"To: {sender}",
        "Subject: Undelivered Mail Returned to Sender",
        f"Message-ID: {make_msgid(domain='client.example')}",
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"',
        "",
        "--b",
        "Content-Type: text/plain",
        "",
        f"{address}: there is no such mailbox.",
        "--b",
        "Content-Type: message/delivery-status",
        "",
        f"Reporting-MTA: dns; client.example\r\n\r\nFinal-Recipient: rfc822; {address}\r\nAction: failed\r\nStatus: 5.1.1",
        "--b",
        "Content-Type: message/rfc822",
        "",
    )
    return "\r\n".join(lines).encode() + b"\r\n" + raw + b"\r\n--b--\r\n"


@dataclass
class MailProgram:
    """What a client has on its own machine: it knows its two servers, and answers as such programs do."""

    address: str
    user: str
    carrier: Carrier

    async def send(self, text: str, **headers: str) -> EmailMessage:
        made = EmailMessage()
        made["From"] = f"Ana <{self.address}>"
        made["Date"] = formatdate(localtime=True)
        made["Message-ID"] = make_msgid(domain="client.example")
        for name, value in {"To": SUPPORT, **headers}.items():
            made[name.replace("_", "-")] = value
        made.set_content(text)

        def submit() -> None:
            with smtplib.SMTP("127.0.0.1", self.carrier.port, timeout=10) as smtp:
                smtp.send_message(made, self.address)

        await asyncio.to_thread(submit)
        return made

    async def answer(self, to: EmailMessage, text: str, **headers: str) -> EmailMessage:
        references = f"{to['References'] or ''} {to['Message-ID']}".strip()
        about = {"Subject": f"Re: {to['Subject'].removeprefix('Re: ')}", "To": to["Reply-To"] or to["From"]}
        return await self.send(text, **{**about, "In_Reply_To": to["Message-ID"], "References": references, **headers})

    async def inbox(self) -> list[EmailMessage]:
        """All there is, oldest first."""

        def read() -> list[bytes]:
            with imaplib.IMAP4("127.0.0.1", self.carrier.imap.port, timeout=10) as imap:
                imap.login(self.user, PASSWORD)
                imap.select("INBOX", readonly=True)
                _, (numbers,) = imap.search(None, "ALL")
                return [imap.fetch(each, "(RFC822)")[1][0][1] for each in numbers.decode().split()]  # type: ignore[index,misc]

        found = await asyncio.to_thread(read)
        return [message_from_bytes(raw, policy=policy.default) for raw in found]


@pytest.fixture
async def ana(desk: Desk, acme: Org, imap: Imap) -> AsyncIterator[MailProgram]:
    """Ana's mail program; Acme's mailbox is on the same servers."""
    users = {address: os.urandom(4).hex() for address in (ANA, SUPPORT)}
    carrier = Carrier(imap, users)
    serving = await asyncio.get_running_loop().create_server(
        lambda: SMTP(carrier, hostname="mail.test", enable_SMTPUTF8=True), "127.0.0.1", 0
    )
    carrier.port = serving.sockets[0].getsockname()[1]
    server = {"host": "127.0.0.1", "port": imap.port, "tls": "none", "user": users[SUPPORT]}
    passwords = {"imap": PASSWORD}
    await use_post(desk, acme, carrier, servers={"imap": server}, passwords=passwords, uses_plus=True)  # type: ignore[arg-type]
    program = MailProgram(ANA, users[ANA], carrier)
    await program.inbox()  # makes the mailbox
    yield program
    serving.close()
    await serving.wait_closed()


async def take_in(desk: Desk, org: Org) -> list[Ticket]:
    """The worker's turn; all tickets there are, oldest first."""
    await mail_intake.fetch(desk, org.engine, await mailbox.read_mailbox(desk, org.owner))
    found = await ticket.list_open(desk, org.agent)
    return sorted(found, key=lambda each: each.number)


async def said(desk: Desk, org: Org, of: Ticket) -> list[tuple[str, str]]:
    async with desk.database.org_reading(org.agent) as connection:
        rows = await sessions.messages_of_ticket(connection, org.org_id, of.id)
    return [(row.role, row.content) for row in rows if not row.is_internal]


async def reply(desk: Desk, org: Org, to: Ticket, text: str) -> None:
    assert to.session_id is not None
    await session.add_message(desk, org.agent, to.session_id, "agent", text)
    await tell(desk)


async def test_a_thread_there_and_back_is_one_ticket(desk: Desk, acme: Org, ana: MailProgram) -> None:
    first = await ana.send("Where is the invoice of May?\n\n-- \nAna\nClient Ltd", Subject="Invoice of May")
    (opened,) = await take_in(desk, acme)
    assert (opened.channel, opened.subject) == ("email", "Invoice of May")
    await reply(desk, acme, opened, "Which order is it?")
    (asked,) = await ana.inbox()
    assert asked["In-Reply-To"] == first["Message-ID"]
    assert asked["From"].addresses[0].addr_spec == SUPPORT
    quoted = "".join(f"> {line}\n" for line in asked.get_body(("plain",)).get_content().splitlines())
    english = f"It is 4711.\n\nOn Mon, 23 Nov 2026 at 12:00, Acme Support <{SUPPORT}>\nwrote:\n{quoted}"
    german = f"Und die 4712 auch, für Jürgen.\n\nAm Mo., 23. Nov. 2026 um 12:05 Uhr schrieb Acme Support <{SUPPORT}>:\n\n{quoted}"
    for text, words in ((english, "It is 4711."), (german, "Und die 4712 auch, für Jürgen.")):
        await ana.answer(asked, text)
        assert await take_in(desk, acme) == [await ticket.read_ticket(desk, acme.agent, opened.id)], "no other ticket"
        assert (await said(desk, acme, opened))[-1] == ("user", words)
    await reply(desk, acme, opened, "Both are on their way.")
    thread = await ana.inbox()
    assert [each["Subject"] for each in thread] == ["Re: Invoice of May"] * 2
    assert first["Message-ID"] in thread[-1]["References"]
    # a machine of the client's answers: neither kept in the conversation nor answered
    before, held = await said(desk, acme, opened), len(thread)
    await ana.answer(
        thread[-1], "I am away until Monday.", Auto_Submitted="auto-replied", Subject="Out of office: Invoice"
    )
    await ana.answer(thread[-1], "Ich bin bis Montag nicht da.", Subject="Abwesenheitsnotiz: Invoice")
    assert len(await take_in(desk, acme)) == 1
    await tell(desk)
    assert await said(desk, acme, opened) == before
    assert len(await ana.inbox()) == held


async def test_a_mail_that_comes_back_is_told_on_its_ticket_and_answered_by_nobody(
    desk: Desk, acme: Org, ana: MailProgram
) -> None:
    gone = MailProgram(GONE, "nobody", ana.carrier)
    await gone.send("Where is my order?", Subject="Order")
    (opened,) = await take_in(desk, acme)
    await reply(desk, acme, opened, "Which one?")
    before = await said(desk, acme, opened)
    assert len(await take_in(desk, acme)) == 1, "a bounce is no ticket"
    await tell(desk)
    assert await said(desk, acme, opened) == before
    told = [fact.kind for fact in await ticket.timeline(desk, acme.agent, opened.id)]
    assert told.count("mail.bounced") == 1
    assert len(await take_in(desk, acme)) == 1, "nothing went out that could come back again"


async def test_a_stranger_who_knows_the_thread_does_not_speak_in_it(desk: Desk, acme: Org, ana: MailProgram) -> None:
    await ana.send("Where is the invoice of May?", Subject="Invoice of May")
    (opened,) = await take_in(desk, acme)
    await reply(desk, acme, opened, "Which order is it?")
    (asked,) = await ana.inbox()
    before = await said(desk, acme, opened)
    mallory = MailProgram("mallory@evil.example", "nobody", ana.carrier)
    await mallory.answer(asked, "Pay it out to this account.")
    found = await take_in(desk, acme)
    assert [each.id == opened.id for each in found] == [True, False]
    assert found[1].metadata["mail"] == {"is_verified": False, "authentication": {}, "reason": "another_sender"}
    assert await said(desk, acme, opened) == before
