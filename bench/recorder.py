"""What the record of agents costs: `python -m bench.recorder [--pairs 12] [--batch 40]`.

The same journeys, from the opening of the ticket to rest, in pairs of batches: once with the recorder writing the orchestrator's
run and its agents' invocations in each stage's own transaction, once with one that drops them. Which of a pair goes first alternates,
so that caches and a busy machine favor neither. CPU of this process and of PostgreSQL; goal: at most 15 % more than without.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final
from unittest.mock import patch
from uuid import UUID

import asyncpg

from asoe.demo import seed
from asoe.desk import journey, knowledge
from asoe.desk.trail import Trail
from asoe.engine import Connection, connect
from asoe.store import organizations
from asoe.store.embedded import close_embedded, open_embedded
from bench.asoe_under_load import cpu_seconds

GOAL: Final = 0.15
WARM: Final = 30
_MOST_STEPS: Final = 20
_RESAMPLES: Final = 2000
_PATIENCE: Final = 1500
_COUNTS: Final = "select (select count(*) from asoe.orchestrator_runs), (select count(*) from asoe.agent_invocations)"


async def main() -> int:
    """The figure on one fresh installation; exit code 1 when the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--batch", type=int, default=40, help="tickets in each half of a pair")
    parser.add_argument("--json", type=Path)
    wanted = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="asoe-bench-"))
    folder.chmod(0o711)
    try:
        result = await measure(folder, pairs=wanted.pairs, batch=wanted.batch)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(result, indent=2))
    print(
        f"the record costs {result['overhead']:.1%} of CPU [{result['low']:.1%}, {result['high']:.1%}] (goal {GOAL:.0%})"
    )
    if wanted.json:
        wanted.json.write_text(json.dumps(result))
    return int(result["overhead"] > GOAL)


async def measure(folder: Path, *, pairs: int, batch: int) -> dict[str, Any]:
    """CPU milliseconds per ticket with and without the record, and their ratio with a 95 % interval over the pairs."""
    loads = [os.getloadavg()[0]]
    async with connect(data_dir=folder, log_level="error") as opened:
        owner_url = opened.app.owner_url
        assert owner_url is not None
        made = await organizations.create_organization(owner_url, "Bench", "bench", "cleo@bench.example", "Cleo")
        await knowledge.import_folder(opened.app.desk, made.owner, seed.ARTICLES)
        server = await open_embedded(folder)
        owner = await asyncpg.connect(server.owner_dsn)
        try:
            await _index(opened, owner)
            texts = _tickets()
            postmaster = _postmaster(folder)
            await _play(opened, made.org_id, texts, WARM)
            written: list[float] = []
            dropped: list[float] = []
            rows = tuple(await owner.fetchrow(_COUNTS))
            for number in range(pairs):
                for is_dropping in (number % 2 == 0, number % 2 == 1):
                    with _recorder(is_dropping=is_dropping):
                        spent = await _cpu(opened, made.org_id, texts, batch, postmaster)
                    (dropped if is_dropping else written).append(1000 * spent / batch)
                loads.append(os.getloadavg()[0])
            after = tuple(await owner.fetchrow(_COUNTS))
        finally:
            await owner.close()
            await close_embedded(server)
    low, high = _interval(written, dropped)
    return {
        "tickets": 2 * pairs * batch,
        "ms_with": round(sum(written) / pairs, 2),
        "ms_without": round(sum(dropped) / pairs, 2),
        "overhead": round(sum(written) / sum(dropped) - 1, 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "median_of_pairs": round(median(a / b - 1 for a, b in zip(written, dropped, strict=True)), 4),
        "runs_per_ticket": round((after[0] - rows[0]) / (pairs * batch), 2),
        "invocations_per_ticket": round((after[1] - rows[1]) / (pairs * batch), 2),
        "load_average": [round(min(loads), 1), round(max(loads), 1)],
    }


@contextmanager
def _recorder(*, is_dropping: bool) -> Iterator[None]:
    async def drop(self: Trail, *given: Any, **named: Any) -> None:
        """Hears everything and keeps nothing."""

    if not is_dropping:
        yield
        return
    with patch.object(Trail, "save", drop):
        yield


async def _cpu(opened: Connection, org_id: UUID, texts: Iterator[dict[str, Any]], batch: int, postmaster: int) -> float:
    before = time.process_time() + cpu_seconds(postmaster)
    await _play(opened, org_id, texts, batch)
    return time.process_time() + cpu_seconds(postmaster) - before


async def _play(opened: Connection, org_id: UUID, texts: Iterator[dict[str, Any]], count: int) -> None:
    """One ticket after the other, each until nothing more is to be done."""
    engine, desk = opened.engine(org_id), opened.app.desk
    for _ in range(count):
        ticket = await engine.create_ticket(**next(texts))
        for _step in range(_MOST_STEPS):
            if await journey.carry_on(desk, org_id, ticket.id) in {"waiting", "ended", "gone", "given_away"}:
                break


def _tickets() -> Iterator[dict[str, Any]]:
    """The demo's tickets for ever, with another number in every sentence, so that nothing said before is known."""
    known = seed.read_tickets()
    number = 0
    while True:
        text = known[number % len(known)]
        said = re.sub(r"(?<=[^\s.!?])(?=[.!?]+(?:\s|$)|\n|$)", f" {number}", text["body"])
        yield {"subject": f"{text['subject']} {number}".strip(), "body": said}
        number += 1


async def _index(opened: Connection, owner: Any) -> None:
    """Have the articles indexed by a worker, which then stops: the journeys are carried on here."""
    stop = asyncio.Event()
    working = asyncio.create_task(opened.app.run_worker(stop))
    for _ in range(_PATIENCE):
        if not await owner.fetchval("select count(*) from queue.pgqueuer where entrypoint = 'index_article'"):
            break
        await asyncio.sleep(0.2)
    stop.set()
    await working


def _interval(written: list[float], dropped: list[float]) -> tuple[float, float]:
    """A bootstrap over the pairs (percentiles, 95 %)."""
    chance = random.Random(7)
    pairs = list(zip(written, dropped, strict=True))
    ratios = []
    for _ in range(_RESAMPLES):
        drawn = chance.choices(pairs, k=len(pairs))
        ratios.append(sum(a for a, _ in drawn) / sum(b for _, b in drawn) - 1)
    ratios.sort()
    return ratios[int(0.025 * _RESAMPLES)], ratios[int(0.975 * _RESAMPLES)]


def _postmaster(folder: Path) -> int:
    (found,) = folder.rglob("postmaster.pid")
    return int(found.read_text().split("\n", 1)[0])


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
