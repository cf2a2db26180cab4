"""Pictures of the dashboard's main pages with the demo's organization, for the documentation (`scripts/screenshots`)."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.embed import Server
from playwright.async_api import Page, async_playwright

from asoe.app import App, open_app
from asoe.config import Settings
from asoe.demo.play import Stage
from asoe.demo.seed import read_tickets, seed, wait_until_indexed
from asoe.desk import sign_in
from asoe.web.site import create_site

IMAGES = Path(__file__).parents[1] / "docs" / "images"
WIDE = {"width": 1360, "height": 850}
PHONE = {"width": 390, "height": 780}


async def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="asoe-screenshots-"))
    folder.chmod(0o711)
    IMAGES.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = Settings(_env_file=None, data_dir=folder, port=port, rate_limit="60000/minute", log_level="error")  # type: ignore[call-arg]
    try:
        async with open_app(settings) as app:
            await _served(app, f"http://127.0.0.1:{port}", port)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _served(app: App, url: str, port: int) -> None:
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
    try:
        made = await seed(app.desk, str(app.owner_url), progress=lambda *_: None)
        await wait_until_indexed(app.desk, made.owner, progress=lambda *_: None, stop=stop)
        await Stage(url, made.keys["agent"], concurrency=2).play(read_tickets())
        token = (await sign_in.open_sign_in(app.desk, made.owner.user_id, agent="Screenshots")).token
        await _pictures(url, token)
    finally:
        stop.set()
        server.stop()
        await asyncio.gather(*work, return_exceptions=True)


async def _pictures(url: str, token: str) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("no Chromium: run `make system`, or install the Debian package chromium")
    async with async_playwright() as playwright:
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = await playwright.chromium.launch(executable_path=chromium, args=options)
        for theme in ("light", "dark"):
            page = await _page(browser, url, token, theme, WIDE)
            await _take(page, "/", f"overview-{theme}")
            await _take(page, "/queue?view=all", f"queue-{theme}")
            await page.goto("/queue?view=escalated&severity=critical")
            await page.locator(".tickets .subject").first.click()
            await page.wait_for_load_state()
            await _take(page, "", f"ticket-{theme}")
        page = await _page(browser, url, token, "light", WIDE)
        await _take(page, "/knowledge?q=How+do+I+get+an+invoice%3F", "knowledge")
        await _take(page, "/settings/members", "members")
        await _take(page, "/audit", "audit")
        await page.goto("/queue")
        await page.keyboard.press("Control+k")
        await _take(page, "", "commands")
        page = await _page(browser, url, token, "light", PHONE)
        await _take(page, "/", "phone-overview")
        await _take(page, "/queue?view=all", "phone-queue")
        await browser.close()


async def _page(browser: Any, url: str, token: str, theme: str, size: dict[str, int]) -> Page:
    context = await browser.new_context(base_url=url, viewport=size, color_scheme=theme)
    await context.add_cookies([{"name": "asoe_sign_in", "value": token, "url": url}])
    page: Page = await context.new_page()
    return page


async def _take(page: Page, path: str, name: str) -> None:
    if path:
        await page.goto(path)
    await page.wait_for_timeout(400)  # a fade may be under way
    await page.screenshot(path=IMAGES / f"{name}.png")
    print(f"docs/images/{name}.png", flush=True)


asyncio.run(main())
