"""Judge how equal wishes are found: `python -m evals.wishes --part dev|test`. Reads only texts and our own encoder.

Each line of data/wishes.jsonl is one client's wording of a wish; wishes of one theme are near, and are not the same. The
rule is played as the desk plays it: in 20 random orders, each wording joins the wish that is the same, or makes one.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from asoe.ai.local import Models
from asoe.desk import wish
from asoe.domain.wish import SAME_FROM

DATA: Final = Path(__file__).parent / "data" / "wishes.jsonl"
ORDERS: Final = 20


def play(rows: list[dict[str, Any]], vectors: list[bytes]) -> dict[str, float]:
    """Means over the orders: wordings merged into another wish, and wishes that exist more often than they should."""
    wrong = right = made = 0
    for order in range(ORDERS):
        places = list(range(len(rows)))
        random.Random(order).shuffle(places)
        wishes: list[int] = []
        for place in places:
            found, _ = wish.nearest(vectors[place], [(UUID(int=other), vectors[other]) for other in wishes])
            if found is None:
                wishes.append(place)
            elif rows[found.int]["wish"] == rows[place]["wish"]:
                right += 1
            else:
                wrong += 1
        made += len(wishes)
    distinct = len({row["wish"] for row in rows})
    return {
        "wordings": len(rows),
        "wishes": distinct,
        "wrongly_merged": wrong / ORDERS,
        "share_of_merges_right": round(right / max(1, right + wrong), 4),
        "merged_of_those_that_should": round(right / ORDERS / (len(rows) - distinct), 4),
        "wishes_made": made / ORDERS,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=("dev", "test"), default="dev")
    given = parser.parse_args()
    rows = [row for row in map(json.loads, DATA.read_text(encoding="utf-8").splitlines()) if row["part"] == given.part]
    models = Models.load()
    whole = models.embed([row["text"] for row in rows])
    core = models.embed([wish.content(row["text"]) or row["text"] for row in rows])
    vectors = [wish.packed(each) for each in whole + core]
    print(json.dumps({"part": given.part, "same_from": SAME_FROM, **play(rows, vectors)}, indent=1))


if __name__ == "__main__":
    main()
