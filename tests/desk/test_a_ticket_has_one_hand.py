"""However often and by however many a journey is advanced, and whoever acts meanwhile, each thing happens once."""

from __future__ import annotations

import asyncio
import random

import pytest

from asoe.desk import journey, session, ticket
from asoe.store import journeys, sessions


@pytest.mark.parametrize(("body", "replies", "escalated"), [("How?", 1, 0), ("lost #severity:critical", 1, 1)])
async def test_ten_advances_at_once_do_one_step(world, body, replies, escalated):
    made = await world.open(body)
    results = await asyncio.gather(*(world.advance(made) for _ in range(10)))
    assert results.count("waiting") >= 1
    await world.drain()
    assert len(await world.said_by_engine(made)) == replies
    assert len(await world.escalations(made)) == escalated
    assert await world.one("select count(*) from asoe.orchestrator_runs where ticket_id = $1", made.id) == 1


async def test_a_job_that_comes_again_does_nothing_more(world):
    made = await world.answered()
    before = (await world.now(made)).version
    for _ in range(3):
        assert await world.advance(made) == "waiting"
    assert (await world.now(made)).version == before
    assert len(await world.said_by_engine(made)) == 1
    assert await world.one("select count(*) from asoe.orchestrator_runs where ticket_id = $1", made.id) == 1


async def test_every_step_has_its_run_and_invocations_and_nothing_else_has(world):
    made = await world.answered()
    await world.advance(made)
    await world.say(made, "no")
    await world.advance(made)
    await world.say(made, "yes")
    await world.advance(made)
    world.clock.move(days=8)
    await world.advance(made)
    await world.advance(made)
    runs = list(reversed(await ticket.runs(world.desk, world.acme.agent, made.id)))
    assert [run["plan"][-1] for run in runs] == ["answered", "answered", "confirmed", "closed"]
    for run in runs:
        assert run["status"] == "completed"
        assert run["plan"][:-1] == [part["agent"] for part in run["invocations"]]
        assert run["invocations"]
        assert run["started_at"] == run["ended_at"]  # by the desk's clock, which stood still


async def overtaken(world, act):
    """An advance that is thinking while `act` happens; returns what it came to."""
    made = await world.open()
    world.ai.slow["answer"] = gate = asyncio.Event()
    thinking = asyncio.create_task(world.advance(made))
    await world.ai.reached.wait()
    await act(made)
    gate.set()
    result = await thinking
    await world.drain()
    return made, result


@pytest.mark.parametrize("act", ["take over", "speak", "session", "move", "close", "change", "client"])
async def test_whoever_acts_while_the_engine_thinks_makes_its_step_stale(world, act):
    agent = world.acme.agent

    async def meanwhile(made):
        match act:
            case "take over":
                await session.take_over(world.desk, agent, made.session_id)
            case "speak":
                await world.say(made, "I am on it", by=agent, role="agent")
            case "session":
                await session.start_session(world.desk, agent, made.id, "human")
            case "move":
                await ticket.move_ticket(world.desk, agent, made.id, "triaging")
                await ticket.move_ticket(world.desk, agent, made.id, "in_progress")
            case "close":
                await ticket.mark_spam(world.desk, agent, made.id)
            case "change":
                await ticket.change_ticket(world.desk, agent, made.id, {"severity": "critical"})
            case "client":
                await world.say(made, "I want a PERSON")

    made, result = await overtaken(world, meanwhile)
    assert result == "stale"
    said = await world.said_by_engine(made)
    if act in {"change", "client"}:
        assert len(said) == 1
        assert (await world.now(made)).status == "escalated"
    else:
        assert said == []


async def test_words_that_are_being_written_down_are_waited_for(world):
    """A client's message whose transaction is still open is neither overlooked nor answered before it is there."""
    made = await world.open()
    world.ai.slow["answer"] = gate = asyncio.Event()
    thinking = asyncio.create_task(world.advance(made))
    await world.ai.reached.wait()
    is_written, may_end = asyncio.Event(), asyncio.Event()

    async def before_it_ends(*_):
        is_written.set()
        await may_end.wait()

    client = world.acme.engine
    writing = asyncio.create_task(
        session.add_message(world.desk, client, made.session_id, "user", "I want a PERSON", remember=before_it_ends)
    )
    await is_written.wait()
    gate.set()
    while not await world.rows("select pid from pg_locks where not granted"):
        assert not thinking.done()
        await asyncio.sleep(0.01)
    may_end.set()
    await writing
    assert await thinking == "stale"
    await world.drain()
    assert len(await world.said_by_engine(made)) == 1
    assert (await world.now(made)).status == "escalated"


async def test_no_word_of_the_engine_follows_a_person_in_twenty_interleavings(world):
    for seed in range(20):
        chance = random.Random(seed)
        made = await world.open(f"question {seed}")
        if chance.random() < 0.5:
            await world.advance(made)
            await world.say(made, chance.choice(["no", "yes", "hm"]))

        async def take(made=made, chance=chance):
            await asyncio.sleep(chance.random() * 0.02)
            if chance.random() < 0.5:
                await session.take_over(world.desk, world.acme.agent, made.session_id)
            else:
                await world.say(made, "I am on it", by=world.acme.agent, role="agent")

        async def wake(made=made, chance=chance):
            await asyncio.sleep(chance.random() * 0.02)
            await world.advance(made)

        await asyncio.gather(wake(), take(), wake(), wake())
        before = await world.said_by_engine(made)
        await world.say(made, "what now?")
        await world.drain()
        assert await world.said_by_engine(made) == before
        order = await world.rows(
            "select kind from asoe.facts where ticket_id = $1 and kind in ('session.taken_over', 'ticket.answered') order by id",
            made.id,
        )
        assert order[-1]["kind"] == "session.taken_over", f"seed {seed}"


async def test_people_clients_and_engine_at_once_never_lock_each_other_out(world):
    made = [await world.open(f"question {number}") for number in range(3)]

    async def act(number):
        one = made[number % 3]
        for turn in range(6):
            if number % 4 == 0:
                await world.say(one, f"client {number} {turn}")
            elif number % 4 == 1:
                await world.say(one, f"person {number} {turn}", by=world.acme.agent, role="agent")
            elif number % 4 == 2:
                await world.advance(one)
            else:
                await session.hand_back(world.desk, world.acme.agent, one.session_id)

    await asyncio.wait_for(asyncio.gather(*(act(number) for number in range(12))), 60)
    for one in made:
        seqs = await world.rows("select seq from asoe.session_messages where ticket_id = $1 order by seq", one.id)
        assert [row["seq"] for row in seqs] == list(range(1, len(seqs) + 1))


async def test_two_merges_in_opposite_order_neither_wait_for_ever_nor_both_happen(world):
    for number in range(5):
        one, two = await world.open(f"one {number}"), await world.open(f"two {number}")
        results = await asyncio.wait_for(
            asyncio.gather(
                ticket.merge_ticket(world.desk, world.acme.agent, one.id, into=two.id),
                ticket.merge_ticket(world.desk, world.acme.admin, two.id, into=one.id),
                ticket.link_ticket(world.desk, world.acme.agent, two.id, other_id=one.id),
                ticket.link_ticket(world.desk, world.acme.agent, one.id, other_id=two.id),
                return_exceptions=True,
            ),
            20,
        )
        refused = [result for result in results if isinstance(result, BaseException)]
        assert [error.code for error in refused] == ["already_merged"]
        merged = [(await world.now(each)).merged_into for each in (one, two)]
        assert sorted(into is None for into in merged) == [False, True]


async def test_the_same_request_ten_times_at_once_is_one_ticket(world):
    found = await asyncio.gather(*(world.open_by_contact("the same words") for _ in range(10)))
    assert len({each.id for each in found}) == 1
    world.clock.move(minutes=9)
    assert (await world.open_by_contact("The  SAME words\n")).id == found[0].id
    assert (await world.open_by_contact("the same words", email="lee@example.org")).id != found[0].id
    world.clock.move(minutes=2)
    assert (await world.open_by_contact("the same words")).id != found[0].id
    assert (await world.facts(found[0])).count("ticket.duplicate") == 10


async def test_a_journey_of_another_organization_is_not_found(world, globex):
    made = await world.open()
    assert await journey.carry_on(world.desk, globex.org_id, made.id) == "gone"
    assert await world.said_by_engine(made) == []


async def test_who_writes_while_the_engine_answers_waits_and_neither_is_thrown_out(world):
    made = await world.open("How do I export?")
    org_id, engine = world.acme.org_id, world.acme.engine
    is_held = asyncio.Event()

    async def write():
        await is_held.wait()
        await session.add_message(world.desk, world.acme.client, made.session_id, "user", "And how do I print?")

    writing = asyncio.create_task(write())
    async with world.desk.database.org_transaction(engine) as connection:
        await journeys.hold(connection, org_id, made.id)
        await journeys.recheck(connection, org_id, made.id, {})
        is_held.set()
        while not await world.rows("select pid from pg_locks where not granted"):
            assert not writing.done()
            await asyncio.sleep(0.01)
        spoken = await sessions.find(connection, org_id, made.session_id)
        await sessions.add(
            connection, org_id, spoken, role="assistant", content="Open the menu.", author=engine.user_id
        )
    await writing
    assert [role for role, _ in await world.messages(made)] == ["user", "assistant", "user"]
