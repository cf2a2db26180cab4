"""The log of facts as people read it: newest first, by kind, actor and ticket, a bounded look at a time; and its sealed blocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from asoe.domain.audit import Block, Told
from asoe.domain.facts import Fact
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries

LOOK: Final = 20_000
_FROM_THE_END: Final = 2**63 - 1


class AuditSql(NamedQueries):
    page: str
    looked_until: str
    seal: str
    set_mark: str
    blocks: str
    newest_block: str
    told: str
    salts: str
    erased: str
    inserted: str
    standing: str
    hold_seal: str
    destroy_salt: str


@dataclass(frozen=True, slots=True)
class FactPage:
    """One page; `next_before` is None when nothing is left behind it."""

    facts: list[Fact]
    next_before: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """The newest block, and how many facts are not sealed yet (counted up to 10,000) and since when the oldest waits."""

    block: Block | None
    unsealed: int
    oldest_unsealed: datetime | None


async def page(
    connection: Connection,
    org_id: UUID,
    *,
    before: int | None = None,
    kind: str | None = None,
    actor: UUID | None = None,
    ticket_id: UUID | None = None,
    limit: int = 50,
) -> FactPage:
    """Facts with an id below `before`. A page may be short, even empty, and still have a next one."""
    start = before or _FROM_THE_END
    rows = await connection.fetch(AuditSql.page, org_id, start, kind, actor, ticket_id, limit + 1, LOOK)
    items = [Fact(**dict(row)) for row in rows[:limit]]
    if len(rows) > limit:
        return FactPage(items, items[-1].id)
    looked = await connection.fetchrow(AuditSql.looked_until, org_id, start, LOOK)
    return FactPage(items, looked["oldest"] if looked["looked"] == LOOK else None)


async def seal(connection: Connection, *, limit: int) -> int | None:
    """Seal the engine's next facts; the number of the new block, or None when there was nothing to seal."""
    row = await connection.fetchrow(AuditSql.seal, limit)
    return None if row is None else int(row["number"])


async def set_mark(connection: Connection, org_id: UUID, number: int, mark: bytes) -> bool:
    """Mark a block that has no mark; False when it has one."""
    return str(await connection.execute(AuditSql.set_mark, org_id, number, mark)) == "UPDATE 1"


async def blocks(connection: Connection, org_id: UUID, *, after: int = 0, limit: int = 1) -> list[Block]:
    """Blocks behind number `after`, oldest first."""
    return [_block(row) for row in await connection.fetch(AuditSql.blocks, org_id, after, limit)]


async def told(connection: Connection, org_id: UUID, fact_ids: Sequence[int]) -> dict[int, Told]:
    """Facts as they are digested, those of them that are there."""
    rows = await connection.fetch(AuditSql.told, org_id, list(fact_ids))
    return {row["id"]: Told(row["id"], row["kind"], row["at"], row["told"]) for row in rows}


async def salts(connection: Connection, org_id: UUID, contact_ids: Iterable[UUID]) -> dict[UUID, bytes]:
    rows = await connection.fetch(AuditSql.salts, org_id, list(contact_ids))
    return {row["contact_id"]: row["salt"] for row in rows}


async def erased(connection: Connection, org_id: UUID) -> dict[UUID, int]:
    """Clients that a fact says were erased, with the fact."""
    return {UUID(row["contact_id"]): row["id"] for row in await connection.fetch(AuditSql.erased, org_id)}


async def inserted(connection: Connection, org_id: UUID) -> tuple[int, int] | None:
    """The first block whose place holds a fact that is in no block, and the fact."""
    row = await connection.fetchrow(AuditSql.inserted, org_id)
    return None if row is None else (row["number"], row["id"])


async def standing(connection: Connection, org_id: UUID) -> Standing:
    row = await connection.fetchrow(AuditSql.standing, org_id)
    newest = await connection.fetchrow(AuditSql.newest_block, org_id)
    return Standing(None if newest is None else _block(newest), row["unsealed"], row["oldest"])


async def destroy_salt(connection: Connection, org_id: UUID, contact_id: UUID) -> None:
    """What was sealed of this client cannot be guessed any more. Call `hold_seal` before."""
    await connection.execute(AuditSql.destroy_salt, org_id, contact_id)


async def hold_seal(connection: Connection, org_id: UUID) -> None:
    """No block of the organization is sealed until this transaction ends."""
    await connection.execute(AuditSql.hold_seal, org_id)


def _block(row: Any) -> Block:
    return Block(**dict(row))
