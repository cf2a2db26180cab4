"""The local models as one bundle, and an async face that batches what arrives while it is busy.

`Models` is loaded once per process and is synchronous; `LocalAI` is what the desk holds: one worker thread, so the
event loop is never blocked, and micro-batches: an idle process begins at once, a busy one judges up to 16 texts together.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from threadpoolctl import threadpool_limits

from asoe.ai.adapter import Adapter
from asoe.ai.answers import compose_answer
from asoe.ai.client_intent import Reply, read_reply
from asoe.ai.encoder import Encoder, OnnxEncoder, RememberingEncoder, Vectors, read_with
from asoe.ai.language import detect_language
from asoe.ai.own_intents import OwnIntents
from asoe.ai.reasons import ReasonReader
from asoe.ai.redaction import redact
from asoe.ai.slots import SlotText, read_slots
from asoe.ai.triage_model import TriageInput, TriageModel
from asoe.domain.answer import Answer
from asoe.domain.knowledge import Passage
from asoe.domain.runbook import Slot, SlotReading
from asoe.domain.triage import Triage

BUILT: Final = Path(__file__).resolve().parents[1] / "_built"
MOST_IN_BATCH: Final = 16
RECENT_TEXTS: Final = 256
"""Triage, search and answer read the same words within a second: their vectors are made once."""

MAY_WANT_A_PERSON: Final = frozenset({"other", "did_not_help"})
"""What a reply may come to by its phrases and still ask for a person by its meaning."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Models:
    """Encoder, triage model and reader of reasons; safe to share between threads."""

    encoder: Encoder
    triage_model: TriageModel
    articles: Encoder | None = None
    reasons: ReasonReader | None = None

    @classmethod
    def load(cls, folder: Path = BUILT) -> "Models":
        """Raises `Unavailable(ai_not_built)` when `python -m asoe.ai.build` has not run.

        Holds the whole process's matrix products to one thread: they are small here, and threads would only wait for
        each other.
        """
        threadpool_limits(1, "blas")
        encoder = OnnxEncoder(folder / "encoder")
        return cls(
            encoder,
            TriageModel.load(folder / "triage"),
            RememberingEncoder(encoder),
            ReasonReader.load(folder / "reasons"),
        )

    def triage(self, inputs: Sequence[TriageInput]) -> list[Triage]:
        """Judge tickets in one batch; texts are redacted first."""
        return self.triage_model.triage(inputs, self.encoder)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of the redacted texts, shape (len(texts), 384)."""
        return self.encoder.embed([redact(text).text for text in texts])

    def meanings(self, texts: Sequence[str]) -> Vectors | None:
        """The tuned vectors of already redacted texts, if the triage model asks for them."""
        return read_with(self.encoder, texts, is_tuned=self.triage_model.classifier.is_tuned)[1]

    def detect_language(self, text: str) -> tuple[str, float]:
        """The ISO code, or `und`, and how sure."""
        return detect_language(text)

    def answer(self, question: str, passages: Sequence[Passage], *, language: str, threshold: float) -> Answer | None:
        """A grounded answer, or None when its support is below `threshold`."""
        asked = redact(question).text
        return compose_answer(
            asked, passages, language=language, encoder=self.encoder, articles=self.articles, threshold=threshold
        )

    def read_slots(
        self, slots: Sequence[Slot], passages: Sequence[SlotText], *, language: str, beside: Sequence[Slot] = ()
    ) -> dict[str, SlotReading]:
        """A reading for every slot of a runbook."""
        return read_slots(slots, passages, encoder=self.encoder, language=language, beside=beside)

    def read_reply(self, text: str, language: str) -> Reply:
        """What a client's reply does to the conversation; a wish for a person is read by meaning, too."""
        reply = read_reply(text, language)
        return _or_person(reply, self.read_reasons([text])[0]) if reply in MAY_WANT_A_PERSON else reply

    def read_reasons(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """For each text the reasons for a person that are read in it by meaning, with their probabilities."""
        return [{} for _ in texts] if self.reasons is None else self.reasons.read(texts, self.encoder)


class LocalAI:
    """The desk's port to `Models`. `close` when the process ends."""

    def __init__(self, models: Models) -> None:
        self.models = replace(models, encoder=RememberingEncoder(models.encoder, most=RECENT_TEXTS))
        self._reasons_in = lru_cache(RECENT_TEXTS)(lambda text: self.models.read_reasons([text])[0])
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="asoe-ai")
        self._triage = _Batcher(self.models.triage, self._run)
        self._embed: _Batcher[str, Vectors] = _Batcher(lambda texts: list(self.models.embed(texts)), self._run)

    @property
    def triage_backlog(self) -> timedelta:
        """How long a text that comes now would wait for those before it, by what the last ones took."""
        return timedelta(seconds=self._triage.backlog_seconds)

    @classmethod
    async def load(cls, folder: Path = BUILT) -> "LocalAI":
        """Read the models off the event loop; raises `Unavailable(ai_not_built)`."""
        return cls(await asyncio.to_thread(Models.load, folder))

    async def triage(
        self,
        subject: str,
        body: str,
        *,
        names: Sequence[str] = (),
        adapter: Adapter | None = None,
        own: OwnIntents | None = None,
    ) -> Triage:
        """Judge one ticket; tickets that arrive while others are judged share a batch, whosever they are."""
        return await self._triage.submit(TriageInput(subject, body, tuple(names), adapter, own))

    async def work(self, task: Callable[[Models], Result]) -> Result:
        """Do something longer with the models on a thread of its own, so that nobody's ticket waits for it."""
        return await asyncio.to_thread(task, self.models)

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of the redacted texts, shape (len(texts), 384)."""
        import numpy as np

        if not texts:
            return np.zeros((0, 384), np.float32)
        if len(texts) >= MOST_IN_BATCH:
            # one long list would keep everyone else waiting: it goes in pieces, and others may come between
            pieces = [texts[start : start + MOST_IN_BATCH] for start in range(0, len(texts), MOST_IN_BATCH)]
            return np.concatenate([await self._run(self.models.embed, piece) for piece in pieces])
        return np.stack(await asyncio.gather(*(self._embed.submit(text) for text in texts)))

    async def answer(
        self, question: str, passages: Sequence[Passage], *, language: str, threshold: float
    ) -> Answer | None:
        """A grounded answer, or None when its support is below `threshold`."""
        return await self._run(lambda: self.models.answer(question, passages, language=language, threshold=threshold))

    async def detect_language(self, text: str) -> tuple[str, float]:
        """The ISO code, or `und`, and how sure."""
        return await self._run(self.models.detect_language, text)

    async def read_slots(
        self, slots: Sequence[Slot], passages: Sequence[SlotText], *, language: str, beside: Sequence[Slot] = ()
    ) -> dict[str, SlotReading]:
        """A reading for every slot of a runbook."""
        return await self._run(lambda: self.models.read_slots(slots, passages, language=language, beside=beside))

    async def read_reply(self, text: str, language: str) -> Reply:
        """What a client's reply does to the conversation; a wish for a person is read by meaning, too."""
        reply = read_reply(text, language)
        return _or_person(reply, (await self.read_reasons([text]))[0]) if reply in MAY_WANT_A_PERSON else reply

    async def read_reasons(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """For each text the reasons for a person that are read in it by meaning, with their probabilities."""
        found = await self._run(lambda: [self._reasons_in(text) for text in texts])
        return [dict(reasons) for reasons in found]

    async def close(self) -> None:
        """Let the batch under way end, refuse further ones."""
        await asyncio.to_thread(self._worker.shutdown, wait=True, cancel_futures=True)

    async def _run(self, work: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._worker, work, *arguments)


def _or_person(reply: Reply, reasons: Collection[str]) -> Reply:
    return "wants_person" if "client_asked" in reasons else reply


class _Batcher(Generic[Item, Result]):
    """Does what waits in one call, as soon as the worker thread is free: the batch forms while it is busy."""

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Result]],
        run: Callable[..., Awaitable[Any]],
    ) -> None:
        self._work = work
        self._run = run
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._under_way = 0
        self._pace = 0.0
        self._task: asyncio.Task[None] | None = None

    @property
    def backlog_seconds(self) -> float:
        return (len(self._waiting) + self._under_way) * self._pace

    async def submit(self, item: Item) -> Result:
        """The item's result; an error of the batch is raised to everyone in it."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())
        return await future

    async def _drain(self) -> None:
        while self._waiting:
            batch: list[tuple[Item, asyncio.Future[Result]]] = []
            try:
                results = await self._run(self._take_up, batch)
            except Exception as problem:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(problem)
                continue
            finally:
                self._under_way = 0
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)

    def _take_up(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> Sequence[Result]:
        """On the worker's thread: whoever gave up meanwhile is left out."""
        while self._waiting and len(batch) < MOST_IN_BATCH:
            entry = self._waiting.popleft()
            if not entry[1].done():
                batch.append(entry)
        if not batch:
            return ()
        self._under_way = len(batch)
        began = time.perf_counter()
        results = self._work([item for item, _ in batch])
        self._pace += 0.2 * ((time.perf_counter() - began) / len(batch) - self._pace)
        return results
