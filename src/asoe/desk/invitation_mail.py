"""Invitations by mail: through the organization's mailbox, else the installation's server. The token travels sealed.

Whoever invites sees the link anyway, and the organization's mailbox may therefore carry it: it opens no account that is there.
"""

from __future__ import annotations

from datetime import datetime
from email.message import EmailMessage
from uuid import UUID

from asoe.desk import letter, notification
from asoe.desk.context import Desk, HouseMail
from asoe.desk.people import NewInvitation, hash_token
from asoe.domain.notification import EMAIL, Delivery, delivery_id
from asoe.domain.organization import Principal
from asoe.store import deliveries, facts, mailboxes, sign_ins

KIND = "member.invited"


async def send(desk: Desk, principal: Principal, made: NewInvitation) -> bool:
    """Have the invitation mailed to whom it invites; False when there is no server to send it through."""
    org_id, invitation = principal.org_id, made.invitation
    recipient, now = f"invitation:{invitation.id}", desk.clock()
    sealed = desk.connectors.seal(org_id, _sealed_name(invitation.id), {"token": made.token})
    async with desk.database.org_transaction(principal) as connection:
        box = await mailboxes.read(connection, org_id)
        if (box is None or "smtp" not in box.config) and desk.house_mail is None:
            return False
        wanted = Delivery(
            id=delivery_id(org_id, f"invitation:{invitation.id}", EMAIL, recipient),
            fact_id=0,
            kind=KIND,
            happened_at=now,
            ticket_id=None,
            channel=EMAIL,
            recipient=recipient,
            data={"until": invitation.expires_at.isoformat(), "sealed": (sealed or b"").hex()},
            due_at=now,
        )
        for each, _ in await deliveries.add(connection, org_id, [wanted], at=now):
            await notification.enqueue(desk, connection, org_id, each)
        await facts.record(connection, principal, "invitation.mailed", invitation_id=invitation.id)
    return True


async def letter_of(desk: Desk, org_id: UUID, delivery: Delivery, house: HouseMail) -> tuple[EmailMessage, str] | None:
    """The mail and its address; None when the invitation was used, withdrawn, or is too old."""
    sealed = bytes.fromhex(delivery.data["sealed"])
    token = desk.connectors.unseal(org_id, _sealed_name(delivery.recipient_id), sealed)["token"]
    offer = await sign_ins.offer(desk.database, hash_token(token))
    if offer is None or not offer.is_open:
        return None
    message = letter.invitation_mail(
        f"{desk.public_url}/invitations/{token}",
        organization=offer.organization,
        role=offer.role,
        until=datetime.fromisoformat(delivery.data["until"]),
        sender=house.sender,
        recipient=("", offer.email),
        at=delivery.happened_at,
    )
    message.replace_header("Message-ID", letter.message_id(delivery.id, house.sender[1].rpartition("@")[2]))
    return message, offer.email


def _sealed_name(invitation_id: UUID) -> str:
    """What the sealed token is bound to; no connector's name has a slash."""
    return f"invitation/{invitation_id}"
