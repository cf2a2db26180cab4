"""A perfect operator: mends a breakage over the API as the handbook says, knowing what was broken."""

from __future__ import annotations

from typing import Any

import httpx

from asoe.demo.estate.breaking import Breakage, break_it, can_break
from asoe.demo.estate.faults import FAULTS, Fault
from asoe.demo.estate.models import PLANS, SCOPES
from asoe.demo.estate.operations import OPERATIONS
from asoe.demo.estate.store import Store

MENDABLE = [fault.name for fault in FAULTS.values() if fault.is_mendable]
NOT_MENDABLE = [fault.name for fault in FAULTS.values() if not fault.is_mendable]


def breakable(store: Store, fault: str) -> str:
    """The first account that can have the fault."""
    return next(account["id"] for account in store.find("accounts") if can_break(store, fault, account["id"]))


def break_somewhere(store: Store, fault: str) -> Breakage:
    return break_it(store, fault, breakable(store, fault))


async def mend(operator: httpx.AsyncClient, breakage: Breakage, *, key: str = "operator-1") -> list[httpx.Response]:
    """Every mend of the fault in order, with what the API itself tells about the items."""
    return await carry_out(operator, FAULTS[breakage.fault], breakage.items, breakage, key=key)


async def carry_out(
    operator: httpx.AsyncClient, fault: Fault, items: dict[str, str], breakage: Breakage, *, key: str
) -> list[httpx.Response]:
    answers: list[httpx.Response] = []
    for step, (name, part) in enumerate(fault.mends):
        operation = OPERATIONS[name]
        body = await _body(operator, name, items[part], breakage, answers)
        answers.append(
            await operator.request(
                operation.method,
                operation.path.replace("{id}", items[part]),
                json=body,
                headers={"Idempotency-Key": f"{key}-{fault.name}-{step}"},
            )
        )
    return answers


async def _body(
    operator: httpx.AsyncClient, name: str, item_id: str, breakage: Breakage, before: list[httpx.Response]
) -> dict[str, Any] | None:
    operation = OPERATIONS[name]
    kind = "charges" if name == "credits.refund" else operation.kind
    if operation.body is None:
        return None
    item = (await operator.get(f"/v1/{kind}/{item_id}")).json()
    plan = (await operator.get("/v1/subscriptions", params={"account_id": breakage.account_id})).json()["items"][0]
    bodies: dict[str, dict[str, Any]] = {
        "identity_checks.make": {"pin": breakage.facts.get("pin")},
        "users.reset_mfa": {"identity_check_id": before[-1].json().get("id") if before else None},
        "api_keys.renew": {"days": 90},
        "api_keys.set_scopes": {"scopes": SCOPES.get(item.get("purpose"))},
        "api_keys.set_rate_tier": {"rate_tier": PLANS[plan["plan"]].rate_tier},
        "notification_settings.set_muted": {"muted": False},
        "subscriptions.set_seats": {"seats": int(breakage.facts.get("wanted", 1))},
        "payments.refund": {"amount_cents": item.get("amount_cents")},
        "credits.refund": {"charge_id": item_id, "credits": item.get("credits"), "reason": "run lost by our platform"},
        "integrations.rewind_cursor": {"cursor": item.get("last_good_cursor")},
        "integrations.set_mapping": {"mapping": item.get("last_good_mapping")},
        "webhooks.set_url": {"url": item.get("registered_url")},
        "feature_flags.set": {"enabled": True},
    }
    return bodies[name]
