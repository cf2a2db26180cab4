"""Two people on one ticket know of each other, a reply that crossed another is not sent, and drafts send nothing."""

from __future__ import annotations

import asyncio

import pytest

from asoe.desk import canned_reply, draft, presence, session
from asoe.domain.errors import Conflict, Denied, Invalid, Missing
from asoe.store import presences


async def test_who_writes_is_seen_by_the_other_and_forgotten_by_itself(world, globex):
    made = await world.open()
    ben, cleo = world.acme.agent, world.acme.owner
    assert (await presence.be_present(world.desk, ben, made.id, "viewing")).others == ()
    alone = await presence.be_present(world.desk, cleo, made.id, "writing")
    assert [(each.name, each.state) for each in alone.others] == [("Ben", "viewing")]
    assert not alone.collides
    both = await presence.be_present(world.desk, ben, made.id, "writing")
    assert both.collides
    assert [(each.name, each.state) for each in both.others] == [("Cleo", "writing")]
    since = both.others[0].since
    await presence.be_present(world.desk, cleo, made.id, "writing")
    again = await presence.be_present(world.desk, ben, made.id, "writing")
    assert again.others[0].since == since, "who goes on writing began then"
    await presence.be_present(world.desk, cleo, made.id, "left")
    assert (await presence.be_present(world.desk, ben, made.id, "writing")).others == ()
    await world.owner.execute("update asoe.presences set seen_at = now() - interval '21 seconds'")
    assert (await presence.be_present(world.desk, cleo, made.id, "viewing")).others == ()
    await world.owner.execute("update asoe.presences set seen_at = now() - interval '2 hours'")
    async with world.desk.database.org_transaction(world.acme.engine) as connection:
        await presences.forget(connection, world.acme.org_id)
    assert await world.one("select count(*) from asoe.presences") == 0
    before = await world.one("select count(*) from asoe.facts where kind like 'presence%'")
    assert before == 0
    for who in (world.acme.client, world.acme.engine):
        with pytest.raises(Denied):
            await presence.be_present(world.desk, who, made.id, "viewing")
    with pytest.raises(Missing):
        await presence.be_present(world.desk, globex.agent, made.id, "viewing")
    with pytest.raises(Invalid):
        await presence.be_present(world.desk, ben, made.id, "sleeping")


async def test_a_note_is_seen_by_colleagues_and_collides_with_nothing(world):
    made = await world.open()
    ben, cleo = world.acme.agent, world.acme.owner
    await presence.be_present(world.desk, cleo, made.id, "noting")
    found = await presence.be_present(world.desk, ben, made.id, "writing")
    assert [(each.name, each.state) for each in found.others] == [("Cleo", "noting")]
    assert not found.collides
    async with world.desk.database.org_reading(world.acme.engine) as connection:
        assert (await presences.writers(connection, world.acme.org_id, made.id)).team
    await presence.be_present(world.desk, ben, made.id, "left")
    async with world.desk.database.org_reading(world.acme.engine) as connection:
        assert not (await presences.writers(connection, world.acme.org_id, made.id)).team, (
            "a note is not for the client"
        )


async def test_of_two_replies_to_the_same_words_one_is_sent(world):
    made = await world.open()
    seen = (await session.read_session(world.desk, world.acme.agent, made.session_id))[1][-1].seq
    answers = await asyncio.gather(
        *(
            session.add_message(world.desk, who, made.session_id, "agent", "We will refund it.", seen_seq=seen)
            for who in (world.acme.agent, world.acme.owner)
        ),
        return_exceptions=True,
    )
    refused = [each for each in answers if isinstance(each, Conflict)]
    assert [each.code for each in refused] == ["conversation_moved"]
    assert [role for role, _ in await world.messages(made)].count("agent") == 1


async def test_a_reply_waits_for_what_the_client_said_meanwhile(world):
    made = await world.open()
    ben, seen = world.acme.agent, 1
    await session.add_note(world.desk, world.acme.owner, made.id, "a note is no news to the client")
    first = await session.add_message(world.desk, ben, made.session_id, "agent", "First.", seen_seq=seen)
    own = await session.add_message(world.desk, ben, made.session_id, "agent", "And more.", seen_seq=seen)
    assert own.seq == first.seq + 1, "one's own words are seen"
    await world.say(made, "It is solved, thanks.")
    with pytest.raises(Conflict, match="The client wrote meanwhile"):
        await session.add_message(world.desk, ben, made.session_id, "agent", "Too late.", seen_seq=own.seq)
    await session.add_message(world.desk, ben, made.session_id, "agent", "Good.", seen_seq=own.seq + 1)


async def test_a_mention_is_told_to_whom_it_names(world):
    made = await world.open()
    await session.add_note(world.desk, world.acme.agent, made.id, "@Cleo can you look? Also @Ben (me) and @stranger")
    told = await world.rows("select actor, data ->> 'user_id' as who from asoe.facts where kind = 'member.mentioned'")
    assert told == [{"actor": world.acme.agent.user_id, "who": str(world.acme.owner.user_id)}]
    await world.say(made, "@Cleo is a word of mine")
    assert await world.one("select count(*) from asoe.facts where kind = 'member.mentioned'") == 1


async def test_a_canned_reply_is_filled_for_the_ticket_or_refused(world, globex):
    desk, admin, ben = world.desk, world.acme.admin, world.acme.agent
    body = "Dear {{client.name}}, your ticket #{{ticket.number}}. {{agent.name}}, {{organization.name}}"
    await canned_reply.put_reply(desk, admin, "thanks", title="Thanks", body=body)
    made = await world.open_by_contact("How do I export?")
    text = await canned_reply.fill_in(desk, ben, made.id, "thanks")
    assert text == f"Dear Kim Contact, your ticket #{made.number}. Ben, Acme"
    assert await world.said_by_engine(made) == []
    await canned_reply.put_reply(desk, admin, "thanks", title="Thanks", body="About {{ticket.subject}}", language="en")
    with pytest.raises(Invalid, match=r"ticket\.subject"):
        await canned_reply.fill_in(desk, ben, made.id, "thanks")
    assert [each.name for each in await canned_reply.list_replies(desk, ben, language="de")] == []
    assert await canned_reply.list_replies(desk, globex.agent) == []
    with pytest.raises(Missing):
        await canned_reply.fill_in(desk, globex.agent, made.id, "thanks")
    for act in (
        canned_reply.put_reply(desk, ben, "x", title="X", body="x"),
        canned_reply.remove_reply(desk, ben, "thanks"),
        canned_reply.list_replies(desk, world.acme.client),
        canned_reply.fill_in(desk, world.acme.client, made.id, "thanks"),
    ):
        with pytest.raises(Denied):
            await act
    await canned_reply.remove_reply(desk, admin, "thanks")
    with pytest.raises(Missing):
        await canned_reply.remove_reply(desk, admin, "thanks")


async def test_a_draft_comes_with_its_sources_while_the_engine_is_quiet_and_sends_nothing(world):
    made = await world.open()
    await session.take_over(world.desk, world.acme.agent, made.session_id)
    before = await world.messages(made)
    found = await draft.draft_reply(world.desk, world.acme.agent, made.id)
    assert found.content
    assert [each.slug for each in found.citations] == ["export-data"]
    assert await world.messages(made) == before
    assert (await world.facts(made))[-1] == "draft.made"
    await world.advance(made)
    assert await world.messages(made) == before, "the engine stays quiet"
    world.passages.clear()
    with pytest.raises(Missing, match="nothing to draft"):
        await draft.draft_reply(world.desk, world.acme.agent, made.id)
    with pytest.raises(Denied):
        await draft.draft_reply(world.desk, world.acme.client, made.id)
