"""Composes a grounded answer from retrieved passages, or none when they do not support one.

Every sentence of an answer is copied from a cited passage; only the frame around it comes from a template. The
threshold is the caller's. Retrieval, and whether an answer may be sent at all, are decided elsewhere.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, log
from typing import Final

import numpy as np

from asoe.ai.encoder import Encoder
from asoe.ai.features import words_of
from asoe.ai.language import function_words
from asoe.domain.answer import Answer
from asoe.domain.knowledge import Passage
from asoe.domain.resolution import Citation

CONSIDERED: Final = 8
MOST_SENTENCES: Final = 4
MOST_STEPS: Final = 12
LONGEST_QUESTION: Final = 8
QUOTE_CHARS: Final = 280
_STEM: Final = 5

# support = 1 / (1 + exp(-x)), x = bias + weights · the features in their order; fitted by evals/answer_support.py
SUPPORT_BIAS: Final = -5.7
SUPPORT_WEIGHTS: Final = (3.2, 6.1, 0.7, 2.5)
SENTENCE_DISCOUNT: Final = 0.9
"""What a likeness to one sentence of a longer question is worth beside a likeness to all of it."""

_TEMPLATES: Final = {
    "en": ("From our help page “{title}”:", "More: “{title}”.", "(This page exists only in another language.)"),
    "de": (
        "Aus unserer Hilfeseite „{title}“:",
        "Mehr dazu: „{title}“.",
        "(Diese Seite gibt es nur in einer anderen Sprache.)",
    ),
    "es": ("De nuestra página de ayuda «{title}»:", "Más: «{title}».", "(Esta página solo existe en otro idioma.)"),
    "fr": (
        "D’après notre page d’aide « {title} » :",
        "En savoir plus : « {title} ».",
        "(Cette page n’existe que dans une autre langue.)",
    ),
}
_LIST_ITEM = re.compile(r"^\s*(?:(\d{1,3})[.)]|[-*+])\s+(.*)$")
_SENTENCE = re.compile(r"(?<=[.!?…])\s+(?=[\"“„«¿¡(\[`]?[^\W\d_a-zà-ÿ]|\d)")


@dataclass(frozen=True, slots=True)
class Support:
    """How well one passage supports an answer, each in 0..1 or thereabouts."""

    semantic: float
    """Cosine of question and passage."""
    title: float
    """Cosine of question and title with heading."""
    coverage: float
    """Share of the question's content words in the passage, rare ones (among the passages considered) counting more."""
    margin: float
    """Lead over the best other article."""
    nearest_unit: float = 0.0
    """Cosine of question and the nearest sentence or step; ranks passages, says nothing about support."""

    @property
    def features(self) -> tuple[float, ...]:
        return self.semantic, self.title, self.coverage, self.margin

    @property
    def score(self) -> float:
        total = SUPPORT_BIAS + sum(weight * value for weight, value in zip(SUPPORT_WEIGHTS, self.features, strict=True))
        return 1 / (1 + exp(-total))


@dataclass(frozen=True, slots=True)
class _Unit:
    """A sentence or a list item, as it stands in the passage."""

    text: str
    is_step: bool


@dataclass(frozen=True, slots=True)
class _Candidate:
    passage: Passage
    units: tuple[_Unit, ...]
    likeness: tuple[float, ...]
    support: Support


def compose_answer(
    question: str,
    passages: Sequence[Passage],
    *,
    language: str,
    encoder: Encoder,
    articles: Encoder | None = None,
    threshold: float = 0.5,
) -> Answer | None:
    """The answer from the best supported article, or None when its support is below `threshold` (0..1).

    `articles` embeds what passages say, where that can be remembered; `encoder` what the client says.
    """
    best = best_supported(question, passages, encoder=encoder, articles=articles)
    if best is None or best.support.score < threshold:
        return None
    return _written(best, passages, language=language)


def best_supported(
    question: str, passages: Sequence[Passage], *, encoder: Encoder, articles: Encoder | None = None
) -> _Candidate | None:
    """The passage that supports an answer best, with its support; None without passages."""
    considered = [passage for passage in passages if passage.text.strip()][:CONSIDERED]
    if not considered or not question.strip():
        return None
    units = [tuple(_units(passage.text)) for passage in considered]
    questions = [question, *_longer_sentences(question)]
    titles = [f"{passage.title}. {passage.heading}" for passage in considered]
    asked = encoder.embed(questions)
    known = (articles or encoder).embed([*titles, *(unit.text for found in units for unit in found)])
    named, parts = np.split(known, [len(titles)])
    worth = np.array([1.0] + [SENTENCE_DISCOUNT] * (len(questions) - 1), np.float32)
    by_title = (named @ asked.T * worth).max(axis=1)
    by_unit = (parts @ asked.T * worth).max(axis=1) if len(parts) else np.zeros(0, np.float32)
    scored: list[_Candidate] = []
    start = 0
    wanted = _content(question)
    contents = [_content(f"{passage.title} {passage.heading} {passage.text}") for passage in considered]
    rarity = {word: log(1 + len(contents) / (1 + sum(word in held for held in contents))) for word in wanted}
    for passage, found, title, content in zip(considered, units, by_title, contents, strict=True):
        likeness = tuple(float(value) for value in by_unit[start : start + len(found)])
        start += len(found)
        support = Support(
            semantic=passage.semantic,
            title=float(title),
            coverage=_coverage(rarity, content),
            margin=0.0,
            nearest_unit=max(likeness, default=0.0),
        )
        scored.append(_Candidate(passage, found, likeness, support))
    ranked = sorted(scored, key=lambda candidate: -_blend(candidate.support))
    first = ranked[0]
    rival = next((other for other in ranked if other.passage.article_id != first.passage.article_id), None)
    margin = _blend(first.support) - (_blend(rival.support) if rival else 0.0)
    return replace(first, support=replace(first.support, margin=min(margin, 0.4)))


def _written(best: _Candidate, passages: Sequence[Passage], *, language: str) -> Answer:
    passage = best.passage
    frame = _TEMPLATES.get(language, _TEMPLATES["en"])
    steps = tuple(unit.text for unit in best.units if unit.is_step)[:MOST_STEPS]
    sentences = [index for index, unit in enumerate(best.units) if not unit.is_step]
    kept = sorted(sorted(sentences, key=lambda index: -best.likeness[index])[:MOST_SENTENCES])
    said = [best.units[index].text for index in kept]
    citations = [_citation(passage, said or list(steps))]
    body = []
    if said:
        body.append(" ".join(said) + " [1]")
    if steps:
        body.append("\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1)) + ("" if said else " [1]"))
    more = _second(best, passages)
    if more is not None and not steps:
        further = next((unit for unit in _units(more.text) if not unit.is_step), None)
        procedure = [unit.text for unit in _units(more.text) if unit.is_step][:MOST_STEPS]
        if procedure:
            body.append("\n".join(f"{number}. {step}" for number, step in enumerate(procedure, 1)) + " [2]")
            steps = tuple(procedure)
            citations.append(_citation(more, procedure))
        elif further is not None:
            body.append(further.text + " [2]")
            citations.append(_citation(more, [further.text]))
    opening = frame[0].format(title=passage.title)
    closing = [frame[2]] if passage.language != language and passage.language else []
    text = "\n\n".join([opening, *body, *closing])
    return Answer(text=text, citations=tuple(citations), confidence=round(best.support.score, 4), steps=steps)


def _second(best: _Candidate, passages: Sequence[Passage]) -> Passage | None:
    """The best retrieved other passage of the same article: the steps after an introduction, for instance."""
    same = [
        passage
        for passage in passages
        if passage.article_id == best.passage.article_id
        and passage.position != best.passage.position
        and passage.text.strip()
    ]
    return max(same, key=lambda passage: passage.score, default=None)


def _units(text: str) -> list[_Unit]:
    """List items as steps, everything else as sentences; headings and tables' rules are left out."""
    units: list[_Unit] = []
    paragraph: list[str] = []

    def close() -> None:
        if paragraph:
            joined = " ".join(paragraph)
            units.extend(_Unit(part.strip(), is_step=False) for part in _SENTENCE.split(joined) if part.strip())
            paragraph.clear()

    for line in text.splitlines():
        item = _LIST_ITEM.match(line)
        stripped = line.strip()
        if item:
            close()
            units.append(_Unit(item.group(2).strip(), is_step=True))
        elif not stripped or stripped.startswith("#") or set(stripped) <= set("|-: "):
            close()
        elif units and units[-1].is_step and not paragraph and line.startswith((" ", "\t")):
            units[-1] = _Unit(f"{units[-1].text} {stripped}", is_step=True)
        else:
            paragraph.append(stripped)
    close()
    return units


def _citation(passage: Passage, used: Sequence[str]) -> Citation:
    quote = " ".join(used)
    if len(quote) > QUOTE_CHARS:
        quote = quote[: QUOTE_CHARS - 1].rsplit(" ", 1)[0] + "…"
    return Citation(passage.article_id, passage.slug, passage.title, passage.heading, quote)


def _blend(support: Support) -> float:
    """What passages are ranked by: half meaning, half words."""
    return (support.semantic + support.title + support.nearest_unit) / 5 + 0.4 * support.coverage


def _content(text: str) -> set[str]:
    """Stems of the words that carry content."""
    return {word[:_STEM] for word in words_of(text) if len(word) > 2 and word not in function_words()}


def _coverage(rarity: Mapping[str, float], found: set[str]) -> float:
    total = sum(rarity.values())
    return sum(weight for word, weight in rarity.items() if word in found) / total if total else 0.0


def _longer_sentences(question: str) -> list[str]:
    """The sentences of a question that has several, short ones left out."""
    sentences = [part for part in re.split(r"(?<=[.!?])\s+|\n+", question) if len(part.split()) > 3]
    return sentences[:LONGEST_QUESTION] if len(sentences) > 1 else []
