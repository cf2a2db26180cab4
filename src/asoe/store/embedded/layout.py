"""Where everything lies in a data folder, and to whom it belongs.

Only `cluster` and `socket` belong to the account PostgreSQL runs as; all else belongs to the owner of the data folder,
so that root never writes into a folder that a less privileged account could have prepared with links.
"""

from __future__ import annotations

import os
import secrets as random
from dataclasses import dataclass
from pathlib import Path

SUPERUSER = "postgres"
LOGIN_ROLES = ("asoe_app", "asoe_system")


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one data folder (`root` is absolute)."""

    root: Path

    @property
    def cluster(self) -> Path:
        return self.root / "cluster"

    @property
    def unfinished_cluster(self) -> Path:
        return self.root / "cluster.new"

    @property
    def first_password(self) -> Path:
        """Exists only while initdb reads it."""
        return self.root / ".first-password"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def config(self) -> Path:
        return self.root / "config"

    @property
    def socket(self) -> Path:
        return self.root / "socket"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def holders(self) -> Path:
        return self.run / "holders"

    @property
    def start_lock(self) -> Path:
        return self.run / "start.lock"

    @property
    def server_lock(self) -> Path:
        """Held by every process of the running server and by nobody else: the one truth about whether it lives."""
        return self.run / "server.lock"

    @property
    def endpoint(self) -> Path:
        return self.run / "endpoint.json"

    @property
    def prepared(self) -> Path:
        """Names the state of roles and database that this cluster has; written last."""
        return self.run / "prepared"

    @property
    def throwaway(self) -> Path:
        """Present when the cluster was made with fsync off."""
        return self.root / "THROWAWAY"

    @property
    def log_file(self) -> Path:
        return self.root / "log" / "postgres.log"

    def make_root(self) -> None:
        """As root the folder may be entered (not read) by PostgreSQL's own account."""
        if not self.root.exists():
            self.root.mkdir(parents=True, exist_ok=True)
            self.root.chmod(0o711 if os.geteuid() == 0 else 0o700)

    def make_rest(self) -> None:
        for folder, mode in (
            (self.secrets, 0o700),
            (self.run, 0o700),
            (self.holders, 0o700),
            (self.log_file.parent, 0o700),
            (self.config, 0o755),
        ):
            if not folder.exists():
                folder.mkdir(exist_ok=True)
                folder.chmod(mode)
                self.hand_to_owner(folder)
        for lock in (self.start_lock, self.server_lock):
            if not lock.exists():
                lock.touch(mode=0o600)
                self.hand_to_owner(lock)

    def hand_to_owner(self, path: Path) -> None:
        """What root makes in somebody's data folder belongs to that somebody."""
        if os.geteuid() == 0:
            owner = self.root.stat()
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)

    def write(self, path: Path, text: str, *, mode: int = 0o600) -> None:
        """Replace a file in one step, durably."""
        temporary = path.with_name(f".{path.name}.{random.token_hex(4)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        self.hand_to_owner(temporary)
        temporary.replace(path)
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
