"""Watches the volume of each intent, and opens a suspected incident when more clients write than the hour of the week explains.

What is expected is learned once a day from eight weeks; the thresholds of all intents together allow one false alarm a week. Nobody is told
of a suspicion: a person, or equal failed checks, confirm it. How alarm is given is `ai.spikes`'.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np

from asoe.ai import spikes
from asoe.ai.spikes import HOURS, LEAST_WEEKS, Expectation
from asoe.desk.context import Desk
from asoe.desk.incident.signs import add, new
from asoe.domain.incident import intent_key
from asoe.domain.organization import Principal
from asoe.store import facts, incidents
from asoe.store import spikes as spike_rows
from asoe.store.db import Connection
from asoe.store.spikes import WatchRow

WEEKS: Final = 8
ALARMS_A_WEEK: Final = 1.0
"""False alarms that an organization has in the mean, over all its intents."""
LEARNED_EVERY: Final = timedelta(days=1)
STEP: Final = timedelta(minutes=5)
MOST_STEPS: Final = 288
"""A watch that lags more (its worker was down) begins anew: an alarm about yesterday helps nobody."""


async def watch(desk: Desk, engine: Principal) -> None:
    """Count what came since the last turn; learn anew when that is due."""
    now = desk.clock()
    async with desk.database.org_reading(engine) as connection:
        rows = await spike_rows.watches(connection, engine.org_id)
        begun = await spike_rows.oldest(connection, engine.org_id) if not rows else None
    if not rows and (begun is None or now - begun < timedelta(weeks=LEAST_WEEKS)):
        return
    if not rows or min(row.learned_at for row in rows) < now - LEARNED_EVERY:
        await _learn(desk, engine, now)
    async with desk.database.org_transaction(engine) as connection:
        if await spike_rows.hold(connection, engine.org_id):
            await _count(connection, engine, now)


async def _learn(desk: Desk, engine: Principal, now: datetime) -> None:
    """Expectations from the last weeks, made in a thread: each draws some hundred weeks of traffic."""
    until = _hour(now)
    async with desk.database.org_reading(engine) as connection:
        begun = await spike_rows.oldest(connection, engine.org_id) or now
        since = max(until - timedelta(weeks=WEEKS), _hour(begun) + timedelta(hours=1))
        counted = await spike_rows.by_hour(connection, engine.org_id, since=since, until=until)
    hours = int((until - since) / timedelta(hours=1))
    if hours < LEAST_WEEKS * HOURS - 24 or not counted:
        return
    share = ALARMS_A_WEEK / len(counted)
    seed = int.from_bytes(engine.org_id.bytes[:8])
    learned = {}
    for intent, found in counted.items():
        row = [found.get(since + timedelta(hours=hour), 0) for hour in range(hours)]
        learned[intent] = await asyncio.to_thread(_expect, row, _hour_of_week(since), share, seed)
    async with desk.database.org_transaction(engine) as connection:
        if not await spike_rows.hold(connection, engine.org_id):
            return
        for intent, expected in learned.items():
            await spike_rows.put(
                connection,
                engine.org_id,
                WatchRow(
                    intent=intent,
                    rates=expected.rates,
                    spread=expected.spread,
                    threshold=expected.threshold,
                    state=spikes.begin(),
                    counted_until=_step(now),
                    learned_at=now,
                ),
            )


async def _count(connection: Connection, engine: Principal, now: datetime) -> None:
    """Move every watch over the steps that are full, and open an incident for each that gives alarm."""
    until = _step(now)
    rows = await spike_rows.watches(connection, engine.org_id)
    behind = [row for row in rows if row.counted_until < until]
    if not behind:
        return
    since = max(min(row.counted_until for row in behind), until - MOST_STEPS * STEP)
    counted = await spike_rows.by_step(connection, engine.org_id, since=since, until=until)
    for row in behind:
        moved = _moved(row, counted.get(row.intent, {}), since=max(since, row.counted_until), until=until)
        if moved.alarmed_at is not None:
            await _suspect(connection, engine, row.intent, now)
            moved = replace(moved, state=spikes.begin())
        await spike_rows.move(connection, engine.org_id, moved)


def _moved(row: WatchRow, counted: dict[datetime, int], *, since: datetime, until: datetime) -> WatchRow:
    expected = Expectation(row.rates, row.spread, WEEKS, row.threshold)
    state = row.state if since == row.counted_until else spikes.begin()
    at, alarmed_at = since, None
    while at < until:
        state = spikes.move(state, counted.get(at, 0), expected, _hour_of_week(at))
        if spikes.is_alarm(state, expected):
            alarmed_at = at
            state = spikes.begin()
        at += STEP
    return replace(row, state=state, counted_until=until, alarmed_at=alarmed_at)


async def _suspect(connection: Connection, engine: Principal, intent: str, now: datetime) -> None:
    """A suspicion, unless an incident of the intent goes on already."""
    await incidents.hold_all(connection, engine.org_id)
    key = intent_key(intent)
    same = next((each for each in await incidents.going(connection, engine.org_id) if key in each.keys), None)
    if same is not None:
        about: dict[str, Any] = {"incident_id": str(same.id), "intent": intent}
        await facts.record(connection, engine, "incident.spike", **about)
        return
    made = new(
        engine,
        title=f"More tickets than usual: {intent.replace('_', ' ')}",
        source="spike",
        status="suspected",
        keys=[key],
        opened_at=now,
        since=now - timedelta(hours=1),
    )
    await add(connection, engine, made)


def _expect(counts: list[int], first_hour: int, alarms_a_week: float, seed: int) -> Expectation:
    dice = np.random.default_rng(seed)
    return spikes.calibrate(spikes.learn(counts, first_hour), alarms_a_week=alarms_a_week, dice=dice)


def _hour_of_week(at: datetime) -> int:
    utc = at.astimezone(UTC)
    return utc.weekday() * 24 + utc.hour


def _hour(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _step(at: datetime) -> datetime:
    """The end of the last full step."""
    utc = at.astimezone(UTC)
    return utc.replace(minute=utc.minute - utc.minute % 5, second=0, microsecond=0)
