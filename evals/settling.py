"""Fits and measures the chance that an answer settles a ticket (`python -m evals.settling`), as `asoe.desk.settling` uses it.

Reads evals/data/gate_corpus.jsonl and the `dev` part of the desk corpus, never its `test` part, through the product's
own search, triage and answer over the demo articles. Prints weights, and accuracies on tickets the weights had not seen.
Many of the articles' questions were written after these tickets were read: of a right article the question nearest to the
ticket is left out, so that a ticket meets the articles as a stranger's would.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asoe.ai.glossary import in_english
from asoe.app import open_app
from asoe.config import Settings
from asoe.desk import knowledge
from asoe.desk.resolution import LEAST_SUPPORT
from asoe.desk.settling import WEIGHTS, signals
from asoe.domain.knowledge import question_windows
from asoe.store import knowledge as stored
from asoe.store import organizations
from evals.desk import CORPUS, load_corpus

GATE_CORPUS = Path(__file__).parent / "data" / "gate_corpus.jsonl"
ARTICLES = Path(__file__).parents[1] / "src" / "asoe" / "demo" / "articles"
LANGUAGES = ("en", "de", "es", "fr")
FITTED = ("gate", "dev")
STRANGERS = "gs-"
"""Ids of tickets in voices unlike all others: no weight is fitted on them."""
FOUND = 18
FOLDS = 10
COST = 1.0
WRONG_ANSWER = 1.5
"""What an answer to a client who needed a person costs beside one that was not given though it would have helped."""

Rows = list[dict[str, Any]]
Questions = dict[Any, tuple[str, NDArray[Any]]]
"""Of each article its slug and the vectors of the questions it says it answers."""


def labelled() -> dict[str, Rows]:
    """The tickets of the corpora in supported languages, those where both would be right left out."""
    dev = {label.id for label in load_corpus() if label.part == "dev"}
    gate = _read(GATE_CORPUS)
    corpora = {
        "gate": [row for row in gate if not row["id"].startswith(STRANGERS)],
        "dev": [row for row in _read(CORPUS) if row["id"] in dev],
        "strangers": [row for row in gate if row["id"].startswith(STRANGERS)],
    }
    return {
        name: [row for row in rows if row["expect"] != "either" and row["language"] in LANGUAGES]
        for name, rows in corpora.items()
    }


async def observe(corpora: dict[str, Rows]) -> dict[str, Any]:
    """For each corpus: signals (tickets, WEIGHTS), whether answering is right, whether the answer cites a right article."""
    with tempfile.TemporaryDirectory(prefix="asoe-settling-") as folder:
        async with open_app(Settings(data_dir=Path(folder))) as app:
            made: Any = await organizations.create_organization(
                str(app.owner_url), "Tidepool", "tidepool", "cleo@tidepool.example", "Cleo"
            )
            await knowledge.import_folder(app.desk, made.owner, ARTICLES)
            async with app.database.org_reading(made.engine) as connection:
                waiting = await stored.unindexed(connection, made.org_id)
            for article in waiting:
                await knowledge.index_article(app.desk, made.org_id, article)
            asked = await _questions(app, made)
            # no question was written after the strangers' tickets: nothing is left out for them
            return {
                name: [await _observe(app, made, asked if name in FITTED else {}, row) for row in rows]
                for name, rows in corpora.items()
            }


async def _questions(app: Any, made: Any) -> Questions:
    found: Questions = {}
    async with app.database.org_reading(made.engine) as connection:
        for listed in await stored.page(connection, made.org_id, status="published", limit=1000):
            text = (await stored.find(connection, made.org_id, listed.id, published=True)).text
            if text.questions:
                found[listed.id] = (text.slug, await app.desk.ai.embed(list(text.questions)))
    return found


class _WithoutItsOwn:
    """A connection that finds articles by their questions as if the one nearest to the ticket had not been written."""

    def __init__(self, connection: Any, questions: Questions, row: dict[str, Any], embedding: NDArray[Any]) -> None:
        self.connection = connection
        self.likeness = {
            key: sorted((vectors @ embedding).tolist(), reverse=True)
            for key, (slug, vectors) in questions.items()
            if slug in row["articles"]
        }

    async def fetch(self, sql: str, *given: Any) -> Any:
        rows = await self.connection.fetch(sql, *given)
        if sql != stored.KnowledgeSql.find_questions or not self.likeness:
            return rows
        nearest = max(self.likeness, key=lambda key: self.likeness[key][0])
        second = [*self.likeness[nearest], 0.0][1]
        return [{**row, "asked": second} if row["article_id"] == nearest else row for row in rows]


async def _observe(app: Any, made: Any, questions: Questions, row: dict[str, Any]) -> tuple[list[float], bool, bool]:
    ai = app.desk.ai
    question = "\n".join(part for part in (row["subject"], row["body"]) if part)
    triage = await ai.triage(row["subject"], row["body"])
    language = triage.language if triage.language in LANGUAGES else "en"
    embedding = (await ai.embed(question_windows(question))).mean(axis=0)
    async with app.database.org_reading(made.engine) as connection:
        passages = await stored.search(
            _WithoutItsOwn(connection, questions, row, embedding),
            made.org_id,
            question=question,
            reading=in_english(question),
            embedding=embedding,
            language=language,
            limit=FOUND,
        )
    answer = await ai.answer(question, passages, language=language, threshold=LEAST_SUPPORT)
    if answer is None:
        return [0.0] * len(WEIGHTS), row["expect"] == "answer", False
    found = signals(triage, answer, question)
    cited = {citation.slug for citation in answer.citations}
    return [found[name] for name in WEIGHTS], row["expect"] == "answer", bool(cited & set(row["articles"]))


def measure(observed: dict[str, Any]) -> dict[str, Any]:
    """Weights from all tickets of FITTED; accuracies and areas under the curve from tickets left out."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fitted_on = {name: observed[name] for name in FITTED}
    features = np.array([seen[0] for rows in fitted_on.values() for seen in rows])
    truth = np.array([seen[1] for rows in fitted_on.values() for seen in rows])
    corpus = np.array([name for name, rows in fitted_on.items() for _ in rows])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=COST, max_iter=1000))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=13)
    cost = {"logisticregression__sample_weight": np.where(truth, 1.0, WRONG_ANSWER)}
    chance = cross_val_predict(model, features, truth, cv=folds, method="predict_proba", params=cost)[:, 1]
    report: dict[str, Any] = {}
    for name, rows in fitted_on.items():
        own = corpus == name
        report[name] = _rates(truth[own], chance[own]) | {
            "auc": round(float(roc_auc_score(truth[own], chance[own])), 3),
            "right article where one answers": round(float(np.mean([seen[2] for seen in rows if seen[1]])), 3),
        }
    gate = corpus == "gate"
    of_gate = {name: weight[gate] for name, weight in cost.items()}
    model.fit(features[gate], truth[gate], **of_gate)
    report["dev by weights from gate alone"] = _rates(truth[~gate], model.predict_proba(features[~gate])[:, 1])
    model.fit(features, truth, **cost)
    others = observed["strangers"]
    report["strangers by weights from the others"] = _rates(
        np.array([seen[1] for seen in others]), model.predict_proba(np.array([seen[0] for seen in others]))[:, 1]
    ) | {"right article where one answers": round(float(np.mean([seen[2] for seen in others if seen[1]])), 3)}
    scaler, fitted = model[0], model[-1]
    weights = fitted.coef_[0] / scaler.scale_
    report["bias"] = round(float(fitted.intercept_[0] - weights @ scaler.mean_), 3)
    report["weights"] = {name: round(float(weight), 3) for name, weight in zip(WEIGHTS, weights, strict=True)}
    return report


def _rates(truth: Any, chance: Any) -> dict[str, Any]:
    given = chance >= 0.5
    return {
        "tickets": len(truth),
        "accuracy": round(float((given == truth).mean()), 3),
        "answered though a person or a question back is right": round(float(given[~truth].mean()), 3),
        "not answered though an article answers": round(float((~given)[truth].mean()), 3),
    }


def _read(path: Path) -> Rows:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m evals.settling", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the report here")
    given = parser.parse_args(arguments)
    report = measure(asyncio.run(observe(labelled())))
    print(json.dumps(report, indent=1))
    if given.json:
        given.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
