"""Certificates of answers: what they rest on, making them anew, voiding them when traffic changes, and the blind sample.

Whether an answer may be sent alone is asked here by `resolution.py`. Thresholds are `asoe.ai.calibration`'s to calculate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import numpy as np

from asoe.ai.calibration import certify, control_marginal
from asoe.ai.drift import Drift, Traffic, count_traffic, find_drift
from asoe.desk.context import Desk, policy_of
from asoe.domain.answer import Answer
from asoe.domain.certificate import DELTA, EVERYTHING, Case, Certificate, Given, Trust, base_of, deciding, may_send
from asoe.domain.errors import Conflict, Denied
from asoe.domain.organization import ROLE_RANK, Principal
from asoe.domain.policy import Policy
from asoe.domain.suggestion import was_sent
from asoe.domain.triage import INTENTS
from asoe.store import answers, certificates, facts
from asoe.store.answers import AnswerToAudit
from asoe.store.db import Connection

MOST_CASES: Final = 20_000
REFERENCE: Final = 1_000
"""Tickets up to a certificate with which later ones are compared."""
MOST_WATCHED: Final = 5_000
"""Tickets after which a certificate that was never renewed is watched no more: it is made anew then."""
LEAST_SCOPE: Final = 0.35
"""A ticket below this looks like no support at all."""
GROWN: Final = 1.25
"""By how much the evidence grows until certificates are made anew by themselves."""
_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Certificates:
    """`alone`: by which rule answers are sent. `lent_from`: the fixed threshold that stands in for a certificate at `lent`."""

    alone: str
    level: float
    audit_share: float
    lent_from: float
    standing: Sequence[Certificate]
    voided: Sequence[Certificate]


async def trust_in(
    desk: Desk, engine: Principal, policy: Policy, *, category: str, chance: float, model_version: str
) -> Trust:
    """On what an answer of this chance would be sent: `suggested` means that a person sends it."""
    if policy.answers_alone == "lent":
        return "lent"
    if policy.answers_alone == "never":
        return "suggested"
    async with desk.database.org_reading(engine) as connection:
        found = await certificates.deciding(connection, engine.org_id, category)
    return "certified" if may_send(deciding(found), chance=chance, model=base_of(model_version)) else "suggested"


def given(trust: Trust, chance: float, answer: Answer, model_version: str) -> Given:
    """What is kept of an answer as evidence; its words only where they are sent by nobody."""
    slugs = dict.fromkeys(citation.slug for citation in answer.citations)
    return Given(trust, chance, tuple(slugs), base_of(model_version), answer.text if trust == "suggested" else None)


async def compare_reply(connection: Connection, principal: Principal, ticket_id: UUID, reply: str) -> None:
    """A person writes to the client: the answer suggested there was sent, or rewritten, and that is evidence of it, once."""
    found = await answers.suggested(connection, principal.org_id, ticket_id)
    if found is None:
        return
    answer_id, words = found
    is_right = was_sent(words, reply)
    if is_right is None:
        return
    await answers.judge(
        connection, principal.org_id, answer_id, is_right=is_right, source="reply", by=principal.user_id
    )
    kind = "answer.sent_by_person" if is_right else "answer.rewritten"
    await facts.record(connection, principal, kind, ticket_id=ticket_id, answer_id=answer_id)


async def list_certificates(desk: Desk, principal: Principal) -> Certificates:
    """What stands, what was voided last, and by which rule answers are sent; staff only."""
    _require(principal, "agent", "see certificates")
    async with desk.database.org_reading(principal) as connection:
        policy = await policy_of(connection, principal.org_id)
        return Certificates(
            alone=policy.answers_alone,
            level=policy.answer_error_limit,
            audit_share=policy.audit_share,
            lent_from=desk.thresholds.answer if policy.answer_threshold is None else policy.answer_threshold,
            standing=await certificates.standing(connection, principal.org_id),
            voided=await certificates.voided(connection, principal.org_id),
        )


async def renew(desk: Desk, principal: Principal) -> Certificates:
    """Make certificates anew from the evidence there is, after a look whether traffic has changed. Owners and admins."""
    _require(principal, "admin", "renew certificates")
    await watch(desk, await desk.engine_of(principal.org_id))
    await _renew(desk, principal)
    return await list_certificates(desk, principal)


async def keep(desk: Desk, engine: Principal) -> None:
    """Void what drift speaks against; make anew where the evidence has grown by a quarter, or the watch has ended."""
    if await watch(desk, engine):
        return
    async with desk.database.org_reading(engine) as connection:
        model, cases = await _evidence(connection, engine.org_id)
        last = next((one for one in await certificates.standing(connection, engine.org_id) if not one.category), None)
        seen = (
            await certificates.traffic_since(connection, engine.org_id, last.made_at, limit=MOST_WATCHED)
            if last
            else ()
        )
    if model is None or not cases:
        return
    if last is None or last.model != model or len(cases) >= GROWN * last.cases or len(seen) >= MOST_WATCHED:
        await _renew(desk, engine)


async def watch(desk: Desk, engine: Principal) -> bool:
    """Compare the tickets since the certificates were made with those before; True when they were voided now."""
    org_id = engine.org_id
    async with desk.database.org_reading(engine) as connection:
        standing = await certificates.standing(connection, org_id)
        certified = [one for one in standing if one.threshold is not None]
        if not certified:
            return False
        since = certified[0]
        rows = await certificates.traffic_since(connection, org_id, since.made_at, limit=MOST_WATCHED)
    drift = await asyncio.to_thread(find_drift, Traffic(**since.reference), _marked(rows), labels=_labels(since))
    if drift is None:
        return False
    async with desk.database.org_transaction(engine) as connection:
        await certificates.hold(connection, org_id)
        if await certificates.standing(connection, org_id) != standing:
            return False  # made anew meanwhile
        await certificates.end(connection, org_id, at=desk.clock(), why="drift", drift=_rounded(drift))
        await facts.record(
            connection,
            engine,
            "certificate.voided",
            what=drift.what,
            before=round(drift.before, 4),
            after=round(drift.after, 4),
            tickets=drift.at,
        )
    return True


async def to_audit(desk: Desk, principal: Principal, *, limit: int = 50) -> list[AnswerToAudit]:
    """Answers of the random sample that wait for a blind look: without chance, trust or verdict."""
    _require(principal, "agent", "audit answers")
    async with desk.database.org_reading(principal) as connection:
        share = (await policy_of(connection, principal.org_id)).audit_share
        return await answers.to_audit(connection, principal.org_id, share=share, limit=limit)


async def judge(desk: Desk, principal: Principal, answer_id: UUID, *, is_right: bool) -> None:
    """Judge an answer of the blind sample; the first judgement stays.

    Raises `Missing(answer_missing)`, `Conflict(not_in_sample)`, `Conflict(already_judged)`.
    """
    _require(principal, "agent", "audit answers")
    async with desk.database.org_transaction(principal) as connection:
        share = (await policy_of(connection, principal.org_id)).audit_share
        is_in, is_audited = await answers.in_sample(connection, principal.org_id, answer_id, share=share)
        if is_audited:
            raise Conflict(f"Answer {answer_id} was audited already.", code="already_judged")
        if not is_in:
            raise Conflict(
                f"Answer {answer_id} is not of the random sample: say on its ticket whether it was useful.",
                code="not_in_sample",
            )
        await answers.judge(
            connection, principal.org_id, answer_id, is_right=is_right, source="audit", by=principal.user_id
        )
        await facts.record(connection, principal, "answer.audited", answer_id=answer_id, is_right=is_right)


def certify_cases(
    cases: Sequence[Case], *, model: str, level: float, reference: Traffic, at: datetime, by: UUID | None = None
) -> list[Certificate]:
    """One certificate for the whole organization, and one for each category that was judged at all."""
    found = []
    for category in (EVERYTHING, *sorted({case.category for case in cases})):
        members = [case for case in cases if category in (EVERYTHING, case.category)]
        chances = np.array([case.chance for case in members])
        wrong = np.array([not case.is_right for case in members], bool)
        threshold = certify(chances, wrong, level=level, delta=DELTA)
        accepted = chances >= threshold if threshold is not None else np.zeros(len(members), bool)
        found.append(
            Certificate(
                category=category,
                model=model,
                threshold=threshold,
                marginal_threshold=control_marginal(chances, wrong, level=level),
                level=level,
                delta=DELTA,
                cases=len(members),
                errors=int(wrong.sum()),
                accepted=int(accepted.sum()),
                accepted_errors=int((accepted & wrong).sum()),
                audited=sum(case.is_audited for case in members),
                reference=asdict(reference),
                made_at=at,
                made_by=by,
            )
        )
    return found


async def _renew(desk: Desk, actor: Principal) -> None:
    org_id, now = actor.org_id, desk.clock()
    async with desk.database.org_reading(actor) as connection:
        model, cases = await _evidence(connection, org_id)
        level = (await policy_of(connection, org_id)).answer_error_limit
        rows = await certificates.traffic_before(connection, org_id, now, limit=REFERENCE)
        standing = await certificates.standing(connection, org_id)
    by = None if actor.role == "engine" else actor.user_id
    made = await asyncio.to_thread(
        certify_cases, cases, model=model or "", level=level, reference=count_traffic(_marked(rows)), at=now, by=by
    )
    async with desk.database.org_transaction(actor) as connection:
        await certificates.hold(connection, org_id)
        if await certificates.standing(connection, org_id) != standing:
            return  # somebody else was faster
        await certificates.end(connection, org_id, at=now, why="renewed")
        for one in made:
            await certificates.insert(connection, org_id, replace(one, made_at=now))
        certified = [one.category or "all" for one in made if one.threshold is not None]
        await facts.record(connection, actor, "certificate.renewed", certified=certified, cases=made[0].cases)


async def _evidence(connection: Connection, org_id: UUID) -> tuple[str | None, list[Case]]:
    """The model that judges now, and the judged answers by it since drift voided certificates last."""
    model = await answers.model(connection, org_id)
    if model is None:
        return None, []
    since = await certificates.last_voided(connection, org_id) or _EVER
    return model, await answers.evidence(connection, org_id, model=model, since=since, limit=MOST_CASES)


def _labels(since: Certificate) -> tuple[str, ...]:
    """Fixed when the certificate was made: everybody's intents, and the own ones that came before it."""
    return (*INTENTS, *sorted(set(since.reference["intents"]) - set(INTENTS)))


def _marked(rows: Sequence[tuple[str, float]]) -> list[tuple[str, bool]]:
    return [(intent, scope < LEAST_SCOPE) for intent, scope in rows]


def _rounded(drift: Drift) -> dict[str, str | float]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(drift).items()}


def _require(principal: Principal, role: str, what: str) -> None:
    if ROLE_RANK.get(principal.role, -1) < ROLE_RANK[role]:
        raise Denied(f"To {what} takes the role {role}; you act as {principal.role}.", code="role_not_permitted")
