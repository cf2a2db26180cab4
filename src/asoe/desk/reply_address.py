"""Signed addresses of tickets: who answers to one has been sent a mail of ours about that ticket.

The signature stands in the Message-ID, which every mail program gives back in its headers, and where the mailbox takes them
also in a plus-address to reply to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Final
from uuid import UUID

from asoe.desk.context import Desk
from asoe.domain.errors import Missing
from asoe.store import tickets
from asoe.store.db import Connection
from asoe.store.mailboxes import Mailbox

_SIGNED_ID: Final = re.compile(r"([0-9a-f]{32})\.([0-9a-f]{32})\.([a-z2-7]{16})@", re.ASCII)
_PLUS: Final = re.compile(r"([1-9][0-9]{0,17})-([a-z2-7]{16})", re.ASCII)


def message_id(desk: Desk, org_id: UUID, ticket_id: UUID, delivery_id: UUID, domain: str) -> str:
    """The same at every try, and nobody else's to make."""
    return f"<{delivery_id.hex}.{ticket_id.hex}.{desk.connectors.sign(org_id, ticket_id.hex)}@{domain}>"


def plus_address(desk: Desk, org_id: UUID, ticket_id: UUID, number: int, box: Mailbox) -> str | None:
    """None for a mailbox that takes none."""
    if not box.config.get("plus"):
        return None
    local, _, domain = box.address.rpartition("@")
    return f"{local}+{number}-{desk.connectors.sign(org_id, ticket_id.hex)}@{domain}"


async def signed_ticket(
    desk: Desk, connection: Connection, org_id: UUID, *, ids: Iterable[str], addresses: Iterable[str]
) -> UUID | None:
    """The ticket that one of these ids or addresses was signed for; the nearest id (the last) first."""
    for each in reversed(list(ids)):
        found = _SIGNED_ID.match(each)
        if found and desk.connectors.is_signed(org_id, found[2], found[3]):
            return UUID(found[2])
    for address in addresses:
        found = _PLUS.fullmatch(address.rpartition("@")[0].partition("+")[2])
        if found is None:
            continue
        with suppress(Missing):
            ticket = await tickets.find_by_number(connection, org_id, int(found[1]))
            if desk.connectors.is_signed(org_id, ticket.id.hex, found[2]):
                return ticket.id
    return None


def claims_to_be_ours(ids: Iterable[str], addresses: Iterable[str], own: str) -> bool:
    """Whether one of these has the form of what we sign for the mailbox `own`, signed or not."""
    local, _, domain = own.casefold().rpartition("@")
    if any(_SIGNED_ID.match(each) and each.rstrip(">").casefold().endswith(f"@{domain}") for each in ids):
        return True
    parts = [each.casefold().rpartition("@") for each in addresses]
    return any(
        at == domain and name.partition("+")[0] == local and _PLUS.fullmatch(name.partition("+")[2]) is not None
        for name, _, at in parts
    )
