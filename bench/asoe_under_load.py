"""A real `asoe serve` on a temporary folder, with one organization and a key: what benches and evidence run against."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from asoe.desk import knowledge, people
from asoe.domain.organization import Principal
from asoe.queue import Queue
from asoe.store import organizations
from asoe.store.db import Database, open_database
from asoe.store.embedded import close_embedded, open_embedded
from asoe.store.migrate import migrate


@dataclass(frozen=True, slots=True)
class Prepared:
    """An installation with one organization: `keys` by role, `accounts` that they act as."""

    org_id: UUID
    owner: Principal
    keys: dict[str, str]
    accounts: dict[str, UUID]


@dataclass(frozen=True, slots=True)
class Running:
    """A served installation. `process` is the parent of API and worker."""

    url: str
    port: int
    process: subprocess.Popen[bytes]
    folder: Path
    prepared: Prepared

    @property
    def key(self) -> str:
        return self.prepared.keys["agent"]


@dataclass(frozen=True, slots=True)
class _Desk:
    database: Database
    queue: Queue
    clock: Callable[[], datetime]


async def prepare(folder: Path, *, articles: Path | None = None) -> Prepared:
    """Make an organization with an agent's and a client's key, and articles that a worker will index."""
    server = await open_embedded(folder)
    try:
        await migrate(server.owner_dsn)
        made = await organizations.create_organization(server.owner_dsn, "Bench", "bench", "cleo@bench.example", "Cleo")
        database = await open_database(server.app_dsn, server.system_dsn, pool=2)
        try:
            desk: Any = _Desk(database, Queue(), lambda: datetime.now(UTC))
            keys, accounts = {}, {}
            for role in ("agent", "client"):
                new = await people.create_key(desk, made.owner, name=f"bench {role}", role=role)
                keys[role], accounts[role] = new.token, new.key.user_id
            if articles is not None:
                await knowledge.import_folder(desk, made.owner, articles)
        finally:
            await database.close()
        return Prepared(made.org_id, made.owner, keys, accounts)
    finally:
        await close_embedded(server)


@asynccontextmanager
async def serving(
    folder: Path, *, worker: bool = True, articles: Path | None = None, log: Path | None = None, **settings: str
) -> AsyncIterator[Running]:
    """Start `asoe serve`, wait until it is ready, stop it at the end."""
    prepared = await prepare(folder, articles=articles)
    port = free_port()
    process = start(folder, port, worker=worker, log=log, **settings)
    try:
        await wait_ready(port, process)
        yield Running(f"http://127.0.0.1:{port}", port, process, folder, prepared)
    finally:
        stop(process)


def start(
    folder: Path, port: int, *, worker: bool = True, log: Path | None = None, **settings: str
) -> subprocess.Popen[bytes]:
    """`asoe serve` as its own process group; settings by their names; what it says goes to `log`."""
    environment = {
        **os.environ,
        "ASOE_DATA_DIR": str(folder),
        "ASOE_PORT": str(port),
        "ASOE_LOG_LEVEL": "error",
        "ASOE_RATE_LIMIT": "1000000/second",
        **{f"ASOE_{name.upper()}": value for name, value in settings.items()},
    }
    command = [sys.executable, "-m", "asoe.cli.main", "serve", *([] if worker else ["--no-worker"])]
    with (log or Path(os.devnull)).open("ab") as said:
        return subprocess.Popen(command, env=environment, start_new_session=True, stdout=said, stderr=said)


async def wait_ready(port: int, process: subprocess.Popen[bytes], *, seconds: float = 90) -> None:
    """Return when /readyz answers 200; raises RuntimeError when the process ends or time is up."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"asoe serve ended with {process.returncode}")
        if await asyncio.to_thread(_is_ready, port):
            return
        await asyncio.sleep(0.1)
    raise RuntimeError("asoe serve did not become ready")


def stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the group's leader, SIGKILL to the group when that is not enough."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def family(pid: int) -> list[int]:
    """The process and all its descendants, as Linux lists them."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def words_of(pid: int) -> list[str]:
    """The words behind `asoe` of a process's command line; none when it is no process of ours, or gone."""
    try:
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return []
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []
    return words[words.index("asoe.cli.main") + 1 :] if "asoe.cli.main" in words else []


def cpu_seconds(pid: int) -> float:
    """CPU time of the process and its descendants, those included that have ended and were waited for."""
    return sum(cpu_seconds_of(one) for one in family(pid))


def cpu_seconds_of(pid: int) -> float:
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as reply:
            return bool(reply.status == 200)
    except (OSError, urllib.error.URLError):
        return False
