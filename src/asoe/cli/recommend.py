"""`asoe recommend`: what is worth doing, on which evidence, and what came of it. Acts as the organization's owner."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from asoe.cli.door import DataDir, Json, OrgOption, acting, run, show, show_one

app = typer.Typer(help="List, accept and dismiss recommendations.", no_args_is_help=True)
_Number = Annotated[int, typer.Argument(min=1, help="Number of the recommendation (asoe recommend list).")]
_COLUMNS = ("number", "says", "about", "cases", "gain", "status", "outcome")


@app.command("list")
def list_recommendations(
    *,
    status: Annotated[str, typer.Option(help="open, accepted, dismissed or gone.")] = "open",
    look: Annotated[bool, typer.Option("--look", help="Look now, and not once a day.")] = False,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List what is worth doing, the greatest expected gain first."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import recommendation

        if look:
            await recommendation.look(desk, await desk.engine_of(owner.org_id))
        found = await recommendation.read_advice(desk, owner, statuses=(status,))
        return [recommendation.to_json(each) for each in found.items]

    found = run(acting(work, org, data_dir))
    if as_json:
        show(found, _COLUMNS, as_json=True)
        return
    show([_row(each) for each in found], _COLUMNS, as_json=False, empty="Nothing is recommended.")


@app.command()
def accept(
    number: _Number,
    *,
    reason: Annotated[str, typer.Option(help="Why, or who does it.")] = "",
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Accept a recommendation: you do it, and what comes of it is counted for 30 days."""
    _decide(number, "accept", reason, org, data_dir, as_json=as_json)


@app.command()
def dismiss(
    number: _Number,
    *,
    reason: Annotated[str, typer.Option(help="Why.")],
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Dismiss a recommendation: it is shown again only when what it rests on has doubled."""
    _decide(number, "dismiss", reason, org, data_dir, as_json=as_json)


def _decide(number: int, decision: str, reason: str, org: str | None, data_dir: Any, *, as_json: bool) -> None:
    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import recommendation

        return recommendation.to_json(await recommendation.decide(desk, owner, number, decision, reason))

    found = run(acting(work, org, data_dir))
    show_one(found if as_json else _row(found), as_json=as_json)


def _row(found: dict[str, Any]) -> dict[str, Any]:
    gain, outcome = found["gain"], found["outcome"]
    return {
        **{name: found[name] for name in ("number", "says", "about", "status")},
        "cases": found["evidence"]["cases"],
        "gain": "" if gain is None else _gain(gain),
        "outcome": ""
        if outcome is None
        else f"{outcome['before']} before, {outcome['after']} after: {outcome['says']}",
    }


def _gain(gain: dict[str, Any]) -> str:
    if gain["expected"] is None:
        return f"at most {gain['high']} a month"
    return f"{gain['expected']} a month ({gain['low']} to {gain['high']})"
