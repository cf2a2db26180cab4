"""The registry of an organization's models as rows: begun, held by one worker, finished, champion, retired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from asoe.domain.errors import Missing
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class ModelsSql(NamedQueries):
    hold: str
    begin: str
    claim: str
    advance: str
    finish: str
    fail: str
    cancel: str
    champion: str
    arrays: str
    retire: str
    previous: str
    reinstate: str
    page: str


@dataclass(frozen=True, slots=True)
class Model:
    """One training and what came of it. `state`: training, kept_out, champion, retired or failed."""

    id: UUID
    version: int
    state: str
    base_version: str
    fingerprint: str
    lessons: int
    metrics: Mapping[str, Any]
    comparison: Mapping[str, Any]
    reason: str
    progress: float
    started_by: UUID | None
    started_by_name: str | None
    started_at: datetime
    ended_at: datetime | None
    promoted_at: datetime | None
    retired_at: datetime | None


@dataclass(frozen=True, slots=True)
class Named:
    """A model by its id, version and the shared model it lies over."""

    id: UUID
    version: int
    base_version: str


@dataclass(frozen=True, slots=True)
class Finished:
    """What a training leaves in the registry."""

    state: str
    base_version: str
    fingerprint: str
    lessons: int
    metrics: Mapping[str, Any]
    comparison: Mapping[str, Any]
    reason: str
    arrays: bytes | None


async def hold(connection: Connection, org_id: UUID) -> None:
    """Let nobody else change who is champion until the transaction ends."""
    await connection.execute(ModelsSql.hold, str(org_id))


async def begin(connection: Connection, org_id: UUID, *, by: UUID, at: datetime) -> bool:
    """Register a training; False while one is under way."""
    done: str = await connection.execute(ModelsSql.begin, org_id, by, at)
    return done.endswith(" 1")


async def claim(connection: Connection, org_id: UUID, *, at: datetime, until: datetime) -> tuple[UUID, int] | None:
    """The id and version of the training to do, held until then; None when there is none, or another has it."""
    row = await connection.fetchrow(ModelsSql.claim, org_id, at, until)
    return None if row is None else (row["id"], row["version"])


async def advance(connection: Connection, org_id: UUID, model_id: UUID, progress: float, *, until: datetime) -> bool:
    """False when the training was ended meanwhile."""
    done: str = await connection.execute(ModelsSql.advance, org_id, model_id, progress, until)
    return done.endswith(" 1")


async def finish(connection: Connection, org_id: UUID, model_id: UUID, done: Finished, *, at: datetime) -> bool:
    status: str = await connection.execute(
        ModelsSql.finish,
        org_id,
        model_id,
        done.state,
        done.base_version,
        done.fingerprint,
        done.lessons,
        dict(done.metrics),
        dict(done.comparison),
        done.reason,
        done.arrays,
        at,
    )
    return status.endswith(" 1")


async def fail(connection: Connection, org_id: UUID, model_id: UUID, reason: str, *, at: datetime) -> None:
    await connection.execute(ModelsSql.fail, org_id, model_id, reason, at)


async def cancel(connection: Connection, org_id: UUID, *, at: datetime) -> int | None:
    """End the training under way; its version, or None when there is none."""
    found: int | None = await connection.fetchval(ModelsSql.cancel, org_id, at)
    return found


async def champion(connection: Connection, org_id: UUID) -> Named | None:
    row = await connection.fetchrow(ModelsSql.champion, org_id)
    return None if row is None else Named(**dict(row))


async def arrays(connection: Connection, org_id: UUID, model_id: UUID) -> bytes | None:
    found: bytes | None = await connection.fetchval(ModelsSql.arrays, org_id, model_id)
    return found


async def retire(connection: Connection, org_id: UUID, model_id: UUID, *, at: datetime) -> None:
    await connection.execute(ModelsSql.retire, org_id, model_id, at)


async def previous(connection: Connection, org_id: UUID, champion: Named) -> Named | None:
    """Who was champion before this one, over the same shared model."""
    row = await connection.fetchrow(ModelsSql.previous, org_id, champion.base_version, champion.id)
    return None if row is None else Named(**dict(row))


async def reinstate(connection: Connection, org_id: UUID, model_id: UUID) -> None:
    await connection.execute(ModelsSql.reinstate, org_id, model_id)


async def page(connection: Connection, org_id: UUID, *, version: int | None = None, limit: int = 50) -> list[Model]:
    """Newest first."""
    return [Model(**dict(row)) for row in await connection.fetch(ModelsSql.page, org_id, version, limit)]


async def find(connection: Connection, org_id: UUID, version: int) -> Model:
    """Raises `Missing(model_missing)`."""
    found = await page(connection, org_id, version=version, limit=1)
    if not found:
        raise Missing(f"There is no model {version} here.", code="model_missing")
    return found[0]
