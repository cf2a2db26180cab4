"""axe-core finds no violation on any page, in either theme; and every page is one screen wide on a phone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from browser_cast import House, Visitor, Watch, too_wide
from playwright.async_api import Page, expect

from asoe.desk import housekeeping, knowledge, people, topic, widget
from asoe.desk.incident import handling
from asoe.desk.incident.handling import Wanted
from asoe.desk.widget import WidgetChange
from asoe.domain.knowledge import ArticleText
from asoe.web.build import MODULES
from asoe.web.site import routes
from cast import ADVICE, make_advice, make_wish

AXE = MODULES / "node_modules" / "axe-core" / "axe.min.js"
SIGNED_OUT = (
    "/sign-in",
    "/forgot-password",
    "/invitations/{token}",
    "/reset-password/{token}",
    "/approve/{link}",
    "/widget/{org}",
    "/help/{org}",
    "/help/{org}/{article}",
)
NOT_PAGES = (
    "/live",
    "/live/{ticket_id}",
    "/queue/rows",
    "/notifications/count",
    "/tickets/{ticket_id}/attachments/{attachment_id}",
    "/agent-runs/{agent_run_id}/export",
)
EXTRA = (
    "/queue?view=mine",
    "/queue?q=nothing-like-this",
    "/knowledge?q=invoice",
    "/nothing-here",
    "/help/{org}?q=one",
    "/help/{org}/nothing-here",
    "/help/nobody",
    "/insights?channel=api",
)


def page_paths() -> list[str]:
    """Every page of the route table, so that a new one is covered by itself."""
    return sorted({page.path for page in routes() if page.method == "GET"} - set(NOT_PAGES)) + list(EXTRA)


def test_what_is_looked_at_is_what_the_routes_name() -> None:
    """A page that is renamed or gone leaves no name behind here, under which another would go unseen."""
    there = {page.path for page in routes() if page.method == "GET"}
    assert set(NOT_PAGES) <= there
    assert set(SIGNED_OUT) <= there
    assert set(page_paths()) == (there - set(NOT_PAGES)) | set(EXTRA)


async def fill(house: House, path: str) -> str:
    """The path with ids of things that exist."""
    desk, owner = house.app.desk, house.acme.owner
    if path.startswith("/insights"):
        await house.ticket(house.acme, subject="Counted for axe")
        await housekeeping.keep_counters(desk)
    if path == "/insights/topics":
        for _ in range(4):
            await house.ticket(house.acme, subject="Counted for axe")
        await topic.compute(desk, owner)
    if "{ticket_id}" in path:
        path = path.replace("{ticket_id}", str((await house.ticket(house.acme, subject="Seen by axe")).id))
    if "{agent_run_id}" in path:
        seen = await house.ticket(house.acme, subject="Judged for axe")
        path = path.replace("{agent_run_id}", await house.agent_run(house.acme, seen.id))
    if "{incident_id}" in path:
        wanted = Wanted("Seen by axe", intent="outage", known="We know.")
        path = path.replace("{incident_id}", str((await handling.open_incident(desk, owner, wanted)).id))
    if "{article_id}" in path:
        text = ArticleText(
            "Seen by axe", "seen-by-axe", "en", "# Title\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |"
        )
        found = await knowledge.save_article(desk, owner, text, publish_now=True)
        path = path.replace("{article_id}", str(found.id))
    if any(part in path for part in ("{name}", "{run_id}", "{approval_id}")):
        for part, value in (await house.runbook(house.acme, subject="Run seen by axe")).items():
            path = path.replace(f"{{{part}}}", value)
    if "{backtest_id}" in path:
        path = path.replace("{backtest_id}", await house.backtest(house.acme))
    if "{connector}" in path:
        path = path.replace("{connector}", await house.connector(house.acme, "seen-by-axe"))
    if "{link}" in path:
        path = await house.link(owner, (await house.runbook(house.acme, subject="Linked"))["approval_id"])
    if "{org}" in path:
        change = WidgetChange(is_on=True, takes_anonymous=True, shows_help=True)
        await widget.change_widget(desk, owner, change)
        text = ArticleText("Open to all", "open-to-all", "en", "# Title\n\n1. one\n2. two\n\n`code`")
        await knowledge.save_article(desk, owner, text, publish_now=True)
        path = path.replace("{org}", house.acme.slug).replace("{article}", "open-to-all")
    if path.startswith("/recommendations"):
        tickets = ((await house.ticket(house.acme, subject="Advised for axe")).id,)
        for kind in ADVICE:
            key = str(house.acme.agent.user_id)
            await make_advice(house.app.database, house.acme.engine, kind=kind, key=key, tickets=tickets)
    if "{wish_number}" in path:
        seen = await house.ticket(house.acme, subject="A wish seen by axe")
        path = path.replace("{wish_number}", str(await make_wish(house.app.database, house.acme.engine, seen.id)))
    if path.startswith("/reset-password"):
        path = path.replace("{token}", await house.reset(house.acme.client))
    if "{token}" in path:
        made = await people.invite(desk, owner, email="axe@acme.example", role="agent")
        path = path.replace("{token}", made.token)
    return path


@pytest.mark.parametrize("path", page_paths())
async def test_axe_finds_no_violation_and_a_phone_shows_it_whole(
    path: str, house: House, visitor: Visitor, watch: Watch
) -> None:
    watch.expected = ("404",)
    assert Path(AXE).exists(), "axe-core is not there: run `python -m asoe.web.build`"
    address = await fill(house, path)
    principal = None if path in SIGNED_OUT else house.acme.owner
    page = await visitor(principal, address)
    for theme in ("light", "dark"):
        await page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
        await check(page, f"{path} in the {theme} theme")
    await page.set_viewport_size({"width": 375, "height": 720})
    assert await too_wide(page) == [], "on a phone"


async def test_dialogs_and_menus_are_accessible_too(house: House, visitor: Visitor) -> None:
    page = await visitor(house.acme.owner, "/queue?view=all")
    await page.keyboard.press("?")
    await expect(page.locator("#help")).to_be_visible()
    await check(page, "keys")
    await page.keyboard.press("Escape")
    await page.keyboard.press("Control+k")
    await expect(page.locator("#palette")).to_be_visible()
    await check(page, "palette")
    await page.keyboard.press("Escape")
    await page.locator("summary", has_text="Filters").click()
    await check(page, "filters")


async def test_the_judge_sees_what_is_wrong(house: House, visitor: Visitor) -> None:
    page = await visitor(house.acme.owner, "/profile")
    await page.evaluate("document.querySelector('main').append(document.createElement('img'))")
    with pytest.raises(AssertionError, match="image-alt"):
        await check(page, "a picture without words")


async def check(page: Page, what: str) -> None:
    # the policy of our pages lets no foreign script in; the browser itself may evaluate
    await page.evaluate(AXE.read_text(encoding="utf-8"))
    found = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    wrong = [
        {"rule": each["id"], "help": each["help"], "where": [node["html"][:160] for node in each["nodes"][:3]]}
        for each in found["violations"]
    ]
    assert not wrong, f"{what}: {json.dumps(wrong, indent=1)}"
