"""A run that waits for its client, an approval or the time is a row; what wakes it, wakes it once, and a replay goes the same way."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from runs_cast import act, book, fix, one_act

from asoe.desk import approval, housekeeping
from asoe.desk.runbook import execution
from asoe.domain.runbook import Consent, SlotReading
from asoe.store import runs

ASKING = book(
    "asking",
    "\n  - ask: refund\n",
    fix("only", act("refund", ", guards: [{that: '=slots.refund.status == \"given\"', otherwise: refuse, reason: needs_consent}]"), that="=account.refund > 0"),
    goal="=account.refund > 0",
    head="""
slots:
  - {name: refund, type: consent, unit: USD, required: false, question: {en: May we refund you?}, examples: {given: [Yes please], refused: [No]}}
""",
)  # fmt: skip
PAUSING = book(
    "pausing",
    fix("first", act("post"), that="=account.post > 0"),
    "\n  - wait: 5m\n",
    fix("second", act("refund"), that="=account.refund > 0"),
    goal="=account.refund > 0",
)
APPROVED = one_act("refund", ", amount: =20.0, unit: USD, approval: {people: 1, role: admin, expires_after: 1h}")


async def answer(world, run_id, reading: SlotReading) -> None:
    async with world.desk.database.org_transaction(world.engine) as connection:
        assert await execution.answer(world.desk, connection, world.engine, run_id, {reading.name: reading})


async def approvals(world, run_id):
    found = await approval.list_approvals(world.desk, world.org.admin, status=None)
    return [each for each in found if each.run_id == run_id]


async def test_a_client_is_asked_once_and_the_answer_goes_on(world):
    await world.shelve(ASKING)
    ticket = await world.ticket()
    run_id = await world.start("asking", on=ticket)
    for _ in range(3):  # being woken in vain changes nothing
        assert await world.advance(run_id) == "waiting"
    run = await world.run(run_id)
    assert (run.status, run.waiting_for) == ("waiting", "client")
    assert run.due_at - run.created_at > timedelta(hours=47)
    assert len(await world.facts("run.waiting")) == 1
    assert world.jobs.journeys == [ticket]
    consent = Consent("given", Decimal("20.5"), "USD")
    await answer(world, run_id, SlotReading("refund", "read", consent, source="message:2", confidence=0.9))
    assert (await world.carry_through(run_id)).status == "verified"
    assert world.estate.done() == ["refund"]


async def test_a_refused_consent_is_obeyed(world):
    await world.shelve(ASKING)
    run_id = await world.start("asking")
    assert await world.advance(run_id) == "waiting"
    await answer(world, run_id, SlotReading("refund", "read", Consent("refused")))
    run = await world.carry_through(run_id)
    assert (run.status, run.reason) == ("refused", "needs_consent")
    assert not world.estate.calls


async def test_silence_ends_the_run_with_a_person(world):
    await world.shelve(ASKING)
    run_id = await world.start("asking")
    assert await world.advance(run_id) == "waiting"
    await world.let_time_pass("49 hours")
    await housekeeping.wake_runs(world.desk)
    assert world.jobs.runs[-1] == run_id
    run = await world.carry_through(run_id)
    assert (run.status, run.reason) == ("escalated", "needs_consent")


async def test_an_answer_that_comes_while_the_run_is_looked_at_is_not_lost(world):
    """The pass has read the slots; the answer is written; the pass waits: it must be due at once."""
    await world.shelve(ASKING)
    run_id = await world.start("asking")
    await world.advance(run_id)
    async with world.desk.database.org_transaction(world.engine) as connection:
        claimed = await runs.claim(connection, world.org.org_id, run_id, by=run_id, lease=timedelta(minutes=1))
    await answer(world, run_id, SlotReading("refund", "read", Consent("given")))
    async with world.desk.database.org_transaction(world.engine) as connection:
        later = claimed.now + timedelta(hours=48)
        assert await runs.wait(
            connection, world.org.org_id, run_id, by=run_id, waiting_for="client", due_at=later, known=claimed.run.slots
        )
    run = await world.run(run_id)
    assert run.due_at < later - timedelta(hours=47)
    assert (await world.carry_through(run_id)).status == "verified"


async def test_waiting_for_people_does_not_use_up_the_time_of_a_run(world):
    await world.shelve(ASKING)
    run_id = await world.start("asking")
    await world.advance(run_id)
    await world.owner.execute(
        "update asoe.runbook_runs set started_at = started_at - interval '40 hours', waiting_since = waiting_since - interval '40 hours'"
    )
    await answer(world, run_id, SlotReading("refund", "read", Consent("given")))
    assert (await world.carry_through(run_id)).status == "verified"


async def test_a_pause_is_a_row_and_nothing_is_done_twice_after_it(world):
    await world.shelve(PAUSING)
    run_id = await world.start("pausing")
    assert await world.advance(run_id) == "waiting"
    assert (await world.run(run_id)).waiting_for == "timer"
    assert await world.advance(run_id) == "waiting"
    assert world.estate.done() == ["post"]
    await world.let_time_pass("6 minutes")
    assert (await world.carry_through(run_id)).status == "verified"
    assert world.estate.done() == ["post", "refund"]


async def test_a_replay_sees_the_ticket_as_it_was(world):
    """The text changes while the run waits: it takes the way it had begun, and does nothing twice."""
    steps = PAUSING.replace('when: "=true"', "when: '=ticket.category == \"account\"'")
    await world.shelve(steps)
    ticket = await world.ticket()
    run_id = await world.start("pausing", on=ticket)
    assert await world.advance(run_id) == "waiting"
    await world.owner.execute(
        "update public.support_tickets set category = 'general', subject = 'x' where id = $1", ticket
    )
    await world.let_time_pass("6 minutes")
    assert (await world.carry_through(run_id)).status == "verified"
    assert world.estate.done() == ["post", "refund"]


async def test_an_act_is_approved_for_exactly_what_was_shown(world):
    await world.shelve(APPROVED)
    run_id = await world.start("once", on=await world.ticket())
    for _ in range(2):
        assert await world.advance(run_id) == "waiting"
    (asked,) = await approvals(world, run_id)
    assert asked.card["amount"] == "20.0"
    assert asked.card["evidence"]
    assert len(await world.facts("run.waiting")) == 1
    assert not world.estate.calls
    await approval.decide(world.desk, world.org.admin, asked.id, "approve")
    run = await world.carry_through(run_id)
    assert run.status == "verified"
    (action,) = await world.actions(run_id)
    assert action.approval_id == asked.id
    (spent,) = await approvals(world, run_id)
    assert spent.status == "used"


async def test_a_refused_or_expired_approval_is_an_end(world):
    await world.shelve(APPROVED)
    refused = await world.start("once")
    await world.advance(refused)
    (asked,) = await approvals(world, refused)
    await approval.decide(world.desk, world.org.admin, asked.id, "refuse", "no")
    run = await world.carry_through(refused)
    assert (run.status, run.reason) == ("escalated", "approval_refused")

    late = await world.start("once")
    await world.advance(late)
    await world.owner.execute(
        "update asoe.approvals set expires_at = now() - interval '1 minute' where run_id = $1", late
    )
    run = await world.carry_through(late)
    assert (run.status, run.reason) == ("escalated", "approval_expired")
    assert not world.estate.calls


async def test_a_cancelled_run_leaves_no_approval_open(world):
    await world.shelve(APPROVED)
    run_id = await world.start("once")
    await world.advance(run_id)
    await execution.cancel(world.desk, world.org.agent, run_id)
    assert (await world.carry_through(run_id)).status == "cancelled"
    (asked,) = await approvals(world, run_id)
    assert asked.status == "dead"


async def test_a_rehearsal_does_nothing_asks_nobody_and_lists_what_it_would_do(world):
    await world.shelve(PAUSING, level="shadow")
    await world.shelve(ASKING, level="shadow")
    for mode in ("shadow", "dry_run"):
        run = await world.carry_through(await world.start("pausing", mode=mode))
        assert (run.status, run.reason) == ("unverified", "rehearsed")
        assert [row.status for row in await world.actions(run.id)] == ["simulated", "simulated"]
        run = await world.carry_through(await world.start("asking", mode=mode))
        assert run.ended_at is not None
    assert not world.estate.calls


async def test_a_runbook_that_may_not_act_does_not(world):
    for level in ("off", "shadow", "suggest"):
        await world.shelve(one_act("refund", name=f"at-{level}"), level=level)
        run = await world.carry_through(await world.start(f"at-{level}"))
        assert (run.status, run.reason) == ("escalated", "autonomy")
    assert not world.estate.calls


async def test_what_a_system_says_is_kept_as_it_can_be(world):
    """Null characters, half characters and numbers that are none neither break a run nor change it between passes."""
    await world.shelve(PAUSING)
    read = world.estate.read

    async def strange(action, arguments, *, timeout):
        return {
            **await read(action, arguments, timeout=timeout),
            "odd": "a\x00b\ud800",
            "nan": float("nan"),
            "x": (1, 2),
        }

    world.estate.read = strange
    run_id = await world.start("pausing")
    assert await world.advance(run_id) == "waiting"
    await world.let_time_pass("6 minutes")
    assert (await world.carry_through(run_id)).status == "verified"


async def test_a_pass_that_fails_unforeseen_gives_the_run_to_a_person(world):
    await world.shelve()

    def broken(*_, **__):
        raise ZeroDivisionError
        yield

    run_id = await world.start()
    state = await execution.advance_run(world.desk, world.engine, run_id, pace=world.pace, interpreter=broken)
    assert state == "ended"
    run = await world.run(run_id)
    assert (run.status, run.reason) == ("escalated", "stage_failed")
