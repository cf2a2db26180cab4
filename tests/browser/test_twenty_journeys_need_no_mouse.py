"""The twenty journeys of a person (docs/dashboard.md), each without a mouse: Tab finds what is wanted, and a key does it.

Those that no other test walks with the mouse are walked with it here, too. The seventh, a client's chat to a verified fix, needs the
demo's estate: `test_a_chat_ends_in_a_verified_fix`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
from browser_cast import PASSWORD, House, Visitor, Watch
from playwright.async_api import Locator, Page, expect

from asoe.desk import approval, audit, autonomy, session, sign_in, widget, wish
from asoe.desk.widget import WidgetChange
from asoe.store import sign_ins
from cast import make_wish

MOST_TABS = 150


@dataclass
class Hands:
    """Somebody at a keyboard."""

    page: Page

    async def reach(self, target: Locator, *, back: bool = False) -> None:
        """Tab until it has the focus; a fresh page is entered over "Skip to the content"."""
        await expect(target).to_be_visible()
        if not back and await self.page.evaluate("document.activeElement === document.body"):
            await self.page.keyboard.press("Tab")
            await self.page.keyboard.press("Enter")
        for _ in range(MOST_TABS):
            if await target.evaluate("element => element === document.activeElement"):
                return
            await self.page.keyboard.press("Shift+Tab" if back else "Tab")
        raise AssertionError(f"{MOST_TABS} times Tab did not get to {target}")

    async def press(self, name: str | re.Pattern[str], *, role: str = "button", back: bool = False) -> None:
        found = self.page.get_by_role(role, name=name, exact=isinstance(name, str)).first  # type: ignore[arg-type]
        await self.reach(found, back=back)
        await self.page.keyboard.press("Enter")

    async def write(self, label: str, text: str) -> None:
        await self.reach(self.page.get_by_label(label).first)
        await self.page.keyboard.type(text)

    async def choose(self, label: str, value: str) -> None:
        """Down the list until it is there; typing its first letters depends on how fast they come."""
        field = self.page.get_by_label(label).first
        await self.reach(field)
        for _ in range(MOST_TABS):
            if await field.input_value() == value:
                return
            await self.page.keyboard.press("ArrowDown")
        raise AssertionError(f"{label} has no {value}")

    async def tick(self, label: str) -> None:
        await self.reach(self.page.get_by_label(label).first)
        await self.page.keyboard.press("Space")

    async def submit(self) -> None:
        await self.page.keyboard.press("Enter")

    async def begin(self, kind: str) -> None:
        """To the composer, for a reply or an internal note."""
        await self.page.keyboard.press({"Reply": "r", "Internal note": "n"}[kind])

    async def send(self) -> None:
        await self.page.keyboard.press("Control+Enter")
        await self.page.keyboard.press("Escape")

    async def unfold(self, words: str) -> None:
        await self.reach(self.page.locator("summary", has_text=words).first)
        await self.page.keyboard.press("Enter")

    async def undo(self) -> None:
        """The toast is the last thing on the page, so it is the first backwards."""
        await self.reach(self.page.locator("#toasts").get_by_role("button", name="Undo"), back=True)
        await self.page.keyboard.press("Enter")


class Mouse(Hands):
    """The same person with a mouse: nothing is reached by Tab, and only words are typed."""

    async def reach(self, target: Locator, *, back: bool = False) -> None:
        await target.click()

    async def press(self, name: str | re.Pattern[str], *, role: str = "button", back: bool = False) -> None:
        await self.page.get_by_role(role, name=name, exact=isinstance(name, str)).first.click()  # type: ignore[arg-type]

    async def choose(self, label: str, value: str) -> None:
        await self.page.get_by_label(label).first.select_option(value)

    async def tick(self, label: str) -> None:
        await self.page.get_by_label(label).first.check()

    async def unfold(self, words: str) -> None:
        await self.page.locator("summary", has_text=words).first.click()

    async def undo(self) -> None:
        await self.page.locator("#toasts").get_by_role("button", name="Undo").click()

    async def submit(self) -> None:
        await self.press("Show")

    async def begin(self, kind: str) -> None:
        await self.page.get_by_text(kind, exact=True).click()
        await self.page.get_by_label("Your words").click()

    async def send(self) -> None:
        await self.press("Send")


both = pytest.mark.parametrize("hands_of", [Hands, Mouse], ids=["keys", "mouse"])


async def test_01_sign_in_take_over_answer_resolve(house: House, visitor: Visitor) -> None:
    await sign_ins.set_password(
        str(house.app.owner_url), "ben.agent@acme.example", await sign_in.hash_password(PASSWORD)
    )
    opened = await house.ticket(house.acme, subject="Keys one")
    page = await visitor(path=f"/tickets/{opened.id}")
    await page.keyboard.type("ben.agent@acme.example")
    await page.keyboard.press("Tab")
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Keys one")).to_be_visible()
    hands = Hands(page)
    await hands.press("Take over")
    await expect(page.locator("#toasts")).to_contain_text("It is yours")
    await page.keyboard.press("r")
    await page.keyboard.type("Under Billing.")
    await hands.press("Send and resolve")
    await expect(page.locator(".ticket-head .chip").nth(1)).to_have_text("Resolved")
    assert (await house.read(house.acme, opened.id)).status == "resolved"


async def test_02_approve_an_act_of_money(house: House, visitor: Visitor) -> None:
    made = await house.runbook(house.acme, subject="Keys two", risk="costly")
    before = await approval.read_approval(house.app.desk, house.acme.agent, made["approval_id"])
    page = await visitor(house.acme.agent, f"/tickets/{before.ticket_id}")
    hands = Hands(page)
    await hands.write("Reason", "It was charged twice")
    await hands.press("Approve")
    await expect(page.get_by_text("Agreed: the run goes on.")).to_be_visible()
    await expect(page).to_have_url(re.compile(f"/tickets/{before.ticket_id}"))
    after = await approval.read_approval(house.app.desk, house.acme.agent, made["approval_id"])
    assert after.status == "approved"


async def test_03_refuse_an_act(house: House, visitor: Visitor) -> None:
    made = await house.runbook(house.acme, subject="Keys three")
    page = await visitor(house.acme.agent, f"/approvals/{made['approval_id']}")
    await Hands(page).press("Refuse")
    await expect(page.get_by_text("Refused: the ticket goes to a person.")).to_be_visible()


async def test_04_correct_a_triage_and_take_it_back(house: House, visitor: Visitor) -> None:
    opened = await house.ticket(house.acme, subject="My invoice shows a crash, keys")
    page = await visitor(house.acme.agent, f"/tickets/{opened.id}")
    hands = Hands(page)
    await hands.press("Correct the category to General")
    await expect(page.locator(".aside")).to_contain_text("corrected by a person")
    await hands.undo()
    await expect(page.locator("#toasts")).to_contain_text("Taken back")
    assert (await house.read(house.acme, opened.id)).category == opened.category


async def test_05_write_and_publish_an_article(house: House, visitor: Visitor) -> None:
    page = await visitor(house.acme.agent, "/knowledge")
    hands = Hands(page)
    await hands.press("New article", role="link")
    await hands.write("Title", "With keys")
    await hands.write("Short name in addresses", "with-keys")
    await hands.write("Article (Markdown)", "Open **Billing**.")
    await expect(page.locator("#preview strong")).to_have_text("Billing")
    await hands.press("Save and publish")
    await expect(page.locator(".chip").first).to_have_text("Published")


async def test_06_stop_every_act_and_allow_them_again(house: House, visitor: Visitor) -> None:
    page = await visitor(house.globex.owner, "/runbooks")
    hands = Hands(page)
    await hands.write("Why", "it goes wrong")
    await hands.press("Stop all acts")
    await expect(page.get_by_role("heading", name="No runbook acts")).to_be_visible()
    assert await autonomy.stop_reason(house.app.desk, house.globex.owner) == "it goes wrong"
    await hands.press("Allow acts again")
    await expect(page.get_by_role("heading", name="Emergency stop")).to_be_visible()


async def test_08_go_through_a_tunnel(house: House, visitor: Visitor, watch: Watch) -> None:
    watch.expected = ("ERR_INTERNET_DISCONNECTED", "Failed to fetch", "network error", "ERR_NETWORK")
    opened = await house.ticket(house.acme, subject="Keys eight")
    page = await visitor(house.acme.agent, f"/tickets/{opened.id}")
    await expect(page.locator("[data-live=on]")).to_be_attached()
    await page.keyboard.press("r")
    await page.keyboard.type("Half a sen")
    await page.context.set_offline(True)
    await expect(page.locator("#line")).to_be_visible()
    await page.keyboard.type("tence, and the rest.")
    await page.context.set_offline(False)
    await expect(page.locator("#line")).to_be_hidden()
    await page.keyboard.press("Control+Enter")
    await expect(page.locator(".conversation")).to_contain_text("Half a sentence, and the rest.")


async def test_09_two_people_on_one_ticket(house: House, visitor: Visitor) -> None:
    opened = await house.ticket(house.acme, subject="Keys nine")
    ben = await visitor(house.acme.agent, f"/tickets/{opened.id}")
    cleo = await visitor(house.acme.owner, f"/tickets/{opened.id}")
    await ben.keyboard.press("r")
    await ben.keyboard.type("I am at it")
    await expect(cleo.locator("#present")).to_contain_text("is writing")
    await ben.keyboard.press("Control+Enter")
    await expect(cleo.locator(".conversation")).to_contain_text("I am at it")
    await Hands(cleo).press("Take over")
    await expect(ben.locator("#assignee")).to_have_value(str(house.acme.owner.user_id))


async def test_10_somebody_elses_address(house: House, visitor: Visitor, watch: Watch) -> None:
    watch.expected = ("404",)
    theirs = await house.ticket(house.globex, subject="A secret of Globex")
    page = await visitor(house.acme.agent, f"/tickets/{theirs.id}")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Not found")
    await Hands(page).press("Go to the first page", role="link")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Support Center")


async def test_11_find_a_ticket_and_keep_the_search(house: House, visitor: Visitor) -> None:
    await house.ticket(house.acme, subject="Quetzal feathers are missing")
    page = await visitor(house.acme.agent, "/queue")
    hands = Hands(page)
    await page.keyboard.press("/")
    await page.keyboard.type("quetzal")
    await page.keyboard.press("Enter")
    await expect(page.locator(".tickets .subject")).to_have_text(["Quetzal feathers are missing"])
    await hands.write("Name of the view", "Birds")
    await hands.press("Save view")
    await expect(page.get_by_label("Views").get_by_role("link", name="Birds")).to_have_attribute("aria-current", "page")


async def test_12_close_many_and_take_it_back(house: House, visitor: Visitor) -> None:
    made = [await house.ticket(house.acme, subject=f"Keys twelve {number}") for number in range(2)]
    page = await visitor(house.acme.agent, "/queue?view=all")
    await expect(page.locator("[data-live=on]")).to_be_attached()
    for key in "jxjx":
        await page.keyboard.press(key)
    await page.keyboard.press("e")
    await expect(page.locator("#toasts")).to_contain_text("2 tickets closed.")
    await Hands(page).undo()
    await expect(page.locator("#toasts")).to_contain_text("Taken back.")
    assert {(await house.read(house.acme, each.id)).status for each in made} == {"open"}


@both
async def test_13_leave_a_note_and_hand_back_to_the_engine(
    house: House, visitor: Visitor, hands_of: type[Hands]
) -> None:
    opened = await house.ticket(house.acme, subject="Keys thirteen")
    assert opened.session_id is not None
    await session.take_over(house.app.desk, house.acme.agent, opened.session_id)
    page = await visitor(house.acme.agent, f"/tickets/{opened.id}")
    hands = hands_of(page)
    await hands.begin("Internal note")
    await page.keyboard.type("For Cleo only.")
    await hands.send()
    await expect(page.locator(".message.internal")).to_contain_text("For Cleo only.")
    await hands.press("Hand back to the engine", back=True)
    await expect(page.locator("#toasts")).to_contain_text("The engine looks at it again.")
    await hands.undo()
    await expect(page.locator("#toasts")).to_contain_text("Taken back.")
    assert (await house.read(house.acme, opened.id)).assignee == house.acme.agent.user_id


async def test_14_try_a_runbook_on_a_ticket(house: House, visitor: Visitor) -> None:
    made = await house.runbook(house.acme, subject="Keys fourteen")
    opened = await house.ticket(house.acme, subject="Try it with keys")
    page = await visitor(house.acme.agent, f"/runbooks/{made['name']}")
    hands = Hands(page)
    await hands.write("Number of a ticket", f"#{opened.number}")
    await hands.press("Dry run")
    await expect(page.get_by_text("Nothing was done")).to_be_visible()


@both
async def test_15_carry_an_incident_from_its_opening_to_its_mend(
    house: House, visitor: Visitor, hands_of: type[Hands]
) -> None:
    page = await visitor(house.globex.owner, "/incidents")
    hands = hands_of(page)
    await hands.unfold("Open an incident")
    await hands.write("What is wrong, for your team", "Exports of <b>March</b>")
    await hands.choose("Tickets of this intent", "data_corruption" if hands_of is Mouse else "rate_limited")
    await hands.write("What clients are told, once", "We know, and are at it.")
    await hands.press("Open")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Exports of <b>March</b>")
    await hands.unfold("Tell all its clients something")
    await hands.write("Said once to each", "Half of it works again.")
    await hands.press("Tell them")
    await expect(page.locator("main")).to_contain_text("Half of it works again.")
    await hands.press("The cause is mended")
    await expect(page.get_by_text("Each ticket is checked on its own now.")).to_be_visible()


@both
async def test_16_ship_a_wish(house: House, visitor: Visitor, hands_of: type[Hands]) -> None:
    opened = await house.ticket(house.acme, subject="Keys sixteen")
    words = f"Folders for <i>workflows</i> of {hands_of.__name__}"
    number = await make_wish(house.app.database, house.acme.engine, opened.id, words)
    page = await visitor(house.acme.agent, "/wishes")
    hands = hands_of(page)
    await hands.press(words, role="link")
    await hands.write("Note to its clients", "They are under Workflows.")
    await hands.press("It exists now: tell them")
    await expect(page.locator("#toasts")).to_contain_text("Shipped")
    assert (await wish.read_wish(house.app.desk, house.acme.agent, number)).wish.status == "shipped"


@both
async def test_17_prove_what_happened(house: House, visitor: Visitor, hands_of: type[Hands]) -> None:
    opened = await house.ticket(house.acme, subject="Keys seventeen")
    page = await visitor(house.acme.owner, "/audit")
    hands = hands_of(page)
    await hands.write("Ticket number", str(opened.number))
    await hands.submit()
    await expect(page.locator("tbody")).to_contain_text("ticket.opened")
    await audit.seal(house.app.desk, house.acme.engine)
    await page.goto("/audit")
    await hands.press("Prove the newest blocks", role="link")
    await expect(page.locator(".chip", has_text="Proved")).to_be_visible()


@both
async def test_18_read_the_figures_and_what_they_mean(house: House, visitor: Visitor, hands_of: type[Hands]) -> None:
    page = await visitor(house.acme.agent, "/insights")
    hands = hands_of(page)
    await hands.press("7 days", role="link")
    await expect(page).to_have_url(re.compile("days=7"))
    await hands.unfold("What does this mean?")
    await expect(page.locator("details.define[open] p").first).to_be_visible()


async def test_19_invite_somebody_who_joins(house: House, visitor: Visitor) -> None:
    page = await visitor(house.acme.owner, "/settings/members")
    hands = Hands(page)
    await hands.write("E-mail", "erin@acme.example")
    await hands.press("Invite")
    link = await page.locator("#link").inner_text()
    erin = await visitor(path=link.replace(house.url, ""))
    joining = Hands(erin)
    await joining.reach(erin.get_by_label("Your name"), back=True)
    await erin.keyboard.type("Erin")
    await joining.write("Choose a password", PASSWORD)
    await erin.keyboard.press("Enter")
    await expect(erin.get_by_role("heading", level=1)).to_have_text("Support Center")


@both
async def test_20_put_the_chat_on_a_site(house: House, visitor: Visitor, hands_of: type[Hands]) -> None:
    await widget.change_widget(house.app.desk, house.globex.owner, WidgetChange(is_on=False, origins=()))
    page = await visitor(house.globex.owner, "/settings/widget")
    hands = hands_of(page)
    await hands.tick("Clients can use the chat")
    await hands.write("Pages that may show it", "https://www.globex.example")
    await hands.press("Save")
    await expect(page.locator("#toasts")).to_contain_text("Saved")
    await hands.press(re.compile("Make (the|a new) secret"))
    await expect(page.locator("#token")).to_be_visible()
    found = await widget.read_widget(house.app.desk, house.globex.owner)
    assert found.is_on
    assert found.origins == ("https://www.globex.example",)
