"""Facts are sealed behind the writers; whatever is done to them afterwards is found at the first place it was done."""

from __future__ import annotations

import json
from dataclasses import replace

import asyncpg
import pytest

from asoe.desk import audit, housekeeping, privacy
from asoe.domain.audit import FIRST
from asoe.domain.errors import Denied, Invalid
from asoe.store import facts

KEY = b"k" * 32


@pytest.fixture
async def kept(world):
    """Acme's desk with a secret key and three sealed blocks."""
    world.desk = replace(world.desk, derive=lambda purpose: (KEY,))
    for body in ("How do I export?", "How do I print?", "Where is the invoice?"):
        await world.open_by_contact(body)
        await world.open_by_contact(body + " And how often?")
        assert await audit.seal(world.desk, world.acme.engine)
    return world


async def proof(world, **more):
    return await audit.prove_trail(world.desk, world.acme.owner, **more)


async def test_everything_that_was_sealed_is_proved_and_the_rest_is_counted(kept):
    await kept.open_by_contact("not sealed yet")
    found = await proof(kept)
    assert found.broken is None
    assert (found.blocks, found.erased) == (3, 0)
    assert found.facts + found.unsealed == await kept.one(
        "select count(*) from asoe.facts where org_id = $1", kept.acme.org_id
    )
    assert found.unsealed > 0
    await housekeeping.seal_facts(kept.desk)
    whole = await proof(kept)
    assert (whole.unsealed, whole.blocks) == (0, 4)
    assert not await audit.seal(kept.desk, kept.acme.engine), "an empty block is never sealed"
    assert (await proof(kept, newest=2)).head == whole.head


async def test_a_transaction_in_flight_holds_the_seal_back_and_is_sealed_later(kept):
    async with kept.desk.database.org_transaction(kept.acme.agent) as late:
        await facts.record(late, kept.acme.agent, "member.changed", state="late")
        async with kept.desk.database.app.acquire() as other, other.transaction():
            await other.execute("select set_config('request.jwt.claims', $1, true)", _claims(kept.acme.engine))
            await facts.record(other, kept.acme.engine, "member.changed", state="early")
        # the task holds a transaction: the seal runs over a connection of its own
        async with kept.desk.database.app.acquire() as sealing, sealing.transaction():
            await sealing.execute("select set_config('request.jwt.claims', $1, true)", _claims(kept.acme.engine))
            assert await sealing.fetchrow("select * from asoe.seal_facts(100)") is None
    assert await audit.seal(kept.desk, kept.acme.engine)
    found = await proof(kept)
    assert found.broken is None
    assert found.unsealed == 0


@pytest.mark.parametrize(
    ("tampering", "what"),
    [
        ("update asoe.facts set kind = 'ticket.closed' where id = $1", "altered"),
        ("update asoe.facts set actor = gen_random_uuid() where id = $1", "altered"),
        ("""update asoe.facts set data = data || '{"channel": "email"}' where id = $1""", "altered"),
        ("update asoe.facts set at = at - interval '1 second' where id = $1", "altered"),
        ("delete from asoe.facts where id = $1", "removed"),
        (
            """insert into asoe.facts (org_id, id, xid, kind) overriding system value
               select org_id, 900000, (xid::text::bigint - 1)::text::xid8, 'approval.decided' from asoe.facts where id = $1""",
            "inserted",
        ),
        ("update asoe.audit_blocks set hash = sha256('x') where $1 = any (fact_ids)", "resealed"),
        ("update asoe.audit_blocks set mark = null where $1 = any (fact_ids)", "resealed"),
        ("update asoe.audit_blocks set fact_ids = fact_ids[2:] where $1 = any (fact_ids)", "resealed"),
        ("delete from asoe.audit_blocks where $1 = any (fact_ids)", "resealed"),
        ("delete from asoe.audit_salts where $1 > 0", "unsalted"),
    ],
)
async def test_what_the_databases_owner_does_is_found_where_it_was_done(kept, tampering, what):
    victim = await kept.one(
        "select fact_ids[1] from asoe.audit_blocks where org_id = $1 and number = 2", kept.acme.org_id
    )
    await kept.owner.execute(tampering, victim)
    found = await proof(kept)
    assert found.broken is not None
    assert found.broken.what == what
    is_everywhere = what == "unsalted"
    assert found.broken.block == (1 if is_everywhere else 2)
    assert found.blocks == (0 if is_everywhere else 1), "what stands before the break is proved"
    if what in {"altered", "removed"}:
        assert found.broken.fact_id == victim


async def test_two_facts_that_changed_places_are_called_reordered(kept):
    first, second = await kept.owner.fetchval(
        "select fact_ids[1:2] from asoe.audit_blocks where org_id = $1 and number = 1", kept.acme.org_id
    )
    for old, new in ((first, -1), (second, first), (-1, second)):
        await kept.owner.execute(
            """with gone as (delete from asoe.facts where id = $1 returning *)
               insert into asoe.facts (org_id, id, xid, kind, ticket_id, session_id, actor, data, at) overriding system value
               select org_id, $2, xid, kind, ticket_id, session_id, actor, data, at from gone""",
            old,
            new,
        )
    found = await proof(kept)
    assert (found.broken.what, found.broken.block, found.broken.fact_id) == ("reordered", 1, first)


async def test_a_fact_written_past_the_service_with_an_old_date_is_found(kept):
    await kept.owner.execute(
        "insert into asoe.facts (org_id, kind, at) values ($1, 'approval.decided', now() - interval '20 days')",
        kept.acme.org_id,
    )
    await audit.seal(kept.desk, kept.acme.engine)
    assert (await proof(kept)).broken.what == "backdated"


async def test_who_seals_everything_anew_without_the_secret_key_is_found(kept):
    noted = await proof(kept)
    await kept.owner.execute("update asoe.facts set kind = 'ticket.closed' where org_id = $1", kept.acme.org_id)
    await kept.owner.execute("delete from asoe.audit_blocks")
    forger = replace(kept.desk, derive=lambda purpose: (b"f" * 32,))
    await audit.seal(forger, kept.acme.engine)
    assert (await proof(kept)).broken.what == "resealed"
    # and who has that as well does not have the head that somebody noted
    await kept.owner.execute("delete from asoe.audit_blocks")
    await audit.seal(kept.desk, kept.acme.engine)
    assert (await proof(kept)).broken is None
    assert (await proof(kept, head=(noted.blocks, noted.head))).broken.what == "resealed"


async def test_no_role_of_the_service_writes_changes_or_removes_a_block(kept):
    statements = (
        "insert into asoe.audit_blocks (org_id, number, previous, hash) values (asoe.current_org(), 9, 'a', 'a')",
        "update asoe.audit_blocks set hash = 'a'",
        "update asoe.audit_blocks set fact_ids = '{}'",
        "delete from asoe.audit_blocks",
        "insert into asoe.audit_salts (org_id, contact_id, salt) values (asoe.current_org(), gen_random_uuid(), 'a')",
        "update asoe.audit_salts set salt = 'a'",
        "update asoe.facts set kind = 'ticket.closed'",
        "delete from asoe.facts",
    )
    for who in (kept.acme.engine, kept.acme.owner):
        for statement in statements:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with kept.desk.database.org_transaction(who) as connection:
                    await connection.execute(statement)
        async with kept.desk.database.org_transaction(who) as connection:
            assert await connection.execute("update asoe.audit_blocks set mark = 'a'") == "UPDATE 0", "marked once"
    for who in (kept.acme.owner, kept.acme.agent, kept.acme.client):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with kept.desk.database.org_transaction(who) as connection:
                await connection.execute("select * from asoe.seal_facts(100)")
    assert (await proof(kept)).broken is None


async def test_erasing_a_client_destroys_the_salt_and_keeps_the_chain(kept):
    made = await kept.open_by_contact("my secret", email="lee@example.org")
    await audit.seal(kept.desk, kept.acme.engine)
    before = await proof(kept)
    await privacy.erase_contact(kept.desk, kept.acme.admin, made.contact_id)
    assert await kept.one("select count(*) from asoe.audit_salts where contact_id = $1", made.contact_id) == 0
    for _ in range(2):  # before the erasure itself is sealed, and after
        after = await proof(kept)
        assert after.broken is None
        assert after.erased > before.erased
        await audit.seal(kept.desk, kept.acme.engine)
    assert await kept.one("select count(*) from asoe.audit_salts where contact_id = $1", made.contact_id) == 0
    # that they happened, and when, is still proved
    await kept.owner.execute("update asoe.facts set at = at + interval '1 second' where ticket_id = $1", made.id)
    assert (await proof(kept)).broken.what == "altered"


async def test_an_exported_trail_is_proved_without_the_database(kept):
    whole = await proof(kept)
    lines = [line async for line in audit.export(kept.desk, kept.acme.owner, with_salts=True)]
    found = audit.prove_export(lines, head=(whole.blocks, whole.head))
    assert (found.broken, found.facts, found.erased, found.head) == (None, whole.facts, 0, whole.head)
    bare = [line async for line in audit.export(kept.desk, kept.acme.owner)]
    assert "salt" not in "".join(bare)
    assert audit.prove_export(bare).erased > 0
    changed = json.loads(lines[1])
    changed["facts"][0]["told"] = changed["facts"][0]["told"].replace("web", "api").replace("[", "[ ")
    assert audit.prove_export([lines[0], json.dumps(changed), lines[2]]).broken.what == "altered"
    assert audit.prove_export([lines[0], lines[2]]).broken.what == "resealed"
    assert audit.prove_export(lines[:2], head=(whole.blocks, whole.head)).broken.what == "resealed"
    assert audit.prove_export([]).head == FIRST
    with pytest.raises(Invalid, match="Line 1"):
        audit.prove_export(["{}"])


async def test_only_owners_and_admins_prove_and_only_their_own(kept, globex):
    for who in (kept.acme.agent, kept.acme.client, kept.acme.engine):
        with pytest.raises(Denied):
            await proof_of(kept, who)
    assert (await audit.prove_trail(kept.desk, globex.owner)).blocks == 0
    for wrong in ("", "3", "0:" + "0" * 64, "1:zz", "1:00"):
        with pytest.raises(Invalid):
            audit.read_head(wrong)


async def proof_of(world, who):
    return await audit.prove_trail(world.desk, who)


def _claims(principal) -> str:
    return json.dumps({"sub": str(principal.user_id), "org_id": str(principal.org_id), "role": "authenticated"})
