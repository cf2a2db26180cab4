"""`asoe routing`: teams, people and rules of escalation of an organization, set from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from asoe.cli.door import DataDir, Json, OrgOption, acting, read_text, run, say, show_settings

app = typer.Typer(help="Set and read teams, people, rotas and rules of escalation.", no_args_is_help=True)
_PARTS: Final = ("teams", "people", "escalation")


@app.command("show")
def show_routing(*, org: OrgOption = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Show teams, people and rules as they are set; without --json in the form that `set` reads."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import routing

        return await routing.read_teams(desk, owner), await routing.teams_without_people(desk, owner)

    found, without_people = run(acting(work, org, data_dir))
    show_settings(found, as_json=as_json)
    _say_whom_nobody_takes(without_people)


@app.command("set")
def set_routing(
    *,
    file: Annotated[
        Path, typer.Argument(help="YAML or JSON with teams, people, escalation or some of them; - reads it.")
    ],
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Replace teams, people or rules (docs/escalation.md shows the form)."""
    from asoe.desk.settings_text import read_settings

    given = read_settings(read_text(file), _PARTS)

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import routing

        changed = await routing.change_teams(desk, owner, **given)
        return changed, await routing.teams_without_people(desk, owner)

    found, without_people = run(acting(work, org, data_dir))
    show_settings(found, as_json=as_json)
    _say_whom_nobody_takes(without_people)


def _say_whom_nobody_takes(teams: tuple[str, ...]) -> None:
    if teams:
        say(
            f"Nobody is in {', '.join(teams)}: owners and admins get what is sent there, at any hour (docs/escalation.md)."
        )
