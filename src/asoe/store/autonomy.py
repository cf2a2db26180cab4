"""Where each runbook stands on the ladder, the judged runs its certificate rests on, and the emergency stop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from asoe.domain.autonomy import Evidence, Loan, Standing
from asoe.domain.errors import Missing
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class AutonomySql(NamedQueries):
    standing: str
    deciding: str
    decides: str
    joined: str
    set_level: str
    lend: str
    end_loan: str
    brake: str
    void_evidence: str
    judge: str
    recent_outcomes: str
    acted_since: str
    lock_runbook: str
    to_audit: str
    stop: str
    release: str
    stopped: str


def with_deciding(query: str) -> str:
    """A query about an `r` with org_id, runbook_id and version that also reads what decides on an act of that run."""
    return query.replace("{decides}", AutonomySql.decides).replace("{deciding}", AutonomySql.joined)


_DECIDING: Final = with_deciding(AutonomySql.deciding)


@dataclass(frozen=True, slots=True)
class ToAudit:
    """A run that acted alone and waits for a blind look."""

    id: UUID
    runbook_id: UUID
    ticket_id: UUID | None
    ended_at: datetime


async def standing(connection: Connection, org_id: UUID, runbook_id: UUID) -> Standing:
    """Raises `Missing(runbook_missing)`."""
    row = await connection.fetchrow(AutonomySql.standing, org_id, runbook_id)
    return _standing(row, runbook_id)


@dataclass(frozen=True, slots=True)
class Deciding:
    """What decides on one act. `newer`: the version in use, when it is not the run's. `stopped`: why no act may be done."""

    standing: Standing
    settings: Mapping[str, Any]
    stopped: str | None
    newer: int | None


async def deciding(connection: Connection, org_id: UUID, runbook_id: UUID, version: int) -> Deciding:
    """Where the runbook stands for a run by this version of it; raises `Missing(runbook_missing)`."""
    return read_deciding(await connection.fetchrow(_DECIDING, org_id, runbook_id, version), runbook_id)


def read_deciding(row: Any, runbook_id: UUID) -> Deciding:
    """What a query made by `with_deciding` found."""
    return Deciding(_standing(row, runbook_id), row["settings"] or {}, row["stopped"], row["newer"])


def _standing(row: Any, runbook_id: UUID) -> Standing:
    if row is None:
        raise Missing(f"There is no runbook {runbook_id} here, or it is not yours to see.", code="runbook_missing")
    return Standing(
        level=row["level"],
        evidence=Evidence(row["cases"], row["errors"]),
        loan=None if row["loan"] is None else _loan(row["loan"]),
        braked_at=row["braked_at"],
        braked_why=row["braked_why"],
    )


async def set_level(connection: Connection, org_id: UUID, runbook_id: UUID, level: str) -> None:
    """To `auto` also lets go of the brake: whoever may set it has looked."""
    await connection.execute(AutonomySql.set_level, org_id, runbook_id, level)


async def lend(connection: Connection, org_id: UUID, runbook_id: UUID, loan: Loan) -> None:
    """`auto` without a certificate, until the loan ends."""
    stored = {
        "by": loan.by,
        "reason": loan.reason,
        "since": loan.since.isoformat(),
        "until": loan.until.isoformat(),
        "caps": loan.caps,
    }
    await connection.execute(AutonomySql.lend, org_id, runbook_id, stored)


async def end_loan(connection: Connection, org_id: UUID, runbook_id: UUID) -> bool:
    return bool((await connection.execute(AutonomySql.end_loan, org_id, runbook_id)).endswith(" 1"))


async def brake(connection: Connection, org_id: UUID, runbook_id: UUID, why: str) -> bool:
    """Back to `approve`; False when it was not at `auto`."""
    return bool((await connection.execute(AutonomySql.brake, org_id, runbook_id, why)).endswith(" 1"))


async def void_evidence(connection: Connection, org_id: UUID, runbook_id: UUID) -> None:
    """What was judged before counts no more: the runbook, or the traffic, is another one now."""
    await connection.execute(AutonomySql.void_evidence, org_id, runbook_id)


async def judge(
    connection: Connection,
    org_id: UUID,
    run_id: UUID,
    *,
    is_right: bool,
    source: str,
    by: UUID | None = None,
    note: str = "",
) -> bool:
    """Store a judgement of a run; the first of each source stays. False when there was one, or no such run."""
    done = await connection.execute(AutonomySql.judge, org_id, run_id, is_right, source, by, note)
    return bool(done.endswith(" 1"))


async def recent_outcomes(
    connection: Connection, org_id: UUID, runbook_id: UUID, *, since: datetime, limit: int = 400
) -> list[bool]:
    """Whether each of the last runs that acted alone went wrong, oldest first."""
    rows = await connection.fetch(AutonomySql.recent_outcomes, org_id, runbook_id, since, limit)
    return [bool(row["is_wrong"]) for row in reversed(rows)]


async def acted_since(connection: Connection, org_id: UUID, runbook_id: UUID, since: datetime) -> tuple[int, Decimal]:
    """(acts, their summed amount) of one runbook; holds a lock until the transaction ends, so that no two count alike."""
    await connection.execute(AutonomySql.lock_runbook, str(org_id), str(runbook_id))
    row = await connection.fetchrow(AutonomySql.acted_since, org_id, runbook_id, since)
    return int(row["acts"]), Decimal(row["total"])


async def to_audit(connection: Connection, org_id: UUID, *, share: float, limit: int = 50) -> list[ToAudit]:
    """Runs of the random share (0..1) that wait for a blind look."""
    rows = await connection.fetch(AutonomySql.to_audit, org_id, share, limit)
    return [ToAudit(**dict(row)) for row in rows]


async def stop(connection: Connection, org_id: UUID, *, by: UUID, reason: str) -> bool:
    """Stop every act of the organization; False when they are stopped already."""
    return bool((await connection.execute(AutonomySql.stop, org_id, by, reason)).endswith(" 1"))


async def release(connection: Connection, org_id: UUID, *, by: UUID) -> bool:
    return bool((await connection.execute(AutonomySql.release, org_id, by)).endswith(" 1"))


async def stopped(connection: Connection, org_id: UUID) -> str | None:
    """Why acts are stopped, or None."""
    reason: str | None = await connection.fetchval(AutonomySql.stopped, org_id)
    return reason


def _loan(stored: dict[str, Any]) -> Loan:
    return Loan(
        by=stored["by"],
        reason=stored["reason"],
        since=datetime.fromisoformat(stored["since"]),
        until=datetime.fromisoformat(stored["until"]),
        caps=stored.get("caps") or {},
    )
