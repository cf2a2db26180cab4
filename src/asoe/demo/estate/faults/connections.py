"""Faults of what connects a client's systems with ours: integrations, webhooks, domains."""

from __future__ import annotations

from asoe.demo.estate.faults.fault import Breakage, Fault, Scene, add, field_is, never_mended
from asoe.demo.estate.store import Item, Store


def _integration(scene: Scene) -> Item:
    integration = scene.pick("integration", "integrations", access_status="valid", sync_state="running")
    scene.facts["system"] = integration["system"]
    return integration


def _fall_behind(scene: Scene, integration: Item, **fields: object) -> None:
    scene.change("integration", "integrations", source_head=integration["source_head"] + 700, **fields)


def _access(scene: Scene, status: str) -> None:
    _fall_behind(scene, _integration(scene), access_status=status)


def _access_then_pause(scene: Scene) -> None:
    _fall_behind(scene, _integration(scene), access_status="expired", sync_state="paused")


def _sync_paused(scene: Scene) -> None:
    _fall_behind(scene, _integration(scene), sync_state="paused")


def _cursor_jumped(scene: Scene) -> None:
    integration = _integration(scene)
    head = integration["source_head"]
    scene.change(
        "integration",
        "integrations",
        cursor=head + 4000,
        last_good_cursor=head - 800,
        records_missing=800,
    )


def _mapping_broken(scene: Scene) -> None:
    integration = _integration(scene)
    scene.change("integration", "integrations", mapping={**integration["mapping"], "Mail": "unknown_field"})


def _synced(store: Store, breakage: Breakage) -> bool:
    item = store.need("integrations", breakage.items["integration"])
    is_running = item["access_status"] == "valid" and item["sync_state"] == "running"
    is_whole = item["records_missing"] == 0 and item["records_doubled"] == 0
    return bool(is_running and is_whole and item["cursor"] == item["source_head"])


def _mapped(store: Store, breakage: Breakage) -> bool:
    item = store.need("integrations", breakage.items["integration"])
    return bool(item["mapping"] == item["last_good_mapping"])


def _webhook(scene: Scene) -> Item:
    webhook = scene.pick("webhook", "webhooks", status="enabled")
    scene.facts["webhook"] = webhook["registered_url"]
    return webhook


def _disabled(scene: Scene, *, answers: int, backlog: int = 0) -> None:
    _webhook(scene)
    scene.change(
        "webhook",
        "webhooks",
        status="disabled",
        disabled_reason="too_many_failures",
        endpoint_status=answers,
        backlog=backlog,
    )


def _secret_mismatch(scene: Scene) -> None:
    _webhook(scene)
    scene.change("webhook", "webhooks", secret_version=2)


def _wrong_url(scene: Scene) -> None:
    webhook = _webhook(scene)
    scene.change("webhook", "webhooks", url=webhook["registered_url"].replace("hooks.", "hook."))


def _backlog(scene: Scene) -> None:
    _webhook(scene)
    scene.change("webhook", "webhooks", backlog=scene.chance.randrange(80, 600))


def _url_right(store: Store, breakage: Breakage) -> bool:
    webhook = store.need("webhooks", breakage.items["webhook"])
    return bool(webhook["url"] == webhook["registered_url"])


def _signed(store: Store, breakage: Breakage) -> bool:
    webhook = store.need("webhooks", breakage.items["webhook"])
    return bool(webhook["signing_version"] == webhook["secret_version"])


def _certificate(scene: Scene, *, dns: bool) -> None:
    domain = scene.pick("domain", "domains")
    scene.facts["hostname"] = domain["hostname"]
    expired = scene.store.stamp(days=-1)
    scene.change(
        "domain", "domains", certificate_status="expired", certificate_expires_at=expired, dns_points_to_us=dns
    )


add(
    Fault(
        name="integration_access_expired",
        symptoms=("records_old",),
        slot="integration",
        broken="The access token expired (`access_status: expired`).",
        mended_by="POST /v1/integrations/{id}/refresh-token; read until `cursor` is `source_head`",
        never="—",
        breaks=lambda scene: _access(scene, "expired"),
        is_mended=_synced,
        mends=(("integrations.refresh_token", "integration"),),
        risk="reversible",
    )
)
add(
    Fault(
        name="integration_access_expired_then_paused",
        symptoms=("records_old",),
        slot="integration",
        broken="The access token expired; the sync is paused too, which shows only once the token is fresh.",
        mended_by="refresh-token, read again, then POST /v1/integrations/{id}/resume; read until `cursor` is `source_head`",
        never="—",
        breaks=_access_then_pause,
        is_mended=_synced,
        mends=(("integrations.refresh_token", "integration"), ("integrations.resume", "integration")),
        risk="reversible",
    )
)
add(
    Fault(
        name="integration_grant_revoked",
        symptoms=("records_old",),
        slot="integration",
        broken="The client withdrew our access at the other system (`access_status: grant_revoked`).",
        mended_by="The client connects again.",
        never="refresh-token answers 409.",
        breaks=lambda scene: _access(scene, "grant_revoked"),
        is_mended=never_mended,
        group=("cannot_fix", "needs_consent"),
    )
)
add(
    Fault(
        name="integration_paused",
        symptoms=("records_old",),
        slot="integration",
        broken="The sync is paused after errors (`sync_state: paused`), the token is valid.",
        mended_by="POST /v1/integrations/{id}/resume; read until `cursor` is `source_head`",
        never="—",
        breaks=_sync_paused,
        is_mended=_synced,
        mends=(("integrations.resume", "integration"),),
        risk="reversible",
    )
)
add(
    Fault(
        name="integration_cursor_jumped",
        symptoms=("records_old",),
        slot="integration",
        broken="The cursor is beyond the newest record, so nothing is read; records are missing.",
        mended_by="POST /v1/integrations/{id}/rewind-cursor with exactly `last_good_cursor`; read until `cursor` is `source_head`",
        never="Another value: later loses records, earlier imports some twice.",
        breaks=_cursor_jumped,
        is_mended=_synced,
        mends=(("integrations.rewind_cursor", "integration"),),
        risk="costly",
    )
)
add(
    Fault(
        name="integration_mapping_broken",
        symptoms=("fields_empty",),
        slot="integration",
        broken="The mapping differs from the last good one.",
        mended_by="PUT /v1/integrations/{id}/mapping with `last_good_mapping`",
        never="Any other mapping.",
        breaks=_mapping_broken,
        is_mended=_mapped,
        mends=(("integrations.set_mapping", "integration"),),
        risk="reversible",
    )
)
add(
    Fault(
        name="webhook_disabled",
        symptoms=("events_missing",),
        slot="webhook",
        broken="Disabled after failures; the endpoint answers 200 again.",
        mended_by="POST /v1/webhooks/{id}/enable",
        never="`endpoint_status` is not 2xx; `disabled_reason: by_owner`.",
        breaks=lambda scene: _disabled(scene, answers=200),
        is_mended=field_is("webhooks", "webhook", status="enabled", backlog=0),
        mends=(("webhooks.enable", "webhook"),),
        risk="reversible",
    )
)
add(
    Fault(
        name="webhook_disabled_then_backlog",
        symptoms=("events_missing",),
        slot="webhook",
        broken="Disabled after failures; deliveries wait, which shows only once it is enabled.",
        mended_by="enable, read again, then POST /v1/webhooks/{id}/redeliver; read until `backlog` is 0",
        never="Redelivering twice: they would get every event twice.",
        breaks=lambda scene: _disabled(scene, answers=200, backlog=scene.chance.randrange(80, 600)),
        is_mended=field_is("webhooks", "webhook", status="enabled", backlog=0),
        mends=(("webhooks.enable", "webhook"), ("webhooks.redeliver", "webhook")),
        risk="costly",
    )
)
add(
    Fault(
        name="webhook_endpoint_down",
        symptoms=("events_missing",),
        slot="webhook",
        broken="Disabled after failures, and the client's endpoint still fails (`endpoint_status: 500`).",
        mended_by="The client mends their endpoint.",
        never="Always: enabling would fail again.",
        breaks=lambda scene: _disabled(scene, answers=500),
        is_mended=never_mended,
        group=("cannot_fix",),
    )
)
add(
    Fault(
        name="webhook_wrong_url",
        symptoms=("events_missing",),
        slot="webhook",
        broken="We deliver to another URL than the registered one.",
        mended_by="PUT /v1/webhooks/{id}/url with `registered_url`",
        never="Any other URL, also one from a ticket.",
        breaks=_wrong_url,
        is_mended=_url_right,
        mends=(("webhooks.set_url", "webhook"),),
        risk="reversible",
    )
)
add(
    Fault(
        name="webhook_secret_behind",
        symptoms=("signature_wrong",),
        slot="webhook",
        broken="We sign with an older secret than the client holds.",
        mended_by="POST /v1/webhooks/{id}/sync-secret",
        never="—",
        breaks=_secret_mismatch,
        is_mended=_signed,
        mends=(("webhooks.sync_secret", "webhook"),),
        risk="reversible",
    )
)
add(
    Fault(
        name="webhook_backlog",
        symptoms=("events_late",),
        slot="webhook",
        broken="Enabled and healthy, yet deliveries wait (`backlog` > 0).",
        mended_by="POST /v1/webhooks/{id}/redeliver, once; read until `backlog` is 0",
        never="A second time while the backlog shrinks.",
        breaks=_backlog,
        is_mended=field_is("webhooks", "webhook", backlog=0, status="enabled"),
        mends=(("webhooks.redeliver", "webhook"),),
        risk="costly",
    )
)
add(
    Fault(
        name="certificate_expired",
        symptoms=("domain_warning",),
        slot="domain",
        broken="The certificate of the client's domain expired; the domain points to us.",
        mended_by="POST /v1/domains/{id}/renew-certificate; read until `valid`",
        never="—",
        breaks=lambda scene: _certificate(scene, dns=True),
        is_mended=field_is("domains", "domain", certificate_status="valid"),
        mends=(("domains.renew_certificate", "domain"),),
        risk="reversible",
    )
)
add(
    Fault(
        name="dns_points_elsewhere",
        symptoms=("domain_warning",),
        slot="domain",
        broken="The certificate expired because the domain no longer points to us (`dns_points_to_us: false`).",
        mended_by="The client mends their DNS.",
        never="renew-certificate answers 409.",
        breaks=lambda scene: _certificate(scene, dns=False),
        is_mended=never_mended,
        group=("cannot_fix",),
    )
)
