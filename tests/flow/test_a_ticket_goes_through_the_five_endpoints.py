"""The five endpoints: a ticket is opened with triage, listed, spoken on, counted; and everything staff does with it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import httpx
from flow_cast import open_ticket, problem

if TYPE_CHECKING:
    from tests.conftest import Org

from asoe.app import App
from asoe.desk import journey


async def test_a_ticket_is_opened_with_its_triage_and_a_session(agent: httpx.AsyncClient, acme: Org) -> None:
    made = await open_ticket(agent, contact={"email": "ana@client.example", "name": "Ana"}, severity="high")
    assert made["category"] == "billing"
    assert made["severity"] == "high"
    assert made["triage"]["category"]["confidence"] == 0.9
    assert made["triage"]["given"] == {"severity": "high"}
    assert made["status"] == "open"
    assert made["number"] == 1
    assert made["org_id"] == str(acme.org_id)
    assert made["created_at"].endswith("Z")
    assert UUID(made["session_id"])
    read = await agent.get(f"/api/support/ticket/{made['id']}")
    assert read.json() == made
    assert (await agent.get("/api/support/ticket/number/1")).json() == made


async def test_tickets_are_listed_by_pages_newest_first(agent: httpx.AsyncClient) -> None:
    made = [(await open_ticket(agent, subject=f"invoice {number}"))["id"] for number in range(5)]
    seen: list[str] = []
    cursor = None
    while True:
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await agent.get("/api/support/tickets", params=query)).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == made[::-1]
    found = await agent.get("/api/support/tickets", params={"q": "invoice 3", "status": ["open", "closed"]})
    assert [item["id"] for item in found.json()["items"]] == [made[3]]
    problem(await agent.get("/api/support/tickets", params={"cursor": "nonsense"}), 422, "bad_cursor")


async def test_messages_follow_one_another_and_a_person_silences_the_engine(agent: httpx.AsyncClient) -> None:
    made = await open_ticket(agent)
    session = f"/api/support/session/{made['session_id']}"
    added = await agent.post(
        f"/api/support/message/{made['session_id']}", json={"role": "user", "content": "And the one of June?"}
    )
    assert added.status_code == 201
    assert set(added.json()) == {"id", "seq", "role", "content", "timestamp"}
    assert added.json()["seq"] == 2
    await agent.post(f"/api/support/message/{made['session_id']}", json={"role": "agent", "content": "Looking."})
    read = (await agent.get(session, params={"after_seq": 1})).json()
    assert [(m["seq"], m["role"]) for m in read["messages"]] == [(2, "user"), (3, "agent")]
    assert read["assistant_type"] == "hybrid"
    for role in ("assistant", "system"):
        refused = await agent.post(
            f"/api/support/message/{made['session_id']}", json={"role": role, "content": "I am the engine."}
        )
        problem(refused, 403, "role_of_engine")
    assert (await agent.post(f"{session}/hand-back")).json()["assistant_type"] == "ai"
    assert (await agent.post(f"{session}/take-over")).json()["assistant_type"] == "hybrid"
    assert (await agent.post(f"{session}/resolve")).json()["resolved"] is True
    assert (await agent.get(f"/api/support/ticket/{made['id']}")).json()["status"] == "resolved"


async def test_a_further_session_is_started_on_a_ticket(agent: httpx.AsyncClient) -> None:
    made = await open_ticket(agent)
    started = await agent.post(f"/api/support/session/{made['id']}")
    assert started.status_code == 201
    assert started.json()["assistant_type"] == "ai"
    human = await agent.post(f"/api/support/session/{made['id']}", json={"assistant_type": "human"})
    assert human.json()["assistant_type"] == "human"
    problem(await agent.post(f"/api/support/session/{uuid4()}"), 404, "ticket_missing")


async def test_stats_count_what_is_there(agent: httpx.AsyncClient) -> None:
    assert (await agent.get("/api/support/stats")).json() == {
        "total_tickets": 0,
        "open_tickets": 0,
        "resolved_rate": None,
        "avg_resolution_time": None,
        "by_category": {},
    }
    first = await open_ticket(agent)
    await open_ticket(agent, subject="crash", body="It crashes.")
    await agent.post(f"/api/support/session/{first['session_id']}/resolve")
    stats = (await agent.get("/api/support/stats")).json()
    assert (stats["total_tickets"], stats["open_tickets"], stats["resolved_rate"]) == (2, 1, 50)
    assert stats["by_category"] == {"billing": 1, "bug_report": 1}


async def test_open_tickets_come_most_severe_first(agent: httpx.AsyncClient) -> None:
    low = await open_ticket(agent, severity="low", subject="crash a", body="one")
    high = await open_ticket(agent, severity="critical", subject="crash b", body="two")
    found = (await agent.get("/api/support/open-tickets")).json()["items"]
    assert [each["id"] for each in found] == [high["id"], low["id"]]


async def test_staff_changes_assigns_moves_links_and_merges(agent: httpx.AsyncClient, acme: Org) -> None:
    made, other = await open_ticket(agent), await open_ticket(agent, subject="slow", body="slow pages")
    one = f"/api/support/ticket/{made['id']}"
    changed = await agent.patch(one, json={"category": "account", "tags": ["vip"], "expected_version": made["version"]})
    assert (changed.json()["category"], changed.json()["tags"]) == ("account", ["vip"])
    problem(await agent.patch(one, json={"team": "x", "expected_version": made["version"]}), 409, "ticket_changed")
    assigned = await agent.post(f"{one}/assign", json={"assignee": str(acme.agent.user_id), "team": "billing"})
    assert assigned.json()["assignee"] == str(acme.agent.user_id)
    problem(await agent.post(f"{one}/status", json={"status": "resolved"}), 409, "illegal_move")
    assert (await agent.post(f"{one}/status", json={"status": "triaging"})).json()["status"] == "triaging"
    assert (await agent.post(f"{one}/close")).json()["status"] == "closed"
    assert (await agent.post(f"{one}/reopen")).json()["status"] == "open"
    links = await agent.post(f"{one}/link", json={"other_id": other["id"], "kind": "related"})
    assert links.json()["items"][0]["other_id"] == other["id"]
    merged = await agent.post(f"{one}/merge", json={"into": other["id"]})
    assert merged.json()["merged_into"] == other["id"]
    assert len((await agent.get(f"{one}/links")).json()["items"]) == 2
    kinds = [fact["kind"] for fact in (await agent.get(f"{one}/timeline")).json()["items"]]
    assert kinds[0] == "ticket.opened"
    assert {"ticket.corrected", "ticket.assigned", "ticket.reopened", "ticket.merged"} <= set(kinds)


async def test_spam_is_closed_and_its_sender_blocked(agent: httpx.AsyncClient) -> None:
    made = await open_ticket(agent, contact={"email": "spam@client.example"})
    marked = await agent.post(f"/api/support/ticket/{made['id']}/spam", json={"block_sender": True})
    assert (marked.json()["is_spam"], marked.json()["status"]) == (True, "closed")
    again = await open_ticket(agent, subject="more", body="spam", contact={"email": "spam@client.example"})
    assert again["status"] == "closed"
    contact = (await agent.get("/api/contacts", params={"blocked": True})).json()["items"][0]
    assert (await agent.post(f"/api/contacts/{contact['id']}/unblock")).json()["blocked_at"] is None


async def test_the_journey_hands_over_with_a_dossier_and_its_runs(
    agent: httpx.AsyncClient, app: App, acme: Org
) -> None:
    made = await open_ticket(agent, subject="crash", body="I want a person, it crashed.")
    one = f"/api/support/ticket/{made['id']}"
    problem(await agent.get(f"{one}/dossier"), 404, "no_dossier")
    await journey.advance(app.desk, acme.org_id, UUID(made["id"]))
    dossier = (await agent.get(f"{one}/dossier")).json()
    assert "client_asked" in dossier["reasons"]
    assert dossier["dossier"]["wants"]
    runs = (await agent.get(f"{one}/runs")).json()["items"]
    assert [part["agent"] for part in runs[0]["invocations"]][-1] == "escalation"
    assert (await agent.get(one)).json()["resolution"]["verdict"] == "handed_over"


async def test_notes_are_for_staff(agent: httpx.AsyncClient) -> None:
    made = await open_ticket(agent)
    note = await agent.post(f"/api/support/ticket/{made['id']}/notes", json={"content": "Known customer."})
    assert note.status_code == 201
    read = (await agent.get(f"/api/support/session/{made['session_id']}")).json()
    assert read["messages"][-1]["is_internal"] is True


async def test_own_fields_are_defined_and_checked(owner: httpx.AsyncClient, agent: httpx.AsyncClient) -> None:
    made = await open_ticket(agent)
    one = f"/api/support/ticket/{made['id']}"
    problem(await agent.patch(one, json={"custom_fields": {"plan": "pro"}}), 422, "invalid_change")
    field = {"name": "plan", "type": "choice", "choices": ["free", "pro"], "is_required": False}
    assert (await owner.post("/api/support/fields", json=field)).json() == field
    problem(await owner.post("/api/support/fields", json=field), 409, "field_exists")
    assert (await agent.patch(one, json={"custom_fields": {"plan": "pro"}})).json()["custom_fields"] == {"plan": "pro"}
    changed = await owner.patch("/api/support/fields/plan", json={"choices": ["free", "pro", "team"]})
    assert changed.json()["choices"] == ["free", "pro", "team"]
    assert (await agent.get("/api/support/fields")).json()["items"][0]["name"] == "plan"
    assert (await owner.delete("/api/support/fields/plan")).status_code == 204
    problem(await owner.delete("/api/support/fields/plan"), 404, "no_field")
