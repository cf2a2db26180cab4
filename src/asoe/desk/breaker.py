"""A circuit breaker: after some failures in a row a system is left alone for a while, then asked once before all may again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

OPENS_AFTER: Final = 5
FIRST_PAUSE: Final = 30.0
LONGEST_PAUSE: Final = 300.0


class Breaker:
    """Closed, open until a time, or half open while one trial call is on its way. `now`: monotonic seconds."""

    def __init__(
        self, now: Callable[[], float], *, opens_after: int = OPENS_AFTER, first_pause: float = FIRST_PAUSE
    ) -> None:
        self._now = now
        self._opens_after = opens_after
        self._first_pause = first_pause
        self._pause = first_pause
        self._failures = 0
        self._until: float | None = None
        self._on_trial = False

    @property
    def is_open(self) -> bool:
        return self._until is not None

    def wait(self) -> float | None:
        """Seconds until the next trial; None: call now (and then say how it went)."""
        if self._until is None:
            return None
        left = self._until - self._now()
        if left > 0 or self._on_trial:
            return max(left, 1.0)
        self._on_trial = True
        return None

    def succeeded(self) -> None:
        self._failures, self._until, self._pause, self._on_trial = 0, None, self._first_pause, False

    def failed(self) -> float | None:
        """Count a failure; the seconds of the pause that begins with it, None when none does."""
        self._failures += 1
        if self._until is None and self._failures < self._opens_after:
            return None
        if self._until is not None and not self._on_trial:
            return None  # a call that was on its way when the pause began
        pause = self._pause
        self._until = self._now() + pause
        self._pause = min(2 * pause, LONGEST_PAUSE)
        self._on_trial = False
        return pause

    def abandoned(self) -> None:
        """A call ended without telling anything, by cancellation: another may be the trial."""
        self._on_trial = False
