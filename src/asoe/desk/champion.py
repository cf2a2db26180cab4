"""Which model judges an organization's tickets: the shared one, with its own intents and what it has taught laid over it.

Every process looks into the registry again after a few seconds, so that a promotion, a roll-back or a changed intent holds
everywhere without anybody being told. How a model gets there is `learning.py`'s, how an intent does `intent.py`'s.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import numpy as np
import structlog

from asoe.ai.adapter import Adapter
from asoe.ai.encoder import DIMENSIONS
from asoe.ai.own_intents import OwnIntents, own_intents, texts_of
from asoe.desk.context import Champion, Desk
from asoe.domain.triage import INTENTS, Triage
from asoe.queue.failures import kind_of
from asoe.store import models, org_intents

KEPT: Final = 3.0
"""Seconds for which a process goes on with the model it knows."""
_log = structlog.get_logger(__name__)


async def judge_text(desk: Desk, org_id: UUID, subject: str, body: str) -> Triage:
    """Triage by the organization's champion, among everybody's intents and its own."""
    known = await champion_of(desk, org_id)
    if known.own is not None:
        return await desk.ai.triage(subject, body, adapter=known.adapter, own=known.own)
    if known.adapter is not None:
        return await desk.ai.triage(subject, body, adapter=known.adapter)
    return await desk.ai.triage(subject, body)


async def champion_of(desk: Desk, org_id: UUID) -> Champion:
    """What the organization has taught: a model, if one was taught over today's shared one, and its own intents."""
    kept = desk.champions.get(org_id)
    if kept is not None and time.monotonic() - kept.read_at < KEPT:
        return kept
    engine = await desk.engine_of(org_id)
    rows = None
    async with desk.database.org_reading(engine) as connection:
        named = await models.champion(connection, org_id)
        if named is None:
            adapter = None
        elif kept is not None and kept.model_id == named.id:
            adapter = kept.adapter
        else:
            adapter = read_adapter(await models.arrays(connection, org_id, named.id), org_id)
        stamp = await org_intents.stamp(connection, org_id)
        if stamp and (kept is None or kept.stamp != stamp):
            rows = await org_intents.vectors(connection, org_id)
    own = kept.own if kept is not None and kept.stamp == stamp else await own_from(desk, rows or [])
    found = Champion(None if named is None else named.id, adapter, time.monotonic(), own, stamp)
    desk.champions[org_id] = found
    return found


async def adapter_of(desk: Desk, org_id: UUID) -> Adapter | None:
    """The model the organization has taught; None: nothing."""
    return (await champion_of(desk, org_id)).adapter


async def own_from(desk: Desk, rows: Sequence[org_intents.Stored]) -> OwnIntents | None:
    """Own intents as triage compares them; words that another build has embedded are embedded anew."""
    rows = [row for row in rows if row.name not in INTENTS]
    if not rows:
        return None
    base = await base_version(desk)
    known = []
    for row in rows:
        vectors = np.frombuffer(row.vectors, np.float16).reshape(-1, DIMENSIONS).astype(np.float32)
        texts = texts_of(row.title, row.description, row.examples)
        if row.base_version != base or len(vectors) != len(texts):
            vectors = await desk.ai.embed(texts)
        known.append((row.name, row.category, len(row.examples), vectors))
    return own_intents(known)


async def base_version(desk: Desk) -> str:
    """The shared model of this process."""
    return await desk.ai.work(lambda loaded: loaded.triage_model.version)


def read_adapter(stored: bytes | None, org_id: UUID) -> Adapter | None:
    """The adapter in a row of the registry; one that cannot be read is logged, and the shared model judges alone."""
    try:
        return None if stored is None else Adapter.from_bytes(stored)
    except (ValueError, KeyError, OSError) as error:
        _log.error("model.unreadable", org_id=str(org_id), error=kind_of(error))
        return None
