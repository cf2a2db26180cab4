"""What `asoe doctor` says of the language model: whether it answers in shape, how fast, and whether it has a price."""

from __future__ import annotations

import asyncio
import time
from typing import Literal

from asoe.config import Settings
from asoe.domain.errors import AsoeError

Line = tuple[Literal["ok", "warn", "fail"], str, str]
"""Verdict, detail, remedy."""


async def model_line(settings: Settings) -> Line:
    """One short question to the model that is configured. Without it the local path serves, so nothing here fails."""
    from asoe.ai.language_model import ModelFailure, compose
    from asoe.ai.language_model.shapes import Ready
    from asoe.app import open_language_model

    if settings.model is None:
        return "ok", "none: the local models do it all", ""
    without = "The local models do it all meanwhile."
    prompt = compose("Say that you are ready: return ready as true.", [])
    try:
        async with open_language_model(settings) as access:
            assert access is not None
            started = time.perf_counter()
            async with asyncio.timeout(access.timeout):
                reply = await access.model.ask(prompt, Ready)
            took = time.perf_counter() - started
            priced = access.model.most(prompt, Ready).cost_usd is not None
    except AsoeError as error:
        return "fail", error.message, "Correct the named variable."
    except TimeoutError:
        remedy = f"Raise ASOE_MODEL_TIMEOUT_SECONDS or choose a faster one. {without}"
        return "warn", f"{settings.model} did not answer within {settings.model_timeout_seconds:g} s.", remedy
    except ModelFailure as failure:
        remedy = {
            "down": f"Check ASOE_MODEL_URL, ASOE_MODEL_API_KEY and the model's name. {without}",
            "malformed": f"Try ASOE_MODEL_OUTPUT=prompted, or a model that keeps to a schema. {without}",
        }.get(failure.kind, without)
        return "warn", f"{settings.model}: {failure}", remedy
    tokens = f"{reply.usage.tokens} tokens" if reply.usage else "no word of what it used"
    detail = f"{settings.model} answered in {took:.1f} s, {tokens}"
    if not priced and settings.model_usd_per_day is not None:
        remedy = "Set ASOE_MODEL_PRICE_IN and ASOE_MODEL_PRICE_OUT: with a budget in dollars nothing is asked without."
        return "warn", f"{detail}; its price is not known", remedy
    return "ok", detail if priced else f"{detail}; its price is not known, its cost is told as 0", ""
