"""Makes notifications out of facts, in their order and after their commit: one delivery per fact, channel and recipient.

Who is told is the domain's to say (`domain/notification.py`), sending is `delivery.py`'s. Here too: what a person chose,
and the inbox of the dashboard, in which a line is there once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog

from asoe import tracing
from asoe.desk import task_push
from asoe.desk.context import Desk
from asoe.domain import notification as rules
from asoe.domain.briefing import EVERY
from asoe.domain.errors import Denied, FieldProblem, Invalid, Missing
from asoe.domain.facts import Fact
from asoe.domain.notification import (
    CHANNELS_OF_PEOPLE,
    EMAIL,
    NOTICES,
    WEBHOOK,
    About,
    Delivery,
    Person,
    Preferences,
    Recipient,
)
from asoe.domain.organization import Principal
from asoe.domain.routing import read_routing
from asoe.queue.failures import kind_of, place_of
from asoe.store import deliveries, facts, mailboxes, mails, notifications, organizations, webhooks
from asoe.store.db import Connection
from asoe.store.notifications import Told
from asoe.store.webhooks import Webhook

_BATCH: Final = 500
_HOURS: Final = ("quiet_from", "quiet_until", "zone", "is_urgent_always", "digests", "briefing")
MOST_DIGESTS: Final = 6
"""Times of a day at which one person's mails may be collected."""
_log = structlog.get_logger(__name__)


async def spread(desk: Desk) -> None:
    """Make the notifications of every organization with news."""
    async with desk.database.system_transaction("notify") as connection:
        found = await notifications.with_news(connection)
    for org_id in found:
        try:
            while await _spread_batch(desk, org_id) == _BATCH:
                pass
        except Missing:
            continue  # suspended since
        except Exception as error:  # one organization that fails does not keep the others waiting
            _log.error("notification.failed", org_id=str(org_id), error=kind_of(error), where=place_of(error))


async def _spread_batch(desk: Desk, org_id: UUID) -> int:
    """The next facts of one organization, their deliveries and the cursor in one transaction."""
    engine = await desk.engine_of(org_id)
    async with desk.database.org_transaction(engine) as connection:
        at = await notifications.hold_cursor(connection, org_id)
        if at is None:
            return 0
        found = await facts.read_after(connection, org_id, xid=at[0], fact_id=at[1], limit=_BATCH)
        if not found:
            return 0
        now = desk.clock()
        wanted = await _wanted(connection, org_id, found, now=now) + await _owed(connection, org_id, found, now=now)
        pushes = await task_push.recipients(connection, org_id, found, now=now)
        wanted += [_delivery(org_id, fact, each) for fact, each in pushes]
        added = await deliveries.add(connection, org_id, wanted, at=now)
        await enqueue_all(desk, connection, org_id, [delivery_id for delivery_id, due_at in added if due_at <= now])
        await notifications.move_cursor(connection, org_id, xid=found[-1].xid, fact_id=found[-1].id)
    return len(found)


async def enqueue(desk: Desk, connection: Connection, org_id: UUID, delivery_id: UUID) -> None:
    """Have a delivery tried soon; a job that is lost is found again by its due time."""
    await desk.queue.enqueue(
        connection,
        "deliver",
        {"org_id": org_id, "delivery_id": delivery_id},
        dedupe_key=f"deliver:{delivery_id}",
    )


async def enqueue_all(desk: Desk, connection: Connection, org_id: UUID, ids: Sequence[UUID]) -> None:
    """`enqueue` for several, each in the trace in which what it tells of happened."""
    traces = await deliveries.traces(connection, org_id, ids) if tracing.is_on() else {}
    for delivery_id in ids:
        with tracing.continuing(traces.get(delivery_id)):
            await enqueue(desk, connection, org_id, delivery_id)


async def _wanted(connection: Connection, org_id: UUID, found: Sequence[Fact], *, now: datetime) -> list[Delivery]:
    hooks = [hook for hook in await webhooks.list_all(connection, org_id) if hook.disabled_at is None]
    people, abouts, has_mailbox = [], {}, False
    if any(fact.kind in NOTICES for fact in found):
        people = await notifications.staff(connection, org_id)
        ticket_ids = {fact.ticket_id for fact in found if fact.ticket_id is not None}
        abouts = await notifications.about(connection, org_id, list(ticket_ids))
        abouts = _with_teams(abouts, people, await organizations.settings(connection, org_id), now=now)
        has_mailbox = await mailboxes.is_there(connection, org_id)
    wanted = []
    for fact in found:
        about = abouts.get(fact.ticket_id, About()) if fact.ticket_id else About()
        told = rules.for_people(fact, about, people, has_mailbox=has_mailbox, now=now)
        if not fact.kind.startswith("delivery."):  # a dead delivery must not make the next one
            told += [Recipient(WEBHOOK, f"webhook:{hook.id}", now) for hook in hooks if _hears(hook, fact)]
        wanted += [_delivery(org_id, fact, each) for each in told]
    return wanted


def _with_teams(
    abouts: Mapping[UUID, About], people: Sequence[Person], stored: Mapping[str, Any], *, now: datetime
) -> dict[UUID, About]:
    """Each with the people of its team; settings nobody can read name nobody, and so the whole staff is told."""
    try:
        routing = read_routing(stored)
    except Invalid:
        return dict(abouts)
    return {
        ticket_id: replace(about, reaches=frozenset(each.user_id for each in people if each.email.casefold() in named))
        for ticket_id, about in abouts.items()
        for named in [routing.asked(about.team or "", now)]
    }


async def _owed(connection: Connection, org_id: UUID, found: Sequence[Fact], *, now: datetime) -> list[Delivery]:
    """What was said to clients who write by mail, and has to be sent to them."""
    by_ticket = {fact.ticket_id: fact for fact in found if fact.ticket_id is not None}
    if not by_ticket or not await mailboxes.is_there(connection, org_id):
        return []
    return [
        Delivery(
            id=rules.delivery_id(org_id, f"message:{each.message_id}", EMAIL, f"contact:{each.contact_id}"),
            fact_id=by_ticket[each.ticket_id].id,
            kind="message.added",
            happened_at=each.created_at,
            ticket_id=each.ticket_id,
            channel=EMAIL,
            recipient=f"contact:{each.contact_id}",
            data={"message_id": str(each.message_id), "session_id": str(each.session_id)},
            due_at=now,
        )
        for each in await mails.owed(connection, org_id, [each for each in by_ticket if each is not None])
    ]


def _hears(hook: Webhook, fact: Fact) -> bool:
    if fact.kind == "webhook.tested":
        return fact.data.get("webhook_id") == str(hook.id)
    return rules.hears(hook.events, fact.kind)


def _delivery(org_id: UUID, fact: Fact, recipient: Recipient) -> Delivery:
    about = {"session_id": fact.session_id, "actor": fact.actor}
    return Delivery(
        id=rules.delivery_id(org_id, fact.id, recipient.channel, recipient.who),
        fact_id=fact.id,
        kind=fact.kind,
        happened_at=fact.at,
        ticket_id=fact.ticket_id,
        channel=recipient.channel,
        recipient=recipient.who,
        data={**fact.data, **{name: str(value) for name, value in about.items() if value is not None}},
        due_at=recipient.due_at,
        digest_at=recipient.digest_at,
    )


# --- what a person chose ---


async def read_preferences(desk: Desk, principal: Principal, *, of: UUID | None = None) -> Preferences:
    """What this person chose, or for owners and admins somebody else did."""
    _require_person(principal)
    async with desk.database.org_reading(principal) as connection:
        return await notifications.preferences(connection, principal.org_id, await _whose(connection, principal, of))


async def change_preferences(
    desk: Desk, principal: Principal, wanted: Preferences, *, of: UUID | None = None
) -> Preferences:
    """Replace what this person chose, or for owners and admins somebody else did; raises `Invalid(bad_preferences)` by field."""
    _require_person(principal)
    problems = _problems(wanted)
    if problems:
        listed = "; ".join(f"{each.field}: {each.problem}" for each in problems)
        raise Invalid(f"These preferences cannot be kept: {listed}.", code="bad_preferences", fields=tuple(problems))
    if wanted.quiet_from == wanted.quiet_until:
        wanted = replace(wanted, quiet_from=None, quiet_until=None)
    async with desk.database.org_transaction(principal) as connection:
        whose = await _whose(connection, principal, of)
        before = await notifications.preferences(connection, principal.org_id, whose)
        await notifications.set_preferences(connection, principal.org_id, whose, wanted, at=desk.clock())
        names = sorted(kind for kind in NOTICES if before.channels(kind) != wanted.channels(kind))
        values = {name: [_as_said(before, name), _as_said(wanted, name)] for name in (*_HOURS, *names)}
        values = {name: both for name, both in values.items() if both[0] != both[1]}
        await facts.record(connection, principal, "preferences.changed", user_id=whose, names=names, values=values)
    return wanted


def _as_said(chosen: Preferences, name: str) -> Any:
    """One of the preferences as plain values, for the fact."""
    value = getattr(chosen, name) if name in _HOURS else chosen.channels(name)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [str(each) for each in value]
    return value if isinstance(value, bool | None) else str(value)


async def _whose(connection: Connection, principal: Principal, of: UUID | None) -> UUID:
    """Whose preferences are meant; raises `Denied(admin_only)`, `Missing(no_member)`."""
    if of is None or of == principal.user_id:
        return principal.user_id
    if principal.role not in {"owner", "admin"}:
        raise Denied("Only an owner or admin looks after what others are told.", code="admin_only")
    member = await organizations.find_member(connection, principal.org_id, of)
    if member is None or member.kind != "person" or member.role == "client":
        raise Missing("There is no such person in the support team.", code="no_member")
    return of


def _problems(wanted: Preferences) -> list[FieldProblem]:
    problems = []
    for kind, channels in wanted.choices.items():
        if kind not in NOTICES:
            problems.append(
                FieldProblem(f"choices.{kind}", f"is no news for people; it is one of {', '.join(NOTICES)}")
            )
        elif wrong := [channel for channel in channels if channel not in CHANNELS_OF_PEOPLE]:
            problems.append(
                FieldProblem(f"choices.{kind}", f"{wrong[0]!r} is not one of {', '.join(CHANNELS_OF_PEOPLE)}")
            )
    if (wanted.quiet_from is None) != (wanted.quiet_until is None):
        problems.append(FieldProblem("quiet_until", "quiet hours have a beginning and an end, or neither"))
    if len(wanted.digests) > MOST_DIGESTS:
        problems.append(FieldProblem("digests", f"has more than {MOST_DIGESTS} times"))
    if wanted.briefing not in EVERY:
        problems.append(FieldProblem("briefing", f"is none of {', '.join(EVERY)}"))
    try:
        ZoneInfo(wanted.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        problems.append(FieldProblem("zone", "is no time zone such as Europe/Berlin"))
    return problems


# --- the inbox ---


async def read_inbox(
    desk: Desk, principal: Principal, *, before: datetime | None = None, limit: int = 50
) -> tuple[list[Told], int]:
    """What this person was told, newest first, and how many of all were not read (up to 100)."""
    _require_person(principal)
    async with desk.database.org_reading(principal) as connection:
        told = await notifications.inbox(connection, principal.org_id, principal.user_id, before=before, limit=limit)
        return told, await notifications.unread(connection, principal.org_id, principal.user_id)


@dataclass(frozen=True, slots=True)
class News:
    """Equal news as one: `about` has the newest line of each ticket or act, with how often it was told; `unread` are ids."""

    kind: str
    count: int
    newest: datetime
    unread: tuple[UUID, ...]
    about: tuple[tuple[Told, int], ...]


def grouped(told: Sequence[Told]) -> list[News]:
    """What was told (newest first) by kind: how often, when last, and of which tickets; the newest kind first."""
    kinds: dict[str, list[Told]] = {}
    for line in told:
        kinds.setdefault(line.delivery.kind, []).append(line)
    found = []
    for kind, lines in kinds.items():
        about: dict[object, tuple[Told, int]] = {}
        for line in lines:
            key = line.delivery.data.get("approval_id") or line.delivery.ticket_id or line.delivery.id
            first, times = about.get(key, (line, 0))
            about[key] = (first, times + 1)
        unread = tuple(line.delivery.id for line in lines if line.delivery.read_at is None)
        found.append(News(kind, len(lines), lines[0].delivery.happened_at, unread, tuple(about.values())))
    return found


async def count_unread(desk: Desk, principal: Principal) -> int:
    async with desk.database.org_reading(principal) as connection:
        return await notifications.unread(connection, principal.org_id, principal.user_id)


async def mark_read(desk: Desk, principal: Principal, ids: Iterable[UUID] | None = None) -> int:
    """These, or all; returns how many were not read before."""
    _require_person(principal)
    wanted = None if ids is None else list(ids)
    async with desk.database.org_transaction(principal) as connection:
        return await notifications.mark_read(connection, principal.org_id, principal.user_id, wanted)


def _require_person(principal: Principal) -> None:
    if principal.is_client or principal.is_engine:
        raise Denied("Notifications are for the people of the support team.", code="staff_only")
