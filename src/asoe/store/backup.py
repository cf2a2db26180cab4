"""Backup and restore of a whole installation in one file: schema, rows, policies and grants, as pg_dump sees them.

The file is a tar: `manifest.json` (versions, migrations, rows per table), `database.dump`, and `secret.key` when asked for.
Both directions act as the owner of the schema, so that nothing is left out and nothing changes hands.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from asoe.domain.errors import AsoeError, Conflict, Invalid, Unavailable
from asoe.store import installation
from asoe.store.db import Connection
from asoe.store.embedded import bin_folder
from asoe.store.migrate import all_migrations, migrate
from asoe.store.queries import NamedQueries
from asoe.store.roles import owner_of_schema

FORMAT: Final = 1
_MANIFEST, _DUMP, _KEY = "manifest.json", "database.dump", "secret.key"


class BackupSql(NamedQueries):
    snapshot: str
    tables: str
    is_ours: str
    sessions: str
    is_migrated: str
    migrations: str
    settle_facts: str
    clear: str


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What is in a backup, or was restored from it. `rows` by table."""

    created_at: datetime
    version: str
    rows: dict[str, int]
    has_secret_key: bool
    bytes: int = 0
    migrated: int = 0


async def back_up(
    owner_url: str, file: Path, *, secret_key: Path | None = None, progress: Callable[[str], None]
) -> BackupReport:
    """Write everything into `file` while the service goes on; all of it as of one moment."""
    if file.exists():
        raise Conflict(f"{file} exists already. Name another file; backups are never overwritten.", code="file_exists")
    with tempfile.TemporaryDirectory(prefix=".asoe-backup-", dir=_folder_of(file)) as folder:
        dump = Path(folder) / _DUMP
        async with installation.as_owner(owner_url) as connection:
            if not await connection.fetchval(BackupSql.is_ours):
                raise Unavailable(
                    "The accounts of this database belong to a platform (Supabase), and so does its backup: use that one.",
                    code="not_ours_to_back_up",
                    permanent=True,
                )
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                snapshot = await connection.fetchval(BackupSql.snapshot)
                owner = await owner_of_schema(connection)
                progress("Writing the database")
                await _program(
                    "pg_dump",
                    owner_url,
                    ["--format=custom", f"--role={owner}", f"--snapshot={snapshot}", f"--file={dump}", *_schemas()],
                )
                progress("Counting rows")
                rows = await _count(connection)
                numbers = [row["number"] for row in await connection.fetch(BackupSql.migrations)]
        report = BackupReport(datetime.now(UTC), metadata.version("asoe"), rows, secret_key is not None)
        manifest = {
            "format": FORMAT,
            "created_at": report.created_at.isoformat(),
            "version": report.version,
            "migrations": numbers,
            "rows": rows,
        }
        draft = Path(folder) / "backup"
        await asyncio.to_thread(_pack, draft, manifest, dump, secret_key)
        draft.replace(file)
        return BackupReport(report.created_at, report.version, rows, report.has_secret_key, file.stat().st_size)


async def restore(owner_url: str, file: Path, *, data_dir: Path, progress: Callable[[str], None]) -> BackupReport:
    """Bring a backup into an empty installation and to this release's schema; all or nothing of its rows.

    Raises `Conflict(not_empty | in_use)`, `Invalid(bad_backup)`; a secret key in the backup is put into `data_dir`.
    """
    with tempfile.TemporaryDirectory(prefix="asoe-restore-") as folder:
        manifest = await asyncio.to_thread(_unpack, file, Path(folder))
        async with installation.as_owner(owner_url) as connection:
            owner = await owner_of_schema(connection)
            await _make_room(connection)
        progress("Restoring the database")
        dump = Path(folder) / _DUMP
        listed = await _program("pg_restore", None, ["--list", str(dump)])
        chosen = Path(folder) / "list"
        # the extension and the schema public are the server's: they are there already
        kept = [line for line in listed.splitlines() if " EXTENSION " not in line and " SCHEMA - public " not in line]
        chosen.write_text("\n".join(kept) + "\n", encoding="utf-8")
        arguments = ["--exit-on-error", "--single-transaction", f"--role={owner}", f"--use-list={chosen}"]
        await _program("pg_restore", owner_url, [*arguments, str(dump)])
        progress("Comparing rows")
        async with installation.as_owner(owner_url) as connection:
            rows = await _count(connection)
            await connection.execute(BackupSql.settle_facts)
            await connection.execute("analyze")
        _compare(manifest["rows"], rows)
        done = await migrate(owner_url, progress=progress)
        key = Path(folder) / _KEY
        if key.exists():
            _put_key(key, data_dir / _KEY)
        return BackupReport(
            datetime.fromisoformat(manifest["created_at"]),
            manifest["version"],
            rows,
            key.exists(),
            file.stat().st_size,
            len(done),
        )


def program(name: str) -> Path:
    """A program of PostgreSQL: the embedded one, otherwise that on the PATH."""
    try:
        return bin_folder() / name
    except AsoeError:
        found = shutil.which(name)
        if found is None:
            raise Unavailable(
                f"{name} is not installed. Install PostgreSQL's client programs (Debian: postgresql-client).",
                code="no_client_programs",
                permanent=True,
            ) from None
        return Path(found)


async def _make_room(connection: Connection) -> None:
    if await connection.fetchval(BackupSql.sessions):
        raise Conflict("API or worker processes use this database. Stop them, then restore.", code="in_use")
    if await connection.fetchval(BackupSql.is_migrated):
        if not await installation.is_empty(connection):
            raise Conflict(
                "This installation has organizations already, and a restore never mixes. Restore into an empty one: "
                "another data folder, or a new database.",
                code="not_empty",
            )
        async with connection.transaction():
            await connection.execute(BackupSql.clear)


async def _count(connection: Connection) -> dict[str, int]:
    names = [row["name"] for row in await connection.fetch(BackupSql.tables)]
    # names come quoted from the catalog
    return {name: await connection.fetchval(f"select count(*) from {name}") for name in names}  # noqa: S608


def _compare(wanted: dict[str, int], found: dict[str, int]) -> None:
    wrong = [f"{name} {found.get(name, 0)} of {rows}" for name, rows in wanted.items() if found.get(name) != rows]
    if wrong:
        raise Invalid(
            f"The backup is incomplete, do not use what was restored: {', '.join(wrong)} rows.", code="bad_backup"
        )


async def _program(name: str, url: str | None, arguments: Sequence[str]) -> str:
    """Run a program of PostgreSQL; the password goes through the environment, where other accounts cannot read it."""
    environment = dict(os.environ)
    target: list[str] = []
    if url is not None:
        parts = urlsplit(url)
        if parts.password:
            environment["PGPASSWORD"] = unquote(parts.password)
        user = f"{quote(parts.username, safe='')}@" if parts.username else ""
        target = [f"--dbname={urlunsplit(parts._replace(netloc=user + parts.netloc.rpartition('@')[2]))}"]
    process = await asyncio.create_subprocess_exec(
        program(name),
        *target,
        *arguments,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complained = await process.communicate()
    if process.returncode:
        raise Unavailable(
            f"{name} failed: {complained.decode(errors='replace').strip()[-1500:]}",
            code=f"{name}_failed",
            permanent=True,
        )
    return said.decode()


def _schemas() -> list[str]:
    return [f"--schema={name}" for name in ("public", "asoe", "queue", "auth")]


def _folder_of(file: Path) -> Path:
    folder = file.absolute().parent
    if not folder.is_dir():
        raise Invalid(f"There is no folder {folder}.", code="no_folder")
    return folder


def _pack(draft: Path, manifest: dict[str, Any], dump: Path, secret_key: Path | None) -> None:
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as raw:
        with tarfile.open(fileobj=raw, mode="w") as tar:
            text = json.dumps(manifest, indent=2).encode()
            entry = tarfile.TarInfo(_MANIFEST)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))
            tar.add(dump, arcname=_DUMP)
            if secret_key is not None:
                tar.add(secret_key, arcname=_KEY)
        raw.flush()
        os.fsync(raw.fileno())


def _unpack(file: Path, folder: Path) -> dict[str, Any]:
    try:
        with tarfile.open(file) as tar:
            names = set(tar.getnames())
            for name in (_MANIFEST, _DUMP, *({_KEY} & names)):
                _take(tar, name, folder / name)
        manifest: dict[str, Any] = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    except (OSError, tarfile.TarError, KeyError, ValueError) as error:
        raise Invalid(f"{file} is no backup of ASOE ({error}).", code="bad_backup") from None
    known = {migration.number for migration in all_migrations()}
    if manifest.get("format") != FORMAT or not set(manifest["migrations"]) <= known:
        raise Invalid(
            f"{file} was written by a newer ASOE ({manifest.get('version')}). Install that release, then restore.",
            code="backup_newer",
        )
    return manifest


def _take(tar: tarfile.TarFile, name: str, place: Path) -> None:
    source = tar.extractfile(name)
    if source is None:
        raise KeyError(name)
    with source, place.open("wb") as target:
        shutil.copyfileobj(source, target)


def _put_key(key: Path, place: Path) -> None:
    """The key that belongs to the restored rows; one that was there is kept beside it."""
    if place.exists():
        place.replace(place.with_name(f"{place.name}.before-restore"))
    place.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.read_bytes())
