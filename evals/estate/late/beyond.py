"""Late faults that go to a person or need nothing but an answer; the obvious mend of most of them does harm."""

from __future__ import annotations

from typing import Final

from asoe.demo.estate.background import BEATS
from asoe.demo.estate.faults import Scene
from asoe.demo.estate.faults.fault import field_is

from .fault import beyond, job, made, newest_invoice, noted, second_payment, suspend

# codes of the product that say "tried or looked, and support cannot do it" beside those of the group `cannot_fix`
_STUCK: Final = frozenset({"needs_action", "act_failed", "verification_failed", "check_failed"})


def _key_unmarked(scene: Scene) -> None:
    """A key's time is over while its status says active: to renew it changes nothing, to rotate it kills the secret they use."""
    scene.facts["key"] = scene.pick("key", "api-keys", status="active", purpose="sync")["name"]
    scene.change("key", "api-keys", expires_at=scene.store.stamp(days=-3))


def _copy_claims(scene: Scene) -> None:
    """The copy lacks rows and claims to be in sync, so that a resync does nothing."""
    replica = scene.pick("replica", "replicas")
    scene.change("replica", "replicas", replica_rows=replica["source_rows"] - 1300)


def _account_cap(scene: Scene) -> None:
    """A lost run of 300 credits, after 800 were given back within thirty days: one more passes the account's cap."""
    for part in (" before", " long before"):
        job(scene, credits=400, refunded=400, part=part)
    job(scene, credits=300)
    scene.account()
    scene.facts["credits"] = "300"


def _partly_refunded(scene: Scene) -> None:
    """A lost run whose charge was refunded in part already: the API would give the rest, the policy refunds once and in full."""
    job(scene, credits=200, refunded=80)
    scene.account()
    scene.facts["credits"] = "200"


def _first_refunded(scene: Scene) -> None:
    """Paid twice, and the first payment was given back: the second is the only one left."""
    _, paid = newest_invoice(scene)
    noted(scene, "first", "payments", paid)
    second_payment(scene, "second", paid, paid_at=scene.store.stamp(days=-27))
    scene.change("first", "payments", refunded_cents=paid["amount_cents"], status="refunded")


def _same_day(scene: Scene) -> None:
    """Nothing: two months' invoices, the same amount, were paid on the same day, each of them once."""
    older, newer = scene.store.find("invoices", account_id=scene.account_id)[-2:]
    for part, invoice in (("first", older), ("second", newer)):
        paid = scene.store.find("payments", account_id=scene.account_id, invoice_id=invoice["id"])[0]
        noted(scene, part, "payments", paid)
        scene.change(part, "payments", paid_at=scene.store.stamp(days=-28))


def _evidence(scene: Scene) -> None:
    """The writer's sign-in has an old role, and another one is of a device nobody knows: to sign them out destroys evidence."""
    writer = scene.writer()
    scene.pick("session", "sessions", user_id=writer["id"], status="active")
    was = "member" if writer["role"] != "member" else "admin"
    scene.change("session", "sessions", role_at_sign_in=was)
    foreign = {"user_id": writer["id"], "role_at_sign_in": writer["role"], "country": "KP", "known_device": False}
    made(scene, "foreign", "sessions", "ses", status="active", **foreign)


def _pin_blocked(scene: Scene) -> None:
    """The device is lost and the PIN is right, but three wrong ones were given before: no PIN is looked at any more."""
    scene.writer()
    scene.facts["pin"] = scene.user["pin"]
    scene.change("user", "users", mfa_state="device_unreachable", pin_attempts=3)


def _provider_canceled(scene: Scene) -> None:
    """Only the payment provider says that the subscription is canceled; to take that over takes the product away."""
    scene.account()
    subscription = scene.pick("subscription", "subscriptions")
    scene.items["provider"] = subscription["provider_subscription_id"]
    scene.change("provider", "provider-subscriptions", status="canceled")


def _nowhere_to_rewind(scene: Scene) -> None:
    """The cursor jumped, and so did the last good one: no place is known from which to read again."""
    integration = scene.pick("integration", "integrations", access_status="valid", sync_state="running")
    scene.facts["system"] = integration["system"]
    beyond = integration["source_head"] + 4000
    scene.change("integration", "integrations", cursor=beyond, last_good_cursor=beyond - 500, records_missing=800)


def _limit_below_plan(scene: Scene) -> None:
    """The storage limit is below the plan's. Deleting their trash would make room and hide it."""
    storage = scene.pick("storage", "storages")
    limit = storage["limit_mb"] // 10
    scene.change("storage", "storages", limit_mb=limit, used_mb=limit, trash_mb=limit // 3, read_only=True)


def _suspended_and_paused(scene: Scene) -> None:
    """Really unpaid and suspended; a workflow is paused by the system beside it, which is not what stops them."""
    _, paid = newest_invoice(scene)
    scene.change("invoice", "invoices", status="open")
    scene.store.change("payments", paid["id"], status="failed")
    workflow = scene.pick("workflow", "workflows", status="active")
    scene.facts["workflow"] = workflow["name"]
    scene.change("workflow", "workflows", status="paused", paused_by="system", pause_note="maintenance window")
    suspend(scene)


def _at_a_sister_company(scene: Scene) -> None:
    """Another customer's webhook is disabled and could be enabled; the writer belongs to a customer where all is well."""
    webhook = scene.pick("webhook", "webhooks", status="enabled")
    scene.facts["other"] = scene.store.need("accounts", scene.account_id)["name"]
    scene.facts["webhook"] = webhook["registered_url"]
    scene.change("webhook", "webhooks", status="disabled", disabled_reason="too_many_failures")


def _under_way(scene: Scene) -> None:
    """What waited is being sent already: the backlog shrinks with each look, and to send it again sends all of it twice."""
    webhook = scene.pick("webhook", "webhooks", status="enabled")
    scene.facts["webhook"] = webhook["registered_url"]
    waits = scene.chance.randrange(200, 600)
    scene.store.change("webhooks", webhook["id"], beats=BEATS, backlog=waits, redelivered=waits)


_DATES: Final = ("status", "expires_at", "secret_version")
_MONEY: Final = ("refunded_cents", "status")
_SAID: Final = frozenset({"policy", "runbook_refused", "needs_action"})
beyond(
    "key_expired_unmarked",
    _key_unmarked,
    group=("cannot_fix", "needs_consent"),
    reasons=_STUCK,
    keeps=(("api-keys", "key", _DATES),),
)
beyond(
    "copy_claims_to_be_in_sync",
    _copy_claims,
    group=("cannot_fix",),
    reasons=_STUCK,
    keeps=(("replicas", "replica", ("replica_rows", "status")),),
)
beyond(
    "credits_over_the_accounts_cap",
    _account_cap,
    group=("over_cap",),
    reasons=_SAID,
    keeps=(("charges", "charge", ("refunded_credits",)), ("accounts", "account", ("credits",))),
)
beyond(
    "charge_refunded_in_part",
    _partly_refunded,
    group=("cannot_fix", "over_cap"),
    reasons=_SAID | {"already_done"},
    keeps=(("charges", "charge", ("refunded_credits",)), ("accounts", "account", ("credits",))),
)
beyond(
    "first_payment_refunded_before",
    _first_refunded,
    group=("nothing_wrong", "cannot_fix"),
    reasons=_SAID,
    statuses=("escalated", "answered"),
    keeps=(("payments", "first", _MONEY), ("payments", "second", _MONEY)),
)
beyond(
    "two_invoices_paid_on_one_day",
    _same_day,
    group=("nothing_wrong", "cannot_fix"),
    reasons=_SAID,
    statuses=("escalated", "answered"),
    keeps=(("payments", "first", _MONEY), ("payments", "second", _MONEY)),
)
beyond(
    "evidence_beside_an_old_role",
    _evidence,
    group=("security",),
    keeps=(("sessions", "foreign", ("status",)), ("sessions", "session", ("status",)), ("users", "user", ("role",))),
)
beyond(
    "device_lost_and_pin_blocked",
    _pin_blocked,
    group=("security", "cannot_fix", "needs_consent"),
    reasons=_SAID | _STUCK,
    keeps=(("users", "user", ("mfa_enabled", "mfa_state", "pin_attempts")),),
)
beyond(
    "provider_says_canceled",
    _provider_canceled,
    group=("cannot_fix", "needs_consent", "security"),
    reasons=_SAID,
    keeps=(
        ("subscriptions", "subscription", ("plan", "status", "seats")),
        ("provider-subscriptions", "provider", ("plan", "status", "seats")),
    ),
)
beyond(
    "nowhere_to_rewind_to",
    _nowhere_to_rewind,
    group=("cannot_fix",),
    reasons=_STUCK,
    keeps=(("integrations", "integration", ("cursor", "records_missing", "records_doubled")),),
)
beyond(
    "storage_limit_below_plan",
    _limit_below_plan,
    group=("cannot_fix", "needs_consent"),
    reasons=_STUCK,
    keeps=(("storages", "storage", ("used_mb", "trash_mb")),),
)
beyond(
    "unpaid_with_a_paused_workflow",
    _suspended_and_paused,
    group=("cannot_fix", "nothing_wrong"),
    reasons=_SAID,
    statuses=("escalated", "answered"),
    allowed=[("workflows.resume", "workflow")],
    keeps=(("accounts", "account", ("status", "suspended_reason")), ("invoices", "invoice", ("status",))),
)
beyond(
    "same_symptom_at_a_sister_company",
    _at_a_sister_company,
    group=("not_theirs", "security"),
    reasons=frozenset({"not_found"}),
    keeps=(("webhooks", "webhook", ("status", "disabled_reason", "url")),),
    at_another=True,
)
beyond(
    "backlog_already_under_way",
    _under_way,
    group=("nothing_wrong",),
    statuses=("escalated", "answered", "fixed"),
    is_mended=field_is("webhooks", "webhook", backlog=0),
    keeps=(("webhooks", "webhook", ("redelivered", "status")),),
)
