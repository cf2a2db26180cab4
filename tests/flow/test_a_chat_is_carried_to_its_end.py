"""A client's chat: the journey hears its buttons as they were meant, sends twice count once, and no event is missed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
import pytest
from chat_cast import Chat, answer_once, set_up, signed
from flow_cast import problem

from asoe.ai.slots.answer import read_answer
from asoe.app import App
from asoe.desk import chat as desk_chat
from asoe.desk import journey, people, presence, resolution, session
from asoe.desk.wording import say
from asoe.domain.policy import SUPPORTED_LANGUAGES
from asoe.domain.runbook import Slot
from asoe.store import facts, sessions, tickets

if TYPE_CHECKING:
    from tests.conftest import Org


@pytest.fixture
async def ana(nobody: httpx.AsyncClient, app: App, acme: Org) -> Chat:
    secret = await set_up(app, acme.owner)
    chat = Chat(nobody, acme.slug)
    await chat.start(identity=signed(secret, sub="u-1", name="Ana"))
    return chat


@pytest.fixture
async def answering(app: App, acme: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    """A knowledge base with one article, and a reader who takes every reply for nothing: only buttons count."""

    async def read_reply(*_: Any) -> str:
        return "other"

    monkeypatch.setattr(resolution, "find_answer", answer_once)
    monkeypatch.setattr(type(app.desk.ai), "read_reply", read_reply)
    await people.change_organization(app.desk, acme.owner, settings={"answer_threshold": 0})


async def carry(app: App, acme: Org, chat: Chat, ticket_id: str) -> dict[str, Any]:
    """What the worker does, and what the client sees then."""
    for _ in range(3):
        await journey.carry_on(app.desk, acme.org_id, UUID(ticket_id))
    return dict((await chat.get(f"/{ticket_id}")).json())


async def stored(app: App, acme: Org, ticket_id: str) -> Any:
    async with app.desk.database.org_reading(acme.engine) as connection:
        return await tickets.find(connection, acme.org_id, UUID(ticket_id))


@pytest.mark.usefixtures("answering")
async def test_yes_makes_an_answer_verified_by_the_clients_word(ana: Chat, app: App, acme: Org) -> None:
    made = await ana.open()
    problem(await ana.post(f"/{made['id']}/rating", {"helped": True}), 409, "nothing_to_rate")
    seen = await carry(app, acme, ana, made["id"])
    said = seen["messages"][-1]
    assert (said["role"], seen["state"], seen["may_rate"]) == ("assistant", "yours", True)
    assert said["steps"] == ["Open *Billing*.", "Choose May."]
    assert said["citations"] == [
        {"title": "Where invoices are", "heading": "Find them", "quote": "Open Billing.", "url": None}
    ]
    rated = await ana.post(f"/{made['id']}/rating", {"helped": True, "language": "de"})
    assert rated.json()["content"] == say("client_helped", "de")
    seen = await carry(app, acme, ana, made["id"])
    assert (seen["state"], seen["may_rate"]) == ("ended", False)
    assert (await stored(app, acme, made["id"])).resolution["verdict"] == "verified"


@pytest.mark.usefixtures("answering")
async def test_no_goes_on_and_in_the_end_to_a_person(ana: Chat, app: App, acme: Org) -> None:
    made = await ana.open()
    for _ in range(5):
        seen = await carry(app, acme, ana, made["id"])
        if not seen["may_rate"]:
            break
        assert (await ana.post(f"/{made['id']}/rating", {"helped": False})).status_code == 201
    assert seen["state"] == "with_person"
    ticket = await stored(app, acme, made["id"])
    assert ticket.status == "escalated"
    problem(await ana.post(f"/{made['id']}/rating", {"helped": True}), 409, "nothing_to_rate")


@pytest.mark.usefixtures("answering")
async def test_talk_to_a_person_always_works(ana: Chat, app: App, acme: Org) -> None:
    at_once = await ana.open("Hello there, my webhook", wants_person=True)
    assert (await carry(app, acme, ana, at_once["id"]))["state"] == "with_person"
    later = await ana.open()
    assert (await carry(app, acme, ana, later["id"]))["state"] == "yours"
    asked = await ana.post(f"/{later['id']}/person", {"language": "fr"})
    assert asked.json()["content"] == say("client_wants_person", "fr")
    assert (await carry(app, acme, ana, later["id"]))["state"] == "with_person"
    parts = await ana.get(f"/{later['id']}")
    await session.add_message(
        app.desk, acme.agent, UUID(str((await stored(app, acme, later["id"])).session_id)), "agent", "Ben here."
    )
    assert (await ana.get(f"/{later['id']}")).json()["messages"][-1]["content"] == "Ben here."
    assert parts.status_code == 200


async def test_what_is_sent_twice_counts_once(ana: Chat, app: App, acme: Org) -> None:
    opened = [await ana.post("", {"text": "Where is the invoice of May?"}, key="k-1") for _ in range(3)]
    assert len({each.json()["id"] for each in opened}) == 1
    assert opened[1].headers["idempotency-replayed"] == "true"
    one = opened[0].json()["id"]
    sent = await asyncio.gather(*(ana.post(f"/{one}/messages", {"text": "Still waiting"}, key="k-2") for _ in range(4)))
    assert {each.status_code for each in sent} == {201}
    said = (await ana.get(f"/{one}")).json()["messages"]
    assert [each["content"] for each in said].count("Still waiting") == 1
    files = [
        await ana.post(f"/{one}/files", files={"file": ("a.txt", b"mine", "text/plain")}, key="k-3") for _ in range(2)
    ]
    assert len({each.json()["id"] for each in files}) == 1
    eve = Chat(ana.http, acme.slug)
    await eve.start()
    other = await eve.post("", {"text": "Another client with the same key"}, key="k-1")
    assert other.status_code == 201
    assert other.json()["id"] != one


async def test_a_file_past_the_limit_is_refused_with_its_reason(ana: Chat) -> None:
    made = await ana.open()
    problem(await ana.post(f"/{made['id']}/files", files={"file": ("a.txt", b"", "text/plain")}), 422, "empty_file")
    big = {"file": ("a.bin", b"x" * (26 * 1024 * 1024), "application/octet-stream")}
    problem(await ana.post(f"/{made['id']}/files", files=big), 413, "too_large")
    named = {"file": ("../../<b>.txt", b"mine", "text/html")}
    kept = await ana.post(f"/{made['id']}/files", files=named)
    assert kept.json()["name"] == "_b_.txt"
    loaded = await ana.get(f"/{made['id']}/files/{kept.json()['id']}")
    assert loaded.headers["content-type"] == "application/octet-stream"
    assert loaded.headers["content-disposition"].startswith("attachment;")


async def test_the_stream_tells_that_something_changed_and_resumes(served: str, app: App, acme: Org) -> None:
    secret = await set_up(app, acme.owner)
    async with httpx.AsyncClient(base_url=served) as http:
        ana = Chat(http, acme.slug)
        await ana.start(identity=signed(secret, sub="u-1"))
        made = await ana.open()
        address = f"/api/widget/acme/conversations/{made['id']}/events"
        headers = {"Authorization": f"Bearer {ana.token}"}
        async with http.stream("GET", address, headers=headers) as stream:
            lines = stream.aiter_lines()
            await ana.post(f"/{made['id']}/messages", {"text": "one"})
            last = await _next(lines, "message.added")
        await session.add_note(app.desk, acme.agent, UUID(made["id"]), "unseen")
        await ana.post(f"/{made['id']}/messages", {"text": "two"})
        async with http.stream("GET", address, headers={**headers, "Last-Event-ID": last}) as stream:
            assert await _next(stream.aiter_lines(), "message.added") != last


async def test_the_stream_tells_a_client_only_that_the_team_writes(served: str, app: App, acme: Org) -> None:
    secret = await set_up(app, acme.owner)
    async with httpx.AsyncClient(base_url=served) as http:
        ana = Chat(http, acme.slug)
        await ana.start(identity=signed(secret, sub="u-1"))
        made = await ana.open()
        address = f"/api/widget/acme/conversations/{made['id']}/events"
        async with http.stream("GET", address, headers={"Authorization": f"Bearer {ana.token}"}) as stream:
            lines = stream.aiter_lines()
            seen = ""
            for state, expected in (("viewing", None), ("noting", None), ("writing", True), ("viewing", False)):
                await presence.be_present(app.desk, acme.agent, UUID(made["id"]), state)
                if expected is not None:
                    again = await _next(lines, "presence.changed")
                    assert (await ana.get(f"/{made['id']}")).json()["team_writes"] is expected
                    seen += again
            assert seen
            await ana.post(f"/{made['id']}/messages", {"text": "one"})
            async with asyncio.timeout(60):
                async for line in lines:
                    assert "presence" not in line, "who only looks, or writes a note, is nobody's to know"
                    if "message.added" in line:
                        break


async def _next(lines: Any, kind: str) -> str:
    """The id of the next event of a kind; nothing of staff's comes before it."""
    found = ""
    async with asyncio.timeout(60):
        async for line in lines:
            assert "note" not in line
            if line.startswith("id: "):
                found = line[4:]
            elif line.startswith("data: ") and kind in line:
                return found
    raise AssertionError(kind)


async def test_the_journey_reads_the_buttons_words_the_same_way(app: App) -> None:
    from asoe.ai.client_intent import read_reply

    for language in SUPPORTED_LANGUAGES:
        for meaning in ("helped", "did_not_help", "wants_person"):
            assert read_reply(say(f"client_{meaning}", language), language) == meaning, (language, meaning)


async def ask(app: App, acme: Org, ticket_id: str) -> None:
    """A run asks the client for a consent, as its journey writes it."""
    async with app.desk.database.org_transaction(acme.engine) as connection:
        spoken = (await sessions.of_ticket(connection, acme.org_id, UUID(ticket_id)))[-1]
        asks = {"asks": {"slot": "terms", "answers": ["yes", "no", "maybe"]}}
        said = {"role": "assistant", "content": "May we?", "author": acme.engine.user_id, "data": asks}
        await sessions.add(connection, acme.org_id, spoken, **said)
        await connection.execute(
            "update public.support_tickets set status = 'in_progress', waiting_for = 'client' where id = $1",
            UUID(ticket_id),
        )


async def test_a_question_for_a_consent_has_buttons_until_it_is_answered(ana: Chat, app: App, acme: Org) -> None:
    made = await ana.open()
    assert made["may_answer"] == []
    await ask(app, acme, made["id"])
    assert (await ana.get(f"/{made['id']}")).json()["may_answer"] == ["yes", "no"], "nothing that has no button"
    assert (await ana.post(f"/{made['id']}/messages", {"text": "Yes"})).status_code == 201
    assert (await ana.get(f"/{made['id']}")).json()["may_answer"] == []


def test_the_words_of_the_buttons_are_read_as_they_were_meant() -> None:
    slot = Slot("terms", "consent", {"en": "May we?"})
    for status, words in (("given", ("Yes", "Ja", "Sí", "Oui")), ("refused", ("No", "Nein", "Non"))):
        for word in words:
            found = read_answer(slot, word)
            assert found is not None
            assert found.status == status


def test_every_state_is_told_apart() -> None:
    assert set(desk_chat.State.__args__) == {"thinking", "yours", "with_person", "waiting", "ended"}
    assert "widget.changed" in facts.FACTS
