"""A connector as an organization configured it: where an outside system is and how it is spoken to. Secrets are not in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class ConnectorRecord:
    """One row. `config` holds nothing secret; `has_secrets`: something sealed lies beside it."""

    id: UUID
    name: str
    kind: str
    config: Mapping[str, Any] = field(repr=False)
    allow_private: bool
    has_secrets: bool
    disabled_at: datetime | None
    disabled_why: str | None
    created_by: UUID | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Trouble:
    """What was last wrong with a connector. `paused_until`: it is left alone so long; `ended_at`: it answered again."""

    connector_id: UUID
    at: datetime
    detail: str
    paused_until: datetime | None
    ended_at: datetime | None
