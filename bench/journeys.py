"""Accept with triage, and whole journeys: `python -m bench.journeys [--tickets 2000]`.

One `asoe serve` (one API process, one worker) with the demo's articles; 16 clients send varied tickets as fast as they are
accepted. Two figures: tickets accepted with their triage per second (goal 200), and journeys that came to rest per second,
from the first request to the last journey (goal 60). CPU is told for the load generator, the API, the worker and PostgreSQL.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import asyncpg

from asoe.demo import seed
from asoe.store.embedded import close_embedded, open_embedded
from bench.asoe_under_load import Running, cpu_seconds, cpu_seconds_of, family, serving, words_of
from bench.http_load import LoadReport, run_load

ACCEPT_GOAL, JOURNEY_GOAL = 200.0, 60.0
CLIENTS: Final = 16
UNDER_WAY: Final = """
select count(*) from public.support_tickets t left join asoe.journeys j on j.org_id = t.org_id and j.ticket_id = t.id
where j.stage is null or (t.status in ('open', 'triaging', 'in_progress') and t.waiting_for is null)
"""


def requests(key: str, count: int, *, short: bool = False) -> Iterator[tuple[str, str, dict[str, str], bytes]]:
    """The demo's tickets over and over, with another number in every sentence, so that nothing said before is known.

    `short`: their first twelve words.
    """
    texts = seed.read_tickets()
    run = os.urandom(6).hex()
    for number in range(count):
        text = texts[number % len(texts)]
        headers = {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
            "Idempotency-Key": f"{run}-{number}",
        }
        said = " ".join(text["body"].split()[:12]) if short else text["body"]
        said = re.sub(r"(?<=[^\s.!?])(?=[.!?]+(?:\s|$)|\n|$)", f" {number}", said)
        body = {"subject": "" if short else f"{text['subject']} {number}".strip(), "body": said}
        yield "POST", "/api/support/ticket", headers, json.dumps(body).encode()


async def main() -> int:
    """Both figures on one fresh installation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tickets", type=int, default=2000)
    parser.add_argument(
        "--short", action="store_true", help="twelve words a ticket, as search boxes and chats get them"
    )
    parser.add_argument("--articles", type=Path, default=seed.ARTICLES)
    parser.add_argument(
        "--budget", default="5000", help="triage budget in ms: every accepted ticket carries its triage"
    )
    parser.add_argument("--json", type=Path)
    wanted = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="asoe-bench-"))
    try:
        async with serving(
            folder, articles=wanted.articles, log=folder / "serve.log", triage_budget_ms=wanted.budget
        ) as up:
            server = await open_embedded(folder)
            owner = await asyncpg.connect(server.owner_dsn)
            try:
                await _indexed(owner)
                await run_load(up.url, requests(up.key, 64), connections=CLIENTS)  # warm
                await _at_rest(owner)
                result = await measure(up, owner, wanted.tickets, short=wanted.short)
            finally:
                await owner.close()
                await close_embedded(server)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(result, indent=2))
    print(f"accepted with triage {result['accepted_per_second']}/s (goal {ACCEPT_GOAL:g}), ", end="")
    print(f"journeys at rest {result['journeys_per_second']}/s (goal {JOURNEY_GOAL:g})")
    if wanted.json:
        wanted.json.write_text(json.dumps(result))
    return 0


async def measure(up: Running, owner: Any, tickets: int, *, short: bool = False) -> dict[str, Any]:
    """Load, then wait for the last journey; CPU in seconds by part."""
    postgres = _postmaster(up)
    before = {**_by_part(up), "postgres": cpu_seconds(postgres)}
    begun = time.monotonic()
    report: LoadReport = await run_load(
        up.url,
        requests(up.key, tickets, short=short),
        connections=CLIENTS,
        keep=lambda made: bool((made.get("triage") or {}).get("category")),
    )
    accepted = time.monotonic() - begun
    await _at_rest(owner)
    whole = time.monotonic() - begun
    parts = {name: round(spent - before[name], 2) for name, spent in _by_part(up).items()}
    parts["postgres"] = round(cpu_seconds(postgres) - before["postgres"], 2)
    parts["load generator"] = round(report.cpu_seconds, 2)
    stages = await owner.fetch(
        "select j.stage, t.status, count(*) as tickets from asoe.journeys j join public.support_tickets t "
        "on t.id = j.ticket_id group by 1, 2 order by 3 desc"
    )
    return {
        "tickets": tickets,
        "accepted_per_second": round(tickets / accepted, 1),
        "with_triage": Counter(map(str, report.bodies)),
        "statuses": report.statuses,
        "accept_p50_ms": round(1000 * report.quantile(0.5), 1),
        "accept_p99_ms": round(1000 * report.quantile(0.99), 1),
        "journeys_per_second": round(tickets / whole, 1),
        "seconds": round(whole, 1),
        "cpu_seconds": parts,
        "cpu_ms_per_ticket": {name: round(1000 * spent / tickets, 2) for name, spent in parts.items()},
        "load_generator_share_of_one_core": round(report.cpu_seconds / whole, 3),
        "cores": os.cpu_count(),
        "journeys": {f"{row['stage']} ({row['status']})": row["tickets"] for row in stages},
    }


def _by_part(up: Running) -> dict[str, float]:
    """CPU of the API and the worker process of `asoe serve`."""
    spent = {"api": 0.0, "worker": 0.0}
    for pid in family(up.process.pid)[1:]:
        words = words_of(pid)
        for name, word in (("api", "serve"), ("worker", "work")):
            if word in words:
                spent[name] += cpu_seconds_of(pid)
    return spent


def _postmaster(up: Running) -> int:
    (found,) = up.folder.rglob("postmaster.pid")
    return int(found.read_text().split("\n", 1)[0])


async def _at_rest(owner: Any) -> None:
    await _until_none(owner, UNDER_WAY)


async def _indexed(owner: Any) -> None:
    await _until_none(owner, "select count(*) from queue.pgqueuer where entrypoint = 'index_article'")


async def _until_none(owner: Any, count: str, *, patience: float = 900) -> None:
    for _ in range(int(patience / 0.1)):
        if not await owner.fetchval(count):
            return
        await asyncio.sleep(0.1)
    raise RuntimeError(f"after {patience:g} s there are still some: {count}")


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
