"""The server process: starts it detached, tells whether it lives, waits until it answers, stops it.

Life is read from a lock that every process of the server inherits, never from a process id alone: ids in postmaster.pid
may be dead, reused by someone else, or a zombie's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import asyncpg

from asoe.domain.errors import Unavailable
from asoe.store.embedded.account import Account
from asoe.store.embedded.layout import Layout
from asoe.store.embedded.locks import POLL_SECONDS, Watch, is_locked, try_lock

_LOG_LIMIT = 10 << 20
_SAY_EVERY_SECONDS = 5.0
_SOCKET_GRACE_SECONDS = 1.0

Answer = Literal["answers", "gone", "unreachable"]

# `"$@" &` in a shell that ends at once leaves the server without a parent that would have to collect it.
_DETACH = '"$@" </dev/null &'


def is_alive(layout: Layout) -> bool:
    """Whether any process of this cluster's server exists, also one that somebody started by hand."""
    return is_locked(layout.server_lock) or postmaster_pid(layout) is not None


def postmaster_pid(layout: Layout) -> int | None:
    """The process id in postmaster.pid, if that process is PostgreSQL working in this cluster."""
    try:
        pid = int((layout.cluster / "postmaster.pid").read_text(encoding="ascii", errors="replace").split("\n", 1)[0])
    except (OSError, ValueError):
        return None
    if Path("/proc/self/cwd").exists():
        try:
            is_named = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip() == "postgres"
            return pid if is_named and Path(f"/proc/{pid}/cwd").samefile(layout.cluster) else None
        except OSError:  # nobody, a zombie, or not ours to look at
            return None
    seen = subprocess.run(["ps", "-o", "state=,command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    is_postgres = "postgres" in seen.stdout and not seen.stdout.lstrip().startswith("Z")
    return pid if is_postgres else None


def start(layout: Layout, account: Account, programs: Path, options: list[str], socket_dir: Path) -> bool:
    """Start the server in a session of its own. Call it while `alone`; False when one turned up meanwhile."""
    lock = try_lock(layout.server_lock)
    if lock is None:
        return False
    try:
        for leftover in (layout.cluster / "postmaster.pid", *socket_dir.glob(".s.PGSQL.*")):
            leftover.unlink(missing_ok=True)
        _turn_log(layout)
        with layout.log_file.open("ab") as log:
            layout.log_file.chmod(0o600)
            layout.hand_to_owner(layout.log_file)
            subprocess.run(
                ["/bin/sh", "-c", _DETACH, "sh", str(programs / "postgres"), "-D", str(layout.cluster), *options],
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lock,),
                start_new_session=True,
                check=True,
                **account.switch(),
            )
    finally:
        os.close(lock)
    return True


async def wait_until_it_answers(
    layout: Layout, dsn: str, *, socket: Path, watch: Watch, progress: Callable[[str], None]
) -> Answer:
    """Crash recovery may take long: it is waited for as long as anything moves."""
    said_at = 0.0
    while True:
        if socket.exists() and await _accepts(dsn, layout):
            return "answers"
        if not is_alive(layout):
            return "gone"
        if not socket.exists() and watch.waited > _SOCKET_GRACE_SECONDS and _says_ready(layout):
            return "unreachable"
        if watch.is_stalled():
            raise Unavailable(
                f"PostgreSQL in {layout.root} has been starting for {watch.waited:.0f} s and nothing moves any more. "
                f"It was left running. Its last words: {last_words(layout)} (see {layout.log_file}). "
                "Check the disk, then try again.",
                code="embedded_stalled",
                retry_after=30,
            )
        if watch.waited - said_at >= _SAY_EVERY_SECONDS:
            said_at = watch.waited
            progress(
                f"PostgreSQL is starting, {said_at:.0f} s so far (after a crash it first repeats what was written)."
            )
        await asyncio.sleep(POLL_SECONDS)


def _says_ready(layout: Layout) -> bool:
    try:
        return (layout.cluster / "postmaster.pid").read_text(encoding="utf-8").split("\n")[7].strip() == "ready"
    except (OSError, IndexError):
        return False


async def connect(dsn: str) -> Any:
    return await asyncpg.connect(dsn, timeout=10, statement_cache_size=0)


async def _accepts(dsn: str, layout: Layout) -> bool:
    try:
        connection = await connect(dsn)
    except asyncpg.InvalidPasswordError as error:
        raise Unavailable(
            f"PostgreSQL refuses the password in {layout.secrets}: the cluster and the passwords do not belong together. "
            "Put both back from the same backup of the data folder.",
            code="embedded_password_refused",
            permanent=True,
        ) from error
    except asyncpg.TooManyConnectionsError:
        return True
    except (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError):
        return False
    await connection.close()
    return True


async def stop(layout: Layout, *, progress: Callable[[str], None]) -> None:
    """Fast shutdown: sessions end, everything is written. Call it while `alone`."""
    watch = Watch(lambda: activity(layout))
    asked: int | None = None
    said_at = 0.0
    while is_alive(layout):
        pid = postmaster_pid(layout)
        if pid is not None and pid != asked:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)
            asked = pid
        if watch.is_stalled():
            raise Unavailable(
                f"PostgreSQL in {layout.root} was asked to stop {watch.waited:.0f} s ago and has not. "
                f"Nothing is lost; see {layout.log_file}, and check the disk.",
                code="embedded_does_not_stop",
                retry_after=30,
            )
        if watch.waited - said_at >= _SAY_EVERY_SECONDS:
            said_at = watch.waited
            progress(f"PostgreSQL is stopping, {said_at:.0f} s so far.")
        await asyncio.sleep(POLL_SECONDS)


def activity(layout: Layout) -> tuple[object, ...]:
    """Signs of life that change while the server starts, recovers or stops: its log, its state, its processor time."""
    stamps = tuple(
        _stamp(path) for path in (layout.log_file, layout.endpoint, layout.prepared, layout.unfinished_cluster)
    )
    inside = tuple(_stamp(layout.cluster / name) for name in ("postmaster.pid", "global/pg_control", "pg_wal"))
    pid = postmaster_pid(layout)
    return (*stamps, *inside, pid, _processor_time(pid) if pid else None)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _processor_time(pid: int) -> int:
    """Clock ticks used by the postmaster's children (proc(5): stat fields 14 and 15)."""
    total = 0
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        for child in children:
            fields = (
                Path(f"/proc/{child}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            )
            total += int(fields[11]) + int(fields[12])
    except (OSError, ValueError, IndexError):
        return total
    return total


def last_words(layout: Layout) -> str:
    try:
        lines = layout.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "none"
    return " | ".join(line.partition("] ")[2] or line for line in lines[-4:])[-600:] or "none"


def _turn_log(layout: Layout) -> None:
    with contextlib.suppress(FileNotFoundError):
        if layout.log_file.stat().st_size > _LOG_LIMIT:
            layout.log_file.replace(layout.log_file.with_suffix(".log.1"))
