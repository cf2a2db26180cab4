"""Canned replies: texts that people send often, with variables. What a value holds is put in as it is and never read again.

A variable nobody knows the value of is an error that names it: no client gets a letter with a hole in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from asoe.domain.errors import FieldProblem, Invalid

VARIABLES: Final[dict[str, str]] = {
    "client.name": "the client's name",
    "client.email": "the client's address",
    "ticket.number": "the ticket's number",
    "ticket.subject": "the ticket's subject",
    "agent.name": "the name of who sends it",
    "team.name": "the team that has the ticket",
    "organization.name": "the organization's name",
}
LONGEST: Final = 20_000
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
_VARIABLE: Final = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_BREAKS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


@dataclass(frozen=True, slots=True)
class CannedReply:
    """One text under a short name; `language` None: for every ticket."""

    id: UUID
    name: str
    title: str
    body: str
    language: str | None
    created_at: datetime
    updated_at: datetime


def check(*, name: str, title: str, body: str, language: str | None) -> None:
    """Raise `Invalid(bad_canned_reply)` naming each wrong field."""
    problems = []
    if not _NAME.fullmatch(name):
        problems.append(FieldProblem("name", "must be 1 to 63 small letters, digits, - or _"))
    if not title.strip() or len(title) > 200:
        problems.append(FieldProblem("title", "must have 1 to 200 characters"))
    if not body.strip() or len(body) > LONGEST:
        problems.append(FieldProblem("body", f"must have 1 to {LONGEST:,} characters"))
    unknown = sorted(set(variables_of(body)) - VARIABLES.keys())
    if unknown:
        problems.append(FieldProblem("body", f"knows no {{{{{unknown[0]}}}}}; variables are {', '.join(VARIABLES)}"))
    if "{{" in _VARIABLE.sub("", body):
        problems.append(FieldProblem("body", "has a {{ without its }}"))
    if language is not None and not re.fullmatch(r"[a-z]{2,3}", language):
        problems.append(FieldProblem("language", "must be a code such as en, or left out"))
    if problems:
        listed = "; ".join(f"{each.field} {each.problem}" for each in problems)
        raise Invalid(f"This canned reply cannot be kept: {listed}.", code="bad_canned_reply", fields=tuple(problems))


def variables_of(body: str) -> list[str]:
    return [found[1] for found in _VARIABLE.finditer(body)]


def fill(body: str, values: Mapping[str, str | None]) -> str:
    """The text with every variable's value; raises `Invalid(missing_variable)` naming those without one."""
    known = {name: _BREAKS.sub(" ", value).strip() for name, value in values.items() if value}
    missing = list(dict.fromkeys(name for name in variables_of(body) if not known.get(name)))
    if missing:
        listed = ", ".join(f"{name} ({VARIABLES.get(name, 'unknown')})" for name in missing)
        raise Invalid(
            f"This canned reply wants what is not known of this ticket: {listed}. Choose another, or write it by hand.",
            code="missing_variable",
            fields=tuple(FieldProblem(name, "is not known") for name in missing),
        )
    return _VARIABLE.sub(lambda found: known[found[1]], body)
