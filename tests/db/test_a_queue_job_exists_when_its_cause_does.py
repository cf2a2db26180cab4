"""Enqueuing happens in the caller's transaction, and nothing but ids comes in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from asoe.queue import Queue, depth

ORG, TICKET = UUID(int=10), UUID(int=11)


@pytest.fixture
async def app(dsns: Any) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsns.app)
    yield connection
    await connection.close()


async def test_a_rolled_back_transaction_leaves_no_job(app):
    transaction = app.transaction()
    await transaction.start()
    await Queue().advance(app, ORG, TICKET)
    assert (await depth(app))["queued"] == 1
    await transaction.rollback()
    assert (await depth(app))["queued"] == 0


async def test_a_committed_transaction_leaves_its_job(app):
    async with app.transaction():
        await Queue().advance(app, ORG, TICKET)
        await Queue().advance(app, ORG, TICKET, delay=timedelta(hours=1))
    assert await depth(app) == {"queued": 1, "delayed": 1, "running": 0, "failed": 0, "oldest_seconds": 0}
    row = await app.fetchrow("select entrypoint, payload from queue.pgqueuer order by id limit 1")
    assert row["entrypoint"] == "advance"
    assert row["payload"].decode() == f'{{"org_id":"{ORG}","ticket_id":"{TICKET}"}}'


async def test_it_works_on_a_pooled_connection_of_the_desk(database, acme):
    async with database.org_transaction(acme.agent) as connection:
        await Queue().advance(connection, acme.org_id, TICKET)
        assert (await depth(connection))["queued"] == 1


async def test_a_dedupe_key_keeps_one_job_until_it_is_done(app):
    queue = Queue()
    for _ in range(3):
        await queue.enqueue(app, "export", {"export_id": TICKET}, dedupe_key=f"export:{TICKET}")
    assert (await depth(app))["queued"] == 1
    await app.execute("update queue.pgqueuer set status = 'picked'")
    await queue.enqueue(app, "export", {"export_id": TICKET}, dedupe_key=f"export:{TICKET}")
    assert (await depth(app))["queued"] == 0
    await app.execute("delete from queue.pgqueuer")
    await queue.enqueue(app, "export", {"export_id": TICKET}, dedupe_key=f"export:{TICKET}")
    assert (await depth(app))["queued"] == 1


@pytest.mark.parametrize("ids", [{"body": ORG}, {"org_id": "my card was charged twice"}, {"ORG_ID": ORG}])
async def test_a_payload_with_anything_but_ids_is_refused_before_it_is_sent(app, ids):
    with pytest.raises(ValueError):
        await Queue().enqueue(app, "advance", ids)
    assert (await depth(app))["queued"] == 0


async def test_ids_may_be_text_in_any_spelling_of_a_uuid(app):
    await Queue().enqueue(app, "advance", {"ticket_id": str(TICKET).upper()})
    assert await app.fetchval("select payload from queue.pgqueuer") == f'{{"ticket_id":"{TICKET}"}}'.encode()


GOOD = f'{{"org_id":"{ORG}"}}'


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("payload", None),
        ("payload", b""),
        ("payload", b"null"),
        ("payload", b"\xff\xfe"),
        ("payload", f'{{"body":"{ORG}"}}'.encode()),
        ("payload", b'{"org_id":"please refund me"}'),
        ("payload", f'{{"org_id":"{ORG}","body":"please refund me"}}'.encode()),
        ("payload", f'{{"org_id":"{ORG}"}} please refund me'.encode()),
        ("payload", f'please refund me\n{{"org_id":"{ORG}"}}'.encode()),
        ("payload", f'["{ORG}"]'.encode()),
        ("payload", f'{{"org_id":["{ORG}"]}}'.encode()),
        ("headers", '{"mail": "ana@acme.example"}'),
        ("headers", '{"otel": {"traceparent": "please refund me"}}'),
        ("headers", f'{{"otel": {{"traceparent": "00-{7:032x}-{9:016x}-01"}}, "mail": "ana@acme.example"}}'),
        ("entrypoint", "Advance Ana's ticket"),
        ("dedupe_key", "export:ana@acme.example"),
    ],
)
@pytest.mark.parametrize("role", ["app", "owner"])
async def test_the_database_refuses_anything_but_ids(dsns, role, column, value):
    connection = await asyncpg.connect(getattr(dsns, role))
    values = {"payload": GOOD.encode(), "headers": None, "entrypoint": "advance", "dedupe_key": None, column: value}
    insert = (
        "insert into queue.pgqueuer (priority, status, payload, headers, entrypoint, dedupe_key) "
        "values (0, 'queued', $1, $2, $3, $4)"
    )
    try:
        with pytest.raises((asyncpg.CheckViolationError, asyncpg.CharacterNotInRepertoireError)):
            await connection.execute(insert, *values.values())
        good: dict[str, Any] = values | {"payload": GOOD.encode(), "headers": None, "entrypoint": "advance"}
        await connection.execute(insert, *(good | {"dedupe_key": f"export:{UUID(int=1)}"}).values())
        with pytest.raises((asyncpg.CheckViolationError, asyncpg.CharacterNotInRepertoireError)):
            await connection.execute(f"update queue.pgqueuer set {column} = $1", value)
    finally:
        await connection.close()


async def test_the_app_owns_nothing_of_the_queue_and_reads_no_more_than_it_needs(app):
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.execute("truncate queue.pgqueuer")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.execute("select 1 from queue.pgqueuer_statistics")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.execute("alter table queue.pgqueuer drop constraint payload_ids_only")
    assert not await app.fetchval("select has_schema_privilege('asoe_system', 'queue', 'usage')")
    assert not await app.fetchval("select has_schema_privilege('authenticated', 'queue', 'usage')")
