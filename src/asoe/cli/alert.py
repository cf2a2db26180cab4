"""`asoe alert`: which monitoring systems may send alerts, and with what they prove it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from asoe.cli.door import DataDir, Json, OrgOption, acting, identifier, run, say, show, show_one

app = typer.Typer(help="Sources of alerts: Alertmanager, Grafana, your own programs.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="Id of the source.")]


@app.command("list")
def list_sources(*, org: OrgOption = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """List the sources that may send alerts."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk.incident import alerting

        return [(owner.org_id, each) for each in await alerting.list_sources(desk, owner)]

    rows = [_row(org_id, each) for org_id, each in run(acting(work, org, data_dir))]
    show(rows, ("name", "kind", "proof", "path"), as_json=as_json, empty="No source.")


@app.command("add")
def add_source(
    *,
    name: Annotated[str, typer.Argument(help="A name for people.")],
    kind: Annotated[str, typer.Option(help="alertmanager, grafana or generic.")],
    proof: Annotated[str, typer.Option(help="bearer, hmac (as Grafana signs) or standard (Standard Webhooks).")],
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Let a monitoring system send alerts; its secret is shown this once."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk.incident import alerting

        return owner.org_id, await alerting.add_source(desk, owner, name=name, kind=kind, proof=proof)

    org_id, made = run(acting(work, org, data_dir))
    show_one({**_row(org_id, made.source), "secret": made.secret}, as_json=as_json)


@app.command()
def rotate(*, source: Id, org: OrgOption = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Make a new secret; the old one holds for one more day."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk.incident import alerting

        return owner.org_id, await alerting.rotate(desk, owner, identifier(source, of="source"))

    org_id, made = run(acting(work, org, data_dir))
    show_one({**_row(org_id, made.source), "secret": made.secret}, as_json=as_json)


@app.command()
def remove(*, source: Id, org: OrgOption = None, data_dir: DataDir = None) -> None:
    """Let a source send no more; incidents it opened stay."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk.incident import alerting

        await alerting.remove_source(desk, owner, identifier(source, of="source"))

    run(acting(work, org, data_dir))
    say("Removed.")


def _row(org_id: Any, source: Any) -> dict[str, Any]:
    return {
        "name": source.name,
        "kind": source.kind,
        "proof": source.proof,
        "path": f"/api/alerts/{org_id}/{source.id}",
        "id": str(source.id),
    }
