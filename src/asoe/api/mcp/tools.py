"""The tools of the MCP server, one row each: which route's permission it needs, what it takes, what it does.

What comes back has ids, classes and figures apart from the words of others (`Outcome.untrusted`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Final, Literal
from uuid import UUID

import mcp_types as types
from pydantic_core import to_jsonable_python

from asoe.api import encoding
from asoe.api.door import Call
from asoe.api.mcp import arguments as given
from asoe.api.permissions import Rule, rule_of
from asoe.api.run_shapes import plain
from asoe.desk import approval, delegation, insight, intake, knowledge, report, session, ticket
from asoe.desk.intake import NewContact, NewTicket
from asoe.desk.runbook import record, shelf
from asoe.domain.delegation import Delegation
from asoe.domain.errors import Missing
from asoe.domain.organization import Principal
from asoe.domain.session import Message
from asoe.domain.ticket import Ticket
from asoe.store.runs import Run
from asoe.store.tickets import TicketFilter

LONGEST_TALK: Final = 64 * 1024
LONGEST_VALUE: Final = 4000
_MOST_MESSAGES: Final = 100
_LOOK_SECONDS: Final = 0.5
_AT_WORK: Final = frozenset({"open", "triaging", "in_progress"})
_RUN_AT_WORK: Final = frozenset({"pending", "running"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """`data` is ours: ids, classes, figures. `untrusted` is what clients, articles and other systems said."""

    data: dict[str, Any]
    untrusted: dict[str, Any] = field(default_factory=dict)
    ticket_id: UUID | None = None
    run_id: UUID | None = None


Doing = Callable[[Call, Delegation, Any], Awaitable[Outcome]]


@dataclass(frozen=True)
class Tool:
    """One tool; `rule` is the route of the API that needs the same right."""

    name: str
    title: str
    rule: Rule
    inputs: type[given.Arguments]
    run: Doing
    changes: bool = False
    is_destructive: bool = False
    is_open_world: bool = False

    @cached_property
    def schema(self) -> dict[str, Any]:
        return self.inputs.model_json_schema()

    @cached_property
    def described(self) -> types.Tool:
        return types.Tool(
            name=self.name,
            title=self.title,
            description=(self.run.__doc__ or "").strip(),
            input_schema=self.schema,
            annotations=types.ToolAnnotations(
                title=self.title,
                read_only_hint=not self.changes,
                destructive_hint=self.is_destructive,
                idempotent_hint=not self.changes,
                open_world_hint=self.is_open_world,
            ),
        )


# --- tickets ---


async def open_ticket(call: Call, _: Delegation, asked: given.OpenTicket) -> Outcome:
    """Open a support ticket. The answer carries its triage (category, severity, intent); the engine then works on it by itself: use wait_for_ticket or read_ticket to see what became of it."""
    contact = asked.contact
    new = NewTicket(
        subject=asked.subject or "",
        body=asked.body,
        category=asked.category,
        severity=asked.severity,
        metadata={"via": "mcp"},
        contact=NewContact(contact.email, contact.phone, contact.external_id, contact.name) if contact else None,
        channel="api",
    )
    opened = await intake.open_ticket(call.acting, call.principal, new)
    return _ticket(opened, call.principal)


async def find_tickets(call: Call, _: Delegation, asked: given.FindTickets) -> Outcome:
    """List or search tickets, newest first. Subjects are in `untrusted`, by ticket number."""
    wanted = TicketFilter(
        status=tuple(asked.status) or None,
        category=tuple(asked.category) or None,
        severity=tuple(asked.severity) or None,
        q=asked.words,
    )
    found = await ticket.list_tickets(call.desk, call.principal, wanted, cursor=asked.cursor, limit=asked.limit)
    return Outcome(
        {"tickets": [brief(each, call.principal) for each in found.items], "next_cursor": found.next_cursor},
        {"subjects": {str(each.number): each.subject for each in found.items}} if found.items else {},
    )


async def read_ticket(call: Call, _: Delegation, asked: given.ReadTicket) -> Outcome:
    """Read one ticket, by number or id, with what was said in it. `next_after_seq` is there when more was said."""
    found = await find_ticket(call, asked.ticket)
    talk = await _talk(call, found, asked.after_seq)
    outcome = _ticket(found, call.principal)
    return Outcome({**outcome.data, **talk.data}, {**outcome.untrusted, **talk.untrusted}, ticket_id=found.id)


async def wait_for_ticket(call: Call, _: Delegation, asked: given.WaitForTicket) -> Outcome:
    """Wait, 25 seconds at most, until the engine is done with a ticket for now: it is resolved, with a person, or waits for its client or for an approval. Then read it."""
    found = await find_ticket(call, asked.ticket)
    ends = time.monotonic() + asked.seconds
    while found.status in _AT_WORK and found.waiting_for is None and time.monotonic() < ends:
        await asyncio.sleep(_LOOK_SECONDS)
        found = await ticket.read_ticket(call.desk, call.principal, found.id)
    return _ticket(found, call.principal)


async def answer_ticket(call: Call, _: Delegation, asked: given.AnswerTicket) -> Outcome:
    """Write into a ticket's conversation, visibly for its client: as the client with a client's key, else as a member of staff, after which the engine is quiet."""
    found = await find_ticket(call, asked.ticket)
    if found.session_id is None:
        raise Missing("This ticket has no conversation.", code="session_missing")
    role = "user" if call.principal.is_client else "agent"
    said = await session.add_message(call.acting, call.principal, found.session_id, role, asked.content)
    return Outcome({"message": {"id": said.id, "seq": said.seq, "role": said.role}}, ticket_id=found.id)


async def add_note(call: Call, _: Delegation, asked: given.AddNote) -> Outcome:
    """Write an internal note on a ticket, for staff; clients never see it."""
    found = await find_ticket(call, asked.ticket)
    said = await session.add_note(call.acting, call.principal, found.id, asked.content)
    return Outcome({"note": {"id": said.id, "seq": said.seq}}, ticket_id=found.id)


# --- knowledge ---


async def search_knowledge(call: Call, _: Delegation, asked: given.SearchKnowledge) -> Outcome:
    """Find the passages of the knowledge base that fit a question best."""
    found = await knowledge.search_articles(
        call.desk, call.principal, asked.question, language=asked.language, product=asked.product, limit=asked.limit
    )
    return Outcome({"count": len(found)}, {"passages": [encoding.passage(each) for each in found]} if found else {})


async def read_article(call: Call, _: Delegation, asked: given.ReadArticle) -> Outcome:
    """Read a whole article."""
    found = await knowledge.read_article(call.desk, call.principal, asked.article_id)
    shown = encoding.article(found)
    words = {name: shown.pop(name) for name in ("title", "body")}
    return Outcome({"article": shown}, words)


# --- runbooks ---


async def list_runbooks(call: Call, rights: Delegation, _: given.Arguments) -> Outcome:
    """List the runbooks that are in use, with their level of autonomy: off, shadow, suggest, approve (acts wait for a person), auto."""
    found = await shelf.list_runbooks(call.desk, call.principal)
    return Outcome(
        {
            "runbooks": [
                {"name": row.name, "title": row.title, "resolution_type": row.resolution_type, "level": row.level}
                for row in found
                if row.published_version is not None and (rights.runbooks is None or row.name in rights.runbooks)
            ]
        }
    )


async def dry_run_runbook(call: Call, rights: Delegation, asked: given.DryRun) -> Outcome:
    """See what a runbook would do for a ticket: it reads the outside systems and acts on nothing."""
    return await _run(call, rights, asked, mode="dry_run")


async def run_runbook(call: Call, rights: Delegation, asked: given.StartRun) -> Outcome:
    """Start a runbook for a ticket. Its acts keep to its level of autonomy: where a person has to agree, the run waits (`waiting_for: approval`) until somebody did so in the dashboard; read_run shows how it goes on."""
    return await _run(call, rights, asked, mode="live")


async def read_run(call: Call, _: Delegation, asked: given.ReadRun) -> Outcome:
    """Read a run: what it read and asked, what it did or would do, and how it ended. Only `verified` means that a check in the outside system passed."""
    found = await record.read_run(call.desk, call.principal, asked.run_id)
    return _record_of(found)


async def list_approvals(call: Call, _: Delegation, asked: given.ListApprovals) -> Outcome:
    """List the acts that wait for a person's approval, or how it was decided. Approving is for people: it is done in the dashboard."""
    ticket_id = (await find_ticket(call, asked.ticket)).id if asked.ticket is not None else None
    found = await approval.list_approvals(
        call.desk, call.principal, status=asked.status, ticket_id=ticket_id, limit=asked.limit
    )
    shown = [plain(asdict(each)) for each in found]
    words = {
        str(each["id"]): {"arguments": cut(each.pop("arguments")), "card": cut(each.pop("card"))} for each in shown
    }
    return Outcome({"approvals": shown}, {"acts": words} if words else {}, ticket_id=ticket_id)


async def read_stats(call: Call, _: Delegation, __: given.Arguments) -> Outcome:
    """Read the organization's figures: tickets, open tickets, the rate resolved (percent), the time it took (hours), by category."""
    return Outcome(encoding.stats(await insight.get_stats(call.desk, call.principal)))


async def read_insights(call: Call, _: Delegation, asked: given.ReadInsights) -> Outcome:
    """Read the report of the last days: tickets handled, contained, verified and durable, each with its 95 % interval and definition, the times it took, the cost, and the same by category, reason and runbook."""
    wanted = {"days": str(asked.days), "category": asked.category, "channel": asked.channel}
    found = await report.read_report(call.desk, call.principal, report.read_slice(wanted, call.desk.clock().date()))
    return Outcome({"insights": to_jsonable_python(report.to_json(found))})


# --- how things are shown ---


async def find_ticket(call: Call, named: str) -> Ticket:
    """By number (`7`, `#7`) or id; raises `Missing`."""
    number = named.removeprefix("#")
    if number.isascii() and number.isdigit():
        return await ticket.read_by_number(call.desk, call.principal, int(number))
    try:
        ticket_id = UUID(named)
    except ValueError:
        raise Missing("A ticket is named by its number or its id.", code="ticket_missing") from None
    return await ticket.read_ticket(call.desk, call.principal, ticket_id)


def brief(value: Ticket, principal: Principal) -> dict[str, Any]:
    """A ticket without anybody's words."""
    shown: dict[str, Any] = {
        name: getattr(value, name)
        for name in (
            "id", "number", "status", "category", "severity", "intent", "language", "waiting_for", "session_id",
            "contact_id", "channel", "reopened", "created_at", "updated_at", "resolved_at",
        )
    }  # fmt: skip
    resolution = value.resolution or {}
    shown["resolution"] = {name: resolution.get(name) for name in ("type", "verdict", "run_id") if name in resolution}
    if principal.is_staff:
        shown |= {"team": value.team, "assignee": value.assignee, "is_spam": value.is_spam}
    return shown


def cut(value: Any) -> Any:
    """Values of other systems, no text longer than a reader can use."""
    match value:
        case str() if len(value) > LONGEST_VALUE:
            return f"{value[:LONGEST_VALUE]}… ({len(value)} characters)"
        case dict():
            return {key: cut(item) for key, item in value.items()}
        case list() | tuple():
            return [cut(item) for item in value[:_MOST_MESSAGES]]
        case _:
            return value


def _ticket(value: Ticket, principal: Principal) -> Outcome:
    said: dict[str, Any] = {"subject": value.subject, "body": value.body}
    if summary := (value.resolution or {}).get("summary") if principal.is_staff else None:
        said["resolution_summary"] = summary
    return Outcome({"ticket": brief(value, principal)}, said, ticket_id=value.id)


async def _talk(call: Call, found: Ticket, after_seq: int) -> Outcome:
    if found.session_id is None:
        return Outcome({"messages": 0})
    _, said = await session.read_session(call.desk, call.principal, found.session_id, after_seq=after_seq)
    shown: list[dict[str, Any]] = []
    size = 0
    for message in said[:_MOST_MESSAGES]:
        size += len(message.content)
        if shown and size > LONGEST_TALK:
            break
        shown.append(_message(message, call.principal))
    more = {"next_after_seq": shown[-1]["seq"]} if len(shown) < len(said) else {}
    return Outcome({"messages": len(shown), **more}, {"messages": shown} if shown else {})


def _message(value: Message, principal: Principal) -> dict[str, Any]:
    shown = {"seq": value.seq, "role": value.role, "content": value.content, "timestamp": value.created_at}
    return {**shown, "is_internal": value.is_internal} if principal.is_staff else shown


async def _run(call: Call, rights: Delegation, asked: given.DryRun, *, mode: Literal["live", "dry_run"]) -> Outcome:
    found = await find_ticket(call, asked.ticket)
    run_id = await delegation.start_run(
        call.acting, call.principal, rights, ticket_id=found.id, runbook=asked.runbook, mode=mode
    )
    ends = time.monotonic() + asked.wait_seconds
    while True:
        now = await record.read_run(call.desk, call.principal, run_id)
        if not _is_at_work(now.run) or time.monotonic() >= ends:
            return _record_of(now)
        await asyncio.sleep(_LOOK_SECONDS)


def _is_at_work(run: Run) -> bool:
    return run.status in _RUN_AT_WORK and run.waiting_for is None


def _record_of(found: record.Record) -> Outcome:
    run = found.run
    data = {
        "run": {
            "id": run.id,
            "runbook": found.runbook,
            "version": run.version,
            "ticket_id": run.ticket_id,
            "mode": run.mode,
            "status": run.status,
            "waiting_for": run.waiting_for,
            "reason": run.reason,
            "ended_at_step": run.ended_at_step,
            "created_at": run.created_at,
            "ended_at": run.ended_at,
        }
    }
    steps = [
        {"path": step.path, "kind": step.kind, "connector": step.connector, "action": step.action, "told": step.told}
        for step in found.steps
    ]
    acts = [
        {
            name: getattr(act, name)
            for name in ("path", "connector", "action", "risk", "status", "arguments", "value", "reason", "approval_id")
        }
        for act in found.actions
    ]
    said = {"note": run.note, "slots": plain(run.slots), "steps": plain(steps), "acts": plain(acts)}
    return Outcome(data, {name: cut(item) for name, item in said.items() if item}, run.ticket_id, run.id)


_TICKET: Final = "/api/support/ticket/{ticket_id}"
_ROWS: Final = (
    Tool("open_ticket", "Open a ticket", rule_of("POST", "/api/support/ticket"), given.OpenTicket, open_ticket, changes=True),
    Tool("find_tickets", "Find tickets", rule_of("GET", "/api/support/tickets"), given.FindTickets, find_tickets),
    Tool("read_ticket", "Read a ticket", rule_of("GET", _TICKET), given.ReadTicket, read_ticket),
    Tool("wait_for_ticket", "Wait for a ticket", rule_of("GET", _TICKET), given.WaitForTicket, wait_for_ticket),
    Tool("answer_ticket", "Answer in a ticket", rule_of("POST", "/api/support/message/{session_id}"), given.AnswerTicket, answer_ticket, changes=True),
    Tool("add_note", "Add an internal note", rule_of("POST", _TICKET + "/notes"), given.AddNote, add_note, changes=True),
    Tool("search_knowledge", "Search the knowledge base", rule_of("POST", "/api/articles/search"), given.SearchKnowledge, search_knowledge),
    Tool("read_article", "Read an article", rule_of("GET", "/api/articles/{article_id}"), given.ReadArticle, read_article),
    Tool("list_runbooks", "List runbooks", rule_of("GET", "/api/support/runbooks"), given.Arguments, list_runbooks),
    Tool("dry_run_runbook", "Try a runbook without effect", rule_of("POST", "/api/support/runs"), given.DryRun, dry_run_runbook, changes=True, is_open_world=True),
    Tool("run_runbook", "Start a runbook", rule_of("POST", "/api/support/runs"), given.StartRun, run_runbook, changes=True, is_destructive=True, is_open_world=True),
    Tool("read_run", "Read a run", rule_of("GET", "/api/support/runs/{run_id}"), given.ReadRun, read_run),
    Tool("list_approvals", "List approvals", rule_of("GET", "/api/support/approvals"), given.ListApprovals, list_approvals),
    Tool("read_stats", "Read the figures", rule_of("GET", "/api/support/stats"), given.Arguments, read_stats),
    Tool("read_insights", "Read the report", rule_of("GET", "/api/support/insights"), given.ReadInsights, read_insights),
)  # fmt: skip
TOOLS: Final = {tool.name: tool for tool in _ROWS}
RULES: Final = {tool.name: tool.rule for tool in _ROWS}
