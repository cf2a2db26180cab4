"""`asoe language-model`: which one is configured, what an organization lets it do, and what it has cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from asoe.cli.door import DataDir, Json, OrgOption, acting, print_json, run, say, show


def add_to(app: typer.Typer) -> None:
    app.command("language-model")(language_model)


def language_model(
    *,
    days: Annotated[int, typer.Option(help="How many days (UTC) to look back.", min=1, max=366)] = 7,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show the language model, its uses and limits here, and what it cost by day (docs/language-model.md)."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk.consulting.spending import read_spending

        return await read_spending(desk, owner, days=days)

    found = run(acting(work, org, data_dir))
    if as_json:
        print_json(found)
        return
    if found["model"] is None:
        say("None: the local models do it all. ASOE_MODEL names one.")
    else:
        per_day, per_pass = _limits(found, "day") or "any amount", _limits(found, "pass")
        over = f", {per_pass} a pass" if per_pass else ""
        say(f"{found['model']} for {', '.join(found['uses']) or 'nothing'}; {per_day} a day{over}.")
    show(found["days"], ("day", "tokens", "cost_usd", "calls", "failures"), as_json=False, empty="It was not asked.")


def _limits(found: Mapping[str, Any], per: str) -> str:
    tokens, usd = found[f"tokens_per_{per}"], found[f"usd_per_{per}"]
    limits = [f"{tokens:,} tokens" if tokens is not None else "", f"{usd:g} USD" if usd is not None else ""]
    return " and ".join(filter(None, limits))
