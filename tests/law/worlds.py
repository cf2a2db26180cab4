"""One world per module for the laws that leave it as it was: Acme and Globex with rows in every table, and odd members of Acme."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import asyncpg
import pytest
from catalog import ForeignKey, Table, fill, foreign_keys, tenant_tables

from asoe.domain.organization import Principal
from asoe.store.embedded import EmbeddedServer
from cast import TEMPLATE, Dsns, Org, make_org

SECRET = "globexsecret"


@dataclass(frozen=True, slots=True)
class World:
    """`owner` and `app` are open connections; `outcast` is disabled in Acme, `stranger` lost its row in user_organizations."""

    dsns: Dsns
    owner: Any
    app: Any
    acme: Org
    globex: Org
    tables: list[Table]
    keys: list[ForeignKey]
    outcast: UUID
    stranger: UUID
    both: UUID

    async def one(self, sql: str, org: Org) -> Any:
        """One value of an organization, read by the owner; $1 is its id."""
        return await self.owner.fetchval(sql, org.org_id)


def at(dsn: str, database: str) -> str:
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{database}"))


@asynccontextmanager
async def new_database(server: EmbeddedServer, *, template: str | None = TEMPLATE) -> AsyncIterator[Dsns]:
    """A database of its own: a clone of the migrated one, or an empty one."""
    name = f"law_{uuid4().hex[:12]}"
    admin = await asyncpg.connect(at(server.superuser_dsn, "postgres"))
    try:
        source = f"template {template} strategy file_copy" if template else ""
        await admin.execute(f"create database {name} {source} owner asoe_owner")
        yield Dsns(*(at(dsn, name) for dsn in (server.owner_dsn, server.app_dsn, server.system_dsn)))
        await admin.execute(f"drop database {name} with (force)")
    finally:
        await admin.close()


@asynccontextmanager
async def claiming(
    connection: Any, claims: dict[str, Any] | str | None, role: str | None = None
) -> AsyncIterator[None]:
    """A transaction with these claims, rolled back at its end."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        if role is not None:
            await connection.execute(f"set local role {role}")
        if claims is not None:
            text = claims if isinstance(claims, str) else json.dumps(claims)
            await connection.execute("select set_config('request.jwt.claims', $1, true)", text)
        yield
    finally:
        await transaction.rollback()


def claims_of(principal: Principal) -> dict[str, str]:
    return {"sub": str(principal.user_id), "org_id": str(principal.org_id), "role": "authenticated"}


@asynccontextmanager
async def attempt(connection: Any) -> AsyncIterator[None]:
    """A savepoint that is always rolled back, so that the next attempt finds the same state."""
    savepoint = connection.transaction()
    await savepoint.start()
    try:
        yield
    finally:
        await savepoint.rollback()


async def open_ticket(connection: Any, org: Org, user: UUID, body: str) -> UUID:
    """A ticket with a session, a message and an internal note."""
    ticket = await connection.fetchval(
        "insert into public.support_tickets (org_id, user_id, category, body, subject) values ($1, $2, 'billing', $3, $3) returning id",
        org.org_id, user, body,
    )  # fmt: skip
    session = await connection.fetchval(
        "insert into public.support_sessions (ticket_id) values ($1) returning id", ticket
    )
    await connection.executemany(
        "insert into asoe.session_messages (org_id, session_id, ticket_id, seq, role, content, author, is_internal)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8)",
        [
            (org.org_id, session, ticket, 1, "user", body, user, False),
            (org.org_id, session, ticket, 2, "agent", f"note on {body}", org.agent.user_id, True),
        ],
    )
    return ticket


async def grant_credits(connection: Any, org: Org) -> None:
    """A posting that adds up: the ledger takes no other."""
    async with connection.transaction():
        for kind, client in (("issued", ""), ("client", "abc")):
            await connection.execute(
                "insert into asoe.credit_accounts (org_id, kind, client) values ($1, $2, $3)", org.org_id, kind, client
            )
        await connection.execute(
            """
            with posting as (
              insert into asoe.credit_postings (org_id, kind, key, client, amount) values ($1, 'grant', 'abc', 'abc', 5) returning id)
            insert into asoe.credit_entries (org_id, posting_id, account_id, amount)
            select $1, posting.id, a.id, case a.kind when 'issued' then -5 else 5 end
            from posting, asoe.credit_accounts a where a.org_id = $1
            """,
            org.org_id,
        )


async def fill_organization(connection: Any, org: Org, tables: list[Table], keys: list[ForeignKey], word: str) -> None:
    """Rows in every table: two tickets with their sessions, and whatever the catalog asks for."""
    await open_ticket(connection, org, org.agent.user_id, f"{word} of staff")
    await open_ticket(connection, org, org.client.user_id, f"{word} of Ana")
    await grant_credits(connection, org)
    left = [table for table in tables if not table.is_partition]
    while left:
        names = {table.name for table in left}
        ready = [t for t in left if not {k.other for k in keys if k.table == t.name and k.other != t.name} & names]
        for table in ready:
            if not await connection.fetchval(
                f"select exists (select from {table.name} where {table.of_org})", org.org_id
            ):
                await fill(connection, table, org.org_id, keys)
        left = [table for table in left if table not in ready]


@pytest.fixture(scope="module")
async def world(server: EmbeddedServer) -> AsyncIterator[World]:
    async with new_database(server) as dsns:
        acme, globex = await make_org(dsns.owner, "acme"), await make_org(dsns.owner, "globex")
        owner, app = await asyncpg.connect(dsns.owner), await asyncpg.connect(dsns.app)
        tables, keys = await tenant_tables(owner, partitions=True), await foreign_keys(owner)
        await fill_organization(owner, acme, tables, keys, "acmeword")
        await fill_organization(owner, globex, tables, keys, SECRET)
        others = []
        for name, role in (("outcast", "agent"), ("stranger", "agent"), ("both", "agent")):
            account = await owner.fetchval(
                "insert into auth.users (email) values ($1) returning id", f"{name}@acme.example"
            )
            await owner.execute("insert into public.user_organizations values ($1, $2)", account, acme.org_id)
            await owner.execute(
                "insert into asoe.members (org_id, user_id, role, name) values ($1, $2, $3, $4)",
                acme.org_id, account, role, name,
            )  # fmt: skip
            await open_ticket(owner, acme, account, f"{name}'s own")
            others.append(account)
        await owner.execute("update asoe.members set disabled_at = now() where user_id = $1", others[0])
        await owner.execute("delete from public.user_organizations where user_id = $1", others[1])
        await owner.execute("insert into public.user_organizations values ($1, $2)", others[2], globex.org_id)
        await owner.execute(
            "insert into asoe.members (org_id, user_id, role) values ($1, $2, 'client')", globex.org_id, others[2]
        )
        yield World(dsns, owner, app, acme, globex, tables, keys, *others)
        await app.close()
        await owner.close()
