"""`asoe intent`: the organization's own intents. Acts as the organization's owner."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from asoe.cli.door import DataDir, Json, OrgOption, acting, run, show, show_one

app = typer.Typer(help="List, add, edit and retire intents of the organization's own.", no_args_is_help=True)
_Name = Annotated[str, typer.Argument(help="Its name (asoe intent list).")]
_Title = typer.Option(help="What these tickets are about, in a few words.")
_Description = typer.Option(help="The same in a sentence or two; triage reads it, too.")
_Example = typer.Option("--example", help="How a client might say it; up to 20 times.")
_COLUMNS = ("name", "category", "title", "examples", "retired_at")


@app.command("list")
def list_intents(
    *,
    every: Annotated[bool, typer.Option("--all", help="Those retired, too.")] = False,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List own intents by category."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import intent

        return await intent.list_intents(desk, owner, with_retired=every)

    empty = "None: everybody's intents are used. Add one: asoe intent add NAME --category CATEGORY --title TITLE"
    show(run(acting(work, org, data_dir)), _COLUMNS, as_json=as_json, empty=empty)


@app.command("add")
def add_intent(
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits and underscores; it stays for good.")],
    *,
    category: Annotated[str, typer.Option(help="One of the eight categories; it stays for good.")],
    title: Annotated[str, _Title],
    description: Annotated[str, _Description] = "",
    examples: Annotated[list[str] | None, _Example] = None,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Add an intent: triage finds tickets of it from now on, by title, description and examples."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import intent

        return await intent.add_intent(
            desk, owner, name, category=category, title=title, description=description, examples=examples or ()
        )

    show_one(run(acting(work, org, data_dir)), as_json=as_json)


@app.command("edit")
def edit_intent(
    name: _Name,
    *,
    title: Annotated[str | None, _Title] = None,
    description: Annotated[str | None, _Description] = None,
    examples: Annotated[list[str] | None, _Example] = None,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Change its words; examples given take the place of those there were."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import intent

        return await intent.edit_intent(
            desk, owner, name, title=title, description=description, examples=examples or None
        )

    show_one(run(acting(work, org, data_dir)), as_json=as_json)


@app.command("retire")
def retire_intent(
    name: _Name,
    *,
    back: Annotated[bool, typer.Option("--back", help="Put a retired one to use again.")] = False,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Let triage find it no more; tickets that have it keep it."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import intent

        return await intent.retire_intent(desk, owner, name, is_retired=not back)

    show_one(run(acting(work, org, data_dir)), as_json=as_json)
