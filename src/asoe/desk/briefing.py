"""Briefings: the figures of a day or week for one person, as a page and as a mail that comes once for each period.

When one is due and what a role reads first is the domain's (`domain/briefing.py`), sending `delivery.py`'s: a briefing is a delivery
whose id is made from person and period, so that a crash makes no second one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from email.message import EmailMessage
from typing import Final
from uuid import UUID

import structlog

from asoe.desk import letter, notification, recommendation, report
from asoe.desk.context import Desk, policy_of
from asoe.desk.recommendation import Shown
from asoe.domain.briefing import DAYS, NAMES, PARTS, PLOTTED, briefing_id, days_of, due, last_moment
from asoe.domain.connector import ConnectorRecord, Trouble
from asoe.domain.errors import Denied, FieldProblem, Invalid, Missing
from asoe.domain.incident import Incident
from asoe.domain.language_model import least
from asoe.domain.notification import EMAIL, Delivery, Person, quiet_until
from asoe.domain.organization import Principal
from asoe.domain.people import Member
from asoe.domain.recommendation import RULES
from asoe.domain.report import Counts, Report, Slice, times
from asoe.queue.failures import kind_of, place_of
from asoe.store import (
    autonomy,
    briefings,
    connectors,
    deliveries,
    incidents,
    model_spend,
    notifications,
    organizations,
)
from asoe.store.briefings import Book, Promise, Severity, Waiting
from asoe.store.db import Connection

KIND: Final = "briefing"
SOON: Final = timedelta(days=1)
_ADVISED: Final = 3
_OWED: Final = 200
_LISTED: Final = 5
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Mine:
    """One person's own queue; `late` and `soon` count promises, of which `promises` are the first due."""

    severities: tuple[Severity, ...]
    resolved: int
    promises: tuple[Promise, ...]
    late: int
    soon: int

    @property
    def open(self) -> int:
        return sum(each.tickets for each in self.severities)


@dataclass(frozen=True, slots=True)
class Figures:
    """The report of the days, the counts of as many days before them, the days to plot, and what to do."""

    report: Report
    before: Counts
    plotted: Report
    advice: tuple[Shown, ...]
    incidents: tuple[Incident, ...]


@dataclass(frozen=True, slots=True)
class Running:
    """How the engine runs: systems, runbooks, limits. `model`: tokens and dollars of each day, with what is allowed a day."""

    stopped: str | None
    connectors: tuple[tuple[ConnectorRecord, Trouble | None], ...]
    books: tuple[Book, ...]
    waiting: Waiting
    tokens: int
    usd: float
    tokens_per_day: int | None
    usd_per_day: float | None


@dataclass(frozen=True, slots=True)
class Briefing:
    """What one person reads of the days from `since` to before `until`; parts that are not its own are None."""

    every: str
    since: date
    until: date
    parts: tuple[str, ...]
    mine: Mine | None = None
    figures: Figures | None = None
    running: Running | None = None


async def read_briefing(desk: Desk, principal: Principal, *, every: str = "daily", part: str | None = None) -> Briefing:
    """Of the last day or week that is over, for whoever asks; `part` chooses one. Staff only; how it runs is the admins'.

    Raises `Invalid(bad_briefing)`, `Denied`.
    """
    if principal.is_client or principal.role not in PARTS:
        raise Denied("Briefings are for the people of the support team.", code="staff_only")
    problems = []
    if every not in DAYS:
        problems.append(FieldProblem("every", f"is one of {', '.join(DAYS)}"))
    if part is not None and part not in NAMES:
        problems.append(FieldProblem("part", f"is one of {', '.join(NAMES)}"))
    if problems:
        listed = "; ".join(f"{each.field}: {each.problem}" for each in problems)
        raise Invalid(f"There is no such briefing. {listed}.", code="bad_briefing", fields=tuple(problems))
    if part == "running" and principal.role not in {"owner", "admin"}:
        raise Denied("How the engine runs is for owners and admins.", code="admin_only")
    now = desk.clock()
    async with desk.database.org_reading(principal) as connection:
        chosen = await notifications.preferences(connection, principal.org_id, principal.user_id)
        since, until = days_of(every, last_moment(every, chosen.zone, now))
        return await _compose(
            desk,
            connection,
            principal.org_id,
            principal.user_id,
            every=every,
            since=since,
            until=until,
            parts=PARTS[principal.role] if part is None else (part,),
        )


async def send_due(desk: Desk) -> None:
    """Make the briefings that are due now, of every organization."""
    for each in await organizations.list_organizations(desk.database):
        try:
            await _send_due(desk, each.engine)
        except Missing:
            continue  # suspended since
        except Exception as error:  # one organization that fails does not keep the others waiting
            _log.error("briefing.failed", org_id=str(each.org_id), error=kind_of(error), where=place_of(error))


async def _send_due(desk: Desk, engine: Principal) -> None:
    now, org_id = desk.clock(), engine.org_id
    async with desk.database.org_reading(engine) as connection:
        if not await notifications.wants_briefings(connection, org_id):
            return
        wanted = [
            _delivery(org_id, each, moment)
            for each in await notifications.staff(connection, org_id)
            if each.has_email
            and (moment := due(each.preferences.briefing, each.preferences.zone, each.briefing_since, now)) is not None
        ]
        made = await briefings.known(connection, org_id, [each.id for each in wanted])
    new = [each for each in wanted if each.id not in made]
    if not new:
        return
    async with desk.database.org_transaction(engine) as connection:
        for delivery_id, due_at in await deliveries.add(connection, org_id, new, at=now):
            if due_at <= now:
                await notification.enqueue(desk, connection, org_id, delivery_id)


def _delivery(org_id: UUID, person: Person, moment: datetime) -> Delivery:
    every, zone = person.preferences.briefing, person.preferences.zone
    since, until = days_of(every, moment)
    return Delivery(
        id=briefing_id(org_id, person.user_id, every, moment, zone),
        fact_id=0,
        kind=KIND,
        happened_at=moment,
        ticket_id=None,
        channel=EMAIL,
        recipient=f"person:{person.user_id}",
        data={"every": every, "since": since.isoformat(), "until": until.isoformat()},
        due_at=quiet_until(person.preferences, moment),
    )


async def letter_of(
    desk: Desk,
    connection: Connection,
    engine: Principal,
    delivery: Delivery,
    member: Member,
    *,
    organization: str,
    sender: tuple[str, str],
) -> EmailMessage:
    """The mail of a briefing that is due, as the role its reader has now reads it; inside the transaction that sends it."""
    every = str(delivery.data["every"])
    found = await _compose(
        desk,
        connection,
        engine.org_id,
        member.user_id,
        every=every,
        since=date.fromisoformat(str(delivery.data["since"])),
        until=date.fromisoformat(str(delivery.data["until"])),
        parts=PARTS.get(member.role, ("mine",)),
    )
    return letter.briefing_mail(
        [(NAMES[part], lines_of(found, part, desk.clock())) for part in found.parts],
        days=_days(found),
        organization=organization,
        sender=sender,
        recipient=(member.name, str(member.email)),
        url=f"{desk.public_url}/briefing?every={every}",
        foot_url=f"{desk.public_url}/profile/notifications",
        message_id=letter.message_id(delivery.id, sender[1].rpartition("@")[2]),
        at=delivery.happened_at,
    )


# --- reading ---


async def _compose(
    desk: Desk,
    connection: Connection,
    org_id: UUID,
    user_id: UUID,
    *,
    every: str,
    since: date,
    until: date,
    parts: tuple[str, ...],
) -> Briefing:
    now = desk.clock()
    return Briefing(
        every,
        since,
        until,
        parts,
        mine=await _mine(connection, org_id, user_id, since=since, until=until, now=now) if "mine" in parts else None,
        figures=await _figures(connection, org_id, every, since=since, until=until, now=now)
        if "figures" in parts
        else None,
        running=await _running(desk, connection, org_id, since, until) if "running" in parts else None,
    )


async def _mine(
    connection: Connection, org_id: UUID, user_id: UUID, *, since: date, until: date, now: datetime
) -> Mine:
    owed = await briefings.promises(connection, org_id, user_id, before=now + SOON, limit=_OWED)
    late = sum(1 for each in owed if each.breached_at is not None or each.due_at <= now)
    return Mine(
        tuple(await briefings.mine(connection, org_id, user_id)),
        await briefings.resolved(connection, org_id, user_id, since=_start(since), until=_start(until)),
        tuple(owed[:_LISTED]),
        late,
        len(owed) - late,
    )


async def _figures(
    connection: Connection, org_id: UUID, every: str, *, since: date, until: date, now: datetime
) -> Figures:
    earlier = Slice(since - (until - since), since)
    plotted = Slice(until - timedelta(days=PLOTTED[every]), until)
    found = await report.read_within(connection, org_id, Slice(since, until), now=now)
    return Figures(
        found,
        (await report.read_within(connection, org_id, earlier, now=now)).total,
        await report.read_within(connection, org_id, plotted, now=now),
        tuple(await recommendation.read_within(connection, org_id, limit=_ADVISED)),
        tuple(each for each in await incidents.going(connection, org_id) if each.status != "dismissed")[:_LISTED],
    )


async def _running(desk: Desk, connection: Connection, org_id: UUID, since: date, until: date) -> Running:
    troubles = await connectors.troubles(connection, org_id)
    spent = await model_spend.spent(connection, org_id, until - timedelta(days=1), days=(until - since).days)
    rules = (await policy_of(connection, org_id)).language_model
    tokens = least(rules.tokens_per_day, desk.model.tokens_per_day if desk.model else None)
    usd = least(rules.usd_per_day, desk.model.usd_per_day if desk.model else None)
    return Running(
        await autonomy.stopped(connection, org_id),
        tuple((each, troubles.get(each.id)) for each in await connectors.list_all(connection, org_id)),
        tuple(await briefings.books(connection, org_id)),
        await briefings.running(connection, org_id, since=_start(since), until=_start(until)),
        sum(each.tokens for each in spent),
        float(sum(each.cost_usd for each in spent)),
        None if tokens is None else int(tokens),
        None if usd is None else float(usd),
    )


# --- as lines ---


def lines_of(found: Briefing, part: str, now: datetime) -> list[str]:
    """One part in a few lines of plain text; whatever others wrote in it is escaped by whoever shows it."""
    if part == "mine" and found.mine is not None:
        return _mine_lines(found.mine)
    if part == "figures" and found.figures is not None:
        return _figure_lines(found.figures)
    return _running_lines(found.running, now) if found.running is not None else []


def _mine_lines(mine: Mine) -> list[str]:
    by = ", ".join(f"{each.tickets} {each.severity}" for each in mine.severities)
    reopened = sum(each.reopened for each in mine.severities)
    lines = [f"{mine.open} open" + (f": {by}." if by else "."), f"{mine.resolved} of yours were resolved."]
    if reopened:
        lines.append(f"{reopened} of the open ones were resolved before.")
    lines.append(f"Promises: {mine.late} late, {mine.soon} due within a day.")
    lines += [
        f"#{each.number} {letter.one_line(each.subject) or '(no subject)'}: {each.kind.replace('_', ' ')} "
        f"{'was' if each.breached_at else 'is'} due {each.due_at:%Y-%m-%d %H:%M} UTC"
        for each in mine.promises
    ]
    return lines


def _figure_lines(figures: Figures) -> list[str]:
    total, before = figures.report.total, figures.before
    lines = [f"{total.tickets} tickets came in; {before.tickets} in as much time before. {total.resting} rest."]
    if total.resting:
        shares = [
            f"{name} {_percent(total.rate(name).share)} ({_percent(low)} to {_percent(high)})"
            for name in ("handled", "contained", "verified")
            for low, high in [total.rate(name).interval or (0.0, 0.0)]
        ]
        lines.append("Of these " + ", ".join(shares) + ".")
    waits = [
        f"{name} {_span(found.median)}"
        for name, counted in (("first answer", total.answered_times), ("resolution", total.resolved_times))
        if (found := times(counted)).median is not None
    ]
    if waits:
        lines.append("In the middle: " + ", ".join(waits) + ".")
    due_, kept = total.first_due + total.resolution_due, total.first_kept + total.resolution_kept
    if due_:
        lines.append(f"Promises kept: {kept} of {due_}.")
    if total.ratable:
        lines.append(f"Satisfied: {total.helped} of {total.rated} who said so, of {total.ratable} asked.")
    most = [f"{each.value.replace('_', ' ')} {each.counts.tickets}" for each in figures.report.groups["category"][:3]]
    if most:
        lines.append("Most came as " + ", ".join(most) + ".")
    lines += [f"Incident #{each.number}: {letter.one_line(each.title)} ({each.status})" for each in figures.incidents]
    lines += [f"To do: {advice_line(each)}" for each in figures.advice]
    return lines


def advice_line(shown: Shown) -> str:
    """A recommendation in one line."""
    it, gain = shown.it, shown.it.gain
    gained = ""
    if gain is not None:
        gained = f"; at most {gain.high} a month" if gain.expected is None else f"; about {gain.expected} a month"
    return f"{RULES[it.kind].says}: {letter.one_line(shown.about)} ({it.weight} cases{gained})"


def _running_lines(running: Running, now: datetime) -> list[str]:
    lines = [f"ALL ACTS ARE STOPPED: {letter.one_line(running.stopped)}"] if running.stopped else []
    troubled = [
        f"Connector {row.name}: {'disabled' if row.disabled_at else letter.one_line(trouble.detail if trouble else '')}"
        for row, trouble in running.connectors
        if row.disabled_at or (trouble is not None and trouble.ended_at is None)
    ]
    lines += troubled or [f"Connectors: {len(running.connectors)}, none in trouble."]
    levels: dict[str, int] = {}
    for book in running.books:
        levels[book.level] = levels.get(book.level, 0) + 1
    lines.append(
        "Runbooks: " + (", ".join(f"{count} at {level}" for level, count in sorted(levels.items())) or "none") + "."
    )
    lines += [
        f"{each.name} braked itself: {letter.one_line(each.braked_why or '')}"
        for each in running.books
        if each.braked_at
    ]
    lines += [
        f"{each.name} is lent trust until {each.lent_until:%Y-%m-%d}."
        for each in running.books
        if each.lent_until is not None and each.lent_until > now and each.level == "auto"
    ]
    waiting = running.waiting
    lines.append(f"Approvals: {waiting.approvals} wait, {waiting.expired} ran out undecided.")
    lines.append(f"Over a cap: {waiting.over_cap} tickets. Notifications given up: {waiting.dead}.")
    most = "" if running.tokens_per_day is None else f" (at most {running.tokens_per_day} a day)"
    lines.append(f"Language model: {running.tokens} tokens{most}, {running.usd:.2f} USD.")
    return lines


def _days(found: Briefing) -> str:
    last = found.until - timedelta(days=1)
    return last.isoformat() if found.since == last else f"{found.since.isoformat()} to {last.isoformat()}"


def _start(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
