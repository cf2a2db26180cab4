"""The installation's secret key: a file in the data folder, readable by its owner only, made once.

The database remembers a fingerprint. A file that is lost after its first use is an error with a remedy, never a new key;
after a rotation the older keys still verify. What is signed or derived with it is the caller's business.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from asoe.domain.errors import Unavailable
from asoe.store import secret_key as store
from asoe.store.db import Connection

FILE: Final = "secret.key"
_BYTES: Final = 32
_HEADER: Final = (
    "# ASOE secret key. Keep it secret and in your backups. The first line is in use, those below it only verify."
)


@dataclass(frozen=True, slots=True)
class SecretKey:
    """`keys` newest first; only the first one signs."""

    keys: tuple[bytes, ...] = field(repr=False)

    @property
    def fingerprint(self) -> str:
        return _fingerprint(self.keys[0])

    def derive(self, purpose: str) -> bytes:
        """32 bytes for one purpose, from the key in use (HKDF, RFC 5869)."""
        return _derive(self.keys[0], purpose)

    def derive_all(self, purpose: str) -> tuple[bytes, ...]:
        """The same from every key, newest first: what was sealed before a rotation opens with a later one."""
        return tuple(_derive(key, purpose) for key in self.keys)

    def sign(self, purpose: str, message: bytes) -> str:
        """A signature fit for URLs (HMAC-SHA-256); one made for another purpose does not verify."""
        return _mac(self.derive(purpose), message)

    def verify(self, purpose: str, message: bytes, signature: str) -> bool:
        given = signature.encode("utf-8", "replace")
        wanted = [_mac(key, message).encode() for key in self.derive_all(purpose)]
        return any(hmac.compare_digest(given, expected) for expected in wanted)


async def open_secret_key(data_dir: Path, connection: Connection) -> SecretKey:
    """Read the key, or make it on the very first start.

    `connection` is any of asoe_app's or the owner's. Raises `Unavailable(secret_key_lost | secret_key_differs |
    secret_key_exposed | secret_key_damaged)`, each with its remedy.
    """
    path = data_dir / FILE
    known = await store.remembered(connection)
    made = False
    if not os.path.lexists(path):
        if known is not None:
            raise Unavailable(
                f"The secret key {path} is lost, and the database has used one already (fingerprint {known}). Copy "
                f"{FILE} from the machine that made it, or from its backup. If it is gone for good: as the database's "
                "owner empty the table asoe.secret_key_fingerprint; a new key is made then, and whatever was signed or "
                "sealed with the old one is void.",
                code="secret_key_lost",
                permanent=True,
            )
        made = _make(path)
    key = read_secret_key(path)
    claimed = await store.claim(connection, key.fingerprint, [_fingerprint(older) for older in key.keys[1:]])
    if claimed != key.fingerprint:
        if made:  # another machine was faster: ours has never been used
            path.unlink()
        raise Unavailable(
            f"{path} holds another secret key (fingerprint {key.fingerprint}) than the database knows ({claimed}). "
            f"Every machine needs the same file: copy {FILE} from the one that made or rotated it.",
            code="secret_key_differs",
            permanent=True,
        )
    return key


async def rotate_secret_key(data_dir: Path, connection: Connection) -> SecretKey:
    """Put a new key before the others. Copy the file to every other machine and restart them."""
    current = await open_secret_key(data_dir, connection)
    rotated = SecretKey((secrets.token_bytes(_BYTES), *current.keys))
    path = data_dir / FILE
    draft = _write_draft(path, rotated)
    # the file first: if we die in between, the next start finds the remembered key among the older ones and finishes
    draft.replace(path)
    _sync(data_dir)
    await store.claim(connection, rotated.fingerprint, [_fingerprint(older) for older in rotated.keys[1:]])
    return rotated


def read_secret_key(path: Path) -> SecretKey:
    """Read the file; raises `Unavailable` when others could have read it too, or when it is no key."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise Unavailable(
            f"The secret key {path} cannot be read ({error.strerror}). It must be a plain file of the account ASOE runs as.",
            code="secret_key_unreadable",
            permanent=True,
        ) from error
    with os.fdopen(descriptor, encoding="ascii", errors="replace") as file:
        mode = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(mode) or mode & 0o077:
            raise Unavailable(
                f"Other accounts of this machine may read the secret key {path} (mode {mode & 0o777:o}). "
                f"Run `chmod 600 {path}`, and rotate it if somebody may have.",
                code="secret_key_exposed",
                permanent=True,
            )
        lines = [line.strip() for line in file if line.strip() and not line.startswith("#")]
    try:
        keys = tuple(base64.b64decode(line, altchars=b"-_", validate=True) for line in lines)
    except (binascii.Error, ValueError):
        keys = ()
    if not keys or any(len(key) != _BYTES for key in keys):
        raise Unavailable(
            f"{path} is damaged: each line must be {_BYTES} bytes in base64. Restore it from a backup.",
            code="secret_key_damaged",
            permanent=True,
        )
    return SecretKey(keys)


def _make(path: Path) -> bool:
    """False when another process made the file first; both then read the same one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = _write_draft(path, SecretKey((secrets.token_bytes(_BYTES),)))
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    _sync(path.parent)
    return True


def _write_draft(path: Path, key: SecretKey) -> Path:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    lines = [_HEADER, *(base64.urlsafe_b64encode(one).decode() for one in key.keys)]
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return draft


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _derive(key: bytes, purpose: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"asoe {purpose}".encode()).derive(key)


def _fingerprint(key: bytes) -> str:
    return _derive(key, "fingerprint").hex()[:16]


def _mac(key: bytes, message: bytes) -> str:
    return base64.urlsafe_b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode().rstrip("=")
