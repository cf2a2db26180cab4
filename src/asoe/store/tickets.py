"""Tickets in the database: insert, find, page, guarded update, and the counts that never scan."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from asoe.domain.errors import Conflict, FieldProblem, Invalid, Missing
from asoe.domain.ticket import STATUSES, Ticket
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class TicketsSql(NamedQueries):
    insert: str
    find: str
    find_by_number: str
    find_for_update: str
    lock_fingerprint: str
    find_equal: str
    page: str
    page_of_alternatives: str
    page_of_found: str
    search: str
    open_by_severity: str
    update: str
    earlier_of_requester: str
    ended_alike: str
    stats: str
    recount: str
    fold_tally: str
    link: str
    links: str
    correct: str
    corrected_fields: str


_NAMES: Final = (
    "id",
    "org_id",
    "number",
    "category",
    "severity",
    "status",
    "created_at",
    "updated_at",
    "version",
    "subject",
    "body",
    "user_id",
    "contact_id",
    "channel",
    "language",
    "intent",
    "assignee",
    "team",
    "waiting_for",
    "merged_into",
    "is_spam",
    "tags",
    "cc",
    "first_response_at",
    "resolved_at",
    "closed_at",
    "reopened",
    "resolution",
    "triage",
    "metadata",
    "custom_fields",
)
_FIRST_SESSION: Final = (
    "(select s.id from public.support_sessions s where s.ticket_id = t.id order by s.created_at, s.id limit 1)"
)
_COLUMNS: Final = ", ".join([*(f"t.{name}" for name in _NAMES), f"{_FIRST_SESSION} as session_id"])

_CHANGEABLE: Final = frozenset(
    [
        "category",
        "severity",
        "status",
        "subject",
        "intent",
        "language",
        "assignee",
        "team",
        "waiting_for",
        "merged_into",
        "is_spam",
        "tags",
        "cc",
        "custom_fields",
        "first_response_at",
        "resolved_at",
        "closed_at",
        "reopened",
        "resolution",
        "triage",
        "metadata",
        "contact_id",
        "user_id",
        "body",
    ]
)

_FILTERS: Final = {
    "status": "t.status = any(${n}::text[])",
    "category": "t.category = any(${n}::text[])",
    "severity": "t.severity = any(${n}::text[])",
    "intent": "t.intent = any(${n}::text[])",
    "language": "t.language = any(${n}::text[])",
    "channel": "t.channel = any(${n}::text[])",
    "team": "t.team = ${n}::text",
    "assignee": "t.assignee = ${n}::uuid",
    "is_unassigned": "(t.assignee is null) = ${n}::boolean",
    "contact_id": "t.contact_id = ${n}::uuid",
    "user_id": "t.user_id = ${n}::uuid",
    "waiting_for": "t.waiting_for = ${n}::text",
    "tag": "t.tags @> array[${n}::text]",
    "is_spam": "t.is_spam = ${n}::boolean",
    "created_after": "t.created_at >= ${n}::timestamptz",
    "created_before": "t.created_at < ${n}::timestamptz",
}
_ALTERNATIVES: Final = ("status", "category", "severity")
"""Fields with an index in page order: each alternative is read from its own place in it."""

_MARKED: Final = {"intent": "#intent/", "language": "#language/", "channel": "#channel/", "tag": "#tag/"}
"""Fields whose values are marks in the search index (migration 122), because one of them may be rare."""

_SEARCH_CHUNKS: Final = (500, 2000, 2000, 2000)
"""Newest matches looked at for one page when more filters apply; then the page ends, and its cursor goes on."""

MAX_PAGE: Final = 200


@dataclass(frozen=True, slots=True)
class TicketFilter:
    """Which tickets; None leaves a field free. Lists are alternatives. `q` is searched in subject and body."""

    status: tuple[str, ...] | None = None
    category: tuple[str, ...] | None = None
    severity: tuple[str, ...] | None = None
    intent: tuple[str, ...] | None = None
    language: tuple[str, ...] | None = None
    channel: tuple[str, ...] | None = None
    team: str | None = None
    assignee: UUID | None = None
    is_unassigned: bool | None = None
    contact_id: UUID | None = None
    user_id: UUID | None = None
    waiting_for: str | None = None
    tag: str | None = None
    is_spam: bool | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    q: str | None = None


@dataclass(frozen=True, slots=True)
class NewRow:
    """What intake decided about a new ticket."""

    id: UUID
    org_id: UUID
    category: str
    severity: str
    status: str
    created_at: datetime
    subject: str = ""
    body: str = ""
    user_id: UUID | None = None
    contact_id: UUID | None = None
    channel: str = "api"
    language: str = "und"
    intent: str | None = None
    triage: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    custom_fields: dict[str, Any] = field(default_factory=dict)
    cc: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    is_spam: bool = False
    fingerprint: bytes | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of tickets, newest first; `next_cursor` is None on the last."""

    items: tuple[Ticket, ...]
    next_cursor: str | None


async def insert(connection: Connection, row: NewRow, *, session_id: UUID) -> Ticket:
    """Insert the ticket and return it with its number; the caller inserts session `session_id` next."""
    made = await connection.fetchrow(
        TicketsSql.insert,
        row.id,
        row.org_id,
        row.user_id,
        row.category,
        row.severity,
        row.status,
        row.metadata,
        row.subject,
        row.body,
        row.contact_id,
        row.channel,
        row.language,
        row.intent,
        row.triage,
        list(row.cc),
        list(row.tags),
        row.custom_fields,
        row.is_spam,
        row.fingerprint,
        row.created_at,
    )
    return Ticket(
        id=row.id,
        org_id=row.org_id,
        number=made["number"],
        version=made["version"],
        category=row.category,
        severity=row.severity,
        status=row.status,
        created_at=row.created_at,
        updated_at=row.created_at,
        subject=row.subject,
        body=row.body,
        user_id=row.user_id,
        contact_id=row.contact_id,
        channel=row.channel,
        language=row.language,
        intent=row.intent,
        triage=row.triage,
        metadata=row.metadata,
        custom_fields=row.custom_fields,
        cc=row.cc,
        tags=row.tags,
        is_spam=row.is_spam,
        closed_at=row.created_at if row.status == "closed" else None,
        session_id=session_id,
    )


async def find(connection: Connection, org_id: UUID, ticket_id: UUID) -> Ticket:
    """The ticket, or `Missing(ticket_missing)` when it does not exist or is not the caller's to see."""
    return from_row(await connection.fetchrow(with_columns(TicketsSql.find), org_id, ticket_id), ticket_id)


async def find_by_number(connection: Connection, org_id: UUID, number: int) -> Ticket:
    return from_row(await connection.fetchrow(with_columns(TicketsSql.find_by_number), org_id, number), number)


async def find_for_update(connection: Connection, org_id: UUID, ticket_id: UUID) -> Ticket:
    """`find`, holding the row until the transaction ends. Take it before a session's lock, never after."""
    return from_row(await connection.fetchrow(with_columns(TicketsSql.find_for_update), org_id, ticket_id), ticket_id)


async def find_equal(connection: Connection, org_id: UUID, fingerprint: bytes, *, since: datetime) -> Ticket | None:
    """The ticket with the same words from the same person since then; waits for an equal one in the making."""
    await connection.execute(TicketsSql.lock_fingerprint, str(org_id), fingerprint)
    row = await connection.fetchrow(with_columns(TicketsSql.find_equal), org_id, fingerprint, since)
    return None if row is None else _ticket(row)


async def page(
    connection: Connection, org_id: UUID, wanted: TicketFilter, *, cursor: str | None = None, limit: int = 50
) -> Page:
    """One keyset page, newest first; raises `Invalid` on a cursor we did not hand out."""
    if not 1 <= limit <= MAX_PAGE:
        raise Invalid(
            f"limit: {limit} is out of range; ask for 1 to {MAX_PAGE}.",
            fields=(FieldProblem("limit", f"must be 1 to {MAX_PAGE}"),),
        )
    after = None if cursor is None else _read_cursor(cursor)
    given = {name: getattr(wanted, name) for name in _FILTERS if getattr(wanted, name) is not None}
    marks = _marks(given)
    if wanted.q is not None or marks is not None:
        return await _page_of_found(connection, org_id, given, q=wanted.q, marks=marks, after=after, limit=limit)
    arguments: list[Any] = [org_id, limit + 1]
    if "team" in given:  # its index is by status, as inboxes ask for it
        given.setdefault("status", STATUSES)
    alternative = next((name for name in _ALTERNATIVES if len(set(given.get(name, ()))) > 1), None)
    if alternative is None:
        sql = TicketsSql.page
    else:
        arguments.append(sorted(set(given.pop(alternative))))
        sql = TicketsSql.page_of_alternatives.replace("{field}", alternative)
    sql = sql.replace("{filters}", _conditions(given, arguments))
    if after is not None:
        arguments += after
    rows = await connection.fetch(with_columns(sql.replace("{after}", _behind(after, arguments))), *arguments)
    items = tuple(_ticket(row) for row in rows[:limit])
    return Page(items, _write_cursor(items[-1].created_at, items[-1].id) if len(rows) > limit else None)


async def _page_of_found(
    connection: Connection,
    org_id: UUID,
    given: dict[str, Any],
    *,
    q: str | None,
    marks: str | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> Page:
    """The newest matches, and of these what the other filters let through."""
    rest = {name: value for name, value in given.items() if name not in _MARKED}
    items: list[Ticket] = []
    for chunk in _SEARCH_CHUNKS if rest else (limit + 1,):
        found = await connection.fetch(TicketsSql.search, q, marks, chunk, *(after or (None, None)))
        arguments: list[Any] = [org_id, limit + 1 - len(items), [row["id"] for row in found]]
        sql = TicketsSql.page_of_found.replace("{filters}", _conditions(given, arguments))
        items += [_ticket(row) for row in await connection.fetch(with_columns(sql), *arguments)]
        if len(items) > limit:
            return Page(tuple(items[:limit]), _write_cursor(items[limit - 1].created_at, items[limit - 1].id))
        if len(found) < chunk:
            return Page(tuple(items), None)
        after = (found[-1]["created_at"], found[-1]["id"])
    return Page(tuple(items), _write_cursor(*after) if after else None)


def _conditions(given: Mapping[str, Any], arguments: list[Any]) -> str:
    """`and …` for every filter; appends to `arguments`. One alternative is an equality, which keeps the index's order."""
    sql = ""
    for name, value in given.items():
        is_one = isinstance(value, tuple) and len(value) == 1
        arguments.append(value[0] if is_one else list(value) if isinstance(value, tuple) else value)
        condition = f"t.{name} = ${{n}}::text" if is_one else _FILTERS[name]
        sql += " and " + condition.replace("{n}", str(len(arguments)))
    return sql


def _behind(after: tuple[datetime, UUID] | None, arguments: list[Any]) -> str:
    last = len(arguments)
    return "" if after is None else f"and (t.created_at, t.id) < (${last - 1}::timestamptz, ${last}::uuid)"


def _marks(given: Mapping[str, Any]) -> str | None:
    """A tsquery of the marks that these filters ask for; None when they ask for none."""
    wanted = []
    for name, prefix in _MARKED.items():
        if name in given:
            values = given[name] if isinstance(given[name], tuple) else (given[name],)
            wanted.append(" | ".join(_lexeme(prefix + value[:100]) for value in values) or "'#none'")
    if given.get("is_spam"):
        wanted.append("'#spam'")
    return " & ".join(f"({part})" for part in wanted) or None


def _lexeme(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


async def open_by_severity(connection: Connection, org_id: UUID, *, limit: int = MAX_PAGE) -> list[Ticket]:
    """Open, triaging and in_progress tickets; most severe first by rank, then oldest."""
    rows = await connection.fetch(with_columns(TicketsSql.open_by_severity), org_id, limit)
    return [_ticket(row) for row in rows]


async def update(connection: Connection, ticket: Ticket, changes: Mapping[str, Any]) -> Ticket:
    """Write `changes` if the ticket still is the `ticket` that was read, else raise `Conflict(ticket_changed)`."""
    if not changes:
        return ticket
    unknown = set(changes) - _CHANGEABLE
    if unknown:
        raise ValueError(f"not changeable: {sorted(unknown)}")
    arguments: list[Any] = [ticket.org_id, ticket.id, ticket.version]
    assignments = []
    for name, value in changes.items():
        arguments.append(list(value) if isinstance(value, tuple) else value)
        assignments.append(f"{name} = ${len(arguments)}")
    sql = TicketsSql.update.replace("{assignments}", ", ".join(assignments))
    row = await connection.fetchrow(sql, *arguments)
    if row is None:
        raise Conflict(
            f"Ticket {ticket.number} was changed by somebody else since version {ticket.version}. Read it again, then "
            "decide.",
            code="ticket_changed",
        )
    written: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()
    }
    return replace(ticket, **written, version=row["version"], updated_at=row["updated_at"])


async def earlier_of_requester(connection: Connection, ticket: Ticket, *, limit: int = 5) -> list[Ticket]:
    """Other tickets of the same client, newest first; none when the client is not known."""
    if ticket.contact_id is None and ticket.user_id is None:
        return []
    rows = await connection.fetch(
        with_columns(TicketsSql.earlier_of_requester),
        ticket.org_id,
        ticket.id,
        ticket.contact_id,
        ticket.user_id,
        limit,
    )
    return [_ticket(row) for row in rows]


async def ended_alike(connection: Connection, ticket: Ticket, *, limit: int = 5) -> list[Ticket]:
    """The newest other tickets that wanted the same, and ended; none when it is not known what this one wants."""
    if not ticket.intent:
        return []
    rows = await connection.fetch(with_columns(TicketsSql.ended_alike), ticket.org_id, ticket.id, ticket.intent, limit)
    return [_ticket(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Tally:
    """How many tickets of one category have one status; `resolved_seconds` is summed over `resolved_timed` of them."""

    category: str
    status: str
    tickets: int
    resolved_timed: int
    resolved_seconds: float


async def tallies(connection: Connection, org_id: UUID) -> list[Tally]:
    return [Tally(**dict(row)) for row in await connection.fetch(TicketsSql.stats, org_id) if row["tickets"]]


async def recount(connection: Connection, org_id: UUID) -> list[Tally]:
    """The same by scanning; slow, for proofs."""
    return [Tally(**dict(row)) for row in await connection.fetch(TicketsSql.recount, org_id)]


async def fold_tally(connection: Connection) -> int:
    """Replace the organization's differences by their sums; returns how many rows were folded."""
    return int(await connection.fetchval(TicketsSql.fold_tally))


async def link(connection: Connection, org_id: UUID, ticket_id: UUID, other_id: UUID, *, kind: str, by: UUID) -> bool:
    """False when the two were linked like this already."""
    return bool(await connection.fetchval(TicketsSql.link, org_id, ticket_id, other_id, kind, by))


async def links(connection: Connection, org_id: UUID, ticket_id: UUID) -> list[dict[str, Any]]:
    """Links from and to the ticket, as `{ticket_id, other_id, kind, created_at}`."""
    return [dict(row) for row in await connection.fetch(TicketsSql.links, org_id, ticket_id)]


async def correct(
    connection: Connection,
    ticket: Ticket,
    *,
    field_name: str,
    judged: str | None,
    before: str | None,
    corrected: str,
    by: UUID,
) -> None:
    """Keep a person's correction with what stood there, what the model had judged, and which model it was."""
    version = ticket.triage.get("model_version")
    await connection.execute(
        TicketsSql.correct, ticket.org_id, ticket.id, field_name, judged, before, corrected, version, by
    )


async def corrected_fields(
    connection: Connection, org_id: UUID, ticket_id: UUID, *, before: datetime | None = None
) -> frozenset[str]:
    """The fields of this ticket that people have corrected; `before`: up to then, by the database's clock."""
    rows = await connection.fetch(TicketsSql.corrected_fields, org_id, ticket_id, before)
    return frozenset(row["field"] for row in rows)


def with_columns(sql: str) -> str:
    """A query with `{columns}` of table `t` as this module reads them."""
    return sql.replace("{columns}", _COLUMNS)


def from_row(row: Any, wanted: object) -> Ticket:
    """The ticket of a row with these columns; no row raises `Missing(ticket_missing)`."""
    if row is None:
        raise Missing(f"There is no ticket {wanted} here, or it is not yours to see.", code="ticket_missing")
    return _ticket(row)


def _ticket(row: Any) -> Ticket:
    values = dict(row)
    for name in ("tags", "cc"):
        values[name] = tuple(values[name])
    for name in ("resolution", "metadata"):
        values[name] = values[name] or {}
    return Ticket(**values)


def _write_cursor(created_at: datetime, ticket_id: UUID) -> str:
    raw = json.dumps([created_at.isoformat(), str(ticket_id)])
    return base64.urlsafe_b64encode(raw.encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[datetime, UUID]:
    try:
        created_at, ticket_id = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return datetime.fromisoformat(created_at), UUID(ticket_id)
    except (ValueError, TypeError, UnicodeDecodeError):
        raise Invalid(
            "cursor: this is not a cursor we handed out; leave it away to start from the newest.",
            code="bad_cursor",
            fields=(FieldProblem("cursor", "not a cursor of this list"),),
        ) from None
