"""The client's whole chat in the demo: what is broken in the estate is mended while the client looks on, and proven there."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from chat_cast import signed
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.embed import Server
from playwright.async_api import Browser, expect

from asoe.app import open_app
from asoe.config import Settings
from asoe.demo.back_office import broken_estate, join_estate
from asoe.demo.seed import read_tickets
from asoe.desk import widget
from asoe.desk.widget import WidgetChange
from asoe.store import organizations
from asoe.web.site import create_site

if TYPE_CHECKING:
    from browser_cast import Watch
    from playwright.async_api import Route

pytestmark = [pytest.mark.evidence, pytest.mark.timeout(600)]
SHOP = "http://tidepool.example"


async def test_a_locked_out_client_is_let_in_again(browser: Browser, watch: Watch) -> None:
    folder = Path(tempfile.mkdtemp(prefix="asoe-chat-"))
    folder.chmod(0o711)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = next(each for each in read_tickets() if each.get("broken") == ["user_locked_out"])
    settings = Settings(_env_file=None, data_dir=folder, port=port, rate_limit="60000/minute", log_level="error")  # type: ignore[call-arg]
    async with broken_estate([line]) as office, open_app(settings) as app:
        made = await organizations.create_organization(
            str(app.owner_url), "Tidepool", "tidepool", "cleo@tidepool.example", "Cleo"
        )
        await join_estate(app.desk, made.owner, office)
        await widget.change_widget(app.desk, made.owner, WidgetChange(is_on=True, origins=[SHOP]))
        secret = (await widget.make_secret(app.desk, made.owner)).secret
        server = Server(
            create_site(app),
            address="127.0.0.1",
            port=port,
            interface=Interfaces.ASGI,
            websockets=False,
            log_level=LogLevels.error,
        )
        stop = asyncio.Event()
        work = [asyncio.create_task(server.serve()), asyncio.create_task(app.run_worker(stop))]
        context = await browser.new_context(viewport={"width": 1100, "height": 780})
        try:
            identity = signed(secret, sub="u-76", email=line["contact"]["email"], name=line["contact"]["name"])
            tag = f'<script src="http://127.0.0.1:{port}/widget.js" data-org="tidepool" data-identity="{identity}" async></script>'

            async def serve(route: Route) -> None:
                await route.fulfill(
                    body=f'<!doctype html><html lang="en"><title>Tidepool</title><h1>Tidepool</h1>{tag}',
                    content_type="text/html",
                )

            await context.route(f"{SHOP}/**", serve)
            page = await context.new_page()
            watch.over(page)
            await page.goto(f"{SHOP}/sign-in")
            await page.wait_for_selector("asoe-chat:not([hidden])", state="attached")
            await page.keyboard.press("Tab")  # no mouse: the button, and then the words
            await page.keyboard.press("Enter")
            chat = next(frame for frame in page.frames if "/widget/" in frame.url)
            await expect(chat.get_by_label("Your message")).to_be_focused()
            await page.keyboard.insert_text(f"{line['subject']}. {line['body']}")
            await page.keyboard.press("Enter")
            await expect(chat.locator("article.assistant").last).to_contain_text(
                "Signing in works again", timeout=150_000
            )
            await expect(chat.locator("#state")).to_have_text("Solved. A reply opens it again.")
            if os.environ.get("ASOE_PICTURES"):
                await page.screenshot(path=Path(os.environ["ASOE_PICTURES"]) / "chat-fixed.png")
            async with app.database.org_reading(made.engine) as connection:
                stored = await connection.fetchval(
                    "select resolution from public.support_tickets where org_id = $1", made.org_id
                )
            assert stored["verdict"] == "verified"
            assert stored["type"] == "auto_fix"
        finally:
            await context.close()
            stop.set()
            server.stop()
            await asyncio.gather(*work, return_exceptions=True)
            shutil.rmtree(folder, ignore_errors=True)
    assert not watch.troubles
