"""Facts are read behind a cursor while twenty writers commit in another order than they began, and some not at all."""

from __future__ import annotations

import asyncio
import random

import asyncpg
import pytest

from asoe.domain.facts import Fact
from asoe.store import facts
from asoe.store.db import Database, open_database
from cast import Dsns, Org

WRITERS = 20


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_reader_sees_every_fact_once_whatever_the_order_of_commits(dsns: Dsns, acme: Org, seed: int):
    chance = random.Random(seed)
    database = await open_database(dsns.app, dsns.system, pool=WRITERS + 2)
    try:
        async with database.org_reading(acme.agent) as connection:
            start = await facts.newest_cursor(connection)
        may_commit = [asyncio.Event() for _ in range(WRITERS)]
        written: list[asyncio.Event] = [asyncio.Event() for _ in range(WRITERS)]
        fails = set(chance.sample(range(WRITERS), 4))

        async def write(number: int) -> None:
            async with database.org_transaction(acme.agent) as connection:
                for part in range(number % 3 + 1):
                    await facts.record(connection, acme.agent, "ticket.opened", writer=number, part=part)
                written[number].set()
                await may_commit[number].wait()
                if number in fails:
                    raise InterruptedError

        tasks = []
        for number in range(WRITERS):  # begun one after the other, so that ids and transaction ids follow their order
            tasks.append(asyncio.create_task(write(number)))
            await written[number].wait()

        seen: list[Fact] = []
        orders: list[int] = []
        committing = list(range(WRITERS))
        chance.shuffle(committing)
        for number in committing:
            may_commit[number].set()
            await asyncio.gather(tasks[number], return_exceptions=True)
            orders.append(number)
            seen += await read_on(database, acme, seen, start)
        seen += await read_on(database, acme, seen, start)

        assert [(f.data["writer"], f.data["part"]) for f in seen] == [
            (number, part) for number in range(WRITERS) if number not in fails for part in range(number % 3 + 1)
        ]
        assert orders != sorted(orders), "a shuffle that leaves the order proves nothing"
    finally:
        await database.close()


async def test_a_fact_behind_an_open_transaction_waits_for_it(dsns: Dsns, acme: Org):
    database = await open_database(dsns.app, dsns.system, pool=4)
    try:
        async with database.org_reading(acme.agent) as connection:
            start = await facts.newest_cursor(connection)
        async with database.org_transaction(acme.agent) as early:
            await facts.record(early, acme.agent, "ticket.opened", writer=0)
            async with database.org_transaction(acme.agent) as late:
                await facts.record(late, acme.agent, "ticket.opened", writer=1)
            assert await read_on(database, acme, [], start) == []
        assert [fact.data["writer"] for fact in await read_on(database, acme, [], start)] == [0, 1]
    finally:
        await database.close()


async def test_no_writer_chooses_its_place_in_the_log(dsns: Dsns, database: Database, acme: Org):
    for column, value in (("xid", "'5'"), ("id", "1")):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with database.org_transaction(acme.engine) as connection:
                await connection.execute(
                    f"insert into asoe.facts (org_id, kind, {column}) overriding system value values ($1, 'ticket.opened', {value})",
                    acme.org_id,
                )


async def read_on(database: Database, org: Org, seen: list[Fact], start: int) -> list[Fact]:
    last = (seen[-1].xid, seen[-1].id) if seen else (start - 1, 0)
    async with database.org_reading(org.agent) as connection:
        return await facts.read_after(connection, org.org_id, xid=last[0], fact_id=last[1])
