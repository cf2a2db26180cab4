"""Outside agents at the desk: what is delegated to one, the record of its calls, and how it starts a run.

Which rights a caller has by itself is the door's table; what they are cut down to is `domain.delegation`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID, uuid4

from asoe.desk import ending, journey
from asoe.desk.context import Desk, policy_of
from asoe.desk.outcome import with_verdict
from asoe.domain.delegation import Delegation, delegate
from asoe.domain.errors import Conflict, Denied, Missing
from asoe.domain.organization import Principal
from asoe.domain.ticket import Ticket
from asoe.store import delegations, facts, orchestrator, tickets
from asoe.store.orchestrator import Invocation, Run


@dataclass(frozen=True, slots=True)
class AgentCall:
    """One use of a tool: `outcome` is "done", "repeated" or the code of the refusal; `changes` when it was to have an effect."""

    tool: str
    via: Literal["mcp", "a2a"]
    outcome: str
    started_at: datetime
    changes: bool = False
    ticket_id: UUID | None = None
    run_id: UUID | None = None


async def delegation_of(desk: Desk, principal: Principal, own: Mapping[str, Denied | None]) -> Delegation:
    """`own`: for each tool whether the caller's role and scopes allow it (None), or why not."""
    async with desk.database.org_reading(principal) as connection:
        policy = await policy_of(connection, principal.org_id)
    return delegate(own, policy.outside_agents.limits_for(principal))


async def start_run(
    desk: Desk,
    principal: Principal,
    delegation: Delegation,
    *,
    ticket_id: UUID,
    runbook: str,
    mode: Literal["live", "dry_run"],
) -> UUID:
    """Start a runbook for an outside agent, under the runbook's autonomy and the agent's own limits.

    Raises `Denied(runbook_not_delegated)`, `Unavailable(agent_run_limit)`, and what `journey.begin_run` raises.
    """
    delegation.check_runbook(runbook)
    at_most = delegation.live_runs_per_day if mode == "live" else None
    return await journey.begin_run(desk, principal, ticket_id, runbook, mode=mode, at_most_per_day=at_most)


async def count_own(desk: Desk, principal: Principal, statuses: Sequence[str] | None = None) -> int:
    """How many tickets the caller opened for itself."""
    async with desk.database.org_reading(principal) as connection:
        return await delegations.count_own(connection, principal, statuses)


async def withdraw(desk: Desk, principal: Principal, ticket_id: UUID) -> Ticket:
    """Close the caller's own ticket because it no longer wants it; raises `Missing`, `Conflict(ticket_ended)`.

    Done by the engine's account: a client changes no ticket by itself. A run under way stops before its next act.
    """
    engine = await desk.engine_of(principal.org_id)
    async with desk.database.org_transaction(engine) as connection:
        ticket = await tickets.find_for_update(connection, principal.org_id, ticket_id)
        if ticket.user_id != principal.user_id:
            raise Missing(f"There is no ticket {ticket_id} of yours here.", code="ticket_missing")
        if ticket.status in {"resolved", "closed"}:
            raise Conflict(f"Ticket {ticket.number} has ended.", code="ticket_ended")
        now = desk.clock()
        said = with_verdict(
            ticket,
            "unverified",
            "Withdrawn by who opened it.",
            now,
            evidence={"by": "client", "withdrawn": True},
        )
        columns = {"resolution": said.to_json(), "resolved_at": now}
        closed = await ending.close(desk, connection, principal, ticket, columns)
        await desk.queue.advance(connection, principal.org_id, ticket_id)
        return closed


async def record(desk: Desk, principal: Principal, call: AgentCall) -> None:
    """Keep that the call was made: a fact always, and a pass over the ticket where it was to change something."""
    engine = await desk.engine_of(principal.org_id)
    now = desk.clock()
    async with desk.database.org_transaction(engine) as connection:
        run_id = None if call.run_id is None else str(call.run_id)
        await facts.record(
            connection,
            principal,
            "agent.called",
            ticket_id=call.ticket_id,
            tool=call.tool,
            via=call.via,
            outcome=call.outcome,
            run_id=run_id,
        )
        if call.changes and call.ticket_id is not None:
            key = {} if principal.key_id is None else {"key": str(principal.key_id)}
            part = Invocation(
                agent="outside_agent",
                started_at=call.started_at,
                ended_at=now,
                engine_type=call.via,
                input_summary={"tool": call.tool, "account": str(principal.user_id), **key},
                output_summary={"outcome": call.outcome, "run_id": run_id},
            )
            run = Run(
                id=uuid4(),
                ticket_id=call.ticket_id,
                initiator=f"{call.via}:{principal.user_id}",
                entrypoint=f"{call.via}.{call.tool}",
                plan=(call.tool,),
                status="completed",
                started_at=call.started_at,
                ended_at=now,
                invocations=(part,),
            )
            await orchestrator.record_run(connection, principal.org_id, run)
