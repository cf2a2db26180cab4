"""The dashboard with 1,000,000 tickets and with 200 people looking: `python -m bench.pages [--tickets N] [--folder F]`.

One `asoe serve` (one API process, no worker) in front of the database that bench.million_rows fills; as an agent of the
largest organization (60 % of all tickets). First the pages, one request at a time: milliseconds until the last byte (p50,
p99), CPU time of API and PostgreSQL, bytes of the page, and of a first visit with its files, compressed. Then viewers: event streams of queues and tickets
that do what the page's script does when it is told of a change: wait a moment (the queue), and ask for what changed. A message every
two seconds; how long until viewers are told of it, and until they have it. Goals: queue and ticket pages 30 ms at the median,
150 KB on a first visit, seen within a second. Beside it stands `/healthz`, the same way in without a page behind it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import httpx

from asoe.desk import people, sign_in
from asoe.domain.organization import Principal
from asoe.queue import Queue
from asoe.store.db import Database, open_database
from asoe.store.embedded import close_embedded, open_embedded
from asoe.store.migrate import migrate
from bench.asoe_under_load import cpu_seconds, free_port, start, stop, wait_ready
from bench.million_rows import is_empty, load

COOKIE: Final = "asoe_sign_in"
GOAL_MS: Final = 30.0
GOAL_KB: Final = 150
GOAL_SEEN_MS: Final = 1000.0
GOAL_PAGES: Final = ("queue", "ticket")
WATCHED: Final = 20
BUSY_MESSAGES: Final = 8
_FILE: Final = re.compile(r'(?:href|src)="(/assets/[^"#]+)')
_NO_LIMIT: Final = httpx.Limits(max_connections=None, max_keepalive_connections=None)


@dataclass(frozen=True, slots=True)
class House:
    """A served installation: `tokens` sign agents in, `key` writes messages, `tickets` are some of the newest open ones."""

    url: str
    pid: int
    folder: Path
    tokens: list[str]
    key: str
    tickets: list[UUID]
    others: list[UUID]

    def cpu(self) -> Cpu:
        """What the API and PostgreSQL have used so far: figures that a busy machine hardly changes."""
        postmaster = next(self.folder.rglob("postmaster.pid")).read_text().split()[0]
        return Cpu(cpu_seconds(self.pid), cpu_seconds(int(postmaster)))


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU time in seconds."""

    api: float
    postgres: float

    def since(self, before: Cpu) -> Cpu:
        return Cpu(self.api - before.api, self.postgres - before.postgres)


@dataclass(slots=True)
class Seen:
    """When a change was told to whom and when its part had come, in seconds after it was asked for."""

    told: list[float] = field(default_factory=list)
    seen: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Desk:
    database: Database
    queue: Queue
    clock: Any


async def main() -> int:
    """Fill or reuse the database, serve it, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tickets", type=int, default=1_000_000)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--viewers", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--workers", type=int, default=1, help="API processes")
    parser.add_argument("--folder", type=Path, help="keep the data here and use it again")
    parser.add_argument("--json", type=Path)
    wanted = parser.parse_args()
    folder = wanted.folder or Path(tempfile.mkdtemp(prefix="asoe-pages-"))
    try:
        async with serving(folder, wanted.tickets, workers=wanted.workers) as house:
            await _make_busy(house)
            pages = await measure_pages(house, samples=wanted.samples) if wanted.samples else {}
            seen = await measure_viewers(house, viewers=wanted.viewers, rounds=wanted.rounds)
    finally:
        if wanted.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    result = {
        "tickets": wanted.tickets,
        "cores": os.cpu_count(),
        "workers": wanted.workers,
        "pages": pages,
        "live": seen,
    }
    if wanted.json:
        wanted.json.write_text(json.dumps(result, indent=2))
    return 0


@asynccontextmanager
async def serving(folder: Path, tickets: int, *, workers: int) -> AsyncIterator[House]:
    """`asoe serve` on a filled database of its own."""
    server = await open_embedded(folder)
    try:
        name = f"pages_{tickets}"
        owner, app, system = (_at(dsn, name) for dsn in (server.owner_dsn, server.app_dsn, server.system_dsn))
        await migrate(server.owner_dsn)
        await _make_database(server, name)
        await migrate(owner)
        if await is_empty(owner):
            begun = time.perf_counter()
            await load(_at(server.superuser_dsn, name), tickets)
            print(f"{tickets} tickets loaded in {time.perf_counter() - begun:.0f} s", flush=True)
        agents, newest, others = await _drawn(owner)
        tokens, key = await _let_in(app, system, agents)
        port = free_port()
        process = start(
            folder / "served",
            port,
            worker=False,
            log=folder / "serve.log",
            database_url=owner,
            database_app_url=app,
            database_system_url=system,
            workers=str(workers),
            log_level="info",
        )
        try:
            await wait_ready(port, process)
            yield House(f"http://127.0.0.1:{port}", process.pid, folder, tokens, key, newest, others)
        finally:
            stop(process)
    finally:
        await close_embedded(server)


async def measure_pages(house: House, *, samples: int) -> dict[str, Any]:
    """Milliseconds and bytes of each page, one request at a time; the first ten of each are not counted."""
    dice = random.Random(7)
    async with _browser(house, house.tokens[0]) as browser:
        older = re.search(r'href="(/queue\?[^"]*cursor=[^"]+)"', (await browser.get("/queue?view=all")).text)
        paths: dict[str, Callable[[], str]] = {
            "healthz": lambda: "/healthz",
            "overview": lambda: "/",
            "queue: open": lambda: "/queue",
            "queue: all": lambda: "/queue?view=all",
            "queue: all, second page": lambda: older[1].replace("&amp;", "&") if older else "/queue?view=all",
            "queue: mine": lambda: "/queue?view=mine",
            "queue: escalated": lambda: "/queue?view=escalated",
            "queue: word in 2 %": lambda: "/queue?q=invoice",
            "ticket: any": lambda: f"/tickets/{dice.choice(house.others)}",
            "ticket: busy": lambda: f"/tickets/{dice.choice(house.tickets)}",
            "knowledge": lambda: "/knowledge",
            "insights": lambda: "/insights",
        }
        rows: dict[str, Any] = {}
        print(f"{'page':26} {'p50':>7} {'p99':>7} {'API':>7} {'PG':>7}  {'page':>7} {'first':>7}   (ms, CPU ms; KB)")
        for name, path in paths.items():
            times, sizes, before = [], [], house.cpu()
            for turn in range(samples + 10):
                if turn == 10:
                    before = house.cpu()
                begun = time.perf_counter()
                answer = await browser.get(path())
                if turn >= 10:
                    times.append(1000 * (time.perf_counter() - begun))
                    sizes.append(answer.num_bytes_downloaded)
                answer.raise_for_status()
            used = house.cpu().since(before)
            api, postgres = 1000 * used.api / samples, 1000 * used.postgres / samples
            size = _quantile(sizes, 0.5) / 1024
            first = size + await _files(browser, answer.text) / 1024
            p50, p99 = _quantile(times, 0.5), _quantile(times, 0.99)
            rows[name] = {
                "p50_ms": p50,
                "p99_ms": p99,
                "api_cpu_ms": round(api, 1),
                "postgres_cpu_ms": round(postgres, 1),
                "page_kb": size,
                "first_kb": first,
            }
            is_over = (name.startswith(GOAL_PAGES) and p50 > GOAL_MS) or first > GOAL_KB
            print(
                f"{name:26} {p50:7.1f} {p99:7.1f} {api:7.1f} {postgres:7.1f}  {size:7.1f} {first:7.1f}{'  <-- over a goal' if is_over else ''}",
                flush=True,
            )
    return rows


async def measure_viewers(house: House, *, viewers: int, rounds: int) -> dict[str, Any]:
    """Three in five look at the queue, the others at one of twenty tickets; each change is of one of these tickets."""
    found = Seen()
    asked: dict[str, float] = {}
    async with AsyncExitStack() as stack:
        going: list[asyncio.Task[None]] = []
        ready = asyncio.Semaphore(0)
        for number in range(viewers):
            token = house.tokens[number % len(house.tokens)]
            lines = [await stack.enter_async_context(_line(house, token)) for _ in range(2)]
            ticket_id = house.tickets[number % WATCHED] if number % 5 >= 3 else None
            going.append(asyncio.create_task(_view(lines[0], lines[1], ticket_id, found, asked, ready)))
        await _all_follow(ready, going)
        before, own, begun = house.cpu(), time.process_time(), time.perf_counter()
        async with httpx.AsyncClient(base_url=house.url, headers={"Authorization": f"Bearer {house.key}"}) as writer:
            for number in range(rounds):
                ticket_id = house.tickets[number % WATCHED]
                asked[str(ticket_id)] = time.perf_counter()
                await _say(writer, ticket_id, f"An update, number {number}.")
                await asyncio.sleep(2)
        seconds = time.perf_counter() - begun
        used, own = house.cpu().since(before), time.process_time() - own
        await asyncio.sleep(1)
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)
    row = {
        "viewers": viewers,
        "changes": rounds,
        **{f"told_{name}_ms": round(1000 * _quantile(found.told, share)) for name, share in _SHARES.items()},
        **{f"seen_{name}_ms": round(1000 * _quantile(found.seen, share)) for name, share in _SHARES.items()},
        "seen": len(found.seen),
        "api_cpu_share": round(used.api / seconds, 2),
        "postgres_cpu_share": round(used.postgres / seconds, 2),
        "viewers_cpu_share": round(own / seconds, 2),
    }
    print(
        f"{viewers} viewers, {rounds} changes: told after {row['told_p50_ms']} ms (p99 {row['told_p99_ms']}), seen after "
        f"{row['seen_p50_ms']} ms (p99 {row['seen_p99_ms']}); {len(found.seen)} times; the API used {row['api_cpu_share']} of a core, "
        f"PostgreSQL {row['postgres_cpu_share']}, the viewers {row['viewers_cpu_share']}"
        f"{'  <-- over the goal' if row['seen_p99_ms'] > GOAL_SEEN_MS else ''}",
        flush=True,
    )
    return row


_SHARES: Final = {"p50": 0.5, "p99": 0.99}


async def _all_follow(ready: asyncio.Semaphore, going: list[asyncio.Task[None]]) -> None:
    """Wait until every viewer has its stream; raises what one of them met instead."""
    for _ in going:
        waiting = asyncio.create_task(ready.acquire())
        done, _ = await asyncio.wait({waiting, *going}, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        if waiting not in done:
            waiting.cancel()
            for task in done:
                task.result()
            raise RuntimeError("a viewer got no stream within a minute")


class _Line:
    """HTTP/1.1 on one kept connection, as plain as can be: the viewers share two cores with what they measure."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: str) -> None:
        self._reader, self._writer, self._headers = reader, writer, headers

    async def get(self, path: str) -> bytes:
        """The body, as it was sent; raises `RuntimeError` when the answer is no 200."""
        length = await self._ask(path)
        return await self._reader.readexactly(length)

    async def events(self, path: str) -> AsyncIterator[tuple[str, str]]:
        """Name and data of each event of a stream."""
        await self._ask(path)
        name = ""
        async for line in self._reader:
            if line.startswith(b"event: "):
                name = line[7:-1].decode()
            elif line.startswith(b"data: "):
                yield name, line[6:-1].decode()

    async def _ask(self, path: str) -> int:
        self._writer.write(f"GET {path} HTTP/1.1\r\n{self._headers}\r\n\r\n".encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        if " 200 " not in head.partition("\r\n")[0]:
            raise RuntimeError(f"{path}: {head.partition(chr(13))[0]}")
        length = re.search(r"content-length: (\d+)", head)
        return int(length[1]) if length else 0

    async def close(self) -> None:
        self._writer.close()


@asynccontextmanager
async def _line(house: House, token: str) -> AsyncIterator[_Line]:
    parts = urlsplit(house.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    line = _Line(
        reader,
        writer,
        f"Host: {parts.netloc}\r\nCookie: {COOKIE}={token}\r\nAccept-Encoding: gzip, br\r\nHX-Request: true",
    )
    try:
        yield line
    finally:
        await line.close()


async def _view(
    told_by: _Line,
    asks: _Line,
    ticket_id: UUID | None,
    found: Seen,
    asked: dict[str, float],
    ready: asyncio.Semaphore,
) -> None:
    """One page that is open: its stream, and what it asks for when something changed."""
    path, pause = (f"/live/{ticket_id}", 0.0) if ticket_id else ("/live", 0.15)
    told: set[str] = set()
    waiting: asyncio.Task[None] | None = None

    async def ask() -> None:
        await asyncio.sleep(pause)
        changed = sorted(told)
        told.clear()
        await asks.get(f"/tickets/{ticket_id}" if ticket_id else f"/queue/rows?ids={','.join(changed)}")
        found.seen.extend(time.perf_counter() - asked[each] for each in changed)

    async for event, data in told_by.events(path):
        if event == "following":
            ready.release()
        elif event == "changed":
            ticket = json.loads(data)["ticket"]
            if ticket not in asked or ticket in told:
                continue
            found.told.append(time.perf_counter() - asked[ticket])
            told.add(ticket)
            if waiting is None or waiting.done():
                waiting = asyncio.create_task(ask())


async def _make_busy(house: House) -> None:
    """Give the watched tickets a conversation, as they would have."""
    async with httpx.AsyncClient(base_url=house.url, headers={"Authorization": f"Bearer {house.key}"}) as writer:
        for ticket_id in house.tickets:
            for number in range(BUSY_MESSAGES):
                await _say(writer, ticket_id, f"We looked at it once more, and tried what you said ({number}).")


async def _say(writer: httpx.AsyncClient, ticket_id: UUID, text: str) -> None:
    if "session" not in (known := _SESSIONS.setdefault(ticket_id, {})):
        ticket = (await writer.get(f"/api/support/ticket/{ticket_id}")).raise_for_status().json()
        known["session"] = ticket["session_id"]
    said = {"role": "agent", "content": text}
    (await writer.post(f"/api/support/message/{known['session']}", json=said)).raise_for_status()


_SESSIONS: Final[dict[UUID, dict[str, str]]] = {}


async def _files(browser: httpx.AsyncClient, html: str) -> int:
    """The bytes of what a page names, as a browser that has none of it fetches them."""
    return sum([(await browser.get(path)).num_bytes_downloaded for path in sorted(set(_FILE.findall(html)))])


def _browser(house: House, token: str) -> httpx.AsyncClient:
    headers = {"Cookie": f"{COOKIE}={token}", "Accept-Encoding": "gzip, br"}
    return httpx.AsyncClient(base_url=house.url, headers=headers, timeout=60, trust_env=False, limits=_NO_LIMIT)


async def _make_database(server: Any, name: str) -> None:
    superuser = await asyncpg.connect(_at(server.superuser_dsn, "postgres"))
    try:
        if not await superuser.fetchval("select exists (select 1 from pg_database where datname = $1)", name):
            await superuser.execute(f"create database {name} template asoe owner asoe_owner")
    finally:
        await superuser.close()


async def _drawn(owner_dsn: str) -> tuple[list[Principal], list[UUID], list[UUID]]:
    """Agents of the largest organization, its newest open tickets, and tickets of any age."""
    connection = await asyncpg.connect(owner_dsn)
    try:
        org_id = await connection.fetchval("select org_id from asoe.organization_profiles where slug = 'org-0'")
        agents = await connection.fetch(
            "select user_id from asoe.members where org_id = $1 and role = 'agent' and kind = 'person' order by user_id",
            org_id,
        )
        newest = await connection.fetch(
            "select id from public.support_tickets where org_id = $1 and status = 'open' order by created_at desc limit $2",
            org_id,
            WATCHED,
        )
        others = await connection.fetch(
            "select id from public.support_tickets where org_id = $1 order by md5(id::text) limit 500", org_id
        )
    finally:
        await connection.close()
    return (
        [Principal(row["user_id"], org_id, "agent", "Ben") for row in agents],
        [row["id"] for row in newest],
        [row["id"] for row in others],
    )


async def _let_in(app_dsn: str, system_dsn: str, agents: list[Principal]) -> tuple[list[str], str]:
    """A sign-in for each agent, and a key."""
    database = await open_database(app_dsn, system_dsn, pool=2)
    try:
        desk: Any = _Desk(database, Queue(), lambda: datetime.now(UTC))
        tokens = [(await sign_in.open_sign_in(desk, each.user_id, agent="bench")).token for each in agents]
        async with database.org_reading(agents[0]) as connection:
            owner = await connection.fetchval(
                "select user_id from asoe.members where org_id = $1 and role = 'owner' limit 1", agents[0].org_id
            )
        cleo = Principal(owner, agents[0].org_id, "owner", "Cleo")
        made = await people.create_key(desk, cleo, name=f"bench {secrets.token_hex(4)}", role="agent")
        return tokens, made.token
    finally:
        await database.close()


def _quantile(values: list[float] | list[int], share: float) -> float:
    ordered = sorted(values)
    return round(float(ordered[min(len(ordered) - 1, int(share * len(ordered)))]), 2) if ordered else 0.0


def _at(dsn: str, database: str) -> str:
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{database}"))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
