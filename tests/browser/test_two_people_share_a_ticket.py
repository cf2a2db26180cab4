"""Two people on one ticket see each other write, what crossed is not sent, and texts are put in without being sent."""

from __future__ import annotations

from browser_cast import House, Visitor, Watch
from playwright.async_api import expect

from asoe.desk import canned_reply, session
from asoe.domain.organization import Principal


async def says(house: House, who: Principal, ticket_id: object, text: str) -> None:
    async with house.app.database.org_reading(who) as connection:
        found = await connection.fetchval("select id from public.support_sessions where ticket_id = $1", ticket_id)
    await session.add_message(house.app.desk, who, found, "agent", text)


async def test_one_sees_the_other_write_and_does_not_talk_over_it(house: House, visitor: Visitor, watch: Watch) -> None:
    watch.expected = ("409",)
    opened = await house.ticket(house.acme, subject="Both of us")
    ben = await visitor(house.acme.agent, f"/tickets/{opened.id}")
    cleo = await visitor(house.acme.owner, f"/tickets/{opened.id}")
    await expect(ben.locator("#present")).to_contain_text("Cleo is here")
    await cleo.get_by_label("Your words").fill("I will look")
    await expect(ben.locator("#present")).to_contain_text("Cleo is writing")
    await cleo.get_by_text("Internal note", exact=True).click()
    await expect(ben.locator("#present")).to_contain_text("Cleo is writing a note")
    await cleo.get_by_text("Reply", exact=True).click()
    await ben.get_by_label("Your words").fill("So will I")
    await expect(ben.locator("#present")).to_contain_text("You are both writing")
    await ben.close()
    await expect(cleo.locator("#present")).not_to_contain_text("Ben")
    # what was said since the page was shown is read before anything is sent
    await cleo.context.set_offline(True)
    await says(house, house.acme.admin, opened.id, "It was faster")
    await cleo.context.set_offline(False)
    await cleo.evaluate(
        "() => { const seen = document.querySelector('[name=seen_seq]'); seen.value = '1'; seen.form.requestSubmit(); }"
    )
    await expect(cleo.locator("#toasts")).to_contain_text("A colleague wrote meanwhile")
    await expect(cleo.get_by_label("Your words")).to_have_value("I will look")
    await expect(cleo.locator(".conversation")).to_contain_text("It was faster")
    await cleo.get_by_role("button", name="Send", exact=True).click()
    await expect(cleo.locator(".conversation")).to_contain_text("I will look")


async def test_a_canned_reply_and_a_draft_are_put_in_and_not_sent(house: House, visitor: Visitor, watch: Watch) -> None:
    watch.expected = ("422",)
    desk, owner = house.app.desk, house.acme.owner
    page = await visitor(owner, "/settings/replies")
    form = page.locator("form", has=page.get_by_role("heading", name="A new one"))
    await form.get_by_label("Short name").fill("hello")
    await form.get_by_label("Title").fill("Say hello")
    await form.get_by_label("Text").fill("Dear {{client.salary}}")
    await form.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("alert")).to_contain_text("client.salary")
    await form.get_by_label("Text").fill("Dear {{client.name}}, <b>hello</b>")
    await form.get_by_role("button", name="Save").click()
    await expect(page.locator(".lines")).to_contain_text("Say hello")
    await canned_reply.put_reply(desk, owner, "team", title="Name the team", body="From {{team.name}}")
    opened = await house.ticket(house.acme, subject="Put it in")
    await page.goto(f"/tickets/{opened.id}")
    await page.get_by_label("Your words").fill("First.")
    await page.get_by_text("Canned replies").click()
    await page.get_by_role("link", name="Say hello").click()
    await expect(page.get_by_label("Your words")).to_have_value("First.\n\nDear Ana, <b>hello</b>")
    await page.get_by_role("button", name="Draft", exact=True).click()
    await expect(page.locator("#toasts")).to_contain_text("nothing to draft from")
    assert (await house.read(house.acme, opened.id)).first_response_at == opened.first_response_at
