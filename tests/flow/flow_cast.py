"""A judgement that tests can foresee, a clock they move, and how they open tickets and read problems."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np

from asoe.connectors.contract import Action, ConnectorError, Health, Probe
from asoe.domain.answer import Answer
from asoe.domain.organization import Principal
from asoe.domain.triage import Estimate, Evidence, Triage

Connect = Callable[[Principal], Awaitable[httpx.AsyncClient]]
WORDS = {
    "invoice": "billing",
    "crash": "bug_report",
    "slow": "performance",
    "login": "account",
    "webhook": "integration",
}


UNLOCK = """
runbook: unlock-account
title: Your account is unlocked
resolution_type: auto_fix
match:
  when: =false
connectors: {estate: estate}
goal:
  reads: [{call: estate.get_account, with: {id: "1"}, into: account}]
  met: =account.status == "active"
steps:
  - fix: unlock
    check: [{call: estate.get_account, with: {id: "1"}, into: account}]
    when: =account.status == "locked"
    act: {call: estate.unlock, with: {id: "1"}, once_per: =account.case, undo: {call: estate.lock, with: {id: "1"}}}
"""


class PlainJudgement:
    """Judges by single words; answers nothing, so that every journey hands over."""

    triage_backlog = timedelta(0)

    async def triage(self, subject: str, body: str, **_: Any) -> Triage:
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

    async def work(self, task: Callable[[Any], Any]) -> Any:
        return task(SimpleNamespace(triage_model=SimpleNamespace(version="plain-1")))

    async def embed(self, texts: Sequence[str]) -> np.ndarray:
        if not texts:
            return np.zeros((0, 384), np.float32)
        return np.stack([np.random.default_rng(len(text)).normal(size=384) for text in texts]).astype(np.float32)

    async def answer(self, question: str, passages: Any, *, language: str, threshold: float) -> Answer | None:
        return None

    async def read_slots(self, slots: Any, passages: Any, *, language: str, beside: Any = ()) -> dict[str, Any]:
        return {}

    async def read_reply(self, text: str, language: str) -> str:
        return "wants_person"

    async def read_reasons(self, texts: Sequence[str]) -> list[dict[str, float]]:
        return [{} for _ in texts]


@dataclass
class Clock:
    """Time that tests move; it passes by a millisecond at every look, so that an order can be told."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now

    def pass_by(self, **span: float) -> None:
        self.now += timedelta(**span)


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


class Estate:
    kind = "estate"

    def __init__(self) -> None:
        self.account = {"status": "locked", "case": "c1"}
        self.effects = 0

    async def actions(self) -> dict[str, Action]:
        acts = [Action(name, "reversible", repeats="by_key") for name in ("unlock", "lock")]
        return {action.name: action for action in (Action("get_account", "read"), *acts)}

    async def read(self, action: str, arguments: Any, *, timeout: float) -> Any:
        if arguments != {"id": "1"}:
            raise ConnectorError("no such account", permanent=True, is_missing=True)
        return dict(self.account)

    async def act(self, action: str, arguments: Any, *, key: str, timeout: float) -> Any:
        self.effects += 1
        self.account["status"] = "active"
        return {}

    async def probe(self, action: str, arguments: Any, *, key: str, timeout: float) -> Probe:
        return Probe("unknown")

    async def health(self) -> Health:
        return Health(is_up=True)

    async def close(self) -> None:
        pass
