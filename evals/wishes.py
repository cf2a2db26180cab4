"""Judge how equal wishes are found: `python -m evals.wishes --part dev|test`. Reads only texts and our own encoder.

Each line of data/wishes.jsonl is one client's wording of a wish; wishes of one theme are near, and are not the same. The
rule is played as the desk plays it: in 20 random orders, each wording joins the nearest wish that is the same, or makes one.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any, Final

import numpy as np

from asoe.ai.local import Models
from asoe.desk.wish import common
from asoe.domain.wish import SAME_BY_BOTH, SAME_BY_MEANING, is_same

DATA: Final = Path(__file__).parent / "data" / "wishes.jsonl"
ORDERS: Final = 20
COMPARED: Final = 8


def pairs_of(rows: list[dict[str, Any]], models: Models) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cosines, shares of common words, and whether the wish is the same, each (texts, texts)."""
    texts = [row["text"] for row in rows]
    vectors = models.embed(texts)
    shared = np.array([[common(one, other) for other in texts] for one in texts])
    same = np.array([[one["wish"] == other["wish"] for other in rows] for one in rows])
    return vectors @ vectors.T, shared, same


def play(meaning: np.ndarray, shared: np.ndarray, rows: list[dict[str, Any]]) -> dict[str, float]:
    """Means over the orders: wordings merged into another wish, and wishes that exist more often than they should."""
    wrong = right = made = 0
    for order in range(ORDERS):
        places = list(range(len(rows)))
        random.Random(order).shuffle(places)
        wishes: list[int] = []
        for place in places:
            near = sorted(wishes, key=lambda other: -meaning[place, other])[:COMPARED]
            found = next((other for other in near if is_same(meaning[place, other], shared[place, other])), None)
            if found is None:
                wishes.append(place)
            elif rows[found]["wish"] == rows[place]["wish"]:
                right += 1
            else:
                wrong += 1
        made += len(wishes)
    distinct = len({row["wish"] for row in rows})
    return {
        "wordings": len(rows),
        "wishes": distinct,
        "wrongly_merged": wrong / ORDERS,
        "share_of_merges_right": right / max(1, right + wrong),
        "rightly_merged_of_those_that_should": right / ORDERS / (len(rows) - distinct),
        "wishes_made": made / ORDERS,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=("dev", "test"), default="dev")
    parser.add_argument("--scan", action="store_true", help="precision and recall of pairs over thresholds (dev only)")
    given = parser.parse_args()
    rows = [row for row in map(json.loads, DATA.read_text(encoding="utf-8").splitlines()) if row["part"] == given.part]
    meaning, shared, same = pairs_of(rows, Models.load())
    print(
        json.dumps(
            {"part": given.part, "rule": [SAME_BY_MEANING, SAME_BY_BOTH], **play(meaning, shared, rows)}, indent=1
        )
    )
    if given.scan and given.part == "dev":
        upper = np.triu(np.ones_like(same), 1).astype(bool)
        for alone in (0.70, 0.74, 0.78, 0.82):
            for both in (0.40, 0.46, 0.52, 0.58, 0.64):
                for words in (0.2, 0.34, 0.5):
                    said = upper & ((meaning >= alone) | ((meaning >= both) & (shared >= words)))
                    hits, wrong = int((said & same).sum()), int((said & ~same).sum())
                    print(
                        f"{alone:.2f} {both:.2f} {words:.2f}  recall {hits / (upper & same).sum():.3f}  wrong {wrong} of {hits + wrong}"
                    )


if __name__ == "__main__":
    main()
