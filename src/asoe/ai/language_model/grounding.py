"""Whether sentences of a language model say only what their sources say: figures, links, names, words and negations.

Strict on purpose: what is refused here is answered by the local twin. No check can tell every false sentence from a true one;
these bound what a sentence may bring in that no source holds.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from asoe.ai.features import words_of
from asoe.ai.language import function_words

LEAST_SHARED: Final = 0.6
"""Share of a sentence's content words that must stand in two sentences of its sources."""
_STEM: Final = 5
_NUMBER: Final = re.compile(r"\d+(?:[.,:/-]\d+)*")
_LINK: Final = re.compile(
    r"(?:[a-z][a-z0-9+.-]*://\S+|\bmailto:\S+|(?<![\w@])(?:[\w-]+\.)+[a-z]{2,}(?:/\S*)?|\S+@\S+)", re.IGNORECASE
)
_CODE: Final = re.compile(r"\b(?=\w*[A-Z])(?:[A-Z][A-Z0-9_-]{2,}|\w*\d\w*|[a-z]+[A-Z]\w*)\b")
_MARKUP: Final = re.compile(r"[<>{}\[\]|`*#_\\~]|&#?\w+;|\w+\(\)")
_HIDDEN: Final = re.compile(r"\[(?:email|phone|iban|card|secret|name)-\d{1,4}\]")
_NOT: Final = frozenset(
    "not no never cannot cant dont doesnt isnt arent wont without nor neither nothing nobody only nicht kein keine keinen "
    "keinem keiner nie niemals ohne nichts nur no nunca jamás sin ningún ninguna ninguno tampoco solo sólo ne pas jamais sans "
    "aucun aucune ni rien seulement".split()
)
_SENTENCES: Final = re.compile(r"(?<=[.!?…])\s+|\n+")
_ACTS: Final = (
    r"refund\w*|credit\w*|reimburs\w*|reset\w*|restart\w*|cancel\w*|chang\w+|fix\w*|repair\w*|correct\w*|updat\w+|upgrad\w+|"
    r"unlock\w*|delet\w+|remov\w+|sent|send\w*|escalat\w+|forward\w*|approv\w+|extend\w*|waiv\w+|restor\w+|activat\w+|resolv\w+|"
    r"issu\w+|charg\w+|transfer\w*|contact\w*|call\w*|investigat\w+|look\w* into|tak\w+ care|check\w*|make|made|give|gave|given"
)
_PROMISES: Final = re.compile(
    rf"""\b(?:i|we|our\ (?:team|staff|colleagues|engineers|specialists))
        (?:(?:['’](?:ve|ll|d)|\ (?:have|has|had|will|shall|did))\b
          | (?:['’](?:m|re)|\ (?:am|is|are))(?:\ (?:now|already|currently|just))?\ \w+ing\b
          | (?:\ (?:already|now|just|gladly|can))*\ (?:{_ACTS})\b)
    | \b(?:your|the)\ [\w\ -]{{1,40}}\ (?:has|have|was|were|is\ being|will\ be)(?:\ (?:now|already|just|been))*\ (?:{_ACTS})\b
    | \byou(?:['’]ll|\ will|\ shall|\ are\ going\ to)?\ (?:get|receive|be)\b[\w\ ,'’-]{{0,60}}\b(?:refund\w*|credit\w*|money|compensat\w*|reimburs\w*|called|contacted|discount)\b
    | \b(?:guarantee\w*|promis\w+|rest\ assured|garantier\w+|verspr\w+|prometemos|promettons|garantiz\w+|garantissons)\b
    | \b(?:ich|wir)\ (?:habe|haben|werde|werden|kümmer\w*|erstatte\w*|veranlass\w*|schick\w*|sende\w*|sperr\w*|lösch\w*|setz\w*)\b
    | \b(?:wurde|wurden|wird|werden)\ (?:\w+\ ){{0,4}}(?:erstattet|gutgeschrieben|zurückgesetzt|storniert|behoben|gelöscht|entsperrt|kontaktiert|angerufen)\b
    | \b(?:hemos|he)\ \w+(?:ado|ido|to|cho)\b
    | \b(?:vamos|voy)\ a\ \w+ | \ble\ (?:reembols|devolv|enviar)\w+
    | \bse\ (?:le\ )?(?:ha|han)\ \w+
    | \b(?:nous\ (?:avons|allons|vous\ \w+)|j['’]ai|je\ (?:vais|vous\ \w+))\b
    | \b(?:a|ont|sera|seront)\ (?:été\ )?(?:remboursé|crédité|réinitialisé|annulé|réparé|supprimé|débloqué|contacté)\w*\b
    """,
    re.IGNORECASE | re.VERBOSE,
)


def promises(text: str) -> bool:
    """Whether a text says that somebody on our side has acted or will: only an outcome may say that."""
    return _PROMISES.search(_plain(text)) is not None


def quoted(text: str, sources: Sequence[str]) -> bool:
    """Whether a source says it in these very words."""
    wanted = _squeezed(text)
    return bool(wanted) and any(wanted in _squeezed(source) for source in sources)


def unfounded(text: str, sources: Sequence[str]) -> str | None:
    """Why `text` does not stand on `sources`, as a word for the trail; None when every check holds."""
    if brings_in(text, sources) is not None:
        return brings_in(text, sources)
    if quoted(text, sources):
        return None
    if promises(text):
        return "promise"
    wanted = _content(text)
    first, second = _nearest(wanted, sources)
    if wanted and len(wanted & (_content(first) | _content(second))) < LEAST_SHARED * len(wanted):
        return "own_words"
    if _negated(text) != _negated(first):
        return "negation"
    return None


def brings_in(text: str, sources: Sequence[str]) -> str | None:
    """What `text` holds that no source does: control characters, markup, links, figures, codes, hidden values."""
    source = "\n".join(sources)
    if any(unicodedata.category(char) in {"Cc", "Cf", "Co", "Cs"} for char in text if char != "\n"):
        return "control"
    if _HIDDEN.search(text):
        return "hidden"
    if any(token not in source for token in text.split() if _MARKUP.search(token)):
        return "markup"
    lowered = source.casefold()
    if any(link.casefold() not in lowered for link in links(text)):
        return "link"
    numbers = set(_NUMBER.findall(source))
    if any(number not in numbers for number in _NUMBER.findall(text)):
        return "figure"
    words = set(re.findall(r"\w+(?:-\w+)*", source)) | set(re.findall(r"\w+", source))
    if any(code not in words for code in _CODE.findall(text)):
        return "code"
    return None


def links(text: str) -> list[str]:
    """Web and mail addresses in a text."""
    return [link.rstrip(".,;:!?)") for link in _LINK.findall(text)]


def _content(text: str) -> set[str]:
    return {
        word[:_STEM] for word in words_of(text) if len(word) > 2 and word not in function_words() and word not in _NOT
    }


def _nearest(wanted: set[str], sources: Sequence[str]) -> tuple[str, str]:
    """The sentence that holds most of the words, and the one that holds most of the rest: more would be a new sentence."""
    parts = _parts(sources)
    first = max(parts, key=lambda part: len(_content(part) & wanted), default="")
    rest = wanted - _content(first)
    second = max(parts, key=lambda part: len(_content(part) & rest), default="")
    return first, second


def _parts(sources: Sequence[str]) -> list[str]:
    return [part for source in sources for part in _SENTENCES.split(source) if part.strip()]


def _negated(text: str) -> bool:
    words = re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)?", text.casefold())
    return any(word.replace("'", "").replace("’", "") in _NOT or word.endswith(("n't", "n’t")) for word in words)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).split())


def _squeezed(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())
