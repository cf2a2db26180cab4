"""The credit ledger: double entry, only ever added to. What may never be is refused by the database itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import asyncpg

from asoe.domain.errors import Conflict, Invalid, Missing
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries

KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "grant": ("issued", "client"),
    "hold": ("client", "held"),
    "capture": ("held", "earned"),
    "release": ("held", "client"),
    "charge": ("client", "earned"),
    "refund": ("earned", "client"),
}
"""Posting → (account that gives, account that gets)."""
_REFUSALS: Final[Mapping[str, Callable[[], Conflict]]] = {
    "credit_accounts_never_below_zero": lambda: Conflict(
        "The client has not so many credits.", code="not_enough_credits"
    ),
    "credits_within": lambda: Conflict(
        "This would give back, or use up, more than was posted first.", code="over_refund"
    ),
    "credits_proof": lambda: Conflict(
        "Nothing proves that the work failed: report its outcome first.", code="no_proof"
    ),
    "credits_follow": lambda: Conflict(
        "It does not follow that posting: another client's, for other work, or of another kind.", code="wrong_posting"
    ),
}


class CreditsSql(NamedQueries):
    account: str
    by_key: str
    post: str
    balance: str
    posting: str
    charges: str
    report_work: str
    work: str
    audit: str


@dataclass(frozen=True, slots=True)
class Posting:
    """One posting; `of_posting` is the hold of a capture or release, the charge of a refund."""

    id: UUID
    kind: str
    key: str
    client: str
    amount: Decimal
    work: str | None
    of_posting: UUID | None
    memo: str
    posted_at: datetime


@dataclass(frozen=True, slots=True)
class Balance:
    """What a client can spend, and what is held."""

    available: Decimal
    held: Decimal


@dataclass(frozen=True, slots=True)
class Charge:
    """One charge with what is known of the work it was for."""

    id: UUID
    client: str
    amount: Decimal
    work: str | None
    memo: str
    posted_at: datetime
    outcome: str | None
    evidence: dict[str, Any] | None
    refunded: Decimal


@dataclass(frozen=True, slots=True)
class Audit:
    """Zero, zero and zero in a ledger that is in order."""

    unbalanced: int
    drifted: int
    total: Decimal
    postings: int


@dataclass(frozen=True, slots=True)
class NewPosting:
    """`key` makes it one posting however often it is sent. What follows another posting is about the same `work`."""

    kind: str
    key: str
    client: str
    amount: Decimal
    work: str | None = None
    of_posting: UUID | None = None
    memo: str = ""


async def post(
    connection: Connection, org_id: UUID, new: NewPosting, *, by: UUID | None = None
) -> tuple[Posting, bool]:
    """Post once; (the posting, whether it is new).

    Raises `Conflict(not_enough_credits | over_refund | no_proof | wrong_posting | key_reused)`, `Missing(posting_missing)`.
    """
    await _lock(connection, org_id, new.key)
    before = await by_key(connection, org_id, new.key)
    if before is not None:
        if (before.kind, before.client, before.amount, before.of_posting) != (
            new.kind,
            new.client,
            new.amount,
            new.of_posting,
        ):
            raise Conflict(f"The key {new.key!r} belongs to another posting: a {before.kind}.", code="key_reused")
        return before, False
    if new.of_posting is not None:
        first = await _posting(connection, org_id, new.of_posting)
        if first is None:
            raise Missing(f"There is no posting {new.of_posting} here.", code="posting_missing")
        new = replace(new, work=new.work or first.work)
    giver, getter = KINDS[new.kind]
    for kind in (giver, getter):
        owner = "" if kind in {"issued", "earned"} else new.client
        await connection.execute(CreditsSql.account, org_id, kind, owner)
    await connection.execute("savepoint posting")
    try:
        row = await connection.fetchrow(
            CreditsSql.post, org_id, new.kind, new.key, new.client, new.amount, new.work, new.of_posting, new.memo, by, giver, getter
        )  # fmt: skip
    except asyncpg.CheckViolationError as error:
        await connection.execute("rollback to savepoint posting")
        refuse = _REFUSALS.get(error.constraint_name or "")
        if refuse is None:
            raise
        raise refuse() from error
    await connection.execute("release savepoint posting")
    return Posting(**dict(row)), True


async def by_key(connection: Connection, org_id: UUID, key: str) -> Posting | None:
    row = await connection.fetchrow(CreditsSql.by_key, org_id, key)
    return None if row is None else Posting(**dict(row))


async def balance(connection: Connection, org_id: UUID, client: str) -> Balance:
    return Balance(**dict(await connection.fetchrow(CreditsSql.balance, org_id, client)))


async def charges(
    connection: Connection,
    org_id: UUID,
    *,
    client: str | None = None,
    charge_id: UUID | None = None,
    work: str | None = None,
    limit: int = 100,
) -> list[Charge]:
    """Newest first."""
    rows = await connection.fetch(CreditsSql.charges, org_id, client, charge_id, work, limit)
    return [Charge(**dict(row)) for row in rows]


async def report_work(
    connection: Connection, org_id: UUID, work: str, outcome: str, evidence: Mapping[str, Any], *, by: UUID
) -> bool:
    """Say how work ended; the first word stays. Raises `Conflict(work_reported)` when another outcome was reported."""
    if outcome not in {"succeeded", "failed"}:
        raise Invalid("outcome: must be succeeded or failed.", code="unknown_outcome")
    done = await connection.execute(CreditsSql.report_work, org_id, work, outcome, dict(evidence), by)
    if str(done).endswith(" 1"):
        return True
    stands = await connection.fetchrow(CreditsSql.work, org_id, work)
    if stands["outcome"] != outcome:
        raise Conflict(f"Work {work!r} is reported as {stands['outcome']} already.", code="work_reported")
    return False


async def audit(connection: Connection, org_id: UUID) -> Audit:
    """Recount the whole ledger of the organization."""
    return Audit(**dict(await connection.fetchrow(CreditsSql.audit, org_id)))


async def _posting(connection: Connection, org_id: UUID, posting_id: UUID) -> Posting | None:
    row = await connection.fetchrow(CreditsSql.posting, org_id, posting_id)
    return None if row is None else Posting(**dict(row))


async def _lock(connection: Connection, org_id: UUID, key: str) -> None:
    """Two with the same key come one after the other."""
    await connection.execute(
        "select pg_advisory_xact_lock(hashtextextended('credits:' || $1 || ':' || $2, 0))", str(org_id), key
    )
