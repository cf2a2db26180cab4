"""Clients in front of a widget, without a browser: how an organization signs them, and what they send."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from asoe.app import App
from asoe.desk import widget
from asoe.desk.resolution import Case
from asoe.desk.widget import WidgetChange
from asoe.domain.answer import Answer
from asoe.domain.organization import Principal
from asoe.domain.resolution import Citation

PAGE = "https://shop.acme.example"


async def answer_once(_desk: Any, _engine: Principal, case: Case) -> Answer | None:
    """In place of a knowledge base with one article."""
    if case.cited:
        return None
    article = "00000000-0000-4000-8000-000000000001"
    found = Citation(article, "invoices", "Where invoices are", "Find them", "Open Billing.")
    text = "From the article **Where invoices are**:\n\n1. Open *Billing*. [1]\n2. Choose May."
    return Answer(text, (found,), 0.9, ("Open *Billing*.", "Choose May."))


def signed(secret: str, **claims: Any) -> str:
    """An identity as any server would sign it, by nothing but the standard library."""
    said = {"exp": int(time.time()) + 600, **claims}
    parts = [_text(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, said)]
    mac = hmac.new(secret.encode(), ".".join(parts).encode(), hashlib.sha256).digest()
    return ".".join([*parts, _text(mac)])


async def set_up(app: App, owner: Principal, **given: Any) -> str:
    """Turn the widget on, and return its secret."""
    change = WidgetChange(**{"is_on": True, "takes_anonymous": True, "origins": [PAGE], **given})
    await widget.change_widget(app.desk, owner, change)
    return (await widget.make_secret(app.desk, owner)).secret


@dataclass
class Chat:
    """One client's way to the API."""

    http: httpx.AsyncClient
    org: str
    token: str = ""
    visitor: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    async def start(self, **body: Any) -> httpx.Response:
        answer = await self.http.post(f"/api/widget/{self.org}/start", json=body, headers=self.headers)
        if answer.status_code == 200:
            self.token, self.visitor = answer.json()["token"], answer.json()["visitor"]
        return answer

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.http.get(f"/api/widget/{self.org}/conversations{path}", headers=self._named(), **options)

    async def post(self, path: str, body: Any = None, *, key: str | None = None, **options: Any) -> httpx.Response:
        headers = self._named() | ({"Idempotency-Key": key} if key else {})
        sent = {"json": body} if body is not None else {}
        address = f"/api/widget/{self.org}/conversations{path}"
        return await self.http.post(address, headers=headers, **sent, **options)

    async def open(self, text: str = "Where is the invoice of May?", **more: Any) -> dict[str, Any]:
        answer = await self.post("", {"text": text, **more})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def _named(self) -> dict[str, str]:
        return {**self.headers, **({"Authorization": f"Bearer {self.token}"} if self.token else {})}


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
