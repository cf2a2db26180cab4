"""Many tickets, one cause: one incident, one mend, every client told once, every ticket checked on its own, nobody else touched."""

from __future__ import annotations

import asyncio
from collections import Counter
from uuid import UUID

import pytest
from incident_desk import stand, the_incident, turn, writes

from asoe.desk import housekeeping, journey, session
from asoe.desk.incident import handling
from asoe.desk.incident.handling import Wanted
from asoe.domain.errors import Conflict, Denied, Invalid, Missing


async def told(world, made) -> list[str]:
    return [text for text in await world.said_by_engine(made) if "cause" in text and "mended" in text]


async def test_one_cause_becomes_one_incident_one_mend_and_an_answer_to_everyone(world):
    servers = await stand(world)
    other = await writes(world, servers, "odo", status="locked", server="us")
    few = [await writes(world, servers, name) for name in ("ana", "bob", "cid")]
    incident = await the_incident(world)
    assert (incident["status"], incident["source"], incident["title"]) == (
        "open", "checks", "The server of these accounts stands still.",
    )  # fmt: skip
    more = [await writes(world, servers, name) for name in ("dan", "eva")]
    assert [(await world.now(made)).waiting_for for made in more] == ["incident", "incident"]
    assert [(await world.now(made)).status for made in few] == ["escalated"] * 3
    await turn(world, times=2)
    assert servers.effects.count(("restart", "eu")) == 1
    await turn(world, times=4)
    for made in (*few, *more):
        found = await world.now(made)
        assert (found.status, found.resolution["verdict"]) == ("resolved", "verified")
        assert found.resolution["run_id"], "its own run looked"
        says = await told(world, made)
        assert (len(says), "checked your case" in says[-1]) == (2, True), "known once, mended once"
    assert (await world.now(other)).resolution["summary"].startswith("Fixed by a runbook")
    assert await told(world, other) == []
    assert servers.effects == [("unlock", "odo@example.org"), ("restart", "eu")]
    incident = await the_incident(world)
    counts = (await handling.read_incident(world.desk, world.acme.agent, incident["id"])).counts
    assert (incident["status"], counts.tickets, counts.told, counts.mended) == ("closed", 5, 5, 5)


async def test_too_few_clients_make_no_incident_however_often_one_writes(world):
    servers = await stand(world)
    for number in range(4):
        await writes(world, servers, "ana", metadata={"number": number}, subject=f"it stands still {number}")
    await writes(world, servers, "bob")
    assert await world.rows("select * from asoe.incidents") == []
    assert len({row["client_key"] for row in await world.rows("select client_key from asoe.incident_signs")}) == 2


async def test_a_ticket_that_is_still_broken_goes_to_a_person_with_the_reason(world):
    servers = await stand(world)
    for name in ("ana", "bob", "cid"):
        await writes(world, servers, name)
    late = await writes(world, servers, "dan")
    servers.accounts["dan@example.org"]["status"] = "odd"
    servers.accounts["ana@example.org"]["status"] = "odd"
    await turn(world, times=5)
    (handed,) = await world.escalations(late)
    assert handed["reasons"] == ["incident", "goal_not_met"]
    assert "own check failed all the same: goal_not_met" in handed["dossier"]["tried"][0]
    outcomes = Counter(row["outcome"] for row in await world.rows("select outcome from asoe.incident_tickets"))
    assert outcomes == {"mended": 2, "broken": 2}
    assert (await the_incident(world))["status"] == "closed"


async def test_whoever_writes_twice_is_told_once_what_is_known(world):
    servers = await stand(world)
    for name in ("ana", "bob", "cid"):
        await writes(world, servers, name)
    servers.does_nothing = True
    again = await writes(world, servers, "ana", subject="still: it stands still")
    await turn(world, times=2)
    notices = await world.rows("select client_key, kind from asoe.incident_notices")
    assert len(notices) == len({row["client_key"] for row in notices}) == 3
    said = (await world.said_by_engine(again))[-1]
    assert "not the only one" in said or "same cause as your ticket #" in said
    texts = [
        row["content"] for row in await world.rows("select content from asoe.session_messages where role = 'assistant'")
    ]
    assert sum("not the only one" in text for text in texts) == 3


async def test_two_rounds_at_once_and_a_crash_in_between_tell_everyone_once(world, monkeypatch):
    servers = await stand(world, fixes=[])
    for name in ("ana", "bob", "cid", "dan", "eva"):
        await writes(world, servers, name)
    await the_incident(world)
    real, calls = journey.outcome.write, Counter()

    async def dies(*given, **more):
        calls["write"] += 1
        if calls["write"] == 2:
            raise OSError("killed")
        return await real(*given, **more)

    monkeypatch.setattr(journey.outcome, "write", dies)
    await housekeeping.keep_incidents(world.desk)
    monkeypatch.setattr(journey.outcome, "write", real)
    await asyncio.gather(*(housekeeping.keep_incidents(world.desk) for _ in range(3)))
    await turn(world)
    texts = [
        row["content"] for row in await world.rows("select content from asoe.session_messages where role = 'assistant'")
    ]
    assert sum("not the only one" in text for text in texts) == 5
    assert len(await world.rows("select * from asoe.incident_tickets")) == 5


async def test_a_mend_that_is_not_verified_mends_nothing(world):
    servers = await stand(world)
    servers.does_nothing = True
    made = [await writes(world, servers, name) for name in ("ana", "bob", "cid", "dan")]
    await turn(world, times=4)
    incident = await the_incident(world)
    assert (incident["status"], "ended escalated" in incident["trouble"]) == ("open", True)
    assert servers.effects.count(("restart", "eu")) == 1, "once, whatever came of it"
    assert (await world.now(made[3])).waiting_for == "incident"
    with pytest.raises(Conflict, match="no published runbook"):
        await handling.start_fix(world.desk, world.acme.agent, incident["id"], runbook="no-such")
    servers.does_nothing = False
    await handling.start_fix(
        world.desk, world.acme.agent, incident["id"], runbook="restart-server", slots={"server": "eu"}
    )
    await turn(world, times=5)
    assert {(await world.now(each)).status for each in made} == {"resolved"}


async def test_the_one_runbook_needs_the_approval_that_its_autonomy_asks_for(world):
    servers = await stand(world, mend="approve")
    for name in ("ana", "bob", "cid"):
        await writes(world, servers, name)
    await turn(world, times=3)
    incident = await the_incident(world)
    (run,) = await world.rows("select waiting_for, ticket_id from asoe.runbook_runs where id = $1", incident["run_id"])
    assert (incident["status"], run["waiting_for"], run["ticket_id"]) == ("fixing", "approval", None)
    assert servers.effects == []


async def test_a_runbook_that_may_not_act_or_lacks_what_it_needs_is_not_started(world):
    servers = await stand(world, mend="shadow")
    for name in ("ana", "bob", "cid"):
        await writes(world, servers, name)
    await turn(world, times=2)
    assert "may not act: it stands at shadow" in (await the_incident(world))["trouble"]
    incident = await the_incident(world)
    await world.owner.execute("update asoe.runbook_autonomy set level = 'approve'")
    with pytest.raises(Conflict, match="needs server"):
        await handling.start_fix(world.desk, world.acme.agent, incident["id"], runbook="restart-server", slots={})
    assert servers.effects == []


async def test_a_person_who_has_the_client_is_left_a_note_and_the_engine_is_quiet(world):
    servers = await stand(world)
    taken = await writes(world, servers, "ana")
    (held,) = await world.rows("select id from public.support_sessions where ticket_id = $1", taken.id)
    await session.take_over(world.desk, world.acme.agent, held["id"])
    for name in ("bob", "cid"):
        await writes(world, servers, name)
    before = len(await world.messages(taken))
    await turn(world, times=6)
    assert len(await world.messages(taken)) == before
    notes = await world.rows(
        "select content from asoe.session_messages where ticket_id = $1 and is_internal order by seq", taken.id
    )
    assert [text for row in notes if "tell the client" in (text := row["content"])], "what is known"
    assert "is mended (incident 1)" in notes[-1]["content"]
    assert (await world.now(taken)).status != "resolved"
    (part,) = await handling.of_ticket(world.desk, world.acme.agent, taken.id)
    assert (part.outcome, part.reason) == ("left", "person")


async def test_a_client_who_waits_may_still_ask_for_a_person(world):
    servers = await stand(world, fixes=[])
    for name in ("ana", "bob", "cid"):
        await writes(world, servers, name)
    late = await writes(world, servers, "dan")
    (held,) = await world.rows("select id from public.support_sessions where ticket_id = $1", late.id)
    await session.add_message(world.desk, world.acme.engine, held["id"], "user", "any news?")
    await world.drain()
    assert (await world.now(late)).waiting_for == "incident"
    await session.add_message(world.desk, world.acme.engine, held["id"], "user", "PERSON please")
    await world.drain()
    (handed,) = await world.escalations(late)
    assert handed["reasons"] == ["client_asked", "incident"]


async def test_a_suspicion_tells_nobody_and_a_dismissed_one_sends_its_tickets_on(world):
    servers = await stand(world)
    made = [
        await writes(world, servers, name, server="us", status="odd") for name in ("ana", "bob", "cid", "dan", "eva")
    ]
    incident = await the_incident(world)
    assert (incident["status"], incident["source"]) == ("suspected", "checks")
    await turn(world)
    assert await world.rows("select * from asoe.incident_notices") == []
    await handling.confirm(world.desk, world.acme.agent, incident["number"])
    late = await writes(world, servers, "fay", server="us", status="odd")
    assert (await world.now(late)).waiting_for == "incident"
    await turn(world)
    await handling.dismiss(world.desk, world.acme.agent, incident["id"])
    await turn(world, times=3)
    (handed,) = await world.escalations(late)
    assert handed["reasons"] == ["goal_not_met"]
    assert (await the_incident(world))["ended_at"] is not None
    assert {(await world.now(each)).status for each in (*made, late)} == {"escalated"}


async def test_a_system_that_does_not_answer_is_suspected_as_one_cause(world):
    servers = await stand(world)
    servers.is_down = True
    made = [await writes(world, servers, name) for name in ("ana", "bob", "cid", "dan")]
    assert await world.rows("select * from asoe.incidents") == [], "calls may fail for each client's own reason"
    made.append(await writes(world, servers, "eva"))
    incident = await the_incident(world)
    assert (incident["status"], incident["keys"]) == ("suspected", ["connector:estate"])
    await handling.confirm(world.desk, world.acme.agent, incident["id"])
    servers.is_down = False
    servers.servers["eu"] = "running"
    for account in servers.accounts.values():
        account["status"] = "active"
    await turn(world)
    await handling.mended(world.desk, world.acme.agent, incident["id"])
    await turn(world, times=4)
    assert {(await world.now(each)).resolution["verdict"] for each in made} == {"verified"}


async def test_a_person_opens_one_by_intent_and_says_what_is_known(world):
    await stand(world, fixes=[])
    wanted = Wanted("Exports are slow", intent="how_to", known="Exports are slow today.")
    incident = await handling.open_incident(world.desk, world.acme.agent, wanted)
    with pytest.raises(Conflict, match="has these tickets already"):
        await handling.open_incident(world.desk, world.acme.agent, wanted)
    made = await world.open_by_contact("why so slow? #intent:how_to")
    await world.drain()
    assert (await world.now(made)).waiting_for == "incident"
    assert (await world.said_by_engine(made))[-1] == "Exports are slow today."
    looks = (
        "select output_summary ->> 'incident' from asoe.agent_invocations where ticket_id = $1 and agent = 'insight'"
    )
    assert await world.one(looks, made.id) == str(incident.number), "who found the common cause is on record"
    number = await handling.tell_all(world.desk, world.acme.agent, incident.id, "It takes until noon.")
    await turn(world, times=2)
    assert (number, (await world.said_by_engine(made))[-1]) == (1, "It takes until noon.")
    await handling.mended(world.desk, world.acme.agent, incident.id)
    await turn(world, times=3)
    (handed,) = await world.escalations(made)
    assert handed["reasons"] == ["incident"], "no check of its own: nobody says that it is in order"


async def test_what_makes_no_incident_is_refused_by_field(world):
    await stand(world)
    desk, agent = world.desk, world.acme.agent
    with pytest.raises(Invalid) as refused:
        await handling.open_incident(desk, agent, Wanted("  ", known="x" * 5000))
    assert {problem.field for problem in refused.value.fields} == {"title", "known", "intent"}
    with pytest.raises(Missing):
        await handling.open_incident(desk, agent, Wanted("x", ticket_ids=(UUID(int=1),)))
    with pytest.raises(Denied):
        await handling.list_incidents(desk, world.acme.client)
