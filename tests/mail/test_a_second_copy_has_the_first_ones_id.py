"""A worker killed between the server's 250 and our commit sends a second copy with the equal id; killed earlier, none."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mail_cast import Post, use_post

from asoe.desk import delivery, notification
from asoe.desk.context import Desk
from asoe.store import facts

if TYPE_CHECKING:
    from tests.conftest import Dsns, Org
    from tests.flow.flow_cast import Clock

VICTIM = Path(__file__).with_name("delivery_victim.py")


@pytest.mark.parametrize(("point", "copies"), [("before the commit", 2), ("before the sending", 1)])
async def test_a_worker_is_killed(
    desk: Desk, acme: Org, post: Post, dsns: Dsns, clock: Clock, point: str, copies: int
) -> None:
    await use_post(desk, acme, post)
    async with desk.database.org_transaction(acme.engine) as connection:
        await facts.record(connection, acme.engine, "acts.stopped")
    await notification.spread(desk)
    (row, *_) = await delivery.list_deliveries(desk, acme.owner, channel="email")
    arguments = [dsns.app, dsns.system, str(acme.org_id), str(row.id), point]
    victim = await asyncio.create_subprocess_exec(sys.executable, str(VICTIM), *arguments)
    assert await asyncio.wait_for(victim.wait(), 60) == -signal.SIGKILL
    assert len(post.taken) == copies - 1
    assert await delivery.deliver(desk, acme.org_id, row.id) is False  # it is still the dead worker's
    clock.pass_by(minutes=3)
    assert await delivery.deliver(desk, acme.org_id, row.id) is True
    assert await delivery.deliver(desk, acme.org_id, row.id) is False
    assert len(post.taken) == copies
    assert {mail["Message-ID"] for mail in post.taken} == {f"<{row.id.hex}@acme.example>"}
