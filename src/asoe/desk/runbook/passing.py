"""One pass over a run: what it has, how patient it is, and why it may come to rest before the runbook's end.

A pass begins with a claim and ends with the run ended, waiting, or lost to another pass. It replays what is recorded and
goes on from there; what it learns is kept in a buffer and written with the next intent, wait or ending.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Protocol, TypeAlias
from uuid import UUID

from asoe.connectors.contract import Action, Json, Probe
from asoe.desk.context import Desk
from asoe.domain.organization import Principal
from asoe.domain.runbook import Call, Observed, Passed, Runbook, SlotReading, Told
from asoe.store import facts, runs, slot_readings
from asoe.store.db import Connection
from asoe.store.runs import ActionRow, Claimed, Intent, Run, StepRow

_HALF: Final = 0.5
_HELD_SECONDS: Final = 5.0


class Hand(Protocol):
    """One outside system of an organization, with its limits and its breaker; all methods raise `ConnectorError` only."""

    async def actions(self) -> Mapping[str, Action]: ...

    async def read(self, action: str, arguments: Mapping[str, Json], *, timeout: float) -> Json: ...

    async def act(self, action: str, arguments: Mapping[str, Json], *, key: str, timeout: float) -> Json: ...

    async def probe(self, action: str, arguments: Mapping[str, Json], *, key: str, timeout: float) -> Probe: ...


class Connectors(Protocol):
    """The connectors of all organizations, by name."""

    async def use(self, org_id: UUID, name: str) -> Hand: ...


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things may take. An intent is claimed for `act + margin`: before that no other pass touches it.

    `at_hand`: a pause up to this long is sat out; longer ones are rows. `doubt`: how long an act is asked about that nobody
    can tell the outcome of. `sleep` is the event loop's; tests bring their own.
    """

    act: timedelta = timedelta(seconds=30)
    read: timedelta = timedelta(seconds=20)
    margin: timedelta = timedelta(seconds=10)
    lease: timedelta = timedelta(seconds=90)
    at_hand: timedelta = timedelta(seconds=3)
    doubt: timedelta = timedelta(minutes=10)
    again: timedelta = timedelta(seconds=20)
    tries: int = 3
    first_pause: float = 0.2
    longest_pause: float = 5.0
    sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep

    @property
    def claim(self) -> timedelta:
        return self.act + self.margin

    async def breathe(self, tries: int, retry_after: float | None = None) -> None:
        """Before try `tries + 1`: doubling, with jitter; the system's own wish goes before ours."""
        pause = max(self.first_pause * 2.0 ** (tries - 1), retry_after or 0.0)
        await self.sleep(min(self.longest_pause, pause) * random.uniform(_HALF, 1.0))


@dataclass(frozen=True, slots=True)
class Stop:
    """The run ends here, whatever its runbook would do next. `is_undoing`: acts were being taken back."""

    verdict: Literal["escalated", "cancelled"]
    reason: str
    note: str = ""
    is_undoing: bool = False


@dataclass(frozen=True, slots=True)
class Hold:
    """The run waits. `is_new`: somebody must be told; `is_written`: the transaction that found out has written it."""

    waiting_for: Literal["client", "approval", "timer"]
    due_at: datetime
    is_new: bool = False
    is_written: bool = False


@dataclass(frozen=True, slots=True)
class Lost:
    """Another pass has the run."""


Halt: TypeAlias = Stop | Hold | Lost


@dataclass(slots=True)
class Pass:
    """The one mutable thing: what this pass holds and has learned. `unsettled`: an act that is done, and its outcome."""

    desk: Desk
    engine: Principal
    connectors: Connectors
    runbook: Runbook
    pace: Pace
    id: UUID
    claimed: Claimed
    library: Mapping[str, Runbook] = field(default_factory=dict)
    steps: dict[str, StepRow] = field(default_factory=dict)
    actions: dict[str, ActionRow] = field(default_factory=dict)
    kept: list[StepRow] = field(default_factory=list)
    rehearsed: list[Intent] = field(default_factory=list)
    seen: dict[str, Any] = field(default_factory=dict)
    seq: int = 0
    unsettled: Any = None
    unsettled_since: float = 0.0
    has_acted: bool = False
    has_asked: bool = False
    began: float = field(default_factory=time.monotonic)
    leased: float = field(default_factory=time.monotonic)
    _hands: dict[str, tuple[Hand, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.seq = max([0, *(row.seq for row in self.steps.values()), *(row.seq for row in self.actions.values())])
        self.has_acted = any(row.status in {"done", "undone", "unknown"} for row in self.actions.values())

    @property
    def run(self) -> Run:
        return self.claimed.run

    @property
    def org_id(self) -> UUID:
        return self.run.org_id

    @property
    def is_live(self) -> bool:
        return self.run.mode == "live"

    @property
    def undecided(self) -> list[ActionRow]:
        return [row for row in self.actions.values() if row.status == "intended"]

    def now(self) -> datetime:
        """The database's time, without asking it again."""
        return self.claimed.now + timedelta(seconds=time.monotonic() - self.began)

    def is_overdue(self, age: timedelta) -> bool:
        return age > self.runbook.timeout

    def next_seq(self) -> int:
        self.seq += 1
        return self.seq

    def keep(self, step: StepRow) -> None:
        self.kept.append(step)

    def connector(self, alias: str) -> str:
        """The organization's name of the system that the runbook calls by an alias."""
        return self.runbook.connectors.get(alias, alias)

    async def hand(self, alias: str) -> Hand:
        """Taken anew every few seconds, so that a connector which was shut down is used no more."""
        hand, since = self._hands.get(alias, (None, 0.0))
        if hand is None or time.monotonic() - since > _HELD_SECONDS:
            hand = await self.connectors.use(self.org_id, self.connector(alias))
            self._hands[alias] = hand, time.monotonic()
        return hand

    def let_go(self, alias: str) -> None:
        """After a failure the connector is taken anew."""
        self._hands.pop(alias, None)

    async def action(self, call: Call) -> tuple[Hand, Action | None]:
        hand = await self.hand(call.connector)
        return hand, (await hand.actions()).get(call.action)

    async def write_kept(self, connection: Connection) -> None:
        """Write the buffer; it is emptied by `forget_kept` after the commit."""
        await runs.keep_steps(connection, self.org_id, self.run.id, self.kept)
        for intent in self.rehearsed:
            await runs.intend(connection, self.org_id, self.run.id, intent)

    async def write_hold(self, connection: Connection, hold: Hold) -> bool:
        """Let go of the run; the first wait for people is a fact, and wakes the ticket's journey. False: it is lost."""
        run = self.run
        if not await runs.wait(
            connection,
            self.org_id,
            run.id,
            by=self.id,
            waiting_for=hold.waiting_for,
            due_at=hold.due_at,
            known=run.slots,
        ):
            return False
        if hold.is_new:
            await facts.record(
                connection,
                self.engine,
                "run.waiting",
                ticket_id=run.ticket_id,
                run_id=run.id,
                waiting_for=hold.waiting_for,
            )
            if self.is_live and run.ticket_id is not None:
                await self.desk.queue.advance(connection, self.org_id, run.ticket_id)
        return True

    def forget_kept(self) -> None:
        self.kept.clear()
        self.rehearsed.clear()

    async def keep_lease(self) -> Halt | None:
        """Renew the lease when half of it is over; says when the run is not this pass's any more, or must not go on."""
        if time.monotonic() - self.leased < self.pace.lease.total_seconds() / 2:
            return None
        begun = time.monotonic()
        async with self.desk.database.org_lease(self.engine) as connection:
            found = await runs.renew(connection, self.org_id, self.run.id, by=self.id, lease=self.pace.lease)
        if found is None:
            return Lost()
        self.leased = begun
        is_cancelled, _, age = found
        if is_cancelled:
            return cancelled()
        return overdue(self) if self.is_overdue(age) else None


def cancelled() -> Stop:
    return Stop("cancelled", "run_cancelled", "A person cancelled the run.")


def overdue(passing: Pass) -> Stop:
    return Stop("escalated", "run_timeout", f"The run took longer than {passing.runbook.timeout}.")


def told_to_json(told: Told) -> dict[str, Any]:
    """An answer as a step keeps it."""
    match told:
        case Observed():
            return {"value": told.value, "error": told.error, "is_missing": told.is_missing}
        case SlotReading():
            return slot_readings.to_json(told)
        case _:
            return {}


def told_from_json(kind: str, stored: Mapping[str, Any]) -> Told:
    if kind == "observe":
        return Observed(**stored)
    return slot_readings.from_json(stored) if kind == "inquire" else Passed()
