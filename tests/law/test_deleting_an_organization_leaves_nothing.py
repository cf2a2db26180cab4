"""Deleting an organization takes every row of it, its number sequence and its people's accounts, and nothing of another."""

from __future__ import annotations

import asyncpg
import pytest
from catalog import foreign_keys, rows_of, tenant_tables
from worlds import fill_organization

from asoe.domain.errors import Missing
from asoe.store.organizations import delete_organization


async def test_every_table_is_empty_of_it_and_the_other_is_untouched(owner_dsn, database, acme, globex):
    async with database.app.acquire() as app:
        tables = await tenant_tables(app)
    owner = await asyncpg.connect(owner_dsn)
    try:
        keys = await foreign_keys(owner)
        for org in (acme, globex):
            await fill_organization(owner, org, tables, keys, org.slug)
        # Cleo of Globex also answers for Acme: her account outlives Acme
        await owner.execute("insert into public.user_organizations values ($1, $2)", globex.owner.user_id, acme.org_id)
        await owner.execute(
            "insert into asoe.members (org_id, user_id, role) values ($1, $2, 'agent')",
            acme.org_id,
            globex.owner.user_id,
        )
        await owner.execute(
            "update public.support_tickets set assignee = $2 where org_id = $1", acme.org_id, globex.owner.user_id
        )
        before = {table.name: await rows_of(owner, table, globex.org_id) for table in tables}
        assert all(before.values())
        accounts = {row["id"] for row in await owner.fetch("select id from auth.users")}

        await delete_organization(owner_dsn, acme.org_id)

        for table in tables:
            assert await rows_of(owner, table, acme.org_id) == [], table.name
        assert {table.name: await rows_of(owner, table, globex.org_id) for table in tables} == before
        sequences = await owner.fetch(
            "select relname from pg_class where relkind = 'S' and relname like 'ticket_number_%'"
        )
        assert [row["relname"] for row in sequences] == [f"ticket_number_{globex.org_id.hex}"]
        left = {row["id"] for row in await owner.fetch("select id from auth.users")}
        assert accounts - left == {
            getattr(acme, role).user_id for role in ("owner", "admin", "agent", "client", "engine")
        }
        with pytest.raises(Missing):
            await delete_organization(owner_dsn, acme.org_id)
    finally:
        await owner.close()
