"""`asoe export` writes every table of an organization, or says why not; and no secret is on any line."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
from worlds import World, world

from asoe.store import exports
from asoe.store.db import open_database

__all__ = ["world"]

SECRETS = re.compile(r"hash|seal|salt|secret$|token$|password$")
HARMLESS = {("attachments", "sha256"), ("attachments", "content")}
"""Columns of bytes that are no secret: what a client sent."""


@pytest.fixture
async def lines(world: World) -> dict[str, list[dict[str, Any]]]:
    """What Acme's owner would write, noun by noun."""
    await world.owner.execute("update asoe.saved_views set is_shared = true")  # others' own views stay theirs
    database = await open_database(world.dsns.app, world.dsns.system, pool=2)
    try:
        async with database.org_reading(world.acme.owner) as connection:
            return {
                noun: [line async for line in exports.rows(connection, world.acme.org_id, noun)]
                for noun in exports.NOUNS
            }
    finally:
        await database.close()


async def test_every_table_is_exported_or_left_out_for_a_reason(world: World) -> None:
    there = {table.name for table in world.tables if not table.is_partition}
    exported = Counter(re.findall(r" from (\w+\.\w+) t where", sql_of(noun))[0] for noun in exports.NOUNS)
    assert set(exported) & set(exports.LEFT_OUT) == set()
    unsaid = there - set(exported) - set(exports.LEFT_OUT)
    assert not unsaid, f"add a query to store/exports.sql for each, or a reason to LEFT_OUT: {sorted(unsaid)}"
    assert set(exports.LEFT_OUT) - there == set()
    assert max(exported.values()) == 1


async def test_rows_of_every_noun_are_written_and_only_of_its_organization(
    world: World, lines: dict[str, list[dict[str, Any]]]
) -> None:
    assert [noun for noun, rows in lines.items() if not rows] == []
    assert {line["org_id"] for rows in lines.values() for line in rows if "org_id" in line} == {str(world.acme.org_id)}


async def test_no_secret_is_on_any_line(world: World, lines: dict[str, list[dict[str, Any]]]) -> None:
    kinds = {
        (row["table_name"], row["column_name"])
        for row in await world.owner.fetch(
            "select table_name::text, column_name::text from information_schema.columns where data_type = 'bytea'"
        )
    }
    for noun, rows in lines.items():
        table = re.findall(r" from \w+\.(\w+) t where", sql_of(noun))[0]
        for column in {column for line in rows for column in line} - {name for of, name in HARMLESS if of == table}:
            assert (table, column) not in kinds, f"{noun}: {column} is bytes"
            assert not SECRETS.search(column), f"{noun}: {column}"


def sql_of(noun: str) -> str:
    return str(getattr(exports.ExportsSql, noun))
