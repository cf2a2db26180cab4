"""`asoe retrain` and `asoe learning`: models from an organization's corrections. Acts as the organization's owner."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from asoe.cli.door import DataDir, Json, OrgOption, Yes, acting, run, say, show, show_one, sure

app = typer.Typer(help="Show corrections and models, and let an earlier model judge again.", no_args_is_help=True)
_COLUMNS: Final = ("version", "state", "reason", "lessons", "started_by_name", "started_at", "progress")


def add_to(main: typer.Typer) -> None:
    main.command("retrain")(retrain)
    main.add_typer(app, name="learning")


def retrain(
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Train here and now, without a worker.")] = False,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Train a challenger from the organization's corrections; it judges only if it is better than who judges now."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import learning

        begun = await learning.start_training(desk, owner)
        if not wait:
            return begun
        return await learning.train(desk, owner.org_id) or await learning.read_model(desk, owner, begun.version)

    _print(run(acting(work, org, data_dir)), as_json=as_json)


@app.command()
def models(
    *,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List the models that were trained, newest first."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import learning

        return await learning.list_models(desk, owner, limit=limit)

    show(run(acting(work, org, data_dir)), _COLUMNS, as_json=as_json, empty="No model was trained: asoe retrain")


@app.command("show")
def show_model(
    version: Annotated[int, typer.Argument(min=1, help="Version of the model (asoe learning models).")],
    *,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show a model with what it was compared with."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import learning

        return await learning.read_model(desk, owner, version)

    _print(run(acting(work, org, data_dir)), as_json=as_json)


@app.command("roll-back")
def roll_back(*, yes: Yes = False, org: OrgOption = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Let the model before judge again; without one, the shared model alone."""
    sure("Let the model before judge this organization's tickets again?", yes=yes)

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import learning

        return await learning.roll_back(desk, owner)

    found = run(acting(work, org, data_dir))
    if found is not None:
        _print(found, as_json=as_json)
    elif as_json:
        show_one({"champion": None}, as_json=True)
    else:
        say("The shared model judges alone again.")


@app.command()
def corrections(
    *,
    field: Annotated[str | None, typer.Option(help="category, severity, intent, team, resolution or answer.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 100,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List who corrected what, newest first."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import learning

        return await learning.list_corrections(desk, owner, field=field, limit=limit)

    columns = (
        "created_at",
        "ticket_number",
        "field",
        "judged",
        "before",
        "corrected",
        "corrected_by_name",
        "model_version",
    )
    show(run(acting(work, org, data_dir)), columns, as_json=as_json, empty="Nobody has corrected anything.")


def _print(model: Any, *, as_json: bool) -> None:
    from asoe.domain.learning import REASONS

    show_one(model, as_json=as_json)
    if not as_json and model.reason in REASONS:
        say(REASONS[model.reason])
