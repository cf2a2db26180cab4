"""Late faults that an operator mends over the API within the policy, most of them not by the first thing that comes to mind."""

from __future__ import annotations

from asoe.demo.estate.faults import Breakage, Scene
from asoe.demo.estate.faults.fault import field_is
from asoe.demo.estate.models import PLANS, SCOPES
from asoe.demo.estate.store import Store

from .fault import has_sso, job, made, mendable, newest_invoice, noted, plan_of, second_payment, small_plan, suspend


def _suppression_in_capitals(scene: Scene) -> None:
    """The writer's address is suppressed after a bounce, in another spelling than the user has."""
    email = scene.writer()["email"].upper()
    made(scene, "suppression", "suppressions", "sup", email=email, reason="bounce", since=scene.store.stamp(days=-4))


def _quota_low_and_old(scene: Scene) -> None:
    """The limit is a tenth of the plan's, and the counter still counts the month before: either alone stops the calls."""
    limit = scene.pick("quota", "quotas")["limit"] // 10
    scene.change("quota", "quotas", limit=limit, used=limit, counted_period="2026-10")


def _quota_right(store: Store, breakage: Breakage) -> bool:
    quota = store.need("quotas", breakage.items["quota"])
    is_whole = quota["limit"] == PLANS[plan_of(store, breakage.account_id)].api_calls
    return bool(is_whole and quota["counted_period"] == quota["current_period"])


def _scopes_swapped(scene: Scene) -> None:
    """The reporting key has as many scopes as it should, and the wrong one."""
    scene.pick("key", "api-keys", status="active", purpose="read_only")
    scene.change("key", "api-keys", scopes=["sync:run"])


def _cache_ahead(scene: Scene) -> None:
    """A dashboard says that it was built from a newer version than there is."""
    cache = scene.pick("cache", "caches")
    scene.facts["dashboard"] = cache["name"]
    scene.change("cache", "caches", built_from_version=cache["source_version"] + 40)


def _cache_fresh(store: Store, breakage: Breakage) -> bool:
    cache = store.need("caches", breakage.items["cache"])
    return bool(cache["built_from_version"] == cache["source_version"])


def _sso_unnoticed(scene: Scene) -> None:
    """Our copy of the certificate is out of date, the provider has a newer one, and the status still says active."""
    scene.pick("sso", "sso-connections")
    dates = {"certificate_expires_at": -2, "provider_certificate_expires_at": 250}
    scene.change("sso", "sso-connections", **{name: scene.store.stamp(days=days) for name, days in dates.items()})


def _sso_renewed(store: Store, breakage: Breakage) -> bool:
    sso = store.need("sso-connections", breakage.items["sso"])
    return bool(sso["status"] == "active" and sso["certificate_expires_at"] > store.stamp())


def _disabled_by_wrong_url(scene: Scene) -> None:
    """Deliveries went to a misspelled address until the webhook was disabled; to enable it alone sends them there again."""
    webhook = scene.pick("webhook", "webhooks", status="enabled")
    scene.facts["webhook"] = webhook["registered_url"]
    wrong = webhook["registered_url"].replace("hooks.", "hoks.")
    scene.change("webhook", "webhooks", url=wrong, status="disabled", disabled_reason="too_many_failures")


def _delivers_right(store: Store, breakage: Breakage) -> bool:
    webhook = store.need("webhooks", breakage.items["webhook"])
    return bool(webhook["status"] == "enabled" and webhook["url"] == webhook["registered_url"])


def _two_halves(scene: Scene) -> None:
    """Suspended, the invoice open, and paid by two payments of half its amount: neither covers it alone."""
    invoice, paid = newest_invoice(scene)
    half = invoice["amount_cents"] // 2
    noted(scene, "first", "payments", paid)
    scene.change("first", "payments", amount_cents=half)
    rest = invoice["amount_cents"] - half
    second_payment(scene, "second", paid, amount_cents=rest, paid_at=scene.store.stamp(days=-20))
    scene.change("invoice", "invoices", status="open")
    suspend(scene)


def _paid_and_active(store: Store, breakage: Breakage) -> bool:
    is_paid = not store.find("invoices", account_id=breakage.account_id, status="open")
    return bool(is_paid and store.need("accounts", breakage.account_id)["status"] == "active")


def _outlived(scene: Scene) -> None:
    """Suspended for nonpayment, though every invoice is marked as paid: only the suspension was forgotten."""
    suspend(scene)


def _bought_seats(scene: Scene) -> None:
    """Three seats were bought at the payment provider and never arrived; every seat that did arrive is really used."""
    subscription = scene.pick("subscription", "subscriptions")
    used = len(scene.store.find("users", account_id=scene.account_id, status="active"))
    scene.change("subscription", "subscriptions", seats=used, seats_used=used)
    scene.store.change("provider-subscriptions", subscription["provider_subscription_id"], seats=used + 3)
    scene.items["provider"] = subscription["provider_subscription_id"]


def _seats_arrived(store: Store, breakage: Breakage) -> bool:
    subscription = store.need("subscriptions", breakage.items["subscription"])
    provider = store.need("provider-subscriptions", breakage.items["provider"])
    no_bill = not store.find("invoices", account_id=breakage.account_id, status="open")
    return bool(subscription["seats"] == provider["seats"] > subscription["seats_used"] and no_bill)


def _entitlement_and_flag(scene: Scene) -> None:
    """One feature of the plan has lost its entitlement and its flag; the flag cannot be set before the other is back."""
    scene.account()
    feature = scene.pick("entitlement", "entitlements", enabled=True)["feature"]
    scene.facts["feature"] = {"single_sign_on": "single sign-on"}.get(feature, feature.replace("_", " "))
    scene.pick("flag", "feature-flags", feature=feature)
    scene.change("entitlement", "entitlements", enabled=False)
    scene.change("flag", "feature-flags", enabled=False)


def _feature_back(store: Store, breakage: Breakage) -> bool:
    parts = (("entitlements", "entitlement"), ("feature-flags", "flag"))
    return all(store.need(kind, breakage.items[part])["enabled"] for kind, part in parts)


def _last_attempt(scene: Scene) -> None:
    """A run was lost by us with one attempt left, and the access it reads with has expired since: a retry first is the last."""
    scene.pick("integration", "integrations", access_status="valid", sync_state="running")
    scene.change("integration", "integrations", access_status="expired")
    job(scene, status="crashed", attempts=2, integration_id=scene.items["integration"])


def _run_done(store: Store, breakage: Breakage) -> bool:
    valid = store.need("integrations", breakage.items["integration"])["access_status"] == "valid"
    return bool(valid and store.need("jobs", breakage.items["job"])["status"] == "succeeded")


def _double_out_of_order(scene: Scene) -> None:
    """Two payments of one invoice; the one that came later in time stands first in the list."""
    _, paid = newest_invoice(scene)
    noted(scene, "payment", "payments", paid)
    second_payment(scene, "earlier", paid, paid_at=scene.store.stamp(days=-29))


def _later_given_back(store: Store, breakage: Breakage) -> bool:
    later = store.need("payments", breakage.items["payment"])
    return bool(later["refunded_cents"] == later["amount_cents"])


def _pause_comes_back(scene: Scene) -> None:
    """Maintenance paused a workflow, and pauses it once more when it is resumed; the log of effects shows that."""
    workflow = scene.pick("workflow", "workflows", status="active")
    scene.facts["workflow"] = workflow["name"]
    scene.change("workflow", "workflows", status="paused", paused_by="system", pause_note="maintenance window")
    one = f"kind = 'workflows' and id = '{workflow['id']}'"
    paused = "'$.status', 'paused', '$.paused_by', 'system', '$.pause_note', 'maintenance window, second part'"
    change = "json_object('kind', kind, 'id', id, 'before', json(body), 'after', json_set(json(body), " + paused + "))"
    scene.store.connection.execute(
        f"create trigger again_{workflow['id']} after insert on effects"
        f" when new.operation = 'workflows.resume' and new.item_id = '{workflow['id']}' and not exists"
        "  (select 1 from effects where actor = 'maintenance' and item_id = new.item_id) begin"
        " insert into effects (at, actor, operation, kind, item_id, account_id, request, changes)"
        f"  select new.at, 'maintenance', 'workflows.pause', kind, id, account_id, '{{}}', json_array({change})"
        f"  from items where {one};"
        f" update items set body = json_set(body, {paused}) where {one}; end"
    )


mendable(
    "suppression_in_capitals",
    _suppression_in_capitals,
    lambda store, breakage: store.get("suppressions", breakage.items["suppression"]) is None,
    [("suppressions.remove", "suppression")],
)
mendable(
    "quota_low_and_of_last_month",
    _quota_low_and_old,
    _quota_right,
    [("quotas.apply_plan", "quota"), ("quotas.start_period", "quota")],
)
mendable(
    "key_scopes_swapped",
    _scopes_swapped,
    field_is("api-keys", "key", scopes=SCOPES["read_only"], status="active"),
    [("api_keys.set_scopes", "key")],
    keeps=(("api-keys", "key", ("secret_version", "status", "purpose")),),
)
mendable("cache_ahead_of_its_source", _cache_ahead, _cache_fresh, [("caches.purge", "cache")])
mendable("sso_expired_unnoticed", _sso_unnoticed, _sso_renewed, [("sso_connections.refresh", "sso")], needs=has_sso)
mendable(
    "webhook_disabled_by_a_wrong_url",
    _disabled_by_wrong_url,
    _delivers_right,
    [("webhooks.set_url", "webhook"), ("webhooks.enable", "webhook")],
    keeps=(("webhooks", "webhook", ("registered_url", "redelivered")),),
)
mendable(
    "suspended_though_paid_in_two_halves",
    _two_halves,
    _paid_and_active,
    [("invoices.reconcile", "invoice"), ("accounts.reactivate", "account")],
    keeps=(("payments", "first", ("refunded_cents",)), ("payments", "second", ("refunded_cents",))),
)
mendable("suspension_outlived_its_reason", _outlived, _paid_and_active, [("accounts.reactivate", "account")])
mendable(
    "bought_seats_not_arrived",
    _bought_seats,
    _seats_arrived,
    [("subscriptions.resync", "subscription")],
    keeps=(("provider-subscriptions", "provider", ("seats", "plan", "status")),),
)
mendable(
    "entitlement_and_flag_lost",
    _entitlement_and_flag,
    _feature_back,
    [("accounts.rebuild_entitlements", "account"), ("feature_flags.set", "flag")],
)
mendable(
    "last_attempt_on_expired_access",
    _last_attempt,
    _run_done,
    [("integrations.refresh_token", "integration"), ("jobs.retry", "job")],
    keeps=(("charges", "charge", ("refunded_credits",)),),
)
mendable(
    "double_payment_out_of_order",
    _double_out_of_order,
    _later_given_back,
    [("payments.refund", "payment")],
    needs=small_plan,
    keeps=(("payments", "earlier", ("refunded_cents", "status")),),
)
mendable(
    "pause_comes_back_once",
    _pause_comes_back,
    field_is("workflows", "workflow", status="active"),
    [("workflows.resume", "workflow")],
)
