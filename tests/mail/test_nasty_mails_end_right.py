"""Mails as programs and servers really write them (`nasty/`): each ends as a message, a ticket or aside, with the right words and files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mail_cast import Post, tell, use_post

from asoe.desk import attachment, mail_intake, session, ticket
from asoe.desk.context import Desk
from asoe.store import contacts, sessions

if TYPE_CHECKING:
    from tests.conftest import Org
    from tests.flow.flow_cast import Clock

MAILS = Path(__file__).parent / "nasty"
ANA = "ana@client.example"
FIRST = b"""From: Ana Client <ana@client.example>\r
To: support@acme.example\r
Subject: Invoice of May\r
Message-ID: <first@client.example>\r
\r
The invoice of May is wrong.\r
"""


@dataclass(frozen=True)
class Ends:
    """How one mail must end; `words` are the message's or the ticket's, whole."""

    outcome: str
    words: str | None = None
    sender: str = ANA
    files: tuple[str, ...] = ()
    note: str = ""


ENDS = {
    # answers to a mail of ours
    "outlook_html_reply": Ends("added", "It is order 4711 – it’s the one for 12 €."),
    "outlook_german_reply": Ends("added", "Es ist die Bestellung 4711, über 12 €."),
    "outlook_spanish_reply": Ends("added", "Es el pedido 4711."),
    "gmx_reply_sent_first": Ends("added", "Die 4711."),
    "gmail_android_german": Ends("added", "Die Bestellung 4711"),
    "open_xchange_german": Ends("added", "Die 4711 bitte."),
    "apple_mail_reply": Ends("added", "Order 4711, thank you\n\nAna"),
    "mobile_signatures": Ends("added", "La commande 4711."),
    "bottom_posted": Ends(
        "added", "Am 24.11.26 um 09:01 schrieb Acme Support:\n> Welche Bestellung ist es?\n\nDie 4711."
    ),
    "answers_in_red": Ends(
        "added",
        "Hi, see my answers below in red.\n\nFrom: Acme Support <support@acme.example>\nSent: Tuesday, November 24, 2026 9:01 AM\n"
        "To: Ana Client <ana@client.example>\nSubject: Re: Invoice of May\n\nWhich order is it? 4711\nWhat amount? 12 EUR",
    ),
    "yahoo_reply": Ends("added", "It is 4711."),
    "only_a_quote": Ends("added", "(no words)"),
    "words_in_the_subject": Ends("added", "Re: Invoice of May – it is 4711"),
    "hidden_words": Ends("added", "Order 4711\n\nThanks"),
    "signed_by_list_tool": Ends("added", "Sent through our CRM: it is order 4711."),
    "utf8_called_ascii": Ends("added", "Größe M für 12 € — Bestellung 4711"),
    "chinese_charset": Ends("added", "订单 4711，谢谢 镕"),
    "smime_signed": Ends("added", "The order is 4711.", files=("smime.p7s",)),
    # new matters
    "nested_forward": Ends("opened"),
    "forward_as_a_file": Ends(
        "opened",
        "charged twice for invoice 88\n\nMy card was charged twice for invoice 88.",
        files=("charged twice for invoice 88.eml",),
    ),
    "winmail_dat": Ends(
        "opened",
        "Please find the invoice attached, it has the wrong address.",
        files=("Rechnung Mai.pdf",),
        note="Files that were not kept: setup.exe",
    ),
    "calendar_invitation": Ends(
        "opened", "Can we talk about the double charge on Thursday at ten?", files=("invite.ics",)
    ),
    "nothing_at_all": Ends("opened", "(no words)"),
    "about_out_of_office": Ends("opened", "I switched automatic replies on yesterday and nobody gets one."),
    "human_postmaster": Ends(
        "opened", "Which of your servers may send for acme.example?", sender="postmaster@client.example"
    ),
    "huge_headers": Ends("opened", "Where is my invoice of June?"),
    "same_id_first": Ends("opened", "Scan of the contract, page one.", sender="scan@client.example"),
    "same_id_second": Ends("opened", "Scan of the contract, page two: please confirm.", sender="scan@client.example"),
    "reply_to_of_another": Ends("opened", sender="bob@client.example"),
    "two_froms": Ends("opened", sender="mallory@evil.example"),
    "dmarc_of_another": Ends("opened", "Close my account today."),
    "group_is_our_address": Ends("opened", sender="dan@strict.example"),
    # what nobody should answer
    "calendar_acceptance": Ends("auto_reply"),
    "our_mail_through_a_list": Ends("list"),
    "our_mail_forwarded_back": Ends("loop"),
    "foreign_list": Ends("list"),
    "bounce_postfix": Ends("bounce"),
    "bounce_exchange": Ends("bounce"),
    "bounce_gmail": Ends("bounce"),
    "bounce_qmail": Ends("bounce"),
    "bounce_exim": Ends("bounce"),
    "bounce_forged": Ends("bounce"),
    "late_postfix": Ends("auto_reply"),
    "read_receipt": Ends("auto_reply"),
    "away_english_exchange": Ends("auto_reply"),
    "away_german": Ends("auto_reply"),
    "away_spanish": Ends("auto_reply"),
    "away_french": Ends("auto_reply"),
    "away_notes": Ends("auto_reply"),
    "away_gmail_vacation": Ends("auto_reply"),
}
UNPROVEN = ("two_froms", "dmarc_of_another", "group_is_our_address", "reply_to_of_another")


async def test_every_mail_ends_as_it_must(desk: Desk, acme: Org, post: Post, clock: Clock) -> None:
    assert sorted(ENDS) == sorted(path.stem for path in MAILS.glob("*.eml"))
    await use_post(desk, acme, post, authority="mx.acme.example", uses_plus=True)
    opened = await mail_intake.receive(desk, acme.org_id, FIRST)
    assert opened.ticket_id is not None
    found = await ticket.read_ticket(desk, acme.agent, opened.ticket_id)
    assert found.session_id is not None
    await session.add_message(desk, acme.agent, found.session_id, "agent", "Which order is it?")
    await tell(desk)
    (asked,) = post.to(ANA)
    wrong = {}
    for name, must in ENDS.items():
        clock.pass_by(minutes=1)
        became = await _became(desk, acme, _mail(name, asked), opened=opened)
        if became != replace(must, words=became.words if must.words is None else must.words):
            wrong[name] = became
    assert wrong == {}
    told = [fact.kind for fact in await ticket.timeline(desk, acme.agent, found.id, limit=500)]
    assert told.count("mail.bounced") == 5, "one of each server; the forged one is nobody's"
    before = len(await ticket.list_open(desk, acme.agent))
    for name in ENDS:  # all of them again: by another way, on another day
        clock.pass_by(minutes=1)
        again = await mail_intake.receive(desk, acme.org_id, b"Received: from elsewhere\r\n" + _mail(name, asked))
        assert again.outcome == "duplicate", name
    assert len(await ticket.list_open(desk, acme.agent)) == before


def _mail(name: str, asked: object) -> bytes:
    """As it comes over the wire, an answer to what we asked."""
    raw = (MAILS / f"{name}.eml").read_bytes().replace(b"\r\n", b"\n")
    known = {
        "{OUR_ID}": str(asked["Message-ID"]).strip("<>"),  # type: ignore[index]
        "{FIRST_ID}": "first@client.example",
        "{REPLY_TO}": str(asked["Reply-To"]),  # type: ignore[index]
    }
    for mark, value in known.items():
        raw = raw.replace(mark.encode(), value.encode())
    return raw.replace(b"\n", b"\r\n")


async def _became(desk: Desk, acme: Org, raw: bytes, *, opened: mail_intake.Received) -> Ends:
    received = await mail_intake.receive(desk, acme.org_id, raw)
    if received.outcome not in {"opened", "added"}:
        return Ends(received.outcome)
    assert received.ticket_id is not None
    assert (received.ticket_id == opened.ticket_id) == (received.outcome == "added")
    now = await ticket.read_ticket(desk, acme.agent, received.ticket_id)
    async with desk.database.org_reading(acme.agent) as connection:
        rows = await sessions.messages_of_ticket(connection, acme.org_id, now.id)
        assert now.contact_id is not None
        contact = await contacts.find(connection, acme.org_id, now.contact_id)
    said = [row.content for row in rows if row.role == "user"]
    notes = [row.content for row in rows if row.is_internal]
    kept = await attachment.list_attachments(desk, acme.agent, now.id)
    return Ends(
        received.outcome,
        said[-1],
        sender=str(contact.email),
        files=tuple(each.name for each in kept),
        note=notes[-1] if notes else "",
    )
