"""The two tables of migration 112, by name, as they were promised: exactly these at 112, and still there at the newest."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from worlds import new_database

from asoe.store.migrate import migrate

Contract = dict[str, Any]

COLUMNS = {
    "support_tickets": {
        "id": "uuid not null default uuid_generate_v4()",
        "org_id": "uuid not null",
        "user_id": "uuid",
        "category": "text not null",
        "severity": "text not null default 'medium'::text",
        "status": "text not null default 'open'::text",
        "resolution": "jsonb default '{}'::jsonb",
        "metadata": "jsonb default '{}'::jsonb",
        "created_at": "timestamp with time zone default now()",
    },
    "support_sessions": {
        "id": "uuid not null default uuid_generate_v4()",
        "ticket_id": "uuid not null",
        "assistant_type": "text not null default 'ai'::text",
        "messages": "jsonb default '[]'::jsonb",
        "resolved": "boolean not null default false",
        "created_at": "timestamp with time zone default now()",
    },
}


def one_of(column: str, values: str) -> str:
    listed = ", ".join(f"'{value}'::text" for value in values.split())
    return f"CHECK (({column} = ANY (ARRAY[{listed}])))"


CONSTRAINTS = {
    "support_tickets": {
        "support_tickets_pkey": "PRIMARY KEY (id)",
        "support_tickets_org_fk": "FOREIGN KEY (org_id) REFERENCES organizations(id) ON DELETE CASCADE",
        "support_tickets_user_fk": "FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE SET NULL",
        "support_tickets_category_check": one_of(
            "category", "billing technical feature_request bug_report account integration performance general"
        ),
        "support_tickets_severity_check": one_of("severity", "low medium high critical"),
        "support_tickets_status_check": one_of("status", "open triaging in_progress resolved escalated closed"),
    },
    "support_sessions": {
        "support_sessions_pkey": "PRIMARY KEY (id)",
        "support_sessions_ticket_fk": "FOREIGN KEY (ticket_id) REFERENCES support_tickets(id) ON DELETE CASCADE",
        "support_sessions_assistant_check": one_of("assistant_type", "ai human hybrid"),
    },
}

INDEXES = {
    "support_tickets": {
        "support_tickets_pkey": "(id)",
        "idx_support_tickets_org": "(org_id)",
        "idx_support_tickets_user": "(user_id)",
        "idx_support_tickets_category": "(category)",
        "idx_support_tickets_severity": "(severity)",
        "idx_support_tickets_status": "(status)",
        "idx_support_tickets_created": "(created_at DESC)",
    },
    "support_sessions": {
        "support_sessions_pkey": "(id)",
        "idx_support_sessions_ticket": "(ticket_id)",
        "idx_support_sessions_assistant": "(assistant_type)",
        "idx_support_sessions_resolved": "(resolved)",
        "idx_support_sessions_created": "(created_at DESC)",
    },
}

POLICIES = {
    table: {
        f"{table}_{command}": (command.upper(), "PERMISSIVE", ["authenticated"])
        for command in ("select", "insert", "update")
    }
    for table in COLUMNS
}

COMMENTS = {
    "support_tickets": "Support tickets with AI triage (Phase 60)",
    "support_sessions": "Support session conversations (Phase 60)",
}


async def read(connection: Any) -> Contract:
    """The contract as the catalog tells it."""
    found: Contract = {"columns": {}, "constraints": {}, "indexes": {}, "policies": {}, "comments": {}}
    for table in COLUMNS:
        columns = await connection.fetch(
            """
            select a.attname as name, format_type(a.atttypid, a.atttypmod)
              || case when a.attnotnull then ' not null' else '' end
              || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '') as text
            from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
            where a.attrelid = $1::text::regclass and a.attnum > 0 and not a.attisdropped order by a.attnum
            """,
            f"public.{table}",
        )
        found["columns"][table] = {row["name"]: row["text"] for row in columns}
        constraints = await connection.fetch(
            "select conname as name, pg_get_constraintdef(oid) as text from pg_constraint"
            " where conrelid = $1::text::regclass and contype <> 'n'",
            f"public.{table}",
        )
        found["constraints"][table] = {row["name"]: row["text"] for row in constraints}
        indexes = await connection.fetch(
            "select indexname as name, indexdef as text from pg_indexes where tablename = $1", table
        )
        found["indexes"][table] = {row["name"]: row["text"].split(" USING btree ")[-1] for row in indexes}
        policies = await connection.fetch(
            "select policyname as name, cmd, permissive, roles::text[] as roles, qual, with_check from pg_policies where tablename = $1",
            table,
        )
        found["policies"][table] = {row["name"]: tuple(row)[1:] for row in policies}
        found["comments"][table] = await connection.fetchval(
            "select obj_description($1::text::regclass)", f"public.{table}"
        )
    return found


@pytest.fixture(scope="module")
async def at_112(server) -> AsyncIterator[Contract]:
    async with new_database(server, template=None) as dsns:
        # what `open_embedded` has done for the template
        superuser = await asyncpg.connect(server.superuser_dsn, database=dsns.owner.split("?")[0].rsplit("/", 1)[1])
        await superuser.execute("create extension vector schema public")
        await superuser.close()
        await migrate(dsns.owner, up_to=112)
        connection = await asyncpg.connect(dsns.owner)
        yield await read(connection)
        await connection.close()


@pytest.fixture(scope="module")
async def newest(server) -> AsyncIterator[Contract]:
    async with new_database(server) as dsns:
        connection = await asyncpg.connect(dsns.owner)
        yield await read(connection)
        await connection.close()


def test_at_112_the_tables_are_exactly_what_was_promised(at_112):
    assert at_112["columns"] == COLUMNS
    assert [list(columns) for columns in at_112["columns"].values()] == [list(columns) for columns in COLUMNS.values()]
    assert at_112["constraints"] == CONSTRAINTS
    assert at_112["indexes"] == INDEXES
    assert at_112["comments"] == COMMENTS
    assert {t: {n: p[:3] for n, p in policies.items()} for t, policies in at_112["policies"].items()} == POLICIES


def test_the_policies_ask_for_the_callers_organizations(at_112):
    member = "SELECT user_organizations.org_id FROM user_organizations WHERE (user_organizations.user_id = ( SELECT auth.uid()"
    for table, policies in at_112["policies"].items():
        for command, _, _, qual, check in policies.values():
            condition = " ".join((check if command == "INSERT" else qual).split())
            assert member in condition
            if table == "support_sessions":
                assert "FROM support_tickets ticket WHERE ((ticket.id = support_sessions.ticket_id)" in condition


@pytest.mark.parametrize("part", ["columns", "constraints", "indexes", "policies", "comments"])
def test_the_newest_schema_still_holds_all_of_it(at_112, newest, part):
    for table, promised in at_112[part].items():
        if isinstance(promised, dict):
            assert {name: newest[part][table].get(name) for name in promised} == promised
        else:
            assert newest[part][table] == promised


async def test_a_ticket_is_written_with_nothing_but_the_contracts_columns(database, acme):
    async with database.org_transaction(acme.client) as connection:
        row = await connection.fetchrow(
            "insert into public.support_tickets (org_id, user_id, category) values ($1, $2, 'billing') returning *",
            acme.org_id, acme.client.user_id,
        )  # fmt: skip
        assert (row["severity"], row["status"], row["resolution"], row["metadata"]) == ("medium", "open", {}, {})
        session = await connection.fetchrow(
            "insert into public.support_sessions (ticket_id) values ($1) returning *", row["id"]
        )
        assert (session["assistant_type"], session["messages"], session["resolved"]) == ("ai", [], False)
