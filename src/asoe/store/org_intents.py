"""An organization's own intents as rows, with the vectors of their words as triage compares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from asoe.domain.errors import Missing
from asoe.domain.intent import OwnIntent, categories_with
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class OrgIntentsSql(NamedQueries):
    hold: str
    list_all: str
    find: str
    insert: str
    change: str
    retire: str
    stamp: str
    vectors: str


@dataclass(frozen=True, slots=True)
class Stored:
    """An intent in use; `vectors` are float16 of its texts, made by the encoder of `base_version`."""

    name: str
    category: str
    title: str
    description: str
    examples: Sequence[str]
    vectors: bytes
    base_version: str


async def hold(connection: Connection, org_id: UUID) -> None:
    """Let nobody else change the organization's intents until the transaction ends."""
    await connection.execute(OrgIntentsSql.hold, str(org_id))


async def list_all(connection: Connection, org_id: UUID, *, with_retired: bool = False) -> list[OwnIntent]:
    """By category and name, retired ones last."""
    return [_own(row) for row in await connection.fetch(OrgIntentsSql.list_all, org_id, with_retired)]


async def categories(connection: Connection, org_id: UUID) -> Mapping[str, str]:
    """Every intent that a ticket of the organization may be given now, with its category."""
    return categories_with(await list_all(connection, org_id))


async def names(connection: Connection, org_id: UUID) -> set[str]:
    """Own ones, retired ones too: rules about old tickets may go on naming them."""
    return {each.name for each in await list_all(connection, org_id, with_retired=True)}


async def find(connection: Connection, org_id: UUID, name: str) -> OwnIntent:
    """Raises `Missing(no_intent)`."""
    row = await connection.fetchrow(OrgIntentsSql.find, org_id, name)
    if row is None:
        raise Missing(f"There is no own intent {name!r} here.", code="no_intent")
    return _own(row)


async def insert(
    connection: Connection,
    org_id: UUID,
    values: Mapping[str, Any],
    *,
    vectors: bytes,
    base_version: str,
    by: UUID,
) -> OwnIntent | None:
    """None when the name is taken. `values`: name, category, title, description, examples."""
    row = await connection.fetchrow(
        OrgIntentsSql.insert,
        org_id,
        values["name"],
        values["category"],
        values["title"],
        values["description"],
        list(values["examples"]),
        vectors,
        base_version,
        by,
    )
    return None if row is None else _own(row)


async def change(
    connection: Connection, org_id: UUID, name: str, values: Mapping[str, Any], *, vectors: bytes, base_version: str
) -> OwnIntent:
    """`values`: title, description, examples."""
    row = await connection.fetchrow(
        OrgIntentsSql.change,
        org_id,
        name,
        values["title"],
        values["description"],
        list(values["examples"]),
        vectors,
        base_version,
    )
    return _own(row)


async def retire(connection: Connection, org_id: UUID, name: str, *, at: datetime | None) -> OwnIntent:
    """`at` None puts it to use again."""
    return _own(await connection.fetchrow(OrgIntentsSql.retire, org_id, name, at))


async def stamp(connection: Connection, org_id: UUID) -> str:
    """Another text whenever an intent changed; empty while there is none."""
    return str(await connection.fetchval(OrgIntentsSql.stamp, org_id))


async def vectors(connection: Connection, org_id: UUID) -> list[Stored]:
    """Those in use, by name."""
    return [Stored(**dict(row)) for row in await connection.fetch(OrgIntentsSql.vectors, org_id)]


def _own(row: Any) -> OwnIntent:
    values = dict(row)
    return OwnIntent(**{**values, "examples": tuple(values["examples"])})
