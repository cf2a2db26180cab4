"""A grounded answer: its text, the places it rests on, and how well they support it."""

from __future__ import annotations

from dataclasses import dataclass

from asoe.domain.resolution import Citation


@dataclass(frozen=True, slots=True)
class Answer:
    """`text` is Markdown with citation markers like [1]; `confidence` in 0..1 is the support, not a feeling.

    `fit` is the cosine of the question and the nearest of those its article says it answers, or of the question and the
    passage where the article says none.
    """

    text: str
    citations: tuple[Citation, ...]
    confidence: float
    steps: tuple[str, ...] = ()
    fit: float = 0.0
