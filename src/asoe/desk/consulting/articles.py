"""A person's answer worded as an article, for a person to read: grounded in these answers alone, or the plain draft as it is.

Every sentence must stand on what people said; one that does not, or that tells what was done for this client, refuses the whole wording.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from asoe.ai.language_model import Data
from asoe.ai.language_model.grounding import brings_in, promises, unfounded
from asoe.ai.language_model.shapes import ArticlePart, WordedArticle
from asoe.desk.consulting import Question, Rejected, consult
from asoe.desk.consulting.answers import LANGUAGES
from asoe.desk.context import Desk
from asoe.desk.trail import Trail
from asoe.domain.knowledge import MAX_TITLE, ArticleText
from asoe.domain.language_model import ModelRules
from asoe.domain.organization import Principal
from asoe.domain.ticket import Ticket

TAG: Final = "drafted-by-language-model"
MOST_ANSWERS: Final = 8
_ACTIVE: Final = re.compile(r"[<>{}\[\]|`]|javascript:|data:", re.IGNORECASE)
"""What Markdown or a page might take for more than words."""
_LEADING: Final = re.compile(r"^\s*(?:\d{1,2}[.)]|[-*+•–#>]+)\s*")
_TASK: Final = (
    "A person of a support desk has answered a client. Word what they said as an article of the help pages, in {language}, for everybody "
    "with that question. Use their answers and nothing else: keep their words, figures, names and links, and add none. Leave out greetings, "
    "names of people, and whatever was done or will be done for this one client. title: what the article answers, at most ten words. "
    "parts: one sentence each; what the reader is to do step by step is one part a step, with is_step true; heading only where a new matter "
    "begins. No markup, no links in brackets. If the answers hold nothing for others, return no parts."
)


async def word_article(
    desk: Desk,
    engine: Principal,
    ticket: Ticket,
    plain: ArticleText,
    *,
    question: str,
    answers: Sequence[str],
    rules: ModelRules,
    trail: Trail,
) -> ArticleText:
    """`plain` in the model's words, marked by TAG, or as it is. `question` and `answers` are redacted."""
    if desk.model is None:
        return plain
    asked: Question[WordedArticle, tuple[str, str]] = Question(
        use="articles",
        agent="insight",
        task=_TASK.format(language=LANGUAGES.get(plain.language, "English")),
        data=[Data("question", question), *(Data("answer", answer) for answer in answers[:MOST_ANSWERS])],
        shape=WordedArticle,
        check=lambda reply, _: _checked(reply, plain.title, question=question, answers=answers[:MOST_ANSWERS]),
    )
    worded = await consult(desk, engine, asked, rules=rules, ticket_id=ticket.id, trail=trail)
    if worded is None:
        return plain
    title, body = worded
    return replace(plain, title=title, body=body, tags=(*plain.tags, TAG))


def _checked(reply: WordedArticle, plain_title: str, *, question: str, answers: Sequence[str]) -> tuple[str, str]:
    """Title and Markdown. Hidden values stay hidden: what was one client's is nobody's to read."""
    parts = [_on_one_line(part) for part in reply.parts]
    if not parts:
        raise Rejected("empty")
    for part in parts:
        reason = "markup" if _ACTIVE.search(part.text + part.heading) else unfounded(part.text, answers)
        if reason is None and promises(part.text):
            reason = "promise"
        if reason is None and part.heading and unfounded(part.heading, [question, *answers]) is not None:
            reason = "heading"
        if reason is not None:
            raise Rejected(f"unfounded_{reason}")
    title = " ".join(reply.title.split())
    if _ACTIVE.search(title) or promises(title) or brings_in(title, [question, *answers]) is not None:
        title = plain_title
    return title[:MAX_TITLE], _markdown(parts)


def _on_one_line(part: ArticlePart) -> ArticlePart:
    """A part on one line, without marks of lists or headings of its own."""
    text, heading = (_LEADING.sub("", " ".join(words.split())) for words in (part.text, part.heading))
    return part.model_copy(update={"text": text, "heading": heading})


def _markdown(parts: Sequence[ArticlePart]) -> str:
    blocks: list[str] = []
    step = 0
    for part in parts:
        if part.heading:
            blocks.append(f"## {part.heading}")
            step = 0
        if part.is_step:
            step += 1
            line = f"{step}. {part.text}"
            if step > 1:
                blocks[-1] = f"{blocks[-1]}\n{line}"
                continue
            blocks.append(line)
        else:
            step = 0
            blocks.append(part.text)
    return "\n\n".join(blocks)
