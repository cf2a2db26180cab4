"""Whatever clients write is displayed and never executed: the whole hostile corpus, in queue, ticket, overview and audit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from browser_cast import House, Visitor, too_wide
from playwright.async_api import Page, expect

from asoe.desk import intake, intent, knowledge, session
from asoe.desk.intake import NewContact, NewTicket
from asoe.domain.errors import AsoeError
from asoe.domain.knowledge import ArticleText

CORPUS = Path(__file__).parents[1] / "hostile" / "corpus.jsonl"
MARKUP = [
    "<script>window.pwned = 1; alert(1)</script>",
    "<img src=x onerror='window.pwned = 1'>",
    "<svg onload=alert(1)><a href='javascript:alert(1)'>x</a>",
    '"><iframe src="javascript:alert(1)"></iframe>',
    "<div hx-get='/settings/keys' hx-trigger='load' hx-on:load='alert(1)'>x</div>",
    "</textarea></title></script><style>body{display:none}</style>",
    "{{ 7 * 7 }} {% include 'layout.html' %} ${7*7}",
    "[x](javascript:alert(1)) ![x](data:text/html,<script>alert(1)</script>)",
    "<form action='/sign-out-everywhere' method='post'><button autofocus>x</button></form>",
    "<base href='https://evil.example/'><meta http-equiv='refresh' content='0;url=https://evil.example/'>",
    "\u202egnirts desrever\u202c \u2066isolate\u2069",
    "A" * 2000,
]


@pytest.fixture(scope="session")
async def hostile(house: House) -> list[Any]:
    """Tickets with each text of the corpus that a door takes, as subject, body, name, tag and category of nothing."""
    texts = [json.loads(line) for line in CORPUS.read_text(encoding="utf-8").splitlines()]
    made = []
    for number, case in enumerate([*({"subject": text[:400], "body": text} for text in MARKUP), *texts]):
        body = case.get("body", "") * int(case.get("times", 1)) if isinstance(case.get("body"), str) else ""
        given = NewTicket(
            subject=case.get("subject") or body[:200],
            body=body[:20_000],
            contact=NewContact(email=f"mallory{number}@example.com", name=(case.get("subject") or body)[:100]),
            tags=((case.get("subject") or body)[:60],) if body else (),
        )
        try:
            made.append(await intake.open_ticket(house.app.desk, house.globex.engine, given))
        except AsoeError:
            continue  # this door refuses it, which is tested elsewhere
    assert len(made) > 300
    return made


async def test_the_queue_shows_the_whole_corpus_and_runs_nothing(
    house: House, visitor: Visitor, hostile: list[Any]
) -> None:
    page = await visitor(house.globex.owner, "/queue?view=all")
    shown = 0
    while True:
        shown += await page.locator(".tickets > li").count()
        await nothing_ran(page)
        older = page.get_by_role("link", name="Older")
        if not await older.count():
            break
        await older.click()
        await page.wait_for_load_state()
    assert shown >= len(hostile)
    for path in ("/", "/audit"):
        await page.goto(path)
        await nothing_ran(page)


async def test_tickets_show_hostile_text_and_run_nothing(house: House, visitor: Visitor, hostile: list[Any]) -> None:
    page = await visitor(house.globex.owner, "/queue")
    for opened in [*hostile[: len(MARKUP)], *hostile[len(MARKUP) :: 14]]:
        note = opened.body[:3000] or "-"
        await session.add_note(house.app.desk, house.globex.agent, opened.id, note)
        await page.goto(f"/tickets/{opened.id}")
        await expect(page.locator("#composer")).to_be_visible()
        await nothing_ran(page)
        if opened.body.strip():
            said = await page.locator(".message.user .said").first.evaluate("element => element.textContent")
            assert said.split() == opened.body.split(), opened.number


async def test_articles_render_no_html(house: House, visitor: Visitor) -> None:
    text = ArticleText("<b>Title</b>", "hostile", "en", "\n\n".join(MARKUP), tags=("<i>tag</i>",), questions=MARKUP[:3])
    article = await knowledge.save_article(house.app.desk, house.globex.owner, text, publish_now=True)
    page = await visitor(house.globex.owner, f"/knowledge/{article.id}")
    await nothing_ran(page)
    assert await page.locator(".prose :is(script, img, svg, iframe, form, style, base, meta)").count() == 0
    assert await page.locator(".prose a[href^='javascript' i], .prose [hx-get]").count() == 0
    await page.goto(f"/knowledge/{article.id}/edit")
    await nothing_ran(page)


async def test_names_of_people_and_files_stay_text(house: House, visitor: Visitor) -> None:
    from asoe.desk import attachment, people

    opened = await house.ticket(house.globex, subject="With a file")
    name = "<img src=x onerror=alert(1)>.html"
    await attachment.attach(
        house.app.desk,
        house.globex.agent,
        opened.id,
        name=name,
        media_type="text/html",
        content=b"<script>alert(1)</script>",
    )
    await people.add_member(
        house.app.desk, house.globex.owner, email="x@globex.example", name="<script>alert(1)</script>", role="agent"
    )
    page = await visitor(house.globex.owner, f"/tickets/{opened.id}")
    await nothing_ran(page)
    async with page.expect_download() as waiting:
        await page.locator("a[download]").click()
    download = await waiting.value
    assert download.suggested_filename.endswith(".html")
    await page.goto("/settings/members")
    await nothing_ran(page)
    await expect(page.get_by_text("<script>alert(1)</script>").first).to_be_visible()


async def test_words_of_own_intents_stay_text(house: House, visitor: Visitor) -> None:
    for number, text in enumerate(MARKUP[:-1]):
        words = {"title": text[:100], "description": text[:500], "examples": [text[:500]]}
        await intent.add_intent(house.app.desk, house.globex.owner, f"hostile_{number}", category="general", **words)
    await intent.retire_intent(house.app.desk, house.globex.owner, "hostile_0")
    page = await visitor(house.globex.owner, "/settings/intents")
    await nothing_ran(page)
    await expect(page.get_by_text(MARKUP[0]).first).to_be_visible()
    await page.locator("details summary").nth(1).click()
    await nothing_ran(page)
    opened = await house.ticket(house.globex, subject="Of an intent of our own")
    await page.goto(f"/tickets/{opened.id}")
    await nothing_ran(page)
    assert await page.locator("select[name=intent] option[value=hostile_1]").count() == 1


async def test_a_draft_of_a_language_model_is_shown_as_one_and_runs_nothing(house: House, visitor: Visitor) -> None:
    """Checks keep markup out of drafts; if one let it through, it would still be text."""
    opened = await house.ticket(house.globex, subject="With a draft")
    draft = {"summary": MARKUP[1], "reply": MARKUP[0], "by": "scripted:one"}
    async with house.app.desk.database.org_transaction(house.globex.engine) as connection:
        changed = await connection.execute(
            "update asoe.escalations set dossier = dossier || $2 where ticket_id = $1", opened.id, {"draft": draft}
        )
    assert changed == "UPDATE 1"
    page = await visitor(house.globex.agent, f"/tickets/{opened.id}")
    await expect(page.get_by_text("Nobody has checked this yet.")).to_be_visible()
    await nothing_ran(page)
    await page.locator("[data-use-reply='#drafted']").click()
    await expect(page.locator("#composer-text")).to_have_value(MARKUP[0])
    await nothing_ran(page)


async def nothing_ran(page: Page) -> None:
    """No script of a client ran, and our own layout stands; dialogs and violations end the test in `visitor`."""
    assert await page.evaluate("window.pwned") is None
    assert await page.locator("main").count() == 1
    assert await page.locator("nav.side").is_visible()
    assert await too_wide(page) == [], page.url
