"""Real pages in a real Chromium against a real server: one of each per session, every test with tickets of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import pytest
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.embed import Server
from playwright.async_api import Browser, Page, async_playwright, expect

sys.path.insert(0, str(Path(__file__).parents[1] / "flow"))

from browser_cast import COOKIE, House, Visitor, Watch
from flow_cast import Clock, PlainJudgement

from asoe.app import App, open_connectors
from asoe.config import Settings
from asoe.desk.context import Desk, Thresholds
from asoe.domain.organization import Principal
from asoe.queue import Queue
from asoe.secret_key import open_secret_key
from asoe.store.db import open_database
from asoe.web.site import create_site
from cast import TEMPLATE, make_org

if TYPE_CHECKING:
    from asoe.store.embedded import EmbeddedServer


@pytest.fixture(scope="session")
async def house(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """The server of this session, behind granian on a port of this machine."""
    admin = await asyncpg.connect(_at(server.superuser_dsn, "postgres"))
    await admin.execute(f"create database house template {TEMPLATE} strategy file_copy owner asoe_owner")
    await admin.close()
    owner, app_dsn, system = (_at(dsn, "house") for dsn in (server.owner_dsn, server.app_dsn, server.system_dsn))
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path_factory.mktemp("house"),
        database_app_url=app_dsn,
        database_system_url=system,
        rate_limit="100000/minute",
        rate_limit_anonymous="100000/minute",
        log_level="error",
    )
    database = await open_database(app_dsn, system, pool=8)
    async with database.app.acquire() as connection:
        secret_key = await open_secret_key(settings.data_dir, connection)
    desk = Desk(
        database,
        Queue(),
        PlainJudgement(),
        Clock(),
        Thresholds(triage_budget=timedelta(seconds=5)),
        derive=secret_key.derive_all,
    )
    desk = replace(desk, connectors=open_connectors(database, secret_key, desk.engine_of))
    app = App(settings, database, desk, secret_key, app_dsn, owner)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serving = Server(
        create_site(app),
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGI,
        websockets=False,
        log_level=LogLevels.error,
    )
    task = asyncio.create_task(serving.serve())
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(retries=8)) as asking:
        assert (await asking.get(f"{url}/healthz")).status_code == 200
    yield House(url, app, await make_org(owner, "acme"), await make_org(owner, "globex"))
    serving.stop()
    await asyncio.wait_for(task, 20)
    await desk.connectors.close()
    await database.close()


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The Chromium of this system; scripts/system-packages installs it."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert found, "no Chromium: run `make system`, or install the Debian package chromium"
    expect.set_options(timeout=30_000)
    async with async_playwright() as playwright:
        # a shop's page out on the net, and our server on this machine: Chromium would ask its user about that
        options = ["--disable-features=LocalNetworkAccessChecks"]
        options += ["--no-sandbox"] if os.geteuid() == 0 else []
        opened = await playwright.chromium.launch(executable_path=found, args=options)
        yield opened
        await opened.close()


@pytest.fixture
def watch() -> Watch:
    """Ends the test with what went wrong in its pages; `expected` names what has to."""
    return Watch()


@pytest.fixture
async def visitor(house: House, browser: Browser, watch: Watch) -> AsyncIterator[Visitor]:
    """Opens the browser of somebody: signed in as a principal, or a stranger."""
    contexts = []

    async def come(
        principal: Principal | None = None, path: str = "/", *, theme: str = "light", **options: Any
    ) -> Page:
        context = await browser.new_context(color_scheme=theme, base_url=house.url, **options)  # type: ignore[arg-type]
        context.set_default_timeout(30_000)
        contexts.append(context)
        if principal is not None:
            token = await house.sign_in(principal)
            await context.add_cookies([{"name": COOKIE, "value": token, "url": house.url}])
        page = await context.new_page()
        watch.over(page)
        await page.goto(path)
        return page

    yield come
    for context in contexts:
        await context.close()
    assert not watch.troubles


def _at(dsn: str, database: str) -> str:
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{database}"))
