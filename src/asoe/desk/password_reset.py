"""Forgotten passwords: a link by mail, for one person, one hour and one use. Nothing here tells whether an address is known.

The mail goes through the installation's own server and never through an organization's: whoever keeps a mailbox could read the
links of its owners, and of people who belong to other organizations as well.
"""

from __future__ import annotations

import asyncio
import secrets
from datetime import timedelta
from typing import Final

import structlog

from asoe.connectors import mail
from asoe.connectors.contract import ConnectorError
from asoe.desk import letter, sign_in
from asoe.desk.context import Desk
from asoe.desk.people import hash_token
from asoe.domain.errors import Invalid, Missing
from asoe.domain.organization import Principal
from asoe.domain.people import clean_email
from asoe.store import facts, organizations, password_resets

LASTS: Final = timedelta(hours=1)
MOST_AN_HOUR: Final = 3
"""Links to one address; nobody's mailbox is filled by others."""
_PAUSES: Final = (0.0, 2.0, 10.0)
_log = structlog.get_logger(__name__)


async def ask(desk: Desk, email: str) -> None:
    """Mail a link to whoever has this address here. Call it after the visitor was answered: it takes as long as it takes."""
    if desk.house_mail is None:
        return
    try:
        address = clean_email(email)
    except Invalid:
        return
    token, now = f"asoe_reset_{secrets.token_urlsafe(32)}", desk.clock()
    found = await password_resets.ask(
        desk.database,
        address,
        hash_token(token),
        at=now,
        until=now + LASTS,
        since=now - timedelta(hours=1),
        most=MOST_AN_HOUR,
    )
    if found is None:
        return
    house = desk.house_mail
    message = letter.reset_mail(
        f"{desk.public_url}/reset-password/{token}", sender=house.sender, recipient=(found[1], found[0]), at=now
    )
    for pause in _PAUSES:
        await asyncio.sleep(pause)
        try:
            await mail.send(house.server, house.password, message, sender=house.sender[1], recipients=[found[0]])
        except ConnectorError as error:
            _log.warning("password_reset.not_sent", why=error.message, is_permanent=error.permanent)
            if error.permanent:
                return
        else:
            return


async def read(desk: Desk, token: str) -> str:
    """The address whose password the link sets; raises `Missing(no_reset)`."""
    found = await password_resets.read(desk.database, hash_token(token), at=desk.clock())
    if found is None:
        raise _gone()
    return found


async def use(desk: Desk, token: str, password: str, *, agent: str = "") -> sign_in.NewSignIn:
    """Set the password, end every sign-in there is, and open a new one. Raises `Missing(no_reset)`, `Invalid(bad_password)`."""
    await read(desk, token)
    hashed = await sign_in.hash_password(password)
    user_id = await password_resets.use(desk.database, hash_token(token), hashed, at=desk.clock())
    if user_id is None:
        raise _gone()
    for each in await organizations.memberships(desk.database, user_id):
        if each.suspended_at is None:
            person = Principal(user_id, each.org_id, each.role, each.name)
            async with desk.database.org_transaction(person) as connection:
                await facts.record(connection, person, "password.changed", user_id=user_id, by="mail")
    return await sign_in.open_sign_in(desk, user_id, agent=agent)


def _gone() -> Missing:
    return Missing("This link was used, or is older than an hour. Ask for a new one.", code="no_reset")
