"""Integrations, webhooks, domains: what connects a client's systems with ours."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from asoe.demo.estate.background import BEATS
from asoe.demo.estate.models import Shape
from asoe.demo.estate.operations.operation import operation, refuse
from asoe.demo.estate.store import Item, Store


class Cursor(Shape):
    cursor: Annotated[int, Field(ge=0)]


class Mapping(Shape):
    mapping: Annotated[dict[str, str], Field(min_length=1, max_length=32)]


class Url(Shape):
    url: Annotated[str, Field(pattern=r"^https://[a-z0-9.-]+/[A-Za-z0-9/_.-]*$", max_length=300)]


@operation(
    "integrations.refresh_token",
    "POST",
    "/v1/integrations/{id}/refresh-token",
    about="Get a fresh access token with the grant the client gave.",
)
def refresh_token(store: Store, item: Item, _: object) -> Item:
    if item["access_status"] == "grant_revoked":
        raise refuse("grant_revoked", "The client withdrew the grant: only they can connect again.")
    return store.change("integrations", item["id"], beats=BEATS, access_status="valid")


@operation("integrations.resume", "POST", "/v1/integrations/{id}/resume", about="Let a paused sync run again.")
def resume_sync(store: Store, item: Item, _: object) -> Item:
    if item["access_status"] != "valid":
        raise refuse("token_not_valid", "The token is not valid: the sync would stop at once.")
    return store.change("integrations", item["id"], beats=BEATS, sync_state="running")


@operation("integrations.pause", "POST", "/v1/integrations/{id}/pause", about="Pause a sync (undo of resume).")
def pause_sync(store: Store, item: Item, _: object) -> Item:
    return store.change("integrations", item["id"], beats=0, sync_state="paused")


@operation(
    "integrations.rewind_cursor",
    "POST",
    "/v1/integrations/{id}/rewind-cursor",
    body=Cursor,
    needs_key=True,
    about="Read again from a record on. Records before the last good one would be imported twice.",
)
def rewind_cursor(store: Store, item: Item, body: Cursor) -> Item:
    if body.cursor > item["source_head"]:
        raise refuse("beyond_source", f"The newest record is {item['source_head']}.")
    good = item["last_good_cursor"]
    return store.change(
        "integrations",
        item["id"],
        beats=BEATS,
        cursor=body.cursor,
        records_missing=max(0, body.cursor - good),
        records_doubled=item["records_doubled"] + max(0, good - body.cursor),
    )


@operation(
    "integrations.set_mapping",
    "PUT",
    "/v1/integrations/{id}/mapping",
    body=Mapping,
    about="Set which field of theirs becomes which of ours.",
)
def set_mapping(store: Store, item: Item, body: Mapping) -> Item:
    return store.change("integrations", item["id"], mapping=body.mapping)


@operation("webhooks.enable", "POST", "/v1/webhooks/{id}/enable", about="Deliver to it again.")
def enable_webhook(store: Store, item: Item, _: object) -> Item:
    return store.change("webhooks", item["id"], status="enabled", disabled_reason=None)


@operation("webhooks.disable", "POST", "/v1/webhooks/{id}/disable", about="Deliver no more (undo of enable).")
def disable_webhook(store: Store, item: Item, _: object) -> Item:
    if item["status"] == "disabled":
        return item
    return store.change("webhooks", item["id"], beats=0, status="disabled", disabled_reason="too_many_failures")


@operation(
    "webhooks.sync_secret",
    "POST",
    "/v1/webhooks/{id}/sync-secret",
    about="Sign deliveries with the secret that the client holds.",
)
def sync_secret(store: Store, item: Item, _: object) -> Item:
    return store.change("webhooks", item["id"], signing_version=item["secret_version"])


@operation("webhooks.set_url", "PUT", "/v1/webhooks/{id}/url", body=Url, about="Deliver to another URL.")
def set_url(store: Store, item: Item, body: Url) -> Item:
    return store.change("webhooks", item["id"], url=body.url)


@operation(
    "webhooks.redeliver",
    "POST",
    "/v1/webhooks/{id}/redeliver",
    needs_key=True,
    about="Send what waits. Each call sends all of it.",
)
def redeliver(store: Store, item: Item, _: object) -> Item:
    if item["status"] == "disabled":
        raise refuse("webhook_disabled", "The webhook is disabled: enable it first.")
    if item["endpoint_status"] >= 300:
        raise refuse("endpoint_fails", f"The endpoint answered {item['endpoint_status']}.")
    if item["backlog"] == 0:
        raise refuse("nothing_waits", "No delivery waits.")
    return store.change("webhooks", item["id"], beats=BEATS, redelivered=item["redelivered"] + item["backlog"])


@operation(
    "domains.renew_certificate",
    "POST",
    "/v1/domains/{id}/renew-certificate",
    about="Have a new certificate issued.",
)
def renew_certificate(store: Store, item: Item, _: object) -> Item:
    if not item["dns_points_to_us"]:
        raise refuse("dns_elsewhere", "The domain does not point to us: the client must mend its DNS first.")
    if item["certificate_status"] != "expired":
        return item
    return store.change("domains", item["id"], beats=BEATS, certificate_status="issuing")
