"""SmolLM2-135M on llama.cpp over HTTP: wire, shape, budget and fallback. How good its replies are is no question here."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from bench.asoe_under_load import free_port
from model_cast import consultations, spend

from asoe.ai.language_model import Data, compose
from asoe.ai.language_model.providers import Prices, open_model
from asoe.ai.language_model.shapes import Ready
from asoe.desk.context import ModelAccess

SCRIPT = Path(__file__).parents[2] / "scripts" / "model-server"
PRICES = Prices(Decimal(1), Decimal(2))
LOCAL = "Do what export-data says. [1]"


@pytest.fixture(scope="module")
def small_model(tmp_path_factory):
    log = tmp_path_factory.mktemp("model") / "out.log"
    url = f"http://127.0.0.1:{(port := free_port())}"
    with log.open("w") as out:
        process = subprocess.Popen(
            ["bash", str(SCRIPT), "run", str(port)], stdout=out, stderr=out, start_new_session=True
        )
    try:
        for _ in range(480):
            assert process.poll() is None, f"the server ended: {log.read_text()[-2000:]} (make system installs it)"
            try:
                if httpx.get(f"{url}/health", trust_env=False, timeout=5).is_success:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.25)
        yield f"{url}/v1"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@asynccontextmanager
async def consulted(world, url, *, max_tokens=200, **access):
    async with open_model("openai:smol", url=url, api_key=None, prices=PRICES, max_tokens=max_tokens) as model:
        world.desk = replace(world.desk, model=ModelAccess(model, **{"timeout": 200, **access}))
        yield model


async def test_it_answers_in_shape_and_within_what_was_reserved(small_model):
    prompt = compose("Are you ready? Return ready as true.", [Data("message", "Hello")], nonce="1")
    async with open_model("openai:smol", url=small_model, api_key=None, prices=PRICES, max_tokens=60) as model:
        reply = await model.ask(prompt, Ready)
        most = model.most(prompt, Ready)
    assert isinstance(reply.value, Ready)
    assert reply.usage is not None
    assert 0 < reply.usage.tokens_in <= most.tokens_in
    assert 0 < reply.usage.tokens_out <= most.tokens_out
    assert reply.usage.cost_usd == PRICES.of(reply.usage.tokens_in, reply.usage.tokens_out)


async def test_a_journey_consults_it_and_pays_what_it_used(world, small_model):
    judged = world.ai.triage

    async def torn(subject, body):
        found = await judged(subject, body)
        return replace(
            found, intent=replace(found.intent, value="crash", confidence=0.4, alternatives=(("how_to", 0.35),))
        )

    world.ai.triage = torn
    await world.set_settings(language_model={"uses": ["ties"]})
    async with consulted(world, small_model, max_tokens=40):
        made = await world.open("The program ended with an error when I opened a file.")
        await world.advance(made)
    (told,) = await consultations(world, made)
    assert told["outcome"] in {"used", "malformed"}
    assert (await world.now(made)).intent in {"crash", "how_to"}
    assert 0 < told["tokens_in"] < 1000
    assert (await spend(world))[0] == told["tokens_in"] + told["tokens_out"]
    assert told["cost"] == pytest.approx((told["tokens_in"] + 2 * told["tokens_out"]) / 1e6)


async def test_a_reply_that_was_cut_off_is_paid_for_and_not_used(world, small_model):
    del world.passages[1:]
    async with consulted(world, small_model, max_tokens=12):
        made = await world.answered("How do I export my data?")
    assert (await world.said_by_engine(made))[0].startswith(LOCAL)
    (told,) = await consultations(world, made)
    assert told["outcome"] == "malformed"
    assert 0 < told["tokens_out"] <= 12


async def test_a_budget_patience_and_a_dead_server_end_in_the_local_answer(world, small_model):
    for access, outcome in (({"tokens_per_day": 100}, "over_budget"), ({"timeout": 0.05}, "slow")):
        async with consulted(world, small_model, **access):
            made = await world.open_by_contact("How do I export?", email=f"{outcome}@example.org")
            await world.advance(made)
        assert (await consultations(world, made))[0]["outcome"] == outcome
        assert (await world.said_by_engine(made))[0].startswith(LOCAL)
    async with consulted(world, f"http://127.0.0.1:{free_port()}/v1"):
        made = await world.open_by_contact("How do I export?", email="down@example.org")
        await world.advance(made)
    assert (await consultations(world, made))[0]["outcome"] == "down"
