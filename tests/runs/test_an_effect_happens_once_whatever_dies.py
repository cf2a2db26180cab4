"""The process dies at any beat of any act, or the line breaks: the effect is there once, or a person is asked, and no run is stuck."""

from __future__ import annotations

from dataclasses import replace

import pytest
from runs_cast import ACTIONS, Killed, MortalDatabase, act, book, connect, fix, one_act

DOERS = ("unlock", "refund", "keyed", "post", "blind")
BEATS = ("begin", "commit", "after")
LAST = {"blind": 4}
"""The transactions of a run with one act: claim, intent, and its outcome with the end; a blind act's outcome by itself."""


async def check(world, run_id, call) -> None:
    """What holds after any death: once or not at all, told truly, and nothing left open."""
    run = await world.run(run_id)
    (action,) = await world.actions(run_id)
    times = sum(world.estate.effects(call).values())
    if ACTIONS[call].repeats != "naturally":  # unlocking again is as good as once
        assert times <= 1
    if action.status == "unknown":
        assert call == "blind", "only what can neither be asked about nor repeated is left to a person"
        assert (run.status, run.reason) == ("escalated", "effect_unknown")
    else:
        assert (action.status, run.status, run.reason) == ("done", "verified", "goal_met")
        assert times >= 1


@pytest.mark.parametrize("call", DOERS)
async def test_a_death_at_any_transaction(world, call):
    await world.shelve(one_act(call))
    last = LAST.get(call, 3)
    for number, beat in [(number, beat) for number in range(1, last + 1) for beat in BEATS]:
        world.estate.db.execute("delete from effects")
        run_id = await world.start("once")
        MortalDatabase.count, MortalDatabase.dies = 0, (number, beat)
        with pytest.raises(Killed):
            await world.advance(run_id)
        MortalDatabase.dies = None
        is_claimed = (number, beat) not in {(1, "begin"), (1, "commit"), (last, "after")}
        if is_claimed:
            assert await world.advance(run_id) == "busy", "the lease of the dead holds until it is over"
            await world.let_time_pass()
        await world.carry_through(run_id)
        await check(world, run_id, call)


async def test_a_death_inside_the_act(world):
    for call in DOERS:
        await world.shelve(one_act(call, name=f"once-{call}"))
        for fault in ("before killed", "after killed"):
            world.estate.db.execute("delete from effects")
            run_id = await world.start(f"once-{call}")
            world.estate.faults[:] = [(call, fault)]
            with pytest.raises(Killed):
                await world.advance(run_id)
            assert await world.advance(run_id) == "busy"
            await world.let_time_pass()
            await world.carry_through(run_id)
            await check(world, run_id, call)


async def test_a_line_that_breaks_and_comes_back(world):
    for call in DOERS:
        await world.shelve(one_act(call, name=f"once-{call}"))
        for fault in ("before", "lost", "after"):
            for times in (1, 2):
                world.estate.db.execute("delete from effects")
                run_id = await world.start(f"once-{call}")
                world.estate.faults[:] = [(call, fault)] * times
                await world.carry_through(run_id)
                await check(world, run_id, call)


async def test_a_line_that_stays_broken_ends_with_a_person(world):
    for call in ("refund", "keyed", "post"):
        await world.shelve(one_act(call, name=f"once-{call}"))
        run_id = await world.start(f"once-{call}")
        connect(world, estate=world.estate)  # with a breaker that has seen nothing yet
        world.estate.faults[:] = [(call, "after always"), (call, "probe always")]
        run = await world.carry_through(run_id, most=60)
        assert (run.status, run.reason) == ("escalated", "effect_unknown")
        assert sum(world.estate.effects(call).values()) == 1


async def test_a_sure_failure_is_told_as_one_and_nothing_was_done(world):
    await world.shelve(one_act("post"))
    for fault, reason, calls in (("before permanent", "act_failed", 1), ("before always", "connector_down", 3)):
        world.estate.faults[:], world.estate.calls[:] = [("post", fault)], []
        run = await world.carry_through(await world.start("once"))
        assert (run.status, run.reason) == ("failed", reason)
        assert len(world.estate.calls) == calls
        assert not world.estate.effects()


async def test_a_failure_after_a_doubt_is_no_sure_failure(world):
    """The second try is refused for good; the first may have taken effect, and did."""
    await world.shelve(one_act("keyed"))
    run_id = await world.start("once")
    world.estate.faults.append(("keyed", "after"))

    async def refuse_the_second():
        if len(world.estate.calls) == 2:
            world.estate.faults.append(("keyed", "before permanent"))

    world.estate.hooks["keyed"] = refuse_the_second
    run = await world.carry_through(run_id)
    assert (run.status, run.reason) == ("escalated", "effect_unknown")


async def test_every_try_goes_under_the_same_key_and_every_act_under_its_own(world):
    steps = fix("all", act("refund"), act("post"), act("refund"), that="=account.post > 0")
    await world.shelve(book("two", steps, goal="=account.refund > 1"))
    world.estate.faults += [("refund", "lost"), ("refund", "before")]
    run = await world.carry_through(await world.start("two"))
    assert run.status == "verified"
    keys = [key for call, key in world.estate.calls if call == "refund"]
    assert len(keys) == 4
    assert len(set(keys)) == 2
    assert set(world.estate.effects().values()) == {1}


async def test_a_process_that_stood_still_does_not_act_when_it_wakes(world, monkeypatch):
    """Between intent and act more time passes than the claim allows for: another pass may be at it already."""
    from asoe.desk.runbook.acts import intent

    await world.shelve(one_act("blind"))
    run_id = await world.start("once")
    intend = intent.intend

    async def slowly(*given):
        begun = await intend(*given)
        return replace(begun, fresh=begun.fresh - 3600)

    monkeypatch.setattr(intent, "intend", slowly)
    assert await world.advance(run_id) == "busy"
    assert not world.estate.calls
