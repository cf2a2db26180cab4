"""Signing in: wrong passwords, guessing, stolen and ended sign-ins, lost memberships, invitations that would take over."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from browser_cast import COOKIE, PASSWORD, House
from flow_cast import Clock

from asoe.desk import people, sign_in
from asoe.domain.errors import AsoeError, Conflict, Denied, Invalid
from asoe.store import sign_ins
from asoe.web.cookies import csrf_token, new_visit
from asoe.web.door import safe_next
from asoe.web.site import create_site

CLEO, BEN = "cleo.admin@acme.example", "ben.agent@acme.example"


@pytest.fixture
async def asking(house: House) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=create_site(house.app), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://asoe.test") as client:
        yield client


@pytest.fixture(scope="session")
async def passwords(house: House) -> None:
    hashed = await sign_in.hash_password(PASSWORD)
    for email in (CLEO, BEN):
        await sign_ins.set_password(str(house.app.owner_url), email, hashed)


async def enter(client: httpx.AsyncClient, email: str, password: str, **fields: str) -> httpx.Response:
    visit = new_visit()
    return await client.post(
        "/sign-in",
        data={"email": email, "password": password, "_csrf": csrf_token(visit), **fields},
        headers={"Cookie": f"asoe_visit={visit}", "Origin": "http://asoe.test"},
    )


async def page(client: httpx.AsyncClient, token: str, path: str = "/queue") -> httpx.Response:
    return await client.get(path, headers={"Cookie": f"{COOKIE}={token}"})


@pytest.mark.usefixtures("passwords")
async def test_the_right_password_gets_a_guarded_cookie(asking: httpx.AsyncClient) -> None:
    response = await enter(asking, f"  {BEN.upper()} ", PASSWORD, next="/queue?view=mine")
    assert (response.status_code, response.headers["location"]) == (303, "/queue?view=mine")
    cookie = response.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie  # over plain http


@pytest.mark.usefixtures("passwords")
async def test_over_https_the_cookie_is_bound_to_this_host(house: House) -> None:
    transport = httpx.ASGITransport(app=create_site(house.app))
    async with httpx.AsyncClient(transport=transport, base_url="https://asoe.test") as client:
        visit = new_visit()
        response = await client.post(
            "/sign-in",
            data={"email": BEN, "password": PASSWORD, "_csrf": csrf_token(visit)},
            headers={"Cookie": f"__Host-asoe_visit={visit}", "Origin": "https://asoe.test"},
        )
        assert response.headers["set-cookie"].startswith("__Host-asoe_sign_in=")
        assert "Secure" in response.headers["set-cookie"]


@pytest.mark.usefixtures("passwords")
@pytest.mark.parametrize(
    ("email", "password"),
    [
        (BEN, "wrong horse battery"),
        ("nobody@acme.example", PASSWORD),
        ("not an address", PASSWORD),
        (BEN, ""),
        (BEN, "\ud800x"),
    ],
)
async def test_a_wrong_one_says_the_same_and_takes_as_long(
    asking: httpx.AsyncClient, house: House, email: str, password: str
) -> None:
    started = time.perf_counter()
    with pytest.raises(Denied) as refused:
        await sign_in.sign_in(house.app.desk, email, password)
    assert refused.value.code == "bad_credentials"
    assert time.perf_counter() - started > 0.01, "no hash was computed"
    response = await enter(asking, email, password.encode(errors="replace").decode())
    assert response.status_code == 401
    assert "do not belong together" in response.text
    assert "set-cookie" not in response.headers


@pytest.mark.usefixtures("passwords")
async def test_guessing_is_slowed_down_by_account_and_by_address(house: House) -> None:
    served = create_site(house.app)
    transport = httpx.ASGITransport(app=served, client=("192.0.2.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://asoe.test") as client:
        for _ in range(9):
            served.state.site.accounts.hit(CLEO)
        assert (await enter(client, CLEO, "the tenth guess")).status_code == 401
        spent = await enter(client, CLEO, PASSWORD)
        assert spent.status_code == 429, "also with the right one"
        assert "Wait" in spent.text
        for _ in range(28):
            served.state.site.addresses.hit("192.0.2.7")
        assert (await enter(client, BEN, PASSWORD)).status_code == 429, "from this address nobody gets in"


async def test_a_sign_in_ends_by_leaving_time_and_idleness(house: House, asking: httpx.AsyncClient) -> None:
    clock = house.app.desk.clock
    assert isinstance(clock, Clock)
    first, second = await house.sign_in(house.acme.agent), await house.sign_in(house.acme.agent)
    assert (await page(asking, first)).status_code == 200
    await sign_in.sign_out(house.app.desk, first)
    assert (await page(asking, first)).headers["location"].startswith("/sign-in")
    assert (await page(asking, second)).status_code == 200
    before = clock.now
    try:
        clock.pass_by(hours=13)
        assert (await page(asking, second)).status_code == 303, "idle"
        third = await house.sign_in(house.acme.agent)
        for _ in range(40):
            clock.pass_by(hours=11)
            if (await page(asking, third)).status_code == 303:
                break
        assert clock.now - before > timedelta(days=14), "kept in use, it lasts its time"
        assert (await page(asking, third)).status_code == 303, "and no longer"
    finally:
        clock.now = before


async def test_leaving_everywhere_ends_every_sign_in(house: House, asking: httpx.AsyncClient) -> None:
    tokens = [await house.sign_in(house.globex.agent) for _ in range(3)]
    assert await sign_in.sign_out_everywhere(house.app.desk, house.globex.agent.user_id) >= 3
    assert {(await page(asking, token)).status_code for token in tokens} == {303}


async def test_role_and_membership_are_what_the_database_says_now(house: House, asking: httpx.AsyncClient) -> None:
    desk, owner = house.app.desk, house.globex.owner
    member = await people.add_member(desk, owner, email="eve@globex.example", name="Eve", role="admin")
    token = (await sign_in.open_sign_in(desk, member.user_id)).token
    assert (await page(asking, token, "/settings")).status_code == 200
    await people.change_role(desk, owner, member.user_id, "agent")
    assert (await page(asking, token, "/settings")).status_code == 403
    await people.disable_member(desk, owner, member.user_id)
    assert (await page(asking, token)).status_code == 303


async def test_a_person_of_two_organizations_chooses(house: House, asking: httpx.AsyncClient) -> None:
    desk = house.app.desk
    both = await people.add_member(desk, house.acme.owner, email="both@example.com", name="Both", role="agent")
    await people.add_member(desk, house.globex.owner, email="both@example.com", name="Both", role="admin")
    token = (await sign_in.open_sign_in(desk, both.user_id)).token
    sent = await page(asking, token)
    assert sent.headers["location"] == "/organizations?next=/queue"
    shown = await page(asking, token, "/organizations")
    assert "Acme" in shown.text
    assert "Globex" in shown.text
    headers = {"Cookie": f"{COOKIE}={token}", "Origin": "http://asoe.test"}
    form = {"org_id": str(house.globex.org_id), "_csrf": csrf_token(token), "next": "/queue"}
    assert (await asking.post("/organizations", data=form, headers=headers)).status_code == 303
    assert "Globex" in (await page(asking, token)).text
    outside = await people.add_member(desk, house.acme.owner, email="one@example.com", name="One", role="agent")
    token = (await sign_in.open_sign_in(desk, outside.user_id)).token
    headers["Cookie"] = f"{COOKIE}={token}"
    form["_csrf"] = csrf_token(token)
    assert (await asking.post("/organizations", data=form, headers=headers)).status_code == 404


@pytest.mark.usefixtures("passwords")
async def test_an_invitation_takes_over_no_account(house: House) -> None:
    """Globex invites the address of somebody of Acme: its holder must not get to choose that person's password."""
    desk = house.app.desk
    for email in (BEN, "cleo@acme.example"):  # with a password, and without one but of another organization
        made = await people.invite(desk, house.globex.owner, email=email, role="agent")
        assert not (await sign_in.read_offer(desk, made.token)).may_set_password
        with pytest.raises(AsoeError) as refused:
            await sign_in.accept(desk, made.token, name="Mallory", password="mallory was here")
        assert refused.value.code == "password_there"
        assert (await sign_in.read_offer(desk, made.token)).is_open, "nothing of it happened"
    with pytest.raises(Denied):
        await sign_in.sign_in(desk, BEN, "mallory was here")


async def test_an_invitation_sets_a_password_once(house: House) -> None:
    desk = house.app.desk
    made = await people.invite(desk, house.acme.owner, email="frank@acme.example", role="agent")
    for bad in ("short", "aaaaaaaaaaaaaaa", "x" * 300):
        with pytest.raises(Invalid) as wrong:
            await sign_in.accept(desk, made.token, name="Frank", password=bad)
        assert wrong.value.code == "bad_password"
    await sign_in.accept(desk, made.token, name="Frank", password=PASSWORD)
    with pytest.raises(Conflict) as used:
        await sign_in.accept(desk, made.token, name="Frank", password="another one entirely")
    assert used.value.code == "invitation_ended"
    await sign_in.sign_in(desk, "frank@acme.example", PASSWORD)


async def test_somebody_who_is_here_joins_with_the_own_sign_in_only(house: House) -> None:
    desk = house.app.desk
    gina = await people.add_member(desk, house.acme.owner, email="gina@acme.example", name="Gina", role="agent")
    token = (await sign_in.open_sign_in(desk, gina.user_id)).token
    found = await sign_in.find(desk, token)
    assert found is not None
    hers = await people.invite(desk, house.globex.owner, email="gina@acme.example", role="agent")
    theirs = await people.invite(desk, house.globex.owner, email="somebody@acme.example", role="agent")
    with pytest.raises(Denied) as refused:
        await sign_in.join(desk, found, theirs.token, token=token)
    assert refused.value.code == "not_your_invitation"
    await sign_in.join(desk, found, hers.token, token=token)
    now = await sign_in.find(desk, token)
    assert now is not None
    assert now.principal is not None
    assert now.principal.org_id == house.globex.org_id


@pytest.mark.usefixtures("passwords")
async def test_a_changed_password_ends_the_other_sign_ins(house: House) -> None:
    desk = house.app.desk
    made = await people.invite(desk, house.acme.owner, email="hugo@acme.example", role="agent")
    here = (await sign_in.accept(desk, made.token, name="Hugo", password=PASSWORD)).token
    there = (await sign_in.sign_in(desk, "hugo@acme.example", PASSWORD)).token
    found = await sign_in.find(desk, here)
    assert found is not None
    assert found.principal is not None
    with pytest.raises(Denied) as wrong:
        await sign_in.change_password(desk, found.principal, token=here, current="not this one", new="a new one now")
    assert wrong.value.code == "wrong_password"
    await sign_in.change_password(desk, found.principal, token=here, current=PASSWORD, new="a new one now")
    assert await sign_in.find(desk, here) is not None
    assert await sign_in.find(desk, there) is None
    await sign_in.sign_in(desk, "hugo@acme.example", "a new one now")


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "/sign-out",
        "/api/x",
        "queue",
        "/a\nb",
    ],
)
def test_the_way_on_stays_in_this_house(wanted: str) -> None:
    assert safe_next(wanted) == "/"
