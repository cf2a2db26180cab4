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
from asoe.demo.back_office import broken_estate, join_estate
from asoe.demo.play import Stage
from asoe.demo.seed import read_tickets, seed, wait_until_indexed
from asoe.desk import housekeeping, sign_in
from asoe.desk.incident import handling
from asoe.desk.incident.handling import Wanted
from asoe.web.site import create_site

IMAGES = Path(__file__).parents[1] / "docs" / "images"
WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 780}
ELSEWHERE = {"chat-fixed.png"}
"""Taken by tests/browser/test_a_chat_ends_in_a_verified_fix.py, with ASOE_PICTURES=docs/images."""


async def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="asoe-screenshots-"))
    folder.chmod(0o711)
    IMAGES.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = Settings(_env_file=None, data_dir=folder, port=port, rate_limit="60000/minute", log_level="error")  # type: ignore[call-arg]
    for old in IMAGES.glob("*.png"):
        if old.name not in ELSEWHERE:
            old.unlink()
    try:
        async with broken_estate(read_tickets()) as office, open_app(settings) as app:
            await _served(app, office, f"http://127.0.0.1:{port}", port)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _served(app: App, office: str, url: str, port: int) -> None:
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
        await join_estate(app.desk, made.owner, office)
        await Stage(url, made.keys["agent"], concurrency=2).play(read_tickets())
        known = "Exports of workspaces in the EU fail since this morning. We are at it and write again when they work."
        wanted = Wanted("Exports in the EU fail", intent="outage", known=known)
        incident = await handling.open_incident(app.desk, made.owner, wanted)
        await housekeeping.keep_counters(app.desk)
        token = (await sign_in.open_sign_in(app.desk, made.owner.user_id, agent="Screenshots")).token
        await _pictures(url, token, made.slug, f"/incidents/{incident.id}")
    finally:
        stop.set()
        server.stop()
        await asyncio.gather(*work, return_exceptions=True)


async def _pictures(url: str, token: str, slug: str, incident: str) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("no Chromium: run `make system`, or install the Debian package chromium")
    async with async_playwright() as playwright:
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = await playwright.chromium.launch(executable_path=chromium, args=options)
        page = await _page(browser, url, token, "light", WIDE)
        await _take(page, "/", "overview-light")
        await _take(page, "/queue?view=all", "queue")
        await page.goto("/queue?view=escalated")
        await page.locator(".tickets .subject").first.click()
        await page.wait_for_load_state()
        await _take(page, "", "ticket")
        await _take(page, "/approvals", "approvals")
        await page.goto("/runbooks")
        await page.locator("table a[href^='/runbooks/']").first.click()
        await page.wait_for_load_state()
        await _take(page, "", "runbook")
        await _take(page, incident, "incident")
        await _take(page, "/insights", "insights")
        await _take(page, "/wishes", "wishes")
        await _take(page, "/settings/learning", "learning")
        await page.goto(f"/help/{slug}")
        await page.wait_for_selector("asoe-chat:not([hidden])", state="attached")
        await page.evaluate("asoeChat.open()")
        chat = next(frame for frame in page.frames if "/widget/" in frame.url)
        await chat.get_by_label("Your message").wait_for()
        await _take(page, "", "widget")
        page = await _page(browser, url, token, "dark", WIDE)
        await _take(page, "/", "overview-dark")
        page = await _page(browser, url, token, "light", PHONE)
        await _take(page, "/queue?view=all", "phone")
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
