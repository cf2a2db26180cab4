"""Migrations: from empty, again, from several processes, against held locks; an edited file or a newer database is refused."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import asyncpg
import pytest
from worlds import new_database

from asoe.domain.errors import Conflict, Unavailable
from asoe.store import migrate as migrating
from asoe.store.migrate import Migration, all_migrations, migrate, pending
from cast import Dsns

NUMBERS = [migration.number for migration in all_migrations()]


@pytest.fixture
async def empty(server) -> AsyncIterator[Dsns]:
    async with new_database(server, template=None) as dsns:
        yield dsns


async def applied(dsn: str) -> list[int]:
    connection = await asyncpg.connect(dsn)
    try:
        return [row["number"] for row in await connection.fetch("select number from asoe.migrations order by number")]
    finally:
        await connection.close()


async def test_from_empty_and_again(empty):
    assert [migration.number for migration in await pending(empty.app)] == NUMBERS
    said: list[str] = []
    assert [migration.number for migration in await migrate(empty.owner, progress=said.append)] == NUMBERS
    assert len(said) == len(NUMBERS)
    assert await migrate(empty.owner) == []
    assert await pending(empty.app) == []
    assert await applied(empty.app) == NUMBERS


async def test_four_processes_at_once_apply_each_migration_once(empty):
    code = "import asyncio, sys; from asoe.store.migrate import migrate; print(len(asyncio.run(migrate(sys.argv[1]))))"
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", code, empty.owner, stdout=asyncio.subprocess.PIPE)
        for _ in range(4)
    ]
    outputs = [(await process.communicate())[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert sorted(int(output) for output in outputs) == [0, 0, 0, len(NUMBERS)]
    assert await applied(empty.app) == NUMBERS


async def test_a_held_lock_is_not_waited_for_for_ever(empty):
    await migrate(empty.owner, up_to=112)
    holder = await asyncpg.connect(empty.owner)
    try:
        async with holder.transaction():
            await holder.execute("lock table public.support_tickets in access share mode")
            with pytest.raises(Unavailable) as caught:
                await migrate(empty.owner, lock_timeout="20ms")
            assert caught.value.code == "migration_locked"
            assert caught.value.retry_after
            assert 114 not in await applied(empty.app)

            waiting = asyncio.create_task(migrate(empty.owner, lock_timeout="20s"))
            while not await holder.fetchval("select exists (select from pg_locks where not granted)"):
                assert not waiting.done()
        assert [migration.number for migration in await waiting] == [number for number in NUMBERS if number >= 114]
    finally:
        await holder.close()


async def test_a_failing_migration_leaves_nothing_of_itself(empty, monkeypatch):
    await migrate(empty.owner, up_to=112)
    broken = Migration(113, "broken", "create table asoe.half (a int); select 1 / 0")
    monkeypatch.setattr(migrating, "all_migrations", lambda: [*all_migrations()[:2], broken])
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(empty.owner)
    assert await applied(empty.app) == [number for number in NUMBERS if number <= 112]
    connection = await asyncpg.connect(empty.owner)
    try:
        assert await connection.fetchval("select to_regclass('asoe.half')") is None
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("update asoe.migrations set checksum = 'another' where number = 112", "migration_changed"),
        ("insert into asoe.migrations (number, name, checksum) values (999, 'to come', 'x')", "database_newer"),
    ],
)
async def test_an_edited_file_or_a_newer_database_is_refused(dsns, change, code):
    connection = await asyncpg.connect(dsns.owner)
    await connection.execute(change)
    await connection.close()
    with pytest.raises(Conflict) as caught:
        await migrate(dsns.owner)
    assert caught.value.code == code


def test_every_migration_says_when_it_runs_and_names_no_row_level_security_away():
    for migration in all_migrations():
        first = migration.sql.splitlines()[0]
        assert first in {"-- when: before deploy", "-- when: after deploy"}, f"{migration.number} says not when it runs"
        for word in ("no force row level security", "disable row level security", "session_replication_role"):
            assert word not in migration.sql.lower(), f"{migration.number}: {word}"


async def test_rows_in_the_default_partition_move_to_their_month_when_it_is_made(dsns, acme):
    """A worker that slept for months must not find its partitions blocked by what was written meanwhile."""
    connection = await asyncpg.connect(dsns.owner)
    try:
        await connection.execute(
            "insert into asoe.facts (org_id, kind, at) select $1, 'member.added', now() + interval '7 months'"
            " from generate_series(1, 3)",
            acme.org_id,
        )
        assert await connection.fetchval("select count(*) from asoe.facts_default") == 3
        before = await connection.fetch("select * from asoe.facts where org_id = $1 order by id", acme.org_id)
        assert await connection.fetchval("select asoe.ensure_partitions(8)") > 0
        assert await connection.fetchval("select count(*) from asoe.facts_default") == 0
        assert await connection.fetch("select * from asoe.facts where org_id = $1 order by id", acme.org_id) == before
        assert await connection.fetchval("select asoe.ensure_partitions(8)") == 0
        for months in (-1, 25, 1_000_000, None):
            with pytest.raises(asyncpg.InvalidParameterValueError):
                await connection.fetchval("select asoe.ensure_partitions($1)", months)
    finally:
        await connection.close()
