"""What the estate's items look like: one model a kind, the same in the store and over HTTP, and the plans that rule them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

Time = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", examples=["2026-11-16T09:00:00Z"])]
Count = Annotated[int, Field(ge=0)]
RateTier = Literal["standard", "elevated", "high"]
PlanName = Literal["starter", "team", "business"]
Purpose = Literal["read_only", "sync", "full"]
Role = Literal["owner", "admin", "member"]


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Plan(Shape):
    """What an account gets for its money."""

    id: PlanName
    price_cents: Count
    seats: Count
    api_calls: Count = Field(description="Calls a month.")
    rate_tier: RateTier
    features: list[str]
    storage_mb: Count


PLANS: Final = {
    "starter": Plan(
        id="starter",
        price_cents=2900,
        seats=3,
        api_calls=10_000,
        rate_tier="standard",
        features=["reports"],
        storage_mb=10_000,
    ),
    "team": Plan(
        id="team",
        price_cents=9900,
        seats=10,
        api_calls=100_000,
        rate_tier="elevated",
        features=["reports", "single_sign_on", "automations"],
        storage_mb=100_000,
    ),
    "business": Plan(
        id="business",
        price_cents=29_900,
        seats=40,
        api_calls=1_000_000,
        rate_tier="high",
        features=["reports", "single_sign_on", "automations", "audit_trail", "custom_domain"],
        storage_mb=1_000_000,
    ),
}
FEATURES: Final = ("reports", "single_sign_on", "automations", "audit_trail", "custom_domain")
SCOPES: Final[dict[str, list[str]]] = {
    "read_only": ["records:read"],
    "sync": ["records:read", "records:write", "sync:run"],
    "full": ["records:read", "records:write", "sync:run", "settings:write"],
}


class Account(Shape):
    id: str
    name: str
    email: str = Field(description="The billing contact.")
    status: Literal["active", "suspended", "closed"]
    suspended_reason: Literal["nonpayment", "fraud"] | None
    fraud_flag: bool = Field(description="Set by the risk team only. Nothing may be changed for a flagged account.")
    email_verified: bool
    verification_received_at: Time | None = Field(description="When the confirmation link was clicked, if it was.")
    region: Literal["eu", "us", "ap"]
    routed_region: Literal["eu", "us", "ap"] = Field(description="Where its requests are sent; must equal `region`.")
    credits: Count = Field(description="Credits left.")
    created_at: Time


class User(Shape):
    id: str
    account_id: str
    email: str
    name: str
    role: Role
    status: Literal["active", "deactivated"]
    locked: bool
    lock_reason: Literal["failed_sign_ins", "security_hold"] | None
    failed_sign_ins: Count
    mfa_enabled: bool
    mfa_state: Literal["in_step", "out_of_step", "device_unreachable"] | None = Field(
        description="Null while the user is locked: codes are not looked at then."
    )


class StoredUser(User):
    pin: str = Field(pattern=r"^\d{6}$")
    pin_attempts: Count


class IdentityCheck(Shape):
    id: str
    account_id: str
    user_id: str
    confirmed: bool
    made_at: Time


class ApiKey(Shape):
    id: str
    account_id: str
    name: str
    purpose: Purpose
    status: Literal["active", "expired", "revoked"]
    revoked_reason: Literal["leak_detected", "by_owner"] | None
    scopes: list[str]
    rate_tier: RateTier
    expires_at: Time
    secret_version: Count


class Quota(Shape):
    id: str
    account_id: str
    metric: Literal["api_calls"]
    limit: Count
    used: Count
    counted_period: str = Field(pattern=r"^\d{4}-\d\d$", description="The month that `used` counts.")
    current_period: str = Field(pattern=r"^\d{4}-\d\d$")


class Subscription(Shape):
    """What the product believes."""

    id: str
    account_id: str
    plan: PlanName
    status: Literal["active", "past_due", "canceled"]
    seats: Count
    seats_used: Count = Field(description="A counter; the truth is the number of active users.")
    provider_subscription_id: str


class ProviderSubscription(Shape):
    """What the payment provider says."""

    id: str
    account_id: str
    plan: PlanName
    status: Literal["active", "past_due", "canceled"]
    seats: Count


class Invoice(Shape):
    id: str
    account_id: str
    amount_cents: Count
    status: Literal["open", "paid", "void"]
    issued_at: Time
    due_at: Time


class Payment(Shape):
    """A payment at the payment provider."""

    id: str
    account_id: str
    invoice_id: str
    amount_cents: Count
    refunded_cents: Count
    status: Literal["succeeded", "failed", "refunded"]
    paid_at: Time


class Entitlement(Shape):
    id: str
    account_id: str
    feature: str
    enabled: bool


class FeatureFlag(Shape):
    id: str
    account_id: str
    feature: str
    enabled: bool


class Charge(Shape):
    """Credits taken for one run of a job."""

    id: str
    account_id: str
    job_id: str
    credits: Count
    refunded_credits: Count
    status: Literal["captured", "partly_refunded", "refunded"]
    charged_at: Time


class CreditRefund(Shape):
    id: str
    account_id: str
    charge_id: str
    credits: Count
    reason: str
    made_at: Time


class Job(Shape):
    id: str
    account_id: str
    workflow_id: str
    name: str
    status: Literal["queued", "running", "succeeded", "failed", "crashed", "canceled"]
    seconds_without_heartbeat: Count = Field(description="A running job that is silent for more than 900 s is stuck.")
    attempts: Count
    max_attempts: Count
    error_code: str | None
    failure_cause: Literal["platform", "client_input", "integration"] | None
    integration_id: str | None
    credits: Count = Field(description="What a new run costs.")


class Workflow(Shape):
    id: str
    account_id: str
    name: str
    status: Literal["active", "paused", "archived"]
    paused_by: Literal["system", "owner"] | None
    pause_note: str | None


class Integration(Shape):
    id: str
    account_id: str
    system: str
    access_status: Literal["valid", "expired", "grant_revoked"]
    sync_state: Literal["running", "paused", "auth_error"] = Field(
        description="`auth_error` as long as the token is not valid, whatever it will be afterwards."
    )
    cursor: Count = Field(description="The last record that was read.")
    source_head: Count = Field(description="The newest record there is.")
    last_good_cursor: Count = Field(description="The last record that was surely read.")
    records_missing: Count = Field(description="Records that were jumped over.")
    records_doubled: Count = Field(description="Records that were imported twice.")
    mapping: dict[str, str]
    last_good_mapping: dict[str, str]


class Webhook(Shape):
    id: str
    account_id: str
    url: str
    registered_url: str = Field(description="What the client confirmed.")
    status: Literal["enabled", "disabled"]
    disabled_reason: Literal["too_many_failures", "by_owner"] | None
    endpoint_status: int = Field(ge=100, le=599, description="What the registered URL answered to the last probe.")
    secret_version: Count = Field(description="The secret that the client holds.")
    signing_version: Count = Field(description="The secret that deliveries are signed with.")
    backlog: Count | None = Field(description="Deliveries that wait. Null while disabled: not counted then.")
    redelivered: Count = Field(description="Deliveries that were sent out of the backlog, ever.")


class SsoConnection(Shape):
    id: str
    account_id: str
    provider: str
    status: Literal["active", "certificate_expired"]
    certificate_expires_at: Time
    provider_certificate_expires_at: Time = Field(description="Of the certificate in the client's published metadata.")


class Suppression(Shape):
    """An address we do not send mail to."""

    id: str
    account_id: str
    email: str
    reason: Literal["bounce", "complaint"]
    since: Time


class Export(Shape):
    id: str
    account_id: str
    name: str
    status: Literal["queued", "running", "stuck", "ready"]
    partial_rows: Count = Field(description="Rows written so far; a restart deletes them.")
    link_expires_at: Time | None
    link_expired: bool


class ExportPool(Shape):
    """The servers that make the exports of a region's accounts."""

    id: Literal["eu", "us", "ap"] = Field(description="The region.")
    status: Literal["running", "halted"]


class SearchIndex(Shape):
    id: str
    account_id: str
    documents: Count
    indexed: Count
    status: Literal["ready", "rebuilding"]


class Cache(Shape):
    id: str
    account_id: str
    name: str
    built_from_version: Count
    source_version: Count


class Replica(Shape):
    """The copy of the records that reports read from."""

    id: str
    account_id: str
    source_rows: Count
    replica_rows: Count
    status: Literal["in_sync", "diverged", "resyncing"]


class Domain(Shape):
    id: str
    account_id: str
    hostname: str
    dns_points_to_us: bool
    certificate_status: Literal["valid", "expired", "issuing"]
    certificate_expires_at: Time


class Session(Shape):
    """A sign-in."""

    id: str
    account_id: str
    user_id: str
    status: Literal["active", "signed_out"]
    role_at_sign_in: Role
    country: str
    known_device: bool


class NotificationSetting(Shape):
    id: str
    account_id: str
    user_id: str
    email_enabled: bool
    muted_by: Literal["system", "user"] | None


class Storage(Shape):
    id: str
    account_id: str
    limit_mb: Count
    used_mb: Count = Field(description="Trash included.")
    trash_mb: Count
    read_only: bool


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of item: its model over HTTP, its model in the store, and the prefix of its ids."""

    shown: type[Shape]
    stored: type[Shape]
    prefix: str
    about: str


def _kind(shown: type[Shape], prefix: str, about: str, *, stored: type[Shape] | None = None) -> Kind:
    return Kind(shown, stored or shown, prefix, about)


# path name → kind; the path of a list is /v1/<name>
KINDS: Final[dict[str, Kind]] = {
    "accounts": _kind(Account, "acc", "Customer accounts."),
    "users": _kind(User, "usr", "People of an account.", stored=StoredUser),
    "identity-checks": _kind(IdentityCheck, "idc", "Proofs of identity by support PIN."),
    "api-keys": _kind(ApiKey, "key", "Keys of our API."),
    "quotas": _kind(Quota, "quo", "Monthly limits and what was used of them."),
    "subscriptions": _kind(Subscription, "sub", "What the product believes was bought."),
    "provider-subscriptions": _kind(ProviderSubscription, "psb", "What the payment provider says was bought."),
    "invoices": _kind(Invoice, "inv", "Our invoices."),
    "payments": _kind(Payment, "pay", "Payments at the payment provider."),
    "entitlements": _kind(Entitlement, "ent", "Features an account has by its plan."),
    "feature-flags": _kind(FeatureFlag, "flg", "Switches of features, for an account."),
    "charges": _kind(Charge, "chg", "Credits taken for runs of jobs."),
    "credit-refunds": _kind(CreditRefund, "crf", "Credits given back."),
    "jobs": _kind(Job, "job", "Runs of workflows."),
    "workflows": _kind(Workflow, "wfl", "Scheduled workflows."),
    "integrations": _kind(Integration, "int", "Connections to other systems, from which records are synced."),
    "webhooks": _kind(Webhook, "whk", "Where we deliver events."),
    "sso-connections": _kind(SsoConnection, "sso", "Single sign-on."),
    "suppressions": _kind(Suppression, "sup", "Addresses that get no mail."),
    "exports": _kind(Export, "exp", "Exports of data."),
    "export-pools": _kind(ExportPool, "pool", "Servers that make exports, one pool a region."),
    "search-indexes": _kind(SearchIndex, "idx", "Search indexes."),
    "caches": _kind(Cache, "cch", "Cached dashboards."),
    "replicas": _kind(Replica, "rep", "Copies that reports read from."),
    "domains": _kind(Domain, "dom", "Domains of clients with their certificates."),
    "sessions": _kind(Session, "ses", "Sign-ins."),
    "notification-settings": _kind(NotificationSetting, "nts", "Who gets which mail."),
    "storages": _kind(Storage, "sto", "Room for files."),
}
