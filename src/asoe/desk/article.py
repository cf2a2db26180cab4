"""Reads an article's file and cuts its Markdown into chunks. Decides where a chunk ends; storing is `knowledge.py`'s.

HTML and script inside an article stay what they are: text. Nothing is rendered here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from asoe.domain.errors import FieldProblem, Invalid
from asoe.domain.knowledge import ArticleText, Chunk, problems_of

FIELDS: Final = ("title", "slug", "language", "product", "audience", "tags", "questions")
MAX_FILE_BYTES: Final = 1024 * 1024
CHUNK_WORDS: Final = 170
"""What fits the encoder's 256 tokens beside title and heading."""
STEPS_WORDS: Final = 400
"""Numbered steps stay together up to here, then they are cut between two steps."""

_FRONT = re.compile(r"\A---[ \t]*\r?\n(?P<front>.*?)(?:^|\n)---[ \t]*(?:\r?\n|\Z)(?P<body>.*)\Z", re.DOTALL)
_SENTENCE_END = re.compile(r"(?<=[.!?。])\s+")


@dataclass(frozen=True, slots=True)
class _Block:
    text: str
    words: int
    is_list: bool = False
    ends_open: bool = False


def read_article_file(path: Path, *, name: str = "") -> ArticleText:
    """Read one file; raises `Invalid(bad_article)` naming file (as `name`), field and remedy."""
    name = name or path.name
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise _invalid(name, "file", f"cannot be read ({error.strerror}); check its rights") from error
    if len(raw) > MAX_FILE_BYTES:
        raise _invalid(name, "file", f"has {len(raw):,} bytes; at most {MAX_FILE_BYTES:,} are allowed: split it")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise _invalid(name, "file", f"is not UTF-8 (byte {error.start}, line {line}); save it as UTF-8") from error
    return read_article(text, name=name)


def read_article(text: str, *, name: str) -> ArticleText:
    """Read YAML front matter and Markdown; `name` is what errors call the file."""
    match = _FRONT.match(text)
    if match is None:
        raise _invalid(
            name, "front matter", "is missing; begin the file with a line ---, then title, slug and language, then ---"
        )
    front = _front_matter(match["front"], name)
    problems = [
        FieldProblem(f"{name}: {key}", f"is not known; use {', '.join(FIELDS)}") for key in front if key not in FIELDS
    ]
    for key in ("title", "slug", "language"):
        if key not in front:
            problems.append(FieldProblem(f"{name}: {key}", f"is missing; add a line `{key}: …` to the front matter"))
    for key in ("title", "slug", "language", "product", "audience"):
        if key in front and not isinstance(front[key], str):
            shown = "empty" if front[key] is None else f"read as {front[key]!r}"
            problems.append(FieldProblem(f"{name}: {key}", f"must be text but is {shown}; put it in quotes"))
    tags = front.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        problems.append(FieldProblem(f"{name}: tags", "must be a list of words, like [billing, invoice]"))
    questions = front.get("questions", [])
    if not isinstance(questions, list) or not all(isinstance(question, str) for question in questions):
        problems.append(FieldProblem(f"{name}: questions", "must be a list of texts, each in quotes"))
    if problems:
        raise _refuse(problems)
    article = ArticleText(
        title=front["title"].strip(),
        slug=front["slug"].strip(),
        language=front["language"].strip(),
        body=match["body"].strip(),
        product=front.get("product"),
        audience=front.get("audience", "client"),
        tags=tuple(dict.fromkeys(tags)),
        questions=tuple(dict.fromkeys(question.strip() for question in questions)),
    )
    check_article(article, name=name)
    return article


def check_article(text: ArticleText, *, name: str = "") -> None:
    """Raise `Invalid(bad_article)` with every problem of the article."""
    problems = problems_of(text)
    if problems:
        raise _refuse([FieldProblem(f"{name}: {p.field}" if name else p.field, p.problem) for p in problems])


def cut(body: str) -> list[Chunk]:
    """Cut Markdown into chunks by headings, then paragraphs; numbered steps and what introduces them stay together."""
    chunks: list[Chunk] = []
    for heading, blocks in _sections(body):
        for text in _pack(blocks):
            chunks.append(Chunk(len(chunks), heading, text))
    return chunks


def _front_matter(text: str, name: str) -> dict[Any, Any]:
    try:
        front = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 2}, column {mark.column + 1}" if mark else ""
        why = getattr(error, "problem", None) or "it cannot be read"
        raise _invalid(
            name, "front matter", f"is not valid YAML{where} ({why}); put values with a colon or quote in double quotes"
        ) from error
    if not isinstance(front, dict):
        raise _invalid(name, "front matter", "must be lines of the form `title: …`")
    return front


def _invalid(name: str, field: str, problem: str) -> Invalid:
    return _refuse([FieldProblem(f"{name}: {field}", problem)])


def _refuse(problems: list[FieldProblem]) -> Invalid:
    listed = "; ".join(f"{problem.field} {problem.problem}" for problem in problems)
    return Invalid(f"The article cannot be taken: {listed}.", code="bad_article", fields=tuple(problems))


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark").enable("table")


def _sections(body: str) -> Iterator[tuple[str, list[_Block]]]:
    lines = body.splitlines()
    path: list[tuple[int, str]] = []
    blocks: list[_Block] = []
    tokens = _parser().parse(body)
    for index, token in enumerate(tokens):
        if token.level != 0 or token.map is None:
            continue
        if token.type == "heading_open":
            if blocks:
                yield _heading(path), blocks
                blocks = []
            depth = int(token.tag[1:])
            path = [entry for entry in path if entry[0] < depth] + [(depth, tokens[index + 1].content.strip())]
        else:
            blocks += _blocks(token, tokens, index, lines)
    if blocks:
        yield _heading(path), blocks


def _heading(path: list[tuple[int, str]]) -> str:
    return " › ".join(text for _, text in path if text)


def _blocks(token: Token, tokens: list[Token], index: int, lines: list[str]) -> list[_Block]:
    text = _source(token, lines)
    words = _words(text)
    is_list = token.type in ("ordered_list_open", "bullet_list_open")
    whole = STEPS_WORDS if token.type == "ordered_list_open" else CHUNK_WORDS
    if words <= whole:
        return [_Block(text, words, is_list=is_list, ends_open=text.rstrip().endswith(":"))]
    if is_list:
        items = []
        for later in tokens[index + 1 :]:
            if later.level == 0:
                break
            if later.level == 1 and later.type == "list_item_open":
                items.append(_source(later, lines))
        pieces = [piece for item in items for piece in _split(item)]
    else:
        pieces = _split(text)
    return [_Block(piece, _words(piece)) for piece in pieces]


def _source(token: Token, lines: list[str]) -> str:
    first, last = token.map or (0, 0)
    return "\n".join(lines[first:last]).strip("\n")


def _words(text: str) -> int:
    """Words, where one of more than 12 letters counts as several: an encoder reads it in pieces."""
    return sum(1 + len(word) // 12 for word in text.split())


def _split(text: str) -> list[str]:
    """Cut a text that is too long at sentences, and where there are none, at words or after so many characters."""
    if _words(text) <= CHUNK_WORDS:
        return [text]
    pieces: list[list[str]] = [[]]
    size = 0
    for sentence in _SENTENCE_END.split(text):
        room_wanted = min(_words(sentence), CHUNK_WORDS)
        for part in (word[at : at + 400] for word in sentence.split() for at in range(0, len(word), 400)):
            if pieces[-1] and size + max(room_wanted, _words(part)) > CHUNK_WORDS:
                pieces.append([])
                size = 0
            pieces[-1].append(part)
            size += _words(part)
            room_wanted = 0
    return [" ".join(piece) for piece in pieces if piece]


def _pack(blocks: list[_Block]) -> Iterator[str]:
    """Fill chunks up to CHUNK_WORDS; a line that ends with a colon stays with the block it introduces."""
    taken: list[_Block] = []
    for block in blocks:
        total = sum(other.words for other in taken) + block.words
        introduces = bool(taken) and taken[-1].ends_open and block.is_list
        if taken and total > CHUNK_WORDS and not introduces:
            yield "\n\n".join(other.text for other in taken)
            taken = []
        elif introduces and total > CHUNK_WORDS and len(taken) > 1:
            yield "\n\n".join(other.text for other in taken[:-1])
            taken = taken[-1:]
        taken.append(block)
    if taken:
        yield "\n\n".join(other.text for other in taken)
