"""`asoe approval`: what waits for a person's word; and `asoe stop` and `asoe resume`, the emergency stop."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from asoe.cli.door import DataDir, Json, OrgOption, acting, identifier, run, say, show, show_one

app = typer.Typer(help="List, show and decide approvals. Acts as the organization's owner.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="Id of the approval.")]
Why = Annotated[str, typer.Option("--reason", help="Why; kept with the vote.")]


def add_to(root: typer.Typer) -> None:
    root.command()(stop)
    root.command()(resume)
    root.add_typer(app, name="approval")


@app.command("list")
def list_approvals(
    *,
    status: Annotated[str, typer.Option(help="pending, approved, refused, expired, dead, used, or all.")] = "pending",
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List what waits for a person's word, newest first."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import approval

        return await approval.list_approvals(desk, owner, status=None if status == "all" else status)

    columns = ("id", "status", "connector", "action", "risk", "arguments", "people", "role", "expires_at")
    show(run(acting(work, org, data_dir)), columns, as_json=as_json, empty="Nothing waits.")


@app.command("show")
def show_approval(*, approval: Id, org: OrgOption = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Show one act with its exact arguments, evidence, expected effect and undo."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import approval as approvals

        return await approvals.read_approval(desk, owner, identifier(approval, of="approval"))

    show_one(run(acting(work, org, data_dir)), as_json=as_json)


@app.command()
def approve(*, approval: Id, reason: Why = "", org: OrgOption = None, data_dir: DataDir = None) -> None:
    """Agree to one act."""
    _vote(approval, "approve", reason, org=org, data_dir=data_dir)


@app.command()
def refuse(*, approval: Id, reason: Why = "", org: OrgOption = None, data_dir: DataDir = None) -> None:
    """Say no to one act; its run ends with a person."""
    _vote(approval, "refuse", reason, org=org, data_dir=data_dir)


def stop(
    *,
    reason: Annotated[str, typer.Option(help="Why; everyone who looks reads it.")],
    org: OrgOption = None,
    data_dir: DataDir = None,
) -> None:
    """Stop every act of the organization at once; runs stop between two beats and go to people."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import autonomy

        return await autonomy.stop_acts(desk, owner, reason)

    say("All acts are stopped." if run(acting(work, org, data_dir)) else "All acts were stopped already.")


def resume(*, org: OrgOption = None, data_dir: DataDir = None) -> None:
    """End the emergency stop."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import autonomy

        return await autonomy.release_acts(desk, owner)

    say("Acts are allowed again." if run(acting(work, org, data_dir)) else "Nothing was stopped.")


def _vote(approval: str, vote: str, reason: str, *, org: str | None, data_dir: Any) -> None:
    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import approval as approvals

        return await approvals.decide(desk, owner, identifier(approval, of="approval"), vote, reason)

    decided = run(acting(work, org, data_dir))
    say(f"{decided.status}: {decided.approvals} of {decided.people}.")
