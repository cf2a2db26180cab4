"""Breaks the estate and tells what is mended, by its store alone. Never reachable through the product's API."""

from __future__ import annotations

import random

from asoe.demo.estate.faults import FAULTS, Breakage, Scene
from asoe.demo.estate.store import Effect, Store

__all__ = ["Breakage", "NotBreakable", "allowed_effects", "break_it", "can_break", "is_mended", "target"]


class NotBreakable(Exception):
    """There is no such fault, or this customer cannot have it."""


def can_break(store: Store, fault: str, account_id: str) -> bool:
    return FAULTS[fault].needs(store, account_id)


def break_it(
    store: Store, fault: str, account_id: str, *, user_id: str | None = None, chance: random.Random | None = None
) -> Breakage:
    """Set a fault at a customer; `user_id` is who will notice it (default: the owner). Leaves no trace in the effects log."""
    found = FAULTS.get(fault)
    if found is None:
        raise NotBreakable(f"There is no fault {fault}.")
    if store.get("accounts", account_id) is None:
        raise NotBreakable(f"There is no account {account_id}.")
    if not found.needs(store, account_id):
        raise NotBreakable(f"The account {account_id} cannot have the fault {fault}.")
    user = store.need("users", user_id) if user_id else store.find("users", account_id=account_id, role="owner")[0]
    scene = Scene(store, account_id, user, chance or random.Random(f"{fault}/{account_id}"))
    with store.transaction():
        found.breaks(scene)
    return Breakage(fault, account_id, scene.items, scene.facts)


def is_mended(store: Store, breakage: Breakage) -> bool:
    return FAULTS[breakage.fault].is_mended(store, breakage)


def allowed_effects(breakage: Breakage) -> list[tuple[str, str]]:
    """(operation, item id) of the effects that mend it, each of which may change something once."""
    return [(operation, breakage.items[part]) for operation, part in FAULTS[breakage.fault].mends]


def target(effect: Effect) -> str:
    """The item that an effect was about: of a refund, the charge."""
    return str(effect.request.get("charge_id", effect.item_id))
