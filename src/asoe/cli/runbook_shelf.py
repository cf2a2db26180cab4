"""`asoe runbook …` on an organization's shelf: publish, retire, list, show, and how far each may act by itself."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from asoe.cli.door import DataDir, Json, OrgOption, acting, as_mapping, out, print_json, run, say, show, show_one
from asoe.domain.errors import FieldProblem, Invalid

Name = Annotated[str, typer.Argument(help="Name of the runbook.")]


def add_to(app: typer.Typer) -> None:
    app.command()(publish)
    app.command()(retire)
    app.command("list")(list_runbooks)
    app.command("show")(show_runbook)
    app.command()(autonomy)
    app.command()(level)
    app.command()(lend)
    app.command("end-loan")(end_loan)


def publish(
    *,
    what: Annotated[
        str, typer.Argument(help="A file (.yaml), which is stored as a new version, or the name of a runbook.")
    ],
    version: Annotated[int | None, typer.Option(min=1, help="Of a named runbook: this version.")] = None,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Check a runbook and put it into use. New ones ask for approval before every act.

    Every connector it names must be there (`asoe connector list`); without one it could only ever fail.
    """
    path = Path(what)
    source = path.read_text(encoding="utf-8") if path.suffix in {".yaml", ".yml"} and path.is_file() else None
    if source is None and path.suffix in {".yaml", ".yml"}:
        raise Invalid(f"{what}: there is no such file.", code="no_such_file", fields=(FieldProblem("what", "no file"),))

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk.runbook import shelf

        if source is None:
            return await shelf.publish(desk, owner, what, version, needs_connectors=True)
        row, stored = await shelf.save(desk, owner, source, needs_connectors=True)
        return await shelf.publish(desk, owner, row.name, stored.version, needs_connectors=True)

    show_one(run(acting(work, org, data_dir)), as_json=as_json)


def retire(*, name: Name, org: OrgOption = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Take a runbook out of use; runs under way end with their version."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk.runbook import shelf

        return await shelf.retire(desk, owner, name)

    show_one(run(acting(work, org, data_dir)), as_json=as_json)


def list_runbooks(
    *,
    retired: Annotated[bool, typer.Option("--retired", help="Retired ones too.")] = False,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List runbooks with their level of autonomy."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk.runbook import shelf

        return await shelf.list_runbooks(desk, owner, with_retired=retired)

    columns = ("name", "level", "published_version", "newest_version", "resolution_type", "title", "retired_at")
    show(run(acting(work, org, data_dir)), columns, as_json=as_json, empty="No runbooks yet: asoe runbook new NAME")


def show_runbook(
    *,
    name: Name,
    version: Annotated[int | None, typer.Option(min=1, help="This version instead of the one in use.")] = None,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Print a runbook's text."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk.runbook import shelf

        return await shelf.read_version(desk, owner, name, version)

    row, text = run(acting(work, org, data_dir))
    if as_json:
        print_json({**as_mapping(row), "version": as_mapping(text)})
    else:
        out.print(text.source, markup=False, end="")


def autonomy(*, name: Name, org: OrgOption = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Say how far a runbook may act by itself, and on what that rests."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.api.run_shapes import autonomy as shape
        from asoe.desk import autonomy as ladder

        _, standing, limits = await ladder.read_standing(desk, owner, name)
        return shape(standing, limits, desk.clock())

    show_one(run(acting(work, org, data_dir)), as_json=as_json)


def level(
    *,
    name: Name,
    to: Annotated[str, typer.Argument(help="off, shadow, suggest, approve or auto.")],
    org: OrgOption = None,
    data_dir: DataDir = None,
) -> None:
    """Put a runbook at a level. At `auto` it acts alone as far as its certificate allows."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import autonomy as ladder

        standing = await ladder.set_level(desk, owner, name, to)
        _, _, limits = await ladder.read_standing(desk, owner, name)
        return ladder.describe(standing, limits, desk.clock())

    out.print(run(acting(work, org, data_dir)), markup=False)


def lend(
    *,
    name: Name,
    reason: Annotated[str, typer.Option(help="Why: everyone who looks at the runbook reads it.")],
    days: Annotated[float, typer.Option(min=0.01, max=90, help="For how long.")] = 30,
    acts_per_day: Annotated[int | None, typer.Option(min=0, help="At most so many acts a day.")] = None,
    total_per_day: Annotated[str | None, typer.Option(help="At most this much moved a day.")] = None,
    org: OrgOption = None,
    data_dir: DataDir = None,
) -> None:
    """Lend a runbook trust: it acts alone without a certificate, in the open, until the loan ends."""
    given = {"acts_per_day": acts_per_day, "total_per_day": total_per_day}
    caps = {cap: value for cap, value in given.items() if value is not None}

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import autonomy as ladder

        until = desk.clock() + timedelta(days=days)
        standing = await ladder.lend(desk, owner, name, reason=reason, until=until, caps=caps)
        _, _, limits = await ladder.read_standing(desk, owner, name)
        return ladder.describe(standing, limits, desk.clock())

    out.print(run(acting(work, org, data_dir)), markup=False)


def end_loan(*, name: Name, org: OrgOption = None, data_dir: DataDir = None) -> None:
    """Take lent trust back."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import autonomy as ladder

        await ladder.end_loan(desk, owner, name)

    run(acting(work, org, data_dir))
    say("The loan has ended; the certificate alone decides.")
