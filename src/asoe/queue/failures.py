"""Decides whether a failed job is tried again, and what is kept of its error: the kind and the place, never the words.

An error's message may quote a client; the log and the queue's tables must not.
"""

from __future__ import annotations

import random
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from pgqueuer.domain.models import Job, TracebackRecord

from asoe.domain.errors import AsoeError, Unavailable

_FRAMES: Final = 8


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a job is tried, and the pause before the second try; it doubles up to `longest`."""

    tries: int = 8
    first: timedelta = timedelta(seconds=1)
    longest: timedelta = timedelta(minutes=5)

    def pause_after(self, error: BaseException, *, failures: int) -> timedelta | None:
        """The pause before the next try after `failures` failed ones; None when the job has failed for good."""
        if failures >= self.tries or (isinstance(error, Unavailable) and error.permanent):
            return None
        doubled: float = 2.0 ** min(failures - 1, 30)
        pause = min(self.longest, self.first * doubled) * random.uniform(0.5, 1.0)
        if isinstance(error, Unavailable) and error.retry_after is not None:
            return max(pause, timedelta(seconds=error.retry_after))
        return pause


def first_of(error: BaseException) -> BaseException:
    """The error itself, or the first one inside a group of a TaskGroup."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def kind_of(error: BaseException) -> str:
    """The error's class, with the stable code of ours; of a group, its first member's."""
    error = first_of(error)
    name = type(error).__name__
    return f"{name}({error.code})" if isinstance(error, AsoeError) else name


def place_of(error: BaseException) -> str:
    """The innermost frames as `file:line function`, without source lines and values."""
    frames = traceback.extract_tb(first_of(error).__traceback__)[-_FRAMES:]
    return " > ".join(f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames)


def record_of(job: Job, *, kind: str, place: str, tries: int) -> TracebackRecord:
    """What pgqueuer's log keeps of a failure."""
    return TracebackRecord(
        job_id=job.id,
        timestamp=datetime.now(UTC),
        exception_type=kind,
        exception_message="",
        traceback=place,
        additional_context={"tries": tries},
    )


def _short(filename: str) -> str:
    return "/".join(Path(filename).parts[-3:])
