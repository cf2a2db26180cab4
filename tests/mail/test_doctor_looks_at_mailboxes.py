"""`asoe doctor` says which mail server does not let us in, and what was given up; it sends nothing and tells no password."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
from mail_cast import Post, tell, use_post

from asoe.cli.doctor_mail import mail_lines
from asoe.config import Settings
from asoe.desk.context import Desk
from asoe.store import facts

if TYPE_CHECKING:
    from tests.conftest import Org


async def test_doctor_names_what_is_wrong(desk: Desk, acme: Org, post: Post, owner_dsn: str, tmp_path: Path) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path)
    owner = await asyncpg.connect(owner_dsn)
    await owner.execute("set role asoe_owner")
    assert await mail_lines(owner, settings) == [("ok", "0 mailboxes, nothing was given up", "")]
    await use_post(desk, acme, post)
    assert await mail_lines(owner, settings) == [("ok", "1 mailbox, nothing was given up", "")]
    async with desk.database.org_transaction(acme.engine) as connection:
        await facts.record(connection, acme.engine, "acts.stopped")
    post.says = "550 no such person"
    await tell(desk)
    (line,) = await mail_lines(owner, settings)
    assert line[:2] == ("warn", "acme: 3 deliveries were given up")
    imap = {"host": "127.0.0.1", "port": 1, "tls": "none", "user": "ana"}
    await use_post(desk, acme, post, servers={"imap": imap}, passwords={"imap": "never-shown-4711"})
    lines = await mail_lines(owner, settings)
    assert ("fail", "acme: 127.0.0.1:1 cannot be reached (ConnectionRefusedError). Check host and port.") in [
        line[:2] for line in lines
    ]
    assert "never-shown" not in str(lines)
    (tmp_path / "secret.key").unlink()
    assert any("do not open" in detail for _, detail, _ in await mail_lines(owner, settings))
    assert post.taken == []
    await owner.close()
