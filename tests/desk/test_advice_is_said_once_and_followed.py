"""Recommendations out of what really happened on tickets: each with its evidence, decided by people, audited, followed, private."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from runbook_desk import publish, run_of

from asoe.desk import housekeeping, privacy, recommendation, session
from asoe.desk import ticket as desk_ticket
from asoe.domain.errors import Denied, Invalid, Missing
from cast import make_advice


@pytest.fixture(autouse=True)
def vectors(world, monkeypatch):
    """Texts point where "about…" says; the clock shows the present."""

    async def embed(texts):
        found = np.zeros((len(texts), 384), np.float32)
        for row, text in enumerate(texts):
            named = re.search(r"about(\w+)", text)
            found[row, sum(map(ord, named[1])) % 384 if named else 0] = 1
        return found

    monkeypatch.setattr(world.ai, "embed", embed)
    world.clock.move(days=30)


async def look(world):
    await recommendation.look(world.desk, world.acme.engine)
    found = await recommendation.read_advice(world.desk, world.acme.agent)
    return [recommendation.to_json(each) for each in found.items]


async def unanswered(world, words, email):
    world.passages.clear()
    made = await world.open_by_contact(words, email=email)
    await world.drain()
    return made


async def test_a_missing_article_is_said_dismissed_said_again_accepted_and_followed(world, globex):
    desk, acme = world.desk, world.acme
    asked = [await unanswered(world, f"aboutexport {n}, kim@example.org", f"c{n}@example.org") for n in range(3)]
    await unanswered(world, "aboutprinting", "c9@example.org")
    (said,) = await look(world)
    assert (said["kind"], said["evidence"]["cases"], said["evidence"]["clients"], said["number"]) == (
        "article",
        3,
        3,
        1,
    )
    assert {each["id"] for each in said["evidence"]["tickets"]} == {each.id for each in asked}
    assert said["gain"]["expected"] is None, "no answer of the engine has shown what an article spares"
    assert said["gain"]["high"] > 3
    assert "kim@example.org" not in str(said)
    assert await look(world) == [{**said, "seen_at": world.clock()}]
    for who in (acme.agent, acme.client):
        with pytest.raises(Denied):
            await recommendation.decide(desk, who, 1, "dismiss", "no")
    with pytest.raises(Invalid):
        await recommendation.decide(desk, acme.admin, 1, "dismiss", " ")
    with pytest.raises(Missing):
        await recommendation.decide(desk, globex.owner, 1, "accept")
    await recommendation.decide(desk, acme.admin, 1, "dismiss", "Not ours to say")
    assert await look(world) == []
    for n in range(3, 6):
        await unanswered(world, f"aboutexport {n}", f"c{n}@example.org")
    (again,) = await look(world)
    assert (again["number"], again["is_again"], again["evidence"]["cases"]) == (1, True, 6)
    world.clock.move(minutes=5)  # past what the database called now
    decided = await recommendation.decide(desk, acme.owner, 1, "accept", "Ben writes it")
    assert (decided.it.status, decided.decided_by) == ("accepted", "Cleo")
    world.clock.move(days=30)
    await recommendation.look(desk, acme.engine)
    (followed,) = (await recommendation.read_advice(desk, acme.agent, statuses=("accepted",))).items
    assert (followed.it.outcome.before, followed.it.outcome.after, followed.it.outcome.says) == (6, 0, "fewer")
    facts = await world.rows("select kind, data from asoe.facts where kind like 'recommendation.%' order by id")
    assert [each["kind"] for each in facts] == ["recommendation.dismissed", "recommendation.accepted"]
    assert json.loads(facts[0]["data"]) == {"number": 1, "of": "article", "cases": 3}
    assert (await recommendation.read_advice(desk, globex.agent, statuses=("accepted",))).items == ()
    with pytest.raises(Denied):
        await recommendation.read_advice(desk, acme.client)


async def test_an_erased_client_leaves_no_words_in_advice(world):
    made = [await unanswered(world, "aboutexport", f"c{n}@example.org") for n in range(3)]
    await look(world)
    (contact,) = await world.rows("select contact_id from public.support_tickets where id = $1", made[0].id)
    await privacy.erase_contact(world.desk, world.acme.owner, contact["contact_id"])
    assert await world.one("select vector from asoe.recommendations where number = 1") is None
    await unanswered(world, "aboutexport", "c4@example.org")
    (said,) = await look(world)
    assert (said["number"], said["evidence"]["cases"]) == (1, 3)


async def test_the_same_fix_by_people_is_a_runbook_worth_writing_with_its_steps(world):
    agent = world.acme.agent
    for n in range(5):
        made = await unanswered(world, f"aboutcache {n}", f"c{n % 2}@example.org")
        await session.add_message(
            world.desk, agent, made.session_id, "agent", "I looked at ann@example.org", is_internal=True
        )
        await session.add_message(world.desk, agent, made.session_id, "agent", f"Cleared aboutcache for you, {n}.")
        await desk_ticket.move_ticket(world.desk, agent, made.id, "resolved")
    await housekeeping.keep_counters(world.desk)
    found = {each["kind"]: each for each in await look(world)}
    said = found["runbook"]["evidence"]
    assert (said["cases"], said["clients"], said["walked"]) == (5, 2, 5)
    assert said["steps"][-1] == "moved its status"
    assert "replied to the client" in said["steps"]
    assert any("Cleared aboutcache" in line for line in said["words"])
    assert "ann@example.org" not in str(found)


async def test_runbooks_are_promoted_by_their_certificate_and_braked_by_their_runs(world, estate):
    await publish(world, level="approve")
    made = await world.open_by_contact("my account is locked #category:account", subject="locked")
    await world.drain()
    run = await run_of(world, made)
    await world.owner.execute("update asoe.approvals set status = 'approved', decided_at = $1", world.clock.now)
    acted = (
        "insert into asoe.run_actions (org_id, run_id, seq, path, connector, action, risk, arguments, idempotency_key, status)"
        " select org_id, id, 1, 'p', 'estate', 'unlock', 'reversible', '{}', id::text, 'done' from asoe.runbook_runs"
    )
    await world.owner.execute(acted)
    await world.owner.execute(
        "update asoe.runbook_runs set status = 'verified', ended_at = $1, waiting_for = null", world.clock.now
    )
    assert await look(world) == [], "a certificate takes 59 judged runs"
    columns = "org_id, runbook_id, version, ticket_id, mode, status, ended_at"
    await world.owner.execute(
        f"insert into asoe.runbook_runs (id, {columns}) select gen_random_uuid(), {columns}"
        " from asoe.runbook_runs, generate_series(1, 60) where id = $1",
        run["id"],
    )
    await world.owner.execute(
        "insert into asoe.run_judgements (org_id, run_id, runbook_id, version, is_right, source)"
        " select org_id, id, runbook_id, version, true, 'person' from asoe.runbook_runs"
    )
    (said,) = await look(world)
    assert (said["kind"], said["about"]) == ("promote", "unlock-account")
    assert (said["evidence"]["next"], said["evidence"]["errors"], said["gain"]["expected"]) == ("auto", 0, 1.0)
    await world.owner.execute("update asoe.run_actions set risk = 'irreversible'")
    assert await look(world) == [], "what cannot be undone is never let alone"
    # now it acts alone, and goes wrong more often than chance explains
    await world.owner.execute("update asoe.run_actions set risk = 'reversible'")
    await world.owner.execute("update asoe.runbook_autonomy set level = 'auto'")
    await world.owner.execute(f"{acted} where id <> $1", run["id"])
    wrong = "update asoe.run_judgements set is_right = false where run_id in (select id from asoe.runbook_runs order by id limit $1)"
    await world.owner.execute(wrong, 3)
    assert await look(world) == [], "three of 61 are no more than 5 % explain"
    await world.owner.execute(wrong, 9)
    (said,) = await look(world)
    assert (said["kind"], said["evidence"]["cases"], said["evidence"]["runs"]) == ("brake", 9, 61)


async def test_a_connector_that_fails_and_a_client_at_risk_are_named(world, estate):
    agent = world.acme.agent
    await publish(world)
    await world.owner.execute(
        "insert into asoe.connectors (org_id, name, kind) values ($1, 'estate', 'http')", world.acme.org_id
    )
    for n in range(3):
        made = await world.open_by_contact(
            f"my account is locked {n} #category:account", subject="locked", email="x@example.org"
        )
        await world.drain()
        assert (await run_of(world, made))["status"] == "escalated"
        world.clock.move(minutes=1)
    found = await look(world)
    assert [each["kind"] for each in found] == [], "that an account does not exist is an answer"
    await world.owner.execute(
        """update asoe.run_steps set told = '{"value": null, "error": "timed out", "is_missing": false}' where kind = 'observe'"""
    )
    (said,) = await look(world)
    assert (said["kind"], said["about"], said["evidence"]["cases"]) == ("connector", "estate", 3)
    assert len(said["evidence"]["tickets"]) == 3
    await desk_ticket.move_ticket(world.desk, agent, made.id, "resolved")
    await desk_ticket.reopen_ticket(world.desk, agent, made.id)
    await world.open_by_contact("And another thing", email="x@example.org")
    await housekeeping.keep_counters(world.desk)
    found = {each["kind"]: each for each in await look(world)}
    said = found["client"]
    assert (said["about"], said["evidence"]["came_back"], said["evidence"]["was_reopened"]) == ("Kim Contact", 3, 1)


async def test_it_is_looked_for_once_a_day_and_whoever_asks_is_heard(world):
    engine = world.acme.engine
    assert await recommendation.look_at_all(world.desk, engine)
    assert not await recommendation.look_at_all(world.desk, engine)
    world.clock.move(minutes=61)
    assert await recommendation.look_at_all(world.desk, engine), "every hour while there is nothing"
    await make_advice(world.desk.database, engine)
    world.clock.move(hours=23)
    assert not await recommendation.look_at_all(world.desk, engine)
    world.clock.move(hours=2)
    await housekeeping.keep_advice(world.desk)
    assert not await recommendation.look_at_all(world.desk, engine)
    await recommendation.ask(world.desk, world.acme.agent)
    await recommendation.ask(world.desk, world.acme.agent)
    assert await world.one("select count(*) from queue.pgqueuer where entrypoint = 'recommend'") == 1
