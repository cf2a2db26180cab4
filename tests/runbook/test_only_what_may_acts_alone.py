"""The ladder, lent trust, approvals and the emergency stop, over the real database."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from run_cast import ACTION, REFUND, make_run, make_runbook, perform

from asoe.desk import approval, autonomy
from asoe.desk.autonomy import Alone, NeedsApproval, No
from asoe.desk.context import Desk
from asoe.desk.runbook import shelf
from asoe.domain.errors import Conflict, Denied, Invalid, Missing
from asoe.domain.organization import Principal
from asoe.domain.people import APPROVE
from asoe.domain.runbook import Act, ApprovalRule, Call, Perform
from asoe.queue import Queue
from asoe.store import approvals, runbooks
from asoe.store import autonomy as rows

RUNBOOK = """
runbook: NAME
title: It calls another
resolution_type: auto_fix
match: {phrases: [whatever]}
connectors: {estate: estate}
goal: {reads: [{call: estate.get, into: seen}], met: =seen.done}
steps: [{do: CALLED}]
"""


@pytest.fixture
def desk(database):
    return Desk(database, Queue(), ai=None, clock=lambda: datetime.now(UTC))


async def decided(desk, org, run, what=None, action=ACTION, **more):
    async with desk.database.org_transaction(org.engine) as connection:
        return await autonomy.decide(connection, org.engine, run, what or perform(), action, now=desk.clock(), **more)


async def judged(database, org, runbook_id, right: int, wrong: int = 0):
    for is_right in [True] * right + [False] * wrong:
        run = await make_run(database, org, runbook_id, status="verified", alone=True)
        async with database.org_transaction(org.agent) as connection:
            await rows.judge(connection, org.org_id, run.id, is_right=is_right, source="audit", by=org.agent.user_id)


async def test_a_new_runbook_asks_before_every_act(desk, acme):
    run = await make_run(desk.database, acme, await make_runbook(desk.database, acme))
    assert isinstance(await decided(desk, acme, run), NeedsApproval)


async def test_auto_without_a_certificate_still_asks_and_says_why(desk, acme):
    runbook_id = await make_runbook(desk.database, acme)
    await autonomy.set_level(desk, acme.admin, "unlock", "auto")
    asked = await decided(desk, acme, await make_run(desk.database, acme, runbook_id))
    assert isinstance(asked, NeedsApproval)
    assert "no certificate" in asked.why


async def test_a_certificate_lets_it_act_alone_until_an_error_takes_it_away(desk, acme):
    runbook_id = await make_runbook(desk.database, acme)
    await autonomy.set_level(desk, acme.admin, "unlock", "auto")
    await judged(desk.database, acme, runbook_id, 59)
    run = await make_run(desk.database, acme, runbook_id)
    assert await decided(desk, acme, run) == Alone()
    assert isinstance(await decided(desk, acme, run, action=REFUND), NeedsApproval), "costly acts need 149"
    await judged(desk.database, acme, runbook_id, 0, wrong=1)
    assert isinstance(await decided(desk, acme, run), NeedsApproval)


async def rewritten(desk, org, name: str = "unlock") -> None:
    """Another text of it is published."""
    async with desk.database.org_transaction(org.admin) as connection:
        await runbooks.put(
            connection, org.org_id, name=name, title="Unlock", resolution_type="auto_fix",
            source="# other", digest="other", by=org.admin.user_id,
        )  # fmt: skip
    await shelf.publish(desk, org.admin, name)


async def test_a_new_version_begins_without_evidence(desk, acme):
    runbook_id = await make_runbook(desk.database, acme)
    await autonomy.set_level(desk, acme.admin, "unlock", "auto")
    await judged(desk.database, acme, runbook_id, 59)
    await rewritten(desk, acme)
    run = await make_run(desk.database, acme, runbook_id, version=2)
    assert isinstance(await decided(desk, acme, run), NeedsApproval)


async def test_another_text_published_after_it_was_out_of_use_begins_without_evidence_too(desk, acme):
    runbook_id = await make_runbook(desk.database, acme)
    await autonomy.set_level(desk, acme.admin, "unlock", "auto")
    await judged(desk.database, acme, runbook_id, 59)
    await shelf.retire(desk, acme.admin, "unlock")
    await rewritten(desk, acme)
    run = await make_run(desk.database, acme, runbook_id, version=2)
    assert isinstance(await decided(desk, acme, run), NeedsApproval)


async def test_a_voided_certificate_never_comes_back(desk, acme):
    runbook_id = await make_runbook(desk.database, acme)
    await judged(desk.database, acme, runbook_id, 59)  # nobody has set a level yet
    await rewritten(desk, acme)
    await shelf.publish(desk, acme.admin, "unlock", 1)
    await autonomy.set_level(desk, acme.admin, "unlock", "auto")
    await autonomy.set_level(desk, acme.admin, "unlock", "approve")
    await autonomy.set_level(desk, acme.admin, "unlock", "auto")
    _, standing, _ = await autonomy.read_standing(desk, acme.owner, "unlock")
    assert standing.evidence.cases == 0
    run = await make_run(desk.database, acme, runbook_id)
    assert isinstance(await decided(desk, acme, run), NeedsApproval)


async def test_what_an_earlier_version_did_right_proves_nothing_of_the_one_in_use(desk, acme):
    runbook_id = await make_runbook(desk.database, acme)
    await autonomy.set_level(desk, acme.admin, "unlock", "auto")
    await rewritten(desk, acme)
    await judged(desk.database, acme, runbook_id, 59)  # runs by version 1, judged late
    run = await make_run(desk.database, acme, runbook_id, version=2)
    assert isinstance(await decided(desk, acme, run), NeedsApproval)


async def test_lent_trust_ends_with_the_version_that_was_trusted(desk, acme):
    runbook_id = await make_runbook(desk.database, acme)
    soon = desk.clock() + timedelta(days=1)
    await autonomy.lend(desk, acme.owner, "unlock", reason="a pilot", until=soon, caps={"acts_per_day": 1})
    old = await make_run(desk.database, acme, runbook_id)
    assert await decided(desk, acme, old) == Alone(lent=True)
    await shelf.publish(desk, acme.admin, "unlock")
    assert await decided(desk, acme, old) == Alone(lent=True), "the same version again changes nothing"
    await make_run(desk.database, acme, runbook_id, alone=True)
    await rewritten(desk, acme)
    _, standing, _ = await autonomy.read_standing(desk, acme.owner, "unlock")
    assert standing.loan is None
    new = await make_run(desk.database, acme, runbook_id, version=2)
    assert isinstance(await decided(desk, acme, new), NeedsApproval)
    await autonomy.lend(desk, acme.owner, "unlock", reason="again", until=soon, caps={"acts_per_day": 1})
    assert await decided(desk, acme, new) == Alone(lent=True), "what the earlier loan did is not this one's"
    asked = await decided(desk, acme, old)
    assert isinstance(asked, NeedsApproval)
    assert "version 1" in asked.why


async def test_a_runbook_loses_its_trust_with_the_runbooks_it_calls(desk, acme):
    await make_runbook(desk.database, acme, "clean-up")
    outer = RUNBOOK.replace("NAME", "outer").replace("CALLED", "middle")
    middle = RUNBOOK.replace("NAME", "middle").replace("CALLED", "clean-up")
    for name, source in (("outer", outer), ("middle", middle), ("other", RUNBOOK.replace("NAME", "other"))):
        await make_runbook(desk.database, acme, name, source=source)
        soon = desk.clock() + timedelta(days=1)
        await autonomy.lend(desk, acme.owner, name, reason="a pilot", until=soon)
    await rewritten(desk, acme, "clean-up")
    loans = {
        name: (await autonomy.read_standing(desk, acme.owner, name))[1].loan for name in ("outer", "middle", "other")
    }
    assert [name for name, loan in loans.items() if loan] == ["other"]


async def test_trust_is_lent_to_a_version_in_use(desk, acme):
    await make_runbook(desk.database, acme)
    await shelf.retire(desk, acme.admin, "unlock")
    with pytest.raises(Missing, match="Publish unlock first"):
        await autonomy.lend(desk, acme.owner, "unlock", reason="a pilot", until=desk.clock() + timedelta(days=1))


async def test_no_certificate_rests_on_rehearsals_or_on_runs_that_go_on(desk, acme):
    runbook_id = await make_runbook(desk.database, acme)
    for run in (
        await make_run(desk.database, acme, runbook_id),
        await make_run(desk.database, acme, runbook_id, status="unverified", mode="dry_run"),
    ):
        with pytest.raises(Conflict, match="live runs that have ended"):
            await autonomy.judge(desk, acme.agent, run.id, is_right=True)
    ended = await make_run(desk.database, acme, runbook_id, status="verified")
    await autonomy.judge(desk, acme.agent, ended.id, is_right=True)


async def test_lent_trust_is_an_owners_has_a_reason_and_ends_within_90_days(desk, acme):
    await make_runbook(desk.database, acme)
    soon = desk.clock() + timedelta(days=30)
    with pytest.raises(Denied):
        await autonomy.lend(desk, acme.admin, "unlock", reason="a pilot", until=soon)
    for wrong in ({"reason": " ", "until": soon}, {"reason": "a pilot", "until": desk.clock() + timedelta(days=91)},
                  {"reason": "a pilot", "until": soon, "caps": {"acts": 3}}, {"reason": "a pilot", "until": soon, "caps": {"acts_per_day": "many"}}):  # fmt: skip
        with pytest.raises(Invalid):
            await autonomy.lend(desk, acme.owner, "unlock", **wrong)
    standing = await autonomy.lend(desk, acme.owner, "unlock", reason="a pilot", until=soon)
    assert standing.lent(desk.clock()).reason == "a pilot"


async def test_the_caps_of_a_loan_hold(desk, acme):
    runbook_id = await make_runbook(desk.database, acme)
    until = desk.clock() + timedelta(days=1)
    await autonomy.lend(
        desk, acme.owner, "unlock", reason="a pilot", until=until, caps={"acts_per_day": 2, "total_per_day": 25}
    )
    run = await make_run(desk.database, acme, runbook_id, alone=True)
    assert await decided(desk, acme, run, perform(amount="15")) == Alone(lent=True)
    assert isinstance(await decided(desk, acme, run, perform(amount="15.01")), NeedsApproval)
    unnamed = replace(perform(), amount=None)
    assert await decided(desk, acme, run, unnamed) == Alone(lent=True), "what can be undone costs nothing"
    assert isinstance(await decided(desk, acme, run, unnamed, action=REFUND), NeedsApproval), "it cannot be counted"
    await make_run(desk.database, acme, runbook_id, alone=True)
    assert isinstance(await decided(desk, acme, run, perform(amount="0")), NeedsApproval), "two acts a day were lent"


async def test_the_emergency_stop_outweighs_everything_even_an_undo(desk, acme, globex):
    runbook_id = await make_runbook(desk.database, acme)
    await autonomy.lend(desk, acme.owner, "unlock", reason="a pilot", until=desk.clock() + timedelta(days=1))
    run = await make_run(desk.database, acme, runbook_id)
    assert await autonomy.stop_acts(desk, acme.agent, "it deletes things")
    assert not await autonomy.stop_acts(desk, acme.agent, "again")
    stopped = await decided(desk, acme, run)
    assert isinstance(stopped, No)
    assert stopped.reason == "emergency_stop"
    undo = Perform("undo/x", Act(Call("estate", "lock")), Call("estate", "lock"), is_undo=True)
    assert isinstance(await decided(desk, acme, run, undo), No)
    other = await make_run(desk.database, globex, await make_runbook(desk.database, globex))
    assert isinstance(await decided(desk, globex, other), NeedsApproval), "another organization goes on"
    with pytest.raises(Denied):
        await autonomy.release_acts(desk, acme.agent)
    assert await autonomy.release_acts(desk, acme.admin)
    assert await decided(desk, acme, run) == Alone(lent=True)


async def test_runs_that_go_wrong_brake_their_runbook(desk, acme):
    runbook_id = await make_runbook(desk.database, acme)
    await autonomy.lend(desk, acme.owner, "unlock", reason="a pilot", until=desk.clock() + timedelta(days=1))
    for _ in range(4):
        await make_run(desk.database, acme, runbook_id, status="failed", alone=True)
    async with desk.database.org_transaction(acme.engine) as connection:
        assert await autonomy.watch(connection, acme.engine, runbook_id, desk.clock())
        assert not await autonomy.watch(connection, acme.engine, runbook_id, desk.clock()), "it brakes once"
    _, standing, _ = await autonomy.read_standing(desk, acme.owner, "unlock")
    assert (standing.level, standing.loan) == ("approve", None)
    assert standing.braked_at is not None


async def test_outside_its_hours_it_does_not_act(desk, acme):
    runbook_id = await make_runbook(desk.database, acme)
    await autonomy.lend(desk, acme.owner, "unlock", reason="a pilot", until=desk.clock() + timedelta(days=1))
    run = await make_run(desk.database, acme, runbook_id)
    yesterday = (desk.clock() - timedelta(days=1)).strftime("%a").lower()
    closed = await decided(desk, acme, run, hours=[f"{yesterday} 00:00-24:00 UTC"])
    assert isinstance(closed, No)
    assert closed.reason == "outside_hours"


# --- approvals ---


async def requested(desk, org, run, what, *, rule=None):
    async with desk.database.org_transaction(org.engine) as connection:
        return await approval.request(
            connection, org.engine, run, perform=what, action=REFUND, rule=rule or ApprovalRule(), card={"evidence": []}
        )


async def usable(desk, org, run, what):
    async with desk.database.org_transaction(org.engine) as connection:
        return await approval.find_usable(connection, org.org_id, run.id, what.path, approval.digest_of(what, REFUND))


async def test_an_approval_is_for_exactly_one_intent_and_spent_once(desk, acme):
    run = await make_run(desk.database, acme, await make_runbook(desk.database, acme))
    what = perform(amount="20", id="a1")
    approval_id = await requested(desk, acme, run, what)
    assert await requested(desk, acme, run, what) == approval_id, "asking twice is one question"
    assert await usable(desk, acme, run, what) is None, "nobody has agreed yet"
    await approval.decide(desk, acme.agent, approval_id, "approve")
    for other in (
        perform(amount="20.01", id="a1"),
        perform(amount="20", id="a2"),
        perform("steps/y/act/0", amount="20", id="a1"),
    ):
        assert await usable(desk, acme, run, other) is None, "another argument is another intent"
    assert await usable(desk, acme, run, what) == approval_id

    async def spend() -> bool:
        async with desk.database.org_transaction(acme.engine) as connection:
            return await approval.use(connection, acme.engine, approval_id)

    assert sorted(await asyncio.gather(*(spend() for _ in range(5)))) == [False] * 4 + [True]
    assert await usable(desk, acme, run, what) is None, "it is spent"


async def test_a_changed_argument_kills_the_approval(desk, acme):
    run = await make_run(desk.database, acme, await make_runbook(desk.database, acme))
    first = await requested(desk, acme, run, perform(amount="20"))
    await approval.decide(desk, acme.agent, first, "approve")
    second = await requested(desk, acme, run, perform(amount="2000"))
    assert second != first
    assert (await approval.read_approval(desk, acme.agent, first)).status == "dead"
    assert await usable(desk, acme, run, perform(amount="20")) is None
    assert await usable(desk, acme, run, perform(amount="2000")) is None


async def test_four_eyes_are_two_people(desk, acme):
    run = await make_run(desk.database, acme, await make_runbook(desk.database, acme))
    what = perform(amount="20")
    approval_id = await requested(desk, acme, run, what, rule=ApprovalRule(people=2, role="agent"))
    assert (await approval.decide(desk, acme.agent, approval_id, "approve")).status == "pending"
    with pytest.raises(Conflict):
        await approval.decide(desk, acme.agent, approval_id, "approve")
    assert await usable(desk, acme, run, what) is None
    assert (await approval.decide(desk, acme.admin, approval_id, "approve")).status == "approved"
    assert await usable(desk, acme, run, what) == approval_id


async def test_one_refusal_is_enough_and_remembered(desk, acme):
    run = await make_run(desk.database, acme, await make_runbook(desk.database, acme))
    what = perform(amount="20")
    approval_id = await requested(desk, acme, run, what, rule=ApprovalRule(people=2))
    await approval.decide(desk, acme.agent, approval_id, "refuse", "not this client")
    with pytest.raises(Conflict):
        await approval.decide(desk, acme.admin, approval_id, "approve")
    async with desk.database.org_transaction(acme.engine) as connection:
        said = await approval.refusal(connection, acme.org_id, run.id, what.path, approval.digest_of(what, REFUND))
    assert said == "approval_refused"


async def test_what_nobody_decides_in_time_expires(desk, acme):
    run = await make_run(desk.database, acme, await make_runbook(desk.database, acme))
    what = perform(amount="20")
    approval_id = await requested(desk, acme, run, what, rule=ApprovalRule(expires_after=timedelta(0)))
    assert (await approval.read_approval(desk, acme.agent, approval_id)).status == "expired"
    with pytest.raises(Conflict):
        await approval.decide(desk, acme.agent, approval_id, "approve")
    assert await approval.expire(desk, acme.engine) == 1
    assert await approval.expire(desk, acme.engine) == 0


async def test_who_may_not_decide_is_told(desk, acme, globex):
    run = await make_run(desk.database, acme, await make_runbook(desk.database, acme))
    approval_id = await requested(desk, acme, run, perform(amount="20"), rule=ApprovalRule(role="admin"))
    key = Principal(acme.admin.user_id, acme.org_id, "admin", "a key", key_id=acme.admin.user_id)
    for who in (acme.agent, acme.client, key):
        with pytest.raises((Denied, Missing)):
            await approval.decide(desk, who, approval_id, "approve")
    with pytest.raises(Missing):
        await approval.decide(desk, globex.owner, approval_id, "approve")
    named = Principal(
        acme.admin.user_id, acme.org_id, "admin", "a key", key_id=acme.admin.user_id, scopes=frozenset({APPROVE})
    )
    assert (await approval.decide(desk, named, approval_id, "approve")).status == "approved"


async def test_another_organization_sees_and_changes_nothing(desk, acme, globex):
    runbook_id = await make_runbook(desk.database, acme)
    run = await make_run(desk.database, acme, runbook_id)
    with pytest.raises(Missing):
        await autonomy.set_level(desk, globex.owner, str(runbook_id), "auto")
    with pytest.raises(Missing):
        await autonomy.judge(desk, globex.agent, run.id, is_right=True)
    async with desk.database.org_transaction(globex.engine) as connection:
        assert await approvals.list_approvals(connection, acme.org_id, status=None) == []
        for table in ("runbooks", "runbook_versions", "runbook_runs", "run_actions", "approvals", "emergency_stops"):
            assert await connection.fetchval(f"select count(*) from asoe.{table}") == 0
