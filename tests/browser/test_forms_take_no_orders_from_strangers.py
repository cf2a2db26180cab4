"""Every form of the route table refuses a forged request, a wrong role, and another organization's things.

Generated from the routes: a new form is covered by itself, and one with an id of a new kind fails until it is named here.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from browser_cast import COOKIE, House

from asoe.api.permissions import ADMINS
from asoe.desk import attachment, knowledge, people, saved_view
from asoe.desk.incident import alerting, handling
from asoe.desk.incident.handling import Wanted
from asoe.domain.knowledge import ArticleText
from asoe.domain.notification import Delivery
from asoe.store import deliveries, webhooks
from asoe.web.cookies import csrf_token, new_visit
from asoe.web.door import ANYBODY, SIGNED_IN, Page
from asoe.web.site import create_site, routes
from cast import make_advice, make_answer, make_wish

FORMS = [page for page in routes() if page.method == "POST"]
PAGES = [page for page in routes() if page.method == "GET"]
GUARDED = [page for page in FORMS if page.roles != ANYBODY]
OWN = (
    "/sign-out",
    "/sign-out-everywhere",
    "/profile/password",
    "/organizations",
    "/knowledge/preview",
    "/notifications/read",
    "/profile/notifications",
)
"""Forms that touch nothing but the sender's own sign-in, or nothing at all."""

BODY = {
    "content": "hello",
    "status": "resolved",
    "assignee": "",
    "add": "tag",
    "category": "billing",
    "role": "client",
    "title": "Taken",
    "slug": "taken",
    "language": "en",
    "body": "text",
    "version": "1",
    "name": "Acme",
    "email": "taken@example.com",
    "action": "close",
    "into": "1",
    "next": "/",
    "back": "/queue",
    "vote": "approve",
    "decision": "accept",
    "reason": "taken",
    "level": "auto",
    "days": "5",
    "source": "runbook: taken",
    "is_right": "yes",
    "ticket": "1",
    "most": "5",
}


Rows = Callable[[], Awaitable[list[Any]]]


def name(page: Page) -> str:
    return f"{page.method} {page.path}"


@pytest.fixture(scope="session")
async def asking(house: House) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=create_site(house.app), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://asoe.test") as client:
        yield client


@pytest.fixture(scope="session")
async def things(house: House) -> dict[str, str]:
    """One of each thing of Globex, by the name that paths give its id."""
    desk, owner = house.app.desk, house.globex.owner
    opened = await house.ticket(house.globex, subject="Of Globex")
    file = await attachment.attach(
        desk, owner, opened.id, name="a.txt", media_type="text/plain", content=b"Globex only"
    )
    text = ArticleText("Of Globex", f"of-globex-{uuid4().hex[:8]}", "en", "Internal.", audience="agent")
    article = await knowledge.save_article(desk, owner, text, publish_now=True)
    await knowledge.save_article(desk, owner, text, expected_version=1)
    key = await people.create_key(desk, owner, name="globex", role="agent")
    invitation = await people.invite(desk, owner, email=f"{uuid4().hex}@globex.example", role="agent")
    return {
        "ticket_id": str(opened.id),
        "agent_run_id": await house.agent_run(house.globex, opened.id),
        "attachment_id": str(file.id),
        "article_id": str(article.id),
        "key_id": str(key.key.id),
        "invitation_id": str(invitation.invitation.id),
        "user_id": str(house.globex.agent.user_id),
        **await house.runbook(house.globex),
        **await outgoing(house),
        "view_id": str((await saved_view.save_view(desk, owner, "Of Globex", {"view": "all"}, is_shared=True)).id),
        "backtest_id": await house.backtest(house.globex),
        "connector": await house.connector(house.globex, "of-globex"),
        "answer_id": str(await make_answer(house.app.database, house.globex.engine, opened.id)),
        "recommendation_number": str(await make_advice(house.app.database, house.globex.engine)),
        "wish_number": str(await make_wish(house.app.database, house.globex.engine, opened.id)),
        "incident_id": str((await handling.open_incident(desk, owner, Wanted("Of Globex", intent="outage"))).id),
        "source_id": str(
            (await alerting.add_source(desk, owner, name="Of Globex", kind="grafana", proof="hmac")).source.id
        ),
        "token": "asoe_invite_" + "x" * 43,
        "link": "x" * 160,  # a forged one
        "org": house.globex.slug,  # its widget and help page are off
        "article": text.slug,
    }


async def outgoing(house: House) -> dict[str, str]:
    """A webhook of Globex, and a delivery to it."""
    hook, sent, globex, now = uuid4(), uuid4(), house.globex, house.app.desk.clock()
    dead = Delivery(sent, 1, "ticket.opened", now, None, "webhook", f"webhook:{hook}", {}, now)
    async with house.app.database.org_transaction(globex.owner) as connection:
        await webhooks.add(
            connection,
            globex.org_id,
            hook,
            kind="signed",
            name="Of Globex",
            place="https://globex.example",
            sealed=b"x",
            events=["*"],
            allow_private=False,
            created_by=globex.owner.user_id,
        )
        await deliveries.add(connection, globex.org_id, [dead], at=now)
    return {"webhook_id": str(hook), "delivery_id": str(sent)}


@pytest.fixture(scope="session")
async def rows_of_globex(house: House) -> AsyncIterator[Rows]:
    """A digest of every row of Globex, in every table that belongs to organizations."""
    connection = await asyncpg.connect(house.app.owner_url)
    await connection.execute("set role asoe_owner")
    tables = await connection.fetch(
        """
        select c.oid::regclass::text as name from pg_class c join pg_attribute a on a.attrelid = c.oid
        where c.relnamespace in ('asoe'::regnamespace, 'public'::regnamespace) and c.relkind in ('r', 'p')
          and not c.relispartition and a.attname = 'org_id' and c.relname <> 'sign_ins' order by 1
        """
    )
    digests = " union all ".join(
        f"select '{table['name']}', md5(string_agg(t::text, '|' order by t::text)) from {table['name']} t where org_id = $1"
        for table in tables
    )

    async def read() -> list[Any]:
        return [tuple(row) for row in await connection.fetch(digests, house.globex.org_id)]

    yield read
    await connection.close()


def address(page: Page, things: dict[str, str]) -> str:
    def of(match: re.Match[str]) -> str:
        assert match[1] in things, f"{page.path}: say in `things` what {match[1]} is an id of"
        return things[match[1]]

    return re.sub(r"{(\w+)}", of, page.path)


async def send(
    client: httpx.AsyncClient,
    page: Page,
    path: str,
    token: str,
    *,
    csrf: str | None = None,
    origin: str | None = "http://asoe.test",
    **fields: Any,
) -> httpx.Response:
    headers = {"Cookie": f"{COOKIE}={token}"}
    if origin is not None:
        headers["Origin"] = origin
    data = {**BODY, **fields, **({} if csrf is None else {"_csrf": csrf})}
    if page.max_files:
        return await client.post(path, data=data, files={"file": ("a.txt", b"text")}, headers=headers)
    return await client.post(path, data=data, headers=headers)


@pytest.mark.parametrize("page", FORMS, ids=name)
async def test_a_forged_form_is_refused(
    page: Page, house: House, asking: httpx.AsyncClient, things: dict[str, str], rows_of_globex: Rows
) -> None:
    token, other = await house.sign_in(house.globex.owner), await house.sign_in(house.globex.agent)
    path = address(page, things)
    before = await rows_of_globex()
    good = csrf_token(token)
    for forged in (
        await send(asking, page, path, token),
        await send(asking, page, path, token, csrf=""),
        await send(asking, page, path, token, csrf=csrf_token(other)),
        await send(asking, page, path, token, csrf=csrf_token(new_visit())),
        await send(asking, page, path, token, csrf=good, origin="https://evil.example"),
        await send(asking, page, path, token, csrf=good, origin="http://asoe.test.evil.example"),
        await send(asking, page, path, token, csrf=good, origin="null"),
        await send(asking, page, path, token, csrf=good, origin=None),
    ):
        assert forged.status_code == 403, forged.text
    got = await asking.get(path, headers={"Cookie": f"{COOKIE}={token}"}, params=BODY)
    assert got.status_code in {200, 303, 404, 422} or page.path in {each.path for each in PAGES}
    assert await rows_of_globex() == before


@pytest.mark.parametrize("page", GUARDED, ids=name)
async def test_a_stranger_is_sent_to_the_door(
    page: Page, asking: httpx.AsyncClient, house: House, things: dict[str, str], rows_of_globex: Rows
) -> None:
    before = await rows_of_globex()
    visit = new_visit()
    response = await asking.post(
        address(page, things),
        data={**BODY, "_csrf": csrf_token(visit)},
        headers={"Cookie": f"asoe_visit={visit}", "Origin": "http://asoe.test"},
    )
    assert response.status_code == 303
    assert response.headers["location"] == "/sign-in"
    assert await rows_of_globex() == before


@pytest.mark.parametrize("page", [page for page in routes() if page.roles not in {ANYBODY, SIGNED_IN}], ids=name)
async def test_only_the_named_roles_pass(
    page: Page, house: House, asking: httpx.AsyncClient, things: dict[str, str], rows_of_globex: Rows
) -> None:
    for principal in (house.globex.client, house.globex.agent):
        if principal.role in page.roles:
            continue
        token = await house.sign_in(principal)
        path = address(page, things)
        if page.method == "POST":
            response = await send(asking, page, path, token, csrf=csrf_token(token))
        else:
            response = await asking.get(path, headers={"Cookie": f"{COOKIE}={token}"})
        assert response.status_code == 403, f"{principal.role} got {response.status_code} at {page.path}"
    if page.path.startswith(("/settings", "/audit")):
        assert page.roles == ADMINS


@pytest.mark.parametrize("page", [page for page in routes() if page.path not in OWN], ids=name)
async def test_another_organizations_things_are_out_of_reach(
    page: Page, house: House, asking: httpx.AsyncClient, things: dict[str, str], rows_of_globex: Rows
) -> None:
    token = await house.sign_in(house.acme.owner)
    before = await rows_of_globex()
    path = address(page, things)
    if page.method == "GET":
        if path.startswith("/live") and "{" not in page.path:
            return  # a stream of one's own organization; what it tells is tested with the hub
        response = await asking.get(path, headers={"Cookie": f"{COOKIE}={token}"}, params={"ids": things["ticket_id"]})
    else:
        steps = [f"{kind}:{things['ticket_id']}:" for kind in ("reopen", "unspam", "untag", "assign")]
        theirs = {"id": things["ticket_id"], "step": steps, "org_id": str(house.globex.org_id)}
        response = await send(asking, page, path, token, csrf=csrf_token(token), **theirs)
    assert response.status_code < 500, response.text
    if "{" in page.path:
        assert response.status_code in {401, 404}, response.text
    assert "Of Globex" not in response.text
    assert "Globex only" not in response.text
    assert await rows_of_globex() == before, f"{page.path} changed another organization"
