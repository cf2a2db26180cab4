"""May this act be done alone, now? Also the ladder as people climb it, lent trust, judgements, and the emergency stop.

Caps declared in a runbook are counted where its intents are written; here only the caps of a loan are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Protocol, TypeAlias
from uuid import UUID

from asoe.connectors.contract import Action
from asoe.desk.context import Desk, policy_of
from asoe.domain.autonomy import (
    DEFAULT_LIMITS,
    LEVELS,
    LONGEST_LOAN,
    Loan,
    Standing,
    cases_needed,
    is_open,
    must_brake,
)
from asoe.domain.errors import Conflict, Denied, FieldProblem, Invalid, Missing
from asoe.domain.organization import ROLE_RANK, Principal
from asoe.domain.policy import read_policy
from asoe.domain.runbook import ApprovalRule, Perform
from asoe.store import autonomy, facts, runbooks, runs
from asoe.store.autonomy import Deciding, ToAudit
from asoe.store.db import Connection
from asoe.store.runbooks import RunbookRow

WATCHED: Final = timedelta(days=90)
"""How far back the brake looks."""
AUDIT_SHARE: Final = 0.05
_NOTHING: Final = (0, Decimal(0))
_CAPS: Final = ("acts_per_day", "total_per_day")


class RunOf(Protocol):
    """What is asked of a run here."""

    @property
    def id(self) -> UUID: ...

    @property
    def runbook_id(self) -> UUID: ...

    @property
    def version(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Alone:
    """It may; `lent` says on whose word when there is no certificate."""

    lent: bool = False


@dataclass(frozen=True, slots=True)
class NeedsApproval:
    """People must agree first; `why` is what they are told."""

    rule: ApprovalRule
    why: str


@dataclass(frozen=True, slots=True)
class No:
    """It may not; `reason` is an escalation reason."""

    reason: str
    note: str


Decision: TypeAlias = Alone | NeedsApproval | No


async def decide(
    connection: Connection,
    engine: Principal,
    run: RunOf,
    perform: Perform,
    action: Action,
    *,
    now: datetime,
    hours: Sequence[str] = (),
    found: Deciding | None = None,
) -> Decision:
    """Decide on one act inside the transaction that writes its intent; `found`: what was read just now, else it is read."""
    found = found or await autonomy.deciding(connection, engine.org_id, run.runbook_id, run.version)
    standing = found.standing
    if found.stopped is not None:
        return No("emergency_stop", f"All acts are stopped: {found.stopped}")
    if standing.level not in {"approve", "auto"}:
        return No("autonomy", f"The runbook stands at `{standing.level}`: it may not act.")
    if perform.is_undo:
        return Alone()  # taking back what this run did itself
    if not is_open(hours, now):
        return No("outside_hours", f"Acts are allowed only {', '.join(hours)}.")
    if perform.needs_approval:
        return NeedsApproval(perform.act.approval or ApprovalRule(), "The runbook asks for it.")
    if action.risk == "irreversible":
        return NeedsApproval(ApprovalRule(role="admin"), "It cannot be undone.")
    if found.newer is not None:
        why = f"The run goes by version {run.version}; trust is in version {found.newer}, which is in use now."
        return NeedsApproval(ApprovalRule(), why)
    limits = {**DEFAULT_LIMITS, **read_policy(found.settings).error_limits}
    if not standing.may_act_alone(action.risk, now, limits=limits):
        return NeedsApproval(ApprovalRule(), _why_not_alone(standing, action.risk, limits, now))
    loan = standing.lent(now)
    if loan is None:
        return Alone()
    if "total_per_day" in loan.caps and perform.amount is None and action.risk != "reversible":
        total_cap = loan.caps["total_per_day"]
        return NeedsApproval(ApprovalRule(), f"The act names no amount; the lent trust covers {total_cap} a day.")
    since = max(now - timedelta(days=1), loan.since)
    acts, total = (
        await autonomy.acted_since(connection, engine.org_id, run.runbook_id, since) if loan.caps else _NOTHING
    )
    over = _over_loan(loan, acts + 1, total + (perform.amount or 0))
    return NeedsApproval(ApprovalRule(), over) if over else Alone(lent=True)


async def limits_of(connection: Connection, org_id: UUID) -> Mapping[str, float]:
    """The largest tolerated error rate per risk: the organization's own, else the defaults."""
    return {**DEFAULT_LIMITS, **(await policy_of(connection, org_id)).error_limits}


async def is_stopped(connection: Connection, org_id: UUID) -> str | None:
    """Why all acts of the organization are stopped, or None."""
    return await autonomy.stopped(connection, org_id)


async def watch(connection: Connection, engine: Principal, runbook_id: UUID, now: datetime) -> bool:
    """Brake a runbook whose runs speak against it (a sequential test after every run); True when it was braked now."""
    outcomes = await autonomy.recent_outcomes(connection, engine.org_id, runbook_id, since=now - WATCHED)
    limit = min((await limits_of(connection, engine.org_id)).values())
    if not outcomes or not must_brake(outcomes, limit):
        return False
    why = f"{sum(outcomes)} of the last {len(outcomes)} runs that acted alone went wrong."
    if not await autonomy.brake(connection, engine.org_id, runbook_id, why):
        return False
    await facts.record(
        connection, engine, "autonomy.braked", runbook_id=runbook_id, runs=len(outcomes), wrong=sum(outcomes)
    )
    return True


async def doubt(connection: Connection, engine: Principal, run_id: UUID) -> None:
    """Count a verified run as wrong whose client came back within the time the brake looks at, and brake if need be.

    Whoever looks at it may say that it was right after all: a person's word goes before this.
    """
    run = await runs.find(connection, engine.org_id, run_id)
    now = await runs.now(connection)
    if run.mode != "live" or run.ended_at is None or run.ended_at < now - WATCHED:
        return
    note = "The client came back after the run."
    if await autonomy.judge(connection, engine.org_id, run_id, is_right=False, source="reopen", note=note):
        await facts.record(connection, engine, "run.judged", run_id=run_id, is_right=False, source="reopen")
        await watch(connection, engine, run.runbook_id, now)


# --- what people do ---


async def read_standing(desk: Desk, principal: Principal, name: str) -> tuple[UUID, Standing, Mapping[str, float]]:
    """(runbook, where it stands, the limits it is held to); raises `Missing(runbook_missing)`."""
    async with desk.database.org_reading(principal) as connection:
        found = await runbooks.find(connection, principal.org_id, name)
        standing = await autonomy.standing(connection, principal.org_id, found.id)
        return found.id, standing, await limits_of(connection, principal.org_id)


async def read_standings(desk: Desk, principal: Principal) -> list[tuple[RunbookRow, str]]:
    """Each runbook in use, and in one line how far it may go and why."""
    async with desk.database.org_reading(principal) as connection:
        limits = await limits_of(connection, principal.org_id)
        found = [row for row in await runbooks.list_runbooks(connection, principal.org_id) if row.published_version]
        standings = [await autonomy.standing(connection, principal.org_id, row.id) for row in found]
    now = desk.clock()
    return [(row, describe(standing, limits, now)) for row, standing in zip(found, standings, strict=True)]


async def set_level(desk: Desk, principal: Principal, name: str, level: str) -> Standing:
    """Put a runbook at a level. `auto` alone acts only with a certificate; to go without one, lend trust."""
    _require(principal, "admin", "set a runbook's autonomy")
    if level not in LEVELS:
        problem = f"{level!r} is none of {', '.join(LEVELS)}"
        raise Invalid(f"level: {problem}.", code="unknown_level", fields=(FieldProblem("level", problem),))
    async with desk.database.org_transaction(principal) as connection:
        found = await runbooks.find(connection, principal.org_id, name)
        before = await autonomy.standing(connection, principal.org_id, found.id)
        await autonomy.set_level(connection, principal.org_id, found.id, level)
        if level != "auto" and before.loan is not None:
            await autonomy.end_loan(connection, principal.org_id, found.id)
        await facts.record(
            connection, principal, "autonomy.changed", runbook_id=found.id, before=before.level, after=level
        )
        return await autonomy.standing(connection, principal.org_id, found.id)


async def lend(
    desk: Desk,
    principal: Principal,
    name: str,
    *,
    reason: str,
    until: datetime,
    caps: Mapping[str, Any] | None = None,
) -> Standing:
    """Let the version in use act alone without a certificate, in the open: for a reason, with caps, for at most 90 days.

    Ends when another version is published. Raises `Denied`, `Invalid(bad_loan)`, `Missing(runbook_missing |
    runbook_not_published)`.
    """
    _require(principal, "owner", "lend trust")
    now = desk.clock()
    problems = []
    if not reason.strip():
        problems.append(FieldProblem("reason", "must say why: everyone who looks at the runbook reads it"))
    if until.tzinfo is None or not now < until <= now + LONGEST_LOAN:
        problems.append(FieldProblem("until", f"must be a time to come, at most {LONGEST_LOAN.days} days from now"))
    clean, wrong = _read_caps(caps or {})
    problems += wrong
    if problems:
        listed = "; ".join(f"{problem.field}: {problem.problem}" for problem in problems)
        raise Invalid(f"{listed}.", code="bad_loan", fields=tuple(problems))
    loan = Loan(by=principal.name or str(principal.user_id), reason=reason.strip(), since=now, until=until, caps=clean)
    async with desk.database.org_transaction(principal) as connection:
        found = await runbooks.find(connection, principal.org_id, name)
        if found.published_version is None:
            raise Missing(f"Publish {found.name} first: trust is lent to a version.", code="runbook_not_published")
        await autonomy.lend(connection, principal.org_id, found.id, loan)
        await facts.record(
            connection, principal, "autonomy.lent", runbook_id=found.id, until=until.isoformat(), caps=clean
        )
        return await autonomy.standing(connection, principal.org_id, found.id)


async def end_loan(desk: Desk, principal: Principal, name: str) -> Standing:
    """Take lent trust back; the certificate alone decides from now on."""
    _require(principal, "admin", "take lent trust back")
    async with desk.database.org_transaction(principal) as connection:
        found = await runbooks.find(connection, principal.org_id, name)
        if await autonomy.end_loan(connection, principal.org_id, found.id):
            await facts.record(
                connection, principal, "autonomy.changed", runbook_id=found.id, before="lent", after="loan_ended"
            )
        return await autonomy.standing(connection, principal.org_id, found.id)


async def judge(
    desk: Desk, principal: Principal, run_id: UUID, *, is_right: bool, source: str = "person", note: str = ""
) -> None:
    """Say whether a run did right. `audit`: blind, of the random sample; `person`: of a run one has seen through."""
    _require(principal, "agent", "judge runs")
    if source not in {"person", "audit"}:
        raise Invalid("source: must be person or audit.", code="unknown_source")
    async with desk.database.org_transaction(principal) as connection:
        run = await runs.find(connection, principal.org_id, run_id)
        if run.mode != "live" or run.ended_at is None:
            why = "goes on" if run.mode == "live" else "was a rehearsal, of which there may be any number"
            raise Conflict(f"Run {run_id} {why}: certificates rest on live runs that have ended.", code="not_to_judge")
        if not await autonomy.judge(
            connection,
            principal.org_id,
            run_id,
            is_right=is_right,
            source=source,
            by=principal.user_id,
            note=note[:2000],
        ):
            raise Conflict(f"Run {run_id} has a judgement of this kind already.", code="already_judged")
        await facts.record(connection, principal, "run.judged", run_id=run_id, is_right=is_right, source=source)


async def to_audit(desk: Desk, principal: Principal, *, limit: int = 50) -> list[ToAudit]:
    """Runs of the random sample that wait for a blind look."""
    _require(principal, "agent", "audit runs")
    async with desk.database.org_reading(principal) as connection:
        return await autonomy.to_audit(connection, principal.org_id, share=AUDIT_SHARE, limit=limit)


async def stop_acts(desk: Desk, principal: Principal, reason: str) -> bool:
    """The emergency stop: no further act of this organization, at once; runs stop between two beats."""
    _require(principal, "agent", "stop all acts")
    async with desk.database.org_transaction(principal) as connection:
        is_new = await autonomy.stop(
            connection, principal.org_id, by=principal.user_id, reason=reason.strip() or "no reason given"
        )
        if is_new:
            await facts.record(connection, principal, "acts.stopped")
        return is_new


async def release_acts(desk: Desk, principal: Principal) -> bool:
    """Let acts be done again; runs that were stopped stay with people."""
    _require(principal, "admin", "release the emergency stop")
    async with desk.database.org_transaction(principal) as connection:
        was_stopped = await autonomy.release(connection, principal.org_id, by=principal.user_id)
        if was_stopped:
            await facts.record(connection, principal, "acts.released")
        return was_stopped


async def stop_reason(desk: Desk, principal: Principal) -> str | None:
    async with desk.database.org_reading(principal) as connection:
        return await autonomy.stopped(connection, principal.org_id)


def describe(standing: Standing, limits: Mapping[str, float], now: datetime) -> str:
    """One line for people: the level, and on what it rests."""
    evidence = standing.evidence
    seen = f"{evidence.cases} judged, {evidence.errors} wrong, error rate at most {evidence.upper_limit:.1%}"
    if standing.braked_at is not None:
        return f"{standing.level}; braked: {standing.braked_why} ({seen})"
    loan = standing.lent(now)
    if loan is not None:
        needed = cases_needed(limits["reversible"])
        return f"lent until {loan.until:%Y-%m-%d} by {loan.by} ({loan.reason}); {evidence.cases} of {needed} seen"
    return f"{standing.level} ({seen})"


def _require(principal: Principal, role: str, what: str) -> None:
    if ROLE_RANK.get(principal.role, -1) < ROLE_RANK[role]:
        raise Denied(f"To {what} takes the role {role}; you act as {principal.role}.", code="role_not_permitted")


def _read_caps(caps: Mapping[str, Any]) -> tuple[dict[str, Any], list[FieldProblem]]:
    clean: dict[str, Any] = {}
    problems = []
    for name, value in caps.items():
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            number = Decimal(-1)
        if name not in _CAPS:
            problems.append(FieldProblem(f"caps.{name}", f"is not known; use {', '.join(_CAPS)}"))
        elif not number.is_finite() or number < 0:
            problems.append(FieldProblem(f"caps.{name}", "must be a number, zero or more"))
        else:
            clean[name] = int(number) if name == "acts_per_day" else str(number)
    return clean, problems


def _over_loan(loan: Loan, acts: int, total: Decimal) -> str | None:
    """Why the loan's caps do not cover so much in a day, or None."""
    if "acts_per_day" in loan.caps and acts > loan.caps["acts_per_day"]:
        return f"The lent trust covers {loan.caps['acts_per_day']} acts a day; this would be number {acts}."
    if "total_per_day" in loan.caps and total > Decimal(loan.caps["total_per_day"]):
        return f"The lent trust covers {loan.caps['total_per_day']} a day; this would make {total}."
    return None


def _why_not_alone(standing: Standing, risk: str, limits: Mapping[str, float], now: datetime) -> str:
    if standing.braked_at is not None:
        return f"The runbook braked itself: {standing.braked_why}"
    if standing.level != "auto":
        return "The runbook stands at `approve`."
    limit = limits.get(risk, 0.0)
    expired = " The lent trust has ended." if standing.loan is not None and standing.lent(now) is None else ""
    return (
        f"There is no certificate yet: {standing.evidence.errors} wrong of {standing.evidence.cases} judged runs allow an error "
        f"rate up to {standing.evidence.upper_limit:.1%}; the limit is {limit:.0%}.{expired}"
    )
