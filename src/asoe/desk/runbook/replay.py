"""Replay: a run that happened, once more, with another version or runbook, other settings, or today's models; nothing is done.

It is told what the first run was told, and nobody outside is asked: where it wants to know or do what was never recorded, it
ends there and says so. Reads that came after an act are told only after that act.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from asoe.desk.context import Desk
from asoe.desk.runbook import recorded, shelf, treatment
from asoe.desk.runbook.recorded import Case, Outcome, Recorded
from asoe.desk.runbook.treatment import Report
from asoe.desk.trail import Trail
from asoe.domain.autonomy import DEFAULT_LIMITS
from asoe.domain.errors import Conflict, Missing
from asoe.domain.organization import Principal
from asoe.domain.policy import Policy, read_policy
from asoe.domain.runbook import Runbook, SlotReading
from asoe.domain.ticket import Ticket
from asoe.store import autonomy, organizations, runbooks, runs, sessions, slot_readings, tickets
from asoe.store.db import Connection
from asoe.store.runs import ActionRow, Run, StepRow

SETTINGS: Final = ("error_limits", "language_model", "standing_consents")
"""Those of an organization that a run goes by."""


@dataclass(frozen=True, slots=True)
class Side:
    """One way a run went: `verdict` is empty where nobody can tell how it would have ended."""

    runbook: str
    version: int
    verdict: str
    reason: str
    acts: tuple[str, ...]
    slots: Mapping[str, Any]
    alone: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class Replay:
    """A run as it was and as it would be; without `differences` nothing would change."""

    run_id: UUID
    was: Side
    now: Side
    differences: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        sides = {name: _shown(side) for name, side in (("was", self.was), ("now", self.now))}
        return {"run_id": str(self.run_id), **sides, "differences": list(self.differences)}


@dataclass(frozen=True, slots=True)
class _Known:
    """What is read for a replay in one transaction."""

    run: Run
    book: Runbook
    steps: list[StepRow]
    actions: list[ActionRow]
    other: Runbook
    version: int
    library: Mapping[str, Runbook]
    ticket: Ticket | None
    settings: Mapping[str, Any]
    standing: Any


async def replay(
    desk: Desk,
    principal: Principal,
    run_id: UUID,
    *,
    runbook: str | None = None,
    version: int | None = None,
    settings: Mapping[str, Any] | None = None,
    is_anew: bool = False,
) -> Replay:
    """Play a run that has ended again, and tell what would be different.

    runbook, version: what to play instead; else the very same. settings: `SETTINGS` over the organization's. is_anew: read what the
    client had said when the run began with the models of today; settings imply it. Raises `Missing(run_missing |
    runbook_missing | runbook_version_missing)`, `Conflict(run_under_way)`, `Invalid(bad_policy)`.
    """
    async with desk.database.org_reading(principal) as connection:
        known = await _known(connection, principal.org_id, run_id, runbook=runbook, version=version)
    before = read_policy(known.settings)
    policy = before if settings is None else read_policy({**known.settings, **settings})
    outcome, slots = await _play(desk, principal, known, policy, is_anew=is_anew or settings is not None)
    was = Side(
        known.book.name,
        known.run.version,
        known.run.status,
        known.run.reason or "",
        tuple(f"{each.connector}.{each.action}" for each in known.actions if not each.is_undo),
        _values(_slots_of(known.run)),
        _alone(desk, known, before),
    )
    acts = tuple(_named(known.other, act["call"]) for act in outcome.acts if not act["undo"])
    now = Side(
        known.other.name,
        known.version,
        outcome.verdict,
        outcome.reason,
        acts,
        _values(slots),
        _alone(desk, known, policy),
    )
    return Replay(run_id, was, now, (*_changes(was, now), *outcome.differences))


async def report(desk: Desk, principal: Principal, was: Report, policy: Policy, *, is_anew: bool) -> Report | None:
    """What a run that has ended would have come to by `policy` and the desk's `versions`; None where nobody can tell."""
    name = was.runbook.name
    async with desk.database.org_reading(principal) as connection:
        version = desk.versions.get(name, was.run.version)
        known = await _known(
            connection, principal.org_id, was.run.id, runbook=name, version=version, instead=desk.versions
        )
    outcome, _ = await _play(desk, principal, known, policy, is_anew=is_anew)
    if not outcome.verdict:
        return None
    run = replace(
        was.run,
        version=version,
        status=outcome.verdict,
        reason=outcome.reason or None,
        note=outcome.note or None,
        ended_at_step=outcome.step or None,
        evidence=dict(outcome.evidence),
    )
    done = tuple(_named(known.other, act["call"]) for act in outcome.acts if not act["undo"])
    told = f"Version {version} of the runbook “{known.other.title}” would end {outcome.verdict}: {outcome.reason}."
    return replace(was, run=run, runbook=known.other, tried=(told,), not_done=(), effects=done)


async def _play(
    desk: Desk, principal: Principal, known: _Known, policy: Policy, *, is_anew: bool
) -> tuple[Outcome, Mapping[str, SlotReading]]:
    case = _case(known)
    slots: Mapping[str, SlotReading] = _slots_of(known.run)
    if is_anew and known.ticket is not None:
        slots = await _anew(desk, principal, known, known.ticket, policy)
        case = replace(case, environment={**case.environment, "slots": slots})
    return recorded.play(known.other, case, library=known.library), slots


async def _known(
    connection: Connection,
    org_id: UUID,
    run_id: UUID,
    *,
    runbook: str | None,
    version: int | None,
    instead: Mapping[str, int] = MappingProxyType({}),
) -> _Known:
    run = await runs.find(connection, org_id, run_id)
    if run.ended_at is None:
        raise Conflict("The run has not ended: there is nothing yet to compare with.", code="run_under_way")
    row = await runbooks.find(connection, org_id, runbook or str(run.runbook_id))
    number = version or (run.version if runbook is None else row.published_version or row.newest_version or 0)
    ticket = None
    if run.ticket_id is not None:
        try:
            ticket = await tickets.find(connection, org_id, run.ticket_id)
        except Missing:
            ticket = None  # deleted since
    return _Known(
        run=run,
        book=await shelf.load(connection, org_id, run.runbook_id, run.version),
        steps=await runs.steps(connection, org_id, run_id),
        actions=await runs.actions(connection, org_id, run_id),
        other=await shelf.load(connection, org_id, row.id, number),
        version=number,
        library=await shelf.library(connection, org_id, instead=instead),
        ticket=ticket,
        settings=(await organizations.read_organization(connection, org_id)).settings,
        standing=await autonomy.standing(connection, org_id, row.id),
    )


def _case(known: _Known) -> Case:
    """The run as a recorded case, by the aliases of the runbook that is played now."""
    run, rows = known.run, _in_order(known)
    written = recorded.record(
        str(run.id),
        runbook=known.other,
        environment={**run.environment, "slots": _slots_of(run), "now": run.started_at or run.created_at},
        steps=[_row(each) for each in known.steps],
        actions=[_row(each) for each in known.actions],
        verdict=run.status,
        reason=run.reason or "",
        mode=run.mode,
    )
    case = recorded.case_of(written)
    told = [row for row in rows if isinstance(row, ActionRow) or row.kind == "observe"]
    if run.mode != "live":
        told = [row for row in told if isinstance(row, StepRow)]
    calls: list[Recorded] = []
    last: str | None = None
    for one, row in zip(case.calls, told, strict=True):
        is_act = isinstance(row, ActionRow)
        calls.append(one if is_act else replace(one, after=last))
        if is_act:
            last = one.call
    expected = replace(case.expected, acts=None, asked=None, verdict=run.status)
    return replace(case, calls=tuple(calls), expected=expected)


def _in_order(known: _Known) -> list[StepRow | ActionRow]:
    rows: list[StepRow | ActionRow] = [*known.steps, *known.actions]
    return sorted(rows, key=lambda row: row.seq)


def _row(row: StepRow | ActionRow) -> dict[str, Any]:
    names = ("seq", "path", "connector", "action", "arguments")
    more = (
        ("kind", "told")
        if isinstance(row, StepRow)
        else ("status", "value", "reason", "error", "business_key", "amount", "is_undo")
    )
    return {name: getattr(row, name) for name in (*names, *more)}


async def _anew(
    desk: Desk, principal: Principal, known: _Known, ticket: Ticket, policy: Policy
) -> Mapping[str, SlotReading]:
    """The slots from what the client had said when the run began; a language model's part costs what it always does."""
    async with desk.database.org_reading(principal) as connection:
        said = await sessions.messages_of_ticket(connection, principal.org_id, ticket.id)
        client = await treatment.client_of(connection, principal.org_id, ticket.id)
    began = known.run.created_at
    return await treatment.read_slots(
        desk,
        known.other,
        ticket,
        messages=[each for each in said if each.created_at <= began],
        client=client,
        policy=policy,
        beside=known.library.values(),
        engine=await desk.engine_of(principal.org_id),
        trail=Trail(desk.clock, initiator="replay", entrypoint="replay"),  # never saved
    )


def _slots_of(run: Run) -> dict[str, SlotReading]:
    stored = run.environment.get("slots") or {}
    return {name: slot_readings.from_json(each) for name, each in stored.items()}


def _values(slots: Mapping[str, SlotReading]) -> dict[str, Any]:
    return {name: recorded.slot_json(reading) for name, reading in slots.items()}


def _alone(desk: Desk, known: _Known, policy: Policy) -> dict[str, bool]:
    """Which risks the runbook that is played now may take alone, by these settings and today's evidence."""
    limits = {**DEFAULT_LIMITS, **policy.error_limits}
    now = desk.clock()
    return {risk: known.standing.may_act_alone(risk, now, limits=limits) for risk in DEFAULT_LIMITS}


def _changes(was: Side, now: Side) -> list[str]:
    found = []
    for name in sorted({*was.slots, *now.slots}):
        if str(was.slots.get(name)) != str(now.slots.get(name)):
            found.append(f"slot {name}: was {was.slots.get(name)!r}, would be {now.slots.get(name)!r}")
    if was.acts != now.acts:
        found.append(f"acts: were {', '.join(was.acts) or 'none'}; would be {', '.join(now.acts) or 'none'}")
    for risk, may in now.alone.items():
        if was.alone.get(risk) != may:
            found.append(f"{risk} acts: {'may' if may else 'may not'} be done alone by these settings")
    return found


def _named(book: Runbook, call: str) -> str:
    alias, action = call.split(".", 1)
    return f"{book.connectors.get(alias, alias)}.{action}"


def _shown(side: Side) -> dict[str, Any]:
    return {
        "runbook": side.runbook,
        "version": side.version,
        "verdict": side.verdict,
        "reason": side.reason,
        "acts": list(side.acts),
        "slots": dict(side.slots),
        "alone": dict(side.alone),
    }
