"""Idempotency-Key: the same key with the same request has one effect and one response, whatever happens in between."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import httpx
import pytest
from flow_cast import Connect, open_ticket, problem

if TYPE_CHECKING:
    from tests.conftest import Org

from asoe.app import App
from asoe.store import idempotency

REQUEST = {"subject": "invoice", "body": "Where is it?"}


async def test_a_repeated_opening_returns_the_first_ticket_word_for_word(agent: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "first-1"}
    first = await agent.post("/api/support/ticket", json=REQUEST, headers=key)
    again = await agent.post("/api/support/ticket", json=REQUEST, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert (await agent.get("/api/support/stats")).json()["total_tickets"] == 1


async def test_equal_keys_at_the_same_moment_have_one_effect(agent: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "race"}
    answers = await asyncio.gather(*(agent.post("/api/support/ticket", json=REQUEST, headers=key) for _ in range(12)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert (await agent.get("/api/support/stats")).json()["total_tickets"] == 1


async def test_a_key_used_for_another_request_is_refused(agent: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "once"}
    made = (await agent.post("/api/support/ticket", json=REQUEST, headers=key)).json()
    other = await agent.post("/api/support/ticket", json={**REQUEST, "subject": "else"}, headers=key)
    problem(other, 422, "idempotency_key_reused")
    elsewhere = await agent.post(f"/api/support/ticket/{made['id']}/close", headers=key)
    problem(elsewhere, 422, "idempotency_key_reused")
    assert (await agent.get(f"/api/support/ticket/{made['id']}")).json()["status"] == "open"


async def test_keys_of_two_accounts_do_not_meet(agent: httpx.AsyncClient, connect: Connect, acme: Org) -> None:
    other = await connect(acme.agent)
    key = {"Idempotency-Key": "mine"}
    first = await agent.post("/api/support/ticket", json=REQUEST, headers=key)
    second = await other.post("/api/support/ticket", json=REQUEST, headers=key)
    assert first.json()["id"] != second.json()["id"]


async def test_a_repeated_message_is_said_once(agent: httpx.AsyncClient) -> None:
    made = await open_ticket(agent)
    path, key = f"/api/support/message/{made['session_id']}", {"Idempotency-Key": "said"}
    said = [await agent.post(path, json={"role": "user", "content": "Hello?"}, headers=key) for _ in range(3)]
    assert len({answer.content for answer in said}) == 1
    read = (await agent.get(f"/api/support/session/{made['session_id']}")).json()
    assert [message["seq"] for message in read["messages"]] == [1, 2]


@pytest.mark.parametrize(
    ("act", "body"),
    [
        ("assign", {"team": "billing"}),
        ("status", {"status": "triaging"}),
        ("notes", {"content": "Noted."}),
        ("spam", {"is_spam": True}),
    ],
)
async def test_every_act_on_a_ticket_is_done_once(agent: httpx.AsyncClient, act: str, body: dict[str, object]) -> None:
    made = await open_ticket(agent)
    path, key = f"/api/support/ticket/{made['id']}/{act}", {"Idempotency-Key": f"act-{act}"}
    first = await agent.post(path, json=body, headers=key)
    assert first.status_code in {200, 201}, first.text
    facts = (await agent.get(f"/api/support/ticket/{made['id']}/timeline")).json()["items"]
    again = await agent.post(path, json=body, headers=key)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert (await agent.get(f"/api/support/ticket/{made['id']}/timeline")).json()["items"] == facts


async def test_a_repeated_act_that_would_now_be_refused_still_gets_its_first_answer(agent: httpx.AsyncClient) -> None:
    made = await open_ticket(agent)
    one, key = f"/api/support/ticket/{made['id']}", {"Idempotency-Key": "closing"}
    await agent.post(f"{one}/status", json={"status": "triaging"})
    first = await agent.post(f"{one}/close", headers=key)
    assert first.json()["status"] == "closed"
    problem(await agent.post(f"{one}/close"), 409, "illegal_move")
    assert (await agent.post(f"{one}/close", headers=key)).content == first.content


async def test_concurrent_acts_with_one_key_are_one_act(agent: httpx.AsyncClient) -> None:
    made = await open_ticket(agent)
    path, key = f"/api/support/ticket/{made['id']}/notes", {"Idempotency-Key": "note"}
    answers = await asyncio.gather(*(agent.post(path, json={"content": "Once."}, headers=key) for _ in range(6)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    read = (await agent.get(f"/api/support/session/{made['session_id']}")).json()
    assert len(read["messages"]) == 2


async def test_a_refused_request_may_be_sent_again_with_its_key(agent: httpx.AsyncClient) -> None:
    made = await open_ticket(agent)
    one, key = f"/api/support/ticket/{made['id']}", {"Idempotency-Key": "later"}
    problem(await agent.post(f"{one}/close", headers=key), 409, "illegal_move")
    await agent.post(f"{one}/status", json={"status": "triaging"})
    assert (await agent.post(f"{one}/close", headers=key)).json()["status"] == "closed"


async def test_an_effect_whose_response_was_lost_is_not_repeated(agent: httpx.AsyncClient, app: App, acme: Org) -> None:
    """What a crash between the commit and the stored response leaves behind: a claim."""
    made = await open_ticket(agent)
    path, key = f"/api/support/ticket/{made['id']}/notes", "crashed"
    await agent.post(path, json={"content": "Kept."}, headers={"Idempotency-Key": key})
    async with app.database.org_transaction(acme.engine) as connection:
        row = await connection.fetchrow("select user_id, request from asoe.idempotency_keys where key = $1", key)
        await connection.execute("delete from asoe.idempotency_keys where key = $1", key)
        await connection.execute(
            "insert into asoe.idempotency_keys (org_id, user_id, key, request, status, response, created_at)"
            " values ($1, $2, $3, $4, 0, '\"\"', now() - interval '1 hour')",
            acme.org_id, row["user_id"], key, row["request"],
        )  # fmt: skip
    again = await agent.post(path, json={"content": "Kept."}, headers={"Idempotency-Key": key})
    problem(again, 409, "idempotency_response_lost")
    read = (await agent.get(f"/api/support/session/{made['session_id']}")).json()
    assert len(read["messages"]) == 2


async def test_a_secret_is_never_kept_for_a_repeated_call(owner: httpx.AsyncClient, app: App, acme: Org) -> None:
    key = {"Idempotency-Key": "secret"}
    body = {"name": "Shop", "role": "agent", "scopes": ["tickets:write"]}
    first = await owner.post("/api/keys", json=body, headers=key)
    again = await owner.post("/api/keys", json=body, headers=key)
    token = first.json()["token"]
    assert token.startswith("asoe_")
    assert again.json() == {**first.json(), "token": None}
    async with app.database.org_reading(acme.engine) as connection:
        stored = await connection.fetchval("select string_agg(response #>> '{}', ' ') from asoe.idempotency_keys")
    assert token not in stored


async def test_a_key_must_be_readable(agent: httpx.AsyncClient) -> None:
    for wrong in ("has space", "x" * 256, "ü".encode()):
        refused = await agent.post("/api/support/ticket", json=REQUEST, headers={b"Idempotency-Key": wrong})
        problem(refused, 400, "bad_idempotency_key")


async def test_keys_are_forgotten_by_age_and_by_what_they_name(agent: httpx.AsyncClient, app: App, acme: Org) -> None:
    made = (await agent.post("/api/support/ticket", json=REQUEST, headers={"Idempotency-Key": "a"})).json()
    await agent.post("/api/support/ticket", json={"subject": "other"}, headers={"Idempotency-Key": "b"})
    async with app.database.org_transaction(acme.engine) as connection:
        assert await idempotency.forget(connection, acme.org_id, [uuid4()]) == 0
        assert await idempotency.forget(connection, acme.org_id, [UUID(made["id"])]) == 1
        app.desk.clock.pass_by(days=1)  # type: ignore[attr-defined]
        assert await idempotency.expire(connection, acme.org_id, before=app.desk.clock()) == 1


async def test_a_response_that_cannot_be_kept_is_still_given_and_its_effect_is_not_repeated(
    agent: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise OSError("the database went away")

    made = await open_ticket(agent)
    path, key = f"/api/support/ticket/{made['id']}/notes", {"Idempotency-Key": "unsettled"}
    with monkeypatch.context() as patched:
        patched.setattr(idempotency, "settle", away)
        assert (await agent.post(path, json={"content": "Kept."}, headers=key)).status_code == 201
    problem(await agent.post(path, json={"content": "Kept."}, headers=key), 409, "idempotency_in_progress")
    read = (await agent.get(f"/api/support/session/{made['session_id']}")).json()
    assert len(read["messages"]) == 2
