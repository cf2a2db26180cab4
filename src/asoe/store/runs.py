"""Runs of runbooks as rows: who has one, what it has read, what it meant to do and what became of it.

Every time that decides is the database's: a worker whose clock is wrong neither takes a run early nor keeps it too long.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal
from uuid import UUID

from asoe.domain.errors import Missing
from asoe.domain.organization import Principal
from asoe.domain.runbook import SlotReading
from asoe.store import slot_readings
from asoe.store.autonomy import Deciding, read_deciding, with_deciding
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries

MOST_DUE: Final = 500
_FOR_EVER: Final = timedelta(days=365_000)
_COLUMNS: Final = (
    "r.id, r.org_id, r.runbook_id, r.version, r.ticket_id, r.client_key, r.mode, r.status, r.waiting_for, r.slots, "
    "r.environment, r.reason, r.note, r.ended_at_step, r.evidence, r.initiator, r.held_until, r.due_at, "
    "r.cancel_requested_at, r.created_at, r.started_at, r.ended_at"
)


class RunsSql(NamedQueries):
    start: str
    client_of: str
    claim: str
    find: str
    going: str
    list: str
    steps: str
    questions_of_ticket: str
    steps_of: str
    actions: str
    actions_of: str
    gate: str
    gate_alone: str
    renew: str
    keep_steps: str
    intend: str
    intend_after: str
    holder: str
    act_again: str
    settle: str
    mark_undone: str
    hold_caps: str
    acted_by_action: str
    acted_by_runbook: str
    wait: str
    let_go: str
    end: str
    ask_to_cancel: str
    answer: str
    now: str
    due: str


_CLAIM: Final = RunsSql.claim.replace("{columns}", _COLUMNS)
_FIND: Final = RunsSql.find.replace("{columns}", _COLUMNS)
_GOING: Final = RunsSql.going.replace("{columns}", _COLUMNS)
_LIST: Final = RunsSql.list.replace("{columns}", _COLUMNS)
_GATE: Final = with_deciding(RunsSql.gate)
_GATE_ALONE: Final = with_deciding(RunsSql.gate_alone)
_ASK_TO_CANCEL: Final = RunsSql.ask_to_cancel.replace("{columns}", _COLUMNS)


@dataclass(frozen=True, slots=True)
class Run:
    """One run. `environment`: ticket, contact and slots as it began. `client_key`: whom caps per client count."""

    id: UUID
    org_id: UUID
    runbook_id: UUID
    version: int
    ticket_id: UUID | None
    client_key: str | None
    mode: str
    status: str
    waiting_for: str | None
    slots: dict[str, Any]
    environment: dict[str, Any]
    reason: str | None
    note: str | None
    ended_at_step: str | None
    evidence: dict[str, Any]
    initiator: UUID | None
    held_until: datetime | None
    due_at: datetime | None
    cancel_requested_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Claimed:
    """A run that this pass has now, how it stood before, and its age without what it waited for people."""

    run: Run
    was: str
    was_waiting_for: str | None
    was_due_at: datetime | None
    now: datetime
    age: timedelta


@dataclass(frozen=True, slots=True)
class StepRow:
    """What was read, asked or waited for; `told` None: not answered yet."""

    seq: int
    path: str
    kind: Literal["observe", "inquire", "pause"]
    connector: str | None = None
    action: str | None = None
    arguments: Any = None
    told: Any = None
    is_final: bool = False
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ActionRow:
    """An intent and what became of it. Until `claimed_until` the pass that wrote it may still be acting."""

    id: UUID
    seq: int
    path: str
    connector: str
    action: str
    risk: str
    arguments: Any
    idempotency_key: str
    business_key: str | None
    amount: Decimal | None
    unit: str | None
    is_undo: bool
    status: str
    attempts: int
    value: Any
    reason: str | None
    error: str | None
    approval_id: UUID | None
    intended_at: datetime
    claimed_until: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Gate:
    """What is so at the moment before an act; the ticket, if there is one, is held until the transaction ends.

    `deciding`: what decides whether the act may be done alone, as it was before `took`, which is long if it had to wait.
    """

    is_held: bool
    is_short: bool
    is_cancelled: bool
    stopped: str | None
    now: datetime
    age: timedelta
    took: timedelta
    deciding: Deciding
    status: str | None = None
    severity: str | None = None
    assignee: UUID | None = None
    waiting_for: str | None = None
    is_spam: bool = False
    is_merged: bool = False
    is_ai_quiet: bool = False


_OF_GATE: Final = frozenset(Gate.__dataclass_fields__) - {"deciding"}


@dataclass(frozen=True, slots=True)
class Intent:
    """An act about to be done, or already decided against."""

    seq: int
    path: str
    connector: str
    action: str
    risk: str
    arguments: Mapping[str, Any]
    key: str
    business_key: str | None = None
    amount: Decimal | None = None
    unit: str | None = None
    client_key: str | None = None
    is_undo: bool = False
    status: Literal["intended", "declined", "simulated"] = "intended"
    approval_id: UUID | None = None
    claim: timedelta = timedelta(0)
    reason: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """The row of an intent."""

    id: UUID
    claimed_until: datetime


@dataclass(frozen=True, slots=True)
class Holder:
    """The act that has a business key already."""

    run_id: UUID
    path: str
    status: str
    claimed_until: datetime | None
    now: datetime


@dataclass(frozen=True, slots=True)
class Client:
    """Who is behind a ticket."""

    key: str | None = None
    email: str | None = None
    phone: str | None = None
    external_id: str | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Counted:
    """Acts within a cap, and the sum of their amounts in its unit."""

    acts: int
    total: Decimal


@dataclass(frozen=True, slots=True)
class Scope:
    """Which acts a cap counts: those of one action, or of one runbook; None: all of them."""

    of: tuple[str, str] | UUID
    run_id: UUID | None = None
    by_client: bool = False
    client_key: str | None = None
    window: timedelta | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Beginning:
    """What `start` takes beside the organization."""

    runbook_id: UUID
    version: int
    ticket_id: UUID | None
    client_key: str | None
    mode: str
    slots: Mapping[str, SlotReading]
    environment: Mapping[str, Any] = field(default_factory=dict)
    initiator: UUID | None = None


async def start(connection: Connection, by: Principal, begin: Beginning) -> UUID | None:
    """A pending run and its fact; None when a live run of this ticket goes on."""
    found: UUID | None = await connection.fetchval(
        RunsSql.start,
        by.org_id,
        begin.runbook_id,
        begin.version,
        begin.ticket_id,
        begin.client_key,
        begin.mode,
        {name: slot_readings.to_json(reading) for name, reading in begin.slots.items()},
        begin.environment,
        begin.initiator,
        by.user_id,
    )
    return found


async def client_of(connection: Connection, org_id: UUID, ticket_id: UUID) -> Client:
    row = await connection.fetchrow(RunsSql.client_of, org_id, ticket_id)
    if row is None:
        return Client()
    key = row["contact_id"] or row["user_id"]
    return Client(None if key is None else str(key), row["email"], row["phone"], row["external_id"], row["name"])


async def claim(
    connection: Connection, org_id: UUID, run_id: UUID, *, by: UUID, lease: timedelta
) -> Claimed | Literal["ended", "waiting", "busy"]:
    """Take the run for one pass; raises `Missing(run_missing)`."""
    row = await connection.fetchrow(_CLAIM, org_id, run_id, by, lease)
    if row is None:
        found = await find(connection, org_id, run_id)
        if found.ended_at is not None:
            return "ended"
        return "waiting" if found.status == "waiting" else "busy"
    values = dict(row)
    before = {name: values.pop(name) for name in ("was", "was_waiting_for", "was_due_at", "now", "age")}
    return Claimed(Run(**values), **before)


async def find(connection: Connection, org_id: UUID, run_id: UUID) -> Run:
    """Raises `Missing(run_missing)`."""
    row = await connection.fetchrow(_FIND, org_id, run_id)
    if row is None:
        raise Missing(f"There is no run {run_id} here, or it is not yours to see.", code="run_missing")
    return Run(**dict(row))


async def going(connection: Connection, org_id: UUID, ticket_id: UUID) -> Run | None:
    """The live run that goes on for a ticket."""
    row = await connection.fetchrow(_GOING, org_id, ticket_id)
    return None if row is None else Run(**dict(row))


async def list_runs(
    connection: Connection,
    org_id: UUID,
    *,
    ticket_id: UUID | None = None,
    runbook_id: UUID | None = None,
    status: str | None = None,
    before: datetime | None = None,
    limit: int = 50,
) -> list[Run]:
    """Newest first; `before` pages on."""
    rows = await connection.fetch(_LIST, org_id, ticket_id, runbook_id, status, before, limit)
    return [Run(**dict(row)) for row in rows]


async def steps(connection: Connection, org_id: UUID, run_id: UUID) -> list[StepRow]:
    return [StepRow(**dict(row)) for row in await connection.fetch(RunsSql.steps, org_id, run_id)]


async def questions_of_ticket(connection: Connection, org_id: UUID, ticket_id: UUID) -> int:
    found: int = await connection.fetchval(RunsSql.questions_of_ticket, org_id, ticket_id)
    return found


async def actions(connection: Connection, org_id: UUID, run_id: UUID) -> list[ActionRow]:
    return [ActionRow(**dict(row)) for row in await connection.fetch(RunsSql.actions, org_id, run_id)]


async def steps_of(connection: Connection, org_id: UUID, run_ids: Sequence[UUID]) -> dict[UUID, list[StepRow]]:
    """By run, in order; a run that has none is left out."""
    found: dict[UUID, list[StepRow]] = {}
    for row in await connection.fetch(RunsSql.steps_of, org_id, list(run_ids)):
        values = dict(row)
        found.setdefault(values.pop("run_id"), []).append(StepRow(**values))
    return found


async def actions_of(connection: Connection, org_id: UUID, run_ids: Sequence[UUID]) -> dict[UUID, list[ActionRow]]:
    found: dict[UUID, list[ActionRow]] = {}
    for row in await connection.fetch(RunsSql.actions_of, org_id, list(run_ids)):
        values = dict(row)
        found.setdefault(values.pop("run_id"), []).append(ActionRow(**values))
    return found


async def gate(connection: Connection, run: Run, *, by: UUID, needed: timedelta) -> Gate:
    """Hold the ticket and read what decides; `is_short` when the lease is over in less than `needed`."""
    if run.ticket_id is None:
        row = await connection.fetchrow(_GATE_ALONE, run.org_id, run.id, by, needed)
    else:
        row = await connection.fetchrow(_GATE, str(run.org_id), run.id, by, str(run.ticket_id), needed)
    found = {name: value for name, value in row.items() if name in _OF_GATE}
    return Gate(**found, deciding=read_deciding(row, run.runbook_id))


async def renew(
    connection: Connection, org_id: UUID, run_id: UUID, *, by: UUID, lease: timedelta
) -> tuple[bool, datetime, timedelta] | None:
    """(cancelled, now, age), or None when this pass has lost the run."""
    row = await connection.fetchrow(RunsSql.renew, org_id, run_id, by, lease)
    return None if row is None else (row["is_cancelled"], row["now"], row["age"])


async def keep_steps(connection: Connection, org_id: UUID, run_id: UUID, kept: Sequence[StepRow]) -> None:
    if kept:
        await connection.execute(RunsSql.keep_steps, org_id, run_id, _listed(kept))


async def intend(
    connection: Connection, org_id: UUID, run_id: UUID, intent: Intent, kept: Sequence[StepRow] = ()
) -> Written | None:
    """Write an intent with the steps before it; None when its business key or its path is taken."""
    values = (
        org_id,
        run_id,
        intent.seq,
        intent.path,
        intent.connector,
        intent.action,
        intent.risk,
        intent.arguments,
        intent.key,
        intent.business_key,
        intent.amount,
        intent.unit,
        intent.client_key,
        intent.is_undo,
        intent.status,
        intent.approval_id,
        intent.claim,
        intent.reason,
        intent.error,
    )
    if kept:
        row = await connection.fetchrow(RunsSql.intend_after, *values, _listed(kept))
    else:
        row = await connection.fetchrow(RunsSql.intend, *values)
    return None if row is None else Written(row["id"], row["claimed_until"])


async def holder(connection: Connection, org_id: UUID, intent: Intent) -> Holder | None:
    """The act that has this intent's business key."""
    row = await connection.fetchrow(RunsSql.holder, org_id, intent.connector, intent.action, intent.business_key)
    return None if row is None else Holder(**dict(row))


async def act_again(
    connection: Connection, org_id: UUID, run_id: UUID, action_id: UUID, *, claim: timedelta
) -> datetime | None:
    """Count a further attempt and return until when it is claimed; None when the intent is settled."""
    found: datetime | None = await connection.fetchval(RunsSql.act_again, org_id, run_id, action_id, claim)
    return found


async def settle(
    connection: Connection,
    by: Principal,
    run: Run,
    action_id: UUID,
    *,
    status: str,
    fact: Mapping[str, Any],
    value: Any = None,
    reason: str | None = None,
    error: str | None = None,
    undoes: str | None = None,
) -> bool:
    """Write the outcome of an intent and its fact; False when it has one. `undoes`: the path that this undo took back."""
    settled = await connection.execute(
        RunsSql.settle,
        by.org_id,
        run.id,
        action_id,
        status,
        value,
        reason,
        error,
        run.ticket_id,
        by.user_id,
        fact,
    )
    if not settled.endswith(" 1"):
        return False
    if undoes is not None and status == "done":
        await connection.execute(RunsSql.mark_undone, by.org_id, run.id, undoes)
    return True


async def hold_caps(connection: Connection, name: str) -> None:
    """Count acts under the cap `name` alone until the transaction ends."""
    await connection.execute(RunsSql.hold_caps, name)


async def acted(connection: Connection, org_id: UUID, scope: Scope) -> Counted:
    window = scope.window or _FOR_EVER
    if isinstance(scope.of, UUID):
        row = await connection.fetchrow(
            RunsSql.acted_by_runbook,
            org_id,
            scope.of,
            scope.run_id,
            scope.client_key,
            window,
            scope.unit,
            scope.by_client,
        )
    else:
        row = await connection.fetchrow(
            RunsSql.acted_by_action,
            org_id,
            *scope.of,
            scope.run_id,
            scope.client_key,
            window,
            scope.unit,
            scope.by_client,
        )
    return Counted(row["acts"], row["total"])


async def wait(
    connection: Connection,
    org_id: UUID,
    run_id: UUID,
    *,
    by: UUID,
    waiting_for: str,
    due_at: datetime,
    known: Mapping[str, Any],
) -> bool:
    """Let go of the run until it is woken; `known`: the slots this pass has seen. False when it has lost the run."""
    found = await connection.fetchval(RunsSql.wait, org_id, run_id, by, waiting_for, due_at, known)
    return found is not None


async def let_go(connection: Connection, org_id: UUID, run_id: UUID, *, by: UUID) -> None:
    await connection.execute(RunsSql.let_go, org_id, run_id, by)


async def end(
    connection: Connection,
    engine: Principal,
    run_id: UUID,
    *,
    by: UUID,
    verdict: str,
    reason: str,
    note: str,
    step: str,
    evidence: Mapping[str, Any],
    kept: Sequence[StepRow] = (),
) -> int | None:
    """End the run, with its fact; how many of its acts are in doubt, or None when this pass has lost it."""
    doubtful: int | None = await connection.fetchval(
        RunsSql.end,
        engine.org_id,
        run_id,
        by,
        verdict,
        reason,
        note,
        step,
        evidence,
        _listed(kept),
        engine.user_id,
    )
    return doubtful


async def ask_to_cancel(connection: Connection, org_id: UUID, run_id: UUID) -> Run | None:
    """The run, which ends before its next act; None when it has ended or is not there."""
    row = await connection.fetchrow(_ASK_TO_CANCEL, org_id, run_id)
    return None if row is None else Run(**dict(row))


async def answer(connection: Connection, org_id: UUID, run_id: UUID, readings: Mapping[str, SlotReading]) -> bool:
    """Keep what was read from the client's words; False when the run has ended."""
    values = {name: slot_readings.to_json(reading) for name, reading in readings.items()}
    return await connection.fetchval(RunsSql.answer, org_id, run_id, values) is not None


async def now(connection: Connection) -> datetime:
    """The database's time, which is what runs go by."""
    found: datetime = await connection.fetchval(RunsSql.now)
    return found


async def due(connection: Connection, *, limit: int = MOST_DUE) -> list[tuple[UUID, UUID]]:
    """(org_id, run_id) of runs that should go on; needs a system transaction."""
    return [(row["org_id"], row["run_id"]) for row in await connection.fetch(RunsSql.due, limit)]


@asynccontextmanager
async def savepoint(connection: Connection) -> AsyncIterator[None]:
    """A part of the transaction that is taken back by itself when it fails."""
    await connection.execute("savepoint part")
    try:
        yield
    except Exception:
        await connection.execute("rollback to savepoint part")
        raise
    await connection.execute("release savepoint part")


def _listed(kept: Sequence[StepRow]) -> list[dict[str, Any]]:
    return [
        {
            "seq": step.seq,
            "path": step.path,
            "kind": step.kind,
            "connector": step.connector,
            "action": step.action,
            "arguments": step.arguments,
            "told": step.told,
            "is_final": step.is_final,
        }
        for step in kept
    ]
