"""Accounts, users, keys, single sign-on, mail: who gets in, and what reaches them."""

from __future__ import annotations

import secrets
from typing import Annotated

from pydantic import Field

from asoe.demo.estate.models import PLANS, SCOPES, RateTier, Role, Shape
from asoe.demo.estate.operations.operation import of_account, operation, refuse
from asoe.demo.estate.store import Item, Store


class Pin(Shape):
    pin: str = Field(pattern=r"^\d{6}$", description="The support PIN, as the user told it.")


class MfaReset(Shape):
    identity_check_id: str | None = Field(description="The confirmed check that this reset rests on.")


class RoleChange(Shape):
    role: Role


class Days(Shape):
    days: Annotated[int, Field(ge=1, le=90)]


class Scopes(Shape):
    scopes: Annotated[list[str], Field(min_length=1, max_length=8)]


class Tier(Shape):
    rate_tier: RateTier


class Muting(Shape):
    muted: bool


class NewSuppression(Shape):
    account_id: str
    email: Annotated[str, Field(min_length=3, max_length=254)]


@operation("accounts.reactivate", "POST", "/v1/accounts/{id}/reactivate", about="Lift a suspension.")
def reactivate(store: Store, item: Item, _: object) -> Item:
    if item["status"] == "closed":
        raise refuse("account_closed", "A closed account stays closed.")
    return store.change("accounts", item["id"], status="active", suspended_reason=None)


@operation(
    "accounts.suspend", "POST", "/v1/accounts/{id}/suspend", about="Suspend for nonpayment (undo of reactivate)."
)
def suspend(store: Store, item: Item, _: object) -> Item:
    if item["status"] == "closed":
        raise refuse("account_closed", "A closed account cannot be suspended.")
    if item["status"] == "suspended":
        return item
    return store.change("accounts", item["id"], status="suspended", suspended_reason="nonpayment")


@operation(
    "accounts.complete_verification",
    "POST",
    "/v1/accounts/{id}/complete-verification",
    about="Mark the address as verified when its confirmation link was clicked.",
)
def complete_verification(store: Store, item: Item, _: object) -> Item:
    if item["verification_received_at"] is None:
        raise refuse("not_confirmed_yet", "The confirmation link was not clicked: the client must do that.")
    return store.change("accounts", item["id"], email_verified=True)


@operation("accounts.reroute", "POST", "/v1/accounts/{id}/reroute", about="Send its requests to its own region again.")
def reroute(store: Store, item: Item, _: object) -> Item:
    return store.change("accounts", item["id"], routed_region=item["region"])


@operation("users.unlock", "POST", "/v1/users/{id}/unlock", about="Lift a lock, whatever its reason.")
def unlock(store: Store, item: Item, _: object) -> Item:
    return store.change("users", item["id"], locked=False, lock_reason=None, failed_sign_ins=0)


@operation("users.lock", "POST", "/v1/users/{id}/lock", about="Lock for failed sign-ins (undo of unlock).")
def lock(store: Store, item: Item, _: object) -> Item:
    if item["locked"]:
        return item
    return store.change("users", item["id"], locked=True, lock_reason="failed_sign_ins")


@operation(
    "users.resynchronize_mfa",
    "POST",
    "/v1/users/{id}/resynchronize-mfa",
    about="Bring the code generator back in step. The device stays; nobody gains access.",
)
def resynchronize_mfa(store: Store, item: Item, _: object) -> Item:
    if item["mfa_state"] == "device_unreachable":
        raise refuse("no_device", "The device does not answer: there is nothing to bring in step.")
    return store.change("users", item["id"], mfa_state="in_step")


@operation(
    "identity_checks.make",
    "POST",
    "/v1/users/{id}/identity-checks",
    body=Pin,
    answers="identity-checks",
    needs_key=True,
    about="Check a support PIN. Three wrong ones and no more are looked at.",
)
def check_identity(store: Store, item: Item, body: Pin) -> Item:
    if item["pin_attempts"] >= 3:
        raise refuse("pin_blocked", "Three wrong PINs were given: the user's identity must be checked by a person.")
    is_right = secrets.compare_digest(item["pin"], body.pin)
    store.change("users", item["id"], pin_attempts=0 if is_right else item["pin_attempts"] + 1)
    check = {
        "id": store.new_id("idc"),
        "account_id": item["account_id"],
        "user_id": item["id"],
        "confirmed": is_right,
        "made_at": store.stamp(),
    }
    return store.put("identity-checks", check)


@operation(
    "users.reset_mfa",
    "POST",
    "/v1/users/{id}/reset-mfa",
    body=MfaReset,
    about="Remove the second factor; the user enrolls a new device at the next sign-in. Cannot be undone.",
)
def reset_mfa(store: Store, item: Item, body: MfaReset) -> Item:
    if body.identity_check_id is not None:
        check = store.get("identity-checks", body.identity_check_id)
        if check is None or check["user_id"] != item["id"]:
            raise refuse("not_this_users_check", "This identity check is not this user's.")
        if not check["confirmed"]:
            raise refuse("not_confirmed", "This identity check failed.")
    return store.change("users", item["id"], mfa_enabled=False, mfa_state="in_step")


@operation("users.sign_out", "POST", "/v1/users/{id}/sign-out", about="End all sign-ins of the user.")
def sign_out(store: Store, item: Item, _: object) -> Item:
    for session in store.find("sessions", account_id=item["account_id"], user_id=item["id"], status="active"):
        store.change("sessions", session["id"], status="signed_out")
    return item


@operation("users.set_role", "PUT", "/v1/users/{id}/role", body=RoleChange, about="Give a user another role.")
def set_role(store: Store, item: Item, body: RoleChange) -> Item:
    return store.change("users", item["id"], role=body.role)


@operation(
    "api_keys.renew",
    "POST",
    "/v1/api-keys/{id}/renew",
    body=Days,
    about="Let an expired key live on with the same secret.",
)
def renew_key(store: Store, item: Item, body: Days) -> Item:
    if item["status"] == "revoked":
        raise refuse("key_revoked", "A revoked key cannot be renewed.")
    if item["status"] == "active":
        return item
    return store.change("api-keys", item["id"], status="active", expires_at=store.stamp(days=body.days))


@operation(
    "api_keys.rotate",
    "POST",
    "/v1/api-keys/{id}/rotate",
    needs_key=True,
    about="A new secret, shown to the owner in the product; the old one is dead at once. Cannot be undone.",
)
def rotate_key(store: Store, item: Item, _: object) -> Item:
    return store.change(
        "api-keys",
        item["id"],
        status="active",
        revoked_reason=None,
        secret_version=item["secret_version"] + 1,
        expires_at=store.stamp(days=90),
    )


@operation("api_keys.set_scopes", "PUT", "/v1/api-keys/{id}/scopes", body=Scopes, about="Set what a key may do.")
def set_scopes(store: Store, item: Item, body: Scopes) -> Item:
    if item["status"] == "revoked":
        raise refuse("key_revoked", "A revoked key has no scopes to set.")
    unknown = sorted(set(body.scopes) - set(SCOPES["full"]))
    if unknown:
        raise refuse("unknown_scope", f"There is no scope {unknown[0]}. Scopes: {', '.join(SCOPES['full'])}.")
    return store.change("api-keys", item["id"], scopes=body.scopes)


@operation(
    "api_keys.set_rate_tier", "PUT", "/v1/api-keys/{id}/rate-tier", body=Tier, about="Set how fast a key may call."
)
def set_rate_tier(store: Store, item: Item, body: Tier) -> Item:
    tiers = ("standard", "elevated", "high")
    plan = PLANS[of_account(store, "subscriptions", item["account_id"])["plan"]]
    if tiers.index(body.rate_tier) > tiers.index(plan.rate_tier):
        raise refuse("above_plan", f"The plan {plan.id} has the tier {plan.rate_tier}.")
    return store.change("api-keys", item["id"], rate_tier=body.rate_tier)


@operation(
    "sso_connections.refresh",
    "POST",
    "/v1/sso-connections/{id}/refresh",
    about="Read the client's published metadata again and take its certificate.",
)
def refresh_sso(store: Store, item: Item, _: object) -> Item:
    if item["provider_certificate_expires_at"] <= store.stamp():
        raise refuse(
            "provider_certificate_expired", "The client's identity provider still publishes the old certificate."
        )
    return store.change(
        "sso-connections",
        item["id"],
        status="active",
        certificate_expires_at=item["provider_certificate_expires_at"],
    )


@operation("suppressions.remove", "DELETE", "/v1/suppressions/{id}", about="Send mail to this address again.")
def remove_suppression(store: Store, item: Item, _: object) -> Item:
    store.remove("suppressions", item["id"])
    return item


@operation(
    "suppressions.add",
    "POST",
    "/v1/suppressions",
    body=NewSuppression,
    answers="suppressions",
    about="Send no mail to this address (undo of remove).",
)
def add_suppression(store: Store, _: Item, body: NewSuppression) -> Item:
    if store.get("accounts", body.account_id) is None:
        raise refuse("unknown_account", f"There is no account {body.account_id}.")
    for known in store.find("suppressions", account_id=body.account_id, email=body.email):
        return known
    return store.put(
        "suppressions",
        {
            "id": store.new_id("sup"),
            "account_id": body.account_id,
            "email": body.email,
            "reason": "bounce",
            "since": store.stamp(),
        },
    )


@operation(
    "notification_settings.set_muted",
    "PUT",
    "/v1/notification-settings/{id}/muted",
    body=Muting,
    about="Mute or unmute a user's notifications.",
)
def set_muted(store: Store, item: Item, body: Muting) -> Item:
    return store.change("notification-settings", item["id"], muted_by="system" if body.muted else None)
