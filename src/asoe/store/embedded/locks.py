"""Who uses a data folder right now: advisory locks that the kernel drops by itself when a process dies, however it dies.

Process ids in files lie (dead, reused, zombie, another container's); a lock cannot. What to start or stop is decided in __init__.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from asoe.domain.errors import Unavailable
from asoe.store.embedded.layout import Layout

POLL_SECONDS = 0.05
STALL_SECONDS = 120.0


@dataclass(slots=True)
class Holder:
    """One opening of the data folder. Its lock lives as long as the descriptor, that is at most as long as the process."""

    path: Path
    descriptor: int | None

    def release(self) -> None:
        if self.descriptor is not None:
            self.path.unlink(missing_ok=True)
            os.close(self.descriptor)
            self.descriptor = None


@dataclass(frozen=True, slots=True)
class HolderSeen:
    """A living holder as another process sees it. `since` is Unix time."""

    pid: int
    command: str
    since: float


def try_lock(path: Path) -> int | None:
    """Take the lock and return its descriptor, or None while anyone else has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError as error:
        os.close(descriptor)
        raise Unavailable(
            f"The file system of {path.parent} cannot lock files ({error.strerror}). "
            "Put the data folder on a local disk, or set ASOE_DATABASE_URL to a PostgreSQL server.",
            code="embedded_no_locks",
            permanent=True,
        ) from error
    return descriptor


def is_locked(path: Path) -> bool:
    if not path.exists():
        return False
    descriptor = try_lock(path)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


@asynccontextmanager
async def alone(
    layout: Layout, *, activity: Callable[[], object], progress: Callable[[str], None]
) -> AsyncIterator[None]:
    """Only one process at a time creates, starts or stops the server of a data folder; the others wait here."""
    watch = Watch(activity)
    descriptor = try_lock(layout.start_lock)
    if descriptor is None:
        progress("Another process is starting or stopping PostgreSQL here; waiting for it.")
    while descriptor is None:
        if watch.is_stalled():
            raise Unavailable(
                f"Process {layout.start_lock.read_text() or '?'} has been starting or stopping the PostgreSQL of "
                f"{layout.root} for {watch.waited:.0f} s without progress. See {layout.log_file}; end that process, then try again.",
                code="embedded_busy",
                retry_after=10,
            )
        await asyncio.sleep(POLL_SECONDS)
        descriptor = try_lock(layout.start_lock)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        os.close(descriptor)


class Watch:
    """Tells waiting from hanging: stalled only when nothing at all has changed for `limit` seconds."""

    def __init__(
        self,
        activity: Callable[[], object],
        *,
        limit: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._activity, self._clock = activity, clock
        self._limit = STALL_SECONDS if limit is None else limit
        self._began = self._changed = clock()
        self._last = activity()

    @property
    def waited(self) -> float:
        return self._clock() - self._began

    def is_stalled(self) -> bool:
        now, seen = self._clock(), self._activity()
        if seen != self._last:
            self._last, self._changed = seen, now
        return now - self._changed > self._limit


def register(layout: Layout) -> Holder:
    """Hold the data folder. Call it while `alone`."""
    path = layout.holders / f"{os.getpid()}-{secrets.token_hex(4)}"
    descriptor = try_lock(path)
    assert descriptor is not None, "a new file of a random name is locked by nobody"
    layout.hand_to_owner(path)
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:2]]).strip()[:80]
    os.write(descriptor, json.dumps({"pid": os.getpid(), "command": command, "since": time.time()}).encode())
    return Holder(path=path, descriptor=descriptor)


def living_holders(layout: Layout) -> tuple[HolderSeen, ...]:
    """Who holds the data folder; files of the dead are removed. Call it while `alone`."""
    living: list[HolderSeen] = []
    for path in sorted(layout.holders.iterdir()) if layout.holders.is_dir() else []:
        if is_locked(path):
            living.append(_seen(path))
        else:
            path.unlink(missing_ok=True)
    return tuple(living)


def _seen(path: Path) -> HolderSeen:
    try:
        text = json.loads(path.read_text())
        return HolderSeen(pid=int(text["pid"]), command=str(text["command"]), since=float(text["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return HolderSeen(pid=int(path.name.partition("-")[0]), command="?", since=0.0)
