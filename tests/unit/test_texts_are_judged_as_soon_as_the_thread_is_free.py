"""An idle process judges at once, a busy one judges together what came meanwhile; a text is embedded once."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import pytest

from asoe.ai.local import MOST_IN_BATCH, LocalAI, Models


@dataclass
class Encoder:
    embedded: list[str] = field(default_factory=list)

    def embed(self, texts):
        self.embedded += texts
        return np.ones((len(texts), 384), np.float32)


@dataclass
class TriageModel:
    """Judges when `free` is set; keeps the sizes of its batches."""

    free: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)
    sizes: list[int] = field(default_factory=list)

    def triage(self, inputs, encoder):
        self.begun.set()
        self.free.wait(10)
        self.sizes.append(len(inputs))
        encoder.embed([item.text for item in inputs])
        return [item.body for item in inputs]


@pytest.fixture
async def ai():
    made = LocalAI(Models(Encoder(), TriageModel()))
    yield made
    made.models.triage_model.free.set()
    await made.close()


async def test_the_first_text_does_not_wait_for_others_and_those_behind_it_are_judged_together(ai):
    model = ai.models.triage_model
    first = asyncio.create_task(ai.triage("", "first"))
    assert await asyncio.to_thread(model.begun.wait, 10)
    others = [asyncio.create_task(ai.triage("", f"text {number}")) for number in range(MOST_IN_BATCH + 3)]
    impatient = asyncio.create_task(ai.triage("", "gives up"))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    model.free.set()
    assert await first == "first"
    assert await asyncio.gather(*others) == [f"text {number}" for number in range(MOST_IN_BATCH + 3)]
    assert model.sizes == [1, MOST_IN_BATCH, 3], "who gave up is not judged"


async def test_the_backlog_is_what_waits_times_what_the_last_ones_took(ai):
    model = ai.models.triage_model
    assert ai.triage_backlog == timedelta(0)
    model.free.set()
    await ai.triage("", "one")
    assert ai.triage_backlog == timedelta(0), "nobody waits"
    model.free.clear()
    model.begun.clear()
    waiting = [asyncio.create_task(ai.triage("", f"text {number}")) for number in range(40)]
    assert await asyncio.to_thread(model.begun.wait, 10)
    long = ai.triage_backlog
    model.free.set()
    await asyncio.gather(*waiting)
    assert long > timedelta(0)
    assert ai.triage_backlog == timedelta(0)


async def test_what_triage_has_embedded_search_and_answer_need_not_embed_again(ai):
    ai.models.triage_model.free.set()
    await ai.triage("Sync stops", "Since Monday it stops.")
    await ai.embed(["Sync stops Since Monday it stops."])
    assert (await ai.embed(["Sync stops\n Since Monday it stops.", "else"])).shape == (2, 384)
    asked = ai.models.encoder
    assert asked.embed(["else"]).shape == (1, 384)
    assert asked._encoder.embedded == ["Sync stops Since Monday it stops.", "else"]  # what was really asked
