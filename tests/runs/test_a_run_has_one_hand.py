"""Two workers, two jobs, two tickets, wrong clocks, another tenant: one of them acts, and the others say why they do not."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from runs_cast import Killed, MortalDatabase, one_act

from asoe.desk import housekeeping
from asoe.desk.runbook import execution
from asoe.domain.errors import Conflict, Denied, Missing
from asoe.store import runs
from asoe.store.db import open_database


async def test_of_two_workers_one_goes_on_and_the_other_is_told_so(world, dsns):
    await world.shelve(one_act("post"))
    other = await open_database(dsns.app, dsns.system, pool=4)
    second = replace(world.desk, database=MortalDatabase(other.app, other.system))
    try:
        for _ in range(10):
            world.estate.db.execute("delete from effects")
            run_id = await world.start("once")
            ended = await asyncio.gather(
                *(
                    execution.advance_run(desk, world.engine, run_id, pace=world.pace)
                    for desk in (world.desk, second, world.desk, second)
                )
            )
            assert sorted(set(ended)) in (["busy", "ended"], ["ended"])
            assert (await world.run(run_id)).status == "verified"
            assert list(world.estate.effects("post").values()) == [1]
    finally:
        await other.close()


async def test_a_lease_taken_over_while_its_holder_still_acts_leaves_one_outcome(world):
    """The first pass stands still inside the act; the second finds its claim over, asks, and settles. The first is lost."""
    await world.shelve(one_act("refund"))
    run_id = await world.start("once")
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def stand_still():
        if not inside.is_set():
            inside.set()
            await go_on.wait()

    world.estate.hooks["refund"] = stand_still
    first = asyncio.create_task(world.advance(run_id))
    await inside.wait()
    await world.let_time_pass()
    assert await world.advance(run_id) == "ended"
    go_on.set()
    assert await first == "busy"
    assert (await world.run(run_id)).status == "verified"
    assert set(world.estate.effects("refund").values()) == {1}
    assert [fact["status"] for fact in await world.facts("run.acted")] == ["done"]


async def test_a_wrong_clock_neither_takes_a_run_nor_keeps_one(world):
    await world.shelve()
    for wrong in (timedelta(days=1), -timedelta(days=1)):
        run_id = await world.start()
        world.estate.db.execute("update accounts set status = 'locked'")
        inside, go_on = asyncio.Event(), asyncio.Event()

        async def stand_still(inside=inside, go_on=go_on):
            inside.set()
            await go_on.wait()

        world.estate.hooks["unlock"] = stand_still
        first = asyncio.create_task(world.advance(run_id))
        await inside.wait()
        jumped = replace(world.desk, clock=lambda wrong=wrong: datetime.now(UTC) + wrong)
        assert await execution.advance_run(jumped, world.engine, run_id, pace=world.pace) == "busy"
        go_on.set()
        assert await first == "ended"
        assert (await world.run(run_id)).status == "verified"
    run_id = await world.start()
    world.estate.hooks.clear()
    world.estate.db.execute("update accounts set status = 'locked'")
    early = replace(world.desk, clock=lambda: datetime.now(UTC) - timedelta(days=1))
    assert await execution.advance_run(early, world.engine, run_id, pace=world.pace) == "ended"
    assert (await world.run(run_id)).status == "verified"


async def test_money_moves_once_over_two_tickets(world):
    await world.shelve(one_act("refund", """, once_per: '="charge-7"' """))
    first, second = (
        await world.start("once", on=await world.ticket()),
        await world.start("once", on=await world.ticket()),
    )
    assert (await world.carry_through(first)).status == "verified"
    world.estate.db.execute("delete from effects")  # so that the second sees a reason to act
    run = await world.carry_through(second)
    assert (run.status, run.reason) == ("refused", "already_done")
    assert not world.estate.effects()
    (declined,) = await world.actions(second)
    assert (declined.status, declined.reason) == ("declined", "already_done")


async def test_money_moves_once_when_two_tickets_ask_at_the_same_moment(world):
    await world.shelve(one_act("refund", """, once_per: '="charge-7"' """))
    begun = [await world.start("once", on=await world.ticket()) for _ in range(4)]
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def stand_still():
        inside.set()
        await go_on.wait()

    world.estate.hooks["refund"] = stand_still
    first = asyncio.create_task(world.advance(begun[0]))
    await inside.wait()
    assert await asyncio.gather(*(world.advance(each) for each in begun[1:])) == ["waiting"] * 3
    go_on.set()
    await first
    world.estate.hooks.clear()
    ended = [await world.carry_through(each) for each in begun]
    assert sum(world.estate.effects("refund").values()) == 1
    assert sorted({run.status for run in ended[1:]}) in (["unverified"], ["refused"], ["refused", "unverified"])


async def test_what_surely_failed_may_be_tried_by_another_ticket(world):
    await world.shelve(one_act("refund", """, once_per: '="charge-7"' """))
    world.estate.faults.append(("refund", "before permanent"))
    assert (await world.carry_through(await world.start("once"))).status == "failed"
    assert (await world.carry_through(await world.start("once"))).status == "verified"


async def test_what_is_in_doubt_is_not_done_by_another_ticket(world):
    await world.shelve(one_act("blind", """, once_per: '="charge-7"' """))
    world.estate.faults.append(("blind", "lost"))
    assert (await world.carry_through(await world.start("once"))).reason == "effect_unknown"
    run = await world.carry_through(await world.start("once"))
    assert (run.status, run.reason) == ("escalated", "effect_unknown")
    assert not world.estate.effects()


async def test_a_ticket_has_one_live_run_at_a_time(world):
    await world.shelve()
    ticket = await world.ticket()
    run_id = await world.start(on=ticket)
    with pytest.raises(Conflict, match="goes on"):
        await world.start(on=ticket)
    rehearsal = await world.start(on=ticket, mode="shadow")
    await world.carry_through(rehearsal)
    await world.carry_through(run_id)
    await world.start(on=ticket)


async def test_another_tenant_neither_sees_nor_advances_nor_cancels_a_run(world, globex):
    await world.shelve()
    run_id = await world.start(on=await world.ticket())
    with pytest.raises(Missing):
        await execution.advance_run(world.desk, globex.engine, run_id, pace=world.pace)
    for stranger in (globex.owner, globex.agent):
        with pytest.raises(Missing):
            await execution.cancel(world.desk, stranger, run_id)
    with pytest.raises(Denied):
        await execution.cancel(world.desk, world.org.client, run_id)
    async with world.desk.database.org_reading(globex.agent) as connection:
        assert await runs.list_runs(connection, globex.org_id) == []
        assert await runs.list_runs(connection, world.org.org_id) == []
        assert await runs.actions(connection, world.org.org_id, run_id) == []
        assert await runs.steps(connection, world.org.org_id, run_id) == []
    async with world.desk.database.org_reading(world.org.client) as connection:
        assert await runs.list_runs(connection, world.org.org_id) == []
    assert not world.estate.calls
    assert (await world.run(run_id)).status == "pending"


async def test_a_run_whose_worker_is_gone_is_woken(world):
    await world.shelve()
    run_id = await world.start()
    world.estate.faults.append(("unlock", "after killed"))
    with pytest.raises(Killed):
        await world.advance(run_id)
    world.jobs.runs.clear()
    await housekeeping.wake_runs(world.desk)
    assert world.jobs.runs == []
    await world.let_time_pass()
    await housekeeping.wake_runs(world.desk)
    assert world.jobs.runs == [run_id]
    assert (await world.carry_through(run_id)).status == "verified"


async def test_one_broken_organization_keeps_nobody_elses_runs_waiting(world, globex, monkeypatch):
    await world.shelve()
    run_id = await world.start()
    other = replace(world, org=globex, books={})
    for _ in range(3):  # more of them, and due before
        await world.owner.execute(
            "insert into asoe.runbook_runs (org_id, runbook_id, version, created_at) values ($1, $2, $3, now() - interval '1 day')",
            globex.org_id, *(await other.shelve()),
        )  # fmt: skip
    await world.let_time_pass()
    await world.owner.execute("update asoe.runbook_runs set created_at = created_at - interval '1 minute'")
    async with world.desk.database.system_transaction("due_timers") as connection:
        first = await runs.due(connection, limit=2)
    assert {org_id for org_id, _ in first} == {world.org.org_id, globex.org_id}, "each has its turn"

    async def engine_of(desk, org_id):
        if org_id == globex.org_id:
            raise RuntimeError("its settings are broken")
        return world.engine

    monkeypatch.setattr(type(world.desk), "engine_of", engine_of)
    world.jobs.runs.clear()
    await housekeeping.wake_runs(world.desk)
    assert world.jobs.runs == [run_id]
