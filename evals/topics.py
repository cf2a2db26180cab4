"""Topics against the labels people gave: `python -m evals.topics --data DIR --json FILE`. The score is adjusted mutual information.

Ours finds the number of groups itself; KMeans on TF-IDF and KMeans on the same embeddings are given the true number, and ours. The parts
scored are not those on which the numbers of ours were chosen (the train and dev parts of clinc150, the dev part of banking77). Beside that:
whether topics keep their numbers while tickets come and go, and what it takes to group as many tickets as the product does.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import numpy as np
from sklearn.cluster import KMeans
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import adjusted_mutual_info_score

from asoe.ai import topics
from asoe.ai.local import Models
from asoe.desk.topic import MOST, arrange
from asoe.store.topics import Known, Vector

SCORED: Final = ("clinc150.test", "banking77.test", "banking77.train")
DRAWS: Final = 5
KEPT: Final = 0.9
"""Each draw leaves some of the texts out, so that how far a figure strays is seen."""
TRIES: Final = 3
"""Starts of KMeans, of which the tightest counts."""
STREAM: Final = "banking77.train"
DAYS, WATCHED = 90, 10


@dataclass(frozen=True, slots=True)
class Part:
    texts: list[str]
    labels: np.ndarray
    vectors: np.ndarray

    def some(self, places: np.ndarray) -> Part:
        return Part([self.texts[place] for place in places], self.labels[places], self.vectors[places])


def read(data: Path, name: str, models: Models) -> Part:
    """A part without the texts that are about nothing (`oos`)."""
    with gzip.open(data / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [row for row in map(json.loads, file) if row["label"] != "oos"]
    texts = [row["text"] for row in rows]
    return Part(texts, np.array([row["label"] for row in rows]), models.embed(texts))


def score(part: Part, seed: int) -> dict[str, Any]:
    """Every method on the same texts; none sees a label."""
    ours = topics.find_groups(part.vectors)
    true, own = len(set(part.labels.tolist())), int(ours.max()) + 1
    words = TfidfVectorizer(sublinear_tf=True, stop_words="english", min_df=2).fit_transform(part.texts)
    found: dict[str, Any] = {"groups": own, "of_none": float((ours < 0).mean()), "ours": ours}
    for name, what in (("embeddings", part.vectors), ("tfidf", words)):
        for given, k in (("true k", true), ("our k", own)):
            found[f"kmeans {name}, {given}"] = KMeans(k, n_init=TRIES, random_state=seed).fit_predict(what)
    return {
        name: adjusted_mutual_info_score(part.labels, value) if isinstance(value, np.ndarray) else value
        for name, value in found.items()
    }


def compare(part: Part, *, draws: int, dice: np.random.Generator) -> dict[str, Any]:
    """Means over the draws, and in how many of them ours was better than each other method."""
    count = round(KEPT * len(part.texts))
    rows = [score(part.some(dice.permutation(len(part.texts))[:count]), seed) for seed in range(draws)]
    mean = {name: round(float(np.mean([row[name] for row in rows])), 4) for name in rows[0]}
    spread = {name: round(float(np.std([row[name] for row in rows])), 4) for name in rows[0]}
    ahead = {name: sum(row["ours"] > row[name] for row in rows) for name in rows[0] if name.startswith("kmeans")}
    return {
        "texts": count,
        "subjects": len(set(part.labels.tolist())),
        "draws": draws,
        "mean": mean,
        "deviation": spread,
        "ours_ahead_in": ahead,
    }


def watch(part: Part, dice: np.random.Generator) -> dict[str, Any]:
    """The texts come in random order, a ninetieth of the window each day; topics are found anew each day as the product does."""
    order = dice.permutation(len(part.texts))
    a_day = len(order) // (DAYS + WATCHED)
    topic_of: dict[int, UUID | None] = {}
    known: list[Known] = []
    kept, moved, begun, gone = [], [], [], []
    for day in range(WATCHED + 1):
        window = order[day * a_day : (day + DAYS) * a_day].tolist()
        rows = [
            Vector(UUID(int=place), topic_of.get(place), part.vectors[place].astype(np.float16).tobytes())
            for place in window
        ]
        groups = arrange(rows, known)
        ids = [
            known[place].id if place is not None else UUID(int=int(dice.integers(2**62)))
            for place in groups.continuity.goes_on
        ]
        now = {place: ids[label] if label >= 0 else None for place, label in zip(window, groups.labels, strict=True)}
        if day:
            both = [place for place in window if place in topic_of]
            kept.append(float(np.mean([now[place] == topic_of[place] for place in both])))
            begun.append(sum(place is None for place in groups.continuity.goes_on))
            gone.append(len(known) - sum(place is not None for place in groups.continuity.goes_on))
            moved.append(len(ids))
        topic_of = now
        known = [
            Known(each, number, "", center.astype(np.float16).tobytes(), None)
            for number, (each, center) in enumerate(zip(ids, groups.centers, strict=True))
        ]
    return {
        "tickets": DAYS * a_day,
        "days": WATCHED,
        "topics": float(np.mean(moved)),
        "tickets_that_keep_their_topic_from_day_to_day": round(float(np.mean(kept)), 4),
        "begun_a_day": float(np.mean(begun)),
        "ended_or_merged_a_day": float(np.mean(gone)),
    }


def size(vectors: np.ndarray, dice: np.random.Generator) -> dict[str, Any]:
    """As many as the product looks at: what there is, and again with a little noise."""
    chosen = vectors[dice.integers(0, len(vectors), MOST)] + 0.02 * dice.normal(size=(MOST, vectors.shape[1]))
    made = (chosen / np.linalg.norm(chosen, axis=1, keepdims=True)).astype(np.float32)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    found = topics.find_groups(made)
    return {
        "tickets": MOST,
        "groups": int(found.max()) + 1,
        "cpu_seconds": round(time.process_time() - began, 1),
        "more_mb": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="The folder of the public sets.")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--only", choices=("size", "stream", *SCORED), help="One part of it.")
    given = parser.parse_args()
    models, dice = Models.load(), np.random.default_rng(given.seed)
    wanted = [given.only] if given.only else ["size", "stream", *SCORED]
    parts = {name: read(given.data, name, models) for name in SCORED if {name, "size", "stream"} & {*wanted}}
    report: dict[str, Any] = {}
    for name in wanted:
        if name == "size":
            report[name] = size(np.concatenate([part.vectors for part in parts.values()]), dice)
        elif name == "stream":
            report[name] = {"set": STREAM, **watch(parts[STREAM], dice)}
        else:
            report[name] = compare(parts[name], draws=given.draws, dice=dice)
        print(name, json.dumps(report[name], indent=1), flush=True)
    if given.json:
        given.json.write_text(json.dumps(report, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
