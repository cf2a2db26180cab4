"""Who asks while a reading is under way waits for the next one; a batch reads what was asked for until it began."""

from __future__ import annotations

import asyncio

from asoe.web.together import Batch, Together


async def test_nobody_is_given_what_was_read_before_they_asked() -> None:
    together, going = Together(), asyncio.Event()
    begun: asyncio.Queue[int] = asyncio.Queue()
    readings = 0

    async def read() -> int:
        nonlocal readings
        readings += 1
        mine = readings
        begun.put_nowait(mine)
        await going.wait()
        return mine

    first = asyncio.create_task(together.ask("key", read))
    assert await begun.get() == 1
    others = [asyncio.create_task(together.ask("key", read)) for _ in range(5)]
    elsewhere = asyncio.create_task(together.ask("other key", read))
    assert await begun.get() == 2, "another key waits for nobody"
    going.set()
    assert await first == 1
    assert await elsewhere == 2
    assert await asyncio.gather(*others) == [3] * 5


async def test_one_who_leaves_takes_nothing_from_the_others_and_an_error_ends_with_its_batch() -> None:
    going = asyncio.Event()
    asked: asyncio.Queue[frozenset[int]] = asyncio.Queue()

    async def read(keys: frozenset[int]) -> dict[int, int]:
        asked.put_nowait(keys)
        await going.wait()
        if 13 in keys:
            raise ConnectionError
        return {key: key * 10 for key in keys if key != 4}

    batch = Batch(read)
    tasks = {key: asyncio.create_task(batch.ask(key)) for key in (1, 2, 3, 4)}
    assert await asked.get() == {1, 2, 3, 4}
    tasks[1].cancel()
    later = [asyncio.create_task(batch.ask(key)) for key in (13, 14)]
    await asyncio.sleep(0)
    going.set()
    assert await asyncio.gather(tasks[2], tasks[3], tasks[4]) == [20, 30, None]
    assert [type(each) for each in await asyncio.gather(*later, return_exceptions=True)] == [ConnectionError] * 2
    assert await asked.get() == {13, 14}
    assert await batch.ask(5) == 50
