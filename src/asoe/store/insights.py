"""What became of each ticket as one row, and the counters of each day summed up from these rows; and how far the facts are counted.

A ticket's row is a function of the ticket, its facts, runs and clocks (`judge`), a day's counters are a function of its tickets' rows
(`summed`): so counting again changes nothing, in whatever order facts come. Both are also the recount that `compare` holds against them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from asoe.domain.report import MEASURES, Counts, Group
from asoe.store.db import Connection
from asoe.store.queries import NamedQueries

_CLASSES: Final = ("category", "intent", "resolution", "runbook", "channel", "client", "reasons", "moved")
_SUMMED: Final = (*MEASURES, "model_cost")
_KEPT: Final = ("day", "is_counted", *_CLASSES, "answered_seconds", "resolved_seconds", *_SUMMED)
_COLUMNS: Final = ("judged_at", "next_at", *_KEPT)
_FIXED: Final = {
    "{measures}": ", ".join(_SUMMED),
    "{sums}": ", ".join(
        [*(f"sum({name})::bigint as {name}" for name in MEASURES), "sum(model_cost)::numeric as model_cost"]
    ),
    "{columns}": ", ".join(_COLUMNS),
    "{assignments}": ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS),
    "{fresh}": ", ".join(f"f.{name}" for name in _KEPT),
    "{kept}": ", ".join(f"i.{name}" for name in _KEPT),
}
_OF_THESE: Final = "t.id = any ($4::uuid[])"
_OF_A_DAY: Final = "t.created_at >= $4 and t.created_at < $5"


class InsightsSql(NamedQueries):
    work: str
    watch: str
    hold: str
    read_on: str
    uncounted: str
    due: str
    mark: str
    place: str
    hold_tickets: str
    made_repeats: str
    judge: str
    write: str
    rest: str
    days_of: str
    clear: str
    sum_up: str
    summed: str
    counted: str
    counted_days: str
    slice: str
    slice_days: str
    clients: str
    topics: str
    moved_by_topic: str
    client_names: str
    all_days: str
    tickets_of_day: str
    compare_tickets: str
    compare_days: str


@dataclass(frozen=True, slots=True)
class DayCounts:
    """One day of a report."""

    day: date
    tickets: int
    resting: int
    handled: int
    contained: int
    verified: int
    replies: int
    worked_seconds: int
    model_cost: Decimal


@dataclass(frozen=True, slots=True)
class Difference:
    """Where what is kept is not what a recount gives: a ticket, or a counter."""

    day: date
    what: str
    kept: Mapping[str, Any] | None
    recounted: Mapping[str, Any] | None


async def work(connection: Connection, *, now: datetime, limit: int = 500) -> list[UUID]:
    """Organizations with something to count; needs a system transaction."""
    return [row["org_id"] for row in await connection.fetch(InsightsSql.work, now, limit)]


async def read_on(connection: Connection, org_id: UUID, *, now: datetime, limit: int) -> tuple[list[UUID], bool]:
    """The tickets to be looked at next, and whether there may be more; moves the cursor, which the transaction holds."""
    await connection.execute(InsightsSql.watch, org_id)
    held = await connection.fetchrow(InsightsSql.hold, org_id)
    row = await connection.fetchrow(InsightsSql.read_on, org_id, str(held["xid"]), held["fact_id"], limit)
    due = await connection.fetch(InsightsSql.due, org_id, now, limit)
    found = {*(row["tickets"] or ()), *(each["ticket_id"] for each in due)}
    return sorted(found), row["facts"] == limit or len(due) == limit


async def hold(connection: Connection, org_id: UUID) -> None:
    """Wait until nobody else counts for the organization, and keep it so until the transaction ends."""
    await connection.execute(InsightsSql.watch, org_id)
    await connection.fetchrow(InsightsSql.hold, org_id)


async def mark(connection: Connection, org_id: UUID, ticket_id: UUID, *, now: datetime) -> None:
    """Have a ticket looked at again though no fact says so."""
    await connection.execute(InsightsSql.mark, org_id, ticket_id, now)


async def count(
    connection: Connection, org_id: UUID, ticket_ids: Sequence[UUID], *, now: datetime, required: tuple[str, ...]
) -> None:
    """Judge these tickets anew and sum up the days they are or were of; the caller holds the cursor."""
    if not ticket_ids:
        return
    ids = list(ticket_ids)
    ids += [row["ticket_id"] for row in await connection.fetch(InsightsSql.made_repeats, org_id, ids)]
    await connection.execute(InsightsSql.place, org_id, ids)
    before = {row["day"] for row in await connection.fetch(InsightsSql.hold_tickets, org_id, ids)}
    await connection.execute(_judged(InsightsSql.write, _OF_THESE), org_id, now, list(required), ids)
    await connection.execute(InsightsSql.rest, org_id, ids, now)
    after = {row["day"] for row in await connection.fetch(InsightsSql.days_of, org_id, ids)}
    await sum_up(connection, org_id, sorted(before | after))


async def sum_up(connection: Connection, org_id: UUID, days: Sequence[date]) -> None:
    """Make the counters of days from the rows of their tickets."""
    await connection.execute(InsightsSql.clear, org_id, list(days))
    sql = _summed(InsightsSql.sum_up, "t.day = any ($2::date[])", by="t.day, ")
    await connection.execute(sql, org_id, list(days))


async def uncounted(connection: Connection, org_id: UUID, *, limit: int) -> int:
    """How many facts wait to be counted, at most `limit`."""
    return int(await connection.fetchval(InsightsSql.uncounted, org_id, limit))


async def counted(
    connection: Connection,
    org_id: UUID,
    *,
    since: date,
    until: date,
    dimensions: Iterable[str],
    value: str | None = None,
) -> list[Group]:
    """Sums of the counters from `since` to before `until`, by class; `value` chooses one class."""
    arguments: list[Any] = [org_id, since, until, list(dimensions)]
    sql = _chosen(InsightsSql.counted, value, arguments)
    return [_group(row) for row in await connection.fetch(sql, *arguments)]


async def counted_days(
    connection: Connection, org_id: UUID, *, since: date, until: date, dimension: str = "all", value: str | None = None
) -> list[DayCounts]:
    arguments: list[Any] = [org_id, since, until, dimension]
    sql = _chosen(InsightsSql.counted_days, value, arguments)
    return [DayCounts(**dict(row)) for row in await connection.fetch(sql, *arguments)]


async def slice_of(
    connection: Connection, org_id: UUID, *, since: date, until: date, filters: Mapping[str, Any]
) -> tuple[list[Group], list[DayCounts]]:
    """The same for any combination of classes, out of the tickets' rows: the time it takes grows with their number."""
    arguments: list[Any] = [org_id, since, until]
    which = _where(filters, arguments)
    groups = await connection.fetch(_summed(InsightsSql.slice, which), *arguments)
    days = await connection.fetch(InsightsSql.slice_days.replace("{which}", which), *arguments)
    return [_group(row) for row in groups], [DayCounts(**dict(row)) for row in days]


async def clients(
    connection: Connection, org_id: UUID, *, since: date, until: date, filters: Mapping[str, Any], limit: int
) -> list[Group]:
    """The clients with most tickets; the value of each group is the client's id."""
    arguments: list[Any] = [org_id, since, until, limit]
    sql = _fix(InsightsSql.clients.replace("{which}", _where(filters, arguments)))
    rows = await connection.fetch(sql, *arguments)
    return [_group({**dict(row), "dimension": "client", "value": str(row["client"])}) for row in rows]


async def by_topic(connection: Connection, org_id: UUID) -> dict[UUID, tuple[Counts, dict[str, Decimal]]]:
    """The figures of each topic's tickets, and what their runs moved, in each unit."""
    moved: dict[str, dict[str, Decimal]] = {}
    for row in await connection.fetch(InsightsSql.moved_by_topic, org_id):
        moved.setdefault(row["topic"], {})[row["unit"]] = row["amount"]
    groups = [_group(row) for row in await connection.fetch(_fix(InsightsSql.topics), org_id)]
    return {UUID(each.value): (each.counts, moved.get(each.value, {})) for each in groups}


async def client_names(connection: Connection, org_id: UUID, ids: Iterable[UUID]) -> dict[UUID, str]:
    rows = await connection.fetch(InsightsSql.client_names, org_id, list(ids))
    return {row["client"]: row["name"] or row["email"] or "" for row in rows}


async def all_days(connection: Connection, org_id: UUID) -> list[date]:
    return [row["day"] for row in await connection.fetch(InsightsSql.all_days, org_id)]


async def tickets_of_day(connection: Connection, org_id: UUID, day: date) -> list[UUID]:
    return [row["id"] for row in await connection.fetch(InsightsSql.tickets_of_day, org_id, *_bounds(day))]


async def compare(
    connection: Connection, org_id: UUID, day: date, *, now: datetime, required: tuple[str, ...]
) -> Difference | None:
    """The first difference between what is kept of a day and a recount; None when they are equal."""
    sql = _judged(InsightsSql.compare_tickets, _OF_A_DAY)
    row = await connection.fetchrow(sql, org_id, now, list(required), *_bounds(day))
    if row is not None:
        return _difference(day, f"ticket {row['ticket_id']}", row)
    row = await connection.fetchrow(_summed(InsightsSql.compare_days, "t.day = $2"), org_id, day)
    if row is None:
        return None
    return _difference(day, f"counter {row['dimension']} {row['value']!r}", row)


def _difference(day: date, what: str, row: Any) -> Difference:
    kept, recounted = row["kept"] or {}, row["recounted"] or {}
    names = [
        name for name in (*_KEPT, "tickets", "answered_times", "resolved_times") if name in kept or name in recounted
    ]
    wrong = [name for name in names if kept.get(name) != recounted.get(name)]
    return Difference(
        day,
        what,
        {name: kept.get(name) for name in wrong} if kept else None,
        {name: recounted.get(name) for name in wrong} if recounted else None,
    )


def _judged(sql: str, which: str) -> str:
    return _fix(sql.replace("{judged}", InsightsSql.judge).replace("{which}", which))


def _summed(sql: str, which: str, *, by: str = "") -> str:
    return _fix(sql.replace("{summed}", InsightsSql.summed).replace("{which}", which).replace("{by}", by))


def _fix(sql: str) -> str:
    for mark_, text in _FIXED.items():
        sql = sql.replace(mark_, text)
    return sql


def _chosen(sql: str, value: str | None, arguments: list[Any]) -> str:
    if value is not None:
        arguments.append(value)
    return _fix(sql.replace("{value}", "" if value is None else f"and value = ${len(arguments)}"))


def _where(filters: Mapping[str, Any], arguments: list[Any]) -> str:
    parts = ["t.day >= $2 and t.day < $3"]
    for name, value in filters.items():
        arguments.append(value)
        mine = f"${len(arguments)}"
        if name == "reason":
            parts.append(f"{mine} = any (t.reasons)")
        elif name in {"category", "intent", "resolution", "runbook", "channel", "client"}:
            parts.append(f"t.{name} = {mine}")
        else:
            raise ValueError(f"no slice is cut by {name!r}")
    return " and ".join(parts)


def _bounds(day: date) -> tuple[datetime, datetime]:
    start = datetime.combine(day, time(), UTC)
    return start, start + timedelta(days=1)


def _group(row: Any) -> Group:
    found = dict(row)
    counts = Counts(
        tickets=found["tickets"],
        moved=found.get("moved") or Decimal(0),
        model_cost=found["model_cost"],
        answered_times=tuple(int(n) for n in found.get("answered_times") or ()),
        resolved_times=tuple(int(n) for n in found.get("resolved_times") or ()),
        **{name: found[name] for name in MEASURES},
    )
    return Group(found["dimension"], found["value"], counts)
