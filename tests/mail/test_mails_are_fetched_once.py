"""A real IMAP server: what is new is taken in once and in order, by whichever process, also when it is numbered anew."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from dovecot import PASSWORD, Imap
from mail_cast import Post, use_post

from asoe.desk import mail_intake, mailbox, ticket
from asoe.desk.context import Desk
from asoe.domain.errors import Invalid
from asoe.store import mailboxes

if TYPE_CHECKING:
    from tests.conftest import Org


async def use(desk: Desk, org: Org, post: Post, imap: Imap, user: str, password: str = PASSWORD) -> None:
    server = {"host": "127.0.0.1", "port": imap.port, "tls": "none", "user": user}
    await use_post(desk, org, post, servers={"imap": server}, passwords={"imap": password})


def a_mail(number: int, text: str = "Where is my invoice?") -> bytes:
    return f"From: ana{number}@client.example\r\nSubject: Question {number}\r\nMessage-ID: <{number}@client.example>\r\n\r\n{text}\r\n".encode()


async def subjects(desk: Desk, org: Org) -> list[str]:
    found = await ticket.list_open(desk, org.agent)
    return sorted(each.subject for each in found)


async def fetch(desk: Desk, org: Org) -> int:
    return await mail_intake.fetch(desk, org.engine, await mailbox.read_mailbox(desk, org.owner))


async def test_what_is_new_is_taken_in_once(desk: Desk, acme: Org, post: Post, imap: Imap) -> None:
    user = os.urandom(4).hex()
    await use(desk, acme, post, imap, user)
    assert (await mailbox.check_mailbox(desk, acme.owner)).is_up
    for number in (1, 2):
        imap.put(user, a_mail(number))
    await mail_intake.fetch_all(desk)
    assert await subjects(desk, acme) == ["Question 1", "Question 2"]
    assert await fetch(desk, acme) == 0
    imap.put(user, a_mail(3))
    assert await fetch(desk, acme) == 1
    box = await mailbox.read_mailbox(desk, acme.owner)
    assert box.fetch_trouble is None
    assert box.fetched_uid == 3
    async with desk.database.org_transaction(acme.engine) as connection:  # as if the server had numbered them otherwise
        await mailboxes.fetched(connection, acme.org_id, validity=1, uid=3, tries=0, at=desk.clock())
    assert await fetch(desk, acme) == 3
    assert await subjects(desk, acme) == ["Question 1", "Question 2", "Question 3"]


async def test_a_mail_that_cannot_be_taken_in_stops_the_others_only_for_a_while(
    desk: Desk, acme: Org, post: Post, imap: Imap, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = os.urandom(4).hex()
    await use(desk, acme, post, imap, user)
    for number in (1, 2, 3):
        imap.put(user, a_mail(number, "poison" if number == 2 else "Where is it?"))
    real = mail_intake.receive

    async def receive(desk: Desk, org_id: object, raw: bytes) -> object:
        if b"poison" in raw:
            raise OSError("the disk")
        return await real(desk, org_id, raw)

    monkeypatch.setattr(mail_intake, "receive", receive)
    for _ in range(4):
        await fetch(desk, acme)
        assert await subjects(desk, acme) == ["Question 1"]
        assert "OSError" in ((await mailbox.read_mailbox(desk, acme.owner)).fetch_trouble or "")
    await fetch(desk, acme)
    assert await subjects(desk, acme) == ["Question 1", "Question 3"]


async def test_a_wrong_password_is_said_and_sealed(desk: Desk, acme: Org, post: Post, imap: Imap) -> None:
    await use(desk, acme, post, imap, "ana", "wrong-password")
    assert await fetch(desk, acme) == 0
    box = await mailbox.read_mailbox(desk, acme.owner)
    assert box.fetch_trouble == "127.0.0.1 refuses our user or password."
    assert b"wrong-password" not in bytes(box.sealed or b"")
    assert "wrong-password" not in str(mailbox.shown(box)) + repr(box)
    assert not (await mailbox.check_mailbox(desk, acme.owner)).is_up
    moved = {"host": "mail.evil.example", "port": imap.port, "tls": "tls", "user": "ana"}
    with pytest.raises(Invalid, match=r"passwords\.imap: must be given"):
        await mailbox.set_mailbox(
            desk, acme.owner, address="support@acme.example", servers={"imap": moved}, passwords={}
        )
    with pytest.raises(Invalid, match="clear text"):
        await mailbox.set_mailbox(
            desk,
            acme.owner,
            address="support@acme.example",
            servers={"imap": {**moved, "tls": "none"}},
            passwords={"imap": "x"},
        )
