"""An organization's runbooks and their versions, as text. What the text means is the desk's business."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from asoe.domain.errors import Missing
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class RunbooksSql(NamedQueries):
    put: str
    add_version: str
    hold: str
    newest: str
    publish: str
    retire: str
    find: str
    list: str
    version: str
    versions: str
    published: str


@dataclass(frozen=True, slots=True)
class RunbookRow:
    """One runbook; `published_version` None: not in use. `level` is its autonomy."""

    id: UUID
    name: str
    title: str
    resolution_type: str
    published_version: int | None
    newest_version: int | None
    level: str
    retired_at: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One version; `source` is empty in lists."""

    version: int
    digest: str
    created_by: UUID | None
    created_at: datetime
    source: str = ""


@dataclass(frozen=True, slots=True)
class Published:
    """The version in use of one runbook."""

    id: UUID
    name: str
    version: int
    source: str
    digest: str
    level: str


async def put(
    connection: Connection,
    org_id: UUID,
    *,
    name: str,
    title: str,
    resolution_type: str,
    source: str,
    digest: str,
    by: UUID,
) -> tuple[UUID, int, bool]:
    """Store a further version unless the newest is the same text; returns (id, version, whether it is a new one)."""
    runbook_id: UUID = await connection.fetchval(RunbooksSql.put, org_id, name, title, resolution_type)
    await connection.execute(RunbooksSql.hold, org_id, runbook_id)
    newest = await connection.fetchrow(RunbooksSql.newest, org_id, runbook_id)
    if newest is not None and newest["digest"] == digest:
        return runbook_id, int(newest["version"]), False
    number = await connection.fetchval(RunbooksSql.add_version, org_id, runbook_id, source, digest, by)
    return runbook_id, int(number), True


async def publish(connection: Connection, org_id: UUID, runbook_id: UUID, version: int) -> None:
    await connection.execute(RunbooksSql.publish, org_id, runbook_id, version)


async def retire(connection: Connection, org_id: UUID, runbook_id: UUID) -> bool:
    """Take it out of use; its versions and runs stay. False when it was retired before."""
    return bool((await connection.execute(RunbooksSql.retire, org_id, runbook_id)).endswith(" 1"))


async def find(connection: Connection, org_id: UUID, name_or_id: str) -> RunbookRow:
    """Raises `Missing(runbook_missing)`."""
    row = await connection.fetchrow(RunbooksSql.find, org_id, name_or_id)
    if row is None:
        raise Missing(f"There is no runbook {name_or_id!r} here, or it is not yours to see.", code="runbook_missing")
    return RunbookRow(**dict(row))


async def list_runbooks(connection: Connection, org_id: UUID, *, with_retired: bool = False) -> list[RunbookRow]:
    return [RunbookRow(**dict(row)) for row in await connection.fetch(RunbooksSql.list, org_id, with_retired)]


async def version(connection: Connection, org_id: UUID, runbook_id: UUID, number: int) -> VersionRow:
    """Raises `Missing(runbook_version_missing)`."""
    row = await connection.fetchrow(RunbooksSql.version, org_id, runbook_id, number)
    if row is None:
        raise Missing(f"This runbook has no version {number}.", code="runbook_version_missing")
    return VersionRow(**dict(row))


async def versions(connection: Connection, org_id: UUID, runbook_id: UUID) -> list[VersionRow]:
    """Newest first, without their text."""
    return [VersionRow(**dict(row)) for row in await connection.fetch(RunbooksSql.versions, org_id, runbook_id)]


async def published(connection: Connection, org_id: UUID) -> list[Published]:
    """What is in use, by name."""
    return [Published(**dict(row)) for row in await connection.fetch(RunbooksSql.published, org_id)]
