"""Signing in: a password proves an address, a token in a cookie proves the sign-in. Limits on guessing are the door's.

Hashing runs in a thread, two at a time, and takes as long for an address nobody has as for a wrong password.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Final
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from asoe.desk.people import PeopleDesk, hash_token
from asoe.domain.errors import Conflict, Denied, FieldProblem, Invalid, Missing
from asoe.domain.organization import Principal
from asoe.domain.people import Membership, check_name, clean_email
from asoe.store import facts, organizations, sign_ins
from asoe.store.sign_ins import Offer, OpenSignIn, SignIn

IDLE: Final = timedelta(hours=12)
"""A sign-in that nobody used for so long has ended."""
LIFETIME: Final = timedelta(days=14)
"""After so long everybody signs in anew."""
MIN_PASSWORD: Final = 10
MAX_PASSWORD: Final = 200

_HASHER: Final = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
_HASHING: Final = asyncio.Semaphore(2)
"""Each hash takes 64 MB and most of a core for a moment."""


@dataclass(frozen=True, slots=True)
class NewSignIn:
    """A sign-in with its token, which only its cookie holds."""

    user_id: UUID
    token: str = field(repr=False)


async def sign_in(desk: PeopleDesk, email: str, password: str, *, agent: str = "") -> NewSignIn:
    """Raises `Denied(bad_credentials)`, the same for an unknown address and a wrong password."""
    try:
        address = clean_email(email)
    except Invalid:
        address = ""
    found = await sign_ins.find_password(desk.database, address) if address else None
    user_id, stored = found or (None, await _hash_of_nobody())
    is_right = await _verify(stored, password)
    if user_id is None or not is_right:
        raise Denied(
            "This address and password do not belong together, or nobody here has them.",
            code="bad_credentials",
            unproven=True,
        )
    return await open_sign_in(desk, user_id, agent=agent)


async def sign_in_proven(desk: PeopleDesk, email: str, *, agent: str = "") -> NewSignIn:
    """Let in whoever another proved to have this address; raises `Denied(no_member_here)` when it is no member's."""
    try:
        user_id = await sign_ins.find_person(desk.database, clean_email(email))
    except Invalid:
        user_id = None
    if user_id is None:
        raise Denied(
            "Nobody here has this address. Ask an owner or admin of your organization for an invitation.",
            code="no_member_here",
            unproven=True,
        )
    return await open_sign_in(desk, user_id, agent=agent)


async def open_sign_in(desk: PeopleDesk, user_id: UUID, *, agent: str = "") -> NewSignIn:
    """A new sign-in of somebody who was proven; the only organization there is is chosen at once."""
    token, now = secrets.token_urlsafe(32), desk.clock()
    token_hash = hash_token(token)
    await sign_ins.open_sign_in(
        desk.database, user_id, token_hash=token_hash, agent=_printable(agent), at=now, until=now + LIFETIME
    )
    active = [each for each in await organizations.memberships(desk.database, user_id) if each.suspended_at is None]
    if len(active) == 1:
        await sign_ins.choose(desk.database, token_hash, active[0].org_id)
    return NewSignIn(user_id, token)


async def find(desk: PeopleDesk, token: str) -> SignIn | None:
    """Who this token speaks for; role and membership as the database has them now."""
    return (await find_all(desk, (token,))).get(token)


async def find_all(desk: PeopleDesk, tokens: Iterable[str]) -> dict[str, SignIn]:
    """`find` for several tokens in one reading; those that speak for nobody are left out."""
    by_hash = {hash_token(token): token for token in tokens}
    found = await sign_ins.find(desk.database, by_hash, at=desk.clock(), idle=IDLE)
    return {by_hash[token_hash]: sign_in for token_hash, sign_in in found.items()}


async def choices(desk: PeopleDesk, user_id: UUID) -> list[Membership]:
    """The organizations a person may act in."""
    found = await organizations.memberships(desk.database, user_id)
    return [each for each in found if each.suspended_at is None]


async def choose(desk: PeopleDesk, token: str, org_id: UUID) -> None:
    """Act in this organization from now on; raises `Missing(no_organization)`."""
    if not await sign_ins.choose(desk.database, hash_token(token), org_id):
        raise Missing("There is no such organization, or you are no member of it.", code="no_organization")


async def sign_out(desk: PeopleDesk, token: str) -> None:
    await sign_ins.end_one(desk.database, hash_token(token))


async def sign_out_everywhere(desk: PeopleDesk, user_id: UUID) -> int:
    """End every sign-in of a person, this one too; returns how many."""
    return await sign_ins.end_all(desk.database, user_id)


async def list_sign_ins(desk: PeopleDesk, principal: Principal) -> list[OpenSignIn]:
    async with desk.database.org_reading(principal) as connection:
        return await sign_ins.own(connection, principal.user_id, at=desk.clock())


async def change_password(desk: PeopleDesk, principal: Principal, *, token: str, current: str, new: str) -> None:
    """Change one's own password and end one's other sign-ins; raises `Denied(wrong_password)`, `Invalid(bad_password)`."""
    async with desk.database.org_reading(principal) as connection:
        stored = await sign_ins.own_password(connection)
    if not await _verify(stored or await _hash_of_nobody(), current) or stored is None:
        raise Denied("The current password is not right.", code="wrong_password")
    hashed = await hash_password(new)
    async with desk.database.org_transaction(principal) as connection:
        await sign_ins.set_own_password(connection, hashed)
        await facts.record(connection, principal, "password.changed", user_id=principal.user_id)
    await sign_ins.end_all(desk.database, principal.user_id, but=hash_token(token))


async def read_offer(desk: PeopleDesk, invitation: str) -> Offer:
    """What an invitation offers; raises `Missing(no_invitation)`, `Conflict(invitation_ended)`."""
    found = await sign_ins.offer(desk.database, hash_token(invitation))
    if found is None:
        raise Missing("There is no such invitation. Copy the whole link you were sent.", code="no_invitation")
    if not found.is_open:
        raise Conflict("This invitation was used, withdrawn or is too old. Ask for a new one.", code="invitation_ended")
    return found


async def accept(desk: PeopleDesk, invitation: str, *, name: str, password: str, agent: str = "") -> NewSignIn:
    """Become a member with a first password, and be signed in."""
    await read_offer(desk, invitation)
    checked = check_name(name)
    hashed = await hash_password(password)
    made = await sign_ins.accept(desk.database, hash_token(invitation), checked, hashed)
    if made is None:
        raise Conflict("This invitation was used, withdrawn or is too old. Ask for a new one.", code="invitation_ended")
    return await open_sign_in(desk, made[0], agent=agent)


async def join(desk: PeopleDesk, signed_in: SignIn, invitation: str, *, token: str) -> None:
    """Accept an invitation to one's own address while signed in; raises `Denied(not_your_invitation)`."""
    found = await read_offer(desk, invitation)
    if (signed_in.email or "").lower() != found.email.lower():
        raise Denied(
            f"This invitation is for {found.email}, and you are signed in as {signed_in.email}. Sign out first.",
            code="not_your_invitation",
        )
    name = signed_in.principal.name if signed_in.principal else found.email.partition("@")[0]
    joined = await organizations.accept_invitation(desk.database, hash_token(invitation), name, desk.clock())
    await sign_ins.choose(desk.database, hash_token(token), joined.org_id)


async def hash_password(password: str) -> str:
    """Raises `Invalid(bad_password)` for one that is too short, too long or cannot be typed again."""
    problem = ""
    if len(password) < MIN_PASSWORD:
        problem = f"has fewer than {MIN_PASSWORD} characters; a few words in a row are easy to keep"
    elif len(password) > MAX_PASSWORD:
        problem = f"has more than {MAX_PASSWORD} characters"
    elif len(set(password)) < 4 or not password.isprintable():
        problem = "is too simple; a few words in a row are easy to keep"
    if problem:
        raise Invalid(f"The password {problem}.", code="bad_password", fields=(FieldProblem("password", problem),))
    async with _HASHING:
        return await asyncio.to_thread(_HASHER.hash, password)


async def _verify(stored: str, password: str) -> bool:
    async with _HASHING:
        return await asyncio.to_thread(_matches, stored, password[: MAX_PASSWORD + 1])


def _matches(stored: str, password: str) -> bool:
    try:
        return _HASHER.verify(stored, password.encode(errors="surrogatepass"))
    except (VerificationError, InvalidHashError):
        return False


async def _hash_of_nobody() -> str:
    async with _HASHING:
        return await asyncio.to_thread(_made_up)


@cache
def _made_up() -> str:
    return _HASHER.hash(secrets.token_urlsafe(16))


def _printable(agent: str) -> str:
    return "".join(character for character in agent[:200] if character.isprintable())
