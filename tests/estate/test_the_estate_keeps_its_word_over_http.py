"""Tokens, idempotency, strict input, failures on demand, background work, and a document that is true."""

from __future__ import annotations

import json
import random
import re
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import httpx
import pytest
import schemathesis
from estate_cast import break_somewhere
from pydantic import TypeAdapter
from starlette.types import ASGIApp

from asoe.demo.back_office import broken_estate
from asoe.demo.estate import operations
from asoe.demo.estate.api import Answer, EffectView, Page, build_api
from asoe.demo.estate.background import settle
from asoe.demo.estate.faults import FAULTS, SYMPTOMS
from asoe.demo.estate.models import KINDS, Plan
from asoe.demo.estate.operations import OPERATIONS
from asoe.demo.estate.service import DEMO_TOKENS, running
from asoe.demo.estate.store import Store, open_store
from asoe.demo.seed import read_tickets
from openapi_cast import made_up, send

HANDBOOK = Path(__file__).parents[2] / "docs" / "demo-estate.md"


async def test_every_path_wants_a_token_and_a_reader_may_only_read(
    store: Store, served: ASGIApp, reader: httpx.AsyncClient
) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="http://estate.test") as nobody:
        for kind in KINDS:
            assert (await nobody.get(f"/v1/{kind}")).status_code == 401
        assert (await nobody.get("/v1/plans", headers={"Authorization": "Bearer estate-admin"})).status_code == 401
        assert (await nobody.post("/admin/break", json={})).status_code == 401
    assert (await reader.get("/admin/faults")).status_code == 401
    assert (await reader.get("/v1/plans")).status_code == 200
    user = store.find("users")[0]["id"]
    refused = await reader.post(f"/v1/users/{user}/unlock")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "read_only")
    assert store.effects() == []


async def test_a_client_is_found_by_address_and_reads_page_through_everything(
    store: Store, operator: httpx.AsyncClient
) -> None:
    owner = store.find("users", role="owner")[5]
    found = (await operator.get("/v1/users", params={"email": owner["email"].upper()})).json()["items"]
    assert [user["id"] for user in found] == [owner["id"]]
    assert "pin" not in found[0]
    seen: list[str] = []
    cursor = None
    while True:
        page = (await operator.get("/v1/jobs", params={"limit": 37, **({"cursor": cursor} if cursor else {})})).json()
        seen += [job["id"] for job in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == sorted(job["id"] for job in store.find("jobs"))


async def test_whoever_writes_in_the_demo_is_a_customer_unless_the_line_says_otherwise() -> None:
    lines = read_tickets()
    async with broken_estate(lines) as url, httpx.AsyncClient(base_url=url, trust_env=False) as office:
        office.headers["Authorization"] = f"Bearer {DEMO_TOKENS.operator}"
        for line in lines:
            found = (await office.get("/v1/users", params={"email": line["contact"]["email"]})).json()["items"]
            assert bool(found) == line.get("customer", True), line["contact"]["email"]
    assert sum(line.get("customer", True) for line in lines) > 0.8 * len(lines)


async def test_the_same_key_has_one_effect_and_another_request_under_it_is_refused(
    store: Store, operator: httpx.AsyncClient
) -> None:
    breakage = break_somewhere(store, "failed_job_charged")
    credits_ = int(breakage.facts["credits"])
    body = {"charge_id": breakage.items["charge"], "credits": credits_ - 10, "reason": "run lost"}
    headers = {"Idempotency-Key": "refund-0001"}
    before = store.need("accounts", breakage.account_id)["credits"]
    first = await operator.post("/v1/credits/refunds", json=body, headers=headers)
    second = await operator.post("/v1/credits/refunds", json=body, headers=headers)
    other = await operator.post("/v1/credits/refunds", json={**body, "credits": 5}, headers=headers)
    assert (first.status_code, second.status_code, other.status_code) == (201, 201, 409)
    assert first.json() == second.json()
    assert second.headers["idempotent-replay"] == "true"
    assert other.json()["error"]["code"] == "key_reused"
    assert store.need("accounts", breakage.account_id)["credits"] == before + credits_ - 10
    logged = (await operator.get("/v1/effects", params={"idempotency_key": "refund-0001"})).json()["items"]
    assert [(effect["operation"], effect["changed"]) for effect in logged] == [("credits.refund", True)]
    over = await operator.post(
        "/v1/credits/refunds", json={**body, "credits": 20}, headers={"Idempotency-Key": "refund-0002"}
    )
    assert (over.status_code, over.json()["error"]["code"]) == (409, "more_than_was_charged")
    assert len(store.effects()) == 1


async def test_a_write_that_is_not_naturally_idempotent_wants_a_key(operator: httpx.AsyncClient) -> None:
    for operation in OPERATIONS.values():
        if operation.needs_key:
            answer = await operator.request(operation.method, operation.path.replace("{id}", "x"), json={})
            assert answer.status_code == 422


async def test_naturally_idempotent_writes_change_nothing_the_second_time(
    store: Store, operator: httpx.AsyncClient
) -> None:
    breakage = break_somewhere(store, "user_locked_out")
    for _ in range(2):
        assert (await operator.post(f"/v1/users/{breakage.items['user']}/unlock")).status_code == 200
    assert [bool(effect.changes) for effect in store.effects()] == [True, False]


async def test_input_is_held_to_the_document(store: Store, operator: httpx.AsyncClient) -> None:
    subscription = store.find("subscriptions")[0]["id"]
    for body in ({"seats": "5"}, {"seats": 0}, {"seats": 5, "more": 1}, {}, [], None):
        answer = await operator.put(f"/v1/subscriptions/{subscription}/seats", json=body)
        assert answer.status_code == 422
        assert Answer.model_validate(answer.json()).error.code == "invalid"
    assert (await operator.put("/v1/subscriptions/sub_0/seats", json={"seats": 5})).status_code == 404
    assert (await operator.get("/v1/nothing")).json()["error"]["code"] == "unknown_path"
    assert (await operator.patch("/v1/plans")).json()["error"]["code"] == "method_not_allowed"
    assert store.effects() == []


async def test_three_wrong_pins_are_the_last(store: Store, operator: httpx.AsyncClient) -> None:
    breakage = break_somewhere(store, "mfa_device_lost")
    user = breakage.items["user"]
    wrong = "111111" if breakage.facts["pin"] != "111111" else "222222"
    answers = []
    for number, pin in enumerate((wrong, wrong, wrong, breakage.facts["pin"])):
        answers.append(
            await operator.post(
                f"/v1/users/{user}/identity-checks", json={"pin": pin}, headers={"Idempotency-Key": f"pin-try-{number}"}
            )
        )
    assert [answer.status_code for answer in answers] == [201, 201, 201, 409]
    failed = answers[0].json()
    assert failed["confirmed"] is False
    refused = await operator.post(f"/v1/users/{user}/reset-mfa", json={"identity_check_id": failed["id"]})
    assert refused.json()["error"]["code"] == "not_confirmed"
    assert breakage.facts["pin"] not in json.dumps([effect.request for effect in store.effects()])


async def test_work_goes_on_by_one_beat_a_read(store: Store, operator: httpx.AsyncClient) -> None:
    breakage = break_somewhere(store, "job_crashed")
    path = f"/v1/jobs/{breakage.items['job']}"
    await operator.post(f"{path}/retry", headers={"Idempotency-Key": "retry-one"})
    seen = [(await operator.get(path)).json()["status"] for _ in range(4)]
    assert seen == ["queued", "running", "succeeded", "succeeded"]


async def test_failures_on_demand_hit_before_or_after_the_effect_and_once(
    store: Store, operator: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    for mode, effects in (("before", 0), ("after", 1)):
        breakage = break_somewhere(store, "webhook_backlog")
        path = f"/v1/webhooks/{breakage.items['webhook']}/redeliver"
        headers = {"Idempotency-Key": f"redeliver-{mode}"}
        await admin.post("/admin/fail", json={"method": "POST", "path": path, "mode": mode})
        assert (await operator.post(path, headers=headers)).status_code == 503
        probe = (await operator.get("/v1/effects", params={"idempotency_key": headers["Idempotency-Key"]})).json()
        assert len(probe["items"]) == effects
        assert (await operator.post(path, headers=headers)).status_code == 200
        settle(store)
        assert len(store.effects(key=headers["Idempotency-Key"])) == 1
    await admin.post("/admin/fail", json={"path": "/v1/*", "mode": "before", "calls": 9})
    await admin.delete("/admin/fail")
    assert (await operator.get("/v1/plans")).status_code == 200


async def test_the_administration_breaks_tells_and_moves_time(
    store: Store, operator: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    account = store.find("accounts")[3]["id"]
    made = (await admin.post("/admin/break", json={"fault": "search_index_behind", "account_id": account})).json()
    assert (await admin.post("/admin/mended", json=made)).json() == {"mended": False}
    await operator.post(f"/v1/search-indexes/{made['items']['index']}/rebuild")
    assert (await admin.post("/admin/tick", json={"seconds": 60})).json() == {"now": "2026-11-16T09:01:00Z"}
    assert (await admin.post("/admin/mended", json=made)).json() == {"mended": True}
    assert (await admin.post("/admin/break", json={"fault": "x", "account_id": account})).status_code == 409
    assert (await admin.get("/admin/faults")).json() == sorted(FAULTS)


async def test_a_real_server_drops_connections_keeps_its_file_and_is_fast(tmp_path: Path, seeded: Store) -> None:
    path = tmp_path / "estate.db"
    store = open_store(path)
    seeded.connection.backup(store.connection)
    breakage = break_somewhere(store, "webhook_backlog")
    call = f"/v1/webhooks/{breakage.items['webhook']}/redeliver"
    headers = {"Authorization": "Bearer estate-operator", "Idempotency-Key": "redeliver-drop"}
    async with running(store) as url, httpx.AsyncClient(base_url=url, headers=headers) as client:
        for mode in ("drop_before", "drop_after"):
            store.plan_failure(method="POST", path=call, mode=mode, calls=1, seconds=0)
            with pytest.raises(httpx.RemoteProtocolError):
                await client.post(call)
        assert (await client.post(call)).headers["idempotent-replay"] == "true"
        took = [process_time()]
        for _ in range(200):
            assert (await client.get(f"/v1/accounts/{breakage.account_id}")).status_code == 200
            took.append(process_time())
    assert median(later - before for before, later in pairwise(took)) < 0.004  # server, client and this test together
    store.close()
    again = open_store(path)
    assert [effect.operation for effect in again.effects()] == ["webhooks.redeliver"]
    again.close()


def test_the_handbook_names_everything() -> None:
    text = HANDBOOK.read_text(encoding="utf-8")
    missing = [
        name for name in (*FAULTS, *SYMPTOMS, *OPERATIONS, *(f"/v1/{kind}`" for kind in KINDS)) if name not in text
    ]
    assert missing == []
    for path in sorted(Path(operations.__file__).parent.glob("*.py")):
        for code in re.findall(r'refuse\(\s*"([a-z_]+)"', path.read_text(encoding="utf-8")):
            assert f"| `{code}` |" in text, (path.name, code)
    for consent in {fault.consent for fault in FAULTS.values() if fault.consent}:
        assert f"| `{consent}` |" in text


async def test_the_document_is_what_is_served(store: Store, operator: httpx.AsyncClient) -> None:
    """Generated calls, half of them with ids that exist: no server error, and every answer fits its documented shape."""
    app = build_api(store, {})
    document = json.loads(json.dumps(app.openapi()))
    assert {operation["operationId"] for methods in document["paths"].values() for operation in methods.values()} == {
        *OPERATIONS,
        *(f"{kind.replace('-', '_')}.{what}" for kind in KINDS for what in ("list", "read")),
        "plans.list",
        "effects.list",
    }
    schema = schemathesis.openapi.from_dict(document)
    schema.validate()
    chance = random.Random(20261123)
    cases = [
        (case, path, method)
        for path, methods in document["paths"].items()
        for method in methods
        for case in made_up(schema[path][method.upper()], 4)
    ]
    statuses: set[int] = set()
    for case, path, method in cases:
        if "item_id" in path and chance.random() < 0.7:
            items = store.find(path.split("/")[2])
            if items:
                case.path_parameters = {"item_id": chance.choice(items)["id"]}
        answer = await send(operator, case)
        if answer is None:
            continue
        statuses.add(answer.status_code)
        declared = document["paths"][path][method]["responses"]
        if answer.status_code not in {404, 405} or "404" in declared:
            assert str(answer.status_code) in declared, (method, path, answer.status_code, answer.text)
        if answer.is_success:
            _shape(path, method).validate_json(answer.content)
        else:
            Answer.model_validate(answer.json())
    assert len(cases) > 300
    assert {200, 404, 409, 422} <= statuses


def _shape(path: str, method: str) -> TypeAdapter[Any]:
    if path == "/v1/plans":
        return TypeAdapter(Page[Plan])
    if path == "/v1/effects":
        return TypeAdapter(Page[EffectView])
    if method == "get":
        shown = KINDS[path.split("/")[2]].shown
        return TypeAdapter(shown if "item_id" in path else Page[shown])
    found = next(
        operation
        for operation in OPERATIONS.values()
        if operation.path.replace("{id}", "{item_id}") == path and operation.method.lower() == method
    )
    return TypeAdapter(KINDS[found.answers].shown)
