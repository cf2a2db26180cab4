"""Articles: find, read, write with a preview, publish, retire, and every version there was."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

from starlette.responses import Response

from asoe.desk import gap
from asoe.desk import knowledge as desk_knowledge
from asoe.domain.errors import AsoeError, Invalid
from asoe.domain.knowledge import ARTICLE_STATUSES, AUDIENCES, Article, ArticleText
from asoe.store import directory
from asoe.web.door import Pages, Visit
from asoe.web.words import LANGUAGES

pages = Pages()
_ONE: Final = "/knowledge/{article_id}"


@pages.get("/knowledge")
async def show_all(visit: Visit) -> Response:
    q = visit.text("q", most=500).strip()
    language = visit.text("language", most=5)
    status = visit.text("status", most=20)
    passages = []
    if q:
        passages = await desk_knowledge.search_articles(
            visit.desk, visit.principal, q, language=language or "en", limit=12
        )
    page = await desk_knowledge.list_articles(
        visit.desk,
        visit.principal,
        status=status if status in ARTICLE_STATUSES else None,
        language=language or None,
        cursor=_read_cursor(visit.text("cursor", most=500)),
        limit=50,
    )
    progress = await desk_knowledge.index_progress(visit.desk, visit.principal)
    return visit.page(
        "knowledge.html",
        q=q,
        language=language,
        status=status,
        passages=passages,
        articles=page.items,
        next_cursor=_write_cursor(page.next_cursor) if page.next_cursor else "",
        languages=LANGUAGES,
        statuses=ARTICLE_STATUSES,
        progress=progress,
    )


@pages.get("/knowledge/new")
async def write_new(visit: Visit) -> Response:
    return _editor(visit, None, ArticleText("", "", "en", ""))


@pages.post("/knowledge/new")
async def save_new(visit: Visit) -> Response:
    return await _save(visit, None)


@pages.post("/knowledge/preview")
async def preview(visit: Visit) -> Response:
    """The article as readers would see it; nothing is kept."""
    return visit.page("preview.html", title=visit.text("title", most=1000), body=visit.text("body", most=250_000))


@pages.get("/knowledge/gaps")
async def show_gaps(visit: Visit) -> Response:
    """What clients asked and no article answered."""
    days = visit.number("days", 30, low=1, high=365)
    return visit.page("gaps.html", gaps=await gap.find_gaps(visit.desk, visit.principal, days=days), days=days)


@pages.post("/knowledge/draft/{ticket_id}")
async def draft(visit: Visit) -> Response:
    """A draft out of what people answered; the editor opens on it."""
    made = await gap.draft_article(visit.desk, visit.principal, visit.id("ticket_id", "ticket"))
    return visit.back(f"/knowledge/{made.id}/edit", "A draft from the ticket: read it, then publish it.")


@pages.get(_ONE)
async def show(visit: Visit) -> Response:
    article_id = visit.id("article_id", "article")
    wanted = visit.number("version", 0) or None
    article = await desk_knowledge.read_article(visit.desk, visit.principal, article_id, version=wanted)
    versions = await desk_knowledge.list_versions(visit.desk, visit.principal, article_id)
    async with visit.desk.database.org_reading(visit.principal) as connection:
        names = await directory.names(connection, visit.principal.org_id, (each.written_by for each in versions))
    return visit.page("article.html", article=article, versions=versions, names=names, shown=wanted)


@pages.get(_ONE + "/edit")
async def edit(visit: Visit) -> Response:
    article = await desk_knowledge.read_article(visit.desk, visit.principal, visit.id("article_id", "article"))
    return _editor(visit, article, article.text)


@pages.post(_ONE + "/edit")
async def save(visit: Visit) -> Response:
    article = await desk_knowledge.read_article(visit.desk, visit.principal, visit.id("article_id", "article"))
    return await _save(visit, article)


@pages.post(_ONE + "/publish")
async def publish(visit: Visit) -> Response:
    article_id = visit.id("article_id", "article")
    version = visit.number("version", 0) or None
    before = (await desk_knowledge.read_article(visit.desk, visit.principal, article_id)).published_version
    article = await desk_knowledge.publish_article(visit.desk, visit.principal, article_id, version=version)
    path = f"/knowledge/{article_id}"
    undo: dict[str, Any] = {"path": f"{path}/retire", "fields": []}
    if before:
        undo = {"path": f"{path}/publish", "fields": [["version", before]]}
    said = f"Version {article.published_version} is published."
    return visit.back(path, said, undo=undo if before != article.published_version else None)


@pages.post(_ONE + "/retire")
async def retire(visit: Visit) -> Response:
    article_id = visit.id("article_id", "article")
    before = await desk_knowledge.read_article(visit.desk, visit.principal, article_id)
    await desk_knowledge.retire_article(visit.desk, visit.principal, article_id)
    undo = None
    if before.published_version:
        undo = {"path": f"/knowledge/{article_id}/publish", "fields": [["version", before.published_version]]}
    return visit.back(f"/knowledge/{article_id}", "Retired: nobody finds it any more.", undo=undo)


@pages.post(_ONE + "/restore")
async def restore(visit: Visit) -> Response:
    article_id = visit.id("article_id", "article")
    version = visit.number("version", 1, low=1)
    await desk_knowledge.restore_version(visit.desk, visit.principal, article_id, version)
    return visit.back(f"/knowledge/{article_id}", f"Version {version} is the newest again, and published.")


async def _save(visit: Visit, article: Article | None) -> Response:
    """Keep a version; what is wrong is said beside what was written, so that nothing is lost."""
    text = ArticleText(
        title=visit.text("title", most=1000).strip(),
        slug=visit.text("slug", most=300).strip() or (article.text.slug if article else ""),
        language=visit.text("language", most=10).strip() or (article.text.language if article else ""),
        body=visit.text("body", most=250_000),
        product=visit.text("product", most=300).strip() or None,
        audience=visit.text("audience", "client", most=20),
        tags=tuple(tag.strip() for tag in visit.text("tags", most=5000).split(",") if tag.strip()),
        questions=tuple(line.strip() for line in visit.text("questions", most=30_000).split("\n") if line.strip()),
    )
    known = visit.number("version", 0)
    publishes = visit.text("then", most=10) == "publish"
    try:
        saved = await desk_knowledge.save_article(
            visit.desk, visit.principal, text, expected_version=known, publish_now=publishes
        )
    except AsoeError as error:
        return _editor(visit, article, text, problem=error, status=409 if error.kind == "conflict" else 422)
    said = "Published. It can be found in a moment." if publishes else "Saved. Readers see it once it is published."
    return visit.back(f"/knowledge/{saved.id}", said)


def _editor(
    visit: Visit, article: Article | None, text: ArticleText, *, problem: AsoeError | None = None, status: int = 200
) -> Response:
    return visit.page(
        "article_edit.html",
        status,
        article=article,
        text=text,
        version=visit.number("version", 0) if problem else (article.version if article else 0),
        problem=problem,
        fields=problem.fields if isinstance(problem, Invalid) else (),
        languages=LANGUAGES,
        audiences=AUDIENCES,
    )


def _write_cursor(cursor: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(cursor).encode()).decode()


def _read_cursor(text: str) -> tuple[str, str] | None:
    if not text:
        return None
    try:
        slug, language = json.loads(base64.urlsafe_b64decode(text.encode()))
        return str(slug), str(language)
    except (ValueError, TypeError):
        raise Invalid("cursor: this is none of ours; start from the first page.", code="bad_cursor") from None
