"""At the HTTP door: another organization's things do not exist, a client sees its own, staff's things stay with staff."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import httpx
import pytest
from flow_cast import UNLOCK, Connect, Estate, open_ticket, problem

from asoe.api.permissions import RULES
from asoe.app import App
from asoe.desk import journey, learning
from asoe.desk.runbook import execution
from asoe.desk.trail import Trail
from asoe.domain.notification import Delivery
from asoe.store import deliveries, webhooks
from cast import make_advice, make_answer, make_wish

if TYPE_CHECKING:
    from tests.conftest import Org

BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/assign"): {"team": "x"},
    ("POST", "/status"): {"status": "triaging"},
    ("POST", "/merge"): {"into": str(uuid4())},
    ("POST", "/link"): {"other_id": str(uuid4())},
    ("POST", "/spam"): {},
    ("POST", "/notes"): {"content": "x"},
    ("POST", "/presence"): {"state": "viewing"},
    ("POST", "/restore"): {"version": 1},
    ("PATCH", "/api/support/ticket/{ticket_id}"): {"team": "x"},
    ("PATCH", "/api/intents/{name}"): {"title": "x"},
    ("PATCH", "/api/webhooks/{webhook_id}"): {"events": ["*"]},
    ("PATCH", "/api/members/{user_id}"): {"disabled": True},
    ("PATCH", "/api/articles/{article_id}"): {"title": "x"},
    ("POST", "/api/support/message/{session_id}"): {"role": "user", "content": "x"},
    ("PATCH", "/api/support/fields/{name}"): {"is_required": True},
    ("PATCH", "/api/support/connectors/{name}"): {"disabled": True},
    ("POST", "/api/support/runbooks/{name}/publish"): {},
    ("PATCH", "/api/support/runbooks/{name}/autonomy"): {"level": "shadow"},
    ("POST", "/api/support/runbooks/{name}/lend"): {
        "reason": "x",
        "until": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
    },
    ("PATCH", "/api/wishes/{wish_number}"): {"status": "planned"},
    ("POST", "/api/wishes/{wish_number}/merge"): {"into": 2},
    ("POST", "/split"): {},
    ("POST", "/ship"): {},
    ("POST", "/answer-judgement"): {"is_useful": True},
    ("POST", "/judge"): {"is_right": False},
    ("POST", "/agent-runs/{agent_run_id}/replay"): {},
    ("POST", "/runs/{run_id}/replay"): {},
    ("POST", "/audit"): {"is_right": False},
    ("POST", "/api/support/recommendations/{recommendation_number}/decide"): {"decision": "dismiss", "reason": "x"},
    ("POST", "/decide"): {"vote": "approve"},
    ("POST", "/plan"): {"plan": "gold"},
    ("POST", "/incidents/{incident_id}/tickets"): {"ticket_ids": [str(uuid4())]},
    ("POST", "/fix"): {"runbook": "unlock-account"},
    ("POST", "/updates"): {"content": "x"},
    ("PATCH", "/api/support/incidents/{incident_id}"): {"title": "x"},
}


@pytest.fixture
async def theirs(connect: Connect, globex: Org, app: App, estate: Estate) -> dict[str, str]:
    """One of everything in Globex, by the name routes have for it; a run waits for an approval."""
    owner = await connect(globex.owner)
    made = await open_ticket(owner, contact={"email": "client@globex.example"})
    files = {"file": ("a.txt", b"theirs", "text/plain")}
    attached = await owner.post(f"/api/support/ticket/{made['id']}/attachments", files=files)
    article = {"title": "Theirs", "slug": "theirs", "language": "en", "body": "Only Globex knows."}
    written = await owner.post("/api/articles", json=article)
    await owner.post(f"/api/articles/{written.json()['id']}/publish")
    invited = await owner.post("/api/invitations", json={"email": "new@globex.example", "role": "agent"})
    key = await owner.post("/api/keys", json={"name": "Theirs", "role": "agent"})
    await owner.post("/api/support/runbooks", json={"source": UNLOCK})
    await owner.post("/api/support/runbooks/unlock-account/publish", json={})
    begun = {"runbook": "unlock-account", "ticket_id": made["id"]}
    run = (await owner.post("/api/support/runs", json=begun)).json()
    await execution.advance_run(app.desk, globex.engine, UUID(run["id"]))
    (approval,) = (await owner.get("/api/support/approvals")).json()["items"]
    assert approval["status"] == "pending"
    incident = await owner.post("/api/support/incidents", json={"title": "Theirs", "intent": "outage"})
    source = await owner.post("/api/alert-sources", json={"name": "theirs", "kind": "generic", "proof": "bearer"})
    assert source.status_code == 201, source.text
    hook, sent = uuid4(), uuid4()
    async with app.database.org_transaction(globex.owner) as connection:
        await webhooks.add(
            connection,
            globex.org_id,
            hook,
            kind="signed",
            name="Theirs",
            place="https://globex.example",
            sealed=b"x",
            events=["*"],
            allow_private=False,
            created_by=globex.owner.user_id,
        )
        dead = Delivery(
            sent, 1, "ticket.opened", app.desk.clock(), None, "webhook", f"webhook:{hook}", {}, app.desk.clock()
        )
        await deliveries.add(connection, globex.org_id, [dead], at=app.desk.clock())
        looked = Trail(app.desk.clock, initiator="worker", entrypoint="journey.triage")
        await looked.save(connection, globex.org_id, UUID(made["id"]), "handed_over")
    return {
        "run_id": run["id"],
        "agent_run_id": str(looked.run_id),
        "approval_id": approval["id"],
        "source_id": source.json()["id"],
        "ticket_id": made["id"],
        "session_id": made["session_id"],
        "attachment_id": attached.json()["id"],
        "article_id": written.json()["id"],
        "contact_id": made["contact_id"],
        "user_id": str(globex.agent.user_id),
        "invitation_id": invited.json()["id"],
        "key_id": key.json()["id"],
        "number": str(made["number"]),
        "name": "unlock-account",
        "webhook_id": str(hook),
        "delivery_id": str(sent),
        "model_version": str(await begin_model(app, globex)),
        "answer_id": str(await make_answer(app.database, globex.engine, UUID(made["id"]))),
        "recommendation_number": str(await make_advice(app.database, globex.engine)),
        "wish_number": str(await make_wish(app.database, globex.engine, UUID(made["id"]))),
        "incident_id": incident.json()["id"],
    }


async def begin_model(app: App, globex: Org) -> int:
    return (await learning.start_training(app.desk, globex.owner)).version


# what a client of the widget gets is in test_a_client_in_the_widget_sees_its_own_only
ADDRESSED = sorted(
    key for key, rule in RULES.items() if "{" in key[1] and not rule.is_public and not rule.is_for_contacts
)


@pytest.mark.parametrize(("method", "path"), ADDRESSED)
async def test_another_organizations_things_do_not_exist(
    owner: httpx.AsyncClient, theirs: dict[str, str], estate: Estate, method: str, path: str
) -> None:
    body = BODIES.get((method, path)) or next(
        (value for (verb, end), value in BODIES.items() if verb == method and path.endswith(end)), None
    )
    options: dict[str, Any] = {} if body is None else {"json": body}
    if method == "POST" and path.endswith("/attachments"):
        options = {"files": {"file": ("a.txt", b"x", "text/plain")}}
    answer = await owner.request(method, path.format(**theirs), **options)
    assert answer.status_code == 404, answer.text
    assert "globex" not in answer.text.lower()
    assert estate.effects == 0


async def test_a_key_that_may_decide_decides_nothing_of_another_organization(
    owner: httpx.AsyncClient, nobody: httpx.AsyncClient, theirs: dict[str, str], estate: Estate
) -> None:
    named = await owner.post("/api/keys", json={"name": "Bot", "role": "agent", "scopes": ["approvals:decide"]})
    bearer = {"Authorization": f"Bearer {named.json()['token']}"}
    path = f"/api/support/approvals/{theirs['approval_id']}/decide"
    refused = await nobody.post(path, json={"vote": "approve"}, headers=bearer)
    problem(refused, 404, "approval_missing")
    assert estate.effects == 0


async def test_lists_hold_nothing_of_another_organization(owner: httpx.AsyncClient, theirs: dict[str, str]) -> None:
    for path in (
        "/api/support/tickets",
        "/api/support/open-tickets",
        "/api/support/fields",
        "/api/articles",
        "/api/contacts",
        "/api/invitations",
        "/api/support/runbooks",
        "/api/support/runs",
        "/api/support/approvals",
        "/api/wishes",
        "/api/support/recommendations",
        "/api/support/topics",
    ):
        assert (await owner.get(path)).json()["items"] == [], path
    assert (await owner.get("/api/support/stats")).json()["total_tickets"] == 0
    found = await owner.post("/api/articles/search", json={"question": "what does Globex know?"})
    assert found.json()["items"] == []
    for path in ("/api/members", "/api/keys", "/api/organization", "/api/whoami"):
        text = (await owner.get(path)).text.lower()
        assert "globex" not in text
        assert not [value for name, value in theirs.items() if name.endswith("_id") and value in text]


async def test_a_key_acts_in_its_own_organization_only(agent: httpx.AsyncClient, globex: Org) -> None:
    refused = await agent.get("/api/whoami", headers={"X-Organization-Id": str(globex.org_id)})
    problem(refused, 403, "wrong_organization")


async def test_who_is_unknown_gets_nothing(nobody: httpx.AsyncClient) -> None:
    for (method, path), rule in RULES.items():
        if not rule.is_public:
            named = (
                path.replace("{number}", "1")
                .replace("{wish_number}", "1")
                .replace("{recommendation_number}", "1")
                .replace("{model_version}", "1")
                .replace("{name}", "x")
            )
            for part in (
                "ticket",
                "session",
                "attachment",
                "article",
                "contact",
                "invitation",
                "key",
                "user",
                "run",
                "approval",
            ):
                named = named.replace(f"{{{part}_id}}", str(uuid4()))
            refused = await nobody.request(method, named)
            problem(refused, 401, "no_credentials")
            assert refused.headers["www-authenticate"].startswith("Bearer")
    forged = await nobody.get("/api/whoami", headers={"Authorization": "Bearer asoe_aaaaaaaa_" + "a" * 43})
    problem(forged, 401, "bad_key")


async def test_a_client_sees_its_own_tickets_only(
    client: httpx.AsyncClient, agent: httpx.AsyncClient, connect: Connect, acme: Org
) -> None:
    own = await open_ticket(client)
    other_client = await connect(acme.client)
    foreign = await open_ticket(other_client, subject="crash")
    staffs = await open_ticket(agent, subject="slow")
    listed = (await client.get("/api/support/tickets")).json()["items"]
    assert [item["id"] for item in listed] == [own["id"]]
    for ticket in (foreign, staffs):
        problem(await client.get(f"/api/support/ticket/{ticket['id']}"), 404, "ticket_missing")
        problem(await client.get(f"/api/support/ticket/number/{ticket['number']}"), 404, "ticket_missing")
        problem(await client.get(f"/api/support/session/{ticket['session_id']}"), 404, "session_missing")
        said = {"role": "user", "content": "let me in"}
        problem(await client.post(f"/api/support/message/{ticket['session_id']}", json=said), 404, "session_missing")
        problem(await client.post(f"/api/support/session/{ticket['session_id']}/resolve"), 404, "session_missing")
        problem(await client.post(f"/api/support/session/{ticket['id']}"), 404, "ticket_missing")
        files = {"file": ("a.txt", b"x", "text/plain")}
        refused = await client.post(f"/api/support/ticket/{ticket['id']}/attachments", files=files)
        problem(refused, 404, "ticket_missing")


async def test_a_client_never_sees_what_staff_keeps_to_itself(
    client: httpx.AsyncClient, agent: httpx.AsyncClient, app: App, acme: Org
) -> None:
    own = await open_ticket(client, body="I want a person.")
    one = f"/api/support/ticket/{own['id']}"
    await agent.post(f"{one}/notes", json={"content": "Difficult customer."})
    await agent.patch(one, json={"tags": ["vip"], "team": "billing"})
    secret = {"file": ("inner.txt", b"inner", "text/plain")}
    inner = await agent.post(f"{one}/attachments", files=secret, data={"is_internal": "true"})
    await journey.advance(app.desk, acme.org_id, UUID(own["id"]))

    seen = (await client.get(one)).json()
    assert not {"tags", "team", "assignee", "custom_fields", "is_spam"} & seen.keys()
    assert {"metadata", "triage", "resolution"} <= seen.keys()
    assert seen["resolution"]["verdict"] == "handed_over"
    assert not {"summary", "evidence"} & seen["resolution"].keys(), (
        "why, to whom, and what was read of systems of record"
    )
    assert "Difficult" not in (await client.get(f"/api/support/session/{own['session_id']}")).text
    assert (await client.get(f"{one}/attachments")).json()["items"] == []
    problem(await client.get(f"/api/support/attachment/{inner.json()['id']}"), 404, "attachment_missing")
    for part in ("timeline", "runs", "dossier", "links"):
        problem(await client.get(f"{one}/{part}"), 403, "role_not_permitted")
    problem(await client.get("/api/support/tickets", params={"team": "billing"}), 403, "staff_only")
    problem(await client.get("/api/support/stats"), 403, "role_not_permitted")


async def test_a_client_may_not_speak_for_others(client: httpx.AsyncClient, acme: Org) -> None:
    own = await open_ticket(client)
    for role in ("agent", "assistant", "system"):
        refused = await client.post(f"/api/support/message/{own['session_id']}", json={"role": role, "content": "x"})
        assert refused.status_code == 403
    for requester in ({"user_id": str(acme.agent.user_id)}, {"contact": {"email": "a@b.example"}}):
        problem(
            await client.post("/api/support/ticket", json={"subject": "x", **requester}), 403, "client_sets_requester"
        )
    problem(await client.post("/api/support/ticket", json={"subject": "x", "tags": ["vip"]}), 403, "staff_only")


async def test_a_narrow_key_does_what_it_names(connect: Connect, acme: Org) -> None:
    reader = await connect(acme.admin, scopes=["tickets:read"])
    assert (await reader.get("/api/support/tickets")).status_code == 200
    problem(await reader.post("/api/support/ticket", json={"subject": "x"}), 403, "scope_missing")
    problem(await reader.get("/api/members"), 403, "scope_missing")
    assert (await reader.get("/api/whoami")).json()["scopes"] == ["tickets:read"]
