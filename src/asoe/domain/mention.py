"""Mentions in internal notes: `@ben`, `@ben@acme.example` or `@"Ben Carter"` names a colleague, who is told."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from asoe.domain.errors import FieldProblem, Invalid

_MENTION: Final = re.compile(r'(?<![\w@.+-])@(?:"([^"\n]{1,100})"|([^\s@",;:!?()<>]+(?:@[\w.-]+\w)?))')


@dataclass(frozen=True, slots=True)
class Colleague:
    """Somebody who may be mentioned."""

    user_id: UUID
    name: str
    email: str | None

    def answers_to(self, called: str) -> bool:
        """By address, by the part of it before the @, by the whole name, or by the first word of it."""
        words = self.name.casefold().split()
        address = (self.email or "").casefold()
        return called in {address, address.partition("@")[0], " ".join(words), *words[:1]} - {""}


def mentioned(text: str, colleagues: Iterable[Colleague]) -> tuple[UUID, ...]:
    """Who is meant, in the order of the words; raises `Invalid(ambiguous_mention)` where a name is two people's.

    A name nobody has is no mention: it stays text.
    """
    people: Sequence[Colleague] = tuple(colleagues)
    found: list[UUID] = []
    for match in _MENTION.finditer(text):
        called = " ".join((match[1] or match[2]).casefold().rstrip(".").split())
        meant = _meant(called, people)
        if len(meant) > 1:
            which = ", ".join(each.email or each.name for each in meant)
            raise Invalid(
                f"@{called} could be {len(meant)} people ({which}). Mention one by the whole address.",
                code="ambiguous_mention",
                fields=(FieldProblem("content", f"@{called} is ambiguous"),),
            )
        found += [each.user_id for each in meant]
    return tuple(dict.fromkeys(found))


def _meant(called: str, people: Sequence[Colleague]) -> list[Colleague]:
    by_address = [each for each in people if (each.email or "").casefold() == called]
    return by_address or [each for each in people if each.answers_to(called)]
