"""An organization's own intents: what its tickets are about in its own words, each within one of the eight categories.

What makes one is decided here; how a ticket is found to be of one is `asoe.ai.own_intents`'.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from asoe.domain.errors import FieldProblem, Invalid
from asoe.domain.triage import CATEGORIES, INTENTS

MOST_INTENTS: Final = 200
"""In use at a time; retired ones are not counted."""
MOST_EXAMPLES: Final = 20
MOST_TITLE: Final = 100
MOST_DESCRIPTION: Final = 500
MOST_EXAMPLE: Final = 500
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{1,62}")
_RESERVED: Final = frozenset({*CATEGORIES, "other", "out_of_scope", "unknown"})
"""Words that stand beside intents in settings and reports."""


@dataclass(frozen=True, slots=True)
class OwnIntent:
    """`name` and `category` stay for good; `retired_at` set: triage finds it no more, old tickets keep it."""

    id: UUID
    name: str
    category: str
    title: str
    description: str
    examples: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    retired_at: datetime | None = None


def may_be_intent(name: str) -> bool:
    """Whether this is an intent of everybody's, or may be one of an organization's own."""
    return name in INTENTS or (_NAME.fullmatch(name) is not None and name not in _RESERVED)


def check(*, name: str, category: str, title: str, description: str, examples: Sequence[str]) -> None:
    """Raises `Invalid(bad_intent)` naming each wrong field; whitespace at the ends is the caller's to take off."""
    problems = []
    if not _NAME.fullmatch(name):
        problems.append(
            FieldProblem("name", "must be 2 to 63 lower-case letters, digits and underscores, a letter first")
        )
    elif name in INTENTS or name in _RESERVED:
        problems.append(FieldProblem("name", f"{name!r} means something already; choose another"))
    if category not in CATEGORIES:
        problems.append(FieldProblem("category", f"{category!r} is not one of {', '.join(CATEGORIES)}"))
    for field, text, most in (("title", title, MOST_TITLE), ("description", description, MOST_DESCRIPTION)):
        problems += _text_problems(field, text, most)
    if not title.strip():
        problems.append(FieldProblem("title", "must say in a few words what these tickets are about"))
    if len(examples) > MOST_EXAMPLES:
        problems.append(FieldProblem("examples", f"holds {len(examples)}; at most {MOST_EXAMPLES}"))
    for place, example in enumerate(examples):
        problems += _text_problems(f"examples.{place}", example, MOST_EXAMPLE)
        if not example.strip():
            problems.append(FieldProblem(f"examples.{place}", "is empty"))
    if problems:
        listed = "; ".join(f"{problem.field}: {problem.problem}" for problem in problems)
        raise Invalid(f"This makes no intent: {listed}.", code="bad_intent", fields=tuple(problems))


def named_in(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(path, intent) wherever an organization's settings name an intent; settings that make no policy may be given, too."""
    routing, rules = settings.get("routing"), settings.get("incidents")
    by_intent = routing.get("by_intent") if isinstance(routing, Mapping) else None
    alerts = rules.get("alerts") if isinstance(rules, Mapping) else None
    persons = settings.get("persons_only")
    found = [(f"routing.by_intent.{name}", str(name)) for name in (by_intent if isinstance(by_intent, Mapping) else ())]
    for place, row in enumerate(alerts if isinstance(alerts, list) else ()):
        if isinstance(row, Mapping) and row.get("intent"):
            found.append((f"incidents.alerts.{place}.intent", str(row["intent"])))
    if isinstance(persons, list):
        found += [("persons_only", str(name)) for name in persons if name not in CATEGORIES]
    return found


def refuse_unknown(named: Sequence[tuple[str, str]], own: Collection[str], *, code: str) -> None:
    """Raises `Invalid` with this code for every (path, name) that is neither everybody's intent nor among `own`."""
    problems = [
        FieldProblem(path, f"{name!r} is neither an intent of everybody's nor one of this organization's own")
        for path, name in named
        if name not in INTENTS and name not in own
    ]
    if problems:
        listed = "; ".join(f"{problem.field}: {problem.problem}" for problem in problems)
        raise Invalid(f"{listed}. `asoe intent list --all` shows them.", code=code, fields=tuple(problems))


def categories_with(own: Sequence[OwnIntent]) -> Mapping[str, str]:
    """Every intent an organization's ticket may have now, with its category; everybody's first."""
    return {
        **INTENTS,
        **{each.name: each.category for each in own if each.retired_at is None and each.name not in INTENTS},
    }


def _text_problems(field: str, text: str, most: int) -> list[FieldProblem]:
    if len(text) > most:
        return [FieldProblem(field, f"is longer than {most} characters")]
    if "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        return [FieldProblem(field, "holds characters that cannot be stored")]
    return []
