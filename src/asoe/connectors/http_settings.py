"""The configuration of an `http` connector: what it may say, how its operations are read from it, and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError

from asoe.connectors.contract import Action
from asoe.connectors.credentials import HeaderName
from asoe.connectors.kinds import Config, Opening, problems_of, refused
from asoe.connectors.mapping import MISSING, Checker, ProbeBy
from asoe.connectors.openapi import Described, Slot, operations_of
from asoe.connectors.remote import RESERVED_HEADERS, RemoteConfig, rules_at
from asoe.domain.errors import FieldProblem
from asoe.domain.runbook import Risk

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,99}$")]
_PATH_NAME: Final = re.compile(r"\{([^{}]+)\}")


class ParameterIn(Config):
    """Where an argument goes, under which name, and what it may be."""

    place: Literal["path", "query", "header", "body"] = Field("body", alias="in")
    wire: str | None = Field(None, alias="as")
    required: bool = False
    whole: bool = False
    schema_: dict[str, Any] = Field(default_factory=dict, alias="schema")


class ErrorBy(Config):
    """How a system says inside of a successful response that it failed.

    There is an error when the value at `path` equals `equals`, or, without `equals`, is anything but null, false or empty.
    `missing`: texts at `message` (in any case) that mean that the thing does not exist. `effect`: what is known of the act.
    """

    path: str
    equals: Any = MISSING
    code: str = ""
    message: str = ""
    missing: tuple[str, ...] = ()
    effect: Literal["none", "unknown"] = "none"
    permanent: bool = True


class OperationIn(Config):
    """An operation written by hand, or what an organization adds to one of its OpenAPI document."""

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] | None = None
    path: str | None = Field(None, pattern=r"^/")
    description: str | None = None
    parameters: dict[Name, ParameterIn] | None = None
    body: Literal["json", "form"] | None = None
    risk: Risk | None = None
    repeats: Literal["by_key", "naturally", "never"] = "never"
    result: str = ""
    parse_text: bool = False
    error: ErrorBy | None = None
    missing: tuple[int, ...] = (404, 410)
    timeout: float | None = Field(None, gt=0, le=300)
    probe: ProbeBy | None = None
    undo: str | None = None
    amount: str | None = None


class HttpConfig(RemoteConfig):
    """The configuration of a connector of this kind; docs/connectors.md explains each field."""

    base_url: str
    openapi: dict[str, Any] | None = None
    operations: dict[Name, OperationIn] = Field(default_factory=dict)
    risks: dict[Name, Risk] = Field(default_factory=dict)
    error: ErrorBy | None = None
    idempotency_header: HeaderName | None = "Idempotency-Key"
    in_progress: tuple[int, ...] = (409,)
    health: Name | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation with all that is known of it; without a risk it is unclassified and cannot be used."""

    name: str
    described: Described
    given: OperationIn
    risk: Risk | None
    error: ErrorBy | None

    @property
    def action(self) -> Action:
        assert self.risk is not None
        return Action(
            name=self.name,
            risk=self.risk,
            description=self.given.description or self.described.description,
            arguments=self.described.arguments,
            repeats=self.given.repeats,
            has_probe=self.given.probe is not None,
            undo=self.given.undo,
            amount=self.given.amount,
        )


def read_settings(opening: Opening, *, with_operations: bool = True) -> tuple[HttpConfig, dict[str, Operation]]:
    """The configuration and its operations; raises `Invalid(bad_connector)` naming every wrong field."""
    try:
        config = HttpConfig.model_validate(dict(opening.config))
    except ValidationError as error:
        raise refused(problems_of(error)) from None
    problems: list[FieldProblem] = []
    try:
        rules_at(config.base_url, config, opening)
    except ValueError as error:
        problems.append(FieldProblem("config.base_url", str(error)))
    operations: dict[str, Operation] = {}
    if with_operations:
        operations = _operations(config, problems)
        _check_references(config, operations, problems)
    if problems:
        raise refused(problems)
    return config, operations


def _operations(config: HttpConfig, problems: list[FieldProblem]) -> dict[str, Operation]:
    described: dict[str, Described] = {}
    if config.openapi is not None:
        try:
            described = operations_of(config.openapi)
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            problems.append(FieldProblem("config.openapi", str(error)))
    for name, given in config.operations.items():
        if name not in described or given.method or given.path:
            described[name] = _by_hand(name, given, problems)
    found: dict[str, Operation] = {}
    for name, every in described.items():
        one = _without_key(every, config.idempotency_header)
        given = config.operations.get(name, OperationIn())
        risk = given.risk or config.risks.get(name) or ("read" if one.method in {"GET", "HEAD"} else None)
        found[name] = Operation(name, one, given, risk, given.error or config.error)
        try:
            Checker(one.arguments)
        except ValueError as error:
            problems.append(FieldProblem(f"config.operations.{name}.parameters", str(error)))
    return found


def _without_key(one: Described, header: str | None) -> Described:
    """The idempotency key is ours to send, not an argument of whoever calls."""
    named = {
        name
        for name, slot in one.slots.items()
        if header is not None and slot.place == "header" and slot.wire.lower() == header.lower()
    }
    if not named:
        return one
    arguments = {
        **one.arguments,
        "properties": {name: value for name, value in one.arguments["properties"].items() if name not in named},
        "required": [name for name in one.arguments["required"] if name not in named],
    }
    slots = {name: slot for name, slot in one.slots.items() if name not in named}
    return replace(one, slots=slots, arguments=arguments)


def _by_hand(name: str, given: OperationIn, problems: list[FieldProblem]) -> Described:
    place = f"config.operations.{name}"
    if given.method is None or given.path is None:
        problems.append(FieldProblem(place, "needs method and path: no OpenAPI document describes it"))
        return Described(name, "GET", "/")
    parameters = given.parameters or {}
    named = set(_PATH_NAME.findall(given.path))
    slots = {each: Slot(one.place, one.wire or each, one.whole) for each, one in parameters.items()}
    slots |= {
        each: Slot("path", each) for each in named if each not in {s.wire for s in slots.values() if s.place == "path"}
    }
    for each, slot in slots.items():
        if slot.place == "path" and slot.wire not in named:
            problems.append(FieldProblem(f"{place}.parameters.{each}", f"the path has no {{{slot.wire}}}"))
        if slot.place == "header" and (
            slot.wire.lower() in RESERVED_HEADERS or not re.fullmatch(r"[A-Za-z0-9-]+", slot.wire)
        ):
            problems.append(FieldProblem(f"{place}.parameters.{each}", "no such header can be an argument"))
        if slot.is_whole and slot.place != "body":
            problems.append(FieldProblem(f"{place}.parameters.{each}.whole", "is for the body"))
    required = {each for each, slot in slots.items() if slot.place == "path"}
    required |= {each for each, one in parameters.items() if one.required}
    arguments = {
        "type": "object",
        "properties": {each: parameters[each].schema_ if each in parameters else {} for each in slots},
        "required": sorted(required),
        "additionalProperties": False,
    }
    return Described(name, given.method, given.path, given.description or "", slots, arguments, given.body or "json")


def _check_references(config: HttpConfig, operations: Mapping[str, Operation], problems: list[FieldProblem]) -> None:
    """Names of operations in a configuration must be of operations there are, and fit for what they are named for."""
    for name in config.risks:
        if name not in operations:
            problems.append(FieldProblem(f"config.risks.{name}", "there is no such operation"))
    if config.health and (config.health not in operations or operations[config.health].risk != "read"):
        problems.append(FieldProblem("config.health", "must name a read"))
    for name, one in operations.items():
        place, given = f"config.operations.{name}", one.given
        if given.probe and (given.probe.call not in operations or operations[given.probe.call].risk != "read"):
            problems.append(FieldProblem(f"{place}.probe.call", "must name a read"))
        if given.undo and (given.undo not in operations or operations[given.undo].risk in {None, "read"}):
            problems.append(FieldProblem(f"{place}.undo", "must name an operation with an effect and a risk"))
        if given.amount and given.amount not in one.described.slots:
            problems.append(FieldProblem(f"{place}.amount", "must name an argument"))
        if given.repeats == "by_key" and not config.idempotency_header:
            problems.append(FieldProblem(f"{place}.repeats", "by_key needs idempotency_header"))
