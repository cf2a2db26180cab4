"""Tickets of other systems as values: reads what Zendesk and Chatwoot export, and plain tables. Pure; stores nothing."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from asoe.domain.errors import Invalid
from asoe.domain.people import clean_email, clean_phone
from asoe.domain.session import MAX_MESSAGE_BYTES
from asoe.domain.ticket import MAX_BODY_BYTES, MAX_SUBJECT_CHARS, SEVERITY_RANK
from asoe.domain.triage import CATEGORIES

SOURCES: Final = ("zendesk", "chatwoot", "csv")
CSV_COLUMNS: Final = {
    "subject": "the subject line",
    "body": "what the client wrote (required)",
    "external_id": "the ticket's id elsewhere; without it the row's number is used",
    "email": "the client's address",
    "name": "the client's name",
    "status": "open, resolved or closed; default closed",
    "category": "one of our categories; without it triage decides",
    "severity": "low, medium, high or critical; without it triage decides",
    "tags": "words separated by commas",
    "created_at": "ISO 8601; default: now",
}
_ENDED: Final = {"solved": "resolved", "resolved": "resolved", "closed": "closed"}
_SEVERITY: Final = {"urgent": "critical", "high": "high", "normal": "medium", "medium": "medium", "low": "low"}


@dataclass(frozen=True, slots=True)
class ForeignMessage:
    """One message; `role` is user or agent."""

    role: str
    content: str
    at: datetime
    is_internal: bool = False


@dataclass(frozen=True, slots=True)
class ForeignTicket:
    """One ticket as another system had it. `status` is open, resolved or closed."""

    external_id: str
    subject: str
    body: str
    status: str
    created_at: datetime
    ended_at: datetime | None = None
    email: str | None = None
    phone: str | None = None
    name: str = ""
    category: str | None = None
    severity: str | None = None
    tags: tuple[str, ...] = ()
    messages: tuple[ForeignMessage, ...] = ()


@dataclass(frozen=True, slots=True)
class RowProblem:
    """Why one row cannot be imported: where it is, and what is wrong with it."""

    place: str
    problem: str


def read(source: str, text: str, *, now: datetime) -> Iterator[ForeignTicket | RowProblem]:
    """Every ticket of an export, or what is wrong with it; raises `Invalid(bad_export)` when the whole is no export."""
    if source == "csv":
        yield from _read_csv(text, now=now)
        return
    users, rows = _records(source, text)
    for number, row in enumerate(rows, 1):
        place = f"ticket {row.get('id', f'number {number}')}" if isinstance(row, Mapping) else f"entry {number}"
        try:
            found = _zendesk(row, users) if source == "zendesk" else _chatwoot(row)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            yield RowProblem(place, f"is not as {source} exports it ({error!r})")
            continue
        yield _checked(found, place)


def _records(source: str, text: str) -> tuple[dict[Any, Mapping[str, Any]], list[Any]]:
    """The export's tickets, from one JSON document or from lines of JSON; and Zendesk's users by id."""
    try:
        whole = json.loads(text)
    except ValueError:
        try:
            whole = [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError as error:
            raise Invalid(f"The file is neither JSON nor lines of JSON: {error}.", code="bad_export") from None
    users: dict[Any, Mapping[str, Any]] = {}
    if isinstance(whole, Mapping):
        users = {user["id"]: user for user in whole.get("users", ()) if isinstance(user, Mapping) and "id" in user}
        inner = whole.get("tickets") or whole.get("conversations") or whole.get("payload")
        if inner is None and isinstance(whole.get("data"), Mapping):
            inner = whole["data"].get("payload")
        whole = inner if inner is not None else [whole]
    if not isinstance(whole, list):
        raise Invalid(f"The file holds no list of tickets as {source} exports it.", code="bad_export")
    return users, whole


def _zendesk(row: Mapping[str, Any], users: Mapping[Any, Mapping[str, Any]]) -> ForeignTicket:
    requester = row.get("requester") or users.get(row.get("requester_id")) or {}
    asked_by = row.get("requester_id", requester.get("id"))
    comments = row.get("comments") or ()
    if isinstance(comments, Mapping):
        comments = comments.get("comments") or ()
    messages = tuple(
        ForeignMessage(
            role="user" if said.get("author_id") == asked_by else "agent",
            content=str(said.get("plain_body") or said.get("body") or ""),
            at=_moment(said.get("created_at") or row["created_at"]),
            is_internal=not said.get("public", True),
        )
        for said in comments
    )
    ended = _ENDED.get(str(row.get("status", "closed")))
    return ForeignTicket(
        external_id=str(row["id"]),
        subject=str(row.get("subject") or row.get("raw_subject") or ""),
        body=str(row.get("description") or (messages[0].content if messages else "")),
        status=ended or "open",
        created_at=_moment(row["created_at"]),
        ended_at=_moment(row.get("updated_at") or row["created_at"]) if ended else None,
        email=requester.get("email"),
        phone=requester.get("phone"),
        name=str(requester.get("name") or ""),
        severity=_SEVERITY.get(str(row.get("priority") or "")),
        tags=tuple(str(tag) for tag in row.get("tags") or ()),
        messages=messages,
    )


def _chatwoot(row: Mapping[str, Any]) -> ForeignTicket:
    sender = (row.get("meta") or {}).get("sender") or row.get("contact") or {}
    messages = tuple(
        ForeignMessage(
            role="user" if said["message_type"] in {0, "incoming"} else "agent",
            content=str(said.get("content") or ""),
            at=_moment(said.get("created_at") or row["created_at"]),
            is_internal=bool(said.get("private")),
        )
        for said in row.get("messages") or ()
        if said.get("message_type") in {0, 1, "incoming", "outgoing"}
    )
    asked = [said.content for said in messages if said.role == "user" and said.content]
    ended = _ENDED.get(str(row.get("status", "resolved")))
    return ForeignTicket(
        external_id=str(row["id"]),
        subject=str((row.get("additional_attributes") or {}).get("mail_subject") or ""),
        body=asked[0] if asked else "",
        status=ended or "open",
        created_at=_moment(row["created_at"]),
        ended_at=_moment(row.get("last_activity_at") or row["created_at"]) if ended else None,
        email=sender.get("email"),
        phone=sender.get("phone_number"),
        name=str(sender.get("name") or ""),
        severity=_SEVERITY.get(str(row.get("priority") or "")),
        tags=tuple(str(label) for label in row.get("labels") or ()),
        messages=messages,
    )


def _read_csv(text: str, *, now: datetime) -> Iterator[ForeignTicket | RowProblem]:
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    given = [str(name).strip() for name in reader.fieldnames or ()]
    unknown = [name for name in given if name not in CSV_COLUMNS]
    if "body" not in given or unknown:
        wrong = f"unknown columns {', '.join(unknown)}" if unknown else "no column body"
        raise Invalid(f"The table has {wrong}. Columns are: {', '.join(CSV_COLUMNS)}.", code="bad_export")
    reader.fieldnames = given
    for number, row in enumerate(reader, 1):
        place = f"row {number} (line {reader.line_num})"
        if None in row or any(value is None for value in row.values()):
            yield RowProblem(place, f"has not {len(given)} fields; quote fields with commas and line breaks")
            continue
        values = {name: value.strip() for name, value in row.items()}
        try:
            at = _moment(values["created_at"]) if values.get("created_at") else now
        except ValueError:
            yield RowProblem(
                place, f"created_at: {values['created_at']!r} is not ISO 8601, such as 2026-03-01T09:30:00Z"
            )
            continue
        status = values.get("status") or "closed"
        found = ForeignTicket(
            external_id=values.get("external_id") or f"row-{number}",
            subject=values.get("subject", ""),
            body=values["body"],
            status=status,
            created_at=at,
            ended_at=at if status != "open" else None,
            email=values.get("email") or None,
            name=values.get("name", ""),
            category=values.get("category") or None,
            severity=values.get("severity") or None,
            tags=tuple(tag.strip() for tag in values.get("tags", "").split(",") if tag.strip()),
        )
        yield _checked(found, place)


def _checked(ticket: ForeignTicket, place: str) -> ForeignTicket | RowProblem:
    if not (ticket.subject or ticket.body):
        return RowProblem(place, "has neither subject nor body")
    if len(ticket.subject) > MAX_SUBJECT_CHARS:
        return RowProblem(place, f"subject is longer than {MAX_SUBJECT_CHARS} characters")
    if len(ticket.body.encode()) > MAX_BODY_BYTES:
        return RowProblem(place, f"body is longer than {MAX_BODY_BYTES // 1024} KiB")
    if any(len(said.content.encode()) > MAX_MESSAGE_BYTES for said in ticket.messages):
        return RowProblem(place, f"a message is longer than {MAX_MESSAGE_BYTES // 1024} KiB")
    if "\x00" in ticket.subject + ticket.body or any("\x00" in said.content for said in ticket.messages):
        return RowProblem(place, "holds a null character (U+0000), which cannot be stored")
    if ticket.status not in {"open", "resolved", "closed"}:
        return RowProblem(place, f"status: {ticket.status!r} is not one of open, resolved, closed")
    if ticket.category is not None and ticket.category not in CATEGORIES:
        return RowProblem(place, f"category: {ticket.category!r} is not one of {', '.join(CATEGORIES)}")
    if ticket.severity is not None and ticket.severity not in SEVERITY_RANK:
        return RowProblem(place, f"severity: {ticket.severity!r} is not one of {', '.join(SEVERITY_RANK)}")
    try:
        return replace(
            ticket,
            email=clean_email(ticket.email) if ticket.email else None,
            phone=clean_phone(ticket.phone) if ticket.phone else None,
        )
    except Invalid as error:
        return RowProblem(place, error.message)


def _moment(value: Any) -> datetime:
    """A time as text (ISO 8601; UTC when it names no zone) or in seconds since 1970."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return datetime.fromtimestamp(value, UTC)
    at = datetime.fromisoformat(str(value))
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
