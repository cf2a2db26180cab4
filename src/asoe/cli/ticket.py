"""`asoe ticket`: look at tickets and open one. Acts as the organization's owner."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

import typer

from asoe.cli.door import DataDir, Json, OrgOption, acting, out, print_json, run, say, show, show_one
from asoe.domain.errors import Invalid
from asoe.domain.ticket import SEVERITY_RANK, STATUSES
from asoe.domain.triage import CATEGORIES

app = typer.Typer(help="List, show and open tickets.", no_args_is_help=True)


def _one_of(known: Sequence[str]) -> Callable[[list[str] | None], list[str] | None]:
    """A check of an option's values, which says what there is."""

    def check(given: list[str] | None) -> list[str] | None:
        wrong = [value for value in given or () if value not in known]
        if wrong:
            raise typer.BadParameter(f"{', '.join(map(repr, wrong))}: choose from {', '.join(known)}.")
        return given

    return check


@app.command("list")
def list_tickets(
    *,
    status: Annotated[
        list[str] | None, typer.Option(help="Only these statuses; may be repeated.", callback=_one_of(STATUSES))
    ] = None,
    category: Annotated[
        list[str] | None, typer.Option(help="Only these categories; may be repeated.", callback=_one_of(CATEGORIES))
    ] = None,
    severity: Annotated[
        list[str] | None,
        typer.Option(help="Only these severities; may be repeated.", callback=_one_of(tuple(SEVERITY_RANK))),
    ] = None,
    team: Annotated[str | None, typer.Option(help="Only this team's.")] = None,
    search: Annotated[str | None, typer.Option("--search", help="Words in subject or body.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 20,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List tickets, newest first."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk import ticket as desk_ticket
        from asoe.store.tickets import TicketFilter

        wanted = TicketFilter(
            status=tuple(status) if status else None,
            category=tuple(category) if category else None,
            severity=tuple(severity) if severity else None,
            team=team,
            q=search,
        )
        return (await desk_ticket.list_tickets(desk, owner, wanted, limit=limit)).items

    columns = ("number", "status", "waiting_for", "severity", "category", "team", "created_at", "subject")
    show(run(acting(work, org, data_dir)), columns, as_json=as_json, empty="No such tickets.")


@app.command("show")
def show_ticket(
    *,
    ticket: Annotated[str, typer.Argument(help="Number or id.")],
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show one ticket with its conversation, its timeline and, when handed over, its dossier and to whom it was given why."""

    async def work(desk: Any, owner: Any) -> Any:
        return await _read(desk, owner, ticket)

    found = run(acting(work, org, data_dir))
    if as_json:
        show_one(found, as_json=True)
        return
    head = ("number", "id", "status", "waiting_for", "severity", "category", "intent", "team", "created_at", "subject")
    show_one({name: getattr(found["ticket"], name) for name in head}, as_json=False)
    for message in found["messages"]:
        out.print(f"\n[bold]{message.role}[/]{' (internal)' if message.is_internal else ''}")
        out.print(message.content, markup=False)
    if found["dossier"] is not None:
        out.print("\n[bold]dossier[/]")
        links = [f"{each['kind']} {each['name']}" for each in found["dossier"].get("links", ()) if "name" in each]
        show_one({**found["dossier"], "links": links}, as_json=False)
    if found["given"]:
        out.print("\n[bold]given to[/]")
        show(found["given"], ("who", "team", "level", "because", "given_at", "due_at", "ending"), as_json=False)
    out.print("\n[bold]timeline[/]")
    rows = [{"at": fact.at, "fact": fact.kind, "with": fact.data} for fact in found["timeline"]]
    show(rows, ("at", "fact", "with"), as_json=False)


@app.command("trace")
def trace_ticket(
    *,
    ticket: Annotated[str, typer.Argument(help="Number or id.")],
    org: OrgOption = None,
    data_dir: DataDir = None,
) -> None:
    """Print what the engine did for a ticket as spans: JSON that any OTLP collector takes (POST /v1/traces)."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk.recorded_trace import trace_of_ticket

        return await trace_of_ticket(desk, owner, (await find_ticket(desk, owner, ticket)).id)

    print_json(run(acting(work, org, data_dir)))


@app.command("open")
def open_ticket(
    *,
    body: Annotated[str, typer.Argument(help="What the client says; '-' reads standard input.")],
    subject: Annotated[str, typer.Option(help="Subject.")] = "",
    email: Annotated[str | None, typer.Option(help="The client's address.")] = None,
    category: Annotated[str | None, typer.Option(help="Your opinion; triage decides.")] = None,
    severity: Annotated[str | None, typer.Option(help="Your opinion; triage may raise it.")] = None,
    relayed: Annotated[
        bool, typer.Option("--relayed", help="You vouch for the client's own words: consents count.")
    ] = False,
    org: OrgOption = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Open a ticket as somebody on the phone would; a worker takes it from there."""

    async def work(desk: Any, owner: Any) -> Any:
        from asoe.desk.intake import NewContact, NewTicket
        from asoe.desk.intake import open_ticket as intake
        from asoe.store import installation

        words = sys.stdin.read() if body == "-" else body
        new = NewTicket(
            subject=subject,
            body=words,
            category=category,
            severity=severity,
            contact=NewContact(email=email) if email else None,
            is_relayed=relayed,
        )
        made = await intake(desk, owner, new)
        async with desk.database.org_reading(owner) as connection:
            return made, await installation.has_worker(connection)

    made, has_worker = run(acting(work, org, data_dir))
    names = ("number", "id", "session_id", "status", "category", "severity", "intent", "language")
    show_one(made if as_json else {name: getattr(made, name) for name in names}, as_json=as_json)
    if not has_worker:
        say("No worker is at work here: nothing more happens to it until one runs (asoe serve, or asoe work).")


async def find_ticket(desk: Any, owner: Any, named: str) -> Any:
    """The ticket with this number or id; raises `Missing(ticket_missing)`, `Invalid(bad_id)`."""
    from asoe.desk import ticket as desk_ticket

    if named.lstrip("#").isdigit():
        return await desk_ticket.read_by_number(desk, owner, int(named.lstrip("#")))
    try:
        return await desk_ticket.read_ticket(desk, owner, UUID(named))
    except ValueError:
        raise Invalid(f"{named!r} is neither a number nor an id of a ticket.", code="bad_id") from None


async def _read(desk: Any, owner: Any, named: str) -> dict[str, Any]:
    from asoe.desk import session as desk_session
    from asoe.desk import ticket as desk_ticket
    from asoe.domain.errors import Missing

    found = await find_ticket(desk, owner, named)
    messages: list[Any] = []
    if found.session_id is not None:
        _, messages = await desk_session.read_session(desk, owner, found.session_id)
    try:
        dossier = (await desk_ticket.dossier(desk, owner, found.id)).dossier
    except Missing:
        dossier = None
    timeline = await desk_ticket.timeline(desk, owner, found.id)
    given = await _given(desk, owner, found.id)
    return {"ticket": found, "messages": messages, "dossier": dossier, "given": given, "timeline": timeline}


async def _given(desk: Any, owner: Any, ticket_id: UUID) -> list[dict[str, Any]]:
    """To whom routing gave it, level by level, and why; people by name."""
    from asoe.desk import routing
    from asoe.store import directory

    found = await routing.history(desk, owner, ticket_id)
    async with desk.database.org_reading(owner) as connection:
        names = await directory.names(connection, owner.org_id, [each.user_id for each in found])
    return [{**asdict(each), "who": names.get(each.user_id) if each.user_id else "nobody yet"} for each in found]
