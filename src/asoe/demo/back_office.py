"""Joins an organization to the demo estate: its connector, with risks as the handbook names them, and the shipped runbooks.

The estate itself knows nothing of this; what may be done in it alone is decided here, in the open, by lent trust.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import httpx

from asoe.demo.estate.breaking import break_it
from asoe.demo.estate.seed import add_customer
from asoe.demo.estate.seed import seed as seed_estate
from asoe.demo.estate.service import DEMO_TOKENS, running
from asoe.demo.estate.store import open_store
from asoe.desk import autonomy, connector_settings
from asoe.desk.context import Desk
from asoe.desk.runbook import shelf
from asoe.domain.autonomy import cases_needed
from asoe.domain.errors import Conflict
from asoe.domain.organization import Principal
from asoe.domain.runbook import Risk

RUNBOOKS: Final = Path(__file__).with_name("runbooks")
CONNECTOR: Final = "estate"
LENT_FOR: Final = timedelta(days=1)
ESTATE_SEED: Final = 1

NEEDS_KEY: Final = frozenset(
    {
        "identity_checks_make",
        "api_keys_rotate",
        "payments_refund",
        "credits_refund",
        "integrations_rewind_cursor",
        "webhooks_redeliver",
        "jobs_retry",
        "jobs_restart",
        "exports_restart",
    }
)
"""Doing these again would do it twice; all others are naturally idempotent."""
IRREVERSIBLE: Final = frozenset(
    {
        "users_reset_mfa",
        "api_keys_rotate",
        "payments_refund",
        "credits_refund",
        "exports_restart",
        "storages_empty_trash",
    }
)
COSTLY: Final = frozenset(
    {
        "identity_checks_make",
        "subscriptions_set_seats",
        "suppressions_remove",
        "integrations_rewind_cursor",
        "webhooks_redeliver",
        "jobs_restart",
        "jobs_cancel",
    }
)
FORBIDDEN: Final = frozenset({"users_set_role", "jobs_cancel"})
"""Policy: support gives nobody a role, and nobody's work is thrown away. Left without a risk, these cannot be called."""
UNDO: Final = {
    "accounts_reactivate": "accounts_suspend",
    "users_unlock": "users_lock",
    "suppressions_remove": "suppressions_add",
    "integrations_resume": "integrations_pause",
    "webhooks_enable": "webhooks_disable",
    "workflows_resume": "workflows_pause",
}


@dataclass(frozen=True, slots=True)
class Lent:
    """A runbook that acts alone on somebody's word, and how far it is from acting on evidence."""

    runbook_id: UUID
    name: str
    seen: int
    needed: int


@asynccontextmanager
async def broken_estate(lines: Iterable[Mapping[str, Any]]) -> AsyncIterator[str]:
    """Run an estate whose customers wrote the lines (but `customer: false`), and in which is broken what they say (`broken`).

    Yields its address.
    """
    store = open_store()
    try:
        seed_estate(store, ESTATE_SEED)
        for index, line in enumerate(lines):
            email = line["contact"]["email"]
            if line.get("customer", True) and not store.find("users", email=email):
                add_customer(store, line["contact"]["name"], email, index=index)
            for fault in line.get("broken", ()):
                user = store.find("users", email=email)[0]
                break_it(store, fault, user["account_id"], user_id=user["id"], chance=random.Random(email))
        async with running(store) as url:
            yield url
    finally:
        store.close()


async def join_estate(desk: Desk, owner: Principal, url: str) -> list[Lent]:
    """Connect the demo organization to an estate, also when it knew an earlier one, and publish the runbooks."""
    try:
        await add_estate(desk, owner, url)
    except Conflict:
        await connector_settings.change_connector(desk, owner, CONNECTOR, config={"base_url": url}, may_be_private=True)
    return await publish_runbooks(desk, owner, reason="a demo with invented clients; nothing real is touched")


async def add_estate(desk: Desk, owner: Principal, url: str, *, token: str = DEMO_TOKENS.operator) -> None:
    """Add the estate as the organization's connector of kind `http`, from the document it publishes."""
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        document = (await client.get(f"{url}/openapi.json")).raise_for_status().json()
    await connector_settings.add_connector(
        desk,
        owner,
        name=CONNECTOR,
        kind="http",
        config=estate_config(url, document),
        secrets={"token": token},
        allow_private=True,
        may_be_private=True,
    )


async def publish_runbooks(desk: Desk, owner: Principal, *, reason: str) -> list[Lent]:
    """Put the shipped runbooks into use, and lend them the trust that nobody could earn yet."""
    until = desk.clock() + LENT_FOR
    lent = []
    for file in sorted(shipped()):
        row, _ = await shelf.save(desk, owner, file.read_text(encoding="utf-8"))
        await shelf.publish(desk, owner, row.name)
        await autonomy.set_level(desk, owner, row.name, "auto")
        standing = await autonomy.lend(desk, owner, row.name, reason=reason, until=until)
        async with desk.database.org_reading(owner) as connection:
            limits = await autonomy.limits_of(connection, owner.org_id)
        lent.append(Lent(row.id, row.name, standing.evidence.cases, cases_needed(limits["reversible"])))
    return lent


def shipped() -> list[Path]:
    """The runbooks that come with the demo, without their recorded cases."""
    return [file for file in RUNBOOKS.glob("*.yaml") if not file.name.endswith(".cases.yaml")]


def estate_config(url: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """The connector's configuration: what each write risks, what repeats safely, and how to ask whether one took effect."""
    writes = _writes(document)
    return {
        "base_url": url,
        "allow_http": True,
        "auth": {"type": "bearer"},
        "openapi": dict(document),
        "health": "plans_list",
        "in_progress": [],  # its 409 is a refusal: a key and its effect are written together, so none is ever on its way
        "risks": {name: _risk(name) for name in writes if name not in FORBIDDEN},
        "operations": {
            name: {
                "repeats": "by_key" if name in NEEDS_KEY else "naturally",
                "probe": {"call": "effects_list", "with": {"idempotency_key": "{key}"}, "path": "items.0"},
                **({"undo": UNDO[name]} if name in UNDO else {}),
            }
            for name in writes
            if name not in FORBIDDEN
        },
    }


def _writes(document: Mapping[str, Any]) -> list[str]:
    return [
        str(said["operationId"]).replace(".", "_")
        for path, methods in document["paths"].items()
        if path.startswith("/v1/")
        for method, said in methods.items()
        if method in {"post", "put", "delete", "patch"}
    ]


def _risk(name: str) -> Risk:
    if name in IRREVERSIBLE:
        return "irreversible"
    return "costly" if name in COSTLY else "reversible"
