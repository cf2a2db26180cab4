"""Approvals: a person agrees to exactly one intent. It dies when an argument changes, expires, and is spent once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

from asoe.connectors.contract import Action
from asoe.desk.context import Desk
from asoe.domain.errors import Conflict, Denied, Invalid
from asoe.domain.organization import ROLE_RANK, Principal
from asoe.domain.people import APPROVE
from asoe.domain.runbook import ApprovalRule, Perform
from asoe.store import approvals, facts
from asoe.store.approvals import Approval
from asoe.store.db import Connection


class RunOf(Protocol):
    """What is asked of a run here."""

    @property
    def id(self) -> UUID: ...

    @property
    def ticket_id(self) -> UUID | None: ...


def digest_of(perform: Perform, action: Action) -> str:
    """What an approval is bound to: all that its card says will be done, and how it would be taken back."""
    undo = perform.undo
    bound = {
        "connector": perform.call.connector,
        "action": action.name,
        "risk": action.risk,
        "arguments": perform.call.arguments,
        "business_key": perform.business_key,
        "amount": None if perform.amount is None else str(perform.amount.normalize()),
        "unit": perform.act.unit,
        "undo": None if undo is None else [undo.connector, undo.action, undo.arguments],
    }
    text = json.dumps(bound, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


async def request(
    connection: Connection,
    engine: Principal,
    run: RunOf,
    *,
    perform: Perform,
    action: Action,
    rule: ApprovalRule,
    card: Mapping[str, Any],
) -> UUID:
    """Ask for one, unless the same is waiting; one for other arguments at this place dies."""
    digest = digest_of(perform, action)
    standing = await approvals.usable(connection, engine.org_id, run.id, perform.path)
    if standing is not None and standing.digest == digest:
        return standing.id
    await approvals.kill(connection, engine.org_id, run.id, perform.path)
    approval_id = await approvals.request(
        connection,
        engine.org_id,
        run_id=run.id,
        ticket_id=run.ticket_id,
        path=perform.path,
        connector=perform.call.connector,
        action=action.name,
        risk=action.risk,
        arguments=perform.call.arguments,
        digest=digest,
        card=card,
        people=rule.people,
        role=rule.role,
        expires_after=rule.expires_after,
    )
    await facts.record(
        connection,
        engine,
        "approval.requested",
        ticket_id=run.ticket_id,
        approval_id=approval_id,
        run_id=run.id,
        action=action.name,
        risk=action.risk,
        people=rule.people,
        role=rule.role,
    )
    return approval_id


async def find_usable(connection: Connection, org_id: UUID, run_id: UUID, path: str, digest: str) -> UUID | None:
    """The approval given for exactly this act, not yet spent or expired."""
    found = await approvals.usable(connection, org_id, run_id, path)
    return found.id if found is not None and found.status == "approved" and found.digest == digest else None


async def refusal(connection: Connection, org_id: UUID, run_id: UUID, path: str, digest: str) -> str | None:
    """`approval_refused` or `approval_expired` when that was the last word on exactly this act, else None."""
    found = await approvals.newest(connection, org_id, run_id, path)
    if found is None or found.digest != digest:
        return None
    return {"refused": "approval_refused", "expired": "approval_expired"}.get(found.status)


async def use(connection: Connection, engine: Principal, approval_id: UUID) -> bool:
    """Spend it; False when somebody else did, or it expired meanwhile."""
    return await approvals.use(connection, engine.org_id, approval_id)


async def decide(
    desk: Desk,
    principal: Principal,
    approval_id: UUID,
    vote: str,
    reason: str = "",
    *,
    digest: str | None = None,
    via: str = "",
) -> Approval:
    """Vote. Enough people for it: the run goes on. One against it: the run ends with a person.

    digest: what the person was shown; via: how the person came to vote, when not in the usual way. Raises
    `Denied(role_not_permitted | approval_needs_person)`, `Conflict(approval_decided | approval_changed | already_voted)`, `Missing`.
    """
    if vote not in {"approve", "refuse"}:
        raise Invalid("vote: must be approve or refuse.", code="unknown_vote")
    async with desk.database.org_transaction(principal) as connection:
        found = await approvals.hold(connection, principal.org_id, approval_id)
        _may_vote(principal, found)
        if digest is not None and digest != found.digest:
            raise Conflict("The act is not the one that was shown: look at it again.", code="approval_changed")
        if found.status != "pending":
            raise Conflict(f"This approval is {found.status}: nothing is left to decide.", code="approval_decided")
        if not await approvals.vote(
            connection, principal.org_id, approval_id, by=principal.user_id, vote=vote, reason=reason[:2000]
        ):
            raise Conflict("You have voted on this already; another person must.", code="already_voted")
        told: dict[str, Any] = {"via": via} if via else {}
        settled = "refused" if vote == "refuse" else "approved" if found.approvals + 1 >= found.people else None
        await facts.record(
            connection,
            principal,
            "approval.decided",
            ticket_id=found.ticket_id,
            approval_id=approval_id,
            run_id=found.run_id,
            vote=vote,
            status=settled or "pending",
            **told,
        )
        if settled is not None:
            await approvals.settle(connection, principal.org_id, approval_id, settled)
            await wake(desk, connection, principal.org_id, found.run_id, found.ticket_id)
        return await approvals.find(connection, principal.org_id, approval_id)


async def read_approval(desk: Desk, principal: Principal, approval_id: UUID) -> Approval:
    async with desk.database.org_reading(principal) as connection:
        return await approvals.find(connection, principal.org_id, approval_id)


async def list_approvals(
    desk: Desk,
    principal: Principal,
    *,
    status: str | None = "pending",
    ticket_id: UUID | None = None,
    after: UUID | None = None,
    limit: int = 100,
) -> list[Approval]:
    """Newest first, behind the one `after`; `status` None: all."""
    async with desk.database.org_reading(principal) as connection:
        return await approvals.list_approvals(
            connection, principal.org_id, status=status, ticket_id=ticket_id, after=after, limit=limit
        )


async def expire(desk: Desk, engine: Principal) -> int:
    """Mark what nobody decided in time and let its runs go on to a person."""
    async with desk.database.org_transaction(engine) as connection:
        expired = await approvals.expire(connection, engine.org_id)
        for run_id, ticket_id in expired:
            await facts.record(connection, engine, "approval.expired", ticket_id=ticket_id, run_id=run_id)
            await wake(desk, connection, engine.org_id, run_id, ticket_id)
        return len(expired)


async def wake(desk: Desk, connection: Connection, org_id: UUID, run_id: UUID, ticket_id: UUID | None) -> None:
    """Let a run go on: through its ticket's journey where it has one."""
    if ticket_id is not None:
        await desk.queue.advance(connection, org_id, ticket_id)
    else:
        await desk.queue.enqueue(connection, "advance_run", {"org_id": org_id, "run_id": run_id})


def _may_vote(principal: Principal, found: Approval) -> None:
    if ROLE_RANK.get(principal.role, -1) < ROLE_RANK[found.role]:
        raise Denied(
            f"This approval takes the role {found.role}; you act as {principal.role}.", code="role_not_permitted"
        )
    if principal.key_id is None:
        return
    # a key is no pair of eyes: it votes only where its owner said so, and never as one of several people
    if APPROVE not in principal.scopes or found.people > 1:
        raise Denied(
            f"A person must decide this: sign in. A key may only with the scope {APPROVE}, where one vote is enough.",
            code="approval_needs_person",
        )


def _plain(value: Any) -> Any:
    return str(value.normalize()) if isinstance(value, Decimal) else str(value)
