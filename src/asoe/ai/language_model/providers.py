"""The port over pydantic-ai: OpenAI and whatever speaks its protocol, Anthropic, Google, Mistral, Ollama.

One request a question, with no tools and no retries; spans follow OpenTelemetry's conventions for generative AI and hold no text.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel

from asoe import tracing
from asoe.ai.language_model import LanguageModel, ModelFailure, Prompt, Reply, Shape
from asoe.domain.errors import FieldProblem, Invalid, Unavailable
from asoe.domain.language_model import ModelUsage

if TYPE_CHECKING:
    from pydantic_ai.models import Model
    from pydantic_ai.usage import RunUsage

_ADDRESSES: Final = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
    "google": "https://generativelanguage.googleapis.com",
    "mistral": "https://api.mistral.ai",
    "ollama": "http://localhost:11434/v1",
}
PROVIDERS: Final = tuple(_ADDRESSES)
MOST_TOKENS_OUT: Final = 1_500
_OVERHEAD: Final = 400
"""Tokens that a provider's own wording around a question may cost."""
_MILLION: Final = Decimal(1_000_000)
_OWN_RETRIES: Final = frozenset({"openai", "anthropic", "ollama"})
"""Whose SDK tries again by itself unless it is told not to; the budget covers one try."""
Output = Literal["auto", "native", "tool", "prompted"]


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars per million tokens."""

    tokens_in: Decimal
    tokens_out: Decimal

    def of(self, tokens_in: int, tokens_out: int) -> Decimal:
        return (self.tokens_in * tokens_in + self.tokens_out * tokens_out) / _MILLION


class PydanticAIModel:
    """`LanguageModel` over any model of pydantic-ai. `prices` None: the list that genai-prices carries, if it knows the model."""

    def __init__(
        self,
        provider: str,
        model: Model,
        *,
        prices: Prices | None = None,
        is_listed: bool = False,
        output: Output = "auto",
        max_tokens: int = MOST_TOKENS_OUT,
    ) -> None:
        self._provider = provider
        self._model = model
        self._prices = prices
        self._is_listed = is_listed
        self._output = output
        self._max_tokens = max_tokens

    @property
    def name(self) -> str:
        return f"{self._provider}:{self._model.model_name}"

    def most(self, prompt: Prompt, shape: type[BaseModel]) -> ModelUsage:
        """A tokenizer makes at most one token of a byte; the schema goes along, once as it is and once as words."""
        tokens_in = prompt.size + 2 * len(json.dumps(shape.model_json_schema())) + _OVERHEAD
        return ModelUsage(tokens_in, self._max_tokens, self._cost(tokens_in, self._max_tokens))

    async def ask(self, prompt: Prompt, shape: type[Shape]) -> Reply[Shape]:
        """One request; cancelling it (the caller's patience) closes the connection."""
        from pydantic_ai import Agent
        from pydantic_ai.exceptions import AgentRunError, ModelAPIError, ModelTimeoutError, UserError
        from pydantic_ai.settings import ModelSettings
        from pydantic_ai.usage import RunUsage, UsageLimits

        usage = RunUsage()
        settings = ModelSettings(max_tokens=self._max_tokens)
        if self._provider in _OWN_RETRIES:
            settings["max_retries"] = 0
        agent: Agent[None, Shape] = Agent(
            self._model, output_type=self._shaped(shape), instructions=prompt.instructions, retries=0
        )
        with self._span() as span:
            try:
                result = await agent.run(
                    prompt.text, model_settings=settings, usage=usage, usage_limits=UsageLimits(request_limit=1)
                )
            except ModelTimeoutError as error:
                raise _failed(span, ModelFailure("slow", type(error).__name__)) from None
            except ModelAPIError as error:
                status = getattr(error, "status_code", "")
                detail = f"{type(error).__name__} {status}".strip()
                raise _failed(span, ModelFailure("down", detail, usage=ModelUsage())) from None
            except (AgentRunError, UserError) as error:
                spent = self._used(usage)
                raise _failed(span, ModelFailure("malformed", type(error).__name__, usage=spent)) from None
            except OSError as error:
                raise _failed(span, ModelFailure("down", type(error).__name__, usage=ModelUsage())) from None
            used = self._used(usage)
            if used is not None:
                cost = None if used.cost_usd is None else float(used.cost_usd)
                span.note(tokens_in=used.tokens_in, tokens_out=used.tokens_out, cost_usd=cost)
            return Reply(result.output, used)

    def _shaped(self, shape: type[BaseModel]) -> Any:
        from pydantic_ai import NativeOutput, PromptedOutput, ToolOutput

        chosen = self._output
        if chosen == "auto":
            chosen = "native" if self._model.profile.get("supports_json_schema_output") else "tool"
        forms: dict[str, Any] = {"native": NativeOutput, "tool": ToolOutput, "prompted": PromptedOutput}
        return forms[chosen](shape)

    def _span(self) -> tracing.Span:
        return tracing.span(
            "chat",
            of=self._model.model_name,
            kind="client",
            spoken="chat",
            provider=self._provider,
            model=self._model.model_name,
            max_tokens=self._max_tokens,
            output_type="json",
        )

    def _used(self, usage: RunUsage) -> ModelUsage | None:
        """None when the provider has not said."""
        if not usage.input_tokens and not usage.output_tokens:
            return None
        cost = self._cost(usage.input_tokens, usage.output_tokens)
        return ModelUsage(usage.input_tokens, usage.output_tokens, cost)

    def _cost(self, tokens_in: int, tokens_out: int) -> Decimal | None:
        if self._prices is not None:
            return self._prices.of(tokens_in, tokens_out)
        if not self._is_listed:
            return None
        import genai_prices

        try:
            found = genai_prices.calc_price(
                genai_prices.Usage(input_tokens=tokens_in, output_tokens=tokens_out),
                self._model.model_name,
                provider_id=self._provider,
            )
        except LookupError:
            return None
        return found.total_price


@asynccontextmanager
async def open_model(
    name: str,
    *,
    url: str | None,
    api_key: str | None,
    prices: Prices | None,
    output: Output = "auto",
    max_tokens: int = MOST_TOKENS_OUT,
) -> AsyncIterator[LanguageModel]:
    """The model `provider:name`, with its connections closed afterwards; raises `Invalid(bad_model)`, `Unavailable(model_not_installed)`."""
    provider, _, model_name = name.partition(":")
    if provider not in PROVIDERS or not model_name:
        raise Invalid(
            f"ASOE_MODEL: {name!r} names no model. Write PROVIDER:MODEL, with one of {', '.join(PROVIDERS)}; openai with "
            "ASOE_MODEL_URL is any server that speaks its protocol.",
            code="bad_model",
            fields=(FieldProblem("ASOE_MODEL", f"must be PROVIDER:MODEL with one of {', '.join(PROVIDERS)}"),),
        )
    try:
        model = _made(provider, model_name, url=url, api_key=api_key)
    except ImportError as error:
        raise Unavailable(
            f"ASOE_MODEL is {name!r}, and what speaks to it is not installed ({error.name or 'a package'}). Install "
            "asoe[model], or unset ASOE_MODEL: the local models do it all.",
            code="model_not_installed",
            permanent=True,
        ) from None
    if provider == "ollama" and prices is None:
        prices = Prices(Decimal(0), Decimal(0))
    async with model:
        listed = url is None
        yield PydanticAIModel(provider, model, prices=prices, is_listed=listed, output=output, max_tokens=max_tokens)


def _failed(span: tracing.Span, failure: ModelFailure) -> ModelFailure:
    span.failed(failure.kind)
    return failure


def _made(provider: str, name: str, *, url: str | None, api_key: str | None) -> Model:
    """Key and address are always given, so that none is taken from variables that are not ours."""
    key, url = api_key or "none", url or _ADDRESSES[provider]
    if provider == "anthropic":
        from pydantic_ai.models.anthropic import AnthropicModel
        from pydantic_ai.providers.anthropic import AnthropicProvider

        return AnthropicModel(name, provider=AnthropicProvider(api_key=key, base_url=url))
    if provider == "google":
        from pydantic_ai.models.google import GoogleModel
        from pydantic_ai.providers.google import GoogleProvider

        return GoogleModel(name, provider=GoogleProvider(api_key=key, base_url=url))
    if provider == "mistral":
        from pydantic_ai.models.mistral import MistralModel
        from pydantic_ai.providers.mistral import MistralProvider

        return MistralModel(name, provider=MistralProvider(api_key=key, base_url=url))
    if provider == "ollama":
        from pydantic_ai.models.ollama import OllamaModel
        from pydantic_ai.providers.ollama import OllamaProvider

        return OllamaModel(name, provider=OllamaProvider(base_url=url, api_key=key))
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    return OpenAIChatModel(name, provider=OpenAIProvider(base_url=url, api_key=key))
