"""What is to be said about a data folder, in words an operator can act on. Reads only; it neither starts nor stops anything."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from asoe.domain.errors import AsoeError
from asoe.store.embedded import process
from asoe.store.embedded.binaries import MAJOR, bin_folder
from asoe.store.embedded.layout import LOGIN_ROLES, SUPERUSER, Layout
from asoe.store.embedded.locks import HolderSeen, is_locked, living_holders, try_lock

_LOW_SPACE = 1 << 30


@dataclass(frozen=True, slots=True)
class EmbeddedStatus:
    """State of one data folder. `version` is that of the programs, `size_bytes` that of the cluster's files."""

    data_dir: Path
    exists: bool
    is_running: bool
    is_busy: bool
    pid: int | None
    holders: tuple[HolderSeen, ...]
    version: str | None
    size_bytes: int
    log_file: Path
    problems: tuple[str, ...]


def embedded_status(data_dir: Path) -> EmbeddedStatus:
    """Look at the data folder. `is_busy`: some process is starting or stopping the server right now."""
    layout = Layout(root=data_dir.expanduser().absolute().resolve())
    problems: list[str] = []
    version = _version(problems)
    try:
        exists = (layout.cluster / "PG_VERSION").exists()
        is_busy, is_running, pid, holders = _processes(layout)
        if exists:
            _look_into(layout, problems)
        _compare(layout, problems, is_busy=is_busy, is_running=is_running, has_holders=bool(holders))
        size = _size(layout.cluster)
    except PermissionError as error:
        exists, is_busy, is_running, pid, holders, size = layout.root.exists(), False, False, None, (), 0
        problems.append(
            f"{error.filename or layout.root} may not be read by this user. Run this as the owner of {layout.root}, or as root."
        )
    return EmbeddedStatus(
        data_dir=layout.root,
        exists=exists,
        is_running=is_running,
        is_busy=is_busy,
        pid=pid,
        holders=holders,
        version=version,
        size_bytes=size,
        log_file=layout.log_file,
        problems=tuple(problems),
    )


def _size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # PostgreSQL removes files while we look
                total += (Path(place) / name).lstat().st_size
    return total


def _version(problems: list[str]) -> str | None:
    try:
        said = subprocess.run([bin_folder() / "postgres", "--version"], capture_output=True, text=True, check=False)
    except AsoeError as error:
        problems.append(error.message)
        return None
    except OSError as error:
        problems.append(f"PostgreSQL's programs cannot be run ({error}). Install asoe again.")
        return None
    return said.stdout.strip().rpartition(" ")[2] or None


def _processes(layout: Layout) -> tuple[bool, bool, int | None, tuple[HolderSeen, ...]]:
    if not layout.run.is_dir():
        return False, False, None, ()
    descriptor = try_lock(layout.start_lock)
    if descriptor is None:
        return True, process.is_alive(layout), process.postmaster_pid(layout), ()
    try:
        return False, process.is_alive(layout), process.postmaster_pid(layout), living_holders(layout)
    finally:
        os.close(descriptor)


def _look_into(layout: Layout, problems: list[str]) -> None:
    written_by = (layout.cluster / "PG_VERSION").read_text(encoding="ascii").strip()
    if written_by != str(MAJOR):
        problems.append(
            f"The files were written by PostgreSQL {written_by}, this ASOE brings {MAJOR}: back up with the ASOE that wrote them and restore here."
        )
    for role in (SUPERUSER, *LOGIN_ROLES):
        path = layout.secrets / role
        if not path.exists():
            problems.append(f"The database password {path} is gone: put it back from a backup of the data folder.")
        elif path.stat().st_mode & 0o077:
            problems.append(f"The database password {path} can be read by others: chmod 600 {path}")
    free = shutil.disk_usage(layout.root).free
    if free < _LOW_SPACE:
        problems.append(
            f"Only {free >> 20} MB are free on the disk of {layout.root}: PostgreSQL stops when it is full."
        )
    if layout.throwaway.exists():
        problems.append(f"{layout.root} was made for tests (fsync off) and can lose data: use another data folder.")


def _compare(layout: Layout, problems: list[str], *, is_busy: bool, is_running: bool, has_holders: bool) -> None:
    if is_busy:
        return
    if is_running and not has_holders:
        problems.append(
            "PostgreSQL runs, but every process that used it ended without closing it. No data is lost: "
            "the next asoe command uses it and stops it at its end."
        )
    if is_running and not is_locked(layout.server_lock):
        problems.append("PostgreSQL was started by hand in this folder: stop it, asoe starts its own.")
    if not is_running and (layout.cluster / "postmaster.pid").exists():
        problems.append("PostgreSQL ended without a shutdown (a crash or a kill). The next start repairs it by itself.")
    if not is_running and has_holders:
        problems.append(f"PostgreSQL is down although asoe processes use it: restart them. Its log: {layout.log_file}")
