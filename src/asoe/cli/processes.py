"""Children of one command: started, watched, restarted when they die, ended together.

A child ends when its standard input does, so none outlives a parent that was killed. What a child does is its command's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from asoe.config import Settings
from asoe.domain.errors import Conflict, Invalid, Unavailable

_log = structlog.get_logger(__name__)

END_SECONDS: Final = 30.0
"""What a child gets to end by itself; journeys and requests under way are finished in it."""
_RESTARTS: Final = 5
_LONG_LIFE: Final = 30.0
_HIDDEN_CHILD: Final = "--child"


@dataclass(slots=True)
class Child:
    """One process of ours: a command of `asoe` with its arguments."""

    name: str
    arguments: Sequence[str]
    process: asyncio.subprocess.Process | None = None
    born: float = 0.0
    restarts: int = 0


@dataclass(slots=True)
class Family:
    """Children with one environment. `failed` is set when one of them cannot be kept alive."""

    children: list[Child]
    environment: Mapping[str, str]
    failed: asyncio.Event = field(default_factory=asyncio.Event)
    culprit: str = ""
    _watchers: list[asyncio.Task[None]] = field(default_factory=list)

    async def start(self) -> None:
        for child in self.children:
            await self._spawn(child)
            self._watchers.append(asyncio.create_task(self._keep(child), name=f"keep {child.name}"))

    async def end(self) -> None:
        """Ask every child to end, wait, and kill what does not."""
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        await asyncio.gather(*(_end(child) for child in self.children))

    async def _keep(self, child: Child) -> None:
        while child.process is not None:
            code = await child.process.wait()
            # a process that was killed is not one that cannot live
            has_lived = code < 0 or time.monotonic() - child.born > _LONG_LIFE
            child.restarts = 0 if has_lived else child.restarts + 1
            _log.error("process.died", process=child.name, code=code, restarts=child.restarts)
            if child.restarts > _RESTARTS:
                self.culprit = child.name
                self.failed.set()
                return
            await asyncio.sleep(min(5.0, 0.2 * 2**child.restarts))
            await self._spawn(child)

    async def _spawn(self, child: Child) -> None:
        child.born = time.monotonic()
        child.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "asoe.cli.main",
            *child.arguments,
            _HIDDEN_CHILD,
            stdin=asyncio.subprocess.PIPE,
            env=dict(self.environment),
            start_new_session=True,  # Ctrl-C reaches us, and we end them in order
        )


async def _end(child: Child) -> None:
    process = child.process
    if process is None or process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), END_SECONDS)
    except TimeoutError:
        _log.error("process.killed", process=child.name, after_seconds=END_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def environment_of(settings: Settings) -> dict[str, str]:
    """What children are given: our environment, with the settings that the command line changed."""
    given = {
        f"ASOE_{name.upper()}": str(value)
        for name, value in settings.model_dump().items()
        if value is not None and value != type(settings).model_fields[name].default
    }
    given["ASOE_DATA_DIR"] = str(settings.data_dir.absolute())
    given |= {"ASOE_HOST": settings.host, "ASOE_PORT": str(settings.port)}
    return {**os.environ, **given}


def choose_port(host: str, port: int) -> int:
    """The port to listen on (0: a free one); raises `Conflict(port_in_use)` or `Invalid(bad_address)`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)  # several listeners may share a port on Linux; only listening tells whether one is there
        except OSError as error:
            if error.errno == 98 or "in use" in str(error):
                raise Conflict(
                    f"Something listens on {host}:{port} already. End it, or choose another port with --port.",
                    code="port_in_use",
                ) from None
            raise Invalid(
                f"ASOE_HOST, ASOE_PORT: cannot listen on {host}:{port} ({error.strerror or error}).", code="bad_address"
            ) from None
        return int(probe.getsockname()[1])


@asynccontextmanager
async def stop_on_signals(*, child: bool = False) -> AsyncIterator[asyncio.Event]:
    """An event that SIGTERM and SIGINT set and, in a child, the end of standard input."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if child:

        def wait_for_the_end() -> None:
            with contextlib.suppress(OSError, ValueError):
                os.read(0, 1)
            with contextlib.suppress(RuntimeError):  # the loop is closed already
                loop.call_soon_threadsafe(stop.set)

        threading.Thread(target=wait_for_the_end, daemon=True).start()
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def first_of(*events: asyncio.Event) -> None:
    """Wait until one of them is set."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def wait_until_ready(url: str, family: Family, stop: asyncio.Event, *, seconds: float = 60) -> None:
    """Wait for `/readyz`; raises `Unavailable` when the API does not come up."""
    import httpx

    deadline = time.monotonic() + seconds
    async with httpx.AsyncClient(base_url=url, timeout=5, trust_env=False) as client:
        while not (stop.is_set() or family.failed.is_set()):
            with contextlib.suppress(httpx.TransportError):
                if (await client.get("/readyz")).status_code == 200:
                    return
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"The API at {url} is not ready after {seconds:g} s; the lines above say why.",
                    code="not_ready",
                    permanent=True,
                )
            await asyncio.sleep(0.1)
    if family.failed.is_set():
        raise cannot_live(family)


def cannot_live(family: Family) -> Unavailable:
    return Unavailable(
        f"The {family.culprit} process ended {_RESTARTS + 1} times in a row; the lines above say why. "
        "`asoe doctor` looks at the installation.",
        code="process_keeps_failing",
        permanent=True,
    )


async def keep_store_alive(server: Any) -> None:
    """Start the embedded PostgreSQL again whenever it was killed; pools and workers connect again by themselves."""
    from asoe.store.embedded import close_embedded, open_embedded
    from asoe.store.embedded.layout import Layout
    from asoe.store.embedded.process import is_alive

    held = server
    try:
        while True:
            await asyncio.sleep(0.5)
            if is_alive(Layout(root=held.data_dir)):
                continue
            _log.error("store.died")
            try:
                again = await open_embedded(held.data_dir)
            except Unavailable as error:
                _log.error("store.not_started", code=error.code)
                await asyncio.sleep(2)
                continue
            if held is not server:
                await close_embedded(held)
            held = again
            _log.warning("store.started_again")
    finally:
        if held is not server:
            await close_embedded(held)
