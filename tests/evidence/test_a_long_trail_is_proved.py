"""Many facts, many of them about clients, written by many at once while they are sealed: all proved, and any one altered is found."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import asyncpg
import pytest

from asoe.desk import audit
from asoe.desk.context import Desk
from asoe.queue import Queue
from asoe.store import contacts, facts
from asoe.store.db import Database

pytestmark = [pytest.mark.evidence, pytest.mark.timeout(3600)]

WRITERS = 4
TOGETHER = 25
"""Facts of one transaction."""


async def test_a_long_trail_is_proved(
    database: Database, dsns: Any, acme: Any, size: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    dice, wanted = size.dice(), size.of(2_000, 50_000)
    desk = Desk(database, Queue(), None, lambda: None, derive=lambda purpose: (b"k" * 32,))  # type: ignore[arg-type]
    async with database.org_transaction(acme.engine) as connection:
        clients = [
            (await contacts.find_or_create(connection, acme.org_id, email=f"kim{number}@example.org")).id
            for number in range(50)
        ]

    async def write(count: int) -> None:
        for _ in range(count // TOGETHER):
            async with database.org_transaction(acme.engine) as connection:
                for _ in range(TOGETHER):
                    about = {"contact_id": str(dice.choice(clients))} if dice.random() < 0.7 else {}
                    await facts.record(connection, acme.engine, "contact.changed", **about, fields=["plan"])
                    if dice.random() < 0.01:
                        await asyncio.sleep(dice.random() * 0.02)  # commits later than younger ones

    writing = asyncio.gather(*(write(wanted // WRITERS) for _ in range(WRITERS)))
    sealing = 0.0
    while not writing.done():
        begun = time.monotonic()
        if not await audit.seal(desk, acme.engine):
            await asyncio.sleep(0.05)
        sealing += time.monotonic() - begun
    await writing
    while await audit.seal(desk, acme.engine):
        pass
    begun = time.monotonic()
    proof = await audit.prove_trail(desk, acme.owner)
    proving = time.monotonic() - begun
    assert (proof.broken, proof.unsealed, proof.erased) == (None, 0, 0)
    owner = await asyncpg.connect(dsns.owner)
    total = await owner.fetchval("select count(*) from asoe.facts where org_id = $1", acme.org_id)
    assert proof.facts == total >= wanted - WRITERS * TOGETHER
    blocks = await owner.fetch("select number, fact_ids from asoe.audit_blocks order by number")
    sealed = [fact_id for block in blocks for fact_id in block["fact_ids"]]
    assert len(sealed) == len(set(sealed)), "no fact is in two blocks"
    row = await owner.fetchrow("select pg_total_relation_size('asoe.audit_blocks') as bytes")
    for _ in range(size.of(1, 3)):
        block = dice.choice(blocks)
        victim = dice.choice(block["fact_ids"])
        await owner.execute("update asoe.facts set kind = 'ticket.closed' where id = $1", victim)
        broken = (await audit.prove_trail(desk, acme.owner)).broken
        assert broken is not None
        assert (broken.what, broken.block, broken.fact_id) == ("altered", block["number"], victim)
        await owner.execute("update asoe.facts set kind = 'contact.changed' where id = $1", victim)
    await owner.close()
    with capsys.disabled():
        print(
            f"\n{total} facts of {WRITERS} writers in {len(blocks)} blocks; proved {total / proving:.0f} a second; "
            f"{row['bytes'] / total:.0f} bytes a fact; sealing took {sealing:.0f} s beside the writing"
        )
