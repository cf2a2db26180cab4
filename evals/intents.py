"""Measures the classifier on any labelled set of texts (`python -m evals.intents --data DIR --sets banking77,… --json FILE`).

Fits on NAME.train with the product's own trainer, nothing tuned per set; certifies thresholds on NAME.dev; reports on
NAME.test. Rows with label `oos` count as errors when accepted and are left out of the accuracy. Beside it, in the same
run: TF-IDF with a linear SVM (scikit-learn) and the same plus sentence vectors.
"""

import argparse
import gzip
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asoe.ai.calibration import certify_any, expected_calibration_error, upper_limit, wilson_interval
from asoe.ai.classifier import TextClassifier
from asoe.ai.encoder import OnnxEncoder, Vectors
from asoe.ai.local import BUILT
from asoe.ai.training import SEED, fit

DEFAULT_DATA = Path("../shared/data")
DEFAULT_SETS = "banking77,clinc150,itservice47k,dstc11_banking,dstc11_finance,dstc11_insurance"
UNKNOWN = "oos"
LEVELS = (0.01, 0.02, 0.05)
TIMED = 300
BOOTSTRAPS = 2000


def read_part(folder: Path, name: str, part: str) -> tuple[list[str], NDArray[np.str_]]:
    """Texts and labels of NAME.PART.jsonl.gz, or .jsonl."""
    packed, plain = folder / f"{name}.{part}.jsonl.gz", folder / f"{name}.{part}.jsonl"
    if packed.exists():
        with gzip.open(packed, "rt", encoding="utf-8") as stream:
            rows = [json.loads(line) for line in stream if line.strip()]
    else:
        rows = [json.loads(line) for line in plain.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [str(row["text"]) for row in rows], np.array([str(row["label"]) for row in rows])


def measure_set(folder: Path, name: str, encoder: OnnxEncoder, *, baselines: bool = True) -> dict[str, Any]:
    """All figures of one set."""
    texts, labels = read_part(folder, name, "train")
    keep = labels != UNKNOWN
    texts, labels = [text for text, kept in zip(texts, keep, strict=True) if kept], labels[keep]
    dev, test = read_part(folder, name, "dev"), read_part(folder, name, "test")
    vectors = {part: encoder.embed(rows) for part, rows in (("train", texts), ("dev", dev[0]), ("test", test[0]))}
    started = time.monotonic()
    fitted = fit(texts, vectors["train"], {"label": labels.tolist()})
    took = time.monotonic() - started
    model = TextClassifier.from_arrays(fitted.classifier.to_arrays())  # what is measured is what would be stored
    right, sure, near = _outcomes(model, test, vectors["test"])
    inside = test[1] != UNKNOWN
    report: dict[str, Any] = {
        "labels": len(set(labels.tolist())),
        "train": len(texts),
        "test": len(test[0]),
        "accuracy": float(right[inside].mean()),
        "accuracy_interval": wilson_interval(float(right[inside].sum()), int(inside.sum())),
        "calibration_error": expected_calibration_error(sure[inside], right[inside]),
        "train_seconds": round(took, 1),
        "selective": _selective(model, dev, vectors["dev"], right, scores_of(sure, near)),
        "latency_ms": _latency(model, encoder, test[0]),
    }
    if not inside.all():
        report["out_of_scope"] = _out_of_scope(sure * near, inside)
    if baselines:
        report["baselines"] = _baselines(texts, labels, test, vectors, right)
    return report


def _outcomes(
    model: TextClassifier, rows: tuple[list[str], NDArray[np.str_]], vectors: Vectors
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
    """For each row: is the best label right, its confidence, and the likeness to the nearest anchor in 0..1."""
    labels = np.array(model.heads["label"].labels)
    shares = np.concatenate(
        [
            model.judge(rows[0][start : start + 256], vectors[start : start + 256])["label"]
            for start in range(0, len(rows[0]), 256)
        ]
    )
    near = (vectors @ model.anchors.T).max(axis=1)
    sure = shares.max(axis=1).astype(float)
    return labels[shares.argmax(axis=1)] == rows[1], sure, np.clip(near, 0, 1).astype(float)


def scores_of(sure: NDArray[np.float64], near: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """What may be thresholded: confidence alone, or times likeness (better where much is out of scope)."""
    return {"confidence": sure, "confidence_likeness": sure * near}


def _selective(
    model: TextClassifier,
    dev: tuple[list[str], NDArray[np.str_]],
    vectors: Vectors,
    right: NDArray[np.bool_],
    scores: dict[str, NDArray[np.float64]],
) -> dict[str, Any]:
    """Coverage and error on test at thresholds certified on dev (wrong among accepted, delta .05)."""
    dev_right, dev_sure, dev_near = _outcomes(model, dev, vectors)
    found: dict[str, Any] = {}
    for level in LEVELS:
        certified = certify_any(scores_of(dev_sure, dev_near), ~dev_right, level=level)
        if certified is None:
            found[f"{level:.0%}"] = {"coverage": 0.0, "error": None, "threshold": None}
            continue
        name, threshold = certified
        accepted = scores[name] >= threshold
        errors, cases = int((accepted & ~right).sum()), int(accepted.sum())
        found[f"{level:.0%}"] = {
            "coverage": float(accepted.mean()),
            "error": errors / max(cases, 1),
            "error_upper_limit": upper_limit(errors, cases),
            "score": name,
            "threshold": threshold,
            "calibrated_on": len(dev_sure),
        }
    return found


def _out_of_scope(score: NDArray[np.float64], inside: NDArray[np.bool_]) -> dict[str, float]:
    """AUROC, and the out-of-scope recall where 95 % of what is in scope is kept."""
    from scipy.stats import rankdata

    ranks = rankdata(score)
    known, unknown = int(inside.sum()), int((~inside).sum())
    area = (ranks[inside].sum() - known * (known + 1) / 2) / (known * unknown)
    bar = np.quantile(score[inside], 0.05)
    return {"auroc": float(area), "recall_at_95_kept": float((score[~inside] < bar).mean())}


def _latency(model: TextClassifier, encoder: OnnxEncoder, texts: Sequence[str]) -> dict[str, float]:
    """One text at a time, encoder included, after a warm-up."""
    times = []
    for index, text in enumerate(list(texts[:TIMED]) * (1 + TIMED // max(len(texts), 1))):
        if index == TIMED:
            break
        started = time.perf_counter()
        model.judge([text], encoder.embed([text]))
        times.append((time.perf_counter() - started) * 1000)
    return {"p50": float(np.percentile(times[20:], 50)), "p99": float(np.percentile(times[20:], 99))}


def _baselines(
    texts: Sequence[str],
    labels: NDArray[np.str_],
    test: tuple[list[str], NDArray[np.str_]],
    vectors: dict[str, Vectors],
    right: NDArray[np.bool_],
) -> dict[str, Any]:
    from scipy import sparse
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    makers = [
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b"),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, max_features=200_000),
    ]
    words = sparse.hstack([maker.fit_transform(texts) for maker in makers]).tocsr()
    asked = sparse.hstack([maker.transform(test[0]) for maker in makers]).tocsr()
    inside = test[1] != UNKNOWN
    report: dict[str, Any] = {}
    for name, known, wanted in (
        ("tfidf_svc", words, asked),
        (
            "tfidf_minilm_svc",
            sparse.hstack([words, sparse.csr_matrix(vectors["train"])]).tocsr(),
            sparse.hstack([asked, sparse.csr_matrix(vectors["test"])]).tocsr(),
        ),
    ):
        guess = LinearSVC(C=0.3, random_state=SEED).fit(known, labels).predict(wanted)
        theirs = (guess == test[1])[inside]
        report[name] = {
            "accuracy": float(theirs.mean()),
            "difference_interval": _paired_bootstrap(right[inside], theirs),
        }
    return report


def _paired_bootstrap(ours: NDArray[np.bool_], theirs: NDArray[np.bool_]) -> tuple[float, float]:
    """95 % interval of our accuracy minus theirs over resampled test rows."""
    gains = ours.astype(float) - theirs.astype(float)
    rng = np.random.default_rng(SEED)
    means = [gains[rng.integers(0, len(gains), len(gains))].mean() for _ in range(BOOTSTRAPS)]
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m evals.intents", description=__doc__)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--sets", default=DEFAULT_SETS, help="names, separated by commas")
    parser.add_argument("--json", type=Path, help="write the report here")
    parser.add_argument("--no-baselines", action="store_true", help="leave the comparisons out")
    given = parser.parse_args(arguments)
    if not given.data.is_dir():
        print(f"{given.data}: there is no such folder. Name the folder with NAME.train/.dev/.test.jsonl.gz by --data.")
        return 2
    encoder = OnnxEncoder(BUILT / "encoder")
    report: dict[str, Any] = {"sets": {}}
    for name in str(given.sets).split(","):
        found = measure_set(given.data, name.strip(), encoder, baselines=not given.no_baselines)
        report["sets"][name.strip()] = found
        low, high = found["accuracy_interval"]
        covered = " / ".join(f"{found['selective'][f'{level:.0%}']['coverage']:.0%}" for level in LEVELS)
        beside = ", ".join(f"{key} {value['accuracy']:.2%}" for key, value in found.get("baselines", {}).items())
        print(
            f"{name}: accuracy {found['accuracy']:.2%} [{low:.2%}, {high:.2%}]"
            f"{f' ({beside})' if beside else ''}; certified coverage at 1/2/5 % {covered}; "
            f"p50 {found['latency_ms']['p50']:.1f} ms",
            flush=True,
        )
    if given.json:
        given.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
