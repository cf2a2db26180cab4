"""Connectors as rows: secrets sealed, bound and shown to nobody; changes count at once; another organization has none of it."""

from __future__ import annotations

import asyncio
import json
import secrets
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from connector_cast import SECRET, Stub

from asoe.app import open_connectors
from asoe.connectors.contract import ConnectorError
from asoe.desk import connector_settings as settings
from asoe.desk.context import Desk
from asoe.domain.errors import Conflict, Denied, Invalid, Missing, Unavailable
from asoe.queue import Queue
from asoe.secret_key import SecretKey
from asoe.store import connectors as store
from asoe.store import sealed


@pytest.fixture
def key() -> SecretKey:
    return SecretKey((secrets.token_bytes(32),))


def desk_with(database: Any, key: SecretKey) -> Desk:
    bare = Desk(database, Queue(), None, lambda: datetime.now(UTC))
    return replace(bare, connectors=open_connectors(database, key, bare.engine_of))


@pytest.fixture
async def desk(database, key):
    made = desk_with(database, key)
    yield made
    await made.connectors.close()


def config_of(system: Stub) -> dict[str, Any]:
    return {
        "base_url": system.url,
        "allow_http": True,
        "auth": {"type": "bearer"},
        "operations": {
            "look": {"method": "GET", "path": "/look"},
            "go": {"method": "POST", "path": "/go", "risk": "costly"},
        },
    }


async def added(desk: Desk, org: Any, system: Stub, name: str = "crm", **options: Any) -> Any:
    system.says("/look", {"n": 1})
    given = {
        "kind": "http",
        "config": config_of(system),
        "secrets": {"token": SECRET},
        "allow_private": True,
        **options,
    }
    return await settings.add_connector(desk, org.owner, name=name, may_be_private=True, **given)


async def facts_of(owner_dsn: str) -> list[tuple[str, dict[str, Any]]]:
    connection = await asyncpg.connect(owner_dsn)
    await connection.execute("set role asoe_owner")
    rows = await connection.fetch("select kind, data::text from asoe.facts where kind like 'connector.%' order by id")
    await connection.close()
    return [(row["kind"], json.loads(row["data"])) for row in rows]


async def test_a_connector_is_added_used_changed_and_removed(desk, acme, system, owner_dsn):
    record = await added(desk, acme, system)
    assert record.has_secrets
    hand = await desk.connectors.use(acme.org_id, "crm")
    assert await hand.read("look", {}) == {"n": 1}
    assert system.heard[0].headers["authorization"] == f"Bearer {SECRET}"
    assert set(await hand.actions()) == {"look", "go"}
    assert await settings.secret_names(desk, acme.owner, "crm") == ["token"]

    changed = await settings.change_connector(
        desk, acme.owner, "crm", config={"concurrency": 2, "operations": {"look": {"method": "GET", "path": "/look"}}},
        secrets={"token": "another-token", "extra": "extra-secret"}, may_be_private=True,
    )  # fmt: skip
    assert changed.config["base_url"] == system.url
    assert "taken anew" not in repr(changed)
    with pytest.raises(ConnectorError, match="take it anew"):
        await hand.read("look", {})
    hand = await desk.connectors.use(acme.org_id, "crm")
    await hand.read("look", {})
    assert system.heard[-1].headers["authorization"] == "Bearer another-token"
    assert set(await hand.actions()) == {"look"}
    await settings.change_connector(desk, acme.owner, "crm", secrets={"extra": None}, may_be_private=True)
    assert await settings.secret_names(desk, acme.owner, "crm") == ["token"]

    await settings.disable_connector(desk, acme.owner, "crm", why="audit")
    with pytest.raises(ConnectorError, match="disabled: audit"):
        await desk.connectors.use(acme.org_id, "crm")
    with pytest.raises(Conflict):
        await settings.check_connector(desk, acme.owner, "crm")
    await settings.enable_connector(desk, acme.owner, "crm")
    system.says("/", {})
    assert (await settings.check_connector(desk, acme.owner, "crm")).is_up
    await settings.remove_connector(desk, acme.owner, "crm")
    with pytest.raises(ConnectorError, match="no connector"):
        await desk.connectors.use(acme.org_id, "crm")
    told = await facts_of(owner_dsn)
    assert [kind for kind, _ in told] == [
        "connector.added", "connector.changed", "connector.changed", "connector.disabled", "connector.enabled", "connector.removed",
    ]  # fmt: skip
    assert told[1][1]["names"] == ["concurrency", "operations", "secrets"]
    assert SECRET not in str(told)


async def test_a_secret_lies_nowhere_in_the_clear(desk, acme, system, owner_dsn):
    record = await added(desk, acme, system)
    await (await desk.connectors.use(acme.org_id, "crm")).read("look", {})
    assert SECRET not in repr(record) + repr(desk.connectors) + repr(desk) + str(record.config)
    connection = await asyncpg.connect(owner_dsn)
    await connection.execute("set role asoe_owner")
    whole = await connection.fetchval("select string_agg(c::text, ' ') from asoe.connectors c")
    kept = await connection.fetchval("select sealed from asoe.connectors")
    await connection.close()
    assert SECRET not in whole
    assert SECRET.encode() not in kept
    assert SECRET.encode().hex() not in whole


async def test_sealed_secrets_open_only_where_they_belong(desk, key, acme, globex):
    kept = desk.connectors.seal(acme.org_id, "crm", {"token": SECRET})
    assert desk.connectors.unseal(acme.org_id, "crm", kept) == {"token": SECRET}
    for org_id, name in ((globex.org_id, "crm"), (acme.org_id, "erp")):
        with pytest.raises(Unavailable) as caught:
            desk.connectors.unseal(org_id, name, kept)
        assert caught.value.code == "secrets_sealed"
    for damaged in (kept[:-1] + bytes([kept[-1] ^ 1]), kept[:5], b"", b"\x02" + kept[1:]):
        with pytest.raises(Unavailable):
            desk.connectors.unseal(acme.org_id, "crm", damaged)
    assert desk.connectors.seal(acme.org_id, "crm", {"token": SECRET}) != kept
    assert len({sealed.seal([b"k" * 32], b"x", b"") for _ in range(50)}) == 50


async def test_secrets_outlive_a_rotation_of_the_key_and_not_its_loss(desk, database, key, acme, system):
    await added(desk, acme, system)
    rotated = desk_with(database, SecretKey((secrets.token_bytes(32), *key.keys)))
    assert await (await rotated.connectors.use(acme.org_id, "crm")).read("look", {}) == {"n": 1}
    lost = desk_with(database, SecretKey((secrets.token_bytes(32),)))
    with pytest.raises(ConnectorError, match="secret key") as caught:
        await lost.connectors.use(acme.org_id, "crm")
    assert (caught.value.permanent, caught.value.effect) == (True, "none")
    for each in (rotated, lost):
        await each.connectors.close()


async def test_a_change_made_by_another_process_counts_at_the_next_call(desk, database, key, acme, system):
    await added(desk, acme, system)
    other = desk_with(database, key)
    await (await other.connectors.use(acme.org_id, "crm")).read("look", {})
    await settings.change_connector(desk, acme.owner, "crm", secrets={"token": "newer-token"}, may_be_private=True)
    await (await other.connectors.use(acme.org_id, "crm")).read("look", {})
    assert [each.headers["authorization"] for each in system.heard] == [f"Bearer {SECRET}", "Bearer newer-token"]
    await other.connectors.close()


async def test_another_organization_has_none_of_it(desk, database, acme, globex, system):
    await added(desk, acme, system)
    for call in (settings.read_connector, settings.secret_names, settings.check_connector, settings.read_actions, settings.remove_connector, settings.enable_connector):  # fmt: skip
        with pytest.raises(Missing):
            await call(desk, globex.owner, "crm")
    with pytest.raises(Missing):
        await settings.change_connector(desk, globex.owner, "crm", config={"base_url": "https://evil.example"})
    assert await settings.list_connectors(desk, globex.owner) == []
    with pytest.raises(ConnectorError, match="no connector"):
        await desk.connectors.use(globex.org_id, "crm")
    async with database.org_reading(globex.owner) as connection:
        assert await store.read(connection, acme.org_id, "crm") is None
        assert await store.read_sealed(connection, acme.org_id, "crm") is None
        assert await connection.fetchval("select count(*) from asoe.connectors") == 0
    await added(desk, globex, system, secrets={"token": "token-of-globex"})
    await (await desk.connectors.use(globex.org_id, "crm")).read("look", {})
    await (await desk.connectors.use(acme.org_id, "crm")).read("look", {})
    assert [each.headers["authorization"] for each in system.heard] == ["Bearer token-of-globex", f"Bearer {SECRET}"]


async def test_clients_do_not_even_see_the_rows(desk, database, acme, system):
    await added(desk, acme, system)
    async with database.org_reading(acme.client) as connection:
        assert await connection.fetchval("select count(*) from asoe.connectors") == 0


async def test_only_owners_and_admins_decide(desk, acme, system):
    await added(desk, acme, system)
    for principal in (acme.agent, acme.client, acme.engine):
        for call in (settings.list_connectors(desk, principal), settings.read_connector(desk, principal, "crm"),
                     settings.remove_connector(desk, principal, "crm"), settings.secret_names(desk, principal, "crm"),
                     settings.check_connector(desk, principal, "crm"), settings.enable_connector(desk, principal, "crm"),
                     settings.change_connector(desk, principal, "crm", config={}),
                     settings.add_connector(desk, principal, name="x", kind="http", config={}, secrets={})):  # fmt: skip
            with pytest.raises(Denied):
                await call
    assert len(await settings.list_connectors(desk, acme.admin)) == 1


async def test_private_addresses_are_the_operators_to_allow(desk, acme, system):
    with pytest.raises(Denied) as caught:
        await settings.add_connector(
            desk, acme.owner, name="crm", kind="http", config=config_of(system), secrets={}, allow_private=True
        )
    assert caught.value.code == "private_not_allowed"
    await added(desk, acme, system)
    with pytest.raises(Denied):  # or its owner would point it at something else inside
        await settings.change_connector(desk, acme.owner, "crm", config={"base_url": "http://127.0.0.1:1"})
    await settings.change_connector(desk, acme.owner, "crm", allow_private=False)
    with pytest.raises(ConnectorError, match="private address"):
        await (await desk.connectors.use(acme.org_id, "crm")).read("look", {})


async def test_nobody_has_a_secret_sent_to_himself(desk, acme, system, other):
    await added(desk, acme, system)
    elsewhere = ({"base_url": other.url}, {"hosts": [other.url]}, {"auth": {"type": "api_key", "in": "query", "secret": "token"}}, {"allow_http": None})  # fmt: skip
    for config in elsewhere:
        for given in (None, {"extra": "x-secret"}):
            with pytest.raises(Invalid) as caught:
                await settings.change_connector(
                    desk, acme.owner, "crm", config=config, secrets=given, may_be_private=True
                )
            assert [each.field for each in caught.value.fields] == ["secrets"]
    other.says("/look", {})
    await settings.change_connector(
        desk, acme.owner, "crm", config={"base_url": other.url}, secrets={"token": "my-own"}, may_be_private=True
    )
    await (await desk.connectors.use(acme.org_id, "crm")).read("look", {})
    assert other.heard[0].headers["authorization"] == "Bearer my-own"
    assert system.heard == []


WRONG = (
    ({"name": "Crm"}, "name"),
    ({"kind": "magic"}, "kind"),
    ({"config": {}}, "config.base_url"),
    ({"config": {"base_url": "https://crm.example", "concurrency": 1000}}, "config.concurrency"),
    ({"config": {"base_url": "https://crm.example\x00"}}, "config.base_url"),
    ({"secrets": {"Token": "x"}}, "secrets"),
    ({"secrets": {"token": ""}}, "secrets.token"),
    ({"secrets": {"token": "two\nlines"}}, "secrets.token"),
    ({"secrets": {f"s{n}": "x" for n in range(21)}}, "secrets"),
)


async def test_what_cannot_be_used_is_not_stored(desk, acme, system):
    for wrong, field in WRONG:
        given = {"name": "crm", "kind": "http", "config": config_of(system), "secrets": {"token": SECRET}, **wrong}
        with pytest.raises(Invalid) as caught:
            await settings.add_connector(desk, acme.owner, **given)
        assert caught.value.code == "bad_connector"
        assert field in [each.field for each in caught.value.fields]
        assert SECRET not in caught.value.message
    assert await settings.list_connectors(desk, acme.owner) == []


async def test_a_name_is_taken_once_and_a_change_is_made_over_what_was_read(desk, database, acme, system, monkeypatch):
    await added(desk, acme, system)
    with pytest.raises(Conflict) as caught:
        await added(desk, acme, system)
    assert caught.value.code == "connector_exists"
    read = store.read

    async def read_and_be_overtaken(connection: Any, org_id: Any, name: str) -> Any:
        found = await read(connection, org_id, name)
        monkeypatch.setattr(store, "read", read)
        await settings.change_connector(desk, acme.owner, "crm", config={"concurrency": 3}, may_be_private=True)
        return found

    monkeypatch.setattr(store, "read", read_and_be_overtaken)
    with pytest.raises(Conflict) as caught:
        await settings.change_connector(desk, acme.owner, "crm", config={"concurrency": 4}, may_be_private=True)
    assert caught.value.code == "connector_changed"
    assert (await settings.read_connector(desk, acme.owner, "crm")).config["concurrency"] == 3


async def test_many_who_need_it_at_once_share_one(desk, acme, system):
    await added(desk, acme, system)
    hands = await asyncio.gather(*(desk.connectors.use(acme.org_id, "crm") for _ in range(6)))
    assert await asyncio.gather(*(hand.read("look", {}) for hand in hands)) == [{"n": 1}] * 6
    assert repr(desk.connectors) == "Connectors(1 open)"
