"""Articles of the knowledge base, the passages found in them, and how lexical and semantic ranks become one order.

Decides what an article may be and how candidates are fused; reading Markdown is the desk's, ranking by words and vectors
the store's. Article text is data: nothing in it is ever executed or obeyed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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
MAX_QUESTIONS: Final = 40
MAX_QUESTION: Final = 500

LEXICAL_SHARE: Final = 0.5
ASKED_SHARE: Final = 0.3
OTHER_LANGUAGE: Final = 0.97
FOLLOWING_PASSAGE: Final = 0.75
PASSAGES_PER_ARTICLE: Final = 3

LANGUAGES: Final = frozenset(
    (
        "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz "
        "ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik "
        "io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml "
        "mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd "
        "se sg si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi "
        "vo wa wo xh yi yo za zh zu"
    ).split()
)
"""The codes of ISO 639-1."""

_SLUG = re.compile(r"^[a-z0-9]([a-z0-9-]{0,118}[a-z0-9])?$", re.ASCII)
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class ArticleText:
    """What a writer decides: one version's content. `body` is Markdown without the front matter.

    `questions` are what clients would write that this article answers; they find it, and are never shown.
    """

    title: str
    slug: str
    language: str
    body: str
    product: str | None = None
    audience: str = "client"
    tags: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()


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
    """A chunk that was found. `score` orders passages; `lexical` (0..1) is its BM25 as a share of what a
    chunk with every word of the question could reach, `semantic` the cosine of question and chunk, `asked` that of the
    question and the nearest of those its article, or a translation of it, says it answers.
    """

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
    asked: float = 0.0


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


def problems_of(text: ArticleText) -> tuple[FieldProblem, ...]:
    """Everything wrong with an article, each with its remedy."""
    found: list[FieldProblem] = []
    if not text.title.strip():
        found.append(FieldProblem("title", "is missing; add the question or task the article answers"))
    elif len(text.title) > MAX_TITLE:
        found.append(FieldProblem("title", f"has {len(text.title)} characters; at most {MAX_TITLE} are allowed"))
    if not _SLUG.match(text.slug):
        found.append(
            FieldProblem(
                "slug", f"{text.slug!r} must be 1 to 120 lower-case letters, digits and hyphens, like reset-password"
            )
        )
    if text.language not in LANGUAGES:
        found.append(
            FieldProblem(
                "language", f"{text.language!r} is no language code; write two letters of ISO 639-1, like en or de"
            )
        )
    if text.audience not in AUDIENCES:
        found.append(FieldProblem("audience", f"{text.audience!r} must be one of {', '.join(AUDIENCES)}"))
    if text.product is not None and not 0 < len(text.product) <= MAX_PRODUCT:
        found.append(FieldProblem("product", f"must have 1 to {MAX_PRODUCT} characters, or be left out"))
    if len(text.tags) > MAX_TAGS or any(not 0 < len(tag) <= MAX_TAG for tag in text.tags):
        found.append(FieldProblem("tags", f"must be at most {MAX_TAGS} words of 1 to {MAX_TAG} characters"))
    if len(text.questions) > MAX_QUESTIONS or any(not 0 < len(each) <= MAX_QUESTION for each in text.questions):
        found.append(
            FieldProblem("questions", f"must be at most {MAX_QUESTIONS} questions of 1 to {MAX_QUESTION} characters")
        )
    if not text.body.strip():
        found.append(FieldProblem("body", "is empty; write the article below the front matter"))
    elif len(text.body) > MAX_BODY:
        found.append(
            FieldProblem(
                "body", f"has {len(text.body):,} characters; at most {MAX_BODY:,} are allowed: split the article"
            )
        )
    if _UNSTORABLE.search("\n".join((text.title, text.body, text.product or "", *text.tags, *text.questions))):
        problem = "holds a NUL character or half a surrogate pair, which cannot be stored; save it as plain UTF-8 text"
        found.append(FieldProblem("body", problem))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A chunk found by words or by meaning. `lexical` is its BM25 as a share of the reachable, `semantic` a cosine."""

    chunk_id: int
    article_id: UUID
    language: str
    lexical: float
    semantic: float


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate with its place in the fused order; `score` is at most 1, `asked` as in Passage."""

    candidate: Candidate
    score: float
    asked: float = 0.0


def question_windows(question: str, *, words: int = 110, most: int = 12) -> list[str]:
    """Cut a long question at sentences into windows an encoder reads whole; its vector is their mean."""
    windows: list[list[str]] = []
    for sentence in re.split(r"(?<=[.!?])\s+|\n+", question):
        parts = sentence.split()
        for at in range(0, len(parts), words):
            part = parts[at : at + words]
            if not windows or len(windows[-1]) + len(part) > words:
                windows.append([])
            windows[-1] += part
    return [" ".join(window) for window in windows[:most]] or [question]


def fuse(
    candidates: Sequence[Candidate],
    *,
    language: str,
    limit: int,
    asked: Mapping[UUID, float] | None = None,
    names: Mapping[UUID, str] | None = None,
) -> list[Ranked]:
    """Order chunks: articles by their best chunks' words and meaning, then every article's chunks behind its first.

    An article's lexical part is its best chunk plus half the second and a quarter of the third, its semantic part the
    best chunk's cosine; each is taken relative to the best article's, so that neither scale outweighs the other. `asked`,
    the likeness to the questions an article says it answers, takes ASKED_SHARE where any article has some; an article
    without them is measured by its meaning instead. Articles with one of `names` are translations: the one in `language`
    stands for all with what the best of them deserves. What exists in other languages only counts OTHER_LANGUAGE, which
    decides between equals. Further chunks of an article count less and less.
    """
    articles: dict[UUID, list[Candidate]] = {}
    for candidate in candidates:
        articles.setdefault(candidate.article_id, []).append(candidate)
    words = {key: _pooled([chunk.lexical for chunk in chunks]) for key, chunks in articles.items()}
    meaning = {key: max(0.0, *(chunk.semantic for chunk in chunks), 0.0) for key, chunks in articles.items()}
    most_words, most_meaning = (max(values.values(), default=0.0) or 1.0 for values in (words, meaning))
    best_chunk = max((chunk.lexical for chunk in candidates), default=0.0) or 1.0
    most_asked = max([most_meaning, *(asked or {}).values()])
    shares: dict[UUID, float] = {}
    for key in articles:
        share = LEXICAL_SHARE * words[key] / most_words + (1 - LEXICAL_SHARE) * meaning[key] / most_meaning
        if asked:
            likeness = max(asked.get(key, 0.0), meaning[key]) / most_asked
            share = (1 - ASKED_SHARE) * share + ASKED_SHARE * likeness
        shares[key] = share
    ranked: list[Ranked] = []
    for keys in _translations(articles, names or {}):
        spoken = [key for key in keys if articles[key][0].language == language]
        shown = min(spoken or keys, key=lambda key: (-shares[key], key))
        share = max(shares[key] for key in keys) * (1 if spoken else OTHER_LANGUAGE)
        by_fit = {
            chunk: LEXICAL_SHARE * chunk.lexical / best_chunk + (1 - LEXICAL_SHARE) * chunk.semantic / most_meaning
            for chunk in articles[shown]
        }
        inside = sorted(by_fit, key=lambda chunk: (-by_fit[chunk], chunk.chunk_id))[:PASSAGES_PER_ARTICLE]
        likeness = max((asked or {}).get(key, 0.0) for key in keys)
        ranked += [Ranked(chunk, share * FOLLOWING_PASSAGE**place, likeness) for place, chunk in enumerate(inside)]
    ranked.sort(key=lambda item: (-item.score, item.candidate.chunk_id))
    return ranked[:limit]


def _translations(articles: Iterable[UUID], names: Mapping[UUID, str]) -> Iterable[list[UUID]]:
    """Articles of one name together; one without a name alone."""
    found: dict[UUID | str, list[UUID]] = {}
    for key in articles:
        found.setdefault(names.get(key, key), []).append(key)
    return found.values()


def _pooled(scores: list[float]) -> float:
    return sum(score * 0.5**place for place, score in enumerate(sorted(scores, reverse=True)[:3]))
