"""Puts jobs into the queue inside the caller's transaction and says what lies in it; `worker.py` takes them out.

One plain insert into pgqueuer's table: half the cost of its own `enqueue`, which also writes a log row for every job.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias
from uuid import UUID

from asoe import tracing

Connection: TypeAlias = Any
"""An asyncpg connection; asyncpg ships no types."""

ID_KEYS: Final = ("org_id", "ticket_id", "session_id", "article_id", "run_id", "export_id", "delivery_id")
"""What a payload may hold; migrations 117 and 134 refuse every other key."""

_AT_ONCE: Final = timedelta(0)

_INSERT: Final = """
insert into queue.pgqueuer (priority, entrypoint, payload, execute_after, dedupe_key, headers, status)
values ($1, $2, $3, now() + $4, $5, $6::text::jsonb, 'queued')
"""

_INSERT_ONCE: Final = f"""{_INSERT}
on conflict (dedupe_key) where status in ('queued', 'picked') and dedupe_key is not null do nothing
"""

_DEPTH: Final = """
select
  count(*) filter (where status = 'queued' and execute_after <= now()) as queued,
  count(*) filter (where status = 'queued' and execute_after > now()) as delayed,
  count(*) filter (where status = 'picked') as running,
  count(*) filter (where status = 'failed') as failed,
  coalesce(max(extract(epoch from now() - execute_after))
    filter (where status = 'queued' and execute_after <= now()), 0)::bigint as oldest_seconds
from queue.pgqueuer
"""

_FAILED: Final = """
select j.id, j.entrypoint, j.payload, j.attempts, j.updated, l.traceback::text as traceback
from queue.pgqueuer j
left join lateral (
  select traceback from queue.pgqueuer_log where job_id = j.id order by created desc, id desc limit 1
) l on true
where j.status = 'failed'
order by j.updated desc
limit $1
"""

_REQUEUE: Final = """
update queue.pgqueuer set status = 'queued', execute_after = now(), updated = now(), attempts = 0
where id = any ($1::bigint[]) and status = 'failed'
"""


class Queue:
    """The enqueuing side. It holds nothing: the connection is the caller's, with its transaction open."""

    __slots__ = ()

    async def enqueue(
        self,
        connection: Connection,
        job: str,
        ids: Mapping[str, UUID | str],
        *,
        delay: timedelta | None = None,
        dedupe_key: str | None = None,
        priority: int = 0,
    ) -> None:
        """Add a job; it exists when the caller's transaction commits. One round trip. It takes along which trace it is part of.

        `ids` under `ID_KEYS` only. `dedupe_key` (a name and ids, "export:<uuid>") leaves the job out while one with that
        key waits *or runs*, so never give one to a job that must see what was written after it started. Higher
        `priority` first. Raises ValueError for a payload that is not ids.
        """
        carried = tracing.carried()
        await connection.execute(
            _INSERT if dedupe_key is None else _INSERT_ONCE,
            priority,
            job,
            encode_ids(ids),
            delay or _AT_ONCE,
            dedupe_key,
            None if carried is None else json.dumps(carried),
        )

    async def advance(
        self, connection: Connection, org_id: UUID, ticket_id: UUID, *, delay: timedelta | None = None
    ) -> None:
        """Wake the journey of a ticket."""
        await self.enqueue(connection, "advance", {"org_id": org_id, "ticket_id": ticket_id}, delay=delay)


@dataclass(frozen=True, slots=True)
class FailedJob:
    """A job that is not tried any more. `error` is the kind of the error and `where` its place in the code: never its words."""

    id: int
    job: str
    ids: dict[str, UUID]
    tries: int
    failed_at: datetime
    error: str
    where: str


async def depth(connection: Connection) -> dict[str, int]:
    """Jobs by state (queued, delayed, running, failed) and `oldest_seconds`, how long the first of the queued ones waits."""
    return dict(await connection.fetchrow(_DEPTH))


async def failed(connection: Connection, *, limit: int = 50) -> list[FailedJob]:
    """The dead letters, newest first."""
    return [_to_failed(row) for row in await connection.fetch(_FAILED, limit)]


async def requeue(connection: Connection, job_ids: list[int]) -> int:
    """Give failed jobs all their tries again; returns how many were failed."""
    status: str = await connection.execute(_REQUEUE, job_ids)
    return int(status.rpartition(" ")[2])


def encode_ids(ids: Mapping[str, UUID | str]) -> bytes:
    """The one spelling the database accepts: JSON without spaces, lower-case UUIDs."""
    parts = []
    for key, value in ids.items():
        if key not in ID_KEYS:
            raise ValueError(f"a job carries ids only: {key!r} is none of {', '.join(ID_KEYS)}")
        parts.append(f'"{key}":"{value if isinstance(value, UUID) else UUID(value)}"')
    return f"{{{','.join(parts)}}}".encode()


def decode_ids(payload: bytes | None) -> dict[str, UUID]:
    """The reverse of `encode_ids`."""
    return {key: UUID(value) for key, value in json.loads(payload or b"{}").items()}


def _to_failed(row: Mapping[str, Any]) -> FailedJob:
    record = json.loads(row["traceback"] or "{}")
    return FailedJob(
        id=row["id"],
        job=row["entrypoint"],
        ids=decode_ids(row["payload"]),
        tries=(record.get("additional_context") or {}).get("tries", row["attempts"]),
        failed_at=row["updated"],
        error=record.get("exception_type", ""),
        where=record.get("traceback", ""),
    )
