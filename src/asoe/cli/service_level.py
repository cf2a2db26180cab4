"""`asoe service-level`: what an organization promises its clients, set from a file, and what presses now."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from asoe.cli.door import DataDir, Json, OrgOption, acting, read_text, run, say, show, show_settings

app = typer.Typer(help="Set and read service levels and business hours, and see what presses.", no_args_is_help=True)


@app.command("show")
def show_levels(*, org: OrgOption = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Show business hours and targets as they are set; without --json in the form that `set` reads."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import service_level

        hours, levels = await service_level.read_levels(desk, owner)
        return {"business_hours": hours, "service_levels": levels}

    show_settings(run(acting(work, org, data_dir)), as_json=as_json)


@app.command("set")
def set_levels(
    *,
    file: Annotated[Path, typer.Argument(help="YAML or JSON with business_hours, service_levels or both; - reads it.")],
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Replace business hours, targets or both (docs/service-levels.md shows the form)."""
    from asoe.desk.settings_text import read_settings

    given = read_settings(read_text(file), ("business_hours", "service_levels"))

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import service_level

        hours, levels = await service_level.change_levels(
            desk, owner, business_hours=given.get("business_hours"), levels=given.get("service_levels")
        )
        return {"business_hours": hours, "service_levels": levels}

    show_settings(run(acting(work, org, data_dir)), as_json=as_json)


@app.command()
def pressing(*, limit: int = 50, org: OrgOption = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """List what is missed or will be soon, the first due first."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import service_level

        return await service_level.pressing(desk, owner, limit=limit)

    found = run(acting(work, org, data_dir))
    rows = [
        {
            "number": each.number,
            "target": each.clock.kind,
            "due_at": each.clock.due_at,
            "breached_at": each.clock.breached_at,
            "subject": each.subject,
            "ticket_id": str(each.ticket_id),
        }
        for each in found.clocks
    ]
    show(rows, ("number", "target", "due_at", "breached_at", "subject"), as_json=as_json, empty="Nothing presses.")
    if not as_json and rows:
        say(f"{found.warned} tickets are at risk, {found.breached} have missed something.")
