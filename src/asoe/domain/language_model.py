"""What a language model may be asked for, and what it may cost an organization in a day; the installation's limits are the caller's.

The model is a second pair of eyes: each use has a local twin, and whatever it says is checked before it counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from asoe.domain.errors import FieldProblem

USES: Final[dict[str, str]] = {
    "answers": "write an answer from the passages that were found",
    "slots": "find what a runbook must know in the client's words",
    "ties": "choose between intents that are as likely as one another",
    "articles": "word a person's answer as the draft of an article",
    "dossiers": "sum a ticket up and draft a reply for the person who gets it",
}
MOST_TOKENS: Final = 1_000_000_000
MOST_USD: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class ModelRules:
    """An organization's own limits; None: the installation's alone."""

    uses: frozenset[str] = frozenset(USES)
    tokens_per_day: int | None = None
    usd_per_day: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """Tokens of one call, both ways, and what they cost in US dollars; None: nobody knows the price."""

    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: Decimal | None = Decimal(0)

    @property
    def tokens(self) -> int:
        return self.tokens_in + self.tokens_out


def read_model_rules(stored: Any, problems: list[FieldProblem]) -> ModelRules:
    """Read the setting `language_model`; what is wrong is added to `problems`."""
    if stored is None:
        return ModelRules()
    if not isinstance(stored, Mapping):
        problems.append(FieldProblem("language_model", "must be an object with uses, tokens_per_day, usd_per_day"))
        return ModelRules()
    problems.extend(
        FieldProblem(f"language_model.{name}", "is no limit: uses, tokens_per_day, usd_per_day")
        for name in stored
        if name not in {"uses", "tokens_per_day", "usd_per_day"}
    )
    uses = stored.get("uses")
    if uses is not None and (isinstance(uses, str) or not isinstance(uses, Sequence)):
        problems.append(FieldProblem("language_model.uses", f"must be a list out of {', '.join(USES)}; [] for none"))
        uses = ()
    problems.extend(
        FieldProblem(f"language_model.uses.{name}", f"not one of {', '.join(USES)}")
        for name in uses or ()
        if name not in USES
    )
    tokens = _amount(stored, "tokens_per_day", problems, most=MOST_TOKENS)
    if tokens is not None and tokens != int(tokens):
        problems.append(FieldProblem("language_model.tokens_per_day", "must be a whole number"))
    usd = _amount(stored, "usd_per_day", problems, most=MOST_USD)
    return ModelRules(frozenset(USES if uses is None else map(str, uses)), None if tokens is None else int(tokens), usd)


def least(own: Decimal | int | None, installation: Decimal | int | None) -> Decimal | int | None:
    """The stricter of two limits, either of which may be absent."""
    given = [limit for limit in (own, installation) if limit is not None]
    return min(given) if given else None


def _amount(stored: Mapping[str, Any], name: str, problems: list[FieldProblem], *, most: int) -> Decimal | None:
    given = stored.get(name)
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= most:
        problems.append(FieldProblem(f"language_model.{name}", f"must be a number from 0 to {most:,}"))
        return None
    return Decimal(str(given))
