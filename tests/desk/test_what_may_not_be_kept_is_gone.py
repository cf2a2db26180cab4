"""Erasing leaves no word of the client anywhere and all counts as they were; exports and retention take exactly theirs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from asoe.desk import context, housekeeping, insight, intake, journey, privacy, session, ticket
from asoe.desk.intake import NewContact, NewTicket
from asoe.domain.errors import Denied, Missing
from asoe.store import attachments, idempotency, journeys

MARK = "quetzalcoatl"


async def holding(world, mark: str) -> list[str]:
    """Every text and JSON column of every table that holds the mark, as table.column."""
    columns = await world.rows(
        """select c.table_schema as s, c.table_name as t, c.column_name as c from information_schema.columns c
           join information_schema.tables k on k.table_schema = c.table_schema and k.table_name = c.table_name
           where c.table_schema in ('public', 'asoe', 'auth', 'queue') and k.table_type = 'BASE TABLE'"""
    )
    found = []
    for column in columns:
        where = f"{column['s']}.{column['t']}"
        sql = f'select count(*) from {where} where "{column["c"]}"::text ilike $1'
        if await world.one(sql, f"%{mark}%"):
            found.append(f"{where}.{column['c']}")
        if column["c"] in {"payload", "content"}:
            sql = f"select count(*) from {where} where position(convert_to($1, 'utf8') in \"{column['c']}\"::bytea) > 0"
            kind = await world.one("select data_type from information_schema.columns where table_schema = $1 and table_name = $2 and column_name = $3", column["s"], column["t"], column["c"])  # fmt: skip
            if kind == "bytea" and await world.one(sql, mark):
                found.append(f"{where}.{column['c']} (bytes)")
    return found


async def full_of_marks(world):
    """A client whose mark is in every place where words can go."""

    async def remember(connection, made):
        await idempotency.remember(
            connection,
            world.acme.agent,
            f"key-{made.number}",
            request=b"x",
            status=201,
            response=json.dumps({"id": str(made.id), "body": MARK}),
        )

    contact = NewContact(email=f"{MARK}@example.org", name=MARK.title(), external_id=f"x-{MARK}", phone="+12025550123")
    new = NewTicket(
        subject=f"about {MARK}",
        body=f"{MARK} wrote this #severity:critical",
        metadata={"page": MARK},
        contact=contact,
        cc=(f"{MARK}@example.org",),
        tags=(MARK,),
    )
    made = await intake.open_ticket(world.desk, world.acme.agent, new, remember=remember)
    await world.drain()
    await world.say(made, f"more {MARK}", by=world.acme.agent)
    await session.add_note(world.desk, world.acme.agent, made.id, f"a note on {MARK}")
    await world.say(made, f"Dear {MARK}", by=world.acme.agent, role="agent")
    await ticket.move_ticket(world.desk, world.acme.agent, made.id, "resolved")
    async with world.desk.database.org_transaction(world.acme.agent) as connection:
        await attachments.insert(
            connection,
            world.acme.org_id,
            attachments.Attachment(
                id=uuid4(), ticket_id=made.id, name=f"{MARK}.txt", media_type="text/plain", size=len(MARK),
                sha256=b"x",
                created_at=world.clock.now, is_internal=False, created_by=world.acme.agent.user_id,
            ),
            content=MARK.encode(),
        )  # fmt: skip
    second = await intake.open_ticket(
        world.desk, world.acme.agent, NewTicket(body=f"{MARK} again #severity:critical", contact=contact)
    )
    await world.drain()
    other = await world.open_by_contact("somebody else's words")
    await ticket.merge_ticket(world.desk, world.acme.agent, second.id, into=other.id)
    return made, second, other


async def test_erasing_a_client_leaves_no_word_anywhere_and_every_count(world):
    made, second, other = await full_of_marks(world)
    assert len(await holding(world, MARK)) > 12
    before = await insight.get_stats(world.desk, world.acme.agent)
    rows = await world.one("select count(*) from asoe.session_messages")
    assert await privacy.erase_contact(world.desk, world.acme.admin, made.contact_id) == 2
    assert await holding(world, MARK) == []
    assert await insight.get_stats(world.desk, world.acme.agent) == before
    assert await world.one("select count(*) from asoe.session_messages") == rows
    erased = await world.now(made)
    assert (erased.body, erased.category, erased.status) == ("[erased]", made.category, "resolved")
    assert (await world.messages(other))[0] == ("user", "somebody else's words")
    assert await world.one("select name from asoe.contacts where id = $1", made.contact_id) == "[erased]"
    await ticket.reopen_ticket(world.desk, world.acme.agent, made.id)
    await world.drain()
    assert (await world.now(second)).merged_into == other.id
    fresh = await world.open_by_contact("new words", email=f"{MARK}@example.org")
    assert fresh.contact_id != made.contact_id


async def test_only_admins_erase_and_export_and_only_their_own(world, globex):
    made = await world.open_by_contact("my words")
    for act in (privacy.erase_contact, privacy.export_contact):
        for who in (world.acme.agent, world.acme.client, world.acme.engine):
            with pytest.raises(Denied):
                await act(world.desk, who, made.contact_id)
        with pytest.raises(Missing):
            await act(world.desk, globex.admin, made.contact_id)
    assert (await world.now(made)).body == made.body


async def test_an_export_holds_everything_of_the_client_and_nothing_of_others(world):
    made, second, other = await full_of_marks(world)
    await world.owner.execute(
        """insert into asoe.session_messages (org_id, session_id, ticket_id, seq, role, content)
           select $1, $2, $3, 1000 + n, 'user', 'filler ' || n from generate_series(1, 600) n""",
        world.acme.org_id, made.session_id, made.id,
    )  # fmt: skip
    out = await privacy.export_contact(world.desk, world.acme.admin, made.contact_id)
    assert [each["id"] for each in out["tickets"]] == [made.id, second.id]
    assert out["contact"]["email"] == f"{MARK}@example.org"
    said = [message["content"] for message in out["tickets"][0]["messages"]]
    assert len(said) == 600 + 4
    assert f"more {MARK}" in said
    assert f"Dear {MARK}" in said
    text = json.dumps(out, default=str)
    assert "a note on" not in text
    assert "somebody else" not in text
    assert str(other.id) not in text
    assert [each["name"] for each in out["attachments"]] == [f"{MARK}.txt"]
    assert await world.one("select count(*) from asoe.facts where kind = 'ticket.exported'") == 1


async def test_retention_removes_what_is_due_and_only_that(world, globex):
    await world.set_settings(retention_days={"closed_tickets": 30, "attachments": 10})
    old, young, kept = await world.answered("old"), await world.answered("young"), await world.answered("kept")
    await ticket.close_ticket(world.desk, world.acme.agent, old.id)
    world.clock.move(days=20)
    await ticket.close_ticket(world.desk, world.acme.agent, young.id)
    foreign = await intake.open_ticket(world.desk, globex.client, NewTicket(body="foreign"))
    await journey.advance(world.desk, globex.org_id, foreign.id)
    await ticket.close_ticket(world.desk, globex.agent, foreign.id)
    now = datetime.now(UTC)
    for number, days in enumerate((1, 11)):
        await world.owner.execute(
            """insert into asoe.attachments (org_id, ticket_id, name, media_type, size, sha256, content, created_at)
               values ($1, $2, $3, 'text/plain', 1, 'x', 'x', $4)""",
            world.acme.org_id, kept.id, f"file {number}", now - timedelta(days=days),
        )  # fmt: skip
        for org in (world.acme, globex):
            await world.owner.execute(
                """insert into asoe.idempotency_keys (org_id, user_id, key, request, status, response, created_at)
                   values ($1, $2, $3, 'x', 201, '{}', $4)""",
                org.org_id, org.agent.user_id, f"key {number}", now - timedelta(days=days),
            )  # fmt: skip
    world.clock.now = now
    await housekeeping.apply_retention(world.desk)
    left = {row["id"] for row in await world.rows("select id from public.support_tickets")}
    assert left == {young.id, kept.id, foreign.id}
    assert [row["name"] for row in await world.rows("select name from asoe.attachments")] == ["file 0"]
    keys = await world.rows("select org_id, key from asoe.idempotency_keys order by key, org_id")
    assert {(row["org_id"], row["key"]) for row in keys} == {(world.acme.org_id, "key 0"), (globex.org_id, "key 0")}
    for table in ("asoe.session_messages", "asoe.journeys", "asoe.escalations", "public.support_sessions"):
        assert await world.one(f"select count(*) from {table} where ticket_id = $1", old.id) == 0
    stats = await insight.get_stats(world.desk, world.acme.agent)
    assert (stats.total_tickets, stats.open_tickets) == (2, 1)
    removed = await world.one(
        "select data from asoe.facts where kind = 'retention.applied' and org_id = $1", world.acme.org_id
    )
    assert json.loads(removed)["removed"] == {"closed_tickets": 1, "attachments": 1, "idempotency_keys": 1}
    await housekeeping.apply_retention(world.desk)
    assert await world.one("select count(*) from asoe.facts where kind = 'retention.applied'") == 2


async def test_one_organization_with_wrong_settings_keeps_no_other_waiting(world, globex):
    await world.set_settings(retention_days={"closed_tickets": "soon"})
    await world.owner.execute(
        """insert into asoe.idempotency_keys (org_id, user_id, key, request, status, response, created_at)
           values ($1, $2, 'k', 'x', 201, '{}', now() - interval '9 days')""",
        globex.org_id, globex.agent.user_id,
    )  # fmt: skip
    world.clock.now = datetime.now(UTC)
    await housekeeping.apply_retention(world.desk)
    assert await world.one("select count(*) from asoe.idempotency_keys") == 0


async def test_a_suspended_organizations_timers_keep_no_other_waiting(world, globex):
    await world.answered()
    theirs = await intake.open_ticket(world.desk, globex.client, NewTicket(body="theirs"))
    await world.drain()
    await world.owner.execute(
        "update asoe.organization_profiles set suspended_at = now() where org_id = $1", world.acme.org_id
    )
    world.clock.move(hours=49)
    async with world.desk.database.system_transaction("due_timers") as connection:
        assert [org_id for org_id, _ in await journeys.due(connection)] == [globex.org_id], "it would fill every batch"
    await housekeeping.wake_due(world.desk)
    assert await world.jobs() == 1
    await world.drain()
    assert (await ticket.read_ticket(world.desk, globex.agent, theirs.id)).status == "resolved"


async def test_a_suspension_is_noticed_by_processes_that_know_the_organization(world, monkeypatch):
    made = await world.answered()
    assert (await world.desk.engine_of(world.acme.org_id)).org_id == world.acme.org_id
    await world.owner.execute("update asoe.organization_profiles set suspended_at = now()")
    monkeypatch.setattr(context, "ENGINES_KEPT", 0.0)
    with pytest.raises(Missing):
        await world.desk.engine_of(world.acme.org_id)
    assert await journey.carry_on(world.desk, world.acme.org_id, made.id) == "gone"
    await world.owner.execute("update asoe.organization_profiles set suspended_at = null")
    assert (await world.desk.engine_of("acme")).org_id == world.acme.org_id


async def test_a_timer_wakes_its_ticket_once_and_never_again_for_nothing(world):
    made = await world.answered()
    await world.owner.execute("delete from queue.pgqueuer")
    world.clock.move(hours=49)
    await housekeeping.wake_due(world.desk)
    await housekeeping.wake_due(world.desk)
    assert await world.jobs() == 1
    await world.owner.execute("update asoe.journeys set stage = 'with_person'")
    await world.drain()
    assert (await world.journey(made))["due_at"] is None
    await housekeeping.wake_due(world.desk)
    assert await world.jobs() == 0


async def test_whoever_was_forgotten_is_found_again(world, monkeypatch):
    monkeypatch.setattr(housekeeping, "FORGOTTEN_AFTER", 0.0)
    lost, unheard, waiting = await world.open("lost"), await world.answered("unheard"), await world.answered("waiting")
    await world.say(unheard, "no")
    await world.owner.execute("delete from queue.pgqueuer")
    await housekeeping.wake_forgotten(world.desk)
    assert await world.jobs() == 2
    await world.drain()
    assert [len(await world.said_by_engine(each)) for each in (lost, unheard, waiting)] == [1, 2, 1]


async def test_partitions_are_made_ahead(world):
    await housekeeping.prepare_partitions(world.desk)
    await housekeeping.fold_tallies(world.desk)
    month = datetime.now(UTC).strftime("%Y_%m")
    assert await world.one("select to_regclass('asoe.facts_' || $1) is not null", month)
