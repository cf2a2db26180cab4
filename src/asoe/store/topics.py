"""Topics and which tickets are theirs, as rows. Which texts make a topic, and which topic goes on, is the desk's to say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from asoe.domain.topic import Topic
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class TopicsSql(NamedQueries):
    claim: str
    release: str
    search: str
    leave_out: str
    unread: str
    texts: str
    add: str
    vectors: str
    drop_surplus: str
    known: str
    begin: str
    go_on: str
    end: str
    place: str
    listed: str
    weeks: str
    clients: str
    examples: str
    forget: str


@dataclass(frozen=True, slots=True)
class Search:
    """When topics were found last, in how many tickets; `begun_at` while somebody is at it."""

    begun_at: datetime | None = None
    ended_at: datetime | None = None
    tickets: int = 0


@dataclass(frozen=True, slots=True)
class Text:
    """What a ticket says, at most 4,000 characters of its body; `client` counts once whatever the number of its tickets."""

    id: UUID
    subject: str
    body: str
    client: str


@dataclass(frozen=True, slots=True)
class Vector:
    """A ticket with its vector, in halves, and the topic it was of."""

    ticket_id: UUID
    topic_id: UUID | None
    embedding: bytes


@dataclass(frozen=True, slots=True)
class Known:
    """A topic that a group may be."""

    id: UUID
    number: int
    name: str
    center: bytes
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Example:
    id: UUID
    number: int
    title: str
    at: datetime


async def claim(connection: Connection, org_id: UUID, *, now: datetime, unless_since: datetime) -> bool:
    """Begin a search, unless somebody is at it or one ended after `unless_since`."""
    return bool(await connection.fetchval(TopicsSql.claim, org_id, now, unless_since))


async def release(
    connection: Connection,
    org_id: UUID,
    *,
    begun_at: datetime,
    ended_at: datetime | None = None,
    tickets: int | None = None,
) -> bool:
    """End the search begun then; without `ended_at` it came to nothing. False: somebody else has taken it over."""
    return bool(await connection.fetchval(TopicsSql.release, org_id, begun_at, ended_at, tickets))


async def search(connection: Connection, org_id: UUID) -> Search:
    row = await connection.fetchrow(TopicsSql.search, org_id)
    return Search() if row is None else Search(**dict(row))


async def leave_out(connection: Connection, org_id: UUID, *, before: datetime) -> None:
    """Forget the vectors of tickets that came before, or are not to be counted any more."""
    await connection.execute(TopicsSql.leave_out, org_id, before)


async def unread(connection: Connection, org_id: UUID, *, since: datetime, most: int, limit: int) -> list[Text]:
    """Tickets without a vector among the `most` newest, at most `limit`."""
    rows = await connection.fetch(TopicsSql.unread, org_id, since, most, limit)
    return await texts(connection, org_id, [row["id"] for row in rows])


async def texts(connection: Connection, org_id: UUID, ticket_ids: Sequence[UUID]) -> list[Text]:
    """Subject and body, else what a caller put into the metadata; in no order."""
    rows = await connection.fetch(TopicsSql.texts, org_id, list(ticket_ids))
    return [
        Text(row["id"], row["subject"], row["body"], row["client"])
        if row["subject"] or row["body"]
        else Text(row["id"], row["told_subject"] or "", row["told_body"] or "", row["client"])
        for row in rows
    ]


async def add(connection: Connection, org_id: UUID, vectors: Mapping[UUID, bytes]) -> None:
    await connection.execute(TopicsSql.add, org_id, list(vectors), list(vectors.values()))


async def vectors(connection: Connection, org_id: UUID, *, most: int) -> list[Vector]:
    """Newest first; those beyond `most` are forgotten."""
    found = [Vector(**dict(row)) for row in await connection.fetch(TopicsSql.vectors, org_id, most)]
    if len(found) == most:
        await connection.execute(TopicsSql.drop_surplus, org_id, [each.ticket_id for each in found])
    return found


async def known(connection: Connection, org_id: UUID, *, ended_since: datetime) -> list[Known]:
    """Topics that did not go into another, those too that ended since."""
    return [Known(**dict(row)) for row in await connection.fetch(TopicsSql.known, org_id, ended_since)]


async def begin(
    connection: Connection, org_id: UUID, *, name: str, center: bytes, split_from: UUID | None, at: datetime
) -> UUID:
    """A new topic under the next number; the caller holds the search."""
    found: UUID = await connection.fetchval(TopicsSql.begin, org_id, name, center, split_from, at)
    return found


async def go_on(connection: Connection, org_id: UUID, topic_id: UUID, *, center: bytes) -> None:
    await connection.execute(TopicsSql.go_on, org_id, topic_id, center)


async def end(connection: Connection, org_id: UUID, topic_id: UUID, *, at: datetime, merged_into: UUID | None) -> None:
    await connection.execute(TopicsSql.end, org_id, topic_id, at, merged_into)


async def place(connection: Connection, org_id: UUID, places: Iterable[tuple[UUID, UUID | None, float | None]]) -> None:
    """Say which topic each ticket is of, and how like the topic's center it is."""
    rows = list(places)
    columns = ([row[index] for row in rows] for index in range(3))
    await connection.execute(TopicsSql.place, org_id, *columns)


async def listed(connection: Connection, org_id: UUID, *, ended_since: datetime) -> list[Topic]:
    return [Topic(**dict(row)) for row in await connection.fetch(TopicsSql.listed, org_id, ended_since)]


async def weeks(connection: Connection, org_id: UUID, *, until: datetime) -> dict[UUID | None, dict[int, int]]:
    """Tickets of each topic (None: of none) by weeks before `until`, 0 the last one."""
    found: dict[UUID | None, dict[int, int]] = {}
    for row in await connection.fetch(TopicsSql.weeks, org_id, until):
        found.setdefault(row["topic_id"], {})[row["week"]] = row["tickets"]
    return found


async def clients(
    connection: Connection, org_id: UUID, *, until: datetime, period: timedelta
) -> dict[UUID | None, tuple[int, int]]:
    """Clients of each topic (None: of none) in the last period and in the one before it."""
    rows = await connection.fetch(TopicsSql.clients, org_id, until, period)
    return {row["topic_id"]: (row["now"], row["before"]) for row in rows}


async def examples(connection: Connection, org_id: UUID, *, each: int) -> dict[UUID, list[Example]]:
    """The tickets nearest to each topic's center."""
    found: dict[UUID, list[Example]] = {}
    for row in await connection.fetch(TopicsSql.examples, org_id, each):
        found.setdefault(row["topic_id"], []).append(Example(row["id"], row["number"], row["title"], row["at"]))
    return found


async def forget(connection: Connection, org_id: UUID, ticket_ids: Sequence[UUID]) -> None:
    """Forget the vectors of tickets whose words are gone."""
    await connection.execute(TopicsSql.forget, org_id, list(ticket_ids))
