"""Links for forgotten passwords, by the hash of their token. Who is sent one and how long it lasts is the desk's."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from asoe.store.db import Database
from asoe.store.queries import NamedQueries


class PasswordResetsSql(NamedQueries):
    ask: str
    read: str
    use: str


async def ask(
    database: Database, address: str, token_hash: bytes, *, at: datetime, until: datetime, since: datetime, most: int
) -> tuple[str, str] | None:
    """Keep a link for this address; (address, name) to mail it to, None when nobody may be sent one."""
    async with database.system_transaction("sign_in") as connection:
        row = await connection.fetchrow(PasswordResetsSql.ask, address, token_hash, at, until, since, most)
    return None if row is None else (row["email"], row["name"])


async def read(database: Database, token_hash: bytes, *, at: datetime) -> str | None:
    """The address whose password a link may set; None when there is no such link, it was used, or is over."""
    async with database.system_transaction("sign_in") as connection:
        found: str | None = await connection.fetchval(PasswordResetsSql.read, token_hash, at)
    return found


async def use(database: Database, token_hash: bytes, password_hash: str, *, at: datetime) -> UUID | None:
    """Set the password and end every sign-in and every other link of the person; None and nothing happened."""
    async with database.system_transaction("sign_in") as connection:
        found: UUID | None = await connection.fetchval(PasswordResetsSql.use, token_hash, password_hash, at)
    return found
