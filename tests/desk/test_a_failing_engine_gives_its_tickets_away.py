"""What fails for good goes to a person who is told everything; what passes by itself only waits."""

from __future__ import annotations

from datetime import timedelta

import asyncpg
import pytest

from asoe.desk import journey, session, ticket
from asoe.domain.errors import Unavailable
from asoe.domain.escalation import missing_fields


async def fail_times(world, made, times):
    for _ in range(times):
        with pytest.raises(Exception):  # noqa: B017  # whichever was planted
            await journey.carry_on(world.desk, world.acme.org_id, made.id)


async def test_three_failures_in_a_row_hand_over_once_with_the_cause(world):
    made = await world.open("How? #lang:de")
    world.ai.failing["answer"] = KeyError("client text")
    await fail_times(world, made, 2)
    assert (await world.now(made)).status == "open"
    assert await journey.carry_on(world.desk, world.acme.org_id, made.id) == "given_away"
    (row,) = await world.escalations(made)
    assert (row["reasons"], missing_fields(row["dossier"])) == (["stage_failed"], ())
    assert any("failed 3 times: KeyError" in line for line in row["dossier"]["tried"])
    assert "übernimmt ein Mensch" in (await world.said_by_engine(made))[0]
    assert (await world.journey(made))["failures"] == 0
    assert (await world.facts(made)).count("journey.failed") == 3
    run, *failed = await ticket.runs(world.desk, world.acme.agent, made.id)
    assert (run["plan"], run["status"], run["error"]) == (["escalation", "handed_over"], "completed", "KeyError")
    assert [(one["plan"], one["status"], one["error"]) for one in failed] == 2 * [(["failed"], "failed", "KeyError")]
    assert await world.one("select count(*) from asoe.facts where data::text like '%client text%'") == 0


async def test_a_success_between_failures_starts_the_count_anew(world):
    made = await world.open()
    world.ai.failing["answer"] = KeyError()
    await fail_times(world, made, 2)
    world.ai.failing.clear()
    await world.advance(made)
    await world.say(made, "no")
    world.ai.failing["answer"] = KeyError()
    await fail_times(world, made, 2)
    assert (await world.now(made)).status == "in_progress"


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("down", retry_after=1),
        TimeoutError(),
        ConnectionResetError(),
        asyncpg.ConnectionDoesNotExistError(),
        asyncpg.DeadlockDetectedError(),
        asyncpg.SerializationError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_passes_by_itself_is_only_tried_again(world, error):
    made = await world.open()
    world.ai.failing["answer"] = error
    await fail_times(world, made, 5)
    assert (await world.now(made)).status == "open"
    assert "journey.failed" not in await world.facts(made)
    world.ai.failing.clear()
    await world.advance(made)
    assert (await world.now(made)).status == "in_progress"


async def test_settings_that_cannot_be_read_do_not_keep_a_ticket_for_ever(world):
    made = await world.open()
    await world.set_settings(reopen_window_days="a week")
    await fail_times(world, made, 2)
    assert await journey.carry_on(world.desk, world.acme.org_id, made.id) == "given_away"
    assert (await world.now(made)).status == "escalated"


async def test_a_judgement_that_cannot_be_read_is_made_again(world):
    made = await world.open("How? #category:billing:0.9")
    await world.owner.execute(
        """update public.support_tickets set triage = '{"model_version": "older"}' where id = $1""", made.id
    )
    await world.advance(made)
    assert (await world.now(made)).triage["model_version"] == "strict-1"


async def test_a_failure_never_takes_a_ticket_from_a_person(world):
    made = await world.open()
    world.ai.failing["answer"] = KeyError()
    await fail_times(world, made, 2)
    await session.take_over(world.desk, world.acme.agent, made.session_id)
    assert not await journey.fail(world.desk, world.acme.org_id, made.id, cause="KeyError")
    now = await world.now(made)
    assert (now.status, now.assignee) == ("in_progress", world.acme.agent.user_id)
    assert (await world.journey(made))["stage"] == "with_person"
    assert await world.said_by_engine(made) == []


async def test_words_after_the_end_that_cannot_be_read_go_to_a_person(world):
    made = await world.answered()
    await world.say(made, "yes")
    await world.advance(made)
    await world.say(made, "broken again")
    world.ai.failing["read_reply"] = KeyError()
    await fail_times(world, made, 2)
    assert await journey.carry_on(world.desk, world.acme.org_id, made.id) == "given_away"
    now = await world.now(made)
    assert (now.status, now.reopened) == ("escalated", 1)


async def test_a_request_is_accepted_while_no_model_answers(world):
    world.ai.failing["triage"] = RuntimeError("the model is gone")
    made = await world.open("How do I export?", severity="high", by=world.acme.agent)
    assert (made.status, made.category, made.severity, made.triage["given"]) == (
        "triaging", "general", "high", {"severity": "high"},
    )  # fmt: skip
    world.ai.failing.clear()
    await world.drain()
    now = await world.now(made)
    assert (now.status, now.category, now.severity) == ("in_progress", "technical", "high")
    assert "ticket.triaged" in await world.facts(made)


async def test_a_ticket_deleted_meanwhile_is_no_failure(world):
    made = await world.open()
    await world.owner.execute("delete from public.support_tickets where id = $1", made.id)
    assert await journey.carry_on(world.desk, world.acme.org_id, made.id) == "gone"


async def test_a_busy_model_leaves_triage_to_the_worker_and_keeps_no_request_waiting(world):
    world.ai.triage_backlog = timedelta(seconds=1)
    made = await world.open("How do I export?")
    assert (made.status, made.triage, world.ai.thinking) == ("triaging", {}, [])
    world.ai.triage_backlog = timedelta(milliseconds=1)
    assert (await world.open("How do I print?")).triage
    await world.drain()
    now = await world.now(made)
    assert (now.status, now.resolution["verdict"]) == ("in_progress", "answered")
    assert now.triage["model_version"]
