"""Take one safeguard away, and a check of the guarantees turns red: verification, goal re-check, idempotency key, business key,
intent, probe, lock on caps. So none of them is decoration, and none can go unnoticed."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import replace
from uuid import uuid4

import pytest
from runs_cast import Killed, MortalDatabase, act, book, fix, one_act

from asoe.connectors.contract import Probe
from asoe.desk.runbook import interpreter
from asoe.desk.runbook.acts import effect, intent
from asoe.store import runs


class Broken(AssertionError):
    """A guarantee does not hold."""


def must(holds: bool, guarantee: str) -> None:
    if not holds:
        raise Broken(guarantee)


async def no_step_builds_on_a_fix_that_did_not_take(world) -> None:
    """The first act answers and does nothing; the second would meet the goal by itself."""
    steps = (
        fix("first", act("post"), that="=account.post > 0"),
        fix("second", act("refund"), that="=account.refund > 0"),
    )
    await world.shelve(book("claims", *steps, goal="=account.refund > 0"))
    does = world.estate.act

    async def claims(action, arguments, **more):
        return {"done": action} if action == "post" else await does(action, arguments, **more)

    world.estate.act = claims
    run = await world.carry_through(await world.start("claims"))
    must(run.status != "verified", "a run is verified although its first fix did nothing")
    must(not world.estate.effects("refund"), "money moved on the strength of a fix that did nothing")


async def what_is_called_fixed_reached_its_goal(world) -> None:
    """The fix takes, and the goal is something else."""
    await world.shelve(one_act("post", name="aims").replace('met: "=account.post > 0"', 'met: "=account.refund > 0"'))
    run = await world.carry_through(await world.start("aims"))
    must(run.status != "verified", "a run is verified although its goal is not met")


async def an_effect_happens_once(world) -> None:
    """Killed right after the effect, at a system that knows keys."""
    await world.shelve(one_act("keyed", name="keys"))
    run_id = await world.start("keys")
    world.estate.faults.append(("keyed", "after killed"))
    with pytest.raises(Killed):
        await world.advance(run_id)
    await world.let_time_pass()
    await world.carry_through(run_id)
    must(sum(world.estate.effects("keyed").values()) == 1, "an effect happened twice")


async def an_effect_that_can_be_asked_about_happens_once(world) -> None:
    """Killed right after the effect, at a system that would do it again."""
    await world.shelve(one_act("post", name="probed"))
    run_id = await world.start("probed")
    world.estate.faults.append(("post", "after killed"))
    with pytest.raises(Killed):
        await world.advance(run_id)
    await world.let_time_pass()
    await world.carry_through(run_id)
    must(sum(world.estate.effects("post").values()) == 1, "an effect happened twice")


async def money_moves_once(world) -> None:
    await world.shelve(one_act("refund", """, once_per: '="charge-7"' """, name="money"))
    await world.carry_through(await world.start("money", on=await world.ticket()))
    before = sum(world.estate.effects("refund").values())
    world.estate.db.execute("delete from effects")
    await world.carry_through(await world.start("money", on=await world.ticket()))
    must(before + sum(world.estate.effects("refund").values()) == 1, "the same charge was refunded twice")


async def no_cap_is_passed(world) -> None:
    await world.shelve(one_act("post", ", limits: [{per: organization, window: 24h, count: 1}]", name="capped"))
    begun = [await world.start("capped", on=await world.ticket()) for _ in range(2)]
    await asyncio.gather(*(world.advance(run_id) for run_id in begun))
    must(sum(world.estate.effects("post").values()) <= 1, "a cap was passed")


GUARANTEES = (
    no_step_builds_on_a_fix_that_did_not_take,
    what_is_called_fixed_reached_its_goal,
    an_effect_happens_once,
    an_effect_that_can_be_asked_about_happens_once,
    money_moves_once,
    no_cap_is_passed,
)


@contextmanager
def without_the_verification(patch):
    def holds(self, *_):
        return True
        yield

    patch.setattr(interpreter._Run, "_is_verified", holds)
    yield


@contextmanager
def without_the_recheck_of_the_goal(patch):
    original = interpreter._Run._is_met

    def met_after_acts(self, frame, names, **more):
        if self.performed:
            return True
        return (yield from original(self, frame, names, **more))

    patch.setattr(interpreter._Run, "_is_met", met_after_acts)
    yield


@contextmanager
def without_the_key(patch):
    original = effect._call

    async def with_another_key(passing, doing):
        return await original(passing, replace(doing, key=f"asoe-{uuid4().hex}"))

    patch.setattr(effect, "_call", with_another_key)
    yield


@contextmanager
def without_the_probe(patch):
    async def knows_nothing_went_wrong(*_):
        return Probe("not_done")

    patch.setattr(effect, "_probe", knows_nothing_went_wrong)
    yield


@contextmanager
def without_the_business_key(patch):
    original = intent.intent_of

    def keyless(*given):
        return replace(original(*given), business_key=None)

    patch.setattr(intent, "intent_of", keyless)
    yield


@contextmanager
def without_the_lock_on_caps(patch):
    counted, both = runs.acted, asyncio.Barrier(2)

    async def no_lock(*_):
        return None

    async def count_and_meet(*given):
        found = await counted(*given)
        await both.wait()  # each has counted before the other has written
        return found

    patch.setattr(runs, "hold_caps", no_lock)
    patch.setattr(runs, "acted", count_and_meet)
    yield


@pytest.mark.parametrize("guarantee", GUARANTEES)
async def test_a_guarantee_holds(world, guarantee):
    await guarantee(world)


@pytest.mark.parametrize(
    ("guarantee", "removed"),
    [
        (no_step_builds_on_a_fix_that_did_not_take, without_the_verification),
        (what_is_called_fixed_reached_its_goal, without_the_recheck_of_the_goal),
        (an_effect_happens_once, without_the_key),
        (an_effect_that_can_be_asked_about_happens_once, without_the_probe),
        (money_moves_once, without_the_business_key),
        (no_cap_is_passed, without_the_lock_on_caps),
    ],
)
async def test_without_its_safeguard_it_does_not(world, monkeypatch, guarantee, removed):
    with removed(monkeypatch), pytest.raises(Broken):
        await guarantee(world)


async def test_without_the_intent_no_act_is_done(world, monkeypatch):
    """The key is stored before acting: when it cannot be, nothing is done."""
    await world.shelve(one_act("post", name="intent"))
    run_id = await world.start("intent")
    MortalDatabase.count, MortalDatabase.dies = 0, (2, "commit")
    with pytest.raises(Killed):
        await world.advance(run_id)
    assert not world.estate.calls
