"""`asoe replay`: plays real tickets through the API, with a live table, and checks that none was lost."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.table import Table

from asoe.cli import logs, processes
from asoe.cli.door import err, load, print_json, run, say
from asoe.domain.errors import FieldProblem, Invalid


def add_to(app: typer.Typer) -> None:
    app.command()(replay)


def replay(
    *,
    file: Annotated[Path, typer.Argument(help='JSON lines: {"text": …} or {"subject": …, "body": …}.')],
    url: Annotated[
        str | None, typer.Option(help="Address of a running API; without it one is started and thrown away.")
    ] = None,
    key: Annotated[str | None, typer.Option(envvar="ASOE_KEY", help="A staff key of that API.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Tickets opened at once.")] = 16,
    limit: Annotated[int | None, typer.Option(min=1, help="Play only the first N lines.")] = None,
    articles: Annotated[
        Path | None, typer.Option(help="Folder of articles for the API that is started; default: the demo's.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="API processes of the API that is started.")] = 1,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Write the report to this file ('-': standard output).", allow_dash=True),
    ] = None,
) -> None:
    """Play tickets through the API. Ends with 1 if one call failed, or one ticket has no triage or no resting journey."""
    lines = read_lines(file, limit=limit)
    if (url is None) != (key is None):
        raise Invalid("--url and --key go together: an address, and a staff key of that API.", code="url_and_key")
    if url is not None and key is not None:
        report = run(_play(url.rstrip("/"), key, lines, concurrency))
    else:
        report = run(_play_own(lines, concurrency, articles, workers))
    print_report(report)
    if json_file is not None and str(json_file) == "-":
        print_json(report)
    elif json_file is not None:
        json_file.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if report["errors"] or report["lost"]:
        raise typer.Exit(1)


def read_lines(file: Path, *, limit: int | None = None) -> list[dict[str, Any]]:
    """The tickets of a JSON-lines file; raises `Invalid(bad_lines)` naming the wrong ones."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{file} cannot be read as UTF-8 text: {error}.", code="unreadable_file") from None
    found: list[dict[str, Any]] = []
    problems: list[FieldProblem] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        if limit is not None and len(found) >= limit:
            break
        try:
            ticket = json.loads(line)
        except ValueError as error:
            problems.append(FieldProblem(f"line {number}", f"is not JSON ({error})"))
            continue
        if not isinstance(ticket, dict) or not any(ticket.get(name) for name in ("text", "subject", "body")):
            problems.append(FieldProblem(f"line {number}", "must be an object with text, or with subject or body"))
            continue
        found.append(ticket)
    if problems:
        listed = "; ".join(f"{problem.field} {problem.problem}" for problem in problems[:10])
        raise Invalid(f"{file}: {listed}.", code="bad_lines", fields=tuple(problems))
    if not found:
        raise Invalid(f"{file} holds no tickets.", code="no_lines")
    return found


async def _play_own(
    lines: list[dict[str, Any]], concurrency: int, articles: Path | None, workers: int
) -> dict[str, Any]:
    from asoe.cli.demo import bars
    from asoe.cli.serve import served
    from asoe.demo.seed import seed, wait_until_indexed
    from asoe.desk import knowledge

    folder = Path(tempfile.mkdtemp(prefix="asoe-replay-"))
    folder.chmod(0o711)
    settings = load(data_dir=folder, port=0, workers=workers).model_copy(
        update={"database_url": None, "database_app_url": None, "rate_limit": "1000000/minute", "log_level": "error"}
    )
    logs.configure(settings)
    say("Starting PostgreSQL, the API and a worker in a temporary folder …")
    try:
        async with processes.stop_on_signals() as stop, served(settings, stop=stop) as (url, _, app):
            with bars() as advance:
                made = await seed(app.desk, app.owner_url, progress=advance)
                if articles is not None:
                    await knowledge.import_folder(app.desk, made.owner, articles)
                await wait_until_indexed(app.desk, made.owner, progress=advance, stop=stop)
            return await _play(url, made.keys["agent"], lines, concurrency, stop=stop)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _play(
    url: str, key: str, lines: list[dict[str, Any]], concurrency: int, *, stop: asyncio.Event | None = None
) -> dict[str, Any]:
    from asoe.demo.play import Stage, summarize

    stage = Stage(url, key, concurrency=concurrency)
    began = time.monotonic()
    with following(stage, f"{len(lines)} tickets"):
        await stage.play(lines, stop=stop)
    return {**summarize(stage.played, seconds=time.monotonic() - began), "lines": len(lines)}


@contextmanager
def following(stage: Any, title: str) -> Iterator[None]:
    """A live table of what is being played; without a terminal nothing but the end is printed."""
    began = time.monotonic()

    def now() -> Table:
        counts = Counter(one.outcome for one in stage.played)
        opened = sum(one.ticket_id is not None for one in stage.played)
        seconds = max(0.001, time.monotonic() - began)
        table = Table(title=title, box=None, header_style="bold", padding=(0, 2))
        cells = {
            "accepted": opened,
            "handled": sum(one.is_handled for one in stage.played),
            "contained": sum(one.outcome not in {None, "escalated"} for one in stage.played),
            "escalated": counts["escalated"],
            "at work": sum(one.ticket_id is not None and one.outcome is None and not one.error for one in stage.played),
            "errors": sum(one.error is not None for one in stage.played),
            "tickets/s": f"{opened / seconds:.1f}",
        }
        for name in cells:
            table.add_column(name, justify="right")
        table.add_row(*map(str, cells.values()))
        return table

    with Live(get_renderable=now, console=err, refresh_per_second=2, transient=True):
        yield


def print_report(report: dict[str, Any]) -> None:
    """The report for people, on standard error; the JSON has the definitions."""
    total = report["tickets"]
    table = Table(box=None, header_style="bold", padding=(0, 2))
    for column in ("", "tickets", "share", "95 % interval"):
        table.add_column(column, justify="left" if not column else "right")
    table.add_row("played", str(total), "", "")
    for name, rate in report["rates"].items():
        share, between = (f"{rate['rate']:.1%}", f"{rate['low']:.1%} – {rate['high']:.1%}") if rate else ("–", "–")
        table.add_row(name, str(report[name]), share, between)
    table.add_row("errors", str(report["errors"]), "", "")
    table.add_row("lost", str(report["lost"]), "", "")
    err.print(table)
    for name, spread in report["latency_ms"].items():
        if spread:
            err.print(f"{name.replace('_', ' ')}: p50 {spread['p50']:g} ms, p99 {spread['p99']:g} ms")
    err.print(f"{report['tickets_per_second']} tickets/s over {report['seconds']} s; outcomes: {report['by_outcome']}")
    for example in report["error_examples"]:
        err.print(f"[red]error:[/] {example}")
