"""Members, keys, invitations and contacts, and the rules between them: who may grant what, and how addresses are written."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from asoe.domain.errors import FieldProblem, Invalid
from asoe.domain.organization import ROLE_RANK, ROLES

SCOPES: Final[dict[str, str]] = {
    "tickets:read": "read tickets, sessions, timelines and statistics",
    "tickets:write": "open and change tickets, write messages (includes tickets:read)",
    "knowledge:read": "read articles",
    "knowledge:write": "write, publish and retire articles (includes knowledge:read)",
    "people:read": "read members, contacts and keys",
    "people:write": "invite and change members, block contacts, make and revoke keys (includes people:read)",
    "runbooks:read": "read runbooks, runs, approvals and connectors",
    "runbooks:write": "write and publish runbooks, start and cancel runs, stop all acts (includes runbooks:read)",
    "credits:read": "read balances and charges of the credit ledger",
    "credits:write": "post to the credit ledger and report how work ended (includes credits:read)",
    "approvals:decide": "agree to acts; has to be named, no key may otherwise",
    "admin": "everything the key's role may",
}
APPROVE: Final = "approvals:decide"
"""What a key can be narrowed to. A key without scopes may do everything its role may."""

_EMAIL = re.compile(r"^[^@\s<>,;\"]{1,64}@[^@\s<>,;\".]+(\.[^@\s<>,;\".]+)*$")
_SLUG = re.compile(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")


@dataclass(frozen=True, slots=True)
class Organization:
    """The tenant as its members see it."""

    org_id: UUID
    name: str
    slug: str
    settings: dict[str, Any] = field(default_factory=dict)
    created_at: datetime | None = None
    suspended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """An account with a role in one organization; `kind` is person, service (a key's) or engine."""

    user_id: UUID
    role: str
    kind: str
    name: str
    email: str | None
    created_at: datetime
    disabled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Membership:
    """One organization a person may act in, as seen before a choice is made."""

    org_id: UUID
    role: str
    name: str
    organization: str
    suspended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret, which is shown once and stored only as a hash."""

    id: UUID
    user_id: UUID
    name: str
    prefix: str
    role: str
    scopes: frozenset[str]
    created_by: UUID | None
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Invitation:
    """A role offered to an address; its token is shown once."""

    id: UUID
    email: str
    role: str
    invited_by: UUID | None
    created_at: datetime
    expires_at: datetime
    accepted_at: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Contact:
    """A client known only by address."""

    id: UUID
    email: str | None
    phone: str | None
    external_id: str | None
    name: str
    language: str | None
    user_id: UUID | None
    blocked_at: datetime | None
    created_at: datetime
    plan: str | None = None


def may_grant(role: str, wanted: str) -> bool:
    """Whether `role` may give `wanted` to somebody: only owners and admins grant, and nothing above themselves."""
    return ROLE_RANK.get(role, -1) >= ROLE_RANK["admin"] and ROLE_RANK[wanted] <= ROLE_RANK[role]


def scope_allows(scopes: frozenset[str], needed: str) -> bool:
    """Whether a key with `scopes` may do what `needed` names; none at all, and `admin`, leave it to the role."""
    if not scopes or "admin" in scopes or needed in scopes:
        return True
    noun, _, verb = needed.partition(":")
    return verb == "read" and f"{noun}:write" in scopes


def check_role(role: str) -> str:
    if role not in ROLES:
        raise _wrong("role", f"{role!r} is no role; it is one of {', '.join(ROLES)}.", code="unknown_role")
    return role


def check_scopes(scopes: frozenset[str]) -> frozenset[str]:
    if unknown := sorted(scopes - SCOPES.keys()):
        known = ", ".join(SCOPES)
        raise _wrong("scopes", f"No such scope: {', '.join(unknown)}. Known are {known}.", code="unknown_scope")
    return scopes


def check_slug(slug: str) -> str:
    if not _SLUG.match(slug):
        problem = f"{slug!r} must be 1 to 63 small letters, digits and inner hyphens, such as acme-support."
        raise _wrong("slug", problem, code="bad_slug")
    return slug


def check_name(name: str) -> str:
    """A name for people to read: 1 to 200 printable characters."""
    cleaned = name.strip()
    if not 1 <= len(cleaned) <= 200 or not cleaned.isprintable():
        raise _wrong("name", "A name is 1 to 200 printable characters.", code="bad_name")
    return cleaned


def clean_email(address: str) -> str:
    """The address in the one form we compare; raises `Invalid(bad_email)`."""
    cleaned = address.strip().lower()
    if len(cleaned) > 254 or not cleaned.isprintable() or not _EMAIL.match(cleaned):
        raise _wrong("email", "This is not an e-mail address such as ana@example.com.", code="bad_email")
    return cleaned


def clean_phone(number: str) -> str:
    """Digits with a leading + where the country is known; raises `Invalid(bad_phone)`."""
    cleaned = re.sub(r"[\s().\-/]", "", number)
    if cleaned.startswith("00"):
        cleaned = f"+{cleaned[2:]}"
    if not re.fullmatch(r"\+?[0-9]{4,15}", cleaned, re.ASCII):
        raise _wrong("phone", "This is not a telephone number such as +49 30 1234567.", code="bad_phone")
    return cleaned


def _wrong(field_name: str, problem: str, *, code: str) -> Invalid:
    return Invalid(problem, code=code, fields=(FieldProblem(field_name, problem),))
