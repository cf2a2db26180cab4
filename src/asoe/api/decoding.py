"""Reads JSON bodies strictly: what PostgreSQL or a reader of ours could not keep as it is, is refused by name here."""

from __future__ import annotations

import math
from typing import Any, Final

from pydantic_core import from_json

from asoe.domain.errors import FieldProblem, Invalid

MAX_DEPTH: Final = 32
_MAX_INTEGER: Final = 2**63 - 1


def read_json(body: bytes) -> Any:
    """The decoded body; raises `Invalid(malformed_json)`, unreadable, or `Invalid(unstorable_value)` naming the place."""
    try:
        decoded = from_json(body, allow_inf_nan=False, cache_strings="keys")
    except ValueError as error:
        raise Invalid(f"The body is not JSON: {error}.", code="malformed_json", unreadable=True) from None
    _check(decoded, "", 0)
    return decoded


def is_json(content_type: str) -> bool:
    """Whether a Content-Type says JSON in UTF-8, the only encoding of JSON."""
    media_type, _, parameters = content_type.partition(";")
    media_type = media_type.strip().lower()
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        return False
    charset = parameters.lower().replace(" ", "").replace('"', "")
    return "charset=" not in charset or "charset=utf-8" in charset or "charset=utf8" in charset


def _check(value: Any, place: str, depth: int) -> None:
    kind = type(value)
    if kind is str:
        if "\x00" in value:
            raise _unstorable(place, "holds a null character (U+0000), which cannot be stored")
    elif kind is dict:
        if depth >= MAX_DEPTH:
            raise _unstorable(place, f"is nested deeper than {MAX_DEPTH} levels")
        for name, item in value.items():
            if "\x00" in name:
                raise _unstorable(place, "has a name with a null character (U+0000)")
            _check(item, f"{place}.{name}" if place else name, depth + 1)
    elif kind is list:
        if depth >= MAX_DEPTH:
            raise _unstorable(place, f"is nested deeper than {MAX_DEPTH} levels")
        for position, item in enumerate(value):
            _check(item, f"{place}.{position}", depth + 1)
    elif kind is int:
        if not -_MAX_INTEGER <= value <= _MAX_INTEGER:
            raise _unstorable(place, "is an integer beyond 64 bits; send it as text")
    elif kind is float and not math.isfinite(value):
        raise _unstorable(place, "is a number out of range")


def _unstorable(place: str, problem: str) -> Invalid:
    named = (place or "body")[:200]
    return Invalid(f"{named} {problem}.", code="unstorable_value", fields=(FieldProblem(named, problem),))
