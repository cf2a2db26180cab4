"""Proves who calls: an API key or a JWT becomes a `Principal`. What it may do is the permission table's question.

The organization is the key's; with a JWT the header X-Organization-Id, else the claim org_id, else the only membership.
Role and membership are read from the database at every call, never from the token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from asoe.api.tokens import TokenVerifier
from asoe.config import Settings
from asoe.desk.people import KEY_FORM, hash_token
from asoe.domain.errors import Denied, FieldProblem, Invalid
from asoe.domain.organization import Principal
from asoe.domain.people import SCOPES, Membership
from asoe.store import keys, organizations
from asoe.store.db import Database
from asoe.store.keys import FoundKey

ORGANIZATION_HEADER: Final = "X-Organization-Id"
_MAX_REMEMBERED: Final = 10_000
_USE_NOTED_SECONDS: Final = 60


@dataclass(slots=True)
class _Remembered:
    found: FoundKey
    at: float


class Authenticator:
    """One per process. Only keys that were good are remembered, so nobody can fill the memory with guesses."""

    def __init__(self, database: Database, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._tokens = TokenVerifier(settings, clock)
        self._keep_seconds = settings.key_cache_seconds
        self._remembered: dict[bytes, _Remembered] = {}
        self._noted: dict[bytes, float] = {}

    async def authenticate(self, headers: Mapping[str, str]) -> Principal:
        """Who calls, proven. `headers` in any case.

        Raises `Denied(unproven=True)` with code no_credentials, bad_key, revoked_key, expired_key, disabled_key, bad_token
        or expired_token; `Denied` with not_a_member, organization_suspended or wrong_organization; `Invalid` with
        which_organization, bad_organization_id or repeated_header; `Unavailable` when a key set or the database is away.
        """
        credential = _bearer(_only(headers, "Authorization"))
        wanted = _wanted_organization(_only(headers, ORGANIZATION_HEADER))
        if credential.startswith("asoe_"):
            return await self._by_key(credential, wanted)
        if not self._tokens.is_configured:
            raise _unproven("This is not an API key (asoe_…), and this installation takes no JWTs.", code="bad_key")
        return await self._by_token(credential, wanted)

    def forget_key(self, key_id: UUID) -> None:
        """Call after revoking a key; other processes forget it after `key_cache_seconds`."""
        for key_hash, remembered in list(self._remembered.items()):
            if remembered.found.principal.key_id == key_id:
                del self._remembered[key_hash]

    async def _by_key(self, token: str, wanted: UUID | None) -> Principal:
        if not KEY_FORM.fullmatch(token):
            raise _unproven("This API key is incomplete: asoe_, 8 characters, _, and 43 more.", code="bad_key")
        found = await self._find_key(hash_token(token))
        if found is None:
            raise _unproven("There is no such API key.", code="bad_key")
        if found.revoked_at is not None:
            raise _unproven("This API key was revoked. Make a new one.", code="revoked_key")
        if found.expires_at is not None and found.expires_at <= self._clock():
            raise _unproven(f"This API key expired on {found.expires_at:%Y-%m-%d}. Make a new one.", code="expired_key")
        if found.disabled_at is not None:
            raise _unproven("The account of this API key is disabled.", code="disabled_key")
        if found.suspended_at is not None:
            raise _suspended()
        if wanted is not None and wanted != found.principal.org_id:
            raise Denied(
                f"This API key belongs to another organization than {ORGANIZATION_HEADER} names. Leave the header out.",
                code="wrong_organization",
            )
        return found.principal

    async def _find_key(self, key_hash: bytes) -> FoundKey | None:
        now = self._clock().timestamp()
        remembered = self._remembered.get(key_hash)
        if remembered is not None and 0 <= now - remembered.at < self._keep_seconds:
            return remembered.found
        is_noted = 0 <= now - self._noted.get(key_hash, float("-inf")) < _USE_NOTED_SECONDS
        found = await keys.find(self._database, key_hash, used=not is_noted)
        self._remembered.pop(key_hash, None)
        if found is None or not self._is_good(found):
            return found
        if len(self._remembered) >= _MAX_REMEMBERED:
            self._remembered.clear()
        if len(self._noted) >= _MAX_REMEMBERED:
            self._noted.clear()
        self._remembered[key_hash] = _Remembered(found, now)
        if not is_noted:
            self._noted[key_hash] = now
        return found

    def _is_good(self, found: FoundKey) -> bool:
        ended = found.expires_at is not None and found.expires_at <= self._clock()
        return not ended and found.revoked_at is None and found.disabled_at is None and found.suspended_at is None

    async def _by_token(self, token: str, wanted: UUID | None) -> Principal:
        claims = await self._tokens.verify(token)
        user_id: UUID = claims["sub"]
        claimed = claims.get("org_id")
        if wanted is None and claimed is not None:
            try:
                wanted = UUID(str(claimed))
            except ValueError:
                raise _unproven("The claim 'org_id' of this token is not a UUID.", code="bad_token") from None
        membership = choose_membership(await organizations.memberships(self._database, user_id), wanted)
        return Principal(user_id, membership.org_id, membership.role, membership.name, scopes=_scopes(claims))


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    """Those of ours that a token names: it may do no more then. One that names none leaves it to the role, as a sign-in does."""
    said = claims.get("scope") or claims.get("scp") or ()
    named = said.split() if isinstance(said, str) else said if isinstance(said, list) else ()
    return frozenset(each for each in named if isinstance(each, str)) & SCOPES.keys()


def choose_membership(found: list[Membership], wanted: UUID | None) -> Membership:
    """The membership to act with (design 3.2); raises `Denied`, or `Invalid(which_organization)` that lists them."""
    if wanted is not None:
        chosen = next((one for one in found if one.org_id == wanted), None)
        if chosen is None:
            raise Denied(f"You are not a member of organization {wanted}.", code="not_a_member")
        if chosen.suspended_at is not None:
            raise _suspended()
        return chosen
    active = [one for one in found if one.suspended_at is None]
    if len(active) == 1:
        return active[0]
    if not active:
        if found:
            raise _suspended()
        raise Denied("You are not a member of any organization here.", code="not_a_member")
    listed = ", ".join(f"{one.org_id} ({one.organization})" for one in active)
    raise Invalid(
        f"You belong to several organizations. Name one in the header {ORGANIZATION_HEADER}: {listed}.",
        code="which_organization",
        fields=(FieldProblem(ORGANIZATION_HEADER, f"one of {listed}"),),
        unreadable=True,
    )


def _only(headers: Mapping[str, str], name: str) -> str | None:
    """The header's value; two of them would let a proxy and us see different callers."""
    lower = name.lower()
    values = [value for key, value in headers.items() if key.lower() == lower]
    if len(values) > 1:
        raise Invalid(
            f"The header {name} was sent {len(values)} times. Send it once.", code="repeated_header", unreadable=True
        )
    return values[0] if values else None


def _bearer(value: str | None) -> str:
    scheme, _, credential = (value or "").strip().partition(" ")
    if scheme.lower() != "bearer" or not credential.strip():
        raise _unproven("Say who you are: `Authorization: Bearer <API key or JWT>`.", code="no_credentials")
    return credential.strip()


def _wanted_organization(value: str | None) -> UUID | None:
    if value is None:
        return None
    try:
        return UUID(value.strip())
    except ValueError:
        problem = "must be the UUID of an organization"
        raise Invalid(
            f"The header {ORGANIZATION_HEADER} {problem}.",
            code="bad_organization_id",
            fields=(FieldProblem(ORGANIZATION_HEADER, problem),),
            unreadable=True,
        ) from None


def _unproven(message: str, *, code: str) -> Denied:
    return Denied(message, code=code, unproven=True)


def _suspended() -> Denied:
    return Denied("This organization is suspended.", code="organization_suspended")
