"""Everything an organization has, noun by noun, as its owner sees it: for files. Search data and secrets stay out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import UUID

from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class ExportsSql(NamedQueries):
    organization: str
    members: str
    keys: str
    invitations: str
    contacts: str
    fields: str
    tickets: str
    sessions: str
    messages: str
    attachments: str
    links: str
    escalations: str
    journeys: str
    runs: str
    invocations: str
    corrections: str
    articles: str
    article_versions: str
    blocked_senders: str
    imported_tickets: str
    wishes: str
    models: str
    complaints: str
    wish_supporters: str
    facts: str


NOUNS: Final = tuple(name for name in ExportsSql.__annotations__)
_AHEAD: Final = 50


async def rows(connection: Connection, org_id: UUID, noun: str) -> AsyncIterator[dict[str, Any]]:
    """The noun's rows as plain values, read with a cursor."""
    async for row in connection.cursor(getattr(ExportsSql, noun), org_id, prefetch=_AHEAD):
        yield row["line"]
