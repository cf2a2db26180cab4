"""Every path of a ticket's life, played with the client's words and the moving clock."""

from __future__ import annotations

from datetime import timedelta

import pytest
from desk_cast import passage

from asoe.desk import housekeeping, session, ticket
from asoe.desk.intake import NewTicket, open_ticket
from asoe.domain.errors import Conflict
from asoe.domain.escalation import missing_fields


async def is_handed_over(world, of, *reasons):
    now = await world.now(of)
    assert (now.status, now.waiting_for) == ("escalated", "person")
    (last,) = [row for row in await world.escalations(of) if row["ended_at"] is None]
    assert tuple(last["reasons"]) == reasons
    assert missing_fields(last["dossier"]) == ()
    assert last["team"] == now.team == last["dossier"]["team"]
    assert now.resolution["verdict"] == "handed_over"
    stands = await world.journey(of)
    assert (stands["stage"], stands["due_at"], stands["failures"]) == ("with_person", None, 0)
    role, notice = (await world.messages(of))[-1]
    assert role == "assistant"
    assert str(now.number) in notice
    return last


async def test_an_answer_that_helped_is_verified(world):
    made = await world.answered()
    assert made.resolution["verdict"] == "answered"
    assert made.resolution["citations"][0]["slug"] == "export-data"
    await world.say(made, "yes")
    assert await world.advance(made) == "ended"
    done = await world.now(made)
    assert (done.status, done.waiting_for, done.resolution["verdict"]) == ("resolved", None, "verified")
    assert done.resolution["citations"] == made.resolution["citations"]
    assert done.resolved_at == world.clock.now
    assert await world.one("select bool_and(resolved) from public.support_sessions where ticket_id = $1", made.id)
    assert await world.facts(made) == ["ticket.opened", "ticket.answered", "message.added", "ticket.resolved"]


async def test_silence_is_never_verified(world):
    made = await world.answered()
    world.clock.move(hours=47)
    assert await world.advance(made) == "waiting"
    world.clock.move(hours=2)
    await housekeeping.wake_due(world.desk)
    await world.drain()
    done = await world.now(made)
    assert (done.status, done.resolution["verdict"]) == ("resolved", "unverified")
    assert done.resolution["citations"]
    assert len(await world.said_by_engine(made)) == 1


async def test_three_answers_that_did_not_help_lead_to_a_person(world):
    made = await world.answered()
    titles = {made.resolution["citations"][0]["title"]}
    for slug in ("export-csv", "share-export"):
        await world.say(made, "no")
        await world.advance(made)
        cited = (await world.now(made)).resolution["citations"][0]
        assert cited["slug"] == slug
        titles.add(cited["title"])
        assert (await world.said_by_engine(made))[-1].startswith("Sorry that did not help")
    await world.say(made, "no")
    await world.advance(made)
    last = await is_handed_over(world, made, "answer_did_not_help")
    tried = " ".join(last["dossier"]["tried"])
    assert len(last["dossier"]["tried"]) == 3
    assert all(f"the article “{title}”" in tried for title in titles), "by the names that people know"
    assert len(await world.said_by_engine(made)) == 4


async def test_the_articles_that_came_near_are_linked_for_whoever_answers(world):
    world.passages[:] = [passage("print", 0.001), passage("print", 0.001, position=1), passage("fold", 0)]
    made = await world.open("How do I fold the board?")
    await world.advance(made)
    (handed,) = await world.escalations(made)
    links = [(each["kind"], each["path"].rpartition("/")[0]) for each in handed["dossier"]["links"]]
    assert links[0] == ("article", "/api/articles")
    assert [each["name"] for each in handed["dossier"]["links"]] == ["Print", "Fold"]


async def test_no_article_is_cited_twice(world):
    world.passages[:] = [passage("one"), passage("one", 0.8, position=1), passage("two", 0.7)]
    made = await world.answered()
    await world.say(made, "no")
    await world.advance(made)
    assert world.ai.seen_passages == [("one", "one", "two"), ("two",)]


async def test_when_there_is_no_further_answer_a_person_gets_it(world):
    world.passages[:] = [passage("one")]
    made = await world.answered()
    await world.say(made, "no")
    await world.advance(made)
    await is_handed_over(world, made, "answer_did_not_help")


@pytest.mark.parametrize(
    "when", ["at first", "before the answer", "after the answer", "then something else", "asked back"]
)
async def test_whoever_asks_for_a_person_gets_one(world, when):
    if when == "at first":
        made = await world.open("I want a PERSON")
        await world.advance(made)
    elif when == "before the answer":
        made = await world.open()
        await world.say(made, "a PERSON please")
        await world.advance(made)
    elif when == "asked back":
        made = await world.open("#need:vague help", by=world.acme.client)
        world.passages.clear()
        await world.advance(made)
        await world.say(made, "a PERSON please")
        await world.advance(made)
    else:
        made = await world.answered()
        await world.say(made, "a PERSON please")
        if when == "then something else":
            await world.say(made, "hello?")
        await world.advance(made)
    await is_handed_over(world, made, "client_asked")


async def test_an_intent_that_wants_a_person_gets_one(world):
    made = await world.open("call me #intent:wants_a_person #need:action")
    await world.advance(made)
    await is_handed_over(world, made, "client_asked")


async def test_who_asks_about_people_is_answered(world):
    made = await world.open("when is somebody there? #intent:wants_a_person #need:information")
    await world.advance(made)
    assert (await world.now(made)).waiting_for == "client"


async def test_the_client_is_asked_back_once_and_then_a_person_looks(world):
    world.passages.clear()
    made = await world.open("it broke #need:vague")
    await world.advance(made)
    asked = await world.now(made)
    assert (asked.status, asked.waiting_for, asked.resolution) == ("in_progress", "client", {})
    assert await world.facts(made) == ["ticket.opened", "ticket.asked"]
    await world.say(made, "it just broke #need:vague")
    await world.advance(made)
    await is_handed_over(world, made, "no_grounded_answer")


async def test_what_was_asked_back_for_is_judged(world):
    world.passages.clear()
    made = await world.open("it broke #need:vague #category:general:0.9 #intent:not_for_us:0.2")
    await world.advance(made)
    await world.say(made, "charged twice #intent:double_charge #category:billing #need:action")
    await world.advance(made)
    await is_handed_over(world, made, "needs_action")
    now = await world.now(made)
    assert (now.category, now.intent, now.team) == ("billing", "double_charge", "billing")
    assert "ticket.triaged" in await world.facts(made)


async def test_silence_after_asking_back_is_unverified_and_says_so(world):
    world.passages.clear()
    made = await world.open("it broke #need:vague")
    await world.advance(made)
    world.clock.move(hours=49)
    await world.advance(made)
    done = await world.now(made)
    assert (done.status, done.resolution["verdict"]) == ("resolved", "unverified")
    assert "question asked back" in done.resolution["summary"]


async def test_a_language_the_engine_does_not_answer_in_goes_to_a_person_at_once(world):
    made = await world.open("ciao #lang:it")
    await world.advance(made)
    await is_handed_over(world, made, "unsupported_language")
    assert "answer" not in world.ai.thinking


async def test_a_client_is_told_in_its_own_language_even_where_the_organization_does_not_speak_it(world):
    await world.set_settings(languages=["en"])
    made = await world.open("bonjour #lang:fr")
    await world.advance(made)
    last = await is_handed_over(world, made, "unsupported_language")
    assert "prend le relais" in (await world.said_by_engine(made))[-1]
    assert last["dossier"]["suggested_reply"].startswith("J’ai votre message : « bonjour")


async def test_an_unknown_language_is_answered_in_the_organizations_own(world):
    await world.set_settings(default_language="de")
    made = await world.answered("?? #lang:und")
    assert world.ai.spoken == ["de"]
    assert "Hat das geholfen?" in (await world.said_by_engine(made))[0]


async def test_a_critical_ticket_reaches_a_person_at_once(world):
    made = await world.open("all data is public #severity:critical #intent:how_to")
    await world.advance(made)
    last = await is_handed_over(world, made, "critical_severity")
    assert last["team"] == "on_call"
    assert "embed" not in world.ai.thinking


async def test_a_ticket_that_a_person_raises_to_critical_reaches_a_person_at_once(world):
    made = await world.answered()
    await ticket.change_ticket(world.desk, world.acme.agent, made.id, {"severity": "critical"})
    await world.drain()
    await is_handed_over(world, made, "critical_severity")


async def test_thanks_are_acknowledged_and_end_unproven(world):
    made = await world.open("thank you #intent:thanks_or_feedback #need:none")
    assert await world.advance(made) == "ended"
    done = await world.now(made)
    assert (done.status, done.resolution["verdict"]) == ("resolved", "answered")
    await world.say(made, "yes")
    await world.advance(made)
    again = await world.now(made)
    assert (again.status, again.resolution["verdict"]) == ("resolved", "answered")
    assert (await world.facts(made)).count("ticket.resolved") == 1


async def test_thanks_with_a_wish_in_it_are_not_put_away(world):
    made = await world.open("thank you, and where is my invoice? #intent:thanks_or_feedback #need:information")
    await world.advance(made)
    assert (await world.now(made)).status != "resolved"


async def test_a_ticket_without_text_goes_to_a_person(world):
    made = await open_ticket(world.desk, world.acme.client, NewTicket(metadata={"page": 3}))
    assert made.status == "open"
    assert "triage" not in world.ai.thinking
    await world.advance(made)
    await is_handed_over(world, made, "low_confidence")


async def test_a_ticket_whose_text_is_in_its_metadata_is_answered(world):
    made = await open_ticket(
        world.desk, world.acme.client, NewTicket(metadata={"subject": "Export", "description": "How?"})
    )
    await world.advance(made)
    assert (await world.now(made)).resolution["verdict"] == "answered"


async def test_spam_is_left_alone_and_wakes_nobody(world):
    made = await world.answered()
    await ticket.mark_spam(world.desk, world.acme.agent, made.id)
    said = await world.said_by_engine(made)
    await world.say(made, "no")
    world.clock.move(days=60)
    assert await world.advance(made) == "ended"
    assert await world.said_by_engine(made) == said
    now = await world.now(made)
    assert (now.status, now.resolution["verdict"], now.resolved_at) == ("closed", "refused", None)
    await housekeeping.wake_due(world.desk)
    assert (await world.journey(made))["due_at"] is None


async def test_spam_that_was_none_is_looked_at_again(world):
    made = await world.answered()
    await ticket.mark_spam(world.desk, world.acme.agent, made.id)
    opened = await ticket.mark_spam(world.desk, world.acme.agent, made.id, is_spam=False)
    assert (opened.status, opened.closed_at, opened.resolution) == ("open", None, {})
    await world.drain()
    assert (await world.now(made)).resolution["citations"][0]["slug"] == "export-csv"


async def test_a_blocked_sender_is_closed_unanswered_and_can_be_let_in(world):
    first = await world.open_by_contact("buy now")
    await ticket.mark_spam(world.desk, world.acme.agent, first.id, block_sender=True)
    blocked = await world.open_by_contact("buy more")
    assert (blocked.status, blocked.is_spam, blocked.closed_at) == ("closed", True, world.clock.now)
    assert blocked.resolution["verdict"] == "refused"
    await world.drain()
    assert await world.said_by_engine(blocked) == []
    await ticket.mark_spam(world.desk, world.acme.agent, blocked.id, is_spam=False, block_sender=True)
    await world.drain()
    assert len(await world.said_by_engine(blocked)) == 1
    assert not (await world.open_by_contact("a question")).is_spam


async def test_words_after_the_resolution_open_it_again_for_a_person(world):
    made = await world.answered()
    await world.say(made, "yes")
    await world.advance(made)
    await world.say(made, "it is broken again")
    await world.advance(made)
    await is_handed_over(world, made, "answer_did_not_help")
    now = await world.now(made)
    assert (now.reopened, now.resolved_at, now.closed_at) == (1, None, None)
    assert not await world.one("select bool_or(resolved) from public.support_sessions where ticket_id = $1", made.id)
    assert (await world.facts(made))[-2:] == ["ticket.reopened", "ticket.escalated"]


async def closed(world):
    made = await world.answered()
    world.clock.move(hours=49)
    await world.advance(made)
    world.clock.move(days=7, seconds=1)
    await world.advance(made)
    now = await world.now(made)
    assert (now.status, now.closed_at) == ("closed", world.clock.now)
    assert (await world.journey(made))["due_at"] is None
    return now


async def test_words_soon_after_closing_open_it_again(world):
    made = await closed(world)
    world.clock.move(days=6)
    await world.say(made, "it is broken again")
    await world.advance(made)
    await is_handed_over(world, made, "answer_did_not_help")


async def test_thanks_after_closing_do_not_open_it_again(world):
    made = await closed(world)
    await world.say(made, "yes")
    await world.advance(made)
    now = await world.now(made)
    assert (now.status, now.resolution["verdict"], now.reopened) == ("closed", "verified", 0)
    assert (await world.journey(made))["due_at"] is None


async def test_words_long_after_closing_are_refused_with_advice(world):
    made = await closed(world)
    world.clock.move(days=8)
    with pytest.raises(Conflict) as refused:
        await world.say(made, "it is broken again")
    assert refused.value.code == "reopen_window_passed"
    with pytest.raises(Conflict) as refused:
        await ticket.reopen_ticket(world.desk, world.acme.agent, made.id)
    assert refused.value.code == "reopen_window_passed"


async def test_the_same_thanks_are_counted_once(world):
    made = await world.answered()
    for _ in range(3):
        await world.say(made, "yes")
        await world.advance(made)
    assert (await world.facts(made)).count("ticket.resolved") == 1
    assert (await world.now(made)).resolution["verdict"] == "verified"


async def test_a_client_with_a_further_session_is_heard_and_answered_there(world):
    made = await world.answered()
    for _ in range(3):
        await world.say(made, "hello")
    await world.drain()
    further = await session.start_session(world.desk, world.acme.client, made.id)
    world.passages.append(passage("five", 0.95))
    await session.add_message(world.desk, world.acme.client, further.id, "user", "I want a PERSON")
    await world.drain()
    assert (await world.now(made)).status == "escalated"


async def test_a_first_word_in_a_further_session_is_news(world):
    made = await world.answered()
    further = await session.start_session(world.desk, world.acme.client, made.id)
    await session.add_message(world.desk, world.acme.client, further.id, "user", "no")
    await world.drain()
    replied = await world.one(
        "select count(*) from asoe.session_messages where session_id = $1 and role = 'assistant'", further.id
    )
    assert replied == 1


async def test_a_conversation_of_six_hundred_messages_still_hears_its_client(world):
    made = await world.answered()
    await world.owner.execute(
        """insert into asoe.session_messages (org_id, session_id, ticket_id, seq, role, content)
           select $1, $2, $3, 2 + n, 'user', 'filler' from generate_series(1, 600) n""",
        world.acme.org_id, made.session_id, made.id,
    )  # fmt: skip
    await world.say(made, "a PERSON please")
    await world.advance(made)
    assert (await world.now(made)).status == "escalated"


async def test_a_ticket_inserted_as_a_bare_row_is_found_and_answered(world, monkeypatch):
    made = await world.one(
        """insert into public.support_tickets (org_id, user_id, category, subject, body, updated_at)
           values ($1, $2, 'general', 'Export', 'How do I export?', now() - interval '1 hour') returning id""",
        world.acme.org_id, world.acme.client.user_id,
    )  # fmt: skip
    await housekeeping.wake_forgotten(world.desk)
    await world.drain()
    now = await ticket.read_ticket(world.desk, world.acme.agent, made)
    assert now.resolution["verdict"] == "answered"
    assert now.category == "technical"
    assert len(await world.said_by_engine(now)) == 1


async def test_a_resolved_ticket_closes_after_the_window_however_it_was_resolved(world):
    made = await world.answered()
    await ticket.move_ticket(world.desk, world.acme.agent, made.id, "resolved")
    assert (await world.journey(made))["due_at"] == world.clock.now + timedelta(days=7)
    assert await world.one("select bool_and(resolved) from public.support_sessions where ticket_id = $1", made.id)
    world.clock.move(days=3)
    await world.advance(made)
    assert (await world.now(made)).status == "resolved"
    world.clock.move(days=5)
    await housekeeping.wake_due(world.desk)
    await world.drain()
    assert (await world.now(made)).status == "closed"


async def test_who_gets_it_for_another_reason_hears_that_the_client_is_angry(world):
    world.passages.clear()
    made = await world.open("This is unacceptable, I am furious. #need:action #intent:data_missing #category:technical")
    await world.advance(made)
    found = (await world.escalations(made))[-1]
    assert found["reasons"][-1] == "anger"
    assert set(found["reasons"]) != {"anger"}, "alone it weighs too little to call a person"
    assert "The client is angry." in found["dossier"]["reasons_in_words"]
    assert "I am sorry for it" in found["dossier"]["suggested_reply"]
