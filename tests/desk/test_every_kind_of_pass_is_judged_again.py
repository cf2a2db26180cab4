"""Every pass of whole stories is judged again: the same comes out as came then, and what another version or policy would change."""

from __future__ import annotations

from uuid import UUID

import pytest
from incident_desk import stand, turn, writes
from model_cast import give
from runbook_desk import CONSENT, RUNBOOK, opened, publish, run_of, speaks_in
from test_a_pass_is_judged_again_without_effects import again, everything, passes, told

from asoe.desk import approval, delegation, gap, journey, session
from asoe.desk.delegation import AgentCall
from asoe.desk.journey.replay import Instead
from asoe.desk.runbook import shelf
from asoe.domain.errors import Conflict, Invalid, Missing

WARY = RUNBOOK.replace("account.fraud == false", "account.fraud == true").replace("[SLOTS]", "[]")


async def all_again(world, instead=None) -> list:
    """Every pass of the organization, oldest first, judged again; nothing of it is written anywhere."""
    rows = await world.rows("select id from asoe.orchestrator_runs order by created_at")
    before = await everything(world)
    found = [await again(world, row["id"], instead) for row in rows]
    assert await everything(world) == before
    return found


def decisions(found) -> list[str]:
    return [each.was.decision for each in found]


async def test_a_pass_that_carried_a_run_is_told_what_the_run_came_to(world, estate):
    await publish(world)
    made = await opened(world)
    estate.accounts.clear()  # nobody asks it again
    found = await all_again(world)
    assert [each.since for each in found] == [(), ()]
    assert (decisions(found), found[1].was.run) == (["treated", "fixed"], "verified: goal_met")
    assert found[1].today.answer in await world.said_by_engine(made)


async def test_another_version_of_the_runbook_is_played_and_its_end_decides(world, estate):
    await publish(world)
    made = await opened(world)
    await shelf.save(world.desk, world.acme.admin, WARY)
    begun, ended = await passes(world, made)
    wary = Instead(versions={"unlock-account": 2})
    before, effects = await everything(world), list(estate.effects)
    assert (await again(world, begun, wary)).differences == ()
    changed = told((await again(world, ended, wary)).differences)
    assert changed["decision"] == ("fixed", "handed_over")
    assert changed["run"] == ("verified: goal_met", "escalated: fraud")
    assert changed["reasons"] == ((), ("fraud",))
    assert (await everything(world), estate.effects) == (before, effects)
    never = RUNBOOK.replace("unlock-account", "another-look").replace("[SLOTS]", "[]")
    await shelf.save(world.desk, world.acme.admin, never)
    beside = told((await again(world, begun, Instead(versions={"another-look": 1}))).differences)
    assert beside["runbook"] == ("unlock-account", "another-look"), "one that is not in use yet may be tried, too"
    for wrong in ({"unlock-account": 9}, {"no-such": 1}):
        with pytest.raises(Missing):
            await again(world, ended, Instead(versions=wrong))
    with pytest.raises(Invalid):
        await again(world, ended, Instead(versions={"unlock-account": 0}))


async def test_what_a_run_waited_for_and_what_ended_it_comes_out_again(world, estate):
    await publish(world, "approve", slots=CONSENT)
    made = await opened(world)
    spoken = await speaks_in(world, made)
    for said in ("what do you mean?", "yes please #slot:terms:given", "hm, perhaps not #slot:terms:unsure"):
        await session.add_message(world.desk, world.acme.engine, spoken, "user", said)
        await world.drain()
    found = await all_again(world)
    assert decisions(found) == [
        "treated", "waits_for_client", "waits_for_client", "waits_for_approval", "handed_over",
    ]  # fmt: skip
    assert [each.since for each in found] == [()] * 5
    assert (found[-1].was.run, found[-1].was.reasons) == ("cancelled: run_cancelled", ("needs_consent",))
    _, waiting, *_ = await passes(world, made)
    with pytest.raises(Invalid) as refused:
        await again(world, waiting, Instead(versions={"unlock-account": 1}))
    assert str((await run_of(world, made))["id"]) in refused.value.message


async def test_an_approval_that_was_refused_and_a_person_who_was_wanted_come_out_again(world, estate):
    await publish(world, "approve")
    await opened(world)
    (card,) = await approval.list_approvals(world.desk, world.acme.agent)
    await approval.decide(world.desk, world.acme.agent, card.id, "refuse", "not him")
    await world.drain()
    other = await opened(world, email="lee@example.org")
    estate.accounts["lee@example.org"] = {"status": "locked", "fraud": False}
    await session.add_message(world.desk, world.acme.engine, await speaks_in(world, other), "user", "a PERSON please")
    await world.drain()
    found = await all_again(world)
    assert [each.since for each in found] == [()] * len(found)
    assert found[2].was.reasons == ("approval_refused",)


async def test_passes_in_an_incident_come_out_again_and_another_policy_is_tried_on_them(world):
    servers = await stand(world)
    for name in ("ana", "bob", "cid"):
        await writes(world, servers, name)
    late = await writes(world, servers, "dan")
    asks = await writes(world, servers, "eva")
    said = await world.one("select id from public.support_sessions where ticket_id = $1", asks.id)
    await session.add_message(world.desk, world.acme.engine, said, "user", "a PERSON please")
    servers.accounts["bob@example.org"]["status"] = "odd"
    await turn(world, times=6)
    found = await all_again(world)
    assert {"joined_incident", "treated", "fixed", "handed_over"} <= set(decisions(found))
    assert {each.was.decision: each.since for each in found if each.since} == {}
    mended = [each for each in found if each.ticket_id == late.id]
    assert mended[1].was.incident == 1
    assert mended[-1].was.run == "unverified: already_met", "its own check, after the mend"
    tried = Instead(settings={"routing": {"default": "watch", "by_intent": {"how_to": "watch"}}})
    (wanted,) = [each for each in found if each.ticket_id == asks.id and each.was.decision == "handed_over"]
    assert wanted.was.reasons == ("client_asked", "incident")
    assert told((await again(world, wanted.run_id, tried)).differences)["team"][1] == "watch"


async def test_a_pass_that_failed_is_judged_again_once_its_cause_is_gone(world):
    made = await world.open("How do I export?")
    world.ai.failing["answer"] = KeyError("a client's words")
    for _ in range(2):
        with pytest.raises(KeyError):
            await journey.carry_on(world.desk, world.acme.org_id, made.id)
    await journey.carry_on(world.desk, world.acme.org_id, made.id)
    first, _, last = await passes(world, made)
    still = await again(world, first)
    assert (still.was.decision, still.was.reasons, still.today.decision) == ("failed", ("KeyError",), "failed")
    world.ai.failing.clear()
    found = await again(world, first)
    assert told(found.since)["decision"] == ("failed", "answered")
    assert told((await again(world, last)).since)["decision"] == ("handed_over", "answered")


async def test_a_draft_is_worded_again_by_other_instructions(world):
    ours = {"title": "How to export", "parts": [{"text": "Open Settings and choose Export.", "is_step": True}]}
    short = {"title": "Export", "parts": [{"text": "Choose Export.", "is_step": True}]}
    world.passages.clear()
    made = await world.open_by_contact("How do I export? I am Kim")
    await world.drain()
    await session.add_message(
        world.desk, world.acme.agent, made.session_id, "agent", "Open Settings and choose Export. Choose Export."
    )
    give(world, {"WordedArticle": lambda prompt: short if "BRIEF" in prompt.instructions else ours})
    await gap.draft_article(world.desk, world.acme.agent, made.id)
    await session.add_message(world.desk, world.acme.agent, made.session_id, "agent", "Something else, later.")
    run_id = (await passes(world, made))[-1]
    asked = Instead(prompts={"articles": "BRIEF. {task}"}, is_consulted=True)
    found = await again(world, run_id, asked, by=world.acme.owner)
    assert (found.was.decision, found.was.consulted, found.since) == ("drafted", ("articles: used",), ())
    assert told(found.differences)["answer"] == (
        "# How to export\n\n1. Open Settings and choose Export.",
        "# Export\n\n1. Choose Export.",
    )


async def test_a_call_of_an_outside_agent_is_judged_by_other_limits(world, estate):
    await publish(world)
    made = await world.open_by_contact("I cannot get in #category:account", subject="locked out")
    agent, now = world.acme.agent, world.clock()
    started = await journey.begin_run(world.desk, agent, made.id, "unlock-account")
    for tool, outcome, run_id in (
        ("run_runbook", "done", started),
        ("add_note", "tool_not_delegated", None),
        ("answer_ticket", "scope_missing", None),
        ("run_runbook", "runbook_not_delegated", None),
    ):
        call = AgentCall(tool, "mcp", outcome, now, changes=True, ticket_id=made.id, run_id=run_id)
        await delegation.record(world.desk, agent, call)
    ran, noted, answered, refused = await passes(world, made)

    async def by(run_id: UUID, **limits) -> tuple[str, ...]:
        found = await again(world, run_id, Instead(settings={"outside_agents": limits}))
        assert found.instead is not None
        return found.instead.reasons

    found = await again(world, ran)
    assert (found.was.decision, found.was.runbook, found.since) == ("run_runbook", "unlock-account", ())
    assert await by(ran, tools=["read_ticket"]) == ("tool_not_delegated",)
    assert await by(ran, runbooks=["another"]) == ("runbook_not_delegated",)
    assert await by(ran, live_runs_per_day=0) == ("agent_run_limit",)
    assert await by(ran, runbooks=["unlock-account"], live_runs_per_day=1) == ()
    assert await by(noted, tools=["read_ticket"]) == ("tool_not_delegated",)
    assert told((await again(world, noted)).since)["decision"] == ("add_note_refused", "add_note")
    assert await by(answered) == ("scope_missing",), "no limit adds a right"
    assert await by(refused) == ()
    with pytest.raises(Conflict):
        await by(refused, runbooks=["unlock-account"])
