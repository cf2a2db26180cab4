"""Clients that write down what was acknowledged, a reader that follows the facts, and somebody who kills processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import httpx
from bench.asoe_under_load import Prepared, family, start, wait_ready, words_of

from asoe.demo import seed
from asoe.domain.errors import Unavailable
from asoe.domain.organization import Principal
from asoe.store import facts
from asoe.store.db import open_database

VICTIMS = ("api", "worker", "postgres")
_LATER = {408, 425, 429, 500, 502, 503, 504}


@dataclass(slots=True)
class Written:
    """What the clients sent and what the API acknowledged with 201."""

    tickets: dict[str, dict[str, Any]] = field(default_factory=dict)
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    sent_tickets: set[str] = field(default_factory=set)
    sent_messages: set[str] = field(default_factory=set)
    repeated: int = 0
    trouble: dict[str, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    def note(self, what: str) -> None:
        self.trouble[what] = self.trouble.get(what, 0) + 1


class Clients:
    """Open tickets and write messages until told to stop; every request goes on, with its key, until it is answered."""

    def __init__(self, url: str, key: str, dice: Random) -> None:
        self.written = Written()
        self._http = httpx.AsyncClient(
            base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=20, trust_env=False
        )
        self._dice = dice
        self._texts = seed.read_tickets()
        self._stop = asyncio.Event()
        self._run = os.urandom(4).hex()

    async def run(self, writers: int) -> None:
        async with self._http:
            await asyncio.gather(*(self._write(number) for number in range(writers)))

    def stop(self) -> None:
        self._stop.set()

    async def _write(self, writer: int) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            name = f"{self._run}-{writer}-{number}"
            text = self._dice.choice(self._texts)
            ticket = await self._open(name, text)
            if ticket is None:
                continue
            replies = text.get("follow_ups") or ["It did not help, I want to talk to a person."]
            for turn in range(self._dice.choice([0, 1, 1, 2])):
                await asyncio.sleep(self._dice.uniform(0, 0.6))
                await self._say(ticket["session_id"], f"{name}-{turn}", self._dice.choice(replies))

    async def _open(self, name: str, text: dict[str, Any]) -> dict[str, Any] | None:
        body = {"subject": text["subject"], "body": f"{text['body']}\n(no. {name})", "metadata": {"name": name}}
        self.written.sent_tickets.add(name)
        made = await self._post("/api/support/ticket", name, body)
        if made is not None:
            self.written.tickets[name] = made
        return made

    async def _say(self, session_id: str, name: str, words: str) -> None:
        self.written.sent_messages.add(name)
        body = {"role": "user", "content": f"{words} (no. {name})"}
        made = await self._post(f"/api/support/message/{session_id}", name, body)
        if made is not None:
            self.written.messages[name] = made | {"session_id": session_id}

    async def _post(self, path: str, key: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """Until it is answered; one in five is sent once more, which must bring the same words."""
        while True:
            try:
                response = await self._http.post(path, json=body, headers={"Idempotency-Key": key})
            except httpx.TransportError as error:
                self.written.note(type(error).__name__)
                response = None
            if response is not None and response.status_code == 201:
                break
            if response is not None and response.status_code not in _LATER:
                code = response.json().get("code", "")
                if code != "ticket_ended":  # the journey was faster than the client's next words
                    self.written.refused.append(f"{path} {response.status_code} {response.text[:300]}")
                return None
            if response is not None:
                self.written.note(str(response.status_code))
            if self._stop.is_set() and self._dice.random() < 0.1:
                return None  # gone before it knew
            await asyncio.sleep(0.1)
        made: dict[str, Any] = response.json()
        if self._dice.random() < 0.2:
            with contextlib.suppress(httpx.TransportError):
                again = await self._http.post(path, json=body, headers={"Idempotency-Key": key})
                if again.status_code == 201:
                    self.written.repeated += 1
                    assert again.json() == made, (key, again.text, made)
        return made


class Follower:
    """Reads facts behind a cursor from before the first ticket on, through every outage, and forgets none it saw."""

    def __init__(self, app_dsn: str, system_dsn: str, principal: Principal) -> None:
        self.seen: list[tuple[int, int]] = []
        self._dsns = (app_dsn, system_dsn)
        self._principal = principal
        self._cursor = (0, 0)

    async def run(self) -> None:
        while True:
            try:
                database = await open_database(*self._dsns, pool=2)
            except (Unavailable, OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.2)
                continue
            try:
                while True:
                    await self._read(database)
                    await asyncio.sleep(0.05)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
                database.app.terminate()
                database.system.terminate()

    async def _read(self, database: Any) -> None:
        async with database.org_reading(self._principal) as connection:
            found = await facts.read_after(
                connection, self._principal.org_id, xid=self._cursor[0], fact_id=self._cursor[1], limit=100
            )
        for fact in found:
            self._cursor = (fact.xid, fact.id)
            self.seen.append(self._cursor)


@dataclass(slots=True)
class Served:
    """A running `asoe serve` whose parts may be killed; it is started again when it gave up."""

    folder: Path
    port: int
    prepared: Prepared
    process: subprocess.Popen[bytes]
    kills: dict[str, int] = field(default_factory=dict)
    restarts: int = 0

    @classmethod
    async def begin(cls, folder: Path, port: int, prepared: Prepared) -> Served:
        process = start(folder, port, log=folder / "serve.log")
        await wait_ready(port, process)
        return cls(folder, port, prepared, process)

    async def kill(self, victim: str) -> None:
        """SIGKILL to one of its processes, then wait until the whole installation is up again."""
        pid = await self._find(victim)
        os.kill(pid, signal.SIGKILL)
        self.kills[victim] = self.kills.get(victim, 0) + 1
        await until(lambda: pid not in _living(victim, self))
        await self.come_up(pid)

    async def come_up(self, dead: int = 0) -> None:
        """API ready, worker and PostgreSQL there; `asoe serve` itself is started again when it has ended."""
        until = time.monotonic() + 90
        while time.monotonic() < until:
            if self.process.poll() is not None:
                self.restarts += 1
                self.process = start(self.folder, self.port, log=self.folder / "serve.log")
            with contextlib.suppress(RuntimeError):
                await wait_ready(self.port, self.process, seconds=2)
                if all(_living(victim, self) and dead not in _living(victim, self) for victim in VICTIMS):
                    return
            await asyncio.sleep(0.1)
        raise AssertionError(f"the installation did not come up again:\n{self.last_words()}")

    def last_words(self) -> str:
        return (self.folder / "serve.log").read_text(encoding="utf-8", errors="replace")[-3000:]

    def unforeseen(self) -> list[str]:
        """Errors that nobody foresaw: what answered 500."""
        lines = (self.folder / "serve.log").read_text(encoding="utf-8", errors="replace").splitlines()
        return [line[:600] for line in lines if '"internal_error"' in line]

    async def _find(self, victim: str) -> int:
        found: list[int] = []

        def seek() -> bool:
            found[:] = _living(victim, self)
            return bool(found)

        await until(seek)
        return found[0]


async def until(holds: Callable[[], bool], *, seconds: float = 30) -> None:
    """Wait until it holds, or the time is up: what should hold is then asserted by the caller's next line."""
    for _ in range(int(seconds / 0.05)):
        if holds():
            return
        await asyncio.sleep(0.05)


def _living(victim: str, served: Served) -> list[int]:
    if victim == "postgres":
        found = [path.read_text().split("\n", 1)[0] for path in served.folder.rglob("postmaster.pid")]
        return [int(pid) for pid in found if pid and _is_postgres(int(pid))]
    word = "work" if victim == "worker" else "serve"
    return [pid for pid in family(served.process.pid)[1:] if words_of(pid)[:1] == [word]]


def _is_postgres(pid: int) -> bool:
    try:
        is_gone = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        return not is_gone and "postgres" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False
