"""Every form of the route table refuses a forged request, a wrong role, and another organization's things.

Generated from the routes: a new form is covered by itself, and one with an id of a new kind fails until it is named here.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import httpx
import pytest
from browser_cast import COOKIE, House
from browser_things import one_of_each

from asoe.api.permissions import ADMINS
from asoe.web.cookies import csrf_token, new_visit
from asoe.web.door import ANYBODY, SIGNED_IN, Page
from asoe.web.render import TEMPLATES
from asoe.web.site import create_site, routes
from asoe.web.undo import BACKWARD
from cast import make_org

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
    return await one_of_each(house, house.globex, "Of Globex", secret="Globex only")


@pytest.fixture(scope="session")
async def rows_of_globex(house: House) -> AsyncIterator[Rows]:
    """A digest of every row of Globex, in every table that belongs to organizations."""
    connection = await asyncpg.connect(house.app.owner_url)
    await connection.execute("set role asoe_owner")
    digests = " union all ".join(
        f"select '{table}', md5(string_agg(t::text, '|' order by t::text)) from {table} t where org_id = $1"
        for table in await tables_of_organizations(connection)
    )

    async def read() -> list[Any]:
        return [tuple(row) for row in await connection.fetch(digests, house.globex.org_id)]

    yield read
    await connection.close()


async def tables_of_organizations(connection: asyncpg.Connection) -> list[str]:
    rows = await connection.fetch(
        """
        select c.oid::regclass::text as name from pg_class c join pg_attribute a on a.attrelid = c.oid
        where c.relnamespace in ('asoe'::regnamespace, 'public'::regnamespace) and c.relkind in ('r', 'p')
          and not c.relispartition and a.attname = 'org_id' and c.relname <> 'sign_ins' order by 1
        """
    )
    return [row["name"] for row in rows]


def address(page: Page, things: dict[str, str]) -> str:
    def of(match: re.Match[str]) -> str:
        assert match[1] in things, f"{page.path}: say in `one_of_each` what {match[1]} is an id of"
        return things[match[1]]

    return re.sub(r"{(\w+)}", of, page.path)


def fields_of_ids() -> set[str]:
    """The fields of our forms that hold an id, as the templates fill them."""
    found: set[str] = set()
    for path in TEMPLATES.glob("*.html"):
        text = path.read_text(encoding="utf-8")
        found |= set(re.findall(r'name="(\w+)"[^>]*value="{{ [\w.]*id }}"', text))
        for name, options in re.findall(r'<select[^>]*name="(\w+)"[^>]*>(.*?)</select>', text, re.DOTALL):
            found |= {name} if re.search(r'value="{{ [\w.]*id }}"', options) else set()
    return found


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
        steps = [f"{kind}:{things['ticket_id']}:" for kind in BACKWARD]
        theirs = {"id": things["ticket_id"], "step": steps, "org_id": str(house.globex.org_id)}
        response = await send(asking, page, path, token, csrf=csrf_token(token), **theirs)
    assert response.status_code < 500, response.text
    if "{" in page.path:
        assert response.status_code in {401, 404}, response.text
    assert "Of Globex" not in response.text
    assert "Globex only" not in response.text
    assert await rows_of_globex() == before, f"{page.path} changed another organization"


async def test_a_foreign_id_in_a_field_reaches_nothing(
    house: House, asking: httpx.AsyncClient, things: dict[str, str], rows_of_globex: Rows
) -> None:
    """Every form of one's own things, with the ids of another organization wherever a field takes one."""
    org = await make_org(house.app.owner_url, "initech")
    own = await one_of_each(house, org, "Of Initech")
    names = fields_of_ids()
    assert {"id", "assignee", "who"} <= names, "the templates are read"
    token = await house.sign_in(org.owner)
    before = await rows_of_globex()
    foreign = [things["ticket_id"], things["user_id"]]
    steps = [
        f"{kind}:{own['ticket_id']}:{things['user_id']}" if kind == "assign" else f"{kind}:{things['ticket_id']}:x"
        for kind in BACKWARD
    ]
    for page in GUARDED:
        if page.path in OWN:
            continue
        for each in foreign:
            response = await send(
                asking,
                page,
                address(page, own),
                token,
                csrf=csrf_token(token),
                **{**dict.fromkeys(names, each), "step": steps, "ticket": each, "action": "give"},
            )
            assert response.status_code in {200, 303, 401, 403, 404, 409, 422, 429, 503}, (
                f"{page.path}: {response.text}"
            )
            assert "Of Globex" not in response.text, page.path
    assert await rows_of_globex() == before
    connection = await asyncpg.connect(house.app.owner_url)
    await connection.execute("set role asoe_owner")
    for table in await tables_of_organizations(connection):
        held = f"select t::text from {table} t where org_id = $1 and t::text like any ($2::text[])"
        found = await connection.fetchval(held, org.org_id, [f"%{each}%" for each in foreign])
        assert found is None, f"{table} holds what is Globex's: {found}"
    await connection.close()
