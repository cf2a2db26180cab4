"""The three doors to the database. They alone set claims, transaction-local, and only from a verified principal.

org_transaction(principal)     one organization, one principal, read and write
org_reading(principal)         the same, READ ONLY
system_transaction(purpose)    role asoe_system: a handful of functions, no tenant data
system_statement(purpose)      the same for one statement
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import asyncpg

from asoe import tracing
from asoe.domain.errors import Unavailable
from asoe.domain.organization import Principal

Connection: TypeAlias = Any
"""An asyncpg connection inside a transaction; asyncpg ships no types."""

SYSTEM_PURPOSES: Final = frozenset(
    {"find_key", "find_member", "sign_in", "invitation", "list_organizations", "due_timers", "notify", "totals"}
)


class _Pooled(asyncpg.Connection):  # type: ignore[misc]
    """Every setting is transaction-local, so there is nothing to reset and a round trip to save."""

    def get_reset_query(self) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class Database:
    """Two pools: `app` as asoe_app, `system` as asoe_system."""

    app: Any
    system: Any

    @asynccontextmanager
    async def org_transaction(self, principal: Principal) -> AsyncIterator[Connection]:
        """Open one transaction of `principal` in its organization; commits on success, rolls back on any error."""
        async with self._begin(principal, "begin") as connection:
            yield connection

    @asynccontextmanager
    async def org_step(self, principal: Principal) -> AsyncIterator[Connection]:
        """`org_transaction` for a few statements that are run over and over: PostgreSQL plans them once, not at every call."""
        async with self._begin(principal, "begin; set local plan_cache_mode = force_generic_plan") as connection:
            yield connection

    @asynccontextmanager
    async def org_lease(self, principal: Principal) -> AsyncIterator[Connection]:
        """`org_step` for what a crash of PostgreSQL may take back: nobody waits for the disk.

        What is written later and waits for it makes this last as well.
        """
        begin = "begin; set local plan_cache_mode = force_generic_plan; set local synchronous_commit = off"
        async with self._begin(principal, begin) as connection:
            yield connection

    @asynccontextmanager
    async def org_reading(self, principal: Principal) -> AsyncIterator[Connection]:
        """The READ ONLY twin of `org_transaction`."""
        async with self._begin(principal, "begin read only") as connection:
            yield connection

    @asynccontextmanager
    async def system_transaction(self, purpose: str) -> AsyncIterator[Connection]:
        """A transaction of asoe_system for one of `SYSTEM_PURPOSES`."""
        if purpose not in SYSTEM_PURPOSES:
            raise ValueError(f"asoe_system has no purpose {purpose!r}")
        async with self.system.acquire() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def system_statement(self, purpose: str) -> AsyncIterator[Connection]:
        """`system_transaction` for one statement, which is a transaction by itself: two round trips less."""
        if purpose not in SYSTEM_PURPOSES:
            raise ValueError(f"asoe_system has no purpose {purpose!r}")
        async with self.system.acquire() as connection:
            yield connection

    @asynccontextmanager
    async def _begin(self, principal: Principal, begin: str) -> AsyncIterator[Connection]:
        claims = json.dumps({"sub": str(principal.user_id), "org_id": str(principal.org_id), "role": "authenticated"})
        trace = tracing.current()  # what happens in the transaction is written down with it (migration 189)
        if trace is not None:
            begin = f"{begin}; set local asoe.trace = '{trace}'"
        async with self.app.acquire() as connection:
            try:
                # one round trip: the claims hold two UUIDs and a constant, nothing that needs quoting
                await connection.execute(f"{begin}; set local request.jwt.claims = '{claims}'")
                yield connection
                await connection.execute("commit")
            except BaseException:
                await _roll_back(connection)
                raise

    async def close(self) -> None:
        await self.app.close()
        await self.system.close()


async def _roll_back(connection: Connection) -> None:
    """What went wrong before is what the caller hears, also when the connection is in no state to roll back."""
    if connection.is_closed():
        return
    try:
        await connection.execute("rollback")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        connection.terminate()
    except BaseException:  # cancelled once more: the server rolls back when the connection is gone
        connection.terminate()
        raise


async def open_database(app_url: str, system_url: str, *, pool: int = 16, statement_cache: int = 256) -> Database:
    """Connect as asoe_app and asoe_system; raises `Unavailable` on an over-privileged or unreachable connection."""
    app = await _open_pool(app_url, size=pool, statement_cache=statement_cache)
    try:
        async with app.acquire() as connection:
            await refuse_privileged(connection)
        system = await _open_pool(system_url, size=2, statement_cache=statement_cache)
    except BaseException:
        await app.close()
        raise
    return Database(app, system)


async def refuse_privileged(connection: Connection) -> None:
    """Raise `Unavailable(privileged_connection)` for a superuser, BYPASSRLS or owner connection."""
    row = await connection.fetchrow(
        """
        select current_user as name, r.rolsuper, r.rolbypassrls,
          exists (select 1 from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where c.relowner = r.oid and n.nspname in ('public', 'asoe', 'queue', 'auth')) as owns,
          exists (select 1 from pg_namespace n where n.nspname = 'asoe' and pg_has_role(r.oid, n.nspowner, 'member')) as may_own
        from pg_roles r where r.rolname = current_user
        """
    )
    wrong = [
        words
        for flag, words in (
            (row["rolsuper"], "is a superuser"),
            (row["rolbypassrls"], "has BYPASSRLS"),
            (row["owns"], "owns tables"),
            (row["may_own"], "may become the owner of schema asoe"),
        )
        if flag
    ]
    if wrong:
        raise Unavailable(
            f"ASOE_DATABASE_APP_URL connects as {row['name']!r}, which {' and '.join(wrong)}: row-level security would "
            "not bind it. Use role asoe_app, which `asoe migrate` makes.",
            code="privileged_connection",
            permanent=True,
        )


async def _open_pool(url: str, *, size: int, statement_cache: int) -> Any:
    try:
        return await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=size,
            statement_cache_size=statement_cache,
            connection_class=_Pooled,
            init=_prepare,
            timeout=10,
            max_inactive_connection_lifetime=120,
        )
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise Unavailable(
            f"The database does not let us in ({error}). Check ASOE_DATABASE_APP_URL, or run `asoe doctor`.",
            code="database_unreachable",
            retry_after=5,
        ) from error


async def _prepare(connection: Connection) -> None:
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, schema="pg_catalog", encoder=_to_json, decoder=json.loads)


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
