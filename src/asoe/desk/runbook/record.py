"""What staff read of runs: one whole, with its steps and acts, and lists."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from asoe.desk.context import Desk
from asoe.domain.organization import Principal
from asoe.store import runbooks, runs
from asoe.store.runs import ActionRow, Run, StepRow


@dataclass(frozen=True, slots=True)
class Record:
    """A run with all that was read, asked, meant and done, in order."""

    run: Run
    runbook: str
    steps: tuple[StepRow, ...]
    actions: tuple[ActionRow, ...]


async def read_run(desk: Desk, principal: Principal, run_id: UUID) -> Record:
    """Raises `Missing(run_missing)`."""
    async with desk.database.org_reading(principal) as connection:
        run = await runs.find(connection, principal.org_id, run_id)
        row = await runbooks.find(connection, principal.org_id, str(run.runbook_id))
        steps = await runs.steps(connection, principal.org_id, run_id)
        actions = await runs.actions(connection, principal.org_id, run_id)
    return Record(run, row.name, tuple(steps), tuple(actions))


async def list_runs(
    desk: Desk,
    principal: Principal,
    *,
    ticket_id: UUID | None = None,
    runbook: str | None = None,
    status: str | None = None,
    before: datetime | None = None,
    limit: int = 50,
) -> list[Run]:
    """Newest first; `before` pages on. Raises `Missing(runbook_missing)` for a runbook that is not there."""
    async with desk.database.org_reading(principal) as connection:
        runbook_id = None if runbook is None else (await runbooks.find(connection, principal.org_id, runbook)).id
        return await runs.list_runs(
            connection,
            principal.org_id,
            ticket_id=ticket_id,
            runbook_id=runbook_id,
            status=status,
            before=before,
            limit=limit,
        )
