"""The library face acts as who it was told to: a client reaches nothing that is not its own, by any method."""

from __future__ import annotations

import pytest

from asoe.app import App
from asoe.config import Settings
from asoe.domain.errors import Denied, Invalid, Missing, Unavailable
from asoe.engine import Connection, SupportOpsEngine


@pytest.fixture
def connection(world):
    return Connection(
        App(Settings(), world.desk.database, world.desk, secret_key=None, app_url="", owner_url=None, server=None)
    )


async def test_a_client_can_neither_see_nor_set_going_what_is_not_its_own(world, connection):
    others = await world.open_by_contact("private #severity:critical")
    client = connection.engine(world.acme.org_id, acting_as=world.acme.client)
    for act in (client.get_ticket, client.triage_ticket, client.attempt_auto_resolution, client.should_escalate):
        with pytest.raises(Missing):
            await act(others.id)
    with pytest.raises(Denied):
        await client.get_stats()
    assert (await world.now(others)).version == others.version
    assert await world.journey(others) == {}
    with pytest.raises(Denied):
        await client.create_ticket(user_id=world.acme.agent.user_id, body="x")


async def test_a_ticket_is_made_triaged_and_resolved_through_the_library(world, connection):
    engine = connection.engine(str(world.acme.org_id))
    world.ai.failing["triage"] = TimeoutError()
    assert (await engine.create_ticket(body="How?")).status == "triaging"
    world.ai.failing.clear()
    made = await engine.create_ticket(severity="high", body="How? #severity:low", contact={"email": "kim@example.org"})
    assert (made.severity, made.triage["given"], made.status) == ("high", {"severity": "high"}, "open")
    assert await engine.should_escalate(made.id) == ()
    assert (await engine.attempt_auto_resolution(made.id))["verdict"] == "answered"
    assert (await engine.get_open_tickets(limit=1))[0].id == made.id
    await engine.resolve_session(made.session_id)
    assert (await engine.get_stats()).resolved_rate == 50


async def test_open_tickets_are_most_severe_first_and_then_oldest(world, connection):
    made = []
    for severity in ("low", "critical", "high", "critical", "medium"):
        world.clock.move(minutes=1)
        made.append(await world.open_by_contact(f"{severity} {len(made)} #severity:{severity}"))
    found = await connection.engine(world.acme.org_id).get_open_tickets()
    assert [each.id for each in found] == [made[index].id for index in (1, 3, 2, 4, 0)]


async def test_an_id_that_is_none_and_a_connection_that_is_none_are_said_in_words(world, connection, globex):
    with pytest.raises(Invalid):
        connection.engine("acme")
    with pytest.raises(Unavailable):
        await SupportOpsEngine(world.acme.org_id).get_stats()
    with pytest.raises(Denied):
        await connection.engine(world.acme.org_id, acting_as=globex.agent).get_stats()
