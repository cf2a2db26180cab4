"""Pages that many look at are read and rendered once for them, and still nobody is shown what is not theirs, or what was before."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from browser_cast import COOKIE, House

from asoe.desk import people, session
from asoe.domain.organization import Principal
from asoe.web import queue, ticket
from asoe.web.cookies import is_csrf_token

Visit = Callable[[Principal], Awaitable[httpx.AsyncClient]]


@pytest.fixture
async def visit(house: House) -> AsyncIterator[Visit]:
    """Somebody's browser without its eyes."""
    async with AsyncExitStack() as stack:

        async def come(who: Principal) -> httpx.AsyncClient:
            headers = {"Cookie": f"{COOKIE}={await house.sign_in(who)}", "HX-Request": "true"}
            return await stack.enter_async_context(httpx.AsyncClient(base_url=house.url, headers=headers))

        yield come


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The role of whoever a ticket or lines of the queue were read as, each time they were read."""
    read: list[str] = []
    read_ticket, read_rows = ticket._read, queue._read_rows

    async def noted_ticket(desk: Any, reader: Principal, *rest: Any) -> Any:
        read.append(reader.role)
        return await read_ticket(desk, reader, *rest)

    async def noted_rows(visit: Any, *rest: Any) -> Any:
        read.append(visit.principal.role)
        return await read_rows(visit, *rest)

    monkeypatch.setattr(ticket, "_read", noted_ticket)
    monkeypatch.setattr(queue, "_read_rows", noted_rows)
    return read


async def test_lines_are_rendered_once_for_whoever_may_see_them(
    house: House, visit: Visit, readings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "KEPT_SECONDS", 60)
    opened = await house.ticket(house.acme, subject="Only for Acme")
    path = f"/queue/rows?ids={opened.id}"
    agents = [await visit(house.acme.agent) for _ in range(5)]
    answers = await asyncio.gather(*(each.get(path) for each in agents))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert "Only for Acme" in answers[0].text
    assert readings == ["agent"]
    for word in ("_csrf", str(house.acme.agent.user_id)):
        assert word not in answers[0].text, "what is shared says nothing of who looks"

    foreign = await (await visit(house.globex.agent)).get(path)
    assert (foreign.status_code, "Only for Acme" in foreign.text) == (200, False)
    admin = await (await visit(house.acme.admin)).get(path)
    assert "Only for Acme" in admin.text
    assert readings == ["agent", "agent", "admin"], "each organization and each role is read for by itself"
    assert (await (await visit(house.acme.client)).get(path)).status_code == 403
    async with httpx.AsyncClient(base_url=house.url) as stranger:
        assert (await stranger.get(path)).status_code == 303


async def test_who_may_no_more_gets_nothing_that_is_kept(
    house: House, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "KEPT_SECONDS", 60)
    opened = await house.ticket(house.acme, subject="Seen by Dan")
    invited = await people.invite(house.app.desk, house.acme.owner, email="dan-many@acme.example", role="agent")
    dan = await people.accept_invitation(house.app.desk, invited.token, "Dan")
    browser = await visit(dan)
    paths = (f"/queue/rows?ids={opened.id}", f"/tickets/{opened.id}")
    for path in paths:
        assert "Seen by Dan" in (await browser.get(path)).text
    await people.disable_member(house.app.desk, house.acme.owner, dan.user_id)
    for path in paths:
        refused = await browser.get(path)
        assert (refused.status_code, refused.text) == (401, "")


async def test_a_ticket_is_read_together_and_shown_to_each_in_their_own_form(
    house: House, visit: Visit, readings: list[str]
) -> None:
    opened = await house.ticket(house.acme, subject="Looked at by many")
    path = f"/tickets/{opened.id}"
    agents = [await visit(house.acme.agent) for _ in range(8)]
    admin, foreign = await visit(house.acme.admin), await visit(house.globex.agent)
    answers = await asyncio.gather(*(each.get(path) for each in [*agents, admin, foreign]))
    assert [answer.status_code for answer in answers] == [200] * 9 + [404]
    assert answers[-1].text == ""
    assert len(readings) < 10, "some waited for one reading"
    assert set(readings) == {"agent", "admin"}
    for each, answer in zip(agents, answers, strict=False):
        token = each.headers["Cookie"].partition("=")[2]
        given = re.findall(r'name="_csrf" value="([^"]+)"', answer.text)
        assert given, "there are forms"
        assert all(is_csrf_token(one, token) for one in given), "they are the visitor's own"


async def test_a_persons_own_words_are_there_although_others_look(house: House, visit: Visit) -> None:
    opened = await house.ticket(house.acme, subject="Busy")
    path = f"/tickets/{opened.id}"
    many = [await visit(house.acme.agent) for _ in range(4)]
    async with house.app.database.org_reading(house.acme.agent) as connection:
        found = await connection.fetchval("select id from public.support_sessions where ticket_id = $1", opened.id)
    looking = [asyncio.create_task(each.get(path)) for each in many]
    for number in range(3):
        said = f"Word number {number}"
        await session.add_message(house.app.desk, house.acme.agent, found, "agent", said)
        looking += [asyncio.create_task(each.get(path)) for each in many]
        assert said in (await many[0].get(path)).text
    await asyncio.gather(*looking)
