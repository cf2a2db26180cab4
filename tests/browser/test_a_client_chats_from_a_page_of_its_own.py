"""A client's chat on a shop's page: to a cited answer, to a person, through a lost connection and a reload; by keys alone."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from browser_cast import House, Watch
from chat_cast import answer_once, set_up, signed
from playwright.async_api import Browser, Page, Route, expect
from structlog.testing import capture_logs
from test_every_page_is_accessible import check

from asoe.desk import journey, people, presence, resolution, session, widget
from asoe.desk.widget import WidgetChange
from asoe.domain.ticket import Ticket
from asoe.store import sessions, tickets
from cast import Org, make_org

SHOP = "http://shop.example"
EVIL = "http://evil.example"
HOSTILE = '<img src=x onerror="alert(1)"> [go](javascript:alert(2)) **<b>bold</b>** \u202e"><script>alert(3)</script>'
_number = itertools.count(1)
_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Shop</title></head><body><main><h1>Our shop</h1><p>Shoes, and more shoes.</p></main>
<script src="{desk}/widget.js" data-org="shoes" {more} async></script></body></html>"""

Shop = Callable[..., Awaitable[Page]]


@pytest.fixture(scope="session")
async def shoes(house: House) -> Org:
    """An organization of its own: what other tests leave behind in Acme would answer, or hand over."""
    made = await make_org(str(house.app.owner_url), "shoes")
    await people.change_organization(house.app.desk, made.owner, settings={"answer_threshold": 0})
    return made


@pytest.fixture
async def secret(house: House, shoes: Org) -> str:
    """Its widget, on the shop's pages and our own."""
    return await set_up(
        house.app,
        shoes.owner,
        origins=[SHOP],
        shows_help=True,
        accent="#0b7a5c",
        greetings={"en": "Hi, this is Shoes.", "de": "Hallo, hier ist Shoes."},
    )


@pytest.fixture(autouse=True)
def _knows_one_article(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """And takes words for nothing: only buttons tell what a client means."""

    async def read_reply(*_: Any) -> str:
        return "other"

    monkeypatch.setattr(resolution, "find_answer", answer_once)
    monkeypatch.setattr(type(house.app.desk.ai), "read_reply", read_reply)


@pytest.fixture
async def shop(house: House, browser: Browser, watch: Watch, secret: str) -> AsyncIterator[Shop]:
    """Opens the shop as a client, signed by the shop's server, or a visitor."""
    contexts = []

    async def come(
        client: str | None = None, *, site: str = SHOP, theme: str = "light", context: Any = None, **options: Any
    ) -> Page:
        if context is None:
            context = await browser.new_context(color_scheme=theme, **options)  # type: ignore[arg-type]
            context.set_default_timeout(30_000)
            contexts.append(context)
        identity = f'data-identity="{signed(secret, sub=client, name="Ana")}"' if client else ""
        policy = f"default-src 'none'; script-src {house.url}; frame-src {house.url}"

        async def serve(route: Route) -> None:
            body = _PAGE.format(desk=house.url, more=identity)
            await route.fulfill(body=body, content_type="text/html", headers={"Content-Security-Policy": policy})

        await context.route(f"{site}/**", serve)
        page = await context.new_page()
        watch.over(page)
        await page.goto(f"{site}/shoes?secret=1")
        return page

    yield come
    for context in contexts:
        await context.close()
    assert not watch.troubles


def named() -> str:
    return f"ana-{next(_number)}"


async def open_chat(page: Page) -> Any:
    """By the page's own script; the shadow root is closed, so that nothing of the page can reach in."""
    await page.wait_for_selector("asoe-chat:not([hidden])", state="attached")
    await page.evaluate("asoeChat.open()")
    return chat_of(page)


def chat_of(page: Page) -> Any:
    return next(frame for frame in page.frames if "/widget/" in frame.url)


async def write(chat: Any, text: str) -> None:
    await chat.get_by_label("Your message").fill(text)
    await chat.get_by_role("button", name="Send").click()


async def newest(house: House, shoes: Org) -> Ticket:
    async with house.app.desk.database.org_reading(shoes.engine) as connection:
        found = await tickets.page(connection, shoes.org_id, tickets.TicketFilter(channel=("widget",)), limit=1)
    return found.items[0]


async def carry(house: House, shoes: Org, ticket_id: UUID) -> Ticket:
    """What the worker does."""
    for _ in range(3):
        await journey.carry_on(house.app.desk, shoes.org_id, ticket_id)
    return await house.read(shoes, ticket_id)


async def test_a_client_gets_a_cited_answer_ticks_its_steps_and_says_it_helped(
    house: House, shoes: Org, shop: Shop
) -> None:
    page = await shop(named())
    chat = await open_chat(page)
    await expect(chat.get_by_text("Hi, this is Shoes.")).to_be_visible()
    await write(chat, "Where is the invoice of May?")
    await expect(chat.locator("#typing")).to_be_visible()
    made = await newest(house, shoes)
    assert made.metadata == {"page": f"{SHOP}/shoes"}, "no query: it may hold secrets"
    await carry(house, shoes, made.id)
    answer = chat.locator("article.assistant")
    await expect(answer).to_contain_text("From the article Where invoices are")
    await expect(answer).not_to_contain_text("Reply “yes”")
    await answer.get_by_label("Open Billing").check()
    await expect(answer).to_contain_text("1 of 2 steps done")
    await answer.get_by_text("Sources (1)").click()
    source = answer.get_by_role("link", name="Where invoices are › Find them")
    await expect(source).to_have_attribute("href", "/help/shoes/invoices")
    await page.reload()
    chat = await open_chat(page)
    await expect(chat.get_by_label("Open Billing")).to_be_checked()
    await chat.get_by_role("group", name="Did this help?").get_by_role("button", name="Yes").click()
    await expect(chat.locator("article.own:not(.pending)").last).to_contain_text("Yes, that helped.")
    done = await carry(house, shoes, made.id)
    assert (done.status, done.resolution["verdict"]) == ("resolved", "verified")
    await expect(chat.locator("#state")).to_have_text("Solved. A reply opens it again.")
    await expect(chat.get_by_role("group", name="Did this help?")).to_have_count(0)


async def test_a_question_for_a_consent_is_answered_by_a_button(house: House, shoes: Org, shop: Shop) -> None:
    page = await shop()
    chat = await open_chat(page)
    await write(chat, "Please switch it on again.")
    await expect(chat.locator("article.own:not(.pending)")).to_be_visible()
    made = await newest(house, shoes)
    asks = {"asks": {"slot": "terms", "answers": ["yes", "no"]}}
    async with house.app.desk.database.org_transaction(shoes.engine) as connection:
        spoken = (await sessions.of_ticket(connection, shoes.org_id, made.id))[-1]
        said = {"role": "assistant", "content": "May we?", "author": shoes.engine.user_id, "data": asks}
        await sessions.add(connection, shoes.org_id, spoken, **said)
        await connection.execute(
            "update public.support_tickets set status = 'in_progress', waiting_for = 'client' where id = $1", made.id
        )
    await page.reload()
    chat = await open_chat(page)
    answers = chat.get_by_role("group", name="Your answer:")
    await expect(answers.get_by_role("button")).to_have_text(["Yes", "No"])
    await answers.get_by_role("button", name="Yes").click()
    await expect(chat.locator("article.own:not(.pending)").last).to_contain_text("Yes")
    await expect(answers).to_have_count(0)


async def test_talk_to_a_person_and_read_what_the_person_writes(house: House, shoes: Org, shop: Shop) -> None:
    page = await shop()
    chat = await open_chat(page)
    await chat.get_by_role("button", name="Talk to a person").click()
    await expect(chat.locator("article.own:not(.pending)")).to_contain_text("I would like to talk to a person.")
    made = await newest(house, shoes)
    assert (await carry(house, shoes, made.id)).status == "escalated"
    await expect(chat.locator("#state")).to_contain_text("This is with the team")
    await expect(chat.get_by_role("button", name="Talk to a person")).to_be_hidden()
    await presence.be_present(house.app.desk, shoes.agent, made.id, "writing")
    await expect(chat.locator("#typing")).to_have_text("The Shoes team is writing…")
    async with page.expect_response("**/writing"):
        await chat.get_by_label("Your message").fill("One more")
    assert (await presence.be_present(house.app.desk, shoes.agent, made.id, "noting")).client_writes
    await expect(chat.locator("#typing")).to_be_hidden()
    async with page.expect_response("**/writing"):
        await chat.get_by_label("Your message").fill("")
    assert not (await presence.be_present(house.app.desk, shoes.agent, made.id, "viewing")).client_writes
    await page.evaluate("asoeChat.close()")
    assert made.session_id is not None
    await session.add_message(house.app.desk, shoes.agent, made.session_id, "agent", f"Ben here. {HOSTILE}")
    await expect(chat.locator("article.agent")).to_contain_text(f"Ben here. {HOSTILE}")
    await expect(chat.locator("article.agent .who")).to_have_text("Shoes team")
    await open_chat(page)
    await chat.locator("#files").set_input_files({"name": "<b>proof.txt", "mimeType": "text/plain", "buffer": b"42"})
    await expect(chat.get_by_role("button", name="Download _b_proof.txt")).to_be_visible()
    async with page.expect_download() as loading:
        await chat.get_by_role("button", name="Download").click()
    assert (await (await loading.value).path()).read_bytes() == b"42"


async def test_what_is_written_while_the_line_is_down_is_sent_once(
    house: House, shoes: Org, shop: Shop, watch: Watch
) -> None:
    watch.expected = ("ERR_INTERNET_DISCONNECTED", "Failed to fetch", "network error", "ERR_NETWORK", "ERR_FAILED")
    page = await shop(named())
    chat = await open_chat(page)
    await write(chat, "My login is broken")
    await expect(chat.locator("article.own:not(.pending)")).to_have_count(1)
    made = await newest(house, shoes)
    await page.context.set_offline(True)
    await write(chat, "It says: code 17")
    await expect(chat.locator(".pending")).to_contain_text("Not sent yet")
    await expect(chat.locator("#line")).to_have_text("No connection. Trying again…")
    assert made.session_id is not None
    await session.add_message(house.app.desk, shoes.agent, made.session_id, "agent", "Which browser?")
    await page.context.set_offline(False)
    await expect(chat.locator(".pending")).to_have_count(0)
    await expect(chat.locator("article.agent")).to_contain_text("Which browser?")
    await expect(chat.locator("#line")).to_be_hidden()
    _, said = await session.read_session(house.app.desk, shoes.engine, made.session_id)
    assert [each.content for each in said].count("It says: code 17") == 1


async def test_a_reload_keeps_what_was_written_and_what_was_not_sent(
    house: House, shoes: Org, shop: Shop, watch: Watch
) -> None:
    watch.expected = ("ERR_FAILED", "Failed to fetch")
    page = await shop()
    answers: list[str] = []

    async def swallow(route: Route) -> None:
        """The server hears it, the client never gets the answer."""
        if route.request.method == "POST" and not answers:
            answers.append((await route.fetch()).text and "lost")  # type: ignore[arg-type]
            await route.abort()
        else:
            await route.continue_()

    await page.context.route("**/conversations", swallow)
    chat = await open_chat(page)
    await write(chat, "Please say this only once")
    await expect(chat.locator(".pending")).to_be_visible()
    await chat.get_by_label("Your message").fill("half a sentence")
    await page.reload()
    chat = await open_chat(page)
    await expect(chat.locator("article.own:not(.pending)")).to_have_count(1)
    await expect(chat.locator("#log").get_by_text("Please say this only once")).to_be_visible()
    await expect(chat.get_by_label("Your message")).to_have_value("half a sentence")
    assert answers == ["lost"]
    made = await newest(house, shoes)
    before = await tickets_like(house, shoes, "Please say this only once")
    assert before == [made.id]


async def tickets_like(house: House, shoes: Org, text: str) -> list[UUID]:
    async with house.app.desk.database.org_reading(shoes.engine) as connection:
        found = await tickets.page(connection, shoes.org_id, tickets.TicketFilter(channel=("widget",)), limit=100)
    return [each.id for each in found.items if each.body == text]


async def test_a_conversation_is_held_by_keys_alone(house: House, shoes: Org, shop: Shop) -> None:
    page = await shop(named())
    await page.wait_for_selector("asoe-chat:not([hidden])", state="attached")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    chat = chat_of(page)
    await expect(chat.get_by_label("Your message")).to_be_focused()
    await page.keyboard.type("Where is the invoice")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("of May?")
    await page.keyboard.press("Enter")
    await expect(chat.locator("article.own:not(.pending)")).to_contain_text("Where is the invoice")
    made = await newest(house, shoes)
    await carry(house, shoes, made.id)
    await expect(chat.get_by_role("group", name="Did this help?")).to_be_visible()
    for name in ("No", "Yes"):
        for _ in range(12):
            await page.keyboard.press("Shift+Tab")
            if await chat.evaluate("document.activeElement.textContent") == name:
                break
        assert await chat.evaluate("document.activeElement.textContent") == name
    await page.keyboard.press("Enter")
    await expect(chat.locator("article.own:not(.pending)").last).to_contain_text("Yes, that helped.")
    assert (await carry(house, shoes, made.id)).status == "resolved"
    await page.keyboard.press("Escape")
    await expect(page.locator("asoe-chat.open")).to_have_count(0)
    assert await page.evaluate("document.activeElement.localName") == "asoe-chat"


async def test_hostile_words_stay_words_and_nobody_elses_chat_opens(
    house: House, shoes: Org, shop: Shop, watch: Watch
) -> None:
    watch.expected = ("404", "401")
    ana, eve = named(), named()
    page = await shop(ana)
    chat = await open_chat(page)
    await write(chat, HOSTILE)
    await expect(chat.locator("article.own:not(.pending)")).to_contain_text("[go](javascript:alert(2))")
    made = await newest(house, shoes)
    assert made.session_id is not None
    engine = shoes.engine
    await session.add_message(
        house.app.desk, engine, made.session_id, "assistant", f"{HOSTILE}\n\n1. {HOSTILE}\n\n```\n{HOSTILE}\n```"
    )
    await expect(chat.locator("article.assistant")).to_contain_text("onerror")
    assert await chat.locator("article img, article script, article b, article a[href^=javascript]").count() == 0
    other = await shop(eve)
    theirs = await open_chat(other)
    await write(theirs, "I am Eve")
    await expect(theirs.locator("article.own:not(.pending)")).to_have_count(1)
    who = "Object.values(localStorage).length"
    assert await theirs.evaluate(who) >= 1
    reached = await theirs.evaluate(
        """async (id) => {
          const begun = await (await fetch('/api/widget/shoes/start', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: '{}'})).json();
          const asked = await fetch(`/api/widget/shoes/conversations/${id}`, {headers: {Authorization: `Bearer ${begun.token}`}});
          const bare = await fetch(`/api/widget/shoes/conversations/${id}`);
          return [asked.status, bare.status];
        }""",
        str(made.id),
    )
    assert reached == [404, 401]


async def test_a_page_of_another_origin_gets_no_chat(house: House, shoes: Org, shop: Shop, watch: Watch) -> None:
    watch.expected = (
        "frame-ancestors",
        "origin_not_allowed",
        "403",
        "CORS",
        "Failed to load resource",
        "ERR_FAILED",
        "refused",
        f"does not open on {EVIL}",
    )
    with capture_logs() as lines:
        page = await shop(site=EVIL)
        await expect(page.locator("iframe")).to_have_count(0)
        refused = page.evaluate(
            "() => new Promise((go) => { addEventListener('message', () => go('spoke')); setTimeout(() => go('silent'), 1500); })"
        )
        async with page.expect_console_message(lambda message: "Settings > Widget" in message.text) as told:
            assert await refused == "silent"
    assert "this origin is listed" in (await told.value).text, "whoever built the page learns what to do"
    noted = [line for line in lines if line["event"] == "widget.origin_not_listed"]
    assert [(line["org"], line["origin"]) for line in noted] == [("shoes", EVIL)]
    assert await page.locator("asoe-chat:not([hidden])").count() == 0


async def test_a_phone_shows_it_whole_and_another_language_and_theme(house: House, shoes: Org, shop: Shop) -> None:
    page = await shop(named(), viewport={"width": 375, "height": 700}, theme="dark", locale="de-DE")
    await page.evaluate("document.documentElement.lang = ''")
    await widget.change_widget(house.app.desk, shoes.owner, WidgetChange(theme="auto"))
    chat = await open_chat(page)
    box = await (await chat.frame_element()).bounding_box()
    assert box is not None
    assert (box["width"], box["height"]) == (375, 700)
    await expect(chat.get_by_text("Hallo, hier ist Shoes.")).to_be_visible()
    await chat.get_by_label("Ihre Nachricht").fill("Where is the invoice of May? " + "x" * 300)
    await chat.get_by_role("button", name="Senden").click()
    await expect(chat.locator("article.own:not(.pending)")).to_have_count(1)
    await carry(house, shoes, (await newest(house, shoes)).id)
    await expect(chat.locator("article.assistant")).to_be_visible()
    assert await chat.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_axe_finds_no_violation_in_the_chat_in_either_theme(
    house: House, shoes: Org, visitor: Any, secret: str
) -> None:
    page = await visitor(None, "/widget/shoes")
    await expect(page.get_by_label("Your message")).to_be_visible()
    await both(page, "the chat at its beginning")
    await write(page, "Where is the invoice of May?")
    await expect(page.locator("article.own:not(.pending)")).to_have_count(1)
    await carry(house, shoes, (await newest(house, shoes)).id)
    await expect(page.locator("article.assistant")).to_be_visible()
    await page.get_by_text("Sources (1)").click()
    await page.locator("#files").set_input_files({"name": "a.txt", "mimeType": "text/plain", "buffer": b"42"})
    await expect(page.get_by_role("button", name="Download a.txt")).to_be_visible()
    await both(page, "a conversation")
    await page.get_by_role("button", name="All conversations").click()
    await expect(page.get_by_role("heading", name="Your conversations")).to_be_visible()
    await both(page, "the list")


async def both(page: Page, what: str) -> None:
    for theme in ("light", "dark"):
        await page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
        await check(page, f"{what}, {theme}")
