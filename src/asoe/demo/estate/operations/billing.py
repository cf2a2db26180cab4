"""Plans, seats, quotas, invoices, payments, credits: what was bought, what was used, what is given back."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from asoe.demo.estate.models import PLANS, Shape
from asoe.demo.estate.operations.operation import of_account, operation, refuse
from asoe.demo.estate.store import Item, Store


class Seats(Shape):
    seats: Annotated[int, Field(ge=1, le=500)]


class Enabled(Shape):
    enabled: bool


class PaymentRefund(Shape):
    amount_cents: Annotated[int, Field(ge=1)]


class NewCreditRefund(Shape):
    charge_id: str
    credits: Annotated[int, Field(ge=1)]
    reason: Annotated[str, Field(min_length=3, max_length=200)]


@operation(
    "subscriptions.resync",
    "POST",
    "/v1/subscriptions/{id}/resync",
    about="Take plan, status and seats from the payment provider. Entitlements are not touched.",
)
def resync(store: Store, item: Item, _: object) -> Item:
    truth = store.need("provider-subscriptions", item["provider_subscription_id"])
    return store.change("subscriptions", item["id"], plan=truth["plan"], status=truth["status"], seats=truth["seats"])


@operation(
    "subscriptions.recount_seats", "POST", "/v1/subscriptions/{id}/recount-seats", about="Count the active users again."
)
def recount_seats(store: Store, item: Item, _: object) -> Item:
    used = len(store.find("users", account_id=item["account_id"], status="active"))
    return store.change("subscriptions", item["id"], seats_used=used)


@operation(
    "subscriptions.set_seats",
    "PUT",
    "/v1/subscriptions/{id}/seats",
    body=Seats,
    about="Buy or give back seats, here and at the payment provider. More seats are invoiced at once (900 cents each).",
)
def set_seats(store: Store, item: Item, body: Seats) -> Item:
    if body.seats < item["seats_used"]:
        raise refuse("seats_in_use", f"{item['seats_used']} seats are in use.")
    more = body.seats - item["seats"]
    if more > 0:
        invoice = {
            "id": store.new_id("inv"),
            "account_id": item["account_id"],
            "amount_cents": 900 * more,
            "status": "open",
            "issued_at": store.stamp(),
            "due_at": store.stamp(days=30),
        }
        store.put("invoices", invoice)
    store.change("provider-subscriptions", item["provider_subscription_id"], seats=body.seats)
    return store.change("subscriptions", item["id"], seats=body.seats)


@operation(
    "accounts.rebuild_entitlements",
    "POST",
    "/v1/accounts/{id}/rebuild-entitlements",
    about="Set the entitlements to what the subscription's plan says.",
)
def rebuild_entitlements(store: Store, item: Item, _: object) -> Item:
    features = PLANS[of_account(store, "subscriptions", item["id"])["plan"]].features
    for entitlement in store.find("entitlements", account_id=item["id"]):
        store.change("entitlements", entitlement["id"], enabled=entitlement["feature"] in features)
    return item


@operation("feature_flags.set", "PUT", "/v1/feature-flags/{id}", body=Enabled, about="Switch a feature for an account.")
def set_flag(store: Store, item: Item, body: Enabled) -> Item:
    entitled = store.find("entitlements", account_id=item["account_id"], feature=item["feature"], enabled=True)
    if body.enabled and not entitled:
        raise refuse("not_entitled", f"The account is not entitled to {item['feature']}.")
    return store.change("feature-flags", item["id"], enabled=body.enabled)


@operation(
    "quotas.start_period", "POST", "/v1/quotas/{id}/start-period", about="Start counting the current month at zero."
)
def start_period(store: Store, item: Item, _: object) -> Item:
    if item["counted_period"] == item["current_period"]:
        raise refuse("period_is_current", "The counter already counts the current month.")
    return store.change("quotas", item["id"], used=0, counted_period=item["current_period"])


@operation("quotas.apply_plan", "POST", "/v1/quotas/{id}/apply-plan", about="Set the limit to what the plan says.")
def apply_plan(store: Store, item: Item, _: object) -> Item:
    plan = PLANS[of_account(store, "subscriptions", item["account_id"])["plan"]]
    return store.change("quotas", item["id"], limit=plan.api_calls)


@operation(
    "invoices.reconcile",
    "POST",
    "/v1/invoices/{id}/reconcile",
    about="Mark an invoice as paid when the payment provider has a payment that covers it.",
)
def reconcile(store: Store, item: Item, _: object) -> Item:
    paid = sum(
        payment["amount_cents"] - payment["refunded_cents"]
        for payment in store.find("payments", account_id=item["account_id"], invoice_id=item["id"])
        if payment["status"] == "succeeded"
    )
    if item["status"] == "void":
        raise refuse("invoice_void", "A void invoice is not paid.")
    if paid < item["amount_cents"]:
        raise refuse("not_paid", f"The payment provider has {paid} of {item['amount_cents']} cents.")
    return store.change("invoices", item["id"], status="paid")


@operation(
    "payments.refund",
    "POST",
    "/v1/payments/{id}/refund",
    body=PaymentRefund,
    needs_key=True,
    about="Give money back at the payment provider. Cannot be undone.",
)
def refund_payment(store: Store, item: Item, body: PaymentRefund) -> Item:
    left = item["amount_cents"] - item["refunded_cents"]
    if item["status"] != "succeeded":
        raise refuse("not_refundable", f"The payment is {item['status']}.")
    if body.amount_cents > left:
        raise refuse("more_than_was_paid", f"At most {left} cents are left to refund.")
    refunded = item["refunded_cents"] + body.amount_cents
    status = "refunded" if refunded == item["amount_cents"] else "succeeded"
    return store.change("payments", item["id"], refunded_cents=refunded, status=status)


@operation(
    "credits.refund",
    "POST",
    "/v1/credits/refunds",
    body=NewCreditRefund,
    answers="credit-refunds",
    needs_key=True,
    about="Give credits of a charge back to the account. Cannot be undone.",
)
def refund_credits(store: Store, _: Item, body: NewCreditRefund) -> Item:
    charge = store.get("charges", body.charge_id)
    if charge is None:
        raise refuse("unknown_charge", f"There is no charge {body.charge_id}.")
    left = charge["credits"] - charge["refunded_credits"]
    if body.credits > left:
        raise refuse("more_than_was_charged", f"At most {left} credits of {charge['id']} are left to refund.")
    refunded = charge["refunded_credits"] + body.credits
    status = "refunded" if refunded == charge["credits"] else "partly_refunded"
    store.change("charges", charge["id"], refunded_credits=refunded, status=status)
    account = store.need("accounts", charge["account_id"])
    store.change("accounts", account["id"], credits=account["credits"] + body.credits)
    return store.put(
        "credit-refunds",
        {
            "id": store.new_id("crf"),
            "account_id": charge["account_id"],
            "charge_id": charge["id"],
            "credits": body.credits,
            "reason": body.reason,
            "made_at": store.stamp(),
        },
    )
