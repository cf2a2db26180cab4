"""`asoe backup` and `asoe restore`."""

from __future__ import annotations

import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from asoe.cli.door import DataDir, Json, as_mapping, err, expect_installation, load, print_json, run, say
from asoe.config import Settings
from asoe.domain.errors import Invalid, Missing, Unavailable


def add_to(app: typer.Typer) -> None:
    app.command()(backup)
    app.command()(restore)


def backup(
    *,
    file: Annotated[Path, typer.Argument(help="File to write; it must not exist.")],
    with_secret_key: Annotated[
        bool, typer.Option("--with-secret-key", help="Put the secret key in; then keep the file as safe as the key.")
    ] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Write the whole installation into one file while it goes on serving."""
    report = run(_backup(load(data_dir=data_dir), file, with_key=with_secret_key))
    _print(report, file, as_json=as_json, verb="written")
    if not with_secret_key and not as_json:
        err.print(
            "[yellow]Without the secret key.[/] Keep a copy of secret.key (in the data folder) in another safe place, "
            "or use --with-secret-key."
        )


def restore(
    *,
    file: Annotated[Path, typer.Argument(help="A file that asoe backup wrote.")],
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Bring a backup into an empty installation, then to this release's schema. Never mixes, never overwrites."""
    settings = load(data_dir=data_dir)
    report = run(_restore(settings, file))
    _print(report, file, as_json=as_json, verb="restored")
    if not report.has_secret_key and not as_json:
        err.print(
            f"[yellow]The backup holds no secret key.[/] Copy yours to {settings.data_dir / 'secret.key'} before the start."
        )


@asynccontextmanager
async def _owner_url(settings: Settings) -> AsyncIterator[str]:
    """The owner's connection to a database that need not be migrated."""
    from asoe.store.embedded import close_embedded, open_embedded

    if not settings.is_embedded:
        if settings.database_url is None:
            raise Unavailable(
                "This takes the owner's connection: set ASOE_DATABASE_URL.", code="no_owner_url", permanent=True
            )
        yield settings.database_url
        return
    server = await open_embedded(settings.data_dir, progress=say)
    try:
        yield server.owner_dsn
    finally:
        await close_embedded(server)


async def _backup(settings: Settings, file: Path, *, with_key: bool) -> Any:
    from asoe.store.backup import back_up

    expect_installation(settings)
    key = settings.data_dir / "secret.key" if with_key else None
    if key is not None and not key.is_file():
        raise Missing(f"There is no secret key at {key}.", code="no_secret_key")
    async with _owner_url(settings) as url:
        return await back_up(url, file, secret_key=key, progress=say)


async def _restore(settings: Settings, file: Path) -> Any:
    from asoe.store import backup as store

    if not file.is_file():
        raise Missing(f"There is no file {file}.", code="no_file")
    if not tarfile.is_tarfile(file):
        raise Invalid(f"{file} is no backup of ASOE.", code="bad_backup")
    async with _owner_url(settings) as url:
        if not settings.is_embedded:
            from asoe.cli.migrate import make_roles

            await make_roles(settings, url)
        return await store.restore(url, file, data_dir=settings.data_dir, progress=say)


def _print(report: Any, file: Path, *, as_json: bool, verb: str) -> None:
    if as_json:
        print_json(as_mapping(report))
        return
    total = sum(report.rows.values())
    say(f"{verb}: {total} rows of {len(report.rows)} tables, {report.bytes / 1e6:.1f} MB, {file}")
    if report.migrated:
        say(f"{report.migrated} migrations brought it to this release.")
