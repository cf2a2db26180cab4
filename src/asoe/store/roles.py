"""Makes the database roles of ASOE and sets their passwords, on the embedded PostgreSQL and on any other alike."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

_ROLES = files("asoe.store").joinpath("roles.sql").read_text(encoding="utf-8")


async def ensure_roles(connection: Any, *, passwords: Mapping[str, str] | None = None) -> None:
    """Create the missing roles and set the given passwords (role to password), in one transaction.

    `connection` is asyncpg's, as a superuser or a role that may create roles. Raises asyncpg.InsufficientPrivilegeError
    with the role and the remedy in its message and hint.
    """
    async with connection.transaction():
        await connection.execute(_ROLES)
        for role, password in (passwords or {}).items():
            await set_password(connection, role, password=password)


async def set_password(connection: Any, role: str, *, password: str) -> None:
    """ALTER ROLE takes no parameters, so the server itself quotes name and literal."""
    statement = await connection.fetchval(
        "select format('alter role %I password %L', $1::text, $2::text)", role, password
    )
    await connection.execute(statement)
