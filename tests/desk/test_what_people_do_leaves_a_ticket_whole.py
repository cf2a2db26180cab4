"""After every act of a person, ticket, session, escalation and journey say the same, and somebody is waited for."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from asoe.desk import housekeeping, insight, intake, session, ticket, triage
from asoe.desk.intake import NewContact, NewTicket
from asoe.domain.errors import Conflict, Denied, Invalid
from asoe.domain.escalation import missing_fields
from asoe.store.fields import FieldDefinition, define


async def test_taking_over_makes_the_ticket_theirs_and_handing_back_the_engines(world):
    made = await world.answered()
    ben, cleo = world.acme.agent, world.acme.admin
    await ticket.change_ticket(world.desk, cleo, made.id, {"assignee": cleo.user_id})
    await session.take_over(world.desk, ben, made.session_id)
    now = await world.now(made)
    assert (now.status, now.waiting_for, now.assignee) == ("in_progress", "person", ben.user_id)
    assert (await world.journey(made))["due_at"] is None
    await world.say(made, "Hello, Ben here", by=ben, role="agent")
    assert (await world.now(made)).waiting_for == "client"
    await world.say(made, "no")
    await world.drain()
    now = await world.now(made)
    assert (now.waiting_for, len(await world.said_by_engine(made))) == ("person", 1)
    for _ in range(2):  # a finger that taps twice
        await session.hand_back(world.desk, ben, made.session_id)
    assert (await world.now(made)).status == "triaging"
    told = "select count(*) from asoe.facts where ticket_id = $1 and kind = 'session.handed_back'"
    assert await world.one(told, made.id) == 1
    await world.drain()
    now = await world.now(made)
    assert (now.status, now.waiting_for) == ("in_progress", "client")
    assert now.resolution["citations"][0]["slug"] == "export-csv"


async def test_who_asked_for_a_person_and_had_one_is_the_engines_again_when_handed_back(world):
    made = await world.open("call me #intent:wants_a_person #need:vague")
    await world.advance(made)
    await session.hand_back(world.desk, world.acme.agent, made.session_id)
    await world.drain()
    assert (await world.now(made)).status == "escalated", "handed back unheard, the wish still holds"
    await world.say(made, "Hello, Ben here", by=world.acme.agent, role="agent")
    await world.say(made, "How do I export?")
    await session.hand_back(world.desk, world.acme.agent, made.session_id)
    await world.drain()
    now = await world.now(made)
    assert (now.status, now.waiting_for) == ("in_progress", "client")
    await world.say(made, "a PERSON please")
    await world.drain()
    assert (await world.now(made)).status == "escalated"


async def test_the_engine_is_nobodys_assignee(world):
    made = await world.open()
    await session.start_session(world.desk, world.acme.engine, made.id, "human")
    now = await world.now(made)
    assert (now.assignee, now.waiting_for, now.status) == (None, "person", "in_progress")
    key = replace(world.acme.agent, key_id=uuid4())
    await session.take_over(world.desk, key, made.session_id)
    assert (await world.now(made)).assignee is None


async def test_a_person_who_speaks_first_answers_and_takes_the_escalation(world):
    made = await world.open("lost #severity:critical")
    await world.advance(made)
    first = (await world.now(made)).first_response_at
    assert first == world.clock.now
    world.clock.move(minutes=5)
    await world.say(made, "I am on it", by=world.acme.agent, role="agent")
    now = await world.now(made)
    assert (now.status, now.waiting_for, now.assignee) == ("in_progress", "client", world.acme.agent.user_id)
    assert now.first_response_at == first
    (row,) = await world.escalations(made)
    assert row["taken_by"] == world.acme.agent.user_id


async def test_a_resolved_ticket_that_a_person_writes_to_stays_resolved_and_still_closes(world):
    made = await world.answered()
    await ticket.move_ticket(world.desk, world.acme.agent, made.id, "resolved")
    await world.say(made, "by the way", by=world.acme.agent, role="agent")
    await session.take_over(world.desk, world.acme.agent, made.session_id)
    assert (await world.now(made)).status == "resolved"
    world.clock.move(days=8)
    await housekeeping.wake_due(world.desk)
    await world.drain()
    assert (await world.now(made)).status == "closed"


async def test_words_after_a_persons_resolution_reach_a_person_and_the_client_is_told(world):
    made = await world.open()
    await session.take_over(world.desk, world.acme.agent, made.session_id)
    await world.say(made, "it is broken")
    await session.resolve_session(world.desk, world.acme.agent, made.session_id)
    done = await world.now(made)
    assert (done.status, done.resolution["verdict"]) == ("resolved", "unverified")
    await world.drain()
    assert (await world.now(made)).status == "resolved", "words from before the resolution are no news"
    await world.say(made, "it is broken again")
    await world.drain()
    now = await world.now(made)
    assert (now.status, now.waiting_for, now.assignee) == ("escalated", "person", world.acme.agent.user_id)
    assert await world.said_by_engine(made) == []
    assert (await world.messages(made))[-1][0] == "system"


@pytest.mark.parametrize("by", ["client", "agent"])
async def test_resolving_a_session_resolves_its_ticket(world, by):
    made = await world.answered()
    who = getattr(world.acme, by)
    await session.resolve_session(world.desk, who, made.session_id)
    done = await world.now(made)
    assert (done.status, done.waiting_for, done.resolved_at) == ("resolved", None, world.clock.now)
    assert done.resolution["verdict"] == ("verified" if by == "client" else "unverified")
    assert done.resolution["citations"] == made.resolution["citations"]
    await session.resolve_session(world.desk, world.acme.client, made.session_id)
    assert (await world.now(made)).resolution["verdict"] == "verified"


async def test_a_person_who_escalates_hands_over_with_a_dossier(world):
    made = await world.answered()
    await ticket.move_ticket(world.desk, world.acme.agent, made.id, "escalated")
    now = await world.now(made)
    assert (now.status, now.waiting_for, now.team) == ("escalated", "person", "technical")
    (row,) = await world.escalations(made)
    assert missing_fields(row["dossier"]) == ()
    assert len(await world.said_by_engine(made)) == 2
    assert (await world.journey(made))["due_at"] is None


async def test_a_ticket_in_progress_by_a_person_is_not_swept_up(world, monkeypatch):
    monkeypatch.setattr(housekeeping, "FORGOTTEN_AFTER", 0.0)
    made = await world.open("lost #severity:critical")
    await world.drain()
    await ticket.move_ticket(world.desk, world.acme.agent, made.id, "in_progress")
    now = await world.now(made)
    assert (now.waiting_for, now.assignee) == ("person", world.acme.agent.user_id)
    await housekeeping.wake_forgotten(world.desk)
    assert await world.jobs() == 0
    await world.say(made, "hello?")
    await world.drain()
    assert len(await world.said_by_engine(made)) == 1


async def test_sent_back_to_triage_the_engine_looks_again_unless_a_person_has_the_conversation(world):
    made = await world.open("lost #severity:critical")
    await world.drain()
    agent = world.acme.agent
    await ticket.change_ticket(world.desk, agent, made.id, {"severity": "low"})
    await ticket.move_ticket(world.desk, agent, made.id, "in_progress")
    await ticket.move_ticket(world.desk, agent, made.id, "triaging")
    await world.drain()
    assert (await world.now(made)).resolution["verdict"] == "answered"
    await session.take_over(world.desk, agent, made.session_id)
    await ticket.move_ticket(world.desk, agent, made.id, "triaging")
    await world.drain()
    now = await world.now(made)
    assert (now.status, now.waiting_for) == ("triaging", "person")


async def test_moves_that_the_design_does_not_list_are_refused(world):
    made = await world.open()
    for status in ("in_progress", "resolved", "escalated", "closed", "open"):
        with pytest.raises(Conflict) as refused:
            await ticket.move_ticket(world.desk, world.acme.agent, made.id, status)
        assert refused.value.code == "illegal_move"


async def test_a_reopened_ticket_waits_for_a_person_until_it_is_handed_back(world):
    made = await world.answered()
    await ticket.close_ticket(world.desk, world.acme.agent, made.id)
    assert (await world.now(made)).resolution["verdict"] == "unverified"
    opened = await ticket.reopen_ticket(world.desk, world.acme.agent, made.id)
    assert (opened.status, opened.reopened, opened.resolution, opened.resolved_at) == ("open", 1, {}, None)
    assert not await world.one("select bool_or(resolved) from public.support_sessions where ticket_id = $1", made.id)
    said = await world.said_by_engine(made)
    await world.drain()
    await world.say(made, "still nothing")
    await world.drain()
    assert await world.said_by_engine(made) == said, "the engine answered a ticket that a person had reopened"
    assert (await world.now(made)).waiting_for == "person"
    await session.hand_back(world.desk, world.acme.agent, made.session_id)
    await world.drain()
    assert len(await world.said_by_engine(made)) == len(said) + 1


async def test_moving_an_ended_ticket_to_open_is_reopening_it(world):
    made = await world.answered()
    await ticket.move_ticket(world.desk, world.acme.agent, made.id, "resolved")
    opened = await ticket.move_ticket(world.desk, world.acme.agent, made.id, "open")
    await world.drain()
    assert (opened.status, (await world.now(made)).waiting_for) == ("open", "person")


async def test_a_reopened_ticket_whose_conversation_a_person_has_waits_for_that_person(world):
    made = await world.open()
    await session.take_over(world.desk, world.acme.agent, made.session_id)
    await ticket.close_ticket(world.desk, world.acme.agent, made.id)
    opened = await ticket.reopen_ticket(world.desk, world.acme.agent, made.id)
    assert (opened.status, opened.waiting_for, opened.assignee) == ("open", "person", world.acme.agent.user_id)


async def test_what_is_spam_or_merged_is_not_reopened_into_nowhere(world):
    spam, source, target = await world.open("a"), await world.open("b"), await world.open("c")
    await ticket.mark_spam(world.desk, world.acme.agent, spam.id)
    await ticket.merge_ticket(world.desk, world.acme.agent, source.id, into=target.id)
    for one, code in ((spam, "ticket_is_spam"), (source, "ticket_merged")):
        with pytest.raises(Conflict) as refused:
            await ticket.reopen_ticket(world.desk, world.acme.agent, one.id)
        assert refused.value.code == code
    with pytest.raises(Conflict):
        await world.say(source, "hello?")
    await ticket.mark_spam(world.desk, world.acme.agent, source.id)
    await ticket.mark_spam(world.desk, world.acme.agent, source.id, is_spam=False)
    assert (await world.now(source)).status == "closed"


async def test_merging_ends_the_source_notes_its_words_and_stops_its_timer(world):
    source, target = await world.answered("my words"), await world.answered("the other words")
    await ticket.merge_ticket(world.desk, world.acme.agent, source.id, into=target.id)
    now = await world.now(source)
    assert (now.status, now.merged_into, now.waiting_for) == ("closed", target.id, None)
    assert (now.resolution["verdict"], now.closed_at) == ("unverified", world.clock.now)
    assert (await world.journey(source))["due_at"] is None
    notes = await world.rows(
        "select content from asoe.session_messages where ticket_id = $1 and is_internal", target.id
    )
    assert [note["content"] for note in notes] == [f"Merged from #{source.number}:\n\nmy words"]
    assert "my words" not in str(await world.messages(target))
    found = await ticket.links(world.desk, world.acme.agent, target.id)
    assert [(row["ticket_id"], row["kind"]) for row in found] == [(source.id, "duplicate_of")]
    world.clock.move(days=30)
    assert await world.advance(source) == "ended"


async def test_nothing_is_merged_into_a_ticket_that_nobody_looks_at(world):
    source, target = await world.open("one"), await world.answered("two")
    await ticket.close_ticket(world.desk, world.acme.agent, target.id)
    with pytest.raises(Conflict) as refused:
        await ticket.merge_ticket(world.desk, world.acme.agent, source.id, into=target.id)
    assert refused.value.code == "merge_into_closed"
    with pytest.raises(Invalid):
        await ticket.merge_ticket(world.desk, world.acme.agent, source.id, into=source.id)


async def test_linking_twice_is_linking_once(world):
    one, two = await world.open("one"), await world.open("two")
    for _ in range(2):
        await ticket.link_ticket(world.desk, world.acme.agent, one.id, other_id=two.id, kind="blocked_by")
    assert (await world.facts(one)).count("ticket.linked") == 1
    with pytest.raises(Invalid):
        await ticket.link_ticket(world.desk, world.acme.agent, one.id, other_id=two.id, kind="enemy_of")


async def test_a_clients_opinion_is_kept_and_settled_by_rule(world):
    agent = world.acme.agent
    told = {"category": "account", "severity": "high"}
    unsure = await world.open("a #category:billing:0.5 #severity:low", by=agent, **told)
    assert (unsure.category, unsure.severity, unsure.triage["given"]) == ("account", "high", told)
    sure = await world.open("b #category:billing:0.6 #severity:critical", by=agent, **told)
    assert (sure.category, sure.severity) == ("billing", "critical")
    client = await world.open("c #category:billing:0.5 #severity:low", severity="critical")
    assert (client.severity, client.triage["given"]) == ("low", {"severity": "critical"})
    again = await triage.retriage(world.desk, world.acme.engine, client.id)
    assert again.severity == "low"
    assert again.triage["given"] == {"severity": "critical"}


async def test_what_people_corrected_survives_every_later_judgement(world):
    world.ai.failing["triage"] = RuntimeError()
    made = await world.open("x #category:billing #severity:low #intent:double_charge")
    assert made.status == "triaging"
    await ticket.change_ticket(
        world.desk, world.acme.agent, made.id, {"category": "account", "severity": "high", "intent": "sso_setup"}
    )
    world.ai.failing.clear()
    await world.drain()
    now = await world.now(made)
    assert (now.category, now.severity, now.intent) == ("account", "high", "sso_setup")
    again = await triage.retriage(world.desk, world.acme.engine, made.id)
    assert (again.category, again.severity, again.intent) == ("account", "high", "sso_setup")
    assert again.triage["category"]["value"] == "billing"


async def test_a_correction_keeps_what_the_model_had_said(world):
    made = await world.open("x #category:billing #intent:double_charge")
    for value in ("account", "technical"):
        await ticket.change_ticket(world.desk, world.acme.agent, made.id, {"category": value})
    rows = await world.rows("select judged, corrected, model_version from asoe.corrections order by created_at")
    assert [(row["judged"], row["corrected"]) for row in rows] == [("billing", "account"), ("billing", "technical")]
    assert {row["model_version"] for row in rows} == {"strict-1"}


async def test_a_client_opens_tickets_for_itself_only(world):
    for more in ({"user_id": world.acme.agent.user_id}, {"contact": NewContact(email="x@example.org")}):
        with pytest.raises(Denied) as refused:
            await world.open(**more)
        assert refused.value.code == "client_sets_requester"
    assert (await world.open()).user_id == world.acme.client.user_id


async def test_a_requester_of_another_organization_is_refused(world, globex):
    with pytest.raises(Invalid) as refused:
        await world.open(by=world.acme.agent, user_id=globex.client.user_id)
    assert [problem.field for problem in refused.value.fields] == ["user_id"]
    assert await world.one("select count(*) from public.support_tickets") == 0


async def test_nobody_of_another_organization_is_assigned(world, globex):
    made = await world.open()
    for user_id in (globex.agent.user_id, world.acme.client.user_id, world.acme.engine.user_id):
        with pytest.raises(Invalid):
            await ticket.change_ticket(world.desk, world.acme.agent, made.id, {"assignee": user_id})


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        ({"body": "a\x00b"}, "body"),
        ({"body": "\ud800"}, "body"),
        ({"subject": "s" * 501}, "subject"),
        ({"body": "ä" * 32769}, "body"),
        ({"body": "", "metadata": {"description": "x" * 65537}}, "metadata.description"),
        ({"metadata": {"a": ["\x00"]}}, "metadata.a.0"),
        ({"metadata": {"a": float("nan")}}, "metadata.a"),
        ({"metadata": {"\x00": 1}}, "metadata"),
        ({"tags": ("\x00",)}, "tags.0"),
        ({"category": "bogus"}, "category"),
        ({"channel": "fax"}, "channel"),
        ({"custom_fields": {"plan": "gold"}}, "custom_fields.plan"),
        ({"custom_fields": {"seats": "many"}}, "custom_fields.seats"),
        ({"custom_fields": {"undefined": 1}}, "custom_fields.undefined"),
    ],
)
async def test_what_cannot_be_accepted_is_named_and_nothing_is_written(world, more, wrong):
    async with world.desk.database.org_transaction(world.acme.admin) as connection:
        await define(connection, world.acme.org_id, FieldDefinition("plan", "choice", ("free", "pro")))
        await define(connection, world.acme.org_id, FieldDefinition("seats", "number", is_required=True))
    with pytest.raises(Invalid) as refused:
        await world.open(**{"body": "text", **more})
    assert [problem.field for problem in refused.value.fields] == [wrong]
    assert await world.one("select count(*) from public.support_tickets") == 0
    made = await world.open(custom_fields={"plan": "pro"})
    assert made.custom_fields == {"plan": "pro"}


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"subject": None}, "subject"),
        ({"subject": "\x00"}, "subject"),
        ({"tags": "abc"}, "tags"),
        ({"custom_fields": [1]}, "custom_fields"),
        ({"metadata": "x"}, "metadata"),
        ({"metadata": {"a": float("inf")}}, "metadata.a"),
        ({"status": "closed"}, "status"),
        ({"team": 3}, "team"),
        ({"intent": None}, "intent"),
    ],
)
async def test_what_cannot_be_changed_is_named_and_nothing_is_written(world, changes, wrong):
    made = await world.open()
    with pytest.raises(Invalid) as refused:
        await ticket.change_ticket(world.desk, world.acme.agent, made.id, changes)
    assert [problem.field for problem in refused.value.fields] == [wrong]
    assert (await world.now(made)).version == made.version


async def test_a_change_on_an_older_version_is_refused(world):
    made = await world.open()
    await ticket.change_ticket(world.desk, world.acme.agent, made.id, {"team": "gold"}, expected_version=made.version)
    with pytest.raises(Conflict) as refused:
        await ticket.change_ticket(world.desk, world.acme.agent, made.id, {"team": "x"}, expected_version=made.version)
    assert refused.value.code == "ticket_changed"


async def test_no_fact_carries_a_word_of_the_client(world):
    words = ["zyxwvut", "qponmlk", "jihgfed"]
    made = await world.open(f"{words[0]} #severity:critical", subject=words[1], metadata={"k": words[2]})
    await world.advance(made)
    await world.say(made, words[2])
    agent = world.acme.agent
    await ticket.change_ticket(
        world.desk, agent, made.id,
        {"subject": words[0], "cc": [f"{words[0]}@example.org"], "metadata": {"a": words[1]}, "tags": ["vip"]},
    )  # fmt: skip
    await session.add_note(world.desk, agent, made.id, words[1])
    await ticket.move_ticket(world.desk, agent, made.id, "resolved")
    other = await world.open_by_contact(words[1])
    await ticket.merge_ticket(world.desk, agent, other.id, into=made.id)
    told = [row["data"] for row in await world.rows("select data::text from asoe.facts")]
    told += [row["data"] for row in await world.rows("select (r.*)::text as data from asoe.orchestrator_runs r")]
    told += [row["data"] for row in await world.rows("select (i.*)::text as data from asoe.agent_invocations i")]
    told += [
        row["data"] for row in await world.rows("select convert_from(payload, 'utf8') as data from queue.pgqueuer")
    ]
    assert len(told) > 10
    assert not [line for line in told for word in words if word in line]


async def test_stats_are_counted_and_rounded_as_written(world):
    async def stats():
        return await insight.get_stats(world.desk, world.acme.agent)

    empty = await stats()
    assert (empty.total_tickets, empty.resolved_rate, empty.avg_resolution_time, empty.by_category) == (
        0,
        None,
        None,
        {},
    )
    text = "#category:billing #intent:invoice_question"
    made = [await world.open_by_contact(text, email=f"k{n}@example.org") for n in range(8)]
    await world.advance(made[0])
    await world.open("lost #severity:critical #category:account #intent:sso_setup")
    await world.drain()
    counted = await stats()
    assert (counted.total_tickets, counted.open_tickets, counted.resolved_rate) == (9, 8, 0)
    assert counted.avg_resolution_time is None
    assert counted.by_category == {"account": 1, "billing": 8}
    world.clock.move(hours=1)
    await ticket.move_ticket(world.desk, world.acme.agent, made[0].id, "resolved")
    world.clock.move(hours=2)
    await ticket.close_ticket(world.desk, world.acme.agent, made[1].id)
    counted = await stats()
    assert (counted.open_tickets, counted.resolved_rate, counted.avg_resolution_time) == (6, 22, 2.0)
    await ticket.mark_spam(world.desk, world.acme.agent, made[2].id)
    counted = await stats()
    assert (counted.resolved_rate, counted.avg_resolution_time) == (33, 2.0)
    await ticket.reopen_ticket(world.desk, world.acme.agent, made[1].id)
    counted = await stats()
    assert (counted.resolved_rate, counted.avg_resolution_time) == (22, 1.0)
    await housekeeping.fold_tallies(world.desk)
    assert await stats() == counted
    with pytest.raises(Denied):
        await insight.get_stats(world.desk, world.acme.client)


def test_a_half_percent_is_rounded_up():
    from asoe.store.tickets import Tally

    def rate(ended, total):
        tallies = [Tally("billing", "closed", ended, 0, 0.0), Tally("billing", "open", total - ended, 0, 0.0)]
        return insight.summarize(tallies).resolved_rate

    assert (rate(1, 200), rate(1, 201), rate(3, 8), rate(1, 3), rate(2, 3), rate(7, 7)) == (1, 0, 38, 33, 67, 100)


async def test_remembering_fails_with_the_ticket_and_not_without_it(world):
    async def refuse(connection, made):
        raise Conflict("taken", code="idempotency_key_taken")

    with pytest.raises(Conflict):
        await intake.open_ticket(world.desk, world.acme.client, NewTicket(body="x"), remember=refuse)
    for table in ("public.support_tickets", "public.support_sessions", "asoe.facts", "queue.pgqueuer"):
        assert await world.one(f"select count(*) from {table}") == 0
