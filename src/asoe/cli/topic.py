"""`asoe topics`: what an organization's tickets are about, and finding it anew. Acts as the organization's owner."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from asoe.cli.door import DataDir, Json, OrgOption, acting, print_json, run, say, show, show_one

app = typer.Typer(
    help="Show what tickets are about, how that changes and what it takes; find it anew.", invoke_without_command=True
)


@app.callback()
def topics(
    *,
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many topics, those of most tickets first.")] = 30,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show the topics that were found last, those of most tickets first."""
    if context.invoked_subcommand is not None:
        return

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import topic

        return topic.to_json(await topic.read_topics(desk, owner))

    found = run(acting(work, org, data_dir))
    if as_json:
        print_json({**found, "items": found["items"][:limit]})
        return
    columns = ("number", "topic", "tickets", "share", "change", "median", "replies")
    show([_row(each) for each in found["items"][:limit]], columns, as_json=False, empty="No topic has been found yet.")
    for each in found["ended"]:
        into = f" went into topic {each['merged_into']}" if each["merged_into"] else " has ended"
        say(f"Topic {each['number']} ({each['name']}){into}.")
    if found["made_at"]:
        say(
            f"Found on {found['made_at']:%Y-%m-%d %H:%M} UTC in {found['tickets']} tickets; {found['of_none']} are of none."
        )


@app.command()
def compute(*, org: OrgOption = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Find topics now; otherwise the worker does it once a day."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import topic

        return await topic.compute(desk, owner)

    show_one(run(acting(work, org, data_dir)), as_json=as_json)


def _row(each: dict[str, Any]) -> dict[str, Any]:
    change, seconds = each["change"], each["figures"]["resolution_time"]["median_seconds"]
    said = "" if change["ratio"] is None else f" × {change['ratio']:.1f}"
    return {
        "number": each["number"],
        "topic": each["name"] or f"topic {each['number']}",
        "tickets": each["tickets"],
        "share": "–" if each["share"]["share"] is None else f"{100 * each['share']['share']:.1f} %",
        "change": change["verdict"] + said,
        "median": "–" if seconds is None else f"{seconds / 3600:.1f} h",
        "replies": each["figures"]["replies"],
    }
