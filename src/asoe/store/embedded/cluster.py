"""Makes the cluster on disk, its passwords and its configuration. Starting it is process.py's job."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Literal

from asoe.domain.errors import Conflict, Unavailable
from asoe.store.embedded.account import Account
from asoe.store.embedded.binaries import MAJOR
from asoe.store.embedded.layout import SUPERUSER, Layout, sync_folder

Durability = Literal["full", "test"]

_SOCKET_NAME = "/.s.PGSQL.65535"
_LONGEST_SOCKET = 103  # bytes of sun_path without its end: 107 on Linux, 103 on macOS
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-")
_MIB = 1 << 20
# The built-in locale sorts by code point and never changes under an index; full text additionally needs a C library
# locale that knows what a letter is. Not every system has the first one.
_CHARACTER_TYPES = ("C.UTF-8", "en_US.UTF-8", "UTF-8", "C")


def check_version(layout: Layout) -> None:
    version = (layout.cluster / "PG_VERSION").read_text(encoding="ascii").strip()
    if version != str(MAJOR):
        raise Unavailable(
            f"{layout.cluster} was written by PostgreSQL {version}; this ASOE brings PostgreSQL {MAJOR}. "
            "Make a backup with the ASOE that wrote it (asoe backup), and restore it here into a new data folder.",
            code="embedded_version_differs",
            permanent=True,
        )


def check_durability(layout: Layout, durability: Durability) -> None:
    made_for: Durability = "test" if layout.throwaway.exists() else "full"
    if durability != made_for:
        raise Conflict(
            f"{layout.root} was made with durability '{made_for}' and cannot be opened with '{durability}'. "
            f"Open it with '{made_for}', or choose another data folder.",
            code="embedded_durability_differs",
        )


def create_cluster(layout: Layout, account: Account, programs: Path, *, durability: Durability) -> None:
    """Run initdb beside the final place and rename: an interrupted creation leaves nothing that looks finished."""
    layout.prepared.unlink(missing_ok=True)
    if durability == "test":
        layout.write(layout.throwaway, "Made with fsync off, for tests. Never keep anything here.\n")
    else:
        layout.throwaway.unlink(missing_ok=True)
    superuser_password = make_password(layout, SUPERUSER)
    shutil.rmtree(layout.unfinished_cluster, ignore_errors=True)
    layout.unfinished_cluster.mkdir(mode=0o700)
    account.give(layout.unfinished_cluster)
    try:
        layout.write(layout.first_password, superuser_password)
        account.give(layout.first_password)
        _initdb(layout, account, programs, durability=durability)
    finally:
        layout.first_password.unlink(missing_ok=True)
    layout.unfinished_cluster.rename(layout.cluster)
    sync_folder(layout.root)


def _initdb(layout: Layout, account: Account, programs: Path, *, durability: Durability) -> None:
    command = [str(programs / "initdb"), f"--pgdata={layout.unfinished_cluster}", f"--username={SUPERUSER}"]
    command += [f"--pwfile={layout.first_password}", "--auth=scram-sha-256", "--encoding=UTF8", "--no-instructions"]
    command += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    if durability == "test":
        command.append("--no-sync")
    said = ""
    for character_type in _CHARACTER_TYPES:
        done = subprocess.run(
            [*command, f"--lc-ctype={character_type}"],
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            **account.switch(),
        )
        if done.returncode == 0:
            return
        said = (done.stderr or done.stdout).strip()
        if "invalid locale" not in said:
            break
    raise Unavailable(
        f"PostgreSQL could not create its files in {layout.unfinished_cluster}: {said[-600:]}. "
        "Check the free space and the rights of the data folder, then try again.",
        code="embedded_not_created",
        permanent=True,
    )


def make_password(layout: Layout, role: str) -> str:
    """The password of `role`, made when there is none."""
    if not (layout.secrets / role).exists():
        layout.write(layout.secrets / role, secrets.token_urlsafe(32))
    return read_password(layout, role)


def read_password(layout: Layout, role: str) -> str:
    path = layout.secrets / role
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError as error:
        raise Unavailable(
            f"The database password {path} is gone. Put it back from a backup of the data folder "
            f"(or move {layout.root} away and restore the latest asoe backup into a new one).",
            code="embedded_password_missing",
            permanent=True,
        ) from error


def socket_folder(layout: Layout, account: Account, remembered: Path | None) -> Path:
    """Where the socket goes: the data folder when its path is short and plain, otherwise a private folder of a random name."""
    if _is_short(layout.socket) and set(str(layout.socket)) <= _PLAIN:
        if not layout.socket.exists():
            layout.socket.mkdir(mode=0o700)
            account.give(layout.socket)
        return layout.socket
    if remembered is not None and _is_private(remembered, account):
        return remembered
    candidates = ["/run"] if account.is_other else []
    for parent in [*candidates, tempfile.gettempdir(), "/tmp"]:  # noqa: S108 - the folder made inside has a random name and is closed to others
        if _is_short(Path(parent) / "asoe-12345678") and os.access(parent, os.W_OK) and account.can("-x", Path(parent)):
            folder = Path(tempfile.mkdtemp(prefix="asoe-", dir=parent))
            account.give(folder)
            return folder
    raise Unavailable(
        f"No folder with a path short enough for PostgreSQL's socket: {layout.socket} is longer than "
        f"{_LONGEST_SOCKET - len(_SOCKET_NAME)} bytes, and {tempfile.gettempdir()} cannot be used. "
        "Choose a data folder with a shorter path, or set TMPDIR to a short path that can be written.",
        code="embedded_no_socket_folder",
        permanent=True,
    )


def _is_short(folder: Path) -> bool:
    return len(os.fsencode(folder)) + len(_SOCKET_NAME) <= _LONGEST_SOCKET


def _is_private(folder: Path, account: Account) -> bool:
    """Temporary folders are open to everyone: take back only one that is still ours and closed to others."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return folder.is_dir() and not folder.is_symlink() and found.st_uid == account.uid and not found.st_mode & 0o077


def write_configuration(
    layout: Layout, *, socket_dir: Path, port: int, listens: bool, durability: Durability
) -> list[str]:
    """Write postgresql.conf and pg_hba.conf; returns the options that make the server read them."""
    memory = _memory_bytes()
    settings: dict[str, str | int] = {
        "listen_addresses": "127.0.0.1" if listens else "",
        "port": port,
        "unix_socket_directories": str(socket_dir),
        "unix_socket_permissions": "0700",
        "password_encryption": "scram-sha-256",
        "max_connections": 100,
        "shared_buffers": f"{min(256, max(16, memory // 8 // _MIB))}MB",
        "effective_cache_size": f"{max(64, memory // 2 // _MIB)}MB",
        "work_mem": "8MB",
        "maintenance_work_mem": f"{min(128, max(16, memory // 16 // _MIB))}MB",
        "max_wal_size": "1GB",
        "random_page_cost": "1.1",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "lc_messages": "C",
        # The log is for operators: no statement, no detail, no error of a client, hence no client's text.
        "log_min_messages": "log",
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
        "log_parameter_max_length": 0,
        "log_parameter_max_length_on_error": 0,
        "log_checkpoints": "off",
        "log_startup_progress_interval": "2s",
        "log_line_prefix": "%m [%p] ",
    }
    if _shared_memory_is_small():
        # Containers give /dev/shm 64 MB; a parallel plan that asks for more fails.
        settings |= {"max_parallel_workers_per_gather": 0, "max_parallel_maintenance_workers": 0}
    switch = "on" if durability == "full" else "off"
    settings |= {"fsync": switch, "synchronous_commit": switch, "full_page_writes": switch}
    lines = [f"{name} = '{str(value).replace(chr(39), chr(39) * 2)}'" for name, value in settings.items()]
    file, access = layout.config / "postgresql.conf", layout.config / "pg_hba.conf"
    layout.write(
        file, "# Written by ASOE at every start; changes here are lost.\n" + "\n".join(lines) + "\n", mode=0o644
    )
    layout.write(access, _access_rules(), mode=0o644)
    return ["-c", f"config_file={file}", "-c", f"hba_file={access}"]


def _access_rules() -> str:
    return "\n".join(
        (
            "# Written by ASOE at every start; changes here are lost.",
            "local all all scram-sha-256",
            f"local replication {SUPERUSER} scram-sha-256",
            f"host all {SUPERUSER} all reject",
            "host all all 127.0.0.1/32 scram-sha-256",
            "",
        )
    )


def _memory_bytes() -> int:
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(physical, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    except (OSError, ValueError):
        return physical


def _shared_memory_is_small() -> bool:
    try:
        found = os.statvfs("/dev/shm")  # noqa: S108 - only its size is read
    except OSError:
        return False
    return found.f_blocks * found.f_frsize < 256 * _MIB
