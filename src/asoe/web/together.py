"""Readings made once for all who ask for the same at the same time. Nobody is given what was read before they asked.

While one reading is under way, whoever asks waits for the next, which is one for them all: as new as if each had read alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Any, Generic, TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Together:
    """Keys must name the organization and the role, and whatever else decides who may see what is read."""

    def __init__(self) -> None:
        self._going: dict[Hashable, asyncio.Future[Any]] = {}
        self._next: dict[Hashable, asyncio.Future[Any]] = {}

    async def ask(self, key: Hashable, read: Callable[[], Awaitable[_Value]]) -> _Value:
        """What `read` finds from now on; of those who wait for the same key one's `read` is used for all."""
        turn = self._next.get(key)
        if turn is None:
            turn = self._next[key] = asyncio.ensure_future(self._take(key, read))
            turn.add_done_callback(_is_heard)
        value: _Value = await asyncio.shield(turn)
        return value

    async def _take(self, key: Hashable, read: Callable[[], Awaitable[_Value]]) -> _Value:
        if before := self._going.get(key):
            await asyncio.wait([before])
        turn = self._going[key] = self._next.pop(key)
        try:
            return await read()
        finally:
            if self._going.get(key) is turn:
                del self._going[key]


class Batch(Generic[_Key, _Value]):
    """Many keys in one reading: `read` is given those that were asked for while the one before it was under way."""

    def __init__(self, read: Callable[[frozenset[_Key]], Awaitable[Mapping[_Key, _Value]]]) -> None:
        self._read = read
        self._wanted: set[_Key] = set()
        self._turns = Together()

    async def ask(self, key: _Key) -> _Value | None:
        """What is found for `key`; None when nothing is."""
        self._wanted.add(key)
        return (await self._turns.ask("all", self._read_wanted)).get(key)

    async def _read_wanted(self) -> Mapping[_Key, _Value]:
        wanted, self._wanted = frozenset(self._wanted), set()
        return await self._read(wanted)


def _is_heard(turn: asyncio.Future[Any]) -> None:
    """Take note of an error that nobody waits for any more."""
    if not turn.cancelled():
        turn.exception()
