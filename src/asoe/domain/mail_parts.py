"""What a mail is made of: its headers decoded, its words and its files, however its sender's program wrote them.

Pure. Whatever is wrong in it, reading ends with what could be read, and never fails. What it means is `mail`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage, Message
from typing import Final

from asoe.domain.mail_text import plain_of
from asoe.domain.tnef import files_in

MAX_FILES: Final = 20
_MOST_PARTS: Final = 200
_LONGEST_HEADER: Final = 4000
_LONGEST_TEXT: Final = 60_000
_CHARSET: Final = re.compile(rb"""charset\s*=\s*["']?([A-Za-z0-9_-]{2,40})""", re.IGNORECASE)
_OWN_BYTES: Final = frozenset(
    {"utf-7", "utf-16", "utf-16le", "utf-16be", "utf-32", "iso-2022-jp", "iso-2022-kr", "hz-gb-2312"}
)
"""Whose bytes can be those of UTF-8 and mean something else."""
_WIDER: Final[dict[str, str]] = {
    **dict.fromkeys(
        ("utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin-1", "latin1", "unknown-8bit"), "cp1252"
    ),
    **dict.fromkeys(("gb2312", "gbk", "x-gbk"), "gb18030"),
    **dict.fromkeys(("ks_c_5601-1987", "euc-kr"), "cp949"),
    "shift_jis": "cp932",
    "windows-874": "cp874",
    "iso-8859-8-i": "iso-8859-8",
}
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


def parsed(raw: bytes) -> Message:
    try:
        return message_from_bytes(raw, _class=EmailMessage, policy=policy.default)
    except Exception:  # the parser's own faults, and parts nested beyond its depth
        head, _, body = raw.partition(b"\n\n")
        made = EmailMessage()
        for line in head[:65536].decode("latin-1").splitlines():
            name, _, value = line.partition(":")
            if name.lower() in {"from", "to", "subject", "message-id", "in-reply-to", "references"}:
                try:
                    made[name] = clean(value)[:_LONGEST_HEADER]
                except Exception:  # noqa: S112
                    continue
        made.set_payload(body[:_LONGEST_TEXT].decode("utf-8", "replace"))
        return made


def header(message: Message, name: str, *, longest: int = _LONGEST_HEADER) -> str:
    return next(headers(message, name, longest=longest), "")


def headers(message: Message, name: str, *, longest: int = _LONGEST_HEADER) -> Iterator[str]:
    """Values of a header, decoded; long ones are cut before the costly part of reading them."""
    for key, value in message.raw_items():
        if key.lower() != name.lower():
            continue
        raw = str(value)[:longest]
        if any("\udc80" <= each <= "\udcff" for each in raw):  # bytes that no header may hold
            raw = decoded(raw.encode("utf-8", "surrogateescape"), "utf-8")
        try:
            yield _storable(str(policy.default.header_fetch_parse(key, raw)))
        except Exception:  # the header parser has faults of its own
            yield clean(raw)


def content_of(message: Message, *, is_inner: bool = False) -> tuple[str, tuple[File, ...]]:
    """The words and the files; words of a mail that was passed on as a file stand in for those that its sender left out."""
    plain: list[str] = []
    rich: list[str] = []
    files: list[File] = []
    for part in parts_of(message):
        kind = part.get_content_type()
        name = _name_of(part)
        if part.get_content_disposition() != "attachment" and not name and kind in {"text/plain", "text/html"}:
            (plain if kind == "text/plain" else rich).append(_decoded(part))
        elif len(files) < MAX_FILES and (content := _bytes(part)):
            files += _unpacked(File(name or _unnamed(part), kind, content))
    text = "\n".join(plain) if any(each.strip() for each in plain) else plain_of("\n".join(rich)[: 4 * _LONGEST_TEXT])
    if not text.strip() and not is_inner:
        text = next((words for part in parts_of(message) if (words := _passed_on(part))), "")
    return _storable(text)[:_LONGEST_TEXT].strip(), tuple(files[:MAX_FILES])


def _unpacked(file: File) -> list[File]:
    """Outlook's winmail.dat as what is in it; itself where nothing can be read."""
    if file.media_type not in {"application/ms-tnef", "application/vnd.ms-tnef"} and file.name.lower() != "winmail.dat":
        return [file]
    return [
        File(clean(name)[:200], "application/octet-stream", content) for name, content in files_in(file.content)
    ] or [file]


def _unnamed(part: Message) -> str:
    """A name for a part without one, by what it is."""
    match part.get_content_type():
        case "message/rfc822":
            inside = part.get_payload()
            subject = (
                header(inside[0], "Subject") if isinstance(inside, list) and isinstance(inside[0], Message) else ""
            )
            return f"{clean(subject)[:100] or 'mail'}.eml"
        case "text/calendar":
            return "invite.ics"
        case _:
            return "file"


def _passed_on(part: Message) -> str:
    inside = part.get_payload() if part.get_content_type() == "message/rfc822" else None
    if not isinstance(inside, list) or not inside or not isinstance(inside[0], Message):
        return ""
    words, _ = content_of(inside[0], is_inner=True)
    subject = clean(header(inside[0], "Subject"))
    return f"{subject}\n\n{words}".strip() if words else ""


def parts_of(message: Message) -> Iterator[Message]:
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


def _name_of(part: Message) -> str:
    try:
        return clean(part.get_filename() or "")[:200]
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
    named = part.get_content_charset()
    if named is None and part.get_content_type() == "text/html":
        found = _CHARSET.search(content[:2000])
        named = found[1].decode("ascii") if found else None
    return decoded(content, named or "utf-8")


def decoded(content: bytes, charset: str) -> str:
    """As mail programs read it: UTF-8 wherever it is UTF-8, and the wider set where a narrow one is named for it."""
    try:
        return content.decode("utf-8") if charset.lower() not in _OWN_BYTES else content.decode(charset)
    except UnicodeDecodeError as error:
        if charset.lower() in {"utf-8", "utf8"} and error.start >= len(content) - 4:
            return content.decode("utf-8", "replace")  # cut off in the middle of a letter
    except (LookupError, ValueError):
        pass
    wider = _WIDER.get(charset.lower(), charset)
    try:
        return content.decode(wider, "replace")
    except (LookupError, ValueError):
        return content.decode("cp1252", "replace")


def clean(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", _storable(text)).strip()


def _storable(text: str) -> str:
    """Without what PostgreSQL cannot hold."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
