"""The library face acts as who it was told to: a client reaches nothing that is not its own, by any method."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid4

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


async def test_an_organization_is_named_by_its_slug_as_well_as_by_its_id(world, connection, globex):
    engine = connection.engine("acme")
    made = await engine.create_ticket(body="How?")
    assert made.org_id == world.acme.org_id
    assert (await engine.attempt_auto_resolution(made.id))["verdict"] == "answered"
    assert (await connection.engine("acme", acting_as=world.acme.agent).get_ticket(made.id)).id == made.id
    with pytest.raises(Denied):
        await connection.engine("acme", acting_as=globex.agent).get_stats()


async def test_who_mistypes_an_organization_is_told_which_there_are(world, connection, globex, owner_dsn):
    with pytest.raises(Missing, match="asoe org list") as stranger:
        await connection.engine("acmee").get_stats()
    assert "globex" not in str(stranger.value), "only the operator may know the others"
    operator = Connection(replace(connection.app, owner_url=owner_dsn))
    for ask in (
        operator.engine("acmee").get_stats,
        lambda: operator.fixer("acmee").verify(uuid4()),
        lambda: operator.resolution_engine("acmee").triage("x"),
    ):
        with pytest.raises(Missing, match=r"'acmee'. Here are: acme, globex \(asoe org list\)"):
            await ask()


async def test_the_resolution_engine_judges_answers_chooses_and_explains_without_effects(world, connection):
    engine = connection.resolution_engine("acme")
    before = await world.one("select count(*) from asoe.facts")
    judged = await engine.triage("Export", "How? #category:billing #intent:invoice_question")
    assert (judged.category.value, judged.intent.value) == ("billing", "invoice_question")
    answer = await engine.answer("How do I export to CSV?")
    assert answer is not None
    assert answer.citations[0].slug == "export-data"
    assert await engine.select("", "x #category:billing #intent:invoice_question") == "billing_sync"
    told = await engine.explain("", "lost #severity:critical")
    assert told["triage"]["severity"]["value"] == "critical"
    assert "critical_severity" in told["reasons_for_a_person"]
    assert await world.one("select count(*) from public.support_tickets") == 0
    assert await world.one("select count(*) from asoe.facts") == before
    with pytest.raises(Missing):
        await connection.resolution_engine(UUID(int=1)).answer("How?")


async def test_open_tickets_are_most_severe_first_and_then_oldest(world, connection):
    made = []
    for severity in ("low", "critical", "high", "critical", "medium"):
        world.clock.move(minutes=1)
        made.append(await world.open_by_contact(f"{severity} {len(made)} #severity:{severity}"))
    found = await connection.engine(world.acme.org_id).get_open_tickets()
    assert [each.id for each in found] == [made[index].id for index in (1, 3, 2, 4, 0)]


async def test_an_id_that_is_none_and_a_connection_that_is_none_are_said_in_words(world, connection, globex):
    with pytest.raises(Invalid):
        connection.engine("")
    with pytest.raises(Missing, match="nobody-here"):
        await connection.engine("nobody-here").get_stats()
    with pytest.raises(Invalid):
        await connection.engine("acme").get_ticket("17")
    with pytest.raises(Unavailable):
        await SupportOpsEngine(world.acme.org_id).get_stats()
    with pytest.raises(Denied):
        await connection.engine(world.acme.org_id, acting_as=globex.agent).get_stats()
