"""Forward-only migrations: locked against other processes, with a lock timeout, each in one transaction of the owner role."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg

from asoe.domain.errors import Conflict, Unavailable
from asoe.store.roles import prepare_existing

FOLDER: Final = Path(__file__).parent / "migrations"
_FILE = re.compile(r"^(?P<number>\d{3})_(?P<name>[a-z0-9_]+)\.sql$")
_LOCK = 0x41534F45  # "ASOE"
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Migration:
    """One file; `checksum` guards against editing what has been applied."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def all_migrations(folder: Path = FOLDER) -> list[Migration]:
    """Every migration in order of its number."""
    found: dict[int, Migration] = {}
    for path in sorted(folder.glob("*.sql")):
        match = _FILE.match(path.name)
        if match is None:
            raise RuntimeError(f"{path.name}: a migration is named NNN_what_it_does.sql")
        number = int(match["number"])
        if number in found:
            raise RuntimeError(f"two migrations have the number {number}")
        found[number] = Migration(number, match["name"], path.read_text(encoding="utf-8"))
    return [found[number] for number in sorted(found)]


async def migrate(
    owner_url: str,
    *,
    up_to: int | None = None,
    lock_timeout: str = "5s",
    progress: Callable[[str], None] | None = None,
) -> list[Migration]:
    """Apply what is missing and return it. The roles must exist (`ensure_roles`); several processes may call this.

    Raises `Conflict(migration_changed | database_newer)` when an applied file was edited or the database is newer than
    this release, `Unavailable(migration_locked)` when a lock could not be had, and what `prepare_existing` raises.
    """
    connection = await asyncpg.connect(owner_url, timeout=10)
    try:
        await connection.execute("select pg_advisory_lock($1)", _LOCK)
        await _prepare(connection)
        applied = await _applied(connection)
        _refuse_drift(applied)
        done: list[Migration] = []
        for migration in all_migrations():
            if migration.number in applied or (up_to is not None and migration.number > up_to):
                continue
            if progress is not None:
                progress(f"{migration.number} {migration.name.replace('_', ' ')}")
            await _apply(connection, migration, lock_timeout=lock_timeout)
            done.append(migration)
        return done
    finally:
        await connection.close()


async def pending(url: str) -> list[Migration]:
    """What `migrate` would apply; needs only read rights."""
    async with _looking(url) as connection:
        if await connection.fetchval("select to_regclass('asoe.migrations')") is None:
            return all_migrations()
        applied = await _applied(connection)
        return [migration for migration in all_migrations() if migration.number not in applied]


async def edited(url: str) -> list[Migration]:
    """Migrations that were applied in another wording than this release has; needs only read rights."""
    async with _looking(url) as connection:
        if await connection.fetchval("select to_regclass('asoe.migrations')") is None:
            return []
        applied = await _applied(connection)
        return [each for each in all_migrations() if applied.get(each.number, each.checksum) != each.checksum]


@asynccontextmanager
async def _looking(url: str) -> AsyncIterator[Any]:
    """A connection for one look; without named statements, which a pooler would mix up with those of others."""
    connection = await asyncpg.connect(url, timeout=10, statement_cache_size=0)
    try:
        yield connection
    finally:
        await connection.close()


async def _prepare(connection: Any) -> None:
    await connection.execute("set search_path = public, extensions")
    owner = await connection.fetchval("select quote_ident($1)", await prepare_existing(connection))
    await connection.execute(f"set role {owner}")
    if await connection.fetchval("select to_regclass('asoe.migrations')") is not None:
        return
    async with connection.transaction():
        await connection.execute("create schema if not exists asoe")
        await connection.execute(
            """
            create table asoe.migrations (
              number integer primary key, name text not null, checksum text not null,
              applied_at timestamptz not null default now());
            alter table asoe.migrations enable row level security;
            alter table asoe.migrations force row level security;
            create policy migrations_read on asoe.migrations for select to asoe_app using (true);
            grant usage on schema asoe to asoe_app;
            grant select on asoe.migrations to asoe_app;
            """
        )


async def _applied(connection: Any) -> dict[int, str]:
    rows = await connection.fetch("select number, checksum from asoe.migrations")
    return {row["number"]: row["checksum"] for row in rows}


def _refuse_drift(applied: dict[int, str]) -> None:
    known = {migration.number: migration for migration in all_migrations()}
    for number, checksum in applied.items():
        if number not in known:
            raise Conflict(
                f"The database has migration {number}, which this release does not know: it was upgraded by a newer "
                "ASOE. Start that release, or restore a backup from before.",
                code="database_newer",
            )
        if known[number].checksum != checksum:
            raise Conflict(
                f"Migration {number} ({known[number].name}) was applied in another wording. Migrations are never edited; "
                "install the unchanged release.",
                code="migration_changed",
            )


async def _apply(connection: Any, migration: Migration, *, lock_timeout: str) -> None:
    for attempt in range(1, _TRIES + 1):
        try:
            async with connection.transaction():
                await connection.execute(f"set local lock_timeout = '{lock_timeout}'")
                await connection.execute(migration.sql)
                await connection.execute(
                    "insert into asoe.migrations (number, name, checksum) values ($1, $2, $3)",
                    migration.number,
                    migration.name,
                    migration.checksum,
                )
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            if attempt == _TRIES:
                raise Unavailable(
                    f"Migration {migration.number} waited {lock_timeout} for a lock {_TRIES} times. Something holds the "
                    "table: look into pg_stat_activity, or migrate at a quieter time.",
                    code="migration_locked",
                    retry_after=60,
                ) from error
        else:
            return
