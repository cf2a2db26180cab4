"""A pass of the agents is judged again with another policy, model or prompt: told what it was told, doing nothing."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from desk_cast import passage
from model_cast import Scripted, give, spend

from asoe.desk import ticket
from asoe.desk.journey.replay import Instead, replay
from asoe.domain.errors import Conflict, Denied, Invalid, Missing
from asoe.store import orchestrator
from asoe.store.orchestrator import Run

POLICY = Instead(
    settings={"persons_only": ["how_to"], "routing": {"default": "frontline", "by_intent": {"how_to": "trainers"}}}
)


async def passes(world, of) -> list[UUID]:
    """Oldest first."""
    rows = await world.rows("select id from asoe.orchestrator_runs where ticket_id = $1 order by created_at", of.id)
    return [row["id"] for row in rows]


async def everything(world) -> dict[str, str]:
    """A digest of every row of every table."""
    tables = await world.rows(
        "select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname in ('asoe', 'public', 'queue')"
    )
    return {
        table["name"]: await world.one(
            f"select count(*) || ' ' || coalesce(md5(string_agg(t::text, '|' order by t::text)), '') from {table['name']} t"
        )
        for table in tables
    }


async def again(world, run_id, instead=None, by=None):
    return await replay(world.desk, by or world.acme.agent, run_id, instead)


def told(differences) -> dict[str, tuple]:
    return {each.what: (each.before, each.after) for each in differences}


async def test_the_same_again_changes_nothing_and_writes_nothing(world):
    made = await world.answered()
    (run_id,) = await passes(world, made)
    before = await everything(world)
    found = await again(world, run_id)
    assert (found.since, found.differences, found.instead) == ((), (), None)
    assert (found.was.decision, found.was.category, found.was.articles) == ("answered", made.category, ("export-data",))
    assert found.was.answer in await world.said_by_engine(made)
    assert found.was == found.today
    assert await everything(world) == before


async def test_another_policy_is_tried_and_its_difference_told(world):
    made = await world.answered()
    (run_id,) = await passes(world, made)
    before = await everything(world)
    found = await again(world, run_id, POLICY)
    assert found.since == ()
    changed = told(found.differences)
    assert changed["decision"] == ("answered", "handed_over")
    assert changed["reasons"] == ((), ("policy",))
    assert changed["team"] == (None, "trainers")
    assert changed["articles"] == (("export-data",), ())
    assert set(changed) == {"decision", "reasons", "team", "articles", "answer"}
    assert await everything(world) == before
    assert json.dumps(found.to_json())
    stricter = await again(world, run_id, Instead(settings={"answer_threshold": 1.0}))
    assert told(stricter.differences)["reasons"] == ((), ("no_grounded_answer",))


async def test_it_is_told_nothing_that_came_later(world):
    made = await world.open("How do I export?")
    await world.advance(made)
    await world.say(made, "no")
    await world.advance(made)
    await world.say(made, "#category:billing #severity:high PERSON please")
    await world.advance(made)
    await ticket.change_ticket(
        world.desk, world.acme.agent, made.id, {"category": "billing", "severity": "critical", "tags": ["incident"]}
    )
    first, second, third = await passes(world, made)
    for run_id, decision, articles in (
        (first, "answered", ("export-data",)),
        (second, "answered", ("export-csv",)),
        (third, "handed_over", ()),
    ):
        found = await again(world, run_id)
        assert (found.was.decision, found.was.articles, found.since) == (decision, articles, ())
    assert found.was.reasons == ("client_asked",)


async def test_what_people_had_corrected_before_stands_in_it(world):
    made = await world.open("How do I export?")
    await ticket.change_ticket(world.desk, world.acme.agent, made.id, {"category": "billing"})
    await world.advance(made)
    (run_id,) = await passes(world, made)
    found = await again(world, run_id)
    assert (found.was.category, found.today.category, found.since) == ("billing", "billing", ())


async def test_earlier_tickets_count_as_they_stood_then(world):
    for name in ("print", "share", "import"):
        await world.open(f"How do I {name}?")
    made = await world.open("How do I export?")
    await world.advance(made)
    (run_id,) = await passes(world, made)
    assert "repeat_contact" in (await world.escalations(made))[0]["reasons"]
    await world.owner.execute("update public.support_tickets set status = 'triaging' where id <> $1", made.id)
    await world.owner.execute("update public.support_tickets set status = 'resolved' where id <> $1", made.id)
    found = await again(world, run_id)
    assert "repeat_contact" in found.today.reasons
    assert told(found.since).keys() <= {"answer"}
    later = await again(world, run_id, Instead(settings={"escalation": {"repeat_after": 5}}))
    assert told(later.differences)["decision"] == ("handed_over", "answered")


async def test_what_has_moved_since_is_told_apart_from_the_change(world):
    made = await world.answered()
    (run_id,) = await passes(world, made)
    world.passages.insert(0, passage("new-article", 0.95))
    found = await again(world, run_id, Instead(settings={"answer_threshold": 0.4}))
    assert told(found.since)["articles"] == (("export-data",), ("new-article",))
    assert found.differences == ()


async def test_another_prompt_and_another_language_model_are_asked_only_when_told_to(world):
    made = await world.answered()
    (run_id,) = await passes(world, made)
    ours = {"sentences": [{"text": "Do what export-data says.", "passages": ["P1"], "is_step": False}]}
    none = {"sentences": []}
    model = give(world, {"WrittenAnswer": lambda prompt: ours if "BE BRIEF" in prompt.instructions else none})
    other = Scripted({"WrittenAnswer": none}, name="scripted:two")

    @asynccontextmanager
    async def open_other(name):
        assert name == "scripted:two"
        yield other

    world.desk = replace(world.desk, model=replace(world.desk.model, open_other=open_other))
    quiet = await again(world, run_id, POLICY)
    assert (model.sent, quiet.today.consulted) == ([], ())
    asked = Instead(prompts={"answers": "BE BRIEF. {task}"}, is_consulted=True)
    with pytest.raises(Denied):
        await again(world, run_id, asked)
    before = await everything(world)
    found = await again(world, run_id, asked, by=world.acme.owner)
    assert told(found.differences)["consulted"] == (("answers: no_answer",), ("answers: used",))
    first, second = (prompt.instructions for prompt in model.sent)
    assert second.startswith(f"BE BRIEF. {first.split(chr(10))[0][:40]}")
    assert (await spend(world))[2] == 2
    after = await everything(world)
    assert {name for name in before if before[name] != after[name]} == {"asoe.model_spend"}
    found = await again(world, run_id, Instead(language_model="scripted:two", is_consulted=True), by=world.acme.owner)
    assert (len(other.sent), found.differences) == (1, ())
    for wrong in (
        Instead(language_model="openai:gpt", is_consulted=True),
        Instead(prompts={"answers": "x"}),
        Instead(prompts={"nothing": "x"}, is_consulted=True),
        Instead(settings={"signature": "x"}),
    ):
        with pytest.raises(Invalid):
            await again(world, run_id, wrong, by=world.acme.owner)


async def test_nobody_replays_what_is_not_theirs_or_cannot_be(world, globex):
    made = await world.answered()
    (run_id,) = await passes(world, made)
    with pytest.raises(Missing):
        await again(world, run_id, by=globex.owner)
    with pytest.raises(Denied):
        await again(world, run_id, by=world.acme.client)
    with pytest.raises(Missing):
        await again(world, uuid4())
    with pytest.raises(Invalid):
        await again(world, run_id, Instead(settings={"answers_alone": "always!"}))
    foreign = uuid4()
    now = world.clock()
    async with world.desk.database.org_transaction(world.acme.engine) as connection:
        await orchestrator.record_run(
            connection, world.acme.org_id, Run(foreign, made.id, "worker", "journey.triage", (), "completed", now, now)
        )
    with pytest.raises(Conflict) as refused:
        await again(world, foreign)
    assert refused.value.code == "not_replayable"


async def test_a_record_of_what_a_pass_went_by_holds_no_words(world):
    secret = "My secret is 4711, #category:billing"
    made = await world.open(secret, subject="Confidential")
    await world.advance(made)
    await world.say(made, "Another secret: swordfish")
    await world.advance(made)
    kept = await world.rows("select basis::text as basis from asoe.orchestrator_runs where ticket_id = $1", made.id)
    assert len(kept) == 2
    for row in kept:
        assert not any(word in row["basis"] for word in ("4711", "swordfish", "Confidential", "secret"))
