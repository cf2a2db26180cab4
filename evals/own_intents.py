"""Measures own intents: labels of public sets as an organization's intents (`python -m evals.own_intents --data DIR --sets a,b --json FILE`).

Each label is one own intent: its name, put into words, as title, no description, and 0, 1, 3, 5 or 10 examples drawn from NAME.train.
What is asked is the product's own path: shared and own intents compete, the decision is triage's. *all*: every label is an own intent, how many rows
of NAME.test get theirs. *half*: a random half of the labels is own; precision and recall of own intents over all rows. *taken*: how many
of the product's held-back tickets the own intents take away. *corrected*: as *all* without examples, after the adapter was
fitted on 10 corrected tickets of each label. Means over --draws draws. Weights are fixed (`asoe.ai.own_intents`, fitted on train and dev).
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asoe.ai.adapter import Adapter, fit_adapter
from asoe.ai.calibration import wilson_interval
from asoe.ai.encoder import Vectors
from asoe.ai.local import Models
from asoe.ai.own_intents import OwnIntents, own_intents, texts_of
from asoe.ai.triage_model import Judged, ticket_text
from asoe.domain.triage import CATEGORIES, SEVERITIES
from evals.intents import DEFAULT_DATA, UNKNOWN, read_part
from evals.triage import HELD_BACK, read_held_back

DEFAULT_SETS = "banking77,clinc150,bitext8k,dstc11_banking,dstc11_finance,dstc11_insurance"
SHOTS = (0, 1, 3, 5, 10)
SEED = 13
CATEGORY = "general"
"""Public labels have none of ours; one for all leaves the decision to the intents."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Texts as triage reads them, judged by the shared model once; `labels` are places among the set's, -1: another."""

    texts: list[str]
    vectors: Vectors
    judged: Judged
    labels: NDArray[np.int_]


def in_words(label: str) -> str:
    """`ReportLostCard` and `report_lost_card` → "report lost card"."""
    return " ".join(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label).replace("_", " ").replace("-", " ").split()).lower()


def measure_set(models: Models, folder: Path, name: str, ours: Rows, *, draws: int) -> dict[str, Any]:
    texts, given = read_part(folder, name, "train")
    names = sorted(set(given.tolist()) - {UNKNOWN})
    asked, wanted = read_part(folder, name, "test")
    rows = judged_rows(models, [ticket_text("", text) for text in asked], [place(names, label) for label in wanted])
    titles = models.encoder.embed([texts_of(in_words(label), "", ())[0] for label in names])
    report: dict[str, Any] = {"labels": len(names), "test": len(asked), "shots": {}}
    rng = np.random.default_rng(SEED)
    pool = {place(names, label): np.flatnonzero(given == label) for label in names}
    vectors = _embedded(models, texts, pool, rng)
    for shots in SHOTS:
        found = []
        for _ in range(draws if shots else 1):
            examples = {label: rng.permutation(places)[:shots] for label, places in pool.items()}
            found.append(_measured(models, rows, ours, titles, vectors, examples, rng))
        report["shots"][shots] = {key: float(np.mean([each[key] for each in found])) for key in found[0]}
    inside = int((rows.labels >= 0).sum())
    report["all_interval_at_0"] = wilson_interval(report["shots"][0]["all"] * inside, inside)
    report["corrected"] = _corrected(models, rows, names, titles, texts, pool, vectors, rng)
    return report


def _measured(
    models: Models,
    rows: Rows,
    ours: Rows,
    titles: Vectors,
    vectors: dict[int, Vectors],
    examples: dict[int, NDArray[np.int_]],
    rng: np.random.Generator,
) -> dict[str, float]:
    every = list(range(len(titles)))
    inside = rows.labels >= 0
    found = decided(models, rows, own_of(every, titles, vectors, examples))
    half = sorted(rng.permutation(len(titles))[: max(1, len(titles) // 2)].tolist())
    own = own_of(half, titles, vectors, examples)
    chosen = decided(models, rows, own)
    chosen = np.where(chosen >= 0, np.array([*half, -1])[chosen], -1)
    mine = np.isin(rows.labels, half)
    said = chosen >= 0
    return {
        "all": float((found == rows.labels)[inside].mean()),
        "half_precision": float((chosen == rows.labels)[said].mean()) if said.any() else 1.0,
        "half_recall": float((chosen == rows.labels)[mine].mean()),
        "taken": float((decided(models, ours, own) >= 0).mean()),
    }


def _corrected(
    models: Models,
    rows: Rows,
    names: list[str],
    titles: Vectors,
    texts: list[str],
    pool: dict[int, NDArray[np.int_]],
    vectors: dict[int, Vectors],
    rng: np.random.Generator,
) -> float:
    """Ten corrected tickets of each label, learned by the adapter over titles alone."""
    none = {label: np.zeros(0, int) for label in pool}
    own = own_of(list(range(len(names))), titles, vectors, none)
    taught = [(int(row), label) for label, places in pool.items() for row in rng.permutation(places)[:10]]
    stacked = np.stack([vectors[row] for row, _ in taught])
    model = models.triage_model
    lesson_texts = [ticket_text("", texts[row]) for row, _ in taught]
    judged = model.adapted(model.judge(lesson_texts, stacked), None, stacked, own=own)
    taxonomy = model.taxonomy(own)
    adapter = fit_adapter(
        stacked,
        {
            "category": [CATEGORY] * len(taught),
            "severity": [None] * len(taught),
            "intent": [f"own_{label}" for _, label in taught],
        },
        {"category": judged.category, "severity": judged.severity, "intent": judged.intent},
        known={"category": CATEGORIES, "severity": SEVERITIES, "intent": taxonomy.intents},
        version=1,
        base=model.version,
    )
    inside = rows.labels >= 0
    return float((decided(models, rows, own, adapter) == rows.labels)[inside].mean())


def own_of(
    labels: list[int], titles: Vectors, vectors: dict[int, Vectors], examples: dict[int, NDArray[np.int_]]
) -> OwnIntents:
    made = own_intents(
        [
            (
                f"own_{label}",
                CATEGORY,
                len(examples[label]),
                np.stack([titles[label], *(vectors[int(row)] for row in examples[label])]),
            )
            for label in labels
        ]
    )
    assert made is not None
    return made


def decided(models: Models, rows: Rows, own: OwnIntents, adapter: Adapter | None = None) -> NDArray[np.int_]:
    """For each row the place of the own intent that triage says, -1: a shared one."""
    model = models.triage_model
    laid = model.adapted(rows.judged, adapter, rows.vectors, own=own)
    taxonomy = model.taxonomy(own)
    within = np.array(taxonomy.categories)[None, :] == np.array(CATEGORIES)[laid.category.argmax(axis=1)][:, None]
    best = np.where(within, laid.intent, -1).argmax(axis=1)
    first = len(taxonomy.intents) - len(own.names)
    return np.where(best >= first, best - first, -1)


def judged_rows(models: Models, texts: list[str], labels: list[int]) -> Rows:
    vectors = models.encoder.embed(texts)
    parts = [
        models.triage_model.judge(texts[start : start + 256], vectors[start : start + 256])
        for start in range(0, len(texts), 256)
    ]
    category, severity, intent = (
        np.concatenate([getattr(part, head) for part in parts]) for head in ("category", "severity", "intent")
    )
    judged = Judged(category=category, severity=severity, intent=intent, need=None)
    return Rows(texts, vectors, judged, np.array(labels))


def place(names: list[str], label: str) -> int:
    return names.index(label) if label in names else -1


def _embedded(
    models: Models, texts: list[str], pool: dict[int, NDArray[np.int_]], rng: np.random.Generator
) -> dict[int, Vectors]:
    """Vectors of at most 30 training rows of each label, of which every draw takes its examples."""
    for label, places in pool.items():
        pool[label] = rng.permutation(places)[:30]
    used = [int(row) for places in pool.values() for row in places]
    return dict(zip(used, models.encoder.embed([texts[row] for row in used]), strict=True))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m evals.own_intents", description=__doc__)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--sets", default=DEFAULT_SETS, help="names, separated by commas")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the report here")
    given = parser.parse_args(arguments)
    if not given.data.is_dir():
        sys.stderr.write(f"There is no folder {given.data}.\n")
        return 2
    models = Models.load()
    held = read_held_back(HELD_BACK)
    ours = judged_rows(models, [ticket_text(row["subject"] or "", row["body"] or "") for row in held], [-1] * len(held))
    report: dict[str, Any] = {"seed": SEED, "draws": given.draws, "model": models.triage_model.version, "sets": {}}
    sys.stdout.write("set                labels " + "".join(f"{shots:>7}" for shots in SHOTS) + "  corrected\n")
    for name in given.sets.split(","):
        found = report["sets"][name] = measure_set(models, given.data, name, ours, draws=given.draws)
        for key in ("all", "half_precision", "half_recall", "taken"):
            line = "".join(f"{100 * found['shots'][shots][key]:7.1f}" for shots in SHOTS)
            last = f"{100 * found['corrected']:11.1f}" if key == "all" else ""
            sys.stdout.write(f"{name if key == 'all' else '  ' + key:18} {found['labels']:6} {line}{last}\n")
        sys.stdout.flush()
    if given.json:
        given.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
