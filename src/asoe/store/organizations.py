"""Organizations, their members and invitations. Who may do what is the desk's question; the policies are the second lock.

Making and deleting an organization takes an owner connection (role asoe_owner); everything else a transaction of `db.py`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from asoe.domain.errors import Conflict, Missing
from asoe.domain.organization import Principal
from asoe.domain.people import Invitation, Member, Membership, Organization, check_name, check_slug, clean_email
from asoe.store import facts
from asoe.store.db import Connection, Database
from asoe.store.queries import NamedQueries
from asoe.store.roles import owner_of_schema

_LISTED: Final = 20


class OrganizationsSql(NamedQueries):
    create: str
    remove: str
    set_suspended: str
    find_accounts: str
    list_slugs: str
    list_all: str
    read: str
    settings: str
    change: str
    list_members: str
    find_member: str
    find_member_by_email: str
    add_account: str
    lock_owners: str
    change_member: str
    memberships: str
    find_address: str
    invite: str
    list_invitations: str
    revoke_invitation: str
    revoke_invitations_to: str
    revoke_invitations_of: str
    accept_invitation: str
    find_invitation: str


@dataclass(frozen=True, slots=True)
class OrganizationAccounts:
    """An organization's first owner and its engine, ready to act."""

    org_id: UUID
    slug: str
    owner: Principal
    engine: Principal


@dataclass(frozen=True, slots=True)
class ListedOrganization:
    """What a cron job needs to open a transaction in each organization."""

    org_id: UUID
    slug: str
    engine: Principal


async def create_organization(
    owner_url: str,
    name: str,
    slug: str,
    owner_email: str,
    owner_name: str,
    *,
    wanted_id: UUID | None = None,
) -> OrganizationAccounts:
    """Make an organization with its engine account and first owner.

    `wanted_id` adopts an organization that was there before ASOE. Raises `Conflict(slug_taken | organization_exists)`.
    """
    name, slug, owner_email = check_name(name), check_slug(slug), clean_email(owner_email)
    async with as_owner(owner_url) as connection:
        try:
            row = await connection.fetchrow(OrganizationsSql.create, name, slug, owner_email, owner_name, wanted_id)
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name == "organization_profiles_pkey":
                raise Conflict(f"Organization {wanted_id} is already ASOE's.", code="organization_exists") from None
            raise Conflict(
                f"There is an organization {slug!r} already. Take another slug.", code="slug_taken"
            ) from None
        made = OrganizationAccounts(
            org_id=row["org_id"],
            slug=slug,
            owner=Principal(row["owner_id"], row["org_id"], "owner", owner_name),
            engine=Principal(row["engine_id"], row["org_id"], "engine", "ASOE"),
        )
        await facts.record(connection, made.engine, "member.added", user_id=made.owner.user_id, role="owner")
        return made


async def find_organization(owner_url: str, slug_or_id: str) -> OrganizationAccounts:
    """The organization's oldest active owner and its engine; raises `Missing(no_organization)`."""
    async with as_owner(owner_url) as connection:
        row = await connection.fetchrow(OrganizationsSql.find_accounts, slug_or_id)
        if row is None:
            raise await _unknown(connection, slug_or_id)
    return OrganizationAccounts(
        org_id=row["org_id"],
        slug=row["slug"],
        owner=Principal(row["owner_id"], row["org_id"], "owner", row["owner_name"]),
        engine=Principal(row["engine_id"], row["org_id"], "engine", "ASOE"),
    )


async def unknown_organization(owner_url: str, named: str) -> Missing:
    """What to tell the installation's operator who named an organization that is not there: which there are."""
    async with as_owner(owner_url) as connection:
        return await _unknown(connection, named)


async def delete_organization(owner_url: str, org_id: UUID) -> None:
    """Delete the organization with all ASOE holds of it, for good; raises `Missing(no_organization)`."""
    async with as_owner(owner_url) as connection:
        if not await connection.fetchval(OrganizationsSql.remove, org_id):
            raise _no_organization(str(org_id))


async def suspend_organization(owner_url: str, org_id: UUID, *, suspended: bool = True) -> None:
    """Shut the organization's doors, or open them again; its data stays."""
    async with as_owner(owner_url) as connection:
        if await connection.fetchval(OrganizationsSql.set_suspended, org_id, suspended) is None:
            raise _no_organization(str(org_id))


async def list_organizations(database: Database) -> list[ListedOrganization]:
    """Every organization that is not suspended, with the account its background work acts as."""
    async with database.system_transaction("list_organizations") as connection:
        rows = await connection.fetch(OrganizationsSql.list_all)
    return [
        ListedOrganization(row["org_id"], row["slug"], Principal(row["engine_id"], row["org_id"], "engine", "ASOE"))
        for row in rows
    ]


async def read_organization(connection: Connection, org_id: UUID) -> Organization:
    """Raises `Missing(no_organization)`."""
    row = await connection.fetchrow(OrganizationsSql.read, org_id)
    if row is None:
        raise _no_organization(str(org_id))
    return Organization(**row)


async def settings(connection: Connection, org_id: UUID) -> dict[str, Any]:
    """The settings as stored, which `domain.policy` reads; raises `Missing(no_organization)`."""
    stored: dict[str, Any] | None = await connection.fetchval(OrganizationsSql.settings, org_id)
    if stored is None:
        raise _no_organization(str(org_id))
    return stored


async def change_organization(
    connection: Connection, org_id: UUID, *, name: str | None = None, settings: dict[str, Any] | None = None
) -> Organization:
    """Merge `settings` key by key (null removes); raises `Missing` when the caller may not."""
    row = await connection.fetchrow(OrganizationsSql.change, org_id, name, settings or {})
    if row is None:
        raise _no_organization(str(org_id))
    return Organization(**row)


async def list_members(
    connection: Connection,
    org_id: UUID,
    *,
    role: str | None = None,
    with_disabled: bool = True,
    after: UUID | None = None,
    limit: int = 100,
) -> list[Member]:
    """People, oldest first; the next page begins after the last `user_id`. Keys' accounts are listed with the keys."""
    rows = await connection.fetch(OrganizationsSql.list_members, org_id, role, with_disabled, after, limit)
    return [Member(**row) for row in rows]


async def find_member(connection: Connection, org_id: UUID, user_id: UUID) -> Member | None:
    row = await connection.fetchrow(OrganizationsSql.find_member, org_id, user_id)
    return None if row is None else Member(**row)


async def find_member_by_email(connection: Connection, org_id: UUID, email: str) -> Member | None:
    row = await connection.fetchrow(OrganizationsSql.find_member_by_email, org_id, email)
    return None if row is None else Member(**row)


async def add_account(connection: Connection, *, kind: str, role: str, name: str, email: str | None) -> UUID:
    """Add a person or a key's account to the transaction's organization; raises `Conflict(already_member)`."""
    try:
        return UUID(str(await connection.fetchval(OrganizationsSql.add_account, kind, role, name, email)))
    except asyncpg.UniqueViolationError:
        raise Conflict(
            f"{email} is a member already. Change the role of that member, or enable it again.", code="already_member"
        ) from None


async def lock_owners(connection: Connection, org_id: UUID) -> frozenset[UUID]:
    """The people who own the organization, locked until the transaction ends."""
    return frozenset(row["user_id"] for row in await connection.fetch(OrganizationsSql.lock_owners, org_id))


async def change_member(
    connection: Connection, org_id: UUID, user_id: UUID, *, role: str | None = None, disabled: bool | None = None
) -> Member | None:
    """None when there is no such member, or the caller may not change it."""
    row = await connection.fetchrow(OrganizationsSql.change_member, org_id, user_id, role, disabled)
    return None if row is None else Member(**row)


async def memberships(database: Database, user_id: UUID) -> list[Membership]:
    """Where this person may act now; read each time, so that a disabled member is out at once."""
    async with database.system_transaction("find_member") as connection:
        rows = await connection.fetch(OrganizationsSql.memberships, user_id)
    return [Membership(row["org_id"], row["role"], row["name"], row["org_name"], row["suspended_at"]) for row in rows]


async def find_address(database: Database, email: str) -> UUID | None:
    """The account of a sign-in address."""
    async with database.system_transaction("find_member") as connection:
        found: UUID | None = await connection.fetchval(OrganizationsSql.find_address, email)
    return found


async def invite(
    connection: Connection, principal: Principal, *, email: str, role: str, token_hash: bytes, expires_at: datetime
) -> Invitation:
    """Open an invitation; those still open to the same address end."""
    await connection.execute(OrganizationsSql.revoke_invitations_to, principal.org_id, email)
    row = await connection.fetchrow(
        OrganizationsSql.invite, principal.org_id, email, role, token_hash, principal.user_id, expires_at
    )
    return Invitation(**row)


async def list_invitations(connection: Connection, org_id: UUID, *, with_ended: bool = False) -> list[Invitation]:
    """At most 500, newest first."""
    return [Invitation(**row) for row in await connection.fetch(OrganizationsSql.list_invitations, org_id, with_ended)]


async def revoke_invitation(connection: Connection, org_id: UUID, invitation_id: UUID) -> Invitation | None:
    """None when there is none that is still open."""
    row = await connection.fetchrow(OrganizationsSql.revoke_invitation, org_id, invitation_id)
    return None if row is None else Invitation(**row)


async def revoke_invitations_of(connection: Connection, org_id: UUID, user_id: UUID, email: str | None) -> None:
    """End what a member opened, and what is open to its address."""
    await connection.execute(OrganizationsSql.revoke_invitations_of, org_id, user_id, email and email.lower())


async def accept_invitation(database: Database, token_hash: bytes, name: str, now: datetime) -> Principal:
    """Become a member by the proof of a token; raises `Missing` or `Conflict` with what became of the invitation."""
    async with database.system_transaction("invitation") as connection:
        try:
            row = await connection.fetchrow(OrganizationsSql.accept_invitation, token_hash, name)
        except asyncpg.UniqueViolationError:
            raise Conflict(
                "Another account is a member under this address already. Ask who invited you.", code="already_member"
            ) from None
        if row is not None:
            return Principal(row["user_id"], row["org_id"], row["role"], name)
        found = await connection.fetchrow(OrganizationsSql.find_invitation, token_hash)
    if found is None:
        raise Missing("There is no such invitation. Copy the whole link you were sent.", code="no_invitation")
    if found["accepted_at"] is not None:
        raise Conflict("This invitation was accepted before. Sign in instead.", code="invitation_accepted")
    if found["revoked_at"] is not None:
        raise Conflict("This invitation was withdrawn. Ask for a new one.", code="invitation_revoked")
    raise Conflict(
        f"This invitation ended at {found['expires_at']:%Y-%m-%d %H:%M} UTC (it is {now:%Y-%m-%d %H:%M}). Ask for a new one.",
        code="invitation_expired",
    )


@asynccontextmanager
async def as_owner(owner_url: str) -> AsyncIterator[Connection]:
    """One transaction of the role that owns ASOE's tables."""
    connection = await asyncpg.connect(owner_url, timeout=10)
    try:
        await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=_to_json, decoder=json.loads)
        async with connection.transaction():
            owner = await connection.fetchval("select quote_ident($1)", await owner_of_schema(connection))
            await connection.execute(f"set local role {owner}")
            yield connection
    finally:
        await connection.close()


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


async def _unknown(connection: Connection, named: str) -> Missing:
    rows = await connection.fetch(OrganizationsSql.list_slugs)
    known = next((row for row in rows if row["slug"] == named), None)
    if known is not None:
        why = f"is suspended: asoe org resume {named}" if known["is_suspended"] else "has no active owner to act as"
        return Missing(f"Organization {named!r} {why}.", code="no_organization")
    if not rows:
        here = "none yet: asoe org create SLUG --name NAME --owner-email ADDRESS makes one"
    else:
        listed = [f"{row['slug']} (suspended)" if row["is_suspended"] else row["slug"] for row in rows[:_LISTED]]
        here = ", ".join(listed) + (" and more" if len(rows) > _LISTED else "") + " (asoe org list)"
    return Missing(f"There is no organization {named!r}. Here are: {here}.", code="no_organization")


def _no_organization(named: str) -> Missing:
    return Missing(f"There is no organization {named!r}.", code="no_organization")
