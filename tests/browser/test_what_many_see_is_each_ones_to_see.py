"""Pages that many look at are read and rendered once for them, and still nobody is shown what is not theirs, or what was before.

A ticket's page asks the database as little as it can, and what it is told is what each noun knows by itself.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import pytest
from browser_cast import COOKIE, House

from asoe.desk import attachment, intake, people, session
from asoe.desk import ticket as desk_ticket
from asoe.desk.intake import NewContact, NewTicket
from asoe.desk.runbook import record
from asoe.domain.organization import Principal
from asoe.store import ticket_page, tickets
from asoe.store.db import Database
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


async def test_a_tickets_page_asks_only_for_what_there_is(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    desk, agent = house.app.desk, house.acme.agent
    questions: list[str] = []
    monkeypatch.setattr(Database, "org_reading", counted(questions))
    who = NewContact(email="plain@example.com", name="Ana")
    plain = (await intake.open_ticket(desk, house.acme.engine, NewTicket(subject="Plain", body="?", contact=who))).id
    questions.clear()
    await desk_ticket.read_ticket(desk, agent, plain)
    assert len(questions) == 1, "what is counted is what is asked"
    questions.clear()
    seen = await ticket._read(desk, agent, plain)
    assert seen["t"].id == plain
    assert len(questions) <= 9, questions

    made = await house.runbook(house.acme, subject="With everything")
    run = await record.read_run(desk, agent, UUID(made["run_id"]))
    full = run.run.ticket_id
    assert full is not None
    await attachment.attach(desk, agent, full, name="a.txt", media_type="text/plain", content=b"a")
    await desk_ticket.change_ticket(desk, agent, full, {"severity": "high"})
    questions.clear()
    seen = await ticket._read(desk, agent, full)
    assert len(questions) <= 18, questions
    assert [file.name for file in seen["files"]] == ["a.txt"]
    assert seen["corrected"] == {"severity"}
    assert [str(each.id) for each in seen["waiting"]] == [made["approval_id"]]
    assert seen["told_of"][made["run_id"]] == made["name"]


async def test_what_stands_beside_a_ticket_is_what_is_found_one_by_one(house: House) -> None:
    desk, agent = house.app.desk, house.globex.agent
    who = NewContact(email="beside@example.com", name="Bea")
    made = [await house.ticket(house.globex, subject=f"Beside {n}", contact=who) for n in range(4)]
    await desk_ticket.merge_ticket(desk, agent, made[0].id, into=made[1].id)
    for each in made[2:]:
        await desk_ticket.change_ticket(desk, agent, each.id, {"intent": "invoice_question"})
    await desk_ticket.change_ticket(desk, agent, made[1].id, {"intent": "invoice_question"})
    await desk_ticket.move_ticket(desk, agent, made[3].id, "resolved")
    async with desk.database.org_reading(agent) as connection:
        for each in made:
            now = await tickets.find(connection, house.globex.org_id, each.id)
            found = await ticket_page.related(connection, now)
            links = await tickets.links(connection, house.globex.org_id, now.id)
            linked = {link[name] for link in links for name in ("ticket_id", "other_id")} - {now.id}
            assert {other.id for other in found["linked"]} == linked
            assert found["earlier"] == await tickets.earlier_of_requester(connection, now)
            assert found["alike"] == await tickets.ended_alike(connection, now)
        assert found["earlier"], "something was compared"


def counted(asked: list[str]) -> Any:
    """`Database.org_reading` whose connection notes what it is asked."""
    real = Database.org_reading

    class Noting:
        def __init__(self, connection: Any) -> None:
            self._connection = connection

        def __getattr__(self, name: str) -> Any:
            real = getattr(self._connection, name)

            async def ask(sql: str, *arguments: Any) -> Any:
                asked.append(sql)
                return await real(sql, *arguments)

            return ask

    @asynccontextmanager
    async def reading(self: Database, principal: Principal) -> AsyncIterator[Any]:
        async with real(self, principal) as connection:
            yield Noting(connection)

    return reading


async def test_what_an_act_came_to_is_told_on_the_page_it_leads_to_and_not_to_a_refresh_in_between(
    house: House, visit: Visit
) -> None:
    opened = await house.ticket(house.acme, subject="Told once")
    path = f"/tickets/{opened.id}"
    mine = await visit(house.acme.agent)
    token = re.search(r'name="_csrf" value="([^"]+)"', (await mine.get(path)).text)
    assert token
    acted = await mine.post(
        f"{path}/take-over", data={"_csrf": token[1]}, headers={"Origin": house.url, "HX-Boosted": "true"}
    )
    assert acted.status_code == 303, acted.text
    cookies = "; ".join([mine.headers["Cookie"], *(f"{name}={value}" for name, value in mine.cookies.items())])
    assert "It is yours" not in (refreshed := await mine.get(path, headers={"Cookie": cookies})).text
    assert "set-cookie" not in refreshed.headers
    led = await mine.get(path, headers={"Cookie": cookies, "HX-Boosted": "true"})
    assert "It is yours" in led.text
    assert "asoe_flash=" in led.headers["set-cookie"]
