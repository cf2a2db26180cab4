"""An admin adds, checks, changes, disables and removes a connector over the API; its secrets never come back out."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from flow_cast import Connect
from pydantic import TypeAdapter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from asoe.api import connectors as api
from asoe.app import App, open_connectors
from asoe.connectors.contract import ConnectorError
from asoe.desk import connector_settings
from asoe.desk.breaker import OPENS_AFTER
from asoe.domain.errors import Denied

if TYPE_CHECKING:
    from tests.conftest import Org

SECRET = "s3cr3t-never-shown-4711"
PATH = "/api/support/connectors"


@pytest.fixture
async def app(app: App) -> AsyncIterator[App]:
    """With connectors, and with private addresses allowed."""
    connectors = open_connectors(app.database, app.secret_key, app.desk.engine_of)
    settings = app.settings.model_copy(update={"connector_private": True})
    yield replace(app, settings=settings, desk=replace(app.desk, connectors=connectors))
    await connectors.close()


@pytest.fixture
async def system(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """An outside system in this process, behind the guard's transport; it says what is in `says` and notes who asks."""
    seen: dict[str, Any] = {"status": 200, "authorization": None}

    async def ping(request: Request) -> JSONResponse:
        seen["authorization"] = request.headers.get("authorization")
        return JSONResponse({"ok": True, "echo": seen["authorization"]}, seen["status"])

    inside = httpx.ASGITransport(app=Starlette(routes=[Route("/{any:path}", ping)]))

    async def send(self: Any, request: httpx.Request, **_: Any) -> Any:
        from asoe.connectors.outbound import Answer

        response = await inside.handle_async_request(request)
        return Answer(response.status_code, response.headers, await response.aread())

    monkeypatch.setattr("asoe.connectors.outbound.Outbound.send", send)
    return seen


def crm(**more: Any) -> dict[str, Any]:
    config = {
        "base_url": "https://crm.example",
        "auth": {"type": "bearer"},
        "health": "ping",
        "operations": {"ping": {"method": "GET", "path": "/ping"}, "mend": {"method": "POST", "path": "/mend"}},
    }
    return {"name": "crm", "kind": "http", "config": config, "secrets": {"token": SECRET}, **more}


async def test_a_connector_lives_over_http(
    owner: httpx.AsyncClient, app: App, acme: Org, system: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answers = [await owner.post(PATH, json=crm())]
    assert answers[0].status_code == 201
    answers += [await owner.get(PATH), await owner.get(f"{PATH}/crm"), await owner.get(f"{PATH}/crm/actions")]
    assert answers[3].json()["unclassified"] == {"mend": "is unclassified: give it a risk (risks)"}
    answers.append(await owner.post(f"{PATH}/crm/check"))
    assert answers[-1].json()["is_up"] is True
    assert system["authorization"] == f"Bearer {SECRET}"
    change = {"config": {"risks": {"mend": "reversible"}}, "secrets": {"token": f"{SECRET}-2"}}
    answers.append(await owner.patch(f"{PATH}/crm", json=change))
    answers.append(await owner.get(f"{PATH}/crm/actions"))
    assert {each["name"]: each["risk"] for each in answers[-1].json()["items"]} == {
        "ping": "read",
        "mend": "reversible",
    }
    system["status"] = 401
    answers.append(await owner.post(f"{PATH}/crm/check"))
    assert answers[-1].json()["is_up"] is False
    assert system["authorization"] == f"Bearer {SECRET}-2"
    answers.append(await owner.patch(f"{PATH}/crm", json={"disabled": True, "why": "audit"}))
    assert answers[-1].json()["disabled_why"] == "audit"
    answers.append(await owner.post(f"{PATH}/crm/check"))
    assert answers[-1].json()["code"] == "connector_disabled"
    answers.append(await owner.patch(f"{PATH}/crm", json={"disabled": False}))
    answers.append(await owner.delete(f"{PATH}/crm"))
    assert answers[-1].status_code == 204
    assert (await owner.get(f"{PATH}/crm")).json()["code"] == "no_connector"
    for each in answers:
        assert SECRET not in each.text + str(each.headers)
    assert SECRET not in caplog.text
    for answer, shape in (
        (answers[0], api.ConnectorOut),
        (answers[1], api.ConnectorPage),
        (answers[3], api.ActionsOut),
    ):
        TypeAdapter(shape).validate_python(answer.json(), strict=False)


async def test_a_repeated_call_adds_once_and_remembers_no_secret(
    owner: httpx.AsyncClient, app: App, acme: Org, dsns: Any
) -> None:
    import asyncpg

    headers = {"Idempotency-Key": "add-crm"}
    first = await owner.post(PATH, json=crm(), headers=headers)
    again = await owner.post(PATH, json=crm(), headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json() == first.json()
    connection = await asyncpg.connect(dsns.owner)
    kept = await connection.fetchval("select string_agg(r::text, ' ') from asoe.idempotency_keys r")
    await connection.close()
    assert SECRET not in kept


async def test_wrong_input_is_named_and_not_repeated(owner: httpx.AsyncClient) -> None:
    cases = (
        (crm(name="Crm"), "name"),
        (crm(kind="magic"), "kind"),
        (crm(config={"base_url": "http://crm.example"}), "config.base_url"),
        (crm(config={"base_url": "https://crm.example", "auth": {"type": SECRET}}), "config.auth"),
        (crm(secrets={"token": [SECRET]}), "secrets.token"),
        (crm(secrets={"token": f"{SECRET}\n"}), "secrets.token"),
        (crm(extra=SECRET), "extra"),
    )
    for body, field in cases:
        refused = await owner.post(PATH, json=body)
        assert refused.status_code == 422, refused.text
        assert field in [each["field"] for each in refused.json()["errors"]]
        assert SECRET not in refused.text
    assert (await owner.patch(f"{PATH}/none", json={"config": {}})).status_code == 404
    assert (await owner.patch(f"{PATH}/none", json={})).status_code == 422
    assert (await owner.patch(f"{PATH}/none", json={"disabled": True, "config": {}})).status_code == 422


async def test_a_document_is_shown_as_what_it_is(owner: httpx.AsyncClient) -> None:
    document = {
        "openapi": "3.1.0",
        "info": {"title": "CRM", "version": "2"},
        "paths": {"/a": {"get": {}}, "/b": {"get": {}}},
    }
    added = await owner.post(PATH, json=crm(config={"base_url": "https://crm.example", "openapi": document}))
    assert added.json()["config"]["openapi"] == {"title": "CRM", "version": "2", "paths": 2}
    changed = await owner.patch(f"{PATH}/crm", json={"config": {"concurrency": 4}})
    assert changed.json()["config"]["openapi"]["paths"] == 2
    assert len((await owner.get(f"{PATH}/crm/actions")).json()["items"]) == 2


async def test_nobody_else_sees_or_calls_it(owner: httpx.AsyncClient, connect: Connect, acme: Org, globex: Org) -> None:
    await owner.post(PATH, json=crm())
    stranger = await connect(globex.owner)
    assert (await stranger.get(PATH)).json()["items"] == []
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/check"), ("GET", "/actions")):
        assert (await stranger.request(method, f"{PATH}/crm{path}")).status_code == 404
    assert (await stranger.patch(f"{PATH}/crm", json={"disabled": True})).status_code == 404
    for principal in (acme.agent, acme.client):
        caller = await connect(principal)
        assert (await caller.get(PATH)).status_code == 403
        assert (await caller.post(PATH, json=crm(name="mine"))).status_code == 403
    narrow = await connect(acme.owner, scopes=["tickets:write"])
    assert (await narrow.get(PATH)).status_code == 403


async def test_an_operator_decides_about_private_addresses(owner: httpx.AsyncClient, app: App) -> None:
    inside = crm(allow_private=True, config={"base_url": "http://127.0.0.1:1", "allow_http": True})
    assert (await owner.post(PATH, json=inside)).status_code == 201
    app.settings.connector_private = False
    refused = await owner.post(PATH, json={**inside, "name": "other"})
    assert (refused.status_code, refused.json()["code"]) == (403, "private_not_allowed")
    moved = await owner.patch(f"{PATH}/crm", json={"config": {"base_url": "http://127.0.0.1:2"}})
    assert moved.json()["code"] == "private_not_allowed"
    assert json.loads((await owner.get(f"{PATH}/crm")).text)["config"]["base_url"] == "http://127.0.0.1:1"


async def test_what_was_last_wrong_is_written_down_with_the_pause(
    owner: httpx.AsyncClient, app: App, acme: Org, globex: Org, system: dict[str, Any]
) -> None:
    assert (await owner.post(PATH, json=crm())).status_code == 201
    assert await connector_settings.list_troubles(app.desk, acme.owner) == {}
    system["status"] = 503
    hand = await app.desk.connectors.use(acme.org_id, "crm")
    for _ in range(OPENS_AFTER):
        with pytest.raises(ConnectorError):
            await hand.read("ping", {})
    [trouble] = (await connector_settings.list_troubles(app.desk, acme.owner)).values()
    assert "503" in trouble.detail
    assert SECRET not in trouble.detail
    assert trouble.paused_until is not None
    assert trouble.ended_at is None
    assert await connector_settings.list_troubles(app.desk, globex.owner) == {}
    with pytest.raises(Denied):
        await connector_settings.list_troubles(app.desk, acme.agent)
    system["status"] = 200
    other = open_connectors(app.database, app.secret_key, app.desk.engine_of)  # as another process would
    assert (await (await other.use(acme.org_id, "crm")).health()).is_up
    await other.close()
    [trouble] = (await connector_settings.list_troubles(app.desk, acme.owner)).values()
    assert (trouble.paused_until, trouble.ended_at is None) == (None, False)
