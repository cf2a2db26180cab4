"""Deliveries: one row per fact, channel and recipient, claimed before it is sent and settled afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from asoe.domain.notification import Delivery
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class DeliveriesSql(NamedQueries):
    due: str
    add: str
    traces: str
    hold_digest: str
    claim: str
    claim_digest: str
    settle: str
    list_newest: str
    replay: str
    ticket: str


@dataclass(frozen=True, slots=True)
class TicketLine:
    """What of a ticket a message to staff may say."""

    number: int
    subject: str
    category: str
    severity: str


async def due(connection: Connection, *, limit: int = 500) -> list[tuple[UUID, UUID]]:
    """(organization, delivery) that should be tried now; asoe_system."""
    return [(row["org_id"], row["delivery_id"]) for row in await connection.fetch(DeliveriesSql.due, limit)]


async def add(
    connection: Connection, org_id: UUID, wanted: Sequence[Delivery], *, at: datetime
) -> list[tuple[UUID, datetime]]:
    """Write those that are not there yet; returns id and due time of those that have to be sent."""
    rows: list[dict[str, Any]] = [
        {
            "id": each.id,
            "fact_id": each.fact_id,
            "kind": each.kind,
            "happened_at": each.happened_at,
            "ticket_id": each.ticket_id,
            "channel": each.channel,
            "recipient": each.recipient,
            "data": dict(each.data),
            "due_at": each.due_at,
            "digest_at": each.digest_at,
        }
        for each in wanted
    ]
    return _pending(await connection.fetch(DeliveriesSql.add, org_id, rows, at)) if rows else []


async def traces(connection: Connection, org_id: UUID, ids: Sequence[UUID]) -> dict[UUID, str]:
    """The traceparent of what each of these tells of, where it is known."""
    return {row["id"]: row["trace"] for row in await connection.fetch(DeliveriesSql.traces, org_id, list(ids))}


async def hold_digest(connection: Connection, org_id: UUID, delivery_id: UUID) -> None:
    """Of the mails that were collected together only one worker takes any, until the transaction ends."""
    await connection.execute(DeliveriesSql.hold_digest, org_id, delivery_id)


async def claim(
    connection: Connection, org_id: UUID, delivery_id: UUID, *, at: datetime, until: datetime
) -> Delivery | None:
    """Take a delivery for one try; None when it is not due, settled, or another worker's."""
    row = await connection.fetchrow(DeliveriesSql.claim, org_id, delivery_id, at, until)
    return None if row is None else Delivery(**dict(row))


async def claim_digest(
    connection: Connection, org_id: UUID, of: Delivery, *, at: datetime, until: datetime
) -> list[Delivery]:
    """Take what else was collected with this one, oldest first; those of them that are not settled or another worker's."""
    rows = await connection.fetch(DeliveriesSql.claim_digest, org_id, of.recipient, of.digest_at, of.id, at, until)
    return sorted((Delivery(**dict(row)) for row in rows), key=lambda each: (each.happened_at, each.fact_id))


async def settle(
    connection: Connection,
    org_id: UUID,
    delivery: Delivery,
    *,
    status: str,
    at: datetime,
    trouble: str | None = None,
    due_at: datetime | None = None,
) -> bool:
    """Write what became of a try; False when it was not this worker's any more."""
    done: str = await connection.execute(
        DeliveriesSql.settle, org_id, delivery.id, delivery.attempts, status, trouble, due_at, at
    )
    return done.endswith(" 1")


async def list_newest(
    connection: Connection,
    org_id: UUID,
    *,
    status: str | None = None,
    channel: str | None = None,
    recipient: str | None = None,
    before: datetime | None = None,
    limit: int = 100,
) -> list[Delivery]:
    rows = await connection.fetch(DeliveriesSql.list_newest, org_id, status, channel, recipient, before, limit)
    return [Delivery(**dict(row)) for row in rows]


async def replay(
    connection: Connection, org_id: UUID, delivery_id: UUID | None, *, at: datetime
) -> list[tuple[UUID, datetime]]:
    """Have one, or all dead ones, sent again under the same id."""
    return _pending(await connection.fetch(DeliveriesSql.replay, org_id, delivery_id, at))


async def ticket(connection: Connection, org_id: UUID, ticket_id: UUID) -> TicketLine | None:
    row = await connection.fetchrow(DeliveriesSql.ticket, org_id, ticket_id)
    return None if row is None else TicketLine(**dict(row))


def _pending(rows: Sequence[Any]) -> list[tuple[UUID, datetime]]:
    return [(row["id"], row["due_at"]) for row in rows if row["status"] == "pending"]
