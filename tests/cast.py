"""The named cast: organizations with Cleo (owner, admin), Ben (agent) and Ana (client), and where their database is."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from asoe.domain.certificate import Given
from asoe.domain.organization import Principal
from asoe.domain.recommendation import Seen
from asoe.domain.wish import NewWish
from asoe.store import answers, recommendations, tickets, wishes
from asoe.store.db import Database

TEMPLATE = "asoe"


@dataclass(frozen=True, slots=True)
class Dsns:
    """One database by role."""

    owner: str = field(repr=False)
    app: str = field(repr=False)
    system: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Org:
    """An organization and one principal of each role."""

    org_id: UUID
    slug: str
    owner: Principal
    admin: Principal
    agent: Principal
    client: Principal
    engine: Principal


async def make_wish(database: Database, engine: Principal, ticket_id: UUID, words: str = "A dark theme, please") -> int:
    """A wish of the ticket's client; its number."""
    wish = NewWish(words, words, "en", bytes(768))
    async with database.org_transaction(engine) as connection:
        now = datetime.now(UTC)
        wish_id = await wishes.insert(connection, engine.org_id, wish, ticket_id=ticket_id, at=now)
        await wishes.support(connection, engine.org_id, wish_id, ticket_id, likeness=None, at=now)
        found = await wishes.of_ticket(connection, engine.org_id, ticket_id)
        assert found is not None
        return found.number


ADVICE: dict[str, dict[str, Any]] = {
    "article": {"answered_by_people": 2},
    "runbook": {"intent": "how_to", "category": "general", "steps": ["note.added", "message.added"], "walked": 4},
    "promote": {"level": "approve", "next": "auto", "cases": 60, "errors": 0, "upper_limit": 0.048, "limit": 0.05},
    "brake": {"level": "auto", "runs": 30, "limit": 0.05},
    "connector": {"is_disabled": False, "is_in_trouble": True},
    "client": {"came_back": 2, "was_reopened": 1, "did_not_help": 0, "was_angry": 1},
}
"""What each kind of recommendation says of its cases."""


async def make_advice(database: Database, engine: Principal, **more: Any) -> int:
    """A recommendation; its number."""
    now = datetime.now(UTC)
    kind = more.get("kind", "connector")
    usual = {"kind": kind, "key": "shop", "times": (now, now, now), "clients": 1, "detail": ADVICE[kind]}
    seen = Seen(**{**usual, **more})
    async with database.org_transaction(engine) as connection:
        await recommendations.add(connection, engine.org_id, seen, tickets=seen.tickets, at=now)
        known = await recommendations.all_known(connection, engine.org_id)
    return known[-1].number


async def make_answer(database: Database, engine: Principal, ticket_id: UUID, **more: Any) -> UUID:
    """An answer on a ticket, as evidence; its id."""
    async with database.org_transaction(engine) as connection:
        ticket = await tickets.find(connection, engine.org_id, ticket_id)
        given = Given(
            **{
                "trust": "lent",
                "chance": 0.7,
                "articles": ("export-data",),
                "model": "strict-1",
                "words": "Do this.",
                **more,
            }
        )
        await answers.record(connection, ticket, given, message_id=None, at=datetime.now(UTC))
        found = await answers.last(connection, engine.org_id, ticket_id)
    assert found
    return found[0]


async def make_org(owner_dsn: str, slug: str) -> Org:
    """An organization with Cleo (owner, admin), Ben (agent) and Ana (client)."""
    connection = await asyncpg.connect(owner_dsn)
    try:
        await connection.execute("set role asoe_owner")
        made = await connection.fetchrow(
            "select * from asoe.create_organization($1, $2, $3, $4)", slug.title(), slug, f"cleo@{slug}.example", "Cleo"
        )
        org_id = made["org_id"]
        accounts: dict[str, UUID] = {}
        for role, name in (("admin", "Cleo's deputy"), ("agent", "Ben"), ("client", "Ana")):
            email = f"{name.split(chr(39))[0].lower()}.{role}@{slug}.example"
            account = await connection.fetchval("insert into auth.users (email) values ($1) returning id", email)
            await connection.execute("insert into public.user_organizations values ($1, $2)", account, org_id)
            await connection.execute(
                "insert into asoe.members (org_id, user_id, role, name, email) values ($1, $2, $3, $4, $5)",
                org_id, account, role, name, email,
            )  # fmt: skip
            accounts[role] = account
    finally:
        await connection.close()
    principal = {role: Principal(account, org_id, role, role.title()) for role, account in accounts.items()}
    return Org(
        org_id=org_id,
        slug=slug,
        owner=Principal(made["owner_id"], org_id, "owner", "Cleo"),
        engine=Principal(made["engine_id"], org_id, "engine", "ASOE"),
        **principal,
    )
