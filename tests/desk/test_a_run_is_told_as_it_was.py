"""What came of a run is told once, as it was: no fix where nothing was done, no silence, no suggestion lost in between."""

from __future__ import annotations

import json

import pytest
from runbook_desk import CONSENT, RUNBOOK, opened, publish, run_of, speaks_in

from asoe.desk import autonomy, journey, session
from asoe.desk.journey.running import _takes_back as takes_back
from asoe.desk.runbook import execution
from asoe.domain.errors import Conflict
from asoe.domain.runbook import Consent, SlotReading

OPTIONAL = CONSENT.replace("type: consent", "type: consent, required: false")
ASKING = RUNBOOK.replace("steps:\n", "steps:\n  - ask: terms\n")
TERMS = RUNBOOK.replace("unlock-account", "verify-account").replace(
    "Your account is unlocked", "Your account is verified"
)
TERMS = TERMS.replace('account.status == "active"', "account.verified == true").replace(
    'account.status == "locked"', "account.verified == false"
)


async def says(world, made, text):
    await session.add_message(world.desk, world.acme.engine, await speaks_in(world, made), "user", text)
    await world.drain()


async def judgements(world):
    rows = await world.rows("select source, is_right from asoe.run_judgements")
    return [(row["source"], row["is_right"]) for row in rows]


@pytest.mark.parametrize(("said", "counted"), [("no", [("reopen", False)]), ("yes", [])])
async def test_a_client_who_comes_back_after_a_verified_run_counts_against_it(world, estate, said, counted):
    await publish(world)
    made = await opened(world)
    assert (await world.now(made)).status == "resolved"
    await says(world, made, said)
    assert await judgements(world) == counted
    await says(world, made, "no")
    assert await judgements(world) == [("reopen", False)], "once for each run"


async def test_clients_who_come_back_brake_the_runbook(world, estate):
    await publish(world)
    for number in range(4):
        estate.accounts[f"{number}@example.org"] = {"status": "locked", "fraud": False}
        made = await opened(world, email=f"{number}@example.org")
        await says(world, made, "no")
    _, standing, _ = await autonomy.read_standing(world.desk, world.acme.owner, "unlock-account")
    assert standing.braked_at is not None
    assert (standing.level, standing.evidence.errors) == ("approve", 4)


async def test_a_persons_word_goes_before_a_clients_return(world, estate):
    await publish(world)
    made = await opened(world)
    await says(world, made, "no")
    run_id = (await run_of(world, made))["id"]
    await autonomy.judge(world.desk, world.acme.agent, run_id, is_right=True)
    _, standing, _ = await autonomy.read_standing(world.desk, world.acme.owner, "unlock-account")
    assert (standing.evidence.cases, standing.evidence.errors) == (1, 0)


async def test_what_came_right_by_itself_is_never_called_a_fix(world, estate):
    own = ASKING + "replies: {verified: {en: We have unlocked your account.}}\n"
    await publish(world, slots=OPTIONAL, source=own)
    made = await opened(world)
    estate.accounts["kim@example.org"]["status"] = "active"
    await says(world, made, "yes please #slot:terms:given")
    found = await world.now(made)
    assert (await run_of(world, made))["reason"] == "recovered"
    assert estate.effects == []
    told = [found.resolution["summary"], (await world.said_by_engine(made))[-1]]
    assert not any(word in text.lower() for text in told for word in ("fix", "unlocked", "mended"))
    assert "changed nothing" in told[1]


async def test_an_unclear_answer_is_asked_for_again_twice_and_then_a_person_is(world, estate):
    await publish(world, slots=CONSENT)
    made = await opened(world)
    for number in (1, 2):
        await says(world, made, f"hm #slot:terms:unsure {number}")
        assert (await world.now(made)).waiting_for == "client"
        assert "could not make out" in (await world.said_by_engine(made))[-1]
        assert "May we unlock it?" in (await world.said_by_engine(made))[-1]
        assert len(await world.said_by_engine(made)) == 1 + number
    await says(world, made, "hm #slot:terms:unsure again")
    (handed,) = await world.escalations(made)
    assert (handed["reasons"], estate.effects) == (["needs_consent"], [])


async def test_a_clear_answer_after_an_unclear_one_counts(world, estate):
    await publish(world, slots=CONSENT)
    made = await opened(world)
    await says(world, made, "what for?")
    assert "could not make out" in (await world.said_by_engine(made))[-1]
    await says(world, made, "yes please #slot:terms:given")
    assert (await world.now(made)).resolution["verdict"] == "verified"


GUARDED = RUNBOOK.replace(
    "guards: [", 'guards: [{that: =slots.terms.status == "given", ask: terms, reason: needs_consent}, '
)
STAYS_OFF = "Without your yes it is not done, and a person takes over."


async def last_asks(world, made):
    rows = await world.rows("select data from asoe.session_messages where ticket_id = $1 order by seq", made.id)
    return json.loads(rows[-1]["data"]).get("asks")


@pytest.mark.parametrize("said", ["yes please #slot:terms:given", "no #slot:terms:refused"])
async def test_a_consent_that_a_guard_lacks_is_asked_for_in_plain_words(world, estate, said):
    await publish(world, slots=OPTIONAL, source=GUARDED)
    made = await opened(world)
    assert (await world.now(made)).waiting_for == "client"
    question = (await world.said_by_engine(made))[-1]
    assert question.startswith("May we unlock it?")
    assert question.endswith(STAYS_OFF)
    assert await last_asks(world, made) == {"slot": "terms", "answers": ["yes", "no"]}
    await says(world, made, said)
    if "given" in said:
        assert (await world.now(made)).resolution["verdict"] == "verified"
    else:
        (handed,) = await world.escalations(made)
        assert (handed["reasons"], estate.effects) == (["needs_consent"], [])


def test_who_names_the_amount_that_was_asked_for_takes_nothing_back():
    given, two, no = (SlotReading("seats", "read", Consent(*said)) for said in (("given",), ("given", 2), ("refused",)))
    assert not takes_back(given, two, is_asked=True)
    assert takes_back(given, two), "a limit that nobody asked for is less than was agreed to"
    assert takes_back(given, no, is_asked=True)
    assert takes_back(two, SlotReading("seats", "read", Consent("given", 1)), is_asked=True)


PIN = "{name: pin, type: identifier, pattern: '[0-9]{6}', required: false, question: {en: What is your PIN?}}"


async def test_whoever_cannot_say_what_a_guard_asks_for_goes_on_for_the_guards_reason(world, estate):
    needs_pin = GUARDED.replace('slots.terms.status == "given", ask: terms', "slots.pin != null, ask: pin")
    await publish(world, slots=PIN, source=needs_pin)
    made = await opened(world)
    assert (await world.said_by_engine(made))[-1] == "What is your PIN?"
    for _ in range(3):
        await says(world, made, "I have none")
    (handed,) = await world.escalations(made)
    assert (handed["reasons"], estate.effects) == (["needs_consent"], [])


async def test_so_many_questions_are_put_to_a_ticket_and_none_for_what_is_stopped(world, estate):
    await publish(world, slots=OPTIONAL, source=GUARDED)
    await world.set_settings(runbook_questions=0)
    made = await opened(world)
    (handed,) = await world.escalations(made)
    assert handed["reasons"] == ["needs_consent"]
    assert any("0 questions were put for this ticket" in line for line in handed["dossier"]["tried"])
    await world.set_settings(runbook_questions=1)
    await autonomy.stop_acts(world.desk, world.acme.owner, "trouble")
    other = await opened(world, "I still cannot get in #category:account")
    (handed,) = await world.escalations(other)
    assert handed["reasons"] == ["emergency_stop"]
    await autonomy.release_acts(world.desk, world.acme.owner)
    last = await opened(world, "I cannot get in again #category:account")
    assert (await world.now(last)).waiting_for == "client"


async def test_what_was_mended_before_a_handover_is_not_told_by_a_later_stage(world, estate):
    estate.accounts["kim@example.org"]["verified"] = False
    await publish(world)
    await publish(world, source=TERMS)  # its act does not verify the account: the second run fails
    made = await opened(world)
    (handed,) = await world.escalations(made)
    assert handed["reasons"] == ["verification_failed"]
    told = handed["dossier"]["tried"]
    assert any("ended verified" in line for line in told)
    assert any(line.startswith("Checked in the end: the goal ") for line in told)
    assert any(line.startswith("The check after “") for line in told), "which act did not show"
    assert not any("goal/" in line or "steps/" in line for line in told), "places in a runbook are its run's page's"
    assert "mended" not in (await world.journey(made))["data"]
    estate.accounts["kim@example.org"]["verified"] = True
    await session.hand_back(world.desk, world.acme.agent, await speaks_in(world, made))
    await world.drain()
    told = ["unlocked" in said for said in await world.said_by_engine(made)]
    assert told == [True, False], "with the handover, and never again"


async def test_a_critical_ticket_has_one_run_at_a_time_and_stays_with_its_person(world, estate):
    estate.accounts["kim@example.org"]["verified"] = False
    await publish(world)
    await publish(world, "approve", source=TERMS)
    made = await world.open_by_contact("nobody gets in #category:account #severity:critical", subject="locked out")
    await world.drain()
    runs = await world.rows("select status from asoe.runbook_runs where ticket_id = $1 order by created_at", made.id)
    assert [run["status"] for run in runs] == ["verified", "waiting"]
    found = await world.now(made)
    assert (found.status, found.waiting_for) == ("escalated", "person")
    with pytest.raises(Conflict, match="A run goes on"):
        await journey.begin_run(world.desk, world.acme.agent, made.id, "unlock-account")
    assert len(await world.escalations(made)) == 1


async def test_no_further_runbook_begins_once_a_person_is_at_work(world, estate):
    estate.accounts["kim@example.org"]["verified"] = False
    await publish(world)
    await publish(world, source=TERMS)
    made = await world.open_by_contact("I cannot get in #category:account", subject="locked out")
    await world.advance(made)
    run_id = (await run_of(world, made))["id"]
    await execution.advance_run(world.desk, world.acme.engine, run_id)  # verified, and nobody has told it yet
    await session.take_over(world.desk, world.acme.agent, await speaks_in(world, made))
    await world.drain()
    assert (await run_of(world, made))["status"] == "verified"
    notes = await world.rows("select content from asoe.session_messages where ticket_id = $1 and is_internal", made.id)
    assert "estate.unlock" in notes[0]["content"]


async def test_a_run_that_is_not_told_yet_is_not_overwritten_by_the_next(world, estate):
    await publish(world)
    made = await world.open_by_contact("I cannot get in #category:account", subject="locked out")
    await world.advance(made)
    await execution.advance_run(world.desk, world.acme.engine, (await run_of(world, made))["id"])
    with pytest.raises(Conflict, match="not told yet"):
        await journey.begin_run(world.desk, world.acme.agent, made.id, "unlock-account")
    await world.drain()
    assert "unlocked" in (await world.said_by_engine(made))[-1]


async def test_a_suggestion_survives_a_crash_between_the_runs_end_and_the_note(world, estate):
    await publish(world, "suggest")
    made = await world.open_by_contact("I cannot get in #category:account", subject="locked out")
    await world.advance(made)
    run_id = (await run_of(world, made))["id"]
    await execution.advance_run(world.desk, world.acme.engine, run_id)  # and the worker is gone
    for _ in range(2):  # its job comes again, and once more
        assert await journey.carry_on_run(world.desk, world.acme.org_id, run_id) == "ended"
    notes = await world.rows("select content from asoe.session_messages where ticket_id = $1 and is_internal", made.id)
    assert len(notes) == 1
    assert "unlock-account suggests" in notes[0]["content"]
