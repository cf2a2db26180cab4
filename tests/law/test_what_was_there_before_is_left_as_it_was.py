"""A database made to look like Supabase's: another role's auth schema, extensions, organizations with policies of their own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from worlds import at, claiming

from asoe.domain.errors import Unavailable
from asoe.store.db import open_database
from asoe.store.migrate import migrate
from asoe.store.organizations import create_organization, delete_organization
from asoe.store.roles import ensure_roles
from cast import Dsns

HOSTED = "hosted_postgres"
"""Stands for Supabase's role postgres: no superuser, passes row-level security by, may not pass on rights on auth.users."""

ORGS, USERS = [UUID(int=n) for n in (1, 2)], [UUID(int=n) for n in (11, 12, 13)]

ROLES = f"""
do $$ begin
  if not exists (select from pg_roles where rolname = '{HOSTED}') then
    create role supabase_admin nologin;
    create role supabase_auth_admin nologin noinherit createrole;
    create role {HOSTED} login createrole createdb bypassrls password 'hosted';
    -- as if it had made them
    grant asoe_owner, asoe_app, asoe_system, anon, authenticated, service_role to {HOSTED} with admin option;
  end if;
end $$
"""

HOST = f"""
revoke all on schema public from public;
grant usage on schema public to anon, authenticated, service_role;
create schema extensions authorization {HOSTED};
grant usage on schema extensions to anon, authenticated, service_role;
create extension vector schema extensions;
create function extensions.uuid_generate_v4() returns uuid language sql volatile as 'select gen_random_uuid()';

create schema auth authorization supabase_admin;
grant usage on schema auth to anon, authenticated, service_role, {HOSTED};
grant all on schema auth to supabase_auth_admin;
set role supabase_auth_admin;
create table auth.users (
  instance_id uuid, id uuid not null primary key, aud varchar(255), role varchar(255), email varchar(255),
  encrypted_password varchar(255), email_confirmed_at timestamptz, invited_at timestamptz, last_sign_in_at timestamptz,
  raw_app_meta_data jsonb, raw_user_meta_data jsonb, is_super_admin boolean, created_at timestamptz, updated_at timestamptz,
  phone text unique default null, confirmed_at timestamptz generated always as (email_confirmed_at) stored,
  is_sso_user boolean not null default false, deleted_at timestamptz, is_anonymous boolean not null default false);
create unique index users_email_partial_key on auth.users (email) where is_sso_user = false;
alter table auth.users enable row level security;
grant insert, references, delete, trigger, truncate, update on auth.users to {HOSTED};
grant select on auth.users to {HOSTED} with grant option;
create function auth.uid() returns uuid language sql stable as $$
  select coalesce(nullif(current_setting('request.jwt.claim.sub', true), ''),
    (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'))::uuid $$;
reset role;

set role {HOSTED};
alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
alter default privileges in schema public grant all on functions to anon, authenticated, service_role;
alter default privileges in schema public grant all on sequences to anon, authenticated, service_role;
create table public.organizations (id uuid primary key default extensions.uuid_generate_v4(), name text not null,
  plan text not null default 'free', created_at timestamptz default now());
create table public.user_organizations (id bigint generated always as identity primary key,
  user_id uuid not null references auth.users (id) on delete cascade,
  org_id uuid not null references public.organizations (id) on delete cascade,
  role text not null default 'member', unique (user_id, org_id));
comment on table public.organizations is 'of the host';
alter table public.organizations enable row level security;
alter table public.user_organizations enable row level security;
create policy "Members see their organization" on public.organizations for select
  using (id in (select org_id from public.user_organizations where user_id = auth.uid()));
create policy "Own memberships" on public.user_organizations for select using (user_id = auth.uid());
create function public.host_trigger() returns trigger language plpgsql as 'begin return new; end';
create trigger host_trigger before update on public.organizations for each row execute function public.host_trigger();
insert into auth.users (id, email, aud, role) values
  ('{USERS[0]}', 'cleo@host.example', 'authenticated', 'authenticated'),
  ('{USERS[1]}', 'ana@host.example', 'authenticated', 'authenticated'),
  ('{USERS[2]}', 'eve@host.example', 'authenticated', 'authenticated');
insert into public.organizations (id, name) values ('{ORGS[0]}', 'Host'), ('{ORGS[1]}', 'Other');
insert into public.user_organizations (user_id, org_id) values
  ('{USERS[0]}', '{ORGS[0]}'), ('{USERS[1]}', '{ORGS[0]}'), ('{USERS[2]}', '{ORGS[1]}');
reset role;
"""

SNAPSHOT = """
with host as (select unnest(array['auth.users', 'public.organizations', 'public.user_organizations']::regclass[]) as oid)
select 'table' as what, c.oid::regclass::text || ' ' || c.relowner::regrole::text || ' ' || c.relrowsecurity || c.relforcerowsecurity
  || coalesce(obj_description(c.oid), '') || coalesce(c.reloptions::text, '') as line from pg_class c join host using (oid)
union all select 'column', attrelid::regclass || ' ' || attname || ' ' || format_type(atttypid, atttypmod) || attnotnull
  || attgenerated::text || attidentity::text || coalesce(pg_get_expr(d.adbin, d.adrelid), '')
  from pg_attribute a join host on host.oid = attrelid left join pg_attrdef d on d.adrelid = attrelid and d.adnum = attnum
  where attnum > 0
union all select 'constraint', conrelid::regclass || ' ' || conname || pg_get_constraintdef(c.oid)
  from pg_constraint c join host on host.oid = conrelid
union all select 'index', pg_get_indexdef(indexrelid) from pg_index join host on host.oid = indrelid
union all select 'policy', polrelid::regclass || polname || polcmd::text || polroles::text || pg_get_expr(polqual, polrelid)
  from pg_policy join host on host.oid = polrelid
union all select 'trigger', pg_get_triggerdef(t.oid) from pg_trigger t join host on host.oid = tgrelid where not tgisinternal
union all select 'grant', c.oid::regclass || a.grantee::regrole::text || a.privilege_type || a.is_grantable
  from pg_class c join host using (oid) cross join aclexplode(c.relacl) a where a.grantee::regrole::text not like 'asoe%'
union all select 'function', pg_get_functiondef(p.oid) || coalesce(p.proacl::text, '') from pg_proc p
  where p.pronamespace::regnamespace::text in ('auth', 'extensions') and p.prolang = (select oid from pg_language where lanname = 'sql')
    and p.proname in ('uid', 'uuid_generate_v4')
union all select 'schema', nspname || nspowner::regrole from pg_namespace where nspname in ('auth', 'extensions', 'public')
union all select 'user', u::text from auth.users u where u.email is not null
union all select 'organization', o::text || o.xmin from public.organizations o
union all select 'membership', m::text from public.user_organizations m where m.user_id in (select id from auth.users where email is not null)
order by 1, 2
"""


@dataclass(frozen=True, slots=True)
class Host:
    dsns: Dsns
    hosted: str
    superuser: Any


@pytest.fixture
async def host(server) -> AsyncIterator[Host]:
    name = f"host_{uuid4().hex[:12]}"
    admin = await asyncpg.connect(at(server.superuser_dsn, "postgres"))
    await admin.execute(ROLES)
    await admin.execute(f"create database {name} owner {HOSTED}")
    connection = await asyncpg.connect(at(server.superuser_dsn, name))
    await connection.execute(HOST)
    dsns = Dsns(*(at(dsn, name) for dsn in (server.owner_dsn, server.app_dsn, server.system_dsn)))
    query = dsns.app.split("?")[1]
    yield Host(dsns, f"postgresql://{HOSTED}:hosted@/{name}?{query}", connection)
    await connection.close()
    await admin.execute(f"drop database {name} with (force)")
    await admin.close()


async def snapshot(host: Host) -> list[tuple[str, str]]:
    return [tuple(row) for row in await host.superuser.fetch(SNAPSHOT)]


@pytest.mark.parametrize("connecting_as", ["an administrator", "the hosted role"])
async def test_migrations_apply_and_alter_nothing_that_was_there(host, connecting_as):
    url = host.dsns.owner if connecting_as == "an administrator" else host.hosted
    before = await snapshot(host)
    if connecting_as == "the hosted role":
        connection = await asyncpg.connect(url)
        await ensure_roles(connection)
        await connection.close()
    await migrate(url)
    assert await snapshot(host) == before
    owner = await host.superuser.fetchval("select nspowner::regrole::text from pg_namespace where nspname = 'asoe'")
    assert owner == ("asoe_owner" if connecting_as == "an administrator" else HOSTED)
    assert await migrate(url) == []

    made = await create_organization(url, "Host", "host", "cleo@host.example", "Cleo", wanted_id=ORGS[0])
    assert (made.org_id, made.owner.user_id) == (ORGS[0], USERS[0])
    assert await snapshot(host) == before
    await the_contract_works(host, made.owner)

    await delete_organization(url, ORGS[0])
    assert await snapshot(host) == before, "an organization that was there before ASOE outlives it"
    assert await host.superuser.fetchval("select count(*) from public.support_tickets") == 0


async def the_contract_works(host: Host, owner: Any) -> None:
    database = await open_database(host.dsns.app, host.dsns.system)
    try:
        async with database.org_transaction(owner) as connection:
            ticket = await connection.fetchrow(
                "insert into public.support_tickets (org_id, user_id, category) values ($1, $2, 'billing') returning id, number",
                ORGS[0], USERS[1],
            )  # fmt: skip
            assert ticket["number"] == 1
            session = await connection.fetchval(
                "insert into public.support_sessions (ticket_id) values ($1) returning id", ticket["id"]
            )
            await connection.execute(
                "insert into asoe.session_messages (org_id, session_id, ticket_id, seq, role, content)"
                " values ($1, $2, $3, 1, 'user', 'Hello')",
                ORGS[0], session, ticket["id"],
            )  # fmt: skip
    finally:
        await database.close()
    for user, count in ((USERS[0], 1), (USERS[1], 1), (USERS[2], 0)):
        async with claiming(host.superuser, json.dumps({"sub": str(user)}), "authenticated"):
            assert len(await host.superuser.fetch("select messages from public.support_sessions")) == count
    async with claiming(host.superuser, None, "anon"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await host.superuser.fetch("select id from public.support_tickets")


async def test_a_role_that_may_neither_grant_nor_own_is_told_what_to_run(host):
    await host.superuser.execute(
        f"set role supabase_auth_admin; revoke references on auth.users from {HOSTED}; reset role"
    )
    before = await snapshot(host)
    with pytest.raises(Unavailable) as caught:
        await migrate(host.hosted)
    assert caught.value.code == "existing_tables_closed"
    assert caught.value.permanent
    assert "grant references on table auth.users to asoe_owner" in caught.value.message
    assert await snapshot(host) == before
    assert await host.superuser.fetchval("select to_regnamespace('asoe')") is None
