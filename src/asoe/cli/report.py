"""`asoe report`: what became of an organization's tickets and what it took, and the proof that the counters are right."""

from __future__ import annotations

import csv
import sys
from typing import Annotated, Any

import typer

from asoe.cli.door import DataDir, Json, OrgOption, acting, out, print_json, run, say, show
from asoe.domain.errors import Conflict

app = typer.Typer(
    help="Report what became of tickets and what it took; verify the counters.", invoke_without_command=True
)


@app.callback()
def report(
    *,
    context: typer.Context,
    month: Annotated[str | None, typer.Option(help="Such as 2026-11; otherwise the last 30 days.")] = None,
    since: Annotated[str | None, typer.Option(help="First day, such as 2026-11-01.")] = None,
    until: Annotated[str | None, typer.Option(help="Last day.")] = None,
    category: Annotated[str | None, typer.Option(help="Only this category.")] = None,
    intent: Annotated[str | None, typer.Option(help="Only this intent.")] = None,
    resolution: Annotated[str | None, typer.Option(help="Only this resolution type.")] = None,
    runbook: Annotated[str | None, typer.Option(help="Only this runbook.")] = None,
    channel: Annotated[str | None, typer.Option(help="Only this channel.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only given to a person for this reason.")] = None,
    client: Annotated[str | None, typer.Option(help="Only of this client (an id).")] = None,
    by_client: Annotated[bool, typer.Option("--by-client", help="Also the clients with most tickets.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV on standard output, for a spreadsheet.")] = False,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Report what became of tickets and what it took."""
    if context.invoked_subcommand is not None:
        return
    given = {
        "month": month, "since": since, "until": until, "category": category, "intent": intent, "resolution": resolution,
        "runbook": runbook, "channel": channel, "reason": reason, "client": client,
    }  # fmt: skip

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import report as desk_report

        of = desk_report.read_slice(given, desk.clock().date())
        found = await desk_report.read_report(desk, owner, of, with_clients=by_client)
        return desk_report.to_rows(found) if as_csv else desk_report.to_json(found)

    found = run(acting(work, org, data_dir))
    if as_csv:
        csv.writer(sys.stdout, lineterminator="\n").writerows(found)
    elif as_json:
        print_json(found)
    else:
        _print(found)


@app.command()
def verify(
    *,
    repair: Annotated[bool, typer.Option("--repair", help="Count the days that differ anew.")] = False,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Recount everything from tickets and facts, and say the first difference of each day."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import counting

        return [each async for each in counting.verify(desk, owner, repair=repair)]

    days = run(acting(work, org, data_dir))
    wrong = [each for each in days if each is not None]
    show(wrong, ("day", "what", "kept", "recounted"), as_json=as_json, empty="The counters equal a recount.")
    say(f"{len(days)} days were recounted; {len(wrong)} {'differed and were counted anew' if repair else 'differ'}.")
    if wrong and not repair:
        raise Conflict(
            "The counters differ from a recount. `asoe report verify --repair` counts these days anew.",
            code="counters_differ",
        )


def _print(found: dict[str, Any]) -> None:
    total = found["total"]
    out.print(f"[bold]{found['since']} to {found['until']}[/]: {total['tickets']} tickets, {total['resting']} rest")
    if found["uncounted_facts"]:
        say(f"{found['uncounted_facts']} facts have not been counted yet.")
    rows = [
        {
            "rate": name.replace("_", " "),
            "share": _percent(rate["share"]),
            "of": f"{rate['hits']} of {rate['of']}",
            "interval": f"{_percent(rate['low'])} to {_percent(rate['high'])}",
        }
        for name, rate in total["rates"].items()
        if rate["of"]
    ]
    show(rows, ("rate", "share", "of", "interval"), as_json=False, empty="No ticket rests.")
    for name in ("first_response", "resolution_time"):
        if total[name]["tickets"]:
            out.print(
                f"{name.replace('_', ' ')}: median {_time(total[name]['median_seconds'])}, "
                f"p90 {_time(total[name]['p90_seconds'])}, of {total[name]['tickets']} tickets"
            )
    for reason in found["groups"]["reason"]:
        out.print(f"{reason['tickets']} given to a person: {reason['value']}", markup=False)
    for unit, amount in found["moved"].items():
        out.print(f"moved by runs: {amount} {unit}", markup=False)
    spared = found["spared_minutes"]
    out.print(
        f"minutes of people (an estimate): {total['people_minutes']:.0f}; spared: {'–' if spared is None else f'{spared:.0f}'}"
    )
    out.print(f"replies by people: {total['replies']}; model tokens: {total['tokens']}, {total['model_cost_usd']} USD")
    say("What each figure means: asoe report --json, definitions; or docs/insights.md.")


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
