"""Replaces what identifies a person or opens a door with placeholders, reversibly within one call.

Covers e-mail addresses, phone numbers, IBANs (mod 97), card numbers (Luhn), secrets by their shape, and names the
caller knows. Nothing is stored: the key to the placeholders lives in the returned value only.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

MAX_CHARS = 100_000

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.)+[^\W\d_]{2,24}(?![\w-])")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{2,4}){3,8}\b", re.IGNORECASE)
_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])")
_SECRET = re.compile(
    r"""-----BEGIN[ A-Z]*PRIVATE\ KEY-----.*?(?:-----END[ A-Z]*PRIVATE\ KEY-----|\Z)
    | \beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*                                # JSON web token
    | \b(?:sk|pk|rk|whsec|xox[abprs]|gh[opsu]|glpat|shp[a-z]{2}|AKIA|ASIA|AIza|SG|npm|hf)[-_.]?[\w.-]{15,}
    | (?<=://)[^\s/:@]{1,64}:[^\s/@]{3,128}(?=@)                        # credentials in an address
    | (?<=[Bb]earer\ )[\w.~+/-]{12,}=*
    | (?i:(?<=password:\ )|(?<=passwort:\ )|(?<=password\ is\ )|(?<=passwort\ ist\ )|(?<=contraseña:\ )|(?<=mot\ de\ passe:\ )|(?<=mdp:\ )|(?<=password=)|(?<=api_key=)|(?<=apikey=)|(?<=token=)|(?<=secret=))["']?[^\s"',;&]{4,}
    | \b(?=\w*\d)(?=\w*[a-z])(?=\w*[A-Z])[A-Za-z0-9]{32,}\b             # long and mixed: nothing a person would type
    | \b[0-9a-f]{40,}\b
    """,
    re.VERBOSE | re.DOTALL,
)
_PLACEHOLDER = re.compile(r"\[(email|phone|iban|card|secret|name)-(\d{1,4})\]")


@dataclass(frozen=True, slots=True)
class Redacted:
    """`text` with placeholders; `restore` puts the originals back into any text that carries the same placeholders."""

    text: str
    _originals: dict[str, str] = field(repr=False)

    def restore(self, text: str) -> str:
        """Unknown placeholders are left as they are."""
        return _PLACEHOLDER.sub(lambda match: self._originals.get(match.group(), match.group()), text)


def redact(text: str, names: Iterable[str] = ()) -> Redacted:
    """Redact `text`; `names` are those known from the ticket. The same value gets the same placeholder."""
    text = text[:MAX_CHARS]
    originals: dict[str, str] = {}
    # a placeholder the client typed must come back as typed, never as somebody else's value
    text = _PLACEHOLDER.sub(lambda match: _stand_in(originals, match.group(1), match.group()), text)
    for kind, find in (
        ("secret", _matches(_SECRET, lambda _: True)),
        ("email", _matches(_EMAIL, lambda _: True)),
        ("iban", _matches(_IBAN, is_iban)),
        ("card", _matches(_CARD, is_card)),
        ("phone", _phones),
        ("name", _names(names)),
    ):
        text = _replace(text, kind, find, originals)
    return Redacted(text, originals)


def is_iban(text: str) -> bool:
    """ISO 13616: letters count from 10, the four first characters go last, and the number leaves 1 modulo 97."""
    compact = re.sub(r"[ -]", "", text).upper()
    if not 15 <= len(compact) <= 34:
        return False
    digits = "".join(str(int(char, 36)) for char in compact[4:] + compact[:4])
    return int(digits) % 97 == 1


def is_card(text: str) -> bool:
    """ISO/IEC 7812: the Luhn sum is a multiple of ten."""
    digits = [int(char) for char in text if char.isdigit()]
    if not 13 <= len(digits) <= 19 or len(set(digits)) == 1:
        return False
    doubled = [digit if place % 2 == 0 else sum(divmod(digit * 2, 10)) for place, digit in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0


Spans = Callable[[str], Iterator[tuple[int, int]]]


def _matches(pattern: re.Pattern[str], accept: Callable[[str], bool]) -> Spans:
    def find(text: str) -> Iterator[tuple[int, int]]:
        for match in pattern.finditer(text):
            if accept(match.group()):
                yield match.span()

    return find


def _phones(text: str) -> Iterator[tuple[int, int]]:
    """Numbers in international form; national forms only after a word that announces a phone number."""
    from phonenumbers import Leniency, PhoneNumberMatcher

    if not re.search(r"\d{2}", text):
        return
    for match in PhoneNumberMatcher(text, None, leniency=Leniency.VALID):
        yield match.start, match.end
    for announced in _ANNOUNCED_PHONE.finditer(text):
        yield announced.span(1)


_ANNOUNCED_PHONE = re.compile(
    r"(?i:\b(?:tel|phone|telefon|telefono|teléfono|téléphone|mobile|mobil|móvil|portable|handy|cell|fax|call me (?:at|on)"
    r"|ring me on|reach me (?:at|on))\b[\s.:#]{0,4}(?:is|ist|es|est)?[\s.:]{0,2})(\(?\d[\d ()/.-]{5,18}\d)"
)


def _names(names: Iterable[str]) -> Spans:
    parts = {part for name in names for part in (name.strip(), *name.split()) if len(part) > 2}
    if not parts:
        return lambda _: iter(())
    longest_first = "|".join(re.escape(part) for part in sorted(parts, key=lambda part: (-len(part), part)))
    return _matches(re.compile(rf"(?<!\w)(?:{longest_first})(?!\w)", re.IGNORECASE), lambda _: True)


def _replace(text: str, kind: str, find: Spans, originals: dict[str, str]) -> str:
    pieces, done = [], 0
    kept = [match.span() for match in _PLACEHOLDER.finditer(text)]
    for start, end in sorted(find(text)):
        if start < done or any(start < last and end > first for first, last in kept):
            continue
        pieces += [text[done:start], _stand_in(originals, kind, text[start:end])]
        done = end
    return "".join(pieces) + text[done:]


def _stand_in(originals: dict[str, str], kind: str, value: str) -> str:
    for placeholder, original in originals.items():
        if original == value and placeholder.startswith(f"[{kind}-"):
            return placeholder
    number = sum(placeholder.startswith(f"[{kind}-") for placeholder in originals) + 1
    placeholder = f"[{kind}-{number}]"
    originals[placeholder] = value
    return placeholder
