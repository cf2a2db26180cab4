"""Looks for what is worth advising: one function per kind, each over a bounded number of rows of the window, newest first.

What is enough to be said is the domain's (`RULES`), remembering it `recommendation.py`'s. Vectors are made of redacted words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from asoe.ai.redaction import redact
from asoe.desk import autonomy
from asoe.desk.context import Desk
from asoe.desk.gap import MOST_TICKETS, group_alike, words_of_ticket
from asoe.domain.autonomy import Standing
from asoe.domain.binomial import at_least
from asoe.domain.connector import ConnectorRecord, Trouble
from asoe.domain.organization import Principal
from asoe.domain.recommendation import STEPS, Seen, usual_steps
from asoe.store import autonomy as standings
from asoe.store import connectors, gaps, recommendations
from asoe.store.db import Connection
from asoe.store.gaps import Unanswered
from asoe.store.recommendations import InUse, OfRunbook, Settled, Uneasy

BY_CHANCE: Final = 0.05
"""A runbook is to be braked when so many wrong runs would come by chance less often, were its error rate at the limit."""
_NEXT: Final = {"shadow": "approve", "suggest": "approve", "approve": "auto"}
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Shelf:
    """A runbook in use with where it stands."""

    book: InUse
    standing: Standing


@dataclass(frozen=True, slots=True)
class _Rows:
    """Everything that is looked at, read in one transaction."""

    unanswered: Sequence[Unanswered]
    settled: Sequence[Settled]
    answered: tuple[int, int]
    verified: tuple[int, int]
    shelf: Sequence[_Shelf]
    limits: Mapping[str, float]
    agreed: Sequence[OfRunbook]
    alone: Sequence[OfRunbook]
    failing: Sequence[recommendations.Unanswered]
    connectors: Mapping[str, ConnectorRecord]
    troubles: Mapping[UUID, Trouble]
    uneasy: Sequence[Uneasy]


async def look(desk: Desk, engine: Principal, *, since: datetime) -> list[Seen]:
    """All that was seen since then, whether or not it is worth saying; acts as the engine."""
    async with desk.database.org_reading(engine) as connection:
        rows = await _read(connection, engine.org_id, since)
    return [
        *await _missing_articles(desk, rows),
        *await _fixes_by_people(desk, rows),
        *_to_promote(rows),
        *_to_brake(rows),
        *_failing_connectors(rows),
        *_clients_at_risk(rows),
    ]


async def _read(connection: Connection, org_id: UUID, since: datetime) -> _Rows:
    books = await recommendations.in_use(connection, org_id, since=since)
    return _Rows(
        unanswered=await gaps.unanswered(connection, org_id, since=since, limit=MOST_TICKETS),
        settled=await recommendations.settled_by_people(
            connection, org_id, since=since, steps=tuple(STEPS), limit=MOST_TICKETS
        ),
        answered=await recommendations.helped_by_answers(connection, org_id, since=since),
        verified=await recommendations.verified_runs(connection, org_id, since=since),
        shelf=[_Shelf(book, await standings.standing(connection, org_id, book.id)) for book in books],
        limits=await autonomy.limits_of(connection, org_id),
        agreed=await recommendations.agreed(connection, org_id, since=since),
        alone=await recommendations.alone(connection, org_id, since=since),
        failing=await recommendations.unanswered_runs(connection, org_id, since=since),
        connectors={each.name: each for each in await connectors.list_all(connection, org_id)},
        troubles=await connectors.troubles(connection, org_id),
        uneasy=await recommendations.uneasy(connection, org_id, since=since),
    )


async def _missing_articles(desk: Desk, rows: _Rows) -> list[Seen]:
    asked = [(each, text) for each in rows.unanswered if (text := words_of_ticket(each))]
    found = []
    for vector, places in await group_alike(desk, [text for _, text in asked]):
        members = [asked[place][0] for place in places]
        found.append(
            Seen(
                "article",
                str(members[-1].id),
                tuple(each.at for each in members),
                tuple(each.id for each in members),
                clients=len({each.client for each in members}),
                detail={"answered_by_people": sum(each.is_answered for each in members)},
                share=rows.answered,
                vector=vector,
            )
        )
    return found


async def _fixes_by_people(desk: Desk, rows: _Rows) -> list[Seen]:
    found = []
    for (intent, category), tickets in _grouped(rows.settled, lambda each: (each.intent, each.category)).items():
        said = [(each, text) for each in tickets if (text := redact(each.words).text.strip())]
        for vector, places in await group_alike(desk, [text for _, text in said]):
            members = [said[place][0] for place in places]
            steps, walked = usual_steps([each.steps for each in members])
            found.append(
                Seen(
                    "runbook",
                    str(members[-1].id),
                    tuple(each.at for each in members),
                    tuple(each.id for each in members),
                    clients=len({each.client for each in members}),
                    detail={"intent": intent, "category": category, "steps": list(steps), "walked": walked},
                    share=rows.verified,
                    vector=vector,
                )
            )
    return found


def _to_promote(rows: _Rows) -> list[Seen]:
    agreed = _grouped(rows.agreed, lambda each: each.runbook_id)
    found = []
    for each in rows.shelf:
        following, cases = _NEXT.get(each.standing.level), agreed.get(each.book.id, [])
        limit = rows.limits.get(each.book.risk or "", 0.0)
        evidence = each.standing.evidence
        is_certified = each.standing.braked_at is None and evidence.upper_limit < limit
        detail = {
            "runbook": each.book.name,
            "level": each.standing.level,
            "next": following,
            "cases": evidence.cases,
            "errors": evidence.errors,
            "upper_limit": round(evidence.upper_limit, 4),
            "limit": limit,
        }
        found.append(_of_runs("promote", each.book.name, cases, detail, is_due=is_certified and following is not None))
    return found


def _to_brake(rows: _Rows) -> list[Seen]:
    alone = _grouped(rows.alone, lambda each: each.runbook_id)
    found = []
    for each in rows.shelf:
        runs = alone.get(each.book.id, [])
        wrong = [run for run in runs if run.is_wrong]
        limit = rows.limits.get(each.book.risk or "", min(rows.limits.values()))
        is_due = each.standing.level == "auto" and at_least(len(wrong), len(runs), limit) < BY_CHANCE
        detail = {"runbook": each.book.name, "level": each.standing.level, "runs": len(runs), "limit": limit}
        found.append(_of_runs("brake", each.book.name, wrong, detail, is_due=is_due))
    return found


def _failing_connectors(rows: _Rows) -> list[Seen]:
    found = []
    for name, runs in _grouped(rows.failing, lambda each: each.connector).items():
        row = rows.connectors.get(name)
        if row is None:
            continue  # removed, or one of our own
        trouble = rows.troubles.get(row.id)
        detail = {
            "connector": name,
            "is_disabled": row.disabled_at is not None,
            "is_in_trouble": trouble is not None and trouble.ended_at is None,
        }
        found.append(
            Seen(
                "connector",
                name,
                tuple(each.at for each in runs),
                _once(each.ticket_id for each in runs),
                clients=1,
                detail=detail,
            )
        )
    return found


def _clients_at_risk(rows: _Rows) -> list[Seen]:
    """Two different signs at least: who merely writes often is no client at risk."""
    found = []
    for client, tickets in _grouped(rows.uneasy, lambda each: each.client).items():
        signs = {
            "came_back": sum(each.came_back for each in tickets),
            "was_reopened": sum(each.was_reopened for each in tickets),
            "did_not_help": sum(each.did_not_help for each in tickets),
            "was_angry": sum(each.was_angry for each in tickets),
        }
        found.append(
            Seen(
                "client",
                str(client),
                tuple(each.at for each in tickets),
                tuple(each.ticket_id for each in tickets),
                clients=1,
                detail={"client": str(client), **signs},
                is_due=sum(1 for count in signs.values() if count) >= 2,
            )
        )
    return found


def _of_runs(kind: str, name: str, runs: Sequence[OfRunbook], detail: Mapping[str, Any], *, is_due: bool) -> Seen:
    times = tuple(each.at for each in runs)
    return Seen(kind, name, times, _once(each.ticket_id for each in runs), clients=1, detail=detail, is_due=is_due)


def _once(ids: Iterable[UUID | None]) -> tuple[UUID, ...]:
    return tuple(dict.fromkeys(each for each in ids if each is not None))


def _grouped(rows: Sequence[_T], by: Callable[[_T], Any]) -> dict[Any, list[_T]]:
    found: dict[Any, list[_T]] = {}
    for each in rows:
        found.setdefault(by(each), []).append(each)
    return found
