"""The functions expressions may call beside CEL's own: few, pure, and silent about the values they refuse."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from cel.stdlib import STDLIB_FUNCTIONS

LONGEST_TEXT: Final = 1_000_000
_NUMBER: Final = re.compile(r"[-+]?(?:\d{1,3}(?:[\s_'’]\d{3})+(?!\d)|\d+)(?:[.,]\d+)*")
_FROM_LIBRARY: Final = ("trim", "split", "substring", "indexOf", "first", "last", "sort", "distinct")


class FunctionError(Exception):
    """A function cannot take this value; never leaves the room."""


def kind_of(value: Any) -> str:
    if value is None:
        return "null"
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "a text",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), "a time" if isinstance(value, datetime) else f"a {type(value).__name__}")


def _number(value: Any) -> int | float:
    """The number a value is, or the only one its text names ("2.0 GB", "1,250.00"); ints stay ints."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    found = _NUMBER.findall(value) if isinstance(value, str) else []
    if len(found) != 1:
        raise FunctionError(f"{kind_of(value)} does not name one number.")
    text = re.sub(r"[\s_'’]", "", found[0])
    comma, dot = text.rfind(","), text.rfind(".")
    if (comma > dot and text.count(",") == 1 and len(text) - comma != 4) or (dot >= 0 and text.count(".") > 1):
        text = text.replace(".", "").replace(",", ".")
    else:
        text = text.replace(",", "")
    return float(text) if "." in text else int(text)


def _date(value: Any) -> datetime:
    """A timestamp from a date or time in ISO form; without a zone it is UTC."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    try:
        moment = datetime.fromisoformat(value.strip())
    except (AttributeError, ValueError):
        raise FunctionError(f"{kind_of(value)} is no date like 2026-01-31 or 2026-01-31T10:00:00Z.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _lower(value: Any) -> str:
    if not isinstance(value, str):
        raise FunctionError(f"{kind_of(value)} is no text.")
    return value.strip().casefold()


def _sum(values: Any) -> int | float:
    if not isinstance(values, list):
        raise FunctionError(f"{kind_of(values)} is no list.")
    total = sum((Decimal(str(_number(value))) for value in values), Decimal(0))
    return (
        int(total)
        if total == total.to_integral_value() and not any(isinstance(v, float) for v in values)
        else float(total)
    )


def _extreme(choose: Callable[..., Any]) -> Callable[..., Any]:
    def pick(*values: Any) -> Any:
        among = values[0] if len(values) == 1 and isinstance(values[0], list) else values
        return choose(_number(value) for value in among)

    return pick


def _rounded(value: Any, places: int = 0) -> int | float:
    quantum = Decimal(1).scaleb(-places)
    rounded = Decimal(str(_number(value))).quantize(quantum)
    return int(rounded) if places <= 0 else float(rounded)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    raise FunctionError(f"{kind_of(value)} has no text.")


def _replaced(text: Any, old: Any, new: Any) -> str:
    if not all(isinstance(one, str) for one in (text, old, new)) or not old:
        raise FunctionError("it takes three texts, the second not empty.")
    if len(text) + text.count(old) * len(new) > LONGEST_TEXT:
        raise FunctionError(f"the text would be longer than {LONGEST_TEXT} characters.")
    return str(text.replace(old, new))


def _joined(values: Any, between: Any = "") -> str:
    if not isinstance(values, list) or not isinstance(between, str) or not all(isinstance(one, str) for one in values):
        raise FunctionError("it takes a list of texts, and a text to put between them.")
    if sum(map(len, values)) + len(values) * len(between) > LONGEST_TEXT:
        raise FunctionError(f"the text would be longer than {LONGEST_TEXT} characters.")
    return between.join(values)


FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "number": _number,
    "date": _date,
    "lower": _lower,
    "sum": _sum,
    "min": _extreme(min),
    "max": _extreme(max),
    "round": _rounded,
    "text": _text,
    "replace": _replaced,
    "join": _joined,
    **{name: STDLIB_FUNCTIONS[name] for name in _FROM_LIBRARY},
}
