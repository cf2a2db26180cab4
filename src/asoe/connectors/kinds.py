"""What a kind of connector is: how its configuration is checked, and how one is opened. The composition root lists the kinds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from asoe.connectors.contract import Connector
from asoe.domain.errors import FieldProblem, Invalid


@dataclass(frozen=True, slots=True)
class Opening:
    """One organization's configured connector, its secrets in the clear: lives in memory only."""

    org_id: UUID
    name: str
    config: Mapping[str, Any] = field(repr=False)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    allow_private: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of outside system.

    `open` makes a connector and calls nobody. `prepare` checks a configuration of which `given` was given just now, and
    returns all that is to be stored of it (a document fetched, tools reviewed). Both raise `Invalid(bad_connector)` naming
    the wrong fields; `prepare` also `ConnectorError`.
    """

    name: str
    says: str
    open: Callable[[Opening], Connector]
    prepare: Callable[[Opening, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


def lazily(name: str, says: str) -> Kind:
    """The kind NAME of `asoe.connectors.name`, whose libraries are imported when it is first used."""

    def whole() -> Kind:
        kind: Kind = getattr(import_module(f"asoe.connectors.{name}"), name.upper())
        return kind

    async def prepare(opening: Opening, given: Mapping[str, Any]) -> Mapping[str, Any]:
        return await whole().prepare(opening, given)

    return Kind(name, says, lambda opening: whole().open(opening), prepare)


class Config(BaseModel):
    """Base of a kind's configuration: unknown fields are refused by name, values are never shown in errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def refused(problems: list[FieldProblem]) -> Invalid:
    """The error of a configuration that cannot be used."""
    listed = "; ".join(f"{problem.field}: {problem.problem}" for problem in problems)
    return Invalid(
        f"The connector cannot be used as it is: {listed}.", code="bad_connector", fields=tuple(problems[:_MOST])
    )


def problems_of(error: ValidationError, *, under: str = "config") -> list[FieldProblem]:
    """Each wrong field with the remedy; values are left out, they may be secrets put into the wrong place."""
    return [
        FieldProblem(".".join((under, *(str(part) for part in each["loc"]))), _problem(each))
        for each in error.errors(include_input=False, include_url=False)
    ]


def _problem(error: Any) -> str:
    if error["type"] == "union_tag_invalid":  # its message quotes the value
        return f"type must be one of {error['ctx']['expected_tags']}"
    return str(error["msg"])


_MOST: Final = 50
