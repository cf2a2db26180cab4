"""One broken thing of the estate, many tickets: one incident, one mend, every client told once, and nobody else touched."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import pytest
from evals.estate.play import _estate, open_house

from asoe.demo.estate.outage import halt_exports, waiting_exports
from asoe.demo.estate.seed import seed as seed_estate
from asoe.demo.estate.store import Item, Store, open_store
from asoe.desk import people
from asoe.desk.incident import handling
from asoe.domain.incident import Incident

pytestmark = pytest.mark.evidence
RULES = {"clients": 4, "within": "1h"}  # a person starts the mend, so that every ticket is in before it
WORDS = (
    "the export is in preparation since yesterday",
    "our export never gets ready",
    "the ordered file is still not ready for download",
    "the data export is stuck in preparation",
    "we requested a file a day ago and still cannot download it",
)


async def test_one_incident_one_mend_everyone_told_nobody_else_touched(size: Any) -> None:
    tickets, others = size.of(6, 500), size.of(1, 50)
    with TemporaryDirectory(prefix="asoe-loop-") as folder:
        Path(folder).chmod(0o711)
        file = Path(folder, "estate.db")
        store = open_store(file)
        seed_estate(store, 1, customers=3 * tickets)
        owners = halt_exports(store, "eu", most=tickets)
        locked = _lock(store, others)
        begun = time.monotonic()
        async with _estate(file) as url, open_house(Path(folder, "asoe"), url) as house:
            desk = house.connection.app.desk
            await people.change_organization(desk, house.owner, settings={"incidents": RULES})
            chance, slots = Random(size.seed), asyncio.Semaphore(6)

            async def write(user: Item, body: str) -> None:
                async with slots:
                    await house.engine.create_ticket(
                        subject="", body=body, contact={"email": user["email"], "name": user["name"]}, channel="email"
                    )

            letters = [(user, chance.choice(WORDS)) for user in owners]
            letters += [(user, "I cannot sign in any more, the page says to contact support") for user in locked]
            chance.shuffle(letters)
            await asyncio.gather(*(write(user, body) for user, body in letters))
            found = await _once(house, lambda seen: seen.counts.told == tickets, tickets)
            await handling.start_fix(desk, house.owner, found.id, runbook="restart-export-pool", slots={"pool": "eu"})
            found = await _once(house, lambda seen: seen.incident.ended_at is not None, tickets)
            incident = await handling.read_incident(desk, house.owner, found.id)
            rows = await _rows(house.connection.app.owner_url)
        took = time.monotonic() - begun
        counts = incident.counts
        print(f"{tickets} tickets of one broken thing, {others} others: {counts}, {took:.0f} s")
        restarts = [effect for effect in store.effects() if effect.operation == "export_pools.restart"]
        touched = {effect.account_id for effect in store.effects() if effect.operation != "export_pools.restart"}
        left = waiting_exports(store)
        store.close()
    assert len(restarts) == 1, "one mend"
    assert (counts.tickets, counts.clients, counts.told) == (tickets, tickets, tickets)
    assert (counts.mended, left) == (tickets, []), "each one checked on its own"
    assert rows["told"] == {1: tickets}, "one row and one message for each client"
    assert rows["ends"] == Counter({"resolved/verified": tickets + others})
    assert rows["incidents"] == 1
    assert touched == {user["account_id"] for user in locked}, "what is unaffected is mended as ever, and nothing else"


def _lock(store: Store, count: int) -> list[Item]:
    """Owners elsewhere who are locked out: tickets that have nothing to do with it."""
    with store.transaction():
        elsewhere = [account["id"] for account in store.find("accounts", region="us")][:count]
        return [
            store.change("users", user["id"], locked=True, lock_reason="failed_sign_ins", failed_sign_ins=10)
            for account_id in elsewhere
            for user in store.find("users", account_id=account_id, role="owner")
        ]


async def _once(house: Any, holds: Callable[[handling.Seen], bool], tickets: int) -> Incident:
    """The one incident, once that holds of it."""
    desk, ends = house.connection.app.desk, time.monotonic() + 60 + 2 * tickets
    while time.monotonic() < ends:
        found = await handling.list_incidents(desk, house.owner)
        if found and holds(found[-1]):
            return found[-1].incident
        await asyncio.sleep(0.3)
    raise AssertionError(f"it has not come to that: {await handling.list_incidents(desk, house.owner)}")


async def _rows(url: str | None) -> dict[str, Any]:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("set role asoe_owner")
        told = await connection.fetch(
            "select t.contact_id, count(*) as n from asoe.session_messages m join public.support_tickets t on t.id = m.ticket_id"
            " where m.role = 'assistant' and m.content like 'You are not the only one%' group by 1"
        )
        ends = await connection.fetch(
            "select status || '/' || coalesce(resolution ->> 'verdict', '') as state from public.support_tickets"
        )
        incidents = await connection.fetchval("select count(*) from asoe.incidents")
        return {
            "told": dict(Counter(row["n"] for row in told)),
            "ends": Counter(row["state"] for row in ends),
            "incidents": incidents,
        }
    finally:
        await connection.close()
