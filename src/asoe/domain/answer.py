"""A grounded answer: its text, the places it rests on, and how well they support it."""

from __future__ import annotations

from dataclasses import dataclass

from asoe.domain.resolution import Citation


@dataclass(frozen=True, slots=True)
class Answer:
    """`text` is Markdown with citation markers like [1]; `confidence` in 0..1 is the support, not a feeling.

    `fit` is the cosine of the question and the nearest of those its article says it answers, or of the question and the
    passage where the article says none. `lead` is how far its article is ahead of the next one (0 to 0.4).
    """

    text: str
    citations: tuple[Citation, ...]
    confidence: float
    steps: tuple[str, ...] = ()
    fit: float = 0.0
    lead: float = 0.0
