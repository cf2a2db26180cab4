"""Makes the database roles of ASOE and sets their passwords, on the embedded PostgreSQL and on any other alike.

Also decides which role owns what ASOE makes, and gives it what it needs of tables that were there before (Supabase).
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

import asyncpg

from asoe.domain.errors import Unavailable

_ROLES = files("asoe.store").joinpath("roles.sql").read_text(encoding="utf-8")

OWNER: Final = "asoe_owner"

_NEEDED: Final = """
    with wanted (is_there, object, name, needs) as (values
      (true, 'database', quote_ident(current_database()), array['create']),
      (true, 'schema', 'public', array['usage', 'create']),
      (to_regnamespace('auth') is not null, 'schema', 'auth', array['usage']),
      (to_regnamespace('extensions') is not null, 'schema', 'extensions', array['usage']),
      (to_regclass('auth.users') is not null, 'table', 'auth.users', array['select', 'insert', 'delete', 'references']),
      (to_regprocedure('auth.uid()') is not null, 'function', 'auth.uid()', array['execute']),
      (to_regclass('public.organizations') is not null, 'table', 'public.organizations',
        array['select', 'insert', 'references']),
      (to_regclass('public.user_organizations') is not null, 'table', 'public.user_organizations',
        array['select', 'insert']))
    select format('grant %s on %s %s', need, object, name) as statement
    from wanted cross join unnest(needs) as need
    where is_there and not case object
      when 'database' then has_database_privilege($1, current_database(), need)
      when 'schema' then has_schema_privilege($1, name, need)
      when 'function' then has_function_privilege($1, name, need)
      else has_table_privilege($1, name, need) end
    """


async def ensure_roles(connection: Any, *, passwords: Mapping[str, str] | None = None) -> None:
    """Create the missing roles and set the given passwords (role to password), in one transaction.

    `connection` is asyncpg's, as a superuser or a role that may create roles. Raises asyncpg.InsufficientPrivilegeError
    with the role and the remedy in its message and hint.
    """
    async with connection.transaction():
        await connection.execute(_ROLES)
        for role, password in (passwords or {}).items():
            await set_password(connection, role, password=password)


async def set_password(connection: Any, role: str, *, password: str) -> None:
    """ALTER ROLE takes no parameters, so the server itself quotes name and literal."""
    statement = await connection.fetchval(
        "select format('alter role %I password %L', $1::text, $2::text)", role, password
    )
    await connection.execute(statement)


async def owner_of_schema(connection: Any) -> str:
    """The role that owns what ASOE made; `asoe_owner` where nothing is made yet."""
    owner = await connection.fetchval("select pg_get_userbyid(nspowner) from pg_namespace where nspname = 'asoe'")
    return OWNER if owner is None else str(owner)


async def prepare_existing(connection: Any) -> str:
    """Let ASOE stand beside tables that were there before, without altering them; returns the role that shall own ASOE's.

    Grants to `asoe_owner` what migrations need of existing tables and makes the extension `vector`. Where the connecting
    role may not pass those rights on but has them itself and passes row-level security by (`postgres` of Supabase), that
    role owns what ASOE makes. Leaves the connection in the role it logged in with. Raises
    `Unavailable(existing_tables_closed | no_pgvector)` with the statements an administrator must run.
    """
    await connection.execute("set role none")
    await _make_vector(connection)
    owner = await owner_of_schema(connection)
    lacking = await _grant_what_lacks(connection, owner)
    if not lacking:
        return owner
    login = await connection.fetchrow("select rolname, rolbypassrls from pg_roles where rolname = session_user")
    if owner == OWNER and login["rolbypassrls"] and not await connection.fetch(_NEEDED, login["rolname"]):
        return str(login["rolname"])
    raise Unavailable(
        f"Role {owner} may not use tables that were there before ASOE, and {login['rolname']} may not let it. "
        f"Have an administrator run: {'; '.join(lacking)}.",
        code="existing_tables_closed",
        permanent=True,
    )


async def _grant_what_lacks(connection: Any, owner: str) -> list[str]:
    quoted = await connection.fetchval("select quote_ident($1)", owner)
    for row in await connection.fetch(_NEEDED, owner):
        try:
            await connection.execute(f"{row['statement']} to {quoted}")
        except asyncpg.InsufficientPrivilegeError:
            continue  # what is still missing is told below
    return [f"{row['statement']} to {quoted}" for row in await connection.fetch(_NEEDED, owner)]


async def _make_vector(connection: Any) -> None:
    if await connection.fetchval("select exists (select from pg_extension where extname = 'vector')"):
        return
    schema = await connection.fetchval("select coalesce(to_regnamespace('extensions'), 'public'::regnamespace)::text")
    try:
        await connection.execute(f"create extension if not exists vector schema {schema}")
    except asyncpg.PostgresError as error:
        raise Unavailable(
            f"The extension pgvector could not be made ({error}). Install it on the server, and have an administrator "
            f"run: create extension vector schema {schema}.",
            code="no_pgvector",
            permanent=True,
        ) from error
