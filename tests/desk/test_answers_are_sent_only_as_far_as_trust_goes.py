"""Answers go out on lent trust, on a certificate, or by a person's hand; what they were worth is kept, judged blind, and voided by drift."""

from __future__ import annotations

import json

import pytest

from asoe.desk import certificate, people, session, ticket
from asoe.domain.errors import Conflict, Denied, Invalid, Missing
from asoe.store import answers, escalations
from cast import make_answer

JUDGED = "select a.trust, j.source, j.is_right from asoe.answers a left join asoe.answer_judgements j on j.answer_id = a.id order by a.at, j.source"


async def rule(world, **settings):
    await people.change_organization(world.desk, world.acme.owner, settings=settings)


async def traffic(world, tickets, *, intent="how_to", scope=0.9, answered=False, wrong=0, chance=0.9):
    """Tickets as they were triaged, each with a judged answer if `answered`, the first `wrong` of them wrong."""
    triage = {"intent": {"value": intent}, "scope": scope, "model_version": "strict-1"}
    await world.owner.execute(
        "with made as ("
        " insert into public.support_tickets (org_id, category, status, intent, triage, body, created_at)"
        " select $1, 'technical', 'resolved', $2, $3::jsonb, 'x', $4::timestamptz + n * interval '1 second'"
        " from generate_series(1, $5) n returning id, created_at"
        "), answered as ("
        " insert into asoe.answers (org_id, ticket_id, trust, chance, category, intent, model, articles, reopened, at)"
        " select $1, id, 'lent', $6, 'technical', $2, 'strict-1', '{a}', 0, created_at from made where $7"
        " returning id, at"
        ") insert into asoe.answer_judgements (org_id, answer_id, source, is_right) select $1, id, 'person', at > $4::timestamptz + $8 * interval '1 second' from answered",
        world.acme.org_id,
        intent,
        json.dumps(triage),
        world.clock(),
        tickets,
        chance,
        answered,
        wrong,
    )
    world.clock.move(hours=2)


async def test_what_an_answer_was_worth_is_kept_and_staffs_word_stands_above_the_clients(world):
    helped = await world.answered()
    await world.say(helped, "yes")
    await world.advance(helped)
    assert [tuple(row.values()) for row in await world.rows(JUDGED)] == [("lent", "client", True)]
    await ticket.judge_answer(world.desk, world.acme.agent, helped.id, is_useful=False)
    world.clock.move(minutes=1)
    missed = await world.answered("How do I export, again?")
    world.clock.move(minutes=1)
    await world.say(missed, "no")
    await world.advance(missed)
    rows = [tuple(row.values()) for row in await world.rows(JUDGED)]
    assert rows == [
        ("lent", "client", True),
        ("lent", "person", False),
        ("lent", "client", False),
        ("lent", None, None),  # the next attempt, of which nobody has said anything
    ]
    world.clock.move(minutes=1)
    reopened = await world.answered("How do I export once more?")
    await world.say(reopened, "yes")
    await world.advance(reopened)
    await ticket.reopen_ticket(world.desk, world.acme.agent, reopened.id)
    cases = (await certificate.renew(world.desk, world.acme.admin)).standing
    assert [(each.category, each.state, each.cases, each.errors) for each in cases] == [
        ("", "not_enough_evidence", 3, 3),
        ("technical", "not_enough_evidence", 3, 3),
    ]


async def test_without_a_certificate_an_answer_is_suggested_and_with_one_it_is_sent(world):
    await rule(world, answers_alone="certified")
    made = await world.open()
    await world.advance(made)
    (escalation,) = await world.escalations(made)
    assert escalation["reasons"] == ["uncertified_answer"]
    assert (await world.now(made)).status == "escalated"
    assert not any("Do what" in said for said in await world.said_by_engine(made))
    assert (await world.rows(JUDGED))[0]["trust"] == "suggested"
    dossier = await world.one(
        "select dossier ->> 'suggested_reply' from asoe.escalations where ticket_id = $1", made.id
    )
    assert dossier == "Do what export-data says. [1]"
    await ticket.judge_answer(world.desk, world.acme.agent, made.id, is_useful=True)

    await traffic(world, 150, answered=True, chance=0.5)
    made = (await certificate.renew(world.desk, world.acme.admin)).standing[0]
    assert (made.state, made.cases, made.errors, made.accepted) == ("certified", 151, 0, 151)
    sent = await world.answered("How do I export now?")
    assert sent.resolution["evidence"]["trust"] == "certified"

    await rule(world, answers_alone="never")
    held = await world.open("How do I export at last?")
    await world.advance(held)
    assert (await world.now(held)).status == "escalated"


async def test_errors_and_another_model_speak_against_sending(world):
    await rule(world, answers_alone="certified")
    await traffic(world, 200, answered=True, wrong=30)
    assert (await certificate.renew(world.desk, world.acme.admin)).standing[0].state == "not_enough_evidence"
    await world.owner.execute("delete from asoe.answers")
    await traffic(world, 150, answered=True, chance=0.5)
    await world.owner.execute("update asoe.answers set model = 'another-1'")
    found = await certificate.renew(world.desk, world.acme.admin)
    assert found.standing[0].state == "certified"
    made = await world.open()
    await world.advance(made)
    assert (await world.now(made)).status == "escalated"
    with pytest.raises(Denied):
        await certificate.renew(world.desk, world.acme.agent)
    with pytest.raises(Invalid):
        await rule(world, answers_alone="sometimes")


async def test_the_sample_is_judged_blind_and_once(world, globex):
    made = await world.answered()
    await rule(world, audit_share=1)
    (unseen,) = await certificate.to_audit(world.desk, world.acme.agent)
    assert unseen.question == "How do I export?"
    assert unseen.answer.startswith("Do what export-data says.")
    assert not {"chance", "trust", "verdict", "is_right"} & set(type(unseen).__dataclass_fields__)
    for stranger, kind in ((world.acme.client, Denied), (globex.agent, Missing)):
        with pytest.raises(kind):
            await certificate.judge(world.desk, stranger, unseen.id, is_right=False)
    await certificate.judge(world.desk, world.acme.agent, unseen.id, is_right=True)
    with pytest.raises(Conflict, match="audited already"):
        await certificate.judge(world.desk, world.acme.admin, unseen.id, is_right=False)
    assert await certificate.to_audit(world.desk, world.acme.agent) == []
    assert (await certificate.renew(world.desk, world.acme.admin)).standing[0].audited == 1
    await rule(world, audit_share=0)
    other = await make_answer(world.desk.database, world.acme.engine, made.id)
    with pytest.raises(Conflict, match="not of the random sample"):
        await certificate.judge(world.desk, world.acme.agent, other, is_right=True)
    async with world.desk.database.org_reading(globex.agent) as connection:
        assert await answers.last(connection, world.acme.org_id, made.id) is None


async def test_what_a_person_makes_of_a_suggested_answer_is_evidence_of_it_with_who(world):
    await rule(world, answers_alone="never", audit_share=1)
    desk, ben, suggested = world.desk, world.acme.agent, "Do what export-data says. [1]"
    judged = "select j.source, j.is_right, j.judged_by from asoe.answer_judgements j join asoe.answers a on a.id = j.answer_id order by a.at"
    said = (
        (f"Hello Ana,\n\n{suggested.removesuffix(' [1]')}\n\nKind regards, Ben", True),
        ("Better do what the handbook says and leave export-data alone.", False),
        ("I am looking into it.", None),
    )
    for number, (words, _) in enumerate(said):
        made = await world.open(f"How do I export, {number}?")
        await world.advance(made)
        await session.add_message(desk, ben, made.session_id, "agent", words)
        world.clock.move(minutes=1)
    wanted = [("reply", is_right, ben.user_id) for _, is_right in said if is_right is not None]
    assert [tuple(row.values()) for row in await world.rows(judged)] == wanted
    await session.add_message(desk, ben, made.session_id, "agent", suggested)
    await session.add_message(desk, ben, made.session_id, "agent", "Please do what the export-data page says instead.")
    assert [row["is_right"] for row in await world.rows(judged)] == [True, False, True], "the first such reply counts"
    kinds = await world.rows(
        "select kind from asoe.facts where kind in ('answer.sent_by_person', 'answer.rewritten') order by id"
    )
    assert [row["kind"] for row in kinds] == ["answer.sent_by_person", "answer.rewritten", "answer.sent_by_person"]
    whole = (await certificate.renew(desk, world.acme.admin)).standing[0]
    assert (whole.cases, whole.errors) == (3, 1)
    await ticket.reopen_ticket(desk, ben, (await ticket.move_ticket(desk, ben, made.id, "resolved")).id)
    whole = (await certificate.renew(desk, world.acme.admin)).standing[0]
    assert (whole.cases, whole.errors) == (3, 2), "what was reopened did not do"


async def test_the_sample_shows_a_suggested_answers_own_words_whatever_the_dossier_says_later(world):
    await rule(world, answers_alone="never", audit_share=1)
    made = await world.open()
    await world.advance(made)
    await world.say(made, "#intent:wants_a_person Let me talk to a person, please.")
    await world.advance(made)
    async with world.desk.database.org_transaction(world.acme.engine) as connection:
        await escalations.open_escalation(
            connection,
            world.acme.org_id,
            made.id,
            reasons=("client_asked",),
            team="frontline",
            dossier={"suggested_reply": "I am a person."},
        )
    (unseen,) = await certificate.to_audit(world.desk, world.acme.agent)
    assert unseen.answer == "Do what export-data says. [1]"


async def test_drift_voids_certificates_and_the_evidence_before_it(world):
    await rule(world, answers_alone="certified")
    await traffic(world, 200, answered=True, chance=0.5)
    await certificate.keep(world.desk, world.acme.engine)
    await traffic(world, 200)
    await certificate.keep(world.desk, world.acme.engine)
    assert (await certificate.list_certificates(world.desk, world.acme.agent)).standing[0].state == "certified"
    assert (await world.answered()).resolution["evidence"]["trust"] == "certified"
    await traffic(world, 120, intent="not_for_us", scope=0.1)
    await certificate.keep(world.desk, world.acme.engine)
    found = await certificate.list_certificates(world.desk, world.acme.agent)
    assert not found.standing
    assert {each.state for each in found.voided} == {"voided"}
    assert found.voided[0].drift["what"] in {"out_of_scope", "how_to", "not_for_us"}
    assert await world.one("select count(*) from asoe.facts where kind = 'certificate.voided'") == 1
    await certificate.keep(world.desk, world.acme.engine)
    renewed = await certificate.renew(world.desk, world.acme.admin)
    assert (renewed.standing[0].state, renewed.standing[0].cases) == ("not_enough_evidence", 0)
    held = await world.open("How do I export after that?")
    await world.advance(held)
    assert (await world.now(held)).status == "escalated"
