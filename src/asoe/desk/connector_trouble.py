"""What went wrong with a connector, written down for people at most twice a minute; a call never fails because of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog

from asoe.domain.organization import Principal
from asoe.store import connectors, facts
from asoe.store.db import Database

_EVERY: Final = 30.0
_LONGEST: Final = 500
_log = structlog.get_logger(__name__)


class TroubleNotes:
    """Of one opened connector. `now`: monotonic seconds."""

    def __init__(
        self,
        database: Database,
        engine_of: Callable[[UUID], Awaitable[Principal]],
        org_id: UUID,
        connector_id: UUID,
        *,
        now: Callable[[], float],
    ) -> None:
        self._database = database
        self._engine_of = engine_of
        self._org_id = org_id
        self._connector_id = connector_id
        self._now = now
        self._noted_at: float | None = None
        self._has_drifted = False

    async def met(self, detail: str, pause: float | None, *, is_drift: bool = False) -> None:
        """A call failed; `pause`: seconds for which the system is left alone from now on.

        `is_drift`: it offers something else than was reviewed, which is a fact for the audit, once until a person changes the
        connector, or another process meets it.
        """
        is_fresh = self._noted_at is not None and self._now() - self._noted_at < _EVERY
        is_news = is_drift and not self._has_drifted
        if is_fresh and pause is None and not is_news:
            return
        self._noted_at = self._now()
        try:
            engine = await self._engine_of(self._org_id)
            async with self._database.org_transaction(engine) as connection:
                await connectors.note_trouble(
                    connection,
                    self._org_id,
                    self._connector_id,
                    detail=detail.replace("\x00", "")[:_LONGEST],
                    pause=None if pause is None else timedelta(seconds=pause),
                )
                if is_news:
                    await facts.record(connection, engine, "connector.drifted", connector_id=self._connector_id)
            self._has_drifted = self._has_drifted or is_drift
        except Exception as error:  # removed meanwhile, or the database is away: the call's own error matters more
            _log.warning("connector.trouble_not_noted", error=type(error).__name__)

    async def ended(self, *, is_certain: bool = False) -> None:
        """The system answered; `is_certain`: end also what another process wrote down."""
        if self._noted_at is None and not is_certain:
            return
        self._noted_at = None
        try:
            async with self._database.org_transaction(await self._engine_of(self._org_id)) as connection:
                await connectors.end_trouble(connection, self._org_id, self._connector_id)
        except Exception as error:
            _log.warning("connector.trouble_not_noted", error=type(error).__name__)
