"""A run checks, acts, verifies and re-checks its goal; what it says of itself is what the outside system shows."""

from __future__ import annotations

from runs_cast import MortalDatabase


async def test_a_locked_account_is_unlocked_and_the_proof_is_kept(world):
    await world.shelve()
    ticket = await world.ticket()
    run_id = await world.start(on=ticket)
    assert await world.advance(run_id) == "ended"
    run = await world.run(run_id)
    assert (run.status, run.reason) == ("verified", "goal_met")
    assert world.estate.done() == ["unlock"]
    (action,) = await world.actions(run_id)
    assert (action.status, action.attempts, action.risk) == ("done", 1, "reversible")
    assert [fact["status"] for fact in await world.facts("run.acted")] == ["done"]
    (ended,) = await world.facts("run.ended")
    assert ended["verdict"] == "verified"
    assert world.jobs.journeys == [ticket]
    assert await world.advance(run_id) == "ended"
    assert world.estate.done() == ["unlock"]


async def test_an_act_takes_one_transaction_and_a_run_two_more(world):
    await world.shelve()
    run_id = await world.start(on=await world.ticket())
    MortalDatabase.count = 0
    await world.advance(run_id)
    assert MortalDatabase.count == 3
