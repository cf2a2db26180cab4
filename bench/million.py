"""Lists, reads, searches and counts with 10,000 and with 1,000,000 tickets: `python -m bench.million [--tickets N]`.

Both databases are in one server and each operation is measured in turns on both, through asoe.store as asoe_app under
row-level security. The figure is the ratio of the p99s; the goal is at most 2.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg

from asoe.desk import report
from asoe.desk.gap import MOST_TICKETS as MOST
from asoe.domain.escalation import REQUIRED_DOSSIER_FIELDS
from asoe.domain.organization import Principal
from asoe.domain.recommendation import STEPS
from asoe.domain.report import DIMENSIONS, Slice
from asoe.store import gaps, insights, recommendations, sessions, tickets
from asoe.store.db import Database, open_database
from asoe.store.embedded import close_embedded, open_embedded
from asoe.store.migrate import migrate
from asoe.store.tickets import TicketFilter
from bench.million_rows import ABSENT, COMMON, FREQUENT, MEDIUM, RARE, is_empty, load

SMALL: Final = 10_000
PAGE: Final = 50
GOAL: Final = 2.0
_COUNTED_AT_ONCE: Final = 5000
_TOUCHED: Final = """
    select coalesce(sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)), 0)::bigint from pg_stat_xact_all_tables
"""


@dataclass(frozen=True, slots=True)
class Filled:
    """One filled database with what an operation draws from."""

    database: Database
    agent: Principal
    client: Principal
    ids: tuple[UUID, ...]
    members: tuple[UUID, ...]
    contacts: tuple[UUID, ...]
    newest_number: int
    dice: random.Random


Operation = Callable[[Any, Filled], Awaitable[Any]]


def listing(*, deep: bool = False, **wanted: Any) -> Operation:
    """A page of tickets; `deep`: from a cursor somewhere in two years of tickets."""

    async def operation(connection: Any, drawn: Filled) -> Any:
        filters = {name: value(drawn) if callable(value) else value for name, value in wanted.items()}
        cursor = drawn.dice.choice(_cursors[id(drawn.database)]) if deep else None
        page = await tickets.page(connection, drawn.agent.org_id, TicketFilter(**filters), cursor=cursor, limit=PAGE)
        return len(page.items)

    return operation


async def _open(connection: Any, filled: Filled) -> Any:
    return len(await tickets.open_by_severity(connection, filled.agent.org_id, limit=PAGE))


async def _read(connection: Any, filled: Filled) -> Any:
    ticket_id = filled.dice.choice(filled.ids)
    await tickets.find(connection, filled.agent.org_id, ticket_id)
    await sessions.of_ticket(connection, filled.agent.org_id, ticket_id)
    return len(await sessions.messages_of_ticket(connection, filled.agent.org_id, ticket_id))


async def _read_by_number(connection: Any, filled: Filled) -> Any:
    number = filled.dice.randint(1, filled.newest_number)
    await tickets.find_by_number(connection, filled.agent.org_id, number)
    return 1


async def _alike(connection: Any, filled: Filled) -> Any:
    found = await tickets.find(connection, filled.agent.org_id, filled.dice.choice(filled.ids))
    return len(await tickets.ended_alike(connection, found))


async def _stats(connection: Any, filled: Filled) -> Any:
    return len(await tickets.tallies(connection, filled.agent.org_id))


def reporting(days: int) -> Operation:
    """A whole report over the last days, with its groups and its trend, as `asoe.desk.report` reads it."""

    async def operation(connection: Any, filled: Filled) -> Any:
        until = datetime.now(UTC).date() + timedelta(days=1)
        since = until - timedelta(days=days)
        org_id = filled.agent.org_id
        wanted = ("all", "unit", "reason", *DIMENSIONS)
        groups = await insights.counted(connection, org_id, since=since, until=until, dimensions=wanted)
        await insights.counted_days(connection, org_id, since=since, until=until)
        await insights.uncounted(connection, org_id, limit=1000)
        return sum(each.counts.tickets for each in groups if each.dimension == "all")

    return operation


def slicing(days: int, *, with_clients: bool = False) -> Operation:
    """A report of one class, made from the tickets' rows, as `asoe.desk.report` reads it; or all of it by client."""

    async def operation(connection: Any, filled: Filled) -> Any:
        until = datetime.now(UTC).date() + timedelta(days=1)
        filters = {} if with_clients else {"category": filled.dice.choice(["billing", "technical", "account"])}
        of = Slice(until - timedelta(days=days), until, filters)
        found = await report.read_within(
            connection, filled.agent.org_id, of, now=datetime.now(UTC), with_clients=with_clients
        )
        return found.total.tickets

    return operation


async def _advising(connection: Any, filled: Filled) -> Any:
    """What recommendations are made from, as `asoe.desk.noticing` reads it from tickets and their facts."""
    since, org_id = datetime.now(UTC) - timedelta(days=30), filled.agent.org_id
    settled = await recommendations.settled_by_people(connection, org_id, since=since, steps=tuple(STEPS), limit=MOST)
    unanswered = await gaps.unanswered(connection, org_id, since=since, limit=MOST)
    await recommendations.helped_by_answers(connection, org_id, since=since)
    return len(settled) + len(unanswered) + len(await recommendations.uneasy(connection, org_id, since=since))


def _category(filled: Filled) -> tuple[str, ...]:
    return (filled.dice.choice(["billing", "technical", "account", "performance", "general"]),)


OPERATIONS: Final[dict[str, Operation]] = {
    "list: first page": listing(),
    "list: deep page": listing(deep=True),
    "list: status open": listing(status=("open",)),
    "list: status closed, deep": listing(status=("closed",), deep=True),
    "list: status escalated": listing(status=("escalated",)),
    "list: three statuses": listing(status=("open", "triaging", "in_progress")),
    "list: category": listing(category=_category),
    "list: category, deep": listing(category=_category, deep=True),
    "list: severity critical": listing(severity=("critical",)),
    "list: status and category": listing(status=("escalated",), category=_category),
    "list: assignee": listing(assignee=lambda filled: filled.dice.choice(filled.members)),
    "list: assignee and open": listing(
        assignee=lambda filled: filled.dice.choice(filled.members), status=("open", "in_progress", "escalated")
    ),
    "list: nobody's, open": listing(is_unassigned=True, status=("open",)),
    "list: team, status": listing(team="second line", status=("escalated",)),
    "list: contact": listing(contact_id=lambda filled: filled.dice.choice(filled.contacts)),
    "list: tag, rare": listing(tag="vip"),
    "list: tag, absent": listing(tag="never"),
    "list: tag, usual": listing(tag="follow-up"),
    "list: older than": listing(
        created_before=lambda filled: datetime.now(UTC) - timedelta(days=filled.dice.uniform(1, 690))
    ),
    "list: as a client": listing(user_id=lambda filled: filled.client.user_id),
    "read: ended alike": _alike,
    "open: most severe first": _open,
    "read: by id": _read,
    "read: by number": _read_by_number,
    "search: rare word": listing(q=RARE),
    "search: word in 0.1 %": listing(q=MEDIUM),
    "search: word in 2 %": listing(q=FREQUENT),
    "search: word in half": listing(q=COMMON),
    "search: absent word": listing(q=ABSENT),
    "search: two words": listing(q=f"{FREQUENT} {COMMON}"),
    "search: two rare words": listing(q=f"{FREQUENT} {MEDIUM}"),
    "search: not a word": listing(q=f"-{COMMON}"),
    "search: word and status": listing(q=COMMON, status=("escalated",)),
    "search: word, deep": listing(q=COMMON, deep=True),
    "search: as a client": listing(q=COMMON),
    "stats": _stats,
    "report: a month": reporting(30),
    "report: two years": reporting(710),
    "report: a month, one category": slicing(30),
    "report: two years, one category": slicing(710),
    "report: a month, by who wrote": slicing(30, with_clients=True),
    "report: recommendations": _advising,
}
_cursors: dict[int, list[str]] = {}


async def main() -> int:
    """Load both, measure in turns, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tickets", type=int, default=1_000_000)
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--only", default="", help="operations whose name contains this")
    parser.add_argument("--org", type=int, default=0, help="0: the largest organization (60 % of all tickets) … 5")
    parser.add_argument("--folder", type=Path, help="keep the data here and use it again")
    parser.add_argument("--json", type=Path)
    wanted = parser.parse_args()
    folder = wanted.folder or Path(tempfile.mkdtemp(prefix="asoe-million-"))
    try:
        async with filled(folder, SMALL, wanted.tickets, org=wanted.org) as (small, large):
            result = await measure(small, large, samples=wanted.samples, only=wanted.only)
        result |= {"tickets": [SMALL, wanted.tickets], "samples": wanted.samples, "cores": os.cpu_count()}
        if wanted.json:
            wanted.json.write_text(json.dumps(result, indent=2))
        print(f"worst ratio of p99s: {result['worst_ratio']} (goal: at most {GOAL:g})")
        return 0
    finally:
        if wanted.folder is None:
            shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def filled(folder: Path, *sizes: int, org: int = 0) -> AsyncIterator[list[Filled]]:
    """A database of each size in one server, filled when it is not yet."""
    server = await open_embedded(folder)
    try:
        await migrate(server.owner_dsn)
        opened = [await _filled(server, size, org) for size in sizes]
        try:
            yield opened
        finally:
            for one in opened:
                await one.database.close()
    finally:
        await close_embedded(server)


async def measure(small: Filled, large: Filled, *, samples: int, only: str = "") -> dict[str, Any]:
    """p50 and p99 in milliseconds of every operation on both, the ratio of the p99s, and the rows it touched (median)."""
    rows: dict[str, Any] = {}
    print(f"{'operation':28} {'p50':>8} {'p99':>8} | {'p50':>8} {'p99':>8}   p99 ratio (ms, small | large)")
    for name, operation in OPERATIONS.items():
        if only not in name:
            continue
        times: tuple[list[float], list[float]] = ([], [])
        touched: tuple[list[int], list[int]] = ([], [])
        for turn in range(samples + 10):
            for filled, taken, rows_read in zip((small, large), times, touched, strict=True):
                principal = filled.client if "client" in name else filled.agent
                begun = time.perf_counter()
                async with filled.database.org_reading(principal) as connection:
                    found = await operation(connection, filled)
                took = 1000 * (time.perf_counter() - begun)
                if turn % 2:
                    rows_read.append(await _touched(operation, filled, principal))
                if turn >= 10:  # the first ones prepare statements and warm the cache
                    taken.append(took)
        figures = [_quantile(taken, share) for taken in times for share in (0.5, 0.99)]
        ratio = figures[3] / figures[1]
        rows[name] = {
            "small": figures[:2],
            "large": figures[2:],
            "ratio_p50": round(figures[2] / figures[0], 2),
            "ratio_p99": round(ratio, 2),
            "rows": found,
            "touched": [sorted(each)[len(each) // 2] for each in touched],
        }
        print(
            f"{name:28} {figures[0]:8.2f} {figures[1]:8.2f} | {figures[2]:8.2f} {figures[3]:8.2f}   {ratio:5.2f}"
            f"{'  <-- over the goal' if ratio > GOAL else ''}",
            flush=True,
        )
    return {"operations": rows, "worst_ratio": max(row["ratio_p99"] for row in rows.values())}


async def _touched(operation: Operation, filled: Filled, principal: Principal) -> int:
    """How many rows of tables it reads; the counts of a connection stand still within a transaction but for its own."""
    async with filled.database.org_reading(principal) as connection:
        before = await connection.fetchval(_TOUCHED)
        await operation(connection, filled)
        return int(await connection.fetchval(_TOUCHED) - before)


async def _filled(server: Any, size: int, org: int) -> Filled:
    name = f"tickets_{size}"
    owner_dsn = _at(server.owner_dsn, name)
    superuser = await asyncpg.connect(_at(server.superuser_dsn, "postgres"))
    try:
        if not await superuser.fetchval("select exists (select 1 from pg_database where datname = $1)", name):
            await superuser.execute(f"create database {name} template asoe owner asoe_owner")
    finally:
        await superuser.close()
    begun, is_new = time.perf_counter(), False
    await migrate(owner_dsn)
    if await is_empty(owner_dsn):
        await load(_at(server.superuser_dsn, name), size)
        print(f"{size} tickets loaded in {time.perf_counter() - begun:.0f} s", flush=True)
        is_new = True
    connection = await asyncpg.connect(owner_dsn)
    try:
        org_id = await connection.fetchval(
            "select org_id from asoe.organization_profiles where slug = $1", f"org-{org}"
        )
        people = await connection.fetch("select user_id, role from asoe.members where org_id = $1", org_id)
        by_role = {role: [row["user_id"] for row in people if row["role"] == role] for role in ("agent", "client")}
        some = await connection.fetch(
            "select id, contact_id from public.support_tickets where org_id = $1 order by md5(id::text) limit 3000",
            org_id,
        )
        newest = await connection.fetchval("select max(number) from public.support_tickets where org_id = $1", org_id)
    finally:
        await connection.close()
    database = await open_database(_at(server.app_dsn, name), _at(server.system_dsn, name), pool=2)
    filled = Filled(
        database=database,
        agent=Principal(by_role["agent"][0], org_id, "agent", "Ben"),
        client=Principal(by_role["client"][0], org_id, "client", "Ana"),
        ids=tuple(row["id"] for row in some),
        members=tuple(by_role["agent"]),
        contacts=tuple(row["contact_id"] for row in some if row["contact_id"]),
        newest_number=newest,
        dice=random.Random(size),
    )
    if is_new:
        await _count_for_reports(filled)
    _cursors[id(database)] = await _deep_cursors(filled)
    return filled


async def _count_for_reports(filled: Filled) -> None:
    """Judge every ticket of the measured organization, oldest first, as the keeper of the counters does."""
    org_id, begun, now = filled.agent.org_id, time.perf_counter(), datetime.now(UTC)
    async with filled.database.org_reading(filled.agent) as connection:
        rows = await connection.fetch(
            "select id from public.support_tickets where org_id = $1 order by created_at", org_id, timeout=600
        )
    for start in range(0, len(rows), _COUNTED_AT_ONCE):
        ids = [row["id"] for row in rows[start : start + _COUNTED_AT_ONCE]]
        async with filled.database.org_transaction(filled.agent) as connection:
            await insights.hold(connection, org_id)
            await insights.count(connection, org_id, ids, now=now, required=REQUIRED_DOSSIER_FIELDS)
    print(f"{len(rows)} tickets counted for reports in {time.perf_counter() - begun:.0f} s", flush=True)


async def _deep_cursors(filled: Filled) -> list[str]:
    cursors = []
    async with filled.database.org_reading(filled.agent) as connection:
        for days in range(5, 690, 15):
            before = TicketFilter(created_before=datetime.now(UTC) - timedelta(days=days))
            page = await tickets.page(connection, filled.agent.org_id, before, limit=1)
            if page.next_cursor:
                cursors.append(page.next_cursor)
    return cursors


def _quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)


def _at(dsn: str, database: str) -> str:
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{database}"))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
