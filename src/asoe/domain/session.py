"""A session: the conversation on one ticket, and who may say what in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

ASSISTANT_TYPES: Final = ("ai", "human", "hybrid")
MESSAGE_ROLES: Final = ("user", "assistant", "agent", "system")
ROLES_OF_ENGINE: Final = frozenset({"assistant", "system"})
MAX_MESSAGE_BYTES: Final = 64 * 1024
NOTED_BY_STAFF: Final = "noted_by_staff"


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `seq` counts from 1 within its session, without gaps. `is_internal` ones no client ever sees."""

    id: UUID
    session_id: UUID
    ticket_id: UUID
    seq: int
    role: str
    content: str
    created_at: datetime
    author: UUID | None = None
    is_internal: bool = False
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def is_noted_by_staff(self) -> bool:
        """Whether staff wrote it down as the client's words, and nobody vouched for that."""
        return bool(self.data.get(NOTED_BY_STAFF))


@dataclass(frozen=True, slots=True)
class Session:
    """One row of `support_sessions`, without its messages. In a hybrid session the engine is quiet (`is_ai_quiet`)."""

    id: UUID
    ticket_id: UUID
    assistant_type: str
    resolved: bool
    created_at: datetime

    @property
    def is_ai_quiet(self) -> bool:
        return self.assistant_type != "ai"
