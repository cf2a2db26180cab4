"""The new words of a mail: HTML as text, and an answer without what it quotes (English, German, Spanish, French).

Everything here is one pass over the lines, so that no text takes long. When in doubt words stay: a quote too many is
read again, a sentence too few is lost.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final

_BLOCKS: Final = frozenset(
    {"p", "div", "br", "tr", "li", "ul", "ol", "table", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "blockquote", "pre"}
)
_UNSEEN: Final = frozenset({"script", "style", "head", "title", "template", "noscript"})
_BEGINNINGS: Final = re.compile(r"^(on|am|el|le)\b", re.IGNORECASE)
_ATTRIBUTION: Final = re.compile(
    r"^(on .{4,300} wrote|am .{4,300} schrieb\b.{0,200}|el .{4,300} escribió|le .{4,300} a écrit)\s?:$", re.IGNORECASE
)
_SEPARATOR: Final = re.compile(
    r"^-{2,}\s*(original message|forwarded message|ursprüngliche nachricht|originalnachricht|weitergeleitete nachricht|"
    r"mensaje original|mensaje reenviado|message d[’']origine|message original|message transféré)\s*-{2,}$",
    re.IGNORECASE,
)
_FROM: Final = re.compile(r"^\*?(from|von|de)\s?:\*?\s*\S", re.IGNORECASE)
_SENT: Final = re.compile(r"^\*?(sent|date|gesendet|datum|enviado|fecha|envoyé|to|an|para|à)\s?:", re.IGNORECASE)
_PHONE: Final = re.compile(
    r"^(sent from my|get outlook for|von meinem .{1,40} gesendet|gesendet von|enviado desde mi|envoyé de mon|envoyé depuis)\b",
    re.IGNORECASE,
)
_LONGEST_LINE: Final = 600


def new_words(text: str) -> str:
    """What somebody wrote above (or between) what is quoted; the whole text when nothing else would be left."""
    lines = text.replace("\u00a0", " ").split("\n")
    cut = _first_quoted(lines)
    if cut < len(lines) and _is_answered_inside(lines[cut:]):
        cut = len(lines)
    kept = lines[:cut]
    if cut == len(lines):
        kept = _without_last_quote(kept)
    kept = _without_signature(kept)
    words = re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in kept)).strip()
    return words or text.strip()


def plain_of(html: str) -> str:
    """HTML as text: blocks are lines, quotes have their mark, nothing that is not seen is there."""
    reader = _Reader()
    try:
        reader.feed(html)
        reader.close()
    except (ValueError, AssertionError, RecursionError):
        pass  # what was read until then
    return re.sub(r"\n{3,}", "\n\n", "".join(reader.parts)).strip()


def _first_quoted(lines: list[str]) -> int:
    """The line with which a quoted mail begins."""
    for at, line in enumerate(lines):
        stripped = line.strip()
        if not stripped or len(stripped) > _LONGEST_LINE:
            continue
        if _SEPARATOR.match(stripped):
            return at
        if _BEGINNINGS.match(stripped) and any(
            _ATTRIBUTION.match(" ".join(each.strip() for each in lines[at : at + many])) for many in (1, 2, 3)
        ):
            return at
        if _FROM.match(stripped) and sum(bool(_SENT.match(each.strip())) for each in lines[at + 1 : at + 5]) >= 2:
            return at - 1 if at and set(lines[at - 1].strip()) == {"_"} else at
    return len(lines)


def _is_answered_inside(quoted: list[str]) -> bool:
    """Whether somebody wrote between the quoted lines: then the quotes are part of what is said."""
    marked = [at for at, line in enumerate(quoted) if line.startswith(">")]
    if not marked:
        return False
    after = [line.strip() for line in quoted[marked[0] :] if line.strip() and not line.startswith(">")]
    signature = next((at for at, line in enumerate(after) if line == "--"), len(after))
    return any(not _PHONE.match(line) for line in after[:signature])


def _without_last_quote(lines: list[str]) -> list[str]:
    end = len(lines)
    while end and (not lines[end - 1].strip() or lines[end - 1].startswith(">")):
        end -= 1
    return lines[:end]


def _without_signature(lines: list[str]) -> list[str]:
    for at, line in enumerate(lines):
        if line.rstrip("\r") in {"-- ", "--"}:
            lines = lines[:at]
            break
    while lines and (not lines[-1].strip() or _PHONE.match(lines[-1].strip())):
        lines = lines[:-1]
    return lines


class _Reader(HTMLParser):
    """Collects what a reader would see."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unseen = 0
        self._quotes = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag in _UNSEEN:
            self._unseen += 1
        if tag == "blockquote":
            self._quotes = min(self._quotes + 1, 5)
        if tag in _BLOCKS:
            self._break()

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSEEN:
            self._unseen = max(0, self._unseen - 1)
        if tag == "blockquote":
            self._quotes = max(0, self._quotes - 1)
        if tag in _BLOCKS and tag != "br":
            self._break()

    def handle_data(self, data: str) -> None:
        words = re.sub(r"\s+", " ", data)
        if self._unseen or not words.strip():
            return
        if self._quotes and (not self.parts or self.parts[-1].endswith("\n")):
            self.parts.append("> " * self._quotes)
        self.parts.append(words.lstrip() if not self.parts or self.parts[-1].endswith(("\n", "> ")) else words)

    def _break(self) -> None:
        if self.parts and not self.parts[-1].endswith("\n\n"):
            self.parts.append("\n")
