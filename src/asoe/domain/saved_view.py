"""A saved view: a name for filters of the queue, kept by one person, shared with the team or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID


@dataclass(frozen=True, slots=True)
class SavedView:
    """`filters`: name → value, as the queue's address has them."""

    id: UUID
    user_id: UUID
    name: str
    filters: Mapping[str, str] = field(default_factory=dict)
    is_shared: bool = False
