"""Composes a grounded answer from retrieved passages, or none when they do not support one.

Every sentence of an answer is copied from a cited passage; only the frame around it comes from a template. The
threshold is the caller's. Retrieval, and whether an answer may be sent at all, are decided elsewhere.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, log
from typing import Final

from asoe.ai.encoder import Encoder
from asoe.ai.features import words_of
from asoe.ai.glossary import in_english
from asoe.ai.language import function_words
from asoe.domain.answer import Answer
from asoe.domain.knowledge import Passage
from asoe.domain.resolution import Citation

CONSIDERED: Final = 8
MOST_SENTENCES: Final = 12
MOST_WORDS: Final = 220
NEARLY: Final = 0.85
"""Share of the best passage's score from which another article is named beside it."""
CLOSE: Final = 0.04
"""Lead below which the next article is as likely as not what the client means: it is shown as well, not named only."""
MOST_WORDS_BESIDE: Final = 120
MOST_STEPS: Final = 12
_ENDS: Final = (".", "!", "?", "…", ":")
QUOTE_CHARS: Final = 280
_STEM: Final = 5

# what passages are ranked by; chosen on the gate corpus and the dev part of the desk corpus
RANK_SHARE: Final = 0.5
ASKED_SHARE: Final = 0.2
COVERAGE_SHARE: Final = 0.1

# support = 1 / (1 + exp(-x)), x = bias + weights · the features in their order; fitted by evals/answer_support.py
SUPPORT_BIAS: Final = -6.46
SUPPORT_WEIGHTS: Final = (2.21, 8.45, 0.84, 5.08)

_TEMPLATES: Final = {
    "en": (
        "From our help page “{title}”:",
        "More: “{title}”.",
        "(This page exists only in another language.)",
        "If you meant “{title}”:",
    ),
    "de": (
        "Aus unserer Hilfeseite „{title}“:",
        "Mehr dazu: „{title}“.",
        "(Diese Seite gibt es nur in einer anderen Sprache.)",
        "Falls Sie „{title}“ meinen:",
    ),
    "es": (
        "De nuestra página de ayuda «{title}»:",
        "Más: «{title}».",
        "(Esta página solo existe en otro idioma.)",
        "Si se refiere a «{title}»:",
    ),
    "fr": (
        "D’après notre page d’aide « {title} » :",
        "En savoir plus : « {title} ».",
        "(Cette page n’existe que dans une autre langue.)",
        "Si vous pensiez à « {title} » :",
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
    asked: float = 0.0
    """Cosine of question and the nearest of those the article says it answers."""
    rank: float = 0.0
    """What retrieval gave the passage; ranks passages, says nothing about support."""

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
    support: Support
    rival: Passage | None = None
    """The best passage of another article."""


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
    asked = encoder.embed([question])[0]
    by_title = (articles or encoder).embed([f"{passage.title}. {passage.heading}" for passage in considered]) @ asked
    contents = [_content(f"{passage.title} {passage.heading} {passage.text}") for passage in considered]
    wanted = _rarity(_content(question), contents)
    in_english_wanted = _rarity(_content(in_english(question)), contents)
    scored = [
        _Candidate(
            passage,
            Support(
                semantic=passage.semantic,
                title=float(title),
                coverage=_coverage(in_english_wanted if passage.language == "en" else wanted, content),
                margin=0.0,
                asked=passage.asked,
                rank=passage.score,
            ),
        )
        for passage, title, content in zip(considered, by_title, contents, strict=True)
    ]
    ranked = sorted(scored, key=lambda candidate: -_blend(candidate.support))
    first = ranked[0]
    rival = next((other for other in ranked if other.passage.article_id != first.passage.article_id), None)
    margin = _blend(first.support) - (_blend(rival.support) if rival else 0.0)
    support = replace(first.support, margin=min(margin, 0.4))
    return replace(first, support=support, rival=rival.passage if rival else None)


def _written(best: _Candidate, passages: Sequence[Passage], *, language: str) -> Answer:
    """The best article in its found passages up to MOST_WORDS; then the next one: as much of it as fits beside where it is as likely, else its lead."""
    chosen = best.passage
    frame = _TEMPLATES.get(language, _TEMPLATES["en"])
    citations: list[Citation] = []
    body, steps = _told(_kept(chosen, passages, words=MOST_WORDS), citations)
    closing = []
    rival = _runner_up(best, passages)
    if best.rival is not None and best.support.margin < CLOSE:
        closing.append(frame[3].format(title=best.rival.title))
        closing += _told(_kept(best.rival, passages, words=MOST_WORDS_BESIDE), citations)[0]
    elif rival is not None:
        lead = next((unit.text for unit in _units(rival.text) if not unit.is_step), "")
        citations.append(citation_of(rival, [lead or rival.title]))
        closing.append(f"{frame[1].format(title=rival.title)} {lead} [{len(citations)}]".replace("  ", " "))
    if chosen.language and chosen.language != language:
        closing.append(frame[2])
    text = "\n\n".join([frame[0].format(title=chosen.title), *body, *closing])
    return Answer(
        text=text,
        citations=tuple(citations),
        confidence=round(best.support.score, 4),
        steps=tuple(steps[:MOST_STEPS]),
        fit=round(best.support.asked or best.support.semantic, 4),
        lead=round(best.support.margin, 4),
    )


def _told(kept: Sequence[Passage], citations: list[Citation]) -> tuple[list[str], list[str]]:
    """The passages as blocks of text, each cited, and the steps in them."""
    body: list[str] = []
    steps: list[str] = []
    for passage in kept:
        units = _units(passage.text)
        citations.append(citation_of(passage, [unit.text for unit in units]))
        if passage.heading not in {"", passage.title}:
            # a list under "What cannot be raised" says the opposite without its heading
            body.append(passage.heading if passage.heading.endswith(_ENDS) else f"{passage.heading}:")
        body.append(_shown(units, mark=len(citations), first_step=len(steps) + 1))
        steps += [unit.text for unit in units if unit.is_step]
    return body, steps


def _kept(chosen: Passage, passages: Sequence[Passage], *, words: int) -> list[Passage]:
    """The chosen passage first in line for the room there is; what is kept is read in the article's order."""
    same = [passage for passage in passages if passage.article_id == chosen.article_id and passage.text.strip()]
    kept, room = [chosen], words - len(chosen.text.split())
    for passage in sorted(same, key=lambda passage: -passage.score):
        length = len(passage.text.split())
        if passage.position != chosen.position and length <= room:
            kept.append(passage)
            room -= length
    return sorted(kept, key=lambda passage: passage.position)


def _shown(units: Sequence[_Unit], *, mark: int, first_step: int) -> str:
    """Sentences as a paragraph, steps as a numbered list, in their order; the mark stands after the first block."""
    blocks: list[str] = []
    number = first_step
    previous: bool | None = None
    for unit in units[: MOST_STEPS + MOST_SENTENCES]:
        if unit.is_step:
            line = f"{number}. {unit.text}"
            number += 1
        else:
            line = unit.text
        if previous == unit.is_step:
            # what does not end like a sentence stood on a line of its own
            blocks[-1] += (" " if not unit.is_step and blocks[-1].endswith(_ENDS) else "\n") + line
        else:
            blocks.append(line)
        previous = unit.is_step
    if blocks:
        blocks[0] += f" [{mark}]"
    return "\n\n".join(blocks)


def _runner_up(best: _Candidate, passages: Sequence[Passage]) -> Passage | None:
    """The best other article's first found passage, when it was nearly as good."""
    others = [passage for passage in passages if passage.article_id != best.passage.article_id and passage.text.strip()]
    rival = max(others, key=lambda passage: passage.score, default=None)
    if rival is None or rival.score < NEARLY * best.passage.score:
        return None
    return rival


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


def citation_of(passage: Passage, used: Sequence[str]) -> Citation:
    quote = " ".join(used)
    if len(quote) > QUOTE_CHARS:
        quote = quote[: QUOTE_CHARS - 1].rsplit(" ", 1)[0] + "…"
    return Citation(passage.article_id, passage.slug, passage.title, passage.heading, quote)


def _blend(support: Support) -> float:
    """What passages are ranked by: where retrieval put them, corrected by the questions they answer and the words they hold."""
    nearest = max(support.asked, support.semantic)
    return RANK_SHARE * support.rank + ASKED_SHARE * nearest + COVERAGE_SHARE * support.coverage


def _content(text: str) -> set[str]:
    """Stems of the words that carry content."""
    return {word[:_STEM] for word in words_of(text) if len(word) > 2 and word not in function_words()}


def _rarity(wanted: set[str], contents: Sequence[set[str]]) -> dict[str, float]:
    """The weight of each wanted word: rare ones among the passages considered count more."""
    return {word: log(1 + len(contents) / (1 + sum(word in held for held in contents))) for word in wanted}


def _coverage(rarity: Mapping[str, float], found: set[str]) -> float:
    total = sum(rarity.values())
    return sum(weight for word, weight in rarity.items() if word in found) / total if total else 0.0
