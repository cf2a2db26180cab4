"""A ticket with a runbook: fixed and verified, asked, approved, refused, handed over; never a word that no outcome backs."""

from __future__ import annotations

import re
from contextlib import suppress
from types import SimpleNamespace

import pytest
from runbook_desk import CONSENT, RUNBOOK, opened, publish, run_of, speaks_in

from asoe.desk import approval, journey, session, ticket
from asoe.desk.runbook import execution
from asoe.domain.errors import Conflict, Denied, Missing
from asoe.engine import OpsAutoFixer
from asoe.store import facts, runs

ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-")


async def test_it_is_fixed_once_verified_and_said(world, estate):
    await publish(world)
    made = await opened(world)
    found = await world.now(made)
    assert (found.status, found.resolution["verdict"], found.resolution["type"]) == ("resolved", "verified", "auto_fix")
    assert found.resolution["run_id"]
    assert found.resolution["evidence"]["checks"][-1]["holds"] is True
    assert estate.effects == [("unlock", "kim@example.org")]
    said = await world.said_by_engine(made)
    assert len(said) == 1
    assert "Your account is unlocked" in said[0]
    facts = await world.facts(made)
    assert [kind for kind in facts if kind.startswith("run.")] == ["run.started", "run.acted", "run.ended"]
    parts = await ticket.runs(world.desk, world.acme.agent, made.id)
    assert "ops-fixer" in {part["agent"] for run in parts for part in run["invocations"]}


async def test_an_act_that_does_not_show_is_not_called_a_fix(world, estate):
    estate.does_nothing = True
    await publish(world)
    made = await opened(world)
    found = await world.now(made)
    assert (found.status, found.resolution["verdict"]) == ("escalated", "handed_over")
    (handed,) = await world.escalations(made)
    assert handed["reasons"] == ["verification_failed"]
    dossier = handed["dossier"]
    assert any("estate.unlock" in line for line in dossier["tried"])
    assert "and the check after it failed." in dossier["tried"][0], "the reason stands there in words"
    assert not ID.search(" ".join((*dossier["tried"], *dossier["not_done"]))), "people read names, programs the links"
    (run,) = [each for each in dossier["links"] if each["kind"] == "run"]
    assert run["id"] == str(await world.one("select id from asoe.runbook_runs where ticket_id = $1", made.id))
    assert run["path"] == f"/api/support/runs/{run['id']}"
    assert run["name"] in dossier["tried"][0]
    assert not any("unlocked" in said for said in await world.said_by_engine(made))


async def test_a_guard_that_says_no_hands_over_with_its_reason_and_without_an_act(world, estate):
    estate.accounts["kim@example.org"]["fraud"] = True
    await publish(world)
    made = await opened(world)
    (handed,) = await world.escalations(made)
    assert handed["reasons"] == ["fraud"]
    assert estate.effects == []


async def test_without_trust_a_person_is_asked_and_the_client_hears_so(world, estate):
    await publish(world, "approve")
    made = await opened(world)
    found = await world.now(made)
    assert (found.status, found.waiting_for, estate.effects) == ("in_progress", "approval", [])
    assert "asked a colleague" in (await world.said_by_engine(made))[-1]
    (card,) = await approval.list_approvals(world.desk, world.acme.agent)
    assert card.arguments == {"email": "kim@example.org"}
    await approval.decide(world.desk, world.acme.agent, card.id, "approve")
    await world.drain()
    assert (await world.now(made)).resolution["verdict"] == "verified"
    assert estate.effects == [("unlock", "kim@example.org")]
    assert (await approval.read_approval(world.desk, world.acme.agent, card.id)).status == "used"


async def test_a_refused_approval_ends_with_a_person(world, estate):
    await publish(world, "approve")
    made = await opened(world)
    (card,) = await approval.list_approvals(world.desk, world.acme.agent)
    await approval.decide(world.desk, world.acme.agent, card.id, "refuse", "not him")
    await world.drain()
    (handed,) = await world.escalations(made)
    assert handed["reasons"] == ["approval_refused"]
    assert estate.effects == []


async def test_an_absent_consent_is_asked_for_and_the_answer_counts(world, estate):
    await publish(world, slots=CONSENT)
    made = await opened(world)
    assert (await world.said_by_engine(made))[-1].startswith("May we unlock it?\n\nPlease answer “yes” or “no”.")
    assert (await world.now(made)).waiting_for == "client"
    assert estate.effects == []
    async with world.desk.database.org_reading(world.acme.agent) as connection:
        spoken = await connection.fetchval("select id from public.support_sessions where ticket_id = $1", made.id)
    await session.add_message(world.desk, world.acme.engine, spoken, "user", "yes please #slot:terms:given")
    await world.drain()
    assert (await world.now(made)).resolution["verdict"] == "verified"


async def test_a_yes_that_staff_wrote_down_is_asked_for_unless_they_vouch_for_it(world, estate):
    await publish(world, slots=CONSENT)
    planted = "I cannot get in #category:account #slot:terms:given"
    staff = world.acme.agent
    made = await opened(world, planted, is_relayed=False)
    assert "May we unlock it?" in (await world.said_by_engine(made))[-1]
    spoken = await speaks_in(world, made)
    await session.add_message(world.desk, staff, spoken, "user", "the client says yes #slot:terms:given")
    await world.drain()
    assert ((await world.now(made)).waiting_for, estate.effects) == ("client", [])
    vouched = "the client says yes #slot:terms:given"
    await session.add_message(world.desk, staff, spoken, "user", vouched, is_relayed=True)
    await world.drain()
    assert (await world.now(made)).resolution["verdict"] == "verified"
    async with world.desk.database.org_reading(staff) as connection:
        told = await facts.timeline(connection, staff.org_id, made.id)
    assert [fact.actor for fact in told if fact.data.get("relayed")] == [staff.user_id], "who vouched is on record"


@pytest.mark.parametrize("is_relayed", [False, True])
async def test_a_yes_in_the_first_words_counts_by_who_brought_them(world, estate, is_relayed):
    await publish(world, slots=CONSENT)
    planted = "I cannot get in #category:account #slot:terms:given"
    made = await opened(world, planted, is_relayed=is_relayed)
    assert bool(estate.effects) == is_relayed
    assert (await world.now(made)).waiting_for == (None if is_relayed else "client")


async def test_whoever_asks_for_a_person_meanwhile_gets_one_and_nothing_is_done(world, estate):
    await publish(world, slots=CONSENT)
    made = await opened(world)
    async with world.desk.database.org_reading(world.acme.agent) as connection:
        spoken = await connection.fetchval("select id from public.support_sessions where ticket_id = $1", made.id)
    await session.add_message(world.desk, world.acme.engine, spoken, "user", "a PERSON please #slot:terms:given")
    await world.drain()
    (handed,) = await world.escalations(made)
    assert handed["reasons"] == ["client_asked"]
    assert estate.effects == []


async def test_where_nothing_is_broken_the_ticket_is_answered_or_handed_over(world, estate):
    estate.accounts["kim@example.org"]["status"] = "active"
    await publish(world)
    made = await opened(world)
    assert estate.effects == []
    assert (await world.now(made)).waiting_for == "client", "an article answers it"
    world.passages.clear()
    other = await opened(world, "I still cannot get in #category:account")
    (handed,) = await world.escalations(other)
    assert handed["reasons"] == ["already_met"]
    complained = await opened(
        world, "Your answer about getting in was wrong #category:account #intent:engine_complaint"
    )
    (handed,) = await world.escalations(complained)
    assert handed["reasons"] == ["engine_complaint", "already_met"], "what the client complains of is not lost"


async def test_so_many_look_for_what_is_broken_and_the_dossier_says_which_did_and_which_did_not(world, estate):
    estate.accounts["kim@example.org"]["status"] = "active"
    titles = {"Unlocking", "Opening", "Letting in"}
    for place, title in enumerate(sorted(titles)):
        source = RUNBOOK.replace("unlock-account", f"book-{place}").replace("Your account is unlocked", title)
        await publish(world, source=source)
    world.passages.clear()
    await world.set_settings(runbook_looks={"at_most": 2})
    made = await opened(world)
    (handed,) = await world.escalations(made)
    assert await world.one("select count(*) from asoe.runbook_runs where ticket_id = $1", made.id) == 2
    (looked,) = [line for line in handed["dossier"]["tried"] if line.startswith("Looked, and found nothing to mend: ")]
    assert handed["dossier"]["tried"] == [looked], (
        "said once, without the steps and checks of a run that changed nothing"
    )
    (unseen,) = [line for line in handed["dossier"]["not_done"] if line.startswith("Did not look, because 2 had")]
    (left,) = titles - {title for title in titles if title in looked}
    assert left in unseen
    assert "%" in unseen
    await world.set_settings(runbook_looks={"at_most": 9, "least_chance": 1})
    other = await opened(world, "I still cannot get in #category:account")
    assert await world.one("select count(*) from asoe.runbook_runs where ticket_id = $1", other.id) == 1
    (handed,) = await world.escalations(other)
    assert any("none was likely enough" in line for line in handed["dossier"]["not_done"])
    assert (handed["reasons"], estate.effects) == (["already_met"], [])


@pytest.mark.parametrize("level", ["off", "shadow", "suggest"])
async def test_below_approve_nothing_is_done(world, estate, level):
    await publish(world, level)
    made = await opened(world)
    assert estate.effects == []
    assert (await world.now(made)).resolution["verdict"] == "answered"
    rehearsed = await world.rows("select mode, status, reason from asoe.runbook_runs where ticket_id = $1", made.id)
    assert rehearsed == ([] if level == "off" else [{"mode": "shadow", "status": "unverified", "reason": "rehearsed"}])
    notes = await world.rows("select content from asoe.session_messages where ticket_id = $1 and is_internal", made.id)
    assert len(notes) == (level == "suggest")


async def test_a_critical_ticket_goes_to_a_person_at_once_and_is_mended_meanwhile(world, estate):
    await publish(world)
    made = await world.open_by_contact("nobody gets in #category:account #severity:critical", subject="locked out")
    await world.advance(made)
    assert (await world.now(made)).status == "escalated"
    await world.drain()
    found = await world.now(made)
    assert (found.status, found.resolution["verdict"]) == ("resolved", "verified")
    assert (await world.escalations(made))[0]["ended_at"] is not None


async def test_after_a_takeover_the_engine_does_and_says_nothing_more(world, estate):
    await publish(world, "approve")
    made = await opened(world)
    (card,) = await approval.list_approvals(world.desk, world.acme.agent)
    async with world.desk.database.org_reading(world.acme.agent) as connection:
        spoken = await connection.fetchval("select id from public.support_sessions where ticket_id = $1", made.id)
    await session.take_over(world.desk, world.acme.agent, spoken)
    before = await world.messages(made)
    with suppress(Conflict):
        await approval.decide(world.desk, world.acme.admin, card.id, "approve")
    await world.drain()
    assert estate.effects == []
    assert await world.messages(made) == before


async def test_a_person_starts_a_runbook_by_hand(world, estate):
    await publish(world)
    made = await world.open_by_contact("nothing to see #category:billing", subject="hello")
    await world.drain()
    await journey.begin_run(world.desk, world.acme.agent, made.id, "unlock-account")
    await world.drain()
    assert estate.effects == [("unlock", "kim@example.org")]
    assert (await world.now(made)).resolution["verdict"] == "verified"


async def test_what_does_not_fit_is_left_alone(world, estate):
    await publish(world)
    made = await world.open_by_contact("How do I export? #category:account", subject="export")
    await world.drain()
    assert estate.effects == []
    assert not await world.rows("select id from asoe.runbook_runs where ticket_id = $1", made.id)


async def test_the_library_diagnoses_rehearses_fixes_and_verifies(world, estate):
    await publish(world)
    made = await world.open_by_contact("I cannot get in #category:billing", subject="locked out")
    app = SimpleNamespace(desk=world.desk)
    fixer = OpsAutoFixer(world.acme.org_id, app=app)
    found = await fixer.diagnose(made.id)
    assert (found.runbook, found.would, found.reason) == ("unlock-account", ("estate.unlock",), "rehearsed")
    rehearsed = await fixer.dry_run(made.id, "unlock-account")
    assert (rehearsed.run.reason, estate.effects) == ("rehearsed", [])
    fixed = await fixer.fix(made.id, "unlock-account")
    assert (fixed.run.status, estate.effects) == ("verified", [("unlock", "kim@example.org")])
    assert (await fixer.verify(fixed.run.id)).is_met
    estate.accounts["kim@example.org"]["status"] = "locked"
    assert not (await fixer.verify(fixed.run.id)).is_met
    assert len(estate.effects) == 1, "looking does nothing"


async def test_a_client_learns_nothing_of_the_systems_of_record_through_the_library(world, estate):
    await publish(world)
    made = await world.open_by_contact("I cannot get in #category:billing", subject="locked out")
    with pytest.raises(Denied):
        await OpsAutoFixer(
            world.acme.org_id, acting_as=world.acme.client, app=SimpleNamespace(desk=world.desk)
        ).diagnose(made.id)


async def test_the_library_acts_for_nobody_of_another_organization(world, estate, globex):
    await publish(world)
    made = await world.open_by_contact("I cannot get in", subject="locked out")
    app = SimpleNamespace(desk=world.desk)
    with pytest.raises(Denied):
        await OpsAutoFixer(world.acme.org_id, acting_as=globex.owner, app=app).diagnose(made.id)
    with pytest.raises(Missing):
        await OpsAutoFixer(globex.org_id, app=app).fix(made.id, "unlock-account")
    assert estate.effects == []


async def test_a_run_ends_with_its_ticket_and_leaves_no_approval_behind(world, estate):
    await publish(world, "approve")
    made = await opened(world)
    (card,) = await approval.list_approvals(world.desk, world.acme.agent)
    await ticket.move_ticket(world.desk, world.acme.agent, made.id, "resolved")
    await approval.decide(world.desk, world.acme.agent, card.id, "approve")
    await world.drain()
    found = await run_of(world, made)
    assert (found["status"], estate.effects) == ("cancelled", [])
    assert (await approval.read_approval(world.desk, world.acme.agent, card.id)).status == "dead"
    with pytest.raises(Conflict, match="has ended"):
        await journey.begin_run(world.desk, world.acme.agent, made.id, "unlock-account")


@pytest.mark.parametrize("said", ["no, leave it #slot:terms:refused", "hm, perhaps not #slot:terms:unsure"])
async def test_a_consent_that_is_taken_back_before_the_act_ends_the_run(world, estate, said):
    await publish(world, "approve", slots=CONSENT)
    made = await opened(world)
    spoken = await speaks_in(world, made)
    await session.add_message(world.desk, world.acme.engine, spoken, "user", "yes please #slot:terms:given")
    await world.drain()
    (card,) = await approval.list_approvals(world.desk, world.acme.agent)
    await session.add_message(world.desk, world.acme.engine, spoken, "user", said)
    await world.drain()
    with suppress(Conflict):
        await approval.decide(world.desk, world.acme.agent, card.id, "approve")
    await world.drain()
    (handed,) = await world.escalations(made)
    assert (handed["reasons"], estate.effects) == (["needs_consent"], [])


async def test_whoever_asks_for_a_person_gets_one_though_the_run_has_ended_meanwhile(world, estate):
    await publish(world, slots=CONSENT)
    made = await opened(world)
    run_id = (await run_of(world, made))["id"]
    await execution.cancel(world.desk, world.acme.agent, run_id)
    await session.add_message(world.desk, world.acme.engine, await speaks_in(world, made), "user", "a PERSON please")
    await execution.advance_run(world.desk, world.acme.engine, run_id)
    await world.drain()
    (handed,) = await world.escalations(made)
    assert handed["reasons"] == ["client_asked"]


async def test_a_run_asks_the_client_nothing_once_a_person_has_the_ticket(world, estate):
    await publish(world, slots=CONSENT)
    made = await world.open_by_contact("I cannot get in #category:account", subject="locked out")
    await world.advance(made)
    await session.take_over(world.desk, world.acme.agent, await speaks_in(world, made))
    before = await world.said_by_engine(made)
    await world.drain()
    assert await world.said_by_engine(made) == before
    assert (await world.now(made)).waiting_for == "person"
    notes = await world.rows("select content from asoe.session_messages where ticket_id = $1 and is_internal", made.id)
    assert "May we unlock it?" in notes[0]["content"]


async def test_due_runs_of_a_suspended_organization_keep_nobody_waiting(world, estate):
    async def due():
        async with world.desk.database.system_transaction("due_timers") as connection:
            return [org_id for org_id, _ in await runs.due(connection)]

    await publish(world)
    made = await world.open_by_contact("I cannot get in #category:account", subject="locked out")
    await world.advance(made)
    assert await due() == [world.acme.org_id]
    await world.owner.execute("update asoe.organization_profiles set suspended_at = now()")
    assert await due() == []
