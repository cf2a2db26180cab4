"""Numbers as people write them ("2.0", "two", "a couple of", "zwei"), and amounts of a unit ("2 GB", "500 MB", "$20").

Knows how common units are written and converted; which number matters is the caller's.
"""

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Final

_WORDS: Final = {
    "0": "zero null cero",
    "0.5": "half halbes halber halben medio media demi",
    "1": "one a an single another ein eine einen einem eins un una uno une",
    "2": "two couple both zwei dos deux",
    "3": "three drei tres trois",
    "4": "four vier cuatro quatre",
    "5": "five fuenf funf cinco cinq",
    "6": "six sechs seis",
    "7": "seven sieben siete sept",
    "8": "eight acht ocho huit",
    "9": "nine neun nueve neuf",
    "10": "ten zehn diez dix",
    "11": "eleven elf once onze",
    "12": "twelve zwolf zwoelf doce douze dozen",
    "15": "fifteen funfzehn quince quinze",
    "20": "twenty zwanzig veinte vingt",
    "25": "twentyfive",
    "30": "thirty dreissig treinta trente",
    "40": "forty vierzig cuarenta quarante",
    "50": "fifty funfzig cincuenta cinquante",
    "100": "hundred hundert cien cent",
}
NUMBER_WORDS: Final = {word: Decimal(value) for value, words in _WORDS.items() for word in words.split()}
_UNITS: Final[dict[str, dict[str, Decimal]]] = {
    unit: {spelling: Decimal(factor) for factor, spellings in spelled.items() for spelling in spellings.split()}
    for unit, spelled in {
        "GB": {
            "1": "gb gbs gig gigs giga gigas gigabyte gigabytes go gigaoctet gigaoctets",
            "0.001": "mb mbs megabyte megabytes meg megs mo",
            "1000": "tb terabyte terabytes",
        },
        "USD": {"1": "usd $ dollar dollars buck bucks dolar dolares dólar dólares"},
        "EUR": {"1": "eur € euro euros"},
        "SEATS": {
            "1": "seat seats license licenses licence licences platz plätze platze sitze lizenz lizenzen plaza plazas asiento asientos"
            " licencia licencias place places siege sieges siège sièges more extra additional"
        },
        "GBP": {"1": "gbp £ pound pounds quid"},
    }.items()
}
_MORE: Final = ("more", "extra", "additional")
_HALF_A_DOZEN: Final = re.compile(r"\bhalf (?:a|of a) dozen\b|\bein halbes dutzend\b", re.IGNORECASE)
_DIGITS: Final = r"\d{1,3}(?:[,' ]\d{3})+(?:\.\d+)?|\d+(?:[.,]\d+)?"


@dataclass(frozen=True, slots=True)
class Quantity:
    """`value` in the asked unit, and where in the text it stands."""

    value: Decimal
    start: int
    end: int


def number_of(text: str) -> Decimal | None:
    """One number in digits or as a word; None when it is none."""
    word = text.strip().casefold()
    if word in NUMBER_WORDS:
        return NUMBER_WORDS[word]
    if re.fullmatch(r"\d+,\d{1,2}", word):
        word = word.replace(",", ".")
    try:
        value = Decimal(re.sub(r"[,' ]", "", word))
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def quantities(text: str, unit: str) -> list[Quantity]:
    """Every amount of `unit` in the text, in its order; sub-units are converted ("500 MB" is 0.5 GB)."""
    scale = units_of(unit)
    text = _HALF_A_DOZEN.sub(lambda match: "6".ljust(len(match.group())), text)
    found = []
    for match in _pattern(unit).finditer(text):
        groups = match.groupdict()
        number = number_of(groups["digits"] or groups["word"] or groups["after"] or "")
        factor = scale.get((groups["unit"] or groups["before"] or "").casefold())
        if number is None or factor is None:
            continue
        if groups["half"] and number == 1:
            number = Decimal("0.5")
        found.append(Quantity(_tidy(number * factor), match.start(), match.end()))
    return found


def units_of(unit: str) -> dict[str, Decimal]:
    """How a unit is written, in lower case, and how many of it each spelling is; of things that are counted, "3 more" is 3."""
    plain = unit.casefold().removesuffix("s")
    return _UNITS.get(unit.upper()) or dict.fromkeys((plain, f"{plain}s", *_MORE), Decimal(1))


@lru_cache(maxsize=64)
def _pattern(unit: str) -> re.Pattern[str]:
    spellings = "|".join(re.escape(spelling) for spelling in sorted(units_of(unit), key=len, reverse=True))
    words = "|".join(sorted(NUMBER_WORDS, key=len, reverse=True))
    between = r"(?:[\s-]*(?:more|extra|additional|further|other|of|single|mas|adicional(?:es)?|de|plus|weitere[sn]?|zus[aä]tzliche[sn]?)\b)*"
    return re.compile(
        rf"(?<![\w.-])(?:(?:(?P<digits>{_DIGITS}){between}[\s-]*|(?P<half>half\s+(?=an?\b))?(?P<word>{words}){between}[\s-]+)"
        rf"(?P<unit>{spellings})(?!\w)|(?P<before>{spellings})\s?(?:by\s)?(?P<after>{_DIGITS})(?![\w%]))",
        re.IGNORECASE,
    )


def _tidy(number: Decimal) -> Decimal:
    normal = number.normalize()
    return normal.quantize(Decimal(1)) if normal == normal.to_integral_value() else normal
