"""Judge what corrections bring: `python -m evals.learning`. Reads only labelled tickets and our own models.

The 400 held-back tickets were labelled by two people; the second stands for an organization that sorts its own way. So many of
its tickets are corrected as it would, the others show what that brings, over 20 random splits: exact and paired. Beside it the
promotion rule on corrections that are noise, and on those of one person who sorts everything into one box.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import numpy as np

from asoe.ai.adapter import fit_adapter
from asoe.ai.local import Models
from asoe.ai.triage_model import ticket_text
from asoe.desk.learning import decided, known_labels, shares_of
from asoe.domain.learning import HEADS, Lesson, Replay, Scored, capped, compare, sign_test
from asoe.domain.triage import CATEGORIES

DATA: Final = Path(__file__).parent / "data"
SIZES: Final = (50, 100, 200, 300)
SPLITS: Final = 20


def read() -> list[dict[str, Any]]:
    """Tickets with the second person's labels."""
    labels = {row["id"]: row for row in map(json.loads, (DATA / "held_back_labels_b.jsonl").read_text().splitlines())}
    rows = []
    for line in (DATA / "held_back_tickets.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["id"] in labels:
            rows.append(
                {"text": ticket_text(row["subject"], row["body"]), **{head: labels[row["id"]][head] for head in HEADS}}
            )
    return rows


class Bench:
    """Texts, vectors and the shared model's word on each, made once."""

    def __init__(self, rows: list[dict[str, Any]], models: Models) -> None:
        self.rows, self.models = rows, models
        texts = [row["text"] for row in rows]
        self.vectors = dict(zip(texts, models.encoder.embed(texts), strict=True))
        self.before = self.decide(rows, None)

    def lessons(self, rows: list[dict[str, Any]], by: UUID | None, *, start: int = 0) -> list[Lesson]:
        return [
            Lesson(UUID(int=(start + n) * 7_919 + 1), row["text"], {head: row[head] for head in HEADS}, by)
            for n, row in enumerate(rows)
        ]

    def decide(self, rows: list[Any], adapter: Any) -> list[dict[str, str]]:
        texts = [row["text"] if isinstance(row, dict) else row.text for row in rows]
        return decided(self.models, texts, self.vectors, adapter)

    def fit(self, lessons: list[Lesson]) -> Any:
        stacked = np.stack([self.vectors[each.text] for each in lessons])
        labels = {head: [each.labels[head] for each in lessons] for head in HEADS}
        return fit_adapter(
            stacked,
            labels,
            shares_of(self.models, lessons, self.vectors),
            known=known_labels(self.models),
            version=1,
            base=self.models.triage_model.version,
        )


def gains(bench: Bench) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for size in SIZES:
        right = {head: [0, 0] for head in HEADS}
        wins = losses = shown = 0
        seconds = 0.0
        for split in range(SPLITS):
            rows = list(bench.rows)
            random.Random(split).shuffle(rows)
            begun = time.perf_counter()
            adapter = bench.fit(bench.lessons(rows[:size], None))
            seconds += time.perf_counter() - begun
            rest = rows[size:]
            for row, one, other in zip(rest, bench.decide(rest, None), bench.decide(rest, adapter), strict=True):
                shown += 1
                hits = [sum(said[head] == row[head] for head in HEADS) for said in (one, other)]
                wins, losses = wins + (hits[1] > hits[0]), losses + (hits[1] < hits[0])
                for head in HEADS:
                    right[head][0] += one[head] == row[head]
                    right[head][1] += other[head] == row[head]
        found[str(size)] = {
            **{head: [round(count / shown, 4) for count in counts] for head, counts in right.items()},
            "better_worse_per_split": [round(wins / SPLITS, 1), round(losses / SPLITS, 1)],
            "fit_seconds": round(seconds / SPLITS, 3),
        }
    return found


def promotions(bench: Bench) -> dict[str, Any]:
    """How often the rule promotes, by what the corrections are worth."""
    people = [UUID(int=n) for n in (1, 2, 3)]
    made: dict[str, dict[str, int]] = {}
    for name in (
        "as the second person sorts",
        "the shared model's own word",
        "noise",
        "one of three puts all into one box",
    ):
        for split in range(SPLITS):
            chance = random.Random(split)
            rows = [dict(row) for row in bench.rows]
            chance.shuffle(rows)
            rows = rows[:300]
            by = [chance.choice(people) for _ in rows]
            for row, own, who in zip(rows, bench.decide(rows, None), by, strict=True):
                if name == "noise":
                    row["category"] = chance.choice(CATEGORIES)
                elif name.startswith("the shared") or (name.startswith("one of") and who != people[0]):
                    row.update(own)
                elif name.startswith("one of"):
                    row.update(own | {"category": "general", "intent": "not_for_us"})
            lessons = capped(
                [bench.lessons([row], who, start=n)[0] for n, (row, who) in enumerate(zip(rows, by, strict=True))]
            )
            taught = [each for each in lessons if not each.is_held_back]
            held = [each for each in lessons if each.is_held_back]
            adapter = bench.fit(taught)
            scored = [
                Scored(
                    lesson.by,
                    sum(one[head] == lesson.labels[head] for head in HEADS),
                    sum(other[head] == lesson.labels[head] for head in HEADS),
                    len(HEADS),
                )
                for lesson, one, other in zip(held, bench.decide(held, None), bench.decide(held, adapter), strict=True)
            ]
            reason = compare(scored, Replay(0, 0), corrected=len(lessons), voices=3, people=3).reason
            made.setdefault(name, {}).setdefault(reason, 0)
            made[name][reason] += 1
    return made


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    bench = Bench(read(), Models.load())
    found = {"tickets": len(bench.rows), "shared_then_adapted": gains(bench), "promotion": promotions(bench)}
    print(json.dumps(found, indent=1))
    assert sign_test(0, 0) == 1.0


if __name__ == "__main__":
    main()
