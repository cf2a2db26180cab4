"""The one exception to the three beats: a connector whose effect is in our own database does all of it or nothing of it."""

from __future__ import annotations

import pytest
from runs_cast import Killed, MortalDatabase, connect, one_act

from asoe.connectors.contract import Action, ConnectorError


class Ledger:
    """Posts with the connection it is handed; `refusal` makes it refuse after it has posted."""

    kind = "ledger"

    def __init__(self, estate) -> None:
        self.estate = estate
        self.refusal: ConnectorError | None = None

    async def actions(self):
        found = dict(await self.estate.actions())
        return found | {"post": Action("post", "costly", repeats="by_key")}

    async def read(self, action, arguments, *, timeout):
        return await self.estate.read(action, arguments, timeout=timeout)

    async def act(self, action, arguments, *, key, timeout):
        raise AssertionError("an act of the ledger belongs into the intent's transaction")

    async def act_within(self, connection, action, arguments, *, key, org_id):
        await connection.execute("insert into asoe.test_postings (org_id, key) values ($1, $2)", org_id, key)
        if self.refusal:
            raise self.refusal
        self.estate.db.execute("insert into effects values (?, 'post', '{}')", (key,))  # what the goal reads
        return {"posted": key}

    async def probe(self, action, arguments, *, key, timeout):
        raise AssertionError("nothing is in doubt")

    async def health(self):
        return await self.estate.health()

    async def close(self):
        return None


@pytest.fixture
async def ledger(world):
    await world.owner.execute("create table asoe.test_postings (org_id uuid, key text)")
    await world.owner.execute("grant select, insert on asoe.test_postings to asoe_app")
    made = Ledger(world.estate)
    connect(world, estate=made)
    await world.shelve(one_act("post"))
    yield made
    await world.owner.execute("drop table asoe.test_postings")


async def posted(world) -> int:
    return await world.owner.fetchval("select count(*) from asoe.test_postings")


async def test_intent_effect_and_outcome_are_one_transaction(world, ledger):
    run_id = await world.start("once")
    MortalDatabase.count = 0
    assert await world.advance(run_id) == "ended"
    assert MortalDatabase.count == 3
    assert (await world.run(run_id)).status == "verified"
    (action,) = await world.actions(run_id)
    assert (action.status, action.value) == ("done", {"posted": action.idempotency_key})
    assert await posted(world) == 1


async def test_a_death_leaves_all_of_it_or_nothing(world, ledger):
    for number, beat, is_posted in ((2, "commit", 0), (2, "after", 1)):
        world.estate.db.execute("delete from effects")
        await world.owner.execute("delete from asoe.test_postings")
        run_id = await world.start("once")
        MortalDatabase.count, MortalDatabase.dies = 0, (number, beat)
        with pytest.raises(Killed):
            await world.advance(run_id)
        MortalDatabase.dies = None
        assert await posted(world) == is_posted
        assert len(await world.actions(run_id)) == is_posted
        if not is_posted:
            world.estate.db.execute("delete from effects")
        await world.let_time_pass()
        assert (await world.carry_through(run_id)).status == "verified"
        assert await posted(world) == 1


async def test_a_refusal_takes_back_what_was_posted(world, ledger):
    ledger.refusal = ConnectorError("The charge is refunded already.", permanent=True)
    run = await world.carry_through(await world.start("once"))
    assert (run.status, run.reason) == ("failed", "act_failed")
    assert await posted(world) == 0
    (action,) = await world.actions(run.id)
    assert (action.status, action.error) == ("failed", "The charge is refunded already.")
