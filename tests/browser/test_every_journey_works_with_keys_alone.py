"""The journeys without a mouse: what is focused is always known, and one key does what a click does."""

from __future__ import annotations

import re

from browser_cast import PASSWORD, House, Visitor
from playwright.async_api import expect

from asoe.desk import sign_in
from asoe.store import sign_ins


async def test_signing_in_with_keys(house: House, visitor: Visitor) -> None:
    await sign_ins.set_password(str(house.app.owner_url), "cleo@acme.example", await sign_in.hash_password(PASSWORD))
    page = await visitor(path="/sign-in")
    await page.keyboard.type("cleo@acme.example")  # the first field has the focus
    await page.keyboard.press("Tab")
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Support Center")
    await page.keyboard.press("Tab")
    await expect(page.get_by_text("Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#main")).to_be_focused()


async def test_from_the_queue_to_a_resolved_ticket_with_keys(house: House, visitor: Visitor) -> None:
    first = await house.ticket(house.acme, subject="Keys: the older")
    second = await house.ticket(house.acme, subject="Keys: the newer")
    page = await visitor(house.acme.agent)
    await page.keyboard.press("g")
    await page.keyboard.press("q")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Queue")
    await page.keyboard.press("j")
    await expect(page.locator(f"#t-{second.id} a")).to_be_focused()
    await page.keyboard.press("j")
    await expect(page.locator(f"#t-{first.id} a")).to_be_focused()
    await page.keyboard.press("k")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(str(second.id)))
    await page.keyboard.press("a")
    await expect(page.locator("#toasts")).to_contain_text("It is yours")
    await page.keyboard.press("r")
    await expect(page.get_by_label("Your words")).to_be_focused()
    await page.keyboard.type("Answered with keys.")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator(".conversation")).to_contain_text("Answered with keys.")
    await page.keyboard.press("Escape")
    await page.keyboard.press("n")
    await page.keyboard.type("For colleagues only.")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator(".message.internal")).to_contain_text("For colleagues only.")
    await page.keyboard.press("Escape")
    await page.keyboard.press("e")
    await expect(page.locator("#toasts")).to_contain_text("Closed.")
    assert (await house.read(house.acme, second.id)).status == "closed"


async def test_a_row_is_taken_and_closed_from_the_queue_with_keys(house: House, visitor: Visitor) -> None:
    opened = await house.ticket(house.acme, subject="Keys: straight from the row")
    page = await visitor(house.acme.agent, "/queue")
    await page.keyboard.press("j")
    await page.keyboard.press("a")
    await expect(page.locator("#toasts")).to_contain_text("1 ticket assigned to you.")
    assert (await house.read(house.acme, opened.id)).assignee == house.acme.agent.user_id
    await page.keyboard.press("j")
    await page.keyboard.press("x")
    await expect(page.locator(".bulk")).to_be_visible()
    await page.keyboard.press("e")
    await expect(page.locator("#toasts")).to_contain_text("1 ticket closed.")
    assert (await house.read(house.acme, opened.id)).status == "closed"


async def test_commands_and_search_with_keys(house: House, visitor: Visitor) -> None:
    await house.ticket(house.acme, subject="Zephyr in the palette")
    page = await visitor(house.acme.owner)
    await page.keyboard.press("Control+k")
    await page.keyboard.type("knowl")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Knowledge")
    await page.keyboard.press("Control+k")
    await page.keyboard.type("zephyr")
    await page.keyboard.press("Enter")
    await expect(page.locator(".tickets .subject")).to_have_text(["Zephyr in the palette"])
    await page.keyboard.press("/")
    await expect(page.get_by_label("Search tickets")).to_be_focused()
    await page.keyboard.type("? e a j")
    await expect(page.get_by_label("Search tickets")).to_have_value(re.compile(re.escape("? e a j") + "$"))
    await expect(page.locator("#help")).to_be_hidden()


async def test_single_keys_can_be_turned_off(house: House, visitor: Visitor) -> None:
    page = await visitor(house.acme.agent, "/queue")
    await page.keyboard.press("?")
    await page.get_by_label("Single keys work").uncheck()
    await page.keyboard.press("Escape")
    await page.keyboard.press("?")
    await expect(page.locator("#help")).to_be_hidden()
