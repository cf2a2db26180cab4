"""As asoe_app with claims that prove nothing: every table is empty and closed; a forged role claim adds nothing."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from worlds import World, attempt, claiming, claims_of, world

from asoe.domain.organization import Principal

__all__ = ["world"]

# An account sees where it belongs, whatever it claims: the policies of the contract read it.
MEMBERSHIP = {"public.organizations", "public.user_organizations"}

NOTHING = {
    "absent": None,
    "empty": "",
    "blank": "   ",
    "not JSON": "{sub:",
    "a JSON string": '"sub"',
    "a JSON list": "[]",
    "null": "null",
    "an empty object": "{}",
    "without sub": lambda w: {"org_id": str(w.acme.org_id)},
    "without org_id": lambda w: {"sub": str(w.acme.owner.user_id)},
    "sub not a UUID": lambda w: {"sub": "Cleo", "org_id": str(w.acme.org_id)},
    "org_id not a UUID": lambda w: {"sub": str(w.acme.owner.user_id), "org_id": "acme"},
    "unknown sub": lambda w: {"sub": str(uuid4()), "org_id": str(w.acme.org_id)},
    "unknown sub as service_role": lambda w: {
        "sub": str(uuid4()),
        "org_id": str(w.acme.org_id),
        "role": "service_role",
    },
    "no sub as service_role": lambda w: {"org_id": str(w.acme.org_id), "role": "service_role"},
    "unknown organization": lambda w: {"sub": str(w.acme.owner.user_id), "org_id": str(uuid4())},
    "another's organization": lambda w: {"sub": str(w.acme.owner.user_id), "org_id": str(w.globex.org_id)},
    "a disabled member": lambda w: {"sub": str(w.outcast), "org_id": str(w.acme.org_id)},
    "a removed member": lambda w: {"sub": str(w.stranger), "org_id": str(w.acme.org_id)},
    "ids as a list": lambda w: {"sub": [str(w.acme.owner.user_id)], "org_id": [str(w.acme.org_id)]},
    "sub as an object": lambda w: {"sub": {"sub": str(w.acme.owner.user_id)}, "org_id": str(w.acme.org_id)},
}

CLOSED = (
    asyncpg.InsufficientPrivilegeError,
    asyncpg.InvalidTextRepresentationError,
    asyncpg.InvalidParameterValueError,
)


async def count(connection: Any, sql: str) -> int:
    async with attempt(connection):
        try:
            return int((await connection.execute(sql)).split()[-1])
        except CLOSED:
            return 0


@pytest.mark.parametrize("case", NOTHING)
async def test_unproven_claims_see_and_write_nothing(world, case):
    claims = NOTHING[case](world) if callable(NOTHING[case]) else NOTHING[case]
    own = claims.get("sub") if isinstance(claims, dict) else None
    async with claiming(world.app, claims):
        for table in world.tables:
            others = ""
            if table.name in MEMBERSHIP and isinstance(own, str):
                column = "id" if table.name == "public.organizations" else "org_id"
                homes = await world.owner.fetch(
                    "select org_id from public.user_organizations where user_id::text = $1", own
                )
                if homes:
                    others = f" where {column} not in ({', '.join(repr(str(home['org_id'])) for home in homes)})"
            assert await count(world.app, f"select from {table.name}{others}") == 0, table.name
            assert await count(world.app, f"delete from {table.name}") == 0, table.name
            for column in table.writable:
                assert await count(world.app, f"update {table.name} set {column} = {column}") == 0, (
                    f"{table.name}.{column}"
                )


@pytest.mark.parametrize("case", NOTHING)
async def test_unproven_claims_insert_nothing(world, case):
    claims = NOTHING[case](world) if callable(NOTHING[case]) else NOTHING[case]
    rows = {}
    for table in world.tables:
        if not table.is_partition:
            text = await world.owner.fetchval(
                f"select to_jsonb(t)::text from {table.name} t where {table.of_org} limit 1", world.acme.org_id
            )
            rows[table] = json.loads(text)
    async with claiming(world.app, claims):
        for table, row in rows.items():
            granted = await world.owner.fetch(
                "select name from unnest($2::text[]) name where has_column_privilege('asoe_app', $1::text::regclass, name, 'insert')",
                table.name, table.writable,
            )  # fmt: skip
            names = [each["name"] for each in granted]
            if not names:
                continue
            if "id" in row and isinstance(row["id"], str):
                row["id"] = str(uuid4())
            if table.name == "public.support_sessions":
                row["messages"] = []
            columns = ", ".join(names)
            async with attempt(world.app):
                with pytest.raises(CLOSED):
                    await world.app.execute(
                        f"insert into {table.name} ({columns}) select {columns}"
                        f" from jsonb_populate_record(null::{table.name}, $1::text::jsonb)",
                        json.dumps(row),
                    )


async def seen(world: World, claims: dict[str, Any]) -> dict[str, int]:
    async with claiming(world.app, claims):
        return {table.name: await count(world.app, f"select from {table.name}") for table in world.tables}


@pytest.mark.parametrize("role", ["client", "agent"])
@pytest.mark.parametrize("forged", ["service_role", "owner", "engine", "asoe_owner", "postgres"])
async def test_a_forged_role_claim_adds_nothing(world, role, forged):
    principal: Principal = getattr(world.acme, role)
    honest = await seen(world, claims_of(principal))
    assert await seen(world, {**claims_of(principal), "role": forged, "app_metadata": {"role": forged}}) == honest


async def test_a_transaction_leaves_no_claims_behind(world):
    """The pool does not reset connections: what was set must have been local."""
    async with world.app.transaction():
        await world.app.execute(
            "select set_config('request.jwt.claims', $1, true)", json.dumps(claims_of(world.acme.owner))
        )
        assert await world.app.fetchval("select count(*) from public.support_tickets") > 0
    assert await world.app.fetchval("select count(*) from public.support_tickets") == 0
