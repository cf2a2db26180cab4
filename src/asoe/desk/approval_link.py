"""Signed links to one approval: for one person, one intent, one hour, one decision. Looking at one changes nothing.

What is signed names organization, approval, person, end and the digest of the act. Who decides, and whether the person still may,
is read from the database; votes are `approval.py`'s, under the same rules as everywhere.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from asoe.desk import approval
from asoe.desk.context import Desk
from asoe.domain.errors import Conflict, Denied, Missing
from asoe.domain.organization import ROLE_RANK, Principal
from asoe.domain.people import Member
from asoe.store import approvals, organizations
from asoe.store.approvals import Approval
from asoe.store.db import Connection

PATH: Final = "/approve"
PURPOSE: Final = "asoe.approval-link"
LASTS: Final = timedelta(hours=1)
_LENGTH: Final = 16 * 3 + 8 + 32
_UNREADABLE: Final = (
    "This link is not one of ours, or is not whole. Copy all of it, or open the approval in the Support Center."
)


@dataclass(frozen=True, slots=True)
class Opened:
    """What a link leads to, as the person it is for sees it. `is_costly`: deciding takes a sign-in as well."""

    found: Approval
    person: Principal
    is_costly: bool
    has_voted: bool


@dataclass(frozen=True, slots=True)
class _Claim:
    org_id: UUID
    approval_id: UUID
    user_id: UUID
    ends_at: datetime
    act: bytes
    """What stands for the exact act, also after it was changed."""


async def path_for(desk: Desk, connection: Connection, member: Member, org_id: UUID, approval_id: UUID) -> str | None:
    """The path of a link for this member from now on; None where nothing is left for it to decide."""
    found = await approvals.find(connection, org_id, approval_id)
    if found.status != "pending" or ROLE_RANK.get(member.role, -1) < ROLE_RANK[found.role]:
        return None
    claim = _Claim(org_id, approval_id, member.user_id, desk.clock() + LASTS, _act(found))
    return f"{PATH}/{_write(desk.derive(PURPOSE)[0], claim)}"


async def open_link(desk: Desk, token: str, *, signed_in: UUID | None = None) -> Opened:
    """What may be decided by it; `signed_in` is whoever is signed in where it is opened.

    Raises `Missing(link_invalid)`, `Denied(link_expired | link_of_another)`, `Conflict(approval_changed)`.
    """
    claim, person = await _read(desk, token, signed_in)
    async with desk.database.org_reading(person) as connection:
        found = await approvals.find(connection, claim.org_id, claim.approval_id)
        has_voted = await approvals.has_voted(connection, claim.org_id, claim.approval_id, person.user_id)
    if not hmac.compare_digest(_act(found), claim.act):
        raise _changed()
    return Opened(found, person, found.risk != "reversible", has_voted)


async def decide(desk: Desk, token: str, vote: str, reason: str = "", *, signed_in: UUID | None = None) -> Approval:
    """Vote as the person the link is for; raises what `open_link` and `approval.decide` raise, and `Denied(sign_in_needed)`."""
    opened = await open_link(desk, token, signed_in=signed_in)
    if opened.is_costly and signed_in is None:
        raise Denied("An act that cannot simply be undone takes a sign-in as well as the link.", code="sign_in_needed")
    return await approval.decide(
        desk, opened.person, opened.found.id, vote, reason, digest=opened.found.digest, via="link"
    )


async def _read(desk: Desk, token: str, signed_in: UUID | None) -> tuple[_Claim, Principal]:
    claim = next((found for key in desk.derive(PURPOSE) if (found := _claim(key, token)) is not None), None)
    if claim is None:
        raise Missing(_UNREADABLE, code="link_invalid")
    if desk.clock() >= claim.ends_at:
        raise Denied(
            "This link was good for an hour and is over. Open the approval in the Support Center.", code="link_expired"
        )
    if signed_in is not None and signed_in != claim.user_id:
        raise Denied(
            "This link is for another person than the one who is signed in here. Sign out, or decide under your own name.",
            code="link_of_another",
        )
    engine = await desk.engine_of(claim.org_id)
    async with desk.database.org_reading(engine) as connection:
        member = await organizations.find_member(connection, claim.org_id, claim.user_id)
    if member is None or member.disabled_at is not None or member.kind != "person":
        raise Missing("The person this link is for is no member any more.", code="link_invalid")
    return claim, Principal(member.user_id, claim.org_id, member.role, member.name)


def _write(key: bytes, claim: _Claim) -> str:
    ends = int(claim.ends_at.timestamp()).to_bytes(8, "big")
    body = claim.org_id.bytes + claim.approval_id.bytes + claim.user_id.bytes + ends + claim.act
    return base64.urlsafe_b64encode(body + hmac.digest(key, body, "sha256")).decode().rstrip("=")


def _claim(key: bytes, token: str) -> _Claim | None:
    """None when it was not signed with this key, in exactly these letters."""
    try:
        raw = base64.urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
    except (ValueError, binascii.Error):
        return None
    body, signature = raw[:_LENGTH], raw[_LENGTH:]
    is_canonical = base64.urlsafe_b64encode(raw).decode().rstrip("=") == token
    if not is_canonical or not hmac.compare_digest(hmac.digest(key, body, "sha256"), signature):
        return None
    return _Claim(
        UUID(bytes=body[:16]),
        UUID(bytes=body[16:32]),
        UUID(bytes=body[32:48]),
        datetime.fromtimestamp(int.from_bytes(body[48:56], "big"), UTC),
        body[56:],
    )


def _act(found: Approval) -> bytes:
    return hashlib.sha256(found.digest.encode()).digest()


def _changed() -> Conflict:
    return Conflict(
        "What this link asked about is not what would be done now. Open the approval in the Support Center.",
        code="approval_changed",
    )
