"""The report through the HTTP door: the figures as JSON that says what they mean and as CSV, for staff of the organization only."""

from __future__ import annotations

import csv
import io

import httpx
from flow_cast import Connect, problem
from pydantic import TypeAdapter

from asoe.api import insights as shapes
from asoe.api import recommendations as advice
from asoe.app import App
from asoe.desk import housekeeping
from asoe.domain.report import DEFINITIONS, RATES
from cast import Org, make_advice

INSIGHTS = "/api/support/insights"


async def test_a_report_is_read_whole_sliced_and_as_csv(
    app: App, agent: httpx.AsyncClient, client: httpx.AsyncClient, connect: Connect, globex: object
) -> None:
    for number in range(3):
        ticket = {
            "body": f"Export {number} fails",
            "category": "billing",
            "contact": {"email": "kim@example.org", "name": "=1+1"},
        }
        assert (await agent.post("/api/support/ticket", json=ticket)).status_code == 201
    assert (await agent.get(INSIGHTS)).json()["uncounted_facts"] > 0
    await housekeeping.keep_counters(app.desk)
    whole = await agent.get(INSIGHTS, params={"by_client": "true"})
    TypeAdapter(shapes.InsightsOut).validate_json(whole.content)
    found = whole.json()
    assert (found["source"], found["uncounted_facts"], found["total"]["tickets"]) == ("counters", 0, 3)
    assert found["definitions"] == DEFINITIONS
    assert set(found["total"]["rates"]) == set(RATES) <= {*DEFINITIONS}
    assert found["total"]["rates"]["repeat_contact"]["hits"] == 2
    [kim] = found["groups"]["client"]
    assert (kim["tickets"], kim["name"]) == (3, "=1+1")
    [category] = [each["value"] for each in found["groups"]["category"]]
    cut = (await agent.get(INSIGHTS, params={"category": category, "client": kim["value"]})).json()
    assert (cut["source"], cut["total"]["tickets"]) == ("tickets", 3)
    assert cut["total"] == found["total"]
    assert (await agent.get(INSIGHTS, params={"runbook": "none"})).json()["total"]["tickets"] == 0

    answer = await agent.get(INSIGHTS, params={"format": "csv", "by_client": "true"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert rows[0]["dimension"] == "all"
    assert (rows[0]["tickets"], rows[0]["handled_of"]) == ("3", str(found["total"]["resting"]))
    assert [row["name"] for row in rows if row["dimension"] == "client"] == ["'=1+1"]  # no formula

    refused = problem(await agent.get(INSIGHTS, params={"month": "2026-13"}), 422, "bad_slice")
    assert [each["field"] for each in refused["errors"]] == ["month"]
    problem(await client.get(INSIGHTS), 403, "role_not_permitted")
    stranger = await connect(globex.owner)  # type: ignore[attr-defined]
    assert (await stranger.get(INSIGHTS, params={"client": kim["value"]})).json()["total"]["tickets"] == 0


async def test_recommendations_are_listed_decided_and_looked_for_over_http(
    app: App, agent: httpx.AsyncClient, owner: httpx.AsyncClient, client: httpx.AsyncClient, acme: Org
) -> None:
    where = "/api/support/recommendations"
    assert (await agent.get(where)).json() == {"items": [], "looked_at": None}
    number = await make_advice(app.database, acme.engine)
    page = await agent.get(where)
    TypeAdapter(advice.AdvicePage).validate_json(page.content)
    (found,) = page.json()["items"]
    assert (found["number"], found["about"], found["gain"]["expected"]) == (number, "shop", 3.0)
    assert found["gain"]["method"]
    problem(await agent.post(f"{where}/{number}/decide", json={"decision": "accept"}), 403, "role_not_permitted")
    problem(await owner.post(f"{where}/{number}/decide", json={"decision": "dismiss"}), 422, "bad_decision")
    problem(await owner.post(f"{where}/99/decide", json={"decision": "accept"}), 404, "no_recommendation")
    said = {"decision": "dismiss", "reason": "It is gone next week"}
    decided = (await owner.post(f"{where}/{number}/decide", json=said)).json()
    assert (decided["status"], decided["decided_by"], decided["reason"]) == (
        "dismissed",
        "owner test",
        said["reason"],
    )
    assert (await agent.get(where)).json()["items"] == []
    assert len((await agent.get(where, params={"status": "dismissed"})).json()["items"]) == 1
    assert (await agent.post(f"{where}/look")).json() == {"status": "asked"}
    problem(await client.get(where), 403, "role_not_permitted")
