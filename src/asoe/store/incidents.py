"""Incidents as rows: their tickets, the signs that lead to them, and what each client was told, once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from asoe.domain.errors import Missing
from asoe.domain.facts import Fact
from asoe.domain.incident import Incident
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries

_COLUMNS: Final = (
    "id, org_id, number, title, source, status, keys, place, known, fix, slots, run_id, trouble, opened_by, opened_at, since, "
    "confirmed_at, mended_at, ended_at"
)


class IncidentsSql(NamedQueries):
    work: str
    hold_all: str
    next_number: str
    insert: str
    find: str
    find_by_number: str
    find_for_update: str
    find_for_share: str
    going: str
    some: str
    list_newest: str
    change: str
    sign: str
    count_signs: str
    signed_by: str
    forget_signs: str
    candidates: str
    link: str
    notice: str
    told_at: str
    untold: str
    add_update: str
    updates: str
    pending: str
    settle: str
    settle_gone: str
    of_ticket: str
    tickets_of: str
    counts: str
    timeline: str


@dataclass(frozen=True, slots=True)
class Linked:
    """A ticket's part in an incident. `told_at`: when its client heard what is known; `outcome` None: not settled."""

    ticket_id: UUID
    number: int
    subject: str
    status: str
    client_key: str
    because: str
    linked_at: datetime
    outcome: str | None
    reason: str
    run_id: UUID | None
    settled_at: datetime | None
    told_at: datetime | None


@dataclass(frozen=True, slots=True)
class Part:
    """An incident as its ticket shows it."""

    id: UUID
    number: int
    title: str
    status: str
    outcome: str | None
    reason: str
    linked_at: datetime


@dataclass(frozen=True, slots=True)
class Counts:
    """Tickets and clients of an incident, what became of them, and how many clients were told."""

    tickets: int = 0
    clients: int = 0
    mended: int = 0
    broken: int = 0
    gone: int = 0
    waiting: int = 0
    told: int = 0


@dataclass(frozen=True, slots=True)
class Update:
    """What a person had said to every client of an incident."""

    number: int
    content: str
    author: UUID | None
    at: datetime


async def work(connection: Connection, *, limit: int = 500) -> list[UUID]:
    """Organizations with an incident that has not ended; needs a system transaction."""
    return [row["org_id"] for row in await connection.fetch(IncidentsSql.work, limit)]


async def hold_all(connection: Connection, org_id: UUID) -> None:
    """Nobody else opens an incident of the organization until the transaction ends."""
    await connection.execute(IncidentsSql.hold_all, str(org_id))


async def insert(connection: Connection, incident: Incident) -> Incident:
    """The stored row, with its number; the caller holds `hold_all`."""
    number = await connection.fetchval(IncidentsSql.next_number, incident.org_id)
    row = await connection.fetchrow(
        _with_columns(IncidentsSql.insert),
        incident.org_id,
        number,
        incident.title,
        incident.source,
        incident.status,
        list(incident.keys),
        dict(incident.place),
        incident.known,
        incident.fix,
        dict(incident.slots),
        incident.opened_by,
        incident.opened_at,
        incident.since,
        incident.confirmed_at,
    )
    return _incident(row)


async def find(connection: Connection, org_id: UUID, incident_id: UUID) -> Incident:
    """Raises `Missing(incident_missing)`."""
    return _there(await connection.fetchrow(_with_columns(IncidentsSql.find), org_id, incident_id), incident_id)


async def find_by_number(connection: Connection, org_id: UUID, number: int) -> Incident:
    return _there(await connection.fetchrow(_with_columns(IncidentsSql.find_by_number), org_id, number), number)


async def find_for_update(connection: Connection, org_id: UUID, incident_id: UUID) -> Incident:
    found = await connection.fetchrow(_with_columns(IncidentsSql.find_for_update), org_id, incident_id)
    return _there(found, incident_id)


async def find_for_share(connection: Connection, org_id: UUID, incident_id: UUID) -> Incident:
    """The incident, which does not change until the transaction ends."""
    return _there(
        await connection.fetchrow(_with_columns(IncidentsSql.find_for_share), org_id, incident_id), incident_id
    )


async def going(connection: Connection, org_id: UUID) -> list[Incident]:
    """Those that have not ended, oldest first."""
    return [_incident(row) for row in await connection.fetch(_with_columns(IncidentsSql.going), org_id)]


async def some(connection: Connection, org_id: UUID, incident_ids: Sequence[UUID]) -> list[Incident]:
    """These, oldest first."""
    sql = _with_columns(IncidentsSql.some)
    return [_incident(row) for row in await connection.fetch(sql, org_id, list(incident_ids))]


async def list_newest(
    connection: Connection,
    org_id: UUID,
    *,
    statuses: Sequence[str] | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Incident]:
    wanted = None if statuses is None else list(statuses)
    sql = _with_columns(IncidentsSql.list_newest)
    return [_incident(row) for row in await connection.fetch(sql, org_id, wanted, before, limit)]


async def change(connection: Connection, incident: Incident) -> Incident:
    """Write the whole value; the caller holds the row."""
    row = await connection.fetchrow(
        _with_columns(IncidentsSql.change),
        incident.org_id,
        incident.id,
        incident.title,
        incident.status,
        list(incident.keys),
        dict(incident.place),
        incident.known,
        incident.fix,
        dict(incident.slots),
        incident.run_id,
        incident.trouble,
        incident.since,
        incident.confirmed_at,
        incident.mended_at,
        incident.ended_at,
    )
    return _incident(row)


async def sign(
    connection: Connection,
    org_id: UUID,
    ticket_id: UUID,
    key: str,
    *,
    client_key: str,
    run_id: UUID | None,
    at: datetime,
) -> None:
    await connection.execute(IncidentsSql.sign, org_id, ticket_id, key, client_key, run_id, at)


async def count_signs(connection: Connection, org_id: UUID, key: str, *, since: datetime) -> int:
    """How many clients have given this sign."""
    return int(await connection.fetchval(IncidentsSql.count_signs, org_id, key, since))


async def signed_by(connection: Connection, org_id: UUID, keys: Sequence[str], *, since: datetime) -> list[str]:
    return [row["name"] for row in await connection.fetch(IncidentsSql.signed_by, org_id, list(keys), since)]


async def forget_signs(connection: Connection, org_id: UUID, *, before: datetime) -> None:
    await connection.execute(IncidentsSql.forget_signs, org_id, before)


async def candidates(
    connection: Connection,
    incident: Incident,
    *,
    keys: Sequence[str],
    intents: Sequence[str],
    since: datetime,
    limit: int,
) -> list[tuple[UUID, str]]:
    """(ticket, the key it has in common) of open tickets that belong to it and are not linked."""
    exact = [key for key in keys if not key.startswith("intent:")]
    prefixes = [f"{key}/%" for key in exact if key.startswith("runbook:") and "/" not in key]
    rows = await connection.fetch(
        IncidentsSql.candidates, incident.org_id, incident.id, exact, prefixes, since, list(intents), limit
    )
    return [(row["id"], row["because"]) for row in rows]


async def link(
    connection: Connection, incident: Incident, ticket_id: UUID, *, client_key: str, because: str, at: datetime
) -> bool:
    """False when the ticket is part of it, or waits for another one."""
    row = await connection.fetchval(IncidentsSql.link, incident.org_id, incident.id, ticket_id, client_key, because, at)
    return row is not None


async def notice(
    connection: Connection,
    incident: Incident,
    kind: str,
    *,
    client_key: str,
    ticket_id: UUID,
    is_said: bool,
    at: datetime,
) -> bool:
    """Whether this client is told now; False when it was before."""
    row = await connection.fetchval(
        IncidentsSql.notice, incident.org_id, incident.id, kind, client_key, ticket_id, is_said, at
    )
    return row is not None


async def told_at(connection: Connection, incident: Incident, kind: str, client_key: str) -> int | None:
    """The number of the ticket on which this client was told."""
    found: int | None = await connection.fetchval(IncidentsSql.told_at, incident.org_id, incident.id, kind, client_key)
    return found


async def untold(
    connection: Connection, incident: Incident, kind: str, *, since: datetime, limit: int
) -> list[tuple[UUID, str]]:
    """(ticket, client) of those who were part of it then and have not heard it; whoever comes later hears what is known now."""
    rows = await connection.fetch(IncidentsSql.untold, incident.org_id, incident.id, kind, since, limit)
    return [(row["ticket_id"], row["client_key"]) for row in rows]


async def add_update(connection: Connection, incident: Incident, content: str, *, author: UUID, at: datetime) -> int:
    number: int = await connection.fetchval(IncidentsSql.add_update, incident.org_id, incident.id, content, author, at)
    return number


async def updates(connection: Connection, org_id: UUID, incident_id: UUID) -> list[Update]:
    return [Update(**dict(row)) for row in await connection.fetch(IncidentsSql.updates, org_id, incident_id)]


async def pending(
    connection: Connection, incident: Incident, *, limit: int, only_unchecked: bool = False
) -> list[UUID]:
    """Tickets that are not settled; `only_unchecked`: and that no check after the mend has begun for."""
    rows = await connection.fetch(IncidentsSql.pending, incident.org_id, incident.id, only_unchecked, limit)
    return [row["ticket_id"] for row in rows]


async def settle(
    connection: Connection,
    org_id: UUID,
    incident_id: UUID,
    ticket_id: UUID,
    *,
    outcome: str,
    at: datetime,
    reason: str = "",
    run_id: UUID | None = None,
) -> bool:
    """False when it was settled before."""
    row = await connection.fetchval(IncidentsSql.settle, org_id, incident_id, ticket_id, outcome, reason, run_id, at)
    return row is not None


async def settle_gone(connection: Connection, incident: Incident, *, at: datetime) -> None:
    """Settle tickets that ended in another way."""
    await connection.execute(IncidentsSql.settle_gone, incident.org_id, incident.id, at)


async def of_ticket(connection: Connection, org_id: UUID, ticket_id: UUID) -> list[Part]:
    return [Part(**dict(row)) for row in await connection.fetch(IncidentsSql.of_ticket, org_id, ticket_id)]


async def tickets_of(
    connection: Connection, org_id: UUID, incident_id: UUID, *, after: UUID | None = None, limit: int = 100
) -> list[Linked]:
    rows = await connection.fetch(IncidentsSql.tickets_of, org_id, incident_id, after, limit)
    return [Linked(**dict(row)) for row in rows]


async def counts(connection: Connection, org_id: UUID, incident_ids: Sequence[UUID]) -> dict[UUID, Counts]:
    rows = await connection.fetch(IncidentsSql.counts, org_id, list(incident_ids))
    return {row["id"]: Counts(**{name: row[name] for name in Counts.__slots__}) for row in rows}


async def timeline(connection: Connection, org_id: UUID, incident_id: UUID, *, limit: int = 200) -> list[Fact]:
    """What happened to the incident itself, oldest first."""
    rows = await connection.fetch(IncidentsSql.timeline, org_id, str(incident_id), limit)
    return [Fact(**dict(row)) for row in rows]


def _with_columns(sql: str) -> str:
    return sql.replace("{columns}", _COLUMNS)


def _there(row: Any, wanted: object) -> Incident:
    if row is None:
        raise Missing(f"There is no incident {wanted} here, or it is not yours to see.", code="incident_missing")
    return _incident(row)


def _incident(row: Any) -> Incident:
    return Incident(**{**dict(row), "keys": tuple(row["keys"])})
