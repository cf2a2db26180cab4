"""Text of a runbook as plain values with the line of each: a small, safe part of YAML 1.2. What they mean is decided elsewhere.

No tags, anchors, aliases, merge keys or dates; `yes`, `no` and `on` are texts; a key stands once in its mapping.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import yaml

from asoe.domain.errors import FieldProblem, Invalid

LARGEST: Final = 256 * 1024
DEEPEST: Final = 40
MOST_NODES: Final = 20_000

Path: TypeAlias = tuple[str | int, ...]

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same in C, where PyYAML was built with it
_INT: Final = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
_WORDS: Final = {"null": None, "~": None, "": None, "true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Source:
    """Plain values, and the line (from 1) at which each stands."""

    data: Any
    lines: Mapping[Path, int]

    def line(self, path: Path) -> int:
        """The line of the nearest thing that was written."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def at(self, path: Path) -> str:
        """`line 12: steps.2.act.call`: how problems name a place."""
        return f"line {self.line(path)}: {'.'.join(map(str, path)) or 'the document'}"

    def get(self, path: Path) -> Any:
        found = self.data
        for part in path:
            found = found[part]
        return found


def read_source(text: str) -> Source:
    """Raises `Invalid(bad_runbook)` with the line and a remedy."""
    if len(text.encode("utf-8", "surrogatepass")) > LARGEST:
        raise _refused(
            1, "", f"the text is larger than {LARGEST // 1024} KiB; split it into runbooks that call one another"
        )
    try:
        _look_over(text)
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _refused((mark.line if mark else 0) + 1, "", _remedy(str(error.problem or error.context))) from None
    except yaml.YAMLError:
        raise _refused(
            1, "", "there is a character no text may contain; save it as UTF-8 without control characters"
        ) from None
    if node is None:
        raise _refused(1, "", "the text is empty; `asoe runbook new NAME` writes a beginning")
    lines: dict[Path, int] = {(): node.start_mark.line + 1}
    return Source(_value(node, (), lines), lines)


def refused(source: Source, problems: Mapping[Path, str] | list[tuple[Path, str]]) -> Invalid:
    """The error for problems at these places, in the order of the text."""
    listed = list(problems.items()) if isinstance(problems, Mapping) else problems
    listed.sort(key=lambda one: source.line(one[0]))
    fields = tuple(FieldProblem(source.at(path), problem) for path, problem in listed)
    more = f" (and {len(fields) - 1} more)" if len(fields) > 1 else ""
    return Invalid(
        f"The text cannot be used: {fields[0].field}: {fields[0].problem}{more}.", code="bad_runbook", fields=fields
    )


def _look_over(text: str) -> None:
    """Refuses by events, before anything is built from them."""
    documents = nodes = depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        line = event.start_mark.line + 1 if event.start_mark else 1
        documents += isinstance(event, yaml.DocumentStartEvent)
        if documents > 1:
            raise _refused(line, "", "a file holds one runbook; put the other one into a file of its own")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise _refused(line, "", f"values stand more than {DEEPEST} deep; use procedures")
        if not isinstance(event, yaml.NodeEvent):
            continue
        if event.anchor:
            raise _refused(
                line, "", "anchors (&) and aliases (*) are not read; write the value out, or put it in quotes"
            )
        tag = getattr(event, "tag", None)
        if tag:
            raise _refused(line, "", f"tags like {tag!r} are not read; put a text that starts with ! in quotes")
        nodes += 1
        if nodes > MOST_NODES:
            raise _refused(line, "", f"there are more than {MOST_NODES} values; split the runbook")


def _value(node: yaml.Node, path: Path, lines: dict[Path, int]) -> Any:
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key, inner in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise _refused(line, ".".join(map(str, path)), "a key must be a word; put an expression in quotes")
            name = str(key.value)
            here = (*path, name)
            if name in found:
                raise _refused(line, ".".join(map(str, here)), f"{name!r} stands here twice; keep one")
            lines[here] = line
            found[name] = _value(inner, here, lines)
        return found
    if isinstance(node, yaml.SequenceNode):
        listed = []
        for number, inner in enumerate(node.value):
            lines[(*path, number)] = inner.start_mark.line + 1
            listed.append(_value(inner, (*path, number), lines))
        return listed
    return _scalar(node)


def _scalar(node: Any) -> Any:
    text = str(node.value)
    if node.style not in {None, ""}:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _refused(line: int, place: str, problem: str) -> Invalid:
    field = f"line {line}: {place or 'the document'}"
    return Invalid(
        f"The text cannot be used: {field}: {problem}.", code="bad_runbook", fields=(FieldProblem(field, problem),)
    )


def _remedy(problem: str) -> str:
    quote = "put an expression with : { } [ ] , or # in single quotes, as in '=has(a.b) ? 1 : 2'"
    if "mapping values are not allowed" in problem:
        return f"a second `:` stands in one line; {quote}"
    if "expected ',' or" in problem or "did not find expected" in problem:
        return f"{problem}; mind the indentation, close every quote and bracket, and {quote}"
    if "cannot start any token" in problem:
        return f"{problem}; indent with spaces, and put a text that starts with a sign in quotes"
    return f"{problem}; mind the indentation and close every quote and bracket"
