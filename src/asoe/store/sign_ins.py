"""Passwords and sign-ins. A sign-in is stored by the hash of its token; what a password must look like is the desk's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from asoe.domain.errors import Missing
from asoe.domain.organization import Principal
from asoe.store.db import Connection, Database
from asoe.store.organizations import as_owner
from asoe.store.queries import NamedQueries


class SignInsSql(NamedQueries):
    find_password: str
    find_person: str
    open: str
    find: str
    choose: str
    end_one: str
    end_all: str
    offer: str
    accept: str
    set_first_password: str
    own: str
    own_password: str
    set_own_password: str
    find_account: str
    set_password: str
    forget: str


@dataclass(frozen=True, slots=True)
class SignIn:
    """Who is signed in. `principal` is None until an organization is chosen in which the person may act."""

    id: UUID
    user_id: UUID
    email: str | None
    principal: Principal | None
    organization: str
    organizations: int


@dataclass(frozen=True, slots=True)
class OpenSignIn:
    """One of a person's sign-ins, as that person sees it; `agent` is what its browser called itself."""

    id: UUID
    agent: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Offer:
    """An invitation as its holder sees it; `may_set_password` when the account behind the address is new."""

    email: str
    role: str
    organization: str
    is_open: bool
    may_set_password: bool


async def find_password(database: Database, email: str) -> tuple[UUID, str] | None:
    """The account of an address and the hash of its password; None without account, membership or password."""
    async with database.system_transaction("sign_in") as connection:
        row = await connection.fetchrow(SignInsSql.find_password, email)
    return None if row is None else (row["user_id"], row["hash"])


async def find_person(database: Database, email: str) -> UUID | None:
    """The account of an address that was proven elsewhere; None when nobody with it may act anywhere here."""
    async with database.system_transaction("sign_in") as connection:
        found: UUID | None = await connection.fetchval(SignInsSql.find_person, email)
    return found


async def open_sign_in(
    database: Database, user_id: UUID, *, token_hash: bytes, agent: str, at: datetime, until: datetime
) -> None:
    async with database.system_transaction("sign_in") as connection:
        await connection.execute(SignInsSql.open, user_id, token_hash, agent, at, until)


async def find(
    database: Database, token_hashes: Iterable[bytes], *, at: datetime, idle: timedelta
) -> dict[bytes, SignIn]:
    """The sign-ins with their roles as the database has them now; those that ended, expired or were idle for too long are left out."""
    wanted = sorted(set(token_hashes))  # always in one order: that they were seen is written
    async with database.system_statement("sign_in") as connection:
        rows = await connection.fetch(SignInsSql.find, wanted, at, idle)
    return {row["token_hash"]: _sign_in(row) for row in rows}


def _sign_in(row: Any) -> SignIn:
    principal = None
    if row["role"] is not None and row["suspended_at"] is None:
        principal = Principal(row["user_id"], row["org_id"], row["role"], row["name"])
    return SignIn(row["id"], row["user_id"], row["email"], principal, row["org_name"] or "", row["organizations"])


async def choose(database: Database, token_hash: bytes, org_id: UUID) -> bool:
    """False when the person may not act in that organization."""
    async with database.system_transaction("sign_in") as connection:
        return bool(await connection.fetchval(SignInsSql.choose, token_hash, org_id))


async def end_one(database: Database, token_hash: bytes) -> None:
    async with database.system_transaction("sign_in") as connection:
        await connection.execute(SignInsSql.end_one, token_hash)


async def end_all(database: Database, user_id: UUID, *, but: bytes | None = None) -> int:
    """End a person's sign-ins, `but` one; returns how many."""
    async with database.system_transaction("sign_in") as connection:
        return int(await connection.fetchval(SignInsSql.end_all, user_id, but))


async def offer(database: Database, invitation_hash: bytes) -> Offer | None:
    async with database.system_transaction("invitation") as connection:
        row = await connection.fetchrow(SignInsSql.offer, invitation_hash)
    return None if row is None else Offer(**dict(row))


async def accept(database: Database, invitation_hash: bytes, name: str, password_hash: str) -> tuple[UUID, UUID] | None:
    """Accept an invitation with the account's first password: (user, organization), or None and nothing happened."""
    async with database.system_transaction("invitation") as connection:
        row = await connection.fetchrow(SignInsSql.accept, invitation_hash, name)
        if row is None:
            return None
        if not await connection.fetchval(SignInsSql.set_first_password, invitation_hash, password_hash):
            raise Missing("This address has a password already. Sign in with it.", code="password_there")
        return row["user_id"], row["org_id"]


async def own(connection: Connection, user_id: UUID, *, at: datetime) -> list[OpenSignIn]:
    return [OpenSignIn(**dict(row)) for row in await connection.fetch(SignInsSql.own, user_id, at)]


async def own_password(connection: Connection) -> str | None:
    found: str | None = await connection.fetchval(SignInsSql.own_password)
    return found


async def set_own_password(connection: Connection, password_hash: str) -> None:
    await connection.execute(SignInsSql.set_own_password, password_hash)


async def set_password(owner_url: str, email: str, password_hash: str) -> None:
    """As the owner connection: give a person a password and end its sign-ins; raises `Missing(no_member)`."""
    async with as_owner(owner_url) as connection:
        account = await connection.fetchval(SignInsSql.find_account, email)
        if account is None:
            raise Missing(f"{email} is no member of any organization here.", code="no_member")
        await connection.execute(SignInsSql.set_password, account, password_hash)
        await connection.execute(SignInsSql.forget, account)
