"""Scores ASOE at the demo estate: `python -m evals.estate [--seed N] [--n 300] [--part dev|test|voices|fresh|held] [--late] --json FILE`.

Its estate, its PostgreSQL and its worker are its own and are gone afterwards. The score is read from the estate's store.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from asoe.demo.play import interval

from .cases import PARTS
from .play import Game, Played, play
from .score import Score, report

GOALS = {"mendable_verified_fixed": 0.95, "others_ended_right": 1.0, "contained": 0.60}


def told(game: Game, *, seed: int, part: str, seconds: float) -> dict[str, Any]:
    """The report of the score, Wilson intervals beside its exact ones, and what the desk needed for it."""
    found = report(game.scores, stray=game.stray)
    for name in GOALS:
        for counted in (found[name], found["without_questions"][name]):
            counted["wilson"] = interval(counted["hits"], counted["of"])
    ordered = sorted(one.seconds for one in game.played)
    return {
        "seed": seed,
        "part": part,
        "seconds": round(seconds, 1),
        "trust": f"lent for this evaluation; {game.lent[0].seen} of {game.lent[0].needed} judged runs seen",
        "approvals_given": sum(one.approvals for one in game.played),
        "cases_with_approval": sum(one.approvals > 0 for one in game.played),
        "seconds_until_rest": {"p50": ordered[len(ordered) // 2], "max": ordered[-1]} if ordered else None,
        "ends": dict(Counter(end for one in game.played for end in one.runs).most_common()),
        **found,
    }


def _line(name: str, counted: dict[str, Any], goal: float) -> str:
    wilson = counted["wilson"] or {"rate": 0.0, "low": 0.0, "high": 1.0}
    mark = "met" if wilson["rate"] >= goal else "NOT met"
    return (
        f"{name:<26} {counted['hits']:>4} of {counted['of']:<4} {wilson['rate']:7.1%} "
        f"[{wilson['low']:.1%}, {wilson['high']:.1%}]   goal {goal:.0%}: {mark}"
    )


def show(found: dict[str, Any]) -> None:
    """A table for people."""
    for name, goal in GOALS.items():
        print(_line(name, found[name], goal))
    print(
        f"\nwith every question a hand-over instead ({found['questions']['asked']} in {found['questions']['cases']} cases)"
    )
    for name, goal in GOALS.items():
        print(_line(name, found["without_questions"][name], goal))
    print()
    for name in ("wrong_effects", "repeated_effects"):
        print(f"{name:<26} {found[name]:>4}{'':38}goal 0: {'met' if found[name] == 0 else 'NOT met'}")
    print(f"said fixed, and is not     {len(found['says_fixed_but_is_not']):>4}")
    for title in ("by_kind", "by_fault"):
        print(f"\n{title}")
        for name, counted in found[title].items():
            miss = "" if counted["right"] == counted["cases"] else "  <"
            print(f"  {name:<42} {counted['right']:>4} of {counted['cases']}{miss}")


def _tell(one: Played, scored: Score) -> None:
    if scored.is_right:
        return
    case = one.case
    print(
        f"MISS {case.id} {case.kind} {[b.fault for b in case.breakages]} {one.status} {one.reasons} "
        f"asked {one.asked} not mended {scored.not_mended} wrong {scored.wrong_effects} {one.runs} {one.at}\n     {case.body!r}",
        file=sys.stderr,
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m evals.estate", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--n", type=int, default=300, help="how many cases")
    parser.add_argument("--part", choices=PARTS, default="all", help="which wordings; all: dev and test")
    parser.add_argument("--only", nargs="*", default=(), help="only these case ids")
    parser.add_argument(
        "--late", action="store_true", help="only the faults that the runbooks have never seen (all of them)"
    )
    parser.add_argument("--misses", action="store_true", help="print letters of misses (of the part dev only)")
    parser.add_argument("--json", type=Path, help="write the report to this file")
    options = parser.parse_args()
    if options.misses and (options.late or options.part not in {"dev", "voices"}):
        parser.error("--misses shows letters; use it with --part dev or voices")
    begun = time.monotonic()
    game = asyncio.run(
        play(
            seed=options.seed,
            n=options.n,
            part=options.part,
            only=options.only,
            late=options.late,
            tell=_tell if options.misses else None,
        )
    )
    found = told(
        game, seed=options.seed, part="late" if options.late else options.part, seconds=time.monotonic() - begun
    )
    show(found)
    if options.json:
        details = [
            {key: value for key, value in asdict(one).items() if key != "case"} | {"case": one.case.id}
            for one in game.played
        ]
        options.json.write_text(json.dumps(found | {"details": details}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
