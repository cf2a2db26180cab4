"""Rows that a run stands on, written as the app role."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from asoe.connectors.contract import Action
from asoe.domain.runbook import Act, Call, Perform
from asoe.store import runbooks


@dataclass(frozen=True)
class Run:
    id: UUID
    runbook_id: UUID
    version: int = 1
    ticket_id: UUID | None = None


ACTION = Action("unlock", "reversible", has_probe=True)
REFUND = Action("refund", "costly", repeats="by_key", amount="amount")


def perform(path: str = "steps/unlock/act/0", *, amount: str | None = None, **arguments) -> Perform:
    call = Call("estate", "unlock", arguments or {"id": "a1"})
    return Perform(path, Act(call), call, amount=None if amount is None else Decimal(amount))


async def make_runbook(database, org, name: str = "unlock", *, source: str = "") -> UUID:
    async with database.org_transaction(org.admin) as connection:
        runbook_id, version, _ = await runbooks.put(
            connection,
            org.org_id,
            name=name,
            title="Unlock",
            resolution_type="auto_fix",
            source=source or f"# {name}",
            digest=name,
            by=org.admin.user_id,
        )
        await runbooks.publish(connection, org.org_id, runbook_id, version)
        return runbook_id


async def make_run(
    database,
    org,
    runbook_id: UUID,
    *,
    status: str = "running",
    alone: bool = False,
    mode: str = "live",
    version: int = 1,
) -> Run:
    """A run without a ticket; `alone`: it did one act that nobody approved."""
    ended = datetime.now(UTC) if status not in {"pending", "running", "waiting"} else None
    async with database.org_transaction(org.engine) as connection:
        run_id = await connection.fetchval(
            "insert into asoe.runbook_runs (org_id, runbook_id, version, status, ended_at, mode) "
            "values ($1, $2, $6, $3, $4, $5) returning id",
            org.org_id, runbook_id, status, ended, mode, version,
        )  # fmt: skip
        if alone:
            await connection.execute(
                "insert into asoe.run_actions (org_id, run_id, seq, path, connector, action, risk, arguments, idempotency_key, status, amount) "
                "values ($1, $2, 1, 'steps/x/act/0', 'estate', 'unlock', 'reversible', '{}', $3, 'done', 10)",
                org.org_id, run_id, str(run_id),
            )  # fmt: skip
    return Run(run_id, runbook_id, version)
