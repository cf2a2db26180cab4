"""Migration 117 holds what the installed pgqueuer would create, so that an upgrade of it cannot drift in silence."""

from __future__ import annotations

import asyncpg
from pgqueuer.adapters.persistence import schema_ddl

from asoe.queue.schema import SETTINGS, WorkerConnection, queries_over
from asoe.store.migrate import FOLDER

ADVICE = (
    "pgqueuer's schema changed: write a migration from Queries.plan_upgrade(), and compare with that one from then on"
)


def test_the_migration_is_what_the_installed_pgqueuer_creates():
    text = (FOLDER / "117_queue.sql").read_text(encoding="utf-8")
    ours = text[text.index("CREATE SCHEMA") : text.index("-- end of pgqueuer")].strip()
    theirs = schema_ddl.render_install(SETTINGS, create_schema=True)
    assert ours == theirs[theirs.index("CREATE SCHEMA") :].strip(), ADVICE


async def test_pgqueuer_would_change_nothing_but_the_trigger_we_replace(dsns):
    connection = await asyncpg.connect(dsns.owner)
    try:
        plan = await queries_over(WorkerConnection(connection)).plan_upgrade()
    finally:
        await connection.close()
    assert [statement.split()[:3] for statement in plan.statements] == [["CREATE", "TRIGGER", "tg_pgqueuer_changed"]], (
        ADVICE
    )


async def test_the_tables_belong_to_the_owner_role(dsns):
    connection = await asyncpg.connect(dsns.app)
    try:
        owners = await connection.fetch("select distinct tableowner from pg_tables where schemaname = 'queue'")
    finally:
        await connection.close()
    assert [row["tableowner"] for row in owners] == ["asoe_owner"]


def test_no_variable_of_the_environment_moves_the_queue(monkeypatch):
    settings = type(SETTINGS)
    for name in ("FUNCTION", "TRIGGER", "CHANNEL", "QUEUE_TABLE", "DURABILITY", "PGQUEUER_PREFIX", "PGQUEUER_SCHEMA"):
        monkeypatch.setenv(name, "volatile" if name == "DURABILITY" else "elsewhere")
    again = settings(**SETTINGS.model_dump())
    assert again == SETTINGS
    assert SETTINGS.model_fields_set == set(settings.model_fields)
