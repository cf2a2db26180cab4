"""What a mail is: somebody's words, an automatic answer, a bounce or a list's; and who really sent it.

Pure. What it is made of is read by `mail_parts`, which of its words are new by `mail_text`. A mail is what a stranger wrote:
whatever is wrong in it, reading ends with what could be read, and never fails.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from email.utils import getaddresses
from typing import Any, Final, Literal

from asoe.domain.mail_parts import File, clean, content_of, header, headers, parsed, parts_of

Kind = Literal["words", "auto_reply", "bounce", "list"]
MAX_BYTES: Final = 25 * 1024 * 1024
_MOST_REFERENCES: Final = 50
_ID: Final = re.compile(r"<([^<>\s]{1,250})>")
_AUTO_SUBJECT: Final = re.compile(
    r"^\s*(auto(matic)?[ -]?(reply|response)|out of (the )?office|automatische antwort|abwesenheits\w*|abwesend|"
    r"respuesta automática|fuera de (la )?oficina|ausente de la oficina|réponse automatique|absent?e? du bureau|absence du bureau|"
    r"message d[’']absence)(?P<ends>\s*([:\[(]|$))?|"
    r"^\s*auto: .{0,200}(?P<away>out of (the )?office|abwesend|nicht im (büro|haus)|fuera de|absente?)\b",
    re.IGNORECASE,
)
"""What such a subject says counts when it stands alone or before a colon, or in an answer: people write about these words, too."""
_DAEMON: Final = re.compile(r"^(mailer-daemon|mail-daemon)@", re.IGNORECASE)
_POSTMASTER: Final = re.compile(r"^(postmaster|microsoftexchange[0-9a-f]{8,40})@", re.IGNORECASE)
_FAILED_SUBJECT: Final = re.compile(
    r"undeliver|deliver\w* (has |status )?(failed|failure|notification)|returned (mail|to sender)|failure notice|mail delivery|"
    r"unzustellbar|nicht zugestellt|no se (ha )?(puede|podido) entregar|non remis|échec de (la )?remise",
    re.IGNORECASE,
)
_DELAYED_SUBJECT: Final = re.compile(
    r"^\s*(warning: |delayed mail|(mail )?delivery (is )?delayed|delivery status notification \(delay|verzögert|retras|retard)",
    re.IGNORECASE,
)
_ACTION: Final = re.compile(r"^action:\s*([a-z]+)", re.IGNORECASE | re.MULTILINE)
_COPY_OF_ID: Final = re.compile(r"^[ >\t]*message-id:\s*(<[^<>\s]{1,250}>)", re.IGNORECASE | re.MULTILINE)
_LIST_POST: Final = re.compile(r"<mailto:([^>?\s]{3,254})", re.IGNORECASE)
_LIST_ID: Final = re.compile(r"<([^<>@\s.]{1,64})\.([^<>@\s]{3,190})>")
_RESULT: Final = re.compile(r"\b(spf|dkim|dmarc)\s*=\s*([a-z]+)([^;]*)", re.IGNORECASE)
_DOMAIN: Final = re.compile(
    r"\b(?:header\.d|header\.i|smtp\.mailfrom|header\.from)\s*=\s*(?:[^\s;@]*@)?([^\s;]+)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail as it was read. Ids are without their brackets; `references` holds In-Reply-To too, the nearest last."""

    message_id: str
    sender: str
    sender_name: str
    recipients: tuple[str, ...]
    subject: str
    text: str
    kind: Kind
    references: tuple[str, ...] = ()
    files: tuple[File, ...] = ()
    authentication: Mapping[str, str] | None = None
    """spf, dkim and dmarc as our own server saw them; None: it said nothing."""
    is_verified: bool = False
    """Whether that proves the sender's domain."""
    of_list: tuple[str, ...] = ()
    """Addresses of the list that passed it on."""


def read_mail(raw: bytes, *, authority: str = "") -> Mail:
    """Read a mail; `authority`: the name by which our own mail server signs its Authentication-Results."""
    message = parsed(raw)
    of_list = _of_list(message)
    sender, sender_name, is_from = _sender(message, is_listed=bool(of_list))
    own = _ID.search(header(message, "Message-ID"))
    references = _ID.findall(header(message, "References", longest=20_000)) + _ID.findall(
        header(message, "In-Reply-To")
    )
    text, files = content_of(message)
    kind = _kind(message, sender, answers=bool(references))
    if kind == "bounce":
        references += _ID.findall("\n".join((*_returned(message), *_COPY_OF_ID.findall(text))))
    found = _authentication(message, authority, sender.rpartition("@")[2])
    return Mail(
        message_id=own[1] if own else f"{hashlib.sha256(raw).hexdigest()}@unnamed.invalid",
        sender=sender,
        sender_name=sender_name,
        recipients=_recipients(message),
        subject=clean(header(message, "Subject"))[:400],
        text=text,
        kind=kind,
        references=tuple(dict.fromkeys(references))[-_MOST_REFERENCES:],
        files=files,
        authentication={name: verdict for name, (verdict, _) in found.items()} if found else None,
        is_verified=is_from and _is_verified(found, sender),
        of_list=of_list,
    )


STANDS_APART: Final = {
    "forged_signature": "it answers an id or address as we sign them, and the signature is not ours",
    "another_sender": "it answers a mail about somebody else's ticket: its sender is neither the contact nor in its copy",
    "unproven_reply": "it names a mail of the ticket, and nothing proves its sender",
}
"""Why a mail that points to a ticket opened one of its own instead."""


def why_unproven(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """For the person who gets it, in words: what nobody has proven of the mail, and what its servers' checks said; else nothing."""
    if not is_unproven(metadata):
        return ()
    about = metadata["mail"]
    said = about.get("authentication") if isinstance(about.get("authentication"), Mapping) else None
    checks = ", ".join(f"{name} {said[name]}" for name in ("spf", "dkim", "dmarc") if said.get(name)) if said else ""
    lines = [f"Nothing proves that the mail is from its sender ({checks or 'no checks of its servers are known'})."]
    if str(about.get("reason")) in STANDS_APART:
        lines.append(f"It points to another ticket and stands apart: {STANDS_APART[about['reason']]}.")
    return tuple(lines)


def is_unproven(metadata: Mapping[str, Any]) -> bool:
    """Whether a ticket came by a mail whose sender nobody has proven: nothing is done for such a one without a person."""
    about = metadata.get("mail")
    return isinstance(about, Mapping) and about.get("is_verified") is False


def _sender(message: Message, *, is_listed: bool) -> tuple[str, str, bool]:
    """Address, name, and whether From holds it, once and alone: only of such a one can a server know anything.

    A list that may not write in its members' names keeps them beside its own.
    """
    given = [_addresses([clean(each)]) for each in headers(message, "From")]
    is_alone = len(given) == 1 and sum("@" in address for _, address in given[0]) == 1
    for name in ("X-Original-From", "From", "Reply-To", "Sender") if is_listed else ("From", "Reply-To", "Sender"):
        for shown, address in _addresses([clean(header(message, name))]):
            if "@" in address:
                return clean(address).lower()[:254], clean(shown)[:200], name == "From" and is_alone
    return "", "", False


def _of_list(message: Message) -> tuple[str, ...]:
    """Under which addresses a list passed it on, as the list says."""
    found = [each.lower() for each in _LIST_POST.findall(header(message, "List-Post"))]
    found += [f"{local}@{domain}".lower() for local, domain in _LIST_ID.findall(header(message, "List-Id"))]
    return tuple(dict.fromkeys(found))


def _addresses(values: list[str]) -> list[tuple[str, str]]:
    try:
        return getaddresses(values)
    except Exception:  # comments nested beyond its depth
        return []


def _recipients(message: Message) -> tuple[str, ...]:
    names = ("To", "Cc", "Delivered-To", "X-Original-To", "Envelope-To")
    given = [value for name in names for value in headers(message, name)]
    return tuple(dict.fromkeys(address.lower() for _, address in _addresses(given[:50]) if "@" in address))[:100]


def _kind(message: Message, sender: str, *, answers: bool) -> Kind:
    subject = unicodedata.normalize("NFC", header(message, "Subject"))
    returns_nowhere = header(message, "Return-Path").strip() == "<>"
    automatic = header(message, "Auto-Submitted").strip().lower()
    is_automatic = (bool(automatic) and automatic != "no") or returns_nowhere
    if message.get_content_type() == "multipart/report":
        return "bounce" if _is_failure(message) else "auto_reply"
    is_postmaster = bool(_POSTMASTER.match(sender)) and (is_automatic or bool(_FAILED_SUBJECT.search(subject)))
    if (
        _DAEMON.match(sender)
        or is_postmaster
        or (header(message, "X-Failed-Recipients") and (returns_nowhere or is_automatic))
    ):
        return "auto_reply" if _DELAYED_SUBJECT.match(subject) else "bounce"
    precedence = header(message, "Precedence").strip().lower()
    away = _AUTO_SUBJECT.match(subject)
    if (
        is_automatic
        or precedence == "auto_reply"
        or (precedence in {"bulk", "junk"} and answers)
        or any(header(message, name) for name in ("X-Autoreply", "X-Autorespond", "X-Auto-Reply"))
        or (away is not None and (answers or away["away"] is not None or away["ends"] is not None))
        or _answers_invitation(message)
    ):
        return "auto_reply"
    listed = ("List-Id", "List-Unsubscribe", "List-Post")
    if precedence in {"bulk", "junk", "list"} or any(header(message, name) for name in listed):
        return "list"
    return "words"


def _is_failure(report: Message) -> bool:
    """Whether a server's report says that something was not delivered: neither late only, nor read, nor complained about."""
    kind = str(report.get_param("report-type") or "delivery-status").lower()
    if kind != "delivery-status":
        return False
    told = [
        action.lower()
        for part in parts_of(report)
        if part.get_content_type() == "message/delivery-status"
        for action in _ACTION.findall(_lines_of(part))
    ]
    return not told or "failed" in told


def _lines_of(part: Message) -> str:
    payload = part.get_payload()
    return "\n".join(str(each) for each in payload)[:20_000] if isinstance(payload, list) else str(payload)[:20_000]


def _answers_invitation(message: Message) -> bool:
    """Whether a calendar accepted or declined, which is nobody's words."""
    return any(
        part.get_content_type() == "text/calendar" and str(part.get_param("method") or "").upper() == "REPLY"
        for part in parts_of(message)
    )


def _returned(message: Message) -> Iterator[str]:
    """The headers of the mail that a bounce is about."""
    for part in parts_of(message):
        if part.get_content_type() not in {"message/rfc822", "text/rfc822-headers", "message/delivery-status"}:
            continue
        payload = part.get_payload()
        for each in payload if isinstance(payload, list) else [payload]:
            if isinstance(each, Message):
                yield header(each, "Message-ID")
            else:
                found = re.search(r"^message-id:\s*(<[^<>\s]+>)", str(each)[:20_000], re.IGNORECASE | re.MULTILINE)
                yield found[1] if found else ""


def _authentication(message: Message, authority: str, domain: str) -> dict[str, tuple[str, str]]:
    """Method → (verdict, domain), only from lines of our own server: everybody else's are a stranger's words.

    Of several signatures one that passed counts, and of those the one of `domain`.
    """
    found: dict[str, tuple[str, str]] = {}
    if not authority:
        return found
    for value in headers(message, "Authentication-Results"):
        name, _, results = value.partition(";")
        if (name.split() or [""])[0].lower() != authority.lower():
            continue
        for method, verdict, about in _RESULT.findall(results):
            named = _DOMAIN.search(about)
            result = (verdict.lower(), named[1].lower() if named else "")
            known = found.get(method.lower())
            if known is None or (result[0] == "pass" and known != ("pass", domain)):
                found[method.lower()] = result
    return found


def _is_verified(found: Mapping[str, tuple[str, str]], sender: str) -> bool:
    """DMARC says so, of the very domain; or SPF or DKIM passed for it, and DMARC does not object."""
    domain = sender.rpartition("@")[2]
    if "dmarc" in found:
        verdict, of = found["dmarc"]
        return verdict == "pass" and of in {"", domain}
    return bool(domain) and any(found.get(method) == ("pass", domain) for method in ("dkim", "spf"))
