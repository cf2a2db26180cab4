"""PgBouncer in transaction mode between us and PostgreSQL: it gives a connection away after each transaction, also in the middle of
what asyncpg holds for one session. Nothing of one organization may reach another over a shared connection, and nothing may fail."""

from __future__ import annotations

import asyncio
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import asyncpg
import pytest

from asoe.store import installation
from asoe.store.db import Database, open_database
from asoe.store.embedded import EmbeddedServer
from cast import Dsns, Org

SERVER_CONNECTIONS = 3


@pytest.fixture
async def pooled(server: EmbeddedServer, dsns: Dsns, tmp_path: Path) -> AsyncIterator[Dsns]:
    """The same database through a PgBouncer with three server connections."""
    program = shutil.which("pgbouncer", path="/usr/bin:/usr/local/bin:/usr/sbin")
    assert program, "pgbouncer is not installed: run scripts/system-packages"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    name = urlsplit(dsns.app).path.lstrip("/")
    users = {url.username: unquote(url.password or "") for url in map(urlsplit, (dsns.app, dsns.system))}
    folder = tmp_path / "pgbouncer"
    folder.mkdir()
    (folder / "users.txt").write_text("".join(f'"{user}" "{password}"\n' for user, password in users.items()))
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n{name} = host={server.socket_dir} port={server.port} dbname={name}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = plain\n"
        f"auth_file = {folder}/users.txt\npool_mode = transaction\ndefault_pool_size = {SERVER_CONNECTIONS}\n"
        f"max_client_conn = 200\nlogfile = {folder}/log\n"
    )
    owner = Path(server.socket_dir).owner()
    for place in (folder, *folder.iterdir()):
        shutil.chown(place, owner)
    for place in tmp_path.parents[:2]:
        place.chmod(0o755)
    tmp_path.chmod(0o755)
    process = await asyncio.create_subprocess_exec(program, "-q", "-u", owner, str(folder / "pgbouncer.ini"))
    try:
        yield Dsns(
            dsns.owner,
            *(f"postgresql://{user}:{password}@127.0.0.1:{port}/{name}" for user, password in users.items()),
        )
    finally:
        process.terminate()
        await process.wait()


async def _opened(dsns: Dsns) -> Database:
    """As soon as the pooler listens."""
    for _ in range(100):
        try:
            (await asyncpg.connect(dsns.app, statement_cache_size=0)).terminate()
            break
        except OSError:
            await asyncio.sleep(0.05)
    return await open_database(dsns.app, dsns.system, pool=12, statement_cache=0)


async def test_claims_of_one_transaction_are_gone_in_the_next(pooled: Dsns, acme: Org, globex: Org) -> None:
    database = await _opened(pooled)
    try:

        async def look(org: Org) -> None:
            async with database.org_reading(org.agent) as connection:
                seen = await connection.fetch("select id from public.organizations where $1::int > 0", 1)
                await asyncio.sleep(0)
                told = await connection.fetchval("select asoe.current_org()")
            assert [row["id"] for row in seen] == [org.org_id]
            assert told == org.org_id

        async def look_as_nobody() -> None:
            async with database.app.acquire() as connection:
                assert await connection.fetchval("select count(*) from public.organizations where $1::int > 0", 1) == 0

        async def ask_the_system() -> None:
            await installation.totals(database)

        looks = [look(org) for _ in range(60) for org in (acme, globex)]
        await asyncio.gather(*looks, *(look_as_nobody() for _ in range(60)), *(ask_the_system() for _ in range(30)))
    finally:
        await database.close()


async def test_one_process_after_another_asks_for_pending_migrations(pooled: Dsns, acme: Org) -> None:
    """Each process numbers its statements from one, and PostgreSQL's connections outlive it."""
    await (await _opened(pooled)).close()
    look = f"import asyncio; from asoe.store.migrate import pending; assert asyncio.run(pending({pooled.app!r})) == []"
    for _ in range(SERVER_CONNECTIONS + 1):
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", look)
        assert await process.wait() == 0
