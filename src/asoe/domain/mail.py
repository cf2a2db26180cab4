"""What a mail says, and what it is: new words, an automatic answer, a bounce or a loop; and who really sent it.

Pure. A mail is what a stranger wrote: whatever is wrong in it, reading ends with what could be read, and never fails.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage, Message
from email.utils import getaddresses
from typing import Any, Final, Literal

from asoe.domain.mail_text import plain_of

Kind = Literal["words", "auto_reply", "bounce", "list"]
MAX_BYTES: Final = 25 * 1024 * 1024
MAX_FILES: Final = 20
_MOST_PARTS: Final = 200
_LONGEST_HEADER: Final = 4000
_LONGEST_TEXT: Final = 60_000
_MOST_REFERENCES: Final = 50
_ID: Final = re.compile(r"<([^<>\s]{1,250})>")
_AUTO_SUBJECT: Final = re.compile(
    r"^\s*(auto(matic)?[ -]?(reply|response)|out of (the )?office|automatische antwort|abwesenheits|"
    r"respuesta automática|fuera de la oficina|réponse automatique|absence du bureau)",
    re.IGNORECASE,
)
_DAEMON: Final = re.compile(r"^(mailer-daemon|postmaster|mail-daemon)@", re.IGNORECASE)
_RESULT: Final = re.compile(r"\b(spf|dkim|dmarc)\s*=\s*([a-z]+)([^;]*)", re.IGNORECASE)
_DOMAIN: Final = re.compile(
    r"\b(?:header\.d|header\.i|smtp\.mailfrom|header\.from)\s*=\s*(?:[^\s;@]*@)?([^\s;]+)", re.IGNORECASE
)
_DANGEROUS: Final = re.compile(
    r"\.(exe|com|scr|pif|bat|cmd|msi|msp|jar|js|jse|vbs|vbe|wsf|wsh|ps1|lnk|hta|cpl|dll|reg|iso|img|chm)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class File:
    """A part that is no text to be read."""

    name: str
    media_type: str
    content: bytes

    @property
    def is_dangerous(self) -> bool:
        """A kind of file that runs when it is opened."""
        return bool(_DANGEROUS.search(self.name.rstrip(" .")))


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


def read_mail(raw: bytes, *, authority: str = "") -> Mail:
    """Read a mail; `authority`: the name by which our own mail server signs its Authentication-Results."""
    message = _parsed(raw)
    sender, sender_name = _sender(message)
    own = _ID.search(_header(message, "Message-ID"))
    references = _ID.findall(_header(message, "References", longest=20_000)) + _ID.findall(
        _header(message, "In-Reply-To")
    )
    text, files = _content(message)
    kind = _kind(message, sender)
    if kind == "bounce":
        references += _ID.findall("\n".join(_returned(message)))
    found = _authentication(message, authority)
    return Mail(
        message_id=own[1] if own else f"{hashlib.sha256(raw).hexdigest()}@unnamed.invalid",
        sender=sender,
        sender_name=sender_name,
        recipients=_recipients(message),
        subject=_clean(_header(message, "Subject"))[:400],
        text=text,
        kind=kind,
        references=tuple(dict.fromkeys(references))[-_MOST_REFERENCES:],
        files=files,
        authentication={name: verdict for name, (verdict, _) in found.items()} if found else None,
        is_verified=_is_verified(found, sender),
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


def _parsed(raw: bytes) -> Message:
    try:
        return message_from_bytes(raw, _class=EmailMessage, policy=policy.default)
    except Exception:  # the parser's own faults, and parts nested beyond its depth
        head, _, body = raw.partition(b"\n\n")
        made = EmailMessage()
        for line in head[:65536].decode("latin-1").splitlines():
            name, _, value = line.partition(":")
            if name.lower() in {"from", "to", "subject", "message-id", "in-reply-to", "references"}:
                try:
                    made[name] = _clean(value)[:_LONGEST_HEADER]
                except Exception:  # noqa: S112
                    continue
        made.set_payload(body[:_LONGEST_TEXT].decode("utf-8", "replace"))
        return made


def _header(message: Message, name: str, *, longest: int = _LONGEST_HEADER) -> str:
    return next(_headers(message, name, longest=longest), "")


def _headers(message: Message, name: str, *, longest: int = _LONGEST_HEADER) -> Iterator[str]:
    """Values of a header, decoded; long ones are cut before the costly part of reading them."""
    for key, value in message.raw_items():
        if key.lower() != name.lower():
            continue
        raw = str(value)[:longest]
        try:
            yield _storable(str(policy.default.header_fetch_parse(key, raw)))
        except Exception:  # the header parser has faults of its own
            yield _clean(raw)


def _sender(message: Message) -> tuple[str, str]:
    for name in ("From", "Reply-To", "Sender"):
        for shown, address in _addresses([_clean(_header(message, name))]):
            if "@" in address:
                return _clean(address).lower()[:254], _clean(shown)[:200]
    return "", ""


def _addresses(values: list[str]) -> list[tuple[str, str]]:
    try:
        return getaddresses(values)
    except Exception:  # comments nested beyond its depth
        return []


def _recipients(message: Message) -> tuple[str, ...]:
    names = ("To", "Cc", "Delivered-To", "X-Original-To", "Envelope-To")
    given = [value for name in names for value in _headers(message, name)]
    return tuple(dict.fromkeys(address.lower() for _, address in _addresses(given[:50]) if "@" in address))[:100]


def _kind(message: Message, sender: str) -> Kind:
    if message.get_content_type() == "multipart/report" or _DAEMON.match(sender):
        return "bounce"
    if _header(message, "Return-Path").strip() == "<>" and _header(message, "X-Failed-Recipients"):
        return "bounce"
    automatic = _header(message, "Auto-Submitted").strip().lower()
    precedence = _header(message, "Precedence").strip().lower()
    if (
        (automatic and automatic != "no")
        or precedence == "auto_reply"
        or any(_header(message, name) for name in ("X-Autoreply", "X-Autorespond", "X-Auto-Reply"))
        or _header(message, "Return-Path").strip() == "<>"
        or _AUTO_SUBJECT.match(_header(message, "Subject"))
    ):
        return "auto_reply"
    if precedence in {"bulk", "junk", "list"} or _header(message, "List-Id") or _header(message, "List-Unsubscribe"):
        return "list"
    return "words"


def _content(message: Message) -> tuple[str, tuple[File, ...]]:
    plain: list[str] = []
    rich: list[str] = []
    files: list[File] = []
    for part in _parts(message):
        kind = part.get_content_type()
        name = _name_of(part)
        if part.get_content_disposition() != "attachment" and not name and kind in {"text/plain", "text/html"}:
            (plain if kind == "text/plain" else rich).append(_decoded(part))
        elif len(files) < MAX_FILES and (content := _bytes(part)):
            files.append(File(name or "file", kind, content))
    text = "\n".join(plain) if any(each.strip() for each in plain) else plain_of("\n".join(rich)[: 4 * _LONGEST_TEXT])
    return _storable(text)[:_LONGEST_TEXT].strip(), tuple(files)


def _parts(message: Message) -> Iterator[Message]:
    """The leaves, in order; a mail inside of a mail is one file. By a list, however deep they are nested."""
    waiting: list[Message] = [message]
    seen = 0
    while waiting and seen < _MOST_PARTS:
        part = waiting.pop(0)
        seen += 1
        payload = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(payload, list):
            waiting[:0] = [each for each in payload if isinstance(each, Message)]
        else:
            yield part


def _returned(message: Message) -> Iterator[str]:
    """The headers of the mail that a bounce is about."""
    for part in _parts(message):
        if part.get_content_type() not in {"message/rfc822", "text/rfc822-headers", "message/delivery-status"}:
            continue
        payload = part.get_payload()
        for each in payload if isinstance(payload, list) else [payload]:
            if isinstance(each, Message):
                yield _header(each, "Message-ID")
            else:
                found = re.search(r"^message-id:\s*(<[^<>\s]+>)", str(each)[:20_000], re.IGNORECASE | re.MULTILINE)
                yield found[1] if found else ""


def _name_of(part: Message) -> str:
    try:
        return _clean(part.get_filename() or "")[:200]
    except Exception:
        return "file"


def _bytes(part: Message) -> bytes:
    try:
        if part.get_content_type() == "message/rfc822":
            inside = part.get_payload()
            return inside[0].as_bytes() if isinstance(inside, list) and isinstance(inside[0], Message) else b""
        content = part.get_payload(decode=True)
    except Exception:
        return b""
    return content if isinstance(content, bytes) else b""


def _decoded(part: Message) -> str:
    content = _bytes(part)[: 8 * _LONGEST_TEXT]
    try:
        return content.decode(str(part.get_content_charset("utf-8")), "replace")
    except (LookupError, ValueError):
        return content.decode("utf-8", "replace")


def _authentication(message: Message, authority: str) -> dict[str, tuple[str, str]]:
    """Method → (verdict, domain), only from lines of our own server: everybody else's are a stranger's words."""
    found: dict[str, tuple[str, str]] = {}
    if not authority:
        return found
    for value in _headers(message, "Authentication-Results"):
        name, _, results = value.partition(";")
        if (name.split() or [""])[0].lower() != authority.lower():
            continue
        for method, verdict, about in _RESULT.findall(results):
            domain = _DOMAIN.search(about)
            if method.lower() not in found or verdict.lower() == "pass":
                found[method.lower()] = (verdict.lower(), domain[1].lower() if domain else "")
    return found


def _is_verified(found: Mapping[str, tuple[str, str]], sender: str) -> bool:
    """DMARC says so; or SPF or DKIM passed for the very domain of the sender, and DMARC does not object."""
    if "dmarc" in found:
        return found["dmarc"][0] == "pass"
    domain = sender.rpartition("@")[2]
    return bool(domain) and any(found.get(method) == ("pass", domain) for method in ("dkim", "spf"))


def _clean(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", _storable(text)).strip()


def _storable(text: str) -> str:
    """Without what PostgreSQL cannot hold."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
