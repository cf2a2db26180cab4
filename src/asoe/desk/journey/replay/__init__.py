"""Any pass of the agents judged again with something else in the place of what judged: nothing is done, sent or stored.

It is told what the pass was told, up to the same message. What is not kept (articles, runbooks, which incidents there are) is as
it is today: so the pass is judged twice, as everything is now and with the change, and each difference is told apart. How each
kind is judged is `passes.py`'s (a look at a ticket), `calls.py`'s (an outside agent's call) and `drafts.py`'s (a worded article).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any
from uuid import UUID

from asoe.desk.context import Desk
from asoe.desk.journey.replay import calls, drafts, passes
from asoe.desk.journey.replay.trying import (
    LONGEST_PROMPT,
    MOST_VERSIONS,
    SETTINGS,
    Difference,
    Instead,
    Judged,
    Replay,
    check,
)
from asoe.domain.errors import Conflict
from asoe.domain.organization import Principal
from asoe.store import orchestrator

__all__ = [
    "LONGEST_PROMPT",
    "MOST_VERSIONS",
    "SETTINGS",
    "Difference",
    "Instead",
    "Judged",
    "Replay",
    "is_replayable",
    "replay",
]


def is_replayable(run: Mapping[str, Any]) -> bool:
    """Whether it was kept what the pass went by: of those that are older than replays it was not."""
    return calls.is_one(run) or (bool(run["basis"]) and not isinstance(run["basis"].get("incident"), str))


async def replay(desk: Desk, principal: Principal, run_id: UUID, instead: Instead | None = None) -> Replay:
    """Judge the pass again; staff only, and owners and admins where the language model is asked.

    Raises `Missing(agent_run_missing | model_missing | runbook_missing | runbook_version_missing)`,
    `Conflict(not_replayable | model_not_usable)`, `Invalid(bad_policy | bad_replay | bad_model)`, `Denied(staff_only | admin_only)`.
    """
    asked = instead or Instead()
    check(desk, principal, asked)
    async with desk.database.org_reading(principal) as connection:  # by the caller's own rights
        run = await orchestrator.find_run(connection, principal.org_id, run_id)
    if not is_replayable(run):
        raise Conflict(
            "It was not kept what this pass went by: it was recorded before passes of its kind could be replayed.",
            code="not_replayable",
        )
    engine = await desk.engine_of(principal.org_id)
    kind = calls if calls.is_one(run) else drafts if drafts.is_one(run) else passes
    was, today, changed = await kind.judge(desk, engine, run, asked)
    return Replay(
        run_id=run_id,
        ticket_id=run["ticket_id"],
        was=was,
        today=today,
        instead=changed,
        since=_differences(was, today),
        differences=() if changed is None else _differences(today, changed),
    )


def _differences(before: Judged, after: Judged) -> tuple[Difference, ...]:
    pairs = [(each.name, getattr(before, each.name), getattr(after, each.name)) for each in fields(Judged)]
    return tuple(Difference(name, one, other) for name, one, other in pairs if one != other)
