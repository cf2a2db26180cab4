"""Reads slots that have a form of their own: addresses, phone numbers, identifiers, numbers, dates, names, yes and no.

Two different candidates that fit equally well make a slot `unsure`. Values keep the form the client wrote.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from asoe.ai.slots.amounts import NUMBER_WORDS, number_of, quantities
from asoe.ai.slots.clauses import fragments_of, plain_words
from asoe.ai.slots.permission import cue_of
from asoe.ai.slots.topic import terms_of
from asoe.domain.runbook import Slot, SlotReading


@dataclass(frozen=True, slots=True)
class Candidate:
    """A value that would do. `rank`: the higher, the more the text says that it is this slot's."""

    value: Any
    evidence: str
    rank: float


_EMAIL: Final = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.)+[^\W\d_]{2,24}(?![\w-])")
_LOCAL_PHONE: Final = re.compile(
    r"(?<![\w.@#/-])(?:\+\d{1,3}[ .-]?)?(?:\(\d{2,5}\)[ .-]?)?\d{2,5}(?:[ .-]\d{2,5}){1,4}(?![\w@]|[.-]\d)|(?<![\w.@#-])\+?\d{9,15}(?![\w@]|[.-]\d)"
)
_DATE_LIKE: Final = re.compile(r"(?:19|20)\d\d[ .-]\d{1,2}[ .-]\d{1,2}|\d{1,2}[ .-]\d{1,2}[ .-](?:19|20)\d\d")
_PHONE_WORD: Final = re.compile(
    r"(?i)\b(?:phone|tel|telephone|mobile|cell|number|line|msisdn|subscriber|contact|call\w*|handy|nummer|rufnummer|telefon\w*|numero|n[uú]mero|m[oó]vil|linea|l[ií]nea|num[eé]ro|portable|t[eé]l\w*)\b"
)
_NOT_PHONE_WORD: Final = re.compile(
    r"(?i)\b(?:order|invoice|bill|ticket|case|reference|ref|account|id|imei|serial|card|iban|zip)\b[ :#]{0,3}(?:no\.?|number|nr\.?|id|#)?[ :#]{0,3}$"
)
_MONTHS: Final = {
    name: number
    for number, names in enumerate(
        (
            "january jan januar enero janvier",
            "february feb februar febrero fevrier",
            "march mar marz maerz marzo mars",
            "april apr abril avril",
            "may mai mayo",
            "june jun juni junio juin",
            "july jul juli julio juillet",
            "august aug agosto aout",
            "september sep sept septiembre septembre",
            "october oct oktober octubre octobre",
            "november nov noviembre novembre",
            "december dec dezember diciembre decembre",
        ),
        1,
    )
    for name in names.split()
}
_ISO: Final = re.compile(r"\b(\d{4})-(\d{1,2})-(\d{1,2})\b")
_DOTTED: Final = re.compile(r"\b(\d{1,2})\.(\d{1,2})\.(\d{4})\b")
_DAY_FIRST: Final = re.compile(r"\b(\d{1,2})(?:st|nd|rd|th|\.)?(?: of| de)? ([^\W\d_]{3,10})\.?,?(?: de)? (\d{4})\b")
_MONTH_FIRST: Final = re.compile(r"\b([^\W\d_]{3,10})\.? (\d{1,2})(?:st|nd|rd|th)?,? (\d{4})\b")
_PERSON: Final = r"[A-ZÀ-Þ][\w'’-]*(?: (?:de|da|van|von|der|del|la|le|O')){0,2}(?: [A-ZÀ-Þ][\w'’-]*){0,3}"
_NAMED: Final = (
    (
        re.compile(
            rf"(?i:\b(?:my name is|my name's|name's|name is|ich hei(?:ß|ss)e|mein name ist|me llamo|mi nombre es|je m'appelle|mon nom est|je suis)) ({_PERSON})"
        ),
        3.0,
    ),
    (
        re.compile(
            rf"(?i:\b(?:(?:customer|client|caller|user|subscriber|contact|account|full|person|owner|holder|kunde|kundin|cliente|nombre|nom)(?: name)?(?: on account| calling)?|name)\s*[:=]) ?(?:(?:Mr|Mrs|Ms|Dr)\.? )?({_PERSON})"
        ),
        2.8,
    ),
    (
        re.compile(
            rf"(?i:\b(?:this is|i am|i'm|im|identified as|for|per the account holder|opened for|registered to|account holder|reported by|call from|spoke with)) (?:(?:Mr|Mrs|Ms|Dr)\.? )?({_PERSON})"
        ),
        2.0,
    ),
    (re.compile(rf"\b(?:Mr|Mrs|Ms|Dr)\.? ({_PERSON})"), 2.4),
    (
        re.compile(
            rf"(?:(?i:customer|client|caller|user|subscriber|name))?\s?({_PERSON})(?=(?:[,;:/]| /| on| with| \(| from| number| called from| rang from| on line|, number| -|,? tel\.?| with number){{0,2}}\s?\(?\+?\d{{3}})"
        ),
        1.6,
    ),
    (
        re.compile(
            rf"(?:[-–—]|[.,!?\d]|(?i:thanks|best|regards|signed|grüße|gruß|saludos|merci)),?\s+({_PERSON})\s*[.!]?\s*$"
        ),
        1.4,
    ),
    (
        re.compile(
            r"(?:^|[.!?,/(]\s*|\d\s+|\b(?:[Cc]ustomer|[Cc]lient|[Ss]ubscriber|[Cc]aller)\s)([A-ZÀ-Þ][\w'’-]+(?: [A-ZÀ-Þ][\w'’-]+){1,2})(?=\s*(?:[.,;!)/]\s?|[.!]?$|'s|\s\())"
        ),
        1.3,
    ),
)
_NO_NAME: Final = frozenset(
    """i phone line the no not yes data internet service name customer client caller user subscriber contact agent where location mobile plan my we hi hello please location status problem
    call person monday tuesday wednesday thursday friday saturday sunday ok mms sms""".split()
)


def read_plain(slot: Slot, source: str, text: str, language: str) -> SlotReading | None:
    """None when the text holds nothing for this slot."""
    candidates = list(_READERS[slot.type](slot, text, language))
    if not candidates:
        return None
    top = max(candidate.rank for candidate in candidates)
    best = [candidate for candidate in candidates if candidate.rank == top]
    if len({_key(candidate.value) for candidate in best}) > 1:
        return SlotReading(slot.name, "unsure", None, source, best[0].evidence, 0.4)
    return SlotReading(slot.name, "read", best[0].value, source, best[0].evidence, 0.95)


def _emails(_: Slot, text: str, __: str) -> Iterator[Candidate]:
    for match in _EMAIL.finditer(text):
        yield Candidate(match.group(), match.group(), 1)


def _phones(_: Slot, text: str, __: str) -> Iterator[Candidate]:
    """Numbers in international form by the numbering plans; others by their shape, as written."""
    from phonenumbers import Leniency, PhoneNumberMatcher

    for number in PhoneNumberMatcher(text, None, leniency=Leniency.VALID) if "+" in text else ():
        yield Candidate(number.raw_string.strip(), number.raw_string, 2)
    for match in _LOCAL_PHONE.finditer(text):
        digits = re.sub(r"\D", "", match.group())
        before = text[max(0, match.start() - 30) : match.start()]
        if not 7 <= len(digits) <= 15 or _DATE_LIKE.fullmatch(match.group()) or _NOT_PHONE_WORD.search(before):
            continue
        if "+" in match.group() or len(digits) > 12:
            continue
        yield Candidate(match.group().strip(), match.group(), 2 if _PHONE_WORD.search(before) else 1)


def _identifiers(slot: Slot, text: str, _: str) -> Iterator[Candidate]:
    if not slot.pattern:
        return
    for match in re.finditer(rf"(?<![\w-])(?:{slot.pattern})(?![\w-])", text):
        yield Candidate(match.group(), match.group(), 1)


def _numbers(slot: Slot, text: str, _: str) -> Iterator[Candidate]:
    """With a unit: its amounts. Without one: a number beside a word of the slot's question or examples."""
    if slot.unit:
        for quantity in quantities(text, slot.unit):
            yield Candidate(quantity.value, text[quantity.start : quantity.end], 1)
        return
    told = [
        *slot.question.values(),
        slot.name.replace("_", " "),
        *(one for many in slot.examples.values() for one in many),
    ]
    wanted = frozenset[str]().union(*(terms_of(plain_words(line)) for line in told))
    for fragment in fragments_of(_ISO.sub(" ", _DOTTED.sub(" ", text))):
        words = fragment.words.split()
        for place, word in enumerate(words):
            number = number_of(word)
            if number is None or (
                word in NUMBER_WORDS and word in ("a", "an", "one", "un", "una", "une", "ein", "eine")
            ):
                continue
            near = " ".join(words[max(0, place - 2) : place + 3])
            if terms_of(near) & wanted:
                yield Candidate(number, fragment.text, 1)


def _dates(_: Slot, text: str, __: str) -> Iterator[Candidate]:
    for match in _ISO.finditer(text):
        yield from _date(match, match.group(1), match.group(2), match.group(3))
    for match in _DOTTED.finditer(text):
        yield from _date(match, match.group(3), match.group(2), match.group(1))
    for match in _DAY_FIRST.finditer(text):
        yield from _date(match, match.group(3), match.group(2), match.group(1))
    for match in _MONTH_FIRST.finditer(text):
        yield from _date(match, match.group(3), match.group(1), match.group(2))


def _date(match: re.Match[str], year: str, month: str, day: str) -> Iterator[Candidate]:
    number = int(month) if month.isdigit() else _MONTHS.get(plain_words(month).strip(), 0)
    try:
        yield Candidate(date(int(year), number, int(day)).isoformat(), match.group(), 1)
    except ValueError:
        return


def _people(_: Slot, text: str, __: str) -> Iterator[Candidate]:
    for pattern, rank in _NAMED:
        for match in pattern.finditer(text):
            name = match.group(1).strip(" .,-'’")
            first = name.split()[0].casefold() if name else ""
            if name and first not in _NO_NAME and not name.isupper() and len(name) > 2:
                yield Candidate(name, match.group(), rank + 0.1 * min(2, name.count(" ")))


def _booleans(slot: Slot, text: str, language: str) -> Iterator[Candidate]:
    """A bare yes or no, or one beside the words of the question."""
    wanted = frozenset[str]().union(*(terms_of(plain_words(question)) for question in slot.question.values()))
    for fragment in fragments_of(text):
        cue = cue_of(fragment.words, is_question=fragment.is_question, language=language)
        if cue.polarity in ("given", "refused") and (cue.is_answer or terms_of(fragment.words) & wanted):
            yield Candidate(cue.polarity == "given", fragment.text, 2 if terms_of(fragment.words) & wanted else 1)


def _key(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else Decimal(value) if isinstance(value, int) else value


def _texts(_: Slot, text: str, __: str) -> Iterable[Candidate]:
    """Free text is whatever a message of its own says; read from answers only, by the caller."""
    return [Candidate(text.strip(), text.strip(), 1)] if text.strip() else []


_READERS: Final[dict[str, Callable[[Slot, str, str], Iterable[Candidate]]]] = {
    "email": _emails,
    "phone": _phones,
    "identifier": _identifiers,
    "number": _numbers,
    "amount": _numbers,
    "date": _dates,
    "name": _people,
    "boolean": _booleans,
    "text": _texts,
}
