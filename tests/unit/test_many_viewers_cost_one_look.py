"""What many viewers ask for at once is made once, again when it is old or failed, and never mixed between keys."""

from __future__ import annotations

import asyncio

import pytest

from asoe.web.keep import Keep


async def test_many_at_once_share_one_and_later_ones_get_a_new_one() -> None:
    now = 0.0
    keep = Keep(lambda: now)
    made: list[str] = []

    def make(name: str):
        async def work() -> str:
            await asyncio.sleep(0)
            made.append(name)
            return f"{name} {len(made)}"

        return work

    assert await asyncio.gather(*(keep.get("acme", 3, make("acme")) for _ in range(50))) == ["acme 1"] * 50
    assert await keep.get("globex", 3, make("globex")) == "globex 2"
    now = 2.9
    assert await keep.get("acme", 3, make("acme")) == "acme 1"
    now = 6.1
    assert await keep.get("acme", 3, make("acme")) == "acme 3"


async def test_a_failure_is_not_kept() -> None:
    keep = Keep()

    async def fail() -> str:
        raise OSError("away")

    async def succeed() -> str:
        return "back"

    with pytest.raises(OSError, match="away"):
        await keep.get("acme", 60, fail)
    assert await keep.get("acme", 60, succeed) == "back"
