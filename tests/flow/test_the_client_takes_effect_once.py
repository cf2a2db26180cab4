"""The Python client: whole tickets over a real socket, typed problems, and no second effect however often it had to ask."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from flow_cast import Clock, open_ticket

from asoe.app import App
from asoe.client import Asoe, AsyncAsoe, Conflict, Denied, Invalid, Missing, Patience, Unavailable
from asoe.desk import journey, people

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import export_resolved
import open_a_ticket

EXAMPLES = Path(__file__).parents[2] / "examples"
AT_ONCE = Patience(attempts=4, first_wait=0, longest_wait=0)


@pytest.fixture
async def key(app: App, acme: Any) -> str:
    return (await people.create_key(app.desk, acme.owner, name="client", role="agent")).token


class Flaky(httpx.AsyncBaseTransport):
    """Loses answers: what was asked takes effect, and `losses` times nobody hears of it."""

    def __init__(self, inner: httpx.AsyncBaseTransport, losses: int) -> None:
        self.inner = inner
        self.losses = losses
        self.sent: list[tuple[str, str | None]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append((request.method, request.headers.get("idempotency-key")))
        response = await self.inner.handle_async_request(request)
        if self.losses:
            self.losses -= 1
            await response.aread()
            raise httpx.ReadError("the connection broke")
        return response


@pytest.fixture
async def through(transport: httpx.ASGITransport, key: str) -> AsyncIterator[Callable[..., AsyncAsoe]]:
    opened: list[AsyncAsoe] = []

    def connect(losses: int = 0, token: str = key) -> AsyncAsoe:
        flaky = Flaky(transport, losses)
        opened.append(AsyncAsoe("http://asoe.test", token, transport=flaky, patience=AT_ONCE))
        return opened[-1]

    yield connect
    for asoe in opened:
        await asoe.close()


async def test_an_answer_that_was_lost_three_times_is_one_ticket(through: Callable[..., AsyncAsoe]):
    asoe = through(losses=3)
    ticket = await asoe.create_ticket(subject="Invoice", body="Where is the invoice of May?")
    assert ticket.category == "billing"
    assert [found.id async for found in asoe.each_ticket()] == [ticket.id]
    sent = asoe._http._transport.sent[:4]
    assert [method for method, _ in sent] == ["POST"] * 4
    assert len({key for _, key in sent}) == 1
    said = await asoe.add_message(ticket.session_id, "More of it", role="agent")
    assert said.seq == 2


async def test_a_change_whose_answer_was_lost_is_not_repeated(through: Callable[..., AsyncAsoe]):
    ticket = await through().create_ticket(body="Where is the invoice of May?")
    asoe = through(losses=1)
    with pytest.raises(Unavailable) as caught:
        await asoe.change_ticket(ticket.id, severity="high")
    assert caught.value.code == "connection_lost"
    assert len(asoe._http._transport.sent) == 1
    assert (await asoe.get_ticket(ticket.id)).severity == "high"


async def test_problems_are_errors_with_their_code(through: Callable[..., AsyncAsoe], app: App, acme: Any):
    asoe = through()
    with pytest.raises(Invalid) as invalid:
        await asoe.create_ticket(body="x", category="nonsense")
    assert invalid.value.fields[0].field == "category"
    ticket = await asoe.create_ticket(body="Where is the invoice of May?", idempotency_key="order-1")
    with pytest.raises(Invalid) as reused:
        await asoe.create_ticket(body="Something else", idempotency_key="order-1")
    assert reused.value.code == "idempotency_key_reused"
    with pytest.raises(Missing):
        await asoe.get_ticket(acme.org_id)
    with pytest.raises(Conflict) as stale:
        await asoe.change_ticket(ticket.id, severity="low", expected_version=99)
    assert stale.value.code == "version_conflict" or stale.value.code.endswith("changed")
    with pytest.raises(Denied) as denied:
        await asoe.request("GET", "/api/keys")
    assert denied.value.code == "role_not_permitted"
    with pytest.raises(Denied) as nobody:
        await through(token="asoe_nonsense").whoami()
    assert nobody.value.unproven
    assert (await asoe.whoami()).role == "agent"
    attached = await asoe.attach(ticket.id, "log.txt", b"all is lost")
    assert await asoe.download(attached.id) == b"all is lost"


def answering(*answers: httpx.Response | Exception) -> tuple[httpx.MockTransport, list[httpx.Request]]:
    left, seen = list(answers), []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return httpx.MockTransport(handler), seen


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    body = {"status": status, "code": code, "detail": "…"}
    return httpx.Response(status, json=body, headers={"content-type": "application/problem+json", **headers})


STATS = httpx.Response(
    200,
    json={
        "total_tickets": 1,
        "open_tickets": 1,
        "resolved_rate": None,
        "avg_resolution_time": None,
        "by_category": {},
        "new": 1,
    },
)


@pytest.mark.parametrize(
    ("failure", "times"),
    [
        (problem(503, "database_busy", **{"retry-after": "0"}), 2),
        (problem(429, "rate_limited", **{"retry-after": "0"}), 2),
        (httpx.Response(502, text="bad gateway"), 2),
        (httpx.ConnectError("refused"), 2),
        (httpx.ReadTimeout("slow"), 2),
        (problem(503, "no_app_url"), 1),
        (problem(500, "internal_error"), 1),
        (problem(404, "ticket_missing"), 1),
    ],
    ids=lambda value: getattr(value, "text", repr(value))[:40],
)
def test_only_what_may_pass_is_asked_again(failure: Any, times: int):
    transport, seen = answering(failure, STATS)
    with Asoe("http://asoe.test", "key", transport=transport, patience=AT_ONCE) as asoe:
        if times == 1:
            with pytest.raises((Unavailable, Missing)):
                asoe.get_stats()
        else:
            assert asoe.get_stats().total_tickets == 1
    assert len(seen) == times


def test_a_delete_that_was_never_taken_up_is_sent_again(monkeypatch: pytest.MonkeyPatch):
    transport, seen = answering(httpx.ConnectError("refused"), problem(429, "rate_limited"), httpx.Response(204))
    waited: list[float] = []
    monkeypatch.setattr("asoe.client.synchronous.time.sleep", waited.append)
    with Asoe("http://asoe.test", "key", transport=transport, patience=AT_ONCE) as asoe:
        assert asoe.request("DELETE", "/api/support/fields/plan") is None
    assert len(seen) == 3
    assert waited == [0.0, 1.0]


@pytest.mark.parametrize("example", ["open_a_ticket.py", "export_resolved.py"])
def test_an_example_says_what_it_lacks(example: str) -> None:
    def tried(*arguments: str, **environment: str) -> tuple[int, str]:
        command = [sys.executable, str(EXAMPLES / example), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stderr

    assert tried("7")[1].startswith("ASOE_URL is not set.")
    assert tried("7", ASOE_URL="http://127.0.0.1:9")[1].startswith("ASOE_KEY is not set.")
    code, said = tried()
    assert (code, f"python examples/{example}" in said) == (1, True)


async def test_the_twin_and_the_examples_run_over_a_real_socket(served: str, key: str, app: App, acme: Any):
    async with AsyncAsoe(served, key) as asoe:

        async def work() -> None:
            while True:
                for ticket in await asoe.get_open_tickets():
                    await journey.carry_on(app.desk, acme.org_id, ticket.id)
                await asyncio.sleep(0.02)

        working = asyncio.create_task(work())
        try:
            lines = await open_a_ticket.ask(asoe, "Where is the invoice of May?", timeout=20)
        finally:
            working.cancel()
        assert lines[0] == "user: Where is the invoice of May?"

    def by_the_twin() -> str:
        with Asoe(served, key) as twin:
            (ticket,) = twin.each_ticket()
            assert ticket.status == "escalated"
            assert twin.get_dossier(ticket.id).team == "billing"
            assert twin.get_passes(ticket.id)[0].invocations
            twin.close_ticket(ticket.id)
            out = io.StringIO()
            assert export_resolved.export(twin, out, since=datetime.now(UTC) - timedelta(days=1)) == 1
            return out.getvalue()

    assert "billing" in await asyncio.to_thread(by_the_twin)


async def test_a_stream_is_taken_up_where_it_broke(served: str, key: str, agent: httpx.AsyncClient, clock: Clock):
    opened = await open_ticket(agent)
    async with AsyncAsoe(served, key, patience=AT_ONCE) as asoe, asyncio.timeout(20):
        async with aclosing(asoe.follow(opened["session_id"], after="1-1")) as changes:
            first = await anext(changes)
            assert first.kind == "ticket.opened"
        await asoe.add_message(opened["session_id"], "A person is here", role="agent")
        async with aclosing(asoe.follow(opened["session_id"], after=first.id)) as changes:
            kinds = [(await anext(changes)).kind for _ in range(2)]
        assert "message.added" in kinds
