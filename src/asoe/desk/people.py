"""Who belongs to an organization and with which keys. Owners and admins decide, nobody grants more than they have.

Tokens of keys and invitations are returned once and stored as hashes. Sending an invitation is the mail's job.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID

from asoe.domain.errors import Conflict, Denied, FieldProblem, Invalid, Missing
from asoe.domain.facts import before_and_after
from asoe.domain.incident import read_incident_rules
from asoe.domain.intent import named_in, refuse_unknown
from asoe.domain.organization import Principal
from asoe.domain.people import (
    ApiKey,
    Contact,
    Invitation,
    Member,
    Organization,
    check_name,
    check_role,
    check_scopes,
    clean_email,
    may_grant,
    scope_allows,
)
from asoe.domain.policy import read_policy
from asoe.domain.routing import read_routing
from asoe.domain.service_level import read_service_levels
from asoe.store import contacts, facts, keys, org_intents, organizations, service_levels
from asoe.store.db import Connection, Database

KEY_FORM: Final = re.compile(r"asoe_(?P<prefix>[a-z0-9]{8})_[A-Za-z0-9_-]{43}", re.ASCII)
INVITATION_DAYS: Final = 7
_PREFIX_LETTERS: Final = "abcdefghijkmnpqrstuvwxyz23456789"


class PeopleDesk(Protocol):
    """What these functions need of the desk."""

    @property
    def database(self) -> Database: ...
    @property
    def clock(self) -> Callable[[], datetime]: ...


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key with its token, which nobody can show again."""

    key: ApiKey
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewInvitation:
    """An invitation with its token, which nobody can show again."""

    invitation: Invitation
    token: str = field(repr=False)


def hash_token(token: str) -> bytes:
    """What is stored of a token. Tokens have 256 random bits: a slow hash would add nothing but time."""
    return hashlib.sha256(token.encode()).digest()


# --- the organization ---


async def read_organization(desk: PeopleDesk, principal: Principal) -> Organization:
    async with desk.database.org_reading(principal) as connection:
        return await organizations.read_organization(connection, principal.org_id)


async def change_organization(
    desk: PeopleDesk, principal: Principal, *, name: str | None = None, settings: dict[str, Any] | None = None
) -> Organization:
    """Rename, or merge settings key by key (null removes a key); raises `Invalid(bad_policy)` when they make no policy."""
    _require_admin(principal, "change the organization")
    wanted = None if name is None else check_name(name)
    async with desk.database.org_transaction(principal) as connection:
        before = await organizations.read_organization(connection, principal.org_id)
        changed = await organizations.change_organization(connection, principal.org_id, name=wanted, settings=settings)
        read_policy(changed.settings)
        read_service_levels(changed.settings)
        read_routing(changed.settings)
        read_incident_rules(changed.settings)
        if settings and {"routing", "incidents", "persons_only"} & settings.keys():
            refuse_unknown(
                named_in(changed.settings), await org_intents.names(connection, principal.org_id), code="bad_policy"
            )
        if settings and {"service_levels", "business_hours", "teams"} & settings.keys():
            await service_levels.watch(connection, principal.org_id)
            await service_levels.recount(connection, principal.org_id, now=desk.clock())
        names = sorted(settings or {}) + (["name"] if name is not None else [])
        then, now = {**before.settings, "name": before.name}, {**changed.settings, "name": changed.name}
        values = before_and_after(then, now, names)
        await facts.record(connection, principal, "settings.changed", names=names, values=values)
        return changed


# --- members ---


async def list_members(
    desk: PeopleDesk, principal: Principal, *, role: str | None = None, after: UUID | None = None, limit: int = 100
) -> list[Member]:
    """People of the organization, oldest first; clients see themselves."""
    async with desk.database.org_reading(principal) as connection:
        return await organizations.list_members(connection, principal.org_id, role=role, after=after, limit=limit)


async def read_member(desk: PeopleDesk, principal: Principal, user_id: UUID) -> Member:
    async with desk.database.org_reading(principal) as connection:
        return await _member(connection, principal, user_id)


async def add_member(
    desk: PeopleDesk,
    principal: Principal,
    *,
    email: str,
    name: str,
    role: str,
    remember: Callable[[Connection, Member], Awaitable[None]] | None = None,
) -> Member:
    """Add a person at once, without an invitation; `remember` runs in the same transaction."""
    _require_grant(principal, role)
    email, name = clean_email(email), check_name(name)
    async with desk.database.org_transaction(principal) as connection:
        account = await organizations.add_account(connection, kind="person", role=role, name=name, email=email)
        await facts.record(connection, principal, "member.added", user_id=account, role=role)
        member = await _member(connection, principal, account)
        if remember is not None:
            await remember(connection, member)
        return member


async def change_role(desk: PeopleDesk, principal: Principal, user_id: UUID, role: str) -> Member:
    """Give a person another role; raises `Conflict(last_owner)` when nobody would own the organization."""
    _require_grant(principal, role)
    async with desk.database.org_transaction(principal) as connection:
        member = await _changeable(connection, principal, user_id)
        if member.role == role:
            return member
        if member.role == "owner":
            await _keep_an_owner(connection, principal, user_id)
        changed = await organizations.change_member(connection, principal.org_id, user_id, role=role)
        await facts.record(connection, principal, "member.changed", user_id=user_id, role=role, before=member.role)
        return _certain(changed)


async def disable_member(desk: PeopleDesk, principal: Principal, user_id: UUID) -> Member:
    """Shut a person out at once, with the invitations it opened and those to its address. Its keys stay: they are listed."""
    _require_admin(principal, "disable a member")
    async with desk.database.org_transaction(principal) as connection:
        member = await _changeable(connection, principal, user_id)
        if member.disabled_at is not None:
            return member
        if member.role == "owner":
            await _keep_an_owner(connection, principal, user_id)
        changed = await organizations.change_member(connection, principal.org_id, user_id, disabled=True)
        await organizations.revoke_invitations_of(connection, principal.org_id, user_id, member.email)
        await facts.record(connection, principal, "member.changed", user_id=user_id, state="disabled", before="enabled")
        return _certain(changed)


async def enable_member(desk: PeopleDesk, principal: Principal, user_id: UUID) -> Member:
    _require_admin(principal, "enable a member")
    async with desk.database.org_transaction(principal) as connection:
        member = await _changeable(connection, principal, user_id)
        if member.disabled_at is None:
            return member
        changed = await organizations.change_member(connection, principal.org_id, user_id, disabled=False)
        await facts.record(connection, principal, "member.changed", user_id=user_id, state="enabled", before="disabled")
        return _certain(changed)


# --- invitations ---


async def invite(
    desk: PeopleDesk,
    principal: Principal,
    *,
    email: str,
    role: str,
    days: int = INVITATION_DAYS,
    remember: Callable[[Connection, Invitation], Awaitable[None]] | None = None,
) -> NewInvitation:
    """Offer a role to an address for some days (1 to 30); an older open invitation to it ends."""
    _require_grant(principal, role)
    email = clean_email(email)
    if not 1 <= days <= 30:
        raise Invalid("An invitation lasts 1 to 30 days.", code="bad_days", fields=(FieldProblem("days", "1 to 30"),))
    token = f"asoe_invite_{secrets.token_urlsafe(32)}"
    async with desk.database.org_transaction(principal) as connection:
        there = await organizations.find_member_by_email(connection, principal.org_id, email)
        if there is not None and there.disabled_at is None:
            raise Conflict(f"{email} is a member already ({there.role}).", code="already_member")
        if there is not None and there.role == "owner" and principal.role != "owner":
            raise Denied("Only an owner may let an owner in again.", code="owner_only")
        invitation = await organizations.invite(
            connection,
            principal,
            email=email,
            role=role,
            token_hash=hash_token(token),
            expires_at=desk.clock() + timedelta(days=days),
        )
        await facts.record(connection, principal, "member.invited", invitation_id=invitation.id, role=role)
        if remember is not None:
            await remember(connection, invitation)
        return NewInvitation(invitation, token)


async def list_invitations(desk: PeopleDesk, principal: Principal, *, with_ended: bool = False) -> list[Invitation]:
    _require_admin(principal, "see invitations")
    async with desk.database.org_reading(principal) as connection:
        return await organizations.list_invitations(connection, principal.org_id, with_ended=with_ended)


async def revoke_invitation(desk: PeopleDesk, principal: Principal, invitation_id: UUID) -> Invitation:
    """End an invitation; revoking one twice changes nothing. Raises `Missing` when there is none or it was accepted."""
    _require_admin(principal, "withdraw an invitation")
    async with desk.database.org_transaction(principal) as connection:
        revoked = await organizations.revoke_invitation(connection, principal.org_id, invitation_id)
        if revoked is None:
            raise Missing("There is no such open invitation; perhaps it was accepted.", code="no_invitation")
        await facts.record(connection, principal, "member.uninvited", invitation_id=invitation_id, role=revoked.role)
        return revoked


async def accept_invitation(desk: PeopleDesk, token: str, name: str) -> Principal:
    """Whoever holds the token becomes the member it names; the only act here that needs no principal."""
    return await organizations.accept_invitation(desk.database, hash_token(token), check_name(name), desk.clock())


# --- keys ---


async def create_key(
    desk: PeopleDesk,
    principal: Principal,
    *,
    name: str,
    role: str,
    scopes: Iterable[str] = (),
    expires_at: datetime | None = None,
    remember: Callable[[Connection, ApiKey], Awaitable[None]] | None = None,
) -> NewKey:
    """Make a key with an account of its own; its role and scopes are at most the caller's. The token is shown once."""
    _require_grant(principal, role, to_a_person=False)
    name, wanted = check_name(name), check_scopes(frozenset(scopes))
    _require_scopes(principal, wanted)
    if expires_at is not None and (expires_at.tzinfo is None or expires_at <= desk.clock()):
        problem = "expires_at must be a time to come, with its time zone."
        raise Invalid(problem, code="bad_expiry", fields=(FieldProblem("expires_at", problem),))
    prefix = "".join(secrets.choice(_PREFIX_LETTERS) for _ in range(8))
    token = f"asoe_{prefix}_{secrets.token_urlsafe(32)}"
    async with desk.database.org_transaction(principal) as connection:
        account = await organizations.add_account(connection, kind="service", role=role, name=name, email=None)
        key = await keys.add(
            connection,
            principal,
            account=account,
            role=role,
            name=name,
            prefix=prefix,
            key_hash=hash_token(token),
            scopes=wanted,
            expires_at=expires_at,
        )
        await facts.record(
            connection, principal, "key.created", key_id=key.id, user_id=account, role=role, scopes=sorted(wanted)
        )
        if remember is not None:
            await remember(connection, key)
        return NewKey(key, token)


async def list_keys(
    desk: PeopleDesk, principal: Principal, *, with_revoked: bool = True, after: UUID | None = None, limit: int = 100
) -> list[ApiKey]:
    """Keys, newest first, without their secrets."""
    _require_admin(principal, "see keys")
    async with desk.database.org_reading(principal) as connection:
        return await keys.list_keys(connection, principal.org_id, with_revoked=with_revoked, after=after, limit=limit)


async def revoke_key(desk: PeopleDesk, principal: Principal, key_id: UUID) -> ApiKey:
    """End a key for good, and its account with it: processes that still remember the key see no rows any more."""
    _require_admin(principal, "revoke a key")
    async with desk.database.org_transaction(principal) as connection:
        key = await keys.lock(connection, principal.org_id, key_id)
        if key is None:
            raise Missing("There is no such key.", code="no_key")
        if key.revoked_at is not None:
            return key
        revoked = await keys.revoke(connection, principal.org_id, key)
        await organizations.change_member(connection, principal.org_id, key.user_id, disabled=True)
        await facts.record(connection, principal, "key.revoked", key_id=key_id)
        return revoked


# --- contacts ---


async def list_contacts(
    desk: PeopleDesk,
    principal: Principal,
    *,
    blocked: bool | None = None,
    email: str | None = None,
    after: UUID | None = None,
    limit: int = 100,
) -> list[Contact]:
    async with desk.database.org_reading(principal) as connection:
        return await contacts.list_contacts(
            connection, principal.org_id, blocked=blocked, email=email, after=after, limit=limit
        )


async def block_contact(desk: PeopleDesk, principal: Principal, contact_id: UUID, *, blocked: bool = True) -> Contact:
    """Stop hearing a contact, or hear it again; any staff may."""
    if not principal.is_staff:
        raise Denied("Only staff may block a contact.", code="staff_only")
    async with desk.database.org_transaction(principal) as connection:
        before = await contacts.find(connection, principal.org_id, contact_id)
        contact = await contacts.set_blocked(connection, principal.org_id, contact_id, blocked=blocked)
        if before is None or contact is None:
            raise Missing("There is no such contact.", code="no_contact")
        was = before.blocked_at is not None
        await facts.record(connection, principal, "sender.blocked", contact_id=contact_id, blocked=blocked, before=was)
        return contact


# --- rules ---


def _require_admin(principal: Principal, to_do: str) -> None:
    if principal.role not in {"owner", "admin"}:
        raise Denied(f"Only an owner or admin may {to_do}; you are {principal.role}.", code="admin_only")


def _require_grant(principal: Principal, role: str, *, to_a_person: bool = True) -> None:
    check_role(role)
    _require_admin(principal, "give roles")
    if not may_grant(principal.role, role):
        raise Denied(f"You are {principal.role} and cannot give the role {role}.", code="role_too_high")
    if to_a_person and role in {"owner", "admin"} and not scope_allows(principal.scopes, "admin"):
        # people have no scopes: whoever the key made an admin could do what the key may not
        raise Denied(f"Your key lacks the scope admin, which making an {role} takes.", code="scope_too_wide")


def _require_scopes(principal: Principal, wanted: frozenset[str]) -> None:
    """A narrowed key makes no wider ones."""
    if not principal.scopes or "admin" in principal.scopes:
        return
    if not wanted or not all(scope_allows(principal.scopes, scope) for scope in wanted):
        raise Denied(
            f"Your key is limited to {', '.join(sorted(principal.scopes))}; a key it makes must name scopes among these.",
            code="scope_too_wide",
        )


async def _member(connection: Connection, principal: Principal, user_id: UUID) -> Member:
    member = await organizations.find_member(connection, principal.org_id, user_id)
    if member is None:
        raise Missing("There is no such member.", code="no_member")
    return member


async def _changeable(connection: Connection, principal: Principal, user_id: UUID) -> Member:
    member = await _member(connection, principal, user_id)
    if member.kind != "person":
        raise Conflict(
            f"This is the account of {'a key: revoke the key' if member.kind == 'service' else 'the engine: it stays'}.",
            code="not_a_person",
        )
    if member.role == "owner" and principal.role != "owner":
        raise Denied("Only an owner may change an owner.", code="owner_only")
    return member


async def _keep_an_owner(connection: Connection, principal: Principal, leaving: UUID) -> None:
    if not await organizations.lock_owners(connection, principal.org_id) - {leaving}:
        raise Conflict("This is the organization's last owner. Make somebody else an owner first.", code="last_owner")


def _certain(member: Member | None) -> Member:
    """The policies said no, or somebody was faster, after our own check said yes."""
    if member is None:
        raise Conflict("The member changed in the meantime. Read it again.", code="member_changed")
    return member
