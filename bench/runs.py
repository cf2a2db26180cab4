"""What a durable step costs: `python -m bench.runs [--runs 400]`.

A run of three acts at a connector that does nothing, each with its intent before and its outcome after, checked and verified;
beside DBOS doing the same three steps, with an intent and an outcome each, in the same measurement on the same PostgreSQL.
CPU of the process and of PostgreSQL, milliseconds per run (p50), rows written, runs per second. Goal: at least twice the
runs per CPU-second of DBOS. DBOS comes from the package index into a folder of its own, which is removed afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg

from asoe.cli.door import run as run_async
from asoe.connectors.contract import Action, Health, Probe
from asoe.desk import autonomy
from asoe.desk.connector import Connectors
from asoe.desk.context import Desk
from asoe.desk.runbook import execution, shelf
from asoe.domain.organization import Principal
from asoe.queue import Queue
from asoe.store import organizations
from asoe.store.db import open_database
from asoe.store.embedded import close_embedded, open_embedded
from asoe.store.migrate import migrate
from bench.asoe_under_load import cpu_seconds

DBOS: Final = "dbos==3.4.0"
GOAL: Final = 2.0
AT_ONCE: Final = 8
WARM: Final = 30
BOOK: Final = """
runbook: three-acts
title: Three acts
resolution_type: auto_fix
match: {phrases: [whatever]}
connectors: {nowhere: nowhere}
goal:
  reads: [{call: nowhere.look, into: seen}]
  met: =seen.acts % 3 == 0 && seen.acts > 0
steps:
  - fix: all
    check: [{call: nowhere.look, into: seen}]
    when: =true || seen.acts > 0
    act:
      - {call: nowhere.act, with: {n: 1}}
      - {call: nowhere.act, with: {n: 2}}
      - {call: nowhere.act, with: {n: 3}}
    verify: {reads: [{call: nowhere.look, into: seen}], that: =seen.acts > 0}
"""
"""Five reads (the goal twice, the check, the verification, the goal again) and three acts."""


class Nowhere:
    """A system that does nothing, at once. `acts` is what a run sees: none before its acts, three after them."""

    kind = "nowhere"
    _ACTIONS: Final = {"look": Action("look", "read"), "act": Action("act", "reversible", repeats="by_key")}

    async def actions(self) -> Mapping[str, Action]:
        return self._ACTIONS

    async def read(self, *_: Any, **__: Any) -> Any:
        return {"acts": 3 if Nowhere.done.get(asyncio.current_task()) else 0}

    async def act(self, _: str, arguments: Mapping[str, Any], **__: Any) -> Any:
        Nowhere.done[asyncio.current_task()] = True
        return {"n": arguments["n"]}

    async def probe(self, *_: Any, **__: Any) -> Probe:
        return Probe("unknown")

    async def health(self) -> Health:
        return Health(is_up=True)

    async def close(self) -> None:
        return None

    done: ClassVar[dict[Any, bool]] = {}
    """By task: each run is carried out in a task of its own."""


async def measure(work: Callable[[], Coroutine[Any, Any, None]], runs: int) -> dict[str, float]:
    """One after the other for the time of one, then several at once for the rate; CPU of this process over both."""
    for _ in range(WARM):
        await asyncio.create_task(work())
    walls = []
    spent, begun = time.process_time(), time.monotonic()
    for _ in range(runs // 2):
        started = time.perf_counter()
        await asyncio.create_task(work())
        walls.append(time.perf_counter() - started)
    left = iter(range(runs - runs // 2))
    rate_begun = time.monotonic()

    async def some() -> None:
        for _ in left:
            await asyncio.create_task(work())

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return {
        "runs": runs,
        "p50_ms": round(1000 * median(walls), 2),
        "runs_per_second": round((runs - runs // 2) / (time.monotonic() - rate_begun), 1),
        "process_cpu_ms": round(1000 * (time.process_time() - spent) / runs, 2),
        "seconds": round(time.monotonic() - begun, 1),
    }


async def measure_asoe(app_dsn: str, system_dsn: str, org_id: str, engine_id: str, owner_id: str, runs: int) -> Any:
    """Runs as the worker does them: written with their job in one transaction, then carried out."""
    database = await open_database(app_dsn, system_dsn, pool=AT_ONCE)
    engine = Principal(UUID(engine_id), UUID(org_id), "engine", "ASOE")
    owner = Principal(UUID(owner_id), UUID(org_id), "owner", "Cleo")
    nowhere: Any = Nowhere()
    connectors = Connectors.fixed({"nowhere": nowhere})
    ai: Any = None
    desk = Desk(database, Queue(), ai, lambda: datetime.now(UTC), connectors=connectors)
    row, version = await shelf.save(desk, owner, BOOK)
    await shelf.publish(desk, owner, row.name)
    until = desk.clock() + timedelta(days=1)
    await autonomy.lend(desk, owner, row.name, reason="a measurement", until=until)

    async def one() -> None:
        async with database.org_transaction(engine) as connection:
            run_id = await execution.start(
                desk, connection, engine, runbook_id=row.id, version=version.version, ticket=None
            )
        state = await execution.advance_run(desk, engine, run_id)
        if state != "ended":
            raise RuntimeError(f"a run is {state}")
        Nowhere.done.pop(asyncio.current_task(), None)

    try:
        return await measure(one, runs)
    finally:
        await database.close()


DBOS_PROGRAM: Final = """
import asyncio, json, sys, time
from statistics import median
from dbos import DBOS

url, runs, warm, at_once, intents = sys.argv[1], *map(int, sys.argv[2:6])
DBOS(config={"name": "bench", "system_database_url": url, "run_admin_server": False, "log_level": "ERROR"})

@DBOS.step()
async def intend(n):
    return {"n": n, "key": f"{DBOS.workflow_id}-{n}"}

@DBOS.step()
async def act(n):
    return {"n": n}

@DBOS.workflow()
async def three():
    for n in (1, 2, 3):
        if intents:
            await intend(n)
        await act(n)

async def main():
    DBOS.launch()
    for _ in range(warm):
        await three()
    walls, spent = [], time.process_time()
    for _ in range(runs // 2):
        started = time.perf_counter()
        await three()
        walls.append(time.perf_counter() - started)
    left = iter(range(runs - runs // 2))
    begun = time.monotonic()

    async def some():
        for _ in left:
            await three()

    await asyncio.gather(*(some() for _ in range(at_once)))
    rate = (runs - runs // 2) / (time.monotonic() - begun)
    print(json.dumps({"runs": runs, "p50_ms": round(1000 * median(walls), 2), "runs_per_second": round(rate, 1),
        "process_cpu_ms": round(1000 * (time.process_time() - spent) / runs, 2)}))
    DBOS.destroy()

asyncio.run(main())
"""


async def _run(command: list[str]) -> dict[str, Any]:
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode:
        raise RuntimeError(f"{command[:3]} failed:\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


async def _analyze(dsn: str, owner: Any) -> None:
    """As autovacuum would after a while: neither contestant is measured with the plans of empty tables."""
    for row in await owner.fetch("select datname from pg_database where datallowconn and not datistemplate"):
        other = await asyncpg.connect(_as_url(dsn, row["datname"]))
        await other.execute("analyze")
        await other.close()


async def _written(owner: Any) -> int:
    """Rows inserted or updated so far in this cluster's databases."""
    await asyncio.sleep(1.5)  # backends report their counts at most once a second
    await owner.execute("select pg_stat_clear_snapshot()")
    found = await owner.fetchval("select sum(tup_inserted + tup_updated)::bigint from pg_stat_database")
    return int(found)


async def _watched(owner: Any, dsn: str, postmaster: int, command: list[str], runs: int) -> dict[str, Any]:
    """Run one contestant in a process of its own; PostgreSQL's share is what its processes spent meanwhile."""
    await _run([each.replace("{runs}", str(WARM)) for each in command])
    await _analyze(dsn, owner)
    cpu, rows = cpu_seconds(postmaster), await _written(owner)
    result = await _run([each.replace("{runs}", str(runs)) for each in command])
    whole = runs + WARM
    result["postgres_cpu_ms"] = round(1000 * (cpu_seconds(postmaster) - cpu) / whole, 2)
    result["cpu_ms"] = round(result["process_cpu_ms"] + result["postgres_cpu_ms"], 2)
    result["rows_written"] = round((await _written(owner) - rows) / whole, 1)
    result["runs_per_cpu_second"] = round(1000 / result["cpu_ms"], 1)
    return result


async def compare(runs: int, *, with_dbos: bool) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix="asoe-bench-runs-"))
    server = await open_embedded(folder / "data")
    try:
        await migrate(server.owner_dsn)
        made = await organizations.create_organization(server.owner_dsn, "Bench", "bench", "cleo@bench.example", "Cleo")
        dsn = server.superuser_dsn
        owner = await asyncpg.connect(dsn)
        (pid_file,) = folder.rglob("postmaster.pid")
        postmaster = int(pid_file.read_text().split("\n", 1)[0])
        figures: dict[str, Any] = {"cores": os.cpu_count()}
        try:
            ids = [str(each) for each in (made.org_id, made.engine.user_id, made.owner.user_id)]
            own = [
                sys.executable,
                "-m",
                "bench.runs",
                "--contestant",
                server.app_dsn,
                server.system_dsn,
                *ids,
                "{runs}",
            ]
            figures["asoe"] = await _watched(owner, dsn, postmaster, own, runs)
            if with_dbos:
                python = _install_dbos(folder)
                await owner.execute("create database dbos_bench")
                url = _as_url(dsn, "dbos_bench")
                for name, intents in (("dbos", 1), ("dbos_without_intents", 0)):
                    command = [python, "-c", DBOS_PROGRAM, url, "{runs}", *map(str, (WARM, AT_ONCE, intents))]
                    figures[name] = await _watched(owner, dsn, postmaster, command, runs)
        finally:
            await owner.close()
        return figures
    finally:
        await close_embedded(server)
        shutil.rmtree(folder, ignore_errors=True)


def _install_dbos(folder: Path) -> str:
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(folder / "dbos")], check=True)
    python = str(folder / "dbos" / "bin" / "python")
    subprocess.run([uv, "pip", "install", "-q", "--python", python, DBOS], check=True)
    return python


def _as_url(dsn: str, database: str) -> str:
    """The same cluster, another database."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{database}"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--without-dbos", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--contestant", nargs=6, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.contestant:
        app_dsn, system_dsn, org_id, engine_id, owner_id, runs = wanted.contestant
        told = run_async(measure_asoe(app_dsn, system_dsn, org_id, engine_id, owner_id, int(runs)))
        print(json.dumps(told))
        return 0
    figures = asyncio.run(compare(wanted.runs, with_dbos=not wanted.without_dbos))
    print(json.dumps(figures, indent=2))
    if wanted.json:
        wanted.json.write_text(json.dumps(figures))
    if wanted.without_dbos:
        return 0
    ratio = figures["asoe"]["runs_per_cpu_second"] / figures["dbos"]["runs_per_cpu_second"]
    bare = figures["asoe"]["runs_per_cpu_second"] / figures["dbos_without_intents"]["runs_per_cpu_second"]
    print(f"runs per CPU-second, ours to DBOS's: {ratio:.2f} (goal {GOAL:g}); to DBOS without intents: {bare:.2f}")
    return 0 if ratio >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
