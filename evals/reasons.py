"""How many reasons for a person are found in words nobody worked on: `python -m evals.reasons [--data FILE] [--json FILE]`.

`data/held_reasons.jsonl`: 400 lines in four languages, written from the definitions alone by somebody who had seen neither the lists of phrases nor
the training texts, most of them without the usual key words. Counted for the lists, the trained reader, and both together, which is what the desk goes by.
Exact intervals, 95 %. Lines are counted, not shown: whoever mends by one of them moves it to the training texts.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from asoe.ai.local import Models
from asoe.ai.reasons import REASONS
from asoe.desk.alarm import alarms_in
from asoe.domain.interval import exact

DATA: Final = Path(__file__).with_name("data") / "held_reasons.jsonl"


def main() -> int:
    """Print the table; the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="lines of text, lang and reasons")
    parser.add_argument("--json", type=Path, help="keep the figures here")
    wanted = parser.parse_args()
    rows = [json.loads(line) for line in wanted.data.read_text(encoding="utf-8").splitlines() if line.strip()]
    said = [str(row["text"]) for row in rows]
    listed = [alarms_in(text) for text in said]
    read = [frozenset(each) for each in Models.load().read_reasons(said)]
    told = [frozenset(row["reasons"]) for row in rows]
    both = [first | second for first, second in zip(listed, read, strict=True)]
    found = {name: score(told, got) for name, got in (("lists", listed), ("reader", read), ("both", both))}
    for name, figures in found.items():
        print(
            f"{name}: a person is called for {_words(figures['called'])} of what has a reason, {_words(figures['for_nothing'])} of what has none"
        )
        print("  " + ", ".join(f"{reason} {one['hits']}/{one['of']}" for reason, one in figures["by_reason"].items()))
    if wanted.json:
        wanted.json.write_text(json.dumps(found, indent=1))
    return 0


def score(told: Sequence[frozenset[str]], got: Sequence[frozenset[str]]) -> dict[str, Any]:
    """`called`: any reason was found where there is one; `for_nothing`: where there is none; each reason by itself."""
    pairs = list(zip(told, got, strict=True))
    hits, of = Counter[str](), Counter[str]()
    for wanted, found in pairs:
        of.update(wanted)
        hits.update(wanted & found)
    return {
        "called": _rate([bool(found) for wanted, found in pairs if wanted]),
        "for_nothing": _rate([bool(found) for wanted, found in pairs if not wanted]),
        "by_reason": {reason: {"hits": hits[reason], "of": of[reason]} for reason in REASONS},
    }


def _rate(are: Sequence[bool]) -> dict[str, Any]:
    low, high = exact(sum(are), len(are)) or (0.0, 1.0)
    return {"hits": sum(are), "of": len(are), "low": low, "high": high}


def _words(rate: dict[str, Any]) -> str:
    return f"{rate['hits']} of {rate['of']} [{100 * rate['low']:.0f}, {100 * rate['high']:.0f} %]"


if __name__ == "__main__":
    sys.exit(main())
