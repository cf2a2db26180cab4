"""The organization's credit ledger: what its product reports, what staff look at, and the port its connector acts through."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any
from uuid import UUID

from asoe.connectors.credits import CreditsConnector, LedgerRefusal
from asoe.connectors.kinds import Kind, Opening, refused
from asoe.desk.context import Desk
from asoe.domain.errors import Conflict, Denied, FieldProblem, Invalid, Missing
from asoe.domain.organization import ROLE_RANK, Principal
from asoe.store import credits as rows
from asoe.store import facts
from asoe.store.credits import KINDS, Audit, Balance, Charge, NewPosting, Posting
from asoe.store.db import Connection, Database


class OrgLedger:
    """The port of `connectors.credits` for one organization, acting as its engine."""

    def __init__(self, database: Database, org_id: UUID, engine_of: Callable[[UUID], Awaitable[Principal]]) -> None:
        self._database = database
        self._org_id = org_id
        self._engine_of = engine_of

    async def balance(self, client: str) -> Any:
        async with self._database.org_reading(await self._engine()) as connection:
            found = await rows.balance(connection, self._org_id, client)
        return {"client": client, "available": str(found.available), "held": str(found.held)}

    async def charges(self, client: str, work: str | None) -> list[Any]:
        async with self._database.org_reading(await self._engine()) as connection:
            found = await rows.charges(connection, self._org_id, client=client, work=work)
        return [_charge(each) for each in found]

    async def charge(self, charge_id: UUID) -> Any:
        async with self._database.org_reading(await self._engine()) as connection:
            found = await rows.charges(connection, self._org_id, charge_id=charge_id, limit=1)
        if not found:
            raise LedgerRefusal(f"There is no charge {charge_id}.", is_missing=True)
        return _charge(found[0])

    async def refund(
        self, connection: Connection | None, charge_id: UUID, amount: Decimal, *, key: str, memo: str
    ) -> Any:
        """In the caller's transaction, or in one of its own."""
        try:
            if connection is not None:
                return await self._refund(connection, charge_id, amount, key=key, memo=memo)
            async with self._database.org_transaction(await self._engine()) as own:
                return await self._refund(own, charge_id, amount, key=key, memo=memo)
        except (Conflict, Missing) as refusal:
            raise LedgerRefusal(refusal.message, is_missing=isinstance(refusal, Missing)) from refusal

    async def posted(self, key: str) -> Any | None:
        async with self._database.org_reading(await self._engine()) as connection:
            found = await rows.by_key(connection, self._org_id, key)
        return None if found is None else _posting(found)

    async def _engine(self) -> Principal:
        return await self._engine_of(self._org_id)

    async def _refund(self, connection: Connection, charge_id: UUID, amount: Decimal, *, key: str, memo: str) -> Any:
        org_id = self._org_id
        charged = await rows.charges(connection, org_id, charge_id=charge_id, limit=1)
        if not charged:
            raise Missing(f"There is no charge {charge_id}.", code="posting_missing")
        new = NewPosting("refund", key, charged[0].client, amount, charged[0].work, charge_id, memo)
        engine = await self._engine()
        posting, is_new = await rows.post(connection, org_id, new, by=engine.user_id)
        if is_new:
            await facts.record(connection, engine, "credits.posted", posting_id=posting.id, kind="refund")
        return _posting(posting)


def credits_kind(database: Database, engine_of: Callable[[UUID], Awaitable[Principal]]) -> Kind:
    """The kind `credits` of connectors: this installation's own ledger, which has nothing to configure."""

    async def prepare(opening: Opening, given: Mapping[str, Any]) -> Mapping[str, Any]:
        if given or opening.secrets:
            raise refused([FieldProblem("config", "must be empty: the ledger is part of this installation")])
        return {}

    def opened(opening: Opening) -> CreditsConnector:
        return CreditsConnector(OrgLedger(database, opening.org_id, engine_of), opening.org_id)

    return Kind("credits", "the organization's own credit ledger", opened, prepare)


async def post(desk: Desk, principal: Principal, new: NewPosting) -> tuple[Posting, bool]:
    """Post what the product reports (grant, hold, capture, release, charge) or an admin gives back; once for each key."""
    _require(principal, "admin" if new.kind in {"grant", "refund"} else "agent")
    if problems := _problems(new):
        listed = "; ".join(f"{problem.field}: {problem.problem}" for problem in problems)
        raise Invalid(f"{listed}.", code="bad_posting", fields=tuple(problems))
    async with desk.database.org_transaction(principal) as connection:
        posting, is_new = await rows.post(connection, principal.org_id, new, by=principal.user_id)
        if is_new:
            await facts.record(connection, principal, "credits.posted", posting_id=posting.id, kind=new.kind)
        return posting, is_new


async def report_work(
    desk: Desk, principal: Principal, work: str, outcome: str, evidence: Mapping[str, Any] | None = None
) -> bool:
    """Say how the work that was charged for ended; refunds stand on this. False when it was said before."""
    _require(principal, "agent")
    async with desk.database.org_transaction(principal) as connection:
        is_new = await rows.report_work(
            connection, principal.org_id, work, outcome, evidence or {}, by=principal.user_id
        )
        if is_new:
            await facts.record(connection, principal, "credits.reported", outcome=outcome)
        return is_new


async def read_balance(desk: Desk, principal: Principal, client: str) -> Balance:
    async with desk.database.org_reading(principal) as connection:
        return await rows.balance(connection, principal.org_id, client)


async def list_charges(desk: Desk, principal: Principal, client: str, *, limit: int = 100) -> list[Charge]:
    async with desk.database.org_reading(principal) as connection:
        return await rows.charges(connection, principal.org_id, client=client, limit=limit)


async def audit(desk: Desk, principal: Principal) -> Audit:
    """Recount the ledger: everything adds up, or it says what does not."""
    async with desk.database.org_reading(principal) as connection:
        return await rows.audit(connection, principal.org_id)


def _problems(new: NewPosting) -> list[FieldProblem]:
    found = []
    if new.kind not in KINDS:
        found.append(FieldProblem("kind", f"{new.kind!r} is none of {', '.join(KINDS)}"))
    if not new.key.strip():
        found.append(FieldProblem("key", "must name the posting, so that sending it twice posts it once"))
    if not new.client.strip():
        found.append(FieldProblem("client", "must say whose credits move"))
    if not new.amount.is_finite() or new.amount <= 0 or new.amount != round(new.amount, 6):
        found.append(FieldProblem("amount", "must be above zero, with at most six decimals"))
    if new.kind in {"charge", "hold"} and not new.work:
        found.append(FieldProblem("work", "must name the job, call or run that is charged for"))
    if (new.of_posting is None) == (new.kind in {"capture", "release", "refund"}):
        found.append(
            FieldProblem("of_posting", "is the hold of a capture or release, the charge of a refund, else absent")
        )
    return found


def _require(principal: Principal, role: str) -> None:
    if ROLE_RANK.get(principal.role, -1) < ROLE_RANK[role]:
        raise Denied(f"This takes the role {role}; you act as {principal.role}.", code="role_not_permitted")


def _charge(value: Charge) -> dict[str, Any]:
    return {
        **asdict(value),
        "id": str(value.id),
        "amount": str(value.amount),
        "refunded": str(value.refunded),
        "left": str(value.amount - value.refunded),
        "posted_at": value.posted_at.isoformat(),
    }


def _posting(value: Posting) -> dict[str, Any]:
    return {"id": str(value.id), "kind": value.kind, "client": value.client, "amount": str(value.amount)}
