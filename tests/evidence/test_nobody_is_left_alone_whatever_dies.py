"""Journeys while the worker dies between and inside of transactions: given to one person once, told once, and never talked over."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, ClassVar
from uuid import UUID

import asyncpg
import pytest
from tests.desk.desk_cast import Clock, Judgement, passage

from asoe.desk import housekeeping, intake, journey, notification, people, resolution, routing, session
from asoe.desk.context import Desk
from asoe.desk.intake import NewContact, NewTicket
from asoe.domain.errors import Conflict
from asoe.domain.organization import Principal
from asoe.queue import Queue
from asoe.store.db import Database
from asoe.store.transient import is_transient

pytestmark = [pytest.mark.evidence, pytest.mark.timeout(3600)]

OPENINGS = (
    "I need a person #intent:wants_a_person #need:action #category:billing",
    "Everything is down #severity:critical #category:technical",
    "You charged us twice #intent:double_charge #need:action",
    "How do I export our board?",
    "How do I print the invoice?",
)
REPLIES = ("yes", "no", "PERSON please", "")
WORKERS = 3
PICK = """
update queue.pgqueuer set status = 'picked' where id = (select id from queue.pgqueuer
  where status = 'queued' and execute_after <= now() and entrypoint <> 'deliver' order by random() limit 1
  for update skip locked)
returning id, payload
"""
ESCALATED_TWICE = "select ticket_id from asoe.escalations group by 1 having count(*) > 1"
NOT_GIVEN_ONCE = """
select t.number, count(a.id) from public.support_tickets t
join asoe.escalations e on e.org_id = t.org_id and e.ticket_id = t.id and e.taken_at is null and e.ended_at is null
left join asoe.assignments a on a.org_id = t.org_id and a.ticket_id = t.id and a.ended_at is null
where t.status = 'escalated' group by t.id having count(a.id) <> 1 or bool_or(a.user_id is null and not a.is_last)
"""
GIVEN_TWICE = "select ticket_id from asoe.assignments group by ticket_id, team, level having count(*) > 1"
UNTOLD_ASSIGNMENTS = """
select a.ticket_id from asoe.assignments a group by a.ticket_id having count(*) <> (select count(*) from asoe.facts f
  where f.ticket_id = a.ticket_id and f.kind = 'ticket.assigned' and f.data ? 'because')
"""
TOLD_OTHERWISE = """
select f.id, f.kind, c.channel, count(d.id) from asoe.facts f cross join (values ('in_app'), ('email')) c (channel)
left join asoe.deliveries d on d.fact_id = f.id and d.channel = c.channel
  and (f.kind <> 'ticket.assigned' or d.recipient = 'person:' || (f.data ->> 'assignee'))
where f.kind = 'ticket.escalated' or (f.kind = 'ticket.assigned' and f.data ->> 'assignee' is not null
  and f.actor <> (f.data ->> 'assignee')::uuid)
group by f.id, f.kind, c.channel having count(d.id) < 1 or (f.kind = 'ticket.assigned' and count(d.id) <> 1)
"""
TOLD_TWICE = "select fact_id from asoe.deliveries group by fact_id, channel, recipient having count(*) > 1"
WITHOUT_A_WORD = """
select t.number, t.status from public.support_tickets t where not exists (select from asoe.session_messages m
  where m.ticket_id = t.id and m.role <> 'user' and not m.is_internal and not exists (select from asoe.session_messages u
    where u.ticket_id = t.id and u.role = 'user' and u.seq > m.seq and u.created_at < coalesce((select max(f.at)
      from asoe.facts f where f.ticket_id = t.id and f.kind in ('session.taken_over', 'ticket.escalated')), 'infinity')))
"""
TALKED_OVER = """
select m.ticket_id, m.seq from asoe.session_messages m
join asoe.facts f on f.session_id = m.session_id and f.kind = 'session.taken_over'
where m.role in ('assistant', 'system') and m.created_at > f.at
"""


class KilledError(BaseException):
    """The process is gone; nothing of ours may catch it."""


@dataclass(frozen=True, slots=True)
class MortalDatabase(Database):
    """The engine's transactions die before they begin, before they commit, or after, once in so many times."""

    fate: ClassVar[dict[str, Any]] = {"dice": Random(0), "rate": 0.0, "kills": Counter()}

    @asynccontextmanager
    async def _begin(self, principal: Principal, begin: str) -> AsyncIterator[Any]:
        dice = self.fate["dice"]
        dies = (
            dice.choice(("before", "inside", "after"))
            if principal.is_engine and dice.random() < self.fate["rate"]
            else ""
        )
        if dies:
            self.fate["kills"][dies] += 1
        if dies == "before":
            raise KilledError
        async with Database._begin(self, principal, begin) as connection:
            yield connection
            if dies == "inside":
                raise KilledError
        if dies == "after":
            raise KilledError


@dataclass
class Theatre:
    """A desk with people, clients and workers that come and go."""

    desk: Desk
    acme: Any
    owner: asyncpg.Pool
    clock: Clock
    dice: Random
    opened: list[Any] = field(default_factory=list)
    done: bool = False
    lost: int = 0
    talks: Counter[str] = field(default_factory=Counter)

    async def clients(self, journeys: int) -> None:
        for number in range(journeys):
            contact = NewContact(email=f"kim{number}@example.org", name="Kim")
            new = NewTicket(body=f"{self.dice.choice(OPENINGS)} ({number})", contact=contact)
            self.opened.append(await self._sent(new))
            if self.dice.random() < 0.6:
                await self._reply(self.dice.choice(self.opened[-20:]))
            await asyncio.sleep(0)

    async def _sent(self, new: NewTicket) -> Any:
        """The engine's account reads beside it, which may die as well: the client sends it again."""
        while True:
            with contextlib.suppress(KilledError):
                return await intake.open_ticket(self.desk, self.acme.agent, new)

    async def _reply(self, made: Any) -> None:
        words = self.dice.choice(REPLIES)
        if words and made.id not in self.talks:
            self.talks[made.id] += 1
            with contextlib.suppress(Conflict):
                await session.add_message(self.desk, self.acme.agent, made.session_id, "user", words)

    async def team(self) -> None:
        """Take over and speak, or just speak, in the middle of what the engine does."""
        taken: set[UUID] = set()
        while not self.done:
            await asyncio.sleep(0.01)
            free = [each for each in self.opened[-30:] if each.id not in taken]
            if not free or self.dice.random() < 0.5:
                continue
            made = self.dice.choice(free)
            taken.add(made.id)
            if self.dice.random() < 0.6:
                continue
            if self.dice.random() < 0.5:
                await session.take_over(self.desk, self.acme.admin, made.session_id)
            await session.add_message(self.desk, self.acme.admin, made.session_id, "agent", "I am on it.")

    async def worker(self) -> None:
        """Does jobs; one that dies has its job given to another, or, now and then, lost."""
        while not self.done:
            if not await self.one_job():
                await asyncio.sleep(0.005)

    async def one_job(self) -> bool:
        row = await self.owner.fetchrow(PICK)
        if row is None:
            return False
        ids = json.loads(row["payload"])
        again = "delete from queue.pgqueuer where id = $1"
        try:
            await journey.carry_on(self.desk, UUID(ids["org_id"]), UUID(ids["ticket_id"]))
        except KilledError:
            if self.dice.random() < 0.8:
                again = "update queue.pgqueuer set status = 'queued' where id = $1"
            else:
                self.lost += 1
        await self.owner.execute(again, row["id"])
        return True

    async def keeper(self) -> None:
        while not self.done:
            await self.keep()
            await asyncio.sleep(0.02)

    async def keep(self) -> None:
        """One turn of everything that looks after tickets; each part may die."""
        for work in (
            housekeeping.wake_due,
            housekeeping.keep_service_levels,
            notification.spread,
            housekeeping.wake_forgotten,
        ):
            try:
                await work(self.desk)
            except KilledError:
                pass
            except Exception as error:
                if not is_transient(error):
                    raise

    async def rest(self) -> None:
        """Nobody dies any more: everything that was begun is brought to where it waits."""
        for _ in range(60):
            worked = 0
            while await self.one_job():
                worked += 1
            await self.keep()
            left = await self.owner.fetchval("select count(*) from queue.pgqueuer where entrypoint <> 'deliver'")
            if not worked and not left:
                return
        raise AssertionError("the journeys do not come to rest")


@pytest.fixture
async def theatre(
    database: Database, dsns: Any, acme: Any, size: Any, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Theatre]:
    passages = [passage("export-data"), passage("print", 0.8), passage("share-export", 0.7)]

    async def search(*_: Any, limit: int, **__: Any) -> list[Any]:
        return passages[:limit]

    monkeypatch.setattr(resolution.knowledge, "search", search)
    monkeypatch.setattr(housekeeping, "FORGOTTEN_AFTER", 0.2)
    clock = Clock()
    clock.now = datetime.now(UTC)
    owner = await asyncpg.create_pool(dsns.owner, min_size=1, max_size=WORKERS + 2)
    desk = Desk(MortalDatabase(database.app, database.system), Queue(), Judgement(), clock)  # type: ignore[arg-type]
    dice = size.dice()
    MortalDatabase.fate.update(dice=dice, rate=0.0, kills=Counter())
    for name in ("dora", "eve"):
        await people.add_member(desk, acme.owner, email=f"{name}@acme.example", name=name, role="agent")
    levels = [
        {"members": ["dora@acme.example"], "take_within": "30m"},
        {"members": ["eve@acme.example"], "take_within": "1h"},
    ]
    limits = {f"{name}@acme.example": {"capacity": 100} for name in ("dora", "eve")}
    await owner.execute("insert into asoe.mailboxes (org_id, address) values ($1, 'help@acme.example')", acme.org_id)
    await routing.change_teams(desk, acme.owner, teams={"billing": {"levels": levels}}, people=limits)
    yield Theatre(desk, acme, owner, clock, dice)
    await owner.close()


async def test_nobody_is_left_alone_whatever_dies(
    theatre: Theatre, size: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    begun, journeys = time.monotonic(), size.of(40, 1000)
    fate = MortalDatabase.fate
    fate["rate"] = 0.2
    others = [
        asyncio.create_task(work)
        for work in (*(theatre.worker() for _ in range(WORKERS)), theatre.keeper(), theatre.team())
    ]
    await theatre.clients(journeys)
    await asyncio.sleep(size.of(1, 5))
    theatre.done = True
    await asyncio.gather(*others)
    fate["rate"] = 0.0
    await asyncio.sleep(0.3)  # what lies still for longer counts as forgotten
    await theatre.rest()
    await theatre.owner.execute("delete from queue.pgqueuer where entrypoint = 'deliver'")
    await _check(theatre)
    for hours in (1, 2, 30):  # nobody takes what is left: level by level to the last
        theatre.clock.now += timedelta(hours=hours)
        await theatre.keep()
        await theatre.rest()
        await _check(theatre)
    figures = await theatre.owner.fetchrow(
        """select count(*) as tickets, (select count(*) from asoe.escalations) as escalated,
             (select count(*) from asoe.escalations where taken_at is not null) as taken,
             (select count(*) from asoe.assignments where user_id is not null) as given,
             (select count(*) from asoe.facts where kind = 'session.taken_over') as taken_over,
             (select count(*) from asoe.deliveries) as told from public.support_tickets"""
    )
    assert sum(fate["kills"].values()) > journeys / 4
    with capsys.disabled():
        print(
            f"\n{journeys} journeys, {sum(fate['kills'].values())} deaths {dict(fate['kills'])}, {theatre.lost} jobs lost; "
            f"{dict(figures)}; {time.monotonic() - begun:.0f} s"
        )


async def _check(theatre: Theatre) -> None:
    for broken in (
        ESCALATED_TWICE,
        NOT_GIVEN_ONCE,
        GIVEN_TWICE,
        UNTOLD_ASSIGNMENTS,
        TOLD_OTHERWISE,
        TOLD_TWICE,
        WITHOUT_A_WORD,
        TALKED_OVER,
    ):
        found = await theatre.owner.fetch(broken)
        assert not found, (broken, [dict(row) for row in found[:5]])
