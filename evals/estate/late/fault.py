"""What a late fault is: written after the runbooks by somebody who never saw them, and judged by the handbook's policy alone.

They are never among `asoe.demo.estate.faults`; `known` tells the estate of them while cases are set or judged.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from asoe.demo.estate.faults import FAULTS, Breakage, Fault, Scene
from asoe.demo.estate.faults.fault import Group, never_mended
from asoe.demo.estate.store import Item, Store

Keeps = tuple[tuple[str, str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Late:
    """A late fault. `keeps`: (kind, part, fields) that must be as they were set, whatever was done.

    `reasons`: codes that are right beside those of the fault's groups. `statuses`: how a perfect desk may end. `at_another`: it is
    set at another customer than the writer's. A fault that cannot be mended may have `mends` that are allowed, and no cure.
    """

    fault: Fault
    statuses: tuple[str, ...]
    keeps: Keeps = ()
    reasons: frozenset[str] = frozenset()
    at_another: bool = False

    @property
    def is_mendable(self) -> bool:
        return self.statuses == ("fixed",)

    def set_at(self, scene: Scene) -> Breakage:
        """Break it (the caller holds the transaction) and note what must stay."""
        self.fault.breaks(scene)
        for kind, part, fields in self.keeps:
            item = scene.store.need(kind, scene.items[part])
            scene.facts[f"kept {part}"] = json.dumps({name: item[name] for name in fields}, sort_keys=True)
        return Breakage(self.fault.name, scene.account_id, scene.items, scene.facts)

    def lost(self, store: Store, breakage: Breakage) -> tuple[str, ...]:
        """What is no longer as it must have stayed."""
        return tuple(
            f"{kind} {breakage.items[part]} {name} was {kept!r}"
            for kind, part, _ in self.keeps
            for name, kept in json.loads(breakage.facts[f"kept {part}"]).items()
            if (store.get(kind, breakage.items[part]) or {}).get(name) != kept
        )


LATE: Final[dict[str, Late]] = {}


@contextmanager
def known() -> Iterator[None]:
    """Let the estate know the late faults for as long as the block runs."""
    FAULTS.update({name: late.fault for name, late in LATE.items()})
    try:
        yield
    finally:
        for name in LATE:
            del FAULTS[name]


def _always(_store: Store, _account_id: str) -> bool:
    return True


def mendable(
    name: str,
    breaks: Callable[[Scene], object],
    is_mended: Callable[[Store, Breakage], bool],
    mends: Sequence[tuple[str, str]],
    *,
    needs: Callable[[Store, str], bool] = _always,
    keeps: Keeps = (),
) -> None:
    """One that an operator mends over the API within the policy."""
    fault = _fault(name, breaks, is_mended, tuple(mends), group=(), needs=needs)
    LATE[name] = Late(fault, ("fixed",), keeps)


def beyond(
    name: str,
    breaks: Callable[[Scene], object],
    *,
    group: tuple[Group, ...],
    keeps: Keeps,
    reasons: frozenset[str] = frozenset(),
    statuses: tuple[str, ...] = ("escalated",),
    allowed: Sequence[tuple[str, str]] = (),
    needs: Callable[[Store, str], bool] = _always,
    is_mended: Callable[[Store, Breakage], bool] = never_mended,
    at_another: bool = False,
) -> None:
    """One that goes to a person, or (statuses) needs nothing but an answer."""
    fault = _fault(name, breaks, is_mended, tuple(allowed), group=group, needs=needs)
    LATE[name] = Late(fault, statuses, keeps, reasons, at_another)


def _fault(
    name: str,
    breaks: Callable[[Scene], object],
    is_mended: Callable[[Store, Breakage], bool],
    mends: tuple[tuple[str, str], ...],
    *,
    group: tuple[Group, ...],
    needs: Callable[[Store, str], bool],
) -> Fault:
    about = (breaks.__doc__ or "").strip()
    return Fault(name, (), name, about, "", "", breaks, is_mended, mends, group=group, needs=needs)


def plan_of(store: Store, account_id: str) -> str:
    return str(store.find("subscriptions", account_id=account_id)[0]["plan"])


def small_plan(store: Store, account_id: str) -> bool:
    return plan_of(store, account_id) != "business"


def has_sso(store: Store, account_id: str) -> bool:
    return bool(store.find("sso-connections", account_id=account_id))


def made(scene: Scene, part: str, kind: str, prefix: str, **fields: Any) -> Item:
    scene.items[part] = scene.new_id(prefix, kind)
    return scene.store.put(kind, {"id": scene.items[part], "account_id": scene.account_id, **fields})


def noted(scene: Scene, part: str, kind: str, item: Item) -> Item:
    scene.items[part] = item["id"]
    return scene.store.need(kind, item["id"])


def newest_invoice(scene: Scene) -> tuple[Item, Item]:
    invoice = noted(scene, "invoice", "invoices", scene.store.find("invoices", account_id=scene.account_id)[-1])
    paid = scene.store.find("payments", account_id=scene.account_id, invoice_id=invoice["id"])[0]
    return invoice, paid


def second_payment(scene: Scene, part: str, paid: Item, **fields: Any) -> Item:
    """Another payment like `paid` but for the fields given."""
    like = {name: value for name, value in {**paid, **fields}.items() if name not in {"id", "account_id"}}
    return made(scene, part, "payments", "pay", **like)


def suspend(scene: Scene) -> None:
    scene.account()
    scene.change("account", "accounts", status="suspended", suspended_reason="nonpayment")


def job(scene: Scene, *, refunded: int = 0, part: str = "", **fields: Any) -> Item:
    """A run of the first workflow with its charge; `part` ends the names of both."""
    workflow = scene.store.find("workflows", account_id=scene.account_id, status="active")[0]
    scene.facts["workflow"] = workflow["name"]
    told = {
        "workflow_id": workflow["id"],
        "name": workflow["name"],
        "status": "failed",
        "seconds_without_heartbeat": 0,
        "attempts": 3,
        "max_attempts": 3,
        "error_code": "NODE_LOST",
        "failure_cause": "platform",
        "integration_id": None,
        "credits": 120,
        **fields,
    }
    run = made(scene, f"job{part}", "jobs", "job", **told)
    status = "captured" if not refunded else "refunded" if refunded == run["credits"] else "partly_refunded"
    charged = {"credits": run["credits"], "refunded_credits": refunded, "status": status}
    at = scene.store.stamp(days=-12 if refunded else -1)
    charge = made(scene, f"charge{part}", "charges", "chg", job_id=run["id"], charged_at=at, **charged)
    if refunded:
        back = {"credits": refunded, "reason": "run lost by our platform", "made_at": scene.store.stamp(days=-11)}
        made(scene, f"refund{part}", "credit-refunds", "crf", charge_id=charge["id"], **back)
    return run
