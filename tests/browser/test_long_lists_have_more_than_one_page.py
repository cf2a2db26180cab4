"""Lists that may be long are walked to their end page by page: nothing is left out, nothing comes twice, and a made-up place is refused."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from browser_cast import COOKIE, House

from asoe.desk import journey, wish
from asoe.desk.incident import handling
from asoe.desk.incident.handling import Wanted
from asoe.web import approvals, incidents, runbooks, wishes
from asoe.web.site import create_site
from cast import Org, make_org, make_wish

INTENTS = ("outage", "crash", "timeouts", "slow_pages", "regression")


@pytest.fixture(scope="session")
async def org(house: House) -> Org:
    return await make_org(house.app.owner_url, "longlists")


@pytest.fixture
async def asking(house: House, org: Org) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=create_site(house.app))
    cookie = {"Cookie": f"{COOKIE}={await house.sign_in(org.owner)}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://asoe.test", headers=cookie) as client:
        yield client


async def walked(asking: httpx.AsyncClient, path: str, what: str) -> list[list[str]]:
    """What each page shows, from the first over every "Older" to the last; the way back to the newest is on all but the first."""
    pages: list[list[str]] = []
    while path:
        text = (await asking.get(path)).text
        pages.append(list(dict.fromkeys(re.findall(what, text))))
        assert (">Newest</a>" in text) == (len(pages) > 1)
        older = re.search(r'href="([^"]+)">Older', text)
        path = older[1].replace("&amp;", "&") if older else ""
    return pages


async def test_every_page_of_a_list_is_reached(
    house: House, org: Org, asking: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in (
        (approvals, "PAGE_SIZE"),
        (incidents, "PAGE_SIZE"),
        (wishes, "PAGE_SIZE"),
        (runbooks, "RUNS_SHOWN"),
    ):
        monkeypatch.setattr(module, name, 2)
    desk = house.app.desk
    made = [await house.runbook(org, subject=f"Long {number}") for number in range(3)]
    opened = [
        await handling.open_incident(desk, org.owner, Wanted(f"About {intent}", intent=intent)) for intent in INTENTS
    ]
    ticket, other = [await house.ticket(org, subject=f"Wants a lot {n}") for n in range(2)]
    runs = [made[0]["run_id"]]
    runs += [str(await journey.begin_run(desk, org.owner, each.id, made[0]["name"])) for each in (ticket, other)]
    for number in range(4):
        await make_wish(house.app.database, org.engine, ticket.id, f"Wish {number}")
    await make_wish(house.app.database, org.engine, other.id, "Wish 4")

    newest: Callable[[list[str]], list[str]] = lambda ids: list(reversed(ids))  # noqa: E731
    for path, what, wanted in (
        ("/incidents", r'href="/incidents/([0-9a-f-]{36})"', newest([str(each.id) for each in opened])),
        ("/approvals", r'href="/approvals/([0-9a-f-]{36})"', newest([each["approval_id"] for each in made])),
    ):
        pages = await walked(asking, path, what)
        assert [len(page) for page in pages] == [2] * (len(wanted) // 2) + [len(wanted) % 2], path
        assert [each for page in pages for each in page] == wanted, path

    pages = await walked(asking, "/wishes", r'href="/wishes/(\d+)"')
    assert [len(page) for page in pages] == [2, 2, 1]
    listed = await wish.list_wishes(desk, org.agent, status="open")
    assert [int(each) for page in pages for each in page] == [each.number for each in listed]

    pages = await walked(asking, f"/runbooks/{made[0]['name']}", r'href="/runs/([0-9a-f-]{36})"')
    assert pages == [newest(runs)[:2], newest(runs)[2:]]


@pytest.mark.parametrize(
    "path",
    [
        "/incidents?after=x",
        "/incidents?after=-1",
        "/approvals?after=1",
        "/wishes?after=x-1",
        "/wishes?after=1",
        "/wishes?after=1-99999999999",
        "/queue?contact=me",
    ],
)
async def test_a_made_up_place_is_refused(asking: httpx.AsyncClient, path: str) -> None:
    assert (await asking.get(path)).status_code in {404, 422}
