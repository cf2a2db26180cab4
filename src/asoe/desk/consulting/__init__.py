"""Consulting the language model: whether it may be asked, what it may cost, and that a failure is nobody's problem.

Every consultation reserves its most expensive course first, holds no transaction while the model thinks, settles what it did
cost, and leaves its part in the trail. None comes back whenever the local path must do: it is there always.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Generic, TypeVar
from uuid import UUID

import structlog

from asoe import tracing
from asoe.ai.language_model import Data, ModelFailure, Prompt, Shape, compose
from asoe.desk.context import Desk, ModelAccess
from asoe.desk.trail import Trail
from asoe.domain.language_model import ModelRules, ModelUsage, least
from asoe.domain.organization import Principal
from asoe.store import model_spend, runs
from asoe.tracing import measures

_log = structlog.get_logger(__name__)

Result = TypeVar("Result")
Restore = Callable[[str], str]
"""Puts hidden values back into a reply; only this call's."""
MOST_CHARS: Final = 6_000
"""Of one piece of text: its beginning and its end."""


class Rejected(Exception):  # an outcome between a check and `consult`, never told to a caller
    """A reply that does not count; the reason is one word for the trail."""


@dataclass(frozen=True, slots=True)
class Question(Generic[Shape, Result]):
    """One question. `check` turns a reply into what may be used of it, or raises `Rejected`; `agent` is whose part it is."""

    use: str
    agent: str
    task: str
    data: Sequence[Data]
    shape: type[Shape]
    check: Callable[[Shape, Restore], Result]


async def consult(
    desk: Desk,
    engine: Principal,
    question: Question[Shape, Result],
    *,
    rules: ModelRules,
    ticket_id: UUID,
    trail: Trail,
) -> Result | None:
    """What the model said, checked; None: the local path must do, for a reason the trail and the log name."""
    access = desk.model
    if access is None or question.use not in rules.uses:
        return None
    if access.breaker.wait() is not None:
        return None
    try:
        with tracing.span("consult", of=question.use, use=question.use, agent=question.agent):
            return await _consulted(desk, engine, access, question, rules=rules, ticket_id=ticket_id, trail=trail)
    finally:
        access.breaker.abandoned()


async def _consulted(
    desk: Desk,
    engine: Principal,
    access: ModelAccess,
    question: Question[Shape, Result],
    *,
    rules: ModelRules,
    ticket_id: UUID,
    trail: Trail,
) -> Result | None:
    started = desk.clock()
    async with desk.database.org_reading(engine) as connection:
        client = await runs.client_of(connection, engine.org_id, ticket_id)
    pieces = [Data(piece.kind, _bounded(piece.text), piece.id) for piece in question.data]
    task = access.prompts.get(question.use, "{task}").replace("{task}", question.task)
    prompt = compose(task, pieces, names=[client.name] if client.name else ())
    most = access.model.most(prompt, question.shape)
    usd_per_day = least(rules.usd_per_day, access.usd_per_day)
    is_reserved, fits = False, rules.allow(trail.spent, most)
    if fits and (usd_per_day is None or most.cost_usd is not None):
        async with desk.database.org_transaction(engine) as connection:
            is_reserved = await model_spend.reserve(
                connection,
                engine.org_id,
                started.date(),
                most,
                tokens_per_day=_whole(least(rules.tokens_per_day, access.tokens_per_day)),
                usd_per_day=None if usd_per_day is None else Decimal(usd_per_day),
            )
    used, outcome = ModelUsage(), "over_budget" if fits else "over_pass_budget"
    result: Result | None = None
    if most.cost_usd is None and (usd_per_day is not None or rules.usd_per_pass is not None):
        outcome = "no_price"
    if is_reserved:
        answered = await _asked(access, question, prompt, most)
        used, outcome, result = answered
        async with desk.database.org_transaction(engine) as connection:
            await model_spend.settle(
                connection, engine.org_id, started.date(), reserved=most, used=used, failed=result is None
            )
    tracing.here().note(outcome=outcome)
    measures.count("asoe_model_calls", question.use, outcome)
    measures.count("asoe_model_used_tokens", "in", by=used.tokens_in)
    measures.count("asoe_model_used_tokens", "out", by=used.tokens_out)
    if result is None:
        _log.warning("language_model.passed_over", use=question.use, outcome=outcome, org_id=str(engine.org_id))
    trail.consulted(
        question.agent, use=question.use, model=access.model.name, outcome=outcome, usage=used, started_at=started
    )
    return result


async def _asked(
    access: ModelAccess, question: Question[Shape, Result], prompt: Prompt, most: ModelUsage
) -> tuple[ModelUsage, str, Result | None]:
    """What the call cost (the most it can where nobody knows), what came of it, and what may be used of it."""
    try:
        async with asyncio.timeout(access.timeout):
            reply = await access.model.ask(prompt, question.shape)
    except TimeoutError:
        access.breaker.failed()
        return most, "slow", None
    except ModelFailure as failure:
        if failure.kind in {"down", "slow"}:
            access.breaker.failed()
        return most if failure.usage is None else failure.usage, failure.kind, None
    except Exception as error:
        access.breaker.failed()
        _log.error("language_model.failed", use=question.use, cause=type(error).__name__)
        return most, "failed", None
    access.breaker.succeeded()
    used = most if reply.usage is None else reply.usage
    try:
        return used, "used", question.check(reply.value, prompt.hidden.restore)
    except Rejected as reason:
        return used, str(reason), None


def _bounded(text: str) -> str:
    if len(text) <= MOST_CHARS:
        return text
    return f"{text[: MOST_CHARS * 2 // 3]}\n…\n{text[-MOST_CHARS // 3 :]}"


def _whole(limit: Decimal | int | None) -> int | None:
    return None if limit is None else int(limit)
