"""An organization's own ticket fields: their definitions, and whether given values fit them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from asoe.domain.errors import FieldProblem
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class FieldsSql(NamedQueries):
    list_fields: str
    define: str
    remove: str


@dataclass(frozen=True, slots=True)
class FieldDefinition:
    """`type` is text, number, boolean, date (ISO 8601) or choice (one of `choices`)."""

    name: str
    type: str
    choices: tuple[str, ...] = ()
    is_required: bool = False


async def list_fields(connection: Connection, org_id: UUID) -> list[FieldDefinition]:
    rows = await connection.fetch(FieldsSql.list_fields, org_id)
    return [FieldDefinition(**{**dict(row), "choices": tuple(row["choices"])}) for row in rows]


async def define(connection: Connection, org_id: UUID, field: FieldDefinition) -> None:
    await connection.execute(FieldsSql.define, org_id, field.name, field.type, list(field.choices), field.is_required)


async def remove(connection: Connection, org_id: UUID, name: str) -> bool:
    """False when there was none."""
    return await connection.fetchval(FieldsSql.remove, org_id, name) is not None


async def problems(
    connection: Connection, org_id: UUID, values: Mapping[str, Any], *, is_whole: bool = True
) -> list[FieldProblem]:
    """What is wrong with these values by the organization's definitions; `is_whole`: a required one must be there."""
    defined = {field.name: field for field in await list_fields(connection, org_id)}
    found = [
        FieldProblem(f"custom_fields.{name}", "not defined; define it first, under /api/support/fields")
        for name in values
        if name not in defined
    ]
    for field in defined.values():
        value = values.get(field.name)
        if value is None:
            if field.is_required and is_whole:
                found.append(FieldProblem(f"custom_fields.{field.name}", "is required"))
        elif (wrong := _misfit(field, value)) is not None:
            found.append(FieldProblem(f"custom_fields.{field.name}", wrong))
    return found


def _misfit(field: FieldDefinition, value: Any) -> str | None:
    match field.type:
        case "text":
            return None if isinstance(value, str) else "must be text"
        case "number":
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            return None if is_number and math.isfinite(value) else "must be a number"
        case "boolean":
            return None if isinstance(value, bool) else "must be true or false"
        case "date":
            try:
                date.fromisoformat(value)
            except (TypeError, ValueError):
                return "must be a date like 2026-11-23"
            return None
        case _:
            return None if value in field.choices else f"must be one of {', '.join(field.choices)}"
