"""Processes for the proof that effects happen once: an outside system with a store of its own, workers that are killed at a
chosen point of a run, and workers that go on after them. They share nothing but the database and the system's address.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sqlite3
import threading
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from asoe.connectors.contract import Action, ConnectorError, Health, Probe
from asoe.desk.connector import Connectors
from asoe.desk.context import Desk
from asoe.desk.runbook import execution
from asoe.desk.runbook.passing import Pace
from asoe.domain.organization import Principal
from asoe.domain.runbook import SlotReading
from asoe.queue import Queue
from asoe.store import runs
from asoe.store.db import Database, open_database

ACTIONS = {
    action.name: action
    for action in (
        Action("get", "read"),
        Action("unlock", "reversible", repeats="naturally", undo="lock"),
        Action("lock", "reversible", repeats="naturally"),
        Action("refund", "costly", repeats="by_key", has_probe=True),
        Action("keyed", "costly", repeats="by_key"),
        Action("post", "reversible", repeats="never", has_probe=True),
        Action("blind", "reversible", repeats="never"),
    )
}
DOERS = ("unlock", "refund", "keyed", "post", "blind")
PACE = Pace(
    act=timedelta(seconds=2),
    read=timedelta(seconds=2),
    margin=timedelta(seconds=1),
    lease=timedelta(seconds=5),
    again=timedelta(milliseconds=300),
    doubt=timedelta(seconds=60),
    first_pause=0.05,
    longest_pause=0.3,
)
BEATS = ("begin", "commit", "after")
TRANSACTIONS = len(DOERS) + 3
"""Claim, the intents (each with the outcome before it), the outcome of the blind act, the end."""
POINTS = [f"transaction {n} {beat}" for n in range(1, TRANSACTIONS + 1) for beat in BEATS] + [
    f"{action} {moment}" for action in DOERS for moment in ("sending", "before", "effect", "received")
]
"""Where a process can die: around each transaction, and around each act as the process and the system see it."""


@dataclass(frozen=True, slots=True)
class Where:
    """What a process needs to know."""

    app_dsn: str
    system_dsn: str
    url: str
    org_id: str
    engine_id: str
    runbook_id: str
    version: int

    @property
    def engine(self) -> Principal:
        return Principal(UUID(self.engine_id), UUID(self.org_id), "engine", "ASOE")


# The outside system


def serve_system(path: Path, port: int) -> None:
    """Until it is terminated: effects by key, and a process to kill when a caller asks for it."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("pragma journal_mode = wal")
    db.execute("create table if not exists effects (key text, action text, subject text)")
    db.execute("create index if not exists effects_subject on effects (subject)")
    turn = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with turn:
                answer = self.carry_out(asked)
            if answer is None:
                self.connection.close()
                return
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body)

        def carry_out(self, asked: dict[str, Any]) -> Any:
            action, key, subject = asked["action"], asked.get("key"), asked["subject"]
            known = db.execute("select count(*) from effects where key = ? and action = ?", (key, action)).fetchone()[0]
            if asked["what"] == "probe":
                return {"done": bool(known)}
            if asked["what"] == "read":
                found = db.execute("select action, count(*) from effects where subject = ? group by action", (subject,))
                return dict.fromkeys(DOERS, 0) | dict(found.fetchall())
            self.suffer(asked, "before")
            if asked.get("lost") == "before":
                return None
            if ACTIONS[action].repeats != "by_key" or not known:
                db.execute("insert into effects values (?, ?, ?)", (key, action, subject))
            self.suffer(asked, "effect")
            return None if asked.get("lost") == "effect" else {"done": action}

        def suffer(self, asked: dict[str, Any], moment: str) -> None:
            if asked.get("dies") == f"{asked['action']} {moment}":
                os.kill(asked["pid"], signal.SIGKILL)

        def log_message(self, *_: Any) -> None:
            pass

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


class System:
    """The outside system as a connector. `dies`: the point at which this process ends; `loses`: how often a line breaks."""

    kind = "system"

    def __init__(self, url: str, subject: str, *, dies: str | None = None, loses: float = 0.0) -> None:
        self._http = httpx.AsyncClient(base_url=url, timeout=2, trust_env=False)
        self._subject = subject
        self._dies = dies
        self._loses = loses

    async def actions(self):
        return ACTIONS

    async def read(self, action, arguments, *, timeout):
        return await self._ask("read", action, arguments, None)

    async def act(self, action, arguments, *, key, timeout):
        if self._dies == f"{action} sending":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = await self._ask("act", action, arguments, key)
        if self._dies == f"{action} received":
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    async def probe(self, action, arguments, *, key, timeout):
        answer = await self._ask("probe", action, arguments, key)
        return Probe("done", {"done": action}) if answer["done"] else Probe("not_done")

    async def health(self):
        return Health(True)

    async def close(self):
        await self._http.aclose()

    async def _ask(self, what: str, action: str, arguments: Any, key: str | None) -> Any:
        asked = {"what": what, "action": action, "key": key, "subject": arguments["subject"]}
        asked |= {"dies": self._dies, "pid": os.getpid()}
        if what == "act" and random.random() < self._loses:
            asked["lost"] = random.choice(["before", "effect"])
        try:
            return (await self._http.post("/", json=asked)).json()
        except httpx.ConnectError as error:
            raise ConnectorError("The system is not there.", permanent=False) from error
        except httpx.TransportError as error:
            effect = "unknown" if what == "act" else "none"
            raise ConnectorError("The line broke.", permanent=False, effect=effect) from error


# Workers


class DyingDatabase(Database):
    """Kills its process around one transaction."""

    dies: str | None = None
    count = 0

    @asynccontextmanager
    async def _begin(self, principal, begin):
        DyingDatabase.count += 1
        at = f"transaction {DyingDatabase.count} "
        self._die(at + "begin")
        async with super()._begin(principal, begin) as connection:
            yield connection
            self._die(at + "commit")
        self._die(at + "after")

    def _die(self, point: str) -> None:
        if DyingDatabase.dies == point:
            os.kill(os.getpid(), signal.SIGKILL)


@asynccontextmanager
async def desk_at(where: Where, **system: Any):
    database = await open_database(where.app_dsn, where.system_dsn, pool=2)
    connectors = Connectors.fixed({"system": System(where.url, "", **system)})
    try:
        yield Desk(
            DyingDatabase(database.app, database.system),
            Queue(),
            None,
            lambda: datetime.now(UTC),
            connectors=connectors,
        )
    finally:
        await connectors.close()
        await database.close()


def victim(where: Where, point: str, name: str) -> None:
    """Start one run, carry it out, and die at the point."""
    asyncio.run(_victim(where, point, name))


async def _victim(where: Where, point: str, name: str) -> None:
    async with desk_at(where, dies=point) as desk:
        async with desk.database.org_transaction(where.engine) as connection:
            run_id = await execution.start(
                desk,
                connection,
                where.engine,
                runbook_id=UUID(where.runbook_id),
                version=where.version,
                ticket=None,
                slots={"subject": SlotReading("subject", "read", name)},
            )
            await connection.execute(
                "update asoe.runbook_runs set evidence = jsonb_build_object('point', $2::text) where id = $1",
                run_id,
                point,
            )
        DyingDatabase.count, DyingDatabase.dies = 0, point
        await execution.advance_run(desk, where.engine, run_id, pace=PACE)


def survivor(where: Where, wrong_clock: float) -> None:
    """Advance what is due, over and over, through lines that break; two of these race for every run."""
    asyncio.run(_survivor(where, wrong_clock))


async def _survivor(where: Where, wrong_clock: float) -> None:
    async with desk_at(where, loses=0.1) as desk:
        jumped = replace(desk, clock=lambda: datetime.now(UTC) + timedelta(seconds=wrong_clock))
        while True:
            async with desk.database.system_transaction("due_timers") as connection:
                due = [run_id for _, run_id in await runs.due(connection, limit=50)]
            random.shuffle(due)
            for batch in (due[n : n + 4] for n in range(0, len(due), 4)):
                await asyncio.gather(
                    *(execution.advance_run(jumped, where.engine, run_id, pace=PACE) for run_id in batch),
                    return_exceptions=True,
                )
            await asyncio.sleep(0.2)


def wait_for_system(url: str) -> None:
    for _ in range(200):
        with contextlib.suppress(httpx.TransportError):
            httpx.post(url, json={"what": "read", "action": "get", "subject": ""}, trust_env=False)
            return
        time.sleep(0.05)
    raise AssertionError("the outside system did not come up")
