"""kill -9 at every beat of every act, workers that race and are killed too, lines that break, clocks that are wrong: each effect
is there once, or a person is asked; no run is stuck. Judged by the outside system's own store."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import sqlite3
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from bench.asoe_under_load import free_port
from run_victims import ACTIONS, DOERS, POINTS, Where, serve_system, survivor, victim, wait_for_system

from asoe.desk import autonomy
from asoe.desk.context import Desk
from asoe.desk.runbook import shelf
from asoe.domain.autonomy import DEFAULT_LIMITS
from asoe.domain.policy import MOST_ERRORS
from asoe.queue import Queue
from asoe.store.db import open_database

pytestmark = [pytest.mark.evidence, pytest.mark.timeout(3600)]

AT_ONCE = 4
STEP = """
  - fix: {call}
    check: [{{call: system.get, with: {{subject: =slots.subject}}, into: seen}}]
    when: =seen.{call} == 0
    act: {{call: system.{call}, with: {{subject: =slots.subject}}}}
    verify: {{reads: [{{call: system.get, with: {{subject: =slots.subject}}, into: seen}}], that: =seen.{call} > 0}}
"""
BOOK = """
runbook: five-acts
title: Five acts
resolution_type: auto_fix
match: {phrases: [whatever]}
connectors: {system: system}
timeout: 1h
slots:
  - {name: subject, type: text, question: {en: Whose?}}
goal:
  reads: [{call: system.get, with: {subject: =slots.subject}, into: seen}]
  met: =seen.unlock > 0 && seen.refund > 0 && seen.keyed > 0 && seen.post > 0 && seen.blind > 0
steps:
"""


async def test_every_effect_happens_once_and_no_run_is_stuck(dsns, acme, size, tmp_path, monkeypatch):
    # children are forked from a process that has everything imported
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *sys.path]))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["run_victims"])
    port = free_port()
    system = context.Process(target=serve_system, args=(tmp_path / "system.sqlite", port), daemon=True)
    system.start()
    wait_for_system(f"http://127.0.0.1:{port}/")
    owner = await asyncpg.connect(dsns.owner)
    await owner.execute("set role asoe_owner")
    dice = size.dice()
    wanted = size.of(24, 520)
    points = [point for _ in range(1 + wanted // len(POINTS)) for point in dice.sample(POINTS, len(POINTS))]
    survivors, killed, killed_survivors = [], Counter(), 0
    try:
        at = await _shelve(dsns, acme, f"http://127.0.0.1:{port}/")
        # one death in ten leaves a blind act to a person: more than any runbook is forgiven, and it would brake itself
        limits = {"error_limits": dict.fromkeys(DEFAULT_LIMITS, MOST_ERRORS)}
        await owner.execute("update asoe.organization_profiles set settings = $1::jsonb", json.dumps(limits))
        begun = time.monotonic()
        number = 0
        while killed.total() < wanted:
            batch = [(points[(number + n) % len(points)], number + n) for n in range(AT_ONCE)]
            number += AT_ONCE
            victims = [(p, context.Process(target=victim, args=(at, p, str(n)))) for p, n in batch]
            for _, process in victims:
                process.start()
            for point, process in victims:
                await asyncio.to_thread(process.join, 60)
                killed[point] += process.exitcode == -9
            survivors = [process for process in survivors if process.is_alive()]
            while len(survivors) < 2:
                process = context.Process(target=survivor, args=(at, dice.choice([0, 86400, -86400])))
                process.start()
                survivors.append(process)
            if dice.random() < 0.3:
                dice.choice(survivors).kill()
                killed_survivors += 1
        await _all_ended(owner, seconds=180)
    finally:
        for process in [*survivors, system]:
            process.kill()
            process.join()
    await _judge(owner, tmp_path / "system.sqlite")
    reasons = await owner.fetch(
        "select status, reason, count(*) as n from asoe.runbook_runs group by 1, 2 order by 3 desc"
    )
    print(
        f"{killed.total()} workers killed at {sum(n > 0 for n in killed.values())} of {len(POINTS)} points, "
        f"{killed_survivors} more at random, in {time.monotonic() - begun:.0f} s; runs ended: "
        + ", ".join(f"{row['n']} {row['status']} ({row['reason']})" for row in reasons)
    )
    await owner.close()


async def _shelve(dsns, acme, url: str) -> Where:
    database = await open_database(dsns.app, dsns.system, pool=2)
    try:
        desk = Desk(database, Queue(), None, lambda: datetime.now(UTC))
        source = BOOK + "".join(STEP.format(call=call) for call in DOERS)
        row, version = await shelf.save(desk, acme.owner, source)
        await shelf.publish(desk, acme.owner, row.name)
        until = desk.clock() + timedelta(days=1)
        await autonomy.lend(desk, acme.owner, row.name, reason="evidence", until=until)
        ids = (str(acme.org_id), str(acme.engine.user_id), str(row.id))
        return Where(dsns.app, dsns.system, url, *ids, version.version)
    finally:
        await database.close()


async def _all_ended(owner, *, seconds: float) -> None:
    until = time.monotonic() + seconds
    left = []
    while time.monotonic() < until:
        left = await owner.fetch("select id, status, waiting_for, due_at from asoe.runbook_runs where ended_at is null")
        if not left:
            return
        await asyncio.sleep(0.2)
    raise AssertionError(f"{len(left)} runs are stuck: {[dict(row) for row in left[:3]]}")


async def _judge(owner, path) -> None:
    """By the system's own rows, and by what the engine says of them."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        effects = Counter(key for (key,) in db.execute("select key from effects"))
        by_action = dict(db.execute("select distinct key, action from effects").fetchall())
    rows = await owner.fetch(
        "select a.idempotency_key as key, a.action, a.status, r.status as run, r.reason from asoe.run_actions a "
        "join asoe.runbook_runs r on r.id = a.run_id"
    )
    assert rows
    assert set(effects) <= {row["key"] for row in rows}, "an effect without an intent"
    twice = {key: n for key, n in effects.items() if n > 1 and ACTIONS[by_action[key]].repeats != "naturally"}
    assert not twice, f"effects that happened more than once: {twice}"
    for row in rows:
        there = effects[row["key"]] > 0
        match row["status"]:
            case "done":
                assert there, dict(row)
            case "failed" | "declined":
                assert not there, dict(row)
            case "unknown":
                assert row["action"] == "blind", dict(row)
                assert (row["run"], row["reason"]) == ("escalated", "effect_unknown"), dict(row)
            case other:
                raise AssertionError(f"an act was left {other}: {dict(row)}")
