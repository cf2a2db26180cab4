"""Fits the triage model from labelled tickets and measures it on out-of-fold predictions.

Decides how the heads are weighed against each other and how cautious severity is, always on predictions for texts
the heads had not seen; reading the training files is here too.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asoe.ai.calibration import expected_calibration_error
from asoe.ai.classifier import Floats
from asoe.ai.deltas import Deltas
from asoe.ai.encoder import Encoder
from asoe.ai.training import anchor_rows, fit, fit_pool
from asoe.ai.triage_model import (
    HEADS,
    Settings,
    TriageModel,
    combine,
    membership,
    severity_places,
    ticket_text,
)
from asoe.domain.errors import Invalid
from asoe.domain.triage import CATEGORIES, INTENTS, NEEDS, SEVERITIES

EXAMPLE_CHARS = 160
MOST_CRITICAL_AS_LOW = 0
_ALLOWED = {"category": CATEGORIES, "severity": SEVERITIES, "intent": tuple(INTENTS), "need": NEEDS}


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled ticket, its text already redacted; `need` may be unknown."""

    text: str
    category: str
    severity: str
    intent: str
    language: str
    need: str | None = None


def read_examples(folder: Path) -> list[Example]:
    """All `tickets*.jsonl` of a folder, with `needs*.jsonl` joined by id; raises `Invalid(bad_training_text)`."""
    needs: dict[str, str] = {}
    for file in sorted(folder.glob("needs*.jsonl")):
        needs.update({str(row["id"]): str(row["need"]) for row in _rows(file)})
    found = [_example(row, needs, file) for file in sorted(folder.glob("tickets*.jsonl")) for row in _rows(file)]
    if not found:
        raise Invalid(f"{folder}: no tickets*.jsonl with labelled tickets in it.", code="bad_training_text")
    return found


def fingerprint(examples: Sequence[Example], *, beside: str = "") -> str:
    """SHA-256 over texts and labels, in order, and whatever else the model was made of."""
    digest = hashlib.sha256(beside.encode())
    for example in examples:
        row = (example.text, example.category, example.severity, example.intent, example.need)
        digest.update(json.dumps(row, ensure_ascii=False).encode())
    return digest.hexdigest()


def train(
    examples: Sequence[Example], encoder: Encoder, *, name: str = "triage", deltas: Deltas | None = None
) -> TriageModel:
    """Fit and measure; the figures stand in the manifest under `metrics`. deltas: what the tuned layers speak for."""
    texts = [example.text for example in examples]
    labels: dict[str, list[str | None]] = {head: [getattr(example, head) for example in examples] for head in HEADS}
    if not any(labels["need"]):
        del labels["need"]
    vectors = encoder.embed(texts)
    found = {head: deltas.tuned(head, texts) for head in labels} if deltas else {}
    tuned = {head: member for head, member in found.items() if member is not None}
    fitted = fit(texts, vectors, labels, tuned=tuned)
    known = {head: found.labels for head, found in fitted.classifier.heads.items()}
    by_intent = _severity_by_intent(examples, known["intent"])
    settings = _choose_settings(examples, fitted.out_of_fold, known, by_intent, _usual_similarity(vectors))
    anchors = [_beginning(texts[row]) for row in anchor_rows(len(texts))]
    mark = fingerprint(examples, beside=deltas.mark if deltas else "")
    manifest = {
        "version": f"{name}-{mark[:12]}",
        "training": {"fingerprint": mark, "tickets": len(examples), "languages": _counts(examples, "language")},
        "metrics": _measure(examples, fitted.out_of_fold, known, by_intent, settings),
    }
    return TriageModel(fitted.classifier, by_intent, settings, tuple(anchors), manifest)


def macro_f1(truth: Sequence[str], guess: Sequence[str], labels: Sequence[str]) -> float:
    """Mean F1 over the labels that occur in either."""
    scores = []
    for label in labels:
        hits = sum(a == b == label for a, b in zip(truth, guess, strict=True))
        total = sum(a == label for a in truth) + sum(b == label for b in guess)
        if total:
            scores.append(2 * hits / total)
    return float(np.mean(scores)) if scores else 0.0


def _choose_settings(
    examples: Sequence[Example],
    judged: Mapping[str, Floats],
    known: Mapping[str, tuple[str, ...]],
    by_intent: Floats,
    usual: float,
) -> Settings:
    category = np.array([CATEGORIES.index(example.category) for example in examples])
    severity = np.array([SEVERITIES.index(example.severity) for example in examples])
    neutral = Settings((1.0, 0.0), (1.0, 0.0), 1.0, 1.0, usual)
    alone = combine(judged, known, by_intent, neutral)
    by_category = judged["intent"] @ membership(known["intent"])
    category_weights = fit_pool([_log(alone.category), _log(by_category)], category)
    severity_weights = fit_pool([_log(alone.severity), _log(judged["intent"] @ by_intent)], severity)
    pooled = Settings(_two(category_weights), _two(severity_weights), 1.0, 1.0, usual)
    shares = combine(judged, known, by_intent, pooled).severity
    boost, guard = _severity_caution(shares, severity)
    return Settings(_two(category_weights), _two(severity_weights), boost, guard, usual)


def _severity_caution(shares: Floats, severity: NDArray[np.int64]) -> tuple[float, float]:
    """The boost and guard with the best macro-F1 among those that take no critical ticket for low, with a margin.

    The guard is halved after the choice on half the margin: the least p(critical) seen among critical tickets that
    would be called low is an optimistic bound for tickets to come.
    """
    truth = [SEVERITIES[place] for place in severity]
    best = (-1.0, 2.0, 0.02)
    for boost in (1.0, 1.5, 2.0, 2.5, 3.0):
        for guard in (0.1, 0.08, 0.06, 0.05, 0.04, 0.03, 0.02, 0.01):
            trial = Settings((1.0, 0.0), (1.0, 0.0), boost, guard, 1.0)
            guess = severity_places(shares, trial)
            if int(((severity == 3) & (guess == 0)).sum()) > MOST_CRITICAL_AS_LOW:
                continue
            score = macro_f1(truth, [SEVERITIES[place] for place in guess], SEVERITIES)
            best = max(best, (score, boost, guard))
    return best[1], best[2] / 1.5


def _measure(
    examples: Sequence[Example],
    judged: Mapping[str, Floats],
    known: Mapping[str, tuple[str, ...]],
    by_intent: Floats,
    settings: Settings,
) -> dict[str, Any]:
    pooled = combine(judged, known, by_intent, settings)
    guesses: dict[str, tuple[list[str], list[str], Floats]] = {
        "category": ([e.category for e in examples], _best(pooled.category, CATEGORIES), pooled.category.max(axis=1)),
        "intent": ([e.intent for e in examples], _best(pooled.intent, known["intent"]), pooled.intent.max(axis=1)),
    }
    places = severity_places(pooled.severity, settings)
    guesses["severity"] = (
        [example.severity for example in examples],
        [SEVERITIES[place] for place in places],
        pooled.severity[np.arange(len(examples)), places],
    )
    if pooled.need is not None:
        rows = [row for row, example in enumerate(examples) if example.need is not None]
        shares = pooled.need[rows]
        guesses["need"] = ([str(examples[row].need) for row in rows], _best(shares, known["need"]), shares.max(axis=1))
    metrics: dict[str, Any] = {}
    for head, (truth, guess, sure) in guesses.items():
        right = [a == b for a, b in zip(truth, guess, strict=True)]
        metrics[head] = {
            "accuracy": round(float(np.mean(right)), 4),
            "macro_f1": round(macro_f1(truth, guess, sorted(set(truth))), 4),
            "calibration_error": round(expected_calibration_error(sure, right), 4),
        }
    metrics["critical_taken_for_low"] = sum(
        a == "critical" and b == "low" for a, b in zip(guesses["severity"][0], guesses["severity"][1], strict=True)
    )
    truth, guess, _ = guesses["category"]
    for language in sorted({example.language for example in examples}):
        rows = [row for row, example in enumerate(examples) if example.language == language]
        score = macro_f1([truth[row] for row in rows], [guess[row] for row in rows], CATEGORIES)
        metrics["category"][f"macro_f1_{language}"] = round(score, 4)
    return metrics


def _severity_by_intent(examples: Sequence[Example], intents: Sequence[str]) -> Floats:
    counts = np.full((len(intents), len(SEVERITIES)), 0.5, np.float32)
    for example in examples:
        counts[intents.index(example.intent), SEVERITIES.index(example.severity)] += 1
    return np.asarray(counts / counts.sum(axis=1, keepdims=True), np.float32)


def _usual_similarity(vectors: Floats) -> float:
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -1)
    return float(np.median(likeness.max(axis=1)))


def _example(row: Mapping[str, Any], needs: Mapping[str, str], file: Path) -> Example:
    given = {**row, "need": row.get("need") or needs.get(str(row.get("id")))}
    for field, allowed in _ALLOWED.items():
        if given.get(field) not in allowed and not (field == "need" and given["need"] is None):
            raise Invalid(
                f"{file}: ticket {row.get('id')!r} has {field} {given.get(field)!r}; "
                f"expected one of {', '.join(allowed)}.",
                code="bad_training_text",
            )
    return Example(
        text=ticket_text(str(row.get("subject") or ""), str(row.get("body") or "")),
        category=given["category"],
        severity=given["severity"],
        intent=given["intent"],
        language=str(row.get("language", "und")),
        need=given["need"],
    )


def _rows(file: Path) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        try:
            rows.append(json.loads(line))
        except ValueError as problem:
            raise Invalid(f"{file} line {number}: not JSON ({problem}).", code="bad_training_text") from problem
    return rows


def _beginning(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= EXAMPLE_CHARS else line[: EXAMPLE_CHARS - 1].rsplit(" ", 1)[0] + "…"


def _best(shares: Floats, labels: Sequence[str]) -> list[str]:
    return [labels[int(place)] for place in shares.argmax(axis=1)]


def _log(shares: Floats) -> Floats:
    return np.log(np.maximum(shares, 1e-5))


def _two(weights: tuple[float, ...]) -> tuple[float, float]:
    return weights[0], weights[1]


def _counts(examples: Sequence[Example], field: str) -> dict[str, int]:
    values = [getattr(example, field) for example in examples]
    return {value: values.count(value) for value in sorted(set(values))}
