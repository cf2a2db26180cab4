"""A run that happened is played again with another version, runbook or settings: nobody is called, and the difference is told."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from runs_cast import UNLOCK, act, book, fix

from asoe.desk.runbook import replay, shelf
from asoe.domain.errors import Conflict, Missing

GUARDED = UNLOCK.replace(
    '    when: =account.status == "locked"',
    '    when: =account.status == "locked"\n    guards: [{that: =ticket.severity == "low", otherwise: refuse, reason: too_grave}]',
)
BY_POST = UNLOCK.replace("estate.unlock", "estate.post").replace("estate.lock", "estate.unpost")
ASKING = UNLOCK.replace(
    "goal:",
    "slots: [{name: terms, type: consent, required: false, question: {en: May we?}, examples: {given: [yes], refused: [no]}}]\ngoal:",
).replace(
    '    when: =account.status == "locked"',
    '    when: =account.status == "locked"\n    guards: [{that: =slots.terms.status == "given", otherwise: escalate, reason: needs_consent}]',
)


async def ended(world, name="unlock", **more):
    run_id = await world.start(name, on=await world.ticket(), **more)
    await world.carry_through(run_id)
    return run_id


async def rows(world):
    tables = ("runbook_runs", "run_steps", "run_actions", "facts", "orchestrator_runs")
    return [await world.owner.fetchval(f"select count(*) from asoe.{table}") for table in tables]


async def test_the_same_again_changes_nothing(world):
    await world.shelve()
    run_id = await ended(world)
    before, calls = await rows(world), list(world.estate.calls)
    found = await replay.replay(world.desk, world.org.owner, run_id)
    assert (found.differences, found.now.verdict, found.now.acts) == ((), "verified", ("estate.unlock",))
    assert (await rows(world), world.estate.calls) == (before, calls)


async def test_another_version_is_told_what_the_first_was_told(world):
    await world.shelve()
    run_id = await ended(world)
    await shelf.save(world.desk, world.org.owner, GUARDED)
    before, calls = await rows(world), list(world.estate.calls)
    found = await replay.replay(world.desk, world.org.owner, run_id, version=2)
    assert (found.was.verdict, found.now.verdict, found.now.reason, found.now.acts) == (
        "verified", "refused", "too_grave", (),
    )  # fmt: skip
    assert "acts: were estate.unlock; would be none" in found.differences
    assert found.to_json()["now"]["version"] == 2
    assert (await rows(world), world.estate.calls) == (before, calls)


async def test_where_nothing_was_recorded_it_ends_and_says_so(world):
    await world.shelve()
    run_id = await ended(world)
    await shelf.save(world.desk, world.org.owner, BY_POST.replace("runbook: unlock", "runbook: by-post"))
    found = await replay.replay(world.desk, world.org.owner, run_id, runbook="by-post")
    assert (found.now.runbook, found.now.verdict, found.now.acts) == ("by-post", "", ("estate.post",))
    assert any("was not recorded" in each for each in found.differences)
    assert world.estate.done() == ["unlock"]


async def test_reads_after_an_act_are_told_after_it_only(world):
    await world.shelve(book("twice", fix("one", act("unlock"), that="=account.unlock > 0"), goal="=account.unlock > 0"))
    run_id = await ended(world, "twice")
    looks_first = book(
        "twice",
        "\n  - {lookup: seen, call: estate.get, with: {id: a}}\n  - {escalate: saw_it, when: '=seen.unlock > 0'}",
        fix("one", act("unlock"), that="=account.unlock > 0"),
        goal="=account.unlock > 0",
    )
    await shelf.save(world.desk, world.org.owner, looks_first)
    found = await replay.replay(world.desk, world.org.owner, run_id, version=2)
    assert (found.now.verdict, found.now.acts) == ("verified", ("estate.unlock",)), found.differences


async def test_other_settings_are_tried_on_what_the_client_had_said(world):
    async def nothing(slots, passages, *, language, beside):
        return {}

    world.desk = replace(world.desk, ai=SimpleNamespace(read_slots=nothing))
    await world.shelve(ASKING)
    run_id = await ended(world)
    same = await replay.replay(world.desk, world.org.owner, run_id)
    assert (same.now.reason, same.differences) == ("needs_consent", ())
    standing = {"standing_consents": {"terms": None}}
    found = await replay.replay(world.desk, world.org.owner, run_id, settings=standing)
    assert found.now.acts == ("estate.unlock",)
    assert any(each.startswith("slot terms") for each in found.differences)
    assert world.estate.done() == []


async def test_nobody_replays_what_is_not_theirs_or_not_over(world, globex):
    await world.shelve()
    run_id = await world.start(on=await world.ticket())
    with pytest.raises(Conflict, match="not ended"):
        await replay.replay(world.desk, world.org.owner, run_id)
    with pytest.raises(Missing):
        await replay.replay(world.desk, globex.owner, run_id)
