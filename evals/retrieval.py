"""Measure the product's search on a bank's knowledge base: `python -m evals.retrieval --data DIR --json FILE`.

Articles are saved, published, cut, embedded and indexed by the desk; questions go through `desk.knowledge.search_articles`
against a real PostgreSQL as a client. A rank counts distinct articles. rank-bm25 runs over the same texts in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg
import numpy as np
from rank_bm25 import BM25Okapi
from scipy.stats import beta
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from asoe.ai.local import LocalAI
from asoe.desk.knowledge import index_article, save_article, search_articles
from asoe.domain.knowledge import ArticleText
from asoe.domain.organization import Principal
from asoe.store.db import Database, open_database
from asoe.store.embedded import close_embedded, open_embedded
from asoe.store.migrate import migrate
from asoe.store.organizations import create_organization

DEFAULT_DATA: Final = Path("../shared/data")
DOCS, SITUATIONS = "bankkb_docs.jsonl.gz", "bankkb_retrieval.jsonl.gz"
DEPTH: Final = 50
SHORT_WORDS: Final = 30
SHORT_QUESTIONS: Final = 200
RESAMPLES: Final = 10_000
GOALS: Final = {"hit@1": (0.44, 0.50), "hit@10": (0.88, 0.95), "mrr": (0.57, 0.70)}
P50_GOAL_MS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Situation:
    """What somebody wants, and the documents that are needed for it."""

    text: str
    opening: str
    gold: frozenset[str]


@dataclass(slots=True)
class EvalDesk:
    """A desk with nothing but what search needs; jobs are collected and run by hand."""

    database: Database
    ai: LocalAI
    engine: Principal
    jobs: list[UUID] = field(default_factory=list)

    @property
    def queue(self) -> EvalDesk:
        return self

    def clock(self) -> datetime:
        return datetime.now(UTC)

    async def enqueue(
        self, connection: Any, job: str, ids: Mapping[str, UUID | str], *, dedupe_key: str | None = None
    ) -> None:
        del connection, job, dedupe_key
        self.jobs.append(UUID(str(ids["article_id"])))

    async def engine_of(self, org_id: UUID) -> Principal:
        del org_id
        return self.engine


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help=f"folder with {DOCS} and {SITUATIONS}")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    absent = [name for name in (DOCS, SITUATIONS) if not (arguments.data / name).is_file()]
    if absent:
        print(f"retrieval: skipped, {arguments.data} holds no {' and no '.join(absent)}. Name the folder with --data.")
        if arguments.json:
            arguments.json.write_text(json.dumps({"skipped": f"no {', '.join(absent)}"}))
        return 0
    report = asyncio.run(measure(arguments.data))
    print(as_table(report))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2))
    return 0


async def measure(data: Path) -> dict[str, Any]:
    """Index the articles in a PostgreSQL made for this run, ask every question, and compare."""
    documents = [(row["id"], row["title"], row["content"]) for row in read_rows(data / DOCS)]
    situations = [as_situation(row) for row in read_rows(data / SITUATIONS)]
    folder = Path(tempfile.mkdtemp(prefix="asoe-eval-"))
    server = await open_embedded(folder, durability="test")
    ai = await LocalAI.load()
    database = None
    try:
        await migrate(server.owner_dsn)
        client, agent, engine = await make_organization(server.owner_dsn)
        database = await open_database(server.app_dsn, server.system_dsn, pool=4)
        desk = EvalDesk(database, ai, engine)
        started = time.perf_counter()
        slugs = await fill(desk, agent, documents)
        seconds = time.perf_counter() - started
        async with database.org_reading(agent) as connection:
            chunks = await connection.fetchval("select count(*) from asoe.article_chunks")
        by_text = [await ask(desk, client, slugs, one.text) for one in situations]
        by_opening = [await ask(desk, client, slugs, one.opening) for one in situations]
        short = await latency(desk, client, short_questions(situations))
        long = await latency(desk, client, [one.text for one in situations])
    finally:
        if database is not None:
            await database.close()
        await ai.close()
        await close_embedded(server)
        shutil.rmtree(folder, ignore_errors=True)
    baselines = {
        name: [bm25_order(documents, words, one.text) for one in situations] for name, words in TOKENIZERS.items()
    }
    ours = [first_hit(order, one.gold) for order, one in zip(by_text, situations, strict=True)]
    theirs = {
        name: [first_hit(order, one.gold) for order, one in zip(orders, situations, strict=True)]
        for name, orders in baselines.items()
    }
    strongest = max(theirs, key=lambda name: figures(theirs[name])["mrr"])
    return {
        **figures(ours),
        "situations": len(situations),
        "articles": len(documents),
        "chunks": chunks,
        "load_average": round(os.getloadavg()[0], 1),
        "processors": os.cpu_count(),
        "indexing_seconds": round(seconds, 1),
        "openings_only": figures(
            [first_hit(order, one.gold) for order, one in zip(by_opening, situations, strict=True)]
        ),
        "bm25": {name: figures(ranks) for name, ranks in theirs.items()},
        "bm25_strongest": strongest,
        "mrr_minus_strongest_bm25": difference(ours, theirs[strongest]),
        "latency_ms": short,
        "latency_whole_situation_ms": long,
        "goals": {name: {"must": must, "goal": goal} for name, (must, goal) in GOALS.items()}
        | {"p50_ms": {"must": P50_GOAL_MS}},
    }


def read_rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def as_situation(row: dict[str, Any]) -> Situation:
    extra = row.get("extra") or {}
    gold = extra.get("gold") or row["label"].split("|")
    return Situation(row["text"], extra.get("opening") or row["text"], frozenset(gold))


async def make_organization(owner_dsn: str) -> tuple[Principal, Principal, Principal]:
    made = await create_organization(owner_dsn, "Eval", "eval", "owner@eval.example", "Owner")
    org_id = made.org_id
    connection = await asyncpg.connect(owner_dsn)
    try:
        client = await connection.fetchval("insert into auth.users (email) values ('client@eval.example') returning id")
        await connection.execute("insert into public.user_organizations values ($1, $2)", client, org_id)
        await connection.execute(
            "insert into asoe.members (org_id, user_id, role, name) values ($1, $2, 'client', 'Client')", org_id, client
        )
    finally:
        await connection.close()
    return Principal(client, org_id, "client"), made.owner, made.engine


async def fill(desk: EvalDesk, agent: Principal, documents: Sequence[tuple[str, str, str]]) -> dict[str, str]:
    """Publish and index every document; returns the document of each slug."""
    slugs: dict[str, str] = {}
    for number, (name, title, content) in enumerate(documents):
        slug = f"{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')[:100]}-{number}"
        slugs[slug] = name
        await save_article(desk, agent, ArticleText(title, slug, "en", content), publish_now=True)
    while desk.jobs:
        await index_article(desk, agent.org_id, desk.jobs.pop())
    return slugs


async def ask(desk: EvalDesk, client: Principal, slugs: Mapping[str, str], question: str) -> list[str]:
    """The distinct documents found, best first."""
    passages = await search_articles(desk, client, question, language="en", limit=DEPTH)
    return list(dict.fromkeys(slugs[passage.slug] for passage in passages))


async def latency(desk: EvalDesk, client: Principal, questions: Sequence[str]) -> dict[str, float]:
    """Milliseconds from question to passages, embedding included, one after the other."""
    for question in questions[:10]:
        await search_articles(desk, client, question, language="en")
    times = []
    for question in questions:
        started = time.perf_counter()
        await search_articles(desk, client, question, language="en")
        times.append((time.perf_counter() - started) * 1000)
    least, p50, p95, p99 = np.percentile(times, [5, 50, 95, 99])
    return {
        "p5": round(least, 2),
        "p50": round(p50, 2),
        "p95": round(p95, 2),
        "p99": round(p99, 2),
        "questions": len(times),
    }


def short_questions(situations: Sequence[Situation]) -> list[str]:
    """Sentences of 5 to 30 words, spread over all situations."""
    sentences = [
        sentence
        for one in situations
        for sentence in re.split(r"(?<=[.!?])\s+|\n+", one.text)
        if 5 <= len(sentence.split()) <= SHORT_WORDS
    ]
    step = max(1, len(sentences) // SHORT_QUESTIONS)
    return sentences[::step][:SHORT_QUESTIONS]


def plain_words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def content_words(text: str) -> list[str]:
    return [word for word in plain_words(text) if word not in ENGLISH_STOP_WORDS and len(word) > 2]


TOKENIZERS: Final[dict[str, Callable[[str], list[str]]]] = {
    "plain": plain_words,
    "without_stop_words": content_words,
}


def bm25_order(
    documents: Sequence[tuple[str, str, str]],
    words: Callable[[str], list[str]],
    question: str,
    *,
    indexes: dict[Callable[[str], list[str]], BM25Okapi] = {},  # noqa: B006 - one index a tokenizer for the whole run
) -> list[str]:
    if words not in indexes:
        indexes[words] = BM25Okapi([words(f"{title} {content}") for _, title, content in documents])
    scores = indexes[words].get_scores(words(question))
    return [documents[at][0] for at in np.argsort(-scores, kind="stable")[:DEPTH]]


def first_hit(order: Sequence[str], gold: frozenset[str]) -> float:
    """The rank of the first needed document, infinite when none is among DEPTH."""
    return next((float(rank) for rank, name in enumerate(order, 1) if name in gold), float("inf"))


def figures(ranks: Sequence[float]) -> dict[str, Any]:
    """Hit rates with exact 95 % intervals, and the mean reciprocal rank with a bootstrap one."""
    reciprocal = 1 / np.asarray(ranks)
    found: dict[str, Any] = {}
    for depth in (1, 5, 10):
        hits = sum(rank <= depth for rank in ranks)
        found[f"hit@{depth}"] = round(hits / len(ranks), 4)
        found[f"hit@{depth}_interval"] = [
            round(float(beta.ppf(0.025, hits, len(ranks) - hits + 1)) if hits else 0.0, 4),
            round(float(beta.ppf(0.975, hits + 1, len(ranks) - hits)) if hits < len(ranks) else 1.0, 4),
        ]
    found["mrr"] = round(float(reciprocal.mean()), 4)
    found["mrr_interval"] = resampled(reciprocal)
    return found


def difference(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, Any]:
    """Paired difference of the mean reciprocal ranks."""
    delta = 1 / np.asarray(ours) - 1 / np.asarray(theirs)
    return {"mean": round(float(delta.mean()), 4), "interval": resampled(delta)}


def resampled(values: np.ndarray) -> list[float]:
    random = np.random.default_rng(13)
    means = values[random.integers(0, len(values), (RESAMPLES, len(values)))].mean(axis=1)
    return [round(float(limit), 4) for limit in np.percentile(means, [2.5, 97.5])]


def as_table(report: dict[str, Any]) -> str:
    lines = [
        f"retrieval: {report['situations']} situations, {report['articles']} articles, {report['chunks']} chunks",
        f"indexed in {report['indexing_seconds']} s; load average {report['load_average']} on {report['processors']} processors",
        f"{'':28}{'hit@1':>8}{'hit@5':>8}{'hit@10':>8}{'MRR':>8}",
    ]
    rows = {
        "asoe": report,
        "asoe, opening words only": report["openings_only"],
        **{f"rank-bm25, {name.replace('_', ' ')}": row for name, row in report["bm25"].items()},
    }
    for name, row in rows.items():
        lines.append(f"{name:28}" + "".join(f"{row[key]:8.3f}" for key in ("hit@1", "hit@5", "hit@10", "mrr")))
    low, high = report["mrr_minus_strongest_bm25"]["interval"]
    lines.append(
        f"MRR minus the stronger BM25: {report['mrr_minus_strongest_bm25']['mean']:+.3f} (95 % {low:+.3f} to {high:+.3f})"
    )
    for title, key in (
        (f"questions of at most {SHORT_WORDS} words", "latency_ms"),
        ("whole situations", "latency_whole_situation_ms"),
    ):
        lines.append(
            f"ms, {title}: " + ", ".join(f"{name} {report[key][name]}" for name in ("p5", "p50", "p95", "p99"))
        )
    for name, (must, goal) in GOALS.items():
        verdict = "goal met" if report[name] >= goal else "met" if report[name] >= must else "MISSED"
        lines.append(f"{name} ≥ {must} (goal {goal}): {report[name]:.3f}, {verdict}")
    strongest = report["bm25"][report["bm25_strongest"]]
    below = [name for name in ("hit@1", "hit@10", "mrr") if report[name] < strongest[name]]
    lines.append(f"not below BM25 ({report['bm25_strongest']}): {'below in ' + ', '.join(below) if below else 'met'}")
    lines.append(f"p50 ≤ {P50_GOAL_MS:.0f} ms: {'met' if report['latency_ms']['p50'] <= P50_GOAL_MS else 'MISSED'}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
