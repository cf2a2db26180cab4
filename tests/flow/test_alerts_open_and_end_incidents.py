"""Alerts open, feed and end incidents when their sender is proven; forged, repeated and played-back ones change nothing."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
from flow_cast import problem
from standardwebhooks import Webhook
from structlog.testing import capture_logs

from asoe.app import App
from asoe.desk import housekeeping

SOURCES = "/api/alert-sources"
STARTED = datetime(2026, 11, 23, 9, tzinfo=UTC)


def alert(status: str = "firing", *, starts: datetime = STARTED, **labels: str) -> dict[str, Any]:
    return {
        "status": status,
        "labels": {"alertname": "ExportsHalted", "region": "eu", **labels},
        "annotations": {"summary": "Exports stand still in eu"},
        "startsAt": starts.isoformat(),
        "endsAt": "0001-01-01T00:00:00Z" if status == "firing" else (starts + timedelta(hours=1)).isoformat(),
        "generatorURL": "http://prometheus/graph",
        "fingerprint": hashlib.sha256(json.dumps(labels).encode()).hexdigest()[:16],
    }


def message(*alerts: dict[str, Any]) -> dict[str, Any]:
    return {"version": "4", "groupKey": '{}:{alertname="ExportsHalted"}', "status": "firing", "alerts": list(alerts)}


async def add(owner: httpx.AsyncClient, kind: str, proof: str) -> dict[str, Any]:
    made = await owner.post(SOURCES, json={"name": f"{kind} by {proof}", "kind": kind, "proof": proof})
    assert made.status_code == 201, made.text
    found: dict[str, Any] = made.json()
    return found


async def send(client: httpx.AsyncClient, source: dict[str, Any], body: Any, **headers: str) -> httpx.Response:
    if source["proof"] == "bearer" and not headers:
        headers = {"Authorization": f"Bearer {source['secret']}"}
    text = body if isinstance(body, str) else json.dumps(body)
    return await client.post(source["path"], content=text, headers={"Content-Type": "application/json", **headers})


async def going(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get("/api/support/incidents")).json()["items"]
    return found


async def test_alertmanager_opens_feeds_and_ends_one_incident(
    owner: httpx.AsyncClient, nobody: httpx.AsyncClient, app: App
) -> None:
    rules = {
        "alerts": [{"labels": {"alertname": "ExportsHalted"}, "check": "estate.pool", "arguments": {"id": "region"}}]
    }
    assert (await owner.patch("/api/organization", json={"settings": {"incidents": rules}})).status_code == 200
    source = await add(owner, "alertmanager", "bearer")
    assert (await send(nobody, source, message(alert()))).json() == {"fired": 1, "over": 0, "old": 0, "ignored": 0}
    with capture_logs() as logs:
        for _ in range(3):
            assert (await send(nobody, source, message(alert()))).json()["old"] == 1, "told again"
    ignored = [line for line in logs if line["event"] == "alert.ignored"]
    assert [line["reason"] for line in ignored] == ["what it tells was told before"] * 3
    assert (await send(nobody, source, message(alert(), alert(pod="two")))).json()["fired"] == 1
    (incident,) = await going(owner)
    assert (incident["source"], incident["status"], incident["check"]) == ("alert", "open", "estate.pool")
    assert incident["title"] == "Exports stand still in eu"
    await housekeeping.keep_incidents(app.desk)
    assert (await going(owner))[0]["status"] == "open"
    await send(nobody, source, message(alert("resolved"), alert("resolved", pod="two")))
    for _ in range(2):
        await housekeeping.keep_incidents(app.desk)
    (incident,) = await going(owner)
    assert (incident["status"], incident["counts"]["tickets"]) == ("closed", 0)
    # an old message played back, and an end without a beginning
    assert (await send(nobody, source, message(alert()))).json()["old"] == 1
    assert (await send(nobody, source, message(alert("resolved", pod="three")))).json()["old"] == 1
    assert len(await going(owner)) == 1
    later = STARTED + timedelta(hours=2)
    assert (await send(nobody, source, message(alert(starts=later)))).json()["fired"] == 1, "a new episode"
    assert len(await going(owner)) == 2


async def test_grafana_signs_and_a_changed_body_or_an_old_stamp_is_refused(
    owner: httpx.AsyncClient, nobody: httpx.AsyncClient, app: App
) -> None:
    source = await add(owner, "grafana", "hmac")
    text = json.dumps({**message(alert()), "orgId": 1, "title": "[FIRING:1]"})

    def signed(body: str, stamp: str = "") -> dict[str, str]:
        signing = f"{stamp}:{body}" if stamp else body
        made = hmac.new(source["secret"].encode(), signing.encode(), hashlib.sha256).hexdigest()
        return {"X-Grafana-Alerting-Signature": made, **({"X-Grafana-Alerting-Timestamp": stamp} if stamp else {})}

    now = str(int(app.desk.clock().timestamp()))
    old = str(int(app.desk.clock().timestamp()) - 3600)
    with capture_logs() as logs:
        for headers, body in (
            (signed(text), text.replace("eu", "us")),
            (signed(text, old), text),
            ({**signed(text, now), "X-Grafana-Alerting-Timestamp": str(int(now) + 1)}, text),
            ({"X-Grafana-Alerting-Signature": "é"}, text),
            ({"X-Other": "1"}, text),
        ):
            given = {name: value.encode("utf-8") if not value.isascii() else value for name, value in headers.items()}
            problem(await send(nobody, source, body, **given), 401, "bad_alert_proof")
    reasons = [line["reason"] for line in logs if line["event"] == "alert.refused"]
    assert len(reasons) == 5
    assert "the signature does not fit the body" in reasons
    assert source["secret"] not in json.dumps([str(line) for line in logs])
    assert await going(owner) == []
    assert (await send(nobody, source, text, **signed(text, now))).json()["fired"] == 1
    assert (await send(nobody, source, text, **signed(text))).json()["old"] == 1


async def test_own_programs_sign_as_standard_webhooks_say(owner: httpx.AsyncClient, nobody: httpx.AsyncClient) -> None:
    source = await add(owner, "generic", "standard")
    body = json.dumps(
        {"alerts": [{"id": "disk", "status": "firing", "starts_at": STARTED.isoformat(), "title": "Disk full"}]}
    )
    now = datetime.now(UTC)
    good = Webhook(source["secret"]).sign("m1", now, body)
    headers = {"webhook-id": "m1", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": good}
    for change in (
        {"webhook-signature": good[:-4] + "AAA="},
        {"webhook-signature": "nonsense"},
        {"webhook-timestamp": "inf"},
        {"webhook-id": "m2"},
    ):
        problem(await send(nobody, source, body, **{**headers, **change}), 401, "bad_alert_proof")
    assert (await send(nobody, source, body, **headers)).json()["fired"] == 1
    assert (await send(nobody, source, body, **headers)).json()["old"] == 1, "played back"
    made = (await owner.post(f"{SOURCES}/{source['id']}/rotate")).json()
    assert made["secret"] != source["secret"]
    assert (await send(nobody, source, body, **headers)).json()["old"] == 1, "the old one holds for a day"
    assert (await owner.delete(f"{SOURCES}/{source['id']}")).status_code == 204
    problem(await send(nobody, source, body, **headers), 404, "alert_source_missing")


async def test_what_is_no_alert_is_refused_by_field_and_strangers_see_nothing(
    owner: httpx.AsyncClient, agent: httpx.AsyncClient, nobody: httpx.AsyncClient
) -> None:
    source = await add(owner, "alertmanager", "bearer")
    wrong = problem(await send(nobody, source, {"alerts": [{"status": "odd"}]}), 422, "bad_alert")
    assert wrong["errors"][0]["field"] == "alerts.0.status"
    problem(await send(nobody, source, message(*[alert(pod=str(n)) for n in range(501)])), 422, "bad_alert")
    problem(
        await send(nobody, {**source, "path": f"/api/alerts/nobody/{uuid4()}"}, message()),
        404,
        "alert_source_missing",
    )
    problem(await send(nobody, source, message(alert()), Authorization="Bearer guessed"), 401, "bad_alert_proof")
    assert (await agent.get(SOURCES)).status_code == 403
    assert source["secret"] not in (await owner.get(SOURCES)).text
    hostile = alert(team="<script>alert(1)</script>")
    hostile["annotations"]["summary"] = "x" * 5000
    assert (await send(nobody, source, message(hostile))).json()["fired"] == 1
    (incident,) = await going(owner)
    assert len(incident["title"]) <= 200
