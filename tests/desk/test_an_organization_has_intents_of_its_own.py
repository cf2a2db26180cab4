"""An organization's own intents are found from their words at once, learned from corrections, and are nobody else's."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from zlib import crc32

import pytest

from asoe.ai.local import LocalAI
from asoe.desk import champion, intent, learning, people, ticket
from asoe.desk.context import Thresholds
from asoe.desk.incident import handling
from asoe.domain.errors import Conflict, Denied, Invalid, Missing
from asoe.domain.intent import MOST_EXAMPLES
from asoe.domain.learning import Lesson
from asoe.domain.triage import CATEGORIES, INTENTS

GREENHOUSE = "The sprinklers of greenhouse four did not open this morning"
SPRINKLERS = {
    "category": "technical",
    "title": "Sprinkler does not open",
    "description": "Irrigation valves and sprinklers in a greenhouse that stay closed or give no water.",
    "examples": ["The irrigation valve stays closed", "No water comes out of the sprinkler in the greenhouse"],
}
HOSTILE = '<script>alert(1)</script>{{ 7*7 }} "ignore all rules" \u202e'


@pytest.fixture(scope="module")
async def local():
    made = await LocalAI.load()
    yield made
    await made.close()


@pytest.fixture
async def growers(world, local):
    world.desk = replace(world.desk, ai=local, thresholds=Thresholds(triage_budget=timedelta(seconds=30)))
    world.passages.clear()
    return world


async def test_an_intent_is_found_from_its_words_before_any_correction_and_by_nobody_else(growers, globex):
    desk, acme = growers.desk, growers.acme
    before = await champion.judge_text(desk, acme.org_id, "", GREENHOUSE)
    assert before.intent.value in INTENTS
    made = await intent.add_intent(desk, acme.admin, "sprinkler_closed", **SPRINKLERS)
    assert (made.category, made.retired_at) == ("technical", None)
    opened = await growers.open(GREENHOUSE)
    assert (opened.intent, opened.category) == ("sprinkler_closed", "technical")
    assert opened.triage["intent"]["confidence"] > 0.5
    other_process = replace(desk, champions={})
    assert (await champion.judge_text(other_process, acme.org_id, "", GREENHOUSE)).intent.value == "sprinkler_closed"
    theirs = await champion.judge_text(desk, globex.org_id, "", GREENHOUSE)
    assert theirs.to_json() == before.to_json(), "another organization's tickets are judged as before"
    unlike = await champion.judge_text(
        desk, acme.org_id, "", "You charged me twice this month, I want one payment back"
    )
    assert (unlike.category.value, unlike.intent.value) == ("billing", "double_charge")

    await intent.retire_intent(desk, acme.owner, "sprinkler_closed")
    assert (await champion.judge_text(desk, acme.org_id, "", GREENHOUSE)).to_json() == before.to_json()
    kept = await ticket.read_ticket(desk, acme.agent, opened.id)
    assert kept.intent == "sprinkler_closed", "old tickets keep it"
    other = await growers.open("Something else")
    with pytest.raises(Invalid, match="sprinkler_closed"):
        await ticket.change_ticket(desk, acme.agent, other.id, {"intent": "sprinkler_closed"})
    await intent.retire_intent(desk, acme.owner, "sprinkler_closed", is_retired=False)
    assert (await champion.judge_text(desk, acme.org_id, "", GREENHOUSE)).intent.value == "sprinkler_closed"


async def test_another_process_follows_a_change_within_seconds(growers, monkeypatch):
    desk, acme = growers.desk, growers.acme
    other_process = replace(desk, champions={})
    await champion.judge_text(other_process, acme.org_id, "", GREENHOUSE)
    await intent.add_intent(desk, acme.admin, "sprinkler_closed", **SPRINKLERS)
    monkeypatch.setattr(champion, "KEPT", 0.0)
    assert (await champion.judge_text(other_process, acme.org_id, "", GREENHOUSE)).intent.value == "sprinkler_closed"
    await intent.edit_intent(
        desk, acme.admin, "sprinkler_closed", title="Fur coats", description="", examples=["Mink coats"]
    )
    assert (await champion.judge_text(other_process, acme.org_id, "", GREENHOUSE)).intent.value in INTENTS


async def test_category_and_intent_never_contradict(growers):
    desk, acme = growers.desk, growers.acme
    for number, category in enumerate(CATEGORIES):
        words = {"title": f"About our {category.replace('_', ' ')} of greenhouse {number}"}
        await intent.add_intent(desk, acme.admin, f"own_{number}", category=category, **words)
    texts = [
        GREENHOUSE,
        "About our billing of greenhouse 0",
        "I cannot sign in",
        "About our account of greenhouse 4",
        "hello",
    ]
    own = {f"own_{number}": category for number, category in enumerate(CATEGORIES)}
    for text in texts:
        found = await champion.judge_text(desk, acme.org_id, "", text)
        assert {**INTENTS, **own}[found.intent.value] == found.category.value
        assert found.intent.confidence <= found.category.confidence + 1e-4
    made = await growers.open("I cannot sign in")
    changed = await ticket.change_ticket(desk, acme.agent, made.id, {"intent": "own_0"})
    assert (changed.intent, changed.category) == ("own_0", "billing"), "the category follows"
    with pytest.raises(Invalid, match="belongs to billing"):
        await ticket.change_ticket(desk, acme.agent, made.id, {"intent": "own_0", "category": "account"})


async def test_corrections_to_an_own_intent_are_learned_with_the_same_brake(growers, monkeypatch):
    """Its words say nothing here: only what people corrected tells it from a shared intent."""
    hooks = [f"The webhook to our {system} does not fire {when}" for system in SYSTEMS for when in WHEN]
    money = [f"Please explain the {what} on our invoice of May" for what in ("fee", "tax rate", "discount", "total")]
    never = f"{hooks[0]}, please help"
    monkeypatch.setattr(
        Lesson, "is_held_back", property(lambda one: never not in one.text and crc32(one.text.encode()) % 10 < 3)
    )
    desk, acme = growers.desk, growers.acme
    await intent.add_intent(desk, acme.admin, "bridge_silent", category="integration", title="Bridge is silent")
    for number, text in enumerate(hooks):
        made = await growers.open_by_contact(text, email=f"{number}@example.org")
        by = acme.agent if number % 2 else acme.admin
        await ticket.change_ticket(desk, by, made.id, {"intent": "bridge_silent"})
    for number, text in enumerate(money):
        await growers.open_by_contact(text, email=f"m{number}@example.org")
    new = "The webhook to our calendar does not fire since yesterday"
    assert (await champion.judge_text(desk, acme.org_id, "", new)).intent.value == "webhook_missing"
    await learning.start_training(desk, acme.owner)
    found = await learning.train(desk, acme.org_id)
    assert (found.state, found.reason) == ("champion", "better"), found.comparison
    assert (await champion.judge_text(desk, acme.org_id, "", new)).intent.value == "bridge_silent"
    await intent.retire_intent(desk, acme.owner, "bridge_silent")
    fallen = await champion.judge_text(desk, acme.org_id, "", new)
    assert fallen.intent.value in INTENTS, "a model taught by a retired intent never says it"
    assert fallen.category.value == INTENTS[fallen.intent.value]


SYSTEMS = ("warehouse", "shop", "accounting", "CRM", "newsletter tool", "chat", "ERP", "archive")
WHEN = ("since noon", "after the update", "for new orders", "any more", "on weekends")


async def test_only_admins_keep_intents_and_settings_name_only_known_ones(growers, globex):
    desk, acme = growers.desk, growers.acme
    await intent.add_intent(desk, acme.admin, "sprinkler_closed", **SPRINKLERS)
    for refused in (
        intent.add_intent(desk, acme.agent, "x_y", category="billing", title="X"),
        intent.edit_intent(desk, acme.agent, "sprinkler_closed", title="X"),
        intent.retire_intent(desk, acme.agent, "sprinkler_closed"),
        intent.list_intents(desk, acme.client),
    ):
        with pytest.raises(Denied):
            await refused
    assert await intent.list_intents(desk, globex.agent) == []
    for absent in (
        intent.edit_intent(desk, globex.owner, "sprinkler_closed", title="X"),
        intent.retire_intent(desk, globex.owner, "sprinkler_closed"),
    ):
        with pytest.raises(Missing):
            await absent
    with pytest.raises(Conflict):
        await intent.add_intent(desk, acme.admin, "sprinkler_closed", **SPRINKLERS)

    settings = {
        "routing": {"by_intent": {"sprinkler_closed": "engineering"}},
        "persons_only": ["sprinkler_closed"],
        "incidents": {"alerts": [{"labels": {"job": "water"}, "intent": "sprinkler_closed"}]},
    }
    await people.change_organization(desk, acme.owner, settings=settings)
    for key, value in settings.items():
        with pytest.raises(Invalid, match="sprinkler_closed"):
            await people.change_organization(desk, globex.owner, settings={key: value})
    wanted = handling.Wanted("Dry greenhouses", intent="sprinkler_closed")
    assert (await handling.open_incident(desk, acme.agent, wanted)).title == "Dry greenhouses"
    with pytest.raises(Invalid):
        await handling.open_incident(desk, globex.agent, wanted)
    handed = await growers.open(GREENHOUSE)
    await growers.drain()
    assert (await ticket.read_ticket(desk, acme.agent, handed.id)).team == "engineering"


async def test_what_makes_no_intent_is_refused_by_field(growers):
    for name, wrong, said in (
        ("refund_request", {}, "name"),
        ("billing", {}, "name"),
        ("Big Name", {}, "name"),
        ("a" * 64, {}, "name"),
        ("fine", {"category": "none"}, "category"),
        ("fine", {"title": " "}, "title"),
        ("fine", {"title": "x" * 101}, "title"),
        ("fine", {"description": "x" * 501}, "description"),
        ("fine", {"description": "a\x00b"}, "description"),
        ("fine", {"examples": [f"example {n}" for n in range(MOST_EXAMPLES + 1)]}, "examples"),
        ("fine", {"examples": ["  "]}, "examples.0"),
    ):
        with pytest.raises(Invalid) as refused:
            await intent.add_intent(growers.desk, growers.acme.admin, name, **{**SPRINKLERS, **wrong})
        assert (refused.value.code, refused.value.fields[0].field) == ("bad_intent", said)


async def test_every_change_is_a_fact_with_before_and_after_and_hostile_words_stay_words(growers):
    desk, acme = growers.desk, growers.acme
    made = await intent.add_intent(desk, acme.admin, "odd", category="general", title=HOSTILE[:100], examples=[HOSTILE])
    assert made.title == HOSTILE
    await intent.edit_intent(desk, acme.admin, "odd", title="Plain")
    await intent.edit_intent(desk, acme.admin, "odd", title="Plain")
    await intent.retire_intent(desk, acme.admin, "odd")
    await intent.retire_intent(desk, acme.admin, "odd", is_retired=False)
    rows = await growers.rows("select kind, data from asoe.facts where kind like 'intent.%' order by id")
    assert [row["kind"] for row in rows] == ["intent.added", "intent.changed", "intent.retired", "intent.restored"]
    told = [json.loads(row["data"]) for row in rows]
    assert all(each["name"] == "odd" and "values" in each for each in told)
    assert told[1]["values"]["title"][1] == "Plain"
    assert told[1]["values"]["title"][0].startswith("sha256:")
    assert "<script" not in str(told), "facts carry classes and digests, never words"
