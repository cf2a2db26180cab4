"""Accepting a ticket over HTTP against the same SQL without HTTP: `python -m bench.accept [--seconds 10] [--json FILE]`.

One API process with every check on (key, permission, rate limit, Idempotency-Key, row-level security; ticket, session,
message, fact and job in one transaction), 16 clients; beside it `pgbench -M prepared` with the same statements, 16
clients, on the same server in the same run, in turns. The ratio is the figure; absolute rates depend on the machine.
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
from urllib.parse import parse_qs, unquote, urlsplit

from asoe.queue import jobs
from asoe.store.embedded import bin_folder, close_embedded, open_embedded
from asoe.store.facts import FactsSql
from asoe.store.idempotency import IdempotencySql
from asoe.store.sessions import SessionsSql
from asoe.store.tickets import TicketsSql
from bench.asoe_under_load import serving
from bench.http_load import LoadReport, run_load

CLIENTS = 16
BODY = (
    "Hello, since this morning the nightly sync to our warehouse stops after about ten minutes with error TP-500. "
    "We tried it twice and changed nothing. Could you please tell us what to look at? Order 4711, thanks, Ana"
)


def requests(key: str, count: int, *, idempotent: bool = True) -> Iterator[tuple[str, str, dict[str, str], bytes]]:
    """`count` different tickets."""
    for number in range(count):
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        if idempotent:
            headers["Idempotency-Key"] = f"bench-{os.getpid()}-{id(headers)}-{number}"
        body = json.dumps({"subject": f"Sync stops {number}", "body": f"{BODY} ({number})"}).encode()
        yield "POST", "/api/support/ticket", headers, body


def pgbench_script(*, org_id: str, user_id: str) -> str:
    """The statements of one accepted ticket, taken from the named queries, with generated values."""
    claims = json.dumps({"sub": user_id, "org_id": org_id, "role": "authenticated"}).replace("'", "''")
    text = f"'{BODY}'"
    triage = "'{\"category\": {\"value\": \"technical\", \"confidence\": 0.9}}'::jsonb"
    ticket, session = ":'ticket'::uuid", ":'session'::uuid"
    fill = {
        "insert": [
            ticket, f"'{org_id}'::uuid", "null::uuid", "'technical'", "'medium'", "'open'", "'{}'::jsonb",
            "'Sync stops'", text, "null::uuid", "'api'", "'en'", "'job_failed'", triage, "'{}'::text[]",
            "'{}'::text[]", "'{}'::jsonb", "false", "null::bytea", "now()",
        ],
        "session": [session, ticket, "'ai'", "now()"],
        "message": [
            f"'{org_id}'::uuid", "gen_random_uuid()", session, ticket, "'user'", text, f"'{user_id}'::uuid",
        ],
        "fact": [
            f"'{org_id}'::uuid", "'ticket.opened'", ticket, session, f"'{user_id}'::uuid",
            "'{\"channel\": \"api\", \"category\": \"technical\", \"severity\": \"medium\"}'::jsonb",
        ],
        "job": [
            "0", "'advance'",
            f"convert_to('{{\"org_id\":\"{org_id}\",\"ticket_id\":\"' || {ticket} || '\"}}', 'utf8')",
            "interval '0'", "null::text",
        ],
        "remember": [
            f"'{org_id}'::uuid", f"'{user_id}'::uuid", "gen_random_uuid()::text", "'\\x00'::bytea", "201",
            f"json_build_object('id', {ticket}, 'body', {text})::text",
        ],
    }  # fmt: skip
    return "\n".join(
        [
            "select gen_random_uuid() as ticket, gen_random_uuid() as session \\gset",
            "begin;",
            f"select set_config('request.jwt.claims', '{claims}', true);",
            _filled(TicketsSql.insert, fill["insert"]),
            _filled(SessionsSql.insert, fill["session"]),
            _filled(SessionsSql.add_first, fill["message"]),
            _filled(FactsSql.record, fill["fact"]),
            _filled(jobs._INSERT, fill["job"]),
            _filled(IdempotencySql.remember, fill["remember"]),
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
    parser.add_argument("--json", type=Path)
    wanted = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="asoe-bench-"))
    ratios, reports, rates = [], [], []
    try:
        async with serving(folder, worker=False, rate_limit="1000000/second") as running:
            server = await open_embedded(folder)
            script = folder / "accept.sql"
            script.write_text(pgbench_script(org_id=running.org_id, user_id=running.agent_id))
            try:
                await run_load(running.url, requests(running.key, 200), connections=4)
                for _ in range(wanted.rounds):
                    rate = run_pgbench(server.app_dsn, script, seconds=wanted.seconds)
                    report = await _for_seconds(running.url, running.key, wanted.seconds)
                    rates.append(rate)
                    reports.append(report)
                    ratios.append(report.per_second / rate)
            finally:
                await close_embedded(server)
        result = {
            "ratio_median": round(statistics.median(ratios), 3),
            "ratios": [round(ratio, 3) for ratio in ratios],
            "http_per_second": [round(report.per_second, 1) for report in reports],
            "pgbench_per_second": [round(rate, 1) for rate in rates],
            "http_p50_ms": round(1000 * statistics.median(report.quantile(0.5) for report in reports), 1),
            "http_p99_ms": round(1000 * max(report.quantile(0.99) for report in reports), 1),
            "load_generator_cpu_share": round(
                sum(report.cpu_seconds for report in reports) / sum(report.seconds for report in reports), 3
            ),
            "statuses": [report.statuses for report in reports],
        }
        print(json.dumps(result, indent=2))
        if wanted.json:
            wanted.json.write_text(json.dumps(result))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


async def _for_seconds(url: str, key: str, seconds: int) -> LoadReport:
    """Load for about `seconds`: an endless stream of tickets, cut by time."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    endless = requests(key, sys.maxsize)
    return await run_load(url, itertools.takewhile(lambda _: loop.time() < until, endless), connections=CLIENTS)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
