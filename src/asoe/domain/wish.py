"""Wishes: what clients want and nothing offers. Decides when two are the same; who is told what is the desk's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

WISH_STATUSES: Final = ("open", "planned", "shipped", "declined", "merged")
WANTED: Final = ("open", "planned")
MAX_TITLE_CHARS: Final = 160
MAX_NOTE_CHARS: Final = 2000

SAME_FROM: Final = 0.62
"""Likeness from which two wishes are one; below it they are two, and people merge. The least with no wrong merge on the dev part of
`python -m evals.wishes`: a wish counted twice costs less than a client who hears of something it did not want."""
SHRUNK_BY: Final = 10
"""An organization's wishes have much in common that tells none from another: their mean is taken off, the more the more there are."""


@dataclass(frozen=True, slots=True)
class NewWish:
    """A wish as one ticket puts it: redacted words, and the vector they are compared by."""

    title: str
    words: str
    language: str
    embedding: bytes


@dataclass(frozen=True, slots=True)
class Wish:
    """`clients` are counted once each, `plans` are clients by plan ("" where it is not known)."""

    id: UUID
    number: int
    title: str
    words: str
    language: str
    status: str
    merged_into: int | None
    note: str
    created_at: datetime
    shipped_at: datetime | None
    clients: int
    tickets: int
    told: int
    plans: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Supporter:
    """One ticket that speaks for a wish. `came_with`: the wish it was recorded with, where people merged it later."""

    id: UUID
    client: str
    ticket_id: UUID | None
    ticket_number: int | None
    plan: str | None
    likeness: float | None
    created_at: datetime
    told_at: datetime | None
    came_with: int | None
