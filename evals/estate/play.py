"""Plays the cases through an ASOE of its own: each ticket comes in by its contact, the worker carries its journey on.

The estate runs in a process of its own; this one breaks it and, at the end, reads its store. Runbooks act under lent trust. What
cannot be undone waits for an admin, who here agrees to whatever is asked: a wrong act is not kept from the score by a careful person.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from uuid import UUID

from asoe import connect
from asoe.demo.back_office import Lent, add_estate, publish_runbooks
from asoe.demo.estate.store import Store, open_store
from asoe.desk import approval
from asoe.domain.organization import Principal
from asoe.domain.ticket import Ticket
from asoe.engine import Connection, SupportOpsEngine
from asoe.store import escalations, journeys, organizations, runs, sessions

from .cases import WORDINGS, Case, Part, apply, iter_cases, prepare, reply_of
from .late import judge, set_late
from .score import Score, score, stray_effects

CASE_SECONDS: Final = 240.0
CONSENTS: Final = frozenset(WORDINGS["consents"])
CONSENT_OF: Final = {"support_pin": "identity"}
"""How the product's slots are called in the handbook, where they are called otherwise."""
_AT_ONCE: Final = 6
_LOOK_EVERY: Final = 0.1
_REASON: Final = "evaluation against the demo estate; nothing real is touched"


@dataclass(frozen=True, slots=True)
class Played:
    """How a case went by the desk's own rows; the score is the store's."""

    case: Case
    status: str
    reasons: tuple[str, ...]
    runs: tuple[str, ...] = ()
    approvals: int = 0
    seconds: float = 0.0
    at: str = ""
    asked: tuple[str, ...] = ()

    @property
    def outcome(self) -> dict[str, Any]:
        return {"status": self.status, "reasons": list(self.reasons), "questions": len(self.asked)}


@dataclass(slots=True)
class House:
    """An ASOE with one organization whose back office is the estate."""

    connection: Connection
    engine: SupportOpsEngine
    owner: Principal
    lent: list[Lent]
    approvals: dict[UUID, int] = field(default_factory=dict)
    part: Part = "all"


@dataclass(frozen=True, slots=True)
class Game:
    """All that was played: scores beside what the desk said, and changes at customers of no case."""

    scores: list[Score]
    played: list[Played]
    stray: list[str]
    lent: list[Lent]


async def play(
    *,
    seed: int,
    n: int,
    part: Part = "all",
    only: Sequence[str] = (),
    late: bool = False,
    tell: Callable[[Played, Score], None] | None = None,
) -> Game:
    """The cases of a seed, a few at a time; `only` picks cases by id, `late` plays the late ones and no others."""
    with TemporaryDirectory(prefix="asoe-estate-") as folder:
        Path(folder).chmod(0o711)  # as root, PostgreSQL runs as another account and must get through
        file = Path(folder, "estate.db")
        store = open_store(file)
        cases = set_late(store, seed, only=only) if late else _set(store, seed, n, part=part, only=only)
        async with _estate(file) as url, open_house(Path(folder, "asoe"), url) as house:
            house.part = part
            played = await _play_all(house, cases)
        scores = []
        for one in played:
            scores.append((judge if late else score)(one.case, store, one.outcome))
            if tell is not None:
                tell(one, scores[-1])
        stray = stray_effects(store, cases)
        store.close()
    return Game(scores, played, stray, house.lent)


def _set(store: Store, seed: int, n: int, *, part: Part, only: Sequence[str]) -> list[Case]:
    """Fill an empty estate and break it for the cases of the seed."""
    prepare(store, seed, n)
    cases = [case for case in iter_cases(seed, n, part=part) if not only or case.id in only]
    for case in cases:
        apply(case, store)
    return cases


@asynccontextmanager
async def open_house(folder: Path, url: str) -> AsyncIterator[House]:
    """Start an ASOE, set it up as an admin would, run its worker and its admin; all is stopped at the end."""
    folder.mkdir(mode=0o711)
    async with connect(data_dir=folder, worker_concurrency=6, journey_poll_seconds=0.5) as connection:
        desk, owner_url = connection.app.desk, connection.app.owner_url
        assert owner_url is not None
        made = await organizations.create_organization(owner_url, "Estate", "estate", "owner@estate.example", "Olga")
        await add_estate(desk, made.owner, url)
        lent = await publish_runbooks(desk, made.owner, reason=_REASON)
        house = House(connection, connection.engine(made.org_id), made.owner, lent)
        stop = asyncio.Event()
        tasks = [asyncio.create_task(connection.app.run_worker(stop)), asyncio.create_task(_approve(house, stop))]
        try:
            yield house
        finally:
            stop.set()
            await asyncio.gather(*tasks)


@asynccontextmanager
async def _estate(file: Path) -> AsyncIterator[str]:
    """The estate as a process of its own, on a free port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "asoe.demo.estate", "--port", "0", "--store", str(file), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), 120)).decode()
        yield next(word for word in line.split() if word.startswith("http"))
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _play_all(house: House, cases: Sequence[Case]) -> list[Played]:
    turns = asyncio.Semaphore(_AT_ONCE)

    async def one(case: Case) -> Played:
        async with turns:
            return await play_one(house, case)

    return list(await asyncio.gather(*(one(case) for case in cases)))


async def play_one(house: House, case: Case) -> Played:
    """Send a case's ticket and wait until nobody but a person can bring it on."""
    begun = time.monotonic()
    ticket = await house.engine.create_ticket(
        subject=case.subject,
        body=case.body,
        contact={"email": case.contact_email, "name": case.contact_name},
        channel="email",
    )
    asked: list[str] = []
    while time.monotonic() - begun < CASE_SECONDS:
        ticket = await house.engine.get_ticket(ticket.id)
        if ticket.waiting_for in {"client", "person"} and await _answer(house, case, ticket, asked):
            continue
        rests = ticket.status in {"resolved", "closed", "escalated"} or ticket.waiting_for in {"client", "person"}
        # a critical one is with a person while its run goes on
        if rests and not await _is_run_under_way(house, ticket):
            break
        await asyncio.sleep(_LOOK_EVERY)
    ticket = await house.engine.get_ticket(ticket.id)
    return await _account(house, case, ticket, asked=tuple(asked), seconds=round(time.monotonic() - begun, 2))


async def _answer(house: House, case: Case, ticket: Ticket, asked: list[str]) -> bool:
    """The client answers a question for a consent, as the case has it; whether one was asked. Other questions stay unanswered."""
    desk = house.connection.app.desk
    async with desk.database.org_reading(house.owner) as connection:
        said = await sessions.messages_of_ticket(connection, ticket.org_id, ticket.id)
    last = next((message for message in reversed(said) if not message.is_internal), None)
    slot = "" if last is None or last.role != "assistant" else str((last.data.get("asks") or {}).get("slot", ""))
    consent = CONSENT_OF.get(slot, slot)
    if last is None or consent not in CONSENTS:
        return False
    text = reply_of(case, consent, house.part, times=asked.count(consent))
    asked.append(consent)
    await house.engine.add_message(last.session_id, "user", text)
    return True


async def _is_run_under_way(house: House, ticket: Ticket) -> bool:
    async with house.connection.app.desk.database.org_reading(house.owner) as connection:
        return "run" in (await journeys.find(connection, ticket.org_id, ticket.id)).data


async def _account(house: House, case: Case, ticket: Ticket, *, asked: tuple[str, ...] = (), seconds: float) -> Played:
    """What the desk's own rows say of the ticket and its runs."""
    desk, org_id = house.connection.app.desk, ticket.org_id
    async with desk.database.org_reading(house.owner) as connection:
        found = [run for run in await runs.list_runs(connection, org_id, ticket_id=ticket.id) if run.mode == "live"]
        handed = await escalations.newest(connection, org_id, ticket.id)
    names = {lent.runbook_id: lent.name for lent in house.lent}
    verdict = ticket.resolution.get("verdict")
    reasons = () if handed is None else tuple(handed.dossier.get("reasons", ()))
    if ticket.status in {"resolved", "closed"} and verdict == "verified":
        status = "fixed"
    elif ticket.status == "escalated" or ticket.waiting_for == "person":
        status = "escalated"
    else:
        status = (
            "answered"
            if ticket.waiting_for == "client" and verdict == "answered"
            else f"{ticket.status}/{ticket.waiting_for}"
        )
    told = tuple(f"{names.get(run.runbook_id, '?')}: {run.status} {run.reason or ''}" for run in reversed(found))
    return Played(
        case=case,
        status=status,
        reasons=reasons,
        runs=told,
        approvals=sum(house.approvals.get(run.id, 0) for run in found),
        seconds=seconds,
        asked=asked,
        at="; ".join(f"{run.ended_at_step}: {run.note}" for run in found if run.status != "verified")[:400],
    )


async def _approve(house: House, stop: asyncio.Event) -> None:
    """The admin on duty: agrees to everything, so that nothing but the engine's own care is measured."""
    desk = house.connection.app.desk
    while not stop.is_set():
        for waiting in await approval.list_approvals(desk, house.owner, status="pending"):
            house.approvals[waiting.run_id] = house.approvals.get(waiting.run_id, 0) + 1
            await approval.decide(
                desk, house.owner, waiting.id, "approve", "the evaluation's admin agrees to everything"
            )
        await asyncio.sleep(_LOOK_EVERY)
