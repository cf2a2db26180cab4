"""What the document says is what is served: schemathesis tries it from there, and every answer fits its schema."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
import pytest
import schemathesis
from flow_cast import open_ticket
from pydantic import TypeAdapter

from asoe.api import answers
from asoe.api.http import api_routes, create_app
from asoe.api.permissions import RULES
from asoe.app import App
from cast import make_wish
from openapi_cast import made_up, send

if TYPE_CHECKING:
    from tests.conftest import Org

CASES_PER_ROUTE = 12
SEED = 20261123


@pytest.fixture
def document(app: App) -> dict[str, Any]:
    return json.loads(json.dumps(create_app(app).openapi(), default=str))


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_every_route_for_callers_is_documented_with_its_permission_and_problems(document: dict[str, Any]) -> None:
    hidden = {("GET", "/metrics"), ("GET", "/openapi.json"), ("GET", "/docs")}
    hidden |= {("POST", "/mcp"), ("GET", "/mcp"), ("GET", "/.well-known/oauth-protected-resource/mcp")}  # no REST
    hidden |= {("POST", "/a2a"), ("GET", "/.well-known/agent-card.json")}
    assert {(method, path) for method, path, _ in operations(document)} == set(RULES) - hidden
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)
    for method, path, operation in operations(document):
        rule = RULES[method, path]
        assert operation["x-permission"] == rule.permission
        assert operation["security"] == ([] if rule.is_public else [{"bearer": []}])
        assert {"422", "429", "500", "503"} <= operation["responses"].keys()
        if method == "POST" and not rule.is_public:
            assert "Idempotency-Key" in [each["name"] for each in operation["parameters"]]
    assert "HTTPValidationError" not in json.dumps(document)


async def test_schemathesis_finds_no_server_error(
    app: App, owner: httpx.AsyncClient, acme: Org, document: dict[str, Any]
) -> None:
    """Calls that the document allows and calls it forbids, seeded with ids that exist; bounded by cases and time."""
    made = await open_ticket(owner, contact={"email": "ana@client.example"})
    article = {"title": "A", "slug": "a", "language": "en", "body": "Text."}
    written = (await owner.post("/api/articles", json=article)).json()
    known = {
        "ticket_id": made["id"],
        "session_id": made["session_id"],
        "contact_id": made["contact_id"],
        "article_id": written["id"],
        "user_id": str(acme.agent.user_id),
        "number": made["number"],
        "wish_number": await make_wish(app.database, acme.engine, UUID(made["id"])),
    }
    schema = schemathesis.openapi.from_dict(document)
    cases: list[tuple[Any, str]] = []
    for method, path, _ in operations(document):
        if path.endswith("/events"):
            continue  # a stream that does not end
        cases += [(case, path) for case in made_up(schema[path][method], CASES_PER_ROUTE)]
    models = _models(app)
    chance = random.Random(SEED)
    chance.shuffle(cases)
    failures: list[str] = []
    statuses: set[int] = set()
    async with asyncio.timeout(60):
        for case, path in cases:
            if chance.random() < 0.5:
                case.path_parameters = {**(case.path_parameters or {}), **_known_in(path, known)}
            answer = await send(owner, case)
            if answer is None:
                continue
            statuses.add(answer.status_code)
            if answer.status_code >= 500:
                failures.append(f"{case.method} {path} {answer.status_code} {case.body!r:.300} {answer.text[:300]}")
            elif answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json", (path, answer.text)
                answers.Problem.model_validate(answer.json())
            elif answer.headers.get("content-type") == "application/json":
                models[case.method.upper(), path].validate_json(answer.content)
    assert not failures, "\n".join(failures)
    assert len(cases) > 300
    assert {200, 201, 404, 422} <= statuses


def _known_in(path: str, known: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in known.items() if f"{{{name}}}" in path}


def _models(app: App) -> dict[tuple[str, str], TypeAdapter[Any]]:
    """What each route says it answers."""
    return {
        (method, route.path): TypeAdapter(route.response_model)
        for route in api_routes(create_app(app))
        for method in route.methods or ()
        if route.response_model is not None
    }
