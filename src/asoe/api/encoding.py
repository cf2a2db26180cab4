"""Domain values as the JSON of the API, by whose eyes they are for. `answers.py` documents the same shapes."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final
from uuid import UUID

from pydantic_core import to_json
from starlette.responses import Response

from asoe.desk.insight import Stats
from asoe.domain.facts import Fact
from asoe.domain.knowledge import Article, ArticleVersion, Passage
from asoe.domain.organization import Principal
from asoe.domain.people import ApiKey, Invitation, Member, Organization
from asoe.domain.session import Message, Session
from asoe.domain.ticket import Ticket
from asoe.store.attachments import Attachment
from asoe.store.escalations import Escalation
from asoe.store.fields import FieldDefinition

JSON: Final = "application/json"
_INNER: Final = frozenset({"evidence", "summary"})


def reply(value: Any, status: int = 200, *, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON response; times end in Z, bytes are base64, numbers that JSON lacks become null."""
    return Response(encode(value), status, headers=headers, media_type=JSON)


def encode(value: Any) -> bytes:
    return to_json(value, inf_nan_mode="null", bytes_mode="base64")


def page(items: Sequence[Any], next_cursor: str | UUID | None) -> dict[str, Any]:
    return {"items": list(items), "next_cursor": None if next_cursor is None else str(next_cursor)}


def ticket(value: Ticket, principal: Principal) -> dict[str, Any]:
    """What staff decided among themselves (team, assignee, tags, own fields, spam) is not in a client's view."""
    seen: dict[str, Any] = {
        "id": value.id,
        "org_id": value.org_id,
        "user_id": value.user_id,
        "category": value.category,
        "severity": value.severity,
        "status": value.status,
        "resolution": value.resolution,
        "metadata": value.metadata,
        "created_at": value.created_at,
        "number": value.number,
        "subject": value.subject,
        "body": value.body,
        "triage": value.triage,
        "intent": value.intent,
        "language": value.language,
        "session_id": value.session_id,
        "contact_id": value.contact_id,
        "channel": value.channel,
        "cc": value.cc,
        "waiting_for": value.waiting_for,
        "merged_into": value.merged_into,
        "reopened": value.reopened,
        "version": value.version,
        "updated_at": value.updated_at,
        "first_response_at": value.first_response_at,
        "resolved_at": value.resolved_at,
        "closed_at": value.closed_at,
    }
    if principal.is_client:
        # the nearest known texts read like other clients' words
        seen["triage"] = {name: part for name, part in value.triage.items() if name != "evidence"}
        # what was read of the systems of record, calls with their arguments, and why whom it was handed to
        seen["resolution"] = {name: part for name, part in value.resolution.items() if name not in _INNER}
    if principal.is_staff:
        seen["team"] = value.team
        seen["assignee"] = value.assignee
        seen["tags"] = value.tags
        seen["custom_fields"] = value.custom_fields
        seen["is_spam"] = value.is_spam
    return seen


def session(value: Session) -> dict[str, Any]:
    return {
        "id": value.id,
        "ticket_id": value.ticket_id,
        "assistant_type": value.assistant_type,
        "resolved": value.resolved,
        "created_at": value.created_at,
    }


def message(value: Message) -> dict[str, Any]:
    return {
        "id": value.id,
        "seq": value.seq,
        "role": value.role,
        "content": value.content,
        "timestamp": value.created_at,
    }


def message_in_session(value: Message, principal: Principal) -> dict[str, Any]:
    """A message with what belongs to it: its citations, and for staff who wrote it."""
    seen = message(value)
    seen["citations"] = value.data.get("citations", [])
    if principal.is_staff:
        seen["is_internal"] = value.is_internal
        seen["author"] = value.author
    return seen


def attachment(value: Attachment, principal: Principal) -> dict[str, Any]:
    seen: dict[str, Any] = {
        "id": value.id,
        "ticket_id": value.ticket_id,
        "name": value.name,
        "media_type": value.media_type,
        "size": value.size,
        "sha256": value.sha256.hex(),
        "created_at": value.created_at,
    }
    if principal.is_staff:
        seen["is_internal"] = value.is_internal
        seen["created_by"] = value.created_by
    return seen


def fact(value: Fact) -> dict[str, Any]:
    return {
        "id": value.id,
        "kind": value.kind,
        "at": value.at,
        "session_id": value.session_id,
        "actor": value.actor,
        "data": value.data,
    }


def escalation(value: Escalation) -> dict[str, Any]:
    return asdict(value)


def stats(value: Stats) -> dict[str, Any]:
    return asdict(value)


def custom_field(value: FieldDefinition) -> dict[str, Any]:
    return asdict(value)


def member(value: Member) -> dict[str, Any]:
    return asdict(value)


def invitation(value: Invitation) -> dict[str, Any]:
    return asdict(value)


def api_key(value: ApiKey) -> dict[str, Any]:
    return {**asdict(value), "scopes": sorted(value.scopes)}


def organization(value: Organization) -> dict[str, Any]:
    return asdict(value)


def principal(value: Principal) -> dict[str, Any]:
    return {
        "user_id": value.user_id,
        "org_id": value.org_id,
        "role": value.role,
        "name": value.name,
        "key_id": value.key_id,
        "scopes": sorted(value.scopes),
    }


def article(value: Article) -> dict[str, Any]:
    return {
        "id": value.id,
        "title": value.text.title,
        "slug": value.text.slug,
        "language": value.text.language,
        "body": value.text.body,
        "product": value.text.product,
        "audience": value.text.audience,
        "tags": value.text.tags,
        "status": value.status,
        "version": value.version,
        "published_version": value.published_version,
        "is_indexed": value.is_indexed,
        "created_at": value.created_at,
        "updated_at": value.updated_at,
    }


def article_version(value: ArticleVersion) -> dict[str, Any]:
    return {
        "version": value.version,
        "title": value.text.title,
        "slug": value.text.slug,
        "language": value.text.language,
        "body": value.text.body,
        "product": value.text.product,
        "audience": value.text.audience,
        "tags": value.text.tags,
        "written_by": value.written_by,
        "created_at": value.created_at,
        "is_published": value.is_published,
    }


def passage(value: Passage) -> dict[str, Any]:
    return asdict(value)


def write_cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
