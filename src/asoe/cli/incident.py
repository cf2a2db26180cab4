"""`asoe incident`: many tickets with one cause: list, open, confirm, tell all clients, mend."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from asoe.cli.door import DataDir, Json, OrgOption, acting, identifier, run, say, show, show_one
from asoe.domain.errors import Invalid

app = typer.Typer(
    help="Incidents: many tickets with one cause. Acts as the organization's owner.", no_args_is_help=True
)

Number = Annotated[int, typer.Argument(help="Number of the incident.", min=1)]
Slot = Annotated[list[str] | None, typer.Option("--slot", help="NAME=VALUE for the runbook; may be repeated.")]


@app.command("list")
def list_incidents(
    *,
    status: Annotated[str, typer.Option(help="suspected, open, fixing, mended, closed, dismissed, or all.")] = "all",
    limit: Annotated[int, typer.Option(min=1, max=100)] = 50,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List incidents, newest first."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk.incident import handling

        statuses = None if status == "all" else [status]
        return await handling.list_incidents(desk, owner, statuses=statuses, limit=limit)

    rows = [_row(each) for each in run(acting(work, org, data_dir))]
    columns = ("number", "status", "tickets", "told", "mended", "broken", "opened_at", "title")
    show(rows, columns, as_json=as_json, empty="No incidents.")


@app.command("show")
def show_incident(*, number: Number, org: OrgOption = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Show one incident with its figures, what clients were told, and what happened."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk.incident import handling

        return await handling.read_incident(desk, owner, number)

    found = run(acting(work, org, data_dir))
    timeline: list[Any] = [{"at": fact.at, "what": fact.kind, "data": fact.data} for fact in found.timeline]
    updates: list[Any] = [{"number": each.number, "at": each.at, "content": each.content} for each in found.updates]
    if not as_json:
        timeline = [f"{each['at']:%Y-%m-%d %H:%M} {each['what'].partition('.')[2]}" for each in timeline]
        updates = [f"{each['number']}: {each['content']}" for each in updates]
    show_one({**_row(found), "known": found.incident.known, "updates": updates, "timeline": timeline}, as_json=as_json)


@app.command("tickets")
def list_tickets(
    *, number: Number, limit: int = 100, org: OrgOption = None, data_dir: DataDir = None, as_json: Json = False
) -> None:
    """List the tickets of an incident, newest first, with what became of each."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk.incident import handling

        return await handling.list_tickets(desk, owner, number, limit=limit)

    columns = ("number", "status", "told_at", "outcome", "reason", "subject")
    show(run(acting(work, org, data_dir)), columns, as_json=as_json, empty="No ticket is part of it yet.")


@app.command("open")
def open_incident(
    *,
    title: Annotated[str, typer.Argument(help="What is wrong, for your team.")],
    intent: Annotated[str, typer.Option(help="Tickets of this intent belong to it.")] = "",
    runbook: Annotated[str, typer.Option(help="Tickets whose run of this runbook fails belong to it.")] = "",
    ticket: Annotated[
        list[str] | None, typer.Option(help="Id of a ticket that belongs to it; may be repeated.")
    ] = None,
    known: Annotated[str, typer.Option(help="What clients are told; without it the engine's own words.")] = "",
    fix: Annotated[str, typer.Option(help="The runbook that mends the cause.")] = "",
    slot: Slot = None,
    suspected: Annotated[bool, typer.Option("--suspected", help="Tell nobody before it is confirmed.")] = False,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Open an incident; clients of its tickets are told what is known, once each."""
    ids = tuple(identifier(each, of="ticket") for each in ticket or ())
    slots = _slots(slot)

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk.incident import handling

        wanted = handling.Wanted(
            title=title,
            intent=intent,
            runbook=runbook,
            ticket_ids=ids,
            known=known,
            fix=fix,
            slots=slots,
            is_suspected=suspected,
        )
        return await handling.open_incident(desk, owner, wanted)

    made = run(acting(work, org, data_dir))
    show_one({"number": made.number, "status": made.status, "id": str(made.id)}, as_json=as_json)


@app.command()
def confirm(*, number: Number, org: OrgOption = None, data_dir: DataDir = None) -> None:
    """Confirm a suspicion: its clients are told from now on."""
    _act("confirm", number, org=org, data_dir=data_dir)


@app.command()
def dismiss(*, number: Number, org: OrgOption = None, data_dir: DataDir = None) -> None:
    """Say that it was none; tickets that waited for it go to people."""
    _act("dismiss", number, org=org, data_dir=data_dir)


@app.command()
def mended(*, number: Number, org: OrgOption = None, data_dir: DataDir = None) -> None:
    """Say that the cause is mended; each ticket is then checked on its own."""
    _act("mended", number, org=org, data_dir=data_dir)


@app.command()
def fix(
    *,
    number: Number,
    runbook: Annotated[str, typer.Argument(help="Name of the runbook.")],
    slot: Slot = None,
    org: OrgOption = None,
    data_dir: DataDir = None,
) -> None:
    """Start a runbook on the cause; it acts as its autonomy allows."""
    slots = _slots(slot) or None

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk.incident import handling

        return await handling.start_fix(desk, owner, number, runbook=runbook, slots=slots)

    say(f"Run {run(acting(work, org, data_dir)).run_id} is under way: asoe runbook run {runbook}.")


@app.command()
def tell(
    *,
    number: Number,
    content: Annotated[str, typer.Argument(help="What every client of the incident is told, once.")],
    org: OrgOption = None,
    data_dir: DataDir = None,
) -> None:
    """Tell every client of the incident something, once each."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk.incident import handling

        return await handling.tell_all(desk, owner, number, content)

    say(f"Update {run(acting(work, org, data_dir))} goes out.")


def _act(what: str, number: int, *, org: str | None, data_dir: Any) -> None:
    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk.incident import handling

        return await getattr(handling, what)(desk, owner, number)

    changed = run(acting(work, org, data_dir))
    say(f"Incident {changed.number} is {changed.status}.")


def _row(found: Any) -> dict[str, Any]:
    incident, counts = found.incident, found.counts
    return {
        "number": incident.number,
        "status": incident.status,
        "source": incident.source,
        "title": incident.title,
        "tickets": counts.tickets,
        "clients": counts.clients,
        "told": counts.told,
        "mended": counts.mended,
        "broken": counts.broken,
        "left": counts.gone,
        "waiting": counts.waiting,
        "fix": incident.fix,
        "trouble": incident.trouble,
        "opened_at": incident.opened_at,
        "mended_at": incident.mended_at,
        "ended_at": incident.ended_at,
        "id": str(incident.id),
    }


def _slots(given: list[str] | None) -> dict[str, str]:
    found = {}
    for each in given or ():
        name, sign, value = each.partition("=")
        if not sign or not name:
            raise Invalid(f"--slot {each!r}: write NAME=VALUE.", code="bad_incident")
        found[name] = value
    return found
