"""A ticket: one request of one client, its closed sets of values, and the only legal moves between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from asoe.domain.errors import Conflict

STATUSES: Final = ("open", "triaging", "in_progress", "resolved", "escalated", "closed")
OPEN_STATUSES: Final = ("open", "triaging", "in_progress")
"""What `get_open_tickets` and `open_tickets` count; an escalated ticket is a person's and is counted apart."""

SEVERITY_RANK: Final = {"low": 0, "medium": 1, "high": 2, "critical": 3}

MOVES: Final[dict[str, frozenset[str]]] = {
    "open": frozenset({"triaging"}),
    "triaging": frozenset({"in_progress", "resolved", "escalated", "open"}),
    "in_progress": frozenset({"resolved", "escalated", "triaging"}),
    "escalated": frozenset({"in_progress", "resolved"}),
    "resolved": frozenset({"closed", "open"}),
    "closed": frozenset({"open"}),
}

WAITING_FOR: Final = ("client", "approval", "timer", "person", "incident")
CHANNELS: Final = ("api", "web", "email", "widget", "import", "demo")

MAX_BODY_BYTES: Final = 64 * 1024
MAX_SUBJECT_CHARS: Final = 500


def check_move(current: str, wanted: str) -> None:
    """Raise `Conflict(illegal_move)` unless a ticket may go from `current` to `wanted`."""
    if wanted not in MOVES[current]:
        legal = ", ".join(sorted(MOVES[current]))
        raise Conflict(
            f"status: a ticket that is {current!r} cannot become {wanted!r}; from here it may become: {legal}.",
            code="illegal_move",
        )


@dataclass(frozen=True, slots=True)
class Ticket:
    """One row of `support_tickets`, all columns; times are UTC."""

    id: UUID
    org_id: UUID
    number: int
    category: str
    severity: str
    status: str
    created_at: datetime
    updated_at: datetime
    version: int
    subject: str = ""
    body: str = ""
    user_id: UUID | None = None
    contact_id: UUID | None = None
    channel: str = "api"
    language: str = "und"
    intent: str | None = None
    assignee: UUID | None = None
    team: str | None = None
    waiting_for: str | None = None
    session_id: UUID | None = None
    merged_into: UUID | None = None
    is_spam: bool = False
    tags: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    first_response_at: datetime | None = None
    resolved_at: datetime | None = None
    closed_at: datetime | None = None
    reopened: int = 0
    resolution: dict[str, Any] = field(default_factory=dict)
    triage: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    custom_fields: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What triage and search read: subject and body, else what a caller put into the metadata."""
        if self.subject or self.body:
            return f"{self.subject}\n\n{self.body}".strip()
        said = (self.metadata.get("subject"), self.metadata.get("description"))
        return "\n\n".join(part for part in said if isinstance(part, str)).strip()

    @property
    def is_open(self) -> bool:
        return self.status in OPEN_STATUSES
