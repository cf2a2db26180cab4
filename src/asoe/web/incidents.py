"""Incidents: many tickets with one cause; what clients were told, what mends it, and what became of each ticket."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from starlette.responses import Response

from asoe.desk import intent
from asoe.desk.incident import handling
from asoe.desk.incident.handling import Wanted
from asoe.desk.runbook import shelf
from asoe.domain.errors import AsoeError
from asoe.domain.incident import ENDED, OUTCOMES, STATUSES
from asoe.domain.triage import INTENTS
from asoe.store import directory, runbooks
from asoe.web.door import Pages, Visit
from asoe.web.live import newest

pages = Pages()
_ONE: Final = "/incidents/{incident_id}"
PAGE_SIZE: Final = 50


@pages.get("/incidents")
async def show_all(visit: Visit) -> Response:
    return await _list(visit)


@pages.post("/incidents/open")
async def open_one(visit: Visit) -> Response:
    """Open one by hand; clients of its tickets are told, unless it is only suspected."""
    wanted = Wanted(
        title=visit.text("title", most=1000),
        intent=visit.text("intent", most=100),
        runbook=visit.text("runbook", most=100),
        known=visit.text("known", most=10_000),
        is_suspected=visit.text("is_suspected", most=10) == "yes",
    )
    try:
        made = await handling.open_incident(visit.desk, visit.principal, wanted)
    except AsoeError as problem:
        return await _list(visit, problem=problem, wanted=wanted)
    return visit.back(f"/incidents/{made.id}", f"Incident {made.number} is open.")


@pages.get(_ONE)
async def show(visit: Visit) -> Response:
    incident_id = visit.id("incident_id", "incident")
    since = await newest(visit)
    found = await handling.read_incident(visit.desk, visit.principal, incident_id)
    after = visit.text("after", most=40)
    last = visit.uuid(after, "ticket") if after else None
    tickets = await handling.list_tickets(visit.desk, visit.principal, incident_id, after=last)
    actors = [fact.actor for fact in found.timeline] + [update.author for update in found.updates]
    async with visit.desk.database.org_reading(visit.principal) as connection:
        names = await directory.names(connection, visit.principal.org_id, [*actors, found.incident.opened_by])
        books = {row.id: row.name for row in await runbooks.list_runbooks(connection, visit.principal.org_id)}
    return visit.page(
        "incident.html",
        i=found.incident,
        since=since,
        shown=f"?after={last}" if last else "",
        here=f"/incidents/{found.incident.id}",
        about=handling.describe(found.incident),
        counts=found.counts,
        updates=found.updates,
        alerts=found.alerts,
        timeline=list(reversed(found.timeline)),
        tickets=tickets,
        more=f"/incidents/{found.incident.id}?after={tickets[-1].ticket_id}" if len(tickets) == 100 else "",
        names=names,
        books=sorted(books.values()),
        statuses=STATUSES,
        outcomes=OUTCOMES,
        is_over=found.incident.status in ENDED,
    )


@pages.post(_ONE + "/confirm")
async def confirm(visit: Visit) -> Response:
    incident_id = visit.id("incident_id", "incident")
    await handling.confirm(visit.desk, visit.principal, incident_id)
    return visit.back(f"/incidents/{incident_id}", "Confirmed. Its clients are told now.")


@pages.post(_ONE + "/dismiss")
async def dismiss(visit: Visit) -> Response:
    incident_id = visit.id("incident_id", "incident")
    await handling.dismiss(visit.desk, visit.principal, incident_id)
    return visit.back(f"/incidents/{incident_id}", "Dismissed. Tickets that waited for it go to people.")


@pages.post(_ONE + "/mended")
async def mended(visit: Visit) -> Response:
    incident_id = visit.id("incident_id", "incident")
    await handling.mended(visit.desk, visit.principal, incident_id)
    return visit.back(f"/incidents/{incident_id}", "Noted. Each ticket is checked on its own now.")


@pages.post(_ONE + "/fix")
async def start_fix(visit: Visit) -> Response:
    """Start a runbook; slots are lines of NAME=VALUE."""
    incident_id = visit.id("incident_id", "incident")
    lines = (line.partition("=") for line in visit.text("slots", most=5000).splitlines() if line.strip())
    slots = {name.strip(): value.strip() for name, _, value in lines}
    await handling.start_fix(
        visit.desk, visit.principal, incident_id, runbook=visit.text("runbook", most=100), slots=slots or None
    )
    return visit.back(f"/incidents/{incident_id}", "The runbook is under way.")


@pages.post(_ONE + "/tell")
async def tell(visit: Visit) -> Response:
    incident_id = visit.id("incident_id", "incident")
    await handling.tell_all(visit.desk, visit.principal, incident_id, visit.text("content", most=10_000))
    return visit.back(f"/incidents/{incident_id}", "Every client of it is told this once.")


async def _list(visit: Visit, *, problem: AsoeError | None = None, wanted: Wanted | None = None) -> Response:
    which = visit.text("show", "going", most=10)
    statuses = None if which == "all" else [status for status in STATUSES if status not in ENDED]
    since = await newest(visit)
    after = visit.number("after", 0) if visit.request.method == "GET" else 0
    found = await handling.list_incidents(
        visit.desk, visit.principal, statuses=statuses, before=after or None, limit=PAGE_SIZE + 1
    )
    shelved = await shelf.list_runbooks(visit.desk, visit.principal)
    own = await intent.list_intents(visit.desk, visit.principal)
    return visit.page(
        "incidents.html",
        422 if problem else 200,
        found=found[:PAGE_SIZE],
        since=since,
        older=_address(which, found[PAGE_SIZE - 1].incident.number) if len(found) > PAGE_SIZE else "",
        newest=_address(which) if after else "",
        here=_address(which, after),
        which=which,
        statuses=STATUSES,
        intents=sorted({*INTENTS, *(each.name for each in own)}),
        books=sorted(row.name for row in shelved),
        problem=problem,
        wanted=wanted or Wanted(""),
    )


def _address(which: str, after: int = 0) -> str:
    asked = {"show": which if which == "all" else "", "after": after or ""}
    return "/incidents?" + urlencode({name: value for name, value in asked.items() if value})
