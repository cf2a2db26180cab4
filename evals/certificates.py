"""Measures what certificates promise (`python -m evals.certificates --data DIR --json FILE`).

The classifier is fitted on NAME.train as `evals.intents` does, and says once what it takes the rows of NAME.dev and NAME.test
for. Then: how often the promise is broken over random splits of these into a part to certify on and a part to
look at; what the certificate of dev covers on test; and when the drift monitor voids it, with and without a change.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asoe.ai.calibration import certify_any, wilson_interval
from asoe.ai.classifier import TextClassifier
from asoe.ai.drift import FALSE_ALARMS, count_traffic, find_drift
from asoe.ai.encoder import OnnxEncoder
from asoe.ai.local import BUILT
from asoe.ai.training import SEED, fit
from evals.intents import DEFAULT_DATA, UNKNOWN, read_part, scores_of

DEFAULT_SETS = "banking77,itservice47k"
DRIFT_SET = "clinc150"
LEVEL = 0.02
SPLITS = 200
STREAMS = 200
REFERENCE = 1000
STREAM = 1000
USUAL = 0.03
SHIFTED = (0.06, 0.10, 0.15, 0.25)
KEPT = 0.95
"""Share of what is in scope that is taken for it."""


@dataclass(frozen=True, slots=True)
class Said:
    """What the classifier said of the rows of dev, then those of test. `sure`, `near` in 0..1."""

    labels: tuple[str, ...]
    guessed: NDArray[np.str_]
    truth: NDArray[np.str_]
    sure: NDArray[np.float64]
    near: NDArray[np.float64]
    dev: int

    @property
    def is_wrong(self) -> NDArray[np.bool_]:
        wrong: NDArray[np.bool_] = self.guessed != self.truth
        return wrong


def predict(folder: Path, name: str, encoder: OnnxEncoder) -> Said:
    """Fit on train, and say what dev and test are."""
    texts, labels = read_part(folder, name, "train")
    kept = np.flatnonzero(labels != UNKNOWN)
    known = [texts[row] for row in kept]
    fitted = fit(known, encoder.embed(known), {"label": labels[kept].tolist()})
    model = TextClassifier.from_arrays(fitted.classifier.to_arrays())
    dev, test = read_part(folder, name, "dev"), read_part(folder, name, "test")
    rows = [*dev[0], *test[0]]
    vectors = encoder.embed(rows)
    shares = np.concatenate(
        [
            model.judge(rows[start : start + 256], vectors[start : start + 256])["label"]
            for start in range(0, len(rows), 256)
        ]
    )
    names = model.heads["label"].labels
    near = np.clip((vectors @ model.anchors.T).max(axis=1), 0, 1).astype(float)
    return Said(
        labels=tuple(names),
        guessed=np.array(names)[shares.argmax(axis=1)],
        truth=np.concatenate([dev[1], test[1]]),
        sure=shares.max(axis=1).astype(float),
        near=near,
        dev=len(dev[0]),
    )


def measure_splits(said: Said, *, level: float = LEVEL, splits: int = SPLITS) -> dict[str, Any]:
    """Over random splits as large as dev and test: how often more than `level` of what is accepted is wrong."""
    rng = np.random.default_rng(SEED)
    errors, covered, broken = [], [], 0
    for _ in range(splits):
        order = rng.permutation(len(said.truth))
        error, coverage = _promise(said, order[: said.dev], order[said.dev :], level)
        broken += error > level
        errors.append(error)
        covered.append(coverage)
    low, high = wilson_interval(broken, splits)
    return {
        "level": level,
        "splits": splits,
        "broken": broken,
        "broken_share": broken / splits,
        "broken_interval": (low, high),
        "mean_error": float(np.mean(errors)),
        "mean_coverage": float(np.mean(covered)),
        "certified_on": said.dev,
    }


def measure_coverage(said: Said, *, level: float = LEVEL) -> dict[str, Any]:
    """Certified on dev, looked at on test."""
    rows = np.arange(len(said.truth))
    error, coverage = _promise(said, rows[: said.dev], rows[said.dev :], level)
    return {"level": level, "coverage": coverage, "error": error}


def _promise(said: Said, first: NDArray[np.int_], second: NDArray[np.int_], level: float) -> tuple[float, float]:
    """(error among accepted, share accepted) of the second part by the certificate of the first."""
    given = scores_of(said.sure, said.near)
    certified = certify_any({name: score[first] for name, score in given.items()}, said.is_wrong[first], level=level)
    if certified is None:
        return 0.0, 0.0
    name, threshold = certified
    accepted = given[name][second] >= threshold
    return float(said.is_wrong[second][accepted].mean()) if accepted.any() else 0.0, float(accepted.mean())


def measure_drift(said: Said, *, usual: float, shifted: Sequence[float], streams: int = STREAMS) -> dict[str, Any]:
    """How many streams are voided within STREAM tickets, and after how many: unchanged ones (false voids) and shifted ones."""
    found: dict[str, Any] = {"usual": usual, "reference": REFERENCE, "stream": STREAM, "false_alarms": FALSE_ALARMS}
    for share in (usual, *shifted):
        rng = np.random.default_rng(SEED)
        voided = [at for _ in range(streams) if (at := _voided_at(said, rng, usual=usual, share=share)) is not None]
        low, high = wilson_interval(len(voided), streams)
        found["unshifted" if share == usual else f"{share:.0%}"] = {
            "streams": streams,
            "voided": len(voided),
            "interval": (low, high),
            "median_tickets": float(np.median(voided)) if voided else None,
            "most_tickets": max(voided, default=None),
        }
    return found


def _voided_at(said: Said, rng: np.random.Generator, *, usual: float, share: float) -> int | None:
    """After how many tickets of a stream with `share` out of scope the monitor voids; the reference has `usual`."""
    inside, outside = (rng.permutation(np.flatnonzero((said.truth == UNKNOWN) == is_out)) for is_out in (False, True))
    before, after = (int(rng.binomial(size, part)) for size, part in ((REFERENCE, usual), (STREAM, share)))
    reference = np.concatenate([outside[:before], inside[: REFERENCE - before]])
    stream = np.concatenate([outside[before : before + after], inside[REFERENCE:][: STREAM - after]])
    stream = rng.permutation(stream)
    likely = said.sure * said.near
    # the bar is set on rows that are in neither: what decides scope may not depend on the reference alone
    bar = np.quantile(likely[inside[REFERENCE + STREAM :]], 1 - KEPT)
    seen = [(str(said.guessed[row]), bool(likely[row] < bar)) for row in np.concatenate([reference, stream])]
    drift = find_drift(count_traffic(seen[:REFERENCE]), seen[REFERENCE:], labels=said.labels)
    return drift.at if drift else None


def _kept(folder: Path | None, name: str, make: Any) -> Said:
    """What the classifier said, from `folder` if it was kept there."""
    path = folder / f"{name}.npz" if folder else None
    if path is not None and path.exists():
        with np.load(path) as stored:
            return Said(
                labels=tuple(stored["labels"].tolist()),
                guessed=stored["guessed"],
                truth=stored["truth"],
                sure=stored["sure"],
                near=stored["near"],
                dev=int(stored["dev"]),
            )
    said: Said = make()
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(
            path,
            labels=np.array(said.labels),
            guessed=said.guessed,
            truth=said.truth,
            sure=said.sure,
            near=said.near,
            dev=np.array(said.dev),
        )
    return said


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m evals.certificates", description=__doc__)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--sets", default=DEFAULT_SETS, help="names of the sets to split, separated by commas")
    parser.add_argument("--drift-set", default=DRIFT_SET, help="a set with rows labelled oos")
    parser.add_argument("--json", type=Path, help="write the report here")
    parser.add_argument(
        "--keep", type=Path, help="keep in this folder what the classifier said, and read it from there"
    )
    given = parser.parse_args(arguments)
    if not given.data.is_dir():
        print(f"{given.data}: there is no such folder. Name the folder with NAME.train/.dev/.test.jsonl.gz by --data.")
        return 2
    encoder = OnnxEncoder(BUILT / "encoder")
    report: dict[str, Any] = {"sets": {}, "drift": {}}
    for name in filter(None, str(given.sets).split(",")):
        said = _kept(given.keep, name, lambda name=name: predict(given.data, name, encoder))
        split, covered = measure_splits(said), measure_coverage(said)
        report["sets"][name] = {"splits": split, "dev_to_test": covered}
        print(
            f"{name}: promise of {LEVEL:.0%} broken in {split['broken']} of {split['splits']} splits "
            f"({split['broken_share']:.1%}); mean error {split['mean_error']:.2%}, covers {split['mean_coverage']:.1%}; "
            f"dev to test covers {covered['coverage']:.1%}, error {covered['error']:.2%}",
            flush=True,
        )
    if given.drift_set:
        said = _kept(given.keep, given.drift_set, lambda: predict(given.data, given.drift_set, encoder))
        report["drift"][given.drift_set] = found = measure_drift(said, usual=USUAL, shifted=SHIFTED)
        for name in ("unshifted", *(f"{share:.0%}" for share in SHIFTED)):
            one = found[name]
            print(
                f"{given.drift_set}, {name}: voided {one['voided']} of {one['streams']}, median after {one['median_tickets']}"
            )
    if given.json:
        given.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
