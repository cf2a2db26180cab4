"""What the knowledge base holds and shows: saving, publishing, retiring, restoring, indexing and searching articles.

Every save is a new version and none is lost; readers see the published one. A published version can be found once the
job `index_article` has run, which embeds outside any transaction and swaps the chunks in one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from asoe.ai.glossary import in_english
from asoe.desk.article import check_article, cut, read_article_file
from asoe.domain.errors import Conflict, Denied, FieldProblem, Invalid, Missing
from asoe.domain.knowledge import (
    Article,
    ArticleText,
    ArticleVersion,
    ImportReport,
    IndexProgress,
    Passage,
    question_windows,
)
from asoe.domain.organization import Principal
from asoe.store import facts, knowledge
from asoe.store.db import Connection, Database

JOB: Final = "index_article"
MAX_PAGE: Final = 200


class Embedding(Protocol):
    """Turns texts into rows of 384 numbers."""

    async def embed(self, texts: Sequence[str]) -> NDArray[Any]: ...


class Enqueuing(Protocol):
    """The queue, as far as it is needed here."""

    async def enqueue(
        self, connection: Connection, job: str, ids: Mapping[str, UUID | str], *, dedupe_key: str | None = None
    ) -> None: ...


class KnowledgeDesk(Protocol):
    """What these functions need of the desk."""

    @property
    def database(self) -> Database: ...
    @property
    def queue(self) -> Enqueuing: ...
    @property
    def ai(self) -> Embedding: ...
    @property
    def clock(self) -> Callable[[], datetime]: ...
    async def engine_of(self, org_id: UUID) -> Principal: ...


@dataclass(frozen=True, slots=True)
class ArticlePage:
    """Articles by slug and language, without their bodies; `next_cursor` is None on the last page."""

    items: tuple[Article, ...]
    next_cursor: tuple[str, str] | None


# --- writing ---


async def save_article(
    desk: KnowledgeDesk,
    principal: Principal,
    text: ArticleText,
    *,
    expected_version: int | None = None,
    publish_now: bool = False,
) -> Article:
    """Write a version of the article with this slug and language; the first one makes the article.

    expected_version: the newest version the writer knows (0: none). Raises `Invalid(bad_article)`, `Conflict(article_changed)`.
    """
    _require_staff(principal)
    check_article(text)
    async with desk.database.org_transaction(principal) as connection:
        article_id = await _save(desk, connection, principal, text, expected_version)
        if publish_now:
            await _publish(desk, connection, principal, article_id, None)
        return await knowledge.find(connection, principal.org_id, article_id)


async def publish_article(
    desk: KnowledgeDesk, principal: Principal, article_id: UUID, *, version: int | None = None
) -> Article:
    """Show `version` (the newest by default) to readers and have it indexed."""
    _require_staff(principal)
    async with desk.database.org_transaction(principal) as connection:
        await _publish(desk, connection, principal, article_id, version)
        return await knowledge.find(connection, principal.org_id, article_id, published=True)


async def retire_article(desk: KnowledgeDesk, principal: Principal, article_id: UUID) -> Article:
    """Take it from readers and search at once; its versions stay. Retiring twice changes nothing."""
    _require_staff(principal)
    async with desk.database.org_transaction(principal) as connection:
        await knowledge.lock(connection, principal.org_id, article_id)
        if await knowledge.retire(connection, principal.org_id, article_id, at=desk.clock()):
            await facts.record(connection, principal, "article.retired", article_id=str(article_id))
        return await knowledge.find(connection, principal.org_id, article_id)


async def restore_version(desk: KnowledgeDesk, principal: Principal, article_id: UUID, version: int) -> Article:
    """Write an old version again as the newest and publish it; nothing in between is lost."""
    _require_staff(principal)
    async with desk.database.org_transaction(principal) as connection:
        standing = await knowledge.lock(connection, principal.org_id, article_id)
        old = await knowledge.find(connection, principal.org_id, article_id, version=version)
        await knowledge.add_version(
            connection,
            principal.org_id,
            article_id,
            old.text,
            version=standing.version + 1,
            by=principal.user_id,
            at=desk.clock(),
        )
        number = standing.version + 1
        await facts.record(
            connection, principal, "article.written", article_id=str(article_id), version=number, of=version
        )
        await _publish(desk, connection, principal, article_id, None)
        return await knowledge.find(connection, principal.org_id, article_id, published=True)


async def import_folder(
    desk: KnowledgeDesk,
    principal: Principal,
    path: Path,
    progress: Callable[[int, int], None] | None = None,
    *,
    publish_now: bool = True,
) -> ImportReport:
    """Save every .md file below `path`. All files are checked first: one wrong file, and nothing is written.

    progress: called with (done, total). Importing the same folder again changes nothing. Raises `Invalid(bad_article)`
    that names every wrong file and field.
    """
    _require_staff(principal)
    texts = _read_folder(path)
    done: dict[str, list[str]] = {"created": [], "updated": [], "unchanged": []}
    for number, text in enumerate(texts, 1):
        async with desk.database.org_transaction(principal) as connection:
            before = await knowledge.find_by_slug(connection, principal.org_id, text.slug, text.language)
            if before is not None and before.text == text:
                article_id, outcome = before.id, "unchanged"
            else:
                article_id = await _save(desk, connection, principal, text, None)
                outcome = "created" if before is None else "updated"
            if publish_now and (before is None or outcome == "updated" or before.published_version != before.version):
                await _publish(desk, connection, principal, article_id, None)
        done[outcome].append(f"{text.slug}/{text.language}")
        if progress is not None:
            progress(number, len(texts))
    return ImportReport(**{name: tuple(slugs) for name, slugs in done.items()})


# --- indexing ---


async def index_article(desk: KnowledgeDesk, org_id: UUID, article_id: UUID) -> bool:
    """Cut, embed and swap in the published version; False when there is nothing (new) to index. Safe to repeat.

    An article or organization that is gone since the job was enqueued has nothing to index.
    """
    try:
        engine = await desk.engine_of(org_id)
        async with desk.database.org_reading(engine) as connection:
            article = await knowledge.find(connection, org_id, article_id, published=True)
    except Missing:
        return False
    if article.published_version is None or article.is_indexed:
        return False
    chunks = cut(article.text.body)
    title = article.text.title
    vectors = await desk.ai.embed([f"{title}\n{chunk.heading}\n{chunk.text}" for chunk in chunks])
    questions = await desk.ai.embed(article.text.questions)
    async with desk.database.org_transaction(engine) as connection:
        return await knowledge.index(
            connection,
            article_id,
            version=article.published_version,
            chunks=chunks,
            embeddings=vectors.tolist(),
            questions=questions.tolist(),
        )


async def enqueue_unindexed(desk: KnowledgeDesk, org_id: UUID, *, idle_seconds: float = 0.0) -> int:
    """Enqueue what a lost job left unindexed for that long; for the sweeper."""
    engine = await desk.engine_of(org_id)
    async with desk.database.org_transaction(engine) as connection:
        waiting = await knowledge.unindexed(connection, org_id, idle_seconds=idle_seconds)
        for article_id in waiting:
            ids = {"org_id": org_id, "article_id": article_id}
            await desk.queue.enqueue(connection, JOB, ids, dedupe_key=f"forgotten:{article_id}")
    return len(waiting)


async def index_progress(desk: KnowledgeDesk, principal: Principal) -> IndexProgress:
    """How many published articles can be found already."""
    async with desk.database.org_reading(principal) as connection:
        return await knowledge.progress(connection, principal.org_id)


# --- reading ---


async def read_article(
    desk: KnowledgeDesk, principal: Principal, article_id: UUID, *, version: int | None = None
) -> Article:
    """Staff read the newest version or the one asked for, clients the published one; raises `Missing`."""
    async with desk.database.org_reading(principal) as connection:
        return await knowledge.find(
            connection, principal.org_id, article_id, version=version, published=principal.is_client
        )


async def find_article(desk: KnowledgeDesk, principal: Principal, named: str, *, language: str | None = None) -> UUID:
    """The id of the article with this id, slug or title; raises `Missing`, or `Invalid(which_article)` for several."""
    try:
        return UUID(named)
    except ValueError:
        async with desk.database.org_reading(principal) as connection:
            return await knowledge.find_named(connection, principal.org_id, named, language)


async def list_articles(
    desk: KnowledgeDesk,
    principal: Principal,
    *,
    status: str | None = None,
    language: str | None = None,
    audience: str | None = None,
    product: str | None = None,
    cursor: tuple[str, str] | None = None,
    limit: int = 50,
) -> ArticlePage:
    """One page in order of slug and language; what the caller may not see is not there."""
    limit = max(1, min(limit, MAX_PAGE))
    async with desk.database.org_reading(principal) as connection:
        found = await knowledge.page(
            connection,
            principal.org_id,
            status=status,
            language=language,
            audience=audience,
            product=product,
            after=cursor,
            limit=limit + 1,
        )
    items = tuple(found[:limit])
    return ArticlePage(items, (items[-1].text.slug, items[-1].text.language) if len(found) > limit else None)


async def list_versions(desk: KnowledgeDesk, principal: Principal, article_id: UUID) -> list[ArticleVersion]:
    """Every version the caller may see, newest first."""
    async with desk.database.org_reading(principal) as connection:
        return await knowledge.versions(connection, principal.org_id, article_id)


async def search_articles(
    desk: KnowledgeDesk,
    principal: Principal,
    question: str,
    *,
    language: str,
    audience: str | None = None,
    product: str | None = None,
    limit: int = 8,
) -> list[Passage]:
    """The passages that fit best; staff search internal articles too unless they ask for audience "client"."""
    if not question.strip():
        raise Invalid(
            "The question is empty. Write what is to be found.",
            code="empty_question",
            fields=(FieldProblem("question", "is empty; write what is to be found"),),
        )
    wanted = audience or ("agent" if principal.is_staff else "client")
    embedding = await embed_question(desk.ai, question)
    async with desk.database.org_reading(principal) as connection:
        return await knowledge.search(
            connection,
            principal.org_id,
            question=question,
            reading=in_english(question),
            embedding=embedding,
            language=language,
            audience=wanted,
            product=product,
            limit=max(1, min(limit, 50)),
        )


async def embed_question(ai: Embedding, question: str) -> NDArray[Any]:
    """One vector for a question of any length: the mean over windows the encoder reads whole."""
    vectors = await ai.embed(question_windows(question))
    return np.asarray(vectors.mean(axis=0))


# --- inside one transaction ---


async def _save(
    desk: KnowledgeDesk, connection: Connection, principal: Principal, text: ArticleText, expected: int | None
) -> UUID:
    org_id, at = principal.org_id, desk.clock()
    made = None
    if not expected:
        made = await knowledge.insert(connection, org_id, text, by=principal.user_id, at=at)
    if made is not None:
        await facts.record(connection, principal, "article.written", article_id=str(made), version=1)
        return made
    found = await knowledge.find_by_slug(connection, org_id, text.slug, text.language)
    known = 0 if found is None else found.version
    if found is None or (expected is not None and expected != known):
        raise Conflict(
            f"Article {text.slug}/{text.language} is at version {known}, not {expected}. Read it again, then save.",
            code="article_changed",
        )
    standing = await knowledge.lock(connection, org_id, found.id)
    newest = known if expected is not None else standing.version
    await knowledge.add_version(connection, org_id, found.id, text, version=newest + 1, by=principal.user_id, at=at)
    await facts.record(connection, principal, "article.written", article_id=str(found.id), version=newest + 1)
    return found.id


async def _publish(
    desk: KnowledgeDesk, connection: Connection, principal: Principal, article_id: UUID, version: int | None
) -> None:
    org_id = principal.org_id
    before = await knowledge.lock(connection, org_id, article_id)
    shown = before.version if version is None else version
    if before.published_version == shown:
        return
    await knowledge.publish(connection, org_id, article_id, version=shown, at=desk.clock())
    after = await knowledge.lock(connection, org_id, article_id)
    if before.published_version is not None and after.audience != before.audience:
        # what is internal from now on must not be found by clients until the job has run
        await knowledge.drop_chunks(connection, article_id)
    was = before.published_version
    await facts.record(
        connection, principal, "article.published", article_id=str(article_id), version=shown, before=was
    )
    await desk.queue.enqueue(connection, JOB, {"org_id": org_id, "article_id": article_id})


def _read_folder(path: Path) -> list[ArticleText]:
    files = sorted(file for file in path.rglob("*.md") if file.is_file()) if path.is_dir() else []
    if not files:
        lacks = "holds no .md files" if path.is_dir() else "is no folder"
        raise Invalid(
            f"{path} {lacks}. Name a folder with articles.",
            code="no_articles",
            fields=(FieldProblem("path", "must be a folder with .md files"),),
        )
    texts: list[ArticleText] = []
    problems: list[FieldProblem] = []
    named: dict[tuple[str, str], str] = {}
    for file in files:
        name = file.relative_to(path).as_posix()
        try:
            text = read_article_file(file, name=name)
        except Invalid as error:
            problems += error.fields
            continue
        key = (text.slug, text.language)
        if key in named:
            problems.append(
                FieldProblem(f"{name}: slug", f"{text.slug!r} in {text.language} is also in {named[key]}; rename one")
            )
        named[key] = name
        texts.append(text)
    if problems:
        listed = "; ".join(f"{problem.field} {problem.problem}" for problem in problems[:20])
        more = f"; and {len(problems) - 20} more" if len(problems) > 20 else ""
        raise Invalid(f"Nothing was imported: {listed}{more}.", code="bad_article", fields=tuple(problems))
    return texts


def _require_staff(principal: Principal) -> None:
    if not principal.is_staff:
        raise Denied("Only staff of the organization may write articles.", code="staff_only")
