"""Tickets that no article answered, as rows; what they have in common is the desk's to find."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class GapsSql(NamedQueries):
    unanswered: str


@dataclass(frozen=True, slots=True)
class Unanswered:
    """One ticket; `client` counts once whatever the number of its tickets."""

    id: UUID
    number: int
    subject: str
    body: str
    language: str
    at: datetime
    client: str
    is_answered: bool
    metadata: Mapping[str, Any] = field(default_factory=dict)


async def unanswered(connection: Connection, org_id: UUID, *, since: datetime, limit: int) -> list[Unanswered]:
    """Newest first."""
    return [Unanswered(**dict(row)) for row in await connection.fetch(GapsSql.unanswered, org_id, since, limit)]
