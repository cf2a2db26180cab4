"""Inbox, preferences, webhooks, deliveries, mailbox and handed-in mails over the API; no secret ever comes back out."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import pytest
from flow_cast import open_ticket, problem
from pydantic import TypeAdapter

from asoe.api import mailbox as mailbox_api
from asoe.api import notifications as api
from asoe.api import webhooks as webhooks_api
from asoe.app import App, open_connectors
from asoe.desk import notification
from asoe.store import facts

if TYPE_CHECKING:
    from tests.conftest import Org

URL = "https://hooks.example/T000/s3cr3t-path?token=s3cr3t-4711"
SERVER = {"host": "smtp.acme.example", "user": "support", "password": "s3cr3t-4711"}


@pytest.fixture
async def app(app: App) -> AsyncIterator[App]:
    connectors = open_connectors(app.database, app.secret_key, app.desk.engine_of)
    yield replace(app, desk=replace(app.desk, connectors=connectors))
    await connectors.close()


async def test_a_person_reads_its_inbox_and_says_what_it_wants(
    agent: httpx.AsyncClient, owner: httpx.AsyncClient, client: httpx.AsyncClient, app: App, acme: Org
) -> None:
    made = await open_ticket(owner)
    chosen = await agent.get("/api/notifications/preferences")
    TypeAdapter(api.PreferencesOut).validate_python(chosen.json())
    assert chosen.json()["notices"]["ticket.escalated"]["channels"] == ["in_app", "email"]
    wanted = {"choices": {"acts.stopped": []}, "quiet_from": "22:00", "quiet_until": "07:00", "zone": "Europe/Berlin"}
    changed = await agent.patch("/api/notifications/preferences", json=wanted)
    assert changed.json()["notices"]["acts.stopped"]["channels"] == []
    assert changed.json()["quiet_from"] == "22:00:00"
    wrong = await agent.patch("/api/notifications/preferences", json={"zone": "Mars/Base"})
    assert problem(wrong, 422, "bad_preferences")["errors"][0]["field"] == "zone"
    problem(await client.get("/api/notifications"), 403, "role_not_permitted")
    async with app.database.org_transaction(acme.engine) as connection:
        await facts.record(connection, acme.engine, "ticket.escalated", ticket_id=made["id"])
    await notification.spread(app.desk)
    assert (await agent.get("/api/notifications")).json()[
        "unread"
    ] == 0  # a key is no person: nobody is told through it
    told, _ = await notification.read_inbox(app.desk, acme.agent)
    TypeAdapter(api.NotificationOut).validate_python(api.shown(told[0]))
    assert (await agent.post("/api/notifications/read", json={})).json() == {"marked": 0}


async def test_webhooks_live_over_http_and_their_secrets_do_not(
    owner: httpx.AsyncClient, agent: httpx.AsyncClient, app: App, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    body = {"name": "crm", "url": URL, "events": ["ticket.*"]}
    made = await owner.post("/api/webhooks", json=body, headers={"Idempotency-Key": "one"})
    assert made.status_code == 201
    secret = made.json()["secret"]
    assert secret.startswith("whsec_")
    again = await owner.post("/api/webhooks", json=body, headers={"Idempotency-Key": "one"})
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json()["secret"] is None
    problem(await owner.post("/api/webhooks", json=body), 409, "webhook_exists")
    path = f"/api/webhooks/{made.json()['id']}"
    rotated = await owner.patch(path, json={"rotate_secret": True})
    assert rotated.json()["secret"] not in {None, secret}
    assert (await owner.patch(path, json={"disabled": True, "why": "audit"})).json()["disabled_why"] == "audit"
    problem(await owner.post(path + "/test"), 409, "webhook_disabled")
    await owner.patch(path, json={"disabled": False})
    assert (await owner.post(path + "/test")).status_code == 202
    await notification.spread(app.desk)
    (sent,) = (await owner.get("/api/deliveries", params={"channel": "webhook"})).json()["items"]
    assert sent["kind"] == "webhook.tested"
    TypeAdapter(webhooks_api.DeliveryOut).validate_python(sent)
    problem(await owner.post(f"/api/deliveries/{sent['id']}/replay"), 404, "no_delivery")  # it is still tried
    assert (await owner.post("/api/deliveries/replay")).json() == {"replayed": 0}
    shown = [await owner.get("/api/webhooks"), await owner.get(path), again]
    TypeAdapter(webhooks_api.WebhookPage).validate_python(shown[0].json())
    for answer in (*shown, rotated):
        assert "s3cr3t-4711" not in answer.text
    for word in ("s3cr3t", secret, rotated.json()["secret"]):
        assert word not in caplog.text
    private = {**body, "name": "inside", "url": "http://127.0.0.1/x", "allow_private": True}
    problem(await owner.post("/api/webhooks", json=private), 403, "private_not_allowed")
    problem(await agent.get("/api/webhooks"), 403, "role_not_permitted")
    assert (await owner.delete(path)).status_code == 204
    problem(await owner.get(path), 404, "no_webhook")


async def test_the_mailbox_takes_passwords_in_and_gives_none_out(
    owner: httpx.AsyncClient, agent: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    problem(await owner.get("/api/mailbox"), 404, "no_mailbox")
    made = await owner.patch("/api/mailbox", json={"address": "support@acme.example", "smtp": SERVER})
    assert made.json()["smtp"] == {"host": "smtp.acme.example", "port": 465, "tls": "tls", "user": "support"}
    kept = {key: value for key, value in SERVER.items() if key != "password"}
    assert (await owner.patch("/api/mailbox", json={"address": "help@acme.example", "smtp": kept})).status_code == 200
    moved = {**kept, "host": "smtp.evil.example"}
    refused = await owner.patch("/api/mailbox", json={"address": "help@acme.example", "smtp": moved})
    assert problem(refused, 422, "bad_mailbox")["errors"][0]["field"] == "passwords.smtp"
    inside = {"address": "a@acme.example", "smtp": {**SERVER, "tls": "none"}, "allow_private": True}
    problem(await owner.patch("/api/mailbox", json=inside), 403, "private_not_allowed")
    problem(await agent.get("/api/mailbox"), 403, "role_not_permitted")
    shown = await owner.get("/api/mailbox")
    TypeAdapter(mailbox_api.MailboxOut).validate_python(shown.json())
    assert "s3cr3t" not in shown.text + made.text + refused.text + caplog.text
    assert (await owner.delete("/api/mailbox")).status_code == 204


async def test_a_mail_is_handed_in_once(
    owner: httpx.AsyncClient, agent: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    await owner.patch("/api/mailbox", json={"address": "support@acme.example", "smtp": SERVER})
    raw = (
        b"From: Ana <ana@client.example>\r\nSubject: Invoice\r\nMessage-ID: <1@client.example>\r\n\r\nWhere is it?\r\n"
    )
    headers = {"Content-Type": "message/rfc822"}
    first = await agent.post("/api/mail", content=raw, headers=headers)
    assert first.json()["outcome"] == "opened"
    TypeAdapter(mailbox_api.ReceivedOut).validate_python(first.json())
    again = await agent.post("/api/mail", content=raw, headers=headers)
    why = "a mail with this Message-ID was taken in before"
    assert again.json() == {**first.json(), "outcome": "duplicate", "reason": why}
    opened = (await agent.get(f"/api/support/ticket/{first.json()['ticket_id']}")).json()
    assert (opened["channel"], opened["subject"], opened["body"]) == ("email", "Invoice", "Where is it?")
    problem(
        await agent.post("/api/mail", content=raw, headers={"Content-Type": "text/plain"}),
        415,
        "wrong_media_type",
    )
    problem(await client.post("/api/mail", content=raw, headers=headers), 403, "role_not_permitted")
    huge = await agent.post("/api/mail", content=b"x" * (26 * 1024 * 1024), headers=headers)
    assert huge.status_code in {413, 422}
