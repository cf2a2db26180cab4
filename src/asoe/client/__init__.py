"""ASOE over HTTP: `AsyncAsoe` and its twin without `await`, `Asoe`. Needs httpx, none of the engine.

Errors are those of `asoe.domain.errors`, with the code of the problem document; docs/client.md shows how it is used.
"""

from __future__ import annotations

from asoe.client.asynchronous import AsyncAsoe
from asoe.client.shapes import (
    Approval,
    Article,
    Attachment,
    Change,
    Escalation,
    Fact,
    Invocation,
    Me,
    Message,
    Page,
    Pass,
    Passage,
    Run,
    Runbook,
    RunRecord,
    Session,
    SessionWithMessages,
    Stats,
    Ticket,
)
from asoe.client.synchronous import Asoe
from asoe.client.wire import Patience
from asoe.domain.errors import AsoeError, Conflict, Denied, Invalid, Missing, Unavailable

__all__ = [
    "Approval",
    "Article",
    "Asoe",
    "AsoeError",
    "AsyncAsoe",
    "Attachment",
    "Change",
    "Conflict",
    "Denied",
    "Escalation",
    "Fact",
    "Invalid",
    "Invocation",
    "Me",
    "Message",
    "Missing",
    "Page",
    "Pass",
    "Passage",
    "Patience",
    "Run",
    "RunRecord",
    "Runbook",
    "Session",
    "SessionWithMessages",
    "Stats",
    "Ticket",
    "Unavailable",
]
