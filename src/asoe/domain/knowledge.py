"""Articles of the knowledge base, the passages found in them, and how lexical and semantic ranks become one order.

Decides what an article may be and how candidates are fused; reading Markdown is the desk's, ranking by words and vectors
the store's. Article text is data: nothing in it is ever executed or obeyed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from asoe.domain.errors import FieldProblem

AUDIENCES: Final = ("client", "agent")
"""`client`: everybody may read it. `agent`: staff only."""

ARTICLE_STATUSES: Final = ("draft", "published", "retired")

MAX_TITLE: Final = 300
MAX_BODY: Final = 200_000
MAX_TAGS: Final = 50
MAX_TAG: Final = 64
MAX_PRODUCT: Final = 120

LEXICAL_SHARE: Final = 0.6
OTHER_LANGUAGE: Final = 0.6
FOLLOWING_PASSAGE: Final = 0.85

_SLUG = re.compile(r"^[a-z0-9]([a-z0-9-]{0,118}[a-z0-9])?$", re.ASCII)
_LANGUAGE = re.compile(r"^[a-z]{2,3}$", re.ASCII)


@dataclass(frozen=True, slots=True)
class ArticleText:
    """What a writer decides: one version's content. `body` is Markdown without the front matter."""

    title: str
    slug: str
    language: str
    body: str
    product: str | None = None
    audience: str = "client"
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Article:
    """An article as stored; `version` is its newest, `published_version` the one readers see."""

    id: UUID
    org_id: UUID
    text: ArticleText
    status: str
    version: int
    published_version: int | None
    is_indexed: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ArticleVersion:
    """One kept version: who wrote it and when."""

    version: int
    text: ArticleText
    written_by: UUID | None
    created_at: datetime
    is_published: bool


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of an article that is found and cited as one; `heading` is the path of headings above it."""

    position: int
    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk that was found. `score` orders passages; `lexical` is BM25 over the best one's, `semantic` a cosine."""

    article_id: str
    slug: str
    title: str
    heading: str
    text: str
    position: int
    language: str
    score: float
    lexical: float
    semantic: float


@dataclass(frozen=True, slots=True)
class IndexProgress:
    """How many of the published articles can be found already."""

    indexed: int
    total: int


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did, by slug/language; `unchanged` ones were not written again."""

    created: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    problems: tuple[FieldProblem, ...] = field(default=())


def problems_of(text: ArticleText) -> tuple[FieldProblem, ...]:
    """Everything wrong with an article, each with its remedy."""
    found: list[FieldProblem] = []
    if not text.title.strip():
        found.append(FieldProblem("title", "is missing; add the question or task the article answers"))
    elif len(text.title) > MAX_TITLE:
        found.append(FieldProblem("title", f"has {len(text.title)} characters; at most {MAX_TITLE} are allowed"))
    if not _SLUG.match(text.slug):
        found.append(
            FieldProblem("slug", f"{text.slug!r} must be 1 to 120 lower-case letters, digits and hyphens, like reset-password")
        )
    if not _LANGUAGE.match(text.language):
        found.append(FieldProblem("language", f"{text.language!r} must be an ISO 639 code in lower case, like en or de"))
    if text.audience not in AUDIENCES:
        found.append(FieldProblem("audience", f"{text.audience!r} must be one of {', '.join(AUDIENCES)}"))
    if text.product is not None and not 0 < len(text.product) <= MAX_PRODUCT:
        found.append(FieldProblem("product", f"must have 1 to {MAX_PRODUCT} characters, or be left out"))
    if len(text.tags) > MAX_TAGS or any(not 0 < len(tag) <= MAX_TAG for tag in text.tags):
        found.append(FieldProblem("tags", f"must be at most {MAX_TAGS} words of 1 to {MAX_TAG} characters"))
    if not text.body.strip():
        found.append(FieldProblem("body", "is empty; write the article below the front matter"))
    elif len(text.body) > MAX_BODY:
        found.append(
            FieldProblem("body", f"has {len(text.body):,} characters; at most {MAX_BODY:,} are allowed: split the article")
        )
    if "\x00" in text.title + text.body:
        found.append(FieldProblem("body", "holds a NUL character, which cannot be stored; save it as plain UTF-8 text"))
    return tuple(found)
