"""Acme and Globex with rows in every table: whoever of Acme does whatever to Globex sees and changes nothing."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from catalog import REFUSED, closed_sets, rows_of
from worlds import SECRET, World, attempt, claiming, claims_of, world

__all__ = ["world"]

ROLES = ("owner", "admin", "agent", "client", "engine")


async def globex_as_it_is(world: World) -> dict[str, list[str]]:
    rows = {t.name: await rows_of(world.owner, t, world.globex.org_id) for t in world.tables if not t.is_partition}
    sequences = await world.owner.fetch(
        "select schemaname || '.' || sequencename as name, last_value from pg_sequences"
    )
    number = f"asoe.ticket_number_{world.globex.org_id.hex}"
    rows["numbers"] = [str(row["last_value"]) for row in sequences if row["name"] == number]
    return rows


async def affected(connection: Any, sql: str, *arguments: Any) -> int:
    """How many rows a statement read or changed; refused for want of privilege counts as none."""
    async with attempt(connection):
        try:
            status = await connection.execute(sql, *arguments)
        except REFUSED:
            return 0
        return int(status.split()[-1])


async def test_every_table_holds_rows_of_both(world):
    for table in world.tables:
        if not table.is_partition:
            for org in (world.acme, world.globex):
                assert await rows_of(world.owner, table, org.org_id), f"{table.name} has no row of {org.slug}"


@pytest.mark.parametrize("role", ROLES)
async def test_rows_of_another_organization_are_neither_seen_nor_changed(world, role):
    before = await globex_as_it_is(world)
    async with claiming(world.app, claims_of(getattr(world.acme, role))):
        for table in world.tables:
            globex = str(world.globex.org_id)
            of_globex = table.of_org.replace("$1", f"'{globex}'")
            if table.name == "public.support_sessions":
                tickets = await world.owner.fetch(
                    "select id from public.support_tickets where org_id = $1", world.globex.org_id
                )
                of_globex = f"ticket_id in ({', '.join(repr(str(row['id'])) for row in tickets)})"
            assert await affected(world.app, f"select from {table.name} where {of_globex}") == 0, table.name
            assert await affected(world.app, f"delete from {table.name} where {of_globex}") == 0, table.name
            for column in table.writable:
                set_it = f"update {table.name} set {column} = {column} where {of_globex}"
                assert await affected(world.app, set_it) == 0, set_it
    assert await globex_as_it_is(world) == before


@pytest.mark.parametrize("role", ROLES)
async def test_no_row_is_written_into_another_organization(world, role):
    before = await globex_as_it_is(world)
    async with claiming(world.app, claims_of(getattr(world.acme, role))):
        for table in world.tables:
            sample = await sample_row(world, table)
            for columns in insertable(table, await granted_columns(world.app, table, "insert")):
                row = {name: value for name, value in sample.items() if name in columns}
                with pytest.raises(REFUSED):  # noqa: PT012 - the savepoint must close before the next table
                    async with attempt(world.app):
                        await insert_json(world.app, table.name, row)
                        pytest.fail(f"{role} of Acme wrote a row of Globex into {table.name}")
    assert await globex_as_it_is(world) == before


@pytest.mark.parametrize("role", ROLES)
async def test_no_row_is_moved_to_another_organization(world, role):
    tickets = {
        org.slug: await world.one("select id from public.support_tickets where org_id = $1 limit 1", org)
        for org in (world.acme, world.globex)
    }
    async with claiming(world.app, claims_of(getattr(world.acme, role))):
        for table in world.tables:
            for column, value in (("org_id", world.globex.org_id), ("ticket_id", tickets["globex"])):
                if column in table.writable:
                    async with attempt(world.app):
                        try:
                            status = await world.app.execute(f"update {table.name} set {column} = $1", value)
                        except (*REFUSED, asyncpg.ForeignKeyViolationError):
                            continue
                        assert status == "UPDATE 0", f"{role} of Acme moved rows of {table.name} by {column}"


async def test_no_foreign_key_reaches_across_organizations(world):
    """A foreign key sees all rows: between rows of organizations it must carry the organization along."""
    with_org = {t.name for t in world.tables if any(c.name == "org_id" for c in t.columns)} - {
        "public.user_organizations"
    }
    for key in world.keys:
        pairs = set(zip(key.columns, key.other_columns, strict=True))
        if key.table in with_org and key.other in with_org:
            assert ("org_id", "org_id") in pairs, (
                f"{key.name} lets {key.table} refer to another organization's {key.other}"
            )
        if key.table in with_org and key.other == "public.support_sessions":
            assert ("ticket_id", "ticket_id") in pairs, (
                f"{key.name} must carry the ticket, which carries the organization"
            )


async def test_nothing_is_hung_on_another_organizations_ticket(world):
    """Even staff of Acme cannot write a message, a link, a file or a correction beside a ticket of Globex."""
    before = await globex_as_it_is(world)
    ids = {
        "ticket_id": await world.one("select id from public.support_tickets where org_id = $1 limit 1", world.globex),
    }
    ids["session_id"] = await world.owner.fetchval(
        "select id from public.support_sessions where ticket_id = $1", ids["ticket_id"]
    )
    referring = {key.table for key in world.keys if set(key.columns) & set(ids)}
    async with claiming(world.app, claims_of(world.acme.owner)):
        for table in world.tables:
            if table.is_partition or table.name not in referring:
                continue
            theirs = await sample_row(world, table)
            sample = {
                name: str(ids[name]) if value is None and name in ids else value for name, value in theirs.items()
            }
            sample["org_id"] = str(world.acme.org_id)
            for columns in insertable(table, await granted_columns(world.app, table, "insert")):
                row = {name: value for name, value in sample.items() if name in columns}
                with pytest.raises((*REFUSED, asyncpg.ForeignKeyViolationError)):  # noqa: PT012 - as above
                    async with attempt(world.app):
                        await insert_json(world.app, table.name, row)
                        await world.app.execute("set constraints all immediate")
                        pytest.fail(f"a row of {table.name} was hung on a ticket of Globex")
    assert await globex_as_it_is(world) == before


@pytest.mark.parametrize("role", [*ROLES, None])
async def test_functions_behave_as_if_the_other_organization_did_not_exist(world, role):
    """Non-interference: each function gives the same for ids of Globex as for ids of nothing."""
    before = await globex_as_it_is(world)
    functions = await world.app.fetch(
        """
        select p.oid::regprocedure::text as name, p.proargtypes::regtype[]::text[] as types
        from pg_proc p where p.pronamespace = 'asoe'::regnamespace and p.prorettype <> 'trigger'::regtype
          and p.prokind = 'f' and has_function_privilege(p.oid, 'execute') and (p.prosecdef or p.provolatile <> 'i')
        """
    )
    assert functions
    known = await ids_of(world)
    claims = claims_of(getattr(world.acme, role)) if role else {}
    async with claiming(world.app, claims):
        for function in functions:
            for kind, theirs in known.items():
                if kind not in function["types"]:
                    continue
                for one in theirs:
                    name = function["name"].split("(")[0]
                    given = await outcome(world.app, name, function["types"], {kind: one})
                    nothing = await outcome(world.app, name, function["types"], {kind: other_than(one)})
                    assert given == nothing, f"{function['name']} tells {one!r} of Globex from nothing"
                    assert SECRET not in str(given)
            plain = await outcome(world.app, function["name"].split("(")[0], function["types"], {})
            assert str(world.globex.org_id) not in str(plain)
            assert SECRET not in str(plain)
    assert await globex_as_it_is(world) == before


async def test_an_outsider_burns_no_ticket_number(world):
    """The number is taken from a sequence before row-level security looks, and a sequence forgets nothing."""
    before = await globex_as_it_is(world)
    for claims in ({}, claims_of(world.acme.agent), claims_of(world.acme.client)):
        async with claiming(world.app, claims):
            with pytest.raises(REFUSED):
                await world.app.execute(
                    "insert into public.support_tickets (org_id, category) values ($1, 'general')", world.globex.org_id
                )
    assert await globex_as_it_is(world) == before


async def test_no_trigger_function_is_borrowed_for_a_table_of_ones_own(world):
    """A trigger function with its owner's rights, put on a temporary table, would do as the table's rows say."""
    triggers = await world.app.fetch(
        "select oid::regprocedure::text as name from pg_proc where pronamespace = 'asoe'::regnamespace"
        " and prorettype = 'trigger'::regtype"
    )
    assert triggers
    async with claiming(world.app, claims_of(world.acme.agent)):
        await world.app.execute("create temporary table mine (org_id uuid, session_id uuid, is_internal boolean)")
        for trigger in triggers:
            with pytest.raises(REFUSED):
                async with attempt(world.app):
                    await world.app.execute(
                        f"create trigger borrowed after delete on mine for each row execute function {trigger['name']}"
                    )


async def sample_row(world: World, table: Any) -> dict[str, Any]:
    """A row of Globex as JSON under new ids."""
    if table.is_partition:
        return {"org_id": str(world.globex.org_id)}
    text = await world.owner.fetchval(
        f"select to_jsonb(t)::text from {table.name} t where {table.of_org} limit 1", world.globex.org_id
    )
    row = json.loads(text)
    if table.name == "public.support_sessions":
        row["messages"] = []  # a mirror refuses them before row-level security could
    keys = await world.owner.fetch(
        "select a.attname as name from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)"
        " where i.indrelid = $1::text::regclass and i.indisprimary and a.atttypid = 'text'::regtype",
        table.name,
    )
    closed = await closed_sets(world.owner, table.name)
    row.update({key["name"]: f"x{uuid4().hex[:8]}" for key in keys if key["name"] not in closed})
    if "id" in row and isinstance(row["id"], str) and table.name != "public.organizations":
        row["id"] = str(uuid4())
    return row


async def granted_columns(connection: Any, table: Any, privilege: str) -> set[str]:
    rows = await connection.fetch(
        "select name from unnest($2::text[]) name where has_column_privilege($1::text::regclass, name, $3)",
        table.name, table.writable, privilege,
    )  # fmt: skip
    return {row["name"] for row in rows}


def insertable(table: Any, granted: set[str]) -> list[set[str]]:
    """All columns, and those that may be given at all: neither may lead in."""
    everything = set(table.writable)
    return [everything] if granted in (set(), everything) else [everything, granted]


async def insert_json(connection: Any, table: str, row: dict[str, Any]) -> None:
    names = ", ".join(row)
    await connection.execute(
        f"insert into {table} ({names}) select {names} from jsonb_populate_record(null::{table}, $1::text::jsonb)",
        json.dumps(row),
    )


async def ids_of(world: World) -> dict[str, list[Any]]:
    """Everything by which Globex could be named: ids, words, hashes."""
    tickets = "(select id from public.support_tickets where org_id = $1)"
    uuids = [world.globex.org_id, *(getattr(world.globex, role).user_id for role in ROLES)]
    for sql in (
        "select id from public.support_tickets where org_id = $1",
        f"select id from public.support_sessions where ticket_id in {tickets}",
        "select id from asoe.articles where org_id = $1",
        "select id from asoe.session_messages where org_id = $1",
        "select id from asoe.contacts where org_id = $1",
        "select id from asoe.api_keys where org_id = $1",
    ):
        uuids += [row["id"] for row in await world.owner.fetch(sql, world.globex.org_id)]
    hashes = [
        row["hash"]
        for row in await world.owner.fetch("select hash from asoe.api_keys where org_id = $1", world.globex.org_id)
    ]
    return {"uuid": uuids, "text": [SECRET, "globex", f"'#org/{world.globex.org_id}'"], "bytea": hashes}


def other_than(value: Any) -> Any:
    return uuid4() if isinstance(value, UUID) else "f" * len(value) if isinstance(value, str) else b"f" * len(value)


async def outcome(connection: Any, function: str, types: list[str], given: dict[str, Any]) -> Any:
    """What a call returns or how it fails; ids made by the call are not told apart."""
    arguments = [given[kind] if kind in given else _neutral(kind) for kind in types]
    marks = ", ".join(f"${n}::{kind}" for n, kind in enumerate(types, 1))
    async with attempt(connection):
        try:
            rows = await connection.fetch(f"select * from {function}({marks})", *arguments)
        except asyncpg.PostgresError as error:
            return type(error).__name__, _without(given, str(error))
        return [tuple("id" if isinstance(v, UUID) else _without(given, str(v)) for v in row.values()) for row in rows]


def _without(given: dict[str, Any], text: str) -> str:
    for value in given.values():
        text = text.replace(str(value), "…")
    return text


def _neutral(kind: str) -> Any:
    if kind.endswith("[]"):
        return []
    neutral = {"uuid": UUID(int=7), "text": "general", "integer": 1, "bigint": 1, "boolean": False, "bytea": b"x"}
    return neutral.get(kind)  # of other types: null
