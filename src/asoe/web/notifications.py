"""What a person is told, and where and when it wants to hear of what; for owners and admins webhooks, deliveries, the mailbox."""

from __future__ import annotations

import contextlib
from datetime import time
from typing import Any, Final
from uuid import UUID

from starlette.responses import Response

from asoe.desk import approval, delivery, mailbox, notification, webhook
from asoe.domain.briefing import EVERY
from asoe.domain.errors import AsoeError, Invalid, Missing
from asoe.domain.notification import CHANNELS_OF_PEOPLE, NOTICES, Delivery, Preferences
from asoe.store import directory, overview
from asoe.web.door import ADMINS, Pages, Visit
from asoe.web.settings import TABS

pages = Pages()
_SERVERS = ("smtp", "imap")
MOST_TOLD: Final = 300
"""Of the newest; each unread one of a kind is a field of its form."""
FIRST_SHOWN: Final = 3
MOST_DELIVERIES: Final = 30


# --- the inbox ---


@pages.get("/notifications")
async def show(visit: Visit) -> Response:
    """Equal news stands as one line, with its tickets; the newest of each are shown, the others on request."""
    told, unread = await notification.read_inbox(visit.desk, visit.principal, limit=MOST_TOLD)
    waiting = set()
    if any("approval_id" in line.delivery.data for line in told):
        waiting = {str(each.id) for each in await approval.list_approvals(visit.desk, visit.principal, limit=MOST_TOLD)}
    return visit.page(
        "notifications.html",
        news=notification.grouped(told),
        is_all=len(told) < MOST_TOLD,
        unread=unread,
        notices=NOTICES,
        waiting=waiting,
        first=FIRST_SHOWN,
    )


@pages.get("/notifications/count")
async def count(visit: Visit) -> Response:
    """What the bell shows: nothing, or how many were not read."""
    unread = await notification.count_unread(visit.desk, visit.principal)
    return visit.page("bell.html", unread=unread)


@pages.post("/notifications/read")
async def mark_read(visit: Visit) -> Response:
    ids = [_id(each) for each in visit.texts("id")]
    marked = await notification.mark_read(visit.desk, visit.principal, ids or None)
    return visit.back("/notifications", f"{marked} marked as read." if marked else "")


# --- what a person chose ---


@pages.get("/profile/notifications")
async def show_choices(visit: Visit) -> Response:
    return await _choices(visit)


@pages.post("/profile/notifications")
async def choose(visit: Visit) -> Response:
    try:
        chosen = {
            kind: tuple(each for each in CHANNELS_OF_PEOPLE if each in visit.texts(f"choice.{kind}"))
            for kind in NOTICES
        }
        wanted = Preferences(
            choices=chosen,
            quiet_from=_time(visit, "quiet_from"),
            quiet_until=_time(visit, "quiet_until"),
            zone=visit.text("zone", "UTC", most=64).strip() or "UTC",
            is_urgent_always=bool(visit.texts("urgent_always")),
            digests=_times(visit.text("digests", most=200)),
            briefing=visit.text("briefing", "off", most=20),
        )
        await notification.change_preferences(visit.desk, visit.principal, wanted)
    except AsoeError as error:
        return await _choices(visit, problem=error)
    return visit.back("/profile/notifications", "Saved.")


def _times(text: str) -> tuple[time, ...]:
    """Times of a day, in any order, apart by spaces or commas; raises `Invalid(bad_preferences)`."""
    try:
        return tuple(sorted({time.fromisoformat(each) for each in text.replace(",", " ").split()}))
    except ValueError:
        raise Invalid("Digests are times such as 09:00 16:30.", code="bad_preferences") from None


async def _choices(visit: Visit, problem: AsoeError | None = None) -> Response:
    return visit.page(
        "notification_choices.html",
        422 if problem else 200,
        chosen=await notification.read_preferences(visit.desk, visit.principal),
        notices=NOTICES,
        channels=CHANNELS_OF_PEOPLE,
        briefings=EVERY,
        problem=problem,
    )


# --- webhooks and deliveries ---


@pages.get("/settings/webhooks", roles=ADMINS)
async def show_webhooks(visit: Visit) -> Response:
    return await _webhooks(visit)


@pages.post("/settings/webhooks", roles=ADMINS)
async def add_webhook(visit: Visit) -> Response:
    """The secret is shown this once."""
    try:
        made = await webhook.add_webhook(
            visit.desk,
            visit.principal,
            name=visit.text("name", most=300),
            url=visit.text("url", most=2100).strip(),
            events=visit.text("events", "*", most=5000).replace(",", " ").split() or ["*"],
            kind=visit.text("kind", "signed", most=20),
            allow_private=bool(visit.texts("allow_private")),
            may_be_private=visit.site.gate.settings.connector_private,
        )
    except AsoeError as error:
        return await _webhooks(visit, problem=error)
    return await _webhooks(visit, secret=made.secret or "", made=made.webhook.name)


@pages.post("/settings/webhooks/{webhook_id}/rotate", roles=ADMINS)
async def rotate(visit: Visit) -> Response:
    """The old secret signs beside the new one for a day."""
    made = await webhook.change_webhook(
        visit.desk,
        visit.principal,
        visit.id("webhook_id", "webhook"),
        may_be_private=visit.site.gate.settings.connector_private,
        rotates=True,
    )
    return await _webhooks(visit, secret=made.secret or "", made=made.webhook.name)


@pages.post("/settings/webhooks/{webhook_id}/test", roles=ADMINS)
async def send_test(visit: Visit) -> Response:
    await webhook.send_test(visit.desk, visit.principal, visit.id("webhook_id", "webhook"))
    return visit.back("/settings/webhooks", "A test is on its way; how it went shows below.")


@pages.post("/settings/webhooks/{webhook_id}/disable", roles=ADMINS)
async def disable(visit: Visit) -> Response:
    webhook_id = visit.id("webhook_id", "webhook")
    found = await webhook.set_disabled(visit.desk, visit.principal, webhook_id, why="by hand")
    undo = {"path": f"/settings/webhooks/{webhook_id}/enable", "fields": []}
    return visit.back("/settings/webhooks", f"{found.name} is disabled.", undo=undo)


@pages.post("/settings/webhooks/{webhook_id}/enable", roles=ADMINS)
async def enable(visit: Visit) -> Response:
    found = await webhook.set_disabled(visit.desk, visit.principal, visit.id("webhook_id", "webhook"), why=None)
    return visit.back("/settings/webhooks", f"{found.name} is enabled.")


@pages.post("/settings/webhooks/{webhook_id}/remove", roles=ADMINS)
async def remove(visit: Visit) -> Response:
    await webhook.remove_webhook(visit.desk, visit.principal, visit.id("webhook_id", "webhook"))
    return visit.back("/settings/webhooks", "The webhook is removed with its secret.")


@pages.post("/settings/deliveries/replay", roles=ADMINS)
async def replay_dead(visit: Visit) -> Response:
    again = await delivery.replay(visit.desk, visit.principal)
    return visit.back("/settings/webhooks", f"{again} {'is' if again == 1 else 'are'} sent again.")


@pages.post("/settings/deliveries/{delivery_id}/replay", roles=ADMINS)
async def replay(visit: Visit) -> Response:
    await delivery.replay(visit.desk, visit.principal, visit.id("delivery_id", "delivery"))
    return visit.back("/settings/webhooks", "It is sent again.")


async def _webhooks(visit: Visit, *, problem: AsoeError | None = None, secret: str = "", made: str = "") -> Response:
    hooks = await webhook.list_webhooks(visit.desk, visit.principal)
    found = [
        each
        for status in ("dead", "pending", None)
        for each in await delivery.list_deliveries(
            visit.desk, visit.principal, status=status, channel=None if status else "webhook", limit=20
        )
    ]
    shown = list({each.id: each for each in found}.values())[:MOST_DELIVERIES]
    async with visit.desk.database.org_reading(visit.principal) as connection:
        org_id = visit.principal.org_id
        people = await directory.names(connection, org_id, (each.recipient_id for each in shown if _is_person(each)))
        tickets = await overview.ticket_names(connection, org_id, (each.ticket_id for each in shown))
    receivers = {f"webhook:{each.id}": each.name for each in hooks} | {
        f"person:{who}": name for who, name in people.items()
    }
    return visit.page(
        "webhooks.html",
        422 if problem else 200,
        tabs=TABS,
        webhooks=hooks,
        deliveries=shown,
        receivers=receivers,
        tickets=tickets,
        may_be_private=visit.site.gate.settings.connector_private,
        problem=problem,
        secret=secret,
        made=made,
    )


def _is_person(of: Delivery) -> bool:
    return of.recipient.startswith("person:")


# --- the mailbox ---


@pages.get("/settings/mail", roles=ADMINS)
async def show_mailbox(visit: Visit) -> Response:
    return await _mailbox(visit)


@pages.post("/settings/mail", roles=ADMINS)
async def set_mailbox(visit: Visit) -> Response:
    try:
        await mailbox.set_mailbox(
            visit.desk,
            visit.principal,
            address=visit.text("address", most=300),
            name=visit.text("name", most=300),
            servers={name: _server(visit, name) for name in _SERVERS if visit.text(f"{name}.host", most=300).strip()},
            passwords={name: given for name in _SERVERS if (given := visit.text(f"{name}.password", most=1000))},
            authority=visit.text("authority", most=300).strip(),
            uses_plus=bool(visit.texts("plus_addresses")),
            allow_private=bool(visit.texts("allow_private")),
            may_be_private=visit.site.gate.settings.connector_private,
        )
    except AsoeError as error:
        return await _mailbox(visit, problem=error)
    return visit.back("/settings/mail", "Saved. Now check that the servers let us in.")


@pages.post("/settings/mail/check", roles=ADMINS)
async def check_mailbox(visit: Visit) -> Response:
    checked = await mailbox.check_mailbox(visit.desk, visit.principal)
    return await _mailbox(visit, checked=checked)


@pages.post("/settings/mail/remove", roles=ADMINS)
async def remove_mailbox(visit: Visit) -> Response:
    await mailbox.remove_mailbox(visit.desk, visit.principal)
    return visit.back("/settings/mail", "The mailbox is removed with its passwords.")


async def _mailbox(
    visit: Visit, *, problem: AsoeError | None = None, checked: mailbox.Checked | None = None
) -> Response:
    box: dict[str, Any] | None = None
    with contextlib.suppress(Missing):
        box = mailbox.shown(await mailbox.read_mailbox(visit.desk, visit.principal))
    return visit.page(
        "mailbox.html",
        422 if problem else 200,
        tabs=TABS,
        box=box,
        servers={
            name: (box or {}).get(name) or {"host": "", "port": "", "tls": "tls", "user": ""} for name in _SERVERS
        },
        checked=checked,
        may_be_private=visit.site.gate.settings.connector_private,
        problem=problem,
    )


def _server(visit: Visit, name: str) -> dict[str, Any]:
    port = visit.number(f"{name}.port", 0, high=65535)
    server = {
        "host": visit.text(f"{name}.host", most=300).strip(),
        "tls": visit.text(f"{name}.tls", "tls", most=20),
        "user": visit.text(f"{name}.user", most=400).strip(),
    }
    return {**server, **({"port": port} if port else {})}


def _time(visit: Visit, name: str) -> time | None:
    given = visit.text(name, most=10).strip()
    try:
        return time.fromisoformat(given).replace(tzinfo=None) if given else None
    except ValueError:
        raise Invalid(f"{name}: write a time such as 22:00.", code="bad_preferences") from None


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Invalid("id: this is no id of a notification.", code="invalid_request") from None
