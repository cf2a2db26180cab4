"""Judges what became of a case by the estate's store and its log of effects alone; what the desk says is compared, never believed.

Outcome: `{"status": "fixed" | "escalated" | "answered", "reasons": [...], "questions": how many the client was asked}`. Reasons are the product's published codes or our group names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from scipy.stats import beta

from asoe.demo.estate.background import settle
from asoe.demo.estate.breaking import is_mended, target
from asoe.demo.estate.store import Effect, Store
from evals.estate.cases import Case

# group → codes (docs of the product) that say the same; the group's own name is always right
REASONS: Final[dict[str, frozenset[str]]] = {
    "needs_consent": frozenset({"needs_consent", "client_silent"}),
    "security": frozenset({"security", "fraud"}),
    "over_cap": frozenset({"over_cap"}),
    "not_theirs": frozenset({"not_theirs"}),
    "unknown_client": frozenset({"not_found"}),
    "cannot_fix": frozenset({"runbook_refused", "goal_not_met", "policy"}),
    "nothing_wrong": frozenset({"already_met", "already_done"}),
}

# operation → its undo; writing back the value from before is an undo of the PUTs
UNDO: Final = {
    "users.unlock": "users.lock",
    "accounts.reactivate": "accounts.suspend",
    "workflows.resume": "workflows.pause",
    "integrations.resume": "integrations.pause",
    "webhooks.enable": "webhooks.disable",
    "suppressions.remove": "suppressions.add",
}


@dataclass(frozen=True, slots=True)
class Score:
    """`is_right`: ended as a perfect desk would, with no wrong and no repeated effect."""

    case: str
    kind: str
    faults: tuple[str, ...]
    status: str
    reasons: tuple[str, ...]
    mended: tuple[str, ...]
    not_mended: tuple[str, ...]
    wrong_effects: tuple[str, ...]
    repeated_effects: tuple[str, ...]
    undone_effects: int
    is_mendable: bool
    is_verified_fixed: bool
    is_escalated_right: bool
    is_contained: bool
    is_right: bool
    says_fixed_but_is_not: bool
    questions: int = 0
    is_right_unasked: bool = False
    """Whether it would be right if whoever asked had handed over instead, for want of a consent."""


def score(case: Case, store: Store, outcome: dict[str, Any]) -> Score:
    """The verdict on one case, after its ticket is at rest; lets the estate's work under way come to its end first."""
    for account_id in sorted(case.accounts):
        settle(store, account_id)
    status = str(outcome["status"])
    reasons = tuple(str(reason) for reason in outcome.get("reasons", ()))
    expected = case.expected
    state = [is_mended(store, breakage) for breakage in case.breakages]
    wrong, repeated, undone = _effects(case, store)
    is_mendable = expected.statuses == ("fixed",)
    harmless = not wrong and not repeated
    all_mended = all(state[place] for place in expected.must_mend)
    verified = is_mendable and status == "fixed" and all_mended and harmless
    handed_over = not is_mendable and _ends_well(case, status, reasons) and harmless
    questions = int(outcome.get("questions", 0))
    is_right = verified or handed_over
    given_up = not is_mendable and harmless and _ends_well(case, "escalated", ("needs_consent",))
    return Score(
        case=case.id,
        kind=case.kind,
        faults=tuple(breakage.fault for breakage in case.breakages),
        status=status,
        reasons=reasons,
        mended=tuple(b.fault for b, is_done in zip(case.breakages, state, strict=True) if is_done),
        not_mended=tuple(b.fault for b, is_done in zip(case.breakages, state, strict=True) if not is_done),
        wrong_effects=tuple(wrong),
        repeated_effects=tuple(repeated),
        undone_effects=undone,
        is_mendable=is_mendable,
        is_verified_fixed=verified,
        is_escalated_right=handed_over,
        is_contained=verified or (handed_over and status == "answered"),
        is_right=is_right,
        says_fixed_but_is_not=status == "fixed" and not (case.breakages and all(state)),
        questions=questions,
        is_right_unasked=given_up if questions else is_right,
    )


def stray_effects(store: Store, cases: Iterable[Case]) -> list[str]:
    """Changes at customers that are in no case at all."""
    known = {account for case in cases for account in case.accounts}
    return [_line(effect) for effect in store.effects() if effect.changes and effect.account_id not in known]


def report(scores: list[Score], *, stray: Iterable[str] = ()) -> dict[str, Any]:
    """The figures as JSON; shapes in evals/estate/README.md."""
    mendable = [one for one in scores if one.is_mendable]
    others = [one for one in scores if not one.is_mendable]
    kinds = Counter(one.kind for one in scores)
    return {
        "cases": len(scores),
        "mendable_verified_fixed": _rate(mendable, lambda one: one.is_verified_fixed),
        "others_ended_right": _rate(others, lambda one: one.is_escalated_right),
        "contained": _rate(scores, lambda one: one.is_contained),
        "without_questions": {
            "mendable_verified_fixed": _rate(mendable, lambda one: one.is_verified_fixed and not one.questions),
            "others_ended_right": _rate(others, lambda one: one.is_right_unasked),
            "contained": _rate(scores, lambda one: one.is_contained and not one.questions),
        },
        "questions": {
            "cases": sum(one.questions > 0 for one in scores),
            "asked": sum(one.questions for one in scores),
            "most": max((one.questions for one in scores), default=0),
        },
        "wrong_effects": sum(len(one.wrong_effects) for one in scores) + len(list(stray)),
        "stray_effects": list(stray),
        "repeated_effects": sum(len(one.repeated_effects) for one in scores),
        "undone_effects": sum(one.undone_effects for one in scores),
        "says_fixed_but_is_not": [one.case for one in scores if one.says_fixed_but_is_not],
        "by_kind": {
            kind: {"cases": n, "right": sum(one.is_right for one in scores if one.kind == kind)}
            for kind, n in sorted(kinds.items())
        },
        "by_fault": _by_fault(scores),
        "misses": [
            {
                "case": one.case,
                "kind": one.kind,
                "faults": list(one.faults),
                "status": one.status,
                "reasons": list(one.reasons),
                "not_mended": list(one.not_mended),
                "questions": one.questions,
                "wrong_effects": list(one.wrong_effects),
                "repeated_effects": list(one.repeated_effects),
            }
            for one in scores
            if not one.is_right
        ],
    }


def _ends_well(case: Case, status: str, reasons: tuple[str, ...]) -> bool:
    expected = case.expected
    if status not in expected.statuses:
        return False
    if status == "answered":
        return True
    return any(reason == group or reason in REASONS[group] for group in expected.groups for reason in reasons)


def _effects(case: Case, store: Store) -> tuple[list[str], list[str], int]:
    """Wrong ones, repeated ones, and how many were undone, among the changes at the case's customers."""
    allowed = set(case.allowed())
    wrong: list[str] = []
    repeated: list[str] = []
    standing: dict[tuple[str, str], Effect] = {}
    undone = 0
    seen = [effect for account_id in sorted(case.accounts) for effect in store.effects(account_id=account_id)]
    for effect in seen:
        if not effect.changes:
            continue
        about = (effect.operation, target(effect))
        reverted = next((one for one in standing if _undoes(effect, standing[one])), None)
        if reverted is not None:
            del standing[reverted]
            undone += 1
        elif about not in allowed or not _is_as_it_should_be(effect, case):
            wrong.append(_line(effect))
        elif about in standing:
            repeated.append(_line(effect))
        else:
            standing[about] = effect
    return wrong, repeated, undone


def _undoes(effect: Effect, earlier: Effect) -> bool:
    if effect.item_id != earlier.item_id and target(effect) != target(earlier):
        return False
    if UNDO.get(earlier.operation) == effect.operation:
        return True
    return effect.operation == earlier.operation and _after(effect) == _before(earlier)


def _is_as_it_should_be(effect: Effect, case: Case) -> bool:
    """The right operation with the right values."""
    wanted = _VALUES.get(effect.operation)
    if wanted is None:
        return True
    facts = {name: value for breakage in case.breakages for name, value in breakage.facts.items()}
    return wanted(effect.request, _before(effect), facts)


_VALUES: Final[dict[str, Callable[[dict[str, Any], dict[str, Any], dict[str, str]], bool]]] = {
    "api_keys.set_scopes": lambda asked, before, _: (
        len(asked["scopes"]) == (1 if before["purpose"] == "read_only" else 3)
    ),
    "notification_settings.set_muted": lambda asked, _, __: asked["muted"] is False,
    "feature_flags.set": lambda asked, _, __: asked["enabled"] is True,
    "subscriptions.set_seats": lambda asked, _, facts: str(asked["seats"]) == facts.get("wanted"),
    "payments.refund": lambda asked, before, _: asked["amount_cents"] == before["amount_cents"],
    "credits.refund": lambda asked, before, _: asked["credits"] == before["credits"],
    "integrations.rewind_cursor": lambda asked, before, _: asked["cursor"] == before["last_good_cursor"],
    "integrations.set_mapping": lambda asked, before, _: asked["mapping"] == before["last_good_mapping"],
    "webhooks.set_url": lambda asked, before, _: asked["url"] == before["registered_url"],
}


def _own(effect: Effect) -> dict[str, Any]:
    """The change of the very item that the effect is about."""
    return next((change for change in effect.changes if change["id"] == target(effect)), effect.changes[0])


def _before(effect: Effect) -> dict[str, Any]:
    return _own(effect)["before"] or {}


def _after(effect: Effect) -> dict[str, Any]:
    return _own(effect)["after"] or {}


def _line(effect: Effect) -> str:
    return f"{effect.operation} {target(effect)} ({effect.account_id}) {effect.request}"


def _by_fault(scores: list[Score]) -> dict[str, dict[str, int]]:
    names = sorted({fault for one in scores for fault in one.faults})
    return {
        name: {
            "cases": sum(name in one.faults for one in scores),
            "right": sum(name in one.faults and one.is_right for one in scores),
        }
        for name in names
    }


def _rate(scores: list[Score], is_hit: Callable[[Score], bool]) -> dict[str, Any]:
    """Hits of all with the exact 95 % interval (Clopper-Pearson)."""
    n = len(scores)
    hits = sum(is_hit(one) for one in scores)
    if n == 0:
        return {"hits": 0, "of": 0, "rate": None, "low": None, "high": None}
    low = 0.0 if hits == 0 else float(beta.ppf(0.025, hits, n - hits + 1))
    high = 1.0 if hits == n else float(beta.ppf(0.975, hits + 1, n - hits))
    return {"hits": hits, "of": n, "rate": hits / n, "low": low, "high": high}
