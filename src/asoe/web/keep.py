"""Values that many viewers ask for at once are made once and kept for some seconds, per process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Final, TypeVar

_MOST: Final = 1000
_Value = TypeVar("_Value")


class Keep:
    """Keys must name the organization whose rows a value was made from."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tasks: dict[Hashable, tuple[float, asyncio.Future[Any]]] = {}

    async def get(self, key: Hashable, seconds: float, make: Callable[[], Awaitable[_Value]]) -> _Value:
        """The value of `key`, made anew when it is older than `seconds`; whoever asks meanwhile waits for the same one."""
        now = self._clock()
        found = self._tasks.get(key)
        if found is None or now - found[0] > seconds or (found[1].done() and found[1].exception() is not None):
            if len(self._tasks) >= _MOST:
                self._tasks = {each: value for each, value in self._tasks.items() if not value[1].done()}
            found = (now, asyncio.ensure_future(make()))
            self._tasks[key] = found
        value: _Value = await asyncio.shield(found[1])
        return value
