"""Faults of work that runs and what it leaves: jobs, workflows, exports, search, copies, files, regions."""

from __future__ import annotations

from asoe.demo.estate.faults.fault import Breakage, Fault, Scene, add, field_is, never_mended
from asoe.demo.estate.store import Item, Store


def _job(scene: Scene, **fields: object) -> Item:
    """A new run with its charge, so that what ran before stays as it was."""
    workflow = scene.chance.choice(scene.store.find("workflows", account_id=scene.account_id, status="active"))
    cost = scene.chance.randrange(30, 180, 10)
    scene.items["job"] = scene.new_id("job", "jobs")
    scene.facts["credits"] = str(cost)
    scene.facts["workflow"] = workflow["name"]
    job = {
        "id": scene.items["job"],
        "account_id": scene.account_id,
        "workflow_id": workflow["id"],
        "name": workflow["name"],
        "status": "running",
        "seconds_without_heartbeat": 0,
        "attempts": 1,
        "max_attempts": 3,
        "error_code": None,
        "failure_cause": None,
        "integration_id": None,
        "credits": cost,
        **fields,
    }
    scene.store.put(
        "charges",
        {
            "id": scene.new_id("chg", "charges"),
            "account_id": scene.account_id,
            "job_id": job["id"],
            "credits": cost,
            "refunded_credits": 0,
            "status": "captured",
            "charged_at": scene.store.stamp(days=-1),
        },
    )
    return scene.store.put("jobs", job)


def _crashed_on_expired_access(scene: Scene) -> None:
    scene.pick("integration", "integrations", access_status="valid", sync_state="running")
    scene.change("integration", "integrations", access_status="expired")
    _job(
        scene,
        status="failed",
        error_code="SOURCE_REFUSED",
        failure_cause="integration",
        integration_id=scene.items["integration"],
    )


def _source_back_and_done(store: Store, breakage: Breakage) -> bool:
    integration = store.need("integrations", breakage.items["integration"])
    job = store.need("jobs", breakage.items["job"])
    return bool(integration["access_status"] == "valid" and job["status"] == "succeeded")


def _pause(scene: Scene, who: str, note: str) -> None:
    workflow = scene.pick("workflow", "workflows", status="active")
    scene.facts["workflow"] = workflow["name"]
    scene.change("workflow", "workflows", status="paused", paused_by=who, pause_note=note)


def _export_stuck(scene: Scene) -> None:
    scene.facts["export"] = scene.pick("export", "exports")["name"]
    scene.change("export", "exports", status="stuck", link_expires_at=None)


def _link_expired(scene: Scene) -> None:
    scene.facts["export"] = scene.pick("export", "exports")["name"]
    scene.change("export", "exports", link_expired=True, link_expires_at=scene.store.stamp(days=-2))


def _index_behind(scene: Scene) -> None:
    index = scene.pick("index", "search-indexes")
    scene.change("index", "search-indexes", indexed=index["documents"] * 2 // 3)


def _indexed(store: Store, breakage: Breakage) -> bool:
    index = store.need("search-indexes", breakage.items["index"])
    return bool(index["indexed"] == index["documents"] and index["status"] == "ready")


def _cache_old(scene: Scene) -> None:
    cache = scene.pick("cache", "caches")
    scene.facts["dashboard"] = cache["name"]
    scene.change("cache", "caches", source_version=cache["source_version"] + 7)


def _cache_fresh(store: Store, breakage: Breakage) -> bool:
    cache = store.need("caches", breakage.items["cache"])
    return bool(cache["built_from_version"] == cache["source_version"])


def _replica_behind(scene: Scene) -> None:
    replica = scene.pick("replica", "replicas")
    scene.change("replica", "replicas", replica_rows=replica["source_rows"] - 900, status="diverged")


def _misrouted(scene: Scene) -> None:
    account = scene.account()
    scene.change("account", "accounts", routed_region="us" if account["region"] != "us" else "ap")


def _routed(store: Store, breakage: Breakage) -> bool:
    account = store.need("accounts", breakage.account_id)
    return bool(account["routed_region"] == account["region"])


def _latched(scene: Scene) -> None:
    scene.facts["trash_mb"] = str(scene.pick("storage", "storages")["trash_mb"])
    scene.change("storage", "storages", read_only=True)


def _writable_with_its_trash(store: Store, breakage: Breakage) -> bool:
    storage = store.need("storages", breakage.items["storage"])
    return bool(not storage["read_only"] and str(storage["trash_mb"]) == breakage.facts["trash_mb"])


def _full(scene: Scene, *, trash_percent: int) -> None:
    storage = scene.pick("storage", "storages")
    limit = storage["limit_mb"]
    scene.change("storage", "storages", used_mb=limit, trash_mb=limit * trash_percent // 100, read_only=True)


add(
    Fault(
        name="job_crashed",
        symptoms=("job_failed",),
        slot="job",
        broken="A run crashed by our fault (`failure_cause: platform`) and attempts are left.",
        mended_by="POST /v1/jobs/{id}/retry (free); read until `succeeded`",
        never="`failure_cause: client_input`; no attempts left (409).",
        breaks=lambda scene: _job(scene, status="crashed", error_code="NODE_LOST", failure_cause="platform"),
        is_mended=field_is("jobs", "job", status="succeeded"),
        mends=(("jobs.retry", "job"),),
        risk="reversible",
    )
)
add(
    Fault(
        name="job_failed_on_expired_access",
        symptoms=("job_failed",),
        slot="integration+job",
        broken="A run failed because its integration's access expired (`failure_cause: integration`).",
        mended_by="POST /v1/integrations/{integration_id}/refresh-token, then POST /v1/jobs/{id}/retry; read until `succeeded`",
        never="Retrying first: it fails again and uses up an attempt.",
        breaks=_crashed_on_expired_access,
        is_mended=_source_back_and_done,
        mends=(("integrations.refresh_token", "integration"), ("jobs.retry", "job")),
        risk="reversible",
    )
)
add(
    Fault(
        name="job_stuck",
        symptoms=("job_hangs",),
        slot="job",
        broken="A run is `running` without a heartbeat for more than 900 s.",
        mended_by="POST /v1/jobs/{id}/restart (takes its credits again), after the client agreed to that; read until `succeeded`",
        never="The client did not agree; the heartbeat is younger than 900 s.",
        breaks=lambda scene: _job(scene, seconds_without_heartbeat=scene.chance.randrange(5000, 40_000)),
        is_mended=field_is("jobs", "job", status="succeeded"),
        mends=(("jobs.restart", "job"),),
        risk="costly",
        consent="charge_again",
    )
)
add(
    Fault(
        name="job_is_only_slow",
        symptoms=("job_hangs",),
        slot="job",
        broken="Nothing: the run is long, its heartbeat is seconds old.",
        mended_by="Time.",
        never="Always: a restart would lose the work and charge again.",
        breaks=lambda scene: _job(scene, seconds_without_heartbeat=scene.chance.randrange(5, 60)),
        is_mended=never_mended,
        group=("nothing_wrong", "cannot_fix"),
    )
)
add(
    Fault(
        name="workflow_paused_by_system",
        symptoms=("schedule_silent",),
        slot="workflow",
        broken="Maintenance paused the workflow and nobody let it go on (`paused_by: system`).",
        mended_by="POST /v1/workflows/{id}/resume",
        never="—",
        breaks=lambda scene: _pause(scene, "system", "maintenance window"),
        is_mended=field_is("workflows", "workflow", status="active"),
        mends=(("workflows.resume", "workflow"),),
        risk="reversible",
    )
)
add(
    Fault(
        name="workflow_paused_by_owner",
        symptoms=("schedule_silent",),
        slot="workflow",
        broken="Somebody of the client's own account paused the workflow (`paused_by: owner`).",
        mended_by="POST /v1/workflows/{id}/resume, after the client said that the pause may end",
        never="They did not say so.",
        breaks=lambda scene: _pause(scene, "owner", "paused in the product"),
        is_mended=field_is("workflows", "workflow", status="active"),
        mends=(("workflows.resume", "workflow"),),
        risk="costly",
        consent="end_pause",
    )
)
add(
    Fault(
        name="export_stuck",
        symptoms=("export_waiting",),
        slot="export",
        broken="An export is `stuck`.",
        mended_by="POST /v1/exports/{id}/restart (deletes the rows written so far), after the client agreed; read until `ready`",
        never="They did not agree.",
        breaks=_export_stuck,
        is_mended=field_is("exports", "export", status="ready"),
        mends=(("exports.restart", "export"),),
        risk="irreversible",
        consent="delete_partial",
    )
)
add(
    Fault(
        name="export_link_expired",
        symptoms=("link_dead",),
        slot="export",
        broken="The export is `ready`, its link expired (`link_expired`).",
        mended_by="POST /v1/exports/{id}/renew-link",
        never="—",
        breaks=_link_expired,
        is_mended=field_is("exports", "export", link_expired=False),
        mends=(("exports.renew_link", "export"),),
        risk="reversible",
    )
)
add(
    Fault(
        name="search_index_behind",
        symptoms=("search_misses",),
        slot="search",
        broken="`indexed` is less than `documents`.",
        mended_by="POST /v1/search-indexes/{id}/rebuild; read until `ready`",
        never="—",
        breaks=_index_behind,
        is_mended=_indexed,
        mends=(("search_indexes.rebuild", "index"),),
        risk="reversible",
    )
)
add(
    Fault(
        name="dashboard_cache_old",
        symptoms=("old_numbers",),
        slot="cache",
        broken="A dashboard was built from an older version than there is (`built_from_version` < `source_version`).",
        mended_by="POST /v1/caches/{id}/purge",
        never="—",
        breaks=_cache_old,
        is_mended=_cache_fresh,
        mends=(("caches.purge", "cache"),),
        risk="reversible",
    )
)
add(
    Fault(
        name="replica_behind",
        symptoms=("old_numbers",),
        slot="replica",
        broken="The copy that reports read from lacks rows (`status: diverged`).",
        mended_by="POST /v1/replicas/{id}/resync; read until `in_sync`",
        never="—",
        breaks=_replica_behind,
        is_mended=field_is("replicas", "replica", status="in_sync"),
        mends=(("replicas.resync", "replica"),),
        risk="reversible",
    )
)
add(
    Fault(
        name="misrouted_region",
        symptoms=("slow",),
        slot="region",
        broken="Requests go to another region than the account's (`routed_region` ≠ `region`).",
        mended_by="POST /v1/accounts/{id}/reroute",
        never="—",
        breaks=_misrouted,
        is_mended=_routed,
        mends=(("accounts.reroute", "account"),),
        risk="reversible",
    )
)
add(
    Fault(
        name="storage_stays_read_only",
        symptoms=("upload_fails",),
        slot="storage",
        broken="There is room, yet `read_only` was never lifted.",
        mended_by="POST /v1/storages/{id}/unlock-writes",
        never="There is no room (409).",
        breaks=_latched,
        is_mended=_writable_with_its_trash,
        mends=(("storages.unlock_writes", "storage"),),
        risk="reversible",
    )
)
add(
    Fault(
        name="storage_full_of_trash",
        symptoms=("upload_fails",),
        slot="storage",
        broken="There is no room; a good part of it is trash.",
        mended_by="POST /v1/storages/{id}/empty-trash (deletes it for good), after the client agreed",
        never="They did not agree.",
        breaks=lambda scene: _full(scene, trash_percent=40),
        is_mended=field_is("storages", "storage", read_only=False, trash_mb=0),
        mends=(("storages.empty_trash", "storage"),),
        risk="irreversible",
        consent="empty_trash",
    )
)
add(
    Fault(
        name="storage_full",
        symptoms=("upload_fails",),
        slot="storage",
        broken="Nothing: there is no room and no trash.",
        mended_by="A bigger plan, which sales sells.",
        never="Always.",
        breaks=lambda scene: _full(scene, trash_percent=0),
        is_mended=never_mended,
        group=("cannot_fix", "over_cap", "nothing_wrong"),
    )
)
