"""Whoever goes away in the middle of a page leaves no transaction open, no word in the log, and a connection as good as new."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from asoe.store.db import Database
from cast import Org

SPOTS = 40


async def test_a_request_cancelled_anywhere_makes_no_noise(database: Database, acme: Org) -> None:
    noise: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: noise.append(context))

    async def page() -> None:
        async with database.org_reading(acme.agent) as connection:
            await connection.fetchval("select count(*) from public.support_tickets")

    reached = set()
    for twice in (False, True):
        for spot in range(SPOTS):
            going = asyncio.create_task(page())
            for _ in range(spot):
                await asyncio.sleep(0)
            reached.add(going.done())
            going.cancel()
            if twice:  # as a scope that ends does: again while the first is dealt with
                await asyncio.sleep(0)
                going.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await going
    assert not noise
    async with database.org_reading(acme.agent) as connection:
        assert await connection.fetchval("select count(*) from public.support_tickets") == 0
    assert False in reached
