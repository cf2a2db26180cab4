"""`asoe serve` and `asoe work`. Serving is a parent that only watches, API processes, and a worker: journeys slow nobody's intake."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from asoe.cli import logs, processes
from asoe.cli.door import DataDir, err, expect_installation, load, opened, run, say
from asoe.cli.metrics import metrics_door
from asoe.cli.processes import Child, Family
from asoe.config import Settings
from asoe.domain.errors import Invalid

_DRAIN_SECONDS: Final = 15.0
_TELL_SECONDS: Final = 2.0
_MODEST: Final = 5
"""How much a worker that shares a machine with the API gives way to it: who waits for an answer goes first."""
_GRANIAN: Final[dict[str, Any]] = {
    "handlers": {},
    "loggers": {
        "_granian": {"handlers": [], "level": "ERROR", "propagate": True},
        "granian.access": {"handlers": [], "level": "ERROR", "propagate": True},
    },
}
"""Granian's lines go through our pipe; requests are logged by the API itself."""
_Child = Annotated[bool, typer.Option("--child", hidden=True, help="End when standard input does.")]


def add_to(app: typer.Typer) -> None:
    app.command()(serve)
    app.command()(work)


def serve(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on; otherwise ASOE_HOST.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on, 0 for a free one; otherwise ASOE_PORT.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="API processes; otherwise ASOE_WORKERS.")] = None,
    no_worker: Annotated[bool, typer.Option("--no-worker", help="API only; run `asoe work` elsewhere.")] = False,
    data_dir: DataDir = None,
    child: _Child = False,
) -> None:
    """Run the API and a worker until SIGTERM or Ctrl-C, then finish what is under way."""
    settings = load(host=host, port=port, workers=workers, data_dir=data_dir)
    logs.configure(settings)
    if child or (no_worker and settings.workers == 1):
        run(_api(settings, child=child))
    else:
        run(_family(settings, with_worker=not no_worker))


def work(*, data_dir: DataDir = None, child: _Child = False) -> None:
    """Run a worker: journeys, indexing, timers, housekeeping. Any number may run, on any number of machines."""
    settings = load(data_dir=data_dir)
    expect_installation(settings)
    logs.configure(settings)
    run(_work(settings, child=child))


@asynccontextmanager
async def served(
    settings: Settings, *, with_worker: bool = True, stop: asyncio.Event
) -> AsyncIterator[tuple[str, Family, Any]]:
    """Everything up: yields the address, the child processes and this process's own `App`; ends them all."""
    if settings.workers > 1 and sys.platform != "linux":
        raise Invalid(
            "ASOE_WORKERS: only on Linux several API processes can share a port. Start several `asoe serve --no-worker` "
            "with ports of their own behind a proxy.",
            code="one_worker_only",
        )
    settings = settings.model_copy(update={"port": processes.choose_port(settings.host, settings.port)})
    async with opened_by(settings) as app:
        keeper = asyncio.create_task(processes.keep_store_alive(app.server)) if app.server is not None else None
        children = [
            Child(f"api-{number + 1}", ["serve", "--no-worker", "--workers", "1"]) for number in range(settings.workers)
        ]
        if with_worker:
            children.append(Child("worker", ["work"]))
        family = Family(children, processes.environment_of(settings))
        url = address(settings)
        try:
            await family.start()
            await processes.wait_until_ready(url, family, stop)
            yield url, family, app
        finally:
            await family.end()
            if keeper is not None:
                keeper.cancel()
                await asyncio.gather(keeper, return_exceptions=True)


@asynccontextmanager
async def opened_by(settings: Settings) -> AsyncIterator[Any]:
    """The installation of these settings, in a process that needs few connections and no models."""
    few = {name: getattr(settings, name) for name in type(settings).model_fields} | {"database_pool": 4}
    async with opened(may_make=True, **few) as app:
        yield app


def address(settings: Settings) -> str:
    host = settings.host
    if host in {"0.0.0.0", "::"}:  # noqa: S104  # compared, not bound
        host = "127.0.0.1" if "." in host else "::1"
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


async def _family(settings: Settings, *, with_worker: bool) -> None:
    say("Starting.")
    async with processes.stop_on_signals() as stop, served(settings, with_worker=with_worker, stop=stop) as up:
        url, family, app = up
        if not stop.is_set():
            err.print(f"ASOE is ready at [bold]{settings.public_url or url}[/]  (Ctrl-C ends it)")
        telling = asyncio.create_task(_tell_indexing(app)) if with_worker and app.owner_url else None
        await processes.first_of(stop, family.failed)
        if telling is not None:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
        if family.failed.is_set():
            raise processes.cannot_live(family)
        say("Ending: finishing what is under way.")


async def _tell_indexing(app: Any) -> None:
    """Say how far the worker is with articles that search does not find yet, until it finds them all."""
    from asoe.store import installation

    told = None
    while True:
        async with installation.as_owner(app.owner_url) as connection:
            behind = await installation.indexing(connection)
        now = ", ".join(f"{found.slug} {found.indexed} of {found.total}" for found in behind)
        if now != told and (now or told):
            say(f"Indexing articles: {now}." if now else "Every published article is indexed.")
        if not now:
            return
        told = now
        await asyncio.sleep(_TELL_SECONDS)


async def _api(settings: Settings, *, child: bool) -> None:
    from granian.constants import HTTPModes, Interfaces
    from granian.log import LogLevels
    from granian.server.embed import Server

    from asoe.app import open_app
    from asoe.web.site import create_site

    if not child:
        settings = settings.model_copy(update={"port": processes.choose_port(settings.host, settings.port)})
    async with processes.stop_on_signals(child=child) as stop, open_app(settings, progress=None) as app:
        server: Any = Server(
            create_site(app),
            address=settings.host,
            port=settings.port,
            interface=Interfaces.ASGI,
            http=HTTPModes.auto,
            websockets=False,
            backlog=2048,
            log_level=LogLevels.error,
            log_dictconfig=_GRANIAN,
        )
        if not child:
            err.print(f"The API listens at [bold]{address(settings)}[/]")
        serving = asyncio.create_task(server.serve(), name="api")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        server.stop()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(serving, _DRAIN_SECONDS)
        if not stop.is_set():
            raise typer.Exit(1)


async def _work(settings: Settings, *, child: bool) -> None:
    from asoe.app import open_app

    if child and hasattr(os, "nice"):
        os.nice(_MODEST)
    async with processes.stop_on_signals(child=child) as stop, open_app(settings) as app, metrics_door(settings):
        if not child:
            say("The worker is at work (Ctrl-C ends it).")
        await app.run_worker(stop)


def ready_file(path: Path, text: str) -> None:
    """Write what a script waits for, in one step."""
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(text, encoding="utf-8")
    draft.chmod(0o600)
    draft.replace(path)
