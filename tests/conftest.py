"""What every test stands on: a real PostgreSQL as the app role, a clone per test, and the named cast.

Organizations Acme and Globex; Cleo the owner and admin, Ben the agent, Ana the client. No sockets but local ones.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import settings
from pytest_socket import enable_socket, socket_allow_hosts

from asoe.store.db import Database, open_database
from asoe.store.embedded import EmbeddedServer, close_embedded, open_embedded
from asoe.store.migrate import migrate
from cast import TEMPLATE, Dsns, Org, make_org

settings.register_profile("asoe", settings(), deadline=None)  # a busy machine is no failure
settings.load_profile("asoe")


@pytest.fixture(autouse=True, scope="session")
def _only_local_sockets() -> Iterator[None]:
    socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)
    yield
    enable_socket()


@pytest.fixture(scope="session")
async def server() -> AsyncIterator[EmbeddedServer]:
    """One PostgreSQL per test process, with the template database migrated."""
    folder = Path(tempfile.mkdtemp(prefix="asoe-test-", dir=_quick_folder()))
    opened = await open_embedded(folder, durability="test")
    await migrate(opened.owner_dsn)
    yield opened
    await close_embedded(opened)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def dsns(server: EmbeddedServer) -> AsyncIterator[Dsns]:
    """A fresh clone of the migrated database, dropped afterwards."""
    name = f"clone_{uuid4().hex[:12]}"
    admin = await asyncpg.connect(_at(server.superuser_dsn, "postgres"))
    try:
        await admin.execute(f"create database {name} template {TEMPLATE} strategy file_copy owner asoe_owner")
        yield Dsns(*(_at(dsn, name) for dsn in (server.owner_dsn, server.app_dsn, server.system_dsn)))
        await admin.execute(f"drop database {name} with (force)")
    finally:
        await admin.close()


@pytest.fixture
def owner_dsn(dsns: Dsns) -> str:
    return dsns.owner


@pytest.fixture
async def database(dsns: Dsns) -> AsyncIterator[Database]:
    opened = await open_database(dsns.app, dsns.system, pool=8)
    yield opened
    await opened.close()


@pytest.fixture
async def acme(owner_dsn: str) -> Org:
    return await make_org(owner_dsn, "acme")


@pytest.fixture
async def globex(owner_dsn: str) -> Org:
    return await make_org(owner_dsn, "globex")


def _quick_folder() -> Path | None:
    """Memory, where there is plenty: a clone of the template is made in a third of the time."""
    memory = Path("/dev/shm")
    is_roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 4 * 2**30
    return memory if is_roomy else None


def _at(dsn: str, database: str) -> str:
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{database}"))
