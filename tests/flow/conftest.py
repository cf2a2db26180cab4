"""Whole tickets through the HTTP door: the real application on a real database, with a judgement tests can foresee."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from flow_cast import Clock, Connect, Estate, PlainJudgement
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.embed import Server

from asoe.api.http import create_app
from asoe.app import App
from asoe.config import Settings
from asoe.desk import people
from asoe.desk.connector import Connectors
from asoe.desk.context import Desk, Thresholds
from asoe.domain.organization import Principal
from asoe.queue import Queue
from asoe.secret_key import open_secret_key
from asoe.store.db import Database

if TYPE_CHECKING:
    from tests.conftest import Dsns, Org


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(tmp_path: Path, dsns: Dsns) -> Settings:
    return Settings(
        _env_file=None,
        data_dir=tmp_path,
        database_app_url=dsns.app,
        database_system_url=dsns.system,
        rate_limit="100000/minute",
        rate_limit_anonymous="100000/minute",
        max_request_bytes=1024 * 1024,
        key_cache_seconds=0,
    )


@pytest.fixture
async def app(settings: Settings, database: Database, dsns: Dsns, clock: Clock) -> App:
    async with database.app.acquire() as connection:
        secret_key = await open_secret_key(settings.data_dir, connection)
    desk = Desk(
        database,
        Queue(),
        PlainJudgement(),
        clock,
        Thresholds(triage_budget=timedelta(seconds=5)),
        derive=secret_key.derive_all,
    )
    return App(settings, database, desk, secret_key, dsns.app, dsns.owner)


@pytest.fixture
def serve() -> Callable[[App], httpx.ASGITransport]:
    """The application of this process, without a socket."""
    return lambda app: httpx.ASGITransport(app=create_app(app), raise_app_exceptions=False)


@pytest.fixture
async def transport(app: App, serve: Callable[[App], httpx.ASGITransport]) -> httpx.ASGITransport:
    return serve(app)


@pytest.fixture
async def connect(app: App, acme: Org, globex: Org, transport: httpx.ASGITransport) -> AsyncIterator[Connect]:
    """An HTTP client that acts with the role, and in the organization, of a principal, through a key of its own."""
    opened: list[httpx.AsyncClient] = []
    owners = {org.org_id: org.owner for org in (acme, globex)}

    async def open_client(principal: Principal, **options: Any) -> httpx.AsyncClient:
        made = await people.create_key(
            app.desk, owners[principal.org_id], name=f"{principal.role} test", role=principal.role, **options
        )
        client = httpx.AsyncClient(
            transport=transport, base_url="http://asoe.test", headers={"Authorization": f"Bearer {made.token}"}
        )
        opened.append(client)
        return client

    yield open_client
    for client in opened:
        await client.aclose()


@pytest.fixture
async def agent(connect: Connect, acme: Org) -> httpx.AsyncClient:
    return await connect(acme.agent)


@pytest.fixture
async def owner(connect: Connect, acme: Org) -> httpx.AsyncClient:
    return await connect(acme.owner)


@pytest.fixture
async def client(connect: Connect, acme: Org) -> httpx.AsyncClient:
    """A key with the role client: it opens and sees tickets of its own account."""
    return await connect(acme.client)


@pytest.fixture
async def nobody(transport: httpx.ASGITransport) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=transport, base_url="http://asoe.test") as anonymous:
        yield anonymous


@pytest.fixture
async def served(app: App) -> AsyncIterator[str]:
    """The application behind granian on a port of this machine; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Server(
        create_app(app),
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGI,
        websockets=False,
        log_level=LogLevels.error,
    )
    serving = asyncio.create_task(server.serve())
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(retries=8)) as asking:
        assert (await asking.get(f"{url}/healthz")).status_code == 200
    yield url
    server.stop()
    await asyncio.wait_for(serving, 15)


@pytest.fixture
def estate(app: App) -> Estate:
    made = Estate()
    app.desk.connectors._fixed = {"estate": made}
    assert isinstance(app.desk.connectors, Connectors)
    return made
