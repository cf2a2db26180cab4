"""A ticket as a task: its state, its last word, its history and what came of it, as plain JSON of the protocol.

What the desk and its articles say is meant for the caller; it is data to whatever model reads it there.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from asoe.domain.session import Message
from asoe.domain.ticket import Ticket

SUBMITTED: Final = "TASK_STATE_SUBMITTED"
WORKING: Final = "TASK_STATE_WORKING"
INPUT_REQUIRED: Final = "TASK_STATE_INPUT_REQUIRED"
AUTH_REQUIRED: Final = "TASK_STATE_AUTH_REQUIRED"
COMPLETED: Final = "TASK_STATE_COMPLETED"
FAILED: Final = "TASK_STATE_FAILED"
CANCELED: Final = "TASK_STATE_CANCELED"
REJECTED: Final = "TASK_STATE_REJECTED"
ENDED: Final = frozenset({COMPLETED, FAILED, CANCELED, REJECTED})
INTERRUPTED: Final = frozenset({INPUT_REQUIRED, AUTH_REQUIRED})
STATUSES: Final[dict[str, tuple[str, ...]]] = {
    SUBMITTED: ("open", "triaging"),
    WORKING: ("in_progress", "escalated"),
    INPUT_REQUIRED: ("in_progress", "escalated"),
    AUTH_REQUIRED: ("in_progress", "escalated"),
    **dict.fromkeys(ENDED, ("resolved", "closed")),
}
"""Which statuses a ticket can have in each state."""

_BY_VERDICT: Final = {"failed": FAILED, "refused": REJECTED}


def state_of(ticket: Ticket) -> str:
    """input-required when the client must answer, auth-required while people decide on an act."""
    if ticket.status in {"resolved", "closed"}:
        if (ticket.resolution.get("evidence") or {}).get("withdrawn"):
            return CANCELED
        return _BY_VERDICT.get(str(ticket.resolution.get("verdict")), COMPLETED)
    if ticket.waiting_for == "client":
        return INPUT_REQUIRED
    if ticket.waiting_for == "approval":
        return AUTH_REQUIRED
    return SUBMITTED if ticket.status in STATUSES[SUBMITTED] else WORKING


def task(ticket: Ticket, said: Sequence[Message], *, history_length: int | None = None) -> dict[str, Any]:
    """`said` is what the caller may see, oldest first; `history_length` keeps the newest of it, 0 none."""
    shown = list(said) if history_length is None else list(said)[-history_length:] if history_length else []
    made: dict[str, Any] = {
        "id": str(ticket.id),
        "contextId": str(ticket.session_id or ticket.id),
        "status": status(ticket, said),
        "history": [_message(ticket, each) for each in shown],
        "metadata": {"number": ticket.number, "category": ticket.category, "severity": ticket.severity},
    }
    if state_of(ticket) == COMPLETED:
        made["artifacts"] = [_artifact(ticket, said)]
    return made


def status(ticket: Ticket, said: Sequence[Message]) -> dict[str, Any]:
    """The state with the desk's last word."""
    made: dict[str, Any] = {"state": state_of(ticket), "timestamp": _time(ticket.updated_at)}
    if (last := _last_word(said)) is not None:
        made["message"] = _message(ticket, last)
    return made


def update(ticket: Ticket, said: Sequence[Message]) -> dict[str, Any]:
    """The event that the status is another."""
    return {"taskId": str(ticket.id), "contextId": str(ticket.session_id or ticket.id), "status": status(ticket, said)}


def _artifact(ticket: Ticket, said: Sequence[Message]) -> dict[str, Any]:
    last = _last_word(said)
    found = {name: ticket.resolution.get(name) for name in ("type", "verdict") if ticket.resolution.get(name)}
    parts: list[dict[str, Any]] = [{"data": found, "mediaType": "application/json"}]
    if last is not None:
        parts.insert(0, {"text": last.content, "mediaType": "text/plain"})
    return {"artifactId": f"{ticket.id}-resolution", "name": "resolution", "parts": parts}


def _last_word(said: Sequence[Message]) -> Message | None:
    return next((each for each in reversed(said) if each.role != "user"), None)


def _message(ticket: Ticket, value: Message) -> dict[str, Any]:
    return {
        "messageId": str(value.id),
        "taskId": str(ticket.id),
        "contextId": str(ticket.session_id or ticket.id),
        "role": "ROLE_USER" if value.role == "user" else "ROLE_AGENT",
        "parts": [{"text": value.content, "mediaType": "text/plain"}],
        "metadata": {"seq": value.seq, "by": value.role},
    }


def _time(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
