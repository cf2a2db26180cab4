"""Topics: what tickets are about, found in the tickets themselves once a day or when somebody asks, and what each of them takes.

How texts are grouped is `ai.topics`', which group is a topic of before `domain.topic`'s; figures are the report's. The newest MOST tickets
of DAYS are looked at; each ticket's vector is made once. No transaction is open while anything is computed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import numpy as np

from asoe.ai import topics as grouping
from asoe.ai.redaction import redact
from asoe.desk.context import Desk
from asoe.desk.report import figures
from asoe.domain.errors import Conflict, Denied
from asoe.domain.organization import Principal
from asoe.domain.report import Counts, Rate
from asoe.domain.topic import Change, Continuity, Topic, Verdict, carry_on, judge_changes
from asoe.store import facts, insights
from asoe.store import topics as topic_rows
from asoe.store.db import Connection
from asoe.store.topics import Example, Known, Text, Vector

DAYS: Final = 90
MOST: Final = 20_000
PERIOD: Final = timedelta(weeks=4)
"""Whole weeks, so that both periods have the same days of the week."""
WEEKS: Final = 13
EVERY: Final = timedelta(days=1)
ENDED_SHOWN: Final = timedelta(days=28)
REMEMBERED: Final = timedelta(days=365)
"""A topic that ended is itself again when its tickets come back within so long."""
EXAMPLES: Final = 5
_BATCH: Final = 100
_NAMED_BY: Final = 60
"""Tickets of a topic that its name is made of, those nearest to its center."""
_NAME_WORDS: Final = 3
_MOST_TITLE: Final = 160
_EMPTY: Final = Counts()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a search found, in numbers."""

    tickets: int
    topics: int
    begun: int
    split: int
    merged: int
    ended: int


@dataclass(frozen=True, slots=True)
class TopicFigures:
    """A topic with what it was in the last weeks (`weeks`: tickets, oldest first) and what its tickets took (`counts`, of DAYS)."""

    topic: Topic
    share: Rate
    change: Change
    verdict: Verdict
    weeks: tuple[int, ...]
    tickets: int
    counts: Counts
    moved: dict[str, Decimal]
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Topics:
    """Those that most tickets were about lately first; `ended` are those that ended or went into another since a while."""

    made_at: datetime | None
    tickets: int
    of_none: int
    items: tuple[TopicFigures, ...]
    ended: tuple[Topic, ...]


@dataclass(frozen=True, slots=True)
class Groups:
    """Tickets by what they are about; `labels` -1: of none."""

    labels: np.ndarray
    centers: np.ndarray
    likeness: np.ndarray
    """Of each ticket to the center of its group."""
    continuity: Continuity
    nearest: tuple[tuple[int, ...], ...]
    """Of each group, the places of the tickets nearest to its center."""


@dataclass(frozen=True, slots=True)
class _Found:
    vectors: Sequence[Vector]
    known: Sequence[Known]
    groups: Groups
    names: Sequence[tuple[str, ...]]


async def compute(desk: Desk, principal: Principal) -> Outcome:
    """Find topics now; raises `Conflict(topics_under_way)` when somebody is at it. Staff only."""
    _staff_only(principal)
    found = await _search(desk, principal, unless_since=desk.clock())
    if found is None:
        raise Conflict("Topics are being found at this moment. Look again in a minute.", code="topics_under_way")
    return found


async def keep(desk: Desk, engine: Principal) -> None:
    """Find topics when that was long ago."""
    await _search(desk, engine, unless_since=desk.clock() - EVERY)


async def read_topics(desk: Desk, principal: Principal) -> Topics:
    """The topics as they were found last, with their figures as of now; staff only."""
    _staff_only(principal)
    org_id, now = principal.org_id, desk.clock()
    async with desk.database.org_reading(principal) as connection:
        search = await topic_rows.search(connection, org_id)
        listed = await topic_rows.listed(connection, org_id, ended_since=now - ENDED_SHOWN)
        weeks = await topic_rows.weeks(connection, org_id, until=now)
        clients = await topic_rows.clients(connection, org_id, until=now, period=PERIOD)
        taken = await insights.by_topic(connection, org_id)
        examples = await topic_rows.examples(connection, org_id, each=EXAMPLES)
    lately = PERIOD // timedelta(weeks=1)
    total = sum(n for counted in weeks.values() for week, n in counted.items() if week < lately)
    now_of, before_of = (sum(each[place] for each in clients.values()) for place in (0, 1))
    going = [each for each in listed if each.ended_at is None]
    changes = [
        Change(now, now_of, before, before_of) for now, before in (clients.get(each.id, (0, 0)) for each in going)
    ]
    items = []
    for topic, change, verdict in zip(going, changes, judge_changes(changes), strict=True):
        counted = weeks.get(topic.id, {})
        counts, moved = taken.get(topic.id, (_EMPTY, {}))
        items.append(
            TopicFigures(
                topic=topic,
                share=Rate(sum(n for week, n in counted.items() if week < lately), total),
                change=change,
                verdict=verdict,
                weeks=tuple(counted.get(week, 0) for week in range(WEEKS - 1, -1, -1)),
                tickets=sum(counted.values()),
                counts=counts,
                moved=moved,
                examples=tuple(replace(each, title=_line(each.title)) for each in examples.get(topic.id, ())),
            )
        )
    return Topics(
        made_at=search.ended_at,
        tickets=sum(sum(counted.values()) for counted in weeks.values()),
        of_none=sum(weeks.get(None, {}).values()),
        items=tuple(sorted(items, key=lambda each: (-each.share.hits, -each.tickets, each.topic.number))),
        ended=tuple(each for each in listed if each.ended_at is not None),
    )


def to_json(found: Topics) -> dict[str, Any]:
    """The topics as plain values."""
    return {
        "made_at": found.made_at,
        "days": DAYS,
        "period_days": PERIOD.days,
        "tickets": found.tickets,
        "of_none": found.of_none,
        "items": [_item(each) for each in found.items],
        "ended": [asdict(each) for each in found.ended],
    }


def arrange(vectors: Sequence[Vector], known: Sequence[Known]) -> Groups:
    """Group tickets by what they are about, and say which known topic each group is."""
    made = _unpacked([each.embedding for each in vectors])
    place_of = {each.id: place for place, each in enumerate(known)}
    before = np.array([-1 if each.topic_id is None else place_of.get(each.topic_id, -1) for each in vectors], np.int32)
    labels = grouping.find_groups(made, before)
    centers = grouping.centers(made, labels)
    shared_part = grouping.shared_part(made)
    tickets, middles = grouping.apart(made, shared_part), grouping.apart(centers, shared_part)
    likeness = (
        np.where(labels >= 0, (tickets * middles[np.maximum(labels, 0)]).sum(1), 0.0)
        if len(centers)
        else np.zeros(len(made))
    )
    shared = np.zeros((len(centers), len(known)), int)
    both = (labels >= 0) & (before >= 0)
    np.add.at(shared, (labels[both], before[both]), 1)
    alike = middles @ grouping.apart(_unpacked([each.center for each in known]), shared_part).T
    nearest = []
    for group in range(len(centers)):
        places = np.flatnonzero(labels == group)
        nearest.append(tuple(places[np.argsort(-likeness[places], kind="stable")[:_NAMED_BY]].tolist()))
    return Groups(
        labels=labels,
        centers=centers,
        likeness=likeness,
        continuity=carry_on(alike.tolist(), shared.tolist(), [each.ended_at is not None for each in known]),
        nearest=tuple(nearest),
    )


async def _search(desk: Desk, principal: Principal, *, unless_since: datetime) -> Outcome | None:
    engine = await desk.engine_of(principal.org_id)
    begun_at = desk.clock()
    async with desk.database.org_transaction(engine) as connection:
        if not await topic_rows.claim(connection, engine.org_id, now=begun_at, unless_since=unless_since):
            return None
    try:
        await _read(desk, engine, now=begun_at)
        async with desk.database.org_transaction(engine) as connection:
            vectors = await topic_rows.vectors(connection, engine.org_id, most=MOST)
            known = await topic_rows.known(connection, engine.org_id, ended_since=begun_at - REMEMBERED)
        groups = await asyncio.to_thread(arrange, vectors, known)
        names = await _names(desk, engine, vectors, groups)
        found = _Found(vectors, known, groups, names)
        async with desk.database.org_transaction(engine) as connection:
            now = desk.clock()
            outcome = None
            if await topic_rows.release(
                connection, engine.org_id, begun_at=begun_at, ended_at=now, tickets=len(vectors)
            ):
                outcome = await _write(connection, engine, found, now=now)
                await facts.record(connection, principal, "topic.searched", **asdict(outcome))
    except BaseException:
        async with desk.database.org_transaction(engine) as connection:
            await topic_rows.release(connection, engine.org_id, begun_at=begun_at)
        raise
    return outcome


async def _read(desk: Desk, engine: Principal, *, now: datetime) -> None:
    """Make the vectors of tickets that have none, batch by batch, and forget those that are not looked at any more."""
    since = now - timedelta(days=DAYS)
    async with desk.database.org_transaction(engine) as connection:
        await topic_rows.leave_out(connection, engine.org_id, before=since)
    while True:
        async with desk.database.org_reading(engine) as connection:
            unread = await topic_rows.unread(connection, engine.org_id, since=since, most=MOST, limit=_BATCH)
        if not unread:
            return
        made = await desk.ai.embed([_said(each) or "." for each in unread])  # which redacts them
        async with desk.database.org_transaction(engine) as connection:
            await topic_rows.add(
                connection,
                engine.org_id,
                {each.id: vector.astype(np.float16).tobytes() for each, vector in zip(unread, made, strict=True)},
            )


async def _names(desk: Desk, engine: Principal, vectors: Sequence[Vector], groups: Groups) -> list[tuple[str, ...]]:
    """Of each group the words it is named by, the best first."""
    label_of = {vectors[place].ticket_id: group for group, places in enumerate(groups.nearest) for place in places}
    async with desk.database.org_reading(engine) as connection:
        texts = await topic_rows.texts(connection, engine.org_id, list(label_of))

    def name() -> list[tuple[str, ...]]:
        return grouping.name_groups(
            [redact(_said(each)).text for each in texts],
            [each.client for each in texts],
            [label_of[each.id] for each in texts],
            groups=len(groups.nearest),
        )

    return await asyncio.to_thread(name)


async def _write(connection: Connection, engine: Principal, found: _Found, *, now: datetime) -> Outcome:
    """Groups become topics: known ones go on, others begin, and what is in no group any more ends."""
    org_id, known, groups = engine.org_id, found.known, found.groups
    continuity = groups.continuity
    going = {place for place in continuity.goes_on if place is not None}
    taken = {known[place].name for place in going}
    ids: list[UUID] = []
    begun = split = merged = ended = 0
    for group, place in enumerate(continuity.goes_on):
        center = groups.centers[group].astype(np.float16).tobytes()
        if place is not None:
            ids.append(known[place].id)
            await topic_rows.go_on(connection, org_id, known[place].id, center=center)
            continue
        name = _name(found.names[group], taken)
        taken.add(name)
        origin = continuity.split_from[group]
        split_from = None if origin is None else known[origin].id
        ids.append(await topic_rows.begin(connection, org_id, name=name, center=center, split_from=split_from, at=now))
        begun, split = begun + (split_from is None), split + (split_from is not None)
        if split_from is not None:
            await facts.record(connection, engine, "topic.split", topic_id=str(ids[-1]), split_from=str(split_from))
    for place, each in enumerate(known):
        if place in going or each.ended_at is not None:
            continue
        group_into = continuity.merged_into.get(place)
        into = None if group_into is None else ids[group_into]
        await topic_rows.end(connection, org_id, each.id, at=now, merged_into=into)
        kind = "topic.ended" if into is None else "topic.merged"
        await facts.record(connection, engine, kind, topic_id=str(each.id), into=None if into is None else str(into))
        merged, ended = merged + (into is not None), ended + (into is None)
    await topic_rows.place(
        connection,
        org_id,
        (
            (each.ticket_id, ids[label] if label >= 0 else None, round(float(like), 4) if label >= 0 else None)
            for each, label, like in zip(found.vectors, groups.labels.tolist(), groups.likeness, strict=True)
        ),
    )
    return Outcome(len(found.vectors), len(ids), begun, split, merged, ended)


def _name(words: Sequence[str], taken: set[str]) -> str:
    """The best words, and one more where a topic that goes on is called so already."""
    for most in range(_NAME_WORDS, len(words) + 1):
        if (name := " · ".join(words[:most])) not in taken:
            return name
    return " · ".join(words[:_NAME_WORDS])


def _said(text: Text) -> str:
    return "\n".join(part for part in (text.subject, text.body) if part).strip()


def _line(title: str) -> str:
    line = " ".join(redact(title).text.split())
    return line if len(line) <= _MOST_TITLE else line[: _MOST_TITLE - 1] + "…"


def _unpacked(packed: Sequence[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(packed), np.float16).reshape(len(packed), -1 if packed else 384).astype(np.float32)


def _item(each: TopicFigures) -> dict[str, Any]:
    low, high = each.share.interval or (None, None)
    ratio_low, ratio_high = each.change.interval or (None, None)
    return {
        **asdict(each.topic),
        "tickets": each.tickets,
        "share": {"hits": each.share.hits, "of": each.share.total, "share": each.share.share, "low": low, "high": high},
        "change": {
            "verdict": each.verdict,
            "ratio": each.change.ratio,
            "low": ratio_low,
            "high": ratio_high,
            "clients": each.change.now,
            "clients_before": each.change.before,
        },
        "weeks": list(each.weeks),
        "figures": figures(each.counts),
        "moved": {unit: str(amount) for unit, amount in sorted(each.moved.items())},
        "examples": [asdict(example) for example in each.examples],
    }


def _staff_only(principal: Principal) -> None:
    if principal.is_client:
        raise Denied("Topics are for the organization's staff.", code="staff_only")
