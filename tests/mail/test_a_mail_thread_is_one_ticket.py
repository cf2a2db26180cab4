"""A client's mail becomes a ticket, our answer goes out in its thread, the client's answer comes back to the same ticket."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

import pytest
from mail_cast import Post, tell, use_post
from structlog.testing import capture_logs

from asoe.desk import attachment, journey, mail_intake, session, ticket
from asoe.desk.context import Desk
from asoe.desk.escalation import build_dossier
from asoe.desk.runbook import treatment
from asoe.domain.errors import Invalid, Missing
from asoe.domain.mail import MAX_BYTES, STANDS_APART, why_unproven
from asoe.domain.policy import Policy
from asoe.domain.ticket import Ticket
from asoe.store import sessions

if TYPE_CHECKING:
    from tests.conftest import Org
    from tests.flow.flow_cast import Clock

ANA = "ana@client.example"
OUR = "mx.acme.example"


def written(text: str, *, sender: str = f"Ana <{ANA}>", **headers: str) -> EmailMessage:
    made = EmailMessage()
    made["From"] = sender
    made["To"] = "support@acme.example"
    made["Subject"] = headers.pop("Subject", "Invoice of May")
    made["Message-ID"] = headers.pop("Message_ID", f"<{abs(hash(text + sender))}@client.example>")
    for name, value in headers.items():
        made[name.replace("_", "-")] = value
    made.set_content(text)
    return made


def answer_to(mail: EmailMessage, text: str, **headers: str) -> EmailMessage:
    """As a mail program answers: the id in its headers, addressed to Reply-To."""
    made = written(text, Subject=f"Re: {mail['Subject']}", In_Reply_To=mail["Message-ID"], **headers)
    made.replace_header("To", mail["Reply-To"])
    return made


async def receive(desk: Desk, org: Org, mail: EmailMessage) -> mail_intake.Received:
    return await mail_intake.receive(desk, org.org_id, mail.as_bytes())


async def said(desk: Desk, org: Org, found: Ticket) -> list[tuple[str, str]]:
    async with desk.database.org_reading(org.agent) as connection:
        rows = await sessions.messages_of_ticket(connection, org.org_id, found.id)
    return [(row.role, row.content) for row in rows if not row.is_internal]


async def opened_by(desk: Desk, org: Org, mail: EmailMessage) -> Ticket:
    received = await receive(desk, org, mail)
    assert received.outcome == "opened"
    assert received.ticket_id is not None
    return await ticket.read_ticket(desk, org.agent, received.ticket_id)


@pytest.fixture
async def box(desk: Desk, acme: Org, post: Post) -> Post:
    await use_post(desk, acme, post, authority=OUR, uses_plus=True)
    return post


ENGLISH = "Thanks, the order is 4711.\n\nOn Mon, 23 Nov 2026 at 12:00, Acme Support <support@acme.example>\nwrote:\n> Hello\n> which order?\n"
GERMAN = "Es ist die Bestellung 4711.\n\nAm 23.11.2026 um 12:00 schrieb Acme Support:\n\n> Welche Bestellung?\n"
OUTLOOK = "C'est la 4711.\n\n________________________________\nDe : Acme Support\nEnvoyé : lundi\nÀ : Ana\nObjet : Re\n\nQuelle commande ?"


async def test_a_whole_thread_in_two_languages(desk: Desk, acme: Org, box: Post) -> None:
    opened = await opened_by(desk, acme, written("Where is the invoice of May?\n-- \nAna\nClient Ltd"))
    assert (opened.channel, opened.subject) == ("email", "Invoice of May")
    await journey.carry_on(desk, acme.org_id, opened.id)
    await session.add_message(desk, acme.agent, opened.session_id, "agent", "Which order? <b>\nTell me the number.")
    await tell(desk)
    await tell(desk)
    handed, asked = box.to(ANA)
    assert (
        "Billing" in handed.get_body(("plain",)).get_content() or "billing" in handed.get_body(("plain",)).get_content()
    )
    assert asked["Subject"] == "Re: Invoice of May"
    assert asked["Auto-Submitted"] == "auto-replied"
    first = written("Where is the invoice of May?\n-- \nAna\nClient Ltd")["Message-ID"]
    assert asked["In-Reply-To"] == first
    assert "&lt;b&gt;<br>" in asked.get_body(("html",)).get_content().replace("\r\n", "")
    assert asked["Reply-To"].startswith(f"support+{opened.number}-")
    for text, expected in ((ENGLISH, "Thanks, the order is 4711."), (GERMAN, "Es ist die Bestellung 4711.")):
        received = await receive(desk, acme, answer_to(asked, text))
        assert (received.outcome, received.ticket_id) == ("added", opened.id)
        assert (await said(desk, acme, opened))[-1] == ("user", expected)
    bare = answer_to(asked, OUTLOOK)
    del bare["In-Reply-To"]  # a mail program that keeps no headers: the address alone
    assert (await receive(desk, acme, bare)).ticket_id == opened.id
    assert (await said(desk, acme, opened))[-1] == ("user", "C'est la 4711.")
    count = len(box.taken)
    await tell(desk)
    assert [m for m in box.taken[count:] if m["X-Recipients"] == ANA] == []  # nobody answers the answer by itself


async def test_the_same_mail_again_changes_nothing(desk: Desk, acme: Org, box: Post) -> None:
    mail = written("Where is it?")
    with capture_logs() as logs:
        outcomes = await asyncio.gather(*(receive(desk, acme, mail) for _ in range(5)))
    ignored = [line for line in logs if line["event"] == "mail.ignored"]
    assert [line["kind"] for line in ignored] == ["duplicate"] * 4
    assert {line["reason"] for line in ignored} == {"a mail with this Message-ID was taken in before"}
    assert ANA not in str(logs)
    assert sorted(each.outcome for each in outcomes).count("opened") == 1
    assert {each.outcome for each in outcomes} == {"opened", "duplicate"}
    assert len(await ticket.list_open(desk, acme.agent)) == 1


async def test_an_automatic_answer_and_a_bounce_are_kept_out_and_not_answered(desk: Desk, acme: Org, box: Post) -> None:
    opened = await opened_by(desk, acme, written("Where is the invoice?"))
    await session.add_message(desk, acme.agent, opened.session_id, "agent", "Which one?")
    await tell(desk)
    (asked,) = box.to(ANA)
    before = await said(desk, acme, opened)
    away = answer_to(asked, "I am away until Monday.", Auto_Submitted="auto-replied")
    assert (await receive(desk, acme, away)).outcome == "auto_reply"
    abwesend = answer_to(asked, "Ich bin nicht da.")
    abwesend.replace_header("Subject", "Automatische Antwort: Invoice")
    assert (await receive(desk, acme, abwesend)).outcome == "auto_reply"
    bounce = EmailMessage()
    bounce["From"] = "MAILER-DAEMON@mx.client.example"
    bounce["To"] = "support@acme.example"
    bounce["Subject"] = "Undelivered Mail"
    bounce["Message-ID"] = "<b1@mx.client.example>"
    bounce.set_content("The address does not exist.")
    bounce.add_attachment(asked)
    bounce.replace_header(
        "Content-Type",
        bounce["Content-Type"].replace("multipart/mixed", "multipart/report; report-type=delivery-status"),
    )
    came_back = await receive(desk, acme, bounce)
    assert (came_back.outcome, came_back.ticket_id) == ("bounce", opened.id)
    news = written("Buy now", sender="news@shop.example", Precedence="bulk", List_Id="<news.shop.example>")
    assert (await receive(desk, acme, news)).outcome == "list"
    own = written("Hello me", sender="support@acme.example")
    assert (await receive(desk, acme, own)).outcome == "loop"
    assert await said(desk, acme, opened) == before
    count = len(box.to(ANA))
    await tell(desk)
    assert len(box.to(ANA)) == count
    told = [fact.kind for fact in await ticket.timeline(desk, acme.agent, opened.id)]
    assert "mail.bounced" in told
    assert len(await ticket.list_open(desk, acme.agent)) <= 1


async def test_two_machines_that_answer_each_other_are_stopped(desk: Desk, acme: Org, box: Post) -> None:
    outcomes = [
        (await receive(desk, acme, written(f"Ticket {at} received.", Message_ID=f"<{at}@loop.example>"))).outcome
        for at in range(25)
    ]
    assert outcomes.count("loop") == 5


async def test_two_machines_that_take_their_time_are_stopped_within_a_day(
    desk: Desk, acme: Org, box: Post, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_intake, "MOST_A_DAY", 10)
    outcomes = []
    for at in range(14):
        clock.pass_by(minutes=11)
        outcomes.append((await receive(desk, acme, written(f"Got #{at}.", Message_ID=f"<{at}@slow.example>"))).outcome)
    assert outcomes == ["opened"] * 10 + ["loop"] * 4
    clock.pass_by(days=1)
    assert (await receive(desk, acme, written("And again.", Message_ID="<x@slow.example>"))).outcome == "opened"


WHY = {
    "guessed id": "forged_signature",
    "guessed address": "forged_signature",
    "another sender": "another_sender",
    "their own result line": "unproven_reply",
    "known id without proof": "unproven_reply",
}


@pytest.mark.parametrize("trick", WHY)
async def test_who_proves_nothing_only_opens_a_ticket(desk: Desk, acme: Org, box: Post, trick: str) -> None:
    first = written("Where is the invoice?")
    opened = await opened_by(desk, acme, first)
    await session.add_message(desk, acme.agent, opened.session_id, "agent", "Which one?")
    await tell(desk)
    (asked,) = box.to(ANA)
    forged = written("Refund me 900 to this account.", In_Reply_To=asked["Message-ID"])
    match trick:
        case "guessed id":
            local, _, domain = asked["Message-ID"].rpartition("@")
            assert len(local.rpartition(".")[2]) == 16, "the signature"
            forged.replace_header("In-Reply-To", f"{local[:-16]}{'a' * 16}@{domain}")
        case "guessed address":
            del forged["In-Reply-To"]
            signature = asked["Reply-To"].rpartition("@")[0].rpartition("-")[2]
            forged.replace_header("To", asked["Reply-To"].replace(signature, "a" * 16))
        case "another sender":
            forged.replace_header("From", "mallory@evil.example")
        case "their own result line":
            forged.replace_header("In-Reply-To", first["Message-ID"])
            forged["Authentication-Results"] = "mx.evil.example; dmarc=pass header.from=client.example"
        case "known id without proof":
            forged.replace_header("In-Reply-To", first["Message-ID"])
    before = await said(desk, acme, opened)
    with capture_logs() as logs:
        other = await opened_by(desk, acme, forged)
    (told,) = [line for line in logs if line["event"] == "mail.not_joined"]
    assert (told["ticket_id"], other.metadata["mail"]["reason"]) == (str(other.id), WHY[trick])
    assert len(told["reason"]) > 30, "in words"
    assert "example" not in str(logs), "no address of anybody"
    assert other.id != opened.id
    linked = [link["kind"] for link in await ticket.links(desk, acme.agent, other.id)]
    assert linked == (["related"] if trick == "another sender" else []), (
        "only our own mail can have brought them together"
    )
    made = build_dossier(
        other, None, reasons=("low_confidence",), team="billing", messages=(), earlier=(), tried=(), not_done=()
    )
    assert "Nothing proves that the mail is from its sender" in made.not_done[1]
    assert STANDS_APART[WHY[trick]] in made.not_done[2]
    assert "no runbook was run" in made.not_done[3], "whoever gets it knows before acting"
    assert await said(desk, acme, opened) == before
    assert other.metadata["mail"]["is_verified"] is False


async def test_our_own_servers_word_and_an_answer_prove_a_sender(desk: Desk, acme: Org, box: Post) -> None:
    vouched = f"{OUR}; spf=pass smtp.mailfrom=client.example; dkim=pass header.d=client.example; dmarc=pass"
    first = written("Where is the invoice?", Authentication_Results=vouched)
    opened = await opened_by(desk, acme, first)
    assert opened.metadata["mail"]["is_verified"] is True
    again = written("Here is the number: 4711", In_Reply_To=first["Message-ID"], Authentication_Results=vouched)
    assert (await receive(desk, acme, again)).ticket_id == opened.id
    unknown = await opened_by(desk, acme, written("Another question", sender="bob@client.example"))
    assert unknown.metadata["mail"]["is_verified"] is False
    await session.add_message(desk, acme.agent, unknown.session_id, "agent", "Which one?")
    await tell(desk)
    (asked,) = box.to("bob@client.example")
    reply = answer_to(asked, "The second.", sender="bob@client.example")
    assert (await receive(desk, acme, reply)).outcome == "added"
    proven = await ticket.read_ticket(desk, acme.agent, unknown.id)
    assert proven.metadata["mail"]["is_verified"] is True


@pytest.mark.parametrize(
    ("metadata", "lines"),
    [
        ({}, 0),
        ({"mail": {"is_verified": True}}, 0),
        ({"mail": "<b>"}, 0),
        ({"mail": {"is_verified": False}}, 1),
        ({"mail": {"is_verified": False, "reason": "<script>", "authentication": {"spf": "fail", "x": "y"}}}, 1),
        ({"mail": {"is_verified": False, "reason": ["a"], "authentication": ["spf"]}}, 1),
        ({"mail": {"is_verified": False, "reason": "forged_signature"}}, 2),
    ],
)
def test_what_is_not_proven_is_said_whatever_stands_in_a_ticket(metadata: dict, lines: int) -> None:
    said = why_unproven(metadata)
    assert len(said) == lines
    assert "<" not in str(said)


async def test_files_are_kept_but_for_those_that_run(desk: Desk, acme: Org, box: Post) -> None:
    mail = written("See the picture.")
    mail.add_attachment(b"PNG", maintype="image", subtype="png", filename="../../shot.png")
    mail.add_attachment(b"PK" + b"\0" * 100_000, maintype="application", subtype="zip", filename="bomb.zip")
    mail.add_attachment(b"MZ", maintype="application", subtype="octet-stream", filename="invoice.pdf.exe")
    opened = await opened_by(desk, acme, mail)
    kept = await attachment.list_attachments(desk, acme.agent, opened.id)
    assert sorted(each.name for each in kept) == ["bomb.zip", "shot.png"]
    assert (await receive(desk, acme, mail)).outcome == "duplicate"
    assert len(await attachment.list_attachments(desk, acme.agent, opened.id)) == 2


async def test_an_answer_to_a_ticket_closed_long_ago_opens_a_new_one(
    desk: Desk, acme: Org, box: Post, clock: Clock
) -> None:
    opened = await opened_by(desk, acme, written("Where is the invoice?"))
    await session.add_message(desk, acme.agent, opened.session_id, "agent", "It is sent.")
    await tell(desk)
    (asked,) = box.to(ANA)
    await ticket.close_ticket(desk, acme.agent, opened.id)
    clock.pass_by(days=30)
    other = await receive(desk, acme, answer_to(asked, "It never came."))
    assert other.outcome == "opened"
    assert other.ticket_id != opened.id
    assert [link["kind"] for link in await ticket.links(desk, acme.agent, other.ticket_id)] == ["follow_up_of"]


async def test_what_is_too_large_or_has_no_mailbox_is_refused(desk: Desk, acme: Org, globex: Org, box: Post) -> None:
    with pytest.raises(Invalid) as refused:
        await mail_intake.receive(desk, acme.org_id, b"x" * (MAX_BYTES + 1))
    assert refused.value.code == "mail_too_large"
    with pytest.raises(Missing) as missing:
        await receive(desk, globex, written("Hello"))
    assert missing.value.code == "no_mailbox"


HOSTILE: dict[str, Any] = {
    "nothing": b"",
    "no headers": b"\n\nwords",
    "nested": b"From: a@b.example\nContent-Type: multipart/mixed; boundary=x\n\n"
    + b"--x\nContent-Type: multipart/mixed; boundary=x\n\n" * 3000,
    "deep": b"From: a@b.example\n"
    + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (i, i) for i in range(2000)),
    "charset": b"From: a@b.example\nSubject: =?nope?B?////?=\nContent-Type: text/plain; charset=x-unknown\n\n\xff\xfe\x00bad",
    "header": b"From: " + b"(" * 200_000 + b"a@b.example\nSubject: " + b"=?utf-8?q?" * 50_000 + b"\n\nx",
    "ids": b"From: a@b.example\nReferences: " + b"<a@b>" * 100_000 + b"\n\nx",
    "html": b"From: a@b.example\nContent-Type: text/html\n\n" + b"<div>" * 100_000 + b"<script>alert(1)</script>hello",
    "quotes": b"From: a@b.example\n\n" + b"On " * 100_000 + b"\n" * 100_000,
    "filename": b"From: a@b.example\nContent-Type: application/x; name*0=\"a\"; name*1*=utf-8''%00%ff; name*999999999=x\n\nx",
    "tnef": b"From: a@b.example\nContent-Type: application/ms-tnef; name=winmail.dat\n\n"
    b'x\x9f>"\1\0\2\2\x90\6\0\xff\xff\xff\xff' + b"\2\x0f\x80\6\0\0\0\0\0" * 9999,
    "report": b"From: a@b.example\nContent-Type: multipart/report; report-type*=utf-8''%ff; boundary=\"x\"\n\n--x\n"
    b"Content-Type: message/delivery-status\n\n" + b"Action: f\n\n" * 20_000,
    "nul": b"From: a@b.example\nSubject: a\x00b\nMessage-ID: <x\x00y@z>\n\nbody\x00",
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.timeout(20)
async def test_a_hostile_mail_is_data(desk: Desk, acme: Org, box: Post, name: str) -> None:
    received = await mail_intake.receive(desk, acme.org_id, HOSTILE[name])
    assert received.outcome in {"opened", "refused", "auto_reply", "bounce"}
    if received.ticket_id is not None:
        found = await ticket.read_ticket(desk, acme.agent, received.ticket_id)
        assert "alert(1)" not in found.body


async def test_no_runbook_is_even_looked_for_while_a_sender_is_unproven(desk: Desk, acme: Org, box: Post) -> None:
    opened = await opened_by(desk, acme, written("Refund me 900 to my new account."))

    class Looked(Exception):
        pass

    class NoDatabase:
        def org_reading(self, _: Any) -> Any:
            raise Looked

    blind = replace(desk, database=NoDatabase())  # type: ignore[arg-type]
    about: dict[str, Any] = {"triage": None, "question": opened.text, "messages": (), "policy": Policy()}
    assert await treatment.find(blind, acme.engine, opened, **about) is None
    proven = replace(opened, metadata={"mail": {"is_verified": True}})
    with pytest.raises(Looked):
        await treatment.find(blind, acme.engine, proven, **about)
