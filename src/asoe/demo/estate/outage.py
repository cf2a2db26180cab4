"""One broken thing of many customers: the servers that make a region's exports stand still. Never reachable through the product's API."""

from __future__ import annotations

from asoe.demo.estate.store import Item, Store


def halt_exports(store: Store, region: str, *, most: int | None = None) -> list[Item]:
    """Halt a region's export servers; returns the owners who wait for an export from now on. Leaves no trace in the effects log."""
    with store.transaction():
        store.change("export-pools", region, status="halted")
        found = []
        for account in store.find("accounts", region=region, status="active")[:most]:
            export = store.find("exports", account_id=account["id"])[0]
            store.change("exports", export["id"], beats=0, status="queued", link_expires_at=None)
            found += store.find("users", account_id=account["id"], role="owner")
    return found


def waiting_exports(store: Store) -> list[str]:
    """Accounts with an export that is not ready."""
    return sorted({export["account_id"] for export in store.find("exports") if export["status"] != "ready"})
