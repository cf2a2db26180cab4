"""What a fault is: one way to break the store for a customer, what the client sees of it, and when it counts as mended."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, Literal

from asoe.demo.estate.store import Item, Store

Group = Literal["needs_consent", "security", "over_cap", "not_theirs", "cannot_fix", "nothing_wrong"]
Risk = Literal["reversible", "costly", "irreversible"]

# What support may give away without a person (the handbook says it in words; the API does not enforce it).
CREDITS_PER_CHARGE_CAP: Final = 500
PAYMENT_REFUND_CAP_CENTS: Final = 10_000
SEATS_CAP: Final = 5


@dataclass(frozen=True, slots=True)
class Breakage:
    """One fault at one customer: which items it broke (by part), and what its predicate must remember."""

    fault: str
    account_id: str
    items: dict[str, str]
    facts: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Scene:
    """Where a fault is set: the store, the customer, the user who will write, and what was broken so far."""

    store: Store
    account_id: str
    user: Item
    chance: random.Random
    items: dict[str, str] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)

    def pick(self, part: str, kind: str, **equals: Any) -> Item:
        """One of the customer's items, noted as `part`."""
        found = self.store.find(kind, account_id=self.account_id, **equals)
        chosen = self.chance.choice(found)
        self.items[part] = chosen["id"]
        return chosen

    def change(self, part: str, kind: str, **fields: Any) -> Item:
        """Change the item that was picked as `part`."""
        return self.store.change(kind, self.items[part], beats=0, **fields)

    def new_id(self, prefix: str, kind: str) -> str:
        """An id that depends on the customer alone, and comes after all of its ids so far."""
        last = self.store.find("storages", account_id=self.account_id)[-1]["id"].partition("_")[2]
        return next(name for n in count(1) if self.store.get(kind, name := f"{prefix}_{last}{n:02d}") is None)

    def account(self) -> Item:
        self.items["account"] = self.account_id
        return self.store.need("accounts", self.account_id)

    def writer(self) -> Item:
        self.items["user"] = self.user["id"]
        return self.user


@dataclass(frozen=True, slots=True)
class Fault:
    """`mends` are (operation, part) in order, empty when support cannot mend it; then `group` says why.

    `slot` names what it occupies: two faults of one slot cannot be set at one customer. `consent` is what the client must have
    said before the mend. `needs` says whether a customer can have it at all.
    """

    name: str
    symptoms: tuple[str, ...]
    slot: str
    broken: str
    mended_by: str
    never: str
    breaks: Callable[[Scene], object]
    is_mended: Callable[[Store, Breakage], bool]
    mends: tuple[tuple[str, str], ...] = ()
    risk: Risk | None = None
    consent: str | None = None
    group: tuple[Group, ...] = ()
    needs: Callable[[Store, str], bool] = lambda _store, _account_id: True

    @property
    def is_mendable(self) -> bool:
        return bool(self.mends)


FAULTS: Final[dict[str, Fault]] = {}


def add(fault: Fault) -> Fault:
    """Register a fault; names are unique, symptoms are at most two and known."""
    if fault.name in FAULTS:
        raise ValueError(f"the fault {fault.name} is there already")
    unknown = [symptom for symptom in fault.symptoms if symptom not in SYMPTOMS]
    if unknown or not 1 <= len(fault.symptoms) <= 2:
        raise ValueError(f"{fault.name}: one or two known symptoms are needed, not {fault.symptoms}")
    if fault.is_mendable == bool(fault.group):
        raise ValueError(f"{fault.name}: either it can be mended, or a group says why not")
    FAULTS[fault.name] = fault
    return fault


def field_is(kind: str, part: str, **wanted: Any) -> Callable[[Store, Breakage], bool]:
    """The predicate that an item's fields have these values."""

    def check(store: Store, breakage: Breakage) -> bool:
        item = store.get(kind, breakage.items[part])
        return item is not None and all(item[name] == value for name, value in wanted.items())

    return check


def never_mended(_store: Store, _breakage: Breakage) -> bool:
    """Of what support cannot mend."""
    return False


# What the client sees: the message or state on their screen, never how somebody would write about it.
SYMPTOMS: Final[dict[str, tuple[str, ...]]] = {
    "sign_in_refused": ("Sign-in page: “We could not sign you in. Please contact support.”",),
    "code_refused": ("Sign-in page, second step: “This code was not accepted.”",),
    "suspended": ("Every page: “This account is suspended.”",),
    "confirm_address": ("Banner: “Confirm your e-mail address to go on.” Sharing is blocked.",),
    "mail_missing": ("No invitation, report or password mail arrives; the spam folder is empty too.",),
    "api_401": ("HTTP 401 `invalid_key` on every call.",),
    "api_403": ("HTTP 403 `insufficient_scope` on calls that worked before.",),
    "api_429": ("HTTP 429 `slow_down` on most calls.",),
    "feature_missing": ("A menu entry is gone or shows a lock: “Not in your plan.”",),
    "payment_due": ("Banner: “A payment is overdue.”",),
    "charged_twice": ("The bank or card statement shows the same amount twice.",),
    "job_failed": ("The run is red: “Failed” or “Crashed”.",),
    "job_hangs": ("The run shows “Running” for hours, its progress stands still.",),
    "credits_gone": ("The credits of a run that brought nothing are gone.",),
    "schedule_silent": ("A scheduled workflow has not started since some days.",),
    "records_old": ("Records of the connected system stop at some moment; newer ones do not arrive.",),
    "fields_empty": ("New records arrive with empty fields.",),
    "events_missing": ("Their server receives no events from us.",),
    "events_late": ("Events arrive hours late or in a burst.",),
    "signature_wrong": ("Their server refuses our events: the signature does not match.",),
    "export_waiting": ("The export says “In preparation” since yesterday.",),
    "link_dead": ("The download page says “This link is no longer valid.”",),
    "search_misses": ("Search does not find what is there.",),
    "old_numbers": ("Dashboards and reports show numbers of some days ago.",),
    "no_invitation": ("Team page: “No free seat.” The invite button is gray.",),
    "domain_warning": ("Browsers warn: “Your connection is not private” on their help domain.",),
    "slow": ("Every page takes many seconds.",),
    "no_permission": ("“You have no permission for this” on pages that worked before.",),
    "strange_sign_in": ("The list of sign-ins shows a device or a country that nobody knows.",),
    "upload_fails": ("Uploads end with “No files can be stored at the moment.”",),
}
