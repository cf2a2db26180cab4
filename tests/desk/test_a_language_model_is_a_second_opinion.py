"""A language model words, finds, chooses and drafts; it decides nothing, overspends nothing, and nobody waits for it in vain."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from decimal import Decimal
from uuid import uuid4

import pytest
from desk_cast import passage
from model_cast import MOST, USED, Scripted, consultations, give, spend
from runbook_desk import CONSENT, opened, publish, run_of

from asoe.ai.language_model import ModelFailure
from asoe.desk.consulting.spending import read_spending
from asoe.domain.errors import Denied, Invalid
from asoe.domain.language_model import ModelRules, ModelUsage
from asoe.domain.policy import read_policy
from asoe.store import model_spend

GOOD = {"sentences": [{"text": "Do what export-data says.", "passages": ["P1"], "is_step": True}]}
LOCAL = "Do what export-data says. [1]"
WRITTEN = "1. Do what export-data says. [1]"


async def _answered(world, body="How do I export?"):
    """A ticket of somebody who has none yet: who comes back too often gets a person."""
    made = await world.open_by_contact(body, email=f"{uuid4().hex}@example.org")
    await world.advance(made)
    return await world.now(made)


async def _first(world, of) -> str:
    return (await world.said_by_engine(of))[0].split("\n\nDid this help?")[0]


# --- without one ---


async def test_without_a_model_nothing_is_different(world):
    """The same ticket with no model, with one that is switched off, and with one that fails: to the letter."""
    seen = []
    for settings, script in (({}, None), ({"language_model": {"uses": []}}, {"WrittenAnswer": GOOD}), ({}, {})):
        await world.set_settings(**settings)
        model = None
        if script is None:
            world.desk = replace(world.desk, model=None)
        else:
            model = give(world, script)
        found = await world.answered()
        handed = await world.open("Nobody knows this #intent:wants_a_person #need:action")
        await world.advance(handed)
        dossier = (await world.escalations(handed))[0]["dossier"]
        answer = await world.messages(found)
        stored = await world.now(found)
        seen.append((
            answer[-1],
            {**stored.resolution, "decided_at": ""},
            stored.triage,
            {**dossier, "suggested_reply": dossier["suggested_reply"].replace(f"#{handed.number}", "#")},
        ))  # fmt: skip
        if settings:
            assert model is not None
            assert not model.sent
    assert seen[0] == seen[1] == seen[2]
    assert "draft" not in seen[0][3]


# --- answers ---


async def test_it_words_the_answer_from_what_was_found(world):
    model = give(world, {"WrittenAnswer": GOOD})
    found = await world.answered("How do I export? I am at ana@acme.test")
    assert await _first(world, found) == WRITTEN
    (prompt,) = model.sent
    assert "ana@acme.test" not in prompt.text
    assert "[email-1]" in prompt.text
    assert [(cited["slug"]) for cited in (await world.now(found)).resolution["citations"]] == ["export-data"]
    (told,) = await consultations(world, found)
    assert told == {
        "agent": "resolution",
        "use": "answers",
        "outcome": "used",
        "tokens_in": USED.tokens_in,
        "tokens_out": USED.tokens_out,
        "cost": 0.0012,
    }
    assert await spend(world) == (USED.tokens, 0.0012, 1, 0)


WRONG = (
    ({"sentences": [{"text": "We have refunded you 500 EUR.", "passages": ["P1"]}]}, "unfounded_figure"),
    ({"sentences": [{"text": "I have done what export-data says.", "passages": ["P1"]}]}, "unfounded_promise"),
    ({"sentences": [{"text": "Do what export-data says.", "passages": ["P7"]}]}, "unknown_passage"),
    ({"sentences": []}, "no_answer"),
    (ModelFailure("down", usage=ModelUsage()), "down"),
    (ModelFailure("malformed", usage=USED), "malformed"),
    (RuntimeError("a fault of the library"), "failed"),
)


async def test_whatever_goes_wrong_the_local_answer_is_sent(world):
    for number, (reply, outcome) in enumerate(WRONG, 1):
        give(world, {"WrittenAnswer": reply})
        found = await _answered(world)
        assert await _first(world, found) == LOCAL
        (told,) = await consultations(world, found)
        assert told["outcome"] == outcome
        assert (await spend(world))[2:] == (number, number)


async def test_nobody_waits_longer_than_its_timeout(world):
    give(world, {"WrittenAnswer": GOOD}, gate=asyncio.Event(), timeout=0.05)
    found = await world.answered()
    assert await _first(world, found) == LOCAL
    (told,) = await consultations(world, found)
    assert told["outcome"] == "slow"
    assert await spend(world) == (MOST.tokens, 0.01, 1, 1), "nobody knows what a broken call cost: the most it could"


async def test_a_model_that_is_down_is_left_alone(world):
    model = give(world, {"WrittenAnswer": ModelFailure("down", usage=ModelUsage())})
    for _ in range(5):
        await _answered(world)
    assert len(model.sent) == 3


async def test_only_passages_in_the_clients_language_are_worded(world):
    model = give(world, {"WrittenAnswer": GOOD})
    await _answered(world, "Wie exportiere ich? #lang:de")
    assert not model.sent
    world.passages[:] = [passage("export-data", language="de")]
    await _answered(world, "Wie exportiere ich? #lang:de")
    assert "German" in model.sent[0].instructions


# --- budgets ---


@pytest.mark.parametrize("limit", [{"tokens_per_day": 4 * MOST.tokens}, {"usd_per_day": Decimal("0.04")}])
async def test_parallel_calls_never_overspend(world, limit):
    """Twelve at once on a budget for four: four are asked, whoever comes first, and the rest is answered locally."""
    model = give(world, {"WrittenAnswer": GOOD}, used=MOST, **limit)
    tickets = [
        await world.open_by_contact(f"How do I export? ({number})", email=f"{number}@example.org")
        for number in range(12)
    ]
    await asyncio.gather(*(world.advance(one) for one in tickets))
    assert len(model.sent) == 4
    told = [(await consultations(world, one))[0]["outcome"] for one in tickets]
    assert sorted(told) == ["over_budget"] * 8 + ["used"] * 4
    assert await spend(world) == (4 * MOST.tokens, 0.04, 4, 0)
    assert {await _first(world, one) for one in tickets} == {LOCAL, WRITTEN}
    world.clock.move(days=1)
    assert await _first(world, await world.answered()) == WRITTEN


async def test_an_organization_may_set_itself_less_never_more(world):
    give(world, {"WrittenAnswer": GOOD}, tokens_per_day=MOST.tokens - 1)
    await world.set_settings(language_model={"tokens_per_day": 10**6})
    assert await _first(world, await world.answered()) == LOCAL
    give(world, {"WrittenAnswer": GOOD}, tokens_per_day=10**6)
    await world.set_settings(language_model={"tokens_per_day": 10})
    assert await _first(world, await world.answered()) == LOCAL


@pytest.mark.parametrize(
    ("limit", "outcome"),
    [
        ({"tokens_per_pass": MOST.tokens}, "used"),
        ({"tokens_per_pass": MOST.tokens - 1}, "over_pass_budget"),
        ({"usd_per_pass": 0.01}, "used"),
        ({"usd_per_pass": 0.0099}, "over_pass_budget"),
    ],
)
async def test_one_pass_spends_no_more_than_it_may(world, limit, outcome):
    model = give(world, {"WrittenAnswer": GOOD})
    await world.set_settings(language_model=limit)
    found = await world.answered()
    assert (await consultations(world, found))[0]["outcome"] == outcome
    assert len(model.sent) == (outcome == "used")
    assert await _first(world, found) == (WRITTEN if outcome == "used" else LOCAL)


def test_what_a_pass_has_spent_counts_whoever_asked():
    rules = ModelRules(tokens_per_pass=100, usd_per_pass=Decimal("0.05"))
    half = ModelUsage(30, 20, Decimal("0.03"))
    assert rules.allow([], half)
    assert not rules.allow([half], half), "0.06 USD"
    assert rules.allow([half], ModelUsage(30, 20, Decimal("0.02")))
    assert not rules.allow([half], ModelUsage(31, 20, Decimal("0.02")))
    assert not rules.allow([], replace(half, cost_usd=None)), "nobody knows what it costs"


async def test_a_budget_in_money_needs_a_price(world):
    model = give(world, {"WrittenAnswer": GOOD}, cost=replace(MOST, cost_usd=None), usd_per_day=Decimal(5))
    found = await world.answered()
    assert (await consultations(world, found))[0]["outcome"] == "no_price"
    assert not model.sent


async def test_what_was_spent_is_the_organizations_own_to_see(world, globex):
    give(world, {"WrittenAnswer": GOOD})
    await world.answered()
    day = world.clock().date()
    async with world.desk.database.org_reading(world.acme.agent) as connection:
        (seen,) = await model_spend.spent(connection, world.acme.org_id, day)
        assert not await model_spend.spent(connection, globex.org_id, day)
    assert (seen.tokens, seen.calls) == (USED.tokens, 1)
    for other in (globex.owner, world.acme.client):
        async with world.desk.database.org_reading(other) as connection:
            assert not await model_spend.spent(connection, world.acme.org_id, day)


async def test_staff_read_what_it_cost_and_what_it_may_cost(world):
    give(world, {"WrittenAnswer": GOOD}, tokens_per_day=5000)
    await world.set_settings(language_model={"uses": ["answers"], "usd_per_day": 2.5, "usd_per_pass": 0.05})
    await world.answered()
    found = await read_spending(world.desk, world.acme.agent)
    day = {
        "day": world.clock().date().isoformat(),
        "tokens": USED.tokens,
        "cost_usd": 0.0012,
        "calls": 1,
        "failures": 0,
    }
    assert found == {
        "model": "scripted:one",
        "uses": ["answers"],
        "tokens_per_day": 5000,
        "usd_per_day": 2.5,
        "tokens_per_pass": None,
        "usd_per_pass": 0.05,
        "days": [day],
    }
    with pytest.raises(Denied):
        await read_spending(world.desk, world.acme.client)
    world.desk = replace(world.desk, model=None)
    assert (await read_spending(world.desk, world.acme.agent))["model"] is None


@pytest.mark.parametrize(
    ("stored", "field"),
    [
        ([], "language_model"),
        ({"uses": "answers"}, "language_model.uses"),
        ({"uses": ["refunds"]}, "language_model.uses.refunds"),
        ({"tokens_per_day": -1}, "language_model.tokens_per_day"),
        ({"tokens_per_day": 1.5}, "language_model.tokens_per_day"),
        ({"tokens_per_pass": 1.5}, "language_model.tokens_per_pass"),
        ({"usd_per_pass": -1}, "language_model.usd_per_pass"),
        ({"usd_per_day": True}, "language_model.usd_per_day"),
        ({"usd_per_day": float("nan")}, "language_model.usd_per_day"),
        ({"model": "openai:x"}, "language_model.model"),
    ],
)
def test_settings_that_say_nothing_sensible_are_refused_by_field(stored, field):
    with pytest.raises(Invalid) as caught:
        read_policy({"language_model": stored})
    assert [problem.field for problem in caught.value.fields] == [field]


# --- ties ---


def _torn(world, *, intent="error_message", other="job_failed", share=0.35):
    judged = world.ai.triage

    async def triage(subject, body):
        found = await judged(subject, body)
        return replace(
            found, intent=replace(found.intent, value=intent, confidence=0.4, alternatives=((other, share),))
        )

    world.ai.triage = triage


@pytest.mark.parametrize("chosen", ["job_failed", "error_message"])
async def test_a_tie_between_intents_is_settled_and_nobody_gets_surer(world, chosen):
    _torn(world)
    give(world, {"ChosenIntent": {"intent": chosen}})
    made = await world.open("It says failed")
    await world.advance(made)
    found = await world.now(made)
    assert found.intent == found.triage["intent"]["value"] == chosen
    assert found.triage["intent"]["confidence"] == {"job_failed": 0.35, "error_message": 0.4}[chosen]


STANDS = (
    ({"intent": "account_takeover"}, "job_failed"),
    ({"other": "wants_a_person"}, "error_message"),
    ({"share": 0.1}, "job_failed"),
    ({}, "double_charge"),
)


async def test_no_choice_takes_a_protection_away_or_brings_in_another_intent(world):
    judged = world.ai.triage
    for torn, chosen in STANDS:
        world.ai.triage = judged
        _torn(world, **torn)
        give(world, {"ChosenIntent": {"intent": chosen}})
        made = await world.open_by_contact("It says failed", email=f"{uuid4().hex}@example.org")
        before = made.intent
        await world.advance(made)
        assert (await world.now(made)).intent == before


# --- slots ---

PHRASES = {"slots": '{name: device, type: choice, choices: [phone, laptop], question: {en: "Which device?"}}'}


async def test_a_slot_is_filled_from_the_clients_own_words(world, estate):
    await publish(world, slots=PHRASES["slots"])
    give(world, {"FoundSlots": {"found": [{"slot": "device", "quote": "my old thinkpad", "choice": "laptop"}]}})
    made = await opened(world, "I cannot get in with my old thinkpad #category:account")
    assert (await run_of(world, made))["status"] == "verified"
    stored = json.loads(await world.one("select slots from asoe.runbook_runs where ticket_id = $1", made.id))
    assert (stored["device"]["value"], stored["device"]["source"]) == ("laptop", "model:ticket.body")
    assert stored["device"]["evidence"] == "my old thinkpad"


@pytest.mark.parametrize(
    ("slot", "reply"),
    [
        (PHRASES["slots"], {"slot": "device", "quote": "my phone", "choice": "phone"}),
        (PHRASES["slots"], {"slot": "device", "quote": "cannot get in", "choice": "tablet"}),
        (CONSENT, {"slot": "terms", "quote": "cannot get in", "choice": "given"}),
        ('{name: sure, type: boolean, question: {en: "Are you sure?"}}', {"slot": "sure", "quote": "cannot get in"}),
        (
            '{name: order, type: identifier, pattern: "OR-[0-9]{4}", question: {en: "Which order?"}}',
            {"slot": "order", "quote": "I cannot"},
        ),
    ],
)
async def test_what_the_client_did_not_say_is_asked_for(world, estate, slot, reply):
    """Words never written, choices there are not, and above all consents: the model can give none of them."""
    await publish(world, slots=slot)
    give(world, {"FoundSlots": {"found": [reply]}})
    made = await opened(world)
    assert await world.one("select waiting_for from asoe.runbook_runs where ticket_id = $1", made.id) == "client"
    assert not estate.effects


# --- dossiers ---

DRAFT = {"summary": "The client cannot export.", "reply": "Hello, which report do you want to export?"}


async def test_the_person_gets_a_draft_beside_the_dossier(world):
    give(world, {"Draft": DRAFT})
    made = await world.open("I cannot export #intent:wants_a_person #need:action")
    await world.advance(made)
    (escalation,) = await world.escalations(made)
    assert escalation["dossier"]["draft"] == {**DRAFT, "by": "scripted:one"}
    assert "I am a person" in escalation["dossier"]["suggested_reply"], "what the engine itself suggests stays"
    assert DRAFT["summary"] not in json.dumps(await world.messages(made)), "no client ever reads a draft"


FOUL = (
    ({**DRAFT, "reply": "We have refunded you."}, {"summary"}),
    ({**DRAFT, "reply": "See https://evil.test"}, {"summary"}),
    ({**DRAFT, "summary": "The client wants 500 EUR."}, None),
    ({**DRAFT, "summary": "<script>alert(1)</script>"}, None),
)


async def test_a_draft_brings_nothing_in_that_the_ticket_does_not_hold(world):
    for draft, kept in FOUL:
        give(world, {"Draft": draft})
        made = await world.open_by_contact(
            "I cannot export #intent:wants_a_person #need:action", email=f"{uuid4().hex}@example.org"
        )
        await world.advance(made)
        found = (await world.escalations(made))[0]["dossier"].get("draft")
        assert (None if found is None else set(found) - {"by"}) == kept


async def test_what_cannot_wait_waits_for_no_model(world):
    model: Scripted = give(world, {"Draft": DRAFT})
    made = await world.open("All is down #severity:critical #intent:outage")
    await world.advance(made)
    assert (await world.now(made)).status == "escalated"
    assert not model.sent


async def test_internal_notes_are_never_sent(world):
    model = give(world, {"Draft": DRAFT})
    made = await world.open("I cannot export #intent:wants_a_person #need:action")
    async with world.desk.database.org_transaction(world.acme.agent) as connection:
        from asoe.store import sessions

        session = await sessions.find(connection, world.acme.org_id, made.session_id)
        await sessions.add(
            connection, world.acme.org_id, session, role="agent", content="TAPIR-1", author=None, is_internal=True
        )
    await world.advance(made)
    assert model.sent
    assert "TAPIR-1" not in model.sent[0].text
