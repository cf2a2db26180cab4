"""A person who takes the ticket, cancels, or stops all acts is obeyed before the next act; what was done stays told."""

from __future__ import annotations

import pytest
from runs_cast import Killed, act, book, fix

from asoe.desk import autonomy, session, ticket
from asoe.desk.runbook import execution, treatment
from asoe.domain.errors import Conflict

TWO = book(
    "two",
    fix("first", act("post"), that="=account.post > 0"),
    fix("second", act("refund"), that="=account.refund > 0"),
    goal="=account.refund > 0",
)


async def run_while(world, meanwhile, *, ticket_id=None, call="post", by=None, source=TWO, name="two"):
    """Carry a run out; during its first act something happens."""
    if name not in world.books:
        await world.shelve(source)
    ticket_id = ticket_id or await world.ticket()
    run_id = await world.start(name, on=ticket_id, by=by)

    async def happens():
        world.estate.hooks.clear()
        await meanwhile(run_id, ticket_id)

    world.estate.hooks[call] = happens
    return await world.carry_through(run_id)


async def test_a_cancelled_run_does_nothing_more(world):
    async def cancel(run_id, _):
        await execution.cancel(world.desk, world.org.agent, run_id)

    run = await run_while(world, cancel)
    assert (run.status, run.reason) == ("cancelled", "run_cancelled")
    assert world.estate.done() == ["post"]
    assert [action.status for action in await world.actions(run.id)] == ["done"]
    with pytest.raises(Conflict, match="has ended"):
        await execution.cancel(world.desk, world.org.agent, run.id)


async def test_a_pending_or_waiting_run_is_cancelled_without_acting(world):
    await world.shelve(TWO)
    run_id = await world.start("two")
    await execution.cancel(world.desk, world.org.agent, run_id)
    assert world.jobs.runs[-1] == run_id
    assert (await world.carry_through(run_id)).status == "cancelled"
    assert not world.estate.calls


async def test_the_emergency_stop_stops_every_act_at_once(world):
    async def stop(*_):
        await autonomy.stop_acts(world.desk, world.org.admin, "the estate is on fire")

    run = await run_while(world, stop)
    assert (run.status, run.reason) == ("escalated", "emergency_stop")
    assert "on fire" in run.note
    assert world.estate.done() == ["post"]
    another = await world.carry_through(await world.start("two", on=await world.ticket()))
    assert another.reason == "emergency_stop"
    rehearsal = await world.carry_through(await world.start("two", mode="shadow"))
    assert (rehearsal.status, rehearsal.reason) == ("unverified", "rehearsed")
    assert world.estate.done() == ["post"]


async def test_a_stop_during_retries_leaves_a_sure_failure_and_no_further_try(world):
    world.estate.faults.append(("post", "before always"))

    async def stop(*_):
        await autonomy.stop_acts(world.desk, world.org.admin, "stop")

    run = await run_while(world, stop)
    assert run.reason == "emergency_stop"
    assert len(world.estate.calls) == 1
    assert [action.status for action in await world.actions(run.id)] == ["failed"]


async def test_a_stop_while_an_act_is_in_doubt_leaves_it_to_a_person(world):
    world.estate.faults += [("refund", "lost"), ("refund", "probe always")]

    async def stop(*_):
        await autonomy.stop_acts(world.desk, world.org.admin, "stop")

    run = await run_while(world, stop, call="refund")
    assert (run.status, run.reason) == ("escalated", "effect_unknown")
    assert world.estate.done() == ["post"]
    assert [action.status for action in await world.actions(run.id)] == ["done", "unknown"]


async def test_a_person_who_takes_the_ticket_has_it_alone(world):
    async def takes_session(_, ticket_id):
        found = await world.owner.fetchval("select id from public.support_sessions where ticket_id = $1", ticket_id)
        await session.take_over(world.desk, world.org.agent, found)

    async def is_assigned(_, ticket_id):
        await ticket.change_ticket(world.desk, world.org.agent, ticket_id, {"assignee": world.org.agent.user_id})

    async def resolves(_, ticket_id):
        await ticket.move_ticket(world.desk, world.org.agent, ticket_id, "resolved")

    async def escalates(_, ticket_id):
        await world.owner.execute("update public.support_tickets set status = 'escalated' where id = $1", ticket_id)

    for takes in (takes_session, is_assigned, resolves, escalates):
        world.estate.db.execute("delete from effects")
        run = await run_while(world, takes)
        assert (run.status, run.reason) in {("cancelled", "taken_over"), ("cancelled", "ticket_ended")}, takes
        assert world.estate.done() == ["post"], takes


async def test_a_critical_ticket_that_is_escalated_is_still_mended(world):
    async def nothing(*_):
        return None

    critical = await world.ticket(status="escalated", severity="critical", waiting_for="person")
    assert (await run_while(world, nothing, ticket_id=critical)).status == "verified"


async def test_a_run_that_a_person_started_on_their_own_ticket_goes_on(world):
    async def nothing(*_):
        return None

    theirs = await world.ticket(assignee=world.org.agent.user_id, waiting_for="person")
    run = await run_while(world, nothing, ticket_id=theirs, by=world.org.agent.user_id)
    assert run.status == "verified"


async def test_a_run_takes_no_longer_than_it_may(world):
    async def too_long(run_id, _):
        await world.owner.execute(
            "update asoe.runbook_runs set started_at = started_at - interval '1 hour' where id = $1", run_id
        )

    run = await run_while(world, too_long)
    assert (run.status, run.reason) == ("escalated", "run_timeout")
    assert world.estate.done() == ["post"]


async def test_what_failed_is_undone_in_reverse(world):
    undone = book(
        "undone",
        fix(
            "all",
            act("unlock", ", undo: {call: estate.lock, with: {id: a}}"),
            act("post", ", undo: {call: estate.unpost, with: {id: a}}"),
            act("refund"),
            that="=account.refund > 0",
        ),
        goal="=account.refund > 0",
    )
    world.estate.faults.append(("refund", "before permanent"))
    await world.shelve(undone)
    run = await world.carry_through(await world.start("undone"))
    assert (run.status, run.reason) == ("failed", "act_failed")
    assert world.estate.done() == ["unlock", "post", "unpost", "lock"]
    rows = {row.path: row for row in await world.actions(run.id)}
    assert [row.status for row in rows.values()] == ["undone", "undone", "failed", "done", "done"]
    assert len(run.evidence["undone"]) == 2


async def test_an_undo_outlives_its_process(world):
    """Killed inside the first undo: the next pass finishes it, once, and goes on with the rest."""
    undone = book(
        "undone",
        fix(
            "all",
            act("unlock", ", undo: {call: estate.lock, with: {id: a}}"),
            act("post", ", undo: {call: estate.unpost, with: {id: a}}"),
            act("refund"),
            that="=account.refund > 0",
        ),
        goal="=account.refund > 0",
    )
    await world.shelve(undone)
    for fault in ("before killed", "after killed"):
        world.estate.db.execute("delete from effects")
        world.estate.faults[:] = [("refund", "before permanent"), ("unpost", fault)]
        run_id = await world.start("undone")
        with pytest.raises(Killed):
            await world.advance(run_id)
        await world.let_time_pass()
        run = await world.carry_through(run_id)
        assert run.status == "failed"
        assert world.estate.done() == ["unlock", "post", "unpost", "lock"]


UNDOING = book(
    "undoing",
    fix(
        "all",
        act("unlock", ", undo: {call: estate.lock, with: {id: a}}"),
        act("post", ", undo: {call: estate.unpost, with: {id: a}}"),
        that="=account.refund > 5",
        more="still_broken: fail",
    ),
    goal="=account.refund > 5",
)


@pytest.mark.parametrize("how", ["takeover", "stop"])
async def test_a_run_stopped_while_it_takes_back_says_what_it_did_and_did_not(world, how):
    """The acts are taken back last first; while the first is, a person steps in."""
    ticket_id = await world.ticket()

    async def steps_in(*_):
        if how == "stop":
            await autonomy.stop_acts(world.desk, world.org.admin, "the estate is on fire")
        else:
            found = await world.owner.fetchval("select id from public.support_sessions where ticket_id = $1", ticket_id)
            await session.take_over(world.desk, world.org.agent, found)

    run = await run_while(world, steps_in, ticket_id=ticket_id, call="unpost", source=UNDOING, name="undoing")
    assert world.estate.done() == ["unlock", "post", "unpost"]
    assert (run.status, run.reason) == (
        ("cancelled", "taken_over") if how == "takeover" else ("escalated", "emergency_stop")
    )
    assert run.evidence["undone"] == ["steps/all/act/1"]
    assert [each["status"] for each in run.evidence["acts"]] == ["done", "undone"]
    assert "Taken back: steps/all/act/1. Not taken back: steps/all/act/0." in run.note
    async with world.desk.database.org_reading(world.engine) as connection:
        report = await treatment.report(connection, world.org.org_id, run.id)
    assert run.note in report.tried
    assert world.jobs.journeys[-1] == ticket_id, "the ticket's journey tells whoever has it"
