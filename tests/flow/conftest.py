"""Whole tickets through the HTTP door: the real application on a real database, with a judgement tests can foresee."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests.conftest import Dsns, Org

from asoe.api.http import create_app
from asoe.app import App
from asoe.config import Settings
from asoe.desk import people
from asoe.desk.context import Desk, Thresholds
from asoe.domain.answer import Answer
from asoe.domain.organization import Principal
from asoe.domain.triage import Estimate, Evidence, Triage
from asoe.queue import Queue
from asoe.secret_key import open_secret_key
from asoe.store.db import Database

WORDS = {
    "invoice": "billing",
    "crash": "bug_report",
    "slow": "performance",
    "login": "account",
    "webhook": "integration",
}


class PlainJudgement:
    """Judges by single words; answers nothing, so that every journey hands over."""

    async def triage(self, subject: str, body: str) -> Triage:
        text = f"{subject} {body}".lower()
        category = next((value for word, value in WORDS.items() if word in text), "general")
        severity = "critical" if "everything is down" in text else "medium"
        return Triage(
            category=Estimate(category, 0.9, (("general", 0.1),)),
            severity=Estimate(severity, 0.9),
            intent=Estimate("invoice_question" if category == "billing" else "wants_a_person", 0.9),
            language="en",
            language_confidence=0.99,
            scope=0.9,
            evidence=Evidence(words=tuple(word for word in WORDS if word in text)),
            requests=(),
            model_version="plain-1",
        )

    async def embed(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([np.random.default_rng(len(text)).normal(size=384) for text in texts]).astype(np.float32)

    async def answer(self, question: str, passages: Any, *, language: str, threshold: float) -> Answer | None:
        return None

    async def read_reply(self, text: str, language: str) -> str:
        return "wants_person"


@dataclass
class Clock:
    """Time that tests move; it passes by a millisecond at every look, so that an order can be told."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now

    def pass_by(self, **span: float) -> None:
        self.now += timedelta(**span)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(tmp_path: Path, dsns: Dsns) -> Settings:
    return Settings(
        _env_file=None,
        data_dir=tmp_path,
        database_app_url=dsns.app,
        database_system_url=dsns.system,
        rate_limit="100000/minute",
        rate_limit_anonymous="100000/minute",
        max_request_bytes=1024 * 1024,
        key_cache_seconds=0,
    )


@pytest.fixture
async def app(settings: Settings, database: Database, dsns: Dsns, clock: Clock) -> App:
    async with database.app.acquire() as connection:
        secret_key = await open_secret_key(settings.data_dir, connection)
    desk = Desk(database, Queue(), PlainJudgement(), clock, Thresholds(triage_budget=timedelta(seconds=5)))
    return App(settings, database, desk, secret_key, dsns.app, dsns.owner)


@pytest.fixture
def serve() -> Callable[[App], httpx.ASGITransport]:
    """The application of this process, without a socket."""
    return lambda app: httpx.ASGITransport(app=create_app(app), raise_app_exceptions=False)


@pytest.fixture
async def transport(app: App, serve: Callable[[App], httpx.ASGITransport]) -> httpx.ASGITransport:
    return serve(app)


Connect = Callable[[Principal], Awaitable[httpx.AsyncClient]]


@pytest.fixture
async def connect(app: App, acme: Org, globex: Org, transport: httpx.ASGITransport) -> AsyncIterator[Connect]:
    """An HTTP client that acts with the role, and in the organization, of a principal, through a key of its own."""
    opened: list[httpx.AsyncClient] = []
    owners = {org.org_id: org.owner for org in (acme, globex)}

    async def open_client(principal: Principal, **options: Any) -> httpx.AsyncClient:
        made = await people.create_key(
            app.desk, owners[principal.org_id], name=f"{principal.role} test", role=principal.role, **options
        )
        client = httpx.AsyncClient(
            transport=transport, base_url="http://asoe.test", headers={"Authorization": f"Bearer {made.token}"}
        )
        opened.append(client)
        return client

    yield open_client
    for client in opened:
        await client.aclose()


@pytest.fixture
async def agent(connect: Connect, acme: Org) -> httpx.AsyncClient:
    return await connect(acme.agent)


@pytest.fixture
async def owner(connect: Connect, acme: Org) -> httpx.AsyncClient:
    return await connect(acme.owner)


@pytest.fixture
async def client(connect: Connect, acme: Org) -> httpx.AsyncClient:
    """A key with the role client: it opens and sees tickets of its own account."""
    return await connect(acme.client)


@pytest.fixture
async def nobody(transport: httpx.ASGITransport) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=transport, base_url="http://asoe.test") as anonymous:
        yield anonymous


async def open_ticket(by: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    body = {"subject": "Question about an invoice", "body": "Where is the invoice of May?", **fields}
    response = await by.post("/api/support/ticket", json=body)
    assert response.status_code == 201, response.text
    return response.json()


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document of a refused request, checked for form."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["code"] == code, body
    assert body["status"] == status
    assert body["type"] == f"urn:asoe:problem:{code}"
    assert body["title"]
    assert body["detail"]
    assert body["instance"] == f"urn:asoe:request:{response.headers['x-request-id']}"
    return body
