"""The record of autonomous passes: one orchestrator run each, one invocation per agent that took part."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from asoe.domain.errors import Missing
from asoe.domain.language_model import ModelUsage
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class OrchestratorSql(NamedQueries):
    record_run: str
    runs_of_ticket: str
    find_run: str


@dataclass(frozen=True, slots=True)
class Invocation:
    """What one agent was given and gave back, in ids, classes and figures."""

    agent: str
    started_at: datetime
    ended_at: datetime
    engine_type: str = "local"
    input_summary: dict[str, Any] = field(default_factory=dict)
    output_summary: dict[str, Any] = field(default_factory=dict)
    usage: ModelUsage = field(default_factory=ModelUsage)


@dataclass(frozen=True, slots=True)
class Run:
    """One pass; `plan` lists the steps in words, `status` is how it ended, `basis` what it went by (see `journey.basis`)."""

    id: UUID
    ticket_id: UUID
    initiator: str
    entrypoint: str
    plan: tuple[str, ...]
    status: str
    started_at: datetime
    ended_at: datetime
    invocations: tuple[Invocation, ...] = ()
    error: str | None = None
    basis: dict[str, Any] = field(default_factory=dict)


async def record_run(connection: Connection, org_id: UUID, run: Run) -> None:
    """Write the run and its invocations; the caller's transaction decides whether it happened."""
    parts = [
        {
            "agent": part.agent,
            "engine_type": part.engine_type,
            "input_summary": part.input_summary,
            "output_summary": part.output_summary,
            "tokens_in": part.usage.tokens_in,
            "tokens_out": part.usage.tokens_out,
            "cost_usd": float(part.usage.cost_usd or 0),
            "started_at": part.started_at.isoformat(),
            "ended_at": part.ended_at.isoformat(),
        }
        for part in run.invocations
    ]
    await connection.execute(
        OrchestratorSql.record_run,
        org_id,
        run.id,
        run.ticket_id,
        run.initiator,
        run.entrypoint,
        list(run.plan),
        run.status,
        run.error,
        run.started_at,
        run.ended_at,
        parts,
        run.basis,
    )


async def runs_of_ticket(
    connection: Connection, org_id: UUID, ticket_id: UUID, *, limit: int = 50
) -> list[dict[str, Any]]:
    """Runs with their invocations, newest first, as plain values."""
    return [dict(row) for row in await connection.fetch(OrchestratorSql.runs_of_ticket, org_id, ticket_id, limit)]


async def find_run(connection: Connection, org_id: UUID, run_id: UUID) -> dict[str, Any]:
    """One run with its invocations and `basis`; raises `Missing(agent_run_missing)`."""
    row = await connection.fetchrow(OrchestratorSql.find_run, org_id, run_id)
    if row is None:
        raise Missing(f"There is no agents' run {run_id} here.", code="agent_run_missing")
    return dict(row)
