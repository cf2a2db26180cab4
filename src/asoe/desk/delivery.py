"""Sends deliveries: claim, send holding no transaction, settle. Retries with back-off, dead letters, replay.

A second copy can only leave when the process dies after the receiver's yes and before our commit, and it has the same id.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog

from asoe import tracing
from asoe.connectors import mail, webhook
from asoe.connectors.contract import ConnectorError
from asoe.connectors.mail import MailServer
from asoe.desk import approval_link, briefing, invitation_mail, letter, notification, reply_address, task_push
from asoe.desk.context import Desk, HouseMail
from asoe.domain.errors import Denied, Missing
from asoe.domain.notification import EMAIL, WEBHOOK, Delivery, digest_id, pause_before
from asoe.domain.organization import Principal
from asoe.domain.people import Member
from asoe.store import deliveries, facts, mailboxes, mails, organizations, webhooks
from asoe.store.db import Connection
from asoe.store.mailboxes import Mailbox
from asoe.tracing import measures

CLAIM: Final = timedelta(minutes=2)
"""Longer than any one try may take."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Parcel:
    """Everything one try needs, read before the transaction ended."""

    send: Callable[[], Awaitable[None]] = field(repr=False)


class _DeadError(Exception):
    """No further try can help; the words are for staff."""


async def deliver(desk: Desk, org_id: UUID, delivery_id: UUID) -> bool:
    """Try one delivery, if it is due and nobody else's; True when it was delivered by this call."""
    with tracing.span("delivery", kind="client", org_id=org_id, delivery_id=delivery_id) as span:
        is_delivered = await _delivered(desk, org_id, delivery_id)
        span.note(outcome="delivered" if is_delivered else "not_delivered")
    return is_delivered


async def _delivered(desk: Desk, org_id: UUID, delivery_id: UUID) -> bool:
    engine = await desk.engine_of(org_id)
    now = desk.clock()
    async with desk.database.org_transaction(engine) as connection:
        await deliveries.hold_digest(connection, org_id, delivery_id)
        claimed = await deliveries.claim(connection, org_id, delivery_id, at=now, until=now + CLAIM)
        if claimed is None:
            return False
        here = tracing.here()
        here.rename("delivery", of=f"{claimed.channel}:{claimed.kind}")
        here.note(channel=claimed.channel, fact=claimed.kind, ticket_id=claimed.ticket_id, tries=claimed.attempts)
        together = [claimed]
        if claimed.digest_at is not None:
            together += await deliveries.claim_digest(connection, org_id, claimed, at=now, until=now + CLAIM)
            together.sort(key=lambda each: (each.happened_at, each.fact_id))
        try:
            if claimed.digest_at is not None:
                parcel = await _pack_digest(desk, connection, engine, together, claimed.digest_at)
            else:
                parcel = await _PACKERS[claimed.channel](desk, connection, engine, claimed)
        except _DeadError as error:
            for each in together:
                await _bury(desk, connection, engine, each, str(error))
            measures.count("asoe_deliveries", claimed.channel, "dead")
            return False
    try:
        await parcel.send()
    except webhook.GoneError:
        measures.count("asoe_deliveries", claimed.channel, "gone")
        async with desk.database.org_transaction(engine) as connection:
            await _bury(desk, connection, engine, claimed, "The receiver wants nothing more (410).")
            if claimed.recipient.startswith(task_push.PREFIX):
                await task_push.gone(connection, engine, claimed)
                return False
            await webhooks.set_disabled(connection, org_id, claimed.recipient_id, why="it answered 410 Gone")
            await facts.record(connection, engine, "webhook.disabled", webhook_id=claimed.recipient_id)
        return False
    except ConnectorError as error:
        tracing.here().failed(type(error).__name__)
        measures.count("asoe_deliveries", claimed.channel, "failed")
        for each in together:
            await _again(desk, engine, each, error)
        return False
    async with desk.database.org_transaction(engine) as connection:
        at = desk.clock()
        settled = [await deliveries.settle(connection, org_id, each, status="delivered", at=at) for each in together]
    measures.count("asoe_deliveries", claimed.channel, "delivered")
    return all(settled)


async def wake_due(desk: Desk) -> None:
    """Enqueue what is due: retries, quiet hours that ended, deliveries whose worker is gone."""
    async with desk.database.system_transaction("notify") as connection:
        found = await deliveries.due(connection)
    by_org: dict[UUID, list[UUID]] = {}
    for org_id, delivery_id in found:
        by_org.setdefault(org_id, []).append(delivery_id)
    for org_id, ids in by_org.items():
        try:
            engine = await desk.engine_of(org_id)
        except Missing:
            continue  # suspended since
        async with desk.database.org_transaction(engine) as connection:
            await notification.enqueue_all(desk, connection, org_id, ids)


async def list_deliveries(
    desk: Desk,
    principal: Principal,
    *,
    status: str | None = None,
    channel: str | None = None,
    recipient: str | None = None,
    before: datetime | None = None,
    limit: int = 100,
) -> list[Delivery]:
    _require_admin(principal)
    async with desk.database.org_reading(principal) as connection:
        return await deliveries.list_newest(
            connection,
            principal.org_id,
            status=status,
            channel=channel,
            recipient=recipient,
            before=before,
            limit=limit,
        )


async def replay(desk: Desk, principal: Principal, delivery_id: UUID | None = None) -> int:
    """Send one that is dead or delivered again, or all dead ones, under the same id.

    Raises `Missing(no_delivery)` when the named one is neither.
    """
    _require_admin(principal)
    async with desk.database.org_transaction(principal) as connection:
        found = await deliveries.replay(connection, principal.org_id, delivery_id, at=desk.clock())
        if not found and delivery_id is not None:
            raise Missing("There is no such delivery, or it is still being tried.", code="no_delivery")
        for each, _ in found:
            await notification.enqueue(desk, connection, principal.org_id, each)
        await facts.record(connection, principal, "delivery.replayed", count=len(found))
    return len(found)


# --- packing ---


async def _pack_mail(desk: Desk, connection: Connection, engine: Principal, delivery: Delivery) -> _Parcel:
    if delivery.recipient.startswith("invitation:"):
        return await _pack_invitation(desk, connection, engine, delivery)
    box = await _mailbox(connection, engine)
    if delivery.recipient.startswith("contact:"):
        return await _pack_reply(desk, connection, engine, delivery, box)
    member = await _member(connection, engine, delivery)
    if delivery.kind == briefing.KIND:
        return await _pack_briefing(desk, connection, engine, delivery, box=box, member=member)
    organization = await organizations.read_organization(connection, engine.org_id)
    line = await deliveries.ticket(connection, engine.org_id, delivery.ticket_id) if delivery.ticket_id else None
    message = letter.staff_mail(
        delivery,
        line,
        organization=organization.name,
        sender=(box.name or organization.name, box.address),
        recipient=(member.name, str(member.email)),
        url=desk.public_url,
        at=delivery.happened_at,
        signed_path=await _signed_path(desk, connection, member, engine.org_id, delivery),
    )
    to = str(member.email)
    server, password = smtp_of(desk, engine.org_id, box)
    return _Parcel(lambda: mail.send(server, password, message, sender=box.address, recipients=[to]))


async def _pack_briefing(
    desk: Desk, connection: Connection, engine: Principal, delivery: Delivery, *, box: Mailbox, member: Member
) -> _Parcel:
    organization = await organizations.read_organization(connection, engine.org_id)
    sender = (box.name or organization.name, box.address)
    message = await briefing.letter_of(
        desk, connection, engine, delivery, member, organization=organization.name, sender=sender
    )
    server, password = smtp_of(desk, engine.org_id, box)
    to = str(member.email)
    return _Parcel(lambda: mail.send(server, password, message, sender=box.address, recipients=[to]))


async def _pack_digest(
    desk: Desk, connection: Connection, engine: Principal, together: Sequence[Delivery], digest_at: datetime
) -> _Parcel:
    """All that was collected for a person until then, as one mail."""
    box = await _mailbox(connection, engine)
    member = await _member(connection, engine, together[0])
    organization = await organizations.read_organization(connection, engine.org_id)
    ids = dict.fromkeys(each.ticket_id for each in together if each.ticket_id)
    lines = {each: await deliveries.ticket(connection, engine.org_id, each) for each in ids}
    to = str(member.email)
    message = letter.digest_mail(
        [(each, lines[each.ticket_id] if each.ticket_id else None) for each in together],
        organization=organization.name,
        sender=(box.name or organization.name, box.address),
        recipient=(member.name, to),
        url=desk.public_url,
        message_id=letter.message_id(digest_id(engine.org_id, together[0].recipient, digest_at), box.domain),
        at=digest_at,
    )
    server, password = smtp_of(desk, engine.org_id, box)
    return _Parcel(lambda: mail.send(server, password, message, sender=box.address, recipients=[to]))


async def _mailbox(connection: Connection, engine: Principal) -> Mailbox:
    box = await mailboxes.read(connection, engine.org_id)
    if box is None or "smtp" not in box.config:
        raise _DeadError("The organization has no mailbox to send from.")
    return box


async def _member(connection: Connection, engine: Principal, delivery: Delivery) -> Member:
    member = await organizations.find_member(connection, engine.org_id, delivery.recipient_id)
    if member is None or member.disabled_at is not None or not member.email:
        raise _DeadError("The person is no member any more, or has no address.")
    return member


async def _signed_path(
    desk: Desk, connection: Connection, member: Member, org_id: UUID, delivery: Delivery
) -> str | None:
    """Made when the mail leaves, so that quiet hours and retries do not use up its hour."""
    if delivery.kind != "approval.requested":
        return None
    with suppress(Missing):
        return await approval_link.path_for(desk, connection, member, org_id, UUID(delivery.data["approval_id"]))
    return None


async def _pack_reply(
    desk: Desk, connection: Connection, engine: Principal, delivery: Delivery, box: Mailbox
) -> _Parcel:
    """What was said on a ticket, in the thread of the client's mails, with our signature to answer to."""
    org_id, ticket_id = engine.org_id, delivery.ticket_id
    assert ticket_id is not None
    said = await mails.message(connection, org_id, ticket_id, UUID(delivery.data["message_id"]), delivery.recipient_id)
    if said is None:
        raise _DeadError("The message or its client is gone, blocked or without an address.")
    organization = await organizations.read_organization(connection, org_id)
    message = letter.reply_mail(
        said,
        message_id=reply_address.message_id(desk, org_id, ticket_id, delivery.id, box.domain),
        references=await mails.ids_of_ticket(connection, org_id, ticket_id),
        reply_to=reply_address.plus_address(desk, org_id, ticket_id, said.number, box) or box.address,
        sender=(box.name or organization.name, box.address),
        at=delivery.happened_at,
    )
    server, password = smtp_of(desk, org_id, box)
    return _Parcel(lambda: mail.send(server, password, message, sender=box.address, recipients=[said.email]))


async def _pack_invitation(desk: Desk, connection: Connection, engine: Principal, delivery: Delivery) -> _Parcel:
    house, box = desk.house_mail, await mailboxes.read(connection, engine.org_id)
    if box is not None and "smtp" in box.config:
        organization = await organizations.read_organization(connection, engine.org_id)
        server, password = smtp_of(desk, engine.org_id, box)
        house = HouseMail(server, (box.name or organization.name, box.address), password)
    if house is None:
        raise _DeadError("There is no mailbox to send from any more.")
    made = await invitation_mail.letter_of(desk, engine.org_id, delivery, house)
    if made is None:
        raise _DeadError("The invitation was used, withdrawn, or is too old.")
    message, to = made
    return _Parcel(lambda: mail.send(house.server, house.password, message, sender=house.sender[1], recipients=[to]))


async def _pack_webhook(desk: Desk, connection: Connection, engine: Principal, delivery: Delivery) -> _Parcel:
    if delivery.recipient.startswith(task_push.PREFIX):
        return await _pack_push(desk, connection, engine, delivery)
    org_id, hook_id = engine.org_id, delivery.recipient_id
    hook = await webhooks.find(connection, org_id, hook_id)
    if hook is None or hook.disabled_at is not None:
        raise _DeadError("The webhook is removed or disabled.")
    secret = desk.connectors.unseal(
        org_id, sealed_name(hook_id), await webhooks.read_sealed(connection, org_id, hook_id)
    )
    headers: dict[str, str] = {}
    if hook.kind == "slack":
        line = await deliveries.ticket(connection, org_id, delivery.ticket_id) if delivery.ticket_id else None
        organization = await organizations.read_organization(connection, org_id)
        body = letter.slack_body(delivery, line, organization=organization.name, url=desk.public_url)
    else:
        body = letter.webhook_body(delivery, org_id)
        now = desk.clock()
        headers = webhook.signed(keys_of(secret, now), message_id=letter.webhook_id(delivery.id), at=now, body=body)
    return _Parcel(
        lambda: webhook.post(
            secret["url"],
            body,
            headers,
            name=f"The webhook {hook.name}",
            allow_private=hook.allow_private,
            secrets_in_it=list(secret.values()),
        )
    )


async def _pack_push(desk: Desk, connection: Connection, engine: Principal, delivery: Delivery) -> _Parcel:
    made = await task_push.pack(desk, connection, engine.org_id, delivery)
    if made is None:
        raise _DeadError("The push notification is removed, or its owner may not act any more.")
    return _Parcel(
        lambda: webhook.post(
            made.url,
            made.body,
            made.headers,
            name=f"The push notification to {made.place}",
            allow_private=made.allow_private,
            secrets_in_it=made.secrets,
        )
    )


def smtp_of(desk: Desk, org_id: UUID, box: Mailbox) -> tuple[MailServer, str]:
    """The server a mailbox sends through, with its password."""
    passwords = desk.connectors.unseal(org_id, "mailbox/", box.sealed)
    return MailServer(**box.config["smtp"], allow_private=box.allow_private), passwords.get("smtp", "")


def imap_of(desk: Desk, org_id: UUID, box: Mailbox) -> tuple[MailServer, str]:
    """The server its mails are fetched from, with its password; raises `Missing(no_imap)`."""
    if "imap" not in box.config:
        raise Missing(
            "The mailbox has no server that mails are fetched from: set it again with one (asoe mailbox set --imap HOST).",
            code="no_imap",
        )
    passwords = desk.connectors.unseal(org_id, "mailbox/", box.sealed)
    return MailServer(**box.config["imap"], allow_private=box.allow_private), passwords.get("imap", "")


def sealed_name(webhook_id: UUID) -> str:
    """What the sealed parts of a webhook are bound to; no connector's name has a slash."""
    return f"webhook/{webhook_id}"


def keys_of(secret: dict[str, str], now: datetime) -> list[str]:
    """The secret, and for a day after a change the one before."""
    until = secret.get("previous_until")
    is_valid = until is not None and now < datetime.fromisoformat(until)
    return [secret["secret"], *([secret["previous"]] if is_valid else [])]


_PACKERS: Final[dict[str, Callable[[Desk, Connection, Principal, Delivery], Awaitable[_Parcel]]]] = {
    EMAIL: _pack_mail,
    WEBHOOK: _pack_webhook,
}


# --- what became of a try ---


async def _again(desk: Desk, engine: Principal, claimed: Delivery, error: ConnectorError) -> None:
    pause = None if error.permanent else pause_before(claimed.attempts)
    async with desk.database.org_transaction(engine) as connection:
        if pause is None:
            await _bury(desk, connection, engine, claimed, error.message)
            return
        now = desk.clock()
        await deliveries.settle(
            connection, engine.org_id, claimed, status="pending", at=now, trouble=error.message, due_at=now + pause
        )
    _log.warning(
        "delivery.again",
        org_id=str(engine.org_id),
        delivery_id=str(claimed.id),
        tries=claimed.attempts,
        pause=str(pause),
    )


async def _bury(desk: Desk, connection: Connection, engine: Principal, claimed: Delivery, why: str) -> None:
    if await deliveries.settle(connection, engine.org_id, claimed, status="dead", at=desk.clock(), trouble=why):
        if claimed.recipient.startswith(task_push.PREFIX):
            return  # an outside agent's own affair: nobody of ours is called for it
        about: dict[str, Any] = {"delivery_id": str(claimed.id), "channel": claimed.channel, "of": claimed.kind}
        await facts.record(connection, engine, "delivery.failed", ticket_id=claimed.ticket_id, **about)
        _log.error(
            "delivery.dead", org_id=str(engine.org_id), delivery_id=str(claimed.id), tries=claimed.attempts, why=why
        )


def _require_admin(principal: Principal) -> None:
    if principal.role not in {"owner", "admin"}:
        raise Denied("Deliveries are for owners and admins.", code="admin_only")
