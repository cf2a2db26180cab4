"""What is to be known of an installation as a whole: by its operator, over the owner's connection, never by a tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import asyncpg

from asoe.domain.errors import Unavailable
from asoe.store.db import Connection, Database
from asoe.store.queries import NamedQueries
from asoe.store.roles import owner_of_schema


class InstallationSql(NamedQueries):
    all_organizations: str
    totals: str
    clock: str
    server: str
    roles: str
    unprotected: str
    partitions: str
    default_rows: str
    has_worker: str
    queue: str
    tally: str
    is_empty: str
    indexing: str
    mailboxes: str
    dead_deliveries: str


async def totals(database: Database) -> list[tuple[str, str, float]]:
    """Sums over all organizations, by name and label; none is named."""
    async with database.system_transaction("totals") as connection:
        return [(row["name"], row["label"], row["total"]) for row in await connection.fetch(InstallationSql.totals)]


@dataclass(frozen=True, slots=True)
class MailboxRow:
    """One organization's mailbox; `config` is JSON."""

    slug: str
    org_id: UUID
    address: str
    config: str
    sealed: bytes | None = field(repr=False)
    allow_private: bool
    fetch_trouble: str | None


@dataclass(frozen=True, slots=True)
class OrganizationRow:
    """One organization in the operator's list; `members` are active people."""

    slug: str
    name: str
    org_id: UUID
    created_at: datetime
    suspended_at: datetime | None
    members: int


@dataclass(frozen=True, slots=True)
class QueueState:
    """Jobs by state; `abandoned` have a worker without heartbeats, `oldest_seconds` is the wait of the oldest due one."""

    queued: int
    running: int
    failed: int
    abandoned: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class ServerState:
    """The PostgreSQL server: its version, pgvector's (None: not there), and the size of our database."""

    version: str
    number: int
    vector: str | None
    bytes: int


@dataclass(frozen=True, slots=True)
class RoleState:
    """A role's attributes in the catalog."""

    name: str
    rolsuper: bool
    rolbypassrls: bool
    rolcanlogin: bool


@dataclass(frozen=True, slots=True)
class Indexing:
    """How many published articles of an organization can be found by search."""

    slug: str
    indexed: int
    total: int


@asynccontextmanager
async def as_owner(owner_url: str) -> AsyncIterator[Connection]:
    """A connection acting as the role that owns what ASOE made, which row-level security does not bind."""
    try:
        connection = await asyncpg.connect(owner_url, timeout=10)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise Unavailable(
            f"The database at ASOE_DATABASE_URL does not let us in ({error}).",
            code="database_unreachable",
            retry_after=5,
        ) from error
    try:
        await become_owner(connection)
        yield connection
    finally:
        await connection.close()


async def become_owner(connection: Connection) -> str:
    """Act as the owner of ASOE's schema (asoe_owner; on a platform perhaps another role), and return its name."""
    owner = await owner_of_schema(connection)
    await connection.execute(f"set role {await connection.fetchval('select quote_ident($1)', owner)}")
    return owner


async def all_organizations(owner_url: str) -> list[OrganizationRow]:
    async with as_owner(owner_url) as connection:
        return [OrganizationRow(**row) for row in await connection.fetch(InstallationSql.all_organizations)]


async def clock(connection: Connection) -> datetime:
    now: datetime = await connection.fetchval(InstallationSql.clock)
    return now


async def server(connection: Connection) -> ServerState:
    return ServerState(**await connection.fetchrow(InstallationSql.server))


async def roles(connection: Connection) -> list[RoleState]:
    return [RoleState(**row) for row in await connection.fetch(InstallationSql.roles)]


async def unprotected_tables(connection: Connection) -> list[str]:
    """Tables of ours that row-level security does not protect: there must be none."""
    return [row["name"] for row in await connection.fetch(InstallationSql.unprotected)]


async def partitions_until(connection: Connection) -> dict[str, str | None]:
    """The last month (YYYY_MM) each partitioned table is prepared for."""
    return {row["name"]: row["last_month"] for row in await connection.fetch(InstallationSql.partitions)}


async def has_default_rows(connection: Connection) -> bool:
    return bool(await connection.fetchval(InstallationSql.default_rows))


async def queue(connection: Connection) -> QueueState:
    return QueueState(**await connection.fetchrow(InstallationSql.queue))


async def has_worker(connection: Connection) -> bool:
    """Whether some worker was at work within the last 20 seconds."""
    return bool(await connection.fetchval(InstallationSql.has_worker))


async def tally(connection: Connection, org_id: UUID) -> tuple[int, int]:
    """Tickets as the counters say, and as a recount finds them (owner or engine connection)."""
    row = await connection.fetchrow(InstallationSql.tally, org_id)
    return row["counted"], row["found"]


async def is_empty(connection: Connection) -> bool:
    """Whether nobody and nothing is there yet (owner connection)."""
    return bool(await connection.fetchval(InstallationSql.is_empty))


async def indexing(connection: Connection) -> list[Indexing]:
    """Organizations with published articles that search cannot find yet (owner connection)."""
    return [Indexing(**row) for row in await connection.fetch(InstallationSql.indexing)]


async def mailboxes(connection: Connection) -> list[MailboxRow]:
    """Of the organizations that are not suspended (owner connection)."""
    return [MailboxRow(**row) for row in await connection.fetch(InstallationSql.mailboxes)]


async def dead_deliveries(connection: Connection) -> list[tuple[str, int]]:
    """How many deliveries were given up in the last week, by organization (owner connection)."""
    return [(row["slug"], row["count"]) for row in await connection.fetch(InstallationSql.dead_deliveries)]
