"""Certificates of answers as rows, and the traffic they rest on. Nothing of any text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from asoe.domain.certificate import Certificate
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries

_COLUMNS: Final = (
    "c.category, c.model, c.threshold, c.marginal_threshold, c.level, c.delta, c.cases, c.errors, c.accepted, c.accepted_errors, "
    "c.audited, c.reference, c.made_at, c.made_by, c.ended_at, c.ended_why, c.drift"
)


class CertificatesSql(NamedQueries):
    hold: str
    deciding: str
    standing: str
    voided: str
    last_voided: str
    end: str
    insert: str
    traffic_before: str
    traffic_since: str


async def hold(connection: Connection, org_id: UUID) -> None:
    """One renewal or voiding of an organization at a time, until the transaction ends."""
    await connection.execute(CertificatesSql.hold, str(org_id))


async def deciding(connection: Connection, org_id: UUID, category: str) -> list[Certificate]:
    """What stands for the category and for the whole organization, the category's own first."""
    rows = await connection.fetch(_with_columns(CertificatesSql.deciding), org_id, category)
    return [Certificate(**dict(row)) for row in rows]


async def standing(connection: Connection, org_id: UUID) -> list[Certificate]:
    """What was made last and not ended, that of the whole organization first; with too little evidence, too."""
    rows = await connection.fetch(_with_columns(CertificatesSql.standing), org_id)
    return [Certificate(**dict(row)) for row in rows]


async def voided(connection: Connection, org_id: UUID, *, limit: int = 20) -> list[Certificate]:
    """Newest first."""
    rows = await connection.fetch(_with_columns(CertificatesSql.voided), org_id, limit)
    return [Certificate(**dict(row)) for row in rows]


async def last_voided(connection: Connection, org_id: UUID) -> datetime | None:
    """When drift ended certificates last: evidence from before counts no more."""
    found: datetime | None = await connection.fetchval(CertificatesSql.last_voided, org_id)
    return found


async def end(
    connection: Connection, org_id: UUID, *, at: datetime, why: str, drift: Mapping[str, Any] | None = None
) -> None:
    """End every certificate that stands; `why` is renewed or drift."""
    await connection.execute(CertificatesSql.end, org_id, at, why, drift)


async def insert(connection: Connection, org_id: UUID, made: Certificate) -> None:
    await connection.execute(
        CertificatesSql.insert,
        org_id,
        made.category,
        made.model,
        made.threshold,
        made.marginal_threshold,
        made.level,
        made.delta,
        made.cases,
        made.errors,
        made.accepted,
        made.accepted_errors,
        made.audited,
        dict(made.reference),
        made.made_by,
        made.made_at,
    )


async def traffic_before(
    connection: Connection, org_id: UUID, at: datetime, *, limit: int
) -> Sequence[tuple[str, float]]:
    """(intent, scope in 0..1) of the newest tickets up to `at`, oldest first."""
    rows = await connection.fetch(CertificatesSql.traffic_before, org_id, at, limit)
    return [(row["intent"], row["scope"]) for row in rows]


async def traffic_since(
    connection: Connection, org_id: UUID, at: datetime, *, limit: int
) -> Sequence[tuple[str, float]]:
    """(intent, scope in 0..1) of the tickets after `at`, oldest first."""
    rows = await connection.fetch(CertificatesSql.traffic_since, org_id, at, limit)
    return [(row["intent"], row["scope"]) for row in rows]


def _with_columns(query: str) -> str:
    return query.replace("{columns}", _COLUMNS)
