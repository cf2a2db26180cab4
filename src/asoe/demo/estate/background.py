"""What goes on by itself after a mend: queued work runs, indexes fill, backlogs drain. One beat at each read of the item.

So a mend that was accepted is not yet a mend that took: only reading again tells. Work on a broken base ends badly.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from asoe.demo.estate.store import Item, Store

BEATS: Final = 2  # accepted → under way → done


def beat(store: Store, kind: str, item_id: str) -> None:
    """Move one item's work by one beat; the caller holds the transaction."""
    left = store.beats(kind, item_id) - 1
    if left < 0:
        return
    item = store.need(kind, item_id)
    fields = _MOVES[kind](store, item, done=left == 0)
    store.put(kind, {**item, **fields}, beats=left)


def settle(store: Store, account_id: str | None = None) -> None:
    """Run everything that is under way (at one customer) to its end."""
    while moving := store.moving(account_id=account_id):
        with store.transaction():
            for kind, item_id in moving:
                beat(store, kind, item_id)


def _job(store: Store, item: Item, *, done: bool) -> dict[str, Any]:
    if not done:
        return {"status": "running", "seconds_without_heartbeat": 0}
    if item["failure_cause"] == "client_input":
        return {"status": "failed", "error_code": "INPUT_REJECTED"}
    if item["integration_id"] is not None:
        integration = store.need("integrations", item["integration_id"])
        if integration["access_status"] != "valid":
            return {"status": "failed", "error_code": "SOURCE_REFUSED", "failure_cause": "integration"}
    return {"status": "succeeded", "error_code": None, "failure_cause": None, "seconds_without_heartbeat": 0}


def _export(store: Store, item: Item, *, done: bool) -> dict[str, Any]:
    pool = store.get("export-pools", store.need("accounts", item["account_id"])["region"])
    if pool is not None and pool["status"] == "halted":
        return {"status": "queued"}  # until its pool is restarted, which sets all that waits moving
    if not done:
        return {"status": "running"}
    return {"status": "ready", "link_expires_at": store.stamp(days=7), "link_expired": False}


def _index(_: Store, item: Item, *, done: bool) -> dict[str, Any]:
    if not done:
        return {"indexed": item["documents"] // 2}
    return {"indexed": item["documents"], "status": "ready"}


def _replica(_: Store, item: Item, *, done: bool) -> dict[str, Any]:
    if not done:
        return {}
    return {"replica_rows": item["source_rows"], "status": "in_sync"}


def _domain(store: Store, item: Item, *, done: bool) -> dict[str, Any]:
    del item
    return {"certificate_status": "valid", "certificate_expires_at": store.stamp(days=90)} if done else {}


def _webhook(_: Store, item: Item, *, done: bool) -> dict[str, Any]:
    return {"backlog": 0 if done else item["backlog"] // 2}


def _integration(_: Store, item: Item, *, done: bool) -> dict[str, Any]:
    head = item["source_head"]
    if item["access_status"] != "valid" or item["sync_state"] != "running" or item["cursor"] > head:
        return {}
    cursor = head if done else (item["cursor"] + head) // 2
    return {"cursor": cursor, "last_good_cursor": cursor}


class _Move(Protocol):
    def __call__(self, store: Store, item: Item, /, *, done: bool) -> dict[str, Any]: ...


_MOVES: Final[dict[str, _Move]] = {
    "jobs": _job,
    "exports": _export,
    "search-indexes": _index,
    "replicas": _replica,
    "domains": _domain,
    "webhooks": _webhook,
    "integrations": _integration,
}
