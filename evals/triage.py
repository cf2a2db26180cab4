"""Scores the built triage model on tickets held back from training (`python -m evals.triage --json FILE`).

Prints figures only, never a text. Beside the model: a keyword baseline, shuffled labels (what the class shares alone
give), the agreement of two people (kappa) where a second labelling exists, and how near any held-back ticket comes to
a training ticket.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asoe.ai.calibration import expected_calibration_error
from asoe.ai.features import words_of
from asoe.ai.local import BUILT, Models
from asoe.ai.training import SEED
from asoe.ai.triage_model import TriageInput, ticket_text
from asoe.ai.triage_training import macro_f1, read_examples
from asoe.domain.triage import CATEGORIES, INTENTS, NEEDS, SEVERITIES
from evals.keywords import guess_category, guess_severity

HELD_BACK = Path(__file__).parent / "data" / "held_back_tickets.jsonl"
SECOND_LABELS = Path(__file__).parent / "data" / "held_back_labels_b.jsonl"
NEED_LABELS = Path(__file__).parent / "data" / "held_back_needs.jsonl"
TRAINING = Path(__file__).parents[1] / "training"
SETS = {"category": CATEGORIES, "severity": SEVERITIES, "intent": tuple(INTENTS), "need": NEEDS}
NEAREST_COSINE = 0.90
SHARED_WORDS = 8
BOOTSTRAPS = 1000

Rows = list[dict[str, Any]]


def measure(models: Models, rows: Rows) -> dict[str, Any]:
    """All figures; `rows` have subject, body, language and the true labels."""
    judged = models.triage([TriageInput(row["subject"] or "", row["body"] or "") for row in rows])
    report: dict[str, Any] = {"model": models.triage_model.version, "tickets": len(rows)}
    for head, labels in SETS.items():
        known = [index for index, row in enumerate(rows) if row.get(head)]
        if not known:
            continue
        truth = [str(rows[index][head]) for index in known]
        estimates = [getattr(judged[index], head) for index in known]
        guess = [estimate.value for estimate in estimates]
        right = [a == b for a, b in zip(truth, guess, strict=True)]
        report[head] = {
            "macro_f1": macro_f1(truth, guess, labels),
            "macro_f1_interval": _bootstrap(truth, guess, labels),
            "accuracy": float(np.mean(right)),
            "calibration_error": expected_calibration_error([estimate.confidence for estimate in estimates], right),
            "by_language": _by_language([rows[index] for index in known], truth, guess, labels),
            "shuffled_labels_macro_f1": macro_f1(truth, _shuffled(truth), labels),
        }
    truth = [str(row["severity"]) for row in rows]
    report["critical_taken_for_low"] = sum(
        true == "critical" and found.severity.value == "low" for true, found in zip(truth, judged, strict=True)
    )
    report["critical_found"] = float(
        np.mean(
            [
                found.severity.value == "critical"
                for true, found in zip(truth, judged, strict=True)
                if true == "critical"
            ]
        )
    )
    report["language_accuracy"] = float(
        np.mean([row["language"] == found.language for row, found in zip(rows, judged, strict=True)])
    )
    report["keywords"] = {
        head: macro_f1([str(row[head]) for row in rows], [guess(_text(row)) for row in rows], SETS[head])
        for head, guess in _KEYWORDS.items()
    }
    return report


_KEYWORDS: dict[str, Callable[[str], str]] = {"category": guess_category, "severity": guess_severity}


def leakage(models: Models, rows: Rows) -> dict[str, Any]:
    """How near held-back tickets come to training ones: cosine, and words in a row in common."""
    known = [example.text for example in read_examples(TRAINING)]
    texts = [_text(row) for row in rows]
    cosines = (models.encoder.embed(texts) @ models.encoder.embed(known).T).max(axis=1)
    runs = {run for text in known for run in _runs(text)}
    shared = [any(run in runs for run in _runs(text)) for text in texts]
    return {
        "highest_cosine": float(cosines.max()),
        f"closer_than_{NEAREST_COSINE}": int((cosines >= NEAREST_COSINE).sum()),
        f"sharing_{SHARED_WORDS}_words": int(sum(shared)),
        "ids_to_look_at": [
            str(row.get("id"))
            for row, cosine, is_shared in zip(rows, cosines, shared, strict=True)
            if cosine >= NEAREST_COSINE or is_shared
        ],
    }


def agreement(rows: Rows, second: Path) -> dict[str, Any]:
    """Cohen's kappa (severity also weighted by squared distance) of two labellings of the same tickets."""
    others = {str(row["id"]): row for row in _read(second)}
    report: dict[str, Any] = {}
    for head in ("category", "severity", "intent"):
        pairs = [(row[head], others[row["id"]][head]) for row in rows if others.get(row["id"], {}).get(head)]
        if pairs:
            report[head] = {"tickets": len(pairs), "kappa": _kappa(pairs, SETS[head], weighted=False)}
            truth, guess = [str(first) for first, _ in pairs], [str(other) for _, other in pairs]
            report[head]["macro_f1"] = macro_f1(truth, guess, SETS[head])
    if "severity" in report:
        pairs = [(row["severity"], others[row["id"]]["severity"]) for row in rows if row["id"] in others]
        report["severity"]["weighted_kappa"] = _kappa(pairs, SEVERITIES, weighted=True)
    return report


def _kappa(pairs: Sequence[tuple[str, str]], labels: Sequence[str], *, weighted: bool) -> float:
    place = {label: index for index, label in enumerate(labels)}
    table = np.zeros((len(labels), len(labels)))
    for first, second in pairs:
        table[place[first], place[second]] += 1
    table /= table.sum()
    steps = np.arange(len(labels))
    cost = (steps[:, None] - steps) ** 2 if weighted else (steps[:, None] != steps).astype(float)
    chance = np.outer(table.sum(axis=1), table.sum(axis=0))
    return float(1 - (cost * table).sum() / (cost * chance).sum())


def _by_language(rows: Rows, truth: list[str], guess: list[str], labels: Sequence[str]) -> dict[str, Any]:
    report = {}
    for language in sorted({str(row["language"]) for row in rows}):
        own = [index for index, row in enumerate(rows) if row["language"] == language]
        score = macro_f1([truth[index] for index in own], [guess[index] for index in own], labels)
        report[language] = {"tickets": len(own), "macro_f1": score}
    return report


def _bootstrap(truth: list[str], guess: list[str], labels: Sequence[str]) -> tuple[float, float]:
    rng = np.random.default_rng(SEED)
    place = {label: index for index, label in enumerate(labels)}
    pairs = np.array([[place[a], place[b]] for a, b in zip(truth, guess, strict=True)])
    scores = []
    for _ in range(BOOTSTRAPS):
        drawn = pairs[rng.integers(0, len(pairs), len(pairs))]
        hits = np.bincount(drawn[drawn[:, 0] == drawn[:, 1], 0], minlength=len(labels))
        total = np.bincount(drawn[:, 0], minlength=len(labels)) + np.bincount(drawn[:, 1], minlength=len(labels))
        scores.append(float((2 * hits[total > 0] / total[total > 0]).mean()))
    return float(np.quantile(scores, 0.025)), float(np.quantile(scores, 0.975))


def _shuffled(labels: list[str]) -> list[str]:
    return [labels[place] for place in np.random.default_rng(SEED).permutation(len(labels))]


def _runs(text: str) -> set[tuple[str, ...]]:
    words = words_of(text)
    return {tuple(words[start : start + SHARED_WORDS]) for start in range(len(words) - SHARED_WORDS + 1)}


def _text(row: dict[str, Any]) -> str:
    return ticket_text(row["subject"] or "", row["body"] or "")


def _read(file: Path) -> Rows:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def read_held_back(file: Path) -> Rows:
    """The held-back tickets, with needs joined by id where they are labelled."""
    rows = _read(file)
    needs = {str(row["id"]): row["need"] for row in _read(NEED_LABELS)} if NEED_LABELS.exists() else {}
    for row in rows:
        row.setdefault("need", needs.get(str(row.get("id"))))
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m evals.triage", description=__doc__)
    parser.add_argument("--data", type=Path, default=HELD_BACK, help="labelled tickets, JSON lines")
    parser.add_argument("--built", type=Path, default=BUILT, help="folder with encoder/ and triage/")
    parser.add_argument("--json", type=Path, help="write the report here")
    given = parser.parse_args(arguments)
    if not given.data.exists():
        print(f"{given.data}: there is no such file; nothing was measured.")
        return 2
    models, rows = Models.load(given.built), read_held_back(given.data)
    report = measure(models, rows)
    report["leakage"] = leakage(models, rows)
    if SECOND_LABELS.exists() and given.data == HELD_BACK:
        report["two_people"] = agreement(rows, SECOND_LABELS)
    for head in SETS:
        if head in report:
            low, high = report[head]["macro_f1_interval"]
            keywords = report["keywords"].get(head)
            print(
                f"{head}: macro-F1 {report[head]['macro_f1']:.3f} [{low:.3f}, {high:.3f}], "
                f"accuracy {report[head]['accuracy']:.3f}, ECE {report[head]['calibration_error']:.3f}; "
                + (f"keywords {keywords:.3f}, " if keywords is not None else "")
                + f"shuffled labels {report[head]['shuffled_labels_macro_f1']:.3f}; "
                + ", ".join(f"{code} {value['macro_f1']:.3f}" for code, value in report[head]["by_language"].items())
            )
    for key in ("critical_taken_for_low", "critical_found", "language_accuracy", "leakage", "two_people"):
        if key in report:
            print(f"{key}: {json.dumps(report[key])}")
    if given.json:
        given.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
