"""Counts how many runbooks look at a letter before the right one does, and at a letter with nothing broken.

`python -m evals.estate.looking [--part dev|test|voices|fresh] [--seed N] [--n 100] [--fit]`: no desk, no estate that is broken; a runbook
finds what is broken if it holds an act that mends it. `--fit` tells the likeliest constants of `asoe.desk.runbook.chance`.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, Final
from uuid import uuid4

import numpy as np

from asoe.ai.encoder import RememberingEncoder
from asoe.ai.local import Models
from asoe.demo.back_office import shipped
from asoe.demo.estate.breaking import allowed_effects
from asoe.desk.runbook import chance, matching
from asoe.desk.runbook.language import parse
from asoe.desk.runbook.shelf import Shelved
from asoe.domain.policy import Policy
from asoe.domain.ticket import Ticket
from asoe.store.runs import Client

from .cases import Case, Part, iter_cases

_PARTS: Final = ("dev", "test", "voices", "fresh")


@dataclass(slots=True)
class Walk:
    """How a letter's runbooks looked: those that found all in order, what was found, what nobody got to, and what seems left."""

    in_order: list[str] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)
    missed: int = 0
    left: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class House:
    """The shipped runbooks on a shelf, the acts each holds, and an encoder behind the face a desk has."""

    books: list[Shelved]
    acts: dict[str, str]
    desk: Any


def house() -> House:
    encoder = RememberingEncoder(Models.load().encoder, most=50_000)

    async def embed(texts: Sequence[str]) -> np.ndarray:
        return encoder.embed(list(texts))

    books, acts = [], {}
    for path in shipped():
        text = path.read_text(encoding="utf-8")
        books.append(Shelved(uuid4(), parse(text).runbook, "auto"))
        acts[str(books[-1].runbook_id)] = text
    return House(books, acts, SimpleNamespace(ai=SimpleNamespace(embed=embed), phrases={}))


def right_for(found: House, case: Case) -> list[set[str]]:
    """Of each thing that is broken, the runbooks (ids) with an act that mends it."""
    needed = []
    for place in case.expected.must_mend:
        calls = {f"estate.{operation.replace('.', '_')}" for operation, _ in allowed_effects(case.breakages[place])}
        needed.append(
            {each for each, text in found.acts.items() if any(re.search(rf"{call}\b", text) for call in calls)}
        )
    return needed


async def walk(found: House, case: Case, policy: Policy) -> Walk:
    """The order in which a journey lets runbooks look: what fits; then the last looks, or what explains it as well."""
    said, needed = Walk(), right_for(found, case)
    now = datetime.now(UTC)
    ticket = Ticket(uuid4(), uuid4(), 1, "technical", "medium", "open", now, now, 1)

    async def next_one(**how: Any) -> str | None:
        listed = await matching.fitting(
            found.desk,
            found.books,
            ticket=ticket,
            triage=None,
            question=f"{case.subject}\n{case.body}",
            client=Client(),
            in_order=said.in_order,
            looks=policy.looks,
            **how,
        )
        tried = {*said.in_order, *said.mended}
        return next((str(each.runbook_id) for each in listed if str(each.runbook_id) not in tried), None)

    while True:
        one = await next_one()
        said.left = await left(found, case, said) if one is None and said.mended else []
        one = one or await next_one(is_last=True, besides=() if said.left else tuple(said.mended))
        if one is None:
            break
        if any(one in right for right in needed):
            said.mended.append(one)
            needed = [right for right in needed if one not in right]
        else:
            said.in_order.append(one)
    said.missed = len(needed)
    return said


async def noticed(found: House, case: Case, said: Walk) -> list[bool]:
    """Of each fault beside others: whether something would seem left if what mends it had neither mended nor looked."""
    told, needed = [], right_for(found, case)
    for place, right in enumerate(needed):
        others = set[str]().union(*(other for at, other in enumerate(needed) if at != place))
        mended = [one for one in said.mended if one not in right or one in others]
        if mended and not right & set(mended):
            told.append(bool(await left(found, case, Walk(said.in_order, mended))))
    return told


async def left(found: House, case: Case, said: Walk) -> list[str]:
    """What would go to a person as left over, after what was mended."""
    question = f"{case.subject}\n{case.body}"
    return await matching.left_over(found.desk, found.books, question, mended=said.mended, in_order=said.in_order)


async def likelihoods(found: House, cases: Sequence[Case]) -> list[tuple[np.ndarray, list[set[int]]]]:
    """Of each letter the likeness of every runbook to every clause, and which runbooks (places) are right for what is broken."""
    places = {str(each.runbook_id): place for place, each in enumerate(found.books)}
    told = []
    for case in cases:
        by_clause = await matching.at_clauses(found.desk, found.books, f"{case.subject}\n{case.body}")
        rows = np.stack([by_clause[each.runbook_id] for each in found.books])
        told.append((rows, [{places[one] for one in right} for right in right_for(found, case)]))
    return told


def fit(told: Sequence[tuple[np.ndarray, list[set[int]]]]) -> tuple[float, float, float]:
    """The constants under which what was broken is likeliest: sharpness, likeness of nothing, and the mean log loss."""
    best = (math.inf, 0.0, 0.0)
    for sharp in np.arange(4.0, 26.0, 2.0):
        for nothing in np.arange(0.3, 1.2, 0.05):
            loss, count = 0.0, 0
            for rows, needed in told:
                chances = np.clip(chance.of_each(rows, sharp=sharp, nothing=nothing), 1e-6, 1 - 1e-6)
                is_right = np.zeros(len(rows), dtype=bool)
                for right in needed:
                    is_right[list(right)] = True
                loss -= float(np.log(np.where(is_right, chances, 1 - chances)).sum())
                count += len(rows)
            best = min(best, (loss / count, float(sharp), float(nothing)))
    return best[1], best[2], best[0]


async def _main(options: argparse.Namespace) -> None:
    found = house()
    part: Part = options.part
    cases = list(iter_cases(options.seed, options.n, part=part))
    mendable = [case for case in cases if case.expected.must_mend]
    clean = [case for case in cases if not case.breakages]
    if options.fit:
        sharp, nothing, loss = fit(await likelihoods(found, [*mendable, *clean]))
        print(f"likeliest: sharp {sharp:g}, nothing {nothing:g}; log loss {loss:.4f} a runbook and letter")
        return
    policy = Policy()
    for name, some in (("something broken", mendable), ("nothing broken", clean)):
        walks = [await walk(found, case, policy) for case in some]
        looks = sorted(len(one.in_order) for one in walks)
        faults = sum(len(case.expected.must_mend) for case in some)
        print(
            f"{name}: {len(walks)} letters, {sum(one.missed for one in walks)} of {faults} faults no runbook got to; looks that found "
            f"all in order: mean {sum(looks) / max(len(looks), 1):.1f}, most {looks[-1] if looks else 0}, {dict(sorted(Counter(looks).items()))}"
        )
        taken_out = [each for case, one in zip(some, walks, strict=True) for each in await noticed(found, case, one)]
        print(f"  one of several faults taken out: {sum(taken_out)} of {len(taken_out)} noticed as left")
        some_mended = [one for one in walks if one.mended]
        print(
            f"  something mended: {len(some_mended)}; of those with a fault left, {sum(bool(one.missed) and not one.left for one in some_mended)} of "
            f"{sum(bool(one.missed) for one in some_mended)} would be called fixed; of those with none left, "
            f"{sum(not one.missed and bool(one.left) for one in some_mended)} of {sum(not one.missed for one in some_mended)} would be handed over"
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m evals.estate.looking", description=__doc__)
    parser.add_argument("--part", choices=_PARTS, default="dev")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--fit", action="store_true")
    asyncio.run(_main(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
