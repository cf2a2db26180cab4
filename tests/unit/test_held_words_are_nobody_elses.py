"""The held-back words have the keys of the others and share no phrase with them. A miss is told as key and number, never as its words."""

import re
from collections.abc import Iterator
from itertools import combinations
from string import Formatter
from typing import Any

import pytest
from evals.estate.cases import WORDINGS, iter_cases, read_words

IN_A_ROW = 6
HELD = read_words("held.yaml")
NUMBERS = {
    "symptoms": 8,
    "consents": 5,
    "evasions": 8,
    "no_pin": 4,
    "distractors": 20,
    "of_others": 4,
    "of_colleagues": 3,
}


def lists(words: dict[str, Any]) -> dict[str, list[str]]:
    """{"symptoms/slow": lines, …, "greetings": lines}."""
    found: dict[str, list[str]] = {}
    for name, value in words.items():
        found |= {f"{name}/{key}": lines for key, lines in value.items()} if isinstance(value, dict) else {name: value}
    return found


def told(words: dict[str, Any]) -> Iterator[tuple[str, str]]:
    return ((f"{key} {at}", line) for key, lines in lists(words).items() for at, line in enumerate(lines))


def spoken(line: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", line.lower().replace("’", "'").replace("'", ""))


def rows(line: str) -> set[tuple[str, ...]]:
    words = spoken(line)
    return {tuple(words[at : at + IN_A_ROW]) for at in range(len(words) - IN_A_ROW + 1)}


def needs(line: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(line) if name is not None}


def test_keys_are_the_same_and_lines_as_many_as_promised() -> None:
    assert list(lists(HELD)) == list(lists(WORDINGS))
    assert [
        key for key, lines in lists(HELD).items() if len(lines) != NUMBERS.get(key.partition("/")[0], len(lines))
    ] == []
    assert len(HELD["joints"]) >= 2


def test_placeholders_are_those_of_the_key() -> None:
    others = {key: [needs(line) for line in lines] for key, lines in lists(WORDINGS).items()}
    always = {key: set.intersection(*found) for key, found in others.items()}
    wrong = [
        f"{key} {at}"
        for key, lines in lists(HELD).items()
        for at, line in enumerate(lines)
        if not always[key] <= needs(line) <= set().union(*others[key])
    ]
    assert wrong == []


def test_no_line_shares_six_words_in_a_row_with_another() -> None:
    theirs = {row for _, line in told(WORDINGS) for row in rows(line)}
    whole = {" ".join(spoken(line)) for _, line in told(WORDINGS)} - {""}
    assert [at for at, line in told(HELD) if rows(line) & theirs or " ".join(spoken(line)) in whole] == []
    ours = [(at, rows(line)) for at, line in told(HELD)]
    assert [(one, other) for (one, a), (other, b) in combinations(ours, 2) if a & b] == []


@pytest.fixture(scope="module")
def letters() -> list[tuple[str, str, str]]:
    return [(case.id, case.subject, case.body) for case in iter_cases(5, 100, part="held")]


def test_letters_of_the_part_hold_no_other_words(letters: list[tuple[str, str, str]]) -> None:
    theirs = {row for _, line in told(WORDINGS) for row in rows(line)}
    begins = {line for line in WORDINGS["greetings"] if line}
    assert {subject for _, subject, _ in letters} <= set(HELD["subjects"])
    assert [case for case, _, body in letters if rows(body) & theirs or body.splitlines()[0] in begins] == []
    assert [case for case, _, body in letters if re.search(r"\{\w*\}", body)] == []


def test_letters_do_not_change_from_one_making_to_the_next(letters: list[tuple[str, str, str]]) -> None:
    assert [(case.id, case.subject, case.body) for case in iter_cases(5, 100, part="held")] == letters
