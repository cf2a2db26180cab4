"""Records exchanges with the small model of scripts/model-server: `python tests/model/record.py http://127.0.0.1:PORT/v1`.

What was sent and what came back goes to recorded.json; the tests send the same again and read the same replies.
"""

from __future__ import annotations

import asyncio
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from provider_stand_in import StandIn, served
from pydantic import BaseModel

from asoe.ai.language_model import Data, ModelFailure, Prompt, compose
from asoe.ai.language_model.providers import Prices, open_model
from asoe.ai.language_model.shapes import Ready, WrittenAnswer, choice_of

FILE = Path(__file__).with_name("recorded.json")
PRICES = Prices(Decimal(1), Decimal(2))
PASSAGE = "How to export\nOpen Settings, choose Data and press Export."


def conversations() -> list[tuple[str, type[BaseModel], Prompt, int]]:
    """Name, shape, prompt and longest reply of each."""
    question = Data("question", "I am Ana Sol, ana@acme.test. How do I export?")
    return [
        ("ready", Ready, compose("Are you ready? Return ready as true.", [], nonce="1"), 60),
        (
            "tie",
            choice_of(["crash", "how_to"]),
            compose("Choose one intent: crash, how_to.", [question], names=["Ana Sol"], nonce="1"),
            40,
        ),
        (
            "answer",
            WrittenAnswer,
            compose(
                "Answer from the passages.", [question, Data("passage", PASSAGE, "P1")], names=["Ana Sol"], nonce="1"
            ),
            120,
        ),
        ("cut off", WrittenAnswer, compose("Answer.", [Data("passage", PASSAGE, "P1")], nonce="1"), 12),
    ]


async def asked(url: str, shape: type[BaseModel], prompt: Prompt, max_tokens: int) -> dict[str, Any]:
    """What came of it, as plain values."""
    async with open_model("openai:smol", url=url, api_key=None, prices=PRICES, max_tokens=max_tokens) as model:
        try:
            reply = await model.ask(prompt, shape)
        except ModelFailure as failure:
            return {"failure": failure.kind, "tokens": failure.usage.tokens if failure.usage else None}
    return {"value": reply.value.model_dump(), "tokens": reply.usage.tokens if reply.usage else None}


async def replayed(stand_in: StandIn, exchange: dict[str, Any], conversation: Any) -> dict[str, Any]:
    stand_in.body = exchange["reply"]
    _, shape, prompt, max_tokens = conversation
    return await asked(f"{stand_in.url}/v1", shape, prompt, max_tokens)


async def record(url: str) -> None:
    found = {}
    with served() as stand_in:
        for name, shape, prompt, max_tokens in conversations():
            await asked(f"{stand_in.url}/v1", shape, prompt, max_tokens)  # answered with nothing: tells what is sent
            sent = stand_in.requests[-1][2]
            async with httpx.AsyncClient(timeout=120, trust_env=False) as client:
                reply = (await client.post(f"{url}/chat/completions", json=sent)).json()
            reply = {name: value for name, value in reply.items() if name != "timings"} | {"model": "smol"}
            exchange = {"sent": sent, "reply": reply}
            exchange["outcome"] = await replayed(stand_in, exchange, (name, shape, prompt, max_tokens))
            found[name] = exchange
    FILE.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(record(sys.argv[1]))
