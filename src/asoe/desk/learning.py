"""Learning: an organization's corrections become a challenger, which is compared and promoted only when it is better.

Here: beginning a training, doing it with progress, promoting or keeping out, and rolling back. How
lessons and models are compared is the domain's to say (`domain/learning.py`), how a model is fitted `ai/adapter.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

import numpy as np
import structlog

from asoe.ai.adapter import Adapter, fit_adapter
from asoe.ai.own_intents import OwnIntents
from asoe.ai.triage_model import severity_places, ticket_text
from asoe.desk.champion import own_from, read_adapter
from asoe.desk.context import Desk
from asoe.desk.outcome import with_verdict
from asoe.domain.errors import Conflict, Denied
from asoe.domain.learning import (
    HEADS,
    MOST_LESSONS,
    Comparison,
    Lesson,
    Replay,
    Scored,
    capped,
    compare,
    fingerprint,
)
from asoe.domain.organization import Principal
from asoe.domain.ticket import Ticket
from asoe.domain.triage import CATEGORIES, INTENTS, SEVERITIES
from asoe.queue.failures import kind_of, place_of
from asoe.store import corrections, facts, models, org_intents, tickets
from asoe.store.corrections import Correction, Sorted
from asoe.store.models import Finished, Model, Named
from asoe.store.transient import is_transient

if TYPE_CHECKING:
    from asoe.ai.local import Models

JOB: Final = "retrain"
RECENT: Final = 300
LEASE: Final = timedelta(minutes=5)
_AT_A_TIME: Final = 16
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Stuff:
    """Everything a training needs, read before it begins."""

    lessons: tuple[Lesson, ...]
    corrected: int
    voices: int
    people: int
    recent: tuple[tuple[UUID, str], ...]
    champion: Named | None
    adapter: Adapter | None
    own: OwnIntents | None


@dataclass(frozen=True, slots=True)
class _Trained:
    challenger: Adapter
    comparison: Comparison
    base_version: str


# --- people ---


async def start_training(desk: Desk, principal: Principal) -> Model:
    """Have a challenger trained by the worker; asking again while one is trained wakes that one."""
    _admin_only(principal)
    async with desk.database.org_transaction(principal) as connection:
        begun = await models.begin(connection, principal.org_id, by=principal.user_id, at=desk.clock())
        (newest,) = await models.page(connection, principal.org_id, limit=1)
        if begun:
            await facts.record(connection, principal, "model.training", version=newest.version)
        await desk.queue.enqueue(connection, JOB, {"org_id": principal.org_id})
        return newest


async def cancel_training(desk: Desk, principal: Principal) -> int:
    """End the training under way, of which nothing is kept; its version. Raises `Conflict(no_training)`."""
    _admin_only(principal)
    async with desk.database.org_transaction(principal) as connection:
        version = await models.cancel(connection, principal.org_id, at=desk.clock())
        if version is None:
            raise Conflict("No model is being trained: there is nothing to cancel.", code="no_training")
        await facts.record(connection, principal, "model.cancelled", version=version)
        return version


async def list_models(desk: Desk, principal: Principal, *, limit: int = 50) -> list[Model]:
    """Newest first; staff only."""
    _staff_only(principal)
    async with desk.database.org_reading(principal) as connection:
        return await models.page(connection, principal.org_id, limit=max(1, min(limit, 500)))


async def read_model(desk: Desk, principal: Principal, version: int) -> Model:
    """Raises `Missing(model_missing)`."""
    _staff_only(principal)
    async with desk.database.org_reading(principal) as connection:
        return await models.find(connection, principal.org_id, version)


async def list_corrections(
    desk: Desk, principal: Principal, *, field: str | None = None, before: datetime | None = None, limit: int = 100
) -> list[Correction]:
    """Who corrected what, newest first; staff only."""
    _staff_only(principal)
    async with desk.database.org_reading(principal) as connection:
        return await corrections.page(
            connection, principal.org_id, field=field, before=before, limit=max(1, min(limit, 500))
        )


async def roll_back(desk: Desk, principal: Principal) -> Model | None:
    """Let the champion before this one judge again; None: the shared model alone. Raises `Conflict(no_champion)`."""
    _admin_only(principal)
    async with desk.database.org_transaction(principal) as connection:
        org_id = principal.org_id
        await models.hold(connection, org_id)
        champion = await models.champion(connection, org_id)
        if champion is None:
            raise Conflict("No model of this organization judges: there is nothing to take back.", code="no_champion")
        before = await models.previous(connection, org_id, champion)
        await models.retire(connection, org_id, champion.id, at=desk.clock())
        if before is not None:
            await models.reinstate(connection, org_id, before.id)
        await facts.record(
            connection,
            principal,
            "model.rolled_back",
            version=champion.version,
            to=before.version if before else None,
        )
        found = None if before is None else await models.find(connection, org_id, before.version)
    desk.champions.pop(org_id, None)
    return found


# --- the worker ---


async def train(desk: Desk, org_id: UUID) -> Model | None:
    """Do the training that waits, compare, and promote or keep out; None when there is none, or another worker has it."""
    engine = await desk.engine_of(org_id)
    now = desk.clock()
    async with desk.database.org_transaction(engine) as connection:
        claimed = await models.claim(connection, org_id, at=now, until=now + LEASE)
    if claimed is None:
        return None
    model_id, version = claimed
    try:
        stuff = await _stuff(desk, engine)
        vectors = await _embedded(desk, engine, model_id, stuff)
        if vectors is None:
            return None
        trained = await desk.ai.work(lambda loaded: _trained(loaded, stuff, vectors, version))
    except Exception as error:
        if is_transient(error):
            raise
        _log.error("model.failed", org_id=str(org_id), version=version, error=kind_of(error), where=place_of(error))
        async with desk.database.org_transaction(engine) as connection:
            await models.fail(connection, org_id, model_id, f"{kind_of(error)}: see the log.", at=desk.clock())
        return None
    await _settle(desk, engine, model_id, stuff, trained)
    await confirm_complaints(desk, org_id)
    return await read_model(desk, engine, version)


async def confirm_complaints(desk: Desk, org_id: UUID) -> int:
    """Verify the ended complaints whose correction the judging model was taught: by the registry, read again here."""
    engine = await desk.engine_of(org_id)
    done = 0
    async with desk.database.org_transaction(engine) as connection:
        champion = await models.champion(connection, org_id)
        found = await corrections.learned(connection, org_id) if champion else []
        for ticket_id in found:
            assert champion is not None
            ticket = await tickets.find_for_update(connection, org_id, ticket_id)
            verified = with_verdict(
                ticket,
                "verified",
                f"A person's correction was learned: model {champion.version} judges now.",
                desk.clock(),
                evidence={"model": champion.version, "model_id": str(champion.id), "base": champion.base_version},
            )
            await tickets.update(connection, ticket, {"resolution": verified.to_json()})
            await facts.record(connection, engine, "ticket.resolved", ticket_id=ticket_id, verdict="verified")
            done += 1
    return done


async def _stuff(desk: Desk, engine: Principal) -> _Stuff:
    org_id = engine.org_id
    async with desk.database.org_reading(engine) as connection:
        found = await corrections.lessons(connection, org_id, limit=MOST_LESSONS)
        recent = await corrections.recent(connection, org_id, limit=RECENT)
        people = await corrections.people(connection, org_id)
        champion = await models.champion(connection, org_id)
        stored = await models.arrays(connection, org_id, champion.id) if champion else None
        rows = await org_intents.vectors(connection, org_id)
    own = await own_from(desk, rows)
    known = {**INTENTS, **({} if own is None else dict(zip(own.names, own.categories, strict=True)))}
    lessons = [_lesson(each, known) for each in found]
    corrected = [lesson for lesson in lessons if lesson.by is not None]
    return _Stuff(
        lessons=tuple(capped(lessons)),
        corrected=len(corrected),
        voices=len({lesson.by for lesson in corrected}),
        people=people,
        recent=tuple((ticket.id, _text(ticket)) for ticket in recent),
        champion=champion,
        adapter=read_adapter(stored, org_id),
        own=own,
    )


async def _embedded(desk: Desk, engine: Principal, model_id: UUID, stuff: _Stuff) -> dict[str, np.ndarray] | None:
    """A vector for each text, a few at a time: tickets that come in meanwhile are judged between. None: it was cancelled."""
    texts = list(dict.fromkeys([*(lesson.text for lesson in stuff.lessons), *(text for _, text in stuff.recent)]))
    vectors: dict[str, np.ndarray] = {}
    for start in range(0, len(texts), _AT_A_TIME):
        part = texts[start : start + _AT_A_TIME]
        vectors |= zip(part, await desk.ai.embed(part), strict=True)
        if start % (20 * _AT_A_TIME) == 0:
            async with desk.database.org_transaction(engine) as connection:
                progress = 0.8 * len(vectors) / len(texts)
                if not await models.advance(connection, engine.org_id, model_id, progress, until=desk.clock() + LEASE):
                    return None
    return vectors


def _trained(loaded: Models, stuff: _Stuff, vectors: Mapping[str, np.ndarray], version: int) -> _Trained:
    """Fit on what is not held back, judge the rest and the recent tickets with both, and compare."""
    taught = [lesson for lesson in stuff.lessons if not lesson.is_held_back]
    held = [lesson for lesson in stuff.lessons if lesson.is_held_back]
    challenger = fit_adapter(
        _stacked(taught, vectors),
        {head: [lesson.labels.get(head) for lesson in taught] for head in HEADS},
        shares_of(loaded, taught, vectors, stuff.own),
        known=known_labels(loaded, stuff.own),
        version=version,
        base=loaded.triage_model.version,
    )
    before = decided(loaded, [lesson.text for lesson in held], vectors, stuff.adapter, stuff.own)
    after = decided(loaded, [lesson.text for lesson in held], vectors, challenger, stuff.own)
    scored = [_scored(*each) for each in zip(held, before, after, strict=True)]
    sorted_by_people = {lesson.ticket_id for lesson in stuff.lessons}
    texts = [text for ticket_id, text in stuff.recent if ticket_id not in sorted_by_people]
    then = decided(loaded, texts, vectors, stuff.adapter, stuff.own)
    now = decided(loaded, texts, vectors, challenger, stuff.own)
    fresh = {ticket_id for ticket_id, _ in stuff.recent}
    replay = Replay(
        tickets=len(texts),
        changed=sum(one["category"] != other["category"] for one, other in zip(then, now, strict=True)),
        known=[score for lesson, score in zip(held, scored, strict=True) if lesson.ticket_id in fresh],
    )
    comparison = compare(scored, replay, corrected=stuff.corrected, voices=stuff.voices, people=stuff.people)
    return _Trained(challenger, comparison, loaded.triage_model.version)


async def _settle(desk: Desk, engine: Principal, model_id: UUID, stuff: _Stuff, trained: _Trained) -> None:
    """Write what came of it; the challenger judges from this commit on, if it is better than who judges at this moment."""
    org_id, now = engine.org_id, desk.clock()
    async with desk.database.org_transaction(engine) as connection:
        await models.hold(connection, org_id)
        champion = await models.champion(connection, org_id)
        reason = trained.comparison.reason
        if trained.comparison.is_better and champion != stuff.champion:
            reason = "champion_changed"
        is_promoted = reason == "better"
        if is_promoted and champion is not None:
            await models.retire(connection, org_id, champion.id, at=now)
        taught = [lesson for lesson in stuff.lessons if not lesson.is_held_back]
        done = Finished(
            state="champion" if is_promoted else "kept_out",
            base_version=trained.base_version,
            fingerprint=fingerprint(taught),
            lessons=len(taught),
            metrics={
                "corrected": stuff.corrected,
                "voices": stuff.voices,
                "people": stuff.people,
                "used": len(stuff.lessons),
            },
            comparison=trained.comparison.figures,
            reason=reason,
            arrays=trained.challenger.to_bytes(),
        )
        if not await models.finish(connection, org_id, model_id, done, at=now):
            return
        await facts.record(
            connection,
            engine,
            "model.promoted" if is_promoted else "model.kept_out",
            version=trained.challenger.version,
            reason=reason,
        )
        if is_promoted:
            await corrections.learn(
                connection, org_id, [lesson.ticket_id for lesson in taught if lesson.by is not None], model_id=model_id
            )
    desk.champions.pop(org_id, None)


def _lesson(given: Sorted, known: Mapping[str, str]) -> Lesson:
    """What people said counts; where they corrected the category and not the intent, the intent is not known.

    `known`: the intents in use with their categories; one that was retired teaches nothing, nor does one of another category.
    """
    ticket, labels = given.ticket, given.labels
    category = labels.get("category", ticket.category)
    intent = labels.get("intent") or (None if "category" in labels else ticket.intent)
    if intent is not None and intent not in INTENTS and known.get(intent) != category:
        intent = None
    return Lesson(
        ticket_id=ticket.id,
        text=_text(ticket),
        labels={
            "category": category,
            "severity": labels.get("severity", ticket.severity),
            "intent": intent,
        },
        by=given.by,
    )


def _text(ticket: Ticket) -> str:
    """As triage reads it, redacted."""
    if ticket.subject or ticket.body:
        return ticket_text(ticket.subject, ticket.body)
    return ticket_text("", ticket.text)


def known_labels(loaded: Models, own: OwnIntents | None = None) -> dict[str, Sequence[str]]:
    return {
        "category": CATEGORIES,
        "severity": SEVERITIES,
        "intent": loaded.triage_model.taxonomy(own).intents,
    }


def shares_of(
    loaded: Models, lessons: Sequence[Lesson], vectors: Mapping[str, np.ndarray], own: OwnIntents | None = None
) -> dict[str, np.ndarray]:
    """What would be judged of the lessons without any adapter, own intents among the shared ones."""
    model, stacked = loaded.triage_model, _stacked(lessons, vectors)
    texts = [lesson.text for lesson in lessons]
    judged = model.judge(texts, stacked, meanings=loaded.meanings(texts) if texts else None)
    if lessons:
        judged = model.adapted(judged, None, stacked, own=own)
    return {"category": judged.category, "severity": judged.severity, "intent": judged.intent}


def _stacked(lessons: Sequence[Lesson], vectors: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.stack([vectors[lesson.text] for lesson in lessons]) if lessons else np.zeros((0, 384), np.float32)


def decided(
    loaded: Models,
    texts: Sequence[str],
    vectors: Mapping[str, np.ndarray],
    adapter: Adapter | None,
    own: OwnIntents | None = None,
) -> list[dict[str, str]]:
    """What a model says of each text, as triage decides it."""
    if not texts:
        return []
    model = loaded.triage_model
    stacked = np.stack([vectors[text] for text in texts])
    judged = model.judge(texts, stacked, meanings=loaded.meanings(texts))
    judged = model.adapted(judged, model.fitting(adapter), stacked, own=own)
    intents = model.taxonomy(own).intents
    places = severity_places(judged.severity, model.settings)
    return [
        {
            "category": CATEGORIES[int(judged.category[row].argmax())],
            "severity": SEVERITIES[int(places[row])],
            "intent": intents[int(judged.intent[row].argmax())],
        }
        for row in range(len(texts))
    ]


def _scored(lesson: Lesson, before: Mapping[str, str], after: Mapping[str, str]) -> Scored:
    right = {head: label for head, label in lesson.labels.items() if label is not None}
    return Scored(
        by=lesson.by,
        champion=sum(before[head] == label for head, label in right.items()),
        challenger=sum(after[head] == label for head, label in right.items()),
        labels=len(right),
        lowers_critical=right.get("severity") == before["severity"] == "critical" != after["severity"],
    )


def _admin_only(principal: Principal) -> None:
    if principal.role not in {"owner", "admin"}:
        raise Denied("Models are trained and rolled back by owners and admins.", code="admin_only")


def _staff_only(principal: Principal) -> None:
    if principal.is_client:
        raise Denied("What the engine has learned is the team's to see.", code="staff_only")
