"""What the database remembers of the secret key: a fingerprint, so that a lost key file is noticed. Never the key."""

from __future__ import annotations

from collections.abc import Sequence

from asoe.store.db import Connection
from asoe.store.queries import NamedQueries


class SecretKeySql(NamedQueries):
    remembered: str
    claim: str
    forget: str


async def remembered(connection: Connection) -> str | None:
    """The fingerprint of the key in use; None before its first use."""
    fingerprint: str | None = await connection.fetchval(SecretKeySql.remembered)
    return fingerprint


async def claim(connection: Connection, fingerprint: str, older: Sequence[str]) -> str:
    """Remember `fingerprint` if nothing, or one of `older`, is remembered; returns what is remembered then."""
    return str(await connection.fetchval(SecretKeySql.claim, fingerprint, list(older)))


async def forget(connection: Connection) -> None:
    """Give a lost key up (owner connection): the next start makes a new one, and what the old one sealed is void."""
    await connection.execute(SecretKeySql.forget)
