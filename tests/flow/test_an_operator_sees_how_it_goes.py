"""Health, metrics, limits, headers and logs: what an operator relies on, and what must never be in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from flow_cast import open_ticket, problem
from structlog.testing import capture_logs

from asoe.app import App
from asoe.desk import insight, people
from asoe.domain.errors import Unavailable

if TYPE_CHECKING:
    from tests.conftest import Org

Serve = Callable[[App], httpx.ASGITransport]


def changed(app: App, **settings: Any) -> App:
    return replace(app, settings=app.settings.model_copy(update=settings))


async def token_of(app: App, org: Org, role: str = "agent") -> dict[str, str]:
    made = await people.create_key(app.desk, org.owner, name=role, role=role)
    return {"Authorization": f"Bearer {made.token}"}


async def test_health_needs_no_key_and_readiness_asks_the_database(nobody: httpx.AsyncClient, app: App) -> None:
    assert (await nobody.get("/healthz")).json() == {"status": "ok"}
    assert (await nobody.get("/readyz")).json() == {"status": "ok"}
    await app.database.app.close()
    problem(await nobody.get("/readyz"), 503, "database_unreachable")
    assert (await nobody.get("/healthz")).status_code == 200


async def test_metrics_count_by_route_and_name_nobody(agent: httpx.AsyncClient, nobody: httpx.AsyncClient) -> None:
    made = await open_ticket(agent)
    await agent.get(f"/api/support/ticket/{made['id']}")
    text = (await nobody.get("/metrics")).text
    assert 'route="/api/support/ticket/{ticket_id}",status="200"} 1.0' in text
    assert "asoe_http_request_seconds_bucket" in text
    assert 'asoe_queue_jobs{state="queued"} 1.0' in text
    assert made["id"] not in text


async def test_metrics_from_elsewhere_need_the_token(app: App, serve: Serve) -> None:
    guarded = serve(changed(app, metrics_token="correct-horse"))
    async with httpx.AsyncClient(transport=guarded, base_url="http://asoe.test") as caller:
        problem(await caller.get("/metrics"), 401, "bad_metrics_token")
        assert (await caller.get("/metrics", headers={"Authorization": "Bearer correct-horse"})).status_code == 200
    far = httpx.ASGITransport(app=serve(app).app, client=("203.0.113.9", 5))
    async with httpx.AsyncClient(transport=far, base_url="http://asoe.test") as caller:
        problem(await caller.get("/metrics"), 403, "metrics_from_elsewhere")


async def test_calls_past_the_rate_wait_their_turn(app: App, serve: Serve, acme: Org) -> None:
    limited = serve(changed(app, rate_limit="3/minute"))
    async with httpx.AsyncClient(
        transport=limited, base_url="http://asoe.test", headers=await token_of(app, acme)
    ) as caller:
        allowed = [await caller.get("/api/whoami") for _ in range(3)]
        assert [int(each.headers["ratelimit-remaining"]) for each in allowed] == [2, 1, 0]
        refused = await caller.get("/api/whoami")
        problem(refused, 429, "rate_limited")
        assert 1 <= int(refused.headers["retry-after"]) <= 120
        other = await caller.get("/api/whoami", headers=await token_of(app, acme))
        assert other.status_code == 200


async def test_guesses_past_the_rate_are_told_to_wait_and_good_keys_are_not(app: App, serve: Serve, acme: Org) -> None:
    limited = serve(changed(app, rate_limit_anonymous="2/minute"))
    async with httpx.AsyncClient(transport=limited, base_url="http://asoe.test") as caller:
        for _ in range(2):
            problem(await caller.get("/api/whoami"), 401, "no_credentials")
        problem(await caller.get("/api/whoami"), 429, "too_many_failures")
        guess = {"token": "x" * 40, "name": "Mallory"}
        problem(await caller.post("/api/invitations/accept", json=guess), 429, "too_many_failures")
        assert (await caller.get("/api/whoami", headers=await token_of(app, acme))).status_code == 200


async def test_every_answer_carries_its_id_and_the_security_headers(nobody: httpx.AsyncClient) -> None:
    for path in ("/healthz", "/nothing", "/api/whoami", "/docs", "/openapi.json"):
        headers = (await nobody.get(path, headers={"X-Request-Id": "call-0001"})).headers
        assert headers["x-request-id"] == "call-0001"
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
    forged = await nobody.get("/healthz", headers={"X-Request-Id": "two\twords"})
    assert len(forged.headers["x-request-id"]) == 32


async def test_the_page_of_the_api_needs_no_script(nobody: httpx.AsyncClient) -> None:
    page = await nobody.get("/docs")
    assert "/api/support/ticket" in page.text
    assert "<script" not in page.text
    assert "http://" not in page.text
    assert (await nobody.get("/openapi.json")).json()["openapi"].startswith("3.")


async def test_browsers_of_named_origins_only_may_call(app: App, serve: Serve) -> None:
    asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    async with httpx.AsyncClient(transport=serve(app), base_url="http://asoe.test") as caller:
        assert "access-control-allow-origin" not in (await caller.options("/api/support/ticket", headers=asked)).headers
    opened = serve(changed(app, cors_origins="https://shop.example, https://other.example"))
    async with httpx.AsyncClient(transport=opened, base_url="http://asoe.test") as caller:
        answer = await caller.options("/api/support/ticket", headers=asked)
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        foreign = {**asked, "Origin": "https://evil.example"}
        answer = await caller.options("/api/support/ticket", headers=foreign)
        assert "access-control-allow-origin" not in answer.headers


async def test_the_log_holds_no_text_of_a_client_and_no_secret(agent: httpx.AsyncClient) -> None:
    with capture_logs() as lines:
        await open_ticket(agent, subject="My secret subject", contact={"email": "ana@client.example"})
        await agent.get("/api/support/tickets", params={"q": "secret"})
        await agent.get("/api/support/ticket/secret")
        await agent.post("/api/support/ticket", json={"category": "secret"})
    assert [line["route"] for line in lines] == [
        "/api/support/ticket",
        "/api/support/tickets",
        "/api/support/ticket/{ticket_id}",
        "/api/support/ticket",
    ]
    assert [line["code"] for line in lines] == [None, None, "invalid_request", "invalid_request"]
    written = str(lines).lower()
    assert "secret" not in written
    assert "ana@" not in written
    assert agent.headers["authorization"].split("_")[-1].lower() not in written


async def test_a_fault_of_ours_is_an_id_to_the_caller_and_a_place_in_the_log(
    agent: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise RuntimeError("the client wrote: my secret")

    monkeypatch.setattr(insight, "get_stats", broken)
    with capture_logs() as lines:
        body = problem(await agent.get("/api/support/stats"), 500, "internal_error")
    assert "secret" not in str(body)
    failed = next(line for line in lines if line["event"] == "request.failed")
    assert failed["request_id"] in body["detail"]
    assert failed["error"] == "RuntimeError"
    assert " broken'" in str(failed["where"])
    assert "my secret" not in str(failed)


async def test_what_is_away_says_when_to_come_back(agent: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: Any) -> None:
        raise Unavailable("Not now.", code="unavailable", retry_after=7.2)

    monkeypatch.setattr(insight, "get_stats", away)
    answer = await agent.get("/api/support/stats")
    problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "8"
