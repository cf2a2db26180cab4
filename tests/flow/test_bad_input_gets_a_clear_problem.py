"""Whatever a caller sends, the answer says what is wrong and where; nothing is half written, nothing is a 500."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from flow_cast import open_ticket, problem

TICKET = "/api/support/ticket"
JSON = {"Content-Type": "application/json"}

NOBODY = UUID("00000000-0000-4000-8000-000000000000")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed_json"),
        (b"\xff\xfe", 400, "malformed_json"),
        (b'{"subject": "\\ud800"}', 400, "malformed_json"),
        (b'{"metadata": {"n": NaN}}', 400, "malformed_json"),
        (b'{"metadata": {"n": Infinity}}', 400, "malformed_json"),
        (b'{"metadata": {"n": 1e999}}', 422, "unstorable_value"),
        (b'{"metadata": {"n": ' + b"9" * 100 + b"}}", 422, "unstorable_value"),
        (b'{"metadata": {"n": ' + b"9" * 5000 + b"}}", 400, "malformed_json"),
        (b'{"metadata": {"a": ' + b'{"a": ' * 40 + b"1" + b"}" * 42, 422, "unstorable_value"),
        (b"[" * 100_000, 400, "malformed_json"),
        (b'{"subject": "a\\u0000b"}', 422, "unstorable_value"),
        (b'{"metadata": {"a\\u0000": 1}}', 422, "unstorable_value"),
        (b'{"metadata": {"deep": ["\\u0000"]}}', 422, "unstorable_value"),
        (b"null", 422, "invalid_request"),
        (b"[]", 422, "invalid_request"),
        (b'"text"', 422, "invalid_request"),
        (b"", 422, "invalid_request"),
        (b'{"category": "nonsense"}', 422, "invalid_request"),
        (b'{"severity": 3}', 422, "invalid_request"),
        (b'{"subject": 3}', 422, "invalid_request"),
        (b'{"subjekt": "typo"}', 422, "invalid_request"),
        (b'{"user_id": "me"}', 422, "invalid_request"),
        (b'{"contact": {}}', 422, "invalid_ticket"),
        (b'{"subject": "x", "contact": {"email": "no address"}}', 422, "bad_email"),
        (b'{"cc": ["nobody"]}', 422, "invalid_request"),
    ],
)
async def test_a_bad_ticket_is_refused_whole(agent: httpx.AsyncClient, body: bytes, status: int, code: str) -> None:
    problem(await agent.post(TICKET, content=body, headers=JSON), status, code)
    assert (await agent.get("/api/support/stats")).json()["total_tickets"] == 0


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, ["subject", "body"]),
        ({"subject": "", "body": ""}, ["subject", "body"]),
        ({"severity": "high"}, ["subject", "body"]),
        ({"body": " \n\t"}, ["body"]),
        ({"subject": "  ", "body": "\u00a0", "category": "billing"}, ["subject", "body"]),
        ({"metadata": {"description": " "}}, ["metadata"]),
    ],
)
async def test_a_ticket_that_says_nothing_is_refused_by_field(agent, body, named) -> None:
    refused = problem(await agent.post(TICKET, json=body), 422, "invalid_ticket")
    assert [item["field"] for item in refused["errors"]] == named
    assert (await agent.get("/api/support/stats")).json()["total_tickets"] == 0


async def test_a_wrong_field_is_named(agent: httpx.AsyncClient) -> None:
    refused = await agent.post(TICKET, json={"contact": {"email": 3}, "category": "x"})
    named = [item["field"] for item in problem(refused, 422, "invalid_request")["errors"]]
    assert sorted(named) == ["category", "contact.email"]
    refused = await agent.post(TICKET, json={"metadata": {"list": [{"bad": "\x00"}]}})
    assert problem(refused, 422, "unstorable_value")["errors"][0]["field"] == "metadata.list.0.bad"


async def test_a_member_of_nowhere_is_no_requester(agent: httpx.AsyncClient) -> None:
    problem(await agent.post(TICKET, json={"subject": "x", "user_id": str(uuid4())}), 422, "invalid_ticket")


async def test_a_body_that_is_not_json_by_its_own_word_is_refused(agent: httpx.AsyncClient) -> None:
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", ""):
        refused = await agent.post(TICKET, content=b'{"subject": "x"}', headers={"Content-Type": media_type})
        problem(refused, 415, "wrong_media_type")


async def test_a_body_past_the_limit_is_refused_and_not_read_for_ever(agent: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 4000:
            sent += 1
            yield b" " * 64 * 1024

    problem(await agent.post(TICKET, content=endless(), headers=JSON), 413, "too_large")
    assert sent < 1200  # a peer may finish sending some, so that it sees the problem document
    declared = await agent.post(TICKET, content=b"{}", headers={**JSON, "Content-Length": str(10 * 1024 * 1024)})
    problem(declared, 413, "too_large")
    huge = b'{"body": "' + b"x" * 10 * 1024 * 1024 + b'"}'
    problem(await agent.post(TICKET, content=huge, headers=JSON), 413, "too_large")


async def test_more_than_64_kib_of_text_is_refused_by_name(agent: httpx.AsyncClient) -> None:
    refused = await agent.post(TICKET, json={"body": "é" * 40_000})
    assert problem(refused, 422, "invalid_ticket")["errors"][0]["field"] == "body"
    refused = await agent.post(TICKET, json={"metadata": {"x": "y" * 70_000}})
    assert problem(refused, 422, "invalid_request")["errors"][0]["field"] == "metadata"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "no_such_route"),
        ("GET", "/api/support/ticket/", 404, "no_such_route"),
        ("PUT", "/api/support/ticket", 405, "method_not_allowed"),
        ("DELETE", "/api/support/tickets", 405, "method_not_allowed"),
        ("GET", "/api/support/ticket/none", 422, "invalid_request"),
        ("GET", f"/api/support/ticket/{NOBODY}", 404, "ticket_missing"),
        ("GET", "/api/support/ticket/number/0", 422, "invalid_request"),
        ("GET", "/api/support/ticket/number/99999999999999999999", 422, "invalid_request"),
        ("GET", "/api/support/ticket/number/7", 404, "ticket_missing"),
        ("GET", f"/api/support/session/{NOBODY}", 404, "session_missing"),
        ("GET", f"/api/support/attachment/{NOBODY}", 404, "attachment_missing"),
        ("GET", "/api/support/tickets?limit=0", 422, "invalid_request"),
        ("GET", "/api/support/tickets?limit=many", 422, "invalid_request"),
        ("GET", "/api/support/tickets?status=lost", 422, "invalid_request"),
        ("GET", "/api/support/tickets?unknown=1", 422, "invalid_request"),
        ("GET", "/api/support/tickets?created_after=0001-01-01T00:00:00%2B14:00", 422, "invalid_request"),
        ("GET", "/api/support/tickets?created_after=2026-01-01T00:00:00", 422, "invalid_request"),
        ("GET", "/api/support/tickets?q=%00", 422, "unstorable_value"),
        ("GET", "/api/support/tickets?cursor=%C3%A4", 422, "bad_cursor"),
        ("GET", "/api/support/tickets?cursor=WzEsMl0", 422, "bad_cursor"),
        ("GET", "/api/articles?cursor=WzEsMl0", 422, "bad_cursor"),
        ("GET", "/api/articles?product=%00", 422, "unstorable_value"),
        ("GET", f"/api/articles/{NOBODY}", 404, "article_missing"),
        ("DELETE", f"/api/keys/{NOBODY}", 404, "no_key"),
        ("PATCH", "/api/support/fields/none", 422, "invalid_request"),
    ],
)
async def test_a_wrong_address_is_refused_by_name(
    owner: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    answer = await owner.request(method, path)
    problem(answer, status, code)
    if status == 405:
        assert answer.headers["allow"]


@pytest.mark.parametrize(
    "body",
    [
        {"assignee": str(NOBODY)},
        {"intent": "nonsense"},
        {"status": "closed"},
        {"tags": [""]},
        {"tags": None},
        {"category": None},
        {"expected_version": "one"},
        {"expected_version": 10**12},
        {"custom_fields": {"undefined": 1}},
    ],
)
async def test_a_bad_change_changes_nothing(agent: httpx.AsyncClient, body: dict[str, Any]) -> None:
    made = await open_ticket(agent)
    refused = await agent.patch(f"{TICKET}/{made['id']}", json=body)
    assert refused.status_code == 422, refused.text
    assert refused.json()["errors"]
    assert (await agent.get(f"{TICKET}/{made['id']}")).json() == made


async def test_settings_that_cannot_be_read_are_refused(owner: httpx.AsyncClient) -> None:
    for settings in (
        {"routing": "x"},
        {"routing": {"by_category": {"nonsense": "team"}}},
        {"languages": 5},
        {"languages": ["xx"]},
        {"reopen_window_days": "long"},
        {"answer_threshold": 7},
    ):
        problem(await owner.patch("/api/organization", json={"settings": settings}), 422, "bad_policy")
    kept = await owner.patch("/api/organization", json={"settings": {"reopen_window_days": 3}})
    assert kept.json()["settings"] == {"reopen_window_days": 3}
    assert (await owner.patch("/api/organization", json={"settings": {"reopen_window_days": None}})).json()[
        "settings"
    ] == {}


async def test_text_in_any_script_is_kept_as_it_was_sent(agent: httpx.AsyncClient) -> None:
    text = "Ünïcödé 你好 🎉 مرحبا \u202e <script>alert(1)</script> '; drop table x; --"
    made = await open_ticket(agent, subject=text, body=text, metadata={"😀": [1.5, True, None, text]})
    assert (made["subject"], made["body"], made["metadata"]) == (text, text, {"😀": [1.5, True, None, text]})
    read = (await agent.get(f"/api/support/session/{made['session_id']}")).json()
    assert read["messages"][0]["content"] == text
