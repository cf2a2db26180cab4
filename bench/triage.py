"""How fast triage is on one core: load, one short text, batches (`python -m bench.triage --json FILE`).

Beside it in the same run: TF-IDF with a linear SVM, fitted on the same texts. CPU time is printed beside wall time,
since on a shared machine only the former can be compared.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

SHORT = 160
SINGLE = 300
BATCH = 64
TRAINING = Path(__file__).parents[1] / "training"


def measure() -> dict[str, Any]:
    started = time.perf_counter()
    from asoe.ai.local import Models
    from asoe.ai.triage_model import TriageInput

    models = Models.load()
    models.triage([TriageInput("Sign-in", "I cannot sign in.")])
    report: dict[str, Any] = {
        "load_seconds": time.perf_counter() - started,
        "resident_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    from asoe.ai.triage_training import read_examples

    examples = read_examples(TRAINING)
    texts = [example.text for example in examples]
    short = [text for text in texts if len(text) <= SHORT]
    report["short_text_ms"] = _single(lambda text: models.triage([TriageInput("", text)]), short)
    report["any_text_ms"] = _single(lambda text: models.triage([TriageInput("", text)]), texts)
    report["short_texts_per_second"] = _batched(
        lambda rows: models.triage([TriageInput("", row) for row in rows]), short
    )
    report["any_texts_per_second"] = _batched(lambda rows: models.triage([TriageInput("", row) for row in rows]), texts)
    report["tfidf_svc_ms"] = _single(_tfidf_svc(texts, [example.category for example in examples]), short)
    return report


def _single(work: Callable[[str], Any], texts: Sequence[str]) -> dict[str, float]:
    chosen = [texts[place % len(texts)] for place in range(20 + SINGLE)]
    wall, cpu = [], []
    for text in chosen:
        began, spent = time.perf_counter(), time.process_time()
        work(text)
        wall.append((time.perf_counter() - began) * 1000)
        cpu.append((time.process_time() - spent) * 1000)
    figures: dict[str, float] = {}
    for name, times in (("wall", wall[20:]), ("cpu", cpu[20:])):
        figures |= {f"{name}_p50": float(np.percentile(times, 50)), f"{name}_p99": float(np.percentile(times, 99))}
    return figures


def _batched(work: Callable[[Sequence[str]], Any], texts: Sequence[str]) -> dict[str, float]:
    rows = list(texts[: BATCH * 8])
    began, spent = time.perf_counter(), time.process_time()
    for start in range(0, len(rows), BATCH):
        work(rows[start : start + BATCH])
    return {
        "wall": len(rows) / (time.perf_counter() - began),
        "cpu": len(rows) / (time.process_time() - spent),
    }


def _tfidf_svc(texts: Sequence[str], labels: Sequence[str]) -> Callable[[str], Any]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.svm import LinearSVC

    features = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, max_features=200_000),
    )
    model = make_pipeline(features, LinearSVC(random_state=13)).fit(texts, labels)
    return lambda text: model.predict([text])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.triage", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the report here")
    given = parser.parse_args(arguments)
    report = measure()
    print(json.dumps(report, indent=1))
    if given.json:
        given.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
