"""A scripted language model behind the port, for desks: answers by the shape it is asked for, and remembers what it was sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from desk_cast import World, _in_transaction

from asoe.ai.language_model import ModelFailure, Prompt, Reply
from asoe.desk.context import ModelAccess
from asoe.domain.language_model import ModelUsage

USED = ModelUsage(200, 40, Decimal("0.0012"))
MOST = ModelUsage(1000, 500, Decimal("0.01"))


@dataclass
class Scripted:
    """`script` maps a shape's name to its values, to an error to raise, or to a function of the prompt."""

    script: dict[str, Any]
    sent: list[Prompt] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    used: ModelUsage | None = USED
    cost: ModelUsage = MOST
    most_at_once: int = 0
    gate: asyncio.Event | None = None
    _now: int = 0
    name: str = "scripted:one"

    def most(self, prompt: Prompt, shape: Any) -> ModelUsage:
        return self.cost

    async def ask(self, prompt: Prompt, shape: Any) -> Reply[Any]:
        assert not _in_transaction.get(), "the model was asked while a transaction was held"
        self.sent.append(prompt)
        self.asked.append(shape.__name__)
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            if self.gate is not None:
                await self.gate.wait()
            else:
                await asyncio.sleep(0)
        finally:
            self._now -= 1
        told = self.script.get(shape.__name__)
        if isinstance(told, Callable):  # type: ignore[arg-type]
            told = told(prompt)
        if isinstance(told, BaseException):
            raise told
        if told is None:
            raise ModelFailure("malformed", usage=USED)
        return Reply(shape.model_validate(told), self.used)


def give(world: World, script: dict[str, Any] | None = None, **access: Any) -> Scripted:
    """From here on the world's desk has a language model."""
    made = Scripted(script or {})
    for name in ("used", "cost", "gate"):
        if name in access:
            setattr(made, name, access.pop(name))
    world.desk = replace(world.desk, model=ModelAccess(made, **access))
    return made


async def consultations(world: World, of: Any) -> list[dict[str, Any]]:
    """What the trail says of the model, oldest first."""
    return await world.rows(
        "select agent, input_summary ->> 'use' as use, output_summary ->> 'outcome' as outcome, tokens_in, tokens_out, "
        "cost_usd::float8 as cost from asoe.agent_invocations where ticket_id = $1 and engine_type = 'model' order by started_at",
        of.id,
    )


async def spend(world: World) -> tuple[int, float, int, int]:
    row = await world.owner.fetchrow(
        "select tokens, cost_usd::float8, calls, failures from asoe.model_spend where org_id = $1", world.acme.org_id
    )
    return tuple(row) if row else (0, 0.0, 0, 0)
