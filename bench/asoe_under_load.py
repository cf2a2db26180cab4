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
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asoe.desk import people
from asoe.store import organizations
from asoe.store.db import open_database
from asoe.store.embedded import close_embedded, open_embedded
from asoe.store.migrate import migrate


@dataclass(frozen=True, slots=True)
class Running:
    """A served installation. `process` is the parent of API and worker."""

    url: str
    key: str
    org_id: str
    agent_id: str
    process: subprocess.Popen[bytes]
    port: int


@dataclass(frozen=True, slots=True)
class _PeopleDesk:
    database: Any
    clock: Any


async def prepare(folder: Path, *, slug: str = "bench") -> tuple[str, str, str]:
    """Make an organization and an agent's key; returns (org_id, account of the key, key)."""
    server = await open_embedded(folder)
    try:
        await migrate(server.owner_dsn)
        made = await organizations.create_organization(
            server.owner_dsn, slug.title(), slug, f"cleo@{slug}.example", "Cleo"
        )
        database = await open_database(server.app_dsn, server.system_dsn, pool=2)
        try:
            desk = _PeopleDesk(database, lambda: datetime.now(UTC))
            key = await people.create_key(desk, made.owner, name="bench", role="agent")
        finally:
            await database.close()
        return str(made.org_id), str(key.key.user_id), key.token
    finally:
        await close_embedded(server)


@asynccontextmanager
async def serving(
    folder: Path, *, worker: bool = True, rate_limit: str = "1000000/second", **settings: str
) -> AsyncIterator[Running]:
    """Start `asoe serve`, wait until it is ready, stop it at the end."""
    org_id, agent_id, key = await prepare(folder)
    port = free_port()
    process = start(folder, port, worker=worker, rate_limit=rate_limit, **settings)
    try:
        await wait_ready(port, process)
        yield Running(f"http://127.0.0.1:{port}", key, org_id, agent_id, process, port)
    finally:
        stop(process)


def start(folder: Path, port: int, *, worker: bool = True, **settings: str) -> subprocess.Popen[bytes]:
    """`asoe serve` as its own process group; settings by their names."""
    environment = {
        **os.environ,
        "ASOE_DATA_DIR": str(folder),
        "ASOE_PORT": str(port),
        "ASOE_LOG_LEVEL": "error",
        **{f"ASOE_{name.upper()}": value for name, value in settings.items()},
    }
    command = [sys.executable, "-m", "asoe.cli.main", "serve", *([] if worker else ["--no-worker"])]
    return subprocess.Popen(command, env=environment, start_new_session=True)


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


def cpu_seconds(pid: int) -> float:
    """CPU time that the process and its living descendants have used."""
    ticks = 0
    for one in family(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


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
