"""The journeys of a support team, from the sign-in to the ticket that is resolved."""

from __future__ import annotations

import re
from uuid import UUID

from browser_cast import PASSWORD, House, Visitor, Watch
from playwright.async_api import expect

from asoe.desk import approval, knowledge, service_level, session, sign_in, ticket
from asoe.desk.incident import handling
from asoe.desk.incident.handling import Wanted
from asoe.desk.intake import NewContact
from asoe.store import sign_ins


async def test_an_agent_signs_in_takes_over_answers_and_resolves(house: House, visitor: Visitor) -> None:
    await sign_ins.set_password(
        str(house.app.owner_url), "ben.agent@acme.example", await sign_in.hash_password(PASSWORD)
    )
    opened = await house.ticket(house.acme, subject="Take me over")
    page = await visitor(path=f"/tickets/{opened.id}")
    await expect(page).to_have_url(re.compile("/sign-in"))
    await page.get_by_label("E-mail").fill("ben.agent@acme.example")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="Take me over")).to_be_visible()
    await page.get_by_role("button", name="Take over", exact=True).click()
    await expect(page.locator("#toasts")).to_contain_text("It is yours")
    await expect(page.locator("#acts")).not_to_contain_text("Take over")
    await page.get_by_role("button", name="Use as reply").or_(page.get_by_label("Your words")).first.click()
    await page.get_by_label("Your words").fill("Your invoice is under Billing › Invoices.")
    await page.get_by_role("button", name="Send and resolve").click()
    await expect(page.locator(".conversation")).to_contain_text("Your invoice is under Billing")
    await expect(page.locator(".ticket-head .chip").nth(1)).to_have_text("Resolved")
    await expect(page.get_by_label("Your words")).to_have_value("")
    now = await house.read(house.acme, opened.id)
    assert now.status == "resolved"
    assert now.assignee == house.acme.agent.user_id
    assert now.resolution["verdict"] == "unverified"
    await page.locator("#toasts").get_by_role("button", name="Undo").click()
    await expect(page.locator(".ticket-head .chip").nth(1)).to_have_text("Open")


async def test_the_first_page_is_the_support_center(house: House, visitor: Visitor) -> None:
    await house.ticket(house.acme)
    page = await visitor(house.acme.agent)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Support Center")
    await page.get_by_text("What does this mean?").first.click()
    await expect(page.get_by_text("every required field of the dossier")).to_be_visible()
    await page.get_by_role("link", name="30 days").click()
    await expect(page).to_have_url(re.compile("period=month"))


async def test_the_first_page_says_how_far_runbooks_may_go_and_tells_runs_by_name(
    house: House, visitor: Visitor
) -> None:
    made = await house.runbook(house.globex, subject="Seen from the first page")
    page = await visitor(house.globex.agent, "/?period=month")
    far = page.locator(".card", has=page.get_by_role("heading", name="How far runbooks may go by themselves"))
    await expect(far.locator("li", has=page.locator(f'a[href="/runbooks/{made["name"]}"]'))).to_contain_text("judged")
    activity = page.locator(".card", has=page.get_by_role("heading", name="Activity"))
    await expect(activity).to_contain_text(f"{made['name']}: started")


async def test_a_wrong_triage_is_corrected_in_one_click_and_taken_back(house: House, visitor: Visitor) -> None:
    opened = await house.ticket(house.acme, subject="My invoice shows a crash")
    page = await visitor(house.acme.agent, f"/tickets/{opened.id}")
    await page.get_by_role("button", name="Correct the category to General").click()
    await expect(page.locator("#toasts")).to_contain_text("The engine learns from it")
    await expect(page.locator(".aside")).to_contain_text("corrected by a person")
    assert (await house.read(house.acme, opened.id)).category == "general"
    await page.locator("#toasts").get_by_role("button", name="Undo").click()
    await expect(page.locator("#toasts")).to_contain_text("Taken back")
    assert (await house.read(house.acme, opened.id)).category == opened.category


async def test_an_article_is_written_previewed_published_and_retired(house: House, visitor: Visitor) -> None:
    page = await visitor(house.acme.agent, "/knowledge")
    await page.get_by_role("link", name="New article").click()
    await page.get_by_label("Title").fill("Where invoices are")
    await page.get_by_label("Short name in addresses").fill("where-invoices-are")
    await page.get_by_label("Article (Markdown)").fill(
        "## Find them\n\nOpen **Billing**.\n\n<img src=x onerror=alert(1)>"
    )
    await expect(page.locator("#preview strong")).to_have_text("Billing")
    await expect(page.locator("#preview")).to_contain_text("<img src=x")
    assert await page.locator("#preview img").count() == 0
    await page.get_by_role("button", name="Save and publish").click()
    await expect(page.get_by_role("heading", name="Where invoices are")).to_be_visible()
    await expect(page.locator(".chip").first).to_have_text("Published")
    found = await knowledge.list_articles(house.app.desk, house.acme.client, limit=50)
    assert "where-invoices-are" in [each.text.slug for each in found.items]
    await page.get_by_role("button", name="Retire").click()
    await expect(page.locator(".chip").first).to_have_text("Retired")


async def test_two_agents_on_one_ticket_see_what_the_other_does(house: House, visitor: Visitor) -> None:
    opened = await house.ticket(house.acme, subject="For two")
    ben = await visitor(house.acme.agent, f"/tickets/{opened.id}")
    cleo = await visitor(house.acme.owner, f"/tickets/{opened.id}")
    await cleo.get_by_label("Your words").fill("half a sentence")
    await ben.get_by_label("Your words").fill("Ben answers.")
    await ben.get_by_role("button", name="Send", exact=True).click()
    await expect(cleo.locator(".conversation")).to_contain_text("Ben answers.")
    await expect(cleo.get_by_label("Your words")).to_have_value("half a sentence")
    await expect(cleo.locator("#assignee")).to_have_value(str(house.acme.agent.user_id))
    await cleo.get_by_role("button", name="Take over", exact=True).click()
    await expect(ben.locator("#assignee")).to_have_value(str(house.acme.owner.user_id))


async def test_a_refusal_is_told_in_words_and_loses_nothing(house: House, visitor: Visitor, watch: Watch) -> None:
    watch.expected = ("status of 422",)
    opened = await house.ticket(house.acme, subject="To be refused")
    page = await visitor(house.acme.agent, f"/tickets/{opened.id}")
    await page.get_by_label("Your words").fill("   ")
    await page.get_by_role("button", name="Send", exact=True).click()
    await expect(page.locator("#toasts")).to_contain_text("content: is empty")
    await expect(page.get_by_label("Your words")).to_have_value("   ")
    await ticket.move_ticket(house.app.desk, house.acme.owner, opened.id, "resolved")
    await expect(page.locator(".ticket-head .chip").nth(1)).to_have_text("Resolved")


async def test_another_organizations_ticket_is_not_found(house: House, visitor: Visitor, watch: Watch) -> None:
    watch.expected = ("404",)
    theirs = await house.ticket(house.globex, subject="A secret of Globex")
    page = await visitor(house.acme.owner, f"/tickets/{theirs.id}")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Not found")
    assert "secret" not in await page.content()


async def test_a_lost_connection_is_told_and_made_up_for(house: House, visitor: Visitor, watch: Watch) -> None:
    watch.expected = ("ERR_INTERNET_DISCONNECTED", "Failed to fetch", "network error", "ERR_NETWORK")
    opened = await house.ticket(house.acme, subject="On a train")
    page = await visitor(house.acme.agent, f"/tickets/{opened.id}")
    await expect(page.locator("[data-live=on]")).to_be_attached()
    await page.context.set_offline(True)
    await expect(page.locator("#line")).to_be_visible()
    assert opened.session_id is not None
    await session.add_message(house.app.desk, house.acme.engine, opened.session_id, "user", "Written in the tunnel.")
    await page.context.set_offline(False)
    await expect(page.locator(".conversation")).to_contain_text("Written in the tunnel.")
    await expect(page.locator("#line")).to_be_hidden()


async def test_the_queue_lives_without_jumping(house: House, visitor: Visitor) -> None:
    opened = await house.ticket(house.acme, subject="A row that changes")
    page = await visitor(house.acme.agent, "/queue?view=all")
    await expect(page.locator("[data-live=on]")).to_be_attached()
    row = page.locator(f"#t-{opened.id}")
    before = await row.bounding_box()
    await ticket.change_ticket(house.app.desk, house.acme.owner, opened.id, {"severity": "high"})
    await expect(row.locator(".severity-high")).to_be_visible()
    fresh = await house.ticket(house.acme, subject="A new one")
    await expect(page.locator("#news")).to_be_visible()
    assert await page.locator(f"#t-{fresh.id}").count() == 0
    after = await row.bounding_box()
    assert before is not None
    assert after is not None
    assert after["y"] - before["y"] < 60  # the pill alone; no row came in between
    await page.locator("#news a").click()
    await expect(page.locator(f"#t-{fresh.id}")).to_be_visible()


async def test_many_are_closed_at_once_and_opened_again(house: House, visitor: Visitor) -> None:
    made = [await house.ticket(house.acme, subject=f"Bulk {number}") for number in range(3)]
    page = await visitor(house.acme.agent, "/queue?view=all")
    for each in made:
        await page.get_by_label(f"Select ticket {each.number}", exact=True).check()
    await page.locator(".bulk").get_by_role("button", name="Close").click()
    await expect(page.locator("#toasts")).to_contain_text("3 tickets closed.")
    assert {(await house.read(house.acme, each.id)).status for each in made} == {"closed"}
    await page.locator("#toasts").get_by_role("button", name="Undo").click()
    await expect(page.locator("#toasts")).to_contain_text("Taken back.")
    assert {(await house.read(house.acme, each.id)).status for each in made} == {"open"}


async def test_a_whole_page_is_given_to_a_colleague_and_taken_back(house: House, visitor: Visitor) -> None:
    made = [await house.ticket(house.acme, subject="Heliograph", body=f"Number {number}") for number in range(3)]
    page = await visitor(house.acme.owner, "/queue?view=all&q=heliograph")
    await page.keyboard.press("Shift+X")
    await expect(page.get_by_label("Select all on this page")).to_be_checked()
    await page.get_by_label(f"Select ticket {made[0].number}", exact=True).uncheck()
    await expect(page.get_by_label("Select all on this page")).not_to_be_checked()
    await page.get_by_label("Give to").select_option(str(house.acme.agent.user_id))
    await page.get_by_role("button", name="Give", exact=True).click()
    await expect(page.locator("#toasts")).to_contain_text("2 tickets given to Ben.")
    ben = house.acme.agent.user_id
    assert [(await house.read(house.acme, each.id)).assignee == ben for each in made] == [False, True, True]
    await page.locator("#toasts").get_by_role("button", name="Undo").click()
    await expect(page.locator("#toasts")).to_contain_text("Taken back.")
    assert not any([(await house.read(house.acme, each.id)).assignee == ben for each in made])


async def test_taking_over_tagging_and_moving_to_a_team_can_be_taken_back(house: House, visitor: Visitor) -> None:
    opened = await house.ticket(house.acme, subject="Back and forth")
    page = await visitor(house.acme.agent, f"/tickets/{opened.id}")
    toasts = page.locator("#toasts")
    await page.get_by_role("button", name="Take over", exact=True).click()
    await expect(page.get_by_text("quiet: a person speaks")).to_be_visible()
    await toasts.get_by_role("button", name="Undo").click()
    await expect(toasts).to_contain_text("Taken back.")
    await expect(page.get_by_text("quiet: a person speaks")).to_be_hidden()
    assert (await house.read(house.acme, opened.id)).assignee == opened.assignee
    await page.get_by_label("New tag").fill("vip")
    await page.keyboard.press("Enter")
    await expect(toasts).to_contain_text("Tagged.")
    await page.get_by_role("button", name="Remove the tag vip").click()
    await expect(toasts).to_contain_text("The tag is gone.")
    await toasts.get_by_role("button", name="Undo").last.click()
    await expect(page.get_by_role("button", name="Remove the tag vip")).to_be_visible()
    assert (await house.read(house.acme, opened.id)).tags == ("vip",)


async def test_pages_of_incidents_and_approvals_follow_what_happens(house: House, visitor: Visitor) -> None:
    waiting = await visitor(house.acme.agent, "/approvals")
    going = await visitor(house.acme.agent, "/incidents")
    for page in (waiting, going):
        await expect(page.locator("[data-live=on]")).to_be_attached()
    await going.get_by_text("Open an incident").click()
    await going.get_by_label("What is wrong, for your team").fill("half a sentence")
    made = await house.runbook(house.acme, subject="While you look")
    card = waiting.locator("article.card", has=waiting.locator(f'a[href="/approvals/{made["approval_id"]}"]'))
    await expect(card).to_be_visible()
    await approval.decide(house.app.desk, house.acme.agent, UUID(made["approval_id"]), "refuse", "")
    await expect(card).to_have_count(0)
    opened = await handling.open_incident(house.app.desk, house.acme.owner, Wanted("Seen at once", intent="timeouts"))
    await expect(going.get_by_role("link", name="Seen at once")).to_be_visible()
    await expect(going.get_by_label("What is wrong, for your team")).to_have_value("half a sentence")
    await going.get_by_role("link", name="Seen at once").click()
    await expect(going.locator("[data-live=on]")).to_be_attached()
    await handling.dismiss(house.app.desk, house.acme.owner, opened.id)
    await expect(going.locator(".chip").first).to_have_text("Dismissed")


async def test_tickets_are_found_by_words_number_and_filters(house: House, visitor: Visitor) -> None:
    opened = await house.ticket(house.acme, subject="Xylophone strings are broken")
    page = await visitor(house.acme.agent, "/queue")
    await page.get_by_label("Search tickets").fill("xylophone")
    await page.keyboard.press("Enter")
    await expect(page.locator(".tickets .subject")).to_have_text(["Xylophone strings are broken"])
    await page.get_by_label("Search tickets").fill(f"#{opened.number}")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(str(opened.id)))
    await page.goto("/queue?view=all&q=xylophone&severity=low")
    await expect(page.get_by_text("No ticket fits")).to_be_visible()


async def test_all_that_a_client_ever_wrote_is_one_click_away(house: House, visitor: Visitor) -> None:
    who = NewContact(email="often@example.com", name="Olga <b>often</b>")
    made = [await house.ticket(house.acme, subject=f"Often {number}", contact=who) for number in range(2)]
    other = await house.ticket(house.acme, subject="Of somebody else")
    page = await visitor(house.acme.agent, f"/tickets/{made[0].id}")
    await page.get_by_role("link", name="All tickets of this client").click()
    await expect(page.locator(".tickets .subject")).to_have_text(["Often 1", "Often 0"])
    await page.get_by_role("link", name="Client: Olga <b>often</b>").click()
    await expect(page.locator(f"#t-{other.id}")).to_be_visible()


async def test_an_invited_person_chooses_a_password_and_is_in(house: House, visitor: Visitor) -> None:
    owner = await visitor(house.acme.owner, "/settings/members")
    await owner.get_by_label("E-mail").fill("dana@acme.example")
    await owner.get_by_role("button", name="Invite", exact=True).click()
    link = await owner.locator("#link").inner_text()
    dana = await visitor(path=link.replace(house.url, ""))
    await dana.get_by_label("Your name").fill("Dana")
    await dana.get_by_label("Choose a password").fill(PASSWORD)
    await dana.get_by_role("button", name="Join").click()
    await expect(dana.get_by_role("heading", level=1)).to_have_text("Support Center")
    await dana.goto("/profile")
    await dana.get_by_role("button", name="Sign out everywhere").click()
    await expect(dana).to_have_url(re.compile("/sign-in"))
    await dana.get_by_label("E-mail").fill("dana@acme.example")
    await dana.get_by_label("Password").fill(PASSWORD)
    await dana.get_by_role("button", name="Sign in").click()
    await expect(dana.get_by_role("heading", level=1)).to_have_text("Support Center")


async def test_a_key_is_shown_once(house: House, visitor: Visitor) -> None:
    page = await visitor(house.acme.owner, "/settings/keys")
    await page.get_by_role("textbox", name="Name").fill("for a test")
    await page.get_by_role("button", name="Make the key").click()
    token = await page.locator("#token").inner_text()
    assert token.startswith("asoe_")
    await page.goto("/settings/keys")
    assert token not in await page.content()
    await page.get_by_role("button", name="Revoke the key for a test").click()
    await expect(page.locator("#toasts")).to_contain_text("revoked for good")


async def test_the_chosen_theme_stays(house: House, visitor: Visitor) -> None:
    page = await visitor(house.acme.agent)
    await page.locator("details.menu summary").click()
    await page.get_by_role("button", name="Light or dark").click()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await page.reload()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")


async def test_a_promise_is_set_in_settings_and_seen_on_the_ticket(
    house: House, visitor: Visitor, watch: Watch
) -> None:
    watch.expected = ("422",)
    page = await visitor(house.globex.owner, "/settings/service-levels")
    await page.get_by_label("First response").nth(0).fill("15 minutes")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("alert")).to_contain_text("no time such as 30m")
    for row in range(4):
        await page.get_by_label("First response").nth(row).fill("1h")
    await page.get_by_label("Name").last.fill("office")
    await page.get_by_label("Time zone").last.fill("Europe/Berlin")
    await page.get_by_label("Monday").last.fill("09:00-12:00, 13:00-17:00")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("#toasts")).to_contain_text("Saved")
    await expect(page.get_by_label("Monday").first).to_have_value("09:00-12:00, 13:00-17:00")
    ticket = await house.ticket(house.globex)
    await service_level.look(house.app.desk, house.globex.engine, ticket.id)
    await page.goto(f"/tickets/{ticket.id}")
    await expect(page.get_by_role("region", name="Service levels")).to_contain_text("due in")
    await page.goto("/queue")
    await expect(page.locator(f"#t-{ticket.id}")).to_contain_text("first response due in")


async def test_filters_are_kept_under_a_name_and_shared(house: House, visitor: Visitor) -> None:
    page = await visitor(house.acme.agent, "/queue?view=all&category=billing")
    await page.get_by_label("Name of the view").fill("Bills <b>")
    await page.get_by_label("For the team").check()
    await page.get_by_role("button", name="Save view").click()
    tab = page.get_by_label("Views").get_by_role("link", name="Bills <b> shared")
    await expect(tab).to_have_attribute("aria-current", "page")
    other = await visitor(house.acme.admin, "/queue")
    await other.get_by_label("Views").get_by_role("link", name="Bills <b> shared").click()
    await expect(other).to_have_url(re.compile("category=billing"))
    await page.get_by_role("button", name="Remove this view").click()
    await expect(tab).to_have_count(0)
    await page.get_by_role("button", name="Undo").click()
    await expect(tab).to_have_attribute("aria-current", "page")
