"""What people do about runbooks: agree to an act, refuse one, look at a run, lend trust, stop everything."""

from __future__ import annotations

import re
from uuid import UUID

import httpx
from browser_cast import House, Visitor, Watch
from playwright.async_api import expect

from asoe.desk import approval, autonomy
from asoe.desk.runbook import execution, rehearsal, shelf
from asoe.desk.runbook.template import runbook_text


async def test_an_act_is_approved_from_its_ticket(house: House, visitor: Visitor) -> None:
    made = await house.runbook(house.acme, subject="Locked out")
    found = await approval.read_approval(house.app.desk, house.acme.agent, made["approval_id"])
    page = await visitor(house.acme.agent, f"/tickets/{found.ticket_id}")
    await expect(page.get_by_role("heading", name="Waits for your word")).to_be_visible()
    card = page.locator("article.card")
    await expect(card).to_contain_text("<b>bold</b>")
    await expect(card).to_contain_text("estate.lock")
    await page.get_by_label("Reason").fill("It is Ana, I know her")
    await page.get_by_role("button", name="Approve").click()
    await expect(page.get_by_text("Agreed: the run goes on.")).to_be_visible()
    await expect(page.get_by_role("heading", name="Locked out")).to_be_visible()
    await expect(card).to_have_count(0)
    after = await approval.read_approval(house.app.desk, house.acme.agent, made["approval_id"])
    assert after.status == "approved"


async def test_an_act_is_refused_from_the_inbox(house: House, visitor: Visitor) -> None:
    made = await house.runbook(house.acme, subject="Not her")
    page = await visitor(house.acme.agent, "/approvals")
    card = page.locator("article.card", has=page.locator(f'a[href="/approvals/{made["approval_id"]}"]'))
    await card.get_by_role("button", name="Refuse").click()
    await expect(page.get_by_text("Refused: the ticket goes to a person.")).to_be_visible()
    await expect(card).to_have_count(0)


async def test_a_run_is_stopped_and_its_runbook_trusted_and_distrusted(house: House, visitor: Visitor) -> None:
    made = await house.runbook(house.acme, subject="Trust")
    page = await visitor(house.acme.owner, f"/runs/{made['run_id']}")
    await page.get_by_role("button", name="Stop this run").click()
    await expect(page.get_by_text("It stops before its next act.")).to_be_visible()
    await page.goto(f"{house.url}/runbooks/{made['name']}")
    await page.get_by_text("Lend it trust without a certificate").click()
    await page.get_by_label("Reason").fill("a pilot")
    await page.get_by_role("button", name="Lend trust").click()
    await expect(page.locator(".chip", has_text="Lent")).to_be_visible()
    await expect(page.get_by_text(re.compile("of 59 seen"))).to_be_visible()
    await page.get_by_role("button", name="Take the loan back").click()
    await expect(page.locator(".chip", has_text="Lent")).to_have_count(0)
    await page.get_by_label("Level").select_option("off")
    await page.get_by_role("button", name="Set level").click()
    await expect(page.get_by_text("Does nothing.").first).to_be_visible()


async def test_one_button_stops_every_act(house: House, visitor: Visitor) -> None:
    page = await visitor(house.acme.owner, "/runbooks")
    await page.get_by_label("Why").fill("it goes wrong")
    await page.get_by_role("button", name="Stop all acts").click()
    await expect(page.get_by_role("heading", name="No runbook acts")).to_be_visible()
    assert await autonomy.stop_reason(house.app.desk, house.acme.owner) == "it goes wrong"
    await page.get_by_role("button", name="Allow acts again").click()
    await expect(page.get_by_role("heading", name="Emergency stop")).to_be_visible()


async def test_a_runbook_that_cannot_be_used_is_shown_with_its_lines(
    house: House, visitor: Visitor, watch: Watch
) -> None:
    watch.expected = ("422",)
    page = await visitor(house.acme.owner, "/runbooks/new")
    await page.get_by_label("Text (YAML").fill("runbook: half\ntitle: Half\n")
    async with page.expect_response(lambda response: response.status == httpx.codes.UNPROCESSABLE_ENTITY):
        await page.get_by_role("button", name="Check and store").click()
    await expect(page.get_by_role("alert")).to_contain_text("line ")
    await expect(page.get_by_label("Text (YAML")).to_have_value("runbook: half\ntitle: Half\n")


async def test_a_runbook_is_tried_on_a_ticket_and_does_nothing(house: House, visitor: Visitor) -> None:
    made = await house.runbook(house.acme, subject="Try me")
    ticket = await house.ticket(house.acme, subject="Try it on me")
    page = await visitor(house.acme.agent, f"/runbooks/{made['name']}")
    await page.get_by_label("Number of a ticket").fill(f"#{ticket.number}")
    await page.get_by_role("button", name="Dry run").click()
    await expect(page.get_by_text("Nothing was done")).to_be_visible()
    await expect(page.get_by_text("Dry run")).to_be_visible()
    assert (await house.read(house.acme, ticket.id)).status == ticket.status


async def test_a_backtest_goes_on_and_shows_what_it_found(house: House, visitor: Visitor) -> None:
    made = await house.runbook(house.acme, subject="Rehearse me")
    page = await visitor(house.acme.admin, f"/runbooks/{made['name']}")
    await page.get_by_label("Past tickets").fill("1")
    await page.get_by_role("button", name="Backtest version 1").click()
    await expect(page.get_by_role("heading", name="It goes on")).to_be_visible()
    await rehearsal.carry_out(house.app.desk, house.acme.org_id, UUID(page.url.rpartition("/")[2]))
    await expect(page.get_by_role("heading", name="What it found")).to_be_visible()  # the page asks by itself
    await expect(page.get_by_text("Agreed with people")).to_be_visible()
    await expect(page.locator("tbody tr")).to_have_count(1)

    await page.goto(f"{house.url}/runbooks/{made['name']}")
    await page.get_by_role("button", name="Backtest version 1").click()
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.get_by_text("Nothing was kept of it.")).to_be_visible()
    await rehearsal.carry_out(house.app.desk, house.acme.org_id, UUID(page.url.rpartition("/")[2]))
    await page.reload()
    await expect(page.get_by_text("Nothing was kept of it.")).to_be_visible()


async def test_a_training_shows_how_far_it_is_and_is_cancelled(house: House, visitor: Visitor) -> None:
    page = await visitor(house.globex.owner, "/settings/learning")
    await page.get_by_role("button", name="Train a challenger").click()
    await expect(page.get_by_label("Texts read for the training")).to_be_visible()
    async with house.app.database.org_transaction(house.globex.engine) as connection:
        await connection.execute("update asoe.models set progress = 0.4 where org_id = $1", house.globex.org_id)
    await expect(page.locator("#models .chip", has_text="40 %")).to_be_visible()  # the page asks by itself
    await page.get_by_role("button", name="Cancel the training").click()
    await expect(page.get_by_text("nothing was kept of it").first).to_be_visible()
    await expect(page.get_by_label("Texts read for the training")).to_have_count(0)


async def test_what_the_agents_did_is_judged_again_with_other_settings(
    house: House, visitor: Visitor, watch: Watch
) -> None:
    watch.expected = ("422",)
    ticket = await house.ticket(house.acme, subject="Judge me again")
    page = await visitor(house.acme.agent, f"/tickets/{ticket.id}")
    await page.locator("summary", has_text="handed over").last.click()
    await page.get_by_role("link", name="Judge it again, or download it").last.click()
    await expect(page.get_by_role("heading", name="Agents in order")).to_be_visible()
    await page.get_by_label("Settings, as YAML").fill("routing: {by_category: {general: money}}")
    await page.get_by_role("button", name="Judge it again").click()
    await expect(page.get_by_text("What you try changes")).to_be_visible()
    await expect(page.get_by_role("row", name="Team frontline")).to_contain_text("money")
    await page.get_by_label("Settings, as YAML").fill("nonsense: 1")
    await page.get_by_role("button", name="Judge it again").click()
    await expect(page.get_by_role("alert")).to_contain_text("Not known here: nonsense")
    assert (await house.read(house.acme, ticket.id)).team != "money"


async def test_a_run_is_played_again_with_another_version_and_nothing_is_done(
    house: House, visitor: Visitor, watch: Watch
) -> None:
    watch.expected = ("422",)
    made = await house.runbook(house.acme, subject="Play me again")
    desk, run_id = house.app.desk, UUID(made["run_id"])
    await execution.cancel(desk, house.acme.agent, run_id)
    await execution.advance_run(desk, house.acme.engine, run_id)
    await shelf.save(desk, house.acme.owner, runbook_text(made["name"]) + "# said again\n")
    page = await visitor(house.acme.agent, f"/runs/{run_id}")
    await page.get_by_label("Version").select_option("2")
    await page.get_by_role("button", name="Play it again").click()
    await expect(page.get_by_role("heading", name="What would be different")).to_be_visible()
    await expect(page.get_by_role("row", name="Verdict")).to_contain_text("Nobody can tell")
    await expect(page.get_by_text("was not recorded")).to_be_visible()
    await page.get_by_label("Settings, as YAML").fill("signature: mine")
    await page.get_by_role("button", name="Play it again").click()
    await expect(page.get_by_role("alert")).to_contain_text("Not known here: signature")
