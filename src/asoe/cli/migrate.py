"""`asoe migrate`: makes the roles and brings the schema to this release."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import unquote, urlsplit

import asyncpg
import typer

from asoe.cli.door import DataDir, Json, expect_installation, load, print_json, run, say
from asoe.config import Settings
from asoe.domain.errors import Unavailable


def add_to(app: typer.Typer) -> None:
    app.command()(migrate)


def migrate(
    *,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what would be applied.")] = False,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Make the roles, apply the missing migrations; several processes may do it at once. Embedded: `serve` does it by itself.

    Elsewhere ASOE_DATABASE_URL must be a role that may create roles; the passwords of asoe_app and asoe_system are set to
    those in ASOE_DATABASE_APP_URL and ASOE_DATABASE_SYSTEM_URL.
    """
    done = run(_migrate(load(data_dir=data_dir), plan=plan))
    if as_json:
        print_json([{"number": number, "name": name, "applied": not plan} for number, name in done])
    elif not done:
        say("Nothing to do: the schema is that of this release.")
    else:
        for number, name in done:
            say(f"{'pending' if plan else 'applied'}: {number} {name.replace('_', ' ')}")


async def _migrate(settings: Settings, *, plan: bool) -> list[tuple[int, str]]:
    from asoe.store.embedded import close_embedded, open_embedded

    if settings.is_embedded:
        if plan:
            expect_installation(settings)
        server = await open_embedded(settings.data_dir, progress=say)
        try:
            return await _apply(server.owner_dsn, plan=plan)
        finally:
            await close_embedded(server)
    if settings.database_url is None:
        raise Unavailable(
            "ASOE_DATABASE_APP_URL is set and ASOE_DATABASE_URL is not: migrating takes a connection that may create roles.",
            code="no_owner_url",
            permanent=True,
        )
    try:
        if not plan:
            await make_roles(settings, settings.database_url)
        return await _apply(settings.database_url, plan=plan)
    except asyncpg.InsufficientPrivilegeError as error:
        hint = getattr(error, "hint", None) or "Connect as a superuser, or as a role with CREATEROLE and BYPASSRLS."
        raise Unavailable(f"{error}. {hint}", code="may_not_migrate", permanent=True) from None
    except (
        OSError,
        TimeoutError,
        asyncpg.PostgresConnectionError,
        asyncpg.InvalidAuthorizationSpecificationError,
    ) as error:
        raise Unavailable(
            f"The database at ASOE_DATABASE_URL does not let us in ({error}).",
            code="database_unreachable",
            retry_after=5,
        ) from None


async def _apply(owner_url: str, *, plan: bool) -> list[tuple[int, str]]:
    from asoe.store import migrate as store

    found = await store.pending(owner_url) if plan else await store.migrate(owner_url, progress=say)
    return [(migration.number, migration.name) for migration in found]


async def make_roles(settings: Settings, owner_url: str) -> None:
    """Make the roles, with the passwords of the URLs that are set, and the extension."""
    from asoe.store.roles import ensure_roles

    passwords = {}
    for role, url in (("asoe_app", settings.database_app_url), ("asoe_system", settings.system_url)):
        parts = urlsplit(url or "")
        if parts.username == role and parts.password:
            passwords[role] = unquote(parts.password)
    connection = await asyncpg.connect(owner_url, timeout=10)
    try:
        await ensure_roles(connection, passwords=passwords)
        await connection.execute("create extension if not exists vector")
    finally:
        await connection.close()
