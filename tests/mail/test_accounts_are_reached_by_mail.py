"""A forgotten password is set by a link that was mailed, once and for an hour, and nothing tells who is known; so do invitations."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from mail_cast import Post
from tests.flow.flow_cast import Clock

from asoe.app import App
from asoe.config import Settings
from asoe.connectors.mail import MailServer
from asoe.desk import delivery, invitation_mail, people, sign_in
from asoe.desk.context import Desk, HouseMail
from asoe.desk.house_mail import read_house_mail
from asoe.domain.errors import Denied, Invalid
from asoe.secret_key import open_secret_key
from asoe.store import deliveries, sign_ins
from asoe.web.cookies import csrf_token, new_visit
from asoe.web.site import create_site

if TYPE_CHECKING:
    from tests.conftest import Dsns, Org

BEN, OLD, NEW = "ben.agent@acme.example", "correct horse battery", "another horse battery"


@pytest.fixture
def house_desk(desk: Desk, post: Post) -> Desk:
    server = MailServer("127.0.0.1", post.port, "none", allow_private=True)
    return replace(desk, house_mail=HouseMail(server, ("Support Center", "desk@house.example")))


@pytest.fixture
async def asking(house_desk: Desk, tmp_path: Path, dsns: Dsns, acme: Org) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(_env_file=None, data_dir=tmp_path)
    async with house_desk.database.app.acquire() as connection:
        secret_key = await open_secret_key(tmp_path, connection)
    app = App(settings, house_desk.database, house_desk, secret_key, dsns.app, dsns.owner)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=create_site(app)), base_url="http://asoe.test"
    ) as client:
        yield client


async def send(client: httpx.AsyncClient, path: str, **fields: str) -> httpx.Response:
    visit = new_visit()
    headers = {"Cookie": f"asoe_visit={visit}", "Origin": "http://asoe.test"}
    return await client.post(path, data={**fields, "_csrf": csrf_token(visit)}, headers=headers)


def link_in(post: Post, address: str, place: str) -> str:
    [message] = post.to(address)[-1:]
    body = message.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    assert f"https://desk.acme.example/{place}/" in text
    return "/" + next(word for word in text.split() if f"/{place}/" in word).removeprefix("https://desk.acme.example/")


async def test_a_forgotten_password_is_set_once_and_ends_every_sign_in(
    asking: httpx.AsyncClient, house_desk: Desk, post: Post, dsns: Dsns, acme: Org, globex: Org
) -> None:
    await sign_ins.set_password(dsns.owner, BEN, await sign_in.hash_password(OLD))
    before = await sign_in.sign_in(house_desk, BEN, OLD)
    known = await send(asking, "/forgot-password", email=BEN.upper())
    unknown = await send(asking, "/forgot-password", email="nobody@acme.example")
    assert known.status_code == unknown.status_code == 200
    assert re.sub(r'content="[^"]*"', "", known.text) == re.sub(r'content="[^"]*"', "", unknown.text)
    assert [message["X-Recipients"] for message in post.taken] == [BEN]
    path = link_in(post, BEN, "reset-password")
    for _ in range(2):  # as mail servers do
        assert (await asking.get(path)).status_code == 200
    assert (await send(asking, path, password="short")).status_code == 422
    done = await send(asking, path, password=NEW)
    assert done.status_code == 303
    assert "asoe_sign_in=" in done.headers["set-cookie"]
    assert await sign_in.find(house_desk, before.token) is None, "whoever was signed in is out"
    with pytest.raises(Denied):
        await sign_in.sign_in(house_desk, BEN, OLD)
    await sign_in.sign_in(house_desk, BEN, NEW)
    for again in (await asking.get(path), await send(asking, path, password="yet another battery")):
        assert again.status_code == 404
    await sign_in.sign_in(house_desk, BEN, NEW)
    async with house_desk.database.org_reading(acme.owner) as connection:
        kinds = await connection.fetch("select kind from asoe.facts where kind = 'password.changed'")
    assert len(kinds) == 1


async def test_a_link_is_over_after_an_hour_and_a_new_password_ends_the_others(
    asking: httpx.AsyncClient, post: Post, clock: Clock
) -> None:
    await send(asking, "/forgot-password", email=BEN)
    first = link_in(post, BEN, "reset-password")
    clock.pass_by(minutes=61)
    assert (await send(asking, first, password=NEW)).status_code == 404
    links = []
    for _ in range(5):
        await send(asking, "/forgot-password", email=BEN)
        links.append(link_in(post, BEN, "reset-password"))
    assert len(post.taken) == 1 + 3, "nobody's mailbox is filled by others"
    assert (await send(asking, links[0], password=NEW)).status_code == 303
    assert (await send(asking, links[1], password=OLD)).status_code == 404


async def test_who_was_shut_out_is_sent_nothing(
    asking: httpx.AsyncClient, house_desk: Desk, post: Post, acme: Org
) -> None:
    await send(asking, "/forgot-password", email=BEN)
    path = link_in(post, BEN, "reset-password")
    await people.disable_member(house_desk, acme.owner, acme.agent.user_id)
    assert (await send(asking, path, password=NEW)).status_code == 404
    await send(asking, "/forgot-password", email=BEN)
    assert len(post.taken) == 1


async def test_an_invitation_is_mailed_with_its_link_which_is_stored_nowhere(
    asking: httpx.AsyncClient, house_desk: Desk, post: Post, acme: Org
) -> None:
    made = await people.invite(house_desk, acme.owner, email="new@acme.example", role="agent")
    assert await invitation_mail.send(house_desk, acme.owner, made)
    async with house_desk.database.org_reading(acme.owner) as connection:
        [row] = await deliveries.list_newest(connection, acme.org_id)
        assert made.token not in str(dict(row.data))
    assert await delivery.deliver(house_desk, acme.org_id, row.id)
    path = link_in(post, "new@acme.example", "invitations")
    assert path == f"/invitations/{made.token}"
    assert (await send(asking, path, name="New", password=NEW)).status_code == 303
    await sign_in.sign_in(house_desk, "new@acme.example", NEW)


async def test_a_withdrawn_invitation_is_not_mailed_any_more(house_desk: Desk, post: Post, acme: Org) -> None:
    made = await people.invite(house_desk, acme.owner, email="new@acme.example", role="agent")
    assert await invitation_mail.send(house_desk, acme.owner, made)
    await people.revoke_invitation(house_desk, acme.owner, made.invitation.id)
    async with house_desk.database.org_reading(acme.owner) as connection:
        [row] = await deliveries.list_newest(connection, acme.org_id)
    assert not await delivery.deliver(house_desk, acme.org_id, row.id)
    assert post.taken == []


async def test_without_a_server_nothing_is_promised(desk: Desk, acme: Org) -> None:
    made = await people.invite(desk, acme.owner, email="new@acme.example", role="agent")
    assert not await invitation_mail.send(desk, acme.owner, made)


def test_the_mail_server_is_read_or_refused() -> None:
    found = read_house_mail("smtps://me%40x:p%2Fw@mail.example", "Desk <desk@example.com>")
    assert found is not None
    assert (found.server.host, found.server.port, found.server.tls, found.server.user) == (
        "mail.example",
        465,
        "tls",
        "me@x",
    )
    assert (found.password, found.sender) == ("p/w", ("Desk", "desk@example.com"))
    assert "p/w" not in repr(found)
    for url, sender in (
        ("http://mail.example", "a@example.com"),
        ("smtps://mail.example", ""),
        ("smtps://", "a@b.example"),
    ):
        with pytest.raises(Invalid, match="ASOE_MAIL"):
            read_house_mail(url, sender)
    assert read_house_mail(None, None) is None
