"""Models that load when a command first needs them: most commands never do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from asoe.ai.adapter import Adapter
from asoe.ai.own_intents import OwnIntents
from asoe.ai.slots import SlotText
from asoe.desk.context import Judgement
from asoe.domain.answer import Answer
from asoe.domain.knowledge import Passage
from asoe.domain.runbook import Slot, SlotReading
from asoe.domain.triage import Triage

if TYPE_CHECKING:
    from asoe.ai.local import Models

T = TypeVar("T")


class ModelsOnDemand:
    """The `Judgement` of short-lived commands."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._loaded: Judgement | None = None

    @property
    def triage_backlog(self) -> timedelta:
        return timedelta(0) if self._loaded is None else self._loaded.triage_backlog

    async def triage(
        self, subject: str, body: str, *, adapter: Adapter | None = None, own: OwnIntents | None = None
    ) -> Triage:
        return await (await self._models()).triage(subject, body, adapter=adapter, own=own)

    async def work(self, task: Callable[[Models], T]) -> T:
        return await (await self._models()).work(task)

    async def embed(self, texts: Sequence[str]) -> np.ndarray:
        return await (await self._models()).embed(texts)

    async def answer(
        self, question: str, passages: Sequence[Passage], *, language: str, threshold: float
    ) -> Answer | None:
        return await (await self._models()).answer(question, passages, language=language, threshold=threshold)

    async def read_reply(self, text: str, language: str) -> str:
        return await (await self._models()).read_reply(text, language)

    async def read_reasons(self, texts: Sequence[str]) -> list[dict[str, float]]:
        return await (await self._models()).read_reasons(texts)

    async def read_slots(
        self, slots: Sequence[Slot], passages: Sequence[SlotText], *, language: str, beside: Sequence[Slot] = ()
    ) -> dict[str, SlotReading]:
        return await (await self._models()).read_slots(slots, passages, language=language, beside=beside)

    async def _models(self) -> Judgement:
        from asoe.ai.local import LocalAI

        async with self._lock:
            if self._loaded is None:
                self._loaded = await LocalAI.load()
        return self._loaded
