"""Runbooks, runs, approvals and the emergency stop through the HTTP door."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from flow_cast import UNLOCK, Connect, Estate, open_ticket, problem
from pydantic import TypeAdapter

from asoe.api import run_shapes as shapes
from asoe.app import App
from asoe.desk.runbook import execution
from asoe.desk.runbook.template import runbook_text

BOOKS, RUNS, APPROVALS = "/api/support/runbooks", "/api/support/runs", "/api/support/approvals"


def read(shape: Any, response: httpx.Response, status: int = 200) -> Any:
    """The answer, which is exactly what the document says."""
    assert response.status_code == status, response.text
    TypeAdapter(shape).validate_json(response.content)
    return response.json()


async def published(owner: httpx.AsyncClient) -> dict[str, Any]:
    read(shapes.RunbookTextOut, await owner.post(BOOKS, json={"source": UNLOCK}), 201)
    return read(shapes.RunbookOut, await owner.post(f"{BOOKS}/unlock-account/publish", json={}))


async def carried(app: App, run: dict[str, Any], acme: Any) -> None:
    await execution.advance_run(app.desk, acme.engine, UUID(run["id"]))


@pytest.mark.usefixtures("estate")
async def test_a_runbook_is_written_published_and_retired(owner: httpx.AsyncClient, agent: httpx.AsyncClient) -> None:
    row = await published(owner)
    assert (row["published_version"], row["level"]) == (1, "approve")
    again = read(shapes.RunbookTextOut, await owner.post(BOOKS, json={"source": UNLOCK}), 201)
    assert again["newest_version"] == 1, "the same text is the same version"
    changed = read(shapes.RunbookTextOut, await owner.post(BOOKS, json={"source": UNLOCK + "\n# more\n"}), 201)
    assert (changed["newest_version"], changed["published_version"]) == (2, 1)
    assert read(shapes.RunbookTextOut, await agent.get(f"{BOOKS}/unlock-account"))["version"]["source"] == UNLOCK
    versions = read(shapes.RunbookVersionPage, await agent.get(f"{BOOKS}/unlock-account/versions"))
    assert [each["version"] for each in versions["items"]] == [2, 1]
    problem(await owner.post(f"{BOOKS}/unlock-account/publish", json={"version": 9}), 404, "runbook_version_missing")
    read(shapes.RunbookOut, await owner.post(f"{BOOKS}/unlock-account/retire"))
    assert read(shapes.RunbookPage, await agent.get(BOOKS))["items"] == []
    assert read(shapes.RunbookPage, await agent.get(BOOKS, params={"with_retired": True}))["items"]


async def test_a_wrong_runbook_is_refused_with_its_line(owner: httpx.AsyncClient) -> None:
    body = problem(await owner.post(BOOKS, json={"source": "runbook: x\ntitle: X\n"}), 422, "bad_runbook")
    assert all(error["field"].startswith("line ") for error in body["errors"])
    assert (await owner.post(BOOKS, json={"source": runbook_text("a-beginning")})).status_code == 201


async def test_a_runbook_without_its_connector_is_stored_and_not_published(owner: httpx.AsyncClient) -> None:
    read(shapes.RunbookTextOut, await owner.post(BOOKS, json={"source": UNLOCK}), 201)
    refused = problem(await owner.post(f"{BOOKS}/unlock-account/publish", json={}), 409, "connectors_missing")
    assert "asoe connector add estate" in refused["detail"]
    assert read(shapes.RunbookTextOut, await owner.get(f"{BOOKS}/unlock-account"))["published_version"] is None


@pytest.mark.usefixtures("estate")
async def test_only_who_may_changes_what_runs(
    owner: httpx.AsyncClient, agent: httpx.AsyncClient, client: httpx.AsyncClient, app: App
) -> None:
    await published(owner)
    one = f"{BOOKS}/unlock-account"
    until = (app.desk.clock() + timedelta(days=30)).isoformat()
    for call in (
        agent.post(BOOKS, json={"source": UNLOCK}),
        agent.post(f"{one}/publish", json={}),
        agent.patch(f"{one}/autonomy", json={"level": "auto"}),
        agent.post(f"{one}/lend", json={"reason": "r", "until": until}),
        agent.post("/api/support/emergency-stop/release"),
        client.get(BOOKS),
        client.get(APPROVALS),
        client.post("/api/support/emergency-stop", json={"reason": "r"}),
    ):
        problem(await call, 403, "role_not_permitted")
    problem(await owner.patch(f"{one}/autonomy", json={"level": "free"}), 422, "invalid_request")
    problem(await owner.post(f"{one}/lend", json={"reason": "r", "until": "2020-01-01T00:00:00Z"}), 422, "bad_loan")
    lent = read(shapes.AutonomyOut, await owner.post(f"{one}/lend", json={"reason": "a pilot", "until": until}))
    assert lent["acts_alone"] == {"reversible": True, "costly": True, "irreversible": False}
    assert "0 of 59 seen" in lent["in_words"]
    ended = read(shapes.AutonomyOut, await owner.post(f"{one}/end-loan"))
    assert ended["acts_alone"]["reversible"] is False


async def test_an_act_waits_for_its_approval_and_is_done_once(
    app: App,
    estate: Estate,
    owner: httpx.AsyncClient,
    agent: httpx.AsyncClient,
    nobody: httpx.AsyncClient,
    acme: Any,
) -> None:
    await published(owner)
    ticket = await open_ticket(agent)
    wanted = {"runbook": "unlock-account", "ticket_id": ticket["id"]}
    run = read(shapes.RunOut, await agent.post(RUNS, json=wanted), 201)
    problem(await agent.post(RUNS, json=wanted), 409, "run_under_way")
    await carried(app, run, acme)
    (card,) = read(shapes.ApprovalPage, await agent.get(APPROVALS))["items"]
    assert (card["arguments"], card["status"], estate.effects) == ({"id": "1"}, "pending", 0)
    problem(
        await agent.post(f"{APPROVALS}/{card['id']}/decide", json={"vote": "approve"}), 403, "approval_needs_person"
    )
    named = await owner.post("/api/keys", json={"name": "Bot", "role": "agent", "scopes": ["approvals:decide"]})
    bearer = {"Authorization": f"Bearer {named.json()['token']}"}
    decided = await nobody.post(f"{APPROVALS}/{card['id']}/decide", json={"vote": "approve"}, headers=bearer)
    assert read(shapes.ApprovalOut, decided)["status"] == "approved"
    again = await nobody.post(f"{APPROVALS}/{card['id']}/decide", json={"vote": "approve"}, headers=bearer)
    problem(again, 409, "approval_decided")
    await carried(app, run, acme)
    record = read(shapes.RunRecordOut, await agent.get(f"{RUNS}/{run['id']}"))
    assert (record["status"], estate.effects, record["runbook"]) == ("verified", 1, "unlock-account")
    assert [act["status"] for act in record["actions"]] == ["done"]
    assert [
        each["id"]
        for each in read(shapes.RunbookRunPage, await agent.get(RUNS, params={"ticket_id": ticket["id"]}))["items"]
    ] == [run["id"]]
    assert (await agent.post(f"{RUNS}/{run['id']}/judge", json={"is_right": True})).status_code == 204
    problem(await agent.post(f"{RUNS}/{run['id']}/judge", json={"is_right": True}), 409, "already_judged")
    assert read(shapes.AutonomyOut, await agent.get(f"{BOOKS}/unlock-account/autonomy"))["cases"] == 1
    assert read(shapes.AuditPage, await agent.get("/api/support/audit-sample"))["items"] == []


async def test_one_call_stops_every_act(
    app: App, estate: Estate, owner: httpx.AsyncClient, agent: httpx.AsyncClient, acme: Any
) -> None:
    await published(owner)
    until = (app.desk.clock() + timedelta(days=30)).isoformat()
    await owner.post(f"{BOOKS}/unlock-account/lend", json={"reason": "a pilot", "until": until})
    stopped = read(shapes.StopOut, await agent.post("/api/support/emergency-stop", json={"reason": "it goes wrong"}))
    assert stopped == {"is_stopped": True, "reason": "it goes wrong"}
    ticket = await open_ticket(agent)
    wanted = {"runbook": "unlock-account", "ticket_id": ticket["id"]}
    run = read(shapes.RunOut, await agent.post(RUNS, json=wanted), 201)
    await carried(app, run, acme)
    record = read(shapes.RunRecordOut, await agent.get(f"{RUNS}/{run['id']}"))
    assert (record["status"], record["reason"], estate.effects) == ("escalated", "emergency_stop", 0)
    assert read(shapes.StopOut, await owner.post("/api/support/emergency-stop/release"))["is_stopped"] is False


async def test_a_dry_run_acts_on_nothing(
    app: App, estate: Estate, owner: httpx.AsyncClient, agent: httpx.AsyncClient, acme: Any
) -> None:
    await published(owner)
    ticket = await open_ticket(agent)
    wanted = {"runbook": "unlock-account", "ticket_id": ticket["id"], "mode": "dry_run"}
    run = read(shapes.RunOut, await agent.post(RUNS, json=wanted), 201)
    await carried(app, run, acme)
    record = read(shapes.RunRecordOut, await agent.get(f"{RUNS}/{run['id']}"))
    assert (record["reason"], estate.effects) == ("rehearsed", 0)
    problem(await agent.post(f"{RUNS}/{run['id']}/cancel"), 409, "run_ended")


async def test_a_key_votes_only_where_it_was_said(owner: httpx.AsyncClient, nobody: httpx.AsyncClient) -> None:
    for scopes, code in (
        ([], "approval_missing"),
        (["runbooks:write"], "scope_missing"),
        (["approvals:decide"], "approval_missing"),
    ):
        made = (await owner.post("/api/keys", json={"name": "Bot", "role": "agent", "scopes": scopes})).json()
        bearer = {"Authorization": f"Bearer {made['token']}"}
        response = await nobody.post(f"{APPROVALS}/{uuid4()}/decide", json={"vote": "approve"}, headers=bearer)
        problem(response, 403 if code == "scope_missing" else 404, code)


@pytest.mark.usefixtures("estate")
async def test_another_organization_finds_none_of_it(
    owner: httpx.AsyncClient, agent: httpx.AsyncClient, connect: Connect, globex: Any
) -> None:
    await published(owner)
    stranger = await connect(globex.owner)
    problem(await stranger.get(f"{BOOKS}/unlock-account"), 404, "runbook_missing")
    problem(await stranger.post(f"{BOOKS}/unlock-account/retire"), 404, "runbook_missing")
    ticket = await open_ticket(agent)
    wanted = {"runbook": "unlock-account", "ticket_id": ticket["id"]}
    run = read(shapes.RunOut, await agent.post(RUNS, json=wanted), 201)
    problem(await stranger.get(f"{RUNS}/{run['id']}"), 404, "run_missing")
    problem(await stranger.post(f"{RUNS}/{run['id']}/cancel"), 404, "run_missing")
    problem(await stranger.post(RUNS, json=wanted), 404, "ticket_missing")


async def test_a_backtest_says_what_would_have_been_done(
    app: App, estate: Estate, owner: httpx.AsyncClient, agent: httpx.AsyncClient, acme: Any, tmp_path: Path
) -> None:
    from asoe.desk.runbook import backtest

    read(
        shapes.RunbookTextOut,
        await owner.post(
            BOOKS, json={"source": UNLOCK.replace("=false", '=ticket.subject.contains("locked")\n  phrases: [locked]')}
        ),
        201,
    )
    for subject in ("I am locked out", "Where is my invoice?"):
        await open_ticket(agent, subject=subject, body="Please help me with that account.")
    found = (await backtest.backtest(app.desk, acme.owner, "unlock-account")).to_json()
    assert found["tickets"] == 2
    assert found["would_have_acted"]["count"] <= 1
    assert estate.effects == 0
    assert {case["would"] for case in found["cases"]} <= {"act", "not_for_it"}
