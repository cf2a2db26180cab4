"""What an item shows of itself: the store's truth without secrets, and with what one fault hides of another."""

from __future__ import annotations

from asoe.demo.estate.store import Item


def show(kind: str, item: Item) -> Item:
    """The item as the API answers it."""
    if kind == "users":
        shown = {name: value for name, value in item.items() if name not in {"pin", "pin_attempts"}}
        return {**shown, "mfa_state": None} if item["locked"] else shown
    if kind == "integrations" and item["access_status"] != "valid":
        return {**item, "sync_state": "auth_error"}
    if kind == "webhooks" and item["status"] == "disabled":
        return {**item, "backlog": None}
    return item
