"""A world to act on: an outside system that is a real store of its own, counts effects by key, and fails where it is told to;
a database that dies at the transaction it is told to; and a desk that carries out runbooks there."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from asoe.connectors.contract import Action, ConnectorError, Health, Probe
from asoe.desk import autonomy
from asoe.desk.connector import Connectors
from asoe.desk.context import Desk
from asoe.desk.runbook import execution, shelf
from asoe.desk.runbook.passing import Pace
from asoe.domain.organization import Principal
from asoe.store import runs
from asoe.store.db import Database
from asoe.store.runs import ActionRow, Run

ACTIONS = {
    action.name: action
    for action in (
        Action("get", "read"),
        Action("unlock", "reversible", repeats="naturally", undo="lock"),
        Action("lock", "reversible", repeats="naturally"),
        Action("refund", "costly", repeats="by_key", has_probe=True),
        Action("post", "reversible", repeats="never", has_probe=True, undo="unpost"),
        Action("unpost", "reversible", repeats="never", has_probe=True),
        Action("blind", "reversible", repeats="never"),
        Action("keyed", "costly", repeats="by_key"),
        Action("pay", "costly", repeats="by_key", has_probe=True, amount="sum"),
    )
}

UNLOCK = """
runbook: unlock
title: Unlock an account
resolution_type: auto_fix
match: {phrases: [I am locked out]}
connectors: {estate: estate}
goal:
  reads: [{call: estate.get, with: {id: a}, into: account}]
  met: =account.status == "active"
steps:
  - fix: unlock
    check: [{call: estate.get, with: {id: a}, into: account}]
    when: =account.status == "locked"
    act: {call: estate.unlock, with: {id: a}, undo: {call: estate.lock, with: {id: a}}}
"""


class Killed(BaseException):
    """The process is gone: nothing catches this."""


@dataclass
class Estate:
    """An outside system: accounts, and every effect that was done, in a database of its own."""

    path: Path
    faults: list[tuple[str, str]] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    kind: str = "estate"
    hooks: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.db = sqlite3.connect(self.path, isolation_level=None)
        self.db.execute("create table if not exists accounts (id text primary key, status text not null)")
        self.db.execute("create table if not exists effects (key text, action text, arguments text)")
        self.db.execute("insert or ignore into accounts values ('a', 'locked'), ('b', 'locked'), ('c', 'locked')")

    async def actions(self):
        return ACTIONS

    async def read(self, action, arguments, *, timeout):
        assert ACTIONS[action].risk == "read"
        self._fail(action, "read")
        row = self.db.execute("select status from accounts where id = ?", (arguments["id"],)).fetchone()
        if row is None:
            raise ConnectorError("There is no such account.", permanent=True, is_missing=True)
        counted = self.db.execute("select action, count(*) from effects group by action").fetchall()
        return {"id": arguments["id"], "status": row[0], **dict.fromkeys(ACTIONS, 0), **dict(counted)}

    async def act(self, action, arguments, *, key, timeout):
        assert ACTIONS[action].risk != "read"
        self.calls.append((action, key))
        if action in self.hooks:
            try:
                await self.hooks[action]()
            except Exception as error:
                raise Killed(f"the test's own hook failed: {error!r}") from error
        self._fail(action, "before")
        self._fail(action, "lost")
        known = self.db.execute("select 1 from effects where key = ? and action = ?", (key, action)).fetchone()
        if ACTIONS[action].repeats != "by_key" or not known:
            self.db.execute("insert into effects values (?, ?, ?)", (key, action, json.dumps(dict(arguments))))
            status = {"unlock": "active", "lock": "locked"}.get(action)
            if status:
                self.db.execute("update accounts set status = ? where id = ?", (status, arguments["id"]))
        self._fail(action, "after")
        return {"done": action}

    async def probe(self, action, arguments, *, key, timeout):
        assert ACTIONS[action].has_probe
        self._fail(action, "probe")
        found = self.db.execute("select count(*) from effects where key = ? and action = ?", (key, action)).fetchone()
        return Probe("done", {"done": action}) if found[0] else Probe("not_done")

    async def health(self):
        return Health(True)

    async def close(self):
        return None

    def effects(self, action: str | None = None) -> Counter:
        """How often each key took effect."""
        rows = self.db.execute("select key from effects where ? is null or action = ?", (action, action)).fetchall()
        return Counter(row[0] for row in rows)

    def done(self) -> list[str]:
        return [row[0] for row in self.db.execute("select action from effects order by rowid").fetchall()]

    def _fail(self, action: str, where: str) -> None:
        for fault in list(self.faults):
            if fault[0] not in {action, "*"} or not fault[1].startswith(where):
                continue
            if not fault[1].endswith("always"):
                self.faults.remove(fault)
            if "killed" in fault[1]:
                raise Killed
            raise ConnectorError(
                f"The line broke {where}.",
                permanent="permanent" in fault[1],
                effect="none" if where in {"before", "read", "probe"} else "unknown",
            )


class MortalDatabase(Database):
    """Dies at its n-th transaction: at its `begin`, before its `commit`, or right `after` it."""

    count = 0
    dies: tuple[int, str] | None = None

    @asynccontextmanager
    async def _begin(self, principal, begin):
        MortalDatabase.count += 1
        number = MortalDatabase.count
        if self.dies == (number, "begin"):
            raise Killed
        async with super()._begin(principal, begin) as connection:
            yield connection
            if MortalDatabase.dies == (number, "commit"):
                raise Killed
        if MortalDatabase.dies == (number, "after"):
            raise Killed


class Jobs:
    """Counts what is enqueued; the tests advance by themselves."""

    def __init__(self) -> None:
        self.journeys: list[UUID] = []
        self.runs: list[UUID] = []

    async def enqueue(self, connection, job, ids, *, delay=None, dedupe_key=None):
        assert job == "advance_run"
        self.runs.append(ids["run_id"])

    async def advance(self, connection, org_id, ticket_id, *, delay=None):
        self.journeys.append(ticket_id)


async def no_sleep(seconds: float) -> None:
    assert seconds >= 0


PACE = Pace(sleep=no_sleep)


@dataclass
class World:
    """Acme's desk, its outside system, and a window behind row-level security."""

    desk: Desk
    org: Any
    estate: Estate
    owner: asyncpg.Connection
    jobs: Jobs
    pace: Pace = PACE
    books: dict[str, tuple[UUID, int]] = field(default_factory=dict)

    @property
    def engine(self) -> Principal:
        return self.org.engine

    async def shelve(self, source: str = UNLOCK, *, level: str = "auto", trusted: bool = True) -> tuple[UUID, int]:
        """Publish a runbook and lend it trust."""
        row, version = await shelf.save(self.desk, self.org.owner, source)
        await shelf.publish(self.desk, self.org.owner, row.name)
        if trusted:
            until = self.desk.clock() + timedelta(days=1)
            await autonomy.lend(self.desk, self.org.owner, row.name, reason="a test", until=until)
        if level != "auto":
            await autonomy.set_level(self.desk, self.org.owner, row.name, level)
        self.books[row.name] = (row.id, version.version)
        return row.id, version.version

    async def ticket(self, **columns: Any) -> UUID:
        """A ticket in progress, with a session of the engine's."""
        values = {
            "status": "in_progress",
            "category": "account",
            "severity": "medium",
            "subject": "Locked out",
        } | columns
        names = ", ".join(values)
        places = ", ".join(f"${n + 3}" for n in range(len(values)))
        ticket_id: UUID = await self.owner.fetchval(
            f"insert into public.support_tickets (org_id, user_id, {names}) values ($1, $2, {places}) returning id",
            self.org.org_id,
            self.org.client.user_id,
            *values.values(),
        )
        await self.owner.execute("insert into public.support_sessions (ticket_id) values ($1)", ticket_id)
        return ticket_id

    async def start(
        self, name: str = "unlock", *, on: UUID | None = None, mode: str = "live", by: UUID | None = None, **slots: Any
    ) -> UUID:
        from asoe.store import tickets

        runbook_id, version = self.books[name]
        async with self.desk.database.org_transaction(self.engine) as connection:
            ticket = None if on is None else await tickets.find(connection, self.org.org_id, on)
            return await execution.start(
                self.desk,
                connection,
                self.engine,
                runbook_id=runbook_id,
                version=version,
                ticket=ticket,
                mode=mode,
                initiator=by,
                slots=slots,
            )

    async def advance(self, run_id: UUID) -> str:
        return await execution.advance_run(self.desk, self.engine, run_id, pace=self.pace)

    async def carry_through(self, run_id: UUID, *, most: int = 20) -> Run:
        """Advance until it has ended, letting time pass in between."""
        for _ in range(most):
            if await self.advance(run_id) == "ended":
                return await self.run(run_id)
            await self.let_time_pass()
        raise AssertionError(f"the run is stuck: {await self.run(run_id)}")

    async def run(self, run_id: UUID) -> Run:
        async with self.desk.database.org_reading(self.engine) as connection:
            return await runs.find(connection, self.org.org_id, run_id)

    async def actions(self, run_id: UUID) -> list[ActionRow]:
        async with self.desk.database.org_reading(self.engine) as connection:
            return await runs.actions(connection, self.org.org_id, run_id)

    async def let_time_pass(self, by: str = "30 seconds") -> None:
        """Leases, claims and timers run out, as far as the database is concerned. Less than how long a doubt lasts."""
        await self.owner.execute(f"""
            update asoe.runbook_runs set held_until = held_until - interval '10 minutes',
              due_at = case when waiting_for = 'timer' then due_at - interval '10 minutes' else due_at - interval '{by}' end;
            update asoe.run_actions set claimed_until = claimed_until - interval '10 minutes',
              intended_at = intended_at - interval '{by}' where status = 'intended';
            update asoe.run_steps set at = at - interval '{by}' where told is null;
        """)

    async def facts(self, kind: str) -> list[dict[str, Any]]:
        rows = await self.owner.fetch("select data from asoe.facts where kind = $1 order by id", kind)
        return [json.loads(row["data"]) for row in rows]


def connect(world: World, **systems: Any) -> World:
    """The same world with these connectors."""
    from dataclasses import replace

    world.desk = replace(world.desk, connectors=Connectors.fixed(systems))
    return world


def act(call: str, more: str = "") -> str:
    """One act of a fix."""
    return f"{{call: estate.{call}, with: {{id: a}}{more}}}"


def fix(name: str, *acts: str, when: str = "=true", that: str, more: str = "") -> str:
    """A fix with these acts, verified by a fresh read."""
    listed = "".join(f"\n      - {each}" for each in acts)
    return f"""
  - fix: {name}
    check: [{{call: estate.get, with: {{id: a}}, into: account}}]
    when: {json.dumps(when)}
    act:{listed}
    verify: {{reads: [{{call: estate.get, with: {{id: a}}, into: account}}], that: {json.dumps(that)}}}
    {more}"""


def book(name: str, *steps: str, goal: str, head: str = "") -> str:
    """A runbook over the estate; `goal` reads `account`, which counts the effects by action."""
    return f"""
runbook: {name}
title: {name}
resolution_type: auto_fix
match: {{phrases: [whatever]}}
connectors: {{estate: estate}}
{head}
goal:
  reads: [{{call: estate.get, with: {{id: a}}, into: account}}]
  met: {json.dumps(goal)}
steps:{"".join(steps)}
"""


def one_act(call: str, more: str = "", *, name: str = "once", head: str = "") -> str:
    """A runbook that does one thing and proves it by the count of effects."""
    count = f"=account.{call} > 0"
    return book(name, fix("only", act(call, more), that=count), goal=count, head=head)
