"""Runbooks: what they say, how far each may act by itself and why, their runs, and the emergency stop."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from asoe.desk import autonomy, journey
from asoe.desk import ticket as desk_ticket
from asoe.desk.runbook import execution, record, rehearsal, shelf
from asoe.desk.runbook import replay as replaying
from asoe.desk.runbook.lint import check
from asoe.desk.settings_text import read_settings
from asoe.domain.autonomy import LEVELS, cases_needed
from asoe.domain.errors import Conflict, Invalid
from asoe.store import directory, overview
from asoe.web.door import ADMINS, Pages, Visit
from asoe.web.live import newest

pages = Pages()
_ONE: Final = "/runbooks/{name}"
_PATIENCE: Final = 10.0
RUNS_SHOWN: Final = 20
LADDER: Final = {
    "off": "Does nothing.",
    "shadow": "Checks only, and notes what it would have done.",
    "suggest": "Checks, and tells the team what it would do.",
    "approve": "Asks a person before every act.",
    "auto": "Acts alone as far as its certificate, or lent trust, allows.",
}


@pages.get("/runbooks")
async def show_all(visit: Visit) -> Response:
    found = await shelf.list_runbooks(visit.desk, visit.principal, with_retired=True)
    words = {}
    for row in found:
        _, standing, limits = await autonomy.read_standing(visit.desk, visit.principal, str(row.id))
        words[row.id] = autonomy.describe(standing, limits, visit.desk.clock())
    runs = await record.list_runs(visit.desk, visit.principal, limit=RUNS_SHOWN)
    names = {row.id: row.name for row in found}
    async with visit.desk.database.org_reading(visit.principal) as connection:
        tickets = await overview.ticket_names(
            connection, visit.principal.org_id, (run.ticket_id for run in runs if run.ticket_id)
        )
    stopped = await autonomy.stop_reason(visit.desk, visit.principal)
    return visit.page(
        "runbooks.html", found=found, in_words=words, runs=runs, names=names, tickets=tickets, stopped=stopped
    )


@pages.post("/runbooks/stop")
async def stop(visit: Visit) -> Response:
    """The emergency stop: no further act, at once."""
    reason = visit.text("reason", most=2000).strip()
    if not reason:
        raise Invalid("reason: say why; everyone who looks reads it.", code="invalid_request")
    await autonomy.stop_acts(visit.desk, visit.principal, reason)
    undo = {"path": "/runbooks/release", "fields": []} if visit.principal.role in ADMINS else None
    return visit.back("/runbooks", "All acts are stopped.", undo=undo)


@pages.post("/runbooks/release", roles=ADMINS)
async def release(visit: Visit) -> Response:
    await autonomy.release_acts(visit.desk, visit.principal)
    return visit.back("/runbooks", "Acts are allowed again.")


@pages.get("/runbooks/new", roles=ADMINS)
async def write_new(visit: Visit) -> Response:
    from asoe.desk.runbook.template import runbook_text

    return visit.page("runbook_edit.html", source=runbook_text("my-runbook"), problem=None)


@pages.post("/runbooks/new", roles=ADMINS)
async def save_new(visit: Visit) -> Response:
    """Check and store; what is wrong is shown with its lines, and nothing that was written is lost."""
    source = visit.text("source", most=256 * 1024)
    try:
        row, version = await shelf.save(visit.desk, visit.principal, source)
    except Invalid as problem:
        return visit.page("runbook_edit.html", 422, source=source, problem=problem)
    return visit.back(f"/runbooks/{row.name}", f"Version {version.version} is stored. Publish it to put it into use.")


@pages.get(_ONE)
async def show(visit: Visit) -> Response:
    name = visit.request.path_params["name"]
    row, text = await shelf.read_version(visit.desk, visit.principal, name, visit.number("version", 0) or None)
    versions = await shelf.list_versions(visit.desk, visit.principal, name)
    _, standing, limits = await autonomy.read_standing(visit.desk, visit.principal, name)
    before = visit.moment("before")
    runs = await record.list_runs(visit.desk, visit.principal, runbook=row.name, before=before, limit=RUNS_SHOWN + 1)
    async with visit.desk.database.org_reading(visit.principal) as connection:
        names = await directory.names(connection, visit.principal.org_id, (each.created_by for each in versions))
        tickets = await overview.ticket_names(
            connection, visit.principal.org_id, (run.ticket_id for run in runs if run.ticket_id)
        )
    now = visit.desk.clock()
    return visit.page(
        "runbook.html",
        row=row,
        text=text,
        versions=versions,
        standing=standing,
        in_words=autonomy.describe(standing, limits, now),
        loan=standing.lent(now),
        needed={risk: cases_needed(limit) for risk, limit in limits.items()},
        limits=limits,
        ladder=LADDER,
        levels=LEVELS,
        runs=runs[:RUNS_SHOWN],
        newest=f"/runbooks/{row.name}#runs-title" if before else "",
        older=_older(row.name, runs[RUNS_SHOWN - 1].created_at) if len(runs) > RUNS_SHOWN else "",
        names=names,
        tickets=tickets,
        warnings=[*check(text.source), *await shelf.lacking(visit.desk, visit.principal, text.source)],
        backtests=await rehearsal.list_newest(visit.desk, visit.principal, row.id),
        most=rehearsal.MOST,
    )


def _older(name: str, before: datetime) -> str:
    return f"/runbooks/{name}?{urlencode({'before': before.isoformat()})}#runs-title"


@pages.post(_ONE + "/try")
async def try_out(visit: Visit) -> Response:
    """A dry run for a ticket: it reads and lists what it would do. One that takes longer is ended by a worker."""
    name, number = visit.request.path_params["name"], visit.text("ticket", most=20).strip().removeprefix("#")
    if not number.isascii() or not number.isdigit() or len(number) > 9:
        raise Invalid("ticket: write the number of a ticket.", code="invalid_request")
    ticket = await desk_ticket.read_by_number(visit.desk, visit.principal, int(number))
    run_id = await journey.begin_run(visit.desk, visit.principal, ticket.id, name, mode="dry_run")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            await execution.advance_run(visit.desk, await visit.desk.engine_of(visit.principal.org_id), run_id)
    return visit.back(f"/runs/{run_id}", "Nothing was done: this is what it would have done.")


@pages.post(_ONE + "/backtest", roles=ADMINS)
async def begin_backtest(visit: Visit) -> Response:
    name = visit.request.path_params["name"]
    version = visit.number("of_version", 0) or None
    most = visit.number("most", 200, low=1, high=rehearsal.MOST)
    made = await rehearsal.begin(visit.desk, visit.principal, name, most=most, version=version)
    return visit.back(f"/backtests/{made}")


@pages.get("/backtests/{backtest_id}")
async def show_backtest(visit: Visit) -> Response:
    """While it goes on, the page asks for itself again."""
    found = await rehearsal.read(visit.desk, visit.principal, visit.id("backtest_id", "backtest"))
    row, _ = await shelf.read_version(visit.desk, visit.principal, str(found.runbook_id), found.version)
    return visit.page("backtest.html", found=found, row=row, report=found.report)


@pages.post("/backtests/{backtest_id}/cancel", roles=ADMINS)
async def cancel_backtest(visit: Visit) -> Response:
    found = await rehearsal.cancel(visit.desk, visit.principal, visit.id("backtest_id", "backtest"))
    return visit.back(f"/backtests/{found.id}", "Cancelled." if found.status == "cancelled" else "It had ended.")


@pages.get(_ONE + "/edit", roles=ADMINS)
async def edit(visit: Visit) -> Response:
    _, text = await shelf.read_version(visit.desk, visit.principal, visit.request.path_params["name"])
    return visit.page("runbook_edit.html", source=text.source, problem=None)


@pages.post(_ONE + "/publish", roles=ADMINS)
async def publish(visit: Visit) -> Response:
    version = visit.number("version", 0) or None
    name = visit.request.path_params["name"]
    before = (await shelf.read_version(visit.desk, visit.principal, name))[0].published_version
    row = await shelf.publish(visit.desk, visit.principal, name, version, needs_connectors=True)
    path = f"/runbooks/{row.name}"
    undo: dict[str, Any] = {"path": f"{path}/retire", "fields": []}
    if before:
        undo = {"path": f"{path}/publish", "fields": [["version", before]]}
    said = f"Version {row.published_version} is in use."
    return visit.back(path, said, undo=undo if before != row.published_version else None)


@pages.post(_ONE + "/retire", roles=ADMINS)
async def retire(visit: Visit) -> Response:
    row = await shelf.read_version(visit.desk, visit.principal, visit.request.path_params["name"])
    before = row[0].published_version
    retired = await shelf.retire(visit.desk, visit.principal, row[0].name)
    path = f"/runbooks/{retired.name}"
    undo: dict[str, Any] | None = {"path": f"{path}/publish", "fields": [["version", before]]} if before else None
    return visit.back(path, "Out of use. Runs under way end with their version.", undo=undo)


@pages.post(_ONE + "/level", roles=ADMINS)
async def set_level(visit: Visit) -> Response:
    name = visit.request.path_params["name"]
    _, before, _ = await autonomy.read_standing(visit.desk, visit.principal, name)
    standing = await autonomy.set_level(visit.desk, visit.principal, name, visit.text("level", most=20))
    undo = {"path": f"/runbooks/{name}/level", "fields": [["level", before.level]]}
    return visit.back(f"/runbooks/{name}", LADDER[standing.level], undo=undo)


@pages.post(_ONE + "/lend", roles=ADMINS)
async def lend(visit: Visit) -> Response:
    """Owners only, which the desk sees to: trust without a certificate, for a reason and a time."""
    name = visit.request.path_params["name"]
    caps = {cap: given for cap in ("acts_per_day", "total_per_day") if (given := visit.text(cap, most=30).strip())}
    until = visit.desk.clock() + timedelta(days=visit.number("days", 30, low=1, high=90))
    await autonomy.lend(
        visit.desk, visit.principal, name, reason=visit.text("reason", most=2000), until=until, caps=caps
    )
    undo = {"path": f"/runbooks/{name}/end-loan", "fields": []}
    return visit.back(f"/runbooks/{name}", f"Trust is lent until {until:%Y-%m-%d}.", undo=undo)


@pages.post(_ONE + "/end-loan", roles=ADMINS)
async def end_loan(visit: Visit) -> Response:
    name = visit.request.path_params["name"]
    await autonomy.end_loan(visit.desk, visit.principal, name)
    return visit.back(f"/runbooks/{name}", "The loan has ended; the certificate alone decides.")


# --- runs ---


@pages.get("/runs/{run_id}")
async def show_run(visit: Visit) -> Response:
    return await _run_page(visit)


@pages.post("/runs/{run_id}/replay")
async def play_again(visit: Visit) -> Response:
    """Nothing is done, and no language model asked: the page shows what would be different."""
    version, settings = visit.number("version", 0), visit.text("settings")
    try:
        played = await replaying.replay(
            replace(visit.desk, model=None),
            visit.principal,
            visit.id("run_id", "run"),
            version=version or None,
            settings=read_settings(settings, replaying.SETTINGS) if settings.strip() else None,
            is_anew=visit.text("anew", most=5) == "yes",
        )
    except (Invalid, Conflict) as error:
        return await _run_page(visit, problem=error.message, status=422)
    return await _run_page(visit, played=played)


async def _run_page(
    visit: Visit, *, played: replaying.Replay | None = None, problem: str = "", status: int = 200
) -> Response:
    since = await newest(visit)
    found = await record.read_run(visit.desk, visit.principal, visit.id("run_id", "run"))
    versions = await shelf.list_versions(visit.desk, visit.principal, found.runbook)
    async with visit.desk.database.org_reading(visit.principal) as connection:
        tickets = await overview.ticket_names(
            connection, visit.principal.org_id, [found.run.ticket_id] if found.run.ticket_id else []
        )
    rows = sorted(
        [
            *(("step", step.seq, step) for step in found.steps),
            *(("act", action.seq, action) for action in found.actions),
        ],
        key=lambda row: row[1],
    )
    is_post = visit.request.method == "POST"
    return visit.page(
        "run.html",
        status,
        since=since,
        found=found,
        run=found.run,
        rows=rows,
        tickets=tickets,
        versions=versions,
        settings=replaying.SETTINGS,
        played=played,
        problem=problem,
        chosen=visit.number("version", 0) if is_post else 0,
        tried=visit.text("settings") if is_post else "",
        is_anew=is_post and visit.text("anew", most=5) == "yes",
    )


@pages.post("/runs/{run_id}/cancel")
async def cancel(visit: Visit) -> Response:
    run_id = visit.id("run_id", "run")
    await execution.cancel(visit.desk, visit.principal, run_id)
    return visit.back(f"/runs/{run_id}", "It stops before its next act.")


@pages.post("/runs/{run_id}/judge")
async def judge(visit: Visit) -> Response:
    """A person's word on whether the run did right: certificates rest on it."""
    run_id = visit.id("run_id", "run")
    is_right = visit.text("is_right", most=5) == "yes"
    await autonomy.judge(visit.desk, visit.principal, run_id, is_right=is_right, note=visit.text("note", most=2000))
    return visit.back(f"/runs/{run_id}", "Noted. The certificate counts it.")
