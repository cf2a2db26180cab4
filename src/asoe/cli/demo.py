"""`asoe demo`: everything at once with the invented organization Tidepool, in a folder that is thrown away."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from asoe.cli import logs, processes
from asoe.cli.door import DataDir, err, load, print_json, run, say
from asoe.cli.replay import following, print_report
from asoe.cli.serve import ready_file, served
from asoe.config import Settings

if TYPE_CHECKING:
    from asoe.demo.back_office import Lent

_PACE: Final = 1.5
_LABELS: Final = {"articles": "Writing articles", "index": "Reading them (embeddings)"}


def add_to(app: typer.Typer) -> None:
    app.command()(demo)


def demo(
    *,
    data_dir: DataDir = None,
    once: Annotated[bool, typer.Option("--once", help="Play the tickets, report, end.")] = False,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Write the report to this file ('-': standard output).", allow_dash=True),
    ] = None,
    serve_only: Annotated[bool, typer.Option("--serve-only", help="Seed and serve; play no tickets.")] = False,
    ready: Annotated[
        Path | None, typer.Option("--ready-file", help="Write address and keys here (JSON) when all is up.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0 for a free one.")] = None,
    pace: Annotated[float, typer.Option(min=0, help="Seconds between two tickets while serving.")] = _PACE,
) -> None:
    """Start everything with a demo organization, play its tickets, and go on serving until Ctrl-C.

    Without --data-dir or ASOE_DATA_DIR all of it lives in a temporary folder and is gone afterwards.
    """
    settings = load(host=host, port=0 if once and port is None else port)
    logs.configure(settings.model_copy(update={"log_level": "error"}))
    with _folder(data_dir, settings) as folder:
        run(
            _demo(
                settings.model_copy(update=_changed(settings, folder)),
                once=once,
                json_file=json_file,
                serve_only=serve_only,
                ready=ready,
                pace=pace,
            )
        )


def _changed(settings: Settings, folder: Path) -> dict[str, Any]:
    """One key plays many clients here, so its allowance is that of many."""
    changed: dict[str, Any] = {"data_dir": folder, "database_url": None, "database_app_url": None}
    if "rate_limit" not in settings.model_fields_set:
        changed["rate_limit"] = "60000/minute"
    if "log_level" not in settings.model_fields_set:
        changed["log_level"] = "error"
    return changed


@contextmanager
def _folder(given: Path | None, settings: Settings) -> Iterator[Path]:
    if given is not None or "data_dir" in settings.model_fields_set:
        yield given or settings.data_dir
        return
    folder = Path(tempfile.mkdtemp(prefix="asoe-demo-"))
    folder.chmod(0o711)  # as root, PostgreSQL runs as another account and must get through
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _demo(
    settings: Settings, *, once: bool, json_file: Path | None, serve_only: bool, ready: Path | None, pace: float
) -> None:
    from asoe.demo.back_office import broken_estate, join_estate
    from asoe.demo.play import Stage, summarize
    from asoe.demo.seed import read_tickets, seed, wait_until_indexed

    tickets = read_tickets()
    say("Starting PostgreSQL, the API, a worker and a back office in which some things are broken …")
    async with (
        processes.stop_on_signals() as stop,
        broken_estate(tickets) as office,
        served(settings, stop=stop) as (url, family, app),
    ):
        with bars() as advance:
            made = await seed(app.desk, app.owner_url, progress=advance)
            await wait_until_indexed(app.desk, made.owner, progress=advance, stop=stop)
        lent = await join_estate(app.desk, made.owner, office)
        if ready is not None:
            ready_file(ready, _reachable(url, made))
        _introduce(url, made, is_staying=not once)
        _say_lent(lent, office)
        if serve_only:
            await _until_end(stop, family)
            return
        stage = Stage(url, made.keys["agent"], concurrency=8 if once else 1)
        began = time.monotonic()
        playing = asyncio.create_task(stage.play(tickets, pace=0 if once else pace, stop=stop))
        with following(stage, "The demo's tickets"):
            await _first(playing, stop, family)
        report = summarize(stage.played, seconds=time.monotonic() - began)
        print_report(report)
        _write(report, json_file)
        if not once and not stop.is_set():
            say(f"Serving at {url} until Ctrl-C.")
            await _until_end(stop, family)
        if once and (report["errors"] or report["lost"]):
            raise typer.Exit(1)


def _say_lent(lent: Sequence[Lent], office: str) -> None:
    """What the runbooks' autonomy rests on, in the open."""
    seen = sum(one.seen for one in lent)
    say(
        f"Back office {office}: {len(lent)} runbooks act alone on lent trust ({seen} of {lent[0].needed} judged runs seen)."
    )


async def _first(playing: asyncio.Task[Any], stop: asyncio.Event, family: processes.Family) -> None:
    ends = [asyncio.create_task(event.wait()) for event in (stop, family.failed)]
    await asyncio.wait({playing, *ends}, return_when=asyncio.FIRST_COMPLETED)
    for end in ends:
        end.cancel()
    if family.failed.is_set():
        raise processes.cannot_live(family)
    if not playing.done():
        playing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await playing
    else:
        playing.result()


async def _until_end(stop: asyncio.Event, family: processes.Family) -> None:
    await processes.first_of(stop, family.failed)
    if family.failed.is_set():
        raise processes.cannot_live(family)


@contextmanager
def bars() -> Iterator[Callable[[str, int, int], None]]:
    """Progress bars on standard error, one per kind of work."""
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=err, transient=True
    ) as progress:
        tasks: dict[str, Any] = {}

        def advance(kind: str, done: int, total: int) -> None:
            if kind not in tasks:
                tasks[kind] = progress.add_task(_LABELS.get(kind, kind), total=total)
            progress.update(tasks[kind], completed=done, total=total)

        yield advance


def _write(report: dict[str, Any], file: Path | None) -> None:
    if file is None:
        return
    if str(file) == "-":
        print_json(report)
    else:
        file.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _reachable(url: str, made: Any) -> str:
    person = {"email": made.email, "password": made.password}
    return json.dumps({"url": url, "org_id": str(made.org_id), "keys": made.keys, "sign_in": person}, indent=2)


def _introduce(url: str, made: Any, *, is_staying: bool) -> None:
    """Who this is and, where it goes on serving, how to reach it."""
    company = f"{made.name}: an invented company with {made.articles} articles in four languages."
    if not is_staying:
        err.print(company, markup=False)
        return
    agent, client = made.keys["agent"], made.keys["client"]
    words = '{"subject": "Invoice", "body": "Where do I find my invoice as a PDF?"}'
    opening = (
        f"curl -s {url}/api/support/ticket -H 'Authorization: Bearer {client}' "
        f"-H 'Content-Type: application/json' -d '{words}'"
    )
    lines = [
        company,
        "",
        f"Dashboard    {url}",
        f"Help, chat   {url}/help/{made.slug}",
        f"sign in      {made.email}   {made.password}",
        *(f"{role:<6} key   {made.keys[role]}" for role in ("agent", "admin", "client")),
        "",
        "Open a ticket as a client:",
        opening,
        "",
        "Read the newest ticket as staff, and the counts:",
        f"curl -s '{url}/api/support/tickets?limit=1' -H 'Authorization: Bearer {agent}'",
        f"curl -s {url}/api/support/stats -H 'Authorization: Bearer {agent}'",
        "",
        f"Next: read {url}/docs, or start your own: asoe org create --help",
    ]
    err.rule("ASOE demo", style="green")
    err.print("\n".join(lines), markup=False)
    err.rule(style="green")
