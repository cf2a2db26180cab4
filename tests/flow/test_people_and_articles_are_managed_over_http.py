"""Members, invitations, keys, contacts and articles through the HTTP door."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import httpx
from flow_cast import Connect, open_ticket, problem

from asoe.app import App
from asoe.desk import knowledge

if TYPE_CHECKING:
    from tests.conftest import Org


async def test_who_am_i(agent: httpx.AsyncClient, acme: Org) -> None:
    seen = (await agent.get("/api/whoami")).json()
    assert (seen["org_id"], seen["role"], seen["scopes"]) == (str(acme.org_id), "agent", [])


async def test_a_member_is_invited_joins_and_is_shut_out(owner: httpx.AsyncClient, nobody: httpx.AsyncClient) -> None:
    made = await owner.post("/api/invitations", json={"email": "Dora@Acme.example", "role": "agent"})
    assert made.status_code == 201
    assert (await owner.get("/api/invitations")).json()["items"][0]["email"] == "dora@acme.example"
    token = {"token": made.json()["token"], "name": "Dora"}
    joined = await nobody.post("/api/invitations/accept", json=token)
    assert (joined.status_code, joined.json()["role"]) == (201, "agent")
    problem(await nobody.post("/api/invitations/accept", json=token), 409, "invitation_accepted")
    one = f"/api/members/{joined.json()['user_id']}"
    assert (await owner.patch(one, json={"role": "admin"})).json()["role"] == "admin"
    assert (await owner.patch(one, json={"disabled": True})).json()["disabled_at"]
    assert (await owner.get(one)).json()["disabled_at"]
    problem(await owner.patch(one, json={}), 422, "invalid_request")
    second = await owner.post("/api/invitations", json={"email": "eva@acme.example", "role": "client"})
    withdrawn = await owner.delete(f"/api/invitations/{second.json()['id']}")
    assert withdrawn.json()["revoked_at"]


async def test_members_are_added_and_listed_by_pages(owner: httpx.AsyncClient) -> None:
    for name in ("Fay", "Gus"):
        body = {"email": f"{name}@acme.example", "name": name, "role": "agent"}
        assert (await owner.post("/api/members", json=body)).status_code == 201
        problem(await owner.post("/api/members", json=body), 409, "already_member")
    seen: list[str] = []
    cursor = None
    while True:
        page = (await owner.get("/api/members", params={"limit": 2, **({"cursor": cursor} if cursor else {})})).json()
        seen += [member["name"] for member in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 6


async def test_a_key_is_shown_once_works_and_is_revoked(owner: httpx.AsyncClient, nobody: httpx.AsyncClient) -> None:
    made = await owner.post("/api/keys", json={"name": "Shop", "role": "agent", "scopes": ["tickets:read"]})
    bearer = {"Authorization": f"Bearer {made.json()['token']}"}
    assert (await nobody.get("/api/whoami", headers=bearer)).json()["key_id"] == made.json()["id"]
    assert "token" not in (await owner.get("/api/keys")).json()["items"][0]
    assert (await owner.delete(f"/api/keys/{made.json()['id']}")).json()["revoked_at"]
    problem(await nobody.get("/api/whoami", headers=bearer), 401, "revoked_key")


async def test_nobody_grants_more_than_they_have(connect: Connect, acme: Org) -> None:
    admin = await connect(acme.admin)
    problem(await admin.post("/api/keys", json={"name": "Up", "role": "owner"}), 403, "role_too_high")
    problem(await admin.patch(f"/api/members/{acme.owner.user_id}", json={"disabled": True}), 403, "owner_only")


async def test_a_contact_is_exported_and_erased(owner: httpx.AsyncClient) -> None:
    made = await open_ticket(owner, contact={"email": "ana@client.example", "name": "Ana"}, body="My secret words.")
    contact = (await owner.get("/api/contacts", params={"email": "ANA@client.example"})).json()["items"][0]
    one = f"/api/contacts/{contact['id']}"
    held = (await owner.post(f"{one}/export")).json()
    assert held["contact"]["email"] == "ana@client.example"
    assert held["tickets"][0]["body"] == "My secret words."
    erased = await owner.post(f"{one}/erase", headers={"Idempotency-Key": "erase"})
    assert erased.json() == {"tickets": 1}
    assert "secret" not in (await owner.get(f"/api/support/ticket/{made['id']}")).text
    assert "secret" not in (await owner.get(f"/api/support/session/{made['session_id']}")).text
    assert (await owner.post(f"{one}/erase", headers={"Idempotency-Key": "erase"})).content == erased.content


async def test_an_article_is_written_published_found_changed_and_retired(
    owner: httpx.AsyncClient, client: httpx.AsyncClient, app: App, acme: Org
) -> None:
    text = {"title": "Invoices", "slug": "invoices", "language": "en", "body": "# Where\n\nUnder Billing, Invoices."}
    made = await owner.post("/api/articles", json=text)
    assert (made.status_code, made.json()["status"]) == (201, "draft")
    problem(await owner.post("/api/articles", json=text), 409, "article_changed")
    one = f"/api/articles/{made.json()['id']}"
    problem(await client.get(one), 404, "article_missing")
    assert (await owner.post(f"{one}/publish")).json()["status"] == "published"
    assert (await client.get(one)).json()["body"] == text["body"]
    await knowledge.index_article(app.desk, acme.org_id, UUID(made.json()["id"]))
    found = await client.post("/api/articles/search", json={"question": "where are my invoices?"})
    assert found.json()["items"][0]["slug"] == "invoices"
    changed = await owner.patch(one, json={"body": "Under Settings."})
    assert (changed.json()["version"], changed.json()["title"]) == (2, "Invoices")
    versions = (await owner.get(f"{one}/versions")).json()["items"]
    assert [each["version"] for each in versions] == [2, 1]
    assert (await owner.post(f"{one}/restore", json={"version": 1})).json()["body"] == text["body"]
    assert (await owner.get("/api/articles")).json()["items"][0]["slug"] == "invoices"
    assert (await owner.post(f"{one}/retire")).json()["status"] == "retired"
    problem(await client.get(one), 404, "article_missing")


async def test_a_page_of_articles_goes_on_where_it_ended(owner: httpx.AsyncClient) -> None:
    for number in range(3):
        body = {"title": "T", "slug": f"a-{number}", "language": "en", "body": "Text."}
        await owner.post("/api/articles", json=body)
    first = (await owner.get("/api/articles", params={"limit": 2})).json()
    rest = (await owner.get("/api/articles", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [each["slug"] for each in first["items"] + rest["items"]] == ["a-0", "a-1", "a-2"]
    assert rest["next_cursor"] is None
