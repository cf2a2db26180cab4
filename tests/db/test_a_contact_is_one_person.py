"""A contact is found by its surest identifier, made once whoever is faster, and never given a stranger's address."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from asoe.desk import people
from asoe.domain.errors import Denied, Invalid, Missing
from asoe.store import contacts, facts


@dataclass
class Desk:
    database: object

    @property
    def clock(self):
        return lambda: datetime.now(UTC)


async def meet(database, org, **given):
    async with database.org_transaction(org.engine) as connection:
        return await contacts.find_or_create(connection, org.org_id, **given)


async def test_one_address_is_one_contact_however_it_is_written(database, acme, globex):
    ana = await meet(database, acme, email="Ana@Example.com", name="Ana")
    assert (ana.email, ana.name) == ("ana@example.com", "Ana")
    assert await meet(database, acme, email=" ana@example.COM ", name="Somebody") == ana
    paul = await meet(database, acme, phone="0049 (30) 123-45 67")
    assert await meet(database, acme, phone="+49301234567") == paul
    assert (await meet(database, globex, email="ana@example.com")).id != ana.id


async def test_a_missing_name_is_filled_and_a_known_one_kept(database, acme):
    nameless = await meet(database, acme, email="ana@example.com")
    named = await meet(database, acme, email="ana@example.com", name="Ana")
    assert (named.id, named.name) == (nameless.id, "Ana")
    assert (await meet(database, acme, email="ana@example.com", name="Eve")).name == "Ana"


async def test_the_surest_identifier_decides_and_none_is_added(database, acme):
    ana = await meet(database, acme, email="ana@example.com")
    known = await meet(database, acme, external_id="u-1")
    assert await meet(database, acme, external_id="u-1", email="ana@example.com") == known
    assert await meet(database, acme, email="ana@example.com", phone="+4930999999") == ana
    assert (await meet(database, acme, phone="+4930999999")).id != ana.id


async def test_the_same_contact_from_many_places_at_once_is_made_once(database, acme):
    met = await asyncio.gather(
        *(meet(database, acme, email="ana@example.com", phone="+4930999999", name=f"Ana {n}") for n in range(8))
    )
    assert len({contact.id for contact in met}) == 1


async def test_a_contact_without_or_with_a_wrong_address_is_refused(database, acme):
    for given in ({}, {"email": "", "external_id": " "}, {"email": "ana"}, {"phone": "call me"}, {"phone": "12"}):
        with pytest.raises(Invalid):
            await meet(database, acme, **given)


async def test_staff_blocks_and_unblocks_and_clients_see_no_contact(database, acme, globex):
    desk = Desk(database)
    ana = await meet(database, acme, email="ana@example.com")
    eve = await meet(database, acme, email="eve@example.com")
    assert (await people.block_contact(desk, acme.agent, eve.id)).blocked_at is not None
    assert [one.id for one in await people.list_contacts(desk, acme.agent, blocked=True)] == [eve.id]
    assert [one.id for one in await people.list_contacts(desk, acme.agent, email="ANA@example.com")] == [ana.id]
    first, second = await people.list_contacts(desk, acme.agent)
    assert await people.list_contacts(desk, acme.agent, after=first.id) == [second]
    assert (await people.block_contact(desk, acme.agent, eve.id, blocked=False)).blocked_at is None
    assert await people.list_contacts(desk, acme.client) == []
    assert await people.list_contacts(desk, globex.agent) == []
    with pytest.raises(Denied):
        await people.block_contact(desk, acme.client, ana.id)
    for principal, contact in ((globex.agent, ana.id), (acme.agent, uuid4())):
        with pytest.raises(Missing):
            await people.block_contact(desk, principal, contact)
    async with database.org_reading(acme.agent) as connection:
        found = await facts.read_after(connection, acme.org_id)
    assert [fact.data["blocked"] for fact in found if fact.kind == "sender.blocked"] == [True, False]
