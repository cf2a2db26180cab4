"""Fits the reader of reasons from labelled lines, and chooses on lines it has not seen from when a reason counts.

The lines were written to be hard: most hold no word that gives the reason away, and most without a reason sound like one.
Ordinary tickets stand beside them, so that trouble alone is no reason.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from asoe.ai.client_intent import read_reply
from asoe.ai.encoder import Encoder
from asoe.ai.reasons import ABSENT, PRESENT, REASONS, ReasonReader
from asoe.ai.redaction import redact
from asoe.ai.training import SEED, fit
from asoe.ai.triage_training import Example, read_examples
from asoe.domain.errors import Invalid

Shares = NDArray[np.float32]

MOST_FALSE: Final = {"client_asked": 0.05}
"""Of lines without a reason, at most so many may be taken for one with it; two in a hundred where nothing is said here.

Nobody may be kept from a person: a wish that is not heard weighs more than a person's minute.
"""
MOST_ORDINARY: Final = {"client_asked": 0.008, "safety": 0.004, "security": 0.004}
"""The same of ordinary texts; two in a thousand where nothing is said here."""
LEAST: Final = 0.4
MOST_TICKETS: Final = 2600
_OF_INTENT: Final[Mapping[str, tuple[str, ...]]] = {
    "wants_a_person": ("client_asked",),
    "engine_complaint": ("client_asked", "anger"),
    "thanks_or_feedback": ("anger",),
    "refund_request": ("threat", "anger"),
    "privacy_or_security": ("legal", "security"),
    "delete_account": ("legal",),
    "data_corruption": ("security",),
    "account_takeover": ("security",),
    "account_locked": ("security",),
    "outage": ("incident",),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One labelled line, already redacted."""

    text: str
    reasons: frozenset[str]
    language: str


@dataclass(frozen=True, slots=True)
class Ordinary:
    """A redacted text that holds none of the reasons but perhaps those of `may_hold`."""

    text: str
    may_hold: frozenset[str]


def read_lines(folder: Path) -> list[Line]:
    """All `reasons*.jsonl` of a folder; raises `Invalid(bad_training_text)` naming file and line."""
    found = []
    for file in sorted(folder.glob("reasons*.jsonl")):
        for number, text in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            try:
                row = json.loads(text)
                reasons = frozenset(row["reasons"])
                found.append(Line(redact(str(row["text"])).text, reasons, str(row.get("lang", "und"))))
            except (ValueError, KeyError, TypeError) as problem:
                raise Invalid(f"{file} line {number}: {problem!r}.", code="bad_training_text") from problem
            if not reasons <= {*REASONS}:
                raise Invalid(
                    f"{file} line {number}: knows {', '.join(sorted(reasons - {*REASONS}))}; "
                    f"expected some of {', '.join(REASONS)}.",
                    code="bad_training_text",
                )
    if not found:
        raise Invalid(f"{folder}: no reasons*.jsonl with labelled lines in it.", code="bad_training_text")
    return found


def read_ordinary(folder: Path) -> list[Ordinary]:
    """Texts that were labelled for something else: some of the tickets, and what clients wrote about a consent."""
    found = [Ordinary(example.text, may_hold(example)) for example in read_examples(folder)]
    chosen = [found[row] for row in np.random.default_rng(SEED).permutation(len(found))[:MOST_TICKETS]]
    for file in sorted(folder.glob("consents*.jsonl")):
        rows = map(json.loads, file.read_text(encoding="utf-8").splitlines())
        chosen += [Ordinary(redact(str(row["text"])).text, frozenset({"anger"})) for row in rows]
    return chosen


def train(lines: Sequence[Line], ordinary: Sequence[Ordinary], encoder: Encoder) -> ReasonReader:
    """Fit and measure; the figures stand in the manifest under `metrics`.

    ordinary: keeps trouble from being taken for a reason.
    """
    texts = [*(line.text for line in lines), *(one.text for one in ordinary)]
    labels: dict[str, list[str | None]] = {
        name: [
            *(PRESENT if name in line.reasons else ABSENT for line in lines),
            *(None if name in one.may_hold else ABSENT for one in ordinary),
        ]
        for name in REASONS
    }
    fitted = fit(texts, encoder.embed(texts), labels, is_rare=True)
    places = {name: head.labels.index(PRESENT) for name, head in fitted.classifier.heads.items()}
    whole = {name: fitted.out_of_fold[name][:, places[name]] for name in REASONS}
    shares = {name: own[: len(lines)] for name, own in whole.items()}
    beside = {name: own[len(lines) :] for name, own in whole.items()}
    thresholds = choose_thresholds(shares, lines, beside)
    digest = hashlib.sha256(json.dumps([(line.text, sorted(line.reasons)) for line in lines]).encode())
    manifest = {
        "version": f"reasons-{digest.hexdigest()[:12]}",
        "training": {"fingerprint": digest.hexdigest(), "lines": len(lines), "ordinary": len(ordinary)},
        "metrics": measure(shares, lines, thresholds, beside),
    }
    return ReasonReader(fitted.classifier, thresholds, manifest)


def may_hold(example: Example) -> frozenset[str]:
    """The reasons that a ticket's labels for triage do not rule out."""
    found = set(_OF_INTENT.get(example.intent, ()))
    if read_reply(example.text) == "wants_person":
        found.add("client_asked")
    if example.category == "performance" and example.severity == "high":
        found.add("incident")
    if example.severity == "critical":
        found |= {"safety", "incident", "security"}
    return frozenset(found)


def choose_thresholds(
    shares: Mapping[str, Shares], lines: Sequence[Line], ordinary: Mapping[str, Shares]
) -> dict[str, float]:
    """For each reason the least probability that few lines without a reason pass, and hardly any ordinary ticket."""
    without = np.array([not line.reasons for line in lines])
    return {
        name: round(
            max(
                _passed_by(shares[name][without], MOST_FALSE.get(name, 0.02)),
                _passed_by(ordinary[name], MOST_ORDINARY.get(name, 0.002)),
            ),
            3,
        )
        for name in REASONS
    }


def _passed_by(shares: Shares, most: float) -> float:
    """The least probability that at most this share of them reaches, and never less than `LEAST`."""
    known = np.sort(shares[~np.isnan(shares)])[::-1]
    return max(LEAST, float(known[int(most * len(known))]) + 1e-3) if len(known) else LEAST


def measure(
    shares: Mapping[str, Shares],
    lines: Sequence[Line],
    thresholds: Mapping[str, float],
    ordinary: Mapping[str, Shares],
) -> dict[str, Any]:
    """Out of fold: how many of each reason are found, and how many texts without any get one."""
    found = {name: shares[name] >= thresholds[name] for name in REASONS}
    taken = np.any([ordinary[name] >= thresholds[name] for name in REASONS], axis=0)
    without = np.array([not line.reasons for line in lines])
    metrics: dict[str, Any] = {
        "false": round(float(np.any([*found.values()], axis=0)[without].mean()), 4) if without.any() else 0.0,
        "ordinary": round(float(taken.mean()), 4) if len(taken) else 0.0,
    }
    for name in REASONS:
        held = np.array([name in line.reasons for line in lines])
        metrics[name] = {
            "found": round(float(found[name][held].mean()), 4) if held.any() else 0.0,
            "false": round(float(found[name][without].mean()), 4) if without.any() else 0.0,
        }
    return metrics
