"""Where arguments go, who we say we are, what an answer means, how an act is probed, and what a document describes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from connector_cast import ORG, SECRET, Stub, answer, http, opening, served
from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel, Field

from asoe.connectors.contract import ConnectorError
from asoe.connectors.http import open_http, prepare_http
from asoe.connectors.kinds import Opening
from asoe.connectors.mcp import open_mcp
from asoe.connectors.openapi import check_document, operations_of, read_document
from asoe.domain.errors import Invalid


async def one_call(system: Stub, operation: dict[str, Any], arguments: dict[str, Any], **config: Any) -> Any:
    """Call an operation written by hand; what came over the wire is in `system.heard`."""
    connector = http(system.url, config.pop("secrets", None), operations={"go": operation}, **config)
    try:
        if operation.get("risk", "read") == "read":
            return await connector.read("go", arguments, timeout=3)
        return await connector.act("go", arguments, key="key-1", timeout=3)
    finally:
        await connector.close()


PLACES = {
    "method": "POST",
    "path": "/customers/{id}/lines/{line}",
    "risk": "reversible",
    "parameters": {
        "line": {"in": "path"},
        "state": {"in": "query"},
        "tags": {"in": "query", "as": "tag[]"},
        "session": {"in": "header", "as": "X-Session"},
        "note": {},
        "amount": {"as": "amount_cents", "schema": {"type": "integer"}},
    },
}


async def test_each_argument_goes_to_its_place(system: Stub):
    system.says("/api/customers/C%2F1/lines/7", {"ok": True})
    connector = http(f"{system.url}/api/", operations={"go": PLACES})
    arguments = {"id": "C/1", "line": 7, "state": True, "tags": ["a", "b&c"], "session": "s1", "note": "ä", "amount": 5}
    assert await connector.act("go", arguments, key="k", timeout=3) == {"ok": True}
    await connector.close()
    (heard,) = system.heard
    assert heard.target == "/api/customers/C%2F1/lines/7?state=true&tag%5B%5D=a&tag%5B%5D=b%26c"
    assert heard.headers["x-session"] == "s1"
    assert heard.headers["content-type"] == "application/json"
    assert heard.json == {"note": "ä", "amount_cents": 5}
    assert "idempotency-key" not in heard.headers, "only where the system makes it one effect"


async def test_a_form_and_a_whole_body_are_sent_as_such(system: Stub):
    system.says("/f", {})
    await one_call(
        system,
        {"method": "POST", "path": "/f", "risk": "costly", "body": "form", "parameters": {"a": {}, "b": {}}},
        {"a": "x y", "b": [1, 2]},
    )
    whole = {"method": "PUT", "path": "/f", "risk": "costly", "parameters": {"all": {"whole": True}}}
    await one_call(system, whole, {"all": [1, {"a": None}]})
    assert system.heard[0].body == b"a=x+y&b=1&b=2"
    assert system.heard[1].json == [1, {"a": None}]


@pytest.mark.parametrize("value", ["..", ".", "", None, ["x"], {"a": 1}])
async def test_no_argument_leads_out_of_its_place_in_the_path(system: Stub, value: Any):
    with pytest.raises(ConnectorError, match="cannot be a part of a path") as caught:
        await one_call(system, {"method": "GET", "path": "/customers/{id}"}, {"id": value})
    assert (caught.value.permanent, caught.value.effect) == (True, "none")
    assert system.heard == []


@pytest.mark.parametrize("value", ["../admin", "1/../../admin", "1?x=1", "1#x", "%2e%2e", "a b", "ü", "{id}"])
async def test_an_argument_stays_one_segment(system: Stub, value: str):
    with pytest.raises(ConnectorError):
        await one_call(system, {"method": "GET", "path": "/customers/{id}"}, {"id": value})
    assert system.heard[0].target.count("/") == 2
    assert "?" not in system.heard[0].target


@pytest.mark.parametrize("value", ["a\r\nX-Admin: 1", "a\nb", "a\x00", "ü"])
async def test_no_argument_makes_a_header_of_its_own(system: Stub, value: str):
    operation = {"method": "GET", "path": "/x", "parameters": {"s": {"in": "header", "as": "X-Session"}}}
    with pytest.raises(ConnectorError, match="cannot be a header"):
        await one_call(system, operation, {"s": value})
    assert system.heard == []


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"line": 1}, "id is required"),
        ({"id": 1, "line": 1, "amount": "5"}, "amount breaks the rule type"),
        ({"id": 1, "line": 1, "evil": 1}, "evil is not known"),
    ],
)
async def test_arguments_are_checked_before_anything_is_sent(system: Stub, arguments: dict[str, Any], problem: str):
    with pytest.raises(ConnectorError, match=problem) as caught:
        await one_call(system, PLACES, arguments)
    assert caught.value.effect == "none"
    assert system.connections == 0


# --- risk ---


async def test_what_has_no_risk_cannot_be_used():
    operations = {"look": {"method": "GET", "path": "/x"}, "go": {"method": "POST", "path": "/x"}}
    connector = http("http://127.0.0.1:1", operations=operations)
    assert set(await connector.actions()) == {"look"}
    assert "unclassified" in connector.unclassified()["go"]
    for call in (connector.act("go", {}, key="k", timeout=1), connector.read("go", {}, timeout=1)):
        with pytest.raises(ConnectorError, match="unclassified"):
            await call
    classified = http("http://127.0.0.1:1", operations=operations, risks={"go": "irreversible"})
    assert (await classified.actions())["go"].risk == "irreversible"


async def test_a_read_is_never_an_act_and_an_act_never_a_read(system: Stub):
    operations = {"look": {"method": "GET", "path": "/x"}, "go": {"method": "POST", "path": "/x", "risk": "reversible"}}
    connector = http(system.url, operations=operations)
    with pytest.raises(ConnectorError, match="is no read"):
        await connector.read("go", {}, timeout=1)
    with pytest.raises(ConnectorError, match="no act"):
        await connector.act("look", {}, key="k", timeout=1)
    with pytest.raises(ConnectorError, match="there is no action"):
        await connector.read("missing", {}, timeout=1)
    assert system.connections == 0


# --- who we are ---


async def called_with(system: Stub, auth: dict[str, Any], secrets: dict[str, str]) -> Any:
    system.says("/x", {})
    await one_call(
        system,
        {"method": "GET", "path": "/x", "parameters": {"q": {"in": "query"}}},
        {"q": 1},
        auth=auth,
        secrets=secrets,
    )
    return system.heard[-1]


async def test_bearer_basic_and_api_keys(system: Stub):
    heard = await called_with(system, {"type": "bearer"}, {"token": SECRET})
    assert heard.headers["authorization"] == f"Bearer {SECRET}"
    heard = await called_with(system, {"type": "basic", "username": "ana"}, {"password": SECRET})
    assert base64.b64decode(heard.headers["authorization"].split()[1]).decode() == f"ana:{SECRET}"
    heard = await called_with(system, {"type": "api_key", "name": "X-Token", "prefix": "Token "}, {"api_key": SECRET})
    assert heard.headers["x-token"] == f"Token {SECRET}"
    heard = await called_with(system, {"type": "api_key", "name": "key", "in": "query"}, {"api_key": SECRET})
    assert heard.target == f"/x?q=1&key={SECRET}"


async def test_a_signature_is_over_time_method_target_and_body(system: Stub):
    system.says("/x", {})
    auth = {"type": "hmac", "key_id": "k1"}
    operation = {"method": "POST", "path": "/x", "risk": "costly", "parameters": {"q": {"in": "query"}, "b": {}}}
    await one_call(system, operation, {"q": "ä", "b": 1}, auth=auth, secrets={"hmac_secret": SECRET})
    heard = system.heard[0]
    at = heard.headers["x-timestamp"]
    text = f"{at}\nPOST\n{heard.target}\n{hashlib.sha256(heard.body).hexdigest()}"
    assert heard.headers["x-signature"] == hmac.new(SECRET.encode(), text.encode(), "sha256").hexdigest()
    assert abs(int(at) - time.time()) < 5
    assert heard.headers["x-key-id"] == "k1"


async def test_an_access_token_is_fetched_once_and_anew_when_refused(system: Stub):
    system.on(
        "/token",
        answer({"access_token": "token-one", "token_type": "Bearer", "expires_in": 3600}),
        answer({"access_token": "token-two", "token_type": "bearer", "expires_in": 3600}),
    )
    system.on("/x", answer({}), answer({}), answer({}, 401), answer({"n": 4}))
    auth = {"type": "oauth2", "token_url": f"{system.url}/token", "client_id": "asoe", "scope": "read"}
    connector = http(
        system.url, {"client_secret": SECRET}, auth=auth, operations={"go": {"method": "GET", "path": "/x"}}
    )
    results = [await connector.read("go", {}, timeout=3) for _ in range(3)]
    await connector.close()
    assert results[-1] == {"n": 4}
    tokens = [each for each in system.heard if each.path == "/token"]
    assert [each.body for each in tokens] == [b"grant_type=client_credentials&scope=read"] * 2
    assert base64.b64decode(tokens[0].headers["authorization"].split()[1]).decode() == f"asoe:{SECRET}"
    used = [each.headers["authorization"] for each in system.heard if each.path == "/x"]
    assert used == ["Bearer token-one"] * 3 + ["Bearer token-two"]


@pytest.mark.parametrize(
    "told", [{"access_token": ""}, {"token_type": "mac", "access_token": "x"}, [], {"error": SECRET}]
)
async def test_without_a_token_nothing_is_called(system: Stub, told: Any):
    system.says("/token", told)
    auth = {"type": "oauth2", "token_url": f"{system.url}/token", "client_id": "asoe"}
    with pytest.raises(ConnectorError, match="without a bearer token") as caught:
        await one_call(
            system, {"method": "POST", "path": "/x", "risk": "costly"}, {}, auth=auth, secrets={"client_secret": SECRET}
        )
    assert caught.value.effect == "none"
    assert [each.path for each in system.heard] == ["/token"]


async def test_a_secret_that_is_not_there_is_named(system: Stub):
    with pytest.raises(ConnectorError, match="no secret 'token'"):
        await one_call(system, {"method": "GET", "path": "/x"}, {}, auth={"type": "bearer"})
    assert system.heard == []


# --- results ---


@pytest.mark.parametrize(
    ("body", "operation", "result"),
    [
        ({"data": [{"id": 1}, {"id": 2}]}, {"result": "data.1.id"}, 2),
        ({"result": '{"a": 1}'}, {"result": "result", "parse_text": True}, {"a": 1}),
        ({"result": "plain words"}, {"result": "result", "parse_text": True}, "plain words"),
        (b"", {}, None),
        ({"a": None}, {"result": "a"}, None),
    ],
)
async def test_the_result_is_where_the_configuration_says(
    system: Stub, body: Any, operation: dict[str, Any], result: Any
):
    system.says("/x", body)
    assert await one_call(system, {"method": "GET", "path": "/x", **operation}, {}) == result


async def test_text_that_claims_to_be_nothing_else_is_text(system: Stub):
    system.says("/x", b"pong\xff", content_type="text/plain")
    assert await one_call(system, {"method": "GET", "path": "/x"}, {}) == "pong\ufffd"


async def test_a_result_that_is_not_where_it_should_be_is_an_error(system: Stub):
    system.says("/x", {"other": 1})
    for risk, effect in (("read", "none"), ("costly", "unknown")):
        with pytest.raises(ConnectorError, match="without 'data'") as caught:
            await one_call(system, {"method": "POST", "path": "/x", "risk": risk, "result": "data"}, {})
        assert caught.value.effect == effect


async def test_an_error_inside_of_a_success_is_an_error(system: Stub):
    by = {"path": "error", "code": "code", "message": "result", "missing": ["not found"]}
    operation = {"method": "POST", "path": "/x", "risk": "costly", "error": by, "result": "result"}
    for body, is_missing in (({"error": True, "code": "E7", "result": "No money"}, False),
                             ({"error": True, "code": "E1", "result": "Line ana@client.example Not Found"}, True)):  # fmt: skip
        system.says("/x", body)
        with pytest.raises(ConnectorError) as caught:
            await one_call(system, operation, {})
        assert (caught.value.permanent, caught.value.effect, caught.value.is_missing) == (True, "none", is_missing)
        assert body["code"] in caught.value.message
        assert "ana" not in caught.value.message
    system.says("/x", {"error": False, "result": 1})
    assert await one_call(system, operation, {}) == 1
    exact = {**operation, "error": {"path": "status", "equals": "failed", "effect": "unknown"}}
    system.says("/x", {"status": "failed", "result": 1})
    with pytest.raises(ConnectorError) as caught:
        await one_call(system, exact, {})
    assert caught.value.effect == "unknown"


# --- acting once ---

REFUND = {
    "method": "POST",
    "path": "/refunds",
    "risk": "costly",
    "repeats": "by_key",
    "amount": "amount",
    "parameters": {"charge": {}, "amount": {}},
    "probe": {"call": "refund_by_key", "with": {"key": "{key}"}, "path": "data.0.id", "value": "data.0"},
}
BY_KEY = {"method": "GET", "path": "/refunds", "parameters": {"key": {"in": "query"}}}


async def test_a_key_is_sent_where_it_makes_one_effect_and_the_act_can_be_looked_up_by_it(system: Stub):
    system.says("/refunds", {"id": "r1"})
    connector = http(system.url, operations={"refund": REFUND, "refund_by_key": BY_KEY}, idempotency_header="X-Once")
    action = (await connector.actions())["refund"]
    assert (action.repeats, action.has_probe, action.amount) == ("by_key", True, "amount")
    arguments = {"charge": "c1", "amount": 5}
    await connector.act("refund", arguments, key="key-1", timeout=3)
    assert system.heard[0].headers["x-once"] == "key-1"
    system.says("/refunds", {"data": [{"id": "r1"}]})
    found = await connector.probe("refund", arguments, key="key-1", timeout=3)
    assert (found.status, found.value) == ("done", {"id": "r1"})
    assert system.heard[1].target == "/refunds?key=key-1"
    for body, status in (({"data": []}, 200), ({}, 404)):
        system.says("/refunds", body, status)
        assert (await connector.probe("refund", arguments, key="key-1", timeout=3)).status == "not_done"
    system.says("/refunds", {}, 500)
    with pytest.raises(ConnectorError):
        await connector.probe("refund", arguments, key="key-1", timeout=3)
    await connector.close()


async def test_an_act_can_be_probed_by_the_state_it_makes(system: Stub):
    operations = {
        "set_plan": {
            "method": "PUT",
            "path": "/a/{id}",
            "risk": "reversible",
            "repeats": "naturally",
            "undo": "set_plan",
            "parameters": {"plan": {}},
            "probe": {
                "call": "get",
                "with": {"id": "{id}"},
                "path": "plan",
                "equals": "{plan}",
                "otherwise": "unknown",
            },
        },
        "get": {"method": "GET", "path": "/a/{id}"},
    }
    connector = http(system.url, operations=operations)
    for plan, status in (("pro", "done"), ("free", "unknown")):
        system.says("/a/7", {"plan": plan})
        assert (await connector.probe("set_plan", {"id": 7, "plan": "pro"}, key="k", timeout=3)).status == status
    system.says("/a/7", {}, 404)
    assert (await connector.probe("set_plan", {"id": 7, "plan": "pro"}, key="k", timeout=3)).status == "unknown"
    await connector.close()


async def test_an_act_without_a_probe_is_not_guessed_at():
    connector = http("http://127.0.0.1:1", operations={"go": {"method": "POST", "path": "/x", "risk": "costly"}})
    assert (await connector.probe("go", {}, key="k", timeout=1)).status == "unknown"


# --- configuration ---


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({}, "config.base_url"),
        ({"base_url": "http://crm.example"}, "config.base_url"),
        ({"base_url": "https://crm.example", "surprise": 1}, "config.surprise"),
        ({"base_url": "https://crm.example", "auth": {"type": "magic"}}, "config.auth"),
        ({"base_url": "https://crm.example", "ca": "no PEM"}, "config.base_url"),
        ({"base_url": "https://crm.example", "headers": {"Authorization": "x"}}, "config.headers"),
        ({"base_url": "https://crm.example", "operations": {"go": {}}}, "config.operations.go"),
        ({"base_url": "https://crm.example", "risks": {"go": "read"}}, "config.risks.go"),
        ({"base_url": "https://crm.example", "health": "go"}, "config.health"),
        ({"base_url": "https://crm.example", "operations": {"go": {"method": "GET", "path": "/x", "undo": "go"}}}, "config.operations.go.undo"),
        ({"base_url": "https://crm.example", "operations": {"go": {"method": "GET", "path": "/x", "probe": {"call": "no"}}}}, "config.operations.go.probe.call"),
        ({"base_url": "https://crm.example", "operations": {"go": {"method": "GET", "path": "/x", "parameters": {"a": {"in": "header", "as": "Host"}}}}}, "config.operations.go.parameters.a"),
        ({"base_url": "https://crm.example", "operations": {"go": {"method": "GET", "path": "/x", "parameters": {"a": {"schema": {"type": "nothing"}}}}}}, "config.operations.go.parameters"),
        ({"base_url": "https://crm.example", "openapi": {"openapi": "2.0"}}, "config.openapi"),
    ],
)  # fmt: skip
async def test_a_wrong_configuration_is_refused_by_field(config: dict[str, Any], field: str):
    with pytest.raises(Invalid) as caught:
        await prepare_http(opening(config), config)
    assert caught.value.code == "bad_connector"
    assert any(problem.field.startswith(field) for problem in caught.value.fields), caught.value.fields


def test_a_secret_in_the_wrong_place_is_not_repeated():
    with pytest.raises(Invalid) as caught:
        open_http(opening({"base_url": SECRET, "auth": {"type": "bearer", "secret": 5, "token": SECRET}}))
    assert SECRET not in caught.value.message


async def test_health_says_what_is_wrong(system: Stub):
    operations = {"ping": {"method": "GET", "path": "/ping"}, "go": {"method": "POST", "path": "/go"}}
    connector = http(system.url, operations=operations, health="ping")
    system.says("/ping", {})
    healthy = await connector.health()
    assert healthy.is_up
    assert "1 operations cannot be used" in healthy.detail
    system.says("/ping", {}, 401)
    refused = await connector.health()
    assert not refused.is_up
    assert "credentials" in refused.detail
    await connector.close()
    plain = http(system.url)
    assert (await plain.health()).is_up, "a 404 is an answer"
    await plain.close()


@pytest.mark.parametrize("kind", ["http", "mcp"])
def test_the_examples_of_the_handbook_can_be_used(kind: str):
    text = (Path(__file__).parents[2] / "docs" / "connectors.md").read_text(encoding="utf-8")
    section = text.split(f"## Kind `{kind}`", 1)[1]
    config = yaml.safe_load(section.split("```yaml\n", 1)[1].split("```", 1)[0])
    if kind == "mcp":
        open_mcp(opening(config))
        return
    operations = {
        "unlockAccount": {"method": "POST", "path": "/unlock"},
        "cancel_refund": {"method": "DELETE", "path": "/refund", "risk": "reversible"},
        "find_refunds": {"method": "GET", "path": "/refunds", "parameters": {"key": {"in": "query"}}},
    }  # what the document it names would describe
    open_http(opening({**config, "openapi": None, "operations": {**operations, **config["operations"]}}))


# --- documents ---


class Customer(BaseModel):
    name: str
    email: str | None = None
    tier: Annotated[int, Field(ge=1, le=3)] = 1


def sample() -> FastAPI:
    app = FastAPI(title="CRM", version="2.1")
    customers: dict[int, Customer] = {7: Customer(name="Ana")}

    @app.get("/customers/{customer_id}", operation_id="getCustomer")
    async def get_customer(customer_id: int, verbose: bool = False) -> Customer:
        if customer_id not in customers:
            raise HTTPException(404)
        return customers[customer_id]

    @app.put("/customers/{customer_id}", operation_id="putCustomer")
    async def put_customer(customer_id: int, customer: Customer, x_reason: Annotated[str, Header()]) -> Customer:
        customers[customer_id] = customer
        return customer

    @app.post("/search")
    async def search(names: list[str]) -> list[int]:
        return [each for each, one in customers.items() if one.name in names]

    return app


async def test_a_system_is_spoken_to_by_its_own_document():
    async with served(sample()) as url:
        config = {
            "base_url": url,
            "allow_http": True,
            "openapi": {"url": f"{url}/openapi.json"},
            "risks": {"putCustomer": "reversible"},
            "operations": {"putCustomer": {"repeats": "naturally"}},
        }
        prepared = await prepare_http(opening(config), config)
        assert prepared["openapi"]["info"] == {"title": "CRM", "version": "2.1"}
        connector = open_http(opening(prepared))
        actions = await connector.actions()
        assert {name: one.risk for name, one in actions.items()} == {"getCustomer": "read", "putCustomer": "reversible"}
        assert set(actions["putCustomer"].arguments["required"]) == {"customer_id", "name", "x-reason"}
        assert list(connector.unclassified()) == ["search_search_post"]
        assert (await connector.read("getCustomer", {"customer_id": 7}, timeout=5))["name"] == "Ana"
        changed = {"customer_id": 7, "name": "Ana B", "tier": 2, "x-reason": "asked"}
        await connector.act("putCustomer", changed, key="k", timeout=5)
        assert await connector.read("getCustomer", {"customer_id": 7, "verbose": True}, timeout=5) == {
            "name": "Ana B", "email": None, "tier": 2,
        }  # fmt: skip
        with pytest.raises(ConnectorError, match="tier breaks the rule maximum"):
            await connector.act("putCustomer", {**changed, "tier": 9}, key="k", timeout=5)
        with pytest.raises(ConnectorError) as caught:
            await connector.read("getCustomer", {"customer_id": 8}, timeout=5)
        assert caught.value.is_missing
        await connector.close()
        asked = open_http(opening({**prepared, "risks": {"putCustomer": "reversible", "search_search_post": "read"}}))
        assert await asked.read("search_search_post", {"body": ["Ana B"]}, timeout=5) == [7]
        await asked.close()


async def test_a_document_is_fetched_through_the_guard(system: Stub, other: Stub):
    other.says("/openapi.json", {"openapi": "3.1.0", "paths": {"/x": {"get": {}}}})
    config = {"base_url": system.url, "allow_http": True, "openapi": {"url": f"{other.url}/openapi.json"}}
    with pytest.raises(ConnectorError, match="not on the connector's list"):
        await prepare_http(opening(config), config)
    mine = {**config, "openapi": {"url": f"{system.url}/openapi.json"}}
    with pytest.raises(ConnectorError, match="private address"):
        await prepare_http(opening(mine, allow_private=False), mine)
    assert (system.connections, other.connections) == (0, 0)
    allowed = {**config, "hosts": [other.url]}
    assert "/x" in (await prepare_http(Opening(ORG, "crm", allowed, {}, True), allowed))["openapi"]["paths"]


def test_a_document_may_be_yaml_but_not_a_bomb():
    text = (
        b"openapi: 3.0.3\ninfo: {title: A, version: 2021-01-01}\npaths:\n  /a/{id}:\n    get: {operationId: 'get a'}\n"
    )
    document = read_document(text)
    assert document["info"] == {"title": "A", "version": "2021-01-01"}
    assert list(operations_of(document)) == ["get_a"]
    bomb = b"a: &a [x,x]\nb: &b [*a,*a]\nopenapi: 3.0.0\npaths: {/x: {get: {}}}\n"
    for wrong in (
        bomb,
        b"{",
        b"[" * 3000,
        b"openapi: 3.0.0",
        b"- 1",
        b"\xff\xfe",
        b"!!python/object/apply:os.system [id]",
    ):
        with pytest.raises(ValueError, match="the document"):
            read_document(wrong)


def test_references_may_go_round_but_not_out():
    document = check_document(
        {
            "openapi": "3.0.0",
            "paths": {
                "/tree": {"post": {"operationId": "tree", "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Node"}}}}}},
                "/far": {"post": {"operationId": "far", "requestBody": {"content": {"application/json": {"schema": {"$ref": "https://evil.example/s.json"}}}}}},
                "/gone": {"get": {"operationId": "gone", "parameters": [{"$ref": "#/components/parameters/none"}]}},
                "/loop": {"get": {"operationId": "loop", "parameters": [{"$ref": "#/components/parameters/a"}]}},
                "/file": {"post": {"operationId": "file", "requestBody": {"required": True, "content": {"multipart/form-data": {}}}}},
                "/cookie": {"get": {"operationId": "cookie", "parameters": [{"name": "c", "in": "cookie", "required": True}]}},
            },
            "components": {
                "schemas": {"Node": {"type": "object", "properties": {
                    "name": {"type": "string", "nullable": True}, "size": {"type": "number", "minimum": 0, "exclusiveMinimum": True},
                    "id": {"type": "string", "readOnly": True},
                    "children": {"type": "array", "items": {"$ref": "#/components/schemas/Node"}}}}},
                "parameters": {"a": {"$ref": "#/components/parameters/a"}},
            },
        }
    )  # fmt: skip
    found = operations_of(document)
    assert {name for name, one in found.items() if one.unusable} == {"far", "gone", "loop", "file", "cookie"}
    tree = found["tree"]
    assert set(tree.slots) == {"name", "size", "children"}
    connector = open_http(
        opening({"base_url": "https://t.example", "openapi": document, "risks": {"tree": "reversible"}})
    )
    checker = connector._built
    one = connector._operations["tree"]
    checker(one, {"name": None, "children": [{"children": [{"name": "leaf"}]}]}, None)
    for wrong in ({"size": 0}, {"children": [{"children": [{"name": 5}]}]}):
        with pytest.raises(ConnectorError, match="breaks the rule"):
            checker(one, wrong, None)


async def test_a_pattern_of_a_document_cannot_hang_us():
    operations = {"go": {"method": "GET", "path": "/x", "parameters": {"q": {"in": "query", "schema": {"type": "string", "pattern": "^(a+)+$"}}}}}  # fmt: skip
    connector = http("http://127.0.0.1:1", operations=operations)
    started = time.process_time()
    with pytest.raises(ConnectorError, match="q breaks the rule pattern"):
        await connector.read("go", {"q": "a" * 5000 + "!"}, timeout=1)
    assert time.process_time() - started < 10
