"""`asoe runbook run | runs | log | cancel | judge | replay | backtest`: runbooks on tickets. Acts as the organization's owner."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from asoe.cli.door import DataDir, Json, OrgOption, acting, err, identifier, out, print_json, run, say, show

Name = Annotated[str, typer.Argument(help="Name of the runbook.")]
RunId = Annotated[str, typer.Argument(help="Id of the run.")]


def add_to(app: typer.Typer) -> None:
    app.command("run")(run_runbook)
    app.command("runs")(list_runs)
    app.command("log")(show_run)
    app.command()(cancel)
    app.command()(judge)
    app.command()(replay)
    app.command()(backtest)


def run_runbook(
    *,
    name: Name,
    ticket: Annotated[str, typer.Option(help="Number or id of the ticket it is for.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read only, and list what it would do.")] = False,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Start a published runbook for a ticket, under the same autonomy as always; wait for a dry run's result."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.cli.ticket import find_ticket
        from asoe.desk import journey
        from asoe.desk.runbook import execution, record

        found = await find_ticket(desk, owner, ticket)
        run_id = await journey.begin_run(desk, owner, found.id, name, mode="dry_run" if dry_run else "live")
        if dry_run:
            await execution.advance_run(desk, await desk.engine_of(owner.org_id), run_id)
        return await record.read_run(desk, owner, run_id)

    _print(run(acting(work, org, data_dir)), as_json=as_json)


def list_runs(
    *,
    runbook: Annotated[str | None, typer.Option(help="Only this runbook's.")] = None,
    status: Annotated[str | None, typer.Option(help="Only those that ended, or stand, so.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 20,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List runs, newest first."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk.runbook import record

        return await record.list_runs(desk, owner, runbook=runbook, status=status, limit=limit)

    columns = ("id", "status", "mode", "waiting_for", "reason", "ticket_id", "created_at", "ended_at")
    show(run(acting(work, org, data_dir)), columns, as_json=as_json, empty="No runs.")


def show_run(*, run_id: RunId, org: OrgOption = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Show a run with each check, act, evidence and its verdict."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk.runbook import record

        return await record.read_run(desk, owner, identifier(run_id, of="run"))

    _print(run(acting(work, org, data_dir)), as_json=as_json)


def cancel(*, run_id: RunId, org: OrgOption = None, data_dir: DataDir = None) -> None:
    """Stop a run before its next act; what it has done stays done."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk.runbook import execution

        return await execution.cancel(desk, owner, identifier(run_id, of="run"))

    run(acting(work, org, data_dir))
    say("The run stops before its next act.")


def judge(
    *,
    run_id: RunId,
    right: Annotated[bool, typer.Option("--right/--wrong", help="Whether the run did right.")],
    audit: Annotated[bool, typer.Option("--audit", help="A blind look at a run of the random sample.")] = False,
    note: Annotated[str, typer.Option(help="Why.")] = "",
    org: OrgOption = None,
    data_dir: DataDir = None,
) -> None:
    """Say whether a run did right; certificates rest on such judgements."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import autonomy

        source = "audit" if audit else "person"
        wanted = identifier(run_id, of="run")
        await autonomy.judge(desk, owner, wanted, is_right=right, source=source, note=note)

    run(acting(work, org, data_dir))
    say("Noted.")


def replay(
    *,
    run_id: RunId,
    version: Annotated[int | None, typer.Option(min=1, help="With this version of the runbook.")] = None,
    runbook: Annotated[str | None, typer.Option(help="With this other runbook.")] = None,
    settings: Annotated[Path | None, typer.Option(help="With the settings of this file (YAML) over your own.")] = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="Read the client's words anew, with the models of today.")
    ] = False,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Play a run again with something else, from what it was told; do nothing, and show what would be different."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk.runbook import replay as again
        from asoe.desk.settings_text import read_settings

        given = None if settings is None else read_settings(settings.read_text("utf-8"), again.SETTINGS)
        wanted = identifier(run_id, of="run")
        return await again.replay(desk, owner, wanted, runbook=runbook, version=version, settings=given, is_anew=anew)

    found = run(acting(work, org, data_dir))
    if as_json:
        print_json(found.to_json())
        return
    for name, side in (("was", found.was), ("now", found.now)):
        ended = f"{side.verdict or 'nobody can tell'} {side.reason}".strip()
        out.print(
            f"{name}: {side.runbook} v{side.version} – {ended}; acts: {', '.join(side.acts) or 'none'}", markup=False
        )
    out.print("\n".join(found.differences) or "Nothing would be different.", markup=False)


def backtest(
    *,
    name: Name,
    last: Annotated[int, typer.Option(min=1, max=10_000, help="Over so many past tickets, newest first.")] = 200,
    version: Annotated[int | None, typer.Option(min=1, help="This version instead of the one in use.")] = None,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Rehearse a runbook over past tickets: would it have acted, does that agree with what people did, at what cost."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk.runbook import backtest as past

        with Progress(console=err, transient=True) as bar:
            task = bar.add_task("Rehearsing", total=last)
            return await past.backtest(
                desk, owner, name, version=version, most=last, progress=lambda done: bar.update(task, completed=done)
            )

    report = run(acting(work, org, data_dir))
    if as_json:
        print_json(report.to_json())
        return
    out.print(report.in_words(), markup=False)
    show(
        report.cases, ("number", "would", "acts", "amount", "people", "agrees"), as_json=False, empty="No past tickets."
    )


def _print(found: Any, *, as_json: bool) -> None:
    from asoe.api.run_shapes import run_record

    shown = run_record(found)
    if as_json:
        print_json(shown)
        return
    ended = f"{shown['status']}: {shown['reason'] or shown['waiting_for'] or 'under way'}"
    out.print(f"{found.runbook} v{shown['version']} ({shown['mode']}) – {ended}", markup=False)
    if shown["note"]:
        out.print(shown["note"], markup=False)
    rows = [
        {"seq": step["seq"], "what": step["kind"], "where": step["path"], "came of it": step["told"]}
        for step in shown["steps"]
    ]
    rows += [
        {"seq": act["seq"], "what": "ACT", "where": act["path"],
         "came of it": f"{act['connector']}.{act['action']} {act['arguments']}: {act['status']} {act['error'] or ''}"}
        for act in shown["actions"]
    ]  # fmt: skip
    show(sorted(rows, key=lambda row: row["seq"]), ("seq", "what", "where", "came of it"), as_json=False)
