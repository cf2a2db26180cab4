"""Roles, grants and row-level security, read from the catalog: what is new must be closed before it is here."""

from __future__ import annotations

import asyncpg
import pytest
from worlds import attempt, world

from asoe.domain.errors import Unavailable
from asoe.store.db import open_database

__all__ = ["world"]

SCHEMAS = "('public', 'asoe', 'queue', 'auth')"

# All that asoe_system may do. A new line is a decision: it reads across organizations.
SYSTEM_MAY = {
    "schema asoe usage",
    "schema public usage",
    "schema auth usage",
    "function asoe.system_find_key(bytea)",
    "function asoe.system_key_used(bytea)",
    "function asoe.system_memberships(uuid)",
    "function asoe.system_find_address(text)",
    "function asoe.system_organizations()",
    "function asoe.system_find_invitation(bytea)",
    "function asoe.system_accept_invitation(bytea,text)",
    "function asoe.system_due_timers(integer)",
    "function asoe.system_find_password(text)",
    "function asoe.system_open_sign_in(uuid,bytea,text,timestamp with time zone,timestamp with time zone)",
    "function asoe.system_find_sign_in(bytea,timestamp with time zone,interval)",
    "function asoe.system_choose_organization(bytea,uuid)",
    "function asoe.system_end_sign_in(bytea)",
    "function asoe.system_end_sign_ins(uuid,bytea)",
    "function asoe.system_invitation_offer(bytea)",
    "function asoe.system_set_first_password(bytea,text)",
    "function asoe.system_ask_reset(text,bytea,timestamp with time zone,timestamp with time zone,timestamp with time zone,integer)",
    "function asoe.system_read_reset(bytea,timestamp with time zone)",
    "function asoe.system_use_reset(bytea,text,timestamp with time zone)",
    "function asoe.system_find_person(text)",
    "function asoe.system_due_runs(integer)",
    "function asoe.system_service_work(timestamp with time zone,integer)",
    "function asoe.system_with_news(integer)",
    "function asoe.system_due_deliveries(integer)",
    "function asoe.system_insight_work(timestamp with time zone,integer)",
    "function asoe.system_incident_work(integer)",
    "function asoe.system_totals()",
}

# What PostgREST's callers may run of ours, pure functions aside: each shows a caller its own organizations only.
AUTHENTICATED_MAY_CALL = {"asoe.staff_orgs()", "asoe.disabled_orgs()"}


async def names(connection, sql, *arguments):
    return {row["name"] for row in await connection.fetch(sql, *arguments)}


async def test_row_level_security_is_enabled_and_forced_on_every_table(world):
    open_tables = await names(
        world.owner,
        """
        select format('%s.%s', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname in ('public', 'asoe') and c.relkind in ('r', 'p') and not (c.relrowsecurity and c.relforcerowsecurity)
          and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')
        """,
    )
    assert open_tables == set()


async def test_every_table_has_a_policy_and_no_partition_has_a_grant(world):
    rows = await world.owner.fetch(
        """
        select c.oid::regclass::text as name, c.relispartition as is_partition, c.relacl is null
            or not exists (select from aclexplode(c.relacl) a where a.grantee <> c.relowner) as is_closed,
          exists (select from pg_policy p where p.polrelid = c.oid and p.polpermissive) as has_policy
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname in ('public', 'asoe') and c.relkind in ('r', 'p')
        """
    )
    for row in rows:
        assert row["is_closed"] if row["is_partition"] else row["has_policy"], row["name"]


async def test_views_are_checked_as_who_asks(world):
    unsafe = await names(
        world.owner,
        f"""
        select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname in {SCHEMAS} and (c.relkind = 'm'
          or (c.relkind = 'v' and not coalesce('security_invoker=true' = any (c.reloptions), false)))
        """,
    )
    assert unsafe == set()


@pytest.mark.parametrize("role", ["asoe_app", "asoe_system", "anon", "authenticated"])
async def test_the_roles_of_the_service_are_bound(world, role):
    row = await world.owner.fetchrow("select * from pg_roles where rolname = $1", role)
    for right in ("rolsuper", "rolbypassrls", "rolcreaterole", "rolcreatedb", "rolreplication"):
        assert not row[right], f"{role} has {right}"
    owned = await world.owner.fetch(
        "select classid::regclass, objid from pg_shdepend where refobjid = $1::text::regrole and deptype = 'o'", role
    )
    assert owned == []
    creatable = await names(
        world.owner,
        "select nspname as name from pg_namespace where has_schema_privilege($1, oid, 'create')", role,
    )  # fmt: skip
    assert creatable == set()
    assert not await world.owner.fetchval("select has_database_privilege($1, current_database(), 'create')", role)


@pytest.mark.parametrize("role", ["asoe_app", "asoe_system"])
async def test_no_role_of_the_service_becomes_another(world, role):
    others = await names(world.owner, "select rolname as name from pg_roles where rolname <> $1", role)
    connection = world.app if role == "asoe_app" else await asyncpg.connect(world.dsns.system)
    assert await connection.fetchval("select current_user || ' ' || session_user") == f"{role} {role}"
    for other in sorted(others):
        for become in (f'set role "{other}"', f'set local role "{other}"', f'set session authorization "{other}"'):
            async with attempt(connection):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(become)
    if role != "asoe_app":
        await connection.close()


async def test_asoe_app_belongs_to_authenticated_only_and_the_others_to_nobody(world):
    rows = await world.owner.fetch(
        """
        select m.member::regrole::text as member, m.roleid::regrole::text as role, m.set_option, m.admin_option
        from pg_auth_members m where m.member::regrole::text in ('asoe_app', 'asoe_system', 'anon', 'authenticated')
        """
    )
    assert [tuple(row) for row in rows] == [("asoe_app", "authenticated", False, False)]


async def test_nothing_of_the_service_is_open_to_everybody(world):
    """grantee 0 is PUBLIC; a function without an access list is open to it."""
    functions = await names(
        world.owner,
        """
        select p.oid::regprocedure::text as name from pg_proc p
        where p.pronamespace::regnamespace::text in ('asoe', 'queue')
          and (p.proacl is null or exists (select from aclexplode(p.proacl) a
            where a.grantee = 0 or a.grantee::regrole::text = 'anon'))
        """,
    )
    assert functions == set()
    tables = await names(
        world.owner,
        f"""
        select c.oid::regclass::text as name from pg_class c cross join aclexplode(c.relacl) a
        where c.relnamespace::regnamespace::text in {SCHEMAS} and (a.grantee = 0 or a.grantee = 'anon'::regrole)
        union select format('%s.%s', t.attrelid::regclass, t.attname) from pg_attribute t cross join aclexplode(t.attacl) a
        join pg_class c on c.oid = t.attrelid
        where c.relnamespace::regnamespace::text in {SCHEMAS} and (a.grantee = 0 or a.grantee = 'anon'::regrole)
        union select n.nspname from pg_namespace n cross join aclexplode(n.nspacl) a
        where n.nspname in ('asoe', 'queue', 'auth') and (a.grantee = 0 or a.grantee = 'anon'::regrole)
        """,
    )
    assert tables == set()


async def test_authenticated_may_call_only_what_shows_a_caller_its_own(world):
    callable_ = await names(
        world.owner,
        """
        select p.oid::regprocedure::text as name from pg_proc p
        where p.pronamespace::regnamespace::text in ('asoe', 'queue') and has_function_privilege('authenticated', p.oid, 'execute')
          and (p.prosecdef or p.provolatile <> 'i')
        """,
    )
    assert callable_ == AUTHENTICATED_MAY_CALL


async def test_every_function_with_its_owners_rights_fixes_its_search_path(world):
    loose = await names(
        world.owner,
        f"""
        select p.oid::regprocedure::text as name from pg_proc p
        where p.prosecdef and p.pronamespace::regnamespace::text in {SCHEMAS}
          and not coalesce('search_path=""' = any (p.proconfig), false)
        """,
    )
    assert loose == set()


async def test_asoe_system_may_do_what_is_listed_and_nothing_else(world):
    may = await names(
        world.owner,
        f"""
        select format('function %s', p.oid::regprocedure) as name from pg_proc p
        where p.pronamespace::regnamespace::text in ('asoe', 'queue') and has_function_privilege('asoe_system', p.oid, 'execute')
        union
        select format('table %s %s', c.oid::regclass, r) from pg_class c
        cross join unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) r
        where c.relnamespace::regnamespace::text in {SCHEMAS} and c.relkind in ('r', 'p', 'v', 'm', 'f')
          and (has_table_privilege('asoe_system', c.oid, r)
            or (r in ('select', 'insert', 'update', 'references') and has_any_column_privilege('asoe_system', c.oid, r)))
        union
        select format('sequence %s', c.oid::regclass) from pg_class c
        where c.relnamespace::regnamespace::text in {SCHEMAS} and case when c.relkind = 'S'
          then has_sequence_privilege('asoe_system', c.oid, 'usage, select, update') end
        union
        select format('schema %s %s', nspname, r) from pg_namespace cross join unnest(array['usage', 'create']) r
        where nspname in {SCHEMAS} and has_schema_privilege('asoe_system', oid, r)
        """,
    )
    assert may == SYSTEM_MAY


async def test_asoe_system_reads_no_ticket_session_fact_article_or_run(world):
    connection = await asyncpg.connect(world.dsns.system)
    try:
        for table in [table.name for table in world.tables] + ["queue.pgqueuer", "auth.users", "asoe.migrations"]:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"select from {table}")
    finally:
        await connection.close()


async def test_an_over_privileged_connection_is_refused(world, server):
    name = world.dsns.owner.split("?")[0].rsplit("/", 1)[1]
    superuser = server.superuser_dsn.split("?")
    for dsn in (world.dsns.owner, f"{superuser[0].rsplit('/', 1)[0]}/{name}?{superuser[1]}"):
        with pytest.raises(Unavailable) as caught:
            await open_database(dsn, world.dsns.system)
        assert caught.value.code == "privileged_connection"
        assert caught.value.permanent
