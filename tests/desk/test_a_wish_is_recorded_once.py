"""A wish no article meets is recorded, merged with an equal one, verified by reading it again, and told once when it ships."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from uuid import UUID, uuid4

import numpy as np
import pytest

from asoe.desk import journey, privacy, session, ticket, wish
from asoe.domain.errors import Conflict, Denied, Invalid, Missing
from cast import make_wish

WISH = "#intent:new_feature #category:feature_request #need:action Please add a dark theme"


@pytest.fixture(autouse=True)
def vectors(world, monkeypatch):
    """Texts point where "about…" says, all others to one place; each asks for one thing only unless it says "and also"."""
    judge = world.ai.triage

    async def triage(subject, body):
        found = await judge(subject, body)
        return found if "and also" in body else replace(found, requests=(found.intent.value,))

    async def embed(texts):
        found = np.zeros((len(texts), 384), np.float32)
        for row, text in enumerate(texts):
            named = re.search(r"about(\w+)", text)
            place = named[1] if named else "theme"
            found[row, sum(map(ord, place)) % 384] = 1
        return found

    monkeypatch.setattr(world.ai, "embed", embed)
    monkeypatch.setattr(world.ai, "triage", triage)
    world.passages.clear()


async def wished(world, words=WISH, email=None):
    world.clock.move(minutes=1)
    made = await (world.open_by_contact(words, email=email) if email else world.open(words))
    await world.drain()
    return await world.now(made)


async def test_a_wish_is_written_read_again_and_told_as_just_that(world):
    made = await wished(world)
    assert (made.status, made.resolution["type"], made.resolution["verdict"]) == (
        "resolved",
        "feature_recommendation",
        "verified",
    )
    row = await world.owner.fetchrow("select * from asoe.wishes")
    assert made.resolution["evidence"]["wish_id"] == str(row["id"])
    assert (row["number"], row["status"], row["words_of"]) == (1, "open", made.id)
    (said,) = await world.said_by_engine(made)
    assert "wish no. 1" in said
    assert "cannot say" in said
    facts = await world.facts(made)
    assert facts.index("wish.recorded") < facts.index("ticket.resolved")
    assert (await world.journey(made))["stage"] == "ended"
    assert await world.advance(made) == "ended"
    assert len(await world.said_by_engine(made)) == 1


async def test_it_is_resolved_by_the_second_look_only(world):
    made = await world.open(WISH)
    await world.advance(made)
    assert (await world.now(made)).status == "in_progress"
    await world.owner.execute("delete from asoe.wishes")
    await world.drain()
    left = await world.now(made)
    assert (left.status, left.resolution["verdict"]) == ("escalated", "handed_over")
    assert (await world.escalations(made))[0]["reasons"] == ["verification_failed"]


@pytest.mark.parametrize(
    "words",
    [
        "#intent:does_it_exist #category:feature_request Is there a dark theme?",
        "#intent:higher_limit #category:feature_request We need 200 connections",
        "#intent:new_feature:0.4 #category:feature_request a theme perhaps",
        "#intent:new_feature #category:bug_report the theme is broken",
        f"{WISH} and also mend my invoice",
    ],
)
async def test_what_is_not_surely_a_wish_goes_to_a_person(world, words):
    made = await wished(world, words)
    assert made.status == "escalated"
    assert await world.one("select count(*) from asoe.wishes") == 0


async def test_a_client_who_comes_back_gets_a_person(world):
    made = await wished(world)
    await world.say(made, "PERSON please")
    await world.drain()
    assert (await world.now(made)).status == "escalated"
    assert await world.one("select count(*) from asoe.wishes") == 1


async def test_equal_wishes_at_once_are_one_and_clients_count_once(world):
    made = [await world.open_by_contact(f"{WISH} {n}", email=f"c{n % 4}@example.org") for n in range(6)]
    other = await world.open_by_contact(f"{WISH} aboutexport", email="x@example.org")
    await asyncio.gather(*(journey.carry_on(world.desk, world.acme.org_id, each.id) for each in (*made, other)))
    await world.drain()
    found = await wish.list_wishes(world.desk, world.acme.agent)
    assert [(each.clients, each.tickets) for each in found] == [(4, 6), (1, 1)]
    numbers = {(await world.now(each)).resolution["evidence"]["wish"] for each in made}
    assert numbers == {(await world.now(made[0])).resolution["evidence"]["wish"]}
    for each in made:
        assert "theme" not in "".join(await world.said_by_engine(each)).lower(), "another client's words were shown"


async def test_people_merge_and_split(world):
    acme, desk = world.acme, world.desk
    first, second = await wished(world), await wished(world, f"{WISH} aboutexport", email="kim@example.org")
    merged = await wish.merge_wishes(desk, acme.agent, 2, into=1)
    assert (merged.clients, merged.tickets) == (2, 2)
    with pytest.raises(Conflict):
        await wish.ship_wish(desk, acme.agent, 2)
    with pytest.raises(Conflict):
        await wish.merge_wishes(desk, acme.agent, 1, into=2)
    assert (await wish.split_wish(desk, acme.agent, 2)).clients == 1
    await wish.merge_wishes(desk, acme.agent, 2, into=1)
    apart = await wish.split_wish(desk, acme.agent, 1, ticket_ids=[second.id])
    assert (apart.number, apart.clients) == (3, 1)
    with pytest.raises(Invalid):
        await wish.split_wish(desk, acme.agent, 3, ticket_ids=[first.id])
    changed = await wish.change_wish(desk, acme.agent, 3, title="  Dark   theme ", status="planned")
    assert (changed.title, changed.status) == ("Dark theme", "planned")
    for refused in ({"title": ""}, {"title": "x" * 200}, {"title": "a\x00"}, {"status": "shipped"}):
        with pytest.raises(Invalid):
            await wish.change_wish(desk, acme.agent, 3, **refused)
    for act in (wish.list_wishes(desk, acme.client), wish.ship_wish(desk, acme.client, 1)):
        with pytest.raises(Denied):
            await act
    assert (
        await world.one("select count(*) from asoe.facts where kind in ('wish.merged', 'wish.split', 'wish.changed')")
        == 5
    )


async def test_every_client_is_told_once_when_it_ships(world):
    desk, acme = world.desk, world.acme
    mine = [await wished(world, f"{WISH} {n}", email=f"c{n % 2}@example.org") for n in range(3)]
    gone = await wished(world, f"{WISH} gone", email="gone@example.org")
    person = await wished(world, f"{WISH} person", email="person@example.org")
    await session.take_over(desk, acme.agent, person.session_id)
    await world.owner.execute("delete from public.support_tickets where id = $1", gone.id)
    shipped = await wish.ship_wish(desk, acme.agent, 1, note="<b>Settings</b>, Appearance")
    assert (shipped.status, shipped.clients) == ("shipped", 4)
    await wish.ship_wish(desk, acme.agent, 1, note="again")
    await asyncio.gather(*(wish.tell(desk, acme.org_id) for _ in range(3)))
    assert await wish.tell(desk, acme.org_id) == 0
    told = await world.rows(
        "select ticket_id, role, content from asoe.session_messages where data ? 'wish' order by created_at"
    )
    assert {each["ticket_id"] for each in told} == {mine[1].id, mine[2].id, person.id}
    assert len(told) == 3
    assert {each["role"] for each in told if each["ticket_id"] == person.id} == {"system"}
    assert all(each["content"].endswith("<b>Settings</b>, Appearance") for each in told)
    assert await world.one("select count(*) from asoe.facts where kind = 'wish.told'") == 3
    assert (await world.now(mine[2])).status == "resolved"
    job = json.loads(await world.one("delete from queue.pgqueuer where entrypoint = $1 returning payload", wish.JOB))
    assert UUID(job["org_id"]) == acme.org_id
    await world.owner.execute("delete from queue.pgqueuer where entrypoint = $1", wish.JOB)
    later = await wished(world, f"{WISH} later", email="later@example.org")
    assert later.resolution["evidence"]["wish"] == 2
    await wish.merge_wishes(desk, acme.agent, 2, into=1)
    assert await wish.tell(desk, acme.org_id) == 1


async def test_another_organization_has_no_part_in_it(world, globex):
    await wished(world)
    assert await wish.list_wishes(world.desk, globex.agent) == []
    with pytest.raises(Missing):
        await wish.ship_wish(world.desk, globex.agent, 1)
    assert await wish.tell(world.desk, globex.org_id) == 0


async def test_erasing_a_client_takes_its_words_and_leaves_the_count(world):
    made = await wished(world, f"{WISH} for Kim", email="kim@example.org")
    assert "Kim" in (await wish.read_wish(world.desk, world.acme.agent, 1)).wish.words
    contact = (await ticket.read_ticket(world.desk, world.acme.agent, made.id)).contact_id
    await privacy.erase_contact(world.desk, world.acme.admin, contact)
    found = await wish.read_wish(world.desk, world.acme.agent, 1)
    assert (found.wish.title, found.wish.words, found.wish.clients) == ("[erased]", "[erased]", 1)
    await wish.ship_wish(world.desk, world.acme.agent, 1)
    assert await wish.tell(world.desk, world.acme.org_id) == 0


async def test_a_ticket_speaks_for_one_wish(world):
    made = await world.open("anything")
    first = await make_wish(world.desk.database, world.acme.engine, made.id)
    again = await make_wish(world.desk.database, world.acme.engine, made.id)
    assert (first, again) == (1, 1)
    with pytest.raises(Missing):
        await wish.read_wish(world.desk, world.acme.agent, 99)
    assert uuid4() not in {
        each.ticket_id for each in (await wish.read_wish(world.desk, world.acme.agent, 1)).supporters
    }
