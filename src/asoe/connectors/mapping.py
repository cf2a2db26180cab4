"""How configurations name places in JSON (`data.0.id`), fill templates (`"{id}"`), check arguments and read a probe's answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, Literal

import jsonschema_rs
from pydantic import Field

from asoe.connectors.contract import Json, Probe
from asoe.connectors.kinds import Config

MISSING: Final = object()
KEY: Final = "key"
_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z0-9_.-]+)\}")
_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class ProbeBy(Config):
    """How to find out whether an act took effect: a read, and what its result holds if so.

    `with` fills the read's arguments from those of the act and `{key}`. Done when the value at `path` equals `equals`, or,
    without `equals`, when there is one. `missing`: what it means that the read names nothing; by default not_done when the
    read asks by `{key}`, unknown otherwise.
    """

    call: str
    arguments: dict[str, Any] = Field(default_factory=dict, alias="with")
    path: str = ""
    equals: Any = MISSING
    value: str | None = None
    otherwise: Literal["not_done", "unknown"] = "not_done"
    missing: Literal["not_done", "unknown"] | None = None

    def asked(self, arguments: Mapping[str, Json], key: str) -> dict[str, Json]:
        """The arguments of the read."""
        return {name: fill(value, {**arguments, KEY: key}) for name, value in self.arguments.items()}

    def judge(self, result: Json, arguments: Mapping[str, Json], key: str) -> Probe:
        found = at(result, self.path)
        if self.equals is MISSING:
            is_done = found is not MISSING and found not in (None, False, "", [], {})
        else:
            is_done = found is not MISSING and found == fill(self.equals, {**arguments, KEY: key})
        if not is_done:
            return Probe(self.otherwise)
        value = at(result, self.value or "")
        return Probe("done", None if value is MISSING else value)

    def when_missing(self) -> Probe:
        if self.missing is not None:
            return Probe(self.missing)
        return Probe("not_done" if f"{{{KEY}}}" in str(self.arguments) else "unknown")


def at(value: Json, path: str) -> Any:
    """The value at a dotted path (numbers index lists), or MISSING; the empty path is the whole."""
    for part in path.split(".") if path else ():
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return MISSING
    return value


def fill(template: Json, values: Mapping[str, Json]) -> Json:
    """A template with its `{names}` replaced; one that is nothing but a name keeps the value's type. Unknown ones are null."""
    match template:
        case str():
            whole = _PLACEHOLDER.fullmatch(template)
            if whole:
                found = at(values, whole[1])
                return None if found is MISSING else found
            return _PLACEHOLDER.sub(lambda name: _text(at(values, name[1])), template)
        case Mapping():
            return {key: fill(each, values) for key, each in template.items()}
        case list():
            return [fill(each, values) for each in template]
        case _:
            return template


def code_of(value: Any) -> str:
    """The other side's word for an error when it is a code, never a sentence: that could quote a client."""
    return str(value) if isinstance(value, str | int) and _CODE.fullmatch(str(value)) else ""


class Checker:
    """A JSON Schema of arguments: nothing is fetched for it, patterns match in linear time, values stay out of messages."""

    def __init__(self, schema: Mapping[str, Json]) -> None:
        """Raises ValueError for a schema that is none."""
        try:
            self._validator = _compiled(schema)
        except jsonschema_rs.ValidationError:
            raise ValueError("is no JSON Schema that can be checked") from None

    def problem(self, arguments: Mapping[str, Json]) -> str | None:
        """What is wrong first, by path and rule; None when nothing is."""
        try:
            for error in self._validator.iter_errors(dict(arguments)):
                return _in_words(error)
        except (TypeError, ValueError):
            return "an argument is not JSON"
        return None


def _compiled(schema: Mapping[str, Json]) -> Any:
    try:
        return _validator(schema)
    except jsonschema_rs.ValidationError:
        return _validator(_without_patterns(schema))  # a pattern that needs backtracking is not checked here


def _validator(schema: Any) -> Any:
    return jsonschema_rs.Draft202012Validator(schema, pattern_options=_patterns(), offline=True)


@lru_cache(maxsize=1)
def _patterns() -> Any:
    return jsonschema_rs.RegexOptions(size_limit=1024 * 1024, dfa_size_limit=1024 * 1024)


def _without_patterns(schema: Json) -> Json:
    if isinstance(schema, Mapping):
        return {
            key: _without_patterns(value)
            for key, value in schema.items()
            if not (key == "pattern" and isinstance(value, str)) and key != "patternProperties"
        }
    return [_without_patterns(each) for each in schema] if isinstance(schema, list) else schema


def _in_words(error: Any) -> str:
    place = ".".join(str(part) for part in error.instance_path)
    kind = error.kind.name if hasattr(error.kind, "name") else "schema"
    if kind == "required":
        return f"{_dotted(place, str(error.kind.property))} is required"
    if kind == "additionalProperties":
        names = ", ".join(sorted(map(str, error.kind.unexpected))[:5])
        return f"{_dotted(place, names)} is not known"
    return f"{place or 'the whole'} breaks the rule {kind}"


def _dotted(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _text(value: Any) -> str:
    if value is MISSING or value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
