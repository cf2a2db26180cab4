"""Recommendations as they are kept: looked for once a day and on demand, decided by people, and followed once accepted.

What is looked at is `noticing.py`'s; when something is worth saying, or said again, the domain's. Accepting one changes nothing by
itself: whoever accepts does it, and what comes of it is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from asoe.ai.redaction import redact
from asoe.desk import noticing
from asoe.desk.context import Desk, unstorable
from asoe.desk.wish import nearest
from asoe.domain.errors import Denied, FieldProblem, Invalid
from asoe.domain.organization import ROLE_RANK, Principal
from asoe.domain.recommendation import (
    MAX_REASON_CHARS,
    MOST_TICKETS,
    RULES,
    STATUSES,
    STEPS,
    WINDOW,
    Recommendation,
    Seen,
    advise,
)
from asoe.store import directory, facts, recommendations
from asoe.store.db import Connection
from asoe.store.recommendations import TicketLine

JOB: Final = "recommend"
EVERY: Final = timedelta(days=1)
AT_FIRST_EVERY: Final = timedelta(hours=1)
KEPT: Final = timedelta(days=90)
_SHOWN_WORDS: Final = 3
_LONGEST: Final = 200
DECISIONS: Final = {"accept": "accepted", "dismiss": "dismissed"}


@dataclass(frozen=True, slots=True)
class Shown:
    """A recommendation for people: `about` names what it is about, `examples` are its tickets that are still there.

    `words`: what people said and noted on the newest of them, redacted; of a fix that may become a runbook only.
    """

    it: Recommendation
    about: str
    examples: tuple[TicketLine, ...]
    words: tuple[str, ...]
    decided_by: str


@dataclass(frozen=True, slots=True)
class Advice:
    """`looked_at`: when it was last looked for; None: not yet."""

    items: tuple[Shown, ...]
    looked_at: datetime | None


async def look_at_all(desk: Desk, engine: Principal) -> bool:
    """Look, when the last look at the organization is a day old, an hour while nothing was ever found; True when it looked."""
    async with desk.database.org_reading(engine) as connection:
        last = await recommendations.looked_at(connection, engine.org_id)
        pause = EVERY if await recommendations.has_any(connection, engine.org_id) else AT_FIRST_EVERY
    if last is not None and last > desk.clock() - pause:
        return False
    await look(desk, engine)
    return True


async def look(desk: Desk, engine: Principal) -> None:
    """Look for everything now, and bring what is known up to it; acts as the engine."""
    now = desk.clock()
    seen = await noticing.look(desk, engine, since=now - WINDOW)
    async with desk.database.org_transaction(engine) as connection:
        await recommendations.hold(connection, engine.org_id)
        known = await recommendations.all_known(connection, engine.org_id)
        changed, new = advise(known, seen, like=_like, now=now)
        before = {each.id: each for each in known}
        for one in changed:
            if one != before[one.id]:
                await recommendations.save(connection, engine.org_id, one)
        for each in new:
            await recommendations.add(connection, engine.org_id, each, tickets=each.tickets[:MOST_TICKETS], at=now)
        await recommendations.forget(connection, engine.org_id, before=now - KEPT)
        await recommendations.set_looked(connection, engine.org_id, now)


async def ask(desk: Desk, principal: Principal) -> None:
    """Have the worker look now."""
    _staff_only(principal)
    async with desk.database.org_transaction(principal) as connection:
        await desk.queue.enqueue(connection, JOB, {"org_id": principal.org_id}, dedupe_key=f"{JOB}:{principal.org_id}")


async def read_advice(desk: Desk, principal: Principal, *, statuses: Sequence[str] = ("open",)) -> Advice:
    """Those with the greatest expected gain first; staff only. Raises `Invalid(unknown_status)`."""
    _staff_only(principal)
    for status in statuses:
        if status not in STATUSES:
            problem = f"{status!r} is not one of {', '.join(STATUSES)}"
            raise Invalid(f"status: {problem}.", code="unknown_status", fields=(FieldProblem("status", problem),))
    async with desk.database.org_reading(principal) as connection:
        found = await recommendations.listed(connection, principal.org_id, statuses)
        shown = await _shown(connection, principal.org_id, found)
        return Advice(tuple(shown), await recommendations.looked_at(connection, principal.org_id))


async def read_within(connection: Connection, org_id: UUID, *, limit: int) -> list[Shown]:
    """The open ones with the greatest expected gain, inside a transaction that is open."""
    return await _shown(connection, org_id, await recommendations.listed(connection, org_id, ("open",), limit=limit))


async def decide(desk: Desk, principal: Principal, number: int, decision: str, reason: str = "") -> Shown:
    """Accept or dismiss; a dismissal says why. The last decision counts; owners and admins only.

    Raises `Missing(no_recommendation)`, `Invalid(bad_decision)`, `Denied(role_not_permitted)`.
    """
    if ROLE_RANK.get(principal.role, -1) < ROLE_RANK["admin"]:
        raise Denied("Owners and admins decide on recommendations.", code="role_not_permitted")
    words, problems = reason.strip(), []
    if decision not in DECISIONS:
        problems.append(FieldProblem("decision", f"must be one of {', '.join(DECISIONS)}"))
    if len(words) > MAX_REASON_CHARS or unstorable(words, "reason"):
        problems.append(FieldProblem("reason", f"must be text of at most {MAX_REASON_CHARS} characters"))
    if decision == "dismiss" and not words:
        problems.append(FieldProblem("reason", "must say why: it is not shown again for a long time"))
    if problems:
        listed = "; ".join(f"{each.field}: {each.problem}" for each in problems)
        raise Invalid(f"{listed}.", code="bad_decision", fields=tuple(problems))
    async with desk.database.org_transaction(principal) as connection:
        await recommendations.hold(connection, principal.org_id)
        held = await recommendations.held(connection, principal.org_id, number)
        decided = replace(
            held,
            status=DECISIONS[decision],
            decided_at=desk.clock(),
            decided_by=principal.user_id,
            decided_weight=held.weight,
            reason=words,
            outcome=None,
        )
        await recommendations.save(connection, principal.org_id, decided)
        await facts.record(
            connection, principal, f"recommendation.{decided.status}", number=number, of=held.kind, cases=held.weight
        )
        (shown,) = await _shown(connection, principal.org_id, [decided])
        return shown


async def _shown(connection: Connection, org_id: UUID, found: Sequence[Recommendation]) -> list[Shown]:
    lines = await recommendations.ticket_lines(
        connection, org_id, list({id_ for each in found for id_ in each.tickets})
    )
    clients = [UUID(each.key) for each in found if each.kind == "client"]
    names = {
        **await directory.names(connection, org_id, [*clients, *(each.decided_by for each in found)]),
        **await directory.contacts(connection, org_id, clients),
    }
    shown = []
    for each in found:
        examples = tuple(line for line in lines.values() if line.id in set(each.tickets))
        words: tuple[str, ...] = ()
        if each.kind == "runbook":
            said = await recommendations.words_of_people(
                connection, org_id, [line.id for line in examples[:_SHOWN_WORDS]]
            )
            words = tuple(_line(text) for _, text, _ in said)
        shown.append(
            Shown(
                each,
                _about(each, examples, names),
                examples,
                words,
                names.get(each.decided_by, "") if each.decided_by else "",
            )
        )
    return shown


def _about(it: Recommendation, examples: Sequence[TicketLine], names: dict[UUID, str]) -> str:
    """A short name: the runbook's, the connector's, the client's, else the newest ticket's subject, redacted."""
    if it.kind == "client":
        return names.get(UUID(it.key), "a client who is gone")
    if it.kind in {"article", "runbook"}:
        return _line(examples[0].subject) or f"ticket {examples[0].number}" if examples else "tickets that are gone"
    return it.key


def _line(text: str) -> str:
    line = " ".join(redact(text).text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _like(seen: Seen, known: Sequence[Recommendation]) -> Recommendation | None:
    """The same key; of groups of tickets also a like vector, or a ticket in common where an erasure took the vector."""
    same = next((each for each in known if each.key == seen.key), None)
    if same is not None or seen.vector is None:
        return same
    near, _ = nearest(seen.vector, [(each.id, each.vector) for each in known if each.vector is not None])
    found = next((each for each in known if each.id == near), None)
    return found or next((each for each in known if set(each.tickets) & set(seen.tickets)), None)


def to_json(shown: Shown) -> dict[str, Any]:
    """One recommendation as plain values, with what its figures mean."""
    it, rule = shown.it, RULES[shown.it.kind]
    return {
        "number": it.number,
        "kind": it.kind,
        "says": rule.says,
        "about": shown.about,
        "status": it.status,
        "evidence": {
            "cases": it.weight,
            "counted": rule.counted,
            "days": WINDOW.days,
            "clients": it.clients,
            **it.detail,
            "tickets": [{"id": line.id, "number": line.number} for line in shown.examples],
            "steps": [STEPS.get(step, step) for step in it.detail.get("steps", ())],
            "words": list(shown.words),
        },
        "gain": None
        if it.gain is None
        else {"expected": it.gain.expected, "low": it.gain.low, "high": it.gain.high, "method": rule.gain},
        "is_again": it.is_again,
        "first_seen_at": it.first_seen_at,
        "seen_at": it.seen_at,
        "decided_at": it.decided_at,
        "decided_by": shown.decided_by or None,
        "reason": it.reason,
        "outcome": None
        if it.outcome is None
        else {
            "says": it.outcome.says,
            "before": it.outcome.before,
            "before_days": it.outcome.before_days,
            "after": it.outcome.after,
            "after_days": round(it.outcome.after_days, 1),
            "ratio": it.outcome.ratio,
            "low": it.outcome.low,
            "high": it.outcome.high,
            "is_final": it.outcome.is_final,
        },
    }


def _staff_only(principal: Principal) -> None:
    if principal.is_client:
        raise Denied("Recommendations are for the organization's staff.", code="staff_only")
