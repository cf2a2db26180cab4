"""The credit ledger through the HTTP door: a product reports, staff look, clients see nothing."""

from __future__ import annotations

import httpx
from flow_cast import Connect, problem
from pydantic import TypeAdapter

from asoe.api import credits as shapes

POSTINGS = "/api/credits/postings"


def posting(kind: str, amount: str, key: str, **more: str) -> dict[str, str]:
    return {"kind": kind, "key": key, "client": "u1", "amount": amount, **more}


async def test_work_is_charged_fails_and_comes_back(owner: httpx.AsyncClient, agent: httpx.AsyncClient) -> None:
    assert (await owner.post(POSTINGS, json=posting("grant", "10", "g"))).status_code == 201
    charged = await agent.post(POSTINGS, json=posting("charge", "4", "c", work="job-1"))
    TypeAdapter(shapes.PostingOut).validate_json(charged.content)
    again = await agent.post(POSTINGS, json=posting("charge", "4", "c", work="job-1"))
    assert again.json() == charged.json()
    refund = posting("refund", "4", "r", of_posting=charged.json()["id"])
    problem(await owner.post(POSTINGS, json=refund), 409, "no_proof")
    assert (await agent.post("/api/credits/works", json={"work": "job-1", "outcome": "failed"})).json()["is_new"]
    problem(
        await agent.post("/api/credits/works", json={"work": "job-1", "outcome": "succeeded"}), 409, "work_reported"
    )
    assert (await owner.post(POSTINGS, json=refund)).status_code == 201
    problem(await owner.post(POSTINGS, json={**refund, "key": "r2"}), 409, "over_refund")
    balance = await agent.get("/api/credits/balance", params={"client": "u1"})
    assert balance.json() == {"client": "u1", "available": "10.000000", "held": "0"}
    charges = await agent.get("/api/credits/charges", params={"client": "u1"})
    (found,) = TypeAdapter(shapes.ChargePage).validate_json(charges.content).items
    assert (found.outcome, found.refunded) == ("failed", "4.000000")
    audit = TypeAdapter(shapes.LedgerAuditOut).validate_json((await agent.get("/api/credits/audit")).content)
    assert (audit.unbalanced, audit.drifted, float(audit.total), audit.postings) == (0, 0, 0, 3)


async def test_who_may_not_and_what_may_not(
    owner: httpx.AsyncClient, agent: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    problem(await client.post(POSTINGS, json=posting("grant", "10", "g")), 403, "role_not_permitted")
    problem(await agent.post(POSTINGS, json=posting("grant", "10", "g")), 403, "role_not_permitted")
    for wrong in ({"amount": "-1"}, {"amount": "0"}, {"amount": "1.0000001"}, {"amount": "NaN"}, {"kind": "steal"}):
        problem(await owner.post(POSTINGS, json=posting("grant", "10", "g") | wrong), 422, "invalid_request")
    problem(await owner.post(POSTINGS, json=posting("charge", "1", "c")), 422, "bad_posting")
    problem(await owner.post(POSTINGS, json=posting("charge", "1", "c", work="w")), 409, "not_enough_credits")


async def test_another_organization_has_its_own_ledger(
    owner: httpx.AsyncClient, connect: Connect, globex: object
) -> None:
    await owner.post(POSTINGS, json=posting("grant", "10", "g"))
    stranger = await connect(globex.owner)  # type: ignore[attr-defined]
    balance = await stranger.get("/api/credits/balance", params={"client": "u1"})
    assert balance.json()["available"] == "0"
    assert (await stranger.post(POSTINGS, json=posting("grant", "1", "g"))).status_code == 201


async def test_no_digit_of_an_amount_is_lost_over_http(owner: httpx.AsyncClient) -> None:
    large = posting("grant", "12345678901234.123457", "g")
    assert (await owner.post(POSTINGS, json=large)).json()["amount"] == "12345678901234.123457"
    small = await owner.post(POSTINGS, json={**large, "key": "s", "amount": 0.000001})
    assert small.json()["amount"] == "0.000001"
    balance = await owner.get("/api/credits/balance", params={"client": "u1"})
    assert balance.json()["available"] == "12345678901234.123458"
    unsafe = {**large, "key": "f", "amount": 12345678901234.125}
    problem(await owner.post(POSTINGS, json=unsafe), 422, "invalid_request")
