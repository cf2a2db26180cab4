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
_CELLS: Final = frozenset({"td", "th"})
_VOID: Final = frozenset({"br", "hr", "img", "input", "meta", "link", "area", "base", "col", "embed", "source", "wbr"})
_UNSEEN: Final = frozenset({"script", "style", "title", "template", "noscript"})
_HIDDEN: Final = re.compile(r"(display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all)", re.IGNORECASE)
_BEGINNINGS: Final = re.compile(r"^(on|am|el|le)\b", re.IGNORECASE)
_ATTRIBUTION: Final = re.compile(
    r"^(on .{4,300} wrote|am .{4,300} schrieb\b.{0,200}|el .{4,300} escribió|le .{4,300} a écrit)\s?:$", re.IGNORECASE
)
_WHO_FIRST: Final = re.compile(
    r"^([^<>@]{0,120}<[^<>@\s]{1,100}@[^<>\s]{1,150}> (wrote|schrieb|escribió|a écrit)\b[^<>]{0,80}|"
    r"[^<>@]{0,120}<[^<>@\s]{1,100}@[^<>\s]{1,150}> hat am [^<>]{4,80} geschrieben|"
    r"\d{4}-\d\d-\d\d \d\d?:\d\d [^<>@]{0,140}<[^<>@\s]{1,100}@[^<>\s]{1,150}>)\s?:$",
    re.IGNORECASE,
)
_SEPARATOR: Final = re.compile(
    r"^-{2,}\s*(original message|forwarded message|ursprüngliche nachricht|original-?nachricht|weitergeleitete nachricht|"
    r"mensaje original|mensaje reenviado|message d[’']origine|message original|message transféré)\s*-{2,}$",
    re.IGNORECASE,
)
_HEADERS: Final[dict[str, str]] = {
    "from": "from|von|de",
    "sent": "sent|date|gesendet(?: am)?|datum|enviado(?: el)?|fecha|envoyé(?: le)?",
    "to": "to|an|para|à|cc|kopie",
    "subject": "subject|betreff|asunto|objet",
}
_HEADER: Final = re.compile(
    r"^\*{0,2}(?:" + "|".join(f"(?P<{kind}>{words})" for kind, words in _HEADERS.items()) + r")\s?:\*{0,2}(?:\s|$)",
    re.IGNORECASE,
)
_IN_A_BLOCK: Final = 8
"""Lines of a quoted mail's headers that are looked at."""
_PHONE: Final = re.compile(
    r"^(sent from (my|outlook|mail for|yahoo|samsung|proton|gmail)|sent with proton|get outlook for|outlook for (ios|android)|"
    r"von meinem .{1,40} gesendet|(diese nachricht wurde )?gesendet (von|mit der)|diese nachricht wurde von meinem|"
    r"holen sie sich outlook|outlook für (ios|android)|enviado desde (mi|outlook|yahoo)|obtener outlook para|"
    r"envoyé (de mon|depuis|à partir d)|télécharger outlook|obtenez outlook)\b",
    re.IGNORECASE,
)
_PICTURE: Final = re.compile(r"^\[(cid:[^\]\s]{1,200}|image\d{0,4}\.(png|jpe?g|gif))\]$", re.IGNORECASE)
_BELOW: Final = re.compile(
    r"\b(see|answers?|replies|reply|comments?|my)\b.{0,40}\b(below|inline|in-line|in line|in (red|blue|green|bold))\b|"
    r"\b(siehe|antworten?|anmerkungen|kommentare)\b.{0,40}\b(unten|inline|im text|in (rot|blau|grün|fett)|(rot|blau) markiert)\b|"
    r"\b(más abajo|respuestas? (abajo|en (rojo|azul))|en rojo|ci-dessous|en (rouge|bleu)|dans le texte)\b",
    re.IGNORECASE,
)
_SHORT: Final = 300
_SIGNATURE_LINES: Final = 15
"""A longer text below a bare "--" is no signature."""
_LONGEST_LINE: Final = 600
_DEEPEST: Final = 200


def new_words(text: str, *, is_answer: bool = False) -> str:
    """What somebody wrote above (or between) what is quoted; the whole text when nothing else would be left.

    is_answer: to words of ours, which are known: then nothing is left of a text that surely is nothing but a quote.
    """
    lines = text.replace("\u00a0", " ").split("\n")
    cut = _first_quoted(lines)
    if cut < len(lines) and (_is_answered_inside(lines[cut:]) or _points_below(lines[:cut])):
        cut = len(lines)
    kept = lines[:cut]
    if cut == len(lines):
        kept = _without_last_quote(kept)
    kept = _without_signature(kept)
    words = re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in kept)).strip()
    if not words and is_answer and _is_quote(lines):
        return ""
    return words or text.strip()


def without_quotes(text: str) -> str:
    """Without the lines that are marked as somebody else's words."""
    return "\n".join(line for line in text.split("\n") if not line.lstrip().startswith(">")).strip()


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
        if _SEPARATOR.match(stripped) or _is_attributed(lines, at, stripped):
            return at
        if _HEADER.match(stripped) and _are_headers(lines, at):
            return at - 1 if at and set(lines[at - 1].strip()) == {"_"} else at
    return len(lines)


def _is_attributed(lines: list[str], at: int, stripped: str) -> bool:
    """Whether a line, or up to three of them, says who wrote what follows."""
    form = _ATTRIBUTION if _BEGINNINGS.match(stripped) else _WHO_FIRST if "@" in stripped else None
    return form is not None and any(
        form.match(" ".join(each.strip() for each in lines[at : at + many])) for many in (1, 2, 3)
    )


def _are_headers(lines: list[str], at: int) -> bool:
    """Whether a mail's headers begin here: from, sent and subject, in whatever order, with nothing else between."""
    kinds: list[str] = []
    for line in lines[at : at + 2 * _IN_A_BLOCK]:
        if not line.strip():
            continue
        found = _HEADER.match(line.strip()[:_LONGEST_LINE])
        if found is not None:
            kinds.append(str(found.lastgroup))
        elif not kinds or kinds[-1] != "to":  # many recipients go on for lines
            break
        if len(kinds) == _IN_A_BLOCK:
            break
    return {"from", "sent", "subject"} <= set(kinds)


def _points_below(above: list[str]) -> bool:
    """Whether what stands above says that the answers are further down."""
    words = " ".join(line.strip() for line in above if line.strip())
    return 0 < len(words) <= _SHORT and bool(_BELOW.search(words))


def _is_quote(lines: list[str]) -> bool:
    """Whether every line surely is somebody else's: the headers of a mail and what follows, or marked lines."""
    there = [line for line in lines if line.strip() and not _PHONE.match(line.strip())]
    if not there:
        return True
    cut = _first_quoted(there)
    if cut == 0 and (_SEPARATOR.match(there[0].strip()) or _are_headers(there, 0) or set(there[0].strip()) == {"_"}):
        return True
    begin = next((at for at, line in enumerate(there) if line.lstrip().startswith(">")), len(there))
    return (
        begin < len(there)
        and begin <= (3 if cut == 0 else 0)
        and all(line.lstrip().startswith(">") for line in there[begin:])
    )


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
        if line.rstrip() != "--":
            continue
        if line == "-- " or sum(bool(each.strip()) for each in lines[at + 1 :]) <= _SIGNATURE_LINES:
            lines = lines[:at]
        break
    while lines and (not lines[-1].strip() or _PHONE.match(lines[-1].strip()) or _PICTURE.match(lines[-1].strip())):
        lines = lines[:-1]
    return lines


class _Reader(HTMLParser):
    """Collects what a reader would see."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unseen = 0
        self._hidden: list[str] = []
        self._quotes = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._hidden == ["p"] and tag in _BLOCKS:
            self._hidden.clear()  # a paragraph ends where the next block begins
        if self._hidden or (tag not in _VOID and _is_hidden(attrs)):
            if tag not in _VOID and len(self._hidden) < _DEEPEST:
                self._hidden.append(tag)
            return
        if tag in _UNSEEN:
            self._unseen += 1
        if tag == "blockquote":
            self._quotes = min(self._quotes + 1, 5)
        if tag in _BLOCKS:
            self._break()
        if tag in _CELLS and self.parts and not self.parts[-1].endswith(("\n", " ")):
            self.parts.append(" ")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _VOID or not self._hidden:
            self.handle_starttag(tag, attrs)
            if tag not in _VOID:
                self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._hidden:
            if tag not in self._hidden:  # what holds it ends: so does it
                self._hidden.clear()
            else:
                while self._hidden.pop() != tag:
                    pass
                return
        if tag in _UNSEEN:
            self._unseen = max(0, self._unseen - 1)
        if tag == "blockquote":
            self._quotes = max(0, self._quotes - 1)
        if tag in _BLOCKS and tag != "br":
            self._break()

    def handle_data(self, data: str) -> None:
        words = re.sub(r"\s+", " ", data)
        if self._unseen or self._hidden or not words.strip():
            return
        if self._quotes and (not self.parts or self.parts[-1].endswith("\n")):
            self.parts.append("> " * self._quotes)
        self.parts.append(words.lstrip() if not self.parts or self.parts[-1].endswith(("\n", "> ")) else words)

    def _break(self) -> None:
        if self.parts and not self.parts[-1].endswith("\n\n"):
            self.parts.append("\n")


def _is_hidden(attrs: list[tuple[str, str | None]]) -> bool:
    """Whether a mail program would not show it: words that no person sees are not the client's."""
    return any(
        name == "hidden" or (name == "style" and value and _HIDDEN.search(value[:2000])) for name, value in attrs
    )
