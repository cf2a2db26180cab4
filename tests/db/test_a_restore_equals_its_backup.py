"""What is restored is what was backed up: every row, policy and grant, table by table."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from asoe.desk import audit
from asoe.desk.context import Desk
from asoe.domain.errors import Conflict, Invalid
from asoe.queue import Queue
from asoe.store import facts, sessions, tickets
from asoe.store.backup import back_up, restore
from asoe.store.db import Database
from asoe.store.embedded import EmbeddedServer
from asoe.store.facts import FactsSql
from asoe.store.tickets import NewRow

_KEY = b"k" * 32
_TABLES = """
select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('public', 'asoe', 'queue', 'auth') and c.relkind in ('r', 'p') order by 1
"""
_POLICIES = """
select schemaname, tablename, policyname, permissive, roles::text, cmd, qual, with_check from pg_policies order by 1, 2, 3
"""
_CATALOG = """
select format('%s %I.%I', c.relkind, n.nspname, c.relname) as thing,
  (select array_agg(a::text order by a::text) from unnest(coalesce(c.relacl,
    acldefault(case c.relkind when 'S' then 's' else 'r' end::"char", c.relowner))) a) as acl,
  pg_get_userbyid(c.relowner) as owner, c.relrowsecurity, c.relforcerowsecurity,
  obj_description(c.oid, 'pg_class') as comment
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('public', 'asoe', 'queue', 'auth') order by 1
"""
_COLUMNS = """
select format('%I.%I.%I', n.nspname, c.relname, a.attname) as thing, a.attacl::text as acl, a.attnotnull,
  format_type(a.atttypid, a.atttypmod) as type, pg_get_expr(d.adbin, d.adrelid) as fallback
from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
where n.nspname in ('public', 'asoe', 'queue', 'auth') and a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'i')
order by 1
"""
_ROUTINES = """
select p.oid::regprocedure::text as thing,
  (select array_agg(a::text order by a::text) from unnest(coalesce(p.proacl, acldefault('f', p.proowner))) a) as acl,
  pg_get_userbyid(p.proowner) as owner, p.prosecdef,
  case p.prokind
    when 'a' then (select concat_ws(' ', aggtransfn, aggtranstype::regtype, agginitval) from pg_aggregate where aggfnoid = p.oid)
    else pg_get_functiondef(p.oid)
  end as body
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname in ('asoe', 'queue', 'auth') order by 1
"""
_CONSTRAINTS = """
select format('%s %s', conrelid::regclass, conname) as thing, pg_get_constraintdef(oid) as definition
from pg_constraint where connamespace::regnamespace::text in ('public', 'asoe', 'queue', 'auth') order by 1
"""
_TRIGGERS = "select pg_get_triggerdef(oid) from pg_trigger where not tgisinternal order by 1"
_SCHEMAS = """
select nspname, pg_get_userbyid(nspowner),
  (select array_agg(a::text order by a::text) from unnest(coalesce(nspacl, acldefault('n', nspowner))) a)
from pg_namespace where nspname !~ '^pg_' order by 1
"""
_SEQUENCES = "select schemaname, sequencename, last_value from pg_sequences order by 1, 2"


async def test_rows_policies_and_grants_are_the_same_afterwards(
    database: Database, owner_dsn: str, acme: Any, globex: Any, server: EmbeddedServer, tmp_path: Path
) -> None:
    for org in (acme, globex):
        await _some_work(database, org)
    await database.close()
    before = await _everything(owner_dsn)
    file = tmp_path / "one.asoe"
    report = await back_up(owner_dsn, file, progress=lambda _: None)
    assert report.rows["public.support_tickets"] == 6
    assert file.stat().st_mode & 0o077 == 0

    async with _database(server) as target:
        restored = await restore(target, file, data_dir=tmp_path / "data", progress=lambda _: None)
        assert restored.rows == report.rows
        after = await _everything(target)
    for what, found in before.items():
        assert after[what] == found, what


async def test_facts_of_a_cluster_that_was_further_on_are_read_and_followed_by_new_ones(
    database: Database, owner_dsn: str, acme: Any, server: EmbeddedServer, tmp_path: Path
) -> None:
    await _some_work(database, acme)
    desk = Desk(database, Queue(), None, _now, derive=lambda purpose: (_KEY,))  # type: ignore[arg-type]
    await audit.seal(desk, acme.engine)
    await _some_work(database, acme)
    await database.close()
    ahead = await asyncpg.connect(owner_dsn)
    await ahead.execute(
        "set role asoe_owner; update asoe.facts set xid = (xid::text::bigint + 10^12)::bigint::text::xid8"
    )
    kinds = [row["kind"] for row in await ahead.fetch("select kind from asoe.facts order by id")]
    await ahead.close()
    await back_up(owner_dsn, tmp_path / "ahead", progress=lambda _: None)
    async with _database(server) as target:
        await restore(target, tmp_path / "ahead", data_dir=tmp_path / "data", progress=lambda _: None)
        connection = await asyncpg.connect(target)
        await connection.execute("set role asoe_owner")
        old = [dict(row) for row in await connection.fetch(FactsSql.read_after, acme.org_id, "0", 0, 100)]
        assert [row["kind"] for row in old] == kinds, "a reader that starts anew reads all of them, in order"
        await connection.execute("insert into asoe.facts (org_id, kind) values ($1, 'ticket.opened')", acme.org_id)
        at = (str(old[-1]["xid"]), old[-1]["id"])
        new = await connection.fetch(FactsSql.read_after, acme.org_id, *at, 100)
        proof = await audit.prove(connection, acme.org_id, (_KEY,))
        assert (proof.broken, proof.facts, proof.unsealed) == (None, 3, 4)
        claims = json.dumps({"sub": str(acme.engine.user_id), "org_id": str(acme.org_id)})
        async with connection.transaction():
            await connection.execute("select set_config('request.jwt.claims', $1, true)", claims)
            assert await connection.fetchval("select facts from asoe.seal_facts(100)") == 4, "none twice, none left out"
        await connection.close()
    assert [row["kind"] for row in new] == ["ticket.opened"]


async def test_a_secret_key_travels_only_when_asked_for(
    owner_dsn: str, acme: Any, server: EmbeddedServer, tmp_path: Path
) -> None:
    key = tmp_path / "secret.key"
    key.write_text("secret", encoding="ascii")
    await back_up(owner_dsn, tmp_path / "without", progress=lambda _: None)
    with tarfile.open(tmp_path / "without") as tar:
        assert "secret.key" not in tar.getnames()
    await back_up(owner_dsn, tmp_path / "with", secret_key=key, progress=lambda _: None)
    async with _database(server) as target:
        await restore(target, tmp_path / "with", data_dir=tmp_path / "data", progress=lambda _: None)
    assert (tmp_path / "data" / "secret.key").read_text(encoding="ascii") == "secret"
    assert (tmp_path / "data" / "secret.key").stat().st_mode & 0o077 == 0


async def test_a_migrated_but_empty_installation_takes_a_backup(
    owner_dsn: str, server: EmbeddedServer, tmp_path: Path
) -> None:
    await back_up(owner_dsn, tmp_path / "empty", progress=lambda _: None)
    report = await restore(owner_dsn, tmp_path / "empty", data_dir=tmp_path, progress=lambda _: None)
    assert report.rows["public.organizations"] == 0


async def test_a_restore_never_mixes(owner_dsn: str, acme: Any, tmp_path: Path) -> None:
    await back_up(owner_dsn, tmp_path / "file", progress=lambda _: None)
    with pytest.raises(Conflict, match="never mixes") as refused:
        await restore(owner_dsn, tmp_path / "file", data_dir=tmp_path, progress=lambda _: None)
    assert refused.value.code == "not_empty"


async def test_a_restore_waits_for_nobody_at_work(
    owner_dsn: str, database: Database, acme: Any, tmp_path: Path
) -> None:
    await back_up(owner_dsn, tmp_path / "file", progress=lambda _: None)
    with pytest.raises(Conflict) as refused:
        await restore(owner_dsn, tmp_path / "file", data_dir=tmp_path, progress=lambda _: None)
    assert refused.value.code == "in_use"


async def test_a_file_that_is_no_backup_is_named(owner_dsn: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("hello")
    with pytest.raises(Invalid, match="no backup of ASOE"):
        await restore(owner_dsn, tmp_path / "file", data_dir=tmp_path, progress=lambda _: None)


async def test_a_backup_is_never_overwritten(owner_dsn: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(Conflict):
        await back_up(owner_dsn, tmp_path / "file", progress=lambda _: None)
    assert (tmp_path / "file").read_text() == "precious"


async def _some_work(database: Database, org: Any) -> None:
    for number in range(3):
        async with database.org_transaction(org.engine) as connection:
            session = sessions.new_session(uuid4(), assistant_type="ai", at=_now())
            row = NewRow(
                id=session.ticket_id,
                org_id=org.org_id,
                category="billing",
                severity="low",
                status="open",
                created_at=_now(),
                subject=f"“{number}” \\ 'quoted'",
                body="Größe\t\n",
            )
            await tickets.insert(connection, row, session_id=session.id)
            await sessions.begin(
                connection, org.org_id, session, role="user", content="Größe\t\n", author=org.client.user_id
            )
            await facts.record(connection, org.engine, "ticket.opened", ticket_id=row.id)


async def _everything(url: str) -> dict[str, Any]:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("set role asoe_owner; set search_path = ''")
        found: dict[str, Any] = {}
        for row in await connection.fetch(_TABLES):
            rows = await connection.fetch(f"select t::text as line from {row['name']} t order by 1")
            found[f"rows of {row['name']}"] = [line["line"] for line in rows]
        for name, query in (
            ("policies", _POLICIES),
            ("tables, owners and grants", _CATALOG),
            ("columns", _COLUMNS),
            ("routines", _ROUTINES),
            ("constraints", _CONSTRAINTS),
            ("triggers", _TRIGGERS),
            ("schemas", _SCHEMAS),
            ("sequences", _SEQUENCES),
        ):
            found[name] = [tuple(str(value) for value in row) for row in await connection.fetch(query)]
        return found
    finally:
        await connection.close()


class _database:  # noqa: N801
    """An empty database beside the others, dropped afterwards."""

    def __init__(self, server: EmbeddedServer) -> None:
        self.server, self.name = server, f"restored_{uuid4().hex[:8]}"

    async def __aenter__(self) -> str:
        await self._admin(f"create database {self.name} owner asoe_owner")
        own = await asyncpg.connect(_at(self.server.superuser_dsn, self.name))
        await own.execute("create extension vector")
        await own.close()
        return _at(self.server.owner_dsn, self.name)

    async def __aexit__(self, *_: object) -> None:
        await self._admin(f"drop database {self.name} with (force)")

    async def _admin(self, statement: str) -> None:
        connection = await asyncpg.connect(_at(self.server.superuser_dsn, "postgres"))
        await connection.execute(statement)
        await connection.close()


def _at(dsn: str, database: str) -> str:
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{database}"))


def _now() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)
