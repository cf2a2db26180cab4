"""`asoe canned-reply`: texts that the team sends often. Acts as the organization's owner; filling one in sends nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from asoe.cli.door import DataDir, Json, OrgOption, Yes, acting, out, read_text, run, say, show, show_one, sure

app = typer.Typer(help="List, write, fill in and remove canned replies.", no_args_is_help=True)
_Name = Annotated[str, typer.Argument(help="Its name (asoe canned-reply list).")]
_COLUMNS = ("name", "title", "language", "body", "updated_at")


@app.command("list")
def list_replies(
    *,
    language: Annotated[str | None, typer.Option(help="Only those for it and for every language, such as de.")] = None,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List canned replies by title."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import canned_reply

        return await canned_reply.list_replies(desk, owner, language=language)

    empty = "None. Write one: asoe canned-reply put NAME FILE --title TITLE"
    show(run(acting(work, org, data_dir)), _COLUMNS, as_json=as_json, empty=empty)


@app.command("put")
def put_reply(
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits and hyphens.")],
    file: Annotated[Path, typer.Argument(help="File with the text; - reads standard input.")],
    *,
    title: Annotated[str, typer.Option(help="What people choose it by.")],
    language: Annotated[str | None, typer.Option(help="Only for tickets in it, such as de; else for all.")] = None,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Add a canned reply, or replace the one of this name. Variables stand in {{ }}; docs/hybrid.md lists them."""
    body = read_text(file)

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import canned_reply

        return await canned_reply.put_reply(desk, owner, name, title=title, body=body, language=language)

    show_one(run(acting(work, org, data_dir)), as_json=as_json)


@app.command("fill")
def fill_reply(
    name: _Name,
    *,
    ticket: Annotated[str, typer.Option(help="Number or id of the ticket whose values are put in.")],
    org: OrgOption = None,
    data_dir: DataDir = None,
) -> None:
    """Print a canned reply with a ticket's values; nothing is sent."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.cli.ticket import find_ticket
        from asoe.desk import canned_reply

        found = await find_ticket(desk, owner, ticket)
        return await canned_reply.fill_in(desk, owner, found.id, name)

    out.print(run(acting(work, org, data_dir)), markup=False)


@app.command("remove")
def remove_reply(name: _Name, *, yes: Yes = False, org: OrgOption = None, data_dir: DataDir = None) -> None:
    """Delete a canned reply."""
    sure(f"Delete the canned reply {name}?", yes=yes)

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import canned_reply

        await canned_reply.remove_reply(desk, owner, name)

    run(acting(work, org, data_dir))
    say("It is removed.")
