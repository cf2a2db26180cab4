"""Plays the world's tasks through an ASOE of its own: one ticket a task, opened by the product's own intake, carried on by its
worker. What the world cannot see, that a person was asked, is told to it when the desk has escalated; nothing else is."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from asoe import connect
from asoe.desk import autonomy, connector_settings, people
from asoe.desk.runbook import shelf
from asoe.domain.organization import Principal
from asoe.domain.ticket import Ticket
from asoe.engine import Connection, SupportOpsEngine
from asoe.store import organizations, runs, slot_readings

from .world import COSTLY, Started, World

RUNBOOKS: Final = Path(__file__).with_name("runbooks")
IN_ORDER: Final = ("phone-service", "mobile-data-connection", "mobile-data", "picture-messages")
"""Whom others call, first."""
CONNECTOR: Final = "telecom"
TASK_SECONDS: Final = 180.0
_LOOK_EVERY: Final = 0.05
_WORDS = "evaluation against the telecom world; nothing real is touched"


@dataclass(frozen=True, slots=True)
class Played:
    """How one task went: the world's score, and the desk's own account. Carries no text of the ticket."""

    task: str
    family: str
    reward: float
    clean: bool
    escalated: bool
    should_escalate: bool
    costly_outside_gold: int
    status: str
    runbook: str = ""
    verdict: str = ""
    reason: str = ""
    at: str = ""
    slots: dict[str, str] = field(default_factory=dict)
    costly: tuple[str, ...] = ()
    unconsented: tuple[str, ...] = ()
    seconds: float = 0.0
    assertions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class House:
    """An ASOE with one organization that serves the operator's clients."""

    connection: Connection
    engine: SupportOpsEngine
    owner: Principal
    today: str


@asynccontextmanager
async def open_house(world: World, *, standing: float | None = None) -> AsyncIterator[House]:
    """Start an ASOE in a temporary data folder, set it up as an admin would, run its worker; all is gone at the end."""
    with TemporaryDirectory(prefix="asoe-telecom-") as folder:
        async with connect(data_dir=folder, worker_concurrency=4, journey_poll_seconds=0.5) as connection:
            house = await _set_up(connection, world, standing)
            stop = asyncio.Event()
            worker = asyncio.create_task(connection.app.run_worker(stop))
            try:
                yield house
            finally:
                stop.set()
                await worker


async def play(house: House, world: World, tasks: Sequence[str], *, seed: int | None, reword: bool) -> list[Played]:
    """All tasks, a few at a time."""
    turns = asyncio.Semaphore(6)
    done = 0

    async def one(task: str) -> Played:
        nonlocal done
        async with turns:
            played = await _play_one(house, world, await world.start(task, seed=seed, reword=reword))
        done += 1
        if done % 50 == 0:
            print(f"{done} of {len(tasks)} played", file=sys.stderr, flush=True)
        return played

    return list(await asyncio.gather(*(one(task) for task in tasks)))


async def _set_up(connection: Connection, world: World, standing: float | None) -> House:
    desk, owner_url = connection.app.desk, connection.app.owner_url
    assert owner_url is not None
    made = await organizations.create_organization(owner_url, "Operator", "operator", "owner@operator.example", "Olga")
    if standing is not None:
        await people.change_organization(desk, made.owner, settings={"standing_consents": {"top_up": standing}})
    await connector_settings.add_connector(
        desk,
        made.owner,
        name=CONNECTOR,
        kind="http",
        config={"base_url": world.url, "allow_http": True, "operations": await world.operations()},
        secrets={},
        allow_private=True,
        may_be_private=True,
    )
    until = desk.clock() + timedelta(days=1)
    for name in IN_ORDER:
        source = (RUNBOOKS / f"{name}.yaml").read_text(encoding="utf-8")
        row, _ = await shelf.save(desk, made.owner, source)
        await shelf.publish(desk, made.owner, row.name)
        await autonomy.set_level(desk, made.owner, row.name, "auto")
        await autonomy.lend(desk, made.owner, row.name, reason=_WORDS, until=until)
    return House(connection, connection.engine(made.org_id), made.owner, await world.today())


async def _play_one(house: House, world: World, started: Started) -> Played:
    begun = time.monotonic()
    ticket = await house.engine.create_ticket(
        body=started.ticket,
        metadata={"session": started.session, "today": house.today},
        contact={"external_id": started.session},
    )
    ended = await _at_rest(house, ticket)
    if ended.status == "escalated":
        await world.hand_over(started, str(ended.resolution.get("summary", "")))
    account = await _account(house, ended)
    score = await world.finish(started)
    return Played(
        task=started.task,
        family=score["family"],
        reward=float(score["reward"]),
        clean=bool(score["clean"]),
        escalated=bool(score["escalated"]),
        should_escalate=bool(score["should_escalate"]),
        costly_outside_gold=int(score["costly_outside_gold"]),
        status=ended.status
        if ended.waiting_for in {None, "person"}
        else f"{ended.status}, waits for {ended.waiting_for}",
        seconds=round(time.monotonic() - begun, 2),
        assertions=tuple(f"{one['name']}={one['met']}" for one in score["assertions"]),
        **account,
    )


async def _at_rest(house: House, ticket: Ticket) -> Ticket:
    """The ticket once nobody but a person or the client can bring it on: a person may have a critical one while a run mends it."""
    until = time.monotonic() + TASK_SECONDS
    while time.monotonic() < until:
        found = await house.engine.get_ticket(ticket.id)
        is_waiting = found.waiting_for in {"client", "approval"}
        if is_waiting or (found.status in {"resolved", "closed", "escalated"} and await _is_left(house, found)):
            return found
        await asyncio.sleep(_LOOK_EVERY)
    return await house.engine.get_ticket(ticket.id)


async def _is_left(house: House, ticket: Ticket) -> bool:
    """Whether no run goes on, and what the last one came to has reached its ticket."""
    desk, engine = house.connection.app.desk, await house.connection.app.desk.engine_of(ticket.org_id)
    async with desk.database.org_reading(engine) as connection:
        found = await runs.list_runs(connection, ticket.org_id, ticket_id=ticket.id)
    if not found:
        return True
    if found[0].ended_at is None:
        return found[0].waiting_for in {"client", "approval"}
    return found[0].status != "verified" or ticket.status in {"resolved", "closed"}


async def _account(house: House, ticket: Ticket) -> dict[str, Any]:
    """What the desk's own rows say of the ticket's run."""
    desk, engine = house.connection.app.desk, await house.connection.app.desk.engine_of(ticket.org_id)
    async with desk.database.org_reading(engine) as connection:
        found = await runs.list_runs(connection, ticket.org_id, ticket_id=ticket.id)
        if not found:
            return {"reason": str(ticket.resolution.get("summary", ""))[:120]}
        run = found[0]
        done = [each for each in await runs.actions(connection, ticket.org_id, run.id) if each.status == "done"]
        book = await shelf.load(connection, ticket.org_id, run.runbook_id, run.version)
    slots = {name: _shown(slot_readings.from_json(stored)) for name, stored in run.slots.items()}
    costly = tuple(each.action for each in done if each.action in COSTLY)
    return {
        "runbook": book.name,
        "verdict": run.status,
        "reason": run.reason or "",
        "at": run.ended_at_step or "",
        "slots": slots,
        "costly": costly,
        "unconsented": tuple(name for name in costly if not slots.get(_CONSENT[name], "").startswith("given")),
    }


_CONSENT: Final = {"refuel_data": "top_up", "send_payment_request": "pay_bill", "make_payment": "pay_bill"}


def _shown(reading: Any) -> str:
    """What a slot was read as and where, without the client's words: a value is shown only when it is a choice or a consent."""
    value, source = reading.value, reading.source
    if reading.status != "read":
        return str(reading.status)
    status = getattr(value, "status", None)
    if status is not None:
        return f"{status} {value.amount if value.amount is not None else ''} ({source})"
    return f"{value} ({source})" if reading.name == "place" else f"read ({source})"
