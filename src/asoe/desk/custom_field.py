"""An organization's own ticket fields: owners and admins define them; values already on tickets stay readable."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from typing import Final

from asoe.desk.context import Desk
from asoe.domain.errors import Conflict, FieldProblem, Invalid, Missing
from asoe.domain.facts import as_class
from asoe.domain.organization import Principal
from asoe.store import facts, fields
from asoe.store.db import Connection
from asoe.store.fields import FieldDefinition

TYPES: Final = ("text", "number", "boolean", "date", "choice")
_NAME: Final = re.compile(r"^[a-z][a-z0-9_]{0,62}$", re.ASCII)


async def list_fields(desk: Desk, principal: Principal) -> list[FieldDefinition]:
    async with desk.database.org_reading(principal) as connection:
        return await fields.list_fields(connection, principal.org_id)


async def define_field(desk: Desk, principal: Principal, field: FieldDefinition) -> FieldDefinition:
    """Add a field; raises `Conflict(field_exists)`, or `Invalid(bad_field)` naming what is wrong."""
    _check(field)
    async with desk.database.org_transaction(principal) as connection:
        if any(other.name == field.name for other in await fields.list_fields(connection, principal.org_id)):
            raise Conflict(f"There is a field {field.name!r} already. Change that one.", code="field_exists")
        await _write(connection, principal, field)
    return field


async def change_field(
    desk: Desk,
    principal: Principal,
    name: str,
    *,
    choices: tuple[str, ...] | None = None,
    is_required: bool | None = None,
) -> FieldDefinition:
    """Change choices or whether a value is required; the type stays, since values of it exist."""
    async with desk.database.org_transaction(principal) as connection:
        found = next((one for one in await fields.list_fields(connection, principal.org_id) if one.name == name), None)
        if found is None:
            raise _missing()
        changed = replace(
            found,
            choices=found.choices if choices is None else choices,
            is_required=found.is_required if is_required is None else is_required,
        )
        _check(changed)
        await _write(connection, principal, changed, before=found)
    return changed


async def remove_field(desk: Desk, principal: Principal, name: str) -> None:
    async with desk.database.org_transaction(principal) as connection:
        found = next((one for one in await fields.list_fields(connection, principal.org_id) if one.name == name), None)
        if found is None or not await fields.remove(connection, principal.org_id, name):
            raise _missing()
        values = {f"fields.{name}": [as_class(asdict(found)), None]}
        await facts.record(connection, principal, "settings.changed", names=[f"fields.{name}"], values=values)


async def _write(
    connection: Connection, principal: Principal, field: FieldDefinition, *, before: FieldDefinition | None = None
) -> None:
    await fields.define(connection, principal.org_id, field)
    name = f"fields.{field.name}"
    values = {name: [None if before is None else as_class(asdict(before)), as_class(asdict(field))]}
    await facts.record(connection, principal, "settings.changed", names=[name], values=values)


def _check(field: FieldDefinition) -> None:
    problems = []
    if not _NAME.match(field.name):
        problems.append(FieldProblem("name", "must be a small letter, then up to 62 small letters, digits or _"))
    if field.type not in TYPES:
        problems.append(FieldProblem("type", f"is not one of {', '.join(TYPES)}"))
    if (field.type == "choice") != bool(field.choices):
        problems.append(FieldProblem("choices", "belong to a field of type choice, which needs at least one"))
    if problems:
        listed = "; ".join(f"{problem.field}: {problem.problem}" for problem in problems)
        raise Invalid(f"The field cannot be defined: {listed}.", code="bad_field", fields=tuple(problems))


def _missing() -> Missing:
    return Missing("There is no such field.", code="no_field")
