"""`asoe wish`: what clients want and no article offers. Acts as the organization's owner."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from asoe.cli.door import DataDir, Json, OrgOption, Yes, acting, identifier, run, say, show, show_one, sure

app = typer.Typer(help="List, show, merge, split and ship wishes of clients.", no_args_is_help=True)
_Number = Annotated[int, typer.Argument(min=1, help="Number of the wish (asoe wish list).")]
_COLUMNS = ("number", "title", "status", "clients", "tickets", "plans", "told")


@app.command("list")
def list_wishes(
    *,
    status: Annotated[str | None, typer.Option(help="open, planned, shipped, declined or merged.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 200,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List wishes, those that most clients want first; a client counts once."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import wish

        return await wish.list_wishes(desk, owner, status=status, limit=limit)

    show(run(acting(work, org, data_dir)), _COLUMNS, as_json=as_json, empty="No client has wished for anything.")


@app.command("show")
def show_wish(number: _Number, *, org: OrgOption = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Show a wish and the tickets that speak for it."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import wish

        return await wish.read_wish(desk, owner, number)

    found = run(acting(work, org, data_dir))
    if as_json:
        show_one(found, as_json=True)
        return
    show_one(found.wish, as_json=False)
    columns = ("ticket_number", "plan", "created_at", "told_at", "came_with", "ticket_id")
    show(found.supporters, columns, as_json=False)


@app.command()
def change(
    number: _Number,
    *,
    title: Annotated[str | None, typer.Option(help="Its name in your own words.")] = None,
    status: Annotated[str | None, typer.Option(help="open, planned or declined.")] = None,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Name a wish, or say what becomes of it."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import wish

        return await wish.change_wish(desk, owner, number, title=title, status=status)

    show_one(run(acting(work, org, data_dir)), as_json=as_json)


@app.command()
def merge(
    number: _Number,
    into: Annotated[int, typer.Argument(min=1, help="Number of the wish that stays.")],
    *,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Count the supporters of one wish with another; `split` takes it back."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import wish

        return await wish.merge_wishes(desk, owner, number, into=into)

    show_one(run(acting(work, org, data_dir)), as_json=as_json)


@app.command()
def split(
    number: _Number,
    *,
    ticket: Annotated[
        list[str] | None, typer.Option(help="Id of a ticket that wants something else; repeat it for more.")
    ] = None,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Let a merged wish stand by itself again, or make some tickets of a wish one of their own."""
    wanted = [identifier(each, of="ticket") for each in ticket or ()]

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import wish

        return await wish.split_wish(desk, owner, number, ticket_ids=wanted)

    show_one(run(acting(work, org, data_dir)), as_json=as_json)


@app.command()
def ship(
    number: _Number,
    *,
    note: Annotated[str, typer.Option(help="What its supporters are told with it.")] = "",
    yes: Yes = False,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """It exists now: every client who wants it is told once, by the worker."""
    sure(f"Tell every client who wants wish {number} that it is there?", yes=yes)

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import wish

        return await wish.ship_wish(desk, owner, number, note=note)

    found = run(acting(work, org, data_dir))
    show_one(found, as_json=as_json)
    if not as_json:
        say(
            f"{found.clients - found.told} clients will be told on their tickets as soon as a worker (asoe serve) runs."
        )
