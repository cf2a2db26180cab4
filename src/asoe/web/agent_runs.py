"""One pass of the agents: its tree, for people and as a file, and the same pass judged again with something else."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

from asoe.desk import learning
from asoe.desk import ticket as desk_ticket
from asoe.desk.journey.replay import SETTINGS, Instead, Replay, is_replayable, replay
from asoe.desk.settings_text import read_settings, read_versions
from asoe.domain.errors import Conflict, Invalid, Missing
from asoe.store import overview
from asoe.web.door import Pages, Visit
from asoe.web.ticket import readable_run

pages = Pages()
_ONE = "/agent-runs/{agent_run_id}"


@pages.get(_ONE)
async def show(visit: Visit) -> Response:
    return await _page(visit)


@pages.post(_ONE + "/replay")
async def judge_again(visit: Visit) -> Response:
    """Nothing is done: the page shows what would be different."""
    model, policy = visit.text("model", most=12), visit.text("policy")
    try:
        settings = read_settings(policy, SETTINGS) if policy.strip() else None
        number = visit.number("model", 0) if model else None
        instead = Instead(number, settings, versions=read_versions(visit.text("versions", most=2000)))
        found = await replay(visit.desk, visit.principal, visit.id("agent_run_id", "run"), instead)
    except (Invalid, Conflict) as error:
        return await _page(visit, problem=error.message, status=422)
    except Missing as error:
        if error.code not in {"runbook_missing", "runbook_version_missing"}:
            raise
        return await _page(visit, problem=error.message, status=422)
    return await _page(visit, found=found)


@pages.get(_ONE + "/export")
async def export(visit: Visit) -> Response:
    """The tree as a file."""
    run_id = visit.id("agent_run_id", "run")
    found = await desk_ticket.run(visit.desk, visit.principal, run_id)
    return Response(
        json.dumps(found, default=str, ensure_ascii=False, indent=1),
        media_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="agent-run-{run_id}.json"'},
    )


async def _page(visit: Visit, *, found: Replay | None = None, problem: str = "", status: int = 200) -> Response:
    run = await desk_ticket.run(visit.desk, visit.principal, visit.id("agent_run_id", "run"))
    if run["ticket_id"] is None:
        raise Missing("There is no such run here.", code="missing")
    models = [each for each in await learning.list_models(visit.desk, visit.principal) if each.base_version]
    async with visit.desk.database.org_reading(visit.principal) as connection:
        tickets = await overview.ticket_names(connection, visit.principal.org_id, [run["ticket_id"]])
    return visit.page(
        "agent_run.html",
        status,
        run=readable_run(run, {}),
        may_replay=is_replayable(run),
        carried=(run["basis"].get("journey") or {}).get("run"),
        models=models,
        settings=SETTINGS,
        tickets=tickets,
        found=found,
        rows=_rows(found) if found else [],
        chosen=visit.text("model", most=12) if visit.request.method == "POST" else "",
        policy=visit.text("policy") if visit.request.method == "POST" else "",
        versions=visit.text("versions", most=2000) if visit.request.method == "POST" else "",
        problem=problem,
    )


def _rows(found: Replay) -> list[dict[str, Any]]:
    """A line for each thing that is told, with whether it moved by itself, or by what was tried."""
    since, by_it = {each.what for each in found.since}, {each.what for each in found.differences}
    sides = {"was": found.was, "today": found.today, "instead": found.instead}
    names = found.was.__dataclass_fields__
    return [
        {
            "what": name,
            "moved": name in since,
            "changed": name in by_it,
            **{side: _said(getattr(judged, name)) if judged else "" for side, judged in sides.items()},
        }
        for name in names
        if name != "consulted"
    ]


def _said(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value or "")
