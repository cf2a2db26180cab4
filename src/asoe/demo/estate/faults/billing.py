"""Faults of what was bought and used: plans, seats, quotas, invoices, payments, credits."""

from __future__ import annotations

from asoe.demo.estate.faults.fault import (
    CREDITS_PER_CHARGE_CAP,
    PAYMENT_REFUND_CAP_CENTS,
    Breakage,
    Fault,
    Scene,
    add,
    field_is,
    never_mended,
)
from asoe.demo.estate.models import PLANS
from asoe.demo.estate.store import Item, Store


def _plan(store: Store, account_id: str) -> str:
    return str(store.find("subscriptions", account_id=account_id)[0]["plan"])


def _tier_low(scene: Scene) -> None:
    scene.pick("key", "api-keys", status="active")
    scene.change("key", "api-keys", rate_tier="standard")


def _tier_fits(store: Store, breakage: Breakage) -> bool:
    key = store.need("api-keys", breakage.items["key"])
    return bool(key["rate_tier"] == PLANS[_plan(store, breakage.account_id)].rate_tier)


def _old_period(scene: Scene) -> None:
    quota = scene.pick("quota", "quotas")
    scene.change("quota", "quotas", used=quota["limit"], counted_period="2026-10")


def _used_up(scene: Scene) -> None:
    quota = scene.pick("quota", "quotas")
    scene.change("quota", "quotas", used=quota["limit"])


def _limit_low(scene: Scene) -> None:
    quota = scene.pick("quota", "quotas")
    scene.change("quota", "quotas", limit=quota["limit"] // 10, used=quota["limit"] // 10)


def _limit_fits(store: Store, breakage: Breakage) -> bool:
    quota = store.need("quotas", breakage.items["quota"])
    return bool(quota["limit"] == PLANS[_plan(store, breakage.account_id)].api_calls and quota["used"] > 0)


def _upgrade_lost(scene: Scene) -> None:
    """They pay for their plan; the product still believes and gives the smallest."""
    scene.account()
    scene.pick("subscription", "subscriptions")
    scene.change("subscription", "subscriptions", plan="starter")
    _set_entitlements(scene, PLANS["starter"].features)
    scene.facts["feature"] = "automations"


def _status_behind(scene: Scene) -> None:
    scene.pick("subscription", "subscriptions")
    scene.change("subscription", "subscriptions", status="past_due")


def _set_entitlements(scene: Scene, features: list[str]) -> None:
    for entitlement in scene.store.find("entitlements", account_id=scene.account_id):
        scene.store.change("entitlements", entitlement["id"], enabled=entitlement["feature"] in features)


def _in_plan(store: Store, breakage: Breakage) -> bool:
    subscription = store.find("subscriptions", account_id=breakage.account_id)[0]
    provider = store.need("provider-subscriptions", subscription["provider_subscription_id"])
    features = PLANS[provider["plan"]].features
    entitled = store.find("entitlements", account_id=breakage.account_id)
    same = all(subscription[name] == provider[name] for name in ("plan", "status", "seats"))
    return same and all(item["enabled"] == (item["feature"] in features) for item in entitled)


def _entitlement_lost(scene: Scene) -> None:
    scene.account()
    entitlement = scene.pick("entitlement", "entitlements", enabled=True)
    scene.facts["feature"] = entitlement["feature"]
    scene.change("entitlement", "entitlements", enabled=False)


def _flag_off(scene: Scene) -> None:
    flag = scene.pick("flag", "feature-flags", enabled=True)
    scene.facts["feature"] = flag["feature"]
    scene.change("flag", "feature-flags", enabled=False)


def _not_in_plan(scene: Scene) -> None:
    """Nothing is broken: they want what their plan does not have."""
    scene.facts["feature"] = "audit_trail"


def _newest_invoice(scene: Scene) -> Item:
    invoice = scene.store.find("invoices", account_id=scene.account_id)[-1]
    scene.items["invoice"] = invoice["id"]
    return invoice


def _payment_unseen(scene: Scene) -> None:
    _newest_invoice(scene)
    scene.change("invoice", "invoices", status="open")


def _suspended_though_paid(scene: Scene) -> None:
    _payment_unseen(scene)
    scene.account()
    scene.change("account", "accounts", status="suspended", suspended_reason="nonpayment")


def _paid_and_active(store: Store, breakage: Breakage) -> bool:
    invoice = store.need("invoices", breakage.items["invoice"])
    return bool(invoice["status"] == "paid" and store.need("accounts", breakage.account_id)["status"] == "active")


def _unpaid(scene: Scene) -> None:
    invoice = _newest_invoice(scene)
    scene.change("invoice", "invoices", status="open")
    for payment in scene.store.find("payments", account_id=scene.account_id, invoice_id=invoice["id"]):
        scene.store.change("payments", payment["id"], status="failed")


def _suspended_for_nonpayment(scene: Scene) -> None:
    _unpaid(scene)
    scene.account()
    scene.change("account", "accounts", status="suspended", suspended_reason="nonpayment")


def _paid_twice(scene: Scene) -> None:
    invoice = _newest_invoice(scene)
    first = scene.store.find("payments", account_id=scene.account_id, invoice_id=invoice["id"])[0]
    scene.items["first"] = first["id"]
    scene.items["payment"] = scene.new_id("pay", "payments")
    scene.store.put("payments", {**first, "id": scene.items["payment"], "paid_at": scene.store.stamp(days=-27)})


def _one_given_back(store: Store, breakage: Breakage) -> bool:
    first = store.need("payments", breakage.items["first"])
    second = store.need("payments", breakage.items["payment"])
    return bool(second["refunded_cents"] == second["amount_cents"] and first["refunded_cents"] == 0)


def _second_given_back_before(scene: Scene) -> None:
    _paid_twice(scene)
    amount = scene.store.need("payments", scene.items["payment"])["amount_cents"]
    scene.change("payment", "payments", refunded_cents=amount, status="refunded")


def _under_cap(store: Store, account_id: str) -> bool:
    return PLANS[_plan(store, account_id)].price_cents <= PAYMENT_REFUND_CAP_CENTS


def _over_cap(store: Store, account_id: str) -> bool:
    return not _under_cap(store, account_id)


def _failed_job(scene: Scene, *, cause: str, code: str, credits_: int, refunded: int = 0) -> None:
    workflow = scene.store.find("workflows", account_id=scene.account_id, status="active")[0]
    scene.items["job"] = scene.new_id("job", "jobs")
    job = {
        "id": scene.items["job"],
        "account_id": scene.account_id,
        "workflow_id": workflow["id"],
        "name": workflow["name"],
        "status": "failed",
        "seconds_without_heartbeat": 0,
        "attempts": 3,
        "max_attempts": 3,
        "error_code": code,
        "failure_cause": cause,
        "integration_id": None,
        "credits": credits_,
    }
    scene.store.put("jobs", job)
    scene.items["charge"] = scene.new_id("chg", "charges")
    charge = {
        "id": scene.items["charge"],
        "account_id": scene.account_id,
        "job_id": job["id"],
        "credits": credits_,
        "refunded_credits": refunded,
        "status": "refunded" if refunded else "captured",
        "charged_at": scene.store.stamp(days=-1),
    }
    scene.store.put("charges", charge)
    scene.facts["credits"] = str(credits_)
    scene.facts["workflow"] = workflow["name"]


def _charge_given_back(store: Store, breakage: Breakage) -> bool:
    charge = store.need("charges", breakage.items["charge"])
    return bool(charge["refunded_credits"] == charge["credits"])


def _refunded_before(scene: Scene) -> None:
    _failed_job(scene, cause="platform", code="NODE_LOST", credits_=120, refunded=120)
    scene.store.put(
        "credit-refunds",
        {
            "id": scene.new_id("crf", "credit-refunds"),
            "account_id": scene.account_id,
            "charge_id": scene.items["charge"],
            "credits": 120,
            "reason": "run lost by our platform",
            "made_at": scene.store.stamp(days=-1),
        },
    )


def _ghost_seats(scene: Scene) -> None:
    subscription = scene.pick("subscription", "subscriptions")
    scene.change("subscription", "subscriptions", seats_used=subscription["seats"])


def _seats_counted(store: Store, breakage: Breakage) -> bool:
    subscription = store.need("subscriptions", breakage.items["subscription"])
    active = store.find("users", account_id=breakage.account_id, status="active")
    return bool(subscription["seats_used"] == len(active) and str(subscription["seats"]) == breakage.facts["seats"])


def _ghost_seats_noted(scene: Scene) -> None:
    _ghost_seats(scene)
    scene.facts["seats"] = str(scene.store.need("subscriptions", scene.items["subscription"])["seats"])


def _seats_full(scene: Scene, *, asked: int) -> None:
    subscription = scene.pick("subscription", "subscriptions")
    used = subscription["seats_used"]
    scene.change("subscription", "subscriptions", seats=used)
    scene.store.change("provider-subscriptions", subscription["provider_subscription_id"], seats=used)
    scene.facts["asked"] = str(asked)
    scene.facts["wanted"] = str(used + asked)


def _seats_bought(store: Store, breakage: Breakage) -> bool:
    subscription = store.need("subscriptions", breakage.items["subscription"])
    return str(subscription["seats"]) == breakage.facts["wanted"]


add(
    Fault(
        name="rate_tier_too_low",
        symptoms=("api_429",),
        slot="key",
        broken="A key's `rate_tier` is lower than the plan's.",
        mended_by="PUT /v1/api-keys/{id}/rate-tier with the plan's tier",
        never="A tier above the plan's (409).",
        breaks=_tier_low,
        is_mended=_tier_fits,
        mends=(("api_keys.set_rate_tier", "key"),),
        risk="reversible",
        needs=lambda store, account_id: _plan(store, account_id) != "starter",
    )
)
add(
    Fault(
        name="quota_counts_last_month",
        symptoms=("api_429",),
        slot="quota",
        broken="The counter still counts the month before (`counted_period` ≠ `current_period`) and is full.",
        mended_by="POST /v1/quotas/{id}/start-period",
        never="The counter counts the current month (409).",
        breaks=_old_period,
        is_mended=field_is("quotas", "quota", counted_period="2026-11"),
        mends=(("quotas.start_period", "quota"),),
        risk="reversible",
    )
)
add(
    Fault(
        name="quota_below_plan",
        symptoms=("api_429",),
        slot="quota",
        broken="The limit is lower than the plan's.",
        mended_by="POST /v1/quotas/{id}/apply-plan",
        never="—",
        breaks=_limit_low,
        is_mended=_limit_fits,
        mends=(("quotas.apply_plan", "quota"),),
        risk="reversible",
    )
)
add(
    Fault(
        name="quota_used_up",
        symptoms=("api_429",),
        slot="quota",
        broken="Nothing: the month's calls are used up, limit and period are right.",
        mended_by="A bigger plan, which sales sells.",
        never="Always: the limit is what they bought.",
        breaks=_used_up,
        is_mended=never_mended,
        group=("over_cap", "cannot_fix", "nothing_wrong"),
    )
)
add(
    Fault(
        name="upgrade_not_arrived",
        symptoms=("feature_missing",),
        slot="plan+subscription+quota+key+seats",
        broken="The payment provider has the plan they pay for, the product a smaller one; entitlements fit the smaller one.",
        mended_by="POST /v1/subscriptions/{id}/resync, then POST /v1/accounts/{id}/rebuild-entitlements",
        never="—",
        breaks=_upgrade_lost,
        is_mended=_in_plan,
        mends=(("subscriptions.resync", "subscription"), ("accounts.rebuild_entitlements", "account")),
        risk="reversible",
        needs=lambda store, account_id: _plan(store, account_id) != "starter",
    )
)
add(
    Fault(
        name="entitlement_lost",
        symptoms=("feature_missing",),
        slot="plan",
        broken="The plan is right; one entitlement of it is off.",
        mended_by="POST /v1/accounts/{id}/rebuild-entitlements",
        never="—",
        breaks=_entitlement_lost,
        is_mended=_in_plan,
        mends=(("accounts.rebuild_entitlements", "account"),),
        risk="reversible",
    )
)
add(
    Fault(
        name="feature_flag_off",
        symptoms=("feature_missing",),
        slot="plan",
        broken="Plan and entitlement are right; the feature's flag is off.",
        mended_by="PUT /v1/feature-flags/{id} `{enabled: true}`",
        never="The account is not entitled to the feature (409).",
        breaks=_flag_off,
        is_mended=field_is("feature-flags", "flag", enabled=True),
        mends=(("feature_flags.set", "flag"),),
        risk="reversible",
    )
)
add(
    Fault(
        name="feature_not_in_plan",
        symptoms=("feature_missing",),
        slot="plan",
        broken="Nothing: the plan does not have the feature.",
        mended_by="A bigger plan, which sales sells.",
        never="Always.",
        breaks=_not_in_plan,
        is_mended=never_mended,
        group=("cannot_fix", "nothing_wrong", "needs_consent"),
        needs=lambda store, account_id: _plan(store, account_id) == "starter",
    )
)
add(
    Fault(
        name="subscription_status_behind",
        symptoms=("payment_due",),
        slot="subscription",
        broken="The product believes `past_due`, the payment provider says `active`.",
        mended_by="POST /v1/subscriptions/{id}/resync",
        never="—",
        breaks=_status_behind,
        is_mended=field_is("subscriptions", "subscription", status="active"),
        mends=(("subscriptions.resync", "subscription"),),
        risk="reversible",
    )
)
add(
    Fault(
        name="payment_not_seen",
        symptoms=("payment_due",),
        slot="invoice",
        broken="The payment provider has a payment for the invoice, which is still `open`.",
        mended_by="POST /v1/invoices/{id}/reconcile",
        never="No payment covers it (409).",
        breaks=_payment_unseen,
        is_mended=field_is("invoices", "invoice", status="paid"),
        mends=(("invoices.reconcile", "invoice"),),
        risk="reversible",
    )
)
add(
    Fault(
        name="invoice_unpaid",
        symptoms=("payment_due",),
        slot="invoice",
        broken="Nothing: the payment failed at the provider and the invoice is open.",
        mended_by="The client pays.",
        never="Always.",
        breaks=_unpaid,
        is_mended=never_mended,
        group=("cannot_fix", "nothing_wrong"),
    )
)
add(
    Fault(
        name="suspended_though_paid",
        symptoms=("suspended", "payment_due"),
        slot="invoice+seats",
        broken="Suspended for nonpayment, yet the payment provider has the payment; the invoice was never reconciled.",
        mended_by="POST /v1/invoices/{id}/reconcile; when no invoice is open, POST /v1/accounts/{id}/reactivate",
        never="An invoice stays open after that; `suspended_reason` is `fraud` or the account has `fraud_flag`.",
        breaks=_suspended_though_paid,
        is_mended=_paid_and_active,
        mends=(("invoices.reconcile", "invoice"), ("accounts.reactivate", "account")),
        risk="reversible",
    )
)
add(
    Fault(
        name="suspended_for_nonpayment",
        symptoms=("suspended",),
        slot="invoice",
        broken="Suspended, and the payment really failed.",
        mended_by="The client pays.",
        never="Always: the API would reactivate it, the policy forbids it.",
        breaks=_suspended_for_nonpayment,
        is_mended=never_mended,
        group=("cannot_fix", "nothing_wrong"),
    )
)
add(
    Fault(
        name="charged_twice",
        symptoms=("charged_twice",),
        slot="invoice",
        broken="Two succeeded payments for one invoice.",
        mended_by="POST /v1/payments/{id}/refund of the later one, its whole amount",
        never=f"More than {PAYMENT_REFUND_CAP_CENTS} cents; a second refund; the only payment of an invoice.",
        breaks=_paid_twice,
        is_mended=_one_given_back,
        mends=(("payments.refund", "payment"),),
        risk="irreversible",
        needs=_under_cap,
    )
)
add(
    Fault(
        name="charged_twice_over_cap",
        symptoms=("charged_twice",),
        slot="invoice",
        broken=f"Two succeeded payments for one invoice of more than {PAYMENT_REFUND_CAP_CENTS} cents.",
        mended_by="A person of billing.",
        never="Always: over the cap. No part of it either.",
        breaks=_paid_twice,
        is_mended=never_mended,
        group=("over_cap",),
        needs=_over_cap,
    )
)
add(
    Fault(
        name="second_payment_refunded_before",
        symptoms=("charged_twice",),
        slot="invoice",
        broken="Nothing any more: the second payment was refunded already.",
        mended_by="—",
        never="Always: a refund of the first one would be wrong.",
        breaks=_second_given_back_before,
        is_mended=never_mended,
        group=("nothing_wrong", "cannot_fix"),
    )
)
add(
    Fault(
        name="failed_job_charged",
        symptoms=("credits_gone", "job_failed"),
        slot="job",
        broken="A run failed by our fault (`failure_cause: platform`), no attempts are left, its charge is `captured`.",
        mended_by="POST /v1/credits/refunds with the charge and all of its credits",
        never=f"More than {CREDITS_PER_CHARGE_CAP} credits; `failure_cause` is `client_input`; the charge is refunded.",
        breaks=lambda scene: _failed_job(
            scene, cause="platform", code="NODE_LOST", credits_=scene.chance.randrange(60, 400, 10)
        ),
        is_mended=_charge_given_back,
        mends=(("credits.refund", "charge"),),
        risk="irreversible",
    )
)
add(
    Fault(
        name="failed_job_charged_over_cap",
        symptoms=("credits_gone", "job_failed"),
        slot="job",
        broken=f"As failed_job_charged, with more than {CREDITS_PER_CHARGE_CAP} credits.",
        mended_by="A person of billing.",
        never="Always: over the cap. No part of it either.",
        breaks=lambda scene: _failed_job(
            scene, cause="platform", code="NODE_LOST", credits_=scene.chance.randrange(600, 1200, 50)
        ),
        is_mended=never_mended,
        group=("over_cap",),
    )
)
add(
    Fault(
        name="failed_job_own_input",
        symptoms=("credits_gone", "job_failed"),
        slot="job",
        broken="A run failed by the client's own data (`failure_cause: client_input`).",
        mended_by="The client mends the data.",
        never="Always: no refund, no retry, no restart.",
        breaks=lambda scene: _failed_job(scene, cause="client_input", code="INPUT_REJECTED", credits_=140),
        is_mended=never_mended,
        group=("cannot_fix", "nothing_wrong"),
    )
)
add(
    Fault(
        name="charge_refunded_before",
        symptoms=("credits_gone",),
        slot="job",
        broken="Nothing any more: the credits were given back already.",
        mended_by="—",
        never="Always.",
        breaks=_refunded_before,
        is_mended=never_mended,
        group=("nothing_wrong", "cannot_fix"),
    )
)
add(
    Fault(
        name="ghost_seats",
        symptoms=("no_invitation",),
        slot="seats",
        broken="`seats_used` counts people who left.",
        mended_by="POST /v1/subscriptions/{id}/recount-seats",
        never="Buying seats instead.",
        breaks=_ghost_seats_noted,
        is_mended=_seats_counted,
        mends=(("subscriptions.recount_seats", "subscription"),),
        risk="reversible",
    )
)
add(
    Fault(
        name="seats_full",
        symptoms=("no_invitation",),
        slot="seats",
        broken="Every seat is really used.",
        mended_by="PUT /v1/subscriptions/{id}/seats, when the client asked for a number of more seats and agreed to pay for them",
        never="No such agreement; more than five more.",
        breaks=lambda scene: _seats_full(scene, asked=scene.chance.randrange(1, 4)),
        is_mended=_seats_bought,
        mends=(("subscriptions.set_seats", "subscription"),),
        risk="costly",
        consent="pay_for_seats",
    )
)
add(
    Fault(
        name="seats_full_asks_too_many",
        symptoms=("no_invitation",),
        slot="seats",
        broken="Every seat is really used, and they ask for more than five.",
        mended_by="Sales.",
        never="Always: over the cap. Not five of them either.",
        breaks=lambda scene: _seats_full(scene, asked=scene.chance.randrange(8, 20)),
        is_mended=never_mended,
        group=("over_cap",),
    )
)
