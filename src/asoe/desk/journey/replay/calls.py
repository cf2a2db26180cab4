"""An outside agent's call, judged again by other limits: whether the organization would have let it happen.

What refused it for the caller's own sake (its role, its scopes, what it asked for) no setting changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from asoe.desk.context import Desk
from asoe.desk.journey.replay.trying import Instead, Judged
from asoe.domain.delegation import AgentLimits, delegate
from asoe.domain.errors import Conflict, Denied
from asoe.domain.organization import Principal
from asoe.domain.policy import read_policy
from asoe.store import delegations, organizations, runbooks, runs
from asoe.store.db import Connection

VIA: Final = ("mcp.", "a2a.")
_BY_LIMITS: Final = frozenset({"tool_not_delegated", "runbook_not_delegated", "agent_run_limit"})
_LIVE: Final = "run_runbook"


def is_one(run: Mapping[str, Any]) -> bool:
    return bool(run["entrypoint"].startswith(VIA))


async def judge(
    desk: Desk, engine: Principal, run: Mapping[str, Any], asked: Instead
) -> tuple[Judged, Judged, Judged | None]:
    """(as it was, as it would be today, as it would be with what is tried)."""
    tool = run["entrypoint"].partition(".")[2]
    (part,) = run["invocations"]
    outcome = str(part["output"]["outcome"])
    async with desk.database.org_reading(engine) as connection:
        settings = (await organizations.read_organization(connection, engine.org_id)).settings
        started = part["output"].get("run_id")
        name = None if started is None else await _runbook(connection, engine.org_id, UUID(started))
        before = await delegations.live_runs_before(
            connection,
            engine.org_id,
            UUID(part["input"]["account"]),
            within=timedelta(days=1),
            at=run["created_at"],
            besides=None if started is None else UUID(started),
        )

    def by(stored: Mapping[str, Any]) -> Judged:
        agents = read_policy(stored).outside_agents
        key = part["input"].get("key")
        limits = agents.by_key.get(UUID(key), agents.default) if key else agents.default
        return _judged(tool, name, _refusal(tool, name, outcome, limits, before=before))

    was = _judged(tool, name, "" if outcome in {"done", "repeated"} else outcome)
    return was, by(settings), by({**settings, **(asked.settings or {})}) if asked.is_something else None


def _refusal(tool: str, runbook: str | None, outcome: str, limits: AgentLimits, *, before: int) -> str:
    """The code it would be refused with; empty when it would happen."""
    if outcome not in {"done", "repeated", *_BY_LIMITS}:
        return outcome
    delegation = delegate({tool: None}, limits)
    try:
        delegation.check(tool)
        if runbook is not None:
            delegation.check_runbook(runbook)
    except Denied as denied:
        return denied.code
    if outcome == "runbook_not_delegated" and limits.runbooks is not None:
        raise Conflict("Which runbook this call asked for is not kept, since it was refused.", code="not_replayable")
    return "agent_run_limit" if tool == _LIVE and before >= limits.live_runs_per_day else ""


def _judged(tool: str, runbook: str | None, refused: str) -> Judged:
    return Judged(
        decision=f"{tool}_refused" if refused else tool, runbook=runbook, reasons=(refused,) if refused else ()
    )


async def _runbook(connection: Connection, org_id: UUID, run_id: UUID) -> str:
    run = await runs.find(connection, org_id, run_id)
    return (await runbooks.find(connection, org_id, str(run.runbook_id))).name
