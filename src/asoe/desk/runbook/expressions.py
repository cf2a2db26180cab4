"""Expressions of runbooks: CEL over plain values, with few functions of our own. No I/O, no clock, nothing of a run.

CEL does not add an int to a double. JSON knows one kind of number, so such an expression is computed once more with every
number as a double; expressions that are about ints alone stay exact.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import cel

from asoe.desk.runbook.functions import FUNCTIONS, LONGEST_TEXT, FunctionError, kind_of
from asoe.desk.runbook.tokens import Token, tokens_of
from asoe.domain.errors import Invalid
from asoe.domain.runbook import Consent, Expression, Template

LONGEST: Final = 2_000
DEEPEST_MACROS: Final = 2
MOST_ROUNDS: Final = 1_000_000
MACROS: Final = frozenset({"all", "exists", "exists_one", "map", "filter"})
BUILT_IN: Final = frozenset(
    "size has contains startsWith endsWith matches int uint double string bytes timestamp duration type dyn "
    "getDate getDayOfMonth getDayOfWeek getDayOfYear getFullYear getHours getMilliseconds getMinutes getMonth getSeconds".split()
)
REPLACED: Final = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_LARGEST: Final = 2**63 - 1
_DIGITS: Final = 16
_ARITHMETIC: Final = frozenset({"_+_", "_-_", "_*_", "_/_"})
_PLACE: Final = re.compile(r"<input>:(\d+):(\d+): (?:Syntax error: )?([^\n]*)")


class ExpressionError(Invalid):
    """An expression cannot be read, or not be computed from these values; `position` counts characters from 1."""

    def __init__(self, expression: str, problem: str, *, position: int | None = None, is_absent: bool = False) -> None:
        at = f", at character {position}" if position else ""
        super().__init__(f"`{_short(expression)}`{at}: {problem}", code="bad_expression")
        self.expression = expression
        self.problem = problem
        self.position = position
        self.is_absent = is_absent


@dataclass(frozen=True, slots=True)
class Compiled:
    """An expression that can be computed: its free names and its functions; `loose` is its twin with doubles only."""

    source: str
    program: cel.Program
    names: frozenset[str]
    functions: frozenset[str]
    loose: cel.Program | None
    depth: int


def evaluate(expression: Expression, environment: Mapping[str, Any]) -> Any:
    """The value as plain Python (datetimes and timedeltas included); raises `ExpressionError`."""
    compiled = compile_expression(expression)
    unknown = sorted(compiled.names - environment.keys())
    if unknown:
        raise ExpressionError(expression, f"nothing is named {unknown[0]!r} here.", is_absent=True)
    values = _taken(compiled, environment)
    try:
        return _compute(compiled, compiled.program, FUNCTIONS, values)
    except TypeError as error:
        if compiled.loose is None:
            raise ExpressionError(expression, _types(error)) from None
        try:
            doubled = {name: _doubled(value) for name, value in values.items()}
            return _compute(compiled, compiled.loose, _LOOSE, doubled)
        except TypeError:
            raise ExpressionError(expression, _types(error)) from None


def decide(expression: Expression, environment: Mapping[str, Any]) -> bool:
    """The value of a condition; anything but true and false is an `ExpressionError`."""
    value = evaluate(expression, environment)
    if not isinstance(value, bool):
        raise ExpressionError(expression, f"a condition must be true or false, and this is {kind_of(value)}.")
    return value


def fill(template: Template, environment: Mapping[str, Any]) -> Any:
    """The template with every text that starts with `=` replaced by its value: JSON."""
    if isinstance(template, str):
        return to_json(evaluate(template[1:], environment), template) if template.startswith("=") else template
    if isinstance(template, Mapping):
        return {str(name): fill(value, environment) for name, value in template.items()}
    if isinstance(template, list | tuple):
        return [fill(value, environment) for value in template]
    return template


def fill_text(text: str, environment: Mapping[str, Any]) -> str:
    """The text with every `{{expression}}` replaced by its value as text; raises `ExpressionError`."""
    return REPLACED.sub(lambda found: str(evaluate(f"text({found[1].strip()})", environment)), text)


def to_json(value: Any, expression: str = "") -> Any:
    """A value of an expression as JSON: times as RFC 3339, durations as seconds; raises `ExpressionError`."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        return {_key(name): to_json(inner, expression) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(inner, expression) for inner in value]
    raise ExpressionError(expression, f"{kind_of(value)} cannot be handed on; turn it into text or a number.")


def to_amount(expression: Expression, value: Any) -> Decimal:
    """What an amount's expression gave; never negative, since a negative one would make room under a cap."""
    try:
        amount = Decimal(str(value)) if isinstance(value, int | float | str) and not isinstance(value, bool) else None
    except InvalidOperation:
        amount = None
    if amount is None or not amount.is_finite() or amount < 0:
        raise ExpressionError(expression, f"an amount must be a number of at least 0, and this is {kind_of(value)}.")
    return amount


def to_key(expression: Expression, value: Any) -> str:
    """What a business key's expression gave, as text; an empty one would let money move twice."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip() if isinstance(value, int | float | str) and not isinstance(value, bool) else ""
    if not text:
        raise ExpressionError(expression, f"`once_per` must give a text or a number, and this is {kind_of(value)}.")
    return text


@lru_cache(maxsize=4096)
def compile_expression(expression: Expression) -> Compiled:
    """Reads an expression; raises `ExpressionError` with the place of a mistake."""
    if len(expression) > LONGEST:
        raise ExpressionError(expression, f"it is longer than {LONGEST} characters; name parts of it with `let`.")
    try:
        program = cel.compile(expression)
    except ValueError as error:
        raise _unreadable(expression, str(error)) from None
    tokens = tokens_of(expression)
    scopes = _scopes(tokens)
    if any(scope.depth > DEEPEST_MACROS for scope in scopes):
        raise ExpressionError(
            expression,
            f"{', '.join(sorted(MACROS))} may stand in one another at most {DEEPEST_MACROS} deep; use `each` or `let`.",
        )
    functions = frozenset(program.functions())
    loose = cel.compile(_loosened(expression, tokens)) if functions & _ARITHMETIC else None
    depth = max((scope.depth for scope in scopes), default=0)
    return Compiled(expression, program, _free(program, tokens, scopes), functions, loose, depth)


def unknown_names(expression: Expression, declared: Iterable[str]) -> tuple[str, ...]:
    """Names the expression uses and nobody declares; raises `ExpressionError` when it cannot be read."""
    return tuple(sorted(compile_expression(expression).names - set(declared)))


def unknown_functions(expression: Expression) -> tuple[str, ...]:
    """Functions the expression calls and nobody offers."""
    named = {name for name in compile_expression(expression).functions if name.isidentifier()}
    return tuple(sorted(named - BUILT_IN - MACROS - FUNCTIONS.keys()))


def expressions_in(template: Template) -> tuple[Expression, ...]:
    """Every expression that stands in a template."""
    if isinstance(template, str):
        return (template[1:],) if template.startswith("=") else ()
    inner = (
        template.values() if isinstance(template, Mapping) else template if isinstance(template, list | tuple) else ()
    )
    return tuple(found for value in inner for found in expressions_in(value))


@dataclass(frozen=True, slots=True)
class _Scope:
    name: str
    first: int
    last: int
    depth: int


def _taken(compiled: Compiled, environment: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the names it uses. Nobody can interrupt CEL: lists too long for macros in one another are refused before."""
    try:
        values = {name: _given(environment[name]) for name in compiled.names}
    except TypeError as error:
        raise ExpressionError(compiled.source, f"{error}.") from None
    except RecursionError:
        raise ExpressionError(compiled.source, "a value is nested too deeply.") from None
    if compiled.depth > 1 and _longest(values) ** compiled.depth > MOST_ROUNDS:
        raise ExpressionError(compiled.source, "the lists are too long for macros in one another; filter them first.")
    return values


def _longest(value: Any) -> int:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return max(len(value), max(map(_longest, inner), default=0))
    return 0


def _compute(
    compiled: Compiled, program: cel.Program, offered: Mapping[str, Callable[..., Any]], values: dict[str, Any]
) -> Any:
    failures: list[str] = []
    names = compiled.functions | {f"loose_{name}" for name in compiled.functions}
    functions = {name: _heard(offered[name], name, failures) for name in names & offered.keys()}
    try:
        value = program.execute(cel.Context(values, functions))
    except (KeyError, IndexError) as error:
        what = "no such field" if isinstance(error, KeyError) else "no such element"
        raise ExpressionError(
            compiled.source, failures[0] if failures else f"{what}: {error}.", is_absent=True
        ) from None
    except TypeError:
        if failures:
            raise ExpressionError(compiled.source, failures[0]) from None
        raise
    except Exception as error:
        raise ExpressionError(compiled.source, failures[0] if failures else _sentence(error)) from None
    if failures:
        raise ExpressionError(compiled.source, failures[0])
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        raise ExpressionError(compiled.source, f"the text is longer than {LONGEST_TEXT} characters.")
    return value.value() if isinstance(value, cel.OptionalValue) and value.has_value() else value


def _heard(function: Callable[..., Any], name: str, failures: list[str]) -> Callable[..., Any]:
    """The library prints what a function raises, which may be a client's text: it is told null, and we remember."""

    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except FunctionError as error:
            failures.append(f"{name}(): {error}")
        except Exception as error:
            failures.append(f"{name}(): wrong arguments ({type(error).__name__}).")
        return None

    return call


def _with_double(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        return _doubled(function(*arguments))

    return call


_LOOSE: Final[dict[str, Callable[..., Any]]] = {
    **{name: _with_double(function) for name, function in FUNCTIONS.items()},
    "loose_size": _with_double(len),
    "loose_int": _with_double(int),
}


def _given(value: Any) -> Any:
    """A value CEL can take. Numbers it cannot hold exactly become text."""
    if value is None or isinstance(value, bool | str | float | datetime | timedelta | bytes):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _LARGEST else str(value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and abs(value) <= _LARGEST else float(value)
    if isinstance(value, date):
        return datetime.combine(value, time(), tzinfo=UTC)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Consent):
        return {"status": value.status, "amount": _given(value.amount), "unit": value.unit}
    if isinstance(value, Mapping):
        return {_key(name): _given(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_given(inner) for inner in value]
    raise TypeError(f"{type(value).__name__} is no value for expressions")


def _key(name: Any) -> str:
    return name if isinstance(name, str) else str(name)


def _doubled(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, dict):
        return {name: _doubled(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_doubled(inner) for inner in value]
    return value


def _loosened(expression: str, tokens: tuple[Token, ...]) -> str:
    """The expression with its ints written as doubles, those of size() and int() too; indices stay what they are."""
    parts: list[str] = []
    end = 0
    for place, token in enumerate(tokens):
        is_call = place + 1 < len(tokens) and tokens[place + 1].text == "("
        if token.kind == "int" and not _is_index(tokens, place) and len(token.text) < _DIGITS:
            written = repr(float(int(token.text, 0)))
        elif token.text in {"size", "int"} and is_call:
            written = f"loose_{token.text}"
        else:
            continue
        parts += [expression[end : token.first], written]
        end = token.last
    return "".join([*parts, expression[end:]])


def _is_index(tokens: tuple[Token, ...], place: int) -> bool:
    before = tokens[place - 1].text if place else ""
    after = tokens[place + 1].text if place + 1 < len(tokens) else ""
    if before != "[" or after != "]" or place < 2:
        return False
    opener = tokens[place - 2]
    return opener.kind == "name" or opener.text in {")", "]"}


def _scopes(tokens: tuple[Token, ...]) -> tuple[_Scope, ...]:
    """Where the names of all(), exists(), map() … hold: by the tokens between the macro's parentheses."""
    found: list[_Scope] = []
    for place in range(len(tokens) - 4):
        dot, macro, opened, name, comma = tokens[place : place + 5]
        is_macro = dot.text == "." and macro.text in MACROS and opened.text == "(" and comma.text == ","
        if not is_macro or name.kind != "name":
            continue
        last, open_brackets = place + 2, 0
        for last in range(place + 2, len(tokens)):
            open_brackets += (tokens[last].text in {"(", "[", "{"}) - (tokens[last].text in {")", "]", "}"})
            if open_brackets == 0:
                break
        depth = 1 + sum(1 for outer in found if outer.first < place < outer.last)
        found.append(_Scope(name.text, place + 2, last, depth))
    return tuple(found)


def _free(program: cel.Program, tokens: tuple[Token, ...], scopes: tuple[_Scope, ...]) -> frozenset[str]:
    """The library counts the names that macros bind as well: they are free only where they stand outside."""
    bound = {scope.name for scope in scopes}
    names = set(program.variables())
    for name in names & bound:
        is_free = any(
            token.text == name
            and token.kind == "name"
            and not (place and tokens[place - 1].text == ".")
            and not any(scope.name == name and scope.first < place < scope.last for scope in scopes)
            for place, token in enumerate(tokens)
        )
        if not is_free:
            names.discard(name)
    return frozenset(names)


def _unreadable(expression: str, text: str) -> ExpressionError:
    found = _PLACE.search(text)
    if found is None:
        return ExpressionError(expression, "it cannot be read as a CEL expression.")
    line, column, problem = int(found[1]), int(found[2]), found[3]
    position = sum(len(part) + 1 for part in expression.split("\n")[: line - 1]) + column
    if problem.startswith("mismatched input '<EOF>'"):
        problem = "it ends too early"
    problem = problem.split(" expecting {")[0]
    hint = (
        " (text stands in quotes; equality is ==)" if "token recognition" in problem or "mismatched" in problem else ""
    )
    return ExpressionError(expression, f"{problem}{hint}.", position=position)


def _types(error: TypeError) -> str:
    head = str(error).split(". CEL does not coerce")[0].split(":")[0]
    return (
        f"the values do not fit together ({head[0].lower()}{head[1:]}): one is null or of another type than the expression "
        "takes. Test it with has() or != null first, or use number(), text(), date()."
    )


def _sentence(error: Exception) -> str:
    text = str(error).split("\n")[0]
    return text.split(". Check ")[0].rstrip(".") + "."


def _short(expression: str) -> str:
    line = " ".join(expression.split())
    return line if len(line) <= 120 else line[:117] + "…"
