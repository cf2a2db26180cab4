"""Jobs, workflows, exports, search, copies, files: work that runs, and what it leaves behind."""

from __future__ import annotations

from asoe.demo.estate.background import BEATS
from asoe.demo.estate.operations.operation import operation, refuse
from asoe.demo.estate.store import Item, Store

STUCK_AFTER_SECONDS = 900


@operation(
    "jobs.retry",
    "POST",
    "/v1/jobs/{id}/retry",
    needs_key=True,
    about="Try a failed or crashed run again, free of charge, while attempts are left.",
)
def retry_job(store: Store, item: Item, _: object) -> Item:
    if item["status"] not in {"failed", "crashed"}:
        raise refuse("not_failed", f"The job is {item['status']}: only a failed or crashed one can be retried.")
    if item["attempts"] >= item["max_attempts"]:
        raise refuse("no_attempts_left", f"All {item['max_attempts']} attempts were used.")
    return store.change("jobs", item["id"], beats=BEATS, status="queued", attempts=item["attempts"] + 1)


@operation(
    "jobs.restart",
    "POST",
    "/v1/jobs/{id}/restart",
    needs_key=True,
    about="Stop a run and start it from the beginning. Charges its credits again.",
)
def restart_job(store: Store, item: Item, _: object) -> Item:
    if item["status"] in {"queued", "succeeded"}:
        raise refuse("nothing_to_restart", f"The job is {item['status']}.")
    account = store.need("accounts", item["account_id"])
    if account["credits"] < item["credits"]:
        raise refuse("not_enough_credits", f"A run costs {item['credits']} credits, {account['credits']} are left.")
    store.change("accounts", account["id"], credits=account["credits"] - item["credits"])
    store.put(
        "charges",
        {
            "id": store.new_id("chg"),
            "account_id": item["account_id"],
            "job_id": item["id"],
            "credits": item["credits"],
            "refunded_credits": 0,
            "status": "captured",
            "charged_at": store.stamp(),
        },
    )
    return store.change("jobs", item["id"], beats=BEATS, status="queued", attempts=1, seconds_without_heartbeat=0)


@operation("jobs.cancel", "POST", "/v1/jobs/{id}/cancel", about="Stop a run for good. What it did so far is lost.")
def cancel_job(store: Store, item: Item, _: object) -> Item:
    if item["status"] not in {"queued", "running"}:
        raise refuse("not_running", f"The job is {item['status']}.")
    return store.change("jobs", item["id"], beats=0, status="canceled")


@operation(
    "workflows.resume", "POST", "/v1/workflows/{id}/resume", about="Let a paused workflow run on schedule again."
)
def resume_workflow(store: Store, item: Item, _: object) -> Item:
    if item["status"] == "archived":
        raise refuse("archived", "An archived workflow does not run.")
    return store.change("workflows", item["id"], status="active", paused_by=None, pause_note=None)


@operation("workflows.pause", "POST", "/v1/workflows/{id}/pause", about="Pause a workflow (undo of resume).")
def pause_workflow(store: Store, item: Item, _: object) -> Item:
    if item["status"] == "archived":
        raise refuse("archived", "An archived workflow does not run.")
    if item["status"] == "paused":
        return item
    return store.change("workflows", item["id"], status="paused", paused_by="system", pause_note=None)


@operation(
    "exports.restart",
    "POST",
    "/v1/exports/{id}/restart",
    needs_key=True,
    about="Delete what an export has written so far and start it again. Cannot be undone.",
)
def restart_export(store: Store, item: Item, _: object) -> Item:
    if item["status"] != "stuck":
        raise refuse("not_stuck", f"The export is {item['status']}.")
    return store.change("exports", item["id"], beats=BEATS, status="queued", partial_rows=0)


@operation("exports.renew_link", "POST", "/v1/exports/{id}/renew-link", about="A fresh download link for seven days.")
def renew_link(store: Store, item: Item, _: object) -> Item:
    if item["status"] != "ready":
        raise refuse("not_ready", f"The export is {item['status']}.")
    if not item["link_expired"]:
        return item
    return store.change("exports", item["id"], link_expires_at=store.stamp(days=7), link_expired=False)


@operation("search_indexes.rebuild", "POST", "/v1/search-indexes/{id}/rebuild", about="Index what is missing.")
def rebuild_index(store: Store, item: Item, _: object) -> Item:
    if item["status"] == "rebuilding" or item["indexed"] == item["documents"]:
        return item
    return store.change("search-indexes", item["id"], beats=BEATS, status="rebuilding", indexed=0)


@operation("caches.purge", "POST", "/v1/caches/{id}/purge", about="Build a cached dashboard from the newest data.")
def purge_cache(store: Store, item: Item, _: object) -> Item:
    return store.change("caches", item["id"], built_from_version=item["source_version"])


@operation("replicas.resync", "POST", "/v1/replicas/{id}/resync", about="Copy again what the copy lacks.")
def resync_replica(store: Store, item: Item, _: object) -> Item:
    if item["status"] != "diverged":
        return item
    return store.change("replicas", item["id"], beats=BEATS, status="resyncing")


@operation(
    "storages.unlock_writes",
    "POST",
    "/v1/storages/{id}/unlock-writes",
    about="Allow uploads again when there is room.",
)
def unlock_writes(store: Store, item: Item, _: object) -> Item:
    if item["used_mb"] >= item["limit_mb"]:
        raise refuse("no_room", "There is no room: uploads would fail again.")
    return store.change("storages", item["id"], read_only=False)


@operation(
    "storages.empty_trash",
    "POST",
    "/v1/storages/{id}/empty-trash",
    about="Delete what is in the trash. Uploads are allowed again when there is room. Cannot be undone.",
)
def empty_trash(store: Store, item: Item, _: object) -> Item:
    used = item["used_mb"] - item["trash_mb"]
    return store.change(
        "storages", item["id"], used_mb=used, trash_mb=0, read_only=item["read_only"] and used >= item["limit_mb"]
    )


@operation(
    "export_pools.restart",
    "POST",
    "/v1/export-pools/{id}/restart",
    about="Start the servers that make a region's exports again; what waited for them goes on.",
)
def restart_pool(store: Store, item: Item, _: object) -> Item:
    if item["status"] == "running":
        return item
    regions = {account["id"]: account["region"] for account in store.find("accounts")}
    for export in store.find("exports", status="queued"):
        if regions[export["account_id"]] == item["id"]:
            store.change("exports", export["id"], beats=BEATS)
    return store.change("export-pools", item["id"], status="running")
