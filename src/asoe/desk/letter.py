"""Writes the messages that go out: mails in plain text and simple HTML, the JSON of webhooks, the line for Slack.

Whatever a client or another system wrote is escaped for where it goes; no secret and no text of a conversation is in them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from html import escape
from typing import Final
from uuid import UUID

from asoe.domain.facts import FACTS
from asoe.domain.notification import NOTICES, Delivery
from asoe.store.deliveries import TicketLine
from asoe.store.mails import ToClient

_LONGEST_SUBJECT: Final = 120
MOST_LINES: Final = 200
"""Lines of a digest; it says how many more there are."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def message_id(delivery_id: UUID, domain: str) -> str:
    """The same at every try: a receiver that got two keeps one."""
    return f"<{delivery_id.hex}@{domain}>"


def webhook_id(delivery_id: UUID) -> str:
    return f"msg_{delivery_id.hex}"


def staff_mail(
    delivery: Delivery,
    ticket: TicketLine | None,
    *,
    organization: str,
    sender: tuple[str, str],
    recipient: tuple[str, str],
    url: str,
    at: datetime,
    signed_path: str | None = None,
) -> EmailMessage:
    """News for a person of the staff; sender and recipient are (name, address); `signed_path` leads to a decision."""
    says = NOTICES[delivery.kind].says
    number = f" #{ticket.number}" if ticket else ""
    lines = [says + "."]
    if ticket:
        lines.append(f"Ticket #{ticket.number}: {one_line(ticket.subject) or '(no subject)'}")
        lines.append(f"{ticket.category.replace('_', ' ')}, {ticket.severity}")
    detail = _detail(delivery)
    if detail:
        lines.append(detail)
    link = url + (signed_path or _path(delivery))
    if signed_path:
        lines.append("The link shows what would be done. It is for you alone, for one hour and one decision.")
    foot = f"You get this as a member of {organization}. What you are told, and when: {url}/profile/notifications"
    made = mail(
        subject=f"[{organization}{number}] {says}",
        text="\n".join([*lines, "", link, "", "-- ", foot]),
        html="".join(f"<p>{escape(line)}</p>" for line in lines)
        + f'<p><a href="{escape(link)}">Open it in the Support Center</a></p><hr><p><small>{escape(foot)}</small></p>',
        sender=sender,
        recipient=recipient,
        at=at,
    )
    made["Message-ID"] = message_id(delivery.id, sender[1].rpartition("@")[2])
    return made


def reset_mail(link: str, *, sender: tuple[str, str], recipient: tuple[str, str], at: datetime) -> EmailMessage:
    """A forgotten password's link; the token is in it and in nothing else."""
    lines = [
        "Somebody asked for a new password for this address in the Support Center.",
        "The link lets you choose one. It works once, and for one hour. Every sign-in there is ends with it.",
    ]
    return _with_link(
        lines,
        link,
        "Choose a new password",
        foot="Was it not you? Then do nothing: your password stays as it is.",
        subject="A new password for the Support Center",
        sender=sender,
        recipient=recipient,
        at=at,
    )


def invitation_mail(
    link: str,
    *,
    organization: str,
    role: str,
    until: datetime,
    sender: tuple[str, str],
    recipient: tuple[str, str],
    at: datetime,
) -> EmailMessage:
    """An invitation's link, for the person it invites."""
    name = one_line(organization)
    lines = [
        f"{name} invites you to its Support Center as {role}.",
        f"The link is for this address. It works once, until {until:%Y-%m-%d %H:%M} UTC.",
    ]
    return _with_link(
        lines,
        link,
        "Join",
        foot="Do you not know them? Then do nothing.",
        subject=f"{name} invites you",
        sender=sender,
        recipient=recipient,
        at=at,
    )


def digest_mail(
    collected: Sequence[tuple[Delivery, TicketLine | None]],
    *,
    organization: str,
    sender: tuple[str, str],
    recipient: tuple[str, str],
    url: str,
    message_id: str,
    at: datetime,
) -> EmailMessage:
    """What was collected for a person of the staff since the digest before, a line each, oldest first."""
    lines, items = [], []
    for delivery, ticket in collected[:MOST_LINES]:
        says = NOTICES[delivery.kind].says
        about = f" · #{ticket.number} {one_line(ticket.subject) or '(no subject)'}, {ticket.severity}" if ticket else ""
        link = url + _path(delivery)
        lines += [f"- {says}{about}", f"  {link}"]
        items.append(f'<li>{escape(says)}{escape(about)} <a href="{escape(link)}">Open</a></li>')
    more = len(collected) - MOST_LINES
    rest = [f"… and {more} more, in the Support Center."] if more > 0 else []
    foot = f"You get this as a member of {organization}. What you are told, and when: {url}/profile/notifications"
    news = "1 piece of news" if len(collected) == 1 else f"{len(collected)} pieces of news"
    made = mail(
        subject=f"[{organization}] {news}",
        text="\n".join([*lines, *rest, "", "-- ", foot]),
        html=f"<ul>{''.join(items)}</ul>"
        + "".join(f"<p>{escape(line)}</p>" for line in rest)
        + f"<hr><p><small>{escape(foot)}</small></p>",
        sender=sender,
        recipient=recipient,
        at=at,
    )
    made["Message-ID"] = message_id
    return made


def briefing_mail(
    parts: Sequence[tuple[str, Sequence[str]]],
    *,
    days: str,
    organization: str,
    sender: tuple[str, str],
    recipient: tuple[str, str],
    url: str,
    foot_url: str,
    message_id: str,
    at: datetime,
) -> EmailMessage:
    """The figures of a day or week for a person of the staff: (heading, lines) each; the page behind the link has the plots."""
    foot = f"You get this as a member of {organization} who chose so. How often: {foot_url}"
    text, html = [], []
    for heading, lines in parts:
        text += [heading, *(f"- {line}" for line in lines), ""]
        html.append(f"<h3>{escape(heading)}</h3><ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>")
    made = mail(
        subject=f"[{organization}] Briefing, {days}",
        text="\n".join([*text, f"With plots: {url}", "", "-- ", foot]),
        html="".join(html)
        + f'<p><a href="{escape(url)}">Open it with plots</a></p><hr><p><small>{escape(foot)}</small></p>',
        sender=sender,
        recipient=recipient,
        at=at,
    )
    made["Message-ID"] = message_id
    return made


def reply_mail(
    said: ToClient,
    *,
    message_id: str,
    references: Sequence[str],
    reply_to: str,
    sender: tuple[str, str],
    at: datetime,
) -> EmailMessage:
    """One message of a ticket for its client, as an answer to what the client wrote."""
    subject = one_line(said.subject) or f"#{said.number}"
    paragraphs = [part for part in said.content.split("\n\n") if part.strip()]
    made = mail(
        subject=subject if subject.lower().startswith(("re:", "aw:")) else f"Re: {subject}",
        text=f"{said.content}\n\n-- \n{sender[0]} · #{said.number}",
        html="".join(f"<p>{escape(part).replace(chr(10), '<br>')}</p>" for part in paragraphs)
        + f"<p><small>{escape(sender[0])} · #{said.number}</small></p>",
        sender=sender,
        recipient=(said.name, said.email),
        at=at,
    )
    made.replace_header("Auto-Submitted", "auto-replied")
    made["Message-ID"] = message_id
    made["Reply-To"] = reply_to
    if references:
        made["In-Reply-To"] = f"<{references[-1]}>"
        made["References"] = " ".join(f"<{each}>" for each in references)
    return made


def _with_link(
    lines: Sequence[str],
    link: str,
    says: str,
    *,
    foot: str,
    subject: str,
    sender: tuple[str, str],
    recipient: tuple[str, str],
    at: datetime,
) -> EmailMessage:
    made = mail(
        subject=subject,
        text="\n".join([*lines, "", link, "", foot]),
        html="".join(f"<p>{escape(line)}</p>" for line in lines)
        + f'<p><a href="{escape(link)}">{escape(says)}</a></p><p><small>{escape(foot)}</small></p>',
        sender=sender,
        recipient=recipient,
        at=at,
    )
    made["Message-ID"] = make_msgid(domain=sender[1].rpartition("@")[2])
    return made


def mail(
    *, subject: str, text: str, html: str, sender: tuple[str, str], recipient: tuple[str, str], at: datetime
) -> EmailMessage:
    """A mail that no auto-responder should answer, in both forms."""
    made = EmailMessage(policy=SMTP)
    made["From"] = _address(*sender)
    made["To"] = _address(*recipient)
    made["Subject"] = one_line(subject)
    made["Date"] = format_datetime(at)
    made["Auto-Submitted"] = "auto-generated"
    made["X-Auto-Response-Suppress"] = "All"
    made.set_content(text + "\n")
    made.add_alternative(f"<!doctype html><html><body>{html}</body></html>\n", subtype="html")
    return made


def webhook_body(delivery: Delivery, org_id: UUID) -> bytes:
    """Ids and classes of the fact; the same bytes at every try."""
    data = {
        "fact_id": delivery.fact_id,
        "organization_id": str(org_id),
        "ticket_id": str(delivery.ticket_id) if delivery.ticket_id else None,
        **delivery.data,
    }
    whole = {"type": delivery.kind, "timestamp": delivery.happened_at.isoformat(), "data": data}
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":"), sort_keys=True, default=str).encode()


def slack_body(delivery: Delivery, ticket: TicketLine | None, *, organization: str, url: str) -> bytes:
    """One line without the client's words, with a link."""
    says = NOTICES[delivery.kind].says if delivery.kind in NOTICES else FACTS[delivery.kind].capitalize()
    about = f" · ticket #{ticket.number}, {ticket.category.replace('_', ' ')}, {ticket.severity}" if ticket else ""
    text = f"*{_mrkdwn(organization)}* · {_mrkdwn(says)}{_mrkdwn(about)}"
    if url:
        text += f" · <{_mrkdwn(url + _path(delivery))}|Open>"
    return json.dumps({"text": text}).encode()


def one_line(text: str) -> str:
    """A text as a header or a line may hold it: no control characters, not too long."""
    cleaned = _CONTROL.sub(" ", text).strip()
    return cleaned if len(cleaned) <= _LONGEST_SUBJECT else cleaned[: _LONGEST_SUBJECT - 1] + "…"


def _address(name: str, address: str) -> Address | str:
    local, _, domain = address.rpartition("@")
    return Address(one_line(name), local, domain)


def _path(delivery: Delivery) -> str:
    if approval := delivery.data.get("approval_id"):
        return f"/approvals/{approval}"
    return f"/tickets/{delivery.ticket_id}" if delivery.ticket_id else "/notifications"


def _detail(delivery: Delivery) -> str:
    """The classes of a fact worth a line."""
    names = ("action", "risk", "team", "reasons", "reason")
    found = {name: delivery.data.get(name) for name in names}
    said = [
        f"{name}: {', '.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in found.items()
        if value
    ]
    return one_line("; ".join(said).replace("_", " "))


def _mrkdwn(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
