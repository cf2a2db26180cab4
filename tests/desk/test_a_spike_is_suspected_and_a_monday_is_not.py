"""Spikes: more clients than the hour of the week explains make one suspicion; a Monday, one client, and a quiet week do not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from asoe.ai import spikes
from asoe.ai.spikes import HOURS, STEPS
from asoe.desk import housekeeping
from asoe.desk.incident import handling, spiking

MONDAY = datetime(2026, 11, 23, 9, tzinfo=UTC)
BUSY = np.array([(3.0 if day == 0 and hour < 13 else 1.0) if day < 5 and 8 <= hour < 18 else 0.05
                 for day in range(7) for hour in range(24)])  # fmt: skip


@pytest.fixture(scope="module")
def learned():
    dice = np.random.default_rng(5)
    counts = dice.poisson(np.tile(BUSY, 8))
    return spikes.calibrate(spikes.learn(counts, 0), alarms_a_week=1.0, dice=dice)


def watch(learned, hourly, *, seed: int) -> list[int]:
    """The steps at which alarm is given."""
    counts = np.random.default_rng(seed).poisson(np.repeat(hourly, STEPS) / STEPS)
    state, alarms = spikes.begin(), []
    for step, count in enumerate(counts):
        state = spikes.move(state, int(count), learned, step // STEPS)
        if spikes.is_alarm(state, learned):
            alarms.append(step)
            state = spikes.begin()
    return alarms


def test_quiet_weeks_give_about_one_false_alarm_each(learned):
    alarms = [len(watch(learned, BUSY, seed=100 + week)) for week in range(25)]
    assert np.mean(alarms) <= 2.0, alarms


def test_a_monday_is_no_spike_and_the_same_traffic_on_a_saturday_is(learned):
    mondays = sum(bool(watch(learned, BUSY[:13], seed=200 + week)) for week in range(20))
    assert mondays <= 4, "a morning of Monday peaks"
    moved = BUSY.copy()
    moved[5 * 24 + 8 : 5 * 24 + 13] = BUSY[8:13]
    for week in range(5):
        alarms = watch(learned, moved, seed=300 + week)
        assert any(5 * 24 + 8 <= step // STEPS < 5 * 24 + 12 for step in alarms)


def test_dispersion_and_the_day_are_learned():
    dice = np.random.default_rng(1)
    bursty = dice.poisson(np.tile(BUSY * 4, 8) * dice.gamma(2, 0.5, HOURS * 8))
    found = spikes.learn(bursty, 0)
    assert 0.3 < found.spread < 0.8, "1/k of k = 2"
    mornings = np.array(found.rates).reshape(7, 24)[:, 8:13].mean(1)
    assert mornings[0] > 1.5 * mornings[1] > 10 * found.rate_at(3)
    shifted = spikes.learn(np.roll(bursty, -30), 30)
    assert np.corrcoef(found.rates, shifted.rates)[0, 1] > 0.98


def test_an_hour_is_drawn_to_its_profile_only_as_far_as_chance_explains_it():
    dice = np.random.default_rng(3)
    evenings = np.tile(1 + np.exp(-(((np.arange(24) - 20) % 24) ** 2) / 18), 7)
    bursty = dice.poisson(np.tile(evenings, 8) * dice.gamma(4, 0.25, HOURS * 8))
    plain = bursty.reshape(8, HOURS).mean(0)
    found = np.array(spikes.learn(bursty, 0).rates)
    assert np.abs(found - evenings).mean() < 0.4 * np.abs(plain - evenings).mean(), "what is chance is not believed"
    only_mondays = dice.poisson(np.tile(BUSY * 8, 8))
    found = np.array(spikes.learn(only_mondays, 0).rates)
    assert found[8:13].mean() > 2.7 * found[24 + 8 : 24 + 13].mean(), "what is not is"


async def test_the_desk_suspects_a_spike_once_and_confirms_nothing_by_itself(world, monkeypatch):
    monkeypatch.setattr(spikes, "_DRAWN", 64)
    world.clock.now = MONDAY
    await history(world)
    await housekeeping.watch_spikes(world.desk)
    assert len(await world.rows("select intent from asoe.spike_watches")) == 2
    world.clock.move(minutes=30)
    await tickets(world, [world.clock.now - timedelta(minutes=20)] * 8, one_client=True)
    await housekeeping.watch_spikes(world.desk)
    assert await world.rows("select * from asoe.incidents") == [], "one client, however often"
    world.clock.move(minutes=10)
    await tickets(world, [world.clock.now - timedelta(minutes=1 + n % 8) for n in range(12)])
    for _ in range(2):
        await housekeeping.watch_spikes(world.desk)
    await housekeeping.keep_incidents(world.desk)
    (found,) = await handling.going(world.desk, world.acme.agent)
    assert (found.incident.status, found.incident.source, found.counts.tickets) == ("suspected", "spike", 0)
    assert found.incident.keys == ("intent:timeouts",)
    assert await world.rows("select * from asoe.incident_notices") == []


async def test_too_little_history_watches_nothing(world):
    world.clock.now = MONDAY
    await tickets(world, [MONDAY - timedelta(days=day) for day in range(10)])
    await housekeeping.watch_spikes(world.desk)
    assert await world.rows("select * from asoe.spike_watches") == []
    assert spiking.ALARMS_A_WEEK == 1.0


async def history(world) -> None:
    """Eight weeks of two intents, a ticket each working hour or so."""
    dice = np.random.default_rng(2)
    first = MONDAY - timedelta(weeks=8, hours=9)
    hours = np.repeat(np.arange(HOURS * 8 + 9), dice.poisson(np.append(np.tile(BUSY, 8), BUSY[:9])))
    times = [first + timedelta(hours=int(hour), minutes=float(dice.uniform(0, 59))) for hour in hours]
    await tickets(world, times[::2], intent="how_to")
    await tickets(world, times[1::2])


async def tickets(world, times, *, intent: str = "timeouts", one_client: bool = False) -> None:
    """Bare rows: what counts is when which client wrote about what."""
    await world.owner.execute(
        "with who as (insert into asoe.contacts (org_id, external_id) select $1, 'spike-' || gen_random_uuid() returning id)"
        " insert into public.support_tickets (org_id, category, status, intent, created_at, contact_id)"
        " select $1, 'performance', 'closed', $2, at, case when $4 then (select id from who) end from unnest($3::timestamptz[]) as at",
        world.acme.org_id,
        intent,
        times,
        one_client,
    )
