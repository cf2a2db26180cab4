"""The embedded PostgreSQL asks everyone for a password, listens nowhere unless told to, and gives each role what the design says."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from asoe.domain.errors import Conflict, Unavailable
from asoe.store.embedded import (
    EmbeddedServer,
    bin_folder,
    close_embedded,
    embedded_status,
    open_embedded,
    stop_abandoned,
)
from asoe.store.embedded.layout import Layout
from asoe.store.roles import ensure_roles


@pytest.fixture
async def folder() -> AsyncIterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="asoe-test-"))
    yield place / "data"
    await stop_abandoned(place / "data")
    shutil.rmtree(place)


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[EmbeddedServer]:
    place = Path(tempfile.mkdtemp(prefix="asoe-test-"))
    opened = await open_embedded(place, durability="test")
    yield opened
    await close_embedded(opened)
    shutil.rmtree(place)


async def put_roles_back(server: EmbeddedServer, *, first: str = "select 1") -> None:
    made = {"asoe_app": server.app_dsn, "asoe_system": server.system_dsn}
    connection = await asyncpg.connect(server.superuser_dsn)
    await connection.execute(first)
    await ensure_roles(connection, passwords={role: urlsplit(dsn).password for role, dsn in made.items()})
    await connection.close()


def psql(dsn: str, statement: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: sockets to TCP ports are closed to tests."""
    return subprocess.run(
        [bin_folder() / "psql", "-w", "-AXtc", statement, dsn], capture_output=True, text=True, check=False, timeout=20
    )


async def test_nobody_comes_in_without_the_password(server) -> None:
    query = urlsplit(server.app_dsn).query
    for role in ("postgres", "asoe_app", "asoe_system", "asoe_owner", "authenticated"):
        for password in ("", ":guessed"):
            refused = psql(f"postgresql://{role}{password}@/asoe?{query}", "select 1")
            assert refused.returncode == 2, role
            assert "password" in refused.stderr


async def test_passwords_and_socket_are_closed_to_others(server) -> None:
    folder = server.data_dir
    for role in ("postgres", "asoe_app", "asoe_system"):
        assert (folder / "secrets" / role).stat().st_mode & 0o777 == 0o600
    assert server.socket_dir.stat().st_mode & 0o077 == 0
    assert urlsplit(server.app_dsn).password not in repr(server)
    (folder / "secrets" / "asoe_app").chmod(0o644)
    assert any("chmod 600" in problem for problem in embedded_status(folder).problems)
    (folder / "secrets" / "asoe_app").chmod(0o600)


async def test_the_roles_are_as_designed_and_making_them_again_changes_nothing(server) -> None:
    connection = await asyncpg.connect(server.superuser_dsn)
    await ensure_roles(connection)
    roles = await connection.fetch(
        """select rolname, rolcanlogin, rolbypassrls, rolsuper, rolcreaterole, rolcreatedb, rolinherit
           from pg_roles where rolname like 'asoe%' order by rolname"""
    )
    assert [tuple(role) for role in roles] == [
        ("asoe_app", True, False, False, False, False, True),
        ("asoe_owner", False, True, False, False, False, True),
        ("asoe_system", True, False, False, False, False, True),
    ]
    memberships = await connection.fetch(
        """select roleid::regrole::text, member::regrole::text, inherit_option, set_option, admin_option
           from pg_auth_members where member::regrole::text like 'asoe%'"""
    )
    assert [tuple(row) for row in memberships] == [("authenticated", "asoe_app", True, False, False)]
    owner = await connection.fetchval("select datdba::regrole::text from pg_database where datname = 'asoe'")
    await connection.close()
    assert owner == "asoe_owner"

    app = await asyncpg.connect(server.app_dsn)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.execute("set role authenticated")
    await app.close()
    owner_connection = await asyncpg.connect(server.owner_dsn)
    assert await owner_connection.fetchval("select current_user") == "asoe_owner"
    assert await owner_connection.fetchval("select extname from pg_extension where extname = 'vector'")
    await owner_connection.close()


async def test_a_password_with_quotes_is_set_as_it_is(server) -> None:
    connection = await asyncpg.connect(server.superuser_dsn)
    await ensure_roles(connection, passwords={"asoe_app": 'it\'s \\a "pass" $word'})
    await connection.close()
    again = await asyncpg.connect(server.app_dsn, password='it\'s \\a "pass" $word')
    await again.close()
    await put_roles_back(server)


async def test_an_administrator_who_is_no_superuser_can_make_the_roles(server) -> None:
    connection = await asyncpg.connect(server.superuser_dsn)
    await connection.execute("drop owned by asoe_app, asoe_system; drop role asoe_app, asoe_system")
    await connection.execute("create role admin login createrole bypassrls password 'x'")
    await connection.execute("grant authenticated, asoe_owner to admin with admin true")
    await connection.close()
    admin = await asyncpg.connect(server.superuser_dsn, user="admin", password="x")
    await ensure_roles(admin, passwords={"asoe_app": "y"})
    await admin.execute("set role asoe_owner")
    await admin.close()
    app = await asyncpg.connect(server.app_dsn, password="y")
    await app.close()
    await put_roles_back(server, first="drop owned by admin cascade; drop role admin")


async def test_it_listens_only_when_told_to_and_never_for_the_superuser(folder) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    first = await open_embedded(folder)
    owner = urlsplit(first.superuser_dsn).password
    app = urlsplit(first.app_dsn).password
    shown = psql(first.superuser_dsn, "show listen_addresses")
    assert shown.stdout == "\n"
    with pytest.raises(Conflict, match=f"{port}"):
        await open_embedded(folder, listen_port=port)
    await close_embedded(first)

    second = await open_embedded(folder, listen_port=port)
    asked = psql(f"postgresql://asoe_app:{app}@127.0.0.1:{port}/asoe", "select current_user")
    assert asked.stdout == "asoe_app\n", asked.stderr
    refused = psql(f"postgresql://postgres:{owner}@127.0.0.1:{port}/asoe", "select 1")
    assert "rejects connection" in refused.stderr
    third = await open_embedded(folder)
    assert third.port == port
    await close_embedded(third)
    await close_embedded(second)


async def test_a_cluster_made_without_fsync_is_never_taken_for_a_safe_one(folder) -> None:
    server = await open_embedded(folder, durability="test")
    await close_embedded(server)
    with pytest.raises(Conflict, match="durability 'test'"):
        await open_embedded(folder)
    assert any("for tests" in problem for problem in embedded_status(folder).problems)


async def test_a_safe_cluster_writes_through(folder) -> None:
    server = await open_embedded(folder)
    shown = psql(server.superuser_dsn, "select string_agg(setting, ' ' order by name) from pg_settings where name in "
                                       "('fsync', 'full_page_writes', 'synchronous_commit', 'data_checksums')")  # fmt: skip
    await close_embedded(server)
    assert shown.stdout == "on on on on\n"


async def test_the_server_log_holds_no_text_of_clients(server) -> None:
    asked = psql(server.app_dsn, "select 'my secret story'::int")
    assert asked.returncode == 1
    assert "secret story" not in Layout(root=server.data_dir).log_file.read_text()


async def test_lost_passwords_and_another_version_are_told_with_the_remedy(folder) -> None:
    server = await open_embedded(folder)
    await close_embedded(server)
    (folder / "secrets" / "asoe_app").unlink()
    again = await open_embedded(folder)
    app = await asyncpg.connect(again.app_dsn)
    await app.close()
    await close_embedded(again)

    password = folder / "secrets" / "postgres"
    password.write_text("another")
    with pytest.raises(Unavailable, match="same backup"):
        await open_embedded(folder)
    password.unlink()
    with pytest.raises(Unavailable, match="from a backup"):
        await open_embedded(folder)
    (folder / "cluster" / "PG_VERSION").write_text("16\n")
    with pytest.raises(Unavailable, match="PostgreSQL 16"):
        await open_embedded(folder)
    assert len(embedded_status(folder).problems) == 2
