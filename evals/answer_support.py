"""Measures how well an answer's support tells answerable questions from unanswerable ones (`python -m evals.answer_support`).

Each question is asked twice of the demo articles: with its article and with that article taken away. Retrieval is a
plain stand-in (BM25 plus cosine over sections), so the figures are about the answer's support only. `--fit` prints
weights for `asoe.ai.answers`.
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rank_bm25 import BM25Okapi

from asoe.ai.answers import best_supported, compose_answer
from asoe.ai.build import BUILT, PACKAGE
from asoe.ai.encoder import OnnxEncoder
from asoe.ai.features import words_of
from asoe.ai.language import function_words
from asoe.domain.knowledge import Passage

ARTICLES = PACKAGE / "demo" / "articles"
QUESTIONS = Path(__file__).parent / "data" / "answer_questions.jsonl"


def sections(folder: Path) -> list[Passage]:
    """The client articles of a folder, cut at their headings."""
    found = []
    for file in sorted(folder.rglob("*.md")):
        _, head, body = file.read_text(encoding="utf-8").split("---", 2)
        meta = yaml.safe_load(head)
        if meta["audience"] != "client":
            continue
        parts = re.split(r"^##+ (.*)$", body, flags=re.MULTILINE)
        cut = [("", parts[0]), *zip(parts[1::2], parts[2::2], strict=True)]
        for position, (heading, text) in enumerate(cut):
            if text.strip():
                found.append(
                    Passage(
                        article_id=f"{meta['language']}/{meta['slug']}",
                        slug=meta["slug"],
                        title=meta["title"],
                        heading=heading.strip(),
                        text=text.strip(),
                        position=position,
                        language=meta["language"],
                        score=0.0,
                        lexical=0.0,
                        semantic=0.0,
                    )
                )
    return found


class Finder:
    """BM25 plus cosine, equal parts."""

    def __init__(self, passages: Sequence[Passage], encoder: OnnxEncoder) -> None:
        self.passages = passages
        texts = [f"{passage.title} {passage.heading} {passage.text}" for passage in passages]
        self.encoder = encoder
        self.vectors = encoder.embed(texts)
        self.index = BM25Okapi([_terms(text) for text in texts])

    def find(self, question: str, language: str, *, without: str | None = None, limit: int = 8) -> list[Passage]:
        lexical = np.asarray(self.index.get_scores(_terms(question)))
        lexical = lexical / max(float(lexical.max()), 1e-6)
        semantic = self.vectors @ self.encoder.embed([question])[0]
        own = np.array([passage.language == language for passage in self.passages])
        score = 0.5 * lexical + 0.5 * semantic - np.where(own, 0, 0.3)
        ranked = [int(place) for place in np.argsort(-score) if self.passages[place].slug != without][:limit]
        return [
            Passage(
                **{
                    **{name: getattr(self.passages[place], name) for name in Passage.__slots__},
                    "score": float(score[place]),
                    "lexical": float(lexical[place]),
                    "semantic": float(semantic[place]),
                }
            )
            for place in ranked
        ]


def measure(*, fit: bool = False) -> dict[str, Any]:
    encoder = OnnxEncoder(BUILT / "encoder")
    finder = Finder(sections(ARTICLES), encoder)
    rows, right, scores = [], [], []
    for line in QUESTIONS.read_text(encoding="utf-8").splitlines():
        asked = json.loads(line)
        trials = [(None, True), (asked["slug"], False)] if asked["slug"] else [(None, False)]
        for without, may_be_right in trials:
            passages = finder.find(asked["question"], asked["language"], without=without)
            best = best_supported(asked["question"], passages, encoder=encoder)
            if best is None:
                continue
            support = best.support
            rows.append(support.features)
            right.append(may_be_right and best.passage.slug == asked["slug"])
            scores.append(support.score)
    truth, sure = np.array(right), np.array(scores)
    answerable = sum(1 for line in QUESTIONS.read_text(encoding="utf-8").splitlines() if json.loads(line)["slug"])
    report: dict[str, Any] = {"questions": answerable, "right article first": round(float(truth.sum() / answerable), 3)}
    for threshold in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8):
        given = sure >= threshold
        report[f"at {threshold}"] = {
            "answered": round(float((given & truth).sum() / answerable), 3),
            "wrong of those given": round(float((given & ~truth).sum() / max(1, given.sum())), 3),
        }
    if fit:
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import cross_val_predict

        model = LogisticRegression(C=10.0)
        features = np.array(rows)
        held = cross_val_predict(model, features, truth, cv=10, method="predict_proba")[:, 1]
        model.fit(features, truth)
        report["fit"] = {
            "bias": round(float(model.intercept_[0]), 2),
            "weights": [round(float(weight), 2) for weight in model.coef_[0]],
            "held-out accuracy": round(float(((held > 0.5) == truth).mean()), 3),
        }
    return report


def _terms(text: str) -> list[str]:
    return [word[:6] for word in words_of(text) if word not in function_words()]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m evals.answer_support", description=__doc__)
    parser.add_argument("--fit", action="store_true", help="fit the support's weights and print them")
    parser.add_argument("--ask", help="print the answer to one question")
    parser.add_argument("--language", default="en")
    given = parser.parse_args(arguments)
    if given.ask:
        encoder = OnnxEncoder(BUILT / "encoder")
        passages = Finder(sections(ARTICLES), encoder).find(given.ask, given.language)
        answer = compose_answer(given.ask, passages, language=given.language, encoder=encoder, threshold=0.0)
        print(answer.text if answer else "no answer", "\n\nsupport", answer.confidence if answer else None)
        return 0
    print(json.dumps(measure(fit=given.fit), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
