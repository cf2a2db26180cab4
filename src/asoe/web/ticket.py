"""One ticket: what was said, what the engine thought and did, and everything a person may do about it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

from starlette.datastructures import UploadFile
from starlette.responses import Response

from asoe.api.live import write_cursor
from asoe.desk import attachment as desk_attachment
from asoe.desk import canned_reply, presence
from asoe.desk import draft as desk_draft
from asoe.desk import session as desk_session
from asoe.desk import ticket as desk_ticket
from asoe.desk.context import Desk
from asoe.domain.errors import Conflict, Invalid, Missing
from asoe.domain.mail import why_unproven
from asoe.domain.organization import Principal
from asoe.domain.policy import read_policy
from asoe.domain.resolution import Citation
from asoe.domain.routing import NOT_CHOSEN
from asoe.domain.session import Session
from asoe.domain.ticket import MOVES, Ticket
from asoe.domain.triage import CATEGORIES, INTENTS, SEVERITIES
from asoe.store import (
    approvals,
    assignments,
    attachments,
    contacts,
    directory,
    escalations,
    facts,
    incidents,
    orchestrator,
    service_levels,
    sessions,
    ticket_page,
    tickets,
)
from asoe.store import runs as runbook_runs
from asoe.store.db import Connection
from asoe.web.door import Pages, Visit
from asoe.web.queue import close
from asoe.web.undo import undo_of

pages = Pages()
_ONE: Final = "/tickets/{ticket_id}"
_LONGEST_NUMBER: Final = 18
_MARKER: Final = re.compile(r" ?\[\d+\]")
_FIELDS: Final = ("category", "severity", "intent")
_OPENED_AT: Final = {"ticket": "/tickets/", "run": "/runs/", "incident": "/incidents/", "article": "/knowledge/"}
"""The page of each thing that a dossier links to."""


@pages.get(_ONE)
async def show(visit: Visit) -> Response:
    """The ticket; `use` names a canned reply that the composer begins with. Its number leads to it, too."""
    number = visit.request.path_params["ticket_id"].removeprefix("#")
    if number.isascii() and number.isdigit() and len(number) <= _LONGEST_NUMBER:
        found = await desk_ticket.read_by_number(visit.desk, visit.principal, int(number))
        return visit.back(f"/tickets/{found.id}")
    ticket_id = visit.id("ticket_id", "ticket")
    name = visit.text("use", most=100)
    if not name:
        return await _page(visit, ticket_id)
    try:
        text = await canned_reply.fill_in(visit.desk, visit.principal, ticket_id, name)
    except Invalid as error:
        return await _page(visit, ticket_id, problem=error.message)
    return await _page(visit, ticket_id, written=text)


async def _page(
    visit: Visit,
    ticket_id: UUID,
    *,
    written: str = "",
    sources: Sequence[Citation] = (),
    problem: str = "",
    status: int = 200,
) -> Response:
    key = ("ticket", visit.principal.org_id, visit.principal.role, ticket_id)
    found = await visit.site.together.ask(key, lambda: _read(visit.desk, visit.principal, ticket_id))
    return visit.page("ticket.html", status, written=written, sources=sources, problem=problem, **found)


async def _read(desk: Desk, reader: Principal, ticket_id: UUID) -> dict[str, Any]:
    """What the page shows to anybody of the reader's organization and role: several who ask at once get the same."""
    org_id = reader.org_id
    async with desk.database.org_reading(reader) as connection:
        sight = await ticket_page.sight(connection, org_id, ticket_id)
        ticket, beside = sight.ticket, sight.beside
        said = await sessions.messages_of_ticket(connection, org_id, ticket_id)
        found_sessions = await sessions.of_ticket(connection, org_id, ticket_id)
        history = await facts.timeline(connection, org_id, ticket_id, limit=300)
        runs = await orchestrator.runs_of_ticket(connection, org_id, ticket_id, limit=20)
        related = await ticket_page.related(connection, ticket)
        offered = await ticket_page.surroundings(connection, org_id, language=ticket.language)
        contact = await contacts.find(connection, org_id, ticket.contact_id) if ticket.contact_id else None
        escalation = await escalations.newest(connection, org_id, ticket_id) if "escalation" in beside else None
        given = await assignments.history(connection, org_id, ticket_id) if "assignments" in beside else []
        clocks = await service_levels.clocks(connection, org_id, ticket_id) if "clocks" in beside else []
        parts = await incidents.of_ticket(connection, org_id, ticket_id) if "incidents" in beside else []
        files = await attachments.of_ticket(connection, org_id, ticket_id) if "files" in beside else []
        book_runs, waiting = await _runbook_runs(connection, org_id, ticket_id) if "runs" in beside else ([], [])
        accounts = [ticket.assignee, ticket.user_id, *(each.author for each in said), *(each.actor for each in history)]
        accounts += [*(each.user_id for each in given), *(UUID(who) for each in given for who, _ in each.others if who)]
        names = await directory.names(connection, org_id, accounts)
        told_of = await directory.runbooks(connection, org_id, history, runs=[each.id for each in book_runs])
    policy = read_policy(offered.settings)
    teams = {*policy.by_category.values(), *policy.by_intent.values(), *policy.by_severity.values()}
    requester = names.get(ticket.user_id, "") if ticket.user_id else ""
    if contact is not None:
        requester = contact.name or contact.email or contact.phone or contact.external_id or ""
    last = found_sessions[-1].id if found_sessions else None
    return {
        "t": ticket,
        "since": write_cursor((sight.since, 0)),
        "replies": offered.replies,
        "seen_seq": max((each.seq for each in said if each.session_id == last), default=0),
        "here": f"/tickets/{ticket.id}",
        "said": said,
        "sessions": found_sessions,
        "is_quiet": any(each.is_ai_quiet for each in found_sessions),
        "history": list(reversed(history)),
        "told_of": told_of,
        "escalation": escalation,
        "unproven": why_unproven(ticket.metadata),
        "dossier": _readable_dossier(escalation.dossier) if escalation else {},
        "clocks": [each.clock for each in clocks],
        "given": list(reversed(given)),
        "not_chosen": NOT_CHOSEN,
        "runs": [readable_run(run, names) for run in runs],
        "book_runs": book_runs,
        "waiting": waiting,
        "parts": parts,
        "files": files,
        "related": related,
        "corrected": sight.corrected,
        "contact": contact,
        "requester": requester or "Unknown client",
        "names": names,
        "colleagues": offered.staff,
        "teams": sorted({*teams, policy.default_team, *([ticket.team] if ticket.team else [])}),
        "moves": [each for each in _moves(ticket) if each != "closed"],
        "may_close": ticket.status != "closed",
        "triage": _judged(ticket),
        "choices": {
            "category": CATEGORIES,
            "severity": SEVERITIES,
            "intent": _intents(ticket.category, {**offered.intents, **INTENTS}),
        },
    }


async def _runbook_runs(
    connection: Connection, org_id: UUID, ticket_id: UUID
) -> tuple[list[runbook_runs.Run], list[approvals.Approval]]:
    """The newest runs of runbooks for the ticket, and the acts of theirs that wait for a person's word."""
    found = await runbook_runs.list_runs(connection, org_id, ticket_id=ticket_id, limit=5)
    asks = any(run.ended_at is None for run in found)
    return found, await approvals.list_approvals(connection, org_id, ticket_id=ticket_id) if asks else []


@pages.post(_ONE + "/messages")
async def write(visit: Visit) -> Response:
    """A reply to the client, or an internal note; a reply may also resolve the ticket."""
    ticket_id = visit.id("ticket_id", "ticket")
    content = visit.text("content", most=70_000)
    if visit.text("kind", "reply", most=10) == "note":
        await desk_session.add_note(visit.desk, visit.principal, ticket_id, content)
        return _here(visit, ticket_id, "Note kept. Clients never see it.")
    session = await _session(visit, ticket_id)
    seen = visit.number("seen_seq", 0) if visit.text("seen_seq", most=20) else None
    try:
        await desk_session.add_message(visit.desk, visit.principal, session.id, "agent", content, seen_seq=seen)
    except Conflict as error:
        if error.code != "conversation_moved" or visit.is_htmx:
            raise
        return await _page(visit, ticket_id, written=content, problem=error.message, status=409)
    if visit.text("then", most=10) == "resolve":
        await desk_ticket.move_ticket(visit.desk, visit.principal, ticket_id, "resolved")
        return _here(
            visit, ticket_id, "Sent, and resolved.", undo_of([f"reopen:{ticket_id}:"], f"/tickets/{ticket_id}")
        )
    return _here(visit, ticket_id, "Sent.")


@pages.post(_ONE + "/draft")
async def draft(visit: Visit) -> Response:
    """What the engine would answer, in the composer; nothing is sent."""
    ticket_id = visit.id("ticket_id", "ticket")
    await desk_ticket.read_ticket(visit.desk, visit.principal, ticket_id)
    try:
        found = await desk_draft.draft_reply(visit.desk, visit.principal, ticket_id)
    except Missing as error:
        return await _page(visit, ticket_id, problem=error.message)
    return await _page(visit, ticket_id, written=_MARKER.sub("", found.content), sources=found.citations)


@pages.post(_ONE + "/presence")
async def be_present(visit: Visit) -> Response:
    """Who else is on the ticket just now, told to somebody who is."""
    state = visit.text("state", "viewing", most=20)
    found = await presence.be_present(visit.desk, visit.principal, visit.id("ticket_id", "ticket"), state)
    return visit.page("presence.html", company=found)


@pages.post(_ONE + "/take-over")
async def take_over(visit: Visit) -> Response:
    ticket_id = visit.id("ticket_id", "ticket")
    before = await desk_ticket.read_ticket(visit.desk, visit.principal, ticket_id)
    session = await _session(visit, ticket_id)
    await desk_session.take_over(visit.desk, visit.principal, session.id)
    steps = ["" if session.is_ai_quiet else f"hand-back:{ticket_id}:", f"assign:{ticket_id}:{before.assignee or ''}"]
    undone = undo_of(steps, f"/tickets/{ticket_id}")
    return _here(visit, ticket_id, "It is yours. The engine is quiet.", undone)


@pages.post(_ONE + "/hand-back")
async def hand_back(visit: Visit) -> Response:
    ticket_id = visit.id("ticket_id", "ticket")
    session = await _session(visit, ticket_id)
    await desk_session.hand_back(visit.desk, visit.principal, session.id)
    undone = undo_of([f"take-over:{ticket_id}:"], f"/tickets/{ticket_id}")
    return _here(visit, ticket_id, "The engine looks at it again.", undone)


@pages.post(_ONE + "/status")
async def move(visit: Visit) -> Response:
    ticket_id = visit.id("ticket_id", "ticket")
    status = visit.text("status", most=20)
    if status == "closed":
        await close(visit, await desk_ticket.read_ticket(visit.desk, visit.principal, ticket_id))
        return _here(visit, ticket_id, "Closed.", undo_of([f"reopen:{ticket_id}:"], f"/tickets/{ticket_id}"))
    if status not in MOVES:
        raise Invalid(f"status: {status!r} is no status.", code="invalid_request")
    version = visit.number("version", 0) or None
    await desk_ticket.move_ticket(visit.desk, visit.principal, ticket_id, status, expected_version=version)
    said = {
        "resolved": "Resolved. The client's word would verify it.",
        "escalated": "Escalated, with a dossier.",
        "open": "Open again.",
        "triaging": "The engine looks at it again.",
    }
    undone = undo_of([f"reopen:{ticket_id}:"], f"/tickets/{ticket_id}") if status == "resolved" else None
    return _here(visit, ticket_id, said.get(status, "In progress."), undone)


@pages.post(_ONE + "/assign")
async def assign(visit: Visit) -> Response:
    """Who is responsible: a person, a team, or nobody."""
    ticket_id = visit.id("ticket_id", "ticket")
    before = await desk_ticket.read_ticket(visit.desk, visit.principal, ticket_id)
    changes: dict[str, Any] = {}
    if "assignee" in visit.form:
        given = visit.text("assignee", most=40)
        try:
            changes["assignee"] = UUID(given) if given else None
        except ValueError:
            raise Missing("There is no such member.", code="no_member") from None
    if "team" in visit.form:
        changes["team"] = visit.text("team", most=100).strip() or None
    await desk_ticket.change_ticket(visit.desk, visit.principal, ticket_id, changes)
    steps = [
        f"{step}:{ticket_id}:{getattr(before, name) or ''}"
        for name, step in (("assignee", "assign"), ("team", "team"))
        if name in changes and changes[name] != getattr(before, name)
    ]
    return _here(visit, ticket_id, "Changed.", undo_of(steps, f"/tickets/{ticket_id}"))


@pages.post(_ONE + "/tags")
async def tag(visit: Visit) -> Response:
    ticket_id = visit.id("ticket_id", "ticket")
    before = await desk_ticket.read_ticket(visit.desk, visit.principal, ticket_id)
    removed, added = visit.text("untag", most=100), visit.text("add", most=100).strip()
    tags = [each for each in before.tags if each != removed] + ([added] if added else [])
    changed = await desk_ticket.change_ticket(visit.desk, visit.principal, ticket_id, {"tags": tags})
    steps = [f"tag:{ticket_id}:{tag}" for tag in before.tags if tag not in changed.tags]
    steps += [f"untag:{ticket_id}:{tag}" for tag in changed.tags if tag not in before.tags]
    said = "The tag is gone." if removed else "Tagged." if steps else ""
    return _here(visit, ticket_id, said, undo_of(steps, f"/tickets/{ticket_id}"))


@pages.post(_ONE + "/triage")
async def correct(visit: Visit) -> Response:
    """Correct what the engine judged; it learns from that."""
    ticket_id = visit.id("ticket_id", "ticket")
    before = await desk_ticket.read_ticket(visit.desk, visit.principal, ticket_id)
    name = next((each for each in _FIELDS if visit.text(each, most=50)), "")
    if not name:
        raise Invalid("Name a category, severity or intent.", code="invalid_request")
    value = visit.text(name, most=50)
    await desk_ticket.change_ticket(visit.desk, visit.principal, ticket_id, {name: value})
    was = getattr(before, name)
    step = f"correct:{ticket_id}:{name}:{was}"
    undone = undo_of([step], f"/tickets/{ticket_id}") if was and was != value else None
    return _here(visit, ticket_id, "Corrected. The engine learns from it.", undone)


@pages.post(_ONE + "/answer-judgement")
async def judge_answer(visit: Visit) -> Response:
    """Whether the engine's answer was useful: a correction like any other."""
    ticket_id = visit.id("ticket_id", "ticket")
    is_useful = visit.text("is_useful", most=10) == "yes"
    await desk_ticket.judge_answer(visit.desk, visit.principal, ticket_id, is_useful=is_useful)
    return _here(
        visit, ticket_id, "Noted: the answer was useful." if is_useful else "Noted: the answer was not useful."
    )


@pages.post(_ONE + "/spam")
async def mark_spam(visit: Visit) -> Response:
    ticket_id = visit.id("ticket_id", "ticket")
    is_spam = visit.text("is_spam", "yes", most=5) == "yes"
    blocks = visit.text("block", most=5) == "yes"
    await desk_ticket.mark_spam(visit.desk, visit.principal, ticket_id, is_spam=is_spam, block_sender=blocks)
    undone = undo_of([f"unspam:{ticket_id}:"], f"/tickets/{ticket_id}") if is_spam and not blocks else None
    return _here(visit, ticket_id, "Marked as spam." if is_spam else "Not spam: the engine looks at it.", undone)


@pages.post(_ONE + "/merge")
async def merge(visit: Visit) -> Response:
    ticket_id = visit.id("ticket_id", "ticket")
    number = visit.number("into", 0, high=2**62)
    target = await desk_ticket.read_by_number(visit.desk, visit.principal, number)
    await desk_ticket.merge_ticket(visit.desk, visit.principal, ticket_id, into=target.id)
    return visit.back(f"/tickets/{target.id}", f"Merged into #{number}.")


@pages.post(_ONE + "/attachments", max_files=1)
async def attach(visit: Visit) -> Response:
    ticket_id = visit.id("ticket_id", "ticket")
    given = visit.form.get("file")
    if not isinstance(given, UploadFile) or not given.filename:
        raise Invalid("Choose a file first.", code="empty_file")
    await desk_attachment.attach(
        visit.desk,
        visit.principal,
        ticket_id,
        name=given.filename,
        media_type=given.content_type or "application/octet-stream",
        content=await given.read(),
        is_internal=visit.text("is_internal", most=5) == "yes",
    )
    return _here(visit, ticket_id, "Attached.")


@pages.get(_ONE + "/attachments/{attachment_id}")
async def download(visit: Visit) -> Response:
    """The file as a download, whatever it claims to be."""
    ticket_id, attachment_id = visit.id("ticket_id", "ticket"), visit.id("attachment_id", "file")
    found, content = await desk_attachment.read_attachment(visit.desk, visit.principal, attachment_id)
    if found.ticket_id != ticket_id:
        raise Missing("There is no such file on this ticket.", code="attachment_missing")
    plain = found.name.encode("ascii", "replace").decode().replace("?", "_").replace('"', "_")
    return Response(
        content,
        media_type="application/octet-stream",
        headers={
            "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(found.name)}",
            "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
        },
    )


def _here(visit: Visit, ticket_id: UUID, said: str, undo: dict[str, Any] | None = None) -> Response:
    return visit.back(f"/tickets/{ticket_id}", said, undo=undo)


async def _session(visit: Visit, ticket_id: UUID) -> Session:
    """The session a person speaks in: the newest, or a new one."""
    async with visit.desk.database.org_reading(visit.principal) as connection:
        await tickets.find(connection, visit.principal.org_id, ticket_id)
        found = await sessions.of_ticket(connection, visit.principal.org_id, ticket_id)
    return found[-1] if found else await desk_session.start_session(visit.desk, visit.principal, ticket_id, "hybrid")


def _moves(ticket: Ticket) -> list[str]:
    return sorted(MOVES[ticket.status]) if ticket.merged_into is None and not ticket.is_spam else []


def _intents(category: str, known: Mapping[str, str]) -> list[str]:
    """Those of the category first, the organization's own before everybody's."""
    return sorted(known, key=lambda name: (known[name] != category, name in INTENTS))


def _judged(ticket: Ticket) -> dict[str, Any]:
    """What triage said, by field, in the form the page shows; empty when the ticket was not judged."""
    stored = ticket.triage
    if "model_version" not in stored:
        return {}
    fields = {}
    for name in _FIELDS:
        judged = stored.get(name)
        if isinstance(judged, Mapping) and "value" in judged:
            others = [each["value"] for each in judged.get("alternatives", ()) if isinstance(each, Mapping)]
            fields[name] = {
                "value": judged["value"],
                "confidence": float(judged.get("confidence", 0)),
                "others": [each for each in others if each != getattr(ticket, name)][:3],
            }
    evidence = stored.get("evidence") or {}
    return {
        "fields": fields,
        "words": list(evidence.get("words", ())),
        "similar": list(evidence.get("similar", ()))[:3],
        "language": stored.get("language"),
        "model": stored["model_version"],
        "given": stored.get("given") or {},
    }


def _readable_dossier(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The earlier tickets and what else there is to open, each with its page; one written before it had links has none."""
    links = [each for each in stored.get("links", ()) if isinstance(each, Mapping) and each.get("kind") in _OPENED_AT]
    pages = [{**each, "page": _OPENED_AT[each["kind"]] + str(each["id"])} for each in links]
    history = list(stored.get("history", ()))
    before = [each["page"] for each in pages if each["kind"] == "ticket"]
    before += [""] * (len(history) - len(before))
    return {
        "history": list(zip(history, before, strict=False)),
        "links": [each for each in pages if each["kind"] != "ticket"],
    }


def readable_run(run: dict[str, Any], names: Mapping[UUID, str]) -> dict[str, Any]:
    """A run with who began it, and each agent's part: its summaries as lines, how long it took, what it used."""

    def lines(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, indent=1, default=str)[1:-1].strip() if value else ""

    invocations = [
        {**each, "input": lines(each["input"]), "output": lines(each["output"]), "about": _about(each)}
        for each in run["invocations"]
    ]
    via, _, account = run["initiator"].partition(":")
    begun_by = ""
    if via in {"mcp", "a2a"}:
        begun_by = f"{names.get(UUID(account), 'an outside agent')} over {via.upper()}"
    return {**run, "invocations": invocations, "begun_by": begun_by}


def _about(part: Mapping[str, Any]) -> str:
    """In words: the kind of engine unless it is the local one, the time it took, the tokens it used."""
    said = [] if part["engine_type"] == "local" else [str(part["engine_type"]).upper()]
    if part["started_at"] and part["ended_at"]:
        took = datetime.fromisoformat(part["ended_at"]) - datetime.fromisoformat(part["started_at"])
        said.append(f"{took.total_seconds() * 1000:.0f} ms")
    if tokens := part["tokens_in"] + part["tokens_out"]:
        said.append(f"{tokens} tokens")
    return ", ".join(said)
