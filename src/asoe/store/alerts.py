"""Alerts as rows: where they come from, and each as it was last told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from asoe.domain.alert import Alert, Known
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class AlertsSql(NamedQueries):
    add_source: str
    list_sources: str
    find_source: str
    read_sealed: str
    seal: str
    remove_source: str
    hold: str
    known: str
    keep: str
    of_incident: str


@dataclass(frozen=True, slots=True)
class Source:
    """A monitoring system that may send alerts; its secret is read apart."""

    id: UUID
    name: str
    kind: str
    proof: str
    created_by: UUID | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Told:
    """An alert of an incident."""

    fingerprint: str
    is_firing: bool
    starts_at: datetime
    ends_at: datetime | None
    title: str
    labels: Mapping[str, str]


async def add_source(
    connection: Connection, org_id: UUID, source_id: UUID, *, name: str, kind: str, proof: str, sealed: bytes, by: UUID
) -> Source | None:
    """None when the name is taken."""
    row = await connection.fetchrow(AlertsSql.add_source, org_id, source_id, name, kind, proof, sealed, by)
    return None if row is None else Source(**dict(row))


async def list_sources(connection: Connection, org_id: UUID) -> list[Source]:
    return [Source(**dict(row)) for row in await connection.fetch(AlertsSql.list_sources, org_id)]


async def find_source(connection: Connection, org_id: UUID, source_id: UUID) -> Source | None:
    row = await connection.fetchrow(AlertsSql.find_source, org_id, source_id)
    return None if row is None else Source(**dict(row))


async def read_sealed(connection: Connection, org_id: UUID, source_id: UUID) -> bytes | None:
    sealed: bytes | None = await connection.fetchval(AlertsSql.read_sealed, org_id, source_id)
    return sealed


async def seal(connection: Connection, org_id: UUID, source_id: UUID, sealed: bytes) -> bool:
    return await connection.fetchval(AlertsSql.seal, org_id, source_id, sealed) is not None


async def remove_source(connection: Connection, org_id: UUID, source_id: UUID) -> bool:
    return await connection.fetchval(AlertsSql.remove_source, org_id, source_id) is not None


async def hold(connection: Connection, source_id: UUID) -> None:
    """Messages of a source one after the other, until the transaction ends."""
    await connection.execute(AlertsSql.hold, str(source_id))


async def known(
    connection: Connection, org_id: UUID, source_id: UUID, fingerprints: Sequence[str]
) -> dict[str, tuple[Known, UUID | None]]:
    """What is known of these alerts, and the incident each is or was part of."""
    rows = await connection.fetch(AlertsSql.known, org_id, source_id, list(fingerprints))
    return {
        row["fingerprint"]: (Known(row["is_firing"], row["starts_at"], row["ends_at"]), row["incident_id"])
        for row in rows
    }


async def keep(
    connection: Connection, org_id: UUID, source_id: UUID, alert: Alert, *, incident_id: UUID | None, at: datetime
) -> None:
    await connection.execute(
        AlertsSql.keep,
        org_id,
        source_id,
        alert.fingerprint,
        alert.is_firing,
        alert.starts_at,
        alert.ends_at,
        alert.title,
        dict(alert.labels),
        incident_id,
        at,
    )


async def of_incident(connection: Connection, org_id: UUID, incident_id: UUID) -> list[Told]:
    return [Told(**dict(row)) for row in await connection.fetch(AlertsSql.of_incident, org_id, incident_id)]
