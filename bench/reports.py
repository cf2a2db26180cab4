"""How long a report takes for organizations of 10,000, 100,000 and 1,000,000 tickets: `python -m bench.reports [--json FILE]`.

What became of the tickets is written as rows, as the keeper of the counters leaves them after two years; the counters are summed up
by the store. Read is what `asoe.desk.report` reads, as asoe_app under row-level security, in turns on all three. Beside the time by the
clock stands the CPU that PostgreSQL took for one, which depends less on what else the machine does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg

from asoe.desk import report
from asoe.domain.organization import Principal
from asoe.domain.report import Slice
from asoe.domain.triage import INTENTS
from asoe.store import insights, organizations
from asoe.store.db import Database, open_database
from asoe.store.embedded import close_embedded, open_embedded
from asoe.store.migrate import migrate

SIZES: Final = (10_000, 100_000, 1_000_000)
DAYS: Final = 730
GOAL: Final = 1.0
"""Seconds for a whole report over all tickets of the largest."""
_AT: Final = {"p50": 0.5, "p99": 0.99}
_AT_ONCE: Final = 73
_ROWS: Final = """
insert into asoe.insight_tickets (org_id, ticket_id, day, judged_at, is_counted, category, intent, resolution, runbook, channel, client,
  reasons, moved, answered_seconds, resolved_seconds, resting, handled, contained, verified, ripe, durable, reopened, repeated,
  by_people, replies, tokens)
select $1, gen_random_uuid(), $3::date - 1 - (n % $4::integer), now(), true, split_part(($5::text[])[1 + k.i], '/', 2), split_part(($5::text[])[1 + k.i], '/', 1),
  (array['guided_resolution', 'auto_fix', 'billing_sync', 'workflow_reset', ''])[1 + (random() * 4.99)::int % 5],
  case when random() < .4 then 'runbook-' || (random() * 20)::int else '' end,
  (array['web', 'email', 'widget', 'api'])[1 + (random() * 3.99)::int % 4],
  ('00000000-0000-0000-0000-' || lpad(to_hex((random() * $2::integer / 12)::int), 12, '0'))::uuid,
  case when random() < .3 then array[(array['already_met', 'needs_action', 'client_asked', 'security'])[1 + (random() * 3.99)::int % 4]]
    else '{}'::text[] end,
  case when random() < .05 then '{"EUR": 9.5}'::jsonb else '{}' end, exp(random() * 8), exp(random() * 12),
  1, 1, (random() < .7)::int, (random() < .5)::int, 1, (random() < .45)::int, (random() < .04)::int, (random() < .2)::int,
  (random() < .3)::int, (random() * 2)::int, 0
from generate_series(1, $2::integer) n, lateral (select (power(random(), 2) * (cardinality($5::text[]) - 1) + n * 0)::int as i) k
"""


@dataclass(frozen=True, slots=True)
class House:
    """An organization and how many tickets it has had."""

    size: int
    principal: Principal

    @property
    def org_id(self) -> UUID:
        return self.principal.org_id


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=30)
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="Leave out what is larger.")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="asoe-reports-") as folder:
        Path(folder).chmod(0o711)
        server = await open_embedded(Path(folder))
        try:
            await migrate(server.owner_dsn)
            database = await open_database(server.app_dsn, server.system_dsn, pool=2)
            try:
                houses = [await _filled(server.owner_dsn, database, size) for size in SIZES if size <= given.largest]
                found = await measure(database, houses, samples=given.samples)
            finally:
                await database.close()
        finally:
            await close_embedded(server)
    if given.json:
        given.json.write_text(json.dumps({"cores": os.cpu_count(), "samples": given.samples, "ms": found}, indent=1))
    slowest = found["whole, two years"][str(houses[-1].size)]["p99"]
    print(f"a whole report over {houses[-1].size} tickets: p99 {slowest:g} ms (goal: at most {1000 * GOAL:g})")
    return int(slowest > 1000 * GOAL)


async def _filled(owner_dsn: str, database: Database, size: int) -> House:
    begun = time.perf_counter()
    made = await organizations.create_organization(owner_dsn, f"Of {size}", f"of-{size}", f"a@{size}.example", "Ana")
    until, classes = datetime.now(UTC).date(), [f"{intent}/{category}" for intent, category in INTENTS.items()]
    owner = await asyncpg.connect(owner_dsn)
    try:
        await owner.execute(_ROWS, made.org_id, size, until, DAYS, classes, timeout=900)
        await owner.execute("analyze asoe.insight_tickets")
    finally:
        await owner.close()
    days = [until - timedelta(days=1 + ago) for ago in range(DAYS)]
    for start in range(0, DAYS, _AT_ONCE):
        async with database.org_transaction(made.owner) as connection:
            await insights.sum_up(connection, made.org_id, days[start : start + _AT_ONCE])
    owner = await asyncpg.connect(owner_dsn)
    try:
        await owner.execute("vacuum analyze asoe.insight_tickets, asoe.insight_days")
        counters = await owner.fetchval("select count(*) from asoe.insight_days where org_id = $1", made.org_id)
    finally:
        await owner.close()
    print(f"{size} tickets, {counters} counters in {time.perf_counter() - begun:.0f} s", flush=True)
    return House(size, made.owner)


async def measure(database: Database, houses: list[House], *, samples: int) -> dict[str, Any]:
    """p50 and p99 in milliseconds of each report, by the organization's size."""
    until = datetime.now(UTC).date()
    wanted: Mapping[str, tuple[date, dict[str, str], bool]] = {
        "whole, a month": (until - timedelta(days=30), {}, False),
        "whole, two years": (until - timedelta(days=DAYS), {}, False),
        "one category, a month": (until - timedelta(days=30), {"category": "billing"}, False),
        "one category, two years": (until - timedelta(days=DAYS), {"category": "billing"}, False),
        "by client, a month": (until - timedelta(days=30), {}, True),
    }
    found: dict[str, Any] = {}
    for name, (since, filters, with_clients) in wanted.items():
        times: dict[int, list[float]] = {house.size: [] for house in houses}
        work: dict[int, list[float]] = {house.size: [] for house in houses}
        for turn in range(samples + 3):
            for house in houses:
                of = Slice(since, until, filters)
                async with database.org_reading(house.principal) as connection:
                    pid = await connection.fetchval("select pg_backend_pid()")
                    begun, before = time.perf_counter(), _cpu_ms(pid)
                    await report.read_within(
                        connection, house.org_id, of, now=datetime.now(UTC), with_clients=with_clients
                    )
                    if turn >= 3:
                        times[house.size].append(1000 * (time.perf_counter() - begun))
                        work[house.size].append(_cpu_ms(pid) - before)
        found[name] = {str(size): _figures(times[size], work[size]) for size in times}
        print(f"{name:26}", "   ".join(f"{size}: {each}" for size, each in found[name].items()), flush=True)
    return found


def _cpu_ms(pid: int) -> float:
    """The CPU that a process has used, in ticks of ten milliseconds; 0 where there is no /proc."""
    file = Path(f"/proc/{pid}/stat")
    if not file.exists():
        return 0.0
    fields = file.read_text().rpartition(")")[2].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _figures(taken: list[float], work: list[float]) -> dict[str, float]:
    ordered = sorted(taken)
    found = {name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for name, share in _AT.items()}
    return {name: round(value, 1) for name, value in found.items()} | {"cpu": round(sum(work) / len(work), 1)}


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
