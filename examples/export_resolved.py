"""Writes the resolved tickets of the last days as CSV, with the client that needs no event loop.

ASOE_URL=http://127.0.0.1:8080 ASOE_KEY=asoe_… python examples/export_resolved.py 7 > resolved.csv
"""

from __future__ import annotations

import csv
import os
import sys
from datetime import UTC, datetime, timedelta
from typing import TextIO

from asoe.client import Asoe


def export(asoe: Asoe, out: TextIO, *, since: datetime) -> int:
    """How many were written."""
    rows = csv.writer(out)
    rows.writerow(["number", "category", "severity", "verdict", "opened", "resolved"])
    count = 0
    for ticket in asoe.each_ticket(status=["resolved", "closed"], created_after=since):
        verdict = ticket.resolution.get("verdict", "")
        rows.writerow([ticket.number, ticket.category, ticket.severity, verdict, ticket.created_at, ticket.resolved_at])
        count += 1
    return count


def given(name: str) -> str:
    return os.environ.get(name) or sys.exit(
        f"{name} is not set. ASOE_URL is where `asoe serve` or `asoe demo` says it listens, ASOE_KEY a key that "
        "`asoe key create` prints."
    )


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].isdecimal():
        sys.exit("Say for how many days: python examples/export_resolved.py 7 > resolved.csv")
    with Asoe(given("ASOE_URL"), given("ASOE_KEY")) as asoe:
        written = export(asoe, sys.stdout, since=datetime.now(UTC) - timedelta(days=int(sys.argv[1])))
    print(f"{written} tickets", file=sys.stderr)
