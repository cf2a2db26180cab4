"""Rate limits in memory, per process: rules as the library `limits` reads them ("600/minute"), counted here.

Its own memory storage walks over every caller at every hit; this one is constant: a sliding window made of the current
and the weighted previous fixed window. Several processes each allow the rate.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final

from limits import parse

from asoe.domain.errors import FieldProblem, Invalid

_MAX_CALLERS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left after a hit; `reset` and `retry_after` in whole seconds."""

    limit: int
    remaining: int
    reset: int
    retry_after: int = 0

    @property
    def is_spent(self) -> bool:
        return self.retry_after > 0


@dataclass(slots=True)
class _Window:
    number: int
    current: int = 0
    previous: int = 0


class Throttle:
    """Counts callers against one rule; raises `Invalid(bad_settings)` for a rule that cannot be read."""

    def __init__(self, rule: str, *, setting: str, clock: Callable[[], float] = time.monotonic) -> None:
        try:
            item = parse(rule)
        except ValueError:
            problem = f"{rule!r} is no rate; write one like 600/minute"
            raise Invalid(
                f"{setting}: {problem}.", code="bad_settings", fields=(FieldProblem(setting, problem),)
            ) from None
        self.amount = item.amount
        self.seconds = item.get_expiry()
        self._clock = clock
        self._windows: dict[Hashable, _Window] = {}

    def hit(self, caller: Hashable) -> Allowance:
        """Count one call; a call beyond the rule is not counted and gets a spent allowance."""
        number, elapsed = divmod(self._clock(), self.seconds)
        window = self._windows.get(caller)
        if window is None:
            window = self._new(caller, int(number))
        elif window.number != number:
            window.previous = window.current if window.number == number - 1 else 0
            window.number, window.current = int(number), 0
        carried = window.previous * (1 - elapsed / self.seconds)
        reset = max(1, math.ceil(self.seconds - elapsed))
        if carried + window.current + 1 > self.amount:
            return Allowance(self.amount, 0, reset, retry_after=self._wait(window, elapsed))
        window.current += 1
        return Allowance(self.amount, max(0, math.floor(self.amount - carried - window.current)), reset)

    def _wait(self, window: _Window, elapsed: float) -> int:
        """Seconds until one more call fits."""
        room = self.amount - window.current - 1
        if window.previous and room >= 0:
            return max(1, math.ceil(self.seconds * (1 - room / window.previous) - elapsed))
        # only the next window has room: there this one's calls weigh less and less
        share = 1 - (self.amount - 1) / window.current if window.current else 0
        return max(1, math.ceil(self.seconds - elapsed + self.seconds * max(0.0, share)))

    def _new(self, caller: Hashable, number: int) -> _Window:
        if len(self._windows) >= _MAX_CALLERS:
            self._windows = {key: kept for key, kept in self._windows.items() if kept.number >= number - 1}
            if len(self._windows) >= _MAX_CALLERS:
                self._windows.clear()
        window = self._windows[caller] = _Window(number)
        return window
