"""Accepting a ticket over HTTP beside the same SQL without HTTP: `python -m bench.accept [--seconds 8] [--rounds 3]`.

One API process with every check on (key, permission, rate limit, Idempotency-Key, row-level security; ticket, session,
message, fact and job in one transaction), 16 clients; beside it `pgbench -M prepared` with the statements of the named
queries, 16 clients, on the same server in the same run, in turns. The ratio is the figure (floor 0.15, goal 0.25); absolute
rates depend on the machine. Both do the same work: triage is left to the worker. Beside it stand the same with triage in the
request, as by default (within its budget, else the worker judges) and always, tickets accepted with their triage by two API
processes (goal 200/s), and what each check costs, by runs without it.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from asoe.queue import jobs
from asoe.store.embedded import bin_folder, close_embedded, open_embedded
from asoe.store.facts import FactsSql
from asoe.store.idempotency import IdempotencySql
from asoe.store.sessions import SessionsSql
from asoe.store.tickets import TicketsSql
from bench.asoe_under_load import Prepared, Running, cpu_seconds, serving
from bench.http_load import LoadReport, run_load

CLIENTS: Final = 16
FLOOR, GOAL = 0.15, 0.25
JUDGED_GOAL: Final = 200.0
BODY: Final = (
    "Hello, since this morning the nightly sync to our warehouse stops after about ten minutes with error TP-500. "
    "We tried it twice and changed nothing. Could you please tell us what to look at? Order 4711, thanks, Ana"
)
_TOLD: Final = (
    "ratio",
    "triaged_share",
    "http_per_second",
    "pgbench_per_second",
    "http_p50_ms",
    "http_p99_ms",
    "api_cpu_ms_per_ticket",
)
_OTHERWISE: Final[dict[str, dict[str, str]]] = {
    "as by default": {},
    "triage always in the request": {"triage_budget_ms": "60000"},
    "two API processes": {"triage_budget_ms": "60000", "workers": "2"},
}
_PARTS: Final = ("insert", "session", "fact", "job", "remember")


def requests(key: str, count: int, *, idempotent: bool = True) -> Iterator[tuple[str, str, dict[str, str], bytes]]:
    """`count` different tickets."""
    run = os.urandom(6).hex()
    for number in range(count):
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        if idempotent:
            headers["Idempotency-Key"] = f"bench-{run}-{number}"
        body = json.dumps({"subject": f"Sync stops {number}", "body": f"{BODY} ({number})"}).encode()
        yield "POST", "/api/support/ticket", headers, body


def pgbench_script(prepared: Prepared, *, without: str = "") -> str:
    """The statements of one accepted ticket, taken from the named queries, with generated values."""
    org_id, user_id = str(prepared.org_id), str(prepared.accounts["agent"])
    claims = json.dumps({"sub": user_id, "org_id": org_id, "role": "authenticated"})
    text = f"'{BODY}'"
    triage = '\'{"category": {"value": "technical", "confidence": 0.9}}\'::jsonb'
    ticket, session = ":ticket::uuid", ":session::uuid"
    values = {
        "insert": [
            ticket, f"'{org_id}'::uuid", "null::uuid", "'technical'", "'medium'", "'open'", "'{}'::jsonb",
            "'Sync stops'", text, "null::uuid", "'api'", "'en'", "'job_failed'", triage, "'{}'::text[]",
            "'{}'::text[]", "'{}'::jsonb", "false", "null::bytea", "now()",
        ],
        "session": [
            f"'{org_id}'::uuid", "gen_random_uuid()", session, ticket, "'user'", text, f"'{user_id}'::uuid", "'ai'",
            "now()", "'{}'::jsonb",
        ],
        "fact": [
            f"'{org_id}'::uuid", "'ticket.opened'", ticket, session, f"'{user_id}'::uuid",
            "'{\"channel\": \"api\", \"category\": \"technical\", \"severity\": \"medium\"}'::jsonb",
        ],
        "job": [
            "0", "'advance'",
            f"convert_to('{{\"org_id\":\"{org_id}\",\"ticket_id\":\"' || {ticket} || '\"}}', 'utf8')",
            "interval '0'", "null::text", "null::text",
        ],
        "remember": [
            f"'{org_id}'::uuid", f"'{user_id}'::uuid", "gen_random_uuid()::text", "'\\x00'::bytea", "201",
            f"json_build_object('id', {ticket}, 'body', {text}, 'triage', {triage})::text",
        ],
    }  # fmt: skip
    named = {
        "insert": TicketsSql.insert,
        "session": SessionsSql.begin,
        "fact": FactsSql.record,
        "job": jobs._INSERT,  # noqa: SLF001 - the statement itself is what is measured
        "remember": IdempotencySql.remember,
    }
    return "\n".join(
        [
            "select gen_random_uuid() as ticket, gen_random_uuid() as session \\gset",
            "begin;",
            f"select set_config('request.jwt.claims', '{claims}', true);",
            *(_filled(named[part], values[part]) for part in _PARTS if part != without),
            "commit;",
        ]
    )


def _filled(sql: str, values: list[str]) -> str:
    lines = " ".join(line for line in sql.splitlines() if not line.strip().startswith("--"))
    return re.sub(r"\$(\d+)", lambda match: values[int(match[1]) - 1], lines) + ";"


def run_pgbench(dsn: str, script: Path, *, seconds: int) -> float:
    """Transactions per second of one pgbench run."""
    parts = urlsplit(dsn)
    query = parse_qs(parts.query)
    environment = {
        **os.environ,
        "PGPASSWORD": unquote(parts.password or ""),
        "PGHOST": query.get("host", [parts.hostname or "127.0.0.1"])[0],
        "PGPORT": query.get("port", [str(parts.port or 5432)])[0],
        "PGUSER": unquote(parts.username or ""),
        "PGDATABASE": parts.path.lstrip("/"),
    }
    done = subprocess.run(
        [str(bin_folder() / "pgbench"), "-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "2", "-T", str(seconds),
         "-f", str(script)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = re.search(r"tps = ([0-9.]+)", done.stdout)
    if done.returncode or found is None:
        raise RuntimeError(f"pgbench failed: {done.stderr.strip()[-800:]}")
    return float(found[1])


async def main() -> int:
    """Run both in turns and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--variants", action="store_true", help="also runs without one check each")
    parser.add_argument("--json", type=Path)
    wanted = parser.parse_args()
    result = await measure(seconds=wanted.seconds, rounds=wanted.rounds, triage_budget_ms="0")
    for name, settings in _OTHERWISE.items():
        other = await measure(seconds=wanted.seconds, rounds=wanted.rounds, **settings)
        result[name] = {told: other[told] for told in _TOLD}
    if wanted.variants:
        result["variants"] = await variants(seconds=wanted.seconds)
    print(json.dumps(result, indent=2))
    judged = statistics.median(result["two API processes"]["http_per_second"])
    print(
        f"ratio {result['ratio']} (floor {FLOOR}, goal {GOAL}), with triage in the request {result['as by default']['ratio']}"
    )
    print(f"accepted with triage by two API processes {judged}/s (goal {JUDGED_GOAL:g})")
    if wanted.json:
        wanted.json.write_text(json.dumps(result))
    return 0 if result["ratio"] >= FLOOR else 1


async def measure(*, seconds: int, rounds: int, **settings: str) -> dict[str, Any]:
    """Both in turns, `rounds` times, on a fresh installation."""
    folder = Path(tempfile.mkdtemp(prefix="asoe-bench-"))
    rates: list[float] = []
    reports: list[LoadReport] = []
    busy = 0.0
    try:
        async with serving(folder, worker=False, articles=None, log=None, **settings) as running:
            server = await open_embedded(folder)
            try:
                script = folder / "accept.sql"
                script.write_text(pgbench_script(running.prepared))
                await run_load(running.url, requests(running.key, 300), connections=CLIENTS)
                for _ in range(rounds):
                    rates.append(await asyncio.to_thread(run_pgbench, server.app_dsn, script, seconds=seconds))
                    before = cpu_seconds(running.process.pid)
                    reports.append(await load_for(running, seconds))
                    busy += cpu_seconds(running.process.pid) - before
            finally:
                await close_embedded(server)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    spent = sum(report.seconds for report in reports)
    answered = sum(len(report.latencies) for report in reports)
    return {
        "ratio": round(statistics.median(one.per_second / rate for one, rate in zip(reports, rates, strict=True)), 3),
        "triaged_share": round(sum(sum(report.bodies) for report in reports) / answered, 3),
        "http_per_second": [round(report.per_second, 1) for report in reports],
        "pgbench_per_second": [round(rate, 1) for rate in rates],
        "http_p50_ms": round(1000 * statistics.median(report.quantile(0.5) for report in reports), 1),
        "http_p99_ms": round(1000 * statistics.median(report.quantile(0.99) for report in reports), 1),
        "api_cpu_ms_per_ticket": round(1000 * busy / answered, 2),
        "api_cpu_share": round(busy / spent, 2),
        "load_generator_cpu_share": round(sum(report.cpu_seconds for report in reports) / spent, 2),
        "statuses": [report.statuses for report in reports],
    }


async def variants(*, seconds: int) -> dict[str, Any]:
    """Rates without one thing each: over HTTP, and in the database alone."""
    found: dict[str, Any] = {"http": {}, "database": {}}
    for name, other, idempotent in (
        ("all checks", {}, True),
        ("without Idempotency-Key", {}, False),
        ("key looked up every time", {"key_cache_seconds": "0"}, True),
        ("triage always in the request", {"triage_budget_ms": "60000"}, True),
    ):
        settings = {"triage_budget_ms": "0"} | other
        folder = Path(tempfile.mkdtemp(prefix="asoe-bench-"))
        try:
            async with serving(folder, worker=False, articles=None, log=None, **settings) as running:
                await load_for(running, 2, idempotent=idempotent)
                before = cpu_seconds(running.process.pid)
                report = await load_for(running, seconds, idempotent=idempotent)
                busy = cpu_seconds(running.process.pid) - before
                found["http"][name] = {
                    "per_second": round(report.per_second, 1),
                    "api_cpu_ms_per_ticket": round(1000 * busy / len(report.latencies), 2),
                }
                if name == "all checks":
                    found["database"] = await _in_the_database(folder, running, seconds)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return found


async def _in_the_database(folder: Path, running: Running, seconds: int) -> dict[str, float]:
    server = await open_embedded(folder)
    try:
        rates: dict[str, float] = {}
        script = folder / "variant.sql"
        for name, dsn, without in (
            ("all", server.app_dsn, ""),
            ("without row-level security", server.owner_dsn, ""),
            ("without fact", server.app_dsn, "fact"),
            ("without job", server.app_dsn, "job"),
            ("without session and message", server.app_dsn, "session"),
            ("without idempotency row", server.app_dsn, "remember"),
        ):
            script.write_text(pgbench_script(running.prepared, without=without))
            rates[name] = round(await asyncio.to_thread(run_pgbench, dsn, script, seconds=seconds), 1)
        return rates
    finally:
        await close_embedded(server)


async def load_for(running: Running, seconds: float, *, idempotent: bool = True) -> LoadReport:
    """Tickets over 16 connections for about `seconds`."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    endless = requests(running.key, sys.maxsize, idempotent=idempotent)
    report = await run_load(
        running.url,
        itertools.takewhile(lambda _: loop.time() < until, endless),
        connections=CLIENTS,
        keep=lambda made: bool(made["triage"]),
    )
    if set(report.statuses) != {201}:
        raise RuntimeError(f"not every ticket was accepted: {report.statuses}")
    return report


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
