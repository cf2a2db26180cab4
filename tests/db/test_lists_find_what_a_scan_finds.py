"""Lists and searches take short ways through indexes; page by page they return what a scan of all tickets returns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from asoe.domain.ticket import OPEN_STATUSES, SEVERITY_RANK, Ticket
from asoe.store import sessions, tickets
from asoe.store.db import Database
from asoe.store.tickets import NewRow, TicketFilter
from cast import Org

NOW = datetime.now(UTC).replace(microsecond=0)
WORDS = ["sync", "invoice", "login", "o'clock", "back\\slash", "über"]
FILTERS: list[dict[str, Any]] = [
    {},
    {"status": ("open",)},
    {"status": ("open", "closed", "escalated")},
    {"status": ("open", "open", "closed")},
    {"status": ()},
    {"category": ("billing", "technical"), "severity": ("high", "critical")},
    {"severity": ("low",), "status": ("closed", "resolved")},
    {"team": "second line"},
    {"team": "second line", "status": ("escalated", "open")},
    {"tag": "vip"},
    {"tag": "it's \\ odd"},
    {"tag": "never"},
    {"tag": "vip", "status": ("open", "closed")},
    {"intent": ("how_to", "job_failed")},
    {"language": ("de",), "channel": ("email", "web")},
    {"is_spam": True},
    {"is_spam": False, "category": ("billing",)},
    {"q": "sync"},
    {"q": "sync -invoice"},
    {"q": "-sync"},
    {"q": "sync invoice", "status": ("open",)},
    {"q": "ÜBER"},
    {"q": "sync", "tag": "vip", "language": ("en", "de")},
    {"q": "nowhere"},
    {"q": "!?"},
    {"created_before": NOW - timedelta(days=20), "status": ("closed", "open")},
]


@pytest.fixture
async def stored(database: Database, acme: Org, globex: Org) -> list[Ticket]:
    """300 tickets of Acme over two years, more in the last days, some at the same moment; Globex has its own."""
    dice = Random(7)
    made = []
    for number in range(330):
        org = globex if number % 11 == 0 else acme
        days = dice.choice([0.0, 0.5, 1.0, dice.uniform(0, 3), dice.uniform(0, 40), dice.uniform(0, 700)])
        row = NewRow(
            id=uuid4(),
            org_id=org.org_id,
            category=dice.choice(["billing", "technical", "general"]),
            severity=dice.choice(list(SEVERITY_RANK)),
            status=dice.choice(["open", "triaging", "in_progress", "resolved", "escalated", "closed", "closed"]),
            created_at=NOW - timedelta(days=days),
            subject=dice.choice(WORDS),
            body=" ".join(dice.choices(WORDS, k=3)),
            user_id=org.client.user_id if dice.random() < 0.1 else None,
            channel=dice.choice(["api", "email", "web"]),
            language=dice.choice(["en", "en", "en", "de"]),
            intent=dice.choice(["how_to", "job_failed", "refund", None]),
            tags=tuple(dice.sample(["vip", "it's \\ odd", "x"], k=dice.choice([0, 0, 1, 2]))),
            is_spam=dice.random() < 0.05,
        )
        async with database.org_transaction(org.engine) as connection:
            session = sessions.new_session(row.id, assistant_type="ai", at=NOW)
            ticket = await tickets.insert(connection, row, session_id=session.id)
            await sessions.insert(connection, session)
            if dice.random() < 0.3:
                ticket = await tickets.update(connection, ticket, {"team": "second line"})
        if org is acme:
            made.append(ticket)
    return sorted(made, key=lambda ticket: (ticket.created_at, ticket.id), reverse=True)


@pytest.mark.parametrize("chunks", [tickets._SEARCH_CHUNKS, (7, 7)], ids=["usual", "tiny"])
async def test_every_filter_finds_what_a_scan_finds(
    database: Database, acme: Org, stored: list[Ticket], chunks: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tickets, "_SEARCH_CHUNKS", chunks)
    for given in FILTERS:
        wanted = [ticket.number for ticket in stored if _fits(ticket, given)]
        for limit in (7, 200):
            assert await _all_pages(database, acme.agent, TicketFilter(**given), limit) == wanted, (given, limit)


async def test_a_client_finds_its_own(database: Database, acme: Org, stored: list[Ticket]) -> None:
    own = [ticket for ticket in stored if ticket.user_id == acme.client.user_id]
    assert own
    for given in ({}, {"q": "sync"}, {"q": "-sync"}, {"intent": ("how_to",)}):
        wanted = [ticket.number for ticket in own if _fits(ticket, given)]
        assert await _all_pages(database, acme.client, TicketFilter(**given), 3) == wanted, given


async def test_open_tickets_come_by_severity_then_age(database: Database, acme: Org, stored: list[Ticket]) -> None:
    async with database.org_reading(acme.agent) as connection:
        found = await tickets.open_by_severity(connection, acme.org_id)
    ranked = sorted(
        (ticket for ticket in stored if ticket.status in OPEN_STATUSES),
        key=lambda ticket: (-SEVERITY_RANK[ticket.severity], ticket.created_at, ticket.id),
    )
    assert [ticket.number for ticket in found] == [ticket.number for ticket in ranked]


async def test_what_ended_alike_is_what_a_scan_finds(database: Database, acme: Org, stored: list[Ticket]) -> None:
    async with database.org_reading(acme.agent) as connection:
        for one in stored[:60]:
            wanted = [
                each.id
                for each in stored
                if one.intent
                and each.intent == one.intent
                and each.status in {"resolved", "closed"}
                and not each.is_spam
                and each.id != one.id
            ]
            found = [each.id for each in await tickets.ended_alike(connection, one)]
            assert found == wanted[:5]


async def test_a_search_goes_through_the_index(database: Database, owner_dsn: str, acme: Org) -> None:
    """What is asked for is an intersection inside the index: no search reads an organization's tickets one by one."""
    connection = await asyncpg.connect(owner_dsn)
    try:
        await connection.execute("set enable_seqscan = off")
        plan = await connection.fetch(
            "explain select id from public.support_tickets where search @@ (to_tsquery('simple', 'sync') && "
            "asoe.marks_query('#week/' || $1::uuid, 2900, 2903))",
            acme.org_id,
        )
    finally:
        await connection.close()
    assert any("support_tickets_search" in row[0] for row in plan), [row[0] for row in plan]


async def _all_pages(database: Database, principal: Any, wanted: TicketFilter, limit: int) -> list[int | None]:
    numbers: list[int | None] = []
    cursor = None
    for _ in range(400):
        async with database.org_reading(principal) as connection:
            page = await tickets.page(connection, principal.org_id, wanted, cursor=cursor, limit=limit)
        numbers += [ticket.number for ticket in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return numbers
    raise AssertionError("the pages have no end")


def _fits(ticket: Ticket, given: dict[str, Any]) -> bool:
    words = f"{ticket.subject} {ticket.body}".lower().split()
    for name, value in given.items():
        if name == "q":
            asked = value.lower().split()
            if not all((word[1:] not in words) if word.startswith("-") else (word in words) for word in asked):
                return False
        elif name == "tag":
            if value not in ticket.tags:
                return False
        elif name == "created_before":
            if not ticket.created_at < value:
                return False
        elif isinstance(value, tuple):
            if getattr(ticket, name) not in value:
                return False
        elif getattr(ticket, name) != value:
            return False
    return True
