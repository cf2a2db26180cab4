"""The shapes a language model's replies must have. What they say is checked elsewhere; here only that they can be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

Short = Annotated[str, Field(max_length=120)]


class _Reply(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sentence(_Reply):
    """One sentence or step, with the passages that say it."""

    text: Annotated[str, Field(min_length=1, max_length=500)]
    passages: Annotated[list[Short], Field(max_length=6)]
    is_step: bool = False


class WrittenAnswer(_Reply):
    """An answer in its order; empty when the passages do not answer the question."""

    sentences: Annotated[list[Sentence], Field(max_length=16)]


class FoundSlot(_Reply):
    """A value, by the client's own words for it; `choice` only where a slot has choices."""

    slot: Short
    quote: Annotated[str, Field(min_length=1, max_length=400)]
    choice: Short | None = None


class FoundSlots(_Reply):
    found: Annotated[list[FoundSlot], Field(max_length=24)]


class ChosenIntent(_Reply):
    intent: Short


def choice_of(names: Sequence[str]) -> type[ChosenIntent]:
    """`ChosenIntent` with these names only, so that a provider that keeps to schemas can say no other."""
    among: Any = Literal[tuple(names)]
    return create_model("ChosenIntent", __base__=ChosenIntent, intent=(among, ...))


class Draft(_Reply):
    """For a person: what the ticket is about, and what could be written to the client."""

    summary: Annotated[str, Field(min_length=1, max_length=900)]
    reply: Annotated[str, Field(min_length=1, max_length=1500)]


class ArticlePart(_Reply):
    """One sentence or step of an article; `heading` where a new matter begins."""

    text: Annotated[str, Field(min_length=1, max_length=500)]
    heading: Annotated[str, Field(max_length=120)] = ""
    is_step: bool = False


class WordedArticle(_Reply):
    """An article in its order; empty when the answers hold nothing for others."""

    title: Annotated[str, Field(max_length=200)]
    parts: Annotated[list[ArticlePart], Field(max_length=40)]


class Ready(_Reply):
    """The answer to a call that only asks whether anybody is there."""

    ready: bool
