"""The way back: what a toast offers after an act, as steps that each say what to do to which ticket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final
from uuid import UUID

from starlette.responses import Response

from asoe.desk import session as desk_session
from asoe.desk import ticket as desk_ticket
from asoe.domain.errors import AsoeError, Invalid
from asoe.store import sessions
from asoe.web.door import Pages, Visit, safe_next

pages = Pages()
_MOST: Final = 100


@pages.post("/undo")
async def undo(visit: Visit) -> Response:
    """Take back what a toast offered to; a step that is refused stops no other."""
    back = safe_next(visit.text("back", "/queue", most=4000))
    refused = ""
    for step in visit.texts("step")[:_MOST]:
        action, _, rest = step.partition(":")
        text, _, value = rest.partition(":")
        if action not in BACKWARD:
            raise Invalid("step: this cannot be taken back.", code="invalid_request")
        try:
            await BACKWARD[action](visit, visit.uuid(text, "ticket"), value)
        except AsoeError as error:
            refused = refused or error.message
    return visit.back(back, refused or "Taken back.")


def undo_of(steps: Sequence[str], back: str) -> dict[str, Any] | None:
    """The way back of these steps, as a toast offers it; None when there is nothing to take back."""
    kept = [step for step in steps if step]
    return {"path": "/undo", "fields": [["back", back], *(["step", step] for step in kept)]} if kept else None


async def _assign(visit: Visit, ticket_id: UUID, value: str) -> None:
    assignee = visit.uuid(value, "member") if value else None
    await desk_ticket.change_ticket(visit.desk, visit.principal, ticket_id, {"assignee": assignee})


async def _team(visit: Visit, ticket_id: UUID, value: str) -> None:
    await desk_ticket.change_ticket(visit.desk, visit.principal, ticket_id, {"team": value or None})


async def _reopen(visit: Visit, ticket_id: UUID, _: str) -> None:
    await desk_ticket.reopen_ticket(visit.desk, visit.principal, ticket_id)


async def _tag(visit: Visit, ticket_id: UUID, value: str) -> None:
    tags = (await desk_ticket.read_ticket(visit.desk, visit.principal, ticket_id)).tags
    if value not in tags:
        await desk_ticket.change_ticket(visit.desk, visit.principal, ticket_id, {"tags": [*tags, value]})


async def _untag(visit: Visit, ticket_id: UUID, value: str) -> None:
    tags = (await desk_ticket.read_ticket(visit.desk, visit.principal, ticket_id)).tags
    kept = [tag for tag in tags if tag != value]
    await desk_ticket.change_ticket(visit.desk, visit.principal, ticket_id, {"tags": kept})


async def _unspam(visit: Visit, ticket_id: UUID, _: str) -> None:
    await desk_ticket.mark_spam(visit.desk, visit.principal, ticket_id, is_spam=False)


async def _correct(visit: Visit, ticket_id: UUID, value: str) -> None:
    field, _, before = value.partition(":")
    if field not in {"category", "severity", "intent"}:
        raise Invalid("step: this cannot be taken back.", code="invalid_request")
    await desk_ticket.change_ticket(visit.desk, visit.principal, ticket_id, {field: before})


async def _hand_back(visit: Visit, ticket_id: UUID, _: str) -> None:
    if session_id := await _newest_session(visit, ticket_id):
        await desk_session.hand_back(visit.desk, visit.principal, session_id)


async def _take_over(visit: Visit, ticket_id: UUID, _: str) -> None:
    if session_id := await _newest_session(visit, ticket_id):
        await desk_session.take_over(visit.desk, visit.principal, session_id)


async def _newest_session(visit: Visit, ticket_id: UUID) -> UUID | None:
    await desk_ticket.read_ticket(visit.desk, visit.principal, ticket_id)
    async with visit.desk.database.org_reading(visit.principal) as connection:
        found = await sessions.of_ticket(connection, visit.principal.org_id, ticket_id)
    return found[-1].id if found else None


BACKWARD: Final[dict[str, Callable[[Visit, UUID, str], Awaitable[None]]]] = {
    "assign": _assign,
    "team": _team,
    "reopen": _reopen,
    "tag": _tag,
    "untag": _untag,
    "unspam": _unspam,
    "correct": _correct,
    "hand-back": _hand_back,
    "take-over": _take_over,
}
