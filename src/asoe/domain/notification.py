"""Notifications: which facts are news to whom, by which channels, and when it is too late in the day to send them.

Pure: who the people are and what they chose is handed in; sending is the desk's (`delivery.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final, Literal
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from asoe.domain.facts import FACTS, Fact

Audience = Literal["assignee", "assignee_or_staff", "named", "mentioned", "staff", "admins"]
IN_APP: Final = "in_app"
EMAIL: Final = "email"
WEBHOOK: Final = "webhook"
CHANNELS_OF_PEOPLE: Final = (IN_APP, EMAIL)
WEBHOOK_KINDS: Final = ("signed", "slack")

RETRIES: Final = tuple(
    timedelta(seconds=seconds) for seconds in (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
)
"""Pauses before the second and further tries, as Standard Webhooks advises: a little over three days in all."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One kind of news for people. `says` is its line; `is_mailed`: by e-mail too, unless somebody chose otherwise.

    `may_wait`: a mail of it may be collected with others.
    """

    audience: Audience
    says: str
    is_mailed: bool = False
    is_urgent: bool = False
    may_wait: bool = True


NOTICES: Final[dict[str, Notice]] = {
    "ticket.escalated": Notice("assignee_or_staff", "A ticket needs a person", is_mailed=True),
    "ticket.assigned": Notice("named", "A ticket was assigned to you", is_mailed=True),
    "member.mentioned": Notice("mentioned", "You were mentioned in a note", is_mailed=True),
    "message.added": Notice("assignee", "The client wrote on your ticket"),
    "ticket.reopened": Notice("assignee", "Your ticket was opened again"),
    "service_level.warned": Notice("assignee_or_staff", "A service level will be missed soon"),
    "service_level.breached": Notice("assignee_or_staff", "A service level was missed", is_mailed=True),
    "incident.opened": Notice("staff", "An incident was opened", is_mailed=True),
    "incident.confirmed": Notice("staff", "An incident was confirmed"),
    "incident.fix_failed": Notice("staff", "An incident's runbook did not mend it", is_mailed=True),
    "incident.mended": Notice("staff", "The cause of an incident is mended"),
    "approval.requested": Notice("staff", "An act waits for approval", is_mailed=True, may_wait=False),
    "approval.expired": Notice("admins", "Nobody decided on an act in time"),
    "journey.failed": Notice("admins", "A stage of a ticket failed"),
    "autonomy.braked": Notice("admins", "A runbook was braked", is_mailed=True),
    "certificate.voided": Notice("admins", "Certificates of answers were voided", is_mailed=True),
    "autonomy.lent": Notice("admins", "A runbook was lent trust"),
    "acts.stopped": Notice("staff", "All acts were stopped", is_mailed=True, is_urgent=True),
    "acts.released": Notice("staff", "Acts are allowed again"),
    "connector.disabled": Notice("admins", "A connector was disabled"),
    "connector.drifted": Notice("admins", "An outside tool or agent is not as it was reviewed"),
    "mail.bounced": Notice("assignee_or_staff", "A mail to the client came back"),
    "delivery.failed": Notice("admins", "A notification could not be delivered"),
    "webhook.disabled": Notice("admins", "A webhook was disabled"),
    "key.created": Notice("admins", "An API key was made"),
}
"""Everything else is heard by webhooks and in the timeline only."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """What one person chose. `choices` maps facts to channels; quiet hours and digests are local times of `zone`.

    `digests`: the times at which mails that may wait are sent, as one. None: each goes at once. `briefing`: how often the
    figures come by mail (`domain/briefing.py`).
    """

    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    quiet_from: time | None = None
    quiet_until: time | None = None
    zone: str = "UTC"
    is_urgent_always: bool = True
    digests: Sequence[time] = ()
    briefing: str = "off"

    def channels(self, kind: str) -> tuple[str, ...]:
        """Where this person wants to hear of `kind`."""
        chosen = self.choices.get(kind)
        if chosen is not None:
            return tuple(chosen)
        return (IN_APP, EMAIL) if NOTICES[kind].is_mailed else (IN_APP,)


@dataclass(frozen=True, slots=True)
class Person:
    """A member of the staff as a recipient."""

    user_id: UUID
    role: str
    has_email: bool
    preferences: Preferences = field(default_factory=Preferences)
    briefing_since: datetime | None = None
    email: str = ""


@dataclass(frozen=True, slots=True)
class Recipient:
    """Where one fact goes, and not before when. `digest_at`: together with what else was collected until then."""

    channel: str
    who: str
    due_at: datetime
    digest_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class About:
    """What of its ticket decides who is told; `reaches`: the people of its team, who hear of it while it has no assignee."""

    assignee: UUID | None = None
    severity: str = "medium"
    team: str | None = None
    reaches: frozenset[UUID] = frozenset()


@dataclass(frozen=True, slots=True)
class Delivery:
    """One row per fact, channel and recipient; `id` is the stable part of its Message-ID or webhook-id."""

    id: UUID
    fact_id: int
    kind: str
    happened_at: datetime
    ticket_id: UUID | None
    channel: str
    recipient: str
    data: Mapping[str, Any]
    due_at: datetime
    digest_at: datetime | None = None
    status: str = "pending"
    attempts: int = 0
    trouble: str | None = None
    created_at: datetime | None = None
    delivered_at: datetime | None = None
    read_at: datetime | None = None

    @property
    def recipient_id(self) -> UUID:
        return UUID(self.recipient.partition(":")[2])


def for_people(
    fact: Fact, about: About, people: Iterable[Person], *, has_mailbox: bool, now: datetime
) -> list[Recipient]:
    """Who is told of a fact. Nobody hears of what they did themselves."""
    notice = NOTICES.get(fact.kind)
    if notice is None or _is_no_news(fact):
        return []
    told: list[Recipient] = []
    for person in people:
        if person.user_id == fact.actor or not _is_meant(person, notice, fact, about):
            continue
        is_urgent = notice.is_urgent or about.severity == "critical"
        for channel in person.preferences.channels(fact.kind):
            who = f"person:{person.user_id}"
            if channel == IN_APP:
                told.append(Recipient(channel, who, now))
            elif channel == EMAIL and has_mailbox and person.has_email:
                may_wait = notice.may_wait and not is_urgent
                at = next_digest(person.preferences, now) if may_wait else None
                due_at = quiet_until(person.preferences, at or now, is_urgent=is_urgent)
                told.append(Recipient(channel, who, due_at, digest_at=at))
    return told


def next_digest(preferences: Preferences, now: datetime) -> datetime | None:
    """The next time at which this person's mails are collected, after `now`; None for who has each at once.

    A time that the clock leaves out counts as the moment after; one that comes twice counts once, the first time.
    """
    if not preferences.digests:
        return None
    zone = ZoneInfo(preferences.zone)
    today = now.astimezone(zone).date()
    moments = [
        datetime.combine(today + timedelta(days=days), each, zone).astimezone(now.tzinfo)
        for days in (0, 1)
        for each in preferences.digests
    ]
    return min(moment for moment in moments if moment > now)


def quiet_until(preferences: Preferences, now: datetime, *, is_urgent: bool = False) -> datetime:
    """`now`, or the end of the quiet hours it falls into; urgent news waits only for those who said so."""
    begin, end = preferences.quiet_from, preferences.quiet_until
    if begin is None or end is None or begin == end or (is_urgent and preferences.is_urgent_always):
        return now
    local = now.astimezone(ZoneInfo(preferences.zone))
    clock = local.time().replace(tzinfo=None)
    is_quiet = begin <= clock < end if begin < end else clock >= begin or clock < end
    if not is_quiet:
        return now
    day = local.date() + timedelta(days=1) if clock >= end else local.date()
    return datetime.combine(day, end, local.tzinfo).astimezone(now.tzinfo)


def hears(events: Iterable[str], kind: str) -> bool:
    """Whether a webhook's list of events holds a fact: by name, by noun (`ticket.*`) or all (`*`)."""
    noun = kind.partition(".")[0]
    return any(event in {"*", kind, f"{noun}.*"} for event in events)


def wrong_events(events: Iterable[str]) -> list[str]:
    """The events no fact could ever match."""
    nouns = {kind.partition(".")[0] for kind in FACTS}
    known = {"*", *FACTS, *(f"{noun}.*" for noun in nouns)}
    return [event for event in events if event not in known]


def delivery_id(org_id: UUID, fact_id: int | str, channel: str, recipient: str) -> UUID:
    """The same for the same fact, channel and recipient, whoever makes it and however often."""
    return uuid5(org_id, f"{fact_id}:{channel}:{recipient}")


def digest_id(org_id: UUID, recipient: str, digest_at: datetime) -> UUID:
    """The same for the same collection, so that its Message-ID stays at every try."""
    return uuid5(org_id, f"digest:{recipient}:{digest_at.astimezone(UTC).isoformat()}")


def pause_before(attempt: int) -> timedelta | None:
    """The pause after `attempt` failed tries; None when that was the last."""
    return RETRIES[attempt - 1] if attempt <= len(RETRIES) else None


def _is_no_news(fact: Fact) -> bool:
    return fact.kind == "message.added" and fact.data.get("role") != "user"


def _is_meant(person: Person, notice: Notice, fact: Fact, about: About) -> bool:
    match notice.audience:
        case "assignee":
            return person.user_id == about.assignee
        case "assignee_or_staff":
            if about.assignee is None and about.reaches:
                return person.user_id in about.reaches
            return about.assignee in {None, person.user_id}
        case "named":
            return str(person.user_id) == fact.data.get("assignee")
        case "mentioned":
            return str(person.user_id) == fact.data.get("user_id")
        case "admins":
            return person.role in {"owner", "admin"}
        case "staff":
            return True
