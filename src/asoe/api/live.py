"""Live pages: one poll per organization with viewers, and to each viewer "this changed", never what.

Facts are read in commit order (store.facts), so that none is skipped; a viewer that was away resumes by its last id.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import structlog

from asoe.desk.context import Desk
from asoe.domain.errors import Unavailable
from asoe.domain.facts import Fact
from asoe.domain.organization import Principal
from asoe.domain.session import Session
from asoe.store import facts, presences

POLL_SECONDS: Final = 0.1
"""How long nobody is told of what happened, at most, while few organizations have viewers here."""
POLLS_PER_SECOND: Final = 40
"""Of all organizations together; past that each is asked less often, but not less than twice a second."""
_LONGEST_PAUSE: Final = 0.5
MAX_VIEWERS: Final = 2000
MAX_VIEWERS_OF_ONE: Final = 32
_MAX_WAITING: Final = 500
_BATCH: Final = 500
_LAST_ID: Final = 2**63 - 1
_log = structlog.get_logger("asoe.live")

CLIENT_KINDS: Final = frozenset(
    {
        "ticket.answered",
        "ticket.asked",
        "ticket.escalated",
        "ticket.moved",
        "ticket.resolved",
        "ticket.closed",
        "ticket.reopened",
        "session.started",
        "session.taken_over",
        "session.handed_back",
        "session.resolved",
        "message.added",
        "attachment.added",
    }
)
"""What a client may know the happening of; staff learn of every fact of the session and its ticket."""

PRESENCE: Final = "presence.changed"
"""No fact: somebody of the team came to a ticket, went, or began to write; or its client did."""

Cursor = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Change:
    """One "this changed"; `kind` is the fact's, "resync" says that more happened than is told."""

    cursor: Cursor
    kind: str
    seq: int | None = None
    ticket_id: UUID | None = None

    @property
    def id(self) -> str:
        return write_cursor(self.cursor)


@dataclass(eq=False, slots=True)
class Viewer:
    """One open stream: on a session, on a ticket, or with neither on the whole organization (staff only).

    `start`: it is told what happened after that. `team_writes`: what a client in the chat was last told of it; None for whoever is told nothing.
    """

    principal: Principal
    session: Session | None
    ticket_id: UUID | None = None
    waiting: asyncio.Queue[Change | None] = field(default_factory=lambda: asyncio.Queue(_MAX_WAITING))
    start: Cursor = (0, 0)
    last: Cursor = (0, 0)
    team_writes: bool | None = None

    def notices(self, *, team_writes: bool) -> bool:
        """Whether a change in who is there is one for this viewer: for a client only that the team began or ended writing."""
        if self.principal.is_staff:
            return True
        if self.team_writes in {None, team_writes}:
            return False
        self.team_writes = team_writes
        return True

    def sees(self, fact: Fact) -> bool:
        """Whether this is news for this viewer."""
        return (fact.xid, fact.id) > self.last and self.may_see(fact)

    def may_see(self, fact: Fact) -> bool:
        if self.session is None:
            return self.principal.is_staff and self.ticket_id in {None, fact.ticket_id}
        if fact.session_id is not None and fact.session_id != self.session.id:
            return False
        if fact.session_id is None and fact.ticket_id != self.session.ticket_id:
            return False
        if self.principal.is_staff:
            return True
        return fact.kind in CLIENT_KINDS and not fact.data.get("is_internal")

    def tell(self, change: Change) -> None:
        if self.waiting.full():
            while not self.waiting.empty():
                self.waiting.get_nowait()
            change = Change(change.cursor, "resync")
        self.last = change.cursor
        self.waiting.put_nowait(change)


class Hub:
    """One per process. Reads as the organization's engine; what a viewer sees is decided per viewer."""

    def __init__(self, desk: Desk, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._desk = desk
        self._poll_seconds = poll_seconds
        self._viewers: dict[UUID, set[Viewer]] = {}
        self._at: dict[UUID, Cursor] = {}
        self._tasks: dict[UUID, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._viewers.values()))

    @asynccontextmanager
    async def viewing(
        self,
        principal: Principal,
        session: Session | None = None,
        *,
        ticket_id: UUID | None = None,
        after: Cursor | None = None,
        team_writes: bool | None = None,
    ) -> AsyncIterator[Viewer]:
        """Follow a session, a ticket or the organization; with `after`, first what happened since. Raises `Unavailable(too_many_viewers)`.

        team_writes: what a client has read of it, who wants to hear when that changes.
        """
        org_id = principal.org_id
        others = self._viewers.get(org_id, set())
        of_one = sum(1 for other in others if other.principal.user_id == principal.user_id)
        if len(self) >= MAX_VIEWERS or of_one >= MAX_VIEWERS_OF_ONE:
            raise Unavailable(
                "Too many open event streams. Close one, or read the session now and then.",
                code="too_many_viewers",
                retry_after=30,
            )
        viewer = Viewer(principal, session, session.ticket_id if session else ticket_id, team_writes=team_writes)
        others = self._viewers.setdefault(org_id, others)
        others.add(viewer)
        try:
            if org_id not in self._tasks:
                engine = await self._desk.engine_of(org_id)
                start = await self._newest(engine)
                if org_id not in self._tasks:
                    self._at[org_id] = start
                    self._tasks[org_id] = asyncio.create_task(self._poll(engine))
            viewer.start = self._at[org_id] if after is None else after
            if after is not None:
                await self._catch_up(viewer, after)
            yield viewer
        finally:
            others.discard(viewer)
            if not others:
                self._viewers.pop(org_id, None)

    async def close(self) -> None:
        """End every stream and the polls."""
        for viewers in self._viewers.values():
            for viewer in viewers:
                if viewer.waiting.full():
                    viewer.waiting.get_nowait()
                viewer.waiting.put_nowait(None)
        self._viewers = {}
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _poll(self, engine: Principal) -> None:
        looked = None
        while engine.org_id in self._viewers:
            at = self._at[engine.org_id]
            try:
                async with self._desk.database.org_reading(engine) as connection:
                    found = await facts.read_after(connection, engine.org_id, xid=at[0], fact_id=at[1], limit=_BATCH)
                    looked, moved = await presences.changed(
                        connection, engine.org_id, looked or await presences.now(connection)
                    )
                for fact in found:
                    at = self._at[engine.org_id] = (fact.xid, fact.id)
                    for viewer in self._viewers.get(engine.org_id, ()):
                        if viewer.sees(fact):
                            viewer.tell(_change(fact))
                for viewer in self._viewers.get(engine.org_id, ()):
                    if viewer.ticket_id in moved and viewer.notices(team_writes=moved[viewer.ticket_id]):
                        viewer.tell(Change(max(at, viewer.last), PRESENCE, ticket_id=viewer.ticket_id))
                if len(found) == _BATCH:
                    continue
            except Exception as error:
                _log.warning("live.poll_failed", org_id=str(engine.org_id), error=type(error).__name__)
            await asyncio.sleep(max(self._poll_seconds, min(_LONGEST_PAUSE, len(self._tasks) / POLLS_PER_SECOND)))
        del self._tasks[engine.org_id], self._at[engine.org_id]

    async def _catch_up(self, viewer: Viewer, after: Cursor) -> None:
        """Tell what happened since; only what no transaction in flight could still precede."""
        engine = await self._desk.engine_of(viewer.principal.org_id)
        missed: list[Fact] = []
        async with self._desk.database.org_reading(engine) as connection:
            horizon = await facts.newest_cursor(connection)
            at = 0
            if viewer.ticket_id is None:
                found = await facts.read_after(
                    connection, engine.org_id, xid=after[0], fact_id=after[1], limit=_MAX_WAITING + 1
                )
                missed = [fact for fact in found if viewer.may_see(fact)]
            while viewer.ticket_id is not None and len(missed) <= _MAX_WAITING:
                found = await facts.timeline(connection, engine.org_id, viewer.ticket_id, after=at, limit=_BATCH)
                missed += [
                    fact
                    for fact in found
                    if after < (fact.xid, fact.id) and fact.xid < horizon and viewer.may_see(fact)
                ]
                if len(found) < _BATCH:
                    break
                at = found[-1].id
        missed.sort(key=lambda fact: (fact.xid, fact.id))
        early = [viewer.waiting.get_nowait() for _ in range(viewer.waiting.qsize())]
        is_foreign = after > (horizon, 0)  # handed out before a restore, by a cluster that was further on
        viewer.last = (0, 0) if is_foreign else after
        if is_foreign or len(missed) > _MAX_WAITING:
            viewer.tell(Change((horizon - 1, _LAST_ID), "resync"))
        else:
            for fact in missed:
                viewer.tell(_change(fact))
        for change in early:
            if change is not None and change.cursor > viewer.last:
                viewer.tell(change)

    async def _newest(self, engine: Principal) -> Cursor:
        async with self._desk.database.org_reading(engine) as connection:
            return (await facts.newest_cursor(connection), 0)


def write_cursor(cursor: Cursor) -> str:
    return f"{cursor[0]}-{cursor[1]}"


def read_cursor(text: str | None) -> Cursor | None:
    """A Last-Event-ID of ours; anything else starts anew."""
    xid, _, fact_id = (text or "").partition("-")
    if not (xid.isascii() and xid.isdigit() and fact_id.isascii() and fact_id.isdigit()):
        return None
    cursor = (int(xid[:19]), int(fact_id[:19]))
    return cursor if max(cursor) < 2**63 else None


def _change(fact: Fact) -> Change:
    seq = fact.data.get("seq")
    return Change((fact.xid, fact.id), fact.kind, seq if isinstance(seq, int) else None, fact.ticket_id)
