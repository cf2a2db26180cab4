"""What the agents did is read, exported and judged again over HTTP: staff only, in their own organization, without effects."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx
from flow_cast import Connect, open_ticket, problem
from test_runbooks_are_governed_over_http import Estate, published

from asoe.app import App
from asoe.desk import approval, journey


async def passed(app: App, acme: Any, by: httpx.AsyncClient, **fields: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A ticket that the engine has looked at once, and that pass."""
    opened = await open_ticket(by, **fields)
    await journey.carry_on(app.desk, acme.org_id, UUID(opened["id"]))
    (one,) = (await by.get(f"/api/support/ticket/{opened['id']}/runs")).json()["items"]
    return opened, one


async def test_a_pass_is_read_whole_and_judged_again(app: App, acme: Any, agent: httpx.AsyncClient) -> None:
    opened, one = await passed(app, acme, agent)
    path = f"/api/support/agent-runs/{one['id']}"
    whole = (await agent.get(path)).json()
    assert (whole["ticket_id"], whole["plan"]) == (opened["id"], one["plan"])
    assert whole["basis"]["ticket"]["category"] == "billing"
    assert [part["agent"] for part in whole["invocations"]] == one["plan"][:-1]
    facts = (await agent.get(f"/api/support/ticket/{opened['id']}/timeline")).json()["items"]
    same = (await agent.post(f"{path}/replay", json={})).json()
    assert (same["instead"], same["since"], same["was"]["decision"]) == (None, [], "handed_over")
    routing = {"routing": {"by_category": {"billing": "money"}}}
    other = (await agent.post(f"{path}/replay", json={"settings": routing})).json()
    assert {each["what"]: each["after"] for each in other["differences"]}["team"] == "money"
    assert (await agent.get(f"/api/support/ticket/{opened['id']}/timeline")).json()["items"] == facts
    assert (await agent.get(f"/api/support/ticket/{opened['id']}")).json()["team"] == "billing"


async def test_who_may_not_is_refused_and_what_cannot_be_is_said(
    app: App, acme: Any, globex: Any, agent: httpx.AsyncClient, client: httpx.AsyncClient, connect: Connect
) -> None:
    _, one = await passed(app, acme, agent)
    path = f"/api/support/agent-runs/{one['id']}"
    stranger = await connect(globex.owner)
    problem(await stranger.get(path), 404, "agent_run_missing")
    problem(await stranger.post(f"{path}/replay", json={}), 404, "agent_run_missing")
    problem(await client.post(f"{path}/replay", json={}), 403, "role_not_permitted")
    reader = await connect(acme.agent, scopes=frozenset({"tickets:read"}))
    assert (await reader.get(path)).is_success
    problem(await reader.post(f"{path}/replay", json={}), 403, "scope_missing")
    for body in ({"settings": {"signature": "x"}}, {"prompts": {"answers": "x"}, "consult": True}, {"consult": True}):
        refused = await (await connect(acme.owner)).post(f"{path}/replay", json=body)
        problem(refused, 422, "bad_replay")
    problem(await agent.post(f"{path}/replay", json={"consult": True}), 403, "admin_only")
    problem(await agent.post(f"{path}/replay", json={"settings": {"answers_alone": "x"}}), 422, "bad_policy")


async def test_a_run_of_a_runbook_is_replayed_over_http(
    app: App, acme: Any, globex: Any, owner: httpx.AsyncClient, agent: httpx.AsyncClient, connect: Connect
) -> None:
    estate = Estate()
    app.desk.connectors._fixed = {"estate": estate}
    await published(owner)
    opened, _ = await passed(app, acme, owner, body="My login does not work")
    started = await owner.post(
        "/api/support/runs", json={"runbook": "unlock-account", "ticket_id": opened["id"], "mode": "dry_run"}
    )
    path = f"/api/support/runs/{started.json()['id']}"
    problem(await agent.post(f"{path}/replay", json={}), 409, "run_under_way")
    await journey.carry_on_run(app.desk, acme.org_id, UUID(started.json()["id"]))
    played = (await agent.post(f"{path}/replay", json={})).json()
    assert (played["differences"], played["now"]["acts"], estate.effects) == ([], ["estate.unlock"], 0)
    problem(await (await connect(globex.owner)).post(f"{path}/replay", json={}), 404, "run_missing")


async def test_a_pass_that_carried_a_run_is_judged_by_a_version_of_its_runbook(
    app: App, acme: Any, owner: httpx.AsyncClient, agent: httpx.AsyncClient
) -> None:
    estate = Estate()
    app.desk.connectors._fixed = {"estate": estate}
    await published(owner)
    opened, _ = await passed(app, acme, owner, body="My login does not work")
    started = await owner.post("/api/support/runs", json={"runbook": "unlock-account", "ticket_id": opened["id"]})
    for _ in range(2):
        await journey.carry_on_run(app.desk, acme.org_id, UUID(started.json()["id"]))
        for card in await approval.list_approvals(app.desk, acme.agent):
            await approval.decide(app.desk, acme.agent, card.id, "approve")
    assert estate.effects == 1
    one = (await agent.get(f"/api/support/ticket/{opened['id']}/runs")).json()["items"][0]
    path = f"/api/support/agent-runs/{one['id']}/replay"
    same = (await agent.post(path, json={"runbooks": {"unlock-account": 1}})).json()
    assert (same["differences"], same["since"], same["instead"]["run"]) == ([], [], same["was"]["run"])
    assert same["was"]["run"]
    problem(await agent.post(path, json={"runbooks": {"unlock-account": 9}}), 404, "runbook_version_missing")
    problem(await agent.post(path, json={"runbooks": {"unlock-account": 0}}), 422, "invalid_request")
