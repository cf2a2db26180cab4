"""Members, invitations and keys: nobody gives more than they have, nobody is left without an owner, secrets show once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from unittest.mock import ANY
from uuid import uuid4

import asyncpg
import pytest

from asoe.desk import people
from asoe.domain.errors import Conflict, Denied, Invalid, Missing
from asoe.store import facts, organizations


@dataclass
class Desk:
    database: object
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def clock(self):
        return lambda: self.now


@pytest.fixture
def desk(database):
    return Desk(database)


async def kinds(database, principal):
    async with database.org_reading(principal) as connection:
        return [(fact.kind, fact.data) for fact in await facts.read_after(connection, principal.org_id, limit=100)]


async def as_owner(owner_dsn, sql, *arguments):
    connection = await asyncpg.connect(owner_dsn)
    try:
        return await connection.fetch(sql, *arguments)
    finally:
        await connection.close()


def code_of(caught):
    return caught.value.code


# --- roles ---


async def test_agents_clients_and_the_engine_manage_nobody(desk, acme):
    someone = acme.client.user_id
    for principal in (acme.agent, acme.client, acme.engine):
        for act in (
            people.add_member(desk, principal, email="x@acme.example", name="X", role="client"),
            people.invite(desk, principal, email="x@acme.example", role="client"),
            people.create_key(desk, principal, name="K", role="client"),
            people.change_role(desk, principal, someone, "agent"),
            people.disable_member(desk, principal, someone),
            people.enable_member(desk, principal, someone),
            people.list_keys(desk, principal),
            people.list_invitations(desk, principal),
            people.revoke_key(desk, principal, uuid4()),
            people.revoke_invitation(desk, principal, uuid4()),
            people.change_organization(desk, principal, name="Mine"),
        ):
            with pytest.raises(Denied) as caught:
                await act
            assert code_of(caught) == "admin_only"


async def test_an_admin_makes_no_owner_and_touches_none(desk, acme):
    for act in (
        people.add_member(desk, acme.admin, email="x@acme.example", name="X", role="owner"),
        people.invite(desk, acme.admin, email="x@acme.example", role="owner"),
        people.create_key(desk, acme.admin, name="K", role="owner"),
        people.change_role(desk, acme.admin, acme.agent.user_id, "owner"),
    ):
        with pytest.raises(Denied) as caught:
            await act
        assert code_of(caught) == "role_too_high"
    for act in (
        people.change_role(desk, acme.admin, acme.owner.user_id, "client"),
        people.disable_member(desk, acme.admin, acme.owner.user_id),
    ):
        with pytest.raises(Denied) as caught:
            await act
        assert code_of(caught) == "owner_only"


async def test_the_database_says_no_even_if_the_desk_said_yes(desk, acme):
    """A principal that claims more than its row says is held by the policies."""
    liar = replace(acme.agent, role="owner")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await people.create_key(desk, liar, name="K", role="owner")
    with pytest.raises(Conflict):
        await people.change_role(desk, liar, acme.client.user_id, "agent")
    with pytest.raises(Missing):
        await people.change_organization(desk, liar, name="Mine")


async def test_the_last_owner_stays(desk, acme):
    for act in (
        people.change_role(desk, acme.owner, acme.owner.user_id, "admin"),
        people.disable_member(desk, acme.owner, acme.owner.user_id),
    ):
        with pytest.raises(Conflict) as caught:
            await act
        assert code_of(caught) == "last_owner"
    await people.create_key(desk, acme.owner, name="Not a person", role="owner")
    with pytest.raises(Conflict):
        await people.disable_member(desk, acme.owner, acme.owner.user_id)
    await people.change_role(desk, acme.owner, acme.admin.user_id, "owner")
    assert (await people.change_role(desk, acme.owner, acme.owner.user_id, "admin")).role == "admin"


async def test_two_owners_cannot_remove_each_other(desk, database, acme, owner_dsn):
    await people.change_role(desk, acme.owner, acme.admin.user_id, "owner")
    second = replace(acme.admin, role="owner")
    async with database.org_transaction(acme.owner) as connection:
        assert await organizations.lock_owners(connection, acme.org_id) == {acme.owner.user_id, second.user_id}
        back = asyncio.create_task(people.disable_member(desk, second, acme.owner.user_id))
        async with asyncio.timeout(20):
            while not (await as_owner(owner_dsn, "select count(*) from pg_locks where not granted"))[0][0]:
                assert not back.done()
        await organizations.change_member(connection, acme.org_id, second.user_id, disabled=True)
    with pytest.raises(Conflict) as caught:
        await back
    assert code_of(caught) == "last_owner"
    assert await people.list_members(desk, acme.owner)


async def test_machines_are_not_changed_like_people(desk, acme):
    made = await people.create_key(desk, acme.owner, name="Shop", role="agent")
    for account in (made.key.user_id, acme.engine.user_id):
        with pytest.raises(Conflict) as caught:
            await people.change_role(desk, acme.owner, account, "client")
        assert code_of(caught) == "not_a_person"
    names = {member.name for member in await people.list_members(desk, acme.owner)}
    assert names == {"Cleo", "Cleo's deputy", "Ben", "Ana"}


async def test_members_come_in_pages_and_clients_see_themselves(desk, acme):
    first = await people.list_members(desk, acme.agent, limit=3)
    rest = await people.list_members(desk, acme.agent, after=first[-1].user_id)
    assert len({member.user_id for member in first + rest}) == 4
    assert [member.role for member in await people.list_members(desk, acme.agent, role="client")] == ["client"]
    assert [member.user_id for member in await people.list_members(desk, acme.client)] == [acme.client.user_id]


async def test_another_organization_is_not_there(desk, acme, globex):
    key = (await people.create_key(desk, acme.owner, name="Shop", role="agent")).key
    invitation = (await people.invite(desk, acme.owner, email="x@acme.example", role="agent")).invitation
    for act in (
        people.read_member(desk, globex.owner, acme.agent.user_id),
        people.change_role(desk, globex.owner, acme.agent.user_id, "client"),
        people.disable_member(desk, globex.owner, acme.agent.user_id),
        people.revoke_key(desk, globex.owner, key.id),
        people.revoke_invitation(desk, globex.owner, invitation.id),
    ):
        with pytest.raises(Missing):
            await act
    assert await people.list_keys(desk, globex.owner) == []
    assert await people.list_invitations(desk, globex.owner) == []
    pretender = replace(globex.owner, org_id=acme.org_id)
    assert await people.list_members(desk, pretender) == []
    assert await people.list_keys(desk, pretender) == []


async def test_a_person_may_belong_to_two_organizations_with_one_account(desk, acme, globex):
    email = "ben.agent@acme.example"
    added = await people.add_member(desk, globex.admin, email=f" {email.upper()} ", name="Ben", role="client")
    assert added.user_id == acme.agent.user_id
    with pytest.raises(Conflict) as caught:
        await people.add_member(desk, globex.admin, email=email, name="Ben", role="agent")
    assert code_of(caught) == "already_member"


@pytest.mark.parametrize(
    "email", ["", "ana", "ana@", "@x", "a b@x", "a@x\n.example", "ana@x,b@x", "<ana@x>", "a" * 300]
)
async def test_bad_addresses_are_named(desk, acme, email):
    with pytest.raises(Invalid) as caught:
        await people.add_member(desk, acme.owner, email=email, name="X", role="client")
    assert caught.value.fields[0].field == "email"


async def test_each_change_is_a_fact_without_names_or_addresses(desk, database, acme):
    member = await people.add_member(desk, acme.owner, email="dora@acme.example", name="Dora", role="agent")
    await people.change_role(desk, acme.owner, member.user_id, "admin")
    await people.change_role(desk, acme.owner, member.user_id, "admin")
    await people.disable_member(desk, acme.owner, member.user_id)
    await people.disable_member(desk, acme.owner, member.user_id)
    await people.enable_member(desk, acme.owner, member.user_id)
    made = await people.create_key(desk, acme.owner, name="Dora's key", role="client")
    await people.revoke_key(desk, acme.owner, made.key.id)
    await people.revoke_key(desk, acme.owner, made.key.id)
    invited = await people.invite(desk, acme.owner, email="emil@acme.example", role="agent")
    await people.accept_invitation(desk, invited.token, "Emil")
    found = await kinds(database, acme.owner)
    assert [kind for kind, _ in found] == [
        "member.added", "member.changed", "member.changed", "member.changed", "key.created", "key.revoked",
        "member.invited", "member.added",
    ]  # fmt: skip
    assert "dora" not in str(found).lower()
    assert "emil" not in str(found).lower()


# --- keys ---


async def test_a_key_shows_once_and_is_stored_as_a_hash(desk, acme, owner_dsn):
    made = await people.create_key(desk, acme.owner, name="Shop", role="agent", scopes=["tickets:read"])
    assert people.KEY_FORM.fullmatch(made.token)["prefix"] == made.key.prefix
    assert made.token not in repr(made)
    secret = made.token.rpartition(made.key.prefix)[2]
    stored = await as_owner(owner_dsn, "select k::text from asoe.api_keys k union all select f::text from asoe.facts f")
    assert stored
    assert not any(secret in str(row) or secret[1:] in str(row) for row in stored)
    assert await people.list_keys(desk, acme.owner) == [made.key]


async def test_what_is_remembered_of_a_new_key_is_in_its_transaction(desk, acme):
    async def refuse(connection, key):
        raise Conflict("the idempotency key was used for another request")

    with pytest.raises(Conflict):
        await people.create_key(desk, acme.owner, name="Shop", role="agent", remember=refuse)
    assert await people.list_keys(desk, acme.owner) == []


async def test_a_narrowed_key_makes_nothing_wider(desk, acme):
    narrow = replace(acme.admin, scopes=frozenset({"people:write", "tickets:write"}))
    for scopes in ([], ["admin"], ["knowledge:write"], ["tickets:read", "knowledge:read"]):
        with pytest.raises(Denied) as caught:
            await people.create_key(desk, narrow, name="K", role="admin", scopes=scopes)
        assert code_of(caught) == "scope_too_wide"
    for act in (
        people.add_member(desk, narrow, email="x@acme.example", name="X", role="admin"),
        people.invite(desk, narrow, email="x@acme.example", role="admin"),
        people.change_role(desk, narrow, acme.agent.user_id, "admin"),
    ):
        with pytest.raises(Denied) as caught:
            await act
        assert code_of(caught) == "scope_too_wide"
    assert await people.create_key(desk, narrow, name="K", role="admin", scopes=["tickets:read"])
    wide = replace(acme.admin, scopes=frozenset({"admin"}))
    assert await people.create_key(desk, wide, name="K", role="admin")


async def test_wrong_wishes_for_a_key_are_named(desk, acme):
    for wish, field_name in (
        ({"role": "engine"}, "role"),
        ({"role": "root"}, "role"),
        ({"role": "agent", "scopes": ["tickets:destroy"]}, "scopes"),
        ({"role": "agent", "expires_at": desk.now}, "expires_at"),
        ({"role": "agent", "expires_at": datetime(2090, 1, 1)}, "expires_at"),
        ({"role": "agent", "name": " "}, "name"),
        ({"role": "agent", "name": "a\x00b"}, "name"),
    ):
        with pytest.raises(Invalid) as caught:
            await people.create_key(desk, acme.owner, **{"name": "K", **wish})
        assert [problem.field for problem in caught.value.fields] == [field_name]


async def test_an_admin_can_end_an_owners_key(desk, acme):
    made = await people.create_key(desk, acme.owner, name="K", role="owner")
    revoked = await people.revoke_key(desk, acme.admin, made.key.id)
    assert revoked.revoked_at is not None
    assert await people.list_keys(desk, acme.admin, with_revoked=False) == []


# --- invitations ---


async def test_an_invitation_makes_a_member_once(desk, acme, owner_dsn):
    invited = await people.invite(desk, acme.admin, email="Dora@acme.example", role="agent")
    assert invited.token not in repr(invited)
    outcomes = await asyncio.gather(
        *(people.accept_invitation(desk, invited.token, "Dora") for _ in range(4)), return_exceptions=True
    )
    (dora,) = [one for one in outcomes if not isinstance(one, Exception)]
    assert {one.code for one in outcomes if isinstance(one, Exception)} == {"invitation_accepted"}
    assert (dora.org_id, dora.role) == (acme.org_id, "agent")
    assert (await people.read_member(desk, dora, dora.user_id)).email == "dora@acme.example"
    stored = await as_owner(owner_dsn, "select i::text from asoe.invitations i")
    assert invited.token not in str(stored)


async def test_ended_invitations_say_why(desk, acme, owner_dsn):
    withdrawn = await people.invite(desk, acme.admin, email="a@acme.example", role="agent")
    await people.revoke_invitation(desk, acme.admin, withdrawn.invitation.id)
    replaced = await people.invite(desk, acme.admin, email="b@acme.example", role="agent")
    await people.invite(desk, acme.admin, email="b@acme.example", role="client")
    late = await people.invite(desk, acme.admin, email="c@acme.example", role="agent")
    await as_owner(
        owner_dsn,
        "update asoe.invitations set expires_at = now() - interval '1 second' where id = $1",
        late.invitation.id,
    )
    for token, code in (
        (withdrawn.token, "invitation_revoked"),
        (replaced.token, "invitation_revoked"),
        (late.token, "invitation_expired"),
        ("asoe_invite_x", "no_invitation"),
    ):
        with pytest.raises((Conflict, Missing)) as caught:
            await people.accept_invitation(desk, token, "X")
        assert code_of(caught) == code
    assert len(await people.list_invitations(desk, acme.admin)) == 2
    assert len(await people.list_invitations(desk, acme.admin, with_ended=True)) == 4


async def test_whoever_is_disabled_comes_back_by_no_open_invitation(desk, acme, owner_dsn):
    own = await people.invite(desk, acme.admin, email="other@private.example", role="admin")
    await people.disable_member(desk, acme.owner, acme.admin.user_id)
    with pytest.raises(Conflict) as caught:
        await people.accept_invitation(desk, own.token, "X")
    assert code_of(caught) == "invitation_revoked"
    again = await people.invite(desk, acme.owner, email="cleo.admin@acme.example", role="agent")
    back = await people.accept_invitation(desk, again.token, "Cleo")
    assert (back.user_id, back.role) == (acme.admin.user_id, "agent")


async def test_an_invitation_never_changes_an_active_members_role(desk, acme):
    invited = await people.invite(desk, acme.admin, email="dora@acme.example", role="client")
    dora = await people.add_member(desk, acme.owner, email="dora@acme.example", name="Dora", role="admin")
    accepted = await people.accept_invitation(desk, invited.token, "Dora")
    assert (accepted.user_id, accepted.role) == (dora.user_id, "admin")
    with pytest.raises(Conflict) as caught:
        await people.invite(desk, acme.owner, email="dora@acme.example", role="client")
    assert code_of(caught) == "already_member"


# --- organizations ---


async def test_an_organization_is_made_found_suspended_and_deleted(desk, database, owner_dsn, globex):
    made = await organizations.create_organization(owner_dsn, "Initech", "initech", "Bill@initech.example", "Bill")
    assert await organizations.find_organization(owner_dsn, "initech") == made
    assert (await organizations.find_organization(owner_dsn, str(made.org_id))).engine == made.engine
    key = await people.create_key(desk, made.owner, name="First", role="owner")
    assert key.key.role == "owner"
    assert [fact for fact, _ in await kinds(database, made.owner)] == ["member.added", "key.created"]
    assert {one.slug for one in await organizations.list_organizations(database)} == {"initech", "globex"}
    await organizations.suspend_organization(owner_dsn, made.org_id)
    assert {one.slug for one in await organizations.list_organizations(database)} == {"globex"}
    for wrong, code in (("initech", "slug_taken"), ("Not A Slug", "bad_slug"), ("", "bad_slug")):
        with pytest.raises((Conflict, Invalid)) as caught:
            await organizations.create_organization(owner_dsn, "X", wrong, "x@initech.example", "X")
        assert code_of(caught) == code
    with pytest.raises(Conflict) as caught:
        await organizations.create_organization(owner_dsn, "X", "x", "x@initech.example", "X", wanted_id=made.org_id)
    assert code_of(caught) == "organization_exists"
    await organizations.delete_organization(owner_dsn, made.org_id)
    with pytest.raises(Missing):
        await organizations.delete_organization(owner_dsn, made.org_id)
    with pytest.raises(Missing):
        await organizations.find_organization(owner_dsn, "initech")


async def tables_with_org(owner_dsn):
    rows = await as_owner(
        owner_dsn,
        """select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
        join pg_attribute a on a.attrelid = c.oid and a.attname = 'org_id' and not a.attisdropped
        where n.nspname in ('public', 'asoe') and c.relkind in ('r', 'p') and not c.relispartition""",
    )
    return [row["name"] for row in rows]


async def fill(desk, org, owner_dsn):
    await people.create_key(desk, org.owner, name="Shop", role="agent")
    await people.invite(desk, org.owner, email="x@x.example", role="agent")
    ticket = (
        await as_owner(
            owner_dsn,
            """insert into public.support_tickets (org_id, user_id, category) values ($1, $2, 'billing') returning id""",
            org.org_id,
            org.client.user_id,
        )
    )[0]["id"]
    await as_owner(owner_dsn, "insert into public.support_sessions (ticket_id) values ($1)", ticket)


async def count_rows(owner_dsn, org_id):
    return {
        table: (await as_owner(owner_dsn, f"select count(*) from {table} where org_id = $1", org_id))[0][0]
        for table in await tables_with_org(owner_dsn)
    }


@pytest.mark.parametrize("is_ours", [True, False], ids=["our tables", "tables that were there before ASOE"])
async def test_a_deleted_organization_leaves_nothing_and_takes_nothing_of_another(
    desk, acme, globex, owner_dsn, server, is_ours
):
    for org in (acme, globex):
        await fill(desk, org, owner_dsn)
    if not is_ours:
        for statement in (
            "grant select, insert, update, delete on auth.users, public.organizations, public.user_organizations to asoe_owner",
            "alter table auth.users owner to postgres", "alter table public.organizations owner to postgres",
            "alter table public.user_organizations owner to postgres",
            "delete from asoe.foundations",
            "grant select, insert, update, delete on auth.users, public.organizations, public.user_organizations to asoe_owner",
        ):  # fmt: skip
            await as_owner(owner_dsn.partition("&options")[0], statement)
    before = await count_rows(owner_dsn, globex.org_id)
    await organizations.delete_organization(owner_dsn, acme.org_id)
    left = {table: rows for table, rows in (await count_rows(owner_dsn, acme.org_id)).items() if rows}
    assert left == ({} if is_ours else {"public.user_organizations": 4})
    assert await count_rows(owner_dsn, globex.org_id) == before
    organizations_left = (await as_owner(owner_dsn, "select count(*) from public.organizations"))[0][0]
    people_left = (await as_owner(owner_dsn, "select count(*) from auth.users"))[0][0]
    assert (organizations_left, people_left) == ((1, 6) if is_ours else (2, 10))


async def test_settings_are_merged_checked_and_named_in_a_fact(desk, database, acme):
    await people.change_organization(desk, acme.admin, settings={"reopen_window_days": 3, "signature": "Acme"})
    changed = await people.change_organization(desk, acme.admin, name="Acme Inc.", settings={"signature": None})
    assert (changed.name, changed.settings) == ("Acme Inc.", {"reopen_window_days": 3})
    with pytest.raises(Invalid):
        await people.change_organization(desk, acme.admin, settings={"reopen_window_days": "soon"})
    assert await people.read_organization(desk, acme.client) == changed
    assert [data for _, data in await kinds(database, acme.owner)] == [
        {"names": ["reopen_window_days", "signature"],
         "values": {"reopen_window_days": [None, 3], "signature": [None, "Acme"]}},
        {"names": ["signature", "name"], "values": {"signature": ["Acme", None], "name": ["Acme", ANY]}},
    ]  # fmt: skip
