"""A link in a mail is for one person, one intent, one hour and one decision; looking at it changes nothing."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from browser_cast import COOKIE, House

from asoe.desk import approval, approval_link, people
from asoe.web.cookies import csrf_token, new_visit
from asoe.web.site import create_site

ORIGIN = "http://asoe.test"


@pytest.fixture(scope="session")
async def asking(house: House) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=create_site(house.app), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
        yield client


async def vote(
    asking: httpx.AsyncClient, path: str, *, sign_in: str = "", choice: str = "approve", **more: Any
) -> httpx.Response:
    visit = sign_in or new_visit()
    headers = {"Cookie": f"{COOKIE if sign_in else 'asoe_visit'}={visit}", "Origin": more.get("origin", ORIGIN)}
    form = {"vote": choice, "reason": "seen", "_csrf": more.get("csrf", csrf_token(visit))}
    return await asking.post(path, data=form, headers=headers)


async def status(house: House, made: dict[str, str]) -> tuple[str, int]:
    found = await approval.read_approval(house.app.desk, house.acme.owner, UUID(made["approval_id"]))
    return found.status, found.approvals


async def test_looking_changes_nothing_and_one_vote_decides(house: House, asking: httpx.AsyncClient) -> None:
    made = await house.runbook(house.acme)
    path = await house.link(house.acme.agent, made["approval_id"])
    for _ in range(3):
        shown = await asking.get(path)
        assert shown.status_code == 200
        assert "estate.unlock" in shown.text
        assert "&lt;b&gt;bold" in shown.text
        assert shown.headers["cache-control"] == "no-store"
        assert (await asking.head(path)).status_code == 200
    assert await status(house, made) == ("pending", 0)
    assert (await vote(asking, path)).status_code == 303
    assert await status(house, made) == ("approved", 1)
    again = await asking.get(path)
    assert "You have decided on this" in again.text
    assert "<form" not in again.text
    assert (await vote(asking, path, choice="refuse")).status_code == 409
    assert await status(house, made) == ("approved", 1)
    async with house.app.database.org_reading(house.acme.owner) as connection:
        told = await connection.fetchrow(
            "select actor, data from asoe.facts where kind = 'approval.decided' and data ->> 'approval_id' = $1",
            made["approval_id"],
        )
    assert told["actor"] == house.acme.agent.user_id
    assert (told["data"]["vote"], told["data"]["via"]) == ("approve", "link")


async def test_a_vote_takes_our_own_form(house: House, asking: httpx.AsyncClient) -> None:
    made = await house.runbook(house.acme)
    path = await house.link(house.acme.agent, made["approval_id"])
    for wrong in ({"csrf": ""}, {"csrf": csrf_token(new_visit())}, {"origin": "https://evil.example"}):
        assert (await vote(asking, path, **wrong)).status_code == 403
    assert (await asking.get(path, params={"vote": "approve"})).status_code == 200
    assert await status(house, made) == ("pending", 0)


async def test_a_forged_or_foreign_link_is_refused(house: House, asking: httpx.AsyncClient) -> None:
    made, other = await house.runbook(house.acme), await house.runbook(house.globex)
    path = await house.link(house.acme.agent, made["approval_id"])
    token = path.rpartition("/")[2]
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    forged = [
        "x",
        "x" * 160,
        token[:-1],
        token + "A",
        token + "=",
        "ü" + token[1:],
        *(encoded(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]) for at in (0, 20, 40, 50, 60, 100)),
        encoded(raw[:16] + UUID(other["approval_id"]).bytes + raw[32:]),
        encoded(raw[:32] + house.acme.owner.user_id.bytes + raw[48:]),
    ]
    for each in forged:
        assert (await asking.get(f"/approve/{each}")).status_code == 404, each
        assert (await vote(asking, f"/approve/{each}")).status_code == 404, each
    # whoever is signed in as somebody else does not decide in the name of the one it is for
    stranger = await house.sign_in(house.acme.admin)
    refused = await vote(asking, path, sign_in=stranger)
    assert refused.status_code == 403
    assert "another person" in refused.text
    assert await status(house, made) == ("pending", 0)
    assert (await vote(asking, path, sign_in=await house.sign_in(house.acme.agent))).status_code == 303
    assert await status(house, made) == ("approved", 1)


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


async def test_a_link_ends_after_an_hour_and_with_its_persons_membership(
    house: House, asking: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await house.runbook(house.acme)
    desk, owner = house.app.desk, house.acme.owner
    member = await people.add_member(desk, owner, email="soon-gone@acme.example", name="Gone", role="agent")
    leaver = type(owner)(member.user_id, owner.org_id, "agent", "Gone")
    path = await house.link(leaver, made["approval_id"])
    assert (await asking.get(path)).status_code == 200
    await people.disable_member(desk, owner, member.user_id)
    assert (await vote(asking, path)).status_code == 404
    monkeypatch.setattr(approval_link, "LASTS", -timedelta(seconds=1))
    path = await house.link(house.acme.agent, made["approval_id"])
    late = await vote(asking, path)
    assert late.status_code == 403
    assert "an hour" in late.text
    assert await status(house, made) == ("pending", 0)


async def test_a_changed_act_is_not_what_the_link_was_for(house: House, asking: httpx.AsyncClient) -> None:
    made = await house.runbook(house.acme)
    path = await house.link(house.acme.agent, made["approval_id"])
    connection = await asyncpg.connect(house.app.owner_url)
    await connection.execute("set role asoe_owner")
    await connection.execute("update asoe.approvals set digest = 'other' where id = $1", UUID(made["approval_id"]))
    changed = await vote(asking, path)
    assert changed.status_code == 409
    # as the engine does it: the old one dies, a new one asks
    await connection.execute(
        "update asoe.approvals set digest = 'd', status = 'dead' where id = $1", UUID(made["approval_id"])
    )
    await connection.close()
    assert (await vote(asking, path)).status_code == 409
    assert "Nothing is left to decide" in (await asking.get(path)).text
    assert (await status(house, made))[1] == 0


async def test_a_costly_act_takes_a_sign_in_as_well(house: House, asking: httpx.AsyncClient) -> None:
    made = await house.runbook(house.acme, risk="costly")
    path = await house.link(house.acme.agent, made["approval_id"])
    shown = await asking.get(path)
    assert "/sign-in?next=" in shown.text
    assert "estate.unlock" not in shown.text
    assert (await vote(asking, path)).status_code == 403
    assert await status(house, made) == ("pending", 0)
    assert (await vote(asking, path, sign_in=await house.sign_in(house.acme.agent))).status_code == 303
    assert await status(house, made) == ("approved", 1)


async def test_four_eyes_stay_four_eyes(house: House, asking: httpx.AsyncClient) -> None:
    made = await house.runbook(house.acme, people=2)
    path = await house.link(house.acme.agent, made["approval_id"])
    assert (await vote(asking, path)).status_code == 303
    fresh = await house.link(house.acme.agent, made["approval_id"])
    assert (await vote(asking, fresh)).status_code == 409, "another link is no other person"
    assert await status(house, made) == ("pending", 1)
    assert (await vote(asking, await house.link(house.acme.admin, made["approval_id"]))).status_code == 303
    assert await status(house, made) == ("approved", 2)


async def test_who_may_not_vote_gets_no_link(house: House) -> None:
    made = await house.runbook(house.acme, role="admin")
    with pytest.raises(AssertionError):
        await house.link(house.acme.agent, made["approval_id"])
    assert (await house.link(house.acme.admin, made["approval_id"])).startswith("/approve/")
