"""The queue: which tickets, in views and filters, newest first; and what is done to many of them at once."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from starlette.responses import RedirectResponse, Response

from asoe.api.live import write_cursor
from asoe.desk import saved_view
from asoe.desk import ticket as desk_ticket
from asoe.desk.context import policy_of
from asoe.domain.errors import AsoeError, Invalid, Missing
from asoe.domain.service_level import Clock
from asoe.domain.ticket import CHANNELS, SEVERITY_RANK, STATUSES, WAITING_FOR, Ticket
from asoe.domain.triage import CATEGORIES
from asoe.store import directory, facts, saved_views, service_levels, tickets
from asoe.store.db import Connection
from asoe.store.tickets import TicketFilter
from asoe.web.door import Pages, Visit, safe_next
from asoe.web.render import Part
from asoe.web.undo import undo_of
from asoe.web.words import LANGUAGES

pages = Pages()
PAGE_SIZE: Final = 40
MAX_BULK: Final = 100
KEPT_SECONDS: Final = 0.1
"""Lines that many ask for at once, being told of the same change: less than the page's script waits after it was told."""
NOT_ENDED: Final = ("open", "triaging", "in_progress", "escalated")
VIEWS: Final = {
    "open": "Open",
    "mine": "Mine",
    "unassigned": "Unassigned",
    "escalated": "Escalated",
    "waiting": "Waiting for client",
    "all": "All",
}
_CHOICES: Final = {
    "status": STATUSES,
    "severity": tuple(reversed(SEVERITY_RANK)),
    "category": CATEGORIES,
    "waiting_for": WAITING_FOR,
    "language": (*LANGUAGES, "und"),
    "channel": CHANNELS,
}
_OTHERS: Final = ("assignee", "team", "tag", "contact", "user")
_LISTS: Final = frozenset({"status", "severity", "category", "language", "channel"})
_ACTIONS: Final = ("assign", "give", "close", "tag", "spam")


@dataclass(frozen=True, slots=True)
class Row:
    """A ticket as a line of the queue."""

    ticket: Ticket
    requester: str
    assignee: str
    clock: Clock | None = None


@pages.get("/queue")
async def show(visit: Visit) -> Response:
    q = visit.text("q", most=500).strip()
    if q.removeprefix("#").isdigit() and len(q) < 16:
        try:
            found = await desk_ticket.read_by_number(visit.desk, visit.principal, int(q.removeprefix("#")))
            return RedirectResponse(f"/tickets/{found.id}", 303)
        except Missing:
            pass
    view = visit.text("view", "all" if q else "open", most=20)
    if view not in VIEWS:
        raise Missing(f"There is no view {view!r}.", code="missing")
    chosen = {name: visit.text(name, most=100) for name in (*_CHOICES, *_OTHERS)}
    wanted = _filter(visit, view, {**chosen, "q": q})
    async with visit.desk.database.org_reading(visit.principal) as connection:
        since = await facts.newest_cursor(connection)
        page = await tickets.page(
            connection,
            visit.principal.org_id,
            wanted,
            cursor=visit.text("cursor", most=500) or None,
            limit=PAGE_SIZE,
        )
        rows = await _rows(connection, visit, page.items)
        colleagues = await directory.staff(connection, visit.principal.org_id)
        policy = await policy_of(connection, visit.principal.org_id)
        client = await _client(connection, visit.principal.org_id, wanted)
        saved = await saved_views.list_visible(connection, visit.principal.org_id)
    teams = sorted(
        {*policy.by_category.values(), *policy.by_intent.values(), *policy.by_severity.values(), policy.default_team}
    )
    asked = {name: value for name, value in {"view": view, "q": q, **chosen}.items() if value}
    return visit.page(
        "queue.html",
        rows=rows,
        since=write_cursor((since, 0)),
        saved=[(each, "/queue?" + urlencode(each.filters)) for each in saved],
        current=next((each for each in saved if each.filters == asked), None),
        asked=urlencode(asked),
        views=VIEWS,
        view=view,
        q=q,
        chosen=chosen,
        choices=_CHOICES,
        colleagues=colleagues,
        teams=teams,
        client=client,
        any_client="/queue?" + urlencode({name: asked[name] for name in asked if name not in {"contact", "user"}}),
        filtered=sum(1 for value in chosen.values() if value),
        is_first=not visit.text("cursor", most=500),
        here="/queue?" + urlencode({**asked, **({"cursor": visit.text("cursor")} if visit.text("cursor") else {})}),
        newest="/queue?" + urlencode(asked),
        older="/queue?" + urlencode({**asked, "cursor": page.next_cursor}) if page.next_cursor else "",
    )


@pages.post("/queue/views")
async def save_view(visit: Visit) -> Response:
    """Give the filters shown a name, for oneself or for the whole team."""
    filters = _filters_of(visit, visit.text("filters", most=4000))
    kept = await saved_view.save_view(
        visit.desk, visit.principal, visit.text("name", most=300), filters, is_shared=bool(visit.texts("shared"))
    )
    return visit.back("/queue?" + urlencode(filters), f"The view {kept.name} is saved.")


@pages.post("/queue/views/{view_id}/remove")
async def remove_view(visit: Visit) -> Response:
    gone = await saved_view.remove_view(visit.desk, visit.principal, visit.id("view_id", "view"))
    fields = [
        ["name", gone.name],
        ["filters", urlencode(gone.filters)],
        *([["shared", "yes"]] if gone.is_shared else []),
    ]
    is_own = gone.user_id == visit.principal.user_id
    undo = {"path": "/queue/views", "fields": fields} if is_own else None
    return visit.back("/queue", f"The view {gone.name} is removed.", undo=undo)


@pages.get("/queue/rows")
async def show_rows(visit: Visit) -> Response:
    """The lines of these tickets as they are now, each to take its own place."""
    ids = []
    for text in visit.text("ids", most=5000).split(",")[:MAX_BULK]:
        try:
            ids.append(UUID(text))
        except ValueError:
            raise Invalid("ids: these are no ids of tickets.", code="invalid_request") from None
    key = (visit.principal.org_id, visit.principal.role, "rows", *sorted(set(ids)))
    part = await visit.site.keep.get(key, KEPT_SECONDS, lambda: _render_rows(visit, ids))
    return visit.site.renderer.respond_part(visit, part)


async def _render_rows(visit: Visit, ids: Sequence[UUID]) -> Part:
    rows = await _read_rows(visit, ids)
    return visit.site.renderer.part("queue_rows.html", visit.desk.clock(), {"rows": rows})


async def _read_rows(visit: Visit, ids: Sequence[UUID]) -> list[Row]:
    found = []
    async with visit.desk.database.org_reading(visit.principal) as connection:
        for ticket_id in dict.fromkeys(ids):
            with contextlib.suppress(Missing):  # deleted meanwhile
                found.append(await tickets.find(connection, visit.principal.org_id, ticket_id))
        return await _rows(connection, visit, found)


@pages.post("/queue/bulk")
async def act_on_many(visit: Visit) -> Response:
    """Do one thing to each selected ticket, each by itself: one that refuses stops no other."""
    action, who = visit.text("action", most=20), visit.text("who", most=40)
    back = safe_next(visit.text("back", "/queue", most=4000))
    ids = [visit.uuid(text, "ticket") for text in visit.texts("id")[:MAX_BULK]]
    if action not in _ACTIONS:
        raise Invalid("action: assign, give, close, tag and spam are possible.", code="invalid_request")
    if not ids:
        return visit.back(back, "Nothing was selected.")
    tag = visit.text("tag", most=100).strip()
    if action == "tag" and not tag:
        return visit.back(back, "Write a tag first.")
    assignee = visit.uuid(who, "member") if action == "give" and who else None
    done: list[str] = []
    refused: list[str] = []
    for ticket_id in ids:
        try:
            done.append(await _act(visit, action, ticket_id, tag=tag, assignee=assignee))
        except AsoeError as error:
            refused.append(error.message)
    given = "given to " + (await _called(visit, assignee)) if assignee else "left to whoever takes them"
    words = {
        "assign": "assigned to you",
        "give": given,
        "close": "closed",
        "tag": f"tagged {tag!r}",
        "spam": "marked as spam",
    }
    said = f"{len(done)} {'ticket' if len(done) == 1 else 'tickets'} {words[action]}."
    if refused:
        said += f" {len(refused)} not: {refused[0]}"
    return visit.back(back, said, undo=undo_of(done, back))


async def _client(connection: Connection, org_id: UUID, wanted: TicketFilter) -> str:
    """What the client is called whose tickets are shown; empty when those of all are."""
    if wanted.contact_id is not None:
        return (await directory.contacts(connection, org_id, [wanted.contact_id])).get(wanted.contact_id, "Nobody here")
    if wanted.user_id is not None:
        return (await directory.names(connection, org_id, [wanted.user_id])).get(wanted.user_id, "Nobody here")
    return ""


async def _called(visit: Visit, user_id: UUID) -> str:
    async with visit.desk.database.org_reading(visit.principal) as connection:
        return (await directory.names(connection, visit.principal.org_id, [user_id])).get(user_id, "a member")


async def _act(visit: Visit, action: str, ticket_id: UUID, *, tag: str, assignee: UUID | None) -> str:
    """Do it; returns the step that takes it back, or "" when nothing was to be done."""
    desk, me = visit.desk, visit.principal
    before = await desk_ticket.read_ticket(desk, me, ticket_id)
    if action in {"assign", "give"}:
        wanted = me.user_id if action == "assign" else assignee
        await desk_ticket.change_ticket(desk, me, ticket_id, {"assignee": wanted})
        return f"assign:{ticket_id}:{before.assignee or ''}" if before.assignee != wanted else ""
    if action == "tag":
        await desk_ticket.change_ticket(desk, me, ticket_id, {"tags": [*before.tags, tag]})
        return f"untag:{ticket_id}:{tag}" if tag not in before.tags else ""
    if action == "spam":
        await desk_ticket.mark_spam(desk, me, ticket_id)
        return f"unspam:{ticket_id}:" if not before.is_spam else ""
    await close(visit, before)
    return f"reopen:{ticket_id}:" if before.status != "closed" else ""


async def close(visit: Visit, before: Ticket) -> None:
    """Close from wherever the ticket is; one that nobody looked at yet goes over triaging, as the moves demand."""
    if before.status == "open":
        await desk_ticket.move_ticket(visit.desk, visit.principal, before.id, "triaging")
    await desk_ticket.close_ticket(visit.desk, visit.principal, before.id)


def _filters_of(visit: Visit, query: str) -> dict[str, str]:
    """What a saved view may hold: names and values that the queue itself would take."""
    given = dict(parse_qsl(query))
    view = given.get("view", "open")
    chosen = {name: given.get(name, "") for name in (*_CHOICES, *_OTHERS, "q")}
    if view not in VIEWS:
        raise Missing(f"There is no view {view!r}.", code="missing")
    _filter(visit, view, chosen)
    return {name: value for name, value in {"view": view, **chosen}.items() if value}


def _filter(visit: Visit, view: str, chosen: dict[str, str]) -> TicketFilter:
    wanted = TicketFilter(q=chosen["q"] or None, is_spam=None if view == "all" else False)
    match view:
        case "open":
            wanted = replace(wanted, status=NOT_ENDED)
        case "mine":
            wanted = replace(wanted, status=NOT_ENDED, assignee=visit.principal.user_id)
        case "unassigned":
            wanted = replace(wanted, status=NOT_ENDED, is_unassigned=True)
        case "escalated":
            wanted = replace(wanted, status=("escalated",))
        case "waiting":
            wanted = replace(wanted, waiting_for="client")
    given: dict[str, Any] = {}
    for name, values in _CHOICES.items():
        if value := chosen[name]:
            if value not in values:
                raise Invalid(f"{name}: {value!r} is not one of {', '.join(values)}.", code="invalid_request")
            given[name] = (value,) if name in _LISTS else value
    if chosen["assignee"] == "nobody":
        given["is_unassigned"] = True
    elif chosen["assignee"]:
        given["assignee"] = visit.uuid(chosen["assignee"], "member")
    for name, field in (("contact", "contact_id"), ("user", "user_id")):
        if chosen[name]:
            given[field] = visit.uuid(chosen[name], "client")
    for name in ("team", "tag"):
        if chosen[name]:
            given[name] = chosen[name]
    return replace(wanted, **given)


async def _rows(connection: Any, visit: Visit, found: Sequence[Ticket]) -> list[Row]:
    org_id = visit.principal.org_id
    contacts = await directory.contacts(connection, org_id, (ticket.contact_id for ticket in found))
    accounts = [account for ticket in found for account in (ticket.assignee, ticket.user_id)]
    names = await directory.names(connection, org_id, accounts)
    clocks = await service_levels.nearest(connection, org_id, (ticket.id for ticket in found))
    return [
        Row(
            ticket,
            contacts.get(ticket.contact_id, "") if ticket.contact_id else names.get(ticket.user_id, ""),  # type: ignore[arg-type]
            names.get(ticket.assignee, "") if ticket.assignee else "",
            clocks.get(ticket.id),
        )
        for ticket in found
    ]
