"""Which model judges an organization's tickets: the shared one, with what the organization has taught laid over it.

Every process looks into the registry again after a few seconds, so that a promotion or a roll-back holds everywhere without
anybody being told. How a model gets there is `learning.py`'s.
"""

from __future__ import annotations

import time
from typing import Final
from uuid import UUID

import structlog

from asoe.ai.adapter import Adapter
from asoe.desk.context import Champion, Desk
from asoe.domain.triage import Triage
from asoe.queue.failures import kind_of
from asoe.store import models

KEPT: Final = 3.0
"""Seconds for which a process goes on with the model it knows."""
_log = structlog.get_logger(__name__)


async def judge_text(desk: Desk, org_id: UUID, subject: str, body: str) -> Triage:
    """Triage by the organization's champion."""
    adapter = await adapter_of(desk, org_id)
    if adapter is None:
        return await desk.ai.triage(subject, body)
    return await desk.ai.triage(subject, body, adapter=adapter)


async def adapter_of(desk: Desk, org_id: UUID) -> Adapter | None:
    """What the organization has taught; None: nothing, or nothing that was taught over today's shared model."""
    kept = desk.champions.get(org_id)
    if kept is not None and time.monotonic() - kept.read_at < KEPT:
        return kept.adapter
    engine = await desk.engine_of(org_id)
    async with desk.database.org_reading(engine) as connection:
        named = await models.champion(connection, org_id)
        if named is None:
            adapter = None
        elif kept is not None and kept.model_id == named.id:
            adapter = kept.adapter
        else:
            adapter = read_adapter(await models.arrays(connection, org_id, named.id), org_id)
    desk.champions[org_id] = Champion(None if named is None else named.id, adapter, time.monotonic())
    return adapter


def read_adapter(stored: bytes | None, org_id: UUID) -> Adapter | None:
    """The adapter in a row of the registry; one that cannot be read is logged, and the shared model judges alone."""
    try:
        return None if stored is None else Adapter.from_bytes(stored)
    except (ValueError, KeyError, OSError) as error:
        _log.error("model.unreadable", org_id=str(org_id), error=kind_of(error))
        return None
