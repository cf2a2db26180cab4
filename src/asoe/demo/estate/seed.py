"""Makes the estate's customers, the same ones for the same seed: all in order, some with a past that looks odd and is not broken."""

from __future__ import annotations

import random
from typing import Any, Final

from asoe.demo.estate.models import FEATURES, KINDS, PLANS, SCOPES
from asoe.demo.estate.store import Item, Store

CUSTOMERS: Final = 48
PERIOD: Final = "2026-11"
REGIONS: Final = ("eu", "us", "ap")

_FIRST: Final = "Amina Bruno Carla Dario Elif Farid Greta Hugo Ines Jonas Kira Luca Mara Nils Olga Pavel Quinn Rosa Sven Tara Umar Vera Wim Yara".split()
_LAST: Final = "Abel Baum Costa Dahl Engel Fuchs Grau Holm Ibsen Jansen Kraft Lind Moreau Novak Okoro Peres Ruiz Sato Toth Urban Vega Weiss Zanic".split()
_TRADE: Final = "Analytics Bakery Cargo Dental Energy Fabrics Gardens Hotels".split()
_PLACE: Final = "Alder Birch Cedar Dune Elm Fjord".split()
_SYSTEMS: Final = ("Shopwell", "Ledgerly", "Mailhouse", "Stockroom", "Formtree", "Crmly")
_WORK: Final = (
    "Orders to warehouse",
    "Weekly report",
    "Leads to sales",
    "Invoice import",
    "Stock levels",
    "Churn digest",
)


def seed(store: Store, number: int = 1, *, customers: int = CUSTOMERS) -> list[str]:
    """Fill an empty store; returns the ids of the accounts."""
    with store.transaction():
        store.connection.execute("update estate set seed = ?", (number,))
        chance = random.Random(number)
        for region in REGIONS:
            store.put("export-pools", {"id": region, "status": "running"})
        names = [f"{place} {trade}" for trade in _TRADE for place in _PLACE]
        chance.shuffle(names)
        return [_Customer(store, chance, index).make(_name(names, index)) for index in range(customers)]


def add_customer(store: Store, person: str, email: str, *, index: int) -> str:
    """One more customer, all in order, whose owner is this person; returns the id of the account."""
    domain = email.partition("@")[2]
    company = domain.split(".")[0].replace("-", " ").title()
    with store.transaction():
        return _Customer(store, random.Random(email), index).make(company, owner=(person, email))


def _name(names: list[str], index: int) -> str:
    again = index // len(names)
    return names[index % len(names)] + (f" {again + 1}" if again else "")


class _Customer:
    """One customer in the making; `index` decides plan, region and past, chance decides amounts."""

    def __init__(self, store: Store, chance: random.Random, index: int) -> None:
        self.store = store
        self.chance = chance
        self.index = index
        self.account_id = ""

    def make(self, company: str, *, owner: tuple[str, str] | None = None) -> str:
        domain = f"{company.lower().replace(' ', '-')}-{self.index + 1}.example"
        plan = PLANS[("starter", "team", "business")[self.index % 3]]
        region = REGIONS[self.index % 3]
        self.account_id = self._id("accounts")
        people = self._people()
        if owner is not None:
            people[0], domain = owner[0], owner[1].partition("@")[2]
        address = owner[1] if owner else self._email(people[0], domain)
        account = {
            "id": self.account_id,
            "name": company,
            "email": address,
            "status": "active",
            "suspended_reason": None,
            "fraud_flag": False,
            "email_verified": True,
            "verification_received_at": self.store.stamp(days=-300),
            "region": region,
            "routed_region": region,
            "credits": self.chance.randrange(1500, 6000, 50),
            "created_at": self.store.stamp(days=-300 - self.index),
        }
        self.store.put("accounts", account)
        users = self._users(people, domain, address)
        self._keys(plan.rate_tier)
        self._billing(plan.id, len([user for user in users if user["status"] == "active"]))
        self._work()
        self._connections(domain)
        self._data(plan.storage_mb)
        return self.account_id

    def _people(self) -> list[str]:
        firsts = self.chance.sample(_FIRST, 4)
        return [f"{first} {self.chance.choice(_LAST)}" for first in firsts]

    def _email(self, person: str, domain: str) -> str:
        return f"{person.lower().replace(' ', '.')}@{domain}"

    def _users(self, people: list[str], domain: str, owner: str) -> list[Item]:
        users = []
        for person, role in zip(people, ("owner", "admin", "member", "member"), strict=True):
            left = person == people[3]
            if left and self.index % 4 != 0:
                continue  # only every fourth has somebody who left
            user = self._put(
                "users",
                email=owner if role == "owner" else self._email(person, domain),
                name=person,
                role=role,
                status="deactivated" if left else "active",
                locked=False,
                lock_reason=None,
                failed_sign_ins=0,
                mfa_enabled=True,
                mfa_state="in_step",
                pin=f"{self.chance.randrange(1_000_000):06d}",
                pin_attempts=0,
            )
            users.append(user)
            if left:
                continue
            self._put(
                "sessions",
                user_id=user["id"],
                status="active",
                role_at_sign_in=role,
                country=self.chance.choice(("DE", "NL", "PT", "US")),
                known_device=True,
            )
            self._put("notification-settings", user_id=user["id"], email_enabled=True, muted_by=None)
        return users

    def _keys(self, tier: str) -> None:
        for name, purpose, status in (
            ("Production sync", "sync", "active"),
            ("Reporting", "read_only", "active"),
            ("Old laptop", "full", "revoked"),
        ):
            if status == "revoked" and self.index % 3 != 0:
                continue  # every third has a key its owner withdrew
            self._put(
                "api-keys",
                name=name,
                purpose=purpose,
                status=status,
                revoked_reason="by_owner" if status == "revoked" else None,
                scopes=SCOPES[purpose],
                rate_tier=tier,
                expires_at=self.store.stamp(days=60 + self.index),
                secret_version=1,
            )

    def _billing(self, plan_name: str, active_users: int) -> None:
        plan = PLANS[plan_name]
        seats = max(plan.seats, active_users + 1)
        provider = self._put("provider-subscriptions", plan=plan_name, status="active", seats=seats)
        self._put(
            "subscriptions",
            plan=plan_name,
            status="active",
            seats=seats,
            seats_used=active_users,
            provider_subscription_id=provider["id"],
        )
        for month in (3, 2, 1):
            invoice = self._put(
                "invoices",
                amount_cents=plan.price_cents,
                status="paid",
                issued_at=self.store.stamp(days=-30 * month),
                due_at=self.store.stamp(days=-30 * month + 14),
            )
            self._put(
                "payments",
                invoice_id=invoice["id"],
                amount_cents=plan.price_cents,
                refunded_cents=0,
                status="succeeded",
                paid_at=self.store.stamp(days=-30 * month + 2),
            )
        for feature in FEATURES:
            self._put("entitlements", feature=feature, enabled=feature in plan.features)
            self._put("feature-flags", feature=feature, enabled=feature in plan.features)
        self._put(
            "quotas",
            metric="api_calls",
            limit=plan.api_calls,
            used=plan.api_calls * self.chance.randrange(10, 60) // 100,
            counted_period=PERIOD,
            current_period=PERIOD,
        )

    def _work(self) -> None:
        names = self.chance.sample(_WORK, 3)
        workflows = [
            self._put("workflows", name=name, status="active", paused_by=None, pause_note=None) for name in names[:2]
        ]
        if self.index % 4 == 1:
            self._put("workflows", name=names[2], status="archived", paused_by=None, pause_note=None)
        for workflow in (*workflows, workflows[0]):
            self._job(workflow, status="succeeded")
        if self.index % 3 == 1:  # a past failure by the client's own data: nothing is owed
            self._job(workflows[1], status="failed", error_code="INPUT_REJECTED", failure_cause="client_input", age=40)
        if self.index % 3 == 2:  # a past failure of ours: made good already
            self._job(
                workflows[1], status="failed", error_code="NODE_LOST", failure_cause="platform", age=35, paid_back=True
            )

    def _job(
        self,
        workflow: Item,
        *,
        status: str,
        error_code: str | None = None,
        failure_cause: str | None = None,
        age: int = 2,
        paid_back: bool = False,
    ) -> None:
        cost = self.chance.randrange(20, 200, 10)
        job = self._put(
            "jobs",
            workflow_id=workflow["id"],
            name=workflow["name"],
            status=status,
            seconds_without_heartbeat=0,
            attempts=1 if failure_cause is None else 3,
            max_attempts=3,
            error_code=error_code,
            failure_cause=failure_cause,
            integration_id=None,
            credits=cost,
        )
        charge = self._put(
            "charges",
            job_id=job["id"],
            credits=cost,
            refunded_credits=cost if paid_back else 0,
            status="refunded" if paid_back else "captured",
            charged_at=self.store.stamp(days=-age),
        )
        if paid_back:
            self._put(
                "credit-refunds",
                charge_id=charge["id"],
                credits=cost,
                reason="run lost by our platform",
                made_at=self.store.stamp(days=-age + 1),
            )

    def _connections(self, domain: str) -> None:
        for system in self.chance.sample(_SYSTEMS, 2):
            head = self.chance.randrange(20_000, 90_000)
            mapping = {"Name": "title", "Mail": "email", "Amount": "total"}
            self._put(
                "integrations",
                system=system,
                access_status="valid",
                sync_state="running",
                cursor=head,
                source_head=head,
                last_good_cursor=head,
                records_missing=0,
                records_doubled=0,
                mapping=mapping,
                last_good_mapping=mapping,
            )
        for name in ("orders", "people"):
            url = f"https://hooks.{domain}/{name}"
            self._put(
                "webhooks",
                url=url,
                registered_url=url,
                status="enabled",
                disabled_reason=None,
                endpoint_status=200,
                secret_version=1,
                signing_version=1,
                backlog=0,
                redelivered=0,
            )
        if self.index % 3 != 0:
            until = self.store.stamp(days=120 + self.index)
            self._put(
                "sso-connections",
                provider=self.chance.choice(("Keyhouse", "Signwell")),
                status="active",
                certificate_expires_at=until,
                provider_certificate_expires_at=until,
            )
        self._put(
            "domains",
            hostname=f"help.{domain}",
            dns_points_to_us=True,
            certificate_status="valid",
            certificate_expires_at=self.store.stamp(days=50 + self.index),
        )

    def _data(self, storage_mb: int) -> None:
        for name in ("All contacts", "Year in orders"):
            self._put(
                "exports",
                name=name,
                status="ready",
                partial_rows=self.chance.randrange(1000, 9000),
                link_expires_at=self.store.stamp(days=5),
                link_expired=False,
            )
        documents = self.chance.randrange(2_000, 50_000)
        self._put("search-indexes", documents=documents, indexed=documents, status="ready")
        for name in ("Revenue", "Activity"):
            version = self.chance.randrange(100, 900)
            self._put("caches", name=name, built_from_version=version, source_version=version)
        rows = self.chance.randrange(10_000, 80_000)
        self._put("replicas", source_rows=rows, replica_rows=rows, status="in_sync")
        self._put(
            "storages",
            limit_mb=storage_mb,
            used_mb=storage_mb * self.chance.randrange(20, 70) // 100,
            trash_mb=storage_mb // 20,
            read_only=False,
        )

    def _id(self, kind: str) -> str:
        return self.store.new_id(KINDS[kind].prefix)

    def _put(self, kind: str, **fields: Any) -> Item:
        return self.store.put(kind, {"id": self._id(kind), "account_id": self.account_id, **fields})
