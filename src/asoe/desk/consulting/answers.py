"""A written answer in the place of the extracted one: only where the local answer would be sent, and from the same passages.

Every sentence names the passages that say it, and code looks whether they do. One that does not stand on them refuses the whole
answer, and the extracted one is sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from asoe.ai.answers import MOST_WORDS, citation_of
from asoe.ai.language_model import Data
from asoe.ai.language_model.grounding import unfounded
from asoe.ai.language_model.shapes import WrittenAnswer
from asoe.desk.consulting import Question, Rejected, Restore, consult
from asoe.desk.context import Desk
from asoe.desk.trail import Trail
from asoe.domain.answer import Answer
from asoe.domain.knowledge import Passage
from asoe.domain.language_model import ModelRules
from asoe.domain.organization import Principal
from asoe.domain.ticket import Ticket

MOST_PASSAGES: Final = 6
LANGUAGES: Final = {"en": "English", "de": "German", "es": "Spanish", "fr": "French"}
_TASK: Final = (
    "You write the answer of a support desk to a client, in {language}. Use the passages and nothing else: keep their words, "
    "figures, names and links, and add none. Each sentence names the ids of the passages that say it. What the client is to do "
    "step by step is one sentence a step, with is_step true. At most eight sentences, no greeting, no markup, no marks like [1]. "
    "Never say that anybody has done something or will do it, and promise nothing. If the passages do not answer the question, "
    "return no sentences."
)
_LEADING: Final = re.compile(r"^\s*(?:\d{1,2}[.)]|[-*•–])\s+")
_MARKS: Final = re.compile(r"(?:\s*\[P?\d{1,2}\])+(?=[.!?]?$)")


async def write_answer(
    desk: Desk,
    engine: Principal,
    ticket: Ticket,
    local: Answer,
    *,
    question: str,
    passages: Sequence[Passage],
    language: str,
    rules: ModelRules,
    trail: Trail,
) -> Answer:
    """The model's wording of what `passages` say, or `local` as it is.

    Only passages in the client's language: whether a translation says the same, no check here can tell.
    """
    spoken = [passage for passage in passages if passage.language == language and passage.text.strip()][:MOST_PASSAGES]
    leading = local.citations[0].slug if local.citations else ""
    if desk.model is None or all(passage.slug != leading for passage in spoken):
        return local
    by_id = {f"P{number}": passage for number, passage in enumerate(spoken, 1)}
    shown = [Data("passage", _shown(passage), passage_id) for passage_id, passage in by_id.items()]
    asked: Question[WrittenAnswer, Answer] = Question(
        use="answers",
        agent="resolution",
        task=_TASK.format(language=LANGUAGES.get(language, "English")),
        data=[Data("question", question), *shown],
        shape=WrittenAnswer,
        check=lambda reply, restore: _checked(reply, restore, by_id, leading=leading, local=local),
    )
    return await consult(desk, engine, asked, rules=rules, ticket_id=ticket.id, trail=trail) or local


def _shown(passage: Passage) -> str:
    headed = passage.title if passage.heading in {"", passage.title} else f"{passage.title}: {passage.heading}"
    return f"{headed}\n{passage.text}"


def _checked(
    reply: WrittenAnswer, restore: Restore, by_id: Mapping[str, Passage], *, leading: str, local: Answer
) -> Answer:
    if not reply.sentences:
        raise Rejected("no_answer")
    units: list[tuple[str, tuple[str, ...], bool]] = []
    for sentence in reply.sentences:
        named = tuple(dict.fromkeys(sentence.passages))
        if not named:
            raise Rejected("uncited")
        if any(passage_id not in by_id for passage_id in named):
            raise Rejected("unknown_passage")
        text = _MARKS.sub("", _LEADING.sub("", " ".join(restore(sentence.text).split()))).strip()
        sources = [_shown(by_id[passage_id]) for passage_id in named]
        reason = "empty" if not text else unfounded(text, sources)
        if reason is not None:
            raise Rejected(f"unfounded_{reason}")
        units.append((text, named, sentence.is_step))
    cited = list(dict.fromkeys(passage_id for _, named, _ in units for passage_id in named))
    if all(by_id[passage_id].slug != leading for passage_id in cited):
        raise Rejected("other_article")  # what speaks for answering speaks for this article
    if sum(len(text.split()) for text, _, _ in units) > MOST_WORDS:
        raise Rejected("too_long")
    marks = {passage_id: number for number, passage_id in enumerate(cited, 1)}
    return replace(
        local,
        text=_laid_out([(text, tuple(marks[one] for one in named), is_step) for text, named, is_step in units]),
        citations=tuple(citation_of(by_id[passage_id], [by_id[passage_id].text]) for passage_id in cited),
        steps=tuple(text for text, _, is_step in units if is_step),
    )


def _laid_out(units: Sequence[tuple[str, tuple[int, ...], bool]]) -> str:
    """Sentences as paragraphs, steps as one numbered list; marks where the passages change."""
    blocks: list[str] = []
    number = 0
    was_step: bool | None = None
    for place, (text, marks, is_step) in enumerate(units):
        is_last = place + 1 == len(units) or units[place + 1][1:] != (marks, is_step)
        shown = text + (" " + "".join(f"[{mark}]" for mark in marks) if is_last else "")
        if is_step:
            number += 1
            shown = f"{number}. {shown}"
        if was_step is is_step:
            blocks[-1] += ("\n" if is_step else " ") + shown
        else:
            blocks.append(shown)
        was_step = is_step
    return "\n\n".join(blocks)
