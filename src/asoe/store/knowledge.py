"""Articles, their versions and the search over their chunks. Which version is shown and when is decided by the desk.

Search asks `asoe.find_chunks` for the nearest ids by words (BM25) and by meaning, fuses them, and reads the text of the
chosen as the caller, so that row-level security has the last word.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from asoe.domain.errors import Conflict, Invalid, Missing
from asoe.domain.knowledge import (
    Article,
    ArticleText,
    ArticleVersion,
    Candidate,
    Chunk,
    IndexProgress,
    Passage,
    fuse,
)
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class KnowledgeSql(NamedQueries):
    insert_article: str
    insert_version: str
    raise_version: str
    publish: str
    retire: str
    drop_chunks: str
    index_article: str
    find: str
    find_by_slug: str
    find_named: str
    lock: str
    page: str
    versions: str
    progress: str
    unindexed: str
    find_chunks: str
    find_questions: str
    slugs: str
    read_chunks: str


MAX_QUESTION: Final = 20_000
LEXICAL_CANDIDATES: Final = 120
SEMANTIC_CANDIDATES: Final = 80
ARTICLES_BY_QUESTION: Final = 12

_LISTED: Final = (
    "a.id, a.org_id, a.slug, a.language, a.status, a.version, a.published_version, a.created_at, a.updated_at, "
    "coalesce(a.indexed_version = a.published_version, false) as is_indexed"
)
_COLUMNS: Final = f"{_LISTED}, v.title, v.body, v.product, v.audience, v.tags, v.questions"


@dataclass(frozen=True, slots=True)
class Standing:
    """What an article is right now, its row held until the transaction ends."""

    version: int
    published_version: int | None
    audience: str
    status: str


async def insert(connection: Connection, org_id: UUID, text: ArticleText, *, by: UUID, at: datetime) -> UUID | None:
    """Insert a draft with its first version; None when slug and language are taken."""
    article_id: UUID | None = await connection.fetchval(
        KnowledgeSql.insert_article,
        org_id,
        text.slug,
        text.language,
        text.title,
        text.product,
        text.audience,
        list(text.tags),
        at,
    )
    if article_id is not None:
        await _insert_version(connection, org_id, article_id, 1, text, by=by, at=at)
    return article_id


async def add_version(
    connection: Connection, org_id: UUID, article_id: UUID, text: ArticleText, *, version: int, by: UUID, at: datetime
) -> None:
    """Add `version`; raises `Conflict(article_changed)` unless it follows the newest."""
    done = await connection.execute(
        KnowledgeSql.raise_version,
        org_id,
        article_id,
        version,
        at,
        text.title,
        text.product,
        text.audience,
        list(text.tags),
    )
    if done != "UPDATE 1":
        raise Conflict(
            f"Article {text.slug} was changed by somebody else. Read it again, then save.", code="article_changed"
        )
    await _insert_version(connection, org_id, article_id, version, text, by=by, at=at)


async def publish(connection: Connection, org_id: UUID, article_id: UUID, *, version: int, at: datetime) -> None:
    """Show `version`; raises `Missing` when there is no such version."""
    if await connection.execute(KnowledgeSql.publish, org_id, article_id, version, at) != "UPDATE 1":
        raise Missing(f"Article {article_id} has no version {version}.", code="article_version_missing")


async def retire(connection: Connection, org_id: UUID, article_id: UUID, *, at: datetime) -> bool:
    """Show it no longer and forget its chunks; False when it was retired before."""
    if await connection.execute(KnowledgeSql.retire, org_id, article_id, at) != "UPDATE 1":
        return False
    await drop_chunks(connection, article_id)
    return True


async def drop_chunks(connection: Connection, article_id: UUID) -> None:
    """Make the article impossible to find until it is indexed again."""
    await connection.execute(KnowledgeSql.drop_chunks, article_id)


async def index(
    connection: Connection,
    article_id: UUID,
    *,
    version: int,
    chunks: Sequence[Chunk],
    embeddings: Iterable[Sequence[float]],
    questions: Iterable[Sequence[float]] = (),
) -> bool:
    """Swap the article's chunks, and the vectors of the questions it answers, for these; False when `version` is not the published one any more."""
    return bool(
        await connection.fetchval(
            KnowledgeSql.index_article,
            article_id,
            version,
            [chunk.heading for chunk in chunks],
            [chunk.text for chunk in chunks],
            [_vector(row) for row in embeddings],
            [_vector(row) for row in questions],
        )
    )


async def find(
    connection: Connection, org_id: UUID, article_id: UUID, *, version: int | None = None, published: bool = False
) -> Article:
    """One article with the text of `version`, of the published version, or of the newest; raises `Missing`."""
    sql = KnowledgeSql.find.format(columns=_COLUMNS)
    row = await connection.fetchrow(sql, org_id, article_id, version, published)
    if row is None:
        raise _missing(str(article_id))
    return _article(row)


async def find_by_slug(
    connection: Connection, org_id: UUID, slug: str, language: str, *, published: bool = False
) -> Article | None:
    row = await connection.fetchrow(
        KnowledgeSql.find_by_slug.format(columns=_COLUMNS), org_id, slug, language, published
    )
    return None if row is None else _article(row)


async def find_named(connection: Connection, org_id: UUID, name: str, language: str | None = None) -> UUID:
    """The article with this slug or, failing that, this title; raises `Missing`, or `Invalid(which_article)` for several."""
    rows = await connection.fetch(KnowledgeSql.find_named, org_id, name, language)
    found = [row for row in rows if row["slug"] == name] or rows
    if not found:
        where = f" in {language}" if language else ""
        raise Missing(
            f"There is no article {name!r}{where}; asoe knowledge list shows which there are.", code="article_missing"
        )
    if len(found) > 1:
        which = ", ".join(f"{row['slug']} ({row['language']})" for row in found)
        raise Invalid(
            f"Several articles are called {name!r}: {which}. Add --language, or name one by its slug or id.",
            code="which_article",
        )
    return UUID(str(found[0]["id"]))


async def lock(connection: Connection, org_id: UUID, article_id: UUID) -> Standing:
    """Hold the article's row; raises `Missing`."""
    row = await connection.fetchrow(KnowledgeSql.lock, org_id, article_id)
    if row is None:
        raise _missing(str(article_id))
    return Standing(**dict(row))


async def page(
    connection: Connection,
    org_id: UUID,
    *,
    status: str | None = None,
    language: str | None = None,
    audience: str | None = None,
    product: str | None = None,
    after: tuple[str, str] | None = None,
    limit: int = 50,
) -> list[Article]:
    """Articles by slug and language, behind `after`; their bodies are left empty."""
    listed = f"{_LISTED}, a.title, '' as body, a.product, a.audience, a.tags, '{{}}'::text[] as questions"
    slug, its_language = after or (None, None)
    rows = await connection.fetch(
        KnowledgeSql.page.format(listed=listed), org_id, status, language, audience, product, slug, its_language, limit
    )
    return [_article(row) for row in rows]


async def versions(connection: Connection, org_id: UUID, article_id: UUID) -> list[ArticleVersion]:
    """Every kept version the caller may see, newest first."""
    return [
        ArticleVersion(row["version"], _text(row), row["written_by"], row["created_at"], bool(row["is_published"]))
        for row in await connection.fetch(KnowledgeSql.versions, org_id, article_id)
    ]


async def progress(connection: Connection, org_id: UUID) -> IndexProgress:
    row = await connection.fetchrow(KnowledgeSql.progress, org_id)
    return IndexProgress(indexed=row["indexed"], total=row["total"])


async def unindexed(
    connection: Connection, org_id: UUID, *, idle_seconds: float = 0.0, limit: int = 1000
) -> list[UUID]:
    """Published articles that cannot be found as published, unchanged for `idle_seconds`."""
    return [row["id"] for row in await connection.fetch(KnowledgeSql.unindexed, org_id, limit, idle_seconds)]


async def search(
    connection: Connection,
    org_id: UUID,
    *,
    question: str,
    embedding: Any,
    language: str,
    audience: str = "client",
    product: str | None = None,
    limit: int = 8,
    exclude_articles: Iterable[UUID | str] = (),
    reading: str | None = None,
) -> list[Passage]:
    """The passages that fit `question` best, of several articles, each in `language` where it exists in that.

    reading: the question in other words (another language's); a passage may hold the words of either.
    embedding: 384 floats, the mean over `question_windows`. audience: "agent" adds internal articles, for staff only.
    product: its articles and those of no product; None for all. The transaction's organization must be `org_id`.
    """
    vector, excluded = _vector(embedding), [UUID(str(article)) for article in exclude_articles]
    found: dict[int, Candidate] = {}
    for words in dict.fromkeys((question, reading or question)):
        rows = await connection.fetch(
            KnowledgeSql.find_chunks,
            words[:MAX_QUESTION].replace("\x00", " "),
            vector,
            audience,
            product,
            excluded,
            LEXICAL_CANDIDATES,
            SEMANTIC_CANDIDATES,
        )
        for candidate in (Candidate(*row.values()) for row in rows):
            known = found.get(candidate.chunk_id)
            if known is None or candidate.lexical > known.lexical:
                found[candidate.chunk_id] = candidate
    alike = await connection.fetch(
        KnowledgeSql.find_questions, vector, audience, product, excluded, ARTICLES_BY_QUESTION
    )
    asked = {row["article_id"]: row["asked"] for row in alike}
    for row in alike:
        missing = Candidate(row["chunk_id"], row["article_id"], row["language"], 0.0, row["semantic"])
        found.setdefault(row["chunk_id"], missing)
    named = await connection.fetch(KnowledgeSql.slugs, org_id, list({one.article_id for one in found.values()}))
    names = {row["id"]: row["slug"] for row in named}
    ranked = fuse(list(found.values()), language=language, limit=limit, asked=asked, names=names)
    texts = await connection.fetch(KnowledgeSql.read_chunks, org_id, [item.candidate.chunk_id for item in ranked])
    by_id = {row["id"]: row for row in texts}
    return [
        Passage(
            article_id=str(row["article_id"]),
            slug=row["slug"],
            title=row["title"],
            heading=row["heading"],
            text=row["text"],
            position=row["position"],
            language=row["language"],
            score=item.score,
            lexical=item.candidate.lexical,
            semantic=item.candidate.semantic,
            asked=item.asked,
        )
        for item in ranked
        if (row := by_id.get(item.candidate.chunk_id)) is not None
    ]


async def _insert_version(
    connection: Connection, org_id: UUID, article_id: UUID, version: int, text: ArticleText, *, by: UUID, at: datetime
) -> None:
    await connection.execute(
        KnowledgeSql.insert_version,
        org_id,
        article_id,
        version,
        text.title,
        text.body,
        text.product,
        text.audience,
        list(text.tags),
        list(text.questions),
        by,
        at,
    )


def _vector(numbers: Iterable[float]) -> str:
    return "[" + ",".join(f"{float(number):.6g}" for number in numbers) + "]"


def _missing(name: str) -> Missing:
    return Missing(f"There is no article {name}, or it is not yours to see.", code="article_missing")


def _text(row: Any) -> ArticleText:
    return ArticleText(
        title=row["title"],
        slug=row["slug"],
        language=row["language"],
        body=row["body"],
        product=row["product"],
        audience=row["audience"],
        tags=tuple(row["tags"]),
        questions=tuple(row["questions"]),
    )


def _article(row: Any) -> Article:
    return Article(
        id=row["id"],
        org_id=row["org_id"],
        text=_text(row),
        status=row["status"],
        version=row["version"],
        published_version=row["published_version"],
        is_indexed=row["is_indexed"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
