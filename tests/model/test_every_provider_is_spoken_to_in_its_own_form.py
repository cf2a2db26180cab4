"""One question to each provider over HTTP, to a stand-in that replies in the provider's documented form; one request, whatever comes.

The stand-ins are written by hand after the providers' references, not recorded from them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

pytest.importorskip("openai", reason="asoe[model] is not installed")

from provider_stand_in import READY, StandIn, anthropic, called, google, openai, served
from record import FILE, conversations, replayed

from asoe import tracing
from asoe.ai.language_model import Data, ModelFailure, compose
from asoe.ai.language_model.providers import PROVIDERS, Prices, PydanticAIModel, open_model
from asoe.ai.language_model.shapes import Ready
from asoe.app import open_language_model
from asoe.cli.doctor_model import model_line
from asoe.config import Settings
from asoe.domain.errors import Invalid, Unavailable
from asoe.domain.language_model import ModelUsage

PRICES = Prices(Decimal(1), Decimal(10))
PROMPT = compose("Return ready as true.", [Data("message", "I am Ana, ana@acme.test")], names=["Ana"], nonce="1")


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with served() as opened:
        yield opened


@asynccontextmanager
async def _opened(name: str, stand_in: StandIn, path: str = "", **more: Any) -> AsyncIterator[PydanticAIModel]:
    settings = {"prices": PRICES, "api_key": "key-4711", **more}
    async with open_model(name, url=f"{stand_in.url}{path}", **settings) as model:
        assert isinstance(model, PydanticAIModel)
        yield model


SPOKEN = {
    "openai:small-1": ("/v1", openai(READY), "/v1/chat/completions", "authorization"),
    "ollama:llama3.2": ("/v1", openai(READY), "/v1/chat/completions", "authorization"),
    "anthropic:claude-haiku-4-5": ("", anthropic(READY), "/v1/messages", "authorization"),
    "google:gemini-2.5-flash": ("", google(READY), "/v1beta/models/gemini-2.5-flash:generateContent", "x-goog-api-key"),
    "mistral:mistral-small-2506": ("", called(READY), "/v1/chat/completions", "authorization"),
}


@pytest.mark.parametrize("name", SPOKEN)
async def test_a_reply_in_shape_is_read_with_what_it_cost(stand_in: StandIn, name: str) -> None:
    path, stand_in.body, asked_at, proof = SPOKEN[name]
    async with _opened(name, stand_in, path) as model:
        reply = await model.ask(PROMPT, Ready)
    assert reply.value.ready
    assert reply.usage == ModelUsage(120, 8, Decimal("0.0002"))
    ((found, headers, sent),) = stand_in.requests
    assert found.split("?")[0].removesuffix("/") == asked_at
    assert "key-4711" in headers[proof]
    text = json.dumps(sent)
    assert "ana@acme.test" not in text
    assert "[email-1]" in text
    assert "ready" in text, "the schema goes along"
    assert model.name == name


def test_every_provider_is_tried() -> None:
    assert {name.partition(":")[0] for name in SPOKEN} == set(PROVIDERS)


@pytest.mark.parametrize("name", SPOKEN)
@pytest.mark.parametrize(
    ("status", "body"), [(500, {"error": {"message": "oops"}}), (429, {"error": {"message": "slow down"}})]
)
async def test_a_refusal_is_one_request_and_costs_nothing(stand_in: StandIn, name: str, status: int, body: Any) -> None:
    stand_in.status, stand_in.body = status, body
    async with _opened(name, stand_in, SPOKEN[name][0]) as model:
        with pytest.raises(ModelFailure) as caught:
            await model.ask(PROMPT, Ready)
    assert (caught.value.kind, caught.value.usage) == ("down", ModelUsage())
    assert len(stand_in.requests) == 1
    assert "slow down" not in str(caught.value), "what a provider says may quote a client"


@pytest.mark.parametrize(
    "body",
    [
        openai("no JSON at all"),
        openai({"ready": "perhaps"}),
        openai({"ready": True, "more": 1}),
        openai({}),
        openai(""),
    ],
)
async def test_what_is_out_of_shape_is_malformed_and_its_cost_is_known(stand_in: StandIn, body: Any) -> None:
    stand_in.body = body
    async with _opened("openai:small-1", stand_in, "/v1") as model:
        with pytest.raises(ModelFailure) as caught:
            await model.ask(PROMPT, Ready)
    assert (caught.value.kind, caught.value.usage) == ("malformed", ModelUsage(120, 8, Decimal("0.0002")))
    assert len(stand_in.requests) == 1


@pytest.mark.parametrize("body", [b"", b"<html>a proxy</html>", b'{"choices": []}', b"null"])
async def test_a_body_that_is_no_reply_is_a_failure_like_any_other(stand_in: StandIn, body: bytes) -> None:
    stand_in.body = body
    async with _opened("openai:small-1", stand_in, "/v1") as model:
        with pytest.raises(ModelFailure):
            await model.ask(PROMPT, Ready)
    assert len(stand_in.requests) == 1


async def test_nobody_there_is_down(stand_in: StandIn) -> None:
    async with open_model("openai:x", url="http://127.0.0.1:9/v1", api_key=None, prices=None) as model:
        with pytest.raises(ModelFailure) as caught:
            await model.ask(PROMPT, Ready)
    assert caught.value.kind == "down"


async def test_patience_ends_a_call_under_way(stand_in: StandIn) -> None:
    stand_in.body, stand_in.delay = openai(READY), 1.0
    async with _opened("openai:small-1", stand_in, "/v1") as model:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await model.ask(PROMPT, Ready)


@pytest.mark.parametrize(("output", "reply", "told"), [("tool", called(READY), "tools"), ("prompted", openai(READY), "messages"), ("native", openai(READY), "response_format")])  # fmt: skip
async def test_a_schema_goes_by_any_of_three_ways(stand_in: StandIn, output: Any, reply: Any, told: str) -> None:
    stand_in.body = reply
    async with _opened("openai:small-1", stand_in, "/v1", output=output) as model:
        assert (await model.ask(PROMPT, Ready)).value.ready
    assert "ready" in json.dumps(stand_in.requests[0][2][told])


async def test_no_call_costs_more_than_is_reserved_for_it(stand_in: StandIn) -> None:
    """A tokenizer that makes a token of each byte, and a reply as long as it may be."""
    stand_in.body = openai(READY)
    async with _opened("openai:small-1", stand_in, "/v1") as model:
        await model.ask(PROMPT, Ready)
        most = model.most(PROMPT, Ready)
    sent = stand_in.requests[0][2]
    assert most.tokens_in >= len(json.dumps(sent["messages"]).encode()) + len(json.dumps(sent["response_format"]))
    assert most.tokens_out >= (sent.get("max_completion_tokens") or sent["max_tokens"])
    assert most.cost_usd == PRICES.of(most.tokens_in, most.tokens_out)


async def test_a_price_is_known_told_or_neither() -> None:
    async def cost(name: str, **more: Any) -> Decimal | None:
        async with open_model(name, **{"url": None, "api_key": "k", "prices": None, **more}) as model:
            return model.most(PROMPT, Ready).cost_usd

    assert (await cost("openai:gpt-5-mini") or 0) > 0
    assert (await cost("anthropic:claude-haiku-4-5") or 0) > 0
    assert await cost("openai:nobody-knows-this") is None
    assert await cost("openai:gpt-5-mini", url="http://127.0.0.1:9/v1") is None, "another server has other prices"
    assert await cost("ollama:llama3.2") == 0
    assert await cost("openai:nobody-knows-this", prices=PRICES) is not None


async def test_a_call_is_a_span_without_words(stand_in: StandIn) -> None:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    seen = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(seen))
    tracing.listen(provider.get_tracer("asoe"))
    stand_in.body = openai(READY)
    try:
        async with _opened("openai:small-1", stand_in, "/v1") as model:
            await model.ask(PROMPT, Ready)
            stand_in.status = 503
            with pytest.raises(ModelFailure):
                await model.ask(PROMPT, Ready)
    finally:
        tracing.listen(None)
    spans = [{"name": span.name, **dict(span.attributes or {})} for span in seen.get_finished_spans()]
    good, bad = spans
    assert good["name"] == "chat small-1"
    assert (good["gen_ai.operation.name"], good["gen_ai.usage.input_tokens"], good["gen_ai.usage.output_tokens"]) == (
        "chat",
        120,
        8,
    )
    assert bad["error.type"] == "down"
    assert "Ana" not in str(spans)


# --- configuration ---


@pytest.mark.parametrize("name", ["gpt-5", "nobody:x", "openai:", ""])
async def test_a_name_that_is_none_stops_the_start_and_says_what_to_write(name: str) -> None:
    with pytest.raises(Invalid, match="PROVIDER:MODEL") as caught:
        async with open_model(name, url=None, api_key=None, prices=None):
            pass
    assert caught.value.code == "bad_model"


async def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pydantic_ai.models.openai", None)
    with pytest.raises(Unavailable, match=r"asoe\[model\]") as caught:
        async with open_model("openai:x", url=None, api_key=None, prices=None):
            pass
    assert caught.value.code == "model_not_installed"


async def test_the_variables_of_others_are_not_read(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-somebody-elses")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    stand_in.body = openai(READY)
    async with _opened("openai:small-1", stand_in, "/v1", api_key=None) as model:
        await model.ask(PROMPT, Ready)
    assert "somebody" not in json.dumps(stand_in.requests[0][1])


async def test_no_setting_opens_none_and_imports_nothing() -> None:
    async with open_language_model(Settings(_env_file=None)) as access:
        assert access is None


async def test_doctor_says_how_the_model_is(stand_in: StandIn) -> None:
    def settings(**more: Any) -> Settings:
        return Settings(_env_file=None, model="openai:small-1", model_url=f"{stand_in.url}/v1", model_api_key="key-4711", **more)  # fmt: skip

    assert (await model_line(Settings(_env_file=None)))[:2] == ("ok", "none: the local models do it all")
    stand_in.body = openai(READY)
    verdict, detail, _ = await model_line(settings(model_price_in=1, model_price_out=10))
    assert verdict == "ok"
    assert "128 tokens" in detail
    assert "price is not known" in (await model_line(settings()))[1]
    assert (await model_line(settings(model_usd_per_day=1)))[0] == "warn"
    stand_in.body = openai("hello")
    assert "ASOE_MODEL_OUTPUT" in (await model_line(settings()))[2]
    stand_in.status = 401
    found = await model_line(settings())
    assert "ASOE_MODEL_API_KEY" in found[2]
    assert "key-4711" not in str(found)
    assert "key-4711" not in repr(settings())
    assert (await model_line(Settings(_env_file=None, model="gpt")))[0] == "fail"


# --- recorded with a real model (record.py) ---


@pytest.mark.parametrize("conversation", conversations(), ids=lambda found: found[0])
async def test_recorded_exchanges_are_sent_and_read_as_they_were(stand_in: StandIn, conversation: Any) -> None:
    exchange = json.loads(FILE.read_text(encoding="utf-8"))[conversation[0]]
    assert await replayed(stand_in, exchange, conversation) == exchange["outcome"]
    assert stand_in.requests[-1][2] == exchange["sent"]
    assert "acme.test" not in json.dumps(exchange)
