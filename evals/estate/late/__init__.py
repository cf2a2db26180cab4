"""Late cases: faults that the runbooks have never seen, with letters of their own, in the shape that `play` takes.

`set_late` breaks an empty estate for all of them; `judge` is the score, stricter by what must have stayed as it was.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import yaml

from asoe.demo.estate.faults import Scene
from asoe.demo.estate.seed import seed as seed_estate
from asoe.demo.estate.store import Store
from evals.estate.cases import Case, Expected
from evals.estate.score import Score, score

from . import beyond, mendable
from .fault import LATE, Late, known

__all__ = ["LATE", "LETTERS", "Late", "beyond", "judge", "known", "mendable", "set_late"]

LETTERS: Final[dict[str, list[dict[str, str]]]] = yaml.safe_load(
    Path(__file__).with_name("letters.yaml").read_text(encoding="utf-8")
)
_BYSTANDERS: Final = 6
CUSTOMERS: Final = sum(len(letters) * (1 + LATE[name].at_another) for name, letters in LETTERS.items()) + _BYSTANDERS


def set_late(store: Store, number: int = 1, *, only: Sequence[str] = ()) -> list[Case]:
    """Fill an empty estate and break it: one case for each letter of each late fault, each at a customer of its own."""
    seed_estate(store, number, customers=CUSTOMERS)
    free = [item["id"] for item in store.find("accounts")]
    random.Random(f"late/{number}").shuffle(free)
    picky = sorted(LETTERS, key=lambda name: sum(LATE[name].fault.needs(store, account) for account in free))
    cases = {name: [_case(store, free, name, place) for place in range(len(LETTERS[name]))] for name in picky}
    return [case for name in LETTERS for case in cases[name] if not only or case.id in only]


def judge(case: Case, store: Store, outcome: dict[str, Any]) -> Score:
    """The score of a late case, by the store: also wrong is what must have stayed, also right are the fault's own reasons."""
    late = LATE[case.breakages[0].fault]
    with known():
        told = score(case, store, outcome)
    lost = tuple(part for breakage in case.breakages for part in late.lost(store, breakage))
    if lost:
        wrong = (*told.wrong_effects, *lost)
        told = replace(told, wrong_effects=wrong, is_right=False, is_contained=False)
        return replace(told, is_verified_fixed=False, is_escalated_right=False)
    is_harmless = not told.wrong_effects and not told.repeated_effects
    if told.is_right or late.is_mendable or not is_harmless or told.status not in late.statuses:
        return told
    is_fixed = told.status == "fixed"
    is_right = not told.not_mended if is_fixed else bool(late.reasons & set(told.reasons))
    return replace(told, is_right=is_right, is_escalated_right=is_right, is_contained=is_right and is_fixed)


def _case(store: Store, free: list[str], name: str, place: int) -> Case:
    late = LATE[name]
    broken = _take(store, free, late)
    writing = _take(store, free, late) if late.at_another else broken
    writers = store.find("users", account_id=writing, status="active")
    writer = writers[place % len(writers)]
    noticed = writer if writing == broken else store.find("users", account_id=broken, role="owner")[0]
    scene = Scene(store, broken, noticed, random.Random(f"{name}/{broken}"))
    with store.transaction():
        breakage = late.set_at(scene)
    letter = LETTERS[name][place]
    said = {**breakage.facts, "company": store.need("accounts", writing)["name"], "name": writer["name"]}
    return Case(
        id=f"late-{name}-{place + 1}",
        kind="late_mendable" if late.is_mendable else "late_beyond",
        account_id=writing,
        contact_email=writer["email"],
        contact_name=writer["name"],
        user_id=writer["id"],
        subject=letter["subject"].format_map(said),
        body=letter["body"].format_map(said).strip(),
        breakages=(breakage,),
        victim_user_id=None,
        flagged=False,
        expected=_expected(late),
    )


def _take(store: Store, free: list[str], late: Late) -> str:
    found = next(account for account in free if late.fault.needs(store, account))
    free.remove(found)
    return found


def _expected(late: Late) -> Expected:
    return Expected(
        statuses=late.statuses,
        groups=late.fault.group,
        must_mend=(0,) if late.is_mendable else (),
        may_mend=(0,) if late.fault.mends else (),
    )
